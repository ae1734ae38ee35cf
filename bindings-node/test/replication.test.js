'use strict';

const { test } = require('node:test');
const { dirname, join } = require('node:path');
const { cpSync, mkdirSync, writeFileSync } = require('node:fs');
const { assert, fails, folder, kitedb } = require('./support.js');

const { Database } = kitedb;
const dir = folder();
let made = 0;

/** A primary and a replica of it that holds what it held. */
function pair(t, options) {
  const own = join(dir, `pair${made++}`);
  mkdirSync(own);
  const [here, there] = [join(own, 'here.kitedb'), join(own, 'there.kitedb')];
  const primary = Database.open(here, { replicationRole: 'primary', ...options });
  primary.createNode('ada');
  const replica = Database.open(there, { replicationRole: 'replica', replicationSourceDbPath: here, replicationName: 'there' });
  t.after(() => {
    replica.close();
    primary.close();
  });
  return { primary, replica, here, there };
}

function commit(db, key) {
  const tx = db.begin();
  tx.createNode(key);
  return tx.commit();
}

test('a replica is bootstrapped, pulls, and holds the same graph', (t) => {
  const { primary, replica, here } = pair(t);
  assert.deepEqual([primary.replicationRole, replica.replicationRole], ['primary', 'replica']);
  replica.replicaBootstrapFromSnapshot();
  commit(primary, 'charles');
  commit(primary, 'mary');
  assert.equal(replica.replicaCatchUpOnce(1), 1);
  assert.equal(replica.replicaCatchUpOnce(0), 1);
  assert.equal(replica.replicaCatchUpOnce(100), 0);
  assert.equal(replica.digest(), primary.digest());
  const found = kitedb.compare(primary, replica);
  assert.deepEqual([found.equal, found.lead, found.differences, found.elementsCompared], [true, 0, [], false]);
  assert.equal(kitedb.compareDeep(primary, replica).elementsCompared, true);
  fails(() => replica.createNode('x'), 'REPLICA_READ_ONLY');

  const status = replica.replicaReplicationStatus();
  assert.deepEqual(
    [status.role, status.appliedEpoch, status.appliedLogIndex, status.needsReseed, status.lastError, status.state, status.sourceDbPath],
    ['replica', 1, 3, false, null, 'following', here],
  );
  assert.equal(primary.replicaReplicationStatus(), null);
  assert.equal(replica.primaryReplicationStatus(), null);
  const leads = primary.primaryReplicationStatus();
  assert.deepEqual([leads.role, leads.epoch, leads.headLogIndex, leads.retainedFloor, leads.lastToken], ['primary', 1, 3, 0, '1:3']);
  assert.deepEqual([leads.appendAttempts, leads.appendFailures, leads.appendSuccesses, leads.fault], [3, 0, 3, null]);
  assert.deepEqual(
    leads.replicaLags.map((lag) => [lag.name, lag.epoch, lag.appliedLogIndex, lag.lagFrames, lag.hold]),
    [['there', 1, 3, 0, 'held']],
  );
});

test('a commit is waited for by its token, with what came of it', async (t) => {
  const { primary, replica } = pair(t);
  await replica.replicaBootstrapFromSnapshotAsync();
  const token = commit(primary, 'charles');
  assert.equal(replica.waitForToken(token, 0), false);
  assert.equal(replica.waitForTokenOutcome(token, 0), 'timed_out');
  const waits = [replica.waitForTokenOutcomeAsync(token, 60_000), replica.waitForTokenAsync(token, 60_000)];
  replica.startFollower({ pollMs: 1000, backoffMs: 10 });
  assert.deepEqual(await Promise.all(waits), ['reached', true]);
  assert.equal(replica.replicaReplicationStatus().followerRunning, true);
  assert.ok((await replica.replicaWaitForNewsAsync(0, 60_000)) > 0);
  await replica.stopFollowerAsync();
  assert.equal(replica.replicaReplicationStatus().followerRunning, false);
  assert.equal(primary.waitForToken(token, 0), true);
  assert.equal(primary.waitForToken('1:2', 0), true);
  fails(() => replica.waitForToken('nonsense', 0), 'INVALID_ARGUMENT', /Failed waiting for token: Invalid commit token/);
  assert.throws(() => replica.waitForToken(token, -1), /timeoutMs must be non-negative/);
  fails(() => primary.startFollower(), 'NOT_REPLICA', /replica role/);
  fails(() => replica.startFollower({ pollsMs: 1 }), 'INVALID_OPTION', /pollMs/);
});

test('a wait is ended by its signal, and its thread with it', async (t) => {
  const { primary, replica } = pair(t);
  replica.replicaBootstrapFromSnapshot();
  const controller = new AbortController();
  const waits = [
    replica.waitForTokenAsync('1:99', 1 << 30, { signal: controller.signal }),
    primary.waitForTokenOutcomeAsync('1:99', 1 << 30, { signal: controller.signal }),
    replica.replicaWaitForNewsAsync(1 << 30, 1 << 30, { signal: controller.signal }),
  ];
  await new Promise(setImmediate);
  controller.abort();
  const ended = await Promise.allSettled(waits);
  assert.deepEqual(ended.map(({ reason }) => [reason?.name, reason?.code]), waits.map(() => ['AbortError', 'CANCELLED']));
  const later = new AbortController();
  const reached = replica.waitForTokenAsync('1:1', 1 << 30, { signal: later.signal });
  assert.equal(await reached, true);
  later.abort();
});

test('each long call ends before it begins where its signal is aborted', async (t) => {
  const { primary, replica } = pair(t);
  const signal = AbortSignal.abort();
  const calls = [
    primary.checkpointAsync({ signal }),
    primary.compactAsync({ signal }),
    primary.compactStepAsync({ signal }),
    primary.syncAsync({ signal }),
    primary.checkAsync({ signal }),
    primary.statsAsync({ signal }),
    primary.primaryRunRetentionAsync({ signal }),
    primary.primaryReplicationStatusAsync({ signal }),
    primary.primaryExportSnapshotAsync({ signal }),
    primary.exportReplicationLogTransportJsonAsync(null, 1, 1024, true, { signal }),
    kitedb.collectReplicationSnapshotTransportJsonAsync(primary, false, { signal }),
    primary.begin().commitAsync({ signal }),
    primary.closeAsync({ signal }),
    replica.replicaBootstrapFromSnapshotAsync({ signal }),
    replica.replicaReseedFromSnapshotAsync({ signal }),
    replica.replicaCopySourceAsync({ signal }),
    replica.replicaCatchUpOnceAsync(1, { signal }),
    replica.replicaPromoteAsync(false, { signal }),
    replica.replicaRivalsAsync({ signal }),
    replica.startFollowerAsync({}, { signal }),
    replica.waitForTokenAsync('1:1', 1, { signal }),
    kitedb.compareAsync(primary, replica, { signal }),
    Database.openAsync(join(dir, 'never.kitedb'), {}, { signal }),
  ];
  const ended = await Promise.allSettled(calls);
  assert.deepEqual(ended.map(({ reason }) => reason?.code), calls.map(() => 'CANCELLED'));
  assert.deepEqual([primary.isOpen, replica.replicationRole], [true, 'replica']);
});

test('a replica takes over, and the old primary follows it', async (t) => {
  const { primary, replica, here, there } = pair(t);
  await replica.replicaBootstrapFromSnapshotAsync();
  const token = commit(primary, 'charles');
  const promotion = await replica.replicaPromoteAsync();
  assert.deepEqual(
    [promotion.epoch, promotion.lastKept, promotion.sourceFenced, promotion.rivalEpoch],
    [2, token, true, null],
  );
  assert.equal(replica.replicationRole, 'primary');
  assert.equal(replica.tookOverFrom(), here);
  replica.requireCommits();
  fails(() => primary.requireCommits(), 'STALE_PRIMARY');
  assert.equal(primary.replicationLogIsDenied, false);
  assert.throws(
    () => primary.createNode('too late'),
    (error) => error.code === 'STALE_PRIMARY' && error.kind === 'fenced' && /stale primary/.test(error.message),
  );
  assert.deepEqual([primary.primaryReplicationStatus().fenced, primary.primaryRivals().map((rival) => rival.db)], [true, [there]]);
  assert.match(commit(replica, 'mary'), /^2:/);
  assert.equal(replica.waitForTokenOutcome('1:3', 0), 'epoch_changed');
  primary.close();
  const back = Database.open(here, { replicationRole: 'replica', replicationSourceDbPath: there });
  assert.equal(back.replicaCatchUpOnce(1000), 1);
  assert.equal(back.digest(), replica.digest());
  back.close();
});

test('a primary begins the next epoch, and another handle to its log is fenced', (t) => {
  const { primary, here } = pair(t);
  const other = Database.open(here);
  assert.equal(primary.primaryPromoteToNextEpoch(), 2);
  assert.match(commit(primary, 'b'), /^2:/);
  fails(() => other.createNode('c'), 'STALE_PRIMARY');
  other.close();
  assert.equal(primary.primaryPromoteByForce(), 3);
});

test('a replica that needs one is reseeded', (t) => {
  const { primary, replica } = pair(t, { replicationRetentionMinEntries: 0, replicationSegmentMaxBytes: 1 });
  replica.replicaBootstrapFromSnapshot();
  const id = replica.replicaReplicationStatus().replicaId;
  assert.equal(primary.primaryRemoveReplica('there'), true);
  assert.equal(primary.primaryRemoveReplica('there'), false);
  for (let n = 0; n < 5; n++) commit(primary, `n${n}`);
  primary.checkpoint();
  const { prunedSegments, retainedFloor } = primary.primaryRunRetention();
  assert.ok(prunedSegments > 0 && retainedFloor > 1, `${prunedSegments} ${retainedFloor}`);
  fails(() => replica.replicaCatchUpOnce(10), 'NEEDS_RESEED', /Failed replica catch-up: /);
  const status = replica.replicaReplicationStatus();
  assert.deepEqual([status.needsReseed, status.state, status.replicaId], [true, 'needs_reseed', id]);
  replica.replicaReseedFromSnapshot();
  assert.equal(replica.replicaReplicationStatus().needsReseed, false);
  assert.equal(replica.digest(), primary.digest());
});

test('progress is reported for who cannot report itself', (t) => {
  const { primary, replica } = pair(t);
  primary.primaryReportReplicaProgress('elsewhere', 1, 1);
  assert.deepEqual(primary.primaryReplicationStatus().replicaLags.map((lag) => [lag.replicaId, lag.appliedLogIndex]), [['elsewhere', 1]]);
  fails(() => primary.primaryReportReplicaProgress('x', 2, 1), 'EPOCH_MISMATCH', /Failed to report replica progress: .*epoch mismatch/);
  assert.throws(() => primary.primaryReportReplicaProgress('x', -1, 1), /epoch and appliedLogIndex must be non-negative/);
  fails(() => replica.primaryReportReplicaProgress('x', 1, 1), 'NOT_PRIMARY', /not opened in primary role/);
});

test('long calls tell how far they are', async (t) => {
  const { primary, replica } = pair(t);
  primary.createNodesBatch(Array.from({ length: 20_000 }, (_, n) => ({ key: `n${n}`, props: { n } })));
  const phases = new Set();
  const onProgress = ({ phase, done, total }) => {
    assert.ok(done >= 0 && (total === null || done <= total), `${phase} ${done} ${total}`);
    phases.add(phase);
  };
  await replica.replicaBootstrapFromSnapshotAsync({ onProgress });
  await primary.checkAsync({ onProgress });
  await primary.compactAsync({ onProgress });
  await kitedb.compareDeepAsync(primary, replica, { onProgress });
  assert.ok(phases.has('check') && phases.has('copy') && phases.has('compare'), [...phases].join());
  await assert.rejects(primary.checkAsync({ onProgress: 5 }), TypeError);
  await assert.rejects(primary.checkAsync({ progress: 5 }), /signal or onProgress/);
  const controller = new AbortController();
  const ended = primary.checkAsync({ signal: controller.signal, onProgress: () => controller.abort() });
  const [{ reason }] = await Promise.allSettled([ended]);
  assert.ok(reason === undefined || reason.code === 'CANCELLED');
});

test('a replica is pointed at another source', (t) => {
  const { primary, replica, here } = pair(t);
  replica.replicaBootstrapFromSnapshot();
  const third = Database.open(join(dir, 'third.kitedb'), { replicationRole: 'replica', replicationSourceDbPath: here });
  third.replicaCopySource();
  commit(primary, 'b');
  third.replicaCatchUpOnce(10);
  replica.replicaRepoint(third.path);
  assert.equal(replica.replicaCatchUpOnce(10), 1);
  assert.equal(replica.replicaReplicationStatus().sourceDbPath, third.path);
  assert.deepEqual(replica.replicaRivals().map((rival) => [rival.db, rival.leads]), [[here, 1]]);
  fails(() => replica.replicaRepoint(join(dir, 'nowhere.kitedb')), 'INVALID_OPTION', /source db path does not exist/);
  third.close();
});

test('a log and a snapshot are carried by hosts, as JSON and as bytes', async (t) => {
  const { primary, replica } = pair(t);
  commit(primary, 'b');
  const page = JSON.parse(kitedb.collectReplicationLogTransportJson(primary));
  assert.deepEqual([page.version, page.epoch, page.head_log_index, page.frame_count, page.eof], [1, 1, 2, 2, true]);
  const first = JSON.parse(kitedb.collectReplicationLogTransportJson(primary, ' ', 1, 1 << 20, false));
  assert.equal(first.frame_count, 1);
  const rest = JSON.parse(await kitedb.collectReplicationLogTransportJsonAsync(primary, first.next_cursor));
  assert.deepEqual(rest.frames, page.frames.slice(1));
  const snapshot = JSON.parse(kitedb.collectReplicationSnapshotTransportJson(primary, true));
  assert.equal(snapshot.format, 'single-file-db-copy');
  const copy = join(dir, 'carried.kitedb');
  writeFileSync(copy, Buffer.from(snapshot.data_base64, 'base64'));
  assert.equal(JSON.parse(await kitedb.collectReplicationSnapshotTransportJsonAsync(primary)).data_base64, null);

  const image = primary.primaryExportSnapshot();
  assert.deepEqual([image.epoch, image.checkpointLogIndex, image.startCursor], [1, 2, '1:0:0:3']);
  const bytes = [];
  for (let at = 0; at < image.byteLength; at += 1000) bytes.push(image.read(at, Math.min(1000, image.byteLength - at)));
  writeFileSync(join(dir, 'image.kitedb'), Buffer.concat(bytes));
  fails(() => image.read(image.byteLength, 1), 'INVALID_ARGUMENT');
  image.release();
  fails(() => image.read(0, 1), 'FINISHED');
  for (const name of ['carried', 'image']) {
    const db = Database.open(join(dir, `${name}.kitedb`), { readOnly: true });
    assert.equal(db.digest(), primary.digest());
    db.close();
  }

  fails(() => kitedb.collectReplicationLogTransportJson(primary, 'x'), 'INVALID_CURSOR', /Failed to export replication log: .*invalid cursor/);
  assert.throws(() => kitedb.collectReplicationLogTransportJson(primary, null, 0), /maxFrames must be positive/);
  assert.throws(() => kitedb.collectReplicationLogTransportJson(primary, null, 1, -1), /maxBytes must be positive/);
  fails(() => kitedb.collectReplicationLogTransportJson(replica), 'NOT_PRIMARY', /not opened in primary role/);
  assert.throws(() => kitedb.collectReplicationLogTransportJson({}), /db is/);
});

test('files are what their operator says', async (t) => {
  const { primary, replica, here, there } = pair(t);
  replica.replicaBootstrapFromSnapshot();
  fails(() => Database.detach(there), 'LOCKED');
  const windows = { minEntries: 1, minMs: 0, maxBytes: 1 << 30, maxLagMs: 1 << 30 };
  assert.deepEqual(Database.runRetentionAt(here, windows), { prunedSegments: 0, retainedFloor: 0 });
  Database.confirmReplicasAt(here);
  assert.equal(Database.removeReplicaAt(here, 'nobody'), null);
  const id = replica.replicaReplicationStatus().replicaId;
  assert.equal(await Database.removeReplicaAtAsync(here, 'there'), id);
  replica.replicaCatchUpOnce(1);
  replica.close();
  const detached = await Database.detachAsync(there);
  assert.deepEqual([detached.lastToken.replace(/\..*/, ''), detached.leftSource, detached.followers], ['1:1', here, []]);
  const alone = Database.open(there);
  assert.equal(alone.replicationRole, 'disabled');
  alone.close();
  primary.close();
  const repair = Database.repair(here, { dryRun: true });
  assert.deepEqual([repair.clean, repair.found, repair.done], [true, [], false]);
  fails(() => Database.repair(here, { cutAt: 'x' }), 'INVALID_ARGUMENT');
  fails(() => Database.confirmMoved(here), 'INVALID_ARGUMENT');
  const copy = join(dir, 'copy');
  cpSync(dirname(here), copy, { recursive: true });
  const copied = Database.open(join(copy, 'here.kitedb'));
  assert.deepEqual([copied.isCopied, copied.replicationLogFault === null], [true, false]);
  copied.close();
});

test('what a replica is opened with must make one', () => {
  const options = { replicationRole: 'replica' };
  const path = join(dir, 'unmade.kitedb');
  fails(() => Database.open(path, options), 'INVALID_OPTION', /source db path.*not configured/);
  fails(() => Database.open(path, { ...options, replicationSourceDbPath: join(dir, 'none') }), 'INVALID_OPTION', /source db path does not exist/);
  fails(() => Database.open(path, { ...options, replicationSourceDbPath: dir }), 'INVALID_OPTION', /source db path must be a file/);
  const db = Database.open(join(dir, 'alone.kitedb'));
  fails(() => db.primaryPromoteToNextEpoch(), 'NOT_PRIMARY', /Failed to promote primary: .*not opened in primary role/);
  fails(() => db.replicaBootstrapFromSnapshot(), 'NOT_REPLICA', /Failed to bootstrap replica: .*replica role/);
  fails(() => db.replicaReseedFromSnapshot(), 'NOT_REPLICA', /Failed to reseed replica/);
  assert.throws(() => db.replicaCatchUpOnce(-1), /maxFrames must be non-negative/);
  db.close();
});
