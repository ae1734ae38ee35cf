'use strict';
// A primary and a replica, each a process of its own: followed, killed, taken over from, fenced, and back.

const { test } = require('node:test');
const { spawn } = require('node:child_process');
const { join } = require('node:path');
const { createInterface } = require('node:readline');
const { assert, folder } = require('./support.js');

const dir = folder();
const [here, there] = [join(dir, 'here.kitedb'), join(dir, 'there.kitedb')];

function start(t, path, options) {
  const program = join(__dirname, 'processes', 'node.js');
  const child = spawn(process.execPath, [program, path, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.on('exit', resolve));
  t.after(() => child.kill('SIGKILL'));
  const next = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
  };
  const say = (method, ...args) => child.stdin.write(`${JSON.stringify({ method, args })}\n`);
  const tell = async (method, ...args) => {
    say(method, ...args);
    const { result, code, message } = await next();
    assert.equal(code, undefined, message);
    return result;
  };
  const refused = async (method, ...args) => {
    say(method, ...args);
    return (await next()).code;
  };
  return { next, say, tell, refused, ended, kill: () => child.kill('SIGKILL') };
}

test('a primary is killed, its replica loses nothing that was acknowledged, and it comes back as a replica', async (t) => {
  const primary = start(t, here, { replicationRole: 'primary' });
  await primary.tell('createNode', 'ada');
  const follows = { replicationRole: 'replica', replicationSourceDbPath: here };
  const replica = start(t, there, follows);
  await replica.tell('replicaBootstrapFromSnapshotAsync');
  await replica.tell('startFollower');

  primary.say('load', 'n');
  let last;
  while ((last = await primary.next()).n < 200);
  assert.equal(await replica.tell('waitForTokenOutcomeAsync', last.token, 60_000), 'reached');
  primary.kill();
  for (let line; (line = await primary.next()) !== undefined; ) last = line;
  await primary.ended;

  const promotion = await replica.tell('replicaPromoteAsync');
  assert.deepEqual([promotion.epoch, promotion.sourceFenced], [2, true]);
  assert.notEqual(await replica.tell('nodeByKey', `n${last.n}`), null);
  await replica.tell('createNode', 'mary');
  const metrics = await replica.tell('collectReplicationMetricsPrometheus');
  assert.match(metrics, /^kitedb_replication_enabled\{role="primary",database="there.kitedb"\} 1$/m);
  assert.match(metrics, /^kitedb_replication_primary_epoch\{database="there.kitedb"\} 2$/m);

  // What it was opened as before, it is no more.
  const fenced = start(t, here, {});
  assert.equal(await fenced.refused('createNode', 'too late'), 'STALE_PRIMARY');
  fenced.say('closeAsync');
  await fenced.next();
  fenced.kill();
  await fenced.ended;

  const back = start(t, here, { replicationRole: 'replica', replicationSourceDbPath: there });
  // It may have what was never acknowledged, and was not taken over: then it needs a reseed.
  const pulled = await back.refused('replicaCatchUpOnceAsync', 10_000);
  assert.ok(pulled === undefined || pulled === 'NEEDS_RESEED', pulled);
  if (pulled !== undefined) await back.tell('replicaReseedFromSnapshotAsync');
  await back.tell('startFollower');
  replica.say('load', 'm');
  while ((last = await replica.next()).n < 50);
  assert.equal(await back.tell('waitForTokenOutcomeAsync', last.token, 60_000), 'reached');
  replica.kill();
  await replica.ended;
  // What was in the log and not acknowledged when it was killed counts once it is open again.
  const alone = start(t, there, {});
  const digest = await alone.tell('digest');
  assert.equal(await back.tell('waitForTokenOutcomeAsync', await alone.tell('lastCommitToken'), 60_000), 'reached');
  assert.equal(await back.tell('digest'), digest);
  assert.equal((await back.tell('checkAsync')).clean, true);
});
