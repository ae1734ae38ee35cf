'use strict';

const { begin, call, callAsync, callWaiting } = require('./call.js');
const commits = require('./commits.js');
const { BIG, FLOATS, GraphReader, HANDLE, SCANS } = require('./graph.js');
const { signalOf } = require('./options.js');
const { registry, release } = require('./release.js');
const { checkSignal } = require('./signals.js');
const { markAsUncloneable } = require('./uncloneable.js');
const { install, writes } = require('./writes.js');

const inspect = Symbol.for('nodejs.util.inspect.custom');
/** The database that an object came from: it is open for as long as somebody has one of these. */
const DATABASE = Symbol('database');
/** Whether nobody syncs a commit but who waits for it: the database was opened without background work. */
const ON_DEMAND = Symbol('on demand');
/** Made by this package only. */
const INTERNAL = Symbol('internal');

function onlyHere(internal, name, instead) {
  if (internal !== INTERNAL) throw new TypeError(`a ${name} is not made by new: ${instead}`);
}

class Transaction extends GraphReader {
  constructor(internal, handle, database, watched) {
    super();
    onlyHere(internal, 'Transaction', 'db.begin() or db.transaction(fn) gives one');
    this[HANDLE] = handle;
    markAsUncloneable(this);
    this[DATABASE] = database;
    this[BIG] = database[BIG];
    this[SCANS] = new Set();
    this[FLOATS] = database[FLOATS];
    // One whose end is certain needs nobody to look after it.
    if (watched) registry.register(this, handle, this);
  }

  get isExpired() {
    const w = begin();
    w.handle(this[HANDLE]);
    return call('is_expired', w).bool();
  }

  get logBytes() {
    const w = begin();
    w.handle(this[HANDLE]);
    return call('log_bytes', w).u64();
  }

  commit() {
    const r = commit(this, false);
    return r.optional(r.text);
  }

  commitWithToken() {
    const r = commit(this, true);
    return r.optional(r.text);
  }

  async commitAsync(options) {
    const signal = signalOf(options);
    checkSignal(signal);
    registry.unregister(this);
    return commits.commit(this[HANDLE], signal, this[DATABASE][ON_DEMAND]);
  }

  submit() {
    registry.unregister(this);
    const w = begin();
    w.handle(this[HANDLE]);
    const r = call('submit', w);
    return new Pending(INTERNAL, r.handle(), r.text());
  }

  async submitAsync(options) {
    const signal = signalOf(options);
    checkSignal(signal);
    registry.unregister(this);
    const { number, token } = await commits.submitted(this[HANDLE], signal);
    return new Pending(INTERNAL, number, token);
  }

  rollback() {
    registry.unregister(this);
    const w = begin();
    w.handle(this[HANDLE]);
    call('rollback', w);
  }

  [Symbol.dispose]() {
    this.rollback();
  }

  async [Symbol.asyncDispose]() {
    this.rollback();
  }

  [inspect]() {
    return 'Transaction {}';
  }
}

install(Transaction.prototype, writes);

function commit(tx, withToken) {
  registry.unregister(tx);
  const w = begin();
  w.handle(tx[HANDLE]);
  w.bool(withToken);
  if (withToken) w.handle(tx[DATABASE][HANDLE]);
  return call('commit', w);
}

/** A commit that is in the log and has perhaps not ended. */
class Pending {
  #token;
  #ended;

  constructor(internal, handle, token) {
    onlyHere(internal, 'Pending', 'tx.submit() gives one');
    this[HANDLE] = handle;
    markAsUncloneable(this);
    this.#token = token;
    registry.register(this, handle, this);
  }

  get token() {
    return this.#token;
  }

  /** Waits for it, on this thread. */
  wait() {
    const w = begin();
    w.handle(this[HANDLE]);
    return callWaiting('wait', w).text();
  }

  /** A promise of its token. */
  waitAsync() {
    if (this.#ended === undefined) {
      const w = begin();
      w.handle(this[HANDLE]);
      const copy = call('watch_pending', w).handle();
      this.#ended = commits.whenEnded(copy);
    }
    return this.#ended;
  }

  [inspect]() {
    return `Pending { token: '${this.#token}' }`;
  }
}

/** One state of a database, for as long as it is held. */
class Snapshot extends GraphReader {
  #info;

  constructor(internal, handle, database) {
    super();
    onlyHere(internal, 'Snapshot', 'db.snapshot() gives one');
    this[HANDLE] = handle;
    markAsUncloneable(this);
    this[DATABASE] = database;
    this[BIG] = database[BIG];
    this[FLOATS] = database[FLOATS];
    registry.register(this, handle, this);
  }

  #read() {
    if (this.#info === undefined) {
      const w = begin();
      w.handle(this[HANDLE]);
      const r = call('snapshot_info', w);
      this.#info = { token: r.text(), digest: r.text(), commitMs: r.u64() };
    }
    return this.#info;
  }

  /** The last commit that it shows. */
  get token() {
    return this.#read().token;
  }

  get digest() {
    return this.#read().digest;
  }

  get commitMs() {
    return this.#read().commitMs;
  }

  get isExpired() {
    const w = begin();
    w.handle(this[HANDLE]);
    return call('is_expired', w).bool();
  }

  /** Lets go of what it holds. Nothing happens the second time. */
  release() {
    registry.unregister(this);
    release(this[HANDLE]);
  }

  [Symbol.dispose]() {
    this.release();
  }

  async [Symbol.asyncDispose]() {
    this.release();
  }

  [inspect]() {
    return 'Snapshot {}';
  }
}

/** A transaction that commits itself in batches. */
class BulkLoader extends GraphReader {
  constructor(internal, handle, database) {
    super();
    onlyHere(internal, 'BulkLoader', 'db.beginBulk(elementsPerCommit) gives one');
    this[HANDLE] = handle;
    markAsUncloneable(this);
    this[DATABASE] = database;
    this[BIG] = database[BIG];
    this[SCANS] = new Set();
    this[FLOATS] = database[FLOATS];
    registry.register(this, handle, this);
  }

  get lastToken() {
    const r = this.#call('bulk_last_token');
    return r.optional(r.text);
  }

  /** Counts an element. Returns the token of the batch if that is full, and committed now. */
  step() {
    const r = this.#call('bulk_step');
    return r.optional(r.text);
  }

  stepAsync(options) {
    return this.#callAsync('bulk_step', options);
  }

  flush() {
    const r = this.#call('bulk_flush');
    return r.optional(r.text);
  }

  flushAsync(options) {
    return this.#callAsync('bulk_flush', options);
  }

  finish() {
    const r = this.#call('bulk_finish');
    const token = r.optional(r.text);
    this[Symbol.dispose]();
    return token;
  }

  async finishAsync(options) {
    const token = await this.#callAsync('bulk_finish', options);
    this[Symbol.dispose]();
    return token;
  }

  /** Gives up the batch that is not full. */
  [Symbol.dispose]() {
    registry.unregister(this);
    this.#call('bulk_drop');
  }

  async [Symbol.asyncDispose]() {
    this[Symbol.dispose]();
  }

  #call(op) {
    const w = begin();
    w.handle(this[HANDLE]);
    return call(op, w);
  }

  async #callAsync(op, options) {
    const signal = signalOf(options);
    const w = begin();
    w.handle(this[HANDLE]);
    const r = await callAsync(op, w, { signal });
    return r.optional(r.text);
  }

  [inspect]() {
    return 'BulkLoader {}';
  }
}

install(BulkLoader.prototype, writes);

module.exports = { BulkLoader, INTERNAL, ON_DEMAND, Pending, Snapshot, Transaction, onlyHere };
