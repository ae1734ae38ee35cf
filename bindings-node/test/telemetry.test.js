'use strict';

const { test, before, after } = require('node:test');
const { spawn } = require('node:child_process');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const { assert, fails, failsLater, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();
let child;
let lines;
let ports;

before(async () => {
  child = spawn(process.execPath, [join(__dirname, 'processes', 'collector.js')], { stdio: ['pipe', 'pipe', 'inherit'] });
  lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  ports = await said();
});
after(() => child.stdin.end());

/** What the collector said next. */
async function said() {
  return JSON.parse((await lines.next()).value);
}

/** Waits until something was sent there, whatever else is: an exporter that was let go of pushes when it likes. */
async function sentTo(url) {
  while ((await said()).url !== url);
}

/** Hears what else the collector has said. */
async function heard(db) {
  kitedb.pushReplicationMetricsOtelJson(db, http('/end'), 5000);
  await sentTo('/end');
}

const http = (path = '/v1/metrics') => `http://127.0.0.1:${ports.http}${path}`;
const grpc = () => `http://127.0.0.1:${ports.grpc}`;

let opened = 0;
function primary(t) {
  const db = Database.open(join(dir, `p${opened++}.kitedb`), { replicationRole: 'primary' });
  t.after(() => db.close());
  db.createNode('ada');
  return db;
}

test('metrics say what part a database plays, and what it holds', (t) => {
  const db = primary(t);
  const metrics = kitedb.collectMetrics(db);
  assert.deepEqual([metrics.path, metrics.isSingleFile, metrics.readOnly], [db.path, true, false]);
  assert.deepEqual([metrics.data.nodeCount, metrics.data.deltaNodesCreated, metrics.cache.enabled, metrics.mvcc.enabled], [1, 1, false, true]);
  const { enabled, role, primary: own, replica } = metrics.replication;
  assert.deepEqual([enabled, role, replica], [true, 'primary', null]);
  assert.deepEqual([own.epoch, own.headLogIndex, own.lastToken, own.replicaCount, own.minReplicaAppliedLogIndex], [1, 1, '1:1', 0, null]);
  assert.equal(metrics.engine.commitLatency.count, 1);
  assert.ok(metrics.collectedAt >= metrics.openedAtMs && metrics.openedAtMs > 1.6e12);
  const alone = Database.inMemory({ integers: 'bigint' });
  assert.deepEqual(kitedb.collectMetrics(alone).replication.role, 'disabled');
  assert.equal(kitedb.collectMetrics(alone).data.nodeCount, 0n);
  alone.close();
  const health = kitedb.healthCheck(db);
  assert.equal(health.healthy, true);
  assert.deepEqual(health.checks.map((check) => check.name), ['database_open', 'delta_size', 'log', 'background', 'replication']);
});

test('metrics are text for others', (t) => {
  const db = primary(t);
  const text = kitedb.collectReplicationMetricsPrometheus(db);
  assert.match(text, /^kitedb_replication_primary_head_log_index\{database="p\d+\.kitedb"\} 1$/m);
  const auth = (options) => kitedb.collectReplicationMetricsPrometheus(db, options).match(/^kitedb_replication_auth_enabled.* (\d)$/m)[1];
  assert.deepEqual([auth(), auth({ authEnabled: true }), auth({ authEnabled: false })], ['0', '1', '0']);
  const open = kitedb.collectReplicationMetricsPrometheus(db, { format: 'openmetrics', databaseLabel: 'none', names: 'linted' });
  assert.ok(open.endsWith('# EOF\n') && !open.includes('database='));
  assert.match(kitedb.collectReplicationMetricsPrometheus(db, { databaseName: 'mine' }), /database="mine"/);
  fails(() => kitedb.collectReplicationMetricsPrometheus(db, { format: 'xml' }), 'INVALID_OPTION', /text or openmetrics/);
  const json = JSON.parse(kitedb.collectReplicationMetricsOtelJson(db));
  const names = json.resourceMetrics[0].scopeMetrics[0].metrics.map((metric) => metric.name);
  assert.ok(names.includes('kitedb.replication.primary.head_log_index'));
  const bytes = kitedb.collectReplicationMetricsOtelProtobuf(db);
  assert.ok(Buffer.isBuffer(bytes) && bytes.includes('kitedb.replication.primary.head_log_index'));
  assert.throws(() => kitedb.collectReplicationMetricsPrometheus({}), /give a Database/);
});

test('metrics are pushed over HTTP and gRPC, blocking or not', async (t) => {
  const db = primary(t);
  const result = kitedb.pushReplicationMetricsOtelJson(db, http(), 5000, ' secret ');
  assert.deepEqual([result.statusCode, result.attempts, result.rejectedDataPoints, result.partialError], [200, 1, 0, null]);
  const json = await said();
  assert.deepEqual([json.type, json.authorization, json.url], ['application/json', 'Bearer secret', '/v1/metrics']);
  assert.ok(json.metrics > 10);
  assert.equal((await kitedb.pushReplicationMetricsOtelJsonAsync(db, http(), 5000)).statusCode, 200);
  assert.equal((await said()).authorization, undefined);

  assert.equal(kitedb.pushReplicationMetricsOtelProtobuf(db, http(), 5000).statusCode, 200);
  assert.equal((await said()).type, 'application/x-protobuf');
  await kitedb.pushReplicationMetricsOtelProtobufAsync(db, http(), 5000);
  await said();

  assert.deepEqual(kitedb.pushReplicationMetricsOtelGrpc(db, grpc(), 5000, 'secret').statusCode, 200);
  const pushed = await said();
  assert.deepEqual([pushed.over, pushed.authorization], ['grpc', 'Bearer secret']);
  assert.match(pushed.path, /MetricsService\/Export$/);
  await kitedb.pushReplicationMetricsOtelGrpcAsync(db, grpc(), 5000);
  await said();

  const options = { compressionGzip: true, headers: { 'x-tenant': 'a' }, retryMaxAttempts: 2, timeoutMs: 4000 };
  kitedb.pushReplicationMetricsOtelJsonWithOptions(db, http(), options);
  const zipped = await said();
  assert.deepEqual([zipped.encoding, zipped.tenant], ['gzip', 'a']);
  await kitedb.pushReplicationMetricsOtelProtobufWithOptionsAsync(db, http(), options);
  await said();
  await kitedb.pushReplicationMetricsOtelGrpcWithOptionsAsync(db, grpc());
  await said();
});

test('what a collector refuses, or an option that is wrong, is a typed error', async (t) => {
  const db = primary(t);
  await assert.rejects(
    kitedb.pushReplicationMetricsOtelJsonAsync(db, http('/refused'), 5000, 'secret'),
    (error) => {
      assert.deepEqual([error.code, error.statusCode, error.retryable], ['REJECTED', 400, false]);
      assert.ok(!error.message.includes('secret') && error instanceof kitedb.KiteDbError);
      return true;
    },
  );
  await said();
  await assert.rejects(kitedb.pushReplicationMetricsOtelJsonAsync(db, http('/busy'), 5000), (error) => error.retryable);
  await said();
  const push = kitedb.pushReplicationMetricsOtelJsonWithOptions;
  fails(() => push(db, '', {}), 'INVALID_OPTION', /endpoint must not be empty/);
  fails(() => kitedb.pushReplicationMetricsOtelJson(db, http(), 0), 'INVALID_OPTION', /timeoutMs must be positive/);
  fails(() => push(db, http(), { timeoutMs: -1 }), 'INVALID_OPTION', /timeoutMs must be non-negative/);
  fails(() => push(db, http(), { retryJitterRatio: 2 }), 'INVALID_OPTION', /retryJitterRatio must be within \[0\.0, 1\.0\]/);
  fails(() => push(db, http(), { adaptiveRetryMode: 'x' }), 'INVALID_OPTION', /must be one of: linear, ewma/);
  fails(() => push(db, http(), { circuitBreakerStatePatch: true }), 'INVALID_OPTION', /circuitBreakerStatePatch requires circuitBreakerStateUrl/);
  fails(() => push(db, http(), { clientCertPemPath: 'x' }), 'INVALID_OPTION', /clientCertPemPath and clientKeyPemPath/);
  fails(() => push(db, http(), { httpsOnly: true }), 'INVALID_OPTION', /httpsOnly/);
  fails(() => push(db, http(), { headers: { a: 1 } }), 'INVALID_OPTION', /object of strings/);
  fails(() => push(db, http(), { bearer: 'secret' }), 'INVALID_OPTION', /no option 'bearer'/);
  await failsLater(kitedb.pushReplicationMetricsOtelGrpcAsync(db, 'http://127.0.0.1:1', 1000), 'TRANSPORT');
});

test('an exporter pushes from a thread of its own, until it is closed', async (t) => {
  const db = primary(t);
  const exporter = kitedb.startExporter(db, { transport: 'json', endpoint: http(), intervalMs: 1 << 30, bearerToken: 'secret' });
  assert.deepEqual([exporter.state, exporter.lastError], ['running', null]);
  assert.equal((await exporter.flushAsync()).statusCode, 200);
  assert.equal((await said()).authorization, 'Bearer secret');
  assert.equal(exporter.metrics().pushes, 1);
  const slow = kitedb.startExporter(db, { transport: 'json', endpoint: http('/slow'), intervalMs: 1 << 30, timeoutMs: 60_000 });
  const flushed = slow.flushAsync();
  await said();
  assert.equal(slow.state, 'running');
  await failsLater(slow.closeAsync(), 'LOCKED', /another call works with this exporter/);
  child.stdin.write('answer\n');
  assert.equal((await flushed).statusCode, 200);
  slow[Symbol.dispose]();
  await exporter.closeAsync();
  await said();
  assert.deepEqual([exporter.state, exporter.metrics()], ['closed', null]);
  fails(() => exporter.flush(), 'FINISHED');
  fails(() => exporter.close(), 'FINISHED');
  await exporter[Symbol.asyncDispose]();
  fails(() => kitedb.startExporter(db, { transport: 'udp', endpoint: http() }), 'INVALID_OPTION', /json, protobuf or grpc/);
  const other = kitedb.startExporter(db, { transport: 'grpc', endpoint: grpc() });
  other[Symbol.dispose]();
});

test('an exporter that is let go of amid a flush answers that, and takes no other', async (t) => {
  const db = primary(t);
  const options = { transport: 'json', intervalMs: 1 << 30, timeoutMs: 60_000 };
  const disposed = kitedb.startExporter(db, { ...options, endpoint: http('/slow/disposed') });
  const flush = disposed.flushAsync();
  await sentTo('/slow/disposed');
  disposed[Symbol.dispose]();
  assert.deepEqual([disposed.state, disposed.lastError, disposed.metrics()], ['closed', null, null]);
  fails(() => disposed.flush(), 'FINISHED', /this exporter is done with/);
  await failsLater(disposed.flushAsync(), 'FINISHED');
  fails(() => disposed.close(), 'FINISHED');
  disposed[Symbol.dispose]();
  await disposed[Symbol.asyncDispose]();
  child.stdin.write('answer\n');
  assert.equal((await flush).statusCode, 200);
  // The last push, which nobody waits for.
  await sentTo('/slow/disposed');
  child.stdin.write('answer\n');

  const awaited = kitedb.startExporter(db, { ...options, endpoint: http('/slow/awaited') });
  const both = [awaited.flushAsync(), awaited.flushAsync()];
  await sentTo('/slow/awaited');
  const closed = awaited[Symbol.asyncDispose]();
  assert.equal(awaited.state, 'running');
  child.stdin.write('answer\n');
  // Perhaps the second flush has a push of its own, and then there is the last one.
  const answers = setInterval(() => child.stdin.write('answer\n'), 5);
  for (const { statusCode } of await Promise.all(both)) assert.equal(statusCode, 200);
  await closed;
  clearInterval(answers);
  assert.deepEqual([awaited.state, awaited.metrics()], ['closed', null]);
  await heard(db);
});

test('what became of pushes counts for the database, whoever made them', async (t) => {
  const db = primary(t);
  kitedb.pushReplicationMetricsOtelJson(db, http(), 5000);
  await said();
  const options = { transport: 'json', endpoint: http(), intervalMs: 1 << 30 };
  const first = kitedb.startExporter(db, options);
  const counted = first.metrics().pushes;
  await first.flushAsync();
  assert.equal(first.metrics().pushes, counted + 1);
  await first.closeAsync();
  const second = kitedb.startExporter(db, options);
  assert.equal(second.metrics().pushes, counted + 2);
  await second.closeAsync();
  await heard(db);
});

test('the options of a push are looked at before the database is', () => {
  const db = Database.inMemory();
  db.close();
  fails(() => kitedb.pushReplicationMetricsOtelJsonWithOptions(db, http(), { retryMaxAttempts: 0 }), 'INVALID_OPTION', /retryMaxAttempts must be positive/);
  fails(() => kitedb.pushReplicationMetricsOtelJson(db, http(), 100), 'CLOSED', /Database is closed/);
});
