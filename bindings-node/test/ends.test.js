'use strict';
// How a process ends that works with a database: by itself, by `process.exit()`, by an error that nobody caught.

const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { readdirSync } = require('node:fs');
const { join } = require('node:path');
const { assert, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();

/** Runs code in a process of its own, with the database at `path` as `db`, and says how it ended. */
function runs(path, code) {
  const program = `const kitedb = require('@kitedb/core'); const { Database } = kitedb;
    const path = process.argv[1]; const db = Database.open(path, { replicationRole: 'primary' });
    ${code}`;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', '-e', program, path], {
    cwd: join(__dirname, '..'),
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(signal, null, stderr);
  return { status, stdout, stderr };
}

/** The same, which must end by itself. */
function run(path, code) {
  const { status, stdout, stderr } = runs(path, code);
  assert.equal(status, 0, stderr);
  return stdout;
}

let made = 0;
const newPath = () => join(dir, `ends${made++}.kitedb`);

/** What is in the database at a path, which must be sound. */
function found(path) {
  const db = Database.open(path);
  assert.equal(db.check().clean, true);
  const nodes = db.countNodes();
  const never = db.nodeByKey('never');
  db.close();
  assert.equal(never, null);
  return nodes;
}

test('a process that ends by itself has made its commits and closed its files', () => {
  const path = newPath();
  run(path, "for (let n = 0; n < 100; n++) { const tx = db.begin(); tx.createNode('n' + n); tx.commitAsync(); }");
  const name = path.slice(dir.length + 1);
  assert.deepEqual(readdirSync(dir).filter((other) => other.startsWith(name) && !other.startsWith(`${name}.replication`)), [name]);
  assert.equal(found(path), 100);
});

test('a database that is at rest does not keep the process alive', () => {
  const out = run(
    newPath(),
    `globalThis.kept = db;
     db.createNode('a');
     db.snapshot();
     db.begin().commitAsync().then(() => console.log('committed'));`,
  );
  assert.equal(out, 'committed\n');
});

// Each is amid work when it calls `process.exit(7)`, with everything that a process can have open.
const OPEN = `
  const tx = db.begin(); tx.createNode('never');
  db.createNode('last');
  const rows = db.nodes(); rows.next();
  const bulk = db.beginBulk(10); bulk.createNode('never');
  globalThis.kept = [tx, rows, bulk, db.snapshot()];`;
const AMID = {
  'nothing else': 'process.exit(7);',
  'a thousand commits in flight': `
    for (let n = 0; n < 1000; n++) { const tx = db.begin(); tx.createNode('n' + n); tx.commitAsync(); }
    process.exit(7);`,
  'the end of a commit': "const own = db.begin(); own.createNode('own'); own.commitAsync().then(() => process.exit(7));",
  'long calls': `
    db.createNodesBatch(Array.from({ length: 20000 }, (_, n) => ({ key: 'k' + n, props: { n } })));
    db.checkpointAsync(); db.compactAsync(); db.checkAsync(); db.statsAsync();
    setImmediate(() => process.exit(7));`,
  'a call that tells its progress': `
    db.createNodesBatch(Array.from({ length: 20000 }, (_, n) => ({ key: 'k' + n, props: { n } })));
    db.checkAsync({ onProgress: () => process.exit(7) }).then(() => process.exit(7));`,
  'waits without an end': "for (let n = 0; n < 5; n++) db.waitForTokenAsync('1:999999', 1 << 30); setTimeout(() => process.exit(7), 20);",
  'a push that nobody answers': `
    const server = require('node:net').createServer(() => process.exit(7));
    server.listen(0, '127.0.0.1', () => {
      kitedb.pushReplicationMetricsOtelJsonAsync(db, 'http://127.0.0.1:' + server.address().port, 1 << 30);
    });`,
  'an exporter that runs': `
    const server = require('node:net').createServer(() => process.exit(7));
    server.listen(0, '127.0.0.1', () => {
      globalThis.exporter = kitedb.startExporter(db, { transport: 'json', endpoint: 'http://127.0.0.1:' + server.address().port, intervalMs: 10, timeoutMs: 60000 });
    });`,
  'an open': "Database.openAsync(path + '.other'); process.exit(7);",
  'a close': 'db.closeAsync(); process.exit(7);',
  'the handler of its end': "process.on('exit', () => { db.createNode('at the end'); tx.rollback(); db.checkpoint(); }); process.exit(7);",
  'a transaction': "db.transaction((tx) => { tx.createNode('never'); process.exit(7); });",
  'workers that commit': `
    const { Worker } = require('node:worker_threads');
    const work = "const { workerData } = require('node:worker_threads'); const { Database } = require('@kitedb/core');" +
      "const db = Database.open(workerData.path); for (let n = 0; ; n++) db.createNode(workerData.name + n)";
    for (const name of ['a', 'b']) new Worker(work, { eval: true, workerData: { path, name } });
    const look = () => (db.nodeByKey('a20') && db.nodeByKey('b20') ? process.exit(7) : setTimeout(look, 1));
    look();`,
};

for (const [what, code] of Object.entries(AMID)) {
  test(`process.exit() amid ${what} ends the process, and loses nothing`, () => {
    const path = newPath();
    const { status, stderr } = runs(path, OPEN + code);
    assert.equal(status, 7, stderr);
    assert.ok(found(path) >= 1);
  });
}

test('a promise that nobody handles ends the process with its error, and what was committed is there', () => {
  const path = newPath();
  const { status, stderr } = runs(
    path,
    `const ada = db.createNode({ key: 'ada', props: { n: 0 } });
     const [first, second] = [db.begin(), db.begin()];
     first.setNodeProp(ada, 'n', 1); second.setNodeProp(ada, 'n', 2);
     first.commitAsync(); second.commitAsync();
     setTimeout(() => console.log('never'), 60000);`,
  );
  assert.equal(status, 1, stderr);
  assert.match(stderr, /KiteDbError.*\n[^]*code: 'CONFLICT/);
  const db = Database.open(path);
  assert.equal(db.nodeProp(db.nodeByKey('ada'), 'n'), 1);
  db.close();
});

test('a promise that is rejected while nobody looks is handled by who looks later', () => {
  const out = run(
    newPath(),
    `process.on('unhandledRejection', (error) => console.log('unhandled', error.code));
     process.on('rejectionHandled', () => console.log('handled'));
     const promise = db.replicaBootstrapFromSnapshotAsync();
     setTimeout(() => promise.catch((error) => console.log('caught', error.code)), 200);`,
  );
  assert.equal(out, 'unhandled NOT_REPLICA\ncaught NOT_REPLICA\nhandled\n');
});

test('an error that nobody caught amid a transaction ends the process, and the transaction with it', () => {
  const path = newPath();
  const { status, stderr } = runs(path, `${OPEN} db.transaction((tx) => { tx.createNode('never'); throw new Error('mine'); });`);
  assert.deepEqual([status, found(path)], [1, 1], stderr);
  assert.match(stderr, /Error: mine/);
});

test('what a callback of progress throws ends the process as what an event throws', () => {
  const { status, stderr } = runs(
    newPath(),
    `db.createNodesBatch(Array.from({ length: 20000 }, (_, n) => 'k' + n));
     db.checkAsync({ onProgress() { throw new Error('mine'); } }).then(() => setTimeout(() => {}, 100));`,
  );
  assert.deepEqual([status, /Error: mine/.test(stderr)], [1, true], stderr);
});
