'use strict';
// Every call that returns a promise and takes a signal: ended before it begins, at once, and while it is under way. What is ended
// has really ended, what is not has happened, and whatever it was asked of goes on.

const { test } = require('node:test');
const { cpSync, mkdirSync, readdirSync, rmSync } = require('node:fs');
const http = require('node:http');
const { createServer } = require('node:net');
const { join } = require('node:path');
const { assert, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();
let made = 0;

/** A collector that takes what it is sent and never answers, or one that is content with everything. */
function collectorOf(t, silent) {
  const sockets = new Set();
  const content = (request, response) => request.resume().on('end', () => response.setHeader('content-type', 'application/json').end('{}'));
  const server = silent ? createServer() : http.createServer(content);
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const called = new Promise((resolve) => server.once('connection', resolve));
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ endpoint: `http://127.0.0.1:${server.address().port}`, called }));
  });
}

/** A primary with a replica of it, and copies of the files of both that nobody has open. */
function cluster() {
  const own = join(dir, `cluster${made++}`);
  mkdirSync(own);
  const [here, there] = [join(own, 'here.kitedb'), join(own, 'there.kitedb')];
  const primary = Database.open(here, { replicationRole: 'primary' });
  primary.createNodesBatch(Array.from({ length: 2000 }, (_, n) => ({ key: `n${n}`, props: { n } })));
  const replica = Database.open(there, { replicationRole: 'replica', replicationSourceDbPath: here, replicationName: 'there' });
  replica.replicaBootstrapFromSnapshot();
  const tx = primary.begin();
  tx.createNode('after');
  tx.commit();
  return { own, primary, replica, here, there };
}

/** The same, where the files of one of them are at rest. */
function atRest(which) {
  const made = cluster();
  made[which].close();
  return made;
}

function withTransaction(made = cluster()) {
  const tx = made.primary.begin();
  tx.createNode('one');
  return { ...made, tx };
}

function withBulk() {
  const made = cluster();
  const bulk = made.primary.beginBulk(1);
  bulk.createNode('one');
  return { ...made, bulk };
}

/** The files of the primary are elsewhere now. */
function moved() {
  const made = atRest('primary');
  const copy = join(made.own, 'copy');
  mkdirSync(copy);
  made.replica.close();
  for (const name of readdirSync(made.own).filter((name) => name.startsWith('here.kitedb'))) {
    cpSync(join(made.own, name), join(copy, name), { recursive: true });
    rmSync(join(made.own, name), { recursive: true });
  }
  return { ...made, moved: join(copy, 'here.kitedb') };
}

const windows = { minEntries: 1, minMs: 0, maxBytes: 1 << 30, maxLagMs: 1 << 30 };
const pushes = (name, how) => [name, { silent: true, calls: true, run: how }];

/**
 * How each call is made: `with` makes what it is asked of, `run` makes it with a signal. What has `silent` does not end by itself;
 * what has `calls` is under way once its collector, which never answers, was called; that of `collected` answers.
 */
const CALLS = {
  Database: {
    closeAsync: { run: ({ primary }, how) => primary.closeAsync(how) },
    transactionAsync: { run: ({ primary }, how) => primary.transactionAsync(async (tx) => void tx.createNode('one'), how) },
    checkpointAsync: { run: ({ primary }, how) => primary.checkpointAsync(how) },
    compactAsync: { run: ({ primary }, how) => primary.compactAsync(how) },
    compactStepAsync: { run: ({ primary }, how) => primary.compactStepAsync(how) },
    syncAsync: { run: ({ primary }, how) => primary.syncAsync(how) },
    refreshAsync: { run: ({ primary }, how) => primary.refreshAsync(how) },
    checkAsync: { run: ({ primary }, how) => primary.checkAsync(how) },
    statsAsync: { run: ({ primary }, how) => primary.statsAsync(how) },
    primaryReplicationStatusAsync: { run: ({ primary }, how) => primary.primaryReplicationStatusAsync(how) },
    primaryRemoveReplicaAsync: { run: ({ primary }, how) => primary.primaryRemoveReplicaAsync('there', how) },
    primaryRunRetentionAsync: { run: ({ primary }, how) => primary.primaryRunRetentionAsync(how) },
    primaryPromoteToNextEpochAsync: { run: ({ primary }, how) => primary.primaryPromoteToNextEpochAsync(how) },
    primaryPromoteByForceAsync: { run: ({ primary }, how) => primary.primaryPromoteByForceAsync(how) },
    primaryRivalsAsync: { run: ({ primary }, how) => primary.primaryRivalsAsync(how) },
    primaryExportSnapshotAsync: { run: ({ primary }, how) => primary.primaryExportSnapshotAsync(how) },
    exportReplicationSnapshotTransportJsonAsync: { run: ({ primary }, how) => primary.exportReplicationSnapshotTransportJsonAsync(true, how) },
    exportReplicationLogTransportJsonAsync: {
      run: ({ primary }, how) => primary.exportReplicationLogTransportJsonAsync(null, 10, 1 << 20, true, how),
    },
    replicaReplicationStatusAsync: { run: ({ replica }, how) => replica.replicaReplicationStatusAsync(how) },
    replicaBootstrapFromSnapshotAsync: { run: ({ replica }, how) => replica.replicaBootstrapFromSnapshotAsync(how) },
    replicaReseedFromSnapshotAsync: { run: ({ replica }, how) => replica.replicaReseedFromSnapshotAsync(how) },
    replicaCopySourceAsync: { run: ({ replica }, how) => replica.replicaCopySourceAsync(how) },
    replicaCatchUpOnceAsync: { run: ({ replica }, how) => replica.replicaCatchUpOnceAsync(10, how) },
    replicaPromoteAsync: { run: ({ replica }, how) => replica.replicaPromoteAsync(false, how) },
    replicaRivalsAsync: { run: ({ replica }, how) => replica.replicaRivalsAsync(how) },
    replicaRepointAsync: { run: ({ replica, here }, how) => replica.replicaRepointAsync(here, null, how) },
    replicaWaitForNewsAsync: { silent: true, run: ({ replica }, how) => replica.replicaWaitForNewsAsync(1 << 30, 1 << 30, how) },
    startFollowerAsync: { run: ({ replica }, how) => replica.startFollowerAsync({ pollMs: 10 }, how) },
    stopFollowerAsync: { run: ({ replica }, how) => replica.stopFollowerAsync(how) },
    waitForTokenAsync: { silent: true, run: ({ replica }, how) => replica.waitForTokenAsync('1:999', 1 << 30, how) },
    waitForTokenOutcomeAsync: { silent: true, run: ({ replica }, how) => replica.waitForTokenOutcomeAsync('1:999', 1 << 30, how) },
  },
  'Database, static': {
    openAsync: {
      run: async ({ own }, how) => {
        const db = await Database.openAsync(join(own, 'new.kitedb'), {}, how);
        db.close();
      },
    },
    detachAsync: { with: () => atRest('replica'), run: ({ there }, how) => Database.detachAsync(there, null, how) },
    confirmMovedAsync: { with: moved, run: ({ moved }, how) => Database.confirmMovedAsync(moved, null, how) },
    repairAsync: { with: () => atRest('primary'), run: ({ here }, how) => Database.repairAsync(here, null, how) },
    removeReplicaAtAsync: { run: ({ here }, how) => Database.removeReplicaAtAsync(here, 'there', null, how) },
    confirmReplicasAtAsync: { run: ({ here }, how) => Database.confirmReplicasAtAsync(here, null, how) },
    runRetentionAtAsync: { run: ({ here }, how) => Database.runRetentionAtAsync(here, windows, null, how) },
  },
  Transaction: {
    commitAsync: { with: withTransaction, run: ({ tx }, how) => tx.commitAsync(how) },
    submitAsync: { with: withTransaction, run: async ({ tx }, how) => (await tx.submitAsync(how)).waitAsync() },
  },
  BulkLoader: {
    stepAsync: { with: withBulk, run: ({ bulk }, how) => bulk.stepAsync(how) },
    flushAsync: { with: withBulk, run: ({ bulk }, how) => bulk.flushAsync(how) },
    finishAsync: { with: withBulk, run: ({ bulk }, how) => bulk.finishAsync(how) },
  },
  Exporter: {
    flushAsync: { silent: true, calls: true, with: withExporter, run: ({ exporter }, how) => exporter.flushAsync(how) },
    closeAsync: { collected: true, with: withExporter, run: ({ exporter }, how) => exporter.closeAsync(how) },
  },
  '@kitedb/core': {
    openAsync: { run: async ({ own }, how) => (await kitedb.openAsync(join(own, 'new.kitedb'), {}, how)).close() },
    compareAsync: { run: ({ primary, replica }, how) => kitedb.compareAsync(primary, replica, how) },
    compareDeepAsync: { run: ({ primary, replica }, how) => kitedb.compareDeepAsync(primary, replica, how) },
    collectReplicationSnapshotTransportJsonAsync: {
      run: ({ primary }, how) => kitedb.collectReplicationSnapshotTransportJsonAsync(primary, true, how),
    },
    collectReplicationLogTransportJsonAsync: {
      run: ({ primary }, how) => kitedb.collectReplicationLogTransportJsonAsync(primary, null, 10, 1 << 20, true, how),
    },
    ...Object.fromEntries(
      ['Json', 'Protobuf', 'Grpc'].flatMap((kind) => [
        pushes(`pushReplicationMetricsOtel${kind}Async`, ({ primary, collector }, how) =>
          kitedb[`pushReplicationMetricsOtel${kind}Async`](primary, collector.endpoint, 1 << 30, null, how),
        ),
        pushes(`pushReplicationMetricsOtel${kind}WithOptionsAsync`, ({ primary, collector }, how) =>
          kitedb[`pushReplicationMetricsOtel${kind}WithOptionsAsync`](primary, collector.endpoint, { timeoutMs: 1 << 30 }, how),
        ),
      ]),
    ),
  },
};

function withExporter(collector) {
  const made = cluster();
  const exporter = kitedb.startExporter(made.primary, { transport: 'json', endpoint: collector.endpoint, intervalMs: 1 << 30, timeoutMs: 600_000 });
  return { ...made, exporter };
}

const asyncNames = (object) => Object.getOwnPropertyNames(object).filter((name) => name.endsWith('Async') && typeof object[name] === 'function').sort();

test('there is a way to end each call that returns a promise, but for the wait for a commit', () => {
  const known = Object.fromEntries(Object.entries(CALLS).map(([owner, calls]) => [owner, Object.keys(calls).sort()]));
  assert.deepEqual(known, {
    Database: asyncNames(Database.prototype),
    'Database, static': asyncNames(Database),
    Transaction: asyncNames(kitedb.Transaction.prototype),
    BulkLoader: asyncNames(kitedb.BulkLoader.prototype),
    Exporter: asyncNames(kitedb.Exporter.prototype),
    '@kitedb/core': asyncNames(kitedb),
  });
  assert.deepEqual(asyncNames(kitedb.Pending.prototype), ['waitAsync']);
});

/** Whatever became of a call: what it was asked of answers, and is sound. */
async function goesOn({ primary, replica, exporter, bulk }) {
  exporter?.[Symbol.dispose]();
  bulk?.[Symbol.dispose]();
  for (const db of [primary, replica]) {
    if (!db.isOpen) continue;
    assert.equal((await db.checkAsync()).clean, true);
    assert.ok(db.countNodes() >= 2000);
    db.close();
  }
}

const isEnded = (error) => error?.name === 'AbortError' && error.code === 'CANCELLED' && error.kind === 'cancelled';

/** When it is ended: before it begins, right after that, once its thread has begun (or perhaps has), and not at all. */
const WHEN = {
  'before it begins': { abort: (controller) => controller.abort(new Error('why')), early: true, must: true },
  'at once': { abort: (controller) => controller.abort(new Error('why')) },
  'under way': {
    abort: async (controller, underWay) => {
      await (underWay ?? new Promise(setImmediate));
      controller.abort(new Error('why'));
    },
  },
  never: { abort: () => {} },
};

for (const [owner, calls] of Object.entries(CALLS)) {
  for (const [name, call] of Object.entries(calls)) {
    test(`${owner}: ${name} is ended by its signal`, { timeout: 60_000 }, async (t) => {
      for (const [when, { abort, early = false, must = call.silent === true }] of Object.entries(WHEN)) {
        if (when === 'never' && call.silent) continue;
        const collector = call.calls || call.collected ? await collectorOf(t, call.calls) : undefined;
        const made = { ...(call.with ?? cluster)(collector), collector };
        const controller = new AbortController();
        if (early) abort(controller);
        const promise = call.run(made, { signal: controller.signal });
        if (!early) abort(controller, collector?.called);
        const [{ status, reason }] = await Promise.allSettled([promise]);
        if (when === 'never') assert.equal(status, 'fulfilled', reason?.stack);
        else if (must || status === 'rejected') {
          assert.ok(isEnded(reason), `${when}: ${reason?.stack ?? 'not ended'}`);
          assert.equal(reason.cause.message, 'why');
          // A transaction that is ended has not happened, and a database that is not closed is open.
          if (made.tx !== undefined) assert.equal(made.primary.nodeByKey('one'), null);
          if (name === 'closeAsync' && owner === 'Database') assert.equal(made.primary.isOpen, true);
        }
        await goesOn(made);
      }
    });
  }
}

test('one signal ends many calls, and has one listener for all of them', async (t) => {
  const db = Database.inMemory();
  t.after(() => db.close());
  const { getEventListeners } = require('node:events');
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = () => getEventListeners(signal, 'abort').length;
  const warnings = [];
  const warned = (warning) => warnings.push(warning.name);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const calls = [
    ...Array.from({ length: 20 }, () => db.statsAsync({ signal })),
    ...Array.from({ length: 20 }, () => db.transactionAsync(async (tx) => void tx.createNode(), { signal })),
  ];
  const never = Array.from({ length: 20 }, (_, n) =>
    n % 2 ? db.waitForTokenAsync('1:999999', 1 << 30, { signal }) : db.transactionAsync(() => new Promise(() => {}), { signal }),
  );
  assert.equal(listeners(), 1);
  await Promise.all(calls);
  assert.equal(listeners(), 1);
  controller.abort();
  for (const { status, reason } of await Promise.allSettled(never)) assert.deepEqual([status, reason?.name], ['rejected', 'AbortError']);
  const { signal: other } = new AbortController();
  await Promise.all(Array.from({ length: 20 }, () => db.statsAsync({ signal: other })));
  assert.deepEqual([listeners(), getEventListeners(other, 'abort').length, warnings], [0, 0, []]);
});

test('what a signal of the caller’s own throws is told, and leaves nothing open', async (t) => {
  const db = Database.inMemory();
  t.after(() => db.close());
  const { collected, held } = require('./support.js');
  // What other tests left is gone first.
  for (let rounds = 0; rounds < 20; rounds++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  const before = held();
  class Mine extends Error {}
  const throwing = () => {
    throw new Mine();
  };
  let reads = 0;
  const signals = {
    addEventListener: () => ({ aborted: false, addEventListener: throwing, removeEventListener() {} }),
    removeEventListener: () => ({ aborted: false, addEventListener() {}, removeEventListener: throwing }),
    aborted: () => ({ get aborted() { return throwing(); }, addEventListener() {}, removeEventListener() {} }),
    'aborted, once it was read': () => {
      const from = reads;
      return { get aborted() { return reads++ > from ? throwing() : false; }, addEventListener() {}, removeEventListener() {} };
    },
    'a call of its own': () => ({ get aborted() { db.countNodes(); return false; }, addEventListener: () => db.nodeByKey('x'.repeat(300)), removeEventListener() {} }),
  };
  for (const signal of Object.values(signals)) {
    for (const call of [
      (signal) => db.statsAsync({ signal }),
      (signal) => db.waitForTokenAsync('1:1', 0, { signal }),
      (signal) => db.transactionAsync(async (tx) => void tx.createNode(), { signal }),
      (signal) => db.transactionAsync(() => Promise.reject(new Mine()), { signal }),
      (signal) => {
        const tx = db.begin();
        tx.createNode();
        return tx.commitAsync({ signal }).finally(() => tx.rollback());
      },
      async (signal) => {
        const tx = db.begin();
        tx.createNode();
        try {
          await (await tx.submitAsync({ signal })).waitAsync();
        } finally {
          tx.rollback();
        }
      },
    ]) {
      const [end] = await Promise.allSettled([call(signal())]);
      if (end.status === 'rejected') assert.ok(end.reason instanceof Mine, end.reason.stack);
    }
  }
  assert.deepEqual(db.stats().pins, []);
  await collected(() => held() <= before);
});
