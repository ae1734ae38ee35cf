'use strict';
// Waits that nobody bounds but whoever makes them: for tokens of commits that may never come, for news of a replica.

const { test } = require('node:test');
const { spawnSync } = require('node:child_process');
const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { assert, failsLater, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();

/** How many threads of this process wait. */
const waiting = () =>
  readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim() === 'kitedb-wait';
    } catch {
      return false;
    }
  }).length;

/** A primary, and the token of the commit that comes so many after its last one. */
function primary(t, name) {
  const db = Database.open(join(dir, name), { replicationRole: 'primary' });
  t.after(() => db.close());
  db.createNode();
  const [epoch, index, tag] = db.lastCommitToken().split(/[:.]/);
  return { db, after: (count) => `${epoch}:${Number(index) + count}.${tag}` };
}

const counted = (words) => words.reduce((counts, word) => ({ ...counts, [word]: (counts[word] ?? 0) + 1 }), {});

test('thousands that wait for tokens share a thread, and each is told what came of its own', async (t) => {
  const { db, after } = primary(t, 'many.kitedb');
  const come = Array.from({ length: 1500 }, (_, n) => db.waitForTokenOutcomeAsync(after(1 + (n % 3)), 1 << 30));
  const others = Array.from({ length: 500 }, () => db.waitForTokenAsync('7:1', 1 << 30));
  const late = Array.from({ length: 500 }, () => db.waitForTokenOutcomeAsync(after(1000), 50));
  const controller = new AbortController();
  const given = Array.from({ length: 500 }, () => db.waitForTokenOutcomeAsync(after(1000), 1 << 30, { signal: controller.signal }));
  assert.ok(waiting() <= 1, `${waiting()} threads wait`);
  assert.deepEqual(counted(await Promise.all(late)), { timed_out: 500 });
  controller.abort();
  const ended = await Promise.allSettled(given);
  assert.deepEqual(counted(ended.map(({ reason }) => reason.name)), { AbortError: 500 });
  for (let n = 0; n < 3; n++) {
    assert.ok(waiting() <= 1, `${waiting()} threads wait`);
    db.createNode();
    await Promise.all(come.filter((_, at) => at % 3 <= n));
  }
  assert.deepEqual(counted(await Promise.all(come)), { reached: 1500 });
  db.primaryPromoteToNextEpoch();
  db.close();
  const closed = await Promise.allSettled(others);
  assert.ok(closed.every(({ value, reason }) => value === false || reason.code === 'CLOSED'));
  assert.equal(waiting(), 0);
});

test('one that has no time to wait is told what is so', async (t) => {
  const { db, after } = primary(t, 'no-time.kitedb');
  assert.equal(await db.waitForTokenOutcomeAsync(after(0), 0), 'reached');
  assert.equal(await db.waitForTokenOutcomeAsync(after(1), 0), 'timed_out');
  assert.equal(await db.waitForTokenOutcomeAsync('0:0', 0), 'reached');
  await failsLater(db.waitForTokenOutcomeAsync('no token', 0), 'INVALID_ARGUMENT');
});

test('more than a process takes are told to come again, and end with it', () => {
  const work = `
    const { Database } = require('@kitedb/core');
    const db = Database.inMemory();
    const ends = [];
    const waits = Array.from({ length: 10_100 }, () => db.waitForTokenAsync('1:99', 2 ** 40).catch((error) => {
      ends.push(error.name + ' ' + error.kind + ' ' + error.retryable + ' ' + error.code);
      // All that are refused are told so while the others wait.
      if (ends.length === 100) db.close();
    }));
    Promise.all(waits).then(() => {
      const counts = {};
      for (const end of ends) counts[end] = (counts[end] ?? 0) + 1;
      console.log(JSON.stringify(counts));
      Database.inMemory().waitForTokenAsync('0:0', 0).then(console.log);
    });
  `;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', work], { cwd: __dirname, encoding: 'utf8', timeout: 60_000 });
  const told = { 'KiteDbError retry_later true WOULD_BLOCK': 100, 'KiteDbError reopen false CLOSED': 10_000 };
  assert.deepEqual([status, stdout, stderr], [0, `${JSON.stringify(told)}\ntrue\n`, '']);
});

test('a process whose waits are all that is left waits for them, and one that has none ends', () => {
  const work = `
    const { Database } = require('@kitedb/core');
    const db = Database.inMemory();
    db.waitForTokenOutcomeAsync('1:99', 20).then(console.log);
  `;
  const { status, stdout } = spawnSync(process.execPath, ['-e', work], { cwd: __dirname, encoding: 'utf8', timeout: 60_000 });
  assert.deepEqual([status, stdout], [0, 'timed_out\n']);
});
