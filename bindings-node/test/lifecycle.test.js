'use strict';

const { test } = require('node:test');
const { spawn, spawnSync } = require('node:child_process');
const { cpSync, readdirSync, realpathSync } = require('node:fs');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const { Worker } = require('node:worker_threads');
const { assert, fails, folder, kitedb } = require('./support.js');

const { begin, call } = require('../lib/call.js');

const { AllTypes, Database } = kitedb;
const dir = folder();
const processes = join(__dirname, 'processes');

/** Runs code in a process of its own, which must end by itself. */
function run(code, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', code, ...args], {
    cwd: join(__dirname, '..'),
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

function start(path, ...args) {
  const child = spawn(process.execPath, [join(processes, 'holder.js'), path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.on('exit', resolve));
  return { child, lines, ended, next: async () => (await lines.next()).value };
}

/** How many things the addon holds for this thread. */
const held = () => call('held_count', begin()).handle();

async function collected(until) {
  for (let tries = 0; !until() && tries < 200; tries++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(until());
}

test('a database that another process writes to is locked, and that one is named', async () => {
  const path = join(dir, 'locked.kitedb');
  const other = start(path, '{"replicationRole":"primary"}');
  await other.next();
  assert.throws(
    () => Database.open(path),
    (error) => error.code === 'LOCKED' && error.kind === 'retry_later' && error.retryable && error.pid === other.child.pid && error.path === path,
  );
  const reader = Database.open(path, { readOnly: true });
  assert.equal(reader.countNodes(), 0);
  reader.close();
  other.child.stdin.end();
  await other.ended;
  Database.open(path).close();
});

test('what was acknowledged to a process that was killed is there', async () => {
  const path = join(dir, 'killed.kitedb');
  const other = start(path, '{}', 'commit');
  await other.next();
  let last;
  while ((last = Number(await other.next())) < 200);
  other.child.kill('SIGKILL');
  for (let line; (line = await other.next()) !== undefined; ) last = Number(line);
  await other.ended;
  const db = Database.open(path);
  assert.equal(db.nodeKey(db.nodeByKey(`n${last}`)), `n${last}`);
  assert.equal(db.check().clean, true);
  assert.ok(db.countNodes() >= last + 1);
  db.close();
});

test('another copy of the package in this process finds the database locked', (t) => {
  const path = join(dir, 'copies.kitedb');
  const copy = join(dir, 'copy');
  cpSync(join(__dirname, '..'), copy, { recursive: true, filter: (from) => !/node_modules|test/.test(from) });
  const other = require(copy);
  assert.notEqual(other.Database, Database);
  const db = Database.open(path, { replicationRole: 'primary' });
  t.after(() => db.close());
  assert.throws(() => other.Database.open(path), (error) => error.code === 'LOCKED' && error.pid === process.pid && /another copy of @kitedb\/core/.test(error.message));
  db.createNode('a');
  const own = other.Database.inMemory();
  own.createNode('b');
  own.close();
  assert.throws(() => kitedb.compare(db, own), TypeError);
});

test('worker threads share one engine', async () => {
  const path = join(dir, 'workers.kitedb');
  const db = Database.open(path);
  const workers = ['a', 'b', 'c'].map((name) => new Worker(join(processes, 'worker.js'), { workerData: { path, name } }));
  await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))));
  assert.equal(db.countNodes(), 600);
  db.close();
});

test('a thread that ends with everything open leaves nothing open', async () => {
  const path = join(dir, 'left.kitedb');
  for (let n = 0; n < 3; n++) {
    const worker = new Worker(join(processes, 'worker.js'), { workerData: { path, name: `left${n}`, leave: true } });
    await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
  }
  const db = Database.open(path);
  assert.equal(db.countNodes(), 600);
  assert.equal(db.nodeByKey('never'), null);
  db.close();
  // A job that was under way keeps the file open until it has ended, which it does soon.
  const left = () => readdirSync(dir).filter((name) => name.startsWith('left'));
  while (left().length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(left(), ['left.kitedb']);
});

test('a process that ends by itself has made its commits and closed its files, and one that is ended loses nothing', () => {
  const path = join(dir, 'ends.kitedb');
  run(
    `const { Database } = require('@kitedb/core');
     const db = Database.open(process.argv[1]);
     for (let n = 0; n < 100; n++) { const tx = db.begin(); tx.createNode('n' + n); tx.commitAsync(); }`,
    path,
  );
  assert.deepEqual(readdirSync(dir).filter((name) => name.startsWith('ends')), ['ends.kitedb']);
  run(
    `const { Database } = require('@kitedb/core');
     const db = Database.open(process.argv[1]);
     const tx = db.begin();
     tx.createNode('never');
     db.createNode('last');
     const rows = db.nodes(); rows.next();
     db.snapshot();
     globalThis.kept = [tx, rows];
     process.exit(0);`,
    path,
  );
  const db = Database.open(path);
  assert.equal(db.countNodes(), 101);
  db.close();
});

test('a database that is at rest does not keep the process alive', () => {
  const out = run(
    `const { Database } = require('@kitedb/core');
     globalThis.db = Database.open(process.argv[1], { replicationRole: 'primary', syncMode: 'normal' });
     db.createNode('a');
     db.snapshot();
     db.begin().commitAsync().then(() => console.log('committed'));`,
    join(dir, 'rest.kitedb'),
  );
  assert.equal(out, 'committed\n');
});

test('handles are dropped in every order, and leave nothing', async () => {
  const before = held();
  const make = () => {
    const db = Database.inMemory();
    const id = db.createNode('a');
    db.addEdge(id, 'SELF', id);
    const tx = db.begin();
    tx.createNode('never');
    const submitted = db.begin();
    submitted.createNode('b');
    const rows = db.nodes();
    rows.next();
    return [db, tx, submitted.submit(), db.snapshot(), rows, db.outEdges(id, AllTypes), db.beginBulk(10)];
  };
  // In a function of its own: what it held is gone once it has returned.
  const drop = async (first, second) => {
    const handles = make();
    handles[first] = undefined;
    globalThis.gc();
    handles[second] = undefined;
    await new Promise(setImmediate);
    globalThis.gc();
    for (const handle of handles) {
      if (typeof handle?.countNodes === 'function') assert.ok(handle.countNodes() >= 1);
    }
    return handles.length;
  };
  const count = await drop(0, 1);
  for (let first = 0; first < count; first++) {
    for (let second = 0; second < count; second++) await drop(first, second);
  }
  await collected(() => held() <= before);
});

test('opening and closing again and again takes no memory, descriptor or thread', async () => {
  const path = join(dir, 'again.kitedb');
  const open = () => readdirSync('/proc/self/fd').length;
  const threads = () => readdirSync('/proc/self/task').length;
  const once = (n) => {
    const db = Database.open(path, { syncMode: 'off' });
    if (n % 10 === 0) db.upsertNode('a', { n });
    const tx = db.begin();
    db.snapshot();
    db.nodes().next();
    db.close();
    fails(() => tx.commit(), 'CLOSED');
  };
  for (let n = 0; n < 20; n++) once(n);
  const [fds, tasks] = [open(), threads()];
  for (let n = 0; n < 500; n++) once(n);
  await collected(() => held() < 50);
  assert.ok(open() <= fds + 2, `${open()} descriptors, ${fds} before`);
  assert.ok(threads() <= tasks + 2, `${threads()} threads, ${tasks} before`);
});

test('the same is exported for import and for require', async () => {
  const imported = await import('@kitedb/core');
  assert.deepEqual(Object.keys(imported).sort(), Object.keys(kitedb).sort());
  for (const name of Object.keys(kitedb)) assert.equal(imported[name], kitedb[name]);
  assert.equal(kitedb.version(), require('../package.json').version);
  assert.equal(realpathSync(require.resolve('@kitedb/core')), realpathSync(join(__dirname, '..', 'index.js')));
});
