'use strict';
// The cases of tests/conformance/, which Rust and Python run, too: see the README there.

const { test } = require('node:test');
const fs = require('node:fs');
const { mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } = fs;
const { tmpdir } = require('node:os');
const { dirname, join } = require('node:path');
const { assert, kitedb } = require('./support.js');

const { AllTypes, Database, float } = kitedb;
const place = join(__dirname, '..', '..', 'tests', 'conformance');
const errors = JSON.parse(readFileSync(join(place, 'errors.json'), 'utf8'));

const camel = (snake) => snake.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const members = (object, value, name = (name) => name) => Object.fromEntries(Object.entries(object).map(([n, v]) => [name(n), value(v)]));

/** The one member of an object that has one, and begins with `$`. */
function tag(json) {
  if (json === null || typeof json !== 'object' || Array.isArray(json)) return [];
  const names = Object.keys(json);
  return names.length === 1 && names[0].startsWith('$') ? [names[0], json[names[0]]] : [];
}

const temporal = {
  $date: kitedb.LocalDate,
  $local_time: kitedb.LocalTime,
  $time: kitedb.Time,
  $local_date_time: kitedb.LocalDateTime,
  $date_time: kitedb.DateTime,
  $duration: kitedb.Duration,
};

// ------------------------------------------------------------------------------------------------------------ arguments

/** What an argument stands for. */
function argument(json, scene) {
  const [name, inner] = tag(json);
  switch (name) {
    case undefined:
      if (Array.isArray(json)) return json.map((item) => argument(item, scene));
      if (json !== null && typeof json === 'object') return members(json, (value) => argument(value, scene));
      return json;
    case '$integer':
      return BigInt(inner);
    case '$float':
      return float(Number(inner));
    case '$bytes':
      return Uint8Array.from(Buffer.from(inner, 'base64'));
    case '$vector':
      return Float32Array.from(inner, Number);
    case '$map':
      return members(inner, (value) => argument(value, scene));
    case '$ref':
      return Array.isArray(inner) ? inner.slice(1).reduce((found, member) => found[member], scene.named[inner[0]]) : scene.named[inner];
    case '$path':
      return scene.path(inner);
    case '$file':
      return join(place, inner);
    case '$repeat':
      return inner[0].repeat(inner[1]);
    case '$all_types':
      return AllTypes;
    default:
      return temporal[name].parse(inner);
  }
}

// -------------------------------------------------------------------------------------------------------------- results

/**
 * A value as the cases write it. Where integers are bigint, a number is a float; where both are numbers, one that is whole is shown as an
 * integer, here and in what is expected.
 */
function valueShown(value) {
  if (value === undefined) return { $absent: true };
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return integer(value);
  if (typeof value === 'number') return floatShown(value);
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (value instanceof Float32Array) return { $vector: Array.from(value, floatText) };
  if (Array.isArray(value)) return value.map(valueShown);
  for (const [name, type] of Object.entries(temporal)) if (value instanceof type) return { [name]: String(value) };
  const map = members(value, valueShown);
  return tag(map)[0] === undefined ? map : { $map: map };
}

const integer = (value) => (Number.isSafeInteger(Number(value)) ? Number(value) : { $integer: String(value) });
let integers = 'bigint';
const floatShown = (value) => (integers === 'number' && Number.isInteger(value) && !Object.is(value, -0) ? value : { $float: floatText(value) });
const floatText = (value) => (Object.is(value, -0) ? '-0' : String(value));

const graphShown = (element) => ({ ...shown({ ...element, props: null }), props: valueShown(element.props) });
const elements = (rows) => [...rows].map(graphShown);
const value = (result) => valueShown(result);
/** The results that are not those of reports: values, nodes and edges. */
const results = {
  node_prop: value,
  edge_prop: value,
  edge_prop_by_key: value,
  node_props: value,
  edge_props: value,
  edge_props_by_key: value,
  node_vector: value,
  read: value,
  node: (found) => found && graphShown(found),
  node_with_key: (found) => found && graphShown(found),
  edge: (found) => found && graphShown(found),
  edge_between: (found) => found && graphShown(found),
  out_neighbors: elements,
  in_neighbors: elements,
  out_edges: elements,
  in_edges: elements,
  sorted_edges: elements,
  nodes: elements,
  nodes_with_label: elements,
  edges: elements,
};

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What is no value of a property: a report, a number, a text. Its members have the names of Rust. */
function shown(result) {
  if (result === undefined || result === null) return null;
  if (typeof result === 'bigint') return integer(result);
  if (Buffer.isBuffer(result)) return valueShown(result);
  if (typeof result !== 'object') return result;
  if (Array.isArray(result)) return result.map(shown);
  return members(result, shown, snake);
}

/** An expected value, as results are shown. */
function expected(json, scene) {
  const [name, inner] = tag(json);
  switch (name) {
    case undefined:
      if (Array.isArray(json)) return json.map((item) => expected(item, scene));
      if (json !== null && typeof json === 'object') return members(json, (item) => expected(item, scene));
      return typeof json === 'number' && !Number.isInteger(json) ? { $float: floatText(json) } : json;
    case '$integer':
      return integer(BigInt(inner));
    case '$float':
      return floatShown(Number(inner));
    case '$vector':
      return { $vector: Array.from(Float32Array.from(inner, Number), floatText) };
    case '$path':
      return scene.path(inner);
    case '$ref':
      return shown(argument(json, scene));
    case '$has':
    case '$map':
    case '$unordered':
      return { [name]: Array.isArray(inner) ? inner.map((item) => expected(item, scene)) : members(inner, (item) => expected(item, scene)) };
    default:
      return json;
  }
}

function matches(wanted, result) {
  const [name, inner] = tag(wanted);
  switch (name) {
    case '$any':
      return result !== null && tag(result)[0] !== '$absent';
    case '$has':
      return result !== null && typeof result === 'object' && Object.entries(inner).every(([n, item]) => n in result && matches(item, result[n]));
    case '$unordered': {
      const left = Array.isArray(result) ? [...result] : [];
      const all = inner.every((item) => {
        const at = left.findIndex((there) => matches(item, there));
        if (at >= 0) left.splice(at, 1);
        return at >= 0;
      });
      return all && left.length === 0;
    }
    case '$begins':
      return typeof result === 'string' && result.startsWith(inner);
    case '$contains':
      return typeof result === 'string' && result.includes(inner);
    case '$at_least':
      return typeof result === 'number' && result >= inner;
  }
  if (wanted === null || typeof wanted !== 'object') return Object.is(wanted, result) || wanted === result;
  if (result === null || typeof result !== 'object' || Array.isArray(wanted) !== Array.isArray(result)) return false;
  const names = Object.keys(wanted);
  return names.length === Object.keys(result).length && names.every((n) => n in result && matches(wanted[n], result[n]));
}

// ---------------------------------------------------------------------------------------------------------------- steps

const host = {
  exists: (path) => fs.existsSync(path),
  write_file: (path, bytes) => fs.writeFileSync(path, bytes),
  copy(from, to) {
    fs.mkdirSync(dirname(to), { recursive: true });
    fs.cpSync(from, to, { recursive: true });
  },
  remove: (path) => fs.rmSync(path, { recursive: true }),
  hard_link: (from, to) => fs.linkSync(from, to),
  sleep: (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
};

/** How many arguments a call takes before its options, where more than a case gives. */
const before = { open: 1, detach: 1, confirm_moved: 1, confirm_replicas_at: 1, repair: 1, remove_replica_at: 2, run_retention_at: 2 };

/** Whether an integer is expected that no number says exactly. */
const holdsUnsafe = (json) => JSON.stringify(json ?? null).includes('"$integer"');

class Scene {
  constructor(t, options) {
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'kitedb-case-')));
    this.named = {};
    this.opened = [];
    t.after(() => {
      for (const db of this.opened) db.close();
      rmSync(this.folder, { recursive: true, force: true });
    });
    if (options !== undefined) this.named.db = this.open(this.path('db.kitedb'), options);
  }

  path(name) {
    return join(this.folder, name);
  }

  open(path, options) {
    const db = Database.open(path, { integers, ...options });
    this.opened.push(db);
    return db;
  }

  run({ on = 'db', call, args = [], with: given }) {
    const values = args.map((arg) => argument(arg, this));
    const options = given && members(given, (value) => argument(value, this), camel);
    if (on === 'host') return host[call](...values);
    if (on === 'Database' && (call === 'open' || call === 'in_memory')) return this.open(call === 'open' ? values[0] : ':memory:', options);
    // What is described by name alone is one object.
    if (options !== undefined) {
      while (values.length < (before[call] ?? 0)) values.push(undefined);
      values.push(options);
    }
    if (call === 'run_retention_at') values[1] = members(values[1], (value) => value, camel);
    const target = on === 'kitedb' ? kitedb : on === 'Database' ? Database : this.named[on];
    const member = target[camel(call)];
    return typeof member === 'function' ? member.apply(target, values) : member;
  }

  step(step) {
    let result;
    try {
      result = this.run(step);
      if (integers === 'number') assert.ok(!holdsUnsafe(step.gives), 'no number says what it gave');
      // A scan is done where its result is looked at.
      if (results[step.call] === elements) result = [...result];
    } catch (error) {
      if (error.code === 'INTEGER_UNSAFE' && integers === 'number' && holdsUnsafe(step.gives)) return;
      assert.ok(step.fails !== undefined, error.stack);
      assert.equal(error.code, step.fails, error.stack);
      const kind = errors[error.code]?.kind;
      assert.equal(error.kind, kind);
      assert.equal(error.retryable, kind === 'retry_transaction' || kind === 'retry_later');
      if (step.says !== undefined) assert.ok(error.message.toLowerCase().includes(step.says.toLowerCase()), error.message);
      return;
    }
    if (step.as !== undefined) this.named[step.as] = result;
    assert.equal(step.fails, undefined, 'it did not fail');
    if (!('gives' in step)) return;
    const wanted = expected(step.gives, this);
    const found = (results[step.call] ?? shown)(result);
    assert.ok(matches(wanted, found), `it gave ${JSON.stringify(found)}`);
  }
}

for (const file of readdirSync(join(place, 'cases'))) {
  const { subject, cases } = JSON.parse(readFileSync(join(place, 'cases', file), 'utf8'));
  for (const { name, open, options = {}, steps } of cases) {
    for (const how of ['bigint', 'number']) {
      test(`${subject}: ${name}, with integers as ${how}`, (t) => {
        integers = how;
        const scene = new Scene(t, open === false ? undefined : members(options, (value) => value, camel));
        steps.forEach((step, nth) => {
          try {
            scene.step(step);
          } catch (error) {
            error.message = `step ${nth + 1}, ${JSON.stringify(step).slice(0, 300)}: ${error.message}`;
            throw error;
          }
        });
      });
    }
  }
}

test('every error code of the engine is declared with its kind', () => {
  const text = readFileSync(join(__dirname, '..', 'index.d.ts'), 'utf8');
  for (const [code, { kind }] of Object.entries(errors)) {
    assert.ok(text.includes(`| '${code}'`), `ErrorCode lacks ${code}`);
    assert.ok(text.includes(`| '${kind}'`), `ErrorKind lacks ${kind}`);
  }
});
