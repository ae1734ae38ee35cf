'use strict';
// Calls of the addon: at once, or elsewhere with a promise.

const { Buffer } = process.getBuiltinModule('node:buffer');
const { keepAlive, native, ops, shared } = require('./native.js');
const { KiteDbError, aborted, invalid } = require('./errors.js');
const { Reader } = require('./reader.js');
const { checkSignal, onAbort } = require('./signals.js');
const { Writer } = require('./writer.js');

const { call: nativeCall } = native;
const writer = new Writer();
const reader = new Reader(shared);
const LARGE = -1;
/** An error of which nothing fitted the buffer. */
const NOTHING = LARGE - 1;

/** Whether arguments are being written that may run code of the caller (a getter, an iterator), which may call on its own. */
let writing = false;

/** Begins the arguments of an operation. */
function begin() {
  if (!writing) return writer.reset(shared);
  // The result of this one comes where those arguments are.
  writer.leave(shared);
  return new Writer().reset(Buffer.from(new ArrayBuffer(256)));
}

/** The same, where writing them may run code of the caller: `write` is called with where to write. */
function written(write) {
  if (writing) {
    const w = begin();
    write(w);
    return w;
  }
  writing = true;
  try {
    writer.reset(shared);
    write(writer);
    return writer;
  } finally {
    writing = false;
  }
}

function readError(r) {
  r.big = false;
  const [code, kind, retryable, message] = [r.text(), r.text(), r.bool(), r.text()];
  return new KiteDbError(code, kind, retryable, message, r.value());
}

/** Does an operation, and returns where its result is read from. */
function call(op, w, big = false) {
  return numbered(ops[op], w, big);
}

/** The same by the number of the operation, which who does it often keeps. */
function numbered(op, w, big) {
  const len = w.bytes === shared ? nativeCall(op, w.at) : native.callWith(op, w.bytes.subarray(0, w.at));
  if (len < LARGE) {
    reader.at = 0;
    // One that repeats what is longer than the buffer does not fit it.
    const error = readError(len === NOTHING ? new Reader(native.large()) : reader);
    Error.captureStackTrace?.(error, numbered);
    throw error;
  }
  if (len === LARGE) {
    const large = new Reader(native.large());
    large.big = big;
    return large;
  }
  reader.at = 0;
  reader.big = big;
  return reader;
}

let jobs = 0;

/** Who is told how far a job is, by its number. */
const watched = new Map();

/** Tells how far jobs are. What a callback throws is nobody's to catch, and ends the process as from an event. */
function tellProgress() {
  if (watched.size === 0) return;
  const r = call('progress', begin());
  const told = r.list(() => ({ job: r.handle(), phase: r.text(), done: r.u64(), total: r.optional(r.u64) }));
  for (const { job, ...progress } of told) watched.get(job)?.(progress);
}

/** For so long a thread of JavaScript waits without looking whether it is to end, ms. */
const SLICE_MS = 50;

/**
 * Does an operation that may take long, and waits for it. It is done elsewhere: a worker that is terminated ends only between two
 * calls of the addon, and what it waits for ends with it.
 */
function callWaiting(name, w, big = false) {
  const number = ++jobs;
  native.begin(ops[name], w.bytes.subarray(0, w.at), number);
  let bytes;
  do bytes = native.resultOf(number, SLICE_MS);
  while (bytes === null);
  native.forget(number);
  const r = new Reader(bytes);
  if (r.u8() !== 0) {
    const error = readError(r);
    Error.captureStackTrace?.(error, callWaiting);
    throw error;
  }
  r.big = big;
  return r;
}

/** The same, from where what a callback throws would be caught. */
function tellLast() {
  try {
    tellProgress();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** Who waits for jobs that may take for ever, by their numbers. */
const apart = new Map();

/** A promise of the result of such a job. */
function startApart(op, bytes, number, told) {
  native.beginApart(op, bytes, number, told);
  keepAlive(true);
  return new Promise((resolve) => apart.set(number, resolve));
}

/** Settles the promises of those of them that have ended. */
function settle(numbers) {
  for (const number of numbers) {
    const resolve = apart.get(number);
    apart.delete(number);
    keepAlive(false);
    resolve(native.resultOf(number, 0));
  }
}

/**
 * Does an operation on another thread. The arguments are read at once. A signal that is aborted ends it; the promise is rejected
 * once it has really ended.
 */
function callAsync(name, w, { signal, onProgress, alone = false, big = false } = {}) {
  // A signal of the caller's own may make calls, whose arguments would come where these are.
  const args = signal ? new Uint8Array(w.bytes.subarray(0, w.at)) : w.bytes.subarray(0, w.at);
  checkSignal(signal);
  if (onProgress !== undefined && typeof onProgress !== 'function') throw invalid('onProgress is no function');
  if (signal?.aborted) return Promise.reject(aborted(signal));
  const number = ++jobs;
  let unheard;
  try {
    // First, so that nothing has begun if it throws.
    unheard = onAbort(signal, () => native.cancel(number));
  } catch (error) {
    return Promise.reject(error);
  }
  if (onProgress !== undefined) watched.set(number, onProgress);
  const promise = (alone ? startApart : native.start)(ops[name], args, number, onProgress !== undefined);
  const ended = () => {
    unheard();
    // The last word may not have been heard: it comes another way than the end.
    if (onProgress !== undefined) tellLast();
    native.forget(number);
    watched.delete(number);
  };
  return promise.then(
    (bytes) => {
      ended();
      const r = new Reader(bytes);
      if (r.u8() === 0) {
        r.big = big;
        return r;
      }
      const error = readError(r);
      throw error.code === 'CANCELLED' && signal?.aborted ? aborted(signal, error.message) : error;
    },
    (error) => {
      ended();
      throw error;
    },
  );
}

module.exports = { begin, call, callAsync, callWaiting, numbered, settle, tellProgress, written };
