'use strict';
// A worker that is terminated while a synchronous call of it waits: the call ends, and what it waited for with it.

const { test } = require('node:test');
const { readFileSync, readdirSync } = require('node:fs');
const { createServer } = require('node:net');
const { join } = require('node:path');
const { Worker } = require('node:worker_threads');
const { assert, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();

/** The names of the threads of this process. */
function threads() {
  return readdirSync('/proc/self/task').map((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim();
    } catch {
      return 'ended';
    }
  });
}

/** Waits until a condition holds, which it must sometime. */
async function until(holds, what) {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 2000, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const work = `
  const { workerData: { path, options, endpoint, code }, parentPort } = require('node:worker_threads');
  const kitedb = require('@kitedb/core');
  const db = kitedb.Database.open(path, options);
  const exporter = () => kitedb.startExporter(db, { transport: 'json', endpoint, intervalMs: 1 << 30, timeoutMs: 1e9 });
  const call = eval(code);
  parentPort.postMessage('begins');
  call();
  parentPort.postMessage('ended');
`;

for (const [what, code, role] of [
  ['waitForToken', "() => db.waitForToken('1:999999', 2 ** 40)", 'primary'],
  ['waitForTokenOutcome', "() => db.waitForTokenOutcome('1:999999', 2 ** 40)", 'primary'],
  ['replicaWaitForNews', '() => db.replicaWaitForNews(2 ** 40, 2 ** 40)', 'replica'],
  ['pushReplicationMetricsOtelJson', '() => kitedb.pushReplicationMetricsOtelJson(db, endpoint, 1e9)', 'primary'],
  ['pushReplicationMetricsOtelGrpcWithOptions', '() => kitedb.pushReplicationMetricsOtelGrpcWithOptions(db, endpoint, { timeoutMs: 1e9 })', 'primary'],
  ["an exporter's flush", 'const e = exporter(); () => e.flush()', 'primary'],
]) {
  test(`a worker is terminated that waits in ${what}`, { timeout: 60_000 }, async (t) => {
    const sockets = [];
    // It takes what it is sent and never answers.
    const silent = createServer((socket) => sockets.push(socket.on('error', () => {})));
    t.after(() => {
      silent.close();
      sockets.forEach((socket) => socket.destroy());
    });
    await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const name = what.replace(/\W/g, '');
    const primary = Database.open(join(dir, `${name}.kitedb`), { replicationRole: 'primary' });
    t.after(() => primary.close());
    primary.createNode('ada');
    const options = role === 'primary' ? { replicationRole: 'primary' } : { replicationRole: 'replica', replicationSourceDbPath: primary.path };
    const path = role === 'primary' ? primary.path : join(dir, `${name}-replica.kitedb`);
    const endpoint = `http://127.0.0.1:${silent.address().port}`;
    const worker = new Worker(work, { eval: true, workerData: { path, options, endpoint, code } });
    const said = [];
    worker.on('message', (message) => said.push(message));
    let failed;
    worker.on('error', (error) => (failed = error));
    await until(() => said.length > 0 || failed, 'the worker does not begin');
    assert.equal(failed, undefined);
    if (code.includes('endpoint') || code.includes('exporter')) await until(() => sockets.length > 0, 'it does not push');
    else await until(() => threads().includes('kitedb-wait'), 'it does not wait');
    assert.deepEqual([await worker.terminate(), said], [1, ['begins']]);
    await until(() => !threads().includes('kitedb-wait'), 'what it waited for goes on');
    // What it had open is let go of.
    assert.equal(primary.check().clean, true);
  });
}

test('a wait in slices is one to its caller', async (t) => {
  const db = Database.open(join(dir, 'slices.kitedb'), { replicationRole: 'primary' });
  t.after(() => db.close());
  assert.equal(db.waitForTokenOutcome('1:999999', 120), 'timed_out');
  const tx = db.begin();
  tx.createNode('late');
  const token = tx.commitWithToken();
  assert.equal(db.waitForToken(token, 1 << 30), true);
  assert.throws(() => db.waitForToken('1:1', -1), /timeoutMs must be non-negative/);
  assert.throws(
    () => db.waitForToken('no token', 1),
    (error) => error instanceof kitedb.KiteDbError && /^Failed waiting for token: /.test(error.message) && /terminate\.test/.test(error.stack),
  );
});
