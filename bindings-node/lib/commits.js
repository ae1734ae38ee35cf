'use strict';
// Commits that are under way. However many there are, no thread waits for them, and the addon wakes this thread once for all that
// ended together.

const { keepAlive, woken } = require('./native.js');
const { begin, call, callAsync, settle, tellProgress } = require('./call.js');
const { aborted } = require('./errors.js');
const { checkSignal } = require('./signals.js');

/** Who waits for a commit, by its number. */
const waiting = new Map();

/** Settles the promise of a commit if that has ended; returns whether it has. */
function look(number, { resolve, reject }) {
  let token;
  try {
    const w = begin();
    w.handle(number);
    const r = call('poll', w);
    if (!r.bool()) return false;
    token = r.text();
  } catch (error) {
    reject(error);
    return true;
  }
  resolve(token);
  return true;
}

function ended(number) {
  waiting.delete(number);
  keepAlive(false);
}

/** So many are looked after in one turn of the event loop: a sync ends thousands of commits, and other things want their turn. */
const MOST = 32;
/** The numbers of those that have ended and were not looked after yet, from `next` on. */
let queue = [];
let next = 0;
/** Whether this turn has had its share. */
let shared = false;

woken.look = () => {
  const r = call('woken', begin());
  const numbers = r.list(r.handle);
  const jobs = r.list(r.handle);
  if (next === queue.length) {
    queue = numbers;
    next = 0;
  } else {
    for (const number of numbers) queue.push(number);
  }
  if (!shared) lookAfterSome();
  settle(jobs);
  tellProgress();
};

function lookAfterSome() {
  shared = false;
  if (next === queue.length) return;
  for (const to = Math.min(next + MOST, queue.length); next < to; next++) {
    const number = queue[next];
    const promise = waiting.get(number);
    if (promise !== undefined && look(number, promise)) ended(number);
  }
  shared = true;
  setImmediate(lookAfterSome);
}

/** The token of a submitted commit, once it has ended. */
function whenEnded(number) {
  return new Promise((resolve, reject) => {
    const promise = { resolve, reject };
    if (look(number, promise)) return;
    // The process does not end before its commits have.
    keepAlive(true);
    waiting.set(number, promise);
  });
}

function rollback(handle) {
  const w = begin();
  w.handle(handle);
  call('rollback', w);
}

/** Throws, and gives a transaction up, where its signal was aborted, or is none. */
function requireGoing(handle, signal) {
  try {
    checkSignal(signal);
    if (signal?.aborted) throw aborted(signal);
  } catch (error) {
    rollback(handle);
    throw error;
  }
}

/** Submits a transaction: on this thread, unless it would have to wait. A signal ends it only before it is submitted. */
function submitted(handle, signal) {
  requireGoing(handle, signal);
  const w = begin();
  w.handle(handle);
  try {
    const r = call('try_submit', w);
    return { number: r.handle(), token: r.text() };
  } catch (error) {
    if (error.code !== 'WOULD_BLOCK') throw error;
  }
  const again = begin();
  again.handle(handle);
  return callAsync('submit', again, { signal }).then(
    (r) => ({ number: r.handle(), token: r.text() }),
    (error) => {
      // One that was ended in the queue, or never got there, was not submitted.
      rollback(handle);
      throw error;
    },
  );
}

/** Commits without blocking. A signal ends it only before it is submitted: what is in the log has begun to count. */
async function commit(handle, signal, onDemand) {
  if (onDemand) {
    requireGoing(handle, signal);
    const w = begin();
    w.handle(handle);
    w.bool(false);
    const r = await callAsync('commit', w);
    return r.optional(r.text);
  }
  const pending = submitted(handle, signal);
  const { number, token } = pending instanceof Promise ? await pending : pending;
  const end = whenEnded(number);
  inFlight.set(token, end);
  try {
    return await end;
  } finally {
    inFlight.delete(token);
  }
}

/** The commits that are awaited, by their tokens: promises of their ends. */
const inFlight = new Map();

/** Whether a commit with that token is awaited; if so, this is settled once it has ended, whatever became of it. */
function afterCommit(token) {
  return inFlight.get(token)?.then(
    () => {},
    () => {},
  );
}

module.exports = { afterCommit, commit, submitted, whenEnded };
