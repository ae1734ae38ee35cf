'use strict';

const assert = require('node:assert/strict');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { after } = require('node:test');

const kitedb = require('@kitedb/core');
const { begin, call } = require('../lib/call.js');

/** A folder that is gone after the tests of this file. */
function folder() {
  const dir = mkdtempSync(join(tmpdir(), 'kitedb-node-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A new database in memory, closed when the test ends. */
function memory(t, options) {
  const db = kitedb.Database.inMemory(options);
  t.after(() => db.close());
  return db;
}

/** Checks that `f` throws what has that code. */
function fails(f, code, message) {
  assert.throws(f, (error) => {
    assert.equal(error.code, code, error.stack);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}

/** Checks that a promise is rejected with that code. */
async function failsLater(promise, code, message) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, error.stack);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}

/** How many things the addon holds for this thread. */
const held = () => call('held_count', begin()).handle();

/** Collects what nobody has any more until a condition holds, which it must sometime. */
async function collected(until) {
  for (let tries = 0; !until() && tries < 400; tries++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(until(), 'what nobody has any more is still held');
}

module.exports = { assert, collected, fails, failsLater, folder, held, kitedb, memory };
