'use strict';
// What the addon holds for objects of JavaScript: let go of in every order, by the collector or by name, and nothing is left.

const { test } = require('node:test');
const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { assert, collected, fails, folder, held, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();

/** Every order of `items`. */
function* ordersOf(items) {
  if (items.length < 2) {
    yield items;
    return;
  }
  for (const first of items) {
    for (const rest of ordersOf(items.filter((item) => item !== first))) yield [first, ...rest];
  }
}

/** One of each kind of thing that is held: of a database in memory, or of the file at a path. */
function oneOfEach(path = ':memory:') {
  const db = Database.open(path, { syncMode: 'off' });
  // More than come with the first call: a scan of fewer holds nothing.
  const { id, created } = db.upsertNode('a', {});
  if (created) {
    db.transaction((tx) => {
      for (const other of tx.createNodesBatch(Array(70).fill({}))) tx.addEdge(id, 'KNOWS', other);
    });
  }
  const tx = db.begin();
  tx.createNode('never');
  const submitted = db.begin();
  submitted.upsertNode('b', {});
  const rows = db.nodes();
  rows.next();
  return { db, tx, pending: submitted.submit(), snapshot: db.snapshot(), rows, edges: db.edges(), bulk: db.beginBulk(10) };
}

/** How each of them is ended by name. */
const ENDS = {
  db: (db) => db.close(),
  tx: (tx) => tx.rollback(),
  pending: (pending) => pending.wait(),
  snapshot: (snapshot) => snapshot.release(),
  rows: (rows) => rows.return(),
  edges: (edges) => edges.return(),
  bulk: (bulk) => bulk[Symbol.dispose](),
};

test('handles are ended in every order, and what is left answers', async () => {
  const before = held();
  let orders = 0;
  // The two scans are alike here.
  for (const order of ordersOf(Object.keys(ENDS).filter((name) => name !== 'edges'))) {
    const handles = oneOfEach();
    const left = new Set(order);
    for (const name of order) {
      ENDS[name](handles[name]);
      left.delete(name);
      // What reads goes on, or says that its database is closed.
      for (const other of ['tx', 'snapshot', 'bulk']) {
        if (!left.has(other)) continue;
        if (left.has('db')) assert.ok(handles[other].countNodes() >= 1);
        else fails(() => handles[other].countNodes(), 'CLOSED');
      }
    }
    orders++;
  }
  assert.equal(orders, 720);
  await collected(() => held() <= before);
});

test('handles are dropped in every order, and leave nothing', async () => {
  const before = held();
  // In a function of its own: what it held is gone once it has returned.
  const drop = async (order, path) => {
    const handles = oneOfEach(path);
    for (const name of order) {
      handles[name] = undefined;
      globalThis.gc();
      // What looks after the dropped ones runs now.
      await new Promise(setImmediate);
      for (const handle of Object.values(handles)) {
        if (typeof handle?.countNodes === 'function') assert.ok(handle.countNodes() >= 1);
      }
    }
  };
  // Those that hold most, in every order, the others before or after them; each kind first and last.
  const [most, others] = [['db', 'tx', 'pending', 'snapshot'], ['rows', 'edges', 'bulk']];
  for (const order of ordersOf(most)) {
    await drop([...order, ...others]);
    await drop([...others.toReversed(), ...order]);
  }
  for (const order of ordersOf(others)) await drop([order[0], 'db', ...order.slice(1), 'tx', 'pending', 'snapshot']);
  // Of a file, which the last of them closes.
  for (const order of ordersOf(['db', 'tx', 'snapshot'])) await drop([...order, 'pending', ...others], join(dir, 'dropped.kitedb'));
  await collected(() => held() <= before);
  const atRest = () => readdirSync(dir).filter((name) => name.startsWith('dropped'));
  await collected(() => atRest().length === 1);
  assert.deepEqual(atRest(), ['dropped.kitedb']);
});

test('opening and closing again and again takes no memory, descriptor or thread', async () => {
  const path = join(dir, 'again.kitedb');
  const times = Number(process.env.KITEDB_OPENS ?? 1000);
  const memory = () => Number(readFileSync('/proc/self/status', 'utf8').match(/^VmRSS:\s+(\d+) kB/m)[1]);
  const now = () => ({
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    held: held(),
  });
  const once = async (n) => {
    const db = n % 2 === 0 ? Database.open(path, { syncMode: 'off' }) : await Database.openAsync(path, { syncMode: 'off' });
    if (n % 10 === 0) db.upsertNode('a', { n });
    const tx = db.begin();
    db.snapshot();
    db.nodes().next();
    if (n % 4 < 2) db.close();
    else await db.closeAsync();
    fails(() => tx.commit(), 'CLOSED');
    fails(() => db.countNodes(), 'CLOSED');
  };
  const open = async (from, to) => {
    for (let n = from; n < to; n++) await once(n);
    const before = held();
    await collected(() => held() <= Math.min(before, 10));
    return { ...now(), memory: memory() };
  };
  // The pools, caches and heaps are as large as they get.
  const warm = await open(0, 200);
  const half = await open(200, 200 + times / 2);
  const end = await open(200 + times / 2, 200 + times);
  for (const what of ['descriptors', 'threads']) assert.ok(end[what] <= warm[what] + 1, `${end[what]} ${what}, ${warm[what]} before`);
  assert.ok(end.held <= warm.held + 10, `${end.held} held, ${warm.held} before`);
  // What leaks with each of them grows in both halves; a heap that settles does not.
  const grew = [half.memory - warm.memory, end.memory - half.memory];
  const most = Math.max(4096, (times / 2) * 1);
  assert.ok(Math.min(...grew) < most, `${grew.join(' and ')} KiB more memory in the halves of ${times} opens`);
});
