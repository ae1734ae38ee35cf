'use strict';

const { test } = require('node:test');
const { assert, fails, failsLater, kitedb, memory } = require('./support.js');

const { DateTime, Duration, LocalDate, LocalDateTime, LocalTime, Time, float } = kitedb;

/** What a value comes back as, from the delta and as an edge's property. */
function through(db, value) {
  const id = db.createNode({ props: { value } });
  const read = db.nodeProp(id, 'value');
  db.addEdge(id, 'SELF', id, { value });
  assert.deepStrictEqual(db.edgeProp(id, 'SELF', id, 'value'), read);
  assert.deepStrictEqual(db.node(id).props.value, read);
  return read;
}

test('every kind of value comes back as it was', (t) => {
  const db = memory(t);
  const values = [
    null,
    true,
    false,
    0,
    -1,
    42,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    1.5,
    -0,
    Number.MAX_VALUE,
    NaN,
    Infinity,
    -Infinity,
    '',
    'short',
    'a text of more than a few characters, which is read in another way',
    'Zürich',
    '漢字 and 😀, beyond the first plane',
    'x'.repeat(100_000),
    new Uint8Array(),
    Uint8Array.of(0, 255, 7),
    Float32Array.of(1, -0, NaN, 3.25),
    new Float32Array(),
    [],
    [1, 'two', [3.5, null], { four: [true] }],
    {},
    { a: 1, b: { c: 'x' }, '': 2 },
    LocalDate.parse('2015-07-21'),
    LocalTime.parse('21:40:32.142'),
    Time.parse('21:40:32+01:00'),
    LocalDateTime.parse('2015-07-21T21:40:32.142'),
    DateTime.parse('2015-07-21T21:40:32.142+02:00[Europe/Stockholm]'),
    DateTime.parse('1969-12-31T23:59:59.5Z'),
    Duration.parse('P1Y2M3DT4H5M6.7S'),
  ];
  for (const value of values) assert.deepStrictEqual(through(db, value), value);
});

test('what stands for a value is stored as that', (t) => {
  const db = memory(t);
  const date = new Date('2015-07-21T21:40:32.142Z');
  assert.deepStrictEqual(through(db, date), DateTime.parse('2015-07-21T21:40:32.142Z'));
  assert.deepStrictEqual(through(db, date).toJSDate(), date);
  assert.deepStrictEqual(through(db, new Map([['a', new Map([['b', 1]])]])), { a: { b: 1 } });
  assert.deepStrictEqual(through(db, Buffer.from('abc')), Uint8Array.from(Buffer.from('abc')));
  assert.deepStrictEqual(through(db, Object.assign(Object.create(null), { a: 1 })), { a: 1 });
  const props = new Map([['born', 1815]]);
  assert.deepStrictEqual(db.nodeProps(db.createNode({ props })), { born: 1815 });
});

test('an integer stays one, and a float that looks like one is said to be one', (t) => {
  const db = memory(t, { integers: 'bigint', floatProperties: ['price'] });
  const id = db.createNode({ props: { n: 1, big: 2n ** 63n - 1n, half: 1.5, forced: float(1), price: 10, list: [1, float(2)] } });
  // Read as bigint, integers show what they are.
  assert.deepStrictEqual(db.nodeProps(id), { n: 1n, big: 2n ** 63n - 1n, half: 1.5, forced: 1, price: 10, list: [1n, 2] });
  db.setNodeProp(id, 'price', 11);
  db.upsertNodeById(id, { price: 12 });
  assert.strictEqual(db.nodeProp(id, 'price'), 12);
  assert.strictEqual(db.nodeProp(id, 'n', { integers: 'number' }), 1);
  assert.strictEqual(id, 1n);
  assert.strictEqual(db.countNodes(), 1n);
  assert.strictEqual(db.stats().nodes, 1n);
});

test('every number of a property of floats is one, however deep, and a bigint where a float says it', (t) => {
  const db = memory(t, { integers: 'bigint', floatProperties: ['price'] });
  const price = [1, { net: 2, gross: [3n, -0] }, new Map([['tax', 4]]), 2n ** 60n];
  const id = db.createNode({ props: { price, other: [1] } });
  assert.deepStrictEqual(db.nodeProps(id), { price: [1, { net: 2, gross: [3, -0] }, { tax: 4 }, 2 ** 60], other: [1n] });
  db.setNodeProp(id, 'price', 10n);
  assert.strictEqual(db.nodeProp(id, 'price'), 10);
  fails(() => db.setNodeProp(id, 'price', [2n ** 53n + 1n]), 'INVALID_ARGUMENT', /^price\[0\] is the integer 9007199254740993, which no float says exactly/);
  // Numbers are integers again after such an error.
  db.setNodeProp(id, 'other', 5);
  assert.strictEqual(db.nodeProp(id, 'other'), 5n);
});

test('an integer that no number says is an error unless bigint was asked for', (t) => {
  const db = memory(t);
  const id = db.createNode({ props: { big: 2n ** 53n, small: -(2n ** 63n) } });
  assert.throws(
    () => db.nodeProp(id, 'big'),
    (error) => error instanceof RangeError && error.code === 'INTEGER_UNSAFE' && /9007199254740992.*bigint/.test(error.message),
  );
  fails(() => db.node(id), 'INTEGER_UNSAFE');
  assert.deepStrictEqual(db.nodeProps(id, { integers: 'bigint' }), { big: 2n ** 53n, small: -(2n ** 63n) });
  // An id that a caller chose: what cannot be returned was not created.
  fails(() => db.createNode({ id: 2n ** 60n, key: 'far' }), 'INTEGER_UNSAFE');
  assert.equal(db.nodeByKey('far'), null);
  const far = db.createNode({ id: 2n ** 60n, key: 'far' }, { integers: 'bigint' });
  assert.strictEqual(far, 2n ** 60n);
  assert.strictEqual(db.nodeByKey('far', { integers: 'bigint' }), far);
  fails(() => db.nodeByKey('far'), 'INTEGER_UNSAFE');
  // After such an error names and values are read as before.
  assert.deepStrictEqual(db.node(far, { integers: 'bigint' }), { id: far, key: 'far', labels: [], props: {} });
});

test('a write whose answer no number says has changed nothing, and its transaction goes on', (t) => {
  const db = memory(t);
  const [a, b] = db.createNodesBatch(['a', 'b']);
  const tx = db.begin();
  const nodes = () => tx.countNodes();
  fails(() => tx.createNode({ id: 2n ** 60n, key: 'far' }), 'INTEGER_UNSAFE', /1152921504606846976, a node id,/);
  fails(() => tx.createNodesBatch(['c', { id: 2n ** 60n }]), 'INTEGER_UNSAFE');
  assert.equal(nodes(), 2);
  const far = tx.createNode({ id: 2n ** 60n, key: 'far', props: { n: 1 } }, { integers: 'bigint' });
  // Ids go on after that one.
  fails(() => tx.createNode('d'), 'INTEGER_UNSAFE');
  fails(() => tx.createNodesBatch(['d', 'e']), 'INTEGER_UNSAFE');
  fails(() => tx.upsertNode('d', { n: 2 }), 'INTEGER_UNSAFE');
  fails(() => tx.upsertNode('far', { n: 2 }), 'INTEGER_UNSAFE');
  fails(() => tx.addParallelEdge(far, 'X', a), 'INTEGER_UNSAFE', /1152921504606846976, src,/);
  fails(() => tx.addParallelEdge(a, 'X', far), 'INTEGER_UNSAFE', /dst/);
  assert.deepEqual([nodes(), tx.countEdges(), tx.nodeByKey('d'), tx.nodeProp(far, 'n')], [3, 0, null, 1]);
  tx.addEdgeByKey({ src: a, type: 'X', dst: b, rank: 2n ** 60n });
  let parallel;
  try {
    parallel = tx.addParallelEdge(a, 'X', b);
  } catch (error) {
    assert.equal(error.code, 'INTEGER_UNSAFE');
  }
  assert.equal(tx.countEdges(), parallel === undefined ? 1 : 2);
  tx.commit();
  assert.deepEqual([db.countNodes(), db.check().clean], [3, true]);
  assert.equal(typeof db.createNode('d', { integers: 'bigint' }), 'bigint');
});

test('an integer that no number says is told with where it is', (t) => {
  const db = memory(t);
  const [a, b] = db.createNodesBatch(Array.from({ length: 40 }, (_, n) => ({ props: { n, m: n === 1 ? 2n ** 53n : n } })));
  db.addEdge(a, 'X', b, { w: -(2n ** 60n) });
  fails(() => db.node(b), 'INTEGER_UNSAFE', new RegExp(`9007199254740992, the property m of node ${b}, is beyond`));
  fails(() => db.nodes().toArray(), 'INTEGER_UNSAFE', /the property m of node/);
  fails(() => db.nodeProp(b, 'm'), 'INTEGER_UNSAFE', /9007199254740992, the property m, is beyond/);
  fails(() => db.edgeBetween(a, 'X', b), 'INTEGER_UNSAFE', new RegExp(`the property w of the edge of type X from ${a} to ${b}, is`));
  fails(() => db.edgeProp(a, 'X', b, 'w'), 'INTEGER_UNSAFE', /the property w/);
  db.createNode({ id: 2n ** 60n, key: 'far' }, { integers: 'bigint' });
  fails(() => db.nodeWithKey('far'), 'INTEGER_UNSAFE', /1152921504606846976, the id of a node, is beyond/);
});

test('a report that names ids is read like they are, by handle or by call', async (t) => {
  const [plain, other, big] = [memory(t), memory(t), memory(t, { integers: 'bigint' })];
  plain.createNode({ id: 2n ** 60n, key: 'far' }, { integers: 'bigint' });
  const element = { kind: 'node', id: 2n ** 60n, key: 'far' };
  // One of the two handles says it, or the call does.
  for (const found of [
    kitedb.compareDeep(plain, big),
    kitedb.compareDeep(big, plain),
    await kitedb.compareDeepAsync(plain, big),
    kitedb.compareDeep(plain, other, { integers: 'bigint' }),
    await kitedb.compareDeepAsync(plain, other, { integers: 'bigint' }),
  ]) {
    assert.deepStrictEqual(found.differences.map((difference) => difference.element), [element]);
    assert.deepStrictEqual([found.differenceCount, typeof found.a.nodes, typeof found.lead], [1n, 'bigint', 'bigint']);
  }
  fails(() => kitedb.compareDeep(plain, other), 'INTEGER_UNSAFE', /give that to the call/);
  await failsLater(kitedb.compareDeepAsync(plain, other), 'INTEGER_UNSAFE');
  const small = kitedb.compare(big, other, { integers: 'number' });
  assert.deepStrictEqual([small.a.nodes, small.differenceCount], [0, 0]);
  assert.strictEqual(kitedb.collectMetrics(plain, { integers: 'bigint' }).data.maxNodeId, 2n ** 60n);
  assert.strictEqual(kitedb.collectMetrics(big, { integers: 'number' }).data.maxNodeId, 0);
  fails(() => kitedb.collectMetrics(plain), 'INTEGER_UNSAFE', /give that to the call/);
  for (const [call, message] of [
    [() => kitedb.compareDeep(plain, other, { integer: 'bigint' }), /compareDeep has no option integer: give integers/],
    [() => kitedb.collectMetrics(plain, { integers: 'big' }), /integers is a string: give 'number' or 'bigint'/],
    [() => kitedb.collectMetrics(plain, 'bigint'), /the options of collectMetrics are a string/],
  ]) {
    fails(call, 'INVALID_ARGUMENT', message);
  }
});

test('what no property can hold is refused, with the way to it', (t) => {
  const db = memory(t);
  const id = db.createNode();
  const wrong = [
    [undefined, /^value is undefined: leave it out, or give null/],
    [() => {}, /^value is a function/],
    [Symbol('s'), /^value is a symbol/],
    [2n ** 63n, /^value is the integer 9223372036854775808, which does not fit 64 bits/],
    [new (class Point {})(), /^value is an instance of Point/],
    [new Set(), /instance of Set/],
    [new Float64Array(1), /instance of Float64Array/],
    [[1, { a: [undefined] }], /^value\[1\]\.a\[0\] is undefined/],
    [new Map([[1, 2]]), /no string/],
    ['\udc00', /surrogate/],
    [new Date(NaN), /invalid/],
  ];
  for (const [value, message] of wrong) {
    assert.throws(() => db.setNodeProp(id, 'value', value), (error) => {
      assert.ok(error instanceof TypeError, error.stack);
      assert.match(error.message, message);
      return true;
    });
  }
  const deep = [];
  deep.push(deep);
  assert.throws(() => db.setNodeProp(id, 'value', deep), /nested deeper than 32/);
  assert.deepEqual(db.nodeProps(id), {});
  let nested = 0;
  for (let depth = 0; depth < 32; depth++) nested = [nested];
  assert.deepEqual(through(db, nested), nested);
});

test('names that mean something to JavaScript are names like others', (t) => {
  const db = memory(t);
  const props = JSON.parse('{"__proto__": 1, "constructor": 2, "toString": {"__proto__": 3}, "hasOwnProperty": 4}');
  const id = db.createNode({ props, labels: ['__proto__', 'constructor'] });
  const read = db.nodeProps(id);
  assert.equal(Object.getPrototypeOf(read), Object.prototype);
  assert.deepEqual(Object.entries(read), Object.entries(props));
  assert.deepEqual(Object.entries(read.toString), [['__proto__', 3]]);
  assert.deepEqual(db.nodeLabels(id), ['__proto__', 'constructor']);
});

test('code of the caller that runs while arguments are written may call on its own', (t) => {
  const db = memory(t);
  const other = db.createNode({ key: 'other', props: { n: 7, text: 'x'.repeat(200) } });
  const props = {
    before: 'y'.repeat(100),
    get n() {
      return db.nodeProp(other, 'n') + db.node(other).props.text.length;
    },
    after: 'z'.repeat(100),
  };
  assert.deepEqual(db.nodeProps(db.createNode({ props })), { before: 'y'.repeat(100), n: 207, after: 'z'.repeat(100) });
  const throws = {
    get n() {
      throw new Error('mine');
    },
  };
  assert.throws(() => db.createNode({ props: throws }), /mine/);
  assert.equal(db.nodeProp(other, 'n'), 7);
});

test('more than fits the buffer goes in and comes out', (t) => {
  const db = memory(t);
  const vector = Float32Array.from({ length: 100_000 }, (_, n) => n);
  const id = db.createNode({ props: { vector, text: 'ä'.repeat(100_000) } });
  assert.deepStrictEqual(db.nodeProp(id, 'vector'), vector);
  assert.equal(db.nodeProps(id).text.length, 100_000);
});

test('dates, times and durations say what they are', () => {
  assert.equal(String(LocalDate.parse('2015-07-21')), '2015-07-21');
  assert.equal(JSON.stringify({ at: LocalTime.parse('09:05') }), '{"at":"09:05:00"}');
  assert.equal(new LocalDate(0).toString(), '1970-01-01');
  assert.equal(new Duration({ months: 14, seconds: -1, nanoseconds: 500_000_000 }).toString(), 'P1Y2MT-0.5S');
  assert.ok(LocalDate.parse('2015-07-21').equals(new LocalDate(16637)));
  assert.ok(!LocalTime.parse('00:00').equals(LocalDate.parse('1970-01-01')));
  assert.ok(Object.isFrozen(new LocalDate(1)));
  assert.throws(() => LocalDate.parse('1970-01-01') < LocalDate.parse('1970-01-02'), TypeError);
  fails(() => LocalDate.parse('2015-02-30'), 'INVALID_ARGUMENT');
  fails(() => new LocalTime(86_400_000_000_000), 'INVALID_ARGUMENT');
  fails(() => new DateTime(0, 0, 100_000), 'INVALID_ARGUMENT');
  fails(() => new Duration({ nanoseconds: 1e9 }), 'INVALID_ARGUMENT');
  const fine = DateTime.parse('2015-07-21T21:40:32.000000001Z');
  assert.throws(() => fine.toJSDate(), RangeError);
  assert.throws(() => DateTime.parse('+999999999-01-01T00:00Z').toJSDate(), RangeError);
  assert.deepEqual(DateTime.parse('1969-12-31T23:59:59.5Z').toJSDate(), new Date(-500));
});

test('objects of Temporal are taken and given where the runtime has them', (t) => {
  const db = memory(t);
  const date = LocalDate.parse('2015-07-21');
  if (globalThis.Temporal === undefined) {
    assert.throws(() => date.toTemporal(), /no Temporal/);
    // What they look like is enough.
    const like = { [Symbol.toStringTag]: 'Temporal.PlainDate', toString: () => '2015-07-21' };
    assert.deepEqual(through(db, like), date);
  } else {
    assert.deepEqual(through(db, date.toTemporal()), date);
  }
});
