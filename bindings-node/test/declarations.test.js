'use strict';

const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { assert, kitedb } = require('./support.js');

const text = readFileSync(join(__dirname, '..', 'index.d.ts'), 'utf8');

/** The members that a class or interface is declared with, its static ones apart. */
function declared(name) {
  const members = { own: new Set(), static: new Set() };
  for (const [, block] of text.matchAll(new RegExp(`^(?:export )?(?:class|interface) ${name}\\b[^\\n]*\\{\\n(.*?)^\\}`, 'gms'))) {
    for (const [, fixed, member] of block.matchAll(/^ {2}(static )?(?:readonly )?(\w+)(?:\?)?[(<:]/gm)) {
      if (member !== 'constructor') members[fixed ? 'static' : 'own'].add(member);
    }
  }
  return members;
}

/** The members that a class has, those that it inherits included. */
function present(type) {
  const names = new Set();
  for (let of = type.prototype; of !== Object.prototype; of = Object.getPrototypeOf(of)) {
    for (const name of Object.getOwnPropertyNames(of)) if (name !== 'constructor') names.add(name);
  }
  return names;
}

const sorted = (names) => [...names].sort();

for (const [name, ...inherited] of [
  ['Database', 'GraphReader', 'GraphWriter'],
  ['Transaction', 'GraphReader', 'GraphWriter'],
  ['BulkLoader', 'GraphReader', 'GraphWriter'],
  ['Snapshot', 'GraphReader'],
  ['Pending'],
  ['Exporter'],
]) {
  test(`${name} has what it is declared with, and nothing else`, () => {
    const all = [name, ...inherited].flatMap((from) => [...declared(from).own]);
    assert.deepEqual(sorted(present(kitedb[name])), sorted(new Set(all)));
    const own = Object.getOwnPropertyNames(kitedb[name]).filter((member) => !['length', 'name', 'prototype'].includes(member));
    assert.deepEqual(sorted(own), sorted(declared(name).static));
  });
}

test('what is exported is declared, and what is declared is exported', () => {
  const values = text.matchAll(/^export (?:abstract )?(?:function|const|class) (\w+)/gm);
  const names = [...values].map(([, name]) => name);
  for (const [, listed] of text.matchAll(/^export \{([^}]*)\} from/gm)) names.push(...listed.match(/\w+/g));
  assert.deepEqual(sorted(Object.keys(kitedb)), sorted(new Set(names)));
});

test('a module lists what is exported', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(__dirname, '..', 'scripts', 'modules.mjs'), '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('every option of an open that is declared is taken', () => {
  const options = declared('OpenOptions').own;
  assert.ok(options.size > 20);
  // An option that is not there is refused by its name, before anything else is looked at.
  assert.throws(
    () => kitedb.Database.open('x', { nothing: 1 }),
    (error) => {
      const known = error.message.replace(/.*: give /, '').split(', ');
      assert.deepEqual(sorted(known), sorted([...options, ...declared('HandleOptions').own, ...declared('IntegersOption').own]));
      return true;
    },
  );
  assert.throws(
    () => kitedb.pushReplicationMetricsOtelJsonWithOptions(kitedb.Database.inMemory(), 'http://x', { nothing: 1 }),
    (error) => {
      const known = error.message.replace(/.*: give /, '').split(', ');
      assert.deepEqual(sorted(known), sorted(declared('PushReplicationMetricsOtelOptions').own));
      return true;
    },
  );
});
