'use strict';

const { test } = require('node:test');
const { spawn, spawnSync } = require('node:child_process');
const { cpSync, readdirSync, realpathSync } = require('node:fs');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const { Worker } = require('node:worker_threads');
const { assert, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();
const processes = join(__dirname, 'processes');

function start(path, ...args) {
  const child = spawn(process.execPath, [join(processes, 'holder.js'), path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.on('exit', resolve));
  return { child, lines, ended, next: async () => (await lines.next()).value };
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

test('the same is exported for import and for require', async () => {
  const imported = await import('@kitedb/core');
  assert.deepEqual(Object.keys(imported).sort(), Object.keys(kitedb).sort());
  for (const name of Object.keys(kitedb)) assert.equal(imported[name], kitedb[name]);
  assert.equal(kitedb.version(), require('../package.json').version);
  assert.equal(realpathSync(require.resolve('@kitedb/core')), realpathSync(join(__dirname, '..', 'index.js')));
});

test('a package that is loaded again and again has one listener of the end of the process', () => {
  const work = `
    const before = process.listenerCount('exit');
    let first;
    for (let n = 0; n < 30; n++) {
      const { Database } = require('@kitedb/core');
      first ??= Database;
      Database.inMemory().close();
      for (const loaded of Object.keys(require.cache)) if (!loaded.endsWith('.node')) delete require.cache[loaded];
    }
    process.on('warning', (warning) => console.log(warning.name));
    console.log(process.listenerCount('exit') - before);
    // Of each that is used, what is under way ends with the process.
    first.inMemory().waitForTokenAsync('1:99', 2 ** 40).catch(() => {});
    require('@kitedb/core').Database.inMemory().waitForTokenAsync('1:99', 2 ** 40).catch(() => {});
    process.exit();
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', work], { cwd: __dirname, encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([status, stdout, stderr], [0, '1\n', '']);
});
