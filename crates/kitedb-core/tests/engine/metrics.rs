//! What a database says of itself: each figure is the one that its user would expect, and asking for it waits for
//! nothing.

use crate::support::{
    Rng, for_seeds,
    gate::{At, Gate},
};
use kitedb_core::{
    Database, ErrorCode, HoldState, NewNode, NodeId, OpenOptions, ReplicaState, ReplicationRole, SyncMode, Token,
    collect_metrics_single_file, health_check_single_file,
    io::sim::{Crash, FaultOn, FaultPlan, SimDisk, SimHost},
};
use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

/// A database in memory whose background work is done only when called for.
fn stepped(options: OpenOptions) -> (SimDisk, SimHost, OpenOptions, Database) {
    let (disk, host) = (SimDisk::new(1), SimHost::new(1));
    let options = options.background(false);
    let db = Database::open_in(disk.env(&host), "/graph.kitedb", options.clone()).unwrap();
    (disk, host, options, db)
}

fn delta(db: &Database) -> [u64; 4] {
    let data = db.collect_metrics().unwrap().data;
    [data.delta_nodes_created, data.delta_nodes_deleted, data.delta_edges_added, data.delta_edges_deleted]
}

#[test]
fn counts_are_what_was_written_and_a_checkpoint_empties_the_delta() {
    let (disk, host, options, db) = stepped(OpenOptions::new());
    let empty = db.collect_metrics().unwrap();
    assert_eq!((empty.path.as_str(), empty.is_single_file, empty.read_only), ("/graph.kitedb", true, false));
    assert_eq!((empty.data.node_count, empty.data.edge_count, empty.data.max_node_id), (0, 0, 0));
    assert_eq!(empty.memory.total_estimate_bytes, 0);
    assert_eq!(empty.mvcc.unwrap().min_active_timestamp, 1);

    let nodes = db
        .transaction(|tx| -> kitedb_core::Result<_> {
            let nodes: Vec<NodeId> =
                (0..5).map(|n| tx.create_node(Some(&format!("k{n}")))).collect::<Result<_, _>>()?;
            for pair in nodes.windows(2) {
                tx.add_edge(pair[0], "KNOWS", pair[1])?;
            }
            tx.add_node_label(nodes[0], "Person")?;
            tx.set_node_prop(nodes[0], "age", 42)?;
            tx.set_node_prop(nodes[0], "height", 1.8)?;
            Ok(nodes)
        })
        .unwrap();
    let metrics = db.collect_metrics().unwrap();
    let data = &metrics.data;
    assert_eq!((data.node_count, data.edge_count, data.max_node_id), (5, 4, nodes[4].0));
    assert_eq!(delta(&db), [5, 0, 4, 0]);
    assert_eq!((data.schema_labels, data.schema_etypes, data.schema_prop_keys), (1, 1, 2));
    assert!(metrics.memory.delta_estimate_bytes > 0);
    assert_eq!(metrics.memory.snapshot_bytes, 0);
    assert_eq!(metrics.engine.append_attempts, 1);
    assert_eq!((metrics.engine.head_log_index, metrics.engine.checkpoint_log_index), (1, 0));

    db.checkpoint().unwrap();
    let after = db.collect_metrics().unwrap();
    assert_eq!(delta(&db), [0; 4]);
    assert_eq!((after.data.node_count, after.data.edge_count, after.data.max_node_id), (5, 4, nodes[4].0));
    // Names do not go with the delta: these are all that are defined.
    assert_eq!((after.data.schema_labels, after.data.schema_etypes, after.data.schema_prop_keys), (1, 1, 2));
    assert!(after.data.snapshot_generation > metrics.data.snapshot_generation);
    assert_eq!(after.memory.delta_estimate_bytes, 0);
    assert!(after.memory.snapshot_bytes > 0);
    assert_eq!(after.memory.total_estimate_bytes, after.memory.snapshot_bytes);
    assert_eq!((after.engine.checkpoints, after.engine.runs, after.engine.checkpoint_log_index), (1, 1, 1));
    assert_eq!(after.engine.bytes_checkpointed, after.memory.snapshot_bytes);
    let (before, mvcc) = (metrics.mvcc.unwrap(), after.mvcc.unwrap());
    assert_eq!(before.gc_runs, 0);
    // 5 nodes, 4 edges and 5 keys; each node and edge was written once.
    assert_eq!((before.committed_writes_size, before.committed_writes_pruned), (14, 0));
    assert_eq!((mvcc.committed_writes_size, mvcc.committed_writes_pruned), (0, 14));
    assert_eq!((mvcc.gc_runs, mvcc.versions_pruned), (1, 9));
    assert_eq!(after.engine.digest, db.snapshot().unwrap().digest());

    // A node of the file that goes takes its edges with it; one that comes and goes is neither.
    db.transaction(|tx| tx.delete_node(nodes[1])).unwrap();
    assert_eq!(delta(&db), [0, 1, 0, 2]);
    let short_lived = db.transaction(|tx| tx.create_node(None)).unwrap();
    assert_eq!(delta(&db), [1, 1, 0, 2]);
    db.transaction(|tx| tx.delete_node(short_lived)).unwrap();
    assert_eq!(delta(&db), [0, 1, 0, 2]);

    // Recovery finds the same.
    let disk = disk.restart(Crash::Kill);
    let db = Database::open_in(disk.env(&host.restart(Crash::Kill)), "/graph.kitedb", options).unwrap();
    assert_eq!(delta(&db), [0, 1, 0, 2]);
    let data = db.collect_metrics().unwrap().data;
    assert_eq!((data.node_count, data.edge_count, data.max_node_id), (4, 2, short_lived.0));
    assert_eq!((data.schema_labels, data.schema_etypes, data.schema_prop_keys), (1, 1, 2));
}

/// Against sets of nodes and edges: what the delta adds and takes is the difference to the last checkpoint.
#[test]
fn the_delta_is_the_difference_to_the_last_checkpoint() {
    for_seeds("engine", "metrics::the_delta_is_the_difference_to_the_last_checkpoint", 30, |seed| {
        let mut rng = Rng::new(seed);
        let (.., db) = stepped(OpenOptions::new().sync_mode(SyncMode::Off));
        let (mut nodes, mut edges) = (BTreeSet::new(), BTreeSet::new());
        let (mut below_nodes, mut below_edges) = (nodes.clone(), edges.clone());
        let mut greatest = 0;
        for _ in 0..rng.below(40) {
            let mut tx = db.begin().unwrap();
            for _ in 0..rng.below(12) {
                let (a, b) = (1 + rng.below(12), 1 + rng.below(12));
                match rng.below(6) {
                    0 | 1 if nodes.insert(a) => {
                        tx.create_node_with(NewNode::new().id(NodeId(a))).unwrap();
                        greatest = greatest.max(a);
                    }
                    2 if nodes.remove(&a) => {
                        tx.delete_node(NodeId(a)).unwrap();
                        edges.retain(|&(from, to)| from != a && to != a);
                    }
                    3 if nodes.contains(&a) => tx.set_node_prop(NodeId(a), "p", b as i64).unwrap(),
                    4 if nodes.contains(&a) && nodes.contains(&b) && edges.insert((a, b)) => {
                        tx.add_edge(NodeId(a), "E", NodeId(b)).unwrap();
                    }
                    5 if edges.remove(&(a, b)) => tx.delete_edge(NodeId(a), "E", NodeId(b)).unwrap(),
                    _ => {}
                }
            }
            tx.commit().unwrap();
            if rng.one_in(6) {
                db.checkpoint().unwrap();
                (below_nodes, below_edges) = (nodes.clone(), edges.clone());
            }
            let data = db.collect_metrics().unwrap().data;
            assert_eq!((data.node_count, data.edge_count), (nodes.len() as u64, edges.len() as u64));
            let count = |n: usize| n as u64;
            let expected = [
                count(nodes.difference(&below_nodes).count()),
                count(below_nodes.difference(&nodes).count()),
                count(edges.difference(&below_edges).count()),
                count(below_edges.difference(&edges).count()),
            ];
            assert_eq!(delta(&db), expected);
            assert!(data.max_node_id <= greatest && nodes.last().is_none_or(|&last| data.max_node_id >= last));
        }
    });
}

#[test]
fn who_holds_what_is_told() {
    let (.., db) = stepped(OpenOptions::new());
    let mvcc = || db.collect_metrics().unwrap().mvcc.unwrap();
    let held = || (mvcc().active_transactions, mvcc().active_views, mvcc().min_active_timestamp);
    let commit = || commit(&db);
    assert!(mvcc().enabled);
    commit();
    commit();
    assert_eq!(held(), (0, 0, 3));
    let old = db.snapshot().unwrap();
    commit();
    let tx = db.begin().unwrap();
    assert_eq!(held(), (1, 1, 2));
    let clone = old.clone();
    drop(old);
    assert_eq!(held(), (1, 1, 2));
    drop(clone);
    assert_eq!(held(), (1, 0, 3));
    commit();
    assert_eq!(held(), (1, 0, 3));
    drop(tx);
    assert_eq!(held(), (0, 0, 5));
    // A transaction that commits, or fails to, is over.
    let [mut first, mut second] = [db.begin().unwrap(), db.begin().unwrap()];
    let node = NodeId(1);
    first.set_node_prop(node, "p", 1).unwrap();
    second.set_node_prop(node, "p", 2).unwrap();
    first.commit().unwrap();
    assert_eq!(held(), (1, 0, 4));
    assert_eq!(second.commit().unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(held(), (0, 0, 6));
}

#[test]
fn counters_tell_since_when_they_count() {
    let (disk, host, options, db) = stepped(OpenOptions::new());
    let opened = db.collect_metrics().unwrap();
    assert_eq!(opened.opened_at_ms, opened.collected_at_ms);
    host.advance_ms(2000);
    commit(&db);
    let other = Database::open_in(disk.env(&host), "/graph.kitedb", options.clone()).unwrap();
    let later = other.collect_metrics().unwrap();
    assert_eq!((later.opened_at_ms, later.collected_at_ms), (opened.opened_at_ms, opened.opened_at_ms + 2000));
    assert_eq!(later.engine.append_attempts, 1, "both handles share one engine and its counters");
    // Who opens it anew counts anew.
    db.close().unwrap();
    other.close().unwrap();
    let again = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap().collect_metrics().unwrap();
    assert_eq!((again.opened_at_ms, again.engine.append_attempts), (opened.opened_at_ms + 2000, 0));
}

#[test]
fn there_is_no_cache() {
    let (.., db) = stepped(OpenOptions::new());
    let cache = db.collect_metrics().unwrap().cache;
    assert!(!cache.enabled);
    for layer in [cache.property_cache, cache.traversal_cache, cache.query_cache] {
        assert_eq!((layer.hits, layer.misses, layer.size, layer.max_size), (0, 0, 0, 0));
        assert_eq!((layer.hit_rate, layer.utilization_percent), (0.0, 0.0));
    }
    assert!(db.health_check().unwrap().check("cache_efficiency").is_none());
}

#[test]
fn commits_and_syncs_are_timed() {
    let dir = tempfile::tempdir().unwrap();
    let run = |mode, count| {
        let db = Database::open(dir.path().join(format!("{mode:?}")), OpenOptions::new().sync_mode(mode)).unwrap();
        db.begin().unwrap().commit().unwrap();
        for _ in 0..count {
            db.transaction(|tx| tx.create_node(None)).unwrap();
        }
        let engine = db.collect_metrics().unwrap().engine;
        db.close().unwrap();
        (engine.commit_latency, engine.sync_latency)
    };
    // Every commit that changes something, and a sync for each: nobody else was there to share it.
    let (commits, syncs) = run(SyncMode::Full, 20);
    assert_eq!((commits.count, commits.one_in, syncs.count, syncs.one_in), (20, 1, 20, 1));
    assert!(commits.sum_ns > syncs.sum_ns, "a commit lasts longer than its sync");
    assert!(commits.quantile_ns(0.5) <= commits.quantile_ns(0.99));
    assert!(commits.buckets.windows(2).all(|pair| pair[0].up_to_ns < pair[1].up_to_ns));
    // A sample of them.
    let (commits, syncs) = run(SyncMode::Off, 1600);
    assert_eq!((commits.one_in, syncs.count), (16, 0));
    assert!((80..=120).contains(&commits.count), "{} of 1600 were measured", commits.count);
}

#[test]
fn failed_appends_and_a_failed_log_show() {
    let (disk, .., db) = stepped(OpenOptions::new().sync_mode(SyncMode::Full));
    let commit = || db.transaction(|tx| tx.create_node(None));
    let counts = || {
        let engine = db.collect_metrics().unwrap().engine;
        assert_eq!(engine.append_attempts, engine.append_failures + engine.append_successes);
        (engine.append_attempts, engine.append_failures)
    };
    commit().unwrap();
    assert_eq!(counts(), (1, 0));
    disk.fail(FaultPlan::new(FaultOn::Write, 1, io::ErrorKind::StorageFull).on_path("segment"));
    commit().unwrap_err();
    assert_eq!(counts(), (2, 1));
    assert!(db.health_check().unwrap().healthy);
    commit().unwrap();
    assert_eq!(counts(), (3, 1));

    disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment"));
    assert_eq!(commit().unwrap_err().code(), ErrorCode::OutcomeUnknown);
    let health = db.health_check().unwrap();
    assert!(!health.healthy);
    let log = health.check("log").unwrap();
    assert!(!log.passed && log.message.contains("reopen"), "{}", log.message);
    assert!(db.collect_metrics().unwrap().engine.log_failed);
}

#[test]
fn work_in_the_background_that_fails_shows_until_it_succeeds() {
    let (disk, host) = (SimDisk::new(1), SimHost::new(1));
    let options = OpenOptions::new().checkpoint_log_bytes(4096).auto_compaction(false);
    let db = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap();
    db.transaction(|tx| tx.create_node(None)).unwrap();
    // Room for the frame, which the log has written ahead, and none for a run.
    disk.set_capacity(Some(disk.used()));
    db.transaction(|tx| tx.set_node_prop(NodeId(1), "p", "x".repeat(8000))).unwrap();
    let passed = || db.health_check().unwrap().check("background").unwrap().passed;
    wait_until(|| !passed());
    let metrics = db.collect_metrics().unwrap();
    assert!(metrics.engine.background_error.is_some());
    assert_eq!(metrics.engine.checkpoints, 0);
    disk.set_capacity(None);
    wait_until(passed);
    assert_eq!(db.collect_metrics().unwrap().engine.background_error, None);
}

fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen within a minute");
}

#[test]
fn a_large_delta_is_unhealthy_until_it_is_checkpointed() {
    let (.., db) = stepped(OpenOptions::new().sync_mode(SyncMode::Off));
    let create = |count| db.transaction(|tx| (0..count).try_for_each(|_| tx.create_node(None).map(drop)));
    create(99_999).unwrap();
    assert!(db.health_check().unwrap().healthy);
    create(1).unwrap();
    let health = db.health_check().unwrap();
    let failed: Vec<_> = health.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect();
    assert_eq!((health.healthy, failed), (false, vec!["delta_size"]));
    db.checkpoint().unwrap();
    assert!(db.health_check().unwrap().healthy);
}

#[test]
fn a_reader_tells_that_it_only_reads_and_a_closed_handle_is_an_error() {
    let (disk, host, options, db) = stepped(OpenOptions::new());
    db.transaction(|tx| tx.create_node(None)).unwrap();
    let reader = Database::open_in(disk.env(&host), "/graph.kitedb", options.read_only(true)).unwrap();
    let (metrics, health) = (collect_metrics_single_file(&reader).unwrap(), health_check_single_file(&reader).unwrap());
    assert!(metrics.read_only && metrics.data.node_count == 1 && health.healthy);
    let access = health.check("write_access").unwrap();
    assert!(access.passed && access.message.contains("read-only"));
    assert!(db.health_check().unwrap().check("write_access").is_none());
    let other = db.clone();
    db.close().unwrap();
    assert_eq!(other.collect_metrics().unwrap_err().to_string(), "Database is closed");
    assert_eq!(other.health_check().unwrap_err().to_string(), "Database is closed");
}

#[test]
fn without_replication_the_role_is_disabled() {
    let (.., db) = stepped(OpenOptions::new());
    let replication = db.collect_metrics().unwrap().replication;
    assert_eq!((replication.enabled, replication.role.as_str()), (false, "disabled"));
    assert!(replication.primary.is_none() && replication.replica.is_none());
    assert!(db.health_check().unwrap().check("replication").is_none());
}

#[test]
fn a_primary_tells_how_its_replicas_do() {
    let (.., db) = stepped(OpenOptions::new().replication_role(ReplicationRole::Primary));
    let empty = db.collect_metrics().unwrap().replication;
    assert_eq!((empty.enabled, empty.role.as_str(), empty.replica), (true, "primary", None));
    let primary = empty.primary.unwrap();
    assert_eq!((primary.head_log_index, primary.replica_count, primary.max_replica_lag), (0, 0, 0));
    assert_eq!((primary.last_token, primary.min_replica_applied_log_index), (None, None));

    let tokens: Vec<_> = (0..5).map(|_| commit(&db)).collect();
    let epoch = primary.epoch;
    db.primary_report_replica_progress("far", epoch, 1).unwrap();
    db.primary_report_replica_progress("near", epoch, 4).unwrap();
    let metrics = db.collect_metrics().unwrap();
    let primary = metrics.replication.primary.unwrap();
    assert_eq!(primary.last_token, tokens.last().map(ToString::to_string));
    assert_eq!((primary.head_log_index, primary.durable_log_index), (5, 5));
    assert_eq!((primary.replica_count, primary.stale_epoch_replica_count), (2, 0));
    assert_eq!((primary.max_replica_lag, primary.min_replica_applied_log_index), (4, Some(1)));
    assert_eq!((primary.append_attempts, primary.append_failures, primary.append_successes), (5, 0, 5));
    assert_eq!((primary.append_attempts, primary.digest), (metrics.engine.append_attempts, metrics.engine.digest));
    assert!(primary.log_bytes > 0 && primary.segments == 1 && !primary.fenced);
    let lags: Vec<_> = primary.replicas.iter().map(|r| (r.replica_id.as_str(), r.lag_frames, r.hold)).collect();
    assert_eq!(lags, [("far", 4, HoldState::Held), ("near", 1, HoldState::Held)]);
    assert!(primary.replicas[0].lag_bytes > primary.replicas[1].lag_bytes);
    let check = db.health_check().unwrap();
    assert!(check.healthy && check.check("replication").unwrap().message.contains("replicas: 2"));

    // Nobody has a frame of the next epoch yet.
    assert_eq!(db.primary_promote_to_next_epoch().unwrap(), epoch + 1);
    let primary = db.collect_metrics().unwrap().replication.primary.unwrap();
    assert_eq!((primary.epoch, primary.stale_epoch_replica_count), (epoch + 1, 2));
    assert_eq!(primary.min_replica_applied_log_index, None);
}

#[test]
fn a_failed_append_of_a_primary_counts() {
    let options = OpenOptions::new().replication_role(ReplicationRole::Primary);
    let (.., db) = stepped(options.replication_fail_after_append_for_testing(2));
    for expected in [true, true, false, false] {
        assert_eq!(db.transaction(|tx| tx.create_node(None)).is_ok(), expected);
    }
    let primary = db.collect_metrics().unwrap().replication.primary.unwrap();
    assert_eq!((primary.append_attempts, primary.append_failures, primary.append_successes), (4, 2, 2));
}

#[test]
fn a_handle_that_was_promoted_away_is_not_well() {
    let (disk, host, options, db) = stepped(OpenOptions::new().replication_role(ReplicationRole::Primary));
    commit(&db);
    let other = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap();
    other.primary_promote_to_next_epoch().unwrap();
    let health = db.health_check().unwrap();
    assert!(!health.healthy && !health.check("replication").unwrap().passed);
    assert!(db.collect_metrics().unwrap().replication.primary.unwrap().fenced);
    assert!(other.health_check().unwrap().healthy);
}

#[test]
fn a_replica_tells_how_far_it_is() {
    let (disk, host, _, source) = stepped(OpenOptions::new().replication_role(ReplicationRole::Primary));
    commit(&source);
    let replica = replica_of(&disk, &host);
    let tell = || {
        let metrics = replica.collect_metrics().unwrap();
        assert_eq!((metrics.replication.enabled, metrics.replication.role.as_str()), (true, "replica"));
        assert!(metrics.replication.primary.is_none());
        (metrics.replication.replica.unwrap(), metrics.data.node_count, metrics.engine.digest)
    };
    let last = (commit(&source), commit(&source)).1;
    replica.replica_catch_up_once(2).unwrap();
    let (at, nodes, _) = tell();
    assert_eq!((at.applied_log_index, nodes), (2, 2));
    replica.replica_catch_up_once(100).unwrap();
    let (at, nodes, digest) = tell();
    assert_eq!((at.applied_epoch, at.applied_log_index, nodes), (last.epoch.0, last.log_index.0, 3));
    assert_eq!((at.lag_frames, at.needs_reseed, &at.last_error), (0, false, &None));
    assert_eq!((at.digest, at.digest), (digest, source.snapshot().unwrap().digest()));
    assert!(replica.health_check().unwrap().healthy);
    // It reported to its source as it came along.
    let primary = source.collect_metrics().unwrap().replication.primary.unwrap();
    let found: Vec<_> = primary.replicas.iter().map(|r| (&r.replica_id, r.lag_frames)).collect();
    assert_eq!(found, [(&at.replica_id, 0)]);

    // A source with another history is none of its own.
    let options = OpenOptions::new().background(false).replication_role(ReplicationRole::Primary);
    let stranger = Database::open_in(disk.env(&host), "/stranger.kitedb", options).unwrap();
    for _ in 0..5 {
        commit(&stranger);
    }
    replica.replica_repoint("/stranger.kitedb", None).unwrap();
    assert_eq!(replica.replica_catch_up_once(100).unwrap_err().code(), ErrorCode::NeedsReseed);
    let (lost, ..) = tell();
    assert!(lost.needs_reseed && lost.last_error.is_some() && lost.state == ReplicaState::NeedsReseed);
    let health = replica.health_check().unwrap();
    let check = health.check("replication").unwrap();
    assert!(!health.healthy && check.message.contains("needs reseed"), "{}", check.message);
}

#[test]
fn a_replica_that_took_over_tells_what_a_primary_tells() {
    let (disk, host, _, source) = stepped(OpenOptions::new().replication_role(ReplicationRole::Primary));
    commit(&source);
    let replica = replica_of(&disk, &host);
    replica.replica_catch_up_once(1).unwrap();
    let epoch = replica.replica_promote(false).unwrap().epoch;
    let metrics = replica.collect_metrics().unwrap().replication;
    assert_eq!((metrics.role.as_str(), metrics.replica), ("primary", None));
    let primary = metrics.primary.unwrap();
    assert_eq!((primary.epoch, primary.head_log_index, primary.fenced), (epoch, 1, false));
    assert!(replica.health_check().unwrap().healthy);
    assert!(source.collect_metrics().unwrap().replication.primary.unwrap().fenced);
    assert!(!source.health_check().unwrap().healthy);
}

/// A replica of `/graph.kitedb`.
fn replica_of(disk: &SimDisk, host: &SimHost) -> Database {
    let options = OpenOptions::new()
        .background(false)
        .replication_role(ReplicationRole::Replica)
        .replication_source_db_path("/graph.kitedb");
    Database::open_in(disk.env(host), "/copy.kitedb", options).unwrap()
}

/// Creates a node.
fn commit(db: &Database) -> Token {
    let mut tx = db.begin().unwrap();
    tx.create_node(None).unwrap();
    tx.commit().unwrap()
}

// ---- asking waits for nothing ------------------------------------------------------------------------------

/// Asks `db` for everything while `work` is stopped at a place.
fn asked_amid(options: OpenOptions, at: At, part: &'static str, work: impl Fn(&Database) + Send + Sync) {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let env = gate.env();
    let db = Database::open_in(env, dir.path().join("graph.kitedb"), options.background(false)).unwrap();
    db.transaction(|tx| tx.create_node(None)).unwrap();
    let open = db.begin().unwrap();
    gate.shut(at, part);
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| work(&db));
        gate.wait_for_someone();
        let (send, receive) = mpsc::channel();
        let asked = &db;
        scope.spawn(move || {
            // Nobody receives it only where that has failed already.
            let _ = send.send((asked.collect_metrics().unwrap(), asked.health_check().unwrap()));
        });
        // Not a matter of how long it takes: without this a fault would make the test hang.
        let answer = receive.recv_timeout(Duration::from_secs(60));
        gate.open();
        answer
    });
    let (metrics, health) = answer.unwrap_or_else(|_| panic!("asking waits for a {at:?} of {part}"));
    assert_eq!((metrics.data.node_count, health.healthy), (1, true));
    assert!(metrics.mvcc.unwrap().active_transactions >= 1);
    drop(open);
    let metrics = db.collect_metrics().unwrap();
    assert_eq!(metrics.mvcc.unwrap().active_transactions, 0);
    db.close().unwrap();
}

#[test]
fn asking_waits_for_no_commit_no_sync_and_no_checkpoint() {
    let commit = |db: &Database| assert!(commit(db).log_index.0 > 1);
    // The commit lock is held.
    for mode in [SyncMode::Full, SyncMode::Normal, SyncMode::Off] {
        asked_amid(OpenOptions::new().sync_mode(mode), At::Write, ".klog", commit);
    }
    asked_amid(OpenOptions::new(), At::Sync, ".klog", commit);
    for at in [At::Write, At::Sync] {
        asked_amid(OpenOptions::new().replication_role(ReplicationRole::Primary), at, ".klog", commit);
    }
    for at in [At::Write, At::Sync] {
        asked_amid(OpenOptions::new(), at, ".kitedb", |db| db.checkpoint().unwrap());
    }
}
