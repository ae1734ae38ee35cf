'use strict';

const { begin, call, callAsync, written } = require('./call.js');
const { aborted, invalid } = require('./errors.js');
const { BIG, FLOATS, GraphReader, HANDLE, NEWEST } = require('./graph.js');
const { afterCommit } = require('./commits.js');
const { only, originOf, signalOf } = require('./options.js');
const { countTo, pair } = require('./pairs.js');
const { registry } = require('./release.js');
const { checkSignal, onAbort } = require('./signals.js');
const { BulkLoader, INTERNAL, ON_DEMAND, Pending, Snapshot, Transaction, onlyHere } = require('./transaction.js');
const { markAsUncloneable } = require('./uncloneable.js');
const { describe, isPlain } = require('./writer.js');
const { install, writes } = require('./writes.js');

const inspect = Symbol.for('nodejs.util.inspect.custom');

/** As long as it takes, ms. */
const LONG_MS = 2 ** 40;

/** Sync modes, as 0.2 had them. */
const SyncMode = Object.freeze({ Full: 'full', Normal: 'normal', Off: 'off' });

/** The options of this package apart from those of the engine. */
function optionsOf(options) {
  if (options === undefined || options === null) return { integers: undefined, floatProperties: undefined, engine: undefined };
  if (!isPlain(options)) throw invalid(`options are ${describe(options)}: give an object`);
  const { integers, floatProperties, ...engine } = options;
  if (integers !== undefined && integers !== 'number' && integers !== 'bigint') {
    throw invalid(`integers is ${describe(integers)}: give 'number' or 'bigint'`);
  }
  if (floatProperties !== undefined && !(Array.isArray(floatProperties) && floatProperties.every((n) => typeof n === 'string'))) {
    throw invalid(`floatProperties is ${describe(floatProperties)}: give an array of the names of properties`);
  }
  return { integers, floatProperties, engine };
}

class Database extends GraphReader {
  #closed = false;

  constructor(internal, handle, how) {
    super();
    onlyHere(internal, 'Database', 'Database.open(path) opens one');
    const { integers, floatProperties } = how;
    this[HANDLE] = handle;
    markAsUncloneable(this);
    this[BIG] = integers === 'bigint';
    this[FLOATS] = floatProperties && new Set(floatProperties);
    this[NEWEST] = true;
    this[ON_DEMAND] = how.engine?.background === false;
    registry.register(this, handle, this);
  }

  static open(path, options) {
    const of = optionsOf(options);
    const w = written((w) => openTo(w, path, of.engine));
    try {
      return new Database(INTERNAL, call('open', w).handle(), of);
    } catch (error) {
      throw opensNot(error);
    }
  }

  static async openAsync(path, options, how) {
    const [of, signal] = [optionsOf(options), signalOf(how)];
    const w = written((w) => openTo(w, path, of.engine));
    try {
      const r = await callAsync('open', w, { signal });
      return new Database(INTERNAL, r.handle(), of);
    } catch (error) {
      throw opensNot(error);
    }
  }

  /** A new database in memory. */
  static inMemory(options) {
    return Database.open(':memory:', options);
  }

  get isOpen() {
    return !this.#closed;
  }

  get path() {
    return ask(this, 'path').text();
  }

  get readOnly() {
    return ask(this, 'read_only').bool();
  }

  get replicationRole() {
    return ask(this, 'replication_role').text();
  }

  get syncMode() {
    return ask(this, 'sync_mode').value();
  }

  /** Why less than was committed is shown; null: all is there, as far as an open can tell. */
  get damage() {
    const r = ask(this, 'damage');
    return r.optional(r.text);
  }

  isCurrent() {
    return ask(this, 'is_current').bool();
  }

  get isCopied() {
    return ask(this, 'is_copied').bool();
  }

  get replicationLogFault() {
    const r = ask(this, 'log_fault');
    return r.optional(r.text);
  }

  get replicationLogIsDenied() {
    return ask(this, 'log_is_denied').bool();
  }

  /** Throws where a commit of this handle would be refused now, whatever it changes. */
  requireCommits() {
    ask(this, 'require_commits');
  }

  lastCommitToken() {
    const r = ask(this, 'last_commit_token');
    return r.optional(r.text);
  }

  /** The state digest of the newest state. */
  digest() {
    const r = ask(this, 'snapshot_info');
    r.text();
    return r.text();
  }

  close() {
    ask(this, 'close');
    this.#closed = true;
  }

  async closeAsync(options) {
    const signal = signalOf(options);
    await callAsync('close', of(this), { signal });
    this.#closed = true;
  }

  abandon() {
    ask(this, 'abandon');
    this.#closed = true;
  }

  [Symbol.dispose]() {
    this.close();
  }

  [Symbol.asyncDispose]() {
    return this.closeAsync();
  }

  begin(options) {
    return beginWith(this, originOf(options, 'begin'), undefined, true);
  }

  /** One that sees a commit which has perhaps not ended. */
  beginAfter(pending, options) {
    if (!(pending instanceof Pending)) throw invalid(`a pending commit is ${describe(pending)}: give what tx.submit() returned`);
    return beginWith(this, originOf(options, 'beginAfter'), pending[HANDLE], true);
  }

  transaction(f, options) {
    if (typeof f !== 'function') throw invalid(`a transaction is ${describe(f)}: give a function that is called with it`);
    return attempt(this, f, options);
  }

  transactionWithRetry(attempts, f, options) {
    if (typeof f !== 'function') throw invalid(`a transaction is ${describe(f)}: give a function that is called with it`);
    let left = attemptsOf(attempts);
    for (;;) {
      left--;
      try {
        return attempt(this, f, options);
      } catch (error) {
        if (!(left > 0 && conflicts.has(error))) throw error;
      }
    }
  }

  async transactionAsync(f, options) {
    const { attempts, origin, signal } = only(options, 'transactionAsync', ['attempts', 'origin', 'signal']);
    if (typeof f !== 'function') throw invalid(`a transaction is ${describe(f)}: give a function that is called with it`);
    checkSignal(signal);
    let left = attemptsOf(attempts ?? 1);
    for (;;) {
      left--;
      if (signal?.aborted) throw aborted(signal);
      const tx = beginWith(this, origin, undefined, false);
      let result;
      try {
        result = await unlessAborted(() => f(tx), signal);
      } catch (error) {
        tx.rollback();
        throw error;
      }
      try {
        await tx.commitAsync({ signal });
        return result;
      } catch (error) {
        tx.rollback();
        endedItself(error);
        if (!(left > 0 && isConflict(error))) throw error;
        // Another try before that commit has ended would meet it again.
        if (error.code === 'CONFLICT_UNPUBLISHED') {
          await (afterCommit(error.token) ?? this.waitForTokenAsync(error.token, LONG_MS, { signal }));
        } else {
          // Timers, signals and other connections have their turn, however many tries there are.
          await new Promise(setImmediate);
        }
      }
    }
  }

  snapshot(options) {
    const origin = originOf(options, 'snapshot');
    const w = of(this);
    w.optionalText(origin, 'origin');
    return new Snapshot(INTERNAL, call('snapshot', w).handle(), this);
  }

  beginBulk(elementsPerCommit) {
    const w = of(this);
    countTo(w, elementsPerCommit, 'elementsPerCommit');
    return new BulkLoader(INTERNAL, call('begin_bulk', w).handle(), this);
  }

  [inspect](_depth, options) {
    const closed = this.#closed ? ', closed' : '';
    return `Database { path: ${options.stylize(`'${this.#closed ? '' : this.path}'`, 'string')}${closed} }`;
  }
}

/** What a function of the caller promises; a signal ends the wait for it, as nothing can end the function. */
function unlessAborted(f, signal) {
  if (!signal) return f();
  return new Promise((resolve, reject) => {
    const unheard = onAbort(signal, () => reject(aborted(signal)));
    const done = (settle) => (value) => {
      unheard();
      settle(value);
    };
    try {
      Promise.resolve(f()).then(done(resolve), done(reject));
    } catch (error) {
      done(reject)(error);
    }
  });
}

/** Says what is to be done where a commit found that the function of a transaction had ended it. */
function endedItself(error) {
  if (error.code === 'FINISHED') {
    error.message =
      'the function of the transaction committed it, or rolled it back, itself, and what it committed counts: leave both to this call, ' +
      'which commits when the function returns and rolls back when it throws, or use begin()';
  }
}

/** The commits that met another one, as their errors: what the function itself fails with is its own. */
const conflicts = new WeakSet();

function isConflict(error) {
  return error?.code === 'CONFLICT' || error?.code === 'CONFLICT_UNPUBLISHED';
}

function attemptsOf(attempts) {
  if (!Number.isSafeInteger(attempts) || attempts < 1) {
    throw invalid(`attempts is ${describe(attempts)}: give a whole number from 1 on`);
  }
  return attempts;
}

/** What the error of an open leaves out. Two copies of this package know nothing of each other: the engine takes one for another process. */
function opensNot(error) {
  // The engine knows its own.
  if (error.code === 'INVALID_OPTION' && error.message.startsWith("there is no option '")) error.message += ', integers, floatProperties';
  if (error.code === 'LOCKED' && error.pid === process.pid) {
    error.message += '; that is this process: another copy of @kitedb/core in it has the file open, so load one copy only';
  }
  return error;
}

function openTo(w, path, options) {
  w.text(pathOf(path), 'path');
  w.options(options);
}

/** A path as text; a URL of a file is one, too. */
function pathOf(path) {
  if (path instanceof URL) return process.getBuiltinModule('node:url').fileURLToPath(path);
  if (typeof path === 'string' && path.includes('\0')) throw invalid('the path holds a null character, which no path can');
  return path;
}

function of(db) {
  const w = begin();
  w.handle(db[HANDLE]);
  return w;
}

function ask(db, op) {
  return call(op, of(db));
}

function beginWith(db, origin, after, watched) {
  const w = of(db);
  w.optionalText(origin, 'origin');
  w.bool(after !== undefined);
  if (after !== undefined) w.handle(after);
  return new Transaction(INTERNAL, call('begin', w).handle(), db, watched);
}

/** Runs a function in a transaction, and commits that. */
function attempt(db, f, options) {
  const tx = beginWith(db, originOf(options, 'transaction'), undefined, false);
  let result;
  try {
    result = f(tx);
    if (typeof result?.then === 'function') {
      // Whatever becomes of it is about a transaction that is gone.
      try {
        result.then(undefined, () => {});
      } catch {}
      throw invalid(
        'the function of a transaction returned a promise, and its work would end after the commit: use transactionAsync; ' +
          'nothing was committed',
      );
    }
  } catch (error) {
    tx.rollback();
    throw error;
  }
  try {
    tx.commit();
  } catch (error) {
    endedItself(error);
    if (isConflict(error)) conflicts.add(error);
    throw error;
  }
  return result;
}

// A write of one call is a transaction of its own.
const single = {};
for (const name of Object.keys(writes)) {
  single[name] = function (...args) {
    return attempt(this, (tx) => tx[name](...args));
  };
  Object.defineProperty(single[name], 'name', { value: name });
}
install(Database.prototype, single);

const none = () => undefined;
pair(Database.prototype, 'refresh', { op: 'refresh', long: true });
pair(Database.prototype, 'checkpoint', { op: 'checkpoint', result: none, long: true });
pair(Database.prototype, 'compact', { op: 'compact', result: none, long: true });
pair(Database.prototype, 'compactStep', { op: 'compact_step', long: true });
pair(Database.prototype, 'sync', { op: 'sync', result: none });
pair(Database.prototype, 'check', { op: 'check', long: true });
pair(Database.prototype, 'stats', { op: 'stats' });

module.exports = { Database, SyncMode, openTo, pathOf };
