'use strict';
// Metrics: as objects, as text for others, pushed to a collector.

const { begin, call, written } = require('./call.js');
const { BIG, HANDLE } = require('./graph.js');
const { invalid } = require('./errors.js');
const { pair } = require('./pairs.js');
const { registry, release } = require('./release.js');
const { database } = require('./replication.js');
const { INTERNAL, onlyHere } = require('./transaction.js');
const { describe, isPlain } = require('./writer.js');

function asked(op, read) {
  return (db) => {
    const w = begin();
    w.handle(database(db)[HANDLE]);
    return read(call(op, w, db[BIG]));
  };
}

const collectMetrics = asked('collect_metrics', (r) => r.value());
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
    args: (w, db, endpoint, timeoutMs, bearerToken) => to(w, db, endpoint, { timeoutMs, bearerToken }),
  });
  pair(free, `pushReplicationMetricsOtel${name}WithOptions`, { op: 'push', arity: 3, args: to });
}

const functions = {};
for (const name of Object.getOwnPropertyNames(free)) functions[name] = free[name].bind(undefined);

/** Pushes the metrics of one database on a cadence, from a thread of the addon. */
class Exporter {
  constructor(internal, handle) {
    onlyHere(internal, 'Exporter', 'startExporter(db, options) gives one');
    Object.defineProperty(this, HANDLE, { value: handle });
    registry.register(this, handle, this);
  }

  get state() {
    return stateOf(this).state;
  }

  get lastError() {
    return stateOf(this).lastError;
  }

  /** What it has done; null once it is closed. */
  metrics() {
    const w = begin();
    w.handle(this[HANDLE]);
    return call('exporter_metrics', w).value();
  }

  [Symbol.dispose]() {
    registry.unregister(this);
    release(this[HANDLE]);
  }

  async [Symbol.asyncDispose]() {
    if (this.state !== 'closed') await this.closeAsync();
  }
}

function stateOf(exporter) {
  const w = begin();
  w.handle(exporter[HANDLE]);
  const r = call('exporter_state', w);
  return { state: r.value(), lastError: r.optional(r.text) };
}

pair(Exporter.prototype, 'flush', { op: 'exporter_flush', alone: true });
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
