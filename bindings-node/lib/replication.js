'use strict';
// Replication: the methods of Database, and what an operator says of files.

const { begin, call } = require('./call.js');
const { invalid } = require('./errors.js');
const { Database, openTo, pathOf } = require('./database.js');
const { BIG, HANDLE } = require('./graph.js');
const { countTo, pair } = require('./pairs.js');
const { registry, release } = require('./release.js');
const { INTERNAL, onlyHere } = require('./transaction.js');
const { markAsUncloneable } = require('./uncloneable.js');
const { describe } = require('./writer.js');

const none = () => undefined;
const proto = Database.prototype;

pair(proto, 'primaryReplicationStatus', { op: 'primary_replication_status' });
pair(proto, 'replicaReplicationStatus', { op: 'replica_replication_status' });
pair(proto, 'primaryRemoveReplica', { op: 'primary_remove_replica', arity: 1, args: (w, replica) => w.text(replica, 'replica') });
pair(proto, 'primaryRunRetention', { op: 'primary_run_retention', context: 'Failed to run retention' });
pair(proto, 'primaryPromoteToNextEpoch', { op: 'primary_promote_to_next_epoch', context: 'Failed to promote primary' });
pair(proto, 'primaryPromoteByForce', { op: 'primary_promote_by_force', context: 'Failed to promote primary' });
pair(proto, 'primaryRivals', { op: 'primary_rivals' });
pair(proto, 'replicaRivals', { op: 'replica_rivals' });
pair(proto, 'replicaBootstrapFromSnapshot', {
  op: 'replica_bootstrap_from_snapshot',
  long: true,
  result: none,
  context: 'Failed to bootstrap replica',
});
pair(proto, 'replicaReseedFromSnapshot', {
  op: 'replica_bootstrap_from_snapshot',
  long: true,
  result: none,
  context: 'Failed to reseed replica',
});
pair(proto, 'replicaCopySource', { op: 'replica_copy_source', long: true, context: 'Failed to bootstrap replica' });
pair(proto, 'replicaCatchUpOnce', {
  op: 'replica_catch_up_once',
  arity: 1,
  args: (w, maxFrames) => countTo(w, maxFrames, 'maxFrames'),
  context: 'Failed replica catch-up',
});
pair(proto, 'replicaPromote', {
  op: 'replica_promote',
  long: true,
  arity: 1,
  args: (w, force = false) => {
    if (typeof force !== 'boolean') throw invalid(`force is ${describe(force)}: give true or false`);
    w.bool(force);
  },
});
pair(proto, 'replicaRepoint', {
  op: 'replica_repoint',
  arity: 2,
  args: (w, sourceDbPath, sourceSidecarPath) => {
    w.text(pathOf(sourceDbPath), 'sourceDbPath');
    w.optionalText(sourceSidecarPath, 'sourceSidecarPath');
  },
  result: none,
});
pair(proto, 'replicaWaitForNews', {
  op: 'replica_wait_for_news',
  arity: 2,
  args: (w, seen, timeoutMs) => {
    countTo(w, seen, 'seen');
    countTo(w, timeoutMs, 'timeoutMs');
  },
  alone: true,
});
pair(proto, 'startFollower', { op: 'start_follower', arity: 1, args: (w, options) => w.options(options), result: none });
pair(proto, 'stopFollower', { op: 'stop_follower', long: true, result: none });

const wait = {
  op: 'wait_for_token_outcome',
  arity: 2,
  args: (w, token, timeoutMs) => {
    w.text(token, 'token');
    countTo(w, timeoutMs, 'timeoutMs');
  },
  context: 'Failed waiting for token',
  alone: true,
};
pair(proto, 'waitForTokenOutcome', wait);
pair(proto, 'waitForToken', { ...wait, result: (r) => r.value() === 'reached' });

const snapshotJson = {
  op: 'snapshot_transport_json',
  long: true,
  arity: 1,
  args: (w, includeData = false) => {
    if (typeof includeData !== 'boolean') throw invalid(`includeData is ${describe(includeData)}: give true or false`);
    w.bool(includeData);
  },
  context: 'Failed to export replication snapshot',
};
const logJson = {
  op: 'log_transport_json',
  arity: 4,
  args: (w, cursor, maxFrames = 128, maxBytes = 1_048_576, includePayload = true) => {
    if (typeof includePayload !== 'boolean') throw invalid(`includePayload is ${describe(includePayload)}: give true or false`);
    w.optionalText(cursor, 'cursor');
    countTo(w, maxFrames, 'maxFrames', { positive: true });
    countTo(w, maxBytes, 'maxBytes', { positive: true });
    w.bool(includePayload);
  },
  context: 'Failed to export replication log',
};
pair(proto, 'exportReplicationSnapshotTransportJson', snapshotJson);
pair(proto, 'exportReplicationLogTransportJson', logJson);

/** An image of a primary's database, which stays readable until it is released. */
class ExportedSnapshot {
  constructor(internal, r) {
    onlyHere(internal, 'ExportedSnapshot', 'db.primaryExportSnapshot() gives one');
    const handle = r.handle();
    const told = () => ({
      generatedAtMs: r.u64(),
      epoch: r.u64(),
      headLogIndex: r.u64(),
      retainedFloor: r.u64(),
      checkpointLogIndex: r.u64(),
      byteLength: r.u64(),
      digest: r.text(),
      startCursor: r.text(),
    });
    try {
      Object.assign(this, told());
    } catch (error) {
      release(handle);
      throw error;
    }
    Object.defineProperty(this, HANDLE, { value: handle });
    markAsUncloneable(this);
    registry.register(this, handle, this);
    Object.freeze(this);
  }

  /** Exactly `length` bytes of the image at `offset`. */
  read(offset, length) {
    const w = begin();
    w.handle(this[HANDLE]);
    countTo(w, offset, 'offset');
    if (!Number.isInteger(length) || length < 0 || length > 0x7fffffff) {
      throw invalid(`length is ${describe(length)}: give a whole number below 2 GiB`);
    }
    w.u32(length);
    return call('snapshot_export_read', w).blob();
  }

  release() {
    registry.unregister(this);
    release(this[HANDLE]);
  }

  [Symbol.dispose]() {
    this.release();
  }
}

pair(proto, 'primaryExportSnapshot', {
  op: 'export_snapshot',
  long: true,
  result: (r) => new ExportedSnapshot(INTERNAL, r),
  context: 'Failed to export replication snapshot',
});

Object.defineProperties(proto, {
  primaryReportReplicaProgress: {
    value(replicaId, epoch, appliedLogIndex) {
      const w = begin();
      w.handle(this[HANDLE]);
      w.text(replicaId, 'replicaId');
      if (epoch < 0 || appliedLogIndex < 0) throw invalid('epoch and appliedLogIndex must be non-negative');
      countTo(w, epoch, 'epoch');
      countTo(w, appliedLogIndex, 'appliedLogIndex');
      try {
        call('primary_report_replica_progress', w);
      } catch (error) {
        error.message = `Failed to report replica progress: ${error.message}`;
        throw error;
      }
    },
    configurable: true,
    writable: true,
  },
  tookOverFrom: {
    value() {
      const w = begin();
      w.handle(this[HANDLE]);
      const r = call('took_over_from', w);
      return r.optional(r.text);
    },
    configurable: true,
    writable: true,
  },
});

// What is asked of files, whether or not a process has them open.
const pathThen = (rest) => (w, path, ...given) => {
  w.text(pathOf(path), 'path');
  rest(w, ...given);
};
const open = (w, options) => w.options(options);
pair(Database, 'detach', { op: 'detach', arity: 2, args: openTo });
pair(Database, 'confirmMoved', { op: 'confirm_moved', arity: 2, args: openTo });
pair(Database, 'repair', { op: 'repair', long: true, arity: 2, args: pathThen(open) });
pair(Database, 'confirmReplicasAt', { op: 'confirm_replicas_at', arity: 2, args: openTo, result: none });
pair(Database, 'removeReplicaAt', {
  op: 'remove_replica_at',
  arity: 3,
  args: pathThen((w, replica, options) => {
    w.text(replica, 'replica');
    w.options(options);
  }),
});
pair(Database, 'runRetentionAt', {
  op: 'run_retention_at',
  arity: 3,
  args: pathThen((w, windows, options) => {
    w.options(options);
    w.options(windows);
  }),
});

function database(db, what = 'db') {
  if (!(db instanceof Database)) throw invalid(`${what} is ${describe(db)}: give a Database`);
  return db;
}

// The names of the runbook: free functions that take the database.
const free = {};
function compareTo(deep) {
  return {
    op: 'compare',
    long: true,
    arity: 2,
    args: (w, a, b) => {
      w.handle(database(a, 'a')[HANDLE]);
      w.handle(database(b, 'b')[HANDLE]);
      w.bool(deep);
    },
    // What differs is named by its ids, of which either may have such ones.
    big: (a, b) => database(a, 'a')[BIG] || database(b, 'b')[BIG],
  };
}
pair(free, 'compare', compareTo(false));
pair(free, 'compareDeep', compareTo(true));

function of(method) {
  return (db, ...args) => database(db)[method](...args);
}

module.exports = {
  ExportedSnapshot,
  compare: free.compare.bind(undefined),
  compareAsync: free.compareAsync.bind(undefined),
  compareDeep: free.compareDeep.bind(undefined),
  compareDeepAsync: free.compareDeepAsync.bind(undefined),
  collectReplicationSnapshotTransportJson: of('exportReplicationSnapshotTransportJson'),
  collectReplicationSnapshotTransportJsonAsync: of('exportReplicationSnapshotTransportJsonAsync'),
  collectReplicationLogTransportJson: of('exportReplicationLogTransportJson'),
  collectReplicationLogTransportJsonAsync: of('exportReplicationLogTransportJsonAsync'),
  database,
};
