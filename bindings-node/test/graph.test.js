'use strict';

const { test } = require('node:test');
const { join } = require('node:path');
const { existsSync, readdirSync } = require('node:fs');
const { pathToFileURL } = require('node:url');
const { assert, fails, failsLater, folder, kitedb, memory } = require('./support.js');

const { AllTypes, Database, KiteDbError } = kitedb;
const dir = folder();

/** Ada knows Charles and Mary. */
function friends(db) {
  return db.transaction((tx) => {
    const ada = tx.createNode({ key: 'ada', labels: ['Person', 'Author'], props: { born: 1815, name: 'Ada' } });
    const charles = tx.createNode({ key: 'charles', labels: ['Person'], props: { born: 1791 } });
    const mary = tx.createNode('mary');
    tx.addEdge(ada, 'KNOWS', charles, { since: 1833 });
    tx.addEdge(ada, 'KNOWS', mary);
    tx.addEdge(mary, 'TAUGHT', ada);
    return { ada, charles, mary };
  });
}

test('what is committed is there after the database was closed, in one file', () => {
  const path = join(dir, 'one.kitedb');
  const db = Database.open(path);
  assert.deepEqual([db.path, db.isOpen, db.readOnly, db.syncMode, db.replicationRole], [path, true, false, 'full', 'disabled']);
  const { ada } = friends(db);
  const digest = db.digest();
  db.close();
  assert.equal(db.isOpen, false);
  assert.deepEqual(readdirSync(dir), ['one.kitedb']);
  const again = kitedb.open(pathToFileURL(path), { createIfMissing: false });
  assert.equal(again.digest(), digest);
  assert.deepEqual(again.node(ada), {
    id: ada,
    key: 'ada',
    labels: ['Person', 'Author'],
    props: { born: 1815, name: 'Ada' },
  });
  again.close();
  again.close();
});

test('a database is opened and closed without blocking', async () => {
  const path = join(dir, 'async.kitedb');
  const db = await Database.openAsync(path);
  db.createNode('ada');
  await db.closeAsync();
  assert.equal(db.isOpen, false);
  await failsLater(Database.openAsync(join(dir, 'none.kitedb'), { createIfMissing: false }), 'NOT_FOUND');
});

test('one that was opened in vain leaves no file', () => {
  const path = join(dir, 'abandoned.kitedb');
  Database.open(path).abandon();
  assert.equal(existsSync(path), false);
});

test('nodes are read by id and by key, whole or in part', (t) => {
  const db = memory(t);
  const { ada, mary } = friends(db);
  assert.equal(db.nodeByKey('ada'), ada);
  assert.equal(db.nodeByKey('nobody'), null);
  assert.deepEqual(db.nodeWithKey('mary'), { id: mary, key: 'mary', labels: [], props: {} });
  assert.deepEqual(db.node(ada, { select: ['born', 'died'] }).props, { born: 1815 });
  assert.deepEqual(db.node(ada, { select: [] }).props, {});
  assert.equal(db.node(99), null);
  assert.deepEqual([db.nodeExists(ada), db.nodeExists(99)], [true, false]);
  assert.deepEqual([db.nodeKey(ada), db.nodeKey(99)], ['ada', null]);
  assert.deepEqual([db.nodeProp(ada, 'born'), db.nodeProp(ada, 'died'), db.nodeProp(99, 'born')], [1815, undefined, undefined]);
  assert.deepEqual(db.nodeProps(ada), { born: 1815, name: 'Ada' });
  assert.equal(db.nodeProps(99), null);
  assert.deepEqual(db.nodeLabels(ada), ['Person', 'Author']);
  assert.deepEqual([db.nodeHasLabel(ada, 'Author'), db.nodeHasLabel(mary, 'Author'), db.nodeHasLabel(ada, 'None')], [true, false, false]);
});

test('edges are read from either end, by type or all', (t) => {
  const db = memory(t);
  const { ada, charles, mary } = friends(db);
  const keys = (rows) => rows.toArray().map((node) => node.key).sort();
  assert.deepEqual(keys(db.outNeighbors(ada, 'KNOWS')), ['charles', 'mary']);
  assert.deepEqual(keys(db.inNeighbors(ada, AllTypes)), ['mary']);
  assert.deepEqual(keys(db.outNeighbors(ada, 'KNOW')), []);
  assert.deepEqual(db.outNeighbors(ada, 'KNOWS', { select: ['born'] }).toArray().map((node) => node.props.born).sort(), [1791, undefined]);
  const known = { src: ada, type: 'KNOWS', dst: charles, rank: 0, props: { since: 1833 } };
  assert.deepEqual(db.inEdges(charles, 'KNOWS').toArray(), [known]);
  assert.deepEqual(db.edgeBetween(ada, 'KNOWS', charles), known);
  assert.deepEqual(db.edge({ src: ada, type: 'KNOWS', dst: charles }), known);
  assert.equal(db.edge({ src: ada, type: 'NONE', dst: charles }), null);
  assert.equal(db.edgeBetween(charles, 'KNOWS', ada), null);
  assert.deepEqual(db.edgeProp(ada, 'KNOWS', charles, 'since'), 1833);
  assert.deepEqual(db.edgeProp(ada, 'KNOWS', mary, 'since'), undefined);
  assert.deepEqual(db.edgeProps(ada, 'KNOWS', mary), {});
  assert.deepEqual([db.edgeExists(ada, 'KNOWS', mary), db.edgeExists(mary, 'KNOWS', ada)], [true, false]);
  assert.deepEqual(db.neighborIds(ada, 'out', AllTypes).sort(), [charles, mary]);
  const seen = [];
  db.forEachNeighbor(ada, 'in', AllTypes, (id) => seen.push(id));
  assert.deepEqual(seen, [mary]);
  assert.deepEqual([db.outDegree(ada, AllTypes), db.inDegree(ada, 'TAUGHT'), db.degree(ada, 'in', 'KNOWS')], [2, 1, 0]);
  assert.deepEqual(db.edges().toArray().map(({ src, type, dst }) => [src, type, dst]), [
    [ada, 'KNOWS', charles],
    [ada, 'KNOWS', mary],
    [mary, 'TAUGHT', ada],
  ]);
});

test('parallel edges are told by their ranks', (t) => {
  const db = memory(t);
  const [a, b] = db.createNodesBatch(['a', 'b']);
  db.addEdge(a, 'PAID', b, { amount: 10 });
  fails(() => db.addEdge(a, 'PAID', b), 'EDGE_EXISTS');
  const second = db.addParallelEdge(a, 'PAID', b, { amount: 20 });
  assert.notEqual(second.rank, 0);
  assert.equal(db.edgePropByKey(second, 'amount'), 20);
  assert.deepEqual(db.edgesBetween(a, 'PAID', b), [{ src: a, type: 'PAID', dst: b, rank: 0 }, second]);
  db.setEdgePropByKey(second, 'amount', 21);
  assert.deepEqual(db.edgePropsByKey(second), { amount: 21 });
  assert.equal(db.deleteEdgePropByKey(second, 'amount'), true);
  db.addEdgeByKey({ src: a, type: 'PAID', dst: b, rank: 7 }, { amount: 7 });
  assert.equal(db.edgeExistsByKey({ src: a, type: 'PAID', dst: b, rank: 7 }), true);
  db.deleteEdgeByKey(second);
  assert.deepEqual(db.sortedEdges(a, 'out', 'PAID').toArray().map((edge) => edge.rank), [0, 7]);
  assert.equal(db.deleteEdgesBetween(a, 'PAID', b), 2);
  assert.equal(db.countEdges(), 0);
});

test('everything that is written can be taken back', (t) => {
  const db = memory(t);
  const { ada, charles, mary } = friends(db);
  assert.deepEqual([db.addNodeLabel(mary, 'Person'), db.addNodeLabel(mary, 'Person')], [true, false]);
  assert.deepEqual([db.removeNodeLabel(mary, 'Person'), db.removeNodeLabel(mary, 'Person')], [true, false]);
  db.setNodeProp(ada, 'born', 1816);
  assert.equal(db.nodeProp(ada, 'born'), 1816);
  assert.deepEqual([db.deleteNodeProp(ada, 'born'), db.deleteNodeProp(ada, 'born')], [true, false]);
  db.setEdgeProp(ada, 'KNOWS', mary, 'since', 1840);
  assert.equal(db.edgeProp(ada, 'KNOWS', mary, 'since'), 1840);
  assert.equal(db.deleteEdgeProp(ada, 'KNOWS', mary, 'since'), true);
  db.deleteEdge(ada, 'KNOWS', mary);
  fails(() => db.deleteEdge(ada, 'KNOWS', mary), 'EDGE_NOT_FOUND');
  db.deleteNode(charles);
  assert.deepEqual([db.countNodes(), db.countEdges()], [2, 1]);
  db.setNodeVector(ada, 'face', Float32Array.of(1, 2, 3));
  assert.deepEqual(db.nodeVector(ada, 'face'), Float32Array.of(1, 2, 3));
  assert.deepEqual([db.vectorDimension('face'), db.countVectors()], [3, 1]);
  fails(() => db.setNodeVector(mary, 'face', [1, 2]), 'VECTOR_DIMENSION');
  assert.equal(db.deleteNodeVector(ada, 'face'), true);
  assert.equal(db.nodeVector(ada, 'face'), null);
});

test('upserts create or change, and null removes', (t) => {
  const db = memory(t);
  const made = db.upsertNode('ada', { born: 1815, name: 'Ada' });
  assert.equal(made.created, true);
  assert.deepEqual(db.upsertNode('ada', { born: null, died: 1852 }), { id: made.id, created: false });
  assert.deepEqual(db.nodeProps(made.id), { name: 'Ada', died: 1852 });
  assert.deepEqual([db.upsertNodeById(1000, { n: 1 }), db.upsertNodeById(1000, { n: 2 })], [true, false]);
  assert.deepEqual([db.upsertEdge(made.id, 'KNOWS', 1000, { w: 1 }), db.upsertEdge(made.id, 'KNOWS', 1000, { w: null })], [true, false]);
  assert.deepEqual(db.edgeProps(made.id, 'KNOWS', 1000), {});
});

test('batches are all or nothing', (t) => {
  const db = memory(t);
  const ids = db.createNodesBatch(Array.from({ length: 3000 }, (_, n) => ({ key: `n${n}`, labels: ['N'], props: { n } })));
  assert.equal(ids.length, 3000);
  db.addEdgesBatch(ids.slice(1).map((dst, n) => ({ src: ids[0], type: 'TO', dst, props: { n } })));
  assert.deepEqual([db.countNodesByLabel('N'), db.countEdgesByType('TO')], [3000, 2999]);
  fails(() => db.createNodesBatch(['x', 'n5']), 'DUPLICATE_KEY');
  assert.equal(db.nodeByKey('x'), null);
  fails(() => db.addEdgesBatch([{ src: ids[1], type: 'TO', dst: ids[2] }, { src: ids[1], type: 'TO', dst: 99_999 }]), 'NODE_NOT_FOUND');
  assert.equal(db.edgeExists(ids[1], 'TO', ids[2]), false);
});

test('names have ids, and indexes are listed', (t) => {
  const db = memory(t);
  friends(db);
  assert.deepEqual(db.labels().map((label) => label.name), ['Person', 'Author']);
  assert.deepEqual(db.etypes().map((type) => type.name), ['KNOWS', 'TAUGHT']);
  assert.deepEqual(db.propkeys().map((key) => key.name), ['born', 'name', 'since']);
  assert.equal(db.labelId('Author'), db.labels()[1].id);
  assert.equal(db.etypeId('TAUGHT'), db.etypes()[1].id);
  assert.deepEqual([db.propkeyId('since'), db.propkeyId('none')], [db.propkeys()[2].id, null]);
  assert.deepEqual(db.indexes(), []);
});

test('an error says what was wrong, to people and to programs', (t) => {
  const db = memory(t);
  db.createNode('ada');
  assert.throws(
    () => db.createNode('ada'),
    (error) => {
      assert.ok(error instanceof KiteDbError && error instanceof Error);
      assert.deepEqual([error.name, error.code, error.kind, error.retryable, error.key], ['KiteDbError', 'DUPLICATE_KEY', 'input', false, 'ada']);
      assert.match(error.message, /ada/);
      assert.match(error.stack, /graph\.test\.js/);
      return true;
    },
  );
});

test('a wrong argument is a TypeError that says what to give', (t) => {
  const db = memory(t);
  const ada = db.createNode('ada');
  const wrong = [
    [() => db.node(-1), /node id is -1: give a whole number/],
    [() => db.node('1'), /a string/],
    [() => db.node(2 ** 53), /give a bigint/],
    [() => db.nodeByKey(1), /key is 1: give a string/],
    [() => db.outDegree(ada), /AllTypes/],
    [() => db.degree(ada, 'both', AllTypes), /'out' or 'in'/],
    [() => db.createNode({ kye: 'x' }), /no kye/],
    [() => db.createNode({ labels: 'Person' }), /array of strings/],
    [() => db.createNode({ props: [1] }), /object/],
    [() => db.addEdgeByKey(5), /src, type, dst/],
    [() => db.addEdgesBatch({}), /array/],
    [() => db.node(ada, { select: 'born' }), /array/],
    [() => db.node(ada, { integers: 'big' }), /'number' or 'bigint'/],
    [() => db.setNodeVector(ada, 'v', ['a']), /Float32Array/],
    [() => Database.open(5), /path is 5/],
    [() => Database.open('a\0b'), /null character/],
    [() => Database.open('x', { floatProperties: 'price' }), /floatProperties/],
    [() => db.transaction(5), /function/],
    [() => db.createNode('\ud800'), /surrogate/],
    [() => new kitedb.Transaction(), /db\.begin/],
    [() => new Database('a'), /Database\.open/],
  ];
  for (const [f, message] of wrong) {
    assert.throws(f, (error) => {
      assert.ok(error instanceof TypeError, `${error.stack}`);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.equal(db.countNodes(), 1);
});

test('an option that is not there, or does not go with another, is refused by name', () => {
  const path = join(dir, 'options.kitedb');
  fails(() => Database.open(path, { syncmode: 'full' }), 'INVALID_OPTION', /no option 'syncmode'.*syncMode/);
  fails(() => Database.open(path, { syncMode: 'fast' }), 'INVALID_OPTION', /full, normal or off/);
  fails(() => Database.open(path, { maxRuns: 1 }), 'INVALID_OPTION', /maxRuns/);
  fails(() => Database.open(path, { maxRuns: '7' }), 'INVALID_OPTION', /maxRuns is a string/);
  fails(() => Database.open(path, { fenceWaitMs: -1 }), 'INVALID_OPTION', /fenceWaitMs must be non-negative/);
  fails(() => Database.open(path, { replicationRole: 'leader' }), 'INVALID_OPTION', /disabled, primary or replica/);
  fails(() => Database.open(':memory:', { readOnly: true }), 'INVALID_OPTION');
  assert.equal(existsSync(path), false);
  for (const syncMode of ['off', 'Normal', kitedb.SyncMode.Full]) {
    const db = Database.open(path, { syncMode, readOnly: undefined, replicationName: null });
    assert.equal(db.syncMode, syncMode.toLowerCase());
    db.close();
  }
});

test('every option of an open is taken', () => {
  const path = join(dir, 'every.kitedb');
  const options = {
    createIfMissing: true,
    syncMode: 'normal',
    syncIntervalMs: 500,
    checkpointLogBytes: 1 << 20,
    autoCheckpoint: false,
    autoCompaction: false,
    maxRuns: 8,
    background: false,
    maxPinMs: 60_000,
    segmentMaxBytes: 1 << 20,
    acceptHardLinks: true,
    acceptCopy: true,
    requireComplete: true,
    fenceWaitMs: 1000,
    replicationRole: 'Primary',
    replicationSidecarPath: join(dir, 'every.sidecar'),
    replicationSegmentMaxBytes: 1 << 20,
    replicationRetentionMinEntries: 10,
    replicationRetentionMinMs: 1000,
    replicationRetentionMaxBytes: 1 << 30,
    replicationRetentionMaxLagMs: 1 << 20,
    replicationRetentionIntervalMs: 1 << 20,
    replicationOverwrite: false,
    replicationUnregistered: false,
  };
  const db = Database.open(path, options);
  assert.deepEqual([db.replicationRole, db.primaryReplicationStatus().sidecarPath], ['primary', options.replicationSidecarPath]);
  db.close();
  const reader = Database.open(path, { readOnly: true });
  assert.equal(reader.readOnly, true);
  fails(() => reader.createNode('x'), 'READ_ONLY');
  reader.close();
});
