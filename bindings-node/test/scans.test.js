'use strict';

const { test } = require('node:test');
const { assert, fails, held, kitedb, memory } = require('./support.js');

const { AllTypes } = kitedb;

/** So many nodes with every third labelled, and the first one connected to all others. */
function star(db, count) {
  return db.transaction((tx) => {
    const nodes = Array.from({ length: count }, (_, n) => ({ key: `n${n}`, labels: n % 3 === 0 ? ['Third'] : [], props: { n } }));
    const ids = tx.createNodesBatch(nodes);
    tx.addEdgesBatch(ids.slice(1).map((dst, n) => ({ src: ids[0], type: n % 2 ? 'ODD' : 'EVEN', dst, props: { n } })));
    return ids;
  });
}

const pins = (db) => db.stats().pins.length;

test('a scan yields every row once, in order, whatever a batch holds', (t) => {
  const db = memory(t);
  const ids = star(db, 5000);
  const check = (graph) => {
    assert.deepEqual(graph.nodes().toArray().map((node) => node.id), ids);
    assert.deepEqual(graph.nodesWithLabel('Third').toArray().map((node) => node.props.n), Array.from({ length: 1667 }, (_, n) => n * 3));
    assert.deepEqual(graph.nodesWithLabel('None').toArray(), []);
    assert.deepEqual(graph.edges({ select: [] }).toArray().map((edge) => edge.dst).sort((a, b) => a - b), ids.slice(1));
    assert.deepEqual(graph.outNeighbors(ids[0], AllTypes).toArray().map((node) => node.id).sort((a, b) => a - b), ids.slice(1));
    assert.equal(graph.outEdges(ids[0], 'ODD').toArray().length, 2499);
    assert.deepEqual(graph.inNeighbors(ids[7], AllTypes).toArray().map((node) => node.key), ['n0']);
    const sorted = graph.sortedEdges(ids[0], 'out', 'EVEN').toArray().map((edge) => edge.dst);
    assert.deepEqual(sorted, [...sorted].sort((a, b) => a - b));
    assert.equal(sorted.length, 2500);
    assert.deepEqual(graph.neighborIds(ids[0], 'out', AllTypes).sort((a, b) => a - b), ids.slice(1));
  };
  check(db);
  const snapshot = db.snapshot();
  check(snapshot);
  snapshot.release();
  db.transaction(check);
  db.checkpoint();
  check(db);
  assert.equal(pins(db), 0);
});

test('pages go on where they ended, in whatever state', (t) => {
  const db = memory(t);
  const ids = star(db, 25);
  const all = (page) => {
    const items = [];
    for (let after = null; ; ) {
      const { items: some, next } = page(after);
      items.push(...some);
      if (next === null) return items;
      after = next;
    }
  };
  assert.deepEqual(all((after) => db.nodesPage(after, 10)), ids);
  assert.deepEqual(all((after) => db.labelPage('Third', after, 4)), ids.filter((_, n) => n % 3 === 0));
  assert.equal(all((after) => db.edgesPage(after, 7)).length, 24);
  assert.equal(all((after) => db.neighborsPage(ids[0], 'out', 'ODD', after, 5)).length, 12);
  assert.deepEqual(db.neighborsPage(ids[0], 'out', AllTypes, null, 1).items[0].type, 'ODD' < 'EVEN' ? 'ODD' : 'EVEN');
  fails(() => db.nodesPage(null, 0), 'INVALID_ARGUMENT', /limit is 0/);
  fails(() => db.edgesPage({ src: 1, type: 'NONE', dst: 2 }, 5), 'UNKNOWN_NAME');
});

test('a scan shows one state, whatever is committed meanwhile', (t) => {
  const db = memory(t);
  const ids = star(db, 3000);
  const rows = db.nodes();
  rows.next();
  db.transaction((tx) => ids.forEach((id) => tx.deleteNode(id)));
  assert.equal(rows.toArray().length, 2999);
  assert.equal(db.countNodes(), 0);
});

test('a scan holds its state only while it goes on', (t) => {
  const db = memory(t);
  star(db, 3000);
  for (const node of db.nodes()) {
    assert.equal(pins(db), 1);
    assert.equal(db.stats().pins[0].origin, 'scan');
    if (node.props.n === 10) break;
  }
  assert.equal(pins(db), 0);
  assert.throws(() => {
    for (const edge of db.edges()) throw new Error(`mine ${edge.dst}`);
  }, /mine/);
  assert.equal(pins(db), 0);
  const rows = db.nodes();
  rows.next();
  rows[Symbol.dispose]();
  assert.deepEqual(rows.next(), { done: true, value: undefined });
  assert.equal(pins(db), 0);
  const [first] = db.nodes();
  assert.equal(first.props.n, 0);
  assert.equal(pins(db), 0);
  // What fits one batch holds nothing while it is handed out.
  const few = db.nodesPage(null, 3);
  assert.equal(few.items.length, 3);
  assert.equal(pins(db), 0);
});

test('scans that nobody has any more let go of their states', async (t) => {
  const db = memory(t);
  star(db, 3000);
  (() => {
    for (let n = 0; n < 10; n++) db.nodes().next();
  })();
  assert.equal(pins(db), 10);
  for (let tries = 0; pins(db) > 0 && tries < 100; tries++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
  assert.equal(pins(db), 0);
});

test('a snapshot shows one state until it is released', (t) => {
  const db = memory(t);
  db.createNode('a');
  const snapshot = db.snapshot({ origin: 'GET /people' });
  const token = db.lastCommitToken();
  const digest = db.digest();
  db.createNode('b');
  assert.deepEqual([snapshot.countNodes(), db.countNodes()], [1, 2]);
  assert.deepEqual([snapshot.token, snapshot.digest, snapshot.isExpired], [token, digest, false]);
  assert.ok(snapshot.commitMs > 0);
  assert.deepEqual(db.stats().pins.map(({ kind, origin }) => [kind, origin]), [['view', 'GET /people']]);
  snapshot.release();
  snapshot.release();
  fails(() => snapshot.countNodes(), 'FINISHED');
  fails(() => snapshot.nodes().next(), 'FINISHED');
  assert.equal(pins(db), 0);
});

test('what is asked for is what it was when it was asked for', (t) => {
  const db = memory(t);
  star(db, 200);
  const select = ['n'];
  const rows = db.nodes({ select });
  select.length = 0;
  assert.deepEqual(rows.toArray()[199].props, { n: 199 });
});

test('counts and ids are bigint where that is asked for', (t) => {
  const db = memory(t);
  const ids = star(db, 5);
  const big = { integers: 'bigint' };
  assert.deepEqual(db.nodes(big).next().value.id, BigInt(ids[0]));
  assert.deepEqual(db.neighborIds(ids[4], 'in', AllTypes, big), [BigInt(ids[0])]);
  assert.deepEqual(db.edges(big).next().value.rank, 0n);
  assert.deepEqual([db.countEdges(big), db.outDegree(ids[0], AllTypes, big)], [4n, 4n]);
  assert.deepEqual(db.nodesPage(0n, 1, big), { items: [BigInt(ids[0])], next: BigInt(ids[0]) });
});

test('a scan whose first rows cannot be told holds nothing', (t) => {
  const db = memory(t);
  const ids = star(db, 3000);
  db.setNodeProp(ids[0], 'n', 2n ** 53n);
  db.setEdgeProp(ids[0], 'EVEN', ids[1], 'n', 2n ** 53n);
  const before = held();
  for (const scan of [() => db.nodes(), () => db.nodesWithLabel('Third'), () => db.edges(), () => db.outEdges(ids[0], AllTypes)]) {
    fails(() => scan(), 'INTEGER_UNSAFE', /the property n of/);
  }
  assert.deepEqual([pins(db), held()], [0, before]);
});

test('what is added to a transaction during a scan of it is no part of that', (t) => {
  for (const size of [10, 100, 1100, 2500]) {
    const db = memory(t);
    db.transaction((tx) => {
      const hub = tx.createNode('hub');
      for (let n = 0; n < size; n++) {
        const other = tx.createNode({ labels: ['L'] });
        tx.addEdge(hub, 'A', other);
        tx.addEdge(other, 'B', hub);
      }
    });
    const cases = {
      nodes: [(tx) => tx.nodes(), (tx) => tx.createNode(), size + 1],
      'nodes, by batches': [(tx) => tx.nodes(), (tx) => tx.createNodesBatch(['a', {}].map(() => ({}))), size + 1],
      'nodes, by key': [(tx) => tx.nodes(), (tx, n) => tx.upsertNode(`k${n}`, {}), size + 1],
      'nodes, by id': [(tx) => tx.nodes({ select: [] }), (tx, n) => tx.upsertNodeById(1_000_000 + n, {}), size + 1],
      label: [(tx) => tx.nodesWithLabel('L'), (tx) => tx.createNode({ labels: ['L'] }), size],
      'label that is given': [(tx) => tx.nodesWithLabel('L'), (tx) => tx.addNodeLabel(tx.createNode(), 'L'), size],
      edges: [(tx) => tx.edges(), (tx) => tx.addEdge(1, 'A', tx.createNode()), size * 2],
      outEdges: [(tx) => tx.outEdges(1, 'A'), (tx) => tx.addEdge(1, 'A', tx.createNode()), size],
      inEdges: [(tx) => tx.inEdges(1, AllTypes), (tx) => tx.addParallelEdge(2, 'B', 1), size],
      outNeighbors: [(tx) => tx.outNeighbors(1, 'A'), (tx) => tx.addEdgesBatch([{ src: 1, type: 'A', dst: tx.createNode() }]), size],
      sortedEdges: [(tx) => tx.sortedEdges(1, 'out', 'A'), (tx) => tx.upsertEdge(1, 'A', tx.createNode(), {}), size],
    };
    for (const [what, [scan, add, rows]] of Object.entries(cases)) {
      for (const began of [(tx) => tx, (tx) => tx.createNode()]) {
        const tx = db.begin();
        const expected = scan(tx).toArray();
        assert.equal(expected.length, rows, what);
        const iterated = scan(tx);
        // It began with the call, and not with the first row.
        began(tx);
        const seen = [];
        for (const row of iterated) {
          seen.push(row);
          if (seen.length > rows) break;
          add(tx, seen.length);
        }
        const key = (row) => JSON.stringify(row.id ?? [row.src, row.type, row.dst, row.rank]);
        assert.deepEqual(seen.map(key).sort(), expected.map(key).sort(), `${what} of ${size}`);
        tx.rollback();
      }
    }
  }
});

test('a scan that goes on after something was added sees what changed of its rows, and none that is gone', (t) => {
  const db = memory(t);
  const ids = star(db, 3000);
  const tx = db.begin();
  const [nodes, labelled, edges] = [tx.nodes(), tx.nodesWithLabel('Third'), tx.outNeighbors(ids[0], AllTypes)];
  nodes.next();
  tx.createNode('more');
  tx.addEdge(ids[1], 'MORE', ids[2]);
  tx.setNodeProp(ids[2000], 'n', 'changed');
  tx.deleteNode(ids[2001]);
  tx.removeNodeLabel(ids[2400], 'Third');
  const rows = nodes.toArray();
  assert.equal(rows.length, 2998);
  assert.equal(rows.find((node) => node.id === ids[2000]).props.n, 'changed');
  assert.equal(labelled.toArray().length, 998);
  assert.equal(edges.toArray().length, 2998);
  tx.rollback();
  // One that was broken off is nothing that a write looks at.
  const other = db.begin();
  for (const node of other.nodes()) {
    other.createNode();
    if (node) break;
  }
  other.commit();
  fails(() => other.nodes().next(), 'FINISHED');
});
