'use strict';

const { test } = require('node:test');
const { join } = require('node:path');
const { execFileSync } = require('node:child_process');
const { closeSync, openSync, readdirSync } = require('node:fs');
const { open } = require('node:fs/promises');
const { assert, fails, failsLater, folder, kitedb, memory } = require('./support.js');

const { Database } = kitedb;
const dir = folder();

test('a transaction sees its own writes, and nobody else does before it commits', (t) => {
  const db = memory(t);
  const tx = db.begin();
  const ada = tx.createNode({ key: 'ada', props: { born: 1815 } });
  assert.equal(tx.nodeProp(ada, 'born'), 1815);
  assert.equal(db.nodeByKey('ada'), null);
  const token = tx.commit();
  assert.match(token, /^1:1\.[0-9a-f]{8}$/);
  assert.equal(db.lastCommitToken(), token);
  assert.equal(db.nodeByKey('ada'), ada);
  fails(() => tx.createNode('late'), 'FINISHED');
  fails(() => tx.commit(), 'FINISHED');
  fails(() => tx.nodeByKey('ada'), 'FINISHED');
  tx.rollback();
});

test('what is rolled back, disposed of or thrown away has not happened', (t) => {
  const db = memory(t);
  const tx = db.begin();
  tx.createNode('a');
  tx.rollback();
  tx.rollback();
  {
    const tx = db.begin();
    tx.createNode('b');
    tx[Symbol.dispose]();
  }
  assert.throws(
    () =>
      db.transaction((tx) => {
        tx.createNode('c');
        throw new Error('mine');
      }),
    /mine/,
  );
  assert.equal(db.countNodes(), 0);
  assert.equal(db.lastCommitToken(), null);
});

test('the database has no hidden transaction: two go on beside each other', (t) => {
  const db = memory(t);
  const [first, second] = [db.begin(), db.begin()];
  first.createNode('a');
  db.createNode('c');
  second.createNode('b');
  assert.equal(second.nodeByKey('a'), null);
  first.commit();
  second.commit();
  assert.equal(db.countNodes(), 3);
});

test('the first of two that write the same thing wins', (t) => {
  const db = memory(t);
  const ada = db.createNode({ key: 'ada', props: { n: 0 } });
  const [first, second] = [db.begin(), db.begin()];
  first.setNodeProp(ada, 'n', 1);
  second.setNodeProp(ada, 'n', 2);
  first.commit();
  assert.throws(
    () => second.commit(),
    (error) => error.code === 'CONFLICT' && error.kind === 'retry_transaction' && error.retryable,
  );
  assert.equal(db.nodeProp(ada, 'n'), 1);
});

test('one that meets another commit is run again, as often as is said', (t) => {
  const db = memory(t);
  const ada = db.createNode({ props: { n: 0 } });
  let runs = 0;
  const add = (tx) => {
    const n = tx.nodeProp(ada, 'n');
    if (++runs < 3) db.setNodeProp(ada, 'n', n + 10);
    tx.setNodeProp(ada, 'n', n + 1);
    return n;
  };
  assert.equal(db.transactionWithRetry(3, add), 20);
  assert.equal(db.nodeProp(ada, 'n'), 21);
  runs = 0;
  fails(() => db.transactionWithRetry(2, add), 'CONFLICT');
  assert.equal(runs, 2);
  assert.throws(() => db.transactionWithRetry(0, add), /attempts is 0/);
  // What the function itself fails with ends it at once.
  runs = 0;
  const failed = Object.assign(new Error('mine'), { code: 'CONFLICT' });
  assert.throws(() => db.transactionWithRetry(5, () => { runs++; throw failed; }), /mine/);
  assert.equal(runs, 1);
});

test('a function that returns a promise is refused, and commits nothing', async (t) => {
  const db = memory(t);
  assert.throws(
    () =>
      db.transaction(async (tx) => {
        tx.createNode('early');
        await null;
        tx.createNode('late');
      }),
    (error) => error instanceof TypeError && /transactionAsync/.test(error.message),
  );
  await new Promise(setImmediate);
  assert.equal(db.countNodes(), 0);
});

test('an asynchronous transaction awaits its function, and may be run again', async (t) => {
  const db = memory(t);
  const ada = db.createNode({ props: { n: 0 } });
  let runs = 0;
  const result = await db.transactionAsync(
    async (tx) => {
      const n = tx.nodeProp(ada, 'n');
      await null;
      if (++runs === 1) db.setNodeProp(ada, 'n', 10);
      tx.setNodeProp(ada, 'n', n + 1);
      return 'done';
    },
    { attempts: 2 },
  );
  assert.deepEqual([result, runs, db.nodeProp(ada, 'n')], ['done', 2, 11]);
  await assert.rejects(
    db.transactionAsync(async (tx) => {
      tx.createNode('never');
      throw new Error('mine');
    }),
    /mine/,
  );
  assert.equal(db.countNodes(), 1);
});

test('a signal ends the wait for a function that never ends, and its transaction with it', async (t) => {
  const db = memory(t);
  const controller = new AbortController();
  let held;
  const promise = db.transactionAsync(
    (tx) => {
      held = tx;
      tx.createNode('never');
      return new Promise(() => {});
    },
    { signal: controller.signal },
  );
  assert.equal(db.stats().pins.length, 1);
  setImmediate(() => controller.abort());
  await assert.rejects(promise, { name: 'AbortError', code: 'CANCELLED' });
  assert.deepEqual([db.stats().pins, db.countNodes()], [[], 0]);
  fails(() => held.createNode('late'), 'FINISHED');
});

test('asynchronous transactions that write the same thing are run again once those before them have ended', async (t) => {
  const db = Database.open(join(dir, 'counted.kitedb'));
  t.after(() => db.close());
  const counter = db.createNode({ props: { n: 0 } });
  const count = async (tx) => {
    const n = tx.nodeProp(counter, 'n');
    await null;
    tx.setNodeProp(counter, 'n', n + 1);
  };
  // Each try that fails met another's commit: nobody tries more often than there are commits.
  await Promise.all(Array.from({ length: 20 }, () => db.transactionAsync(count, { attempts: 20 })));
  assert.equal(db.nodeProp(counter, 'n'), 20);
  // One that nobody awaits is waited for, too.
  const tx = db.begin();
  tx.setNodeProp(counter, 'n', 0);
  const pending = tx.submit();
  await db.transactionAsync(count, { attempts: 2 });
  pending.wait();
  assert.equal(db.nodeProp(counter, 'n'), 1);
});

test('an asynchronous transaction whose signal is aborted does not commit', async (t) => {
  const db = memory(t);
  const controller = new AbortController();
  const promise = db.transactionAsync(
    async (tx) => {
      tx.createNode('never');
      controller.abort(new Error('why'));
    },
    { signal: controller.signal },
  );
  await assert.rejects(promise, (error) => error.name === 'AbortError' && error.code === 'CANCELLED' && error.cause.message === 'why');
  await failsLater(db.transactionAsync(() => {}, { signal: controller.signal }), 'CANCELLED');
  await assert.rejects(db.transactionAsync(() => {}, { signal: 5 }), TypeError);
  assert.equal(db.countNodes(), 0);
});

/** The threads of this process. */
const threads = () => readdirSync('/proc/self/task').length;

for (const [syncMode, background] of [['full', true], ['full', false], ['normal', true], ['off', true]]) {
  const name = `flight-${syncMode}-${background}.kitedb`;
  test(`a thousand commits in flight need no thousand threads, and share syncs (${syncMode}${background ? '' : ', no background'})`, async () => {
    const db = Database.open(join(dir, name), { syncMode, background });
    db.createNode('first');
    const before = threads();
    const promises = [];
    let most = 0;
    for (let n = 0; n < 1000; n++) {
      const tx = db.begin();
      tx.createNode(`n${n}`);
      promises.push(tx.commitAsync());
      most = Math.max(most, threads());
    }
    const tokens = await Promise.all(promises);
    assert.equal(new Set(tokens).size, 1000);
    assert.equal(db.countNodes(), 1001);
    assert.ok(most - before < 10, `${most - before} threads more`);
    if (syncMode === 'full' && background) {
      const { syncLatency } = kitedb.collectMetrics(db).engine;
      assert.ok(syncLatency.count < 500, `${syncLatency.count} syncs`);
    }
    db.close();
    const again = Database.open(join(dir, name));
    assert.equal(again.countNodes(), 1001);
    again.close();
  });
}

test('a commit that fails without blocking says so to its own promise', async (t) => {
  const db = memory(t);
  const ada = db.createNode({ props: { n: 0 } });
  const [first, second] = [db.begin(), db.begin()];
  first.setNodeProp(ada, 'n', 1);
  second.setNodeProp(ada, 'n', 2);
  const results = await Promise.allSettled([first.commitAsync(), second.commitAsync()]);
  assert.deepEqual(results.map((result) => result.status), ['fulfilled', 'rejected']);
  assert.match(results[1].reason.code, /^CONFLICT/);
  await failsLater(first.commitAsync(), 'FINISHED');
});

test('one can begin after a commit that has not ended', async () => {
  const db = Database.open(join(dir, 'pending.kitedb'));
  let tx = db.begin();
  const ada = tx.createNode('ada');
  const first = tx.submit();
  fails(() => tx.submit(), 'FINISHED');
  tx = db.beginAfter(first);
  tx.setNodeProp(ada, 'born', 1815);
  const second = await tx.submitAsync();
  assert.equal(await second.waitAsync(), second.token);
  assert.equal(await second.waitAsync(), second.token);
  assert.equal(first.wait(), first.token);
  assert.equal(db.nodeProp(ada, 'born'), 1815);
  assert.throws(() => db.beginAfter({}), TypeError);
  db.close();
});

test('a token is given with the commit of a primary only', () => {
  const alone = Database.inMemory();
  const tx = alone.begin();
  tx.createNode('a');
  assert.equal(tx.commitWithToken(), null);
  alone.close();
  const db = Database.open(join(dir, 'primary.kitedb'), { replicationRole: 'primary' });
  const own = db.begin();
  own.createNode('a');
  assert.equal(own.commitWithToken(), '1:1');
  assert.equal(db.primaryReplicationStatus().lastToken, '1:1');
  db.close();
});

test('a bulk load commits in batches, and gives up the one that is not full', async (t) => {
  const db = memory(t);
  const bulk = db.beginBulk(100);
  const tokens = [];
  for (let n = 0; n < 250; n++) {
    bulk.createNode({ key: `n${n}`, props: { n } });
    const token = bulk.step();
    if (token !== null) tokens.push(token);
  }
  assert.equal(tokens.length, 2);
  assert.equal(bulk.lastToken, tokens[1]);
  assert.deepEqual([db.countNodes(), bulk.countNodes()], [200, 250]);
  bulk.createNode('last');
  assert.equal(await bulk.stepAsync(), null);
  await bulk.flushAsync();
  assert.equal(db.countNodes(), 251);
  bulk.createNode('more');
  await bulk.finishAsync();
  assert.equal(db.countNodes(), 252);
  fails(() => bulk.createNode('late'), 'FINISHED');
  fails(() => bulk.step(), 'FINISHED');
  const given = db.beginBulk(10);
  given.createNode('never');
  given[Symbol.dispose]();
  given[Symbol.dispose]();
  assert.equal(db.nodeByKey('never'), null);
  const finished = db.beginBulk(10);
  finished.createNode('finished');
  assert.match(finished.finish(), /^1:/);
  fails(() => db.beginBulk(0), 'INVALID_ARGUMENT', /0 elements/);
});

test('what is held for too long is taken back', async () => {
  const db = Database.inMemory({ maxPinMs: 30 });
  const tx = db.begin({ origin: 'POST /people' });
  const snapshot = db.snapshot();
  while (!tx.isExpired || !snapshot.isExpired) await new Promise((resolve) => setTimeout(resolve, 2));
  fails(() => tx.createNode('b'), 'SNAPSHOT_EXPIRED');
  fails(() => tx.commit(), 'SNAPSHOT_EXPIRED');
  fails(() => snapshot.countNodes(), 'SNAPSHOT_EXPIRED');
  db.close();
});

test('a closed database ends its transactions, snapshots and scans, each with a typed error', () => {
  const db = Database.open(join(dir, 'closed.kitedb'));
  db.createNodesBatch(Array.from({ length: 3000 }, (_, n) => `n${n}`));
  const [tx, snapshot, rows] = [db.begin(), db.snapshot(), db.nodes()];
  const pendingTx = db.begin();
  pendingTx.createNode('p');
  const pending = pendingTx.submit();
  rows.next();
  db.close();
  for (const f of [
    () => tx.createNode('x'),
    () => tx.commit(),
    () => snapshot.countNodes(),
    () => [...rows],
    () => db.begin(),
    () => db.snapshot(),
    () => db.countNodes(),
    () => db.createNode('x'),
    () => db.stats(),
    () => db.path,
    () => db.nodes(),
    () => db.beginBulk(1),
    () => db.primaryReplicationStatus(),
    () => kitedb.collectMetrics(db),
    () => kitedb.collectReplicationMetricsPrometheus(db),
  ]) {
    fails(f, 'CLOSED');
  }
  fails(() => db.countNodes(), 'CLOSED', /Database is closed/);
  assert.equal(pending.wait(), pending.token);
  snapshot.release();
  tx.rollback();
});

test('where the function of a transaction ends it itself, the error says so', async (t) => {
  const db = memory(t);
  const message = /the function of the transaction committed it, or rolled it back, itself, and what it committed counts/;
  fails(() => db.transaction((tx) => { tx.createNode('a'); tx.commit(); }), 'FINISHED', message);
  fails(() => db.transactionWithRetry(3, (tx) => tx.rollback()), 'FINISHED', message);
  await failsLater(db.transactionAsync(async (tx) => { tx.createNode('b'); await tx.commitAsync(); }), 'FINISHED', message);
  assert.deepEqual(db.nodes().toArray().map((node) => node.key), ['a', 'b']);
});

test('a large commit that is awaited is put into the log by another thread, a small one at once', async (t) => {
  const db = memory(t, { syncMode: 'off' });
  // The first commit after an open makes the log, which takes another thread.
  db.createNode('first');
  // Whoever opens a pipe to read waits on a thread of the pool for who writes: until then nothing else is done there.
  const pipes = Array.from({ length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) }, (_, n) => join(dir, `pipe${n}`));
  execFileSync('mkfifo', pipes);
  const opened = pipes.map((pipe) => open(pipe, 'r'));
  const tx = db.begin();
  const ids = tx.createNodesBatch(Array.from({ length: 10_000 }, (_, n) => `large${n}`));
  assert.ok(tx.logBytes > 64 << 10);
  const large = tx.commitAsync();
  fails(() => tx.createNode('late'), 'FINISHED');
  const small = db.begin();
  const id = small.createNode('small');
  const done = small.commitAsync();
  const seen = { small: db.nodeExists(id), large: db.nodeExists(ids[0]) };
  const writers = pipes.map((pipe) => openSync(pipe, 'w'));
  await Promise.all([large, done]);
  for (const file of await Promise.all(opened)) await file.close();
  writers.forEach(closeSync);
  assert.deepEqual(seen, { small: true, large: false });
  assert.ok(db.nodeExists(ids[9_999]));
  assert.equal(db.nodeByKey('late'), null);
});
