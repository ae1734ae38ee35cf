//! A bootstrap: what it takes over, what it leaves, and what it says.

use crate::{
    support::meter::Meter,
    support_replication::{
        Graph, MODES, Machine, catch_up, digest, expect_error, expect_following, expect_needs_reseed, primary_status,
        replica_status,
    },
};
use kitedb_core::{
    Database, ErrorCode, GraphRead, ReplicaState, ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
};
use std::io::ErrorKind;

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

#[test]
fn a_replica_takes_over_the_graph_element_by_element() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(7));
        // Some of it is in runs, some in the log only.
        for _ in 0..3 {
            graph.grow(&primary, 12);
            primary.checkpoint().unwrap();
        }
        graph.grow(&primary, 9);

        let replica = b.replica_of(&a);
        assert_eq!(replica_status(&replica).applied_log_index, 0);
        replica.replica_bootstrap_from_snapshot().unwrap();

        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        assert_eq!(catch_up(&replica), 0);
        graph.grow(&primary, 5);
        assert_eq!(catch_up(&replica), 5);
        graph.expect_all(&replica);
        replica.close().unwrap();
        graph.expect_all(&b.replica_of(&a));
        b.expect_no_violations();
        a.expect_no_violations();
    }
}

#[test]
fn names_replicate_even_those_that_nothing_carries() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, replica) = (a.primary(), b.replica_of(&a));
    primary.transaction(|tx| tx.label_id_or_create("Bootstrapped").map(drop)).unwrap();
    primary.checkpoint().unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    primary.transaction(|tx| tx.etype_id_or_create("FOLLOWED").map(drop)).unwrap();
    primary.transaction(|tx| tx.propkey_id_or_create("followed").map(drop)).unwrap();
    catch_up(&replica);
    let (here, there) = (replica.snapshot().unwrap(), primary.snapshot().unwrap());
    assert_eq!((here.labels(), here.etypes(), here.propkeys()), (there.labels(), there.etypes(), there.propkeys()));
    assert_eq!(here.labels()[0].1, "Bootstrapped");
    assert_eq!(here.etypes()[0].1, "FOLLOWED");
}

#[test]
fn an_empty_primary_can_be_bootstrapped_from() {
    let (a, b) = machines(SyncMode::Full);
    let primary = a.primary();
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    let status = replica_status(&replica);
    assert_eq!((status.applied_epoch, status.applied_log_index, status.last_error), (0, 0, None));
    assert_eq!(replica.last_commit_token(), None);

    let mut graph = Graph::new(1);
    graph.grow(&primary, 3);
    assert_eq!(catch_up(&replica), 3);
    graph.expect_all(&replica);
}

#[test]
fn a_primary_that_was_never_checkpointed_can_be_bootstrapped_from() {
    let (a, b) = machines(SyncMode::Off);
    let (primary, mut graph) = (a.primary(), Graph::new(2));
    graph.grow(&primary, 30);
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

#[test]
fn a_closed_primary_can_be_bootstrapped_from() {
    let (a, b) = machines(SyncMode::Normal);
    let (primary, mut graph) = (a.primary(), Graph::new(3));
    graph.grow(&primary, 30);
    primary.close().unwrap();
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);

    let primary = a.primary();
    graph.grow(&primary, 4);
    assert_eq!(catch_up(&replica), 4);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

/// R26: on a healthy replica a reseed changes nothing that can be seen.
#[test]
fn repeating_it_on_a_healthy_replica_leaves_cursor_and_graph() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(4));
    graph.grow(&primary, 20);
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    let before = replica_status(&replica);
    for _ in 0..2 {
        replica.replica_reseed_from_snapshot().unwrap();
        let after = replica_status(&replica);
        assert_eq!(after.role, ReplicationRole::Replica);
        assert_eq!((after.applied_epoch, after.applied_log_index), (before.applied_epoch, before.applied_log_index));
        assert_eq!((after.needs_reseed, &after.last_error), (false, &None));
        assert_eq!(after.digest, before.digest);
        graph.expect_all(&replica);
    }
    expect_following(&replica, &primary);
}

/// R27: the cursor survives a reopen, and goes on from there.
#[test]
fn after_a_reseed_new_commits_and_a_reopen_the_cursor_goes_on() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(5));
        graph.grow(&primary, 10);
        let replica = b.replica_of(&a);
        replica.replica_reseed_from_snapshot().unwrap();
        graph.grow(&primary, 6);
        replica.close().unwrap();

        let replica = b.replica_of(&a);
        assert_eq!(replica_status(&replica).applied_log_index, 10);
        assert_eq!(catch_up(&replica), 6);
        assert_eq!(replica_status(&replica).applied_log_index, 16);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
    }
}

/// R28: where the log goes back to the first commit, pulling alone is enough.
#[test]
fn a_replica_that_was_never_bootstrapped_pulls_from_the_first_frame() {
    let (a, b) = machines(SyncMode::Normal);
    let (primary, mut graph) = (a.primary(), Graph::new(6));
    graph.grow(&primary, 25);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(10).unwrap(), 10);
    assert_eq!(graph.expect(&replica), 10);
    assert_eq!(replica_status(&replica).state, ReplicaState::Behind);
    assert_eq!(replica_status(&replica).lag_frames, 15);
    assert_eq!(catch_up(&replica), 15);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

/// What was committed before there was a log to follow is not silently missing.
#[test]
fn a_database_that_became_a_primary_late_is_bootstrapped_from_and_never_pulled_from_zero() {
    for committed_since in [0, 3] {
        let (a, b) = machines(SyncMode::Full);
        let (alone, mut graph) = (a.open(a.options(ReplicationRole::Disabled)).unwrap(), Graph::new(8));
        graph.grow(&alone, 12);
        alone.close().unwrap();
        let primary = a.primary();
        if committed_since > 0 {
            graph.grow(&primary, committed_since);
        }
        let replica = b.replica_of(&a);
        expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
        expect_needs_reseed(&replica);
        assert_eq!(replica.snapshot().unwrap().count_nodes(), 0);

        replica.replica_bootstrap_from_snapshot().unwrap();
        graph.expect_all(&replica);
        graph.grow(&primary, 2);
        assert_eq!(catch_up(&replica), 2);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
    }
}

#[test]
fn what_the_replica_held_before_is_gone_whatever_it_was() {
    let (a, b) = machines(SyncMode::Full);
    let other = Machine::new("other", 3, SyncMode::Full);
    let (strange, mut strange_graph) = (other.primary(), Graph::new(9));
    strange_graph.grow(&strange, 40);
    let replica = b.replica_of(&other);
    replica.replica_bootstrap_from_snapshot().unwrap();
    strange_graph.expect_all(&replica);
    replica.close().unwrap();

    // More commits there than here: its cursor moves backwards.
    let (primary, mut graph) = (a.primary(), Graph::new(10));
    graph.grow(&primary, 15);
    let replica = b.overwritten_by(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);
    graph.grow(&primary, 3);
    assert_eq!(catch_up(&replica), 3);
    graph.expect_all(&replica);
    replica.close().unwrap();
    let replica = b.replica_of(&a);
    graph.expect_all(&replica);
    assert_eq!(catch_up(&replica), 0);
    expect_following(&replica, &primary);
}

#[test]
fn views_from_before_a_bootstrap_still_show_what_they_showed() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(11));
    graph.grow(&primary, 10);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let view = replica.snapshot().unwrap();
    let old = crate::support_process::dump(&view);
    graph.grow(&primary, 40);
    primary.checkpoint().unwrap();
    primary.compact().unwrap();
    replica.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&replica);
    graph.grow(&primary, 10);
    catch_up(&replica);
    replica.checkpoint().unwrap();
    replica.compact().unwrap();
    assert_eq!(crate::support_process::dump(&view), old);
    graph.expect_all(&replica);
    b.expect_no_violations();
}

/// A reader elsewhere keeps what it reads, though the replica under it is reseeded.
#[test]
fn a_replica_can_be_reseeded_many_times_without_growing() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(12));
    graph.grow(&primary, 60);
    primary.compact().unwrap();
    let replica = b.replica_of(&a);
    let mut sizes = Vec::new();
    for _ in 0..12 {
        replica.replica_reseed_from_snapshot().unwrap();
        sizes.push(b.disk.used());
    }
    assert!(sizes[11] <= sizes[3], "{sizes:?}");
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

#[test]
fn where_the_log_behind_the_last_checkpoint_is_cut_a_newer_snapshot_is_asked_for() {
    let (a, b) = machines(SyncMode::Full);
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options.replication_retention_min_entries(0)).unwrap(), Graph::new(13));
    graph.grow(&primary, 10);
    primary.primary_run_retention().unwrap();
    assert!(primary_status(&primary).retained_floor > 1);
    graph.grow(&primary, 5);
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

#[test]
fn one_that_fails_says_so_and_leaves_the_old_graph_until_it_succeeds() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(14));
    graph.grow(&primary, 10);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    graph.grow(&primary, 30);
    primary.checkpoint().unwrap();

    b.disk.fail(FaultPlan::new(FaultOn::Write, 1, ErrorKind::Other).forever().on_path("replica.kitedb"));
    expect_error(replica.replica_bootstrap_from_snapshot(), ErrorCode::Io, "cannot");
    let status = replica_status(&replica);
    assert!(status.last_error.is_some_and(|e| e.contains("cannot")));
    assert!(!status.needs_reseed);
    assert_eq!(status.state, ReplicaState::Stalled);
    assert_eq!(graph.expect(&replica), 10);

    b.disk.clear_faults();
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

/// What an interrupted copy had brought is not copied again, neither in the same process nor after its death.
#[test]
fn one_that_is_interrupted_resumes() {
    for crash in [None, Some(Crash::Kill), Some(Crash::PowerLoss(Loss::LoseAllUnsynced))] {
        let (a, mut b) = machines(SyncMode::Off);
        let (primary, mut graph) = (a.primary(), Graph::new(16));
        graph.grow(&primary, 3);
        for n in 0..12u8 {
            primary
                .transaction(|tx| {
                    let node = tx.create_node(None)?;
                    tx.set_node_prop(node, "blob", vec![n; 1 << 20])
                })
                .unwrap();
            if n % 2 == 1 {
                // Runs of several sections each.
                primary.checkpoint().unwrap();
            }
        }
        let meter = Meter::new("primary.kitedb");
        let open = |b: &Machine| Database::open_with_source_in(b.env(), meter.env(&a.env()), b.db(), b.following(&a));
        let mut replica = open(&b).unwrap();
        meter.restart(8 << 20);
        expect_error(replica.replica_bootstrap_from_snapshot(), ErrorCode::Io, "cannot");
        if let Some(crash) = crash {
            b = b.restart(crash);
            drop(replica);
            replica = open(&b).unwrap();
        }
        meter.restart(u64::MAX);
        replica.replica_bootstrap_from_snapshot().unwrap();
        let resumed = meter.read();
        assert_eq!(digest(&replica), digest(&primary));
        assert!(replica.check().unwrap().is_clean());

        meter.restart(u64::MAX);
        replica.replica_reseed_from_snapshot().unwrap();
        let whole = meter.read();
        assert!(whole > 12 << 20 && resumed < whole - (4 << 20), "{crash:?}: {resumed} of {whole} bytes were read");
        b.expect_no_violations();
    }
}

/// The signal to reseed goes with a reseed, and with nothing less.
#[test]
fn one_that_fails_leaves_needs_reseed_set() {
    let (a, b) = machines(SyncMode::Full);
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options.replication_retention_min_entries(0)).unwrap(), Graph::new(15));
    graph.grow(&primary, 10);
    primary.primary_run_retention().unwrap();
    let replica = b.replica_of(&a);
    expect_error(replica.replica_catch_up_once(1), ErrorCode::NeedsReseed, "below retained floor");
    b.disk.set_capacity(Some(b.disk.used()));
    expect_error(replica.replica_reseed_from_snapshot(), ErrorCode::DiskFull, "");
    assert!(replica_status(&replica).needs_reseed);
    assert_eq!(replica_status(&replica).state, ReplicaState::NeedsReseed);
    drop(replica);

    let replica = b.replica_of(&a);
    assert!(replica_status(&replica).needs_reseed);
    b.disk.set_capacity(None);
    replica.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
    assert_eq!(digest(&replica), digest(&primary));
}
