'use strict';
// What nobody should give, and somebody does: each is told what is wrong, or does what it says, and the database goes on.

const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { runInNewContext } = require('node:vm');
const { join } = require('node:path');
const { assert, fails, failsLater, folder, kitedb, memory } = require('./support.js');

const { AllTypes, Database } = kitedb;
const dir = folder();

class Mine extends Error {}

/** Values of every kind that is none that a call wants. Made anew for each call. */
const hostile = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  'minus one': () => -1,
  'a fraction': () => 1.5,
  NaN: () => NaN,
  Infinity: () => Infinity,
  'minus zero': () => -0,
  'beyond safe': () => 2 ** 53,
  huge: () => 1e300,
  'a negative bigint': () => -1n,
  'a bigint beyond 64 bits': () => 2n ** 64n,
  'no text': () => '',
  'half a surrogate pair': () => 'a\ud800b',
  'a null character': () => 'a\0b',
  'a long text': () => 'x'.repeat(10_000),
  'a symbol': () => Symbol('s'),
  'an object': () => ({}),
  'an object of nothing': () => Object.create(null),
  'an array': () => [],
  'an array with holes': () => new Array(3),
  'an array of everything': () => [undefined, null, -1, 'x', {}, Symbol('s')],
  'a function': () => () => {},
  'a date': () => new Date(NaN),
  'a regular expression': () => /x/,
  'a promise': () => Promise.resolve(1),
  'a proxy that throws': () =>
    new Proxy({}, { get: () => { throw new Mine(); }, ownKeys: () => { throw new Mine(); }, getPrototypeOf: () => { throw new Mine(); } }),
  'a proxy that is revoked': () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  'a getter that throws': () => ({ get key() { throw new Mine(); }, get src() { throw new Mine(); }, get origin() { throw new Mine(); } }),
  'an object that is no text': () => ({ toString: () => { throw new Mine(); } }),
  'detached bytes': () => {
    const bytes = new Uint8Array(8);
    structuredClone(bytes, { transfer: [bytes.buffer] });
    return bytes;
  },
  'shared bytes': () => new Uint8Array(new SharedArrayBuffer(8)),
  'a map': () => new Map([[{}, 1]]),
  'a database': () => Database.prototype,
};

/** What a call may fail with: what it says itself, or what the caller's own code throws. */
function isTold(error) {
  if (error instanceof Mine) return true;
  // JavaScript says so itself, whatever is done with such a proxy.
  if (error instanceof TypeError && /revoked/.test(error.message)) return true;
  return error instanceof Error && typeof error.code === 'string' && error.code !== 'INTERNAL' && error.message.length > 10;
}

/** Calls that end, wait for the network, or are asked with an array of the caller's own. */
const apart = new Set(['close', 'closeAsync', 'abandon', 'constructor', 'startExporter']);

function* methods(target, names = Object.getOwnPropertyNames(target)) {
  for (const name of names) {
    const { value } = Object.getOwnPropertyDescriptor(target, name) ?? {};
    if (typeof value === 'function' && !apart.has(name)) yield [name, value];
  }
}

/** Arguments with which most calls would do something, so that a wrong one among them is met. */
const usual = [1, 'KNOWS', 1, 'name', 1, 1];

function* given(arity) {
  for (const [what, make] of Object.entries(hostile)) {
    for (let nth = 0; nth < Math.max(arity, 1); nth++) {
      const args = usual.slice(0, Math.max(arity, 1));
      args[nth] = make();
      yield [`${what} as argument ${nth}`, args];
    }
    yield [`${what} alone`, [make()]];
  }
}

async function hit(name, f, self, arity) {
  for (const [what, args] of given(arity)) {
    let result;
    try {
      result = f.apply(self, args);
      if (result instanceof Promise) result = await result;
      else if (typeof result?.return === 'function') for (const row of result) void row;
      if (typeof result?.release === 'function') result.release();
      if (typeof result?.rollback === 'function') result.rollback();
    } catch (error) {
      assert.ok(isTold(error), `${name} with ${what}: ${error?.stack ?? String(error)}`);
    }
  }
}

function graph(t, options) {
  const db = memory(t, options);
  db.createNode({ key: 'a', labels: ['L'], props: { name: 1 } });
  db.addEdge(1, 'KNOWS', 1, { name: 1 });
  return db;
}

const inherited = (object) => {
  const own = [];
  for (let of = Object.getPrototypeOf(object); of !== Object.prototype; of = Object.getPrototypeOf(of)) own.push(...methods(of));
  return own;
};

test('every method is told what is wrong with its arguments', { timeout: 240_000 }, async (t) => {
  const db = graph(t);
  for (const [name, f] of inherited(db)) {
    await hit(`Database.${name}`, f, db, Math.min(f.length, 6));
    if (!db.nodeExists(1)) db.createNode({ id: 1, key: 'a' });
  }
  assert.equal(db.nodeProp(db.createNode({ props: { n: 7 } }), 'n'), 7);
  assert.equal(db.check().clean, true);
});

test('every method of a transaction, a snapshot and a bulk load is told so, too', { timeout: 240_000 }, async (t) => {
  const db = graph(t);
  const tx = db.begin();
  for (const [name, f] of inherited(tx)) {
    if (/^(commit|submit|rollback)/.test(name)) continue;
    await hit(`Transaction.${name}`, f, tx, Math.min(f.length, 6));
  }
  tx.rollback();
  const snapshot = db.snapshot();
  for (const [name, f] of inherited(snapshot)) if (name !== 'release') await hit(`Snapshot.${name}`, f, snapshot, Math.min(f.length, 6));
  snapshot.release();
  assert.equal(db.countNodes(), 1);
});

test('every function, and every static method, is told so, too', { timeout: 240_000 }, async (t) => {
  const db = graph(t);
  const was = process.cwd();
  process.chdir(dir);
  t.after(() => process.chdir(was));
  for (const [name, f] of methods(kitedb)) {
    // Those that open are methods of Database, and those that a host serves with are tested in `ts/`.
    if (/^[A-Z]/.test(name) || /^(open|create|authorize|is|read)/.test(name)) continue;
    await hit(name, f, undefined, Math.min(f.length, 4));
    if (/^(collect|health|push|compare)/.test(name)) {
      for (const make of Object.values(hostile)) {
        try {
          await f(db, make(), 1);
        } catch (error) {
          assert.ok(isTold(error), `${name}: ${error?.stack ?? String(error)}`);
        }
      }
    }
  }
  for (const [name, f] of methods(Database)) {
    for (const [what, make] of Object.entries(hostile)) {
      try {
        const result = await f.call(Database, make(), make());
        if (result instanceof Database) result.close();
      } catch (error) {
        assert.ok(isTold(error), `Database.${name} with ${what}: ${error?.stack ?? String(error)}`);
      }
    }
  }
});

test('a method that is called on nothing, or on something else, says so', (t) => {
  const db = graph(t);
  for (const self of [undefined, null, {}, Database.prototype, kitedb.Transaction.prototype]) {
    for (const [name, f] of inherited(db)) {
      if (name.endsWith('Async')) continue;
      assert.throws(() => { for (const row of f.call(self, 1, 'KNOWS', 1, 'x', 1, 1)) void row; }, (error) => error instanceof Error && error.code !== 'INTERNAL', name);
    }
  }
  const { open } = Database;
  open(join(dir, 'unbound.kitedb')).close();
});

test('an option that is misspelt is refused, wherever options are taken', async (t) => {
  const db = graph(t);
  const tx = () => db.begin();
  const snapshot = db.snapshot();
  t.after(() => snapshot.release());
  const calls = [
    () => db.node(1, { selct: [] }),
    () => db.nodeWithKey('a', { Select: [] }),
    () => db.nodeByKey('a', { integer: 'bigint' }),
    () => db.nodeProp(1, 'name', { integer: 'bigint' }),
    () => db.nodeProps(1, { selct: [] }),
    () => db.edge({ src: 1, type: 'KNOWS', dst: 1 }, { selct: [] }),
    () => db.edgeBetween(1, 'KNOWS', 1, { selct: [] }),
    () => db.edgesBetween(1, 'KNOWS', 1, { integer: 'bigint' }),
    () => db.edgeProp(1, 'KNOWS', 1, 'name', { integer: 'bigint' }),
    () => db.edgeProps(1, 'KNOWS', 1, { selct: [] }),
    () => db.outNeighbors(1, AllTypes, { selct: [] }),
    () => db.outEdges(1, AllTypes, { selct: [] }),
    () => db.neighborIds(1, 'out', AllTypes, { integer: 'bigint' }),
    () => db.degree(1, 'out', AllTypes, { integer: 'bigint' }),
    () => db.nodes({ selct: [] }),
    () => db.nodesWithLabel('L', { selct: [] }),
    () => db.edges({ selct: [] }),
    () => db.nodesPage(null, 1, { integer: 'bigint' }),
    () => db.edgesPage(null, 1, { integer: 'bigint' }),
    () => db.countNodes({ integer: 'bigint' }),
    () => db.createNode('b', { integer: 'bigint' }),
    () => db.createNodesBatch(['b'], { integer: 'bigint' }),
    () => db.upsertNode('b', {}, { integer: 'bigint' }),
    () => db.begin({ orign: 'x' }),
    () => db.snapshot({ orign: 'x' }),
    () => db.transaction(() => {}, { orign: 'x' }),
    () => db.transactionWithRetry(1, () => {}, { orign: 'x' }),
    () => db.addEdgeByKey({ src: 1, type: 'T', dst: 1, rnk: 4 }),
    () => db.addEdgesBatch([{ src: 1, type: 'T', dst: 1, prop: {} }]),
    () => Database.open(join(dir, 'never.kitedb'), { readonly: true }),
  ];
  for (const call of calls) assert.throws(call, (error) => typeof error.code === 'string' && /\b(selct|Select|integer|orign|rnk|prop|readonly)\b/.test(error.message), String(call));
  const later = [
    () => db.transactionAsync(() => {}, { attemps: 3 }),
    () => tx().commitAsync({ sginal: 1 }),
    () => tx().submitAsync({ sginal: 1 }),
    () => db.closeAsync({ sginal: 1 }),
    () => db.checkAsync({ sginal: 1 }),
    () => Database.openAsync(join(dir, 'never.kitedb'), {}, { sginal: 1 }),
  ];
  for (const call of later) {
    await assert.rejects(async () => call(), (error) => typeof error.code === 'string' && /\b(attemps|sginal)\b/.test(error.message), String(call));
  }
  assert.deepEqual([db.isOpen, db.countNodes(), db.countEdges()], [true, 1, 1]);
});

test('code of the caller that runs while options are read may call on its own', (t) => {
  const db = graph(t);
  const other = db.createNode({ key: 'other', props: { text: 'y'.repeat(300) } });
  const meddle = () => db.node(other);
  const node = { id: 1, key: 'a', labels: ['L'], props: { name: 1 } };
  assert.deepEqual(db.node(1, { get select() { meddle(); return ['name']; } }), node);
  assert.deepEqual(db.node(1, { get integers() { meddle(); return 'number'; } }), node);
  assert.equal(db.nodeProp(1, 'name', { get integers() { meddle(); return undefined; } }), 1);
  assert.deepEqual(db.nodeWithKey('a', { get select() { meddle(); return ['name']; } }), node);
  assert.equal(db.nodeByKey('a', { get integers() { meddle(); return 'number'; } }), 1);
  assert.equal(db.countNodes({ get integers() { meddle(); return 'number'; } }), 2);
  assert.equal(db.degree(1, 'out', 'KNOWS', { get integers() { meddle(); return 'number'; } }), 1);
  assert.deepEqual(db.nodesPage(null, 5, { get integers() { meddle(); return 'number'; } }).items, [1, 2]);
  const select = ['x', 'name'];
  Object.defineProperty(select, 0, { get() { meddle(); return 'none'; } });
  assert.deepEqual(db.node(1, { select }), node);
  assert.deepEqual(db.edgeBetween(1, 'KNOWS', 1, { select }).props, { name: 1 });
  const snapshot = db.snapshot({ get origin() { meddle(); return 'mine'; } });
  assert.deepEqual(db.stats().pins.map((pin) => pin.origin), ['mine']);
  snapshot.release();
});

test('what changes while it is read is read as it was, or refused', (t) => {
  const db = graph(t);
  const list = ['b'];
  list.push({ get key() { list.push('d', 'e'); return 'c'; } });
  assert.equal(db.createNodesBatch(list).length, 2);
  assert.deepEqual([db.nodeByKey('c') !== null, db.nodeByKey('d')], [true, null]);
  const shorter = ['f', { get key() { shorter.length = 1; return 'g'; } }, 'h'];
  fails(() => db.createNodesBatch(shorter), 'INVALID_ARGUMENT');
  assert.equal(db.nodeByKey('f'), null);

  const grows = [1];
  grows.push({ get x() { grows.push(2); return 1; } });
  db.setNodeProp(1, 'grows', grows);
  assert.deepEqual(db.nodeProp(1, 'grows'), [1, { x: 1 }]);
  const map = new Map([['a', { get x() { map.set('c', 1); return 1; } }], ['b', 2]]);
  db.setNodeProp(1, 'map', map);
  assert.deepEqual(db.nodeProp(1, 'map'), { a: { x: 1 }, b: 2 });
  class Liar extends Map {
    get size() {
      return 7;
    }
  }
  db.setNodeProp(1, 'liar', new Liar([['a', 1]]));
  assert.deepEqual(db.nodeProp(1, 'liar'), { a: 1 });
  const labels = ['X'];
  Object.defineProperty(labels, Symbol.iterator, { value: function* () { yield 'X'; yield 'Y'; } });
  const id = db.createNode({ labels });
  assert.deepEqual(db.nodeLabels(id).length === 1 || db.nodeLabels(id).length === 2, true);
  const bytes = Uint8Array.of(1, 2, 3, 4);
  Object.defineProperty(bytes, 'length', { value: 2 });
  try {
    db.setNodeProp(1, 'bytes', bytes);
    assert.deepEqual([...db.nodeProp(1, 'bytes')], [1, 2, 3, 4]);
  } catch (error) {
    assert.equal(error.code, 'INVALID_ARGUMENT');
  }
  assert.equal(db.check().clean, true);
});

test('bytes that are gone are refused, and bytes that are shared are copied', (t) => {
  const db = graph(t);
  for (const value of [new Uint8Array(8), new Float32Array(2), Buffer.alloc(8)]) {
    // A pooled Buffer cannot be detached, one of its own can.
    structuredClone(value, { transfer: [value.buffer] });
    fails(() => db.setNodeProp(1, 'gone', value), 'INVALID_ARGUMENT', /detached/);
    fails(() => db.createNode({ props: { deep: [{ value }] } }), 'INVALID_ARGUMENT', /deep\[0\]\.value .*detached/);
  }
  const vector = new Float32Array(2);
  structuredClone(vector, { transfer: [vector.buffer] });
  fails(() => db.setNodeVector(1, 'v', vector), 'INVALID_ARGUMENT', /detached/);
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
  db.setNodeProp(1, 'shared', shared);
  shared.fill(0);
  assert.deepEqual(db.nodeProp(1, 'shared'), Uint8Array.of(7, 7, 7, 7));
  const read = db.nodeProp(1, 'shared');
  read.fill(1);
  assert.deepEqual(db.nodeProp(1, 'shared'), Uint8Array.of(7, 7, 7, 7));
  const part = new Uint8Array(new ArrayBuffer(16, { maxByteLength: 32 }), 4, 4).fill(9);
  db.setNodeProp(1, 'part', part);
  assert.deepEqual(db.nodeProp(1, 'part'), Uint8Array.of(9, 9, 9, 9));
});

test('objects that are frozen, proxied, of no prototype, or of another realm are objects', (t) => {
  const db = graph(t);
  const read = (props) => db.nodeProps(db.createNode({ props }));
  assert.deepEqual(read(Object.freeze({ a: Object.freeze([1, Object.freeze({ b: 2 })]) })), { a: [1, { b: 2 }] });
  assert.deepEqual(read(new Proxy({ a: 1 }, {})), { a: 1 });
  assert.deepEqual(read(new Proxy(Object.freeze({ a: [1] }), {})), { a: [1] });
  assert.deepEqual(read(structuredClone({ a: { b: 1 } })), { a: { b: 1 } });
  const { runInNewContext } = require('node:vm');
  assert.deepEqual(read(runInNewContext('({ a: [1, { b: 2 }] })')), { a: [1, { b: 2 }] });
  // What is not enumerable is not seen, as in JSON, whatever its name is.
  const hidden = { hidden: { value: 3 }, [Symbol('s')]: { value: 4 } };
  assert.deepEqual(read({ ...Object.defineProperties({ a: 1 }, hidden), b: Object.defineProperties({ c: 1 }, hidden) }), { a: 1, b: { c: 1 } });
  assert.deepEqual(read(Object.defineProperties({ a: Object.defineProperties([1], hidden) }, hidden)), { a: [1] });
  // What an object inherits is not its own.
  assert.deepEqual(read(Object.assign(Object.create(null), { a: 1 })), { a: 1 });
  fails(() => db.createNode(new (class Described { key = 'x'; })()), 'INVALID_ARGUMENT', /instance of Described/);
});

test('what stands for something of the engine is not copied', (t) => {
  const db = graph(t);
  const primary = Database.open(join(dir, 'cloned.kitedb'), { replicationRole: 'primary' });
  t.after(() => primary.close());
  const exporter = kitedb.startExporter(db, { transport: 'json', endpoint: 'http://127.0.0.1:1', closeTimeoutMs: 100 });
  const [tx, snapshot, image] = [db.begin(), db.snapshot(), primary.primaryExportSnapshot()];
  const held = [db, tx, snapshot, db.nodes(), db.outNeighbors(1, 'KNOWS'), db.beginBulk(10), exporter, image];
  const { markAsUncloneable } = require('node:worker_threads');
  for (const one of held) {
    // Node 20 copies it: as nothing that could be taken for one.
    if (markAsUncloneable === undefined) assert.ok(!(structuredClone(one) instanceof one.constructor));
    else assert.throws(() => structuredClone(one), { name: 'DataCloneError' });
  }
  [tx, snapshot, image, exporter].forEach((one) => one[Symbol.dispose]());
});

test('a method that is called on something else says so', (t) => {
  const db = graph(t);
  for (const call of [
    () => db.node.call({}, 1),
    () => db.createNode.call({}, 'x'),
    () => db.close.call({}),
    () => Database.prototype.path,
    () => kitedb.Transaction.prototype.commit.call({}),
    () => kitedb.Snapshot.prototype.release.call({}),
    () => kitedb.ExportedSnapshot.prototype.read.call({}, 0, 1),
  ]) {
    fails(call, 'INVALID_ARGUMENT', /called on what it is no method of/);
  }
});

test('what would be lost of an object or an array is an error', (t) => {
  const db = graph(t);
  const nodes = db.countNodes();
  const symbol = { [Symbol('s')]: 1 };
  for (const [value, message] of [
    [{ a: 1, ...symbol }, /^value is an object with a member whose name is a symbol/],
    [[{ deep: symbol }], /^value\[0\]\.deep is an object with a member whose name is a symbol/],
    [Object.assign([1, 2], { more: 3 }), /^value is an array with members that are no items/],
    [Object.assign([], { '-1': 3 }), /no items/],
    [Object.assign([1], { '01': 3 }), /no items/],
    [Object.assign([1], symbol), /no items/],
    [{ found: /(b)/.exec('abc') }, /^value\.found is an array with members/],
    [new Map([['list', Object.assign([1], { more: 3 })]]), /^value\.list is an array with members/],
  ]) {
    fails(() => db.createNode({ props: { value } }), 'INVALID_ARGUMENT', message);
    fails(() => db.setNodeProp(1, 'value', value), 'INVALID_ARGUMENT', message);
  }
  const lost = /properties are an object with a member whose name is a symbol/;
  fails(() => db.createNode({ props: { a: 1, ...symbol } }), 'INVALID_ARGUMENT', lost);
  fails(() => db.createNodesBatch([{}, { props: symbol }]), 'INVALID_ARGUMENT', lost);
  fails(() => db.addEdge(1, 'KNOWS', 2, symbol), 'INVALID_ARGUMENT', lost);
  fails(() => db.upsertNode('a', symbol), 'INVALID_ARGUMENT', lost);
  assert.equal(db.countNodes(), nodes);
  const list = Array.from({ length: 1000 }, (_, n) => n);
  assert.deepEqual(db.nodeProp(db.createNode({ props: { list } }), 'list'), list);
});

test('names of prototypes are no members, wherever a name is looked up', (t) => {
  const db = graph(t);
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then', 'length']) {
    assert.equal(db.nodeProp(1, name), undefined);
    assert.equal(db.propkeyId(name), null);
    assert.equal(db.nodeByKey(name), null);
    db.addEdge(1, name, 1, JSON.parse(`{"${name}": 1}`));
    assert.deepEqual(Object.entries(db.edgeProps(1, name, 1)), [[name, 1]]);
    assert.equal(db.edgeProps(1, name, 1, { select: [name] })[name], 1);
    fails(() => Database.open(join(dir, 'never.kitedb'), JSON.parse(`{"${name}": true}`)), 'INVALID_OPTION');
  }
  // A node with a property `then` is no promise to `await`.
  assert.ok(!('then' in db.node(1)));
  assert.equal({}.polluted, undefined);
});

test('what a transaction\'s function returns is no promise of any kind', (t) => {
  const db = graph(t);
  const promises = [
    () => Promise.resolve(),
    async () => {},
    () => ({ then() {} }),
    () => ({ then() { throw new Mine(); } }),
    () => Object.assign(() => {}, { then() {} }),
    () => new Proxy(Promise.resolve(), { get: (target, name) => (name === 'then' ? target.then.bind(target) : target[name]) }),
  ];
  for (const f of promises) {
    fails(() => db.transaction((tx) => { tx.createNode(); return f(); }), 'INVALID_ARGUMENT', /transactionAsync/);
    fails(() => db.transactionWithRetry(3, (tx) => { tx.createNode(); return f(); }), 'INVALID_ARGUMENT', /transactionAsync/);
  }
  assert.throws(() => db.transaction((tx) => { tx.createNode(); return { get then() { throw new Mine(); } }; }), Mine);
  assert.equal(db.transaction(() => ({ then: 1 })).then, 1);
  assert.equal(db.countNodes(), 1);
  assert.equal(db.stats().pins.length, 0);
});

test('a promise that a refused function returned is nobody\'s unhandled rejection', () => {
  const code = `
    const { Database } = require('@kitedb/core');
    const db = Database.inMemory();
    try { db.transaction(async (tx) => { tx.createNode(); await null; throw new Error('late'); }); } catch (error) { console.log(error.code); }
    setTimeout(() => { console.log(db.countNodes()); db.close(); }, 20);`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', code], { cwd: join(__dirname, '..'), encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([status, stdout.split('\n').slice(0, 2)], [0, ['INVALID_ARGUMENT', '0']], stderr);
});

test('a scan that is given up, ended twice, or read after its database closed holds nothing', (t) => {
  const db = graph(t);
  db.createNodesBatch(Array.from({ length: 3000 }, () => ({})));
  const pins = () => db.stats().pins.length;
  for (const _ of db.nodes()) break;
  assert.equal(pins(), 0);
  assert.throws(() => { for (const _ of db.nodes()) throw new Mine(); }, Mine);
  assert.equal(pins(), 0);
  const [first] = db.nodes();
  assert.equal(first.id, 1);
  assert.equal(pins(), 0);
  const rows = db.nodes();
  rows.next();
  assert.equal(pins(), 1);
  assert.deepEqual(rows.return('x'), { done: true, value: 'x' });
  rows.return();
  assert.deepEqual([rows.next(), rows.next(), pins()], [{ done: true, value: undefined }, { done: true, value: undefined }, 0]);
  function* lazily() {
    yield* db.nodes();
  }
  const generator = lazily();
  generator.next();
  assert.equal(pins(), 1);
  generator.return();
  assert.equal(pins(), 0);
  const late = db.nodes();
  late.next();
  db.close();
  fails(() => late.toArray(), 'CLOSED');
  assert.deepEqual(late.next(), { done: true, value: undefined });
});

test('everything is used in the wrong order', async (t) => {
  const db = graph(t);
  const tx = db.begin();
  tx.commit();
  for (const f of [() => tx.commit(), () => tx.submit(), () => tx.createNode(), () => tx.node(1), () => tx.commitWithToken(), () => tx.isExpired]) {
    fails(f, 'FINISHED');
  }
  await failsLater(tx.commitAsync(), 'FINISHED');
  await failsLater(tx.submitAsync(), 'FINISHED');
  tx.rollback();
  tx[Symbol.dispose]();
  fails(() => db.transaction((tx) => tx.commit()), 'FINISHED');
  fails(() => db.transaction((tx) => tx.rollback()), 'FINISHED');
  await failsLater(db.transactionAsync((tx) => tx.commit()), 'FINISHED');
  let kept;
  db.transaction((tx) => { kept = tx; });
  fails(() => kept.createNode(), 'FINISHED');
  const load = db.beginBulk(2);
  load.finish();
  for (const f of [() => load.step(), () => load.flush(), () => load.finish(), () => load.createNode(), () => load.lastToken]) fails(f, 'FINISHED');
  const open = db.begin();
  const reader = db.snapshot();
  const pending = db.begin();
  pending.createNode();
  const submitted = pending.submit();
  db.close();
  for (const f of [() => open.createNode(), () => open.commit(), () => reader.node(1), () => reader.token, () => db.node(1), () => db.begin(), () => db.path, () => db.stats()]) {
    fails(f, 'CLOSED');
  }
  await failsLater(db.checkAsync(), 'CLOSED');
  await failsLater(db.transactionAsync(() => {}), 'CLOSED');
  assert.match(submitted.wait(), /^1:/);
  assert.match(await submitted.waitAsync(), /^1:/);
  open.rollback();
  reader.release();
  db.close();
  await db.closeAsync();
  assert.equal(db.isOpen, false);
});

test('a transaction may be closed over by its own database', (t) => {
  const db = graph(t);
  fails(() => db.transaction((tx) => { tx.createNode(); db.close(); }), 'CLOSED');
  const other = graph(t);
  fails(() => other.transaction((tx) => { tx.createNode({ get key() { other.close(); return 'x'; } }); }), 'CLOSED');
});

test('one database\'s things are not another\'s', (t) => {
  const [a, b] = [graph(t), graph(t)];
  const tx = a.begin();
  tx.createNode();
  const pending = tx.submit();
  fails(() => b.beginAfter(pending), 'INVALID_ARGUMENT');
  fails(() => a.beginAfter({}), 'INVALID_ARGUMENT');
  fails(() => kitedb.compare(a, {}), 'INVALID_ARGUMENT');
  for (const type of [Database, kitedb.Transaction, kitedb.Snapshot, kitedb.Pending, kitedb.BulkLoader, kitedb.Exporter, kitedb.ExportedSnapshot]) {
    assert.throws(() => new type(), TypeError, type.name);
    assert.throws(() => new type(1, 2, 3), TypeError, type.name);
  }
  class Derived extends Database {}
  assert.throws(() => new Derived(), TypeError);
});

test('a signal is one, and what listens to it is told once', async (t) => {
  const db = graph(t);
  for (const signal of [1, 'x', {}, [], () => {}, { addEventListener() {} }, { addEventListener() {}, removeEventListener() {} }, new EventTarget()]) {
    for (const call of [() => db.checkAsync({ signal }), () => db.begin().commitAsync({ signal }), () => db.transactionAsync(() => {}, { signal })]) {
      await assert.rejects(async () => call(), (error) => error.code === 'INVALID_ARGUMENT', String(call));
    }
  }
  await db.checkAsync({ signal: null });
  await db.checkAsync(null);
  await db.begin().commitAsync({ signal: null });
  await db.begin().commitAsync(null);
  await db.begin().submitAsync(null);
  await db.transactionAsync(() => {}, null);
  await db.transactionAsync(() => {}, { signal: null, origin: null });
  (await Database.openAsync(':memory:', null, null)).close();
  const { signal } = new AbortController();
  for (let nth = 0; nth < 50; nth++) await db.statsAsync({ signal });
  assert.equal(require('node:events').getEventListeners(signal, 'abort').length, 0);
});

test('texts as long as they are allowed to be go in and come out, and longer ones are refused', (t) => {
  const db = graph(t);
  const long = 'ä'.repeat(10_000_000);
  db.setNodeProp(1, 'long', long);
  assert.equal(db.nodeProp(1, 'long'), long);
  fails(() => db.setNodeProp(1, 'longer', 'x'.repeat(64 * 1024 * 1024 + 1)), 'TRANSACTION_TOO_LARGE');
  fails(() => db.createNode('k'.repeat(64 * 1024 * 1024 + 1)), 'TRANSACTION_TOO_LARGE');
  fails(() => db.addNodeLabel(1, 'l'.repeat(10_000)), 'INVALID_ARGUMENT');
  fails(() => db.setNodeProp(1, 'n'.repeat(10_000), 1), 'INVALID_ARGUMENT');
  assert.equal(db.nodeProp(1, 'name'), 1);
});

test('what is wrong is named: the part of a vector, of a duration, of what should have been properties', (t) => {
  const db = graph(t);
  fails(() => db.setNodeVector(1, 'v', [1, 'a']), 'INVALID_ARGUMENT', /^the vector\[1\] is a string/);
  fails(() => db.setNodeVector(1, 'v', [1, , 2]), 'INVALID_ARGUMENT', /^the vector\[1\] is undefined/);
  fails(() => db.setNodeVector(1, 'v', new Float64Array(2)), 'INVALID_ARGUMENT', /instance of Float64Array/);
  fails(() => new kitedb.Duration({ hours: 1 }), 'INVALID_ARGUMENT', /no option hours: give months or days/);
  fails(() => new kitedb.Duration(5), 'INVALID_ARGUMENT');
  assert.equal(String(new kitedb.Duration(null)), 'PT0S');
  fails(() => db.createNode('ada', { born: 1815 }), 'INVALID_ARGUMENT', /no option born/);
  fails(() => db.createNode({ name: 'ada' }), 'INVALID_ARGUMENT', /has no name: give id, key, labels and props/);
  assert.equal(db.countNodes(), 1);
});

test('a text that is too long to be repeated is refused as well', (t) => {
  const db = graph(t);
  const primary = Database.open(join(dir, 'long.kitedb'), { replicationRole: 'primary' });
  t.after(() => primary.close());
  const long = 'x'.repeat(100_000);
  const calls = [
    () => db.waitForToken(long, 1),
    () => Database.open(join(dir, long)),
    () => Database.inMemory({ syncMode: long }),
    () => Database.inMemory({ replicationRole: long }),
    () => Database.inMemory({ [long]: 1 }),
    () => kitedb.collectReplicationLogTransportJson(primary, long),
    () => kitedb.LocalDate.parse(long),
    () => db.deleteEdge(1, long, 1),
  ];
  for (const call of calls) {
    assert.throws(call, (error) => error.kind === 'input' && typeof error.code === 'string' && error.message.length > 10, String(call));
    assert.equal(db.nodeProp(1, 'name'), 1);
  }
});

test('numbers at the edges of what they may be', (t) => {
  const db = graph(t);
  assert.equal(db.nodeExists(Number.MAX_SAFE_INTEGER), false);
  assert.equal(db.nodeExists(2n ** 64n - 1n), false);
  fails(() => db.nodeExists(2 ** 53), 'INVALID_ARGUMENT', /bigint/);
  fails(() => db.nodeExists(2n ** 64n), 'INVALID_ARGUMENT');
  fails(() => db.nodeExists(-1), 'INVALID_ARGUMENT');
  fails(() => db.nodeExists('1'), 'INVALID_ARGUMENT');
  assert.equal(db.nodeExists(-0), false);
  for (const limit of [0, -1, 1.5, NaN, Infinity, '1', null, undefined, 2n ** 70n]) fails(() => db.nodesPage(null, limit), 'INVALID_ARGUMENT');
  assert.deepEqual(db.nodesPage(null, 2n ** 64n - 1n), { items: [1], next: null });
  for (const count of [0, -1, 1.5, NaN, '2', null]) fails(() => db.beginBulk(count), 'INVALID_ARGUMENT');
  for (const attempts of [0, -1, 1.5, NaN, '2', null]) fails(() => db.transactionWithRetry(attempts, () => {}), 'INVALID_ARGUMENT');
  for (const timeout of [-1, 1.5, NaN, Infinity, 1e300, '2', null, undefined]) fails(() => db.waitForToken('1:1', timeout), 'INVALID_ARGUMENT');
  for (const option of ['maxPinMs', 'checkpointLogBytes', 'replicationRetentionMinMs']) {
    for (const value of [-1, 1.5, NaN, Infinity, '2', 2 ** 53, true]) {
      assert.throws(() => Database.inMemory({ [option]: value }), (error) => error.code === 'INVALID_OPTION' && error.message.includes(option), `${option} ${value}`);
    }
  }
});

test('a value that is larger than any may be is refused before all of it is written', (t) => {
  const db = memory(t);
  let dag = 'x'.repeat(1024);
  // 2^40 bytes, of which no machine has room.
  for (let depth = 0; depth < 30; depth++) dag = [dag, dag];
  const bytes = new Uint8Array(1 << 20);
  const before = process.memoryUsage().rss;
  for (const value of [dag, { deep: dag }, new Map([['deep', dag]]), Array.from({ length: 1 << 16 }, () => bytes)]) {
    fails(() => db.createNode({ props: { v: value } }), 'TRANSACTION_TOO_LARGE', /^v.* takes more than 64 MiB, which is all that a value may: split it/);
  }
  assert.ok(process.memoryUsage().rss - before < 1 << 30);
  // What just fits is the engine's to judge, and each value of several is counted for itself.
  db.createNode({ props: { a: new Uint8Array(20 << 20), b: new Uint8Array(20 << 20), c: 'x'.repeat(1 << 20) } });
  fails(() => db.createNode({ props: { a: new Uint8Array((64 << 20) + 1) } }), 'TRANSACTION_TOO_LARGE');
});

test('what somebody gave to all objects is given to no call', (t) => {
  const db = memory(t);
  const [a, b] = db.createNodesBatch(['a', 'b']);
  Object.prototype.polluted = 1;
  t.after(() => delete Object.prototype.polluted);
  db.addEdgesBatch([{ src: a, type: 'X', dst: b }]);
  assert.equal(db.edgeExists(a, 'X', b), true);
  assert.deepEqual(Object.keys(db.edge({ src: a, type: 'X', dst: b }).props), []);
  assert.equal(db.node(a, { select: [] }).key, 'a');
  assert.equal(db.createNode({ key: 'c' }), 3);
});

test('errors name what is there in JavaScript', (t) => {
  const db = memory(t);
  const path = join(dir, 'words.kitedb');
  Database.open(path).close();
  fails(() => Database.inMemory({ integer: 'bigint' }), 'INVALID_OPTION', /there is no option 'integer': give .*readOnly.*, integers, floatProperties$/);
  fails(() => db.createNode(''), 'INVALID_ARGUMENT', /give at least one character, or leave it out/);
  fails(() => Database.inMemory({ syncIntervalMs: 0 }), 'INVALID_OPTION', /choose the syncMode full/);
  const reader = Database.open(path, { readOnly: true });
  fails(() => reader.createNode(), 'READ_ONLY', /open it without readOnly to write/);
  reader.close();
  const day = kitedb.LocalDate.parse('2020-01-01');
  assert.throws(() => day < day, /ask equals\(\).*toTemporal\(\)/);
});

test('what is given of another realm is what it is here', (t) => {
  const db = memory(t);
  const made = runInNewContext(
    '({ bytes: new Uint8Array([1, 2]), vector: new Float32Array([0.5]), map: new Map([["a", [1n]]]), date: new Date(5), plain: { b: null } })',
  );
  const id = db.createNode({ props: { ...made, list: Object.values(made) } });
  const props = db.nodeProps(id);
  const wanted = { bytes: Uint8Array.of(1, 2), vector: Float32Array.of(0.5), map: { a: [1] }, date: kitedb.DateTime.fromJSDate(new Date(5)), plain: { b: null } };
  assert.deepEqual(props, { ...wanted, list: Object.values(wanted) });
  db.upsertNode('m', runInNewContext('new Map([["x", 1]])'));
  assert.deepEqual(db.nodeWithKey('m').props, { x: 1 });
  const tx = db.begin();
  tx.setNodeVector(id, 'v', made.vector);
  tx.commit();
  assert.deepEqual(db.nodeVector(id, 'v'), Float32Array.of(0.5));
});

test('no error steers a terminal, or takes more than its line', (t) => {
  const db = memory(t);
  const evil = '\x1b[31mred\r\nline\u202etwo';
  const shown = String.raw`\u{1b}[31mred\r\nline\u{202e}two`;
  db.createNode({ key: evil });
  class Evil {
    static get name() {
      return evil;
    }
  }
  const tries = [
    () => db.createNode({ key: evil }),
    () => db.createNode({ props: { [evil]: undefined } }),
    () => db.createNode({ props: { [evil]: { [evil]: Symbol('s') } } }),
    () => db.createNode({ props: { a: new Evil() } }),
    () => db.createNode({ [evil]: 1 }),
    () => db.nodes({ [evil]: 1 }),
    () => Database.open(join(dir, evil, 'x.kitedb')),
    () => Database.open(join(dir, 'x.kitedb'), { [evil]: 1 }),
    () => Database.open(join(dir, 'x.kitedb'), { syncMode: evil }),
    () => kitedb.LocalDate.parse(evil),
    () => db.waitForTokenOutcome(evil, 0),
  ];
  for (const attempt of tries) {
    assert.throws(attempt, (error) => {
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(error.message, /[\x00-\x1f\x7f-\x9f\u202e]/u, String(attempt));
      assert.ok(error.message.includes(shown), `${attempt}: ${error.message}`);
      return true;
    });
  }
});

test('what no transaction can hold is refused before all of it is copied', (t) => {
  const db = memory(t);
  const tx = db.begin();
  const text = 'x'.repeat(8 << 20);
  let read = 0;
  const nodes = Array.from({ length: 40 }, () => ({
    get props() {
      read += 1;
      return { text };
    },
  }));
  fails(() => tx.createNodesBatch(nodes), 'TRANSACTION_TOO_LARGE', /split it/);
  assert.ok(read <= 9, `${read} were read`);
  // It changed nothing, and the transaction goes on.
  assert.equal(tx.createNodesBatch(nodes.slice(0, 7)).length, 7);
  assert.ok(tx.logBytes > 7 * text.length);
  fails(() => tx.createNodesBatch(nodes.slice(0, 3)), 'TRANSACTION_TOO_LARGE');
  tx.rollback();
});
