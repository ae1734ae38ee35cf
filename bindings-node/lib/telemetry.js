'use strict';
// Metrics: as objects, as text for others, pushed to a collector.

const { begin, call, written } = require('./call.js');
const { BIG, HANDLE, integersOf } = require('./graph.js');
const { invalid } = require('./errors.js');
const { only } = require('./options.js');
const { pair } = require('./pairs.js');
const { registry, release } = require('./release.js');
const { database } = require('./replication.js');
const { INTERNAL, onlyHere } = require('./transaction.js');
const { markAsUncloneable } = require('./uncloneable.js');
const { describe, isPlain } = require('./writer.js');

const INTEGERS = ['integers'];

function asked(op, read) {
  return (db) => {
    const w = begin();
    w.handle(database(db)[HANDLE]);
    return read(call(op, w, db[BIG]));
  };
}

function collectMetrics(db, options) {
  const big = integersOf(only(options, 'collectMetrics', INTEGERS).integers, database(db)[BIG]);
  const w = begin();
  w.handle(db[HANDLE]);
  return call('collect_metrics', w, big).value();
}
const healthCheck = asked('health_check', (r) => r.value());

function collectReplicationMetricsPrometheus(db, options) {
  const w = written((w) => {
    w.handle(database(db)[HANDLE]);
    w.options(options);
  });
  return call('prometheus', w).text();
}
const collectReplicationMetricsOtelJson = asked('otel_json', (r) => r.text());
const collectReplicationMetricsOtelProtobuf = asked('otel_protobuf', (r) => Buffer.from(r.blob().buffer));

const free = {};
for (const [name, transport] of [
  ['Json', 'json'],
  ['Protobuf', 'protobuf'],
  ['Grpc', 'grpc'],
]) {
  const to = (w, db, endpoint, options) => {
    w.handle(database(db)[HANDLE]);
    w.text(transport, 'transport');
    w.text(endpoint, 'endpoint');
    w.options(options);
  };
  pair(free, `pushReplicationMetricsOtel${name}`, {
    op: 'push',
    arity: 4,
    long: true,
    args: (w, db, endpoint, timeoutMs, bearerToken) => to(w, db, endpoint, { timeoutMs, bearerToken }),
  });
  pair(free, `pushReplicationMetricsOtel${name}WithOptions`, { op: 'push', arity: 3, long: true, args: to });
}

const functions = {};
for (const name of Object.getOwnPropertyNames(free)) functions[name] = free[name].bind(undefined);

/** The flushes of an exporter that are under way: promises that are settled once they have ended. */
const FLUSHES = Symbol('flushes');

/** Pushes the metrics of one database on a cadence, from a thread of the addon. */
class Exporter {
  #disposed = false;

  constructor(internal, handle) {
    onlyHere(internal, 'Exporter', 'startExporter(db, options) gives one');
    Object.defineProperty(this, HANDLE, { value: handle });
    markAsUncloneable(this);
    Object.defineProperty(this, FLUSHES, { value: new Set() });
    registry.register(this, handle, this);
  }

  get state() {
    return this.#disposed ? 'closed' : stateOf(this).state;
  }

  get lastError() {
    return this.#disposed ? null : stateOf(this).lastError;
  }

  /** What became of the pushes of its database; null once it is closed. */
  metrics() {
    if (this.#disposed) return null;
    const w = begin();
    w.handle(this[HANDLE]);
    return call('exporter_metrics', w).value();
  }

  /** A flush that is under way is answered all the same: the exporter pushes for the last time, and ends, after it. */
  [Symbol.dispose]() {
    this.#disposed = true;
    registry.unregister(this);
    release(this[HANDLE]);
  }

  /** Closes it once the flushes have ended that are under way. One whose wait was given up goes on by itself. */
  async [Symbol.asyncDispose]() {
    if (this.#disposed) return;
    await Promise.all(this[FLUSHES]);
    if (this.state === 'closed') return;
    try {
      await this.closeAsync();
    } catch (error) {
      if (error.code !== 'LOCKED') throw error;
      this[Symbol.dispose]();
    }
  }
}

function stateOf(exporter) {
  const w = begin();
  w.handle(exporter[HANDLE]);
  const r = call('exporter_state', w);
  return { state: r.value(), lastError: r.optional(r.text) };
}

pair(Exporter.prototype, 'flush', { op: 'exporter_flush', alone: true });
const { flushAsync } = Exporter.prototype;
Exporter.prototype.flushAsync = {
  flushAsync(options) {
    const flush = flushAsync.call(this, options);
    const ended = flush.then(
      () => {},
      () => {},
    );
    this?.[FLUSHES]?.add(ended);
    ended.then(() => this?.[FLUSHES]?.delete(ended));
    return flush;
  },
}.flushAsync;
pair(Exporter.prototype, 'close', { op: 'exporter_close', result: () => undefined, alone: true });

function startExporter(db, options) {
  if (!isPlain(options)) throw invalid(`options are ${describe(options)}: give an object with transport and endpoint`);
  const { transport, endpoint, intervalMs, closeTimeoutMs, ...push } = options;
  const w = written((w) => {
    w.handle(database(db)[HANDLE]);
    w.text(transport, 'transport');
    w.text(endpoint, 'endpoint');
    w.options({ intervalMs, closeTimeoutMs });
    w.options(push);
  });
  return new Exporter(INTERNAL, call('start_exporter', w).handle());
}

module.exports = {
  Exporter,
  collectMetrics,
  collectReplicationMetricsOtelJson,
  collectReplicationMetricsOtelProtobuf,
  collectReplicationMetricsPrometheus,
  healthCheck,
  startExporter,
  ...functions,
};
