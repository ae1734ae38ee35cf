//! Reseed: the signal, that it stays until it is heeded, and what is there afterwards.

use crate::{
    support_process::dump,
    support_replication::{
        CRASHES, Graph, MODES, Machine, catch_up, expect_error, expect_following, expect_needs_reseed, primary_status,
        replica_status,
    },
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, HoldState, ReplicationRole, SyncMode,
    io::{Disk, sim::Crash},
};

/// A primary that cut its log, and a replica that stands below the floor.
struct Scene {
    a: Machine,
    b: Machine,
    primary: Database,
    replica: Database,
    graph: Graph,
}

fn outrun(mode: SyncMode) -> Scene {
    let (a, b) = (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode));
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options.replication_retention_min_entries(2)).unwrap(), Graph::new(1));
    graph.grow(&primary, 4);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    graph.grow(&primary, 10);
    assert!(primary.primary_remove_replica(&replica_status(&replica).replica_id).unwrap());
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 12);
    Scene { a, b, primary, replica, graph }
}

/// The runbook, section 5, step by step.
#[test]
fn the_runbooks_procedure() {
    for mode in MODES {
        let Scene { a, b, primary, replica, mut graph } = outrun(mode);
        let error = expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
        assert!(error.to_string().contains("floor"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Reseed);
        expect_needs_reseed(&replica);
        assert_eq!(graph.expect(&replica), 4, "what it had it still shows");

        replica.replica_reseed_from_snapshot().unwrap();
        assert_eq!(catch_up(&replica), 0);
        let status = replica_status(&replica);
        assert_eq!((status.needs_reseed, status.last_error), (false, None));
        graph.expect_all(&replica);
        assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
        graph.grow(&primary, 3);
        assert_eq!(catch_up(&replica), 3);
        expect_following(&replica, &primary);
        assert_eq!(primary_status(&primary).replica_lags[0].hold, HoldState::Held);
        replica.close().unwrap();
        let replica = b.replica_of(&a);
        expect_following_after_a_look(&replica, &primary);
        graph.expect_all(&replica);
    }
}

#[track_caller]
fn expect_following_after_a_look(replica: &Database, primary: &Database) {
    assert_eq!(catch_up(replica), 0);
    expect_following(replica, primary);
}

#[test]
fn the_signal_stays_however_often_one_tries_and_over_reopens_and_crashes() {
    for crash in CRASHES {
        let Scene { a, b, primary, replica, graph } = outrun(SyncMode::Full);
        for _ in 0..3 {
            expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
            expect_needs_reseed(&replica);
        }
        let error = replica_status(&replica).last_error;
        replica.close().unwrap();
        let replica = b.replica_of(&a);
        expect_needs_reseed(&replica);
        assert_eq!(replica_status(&replica).last_error, error);
        let b = b.restart(crash);
        drop(replica);
        let replica = b.replica_of(&a);
        if crash == Crash::Kill {
            expect_needs_reseed(&replica);
            assert_eq!(replica_status(&replica).last_error, error);
        }
        expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
        replica.replica_reseed_from_snapshot().unwrap();
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
    }
}

/// The source may have gone where the replica was all along: then nothing was lost.
#[test]
fn one_that_is_pointed_at_a_source_that_has_what_it_needs_no_longer_needs_it() {
    let source = Machine::new("source", 1, SyncMode::Full);
    let [whole, late] = ["whole", "late"].map(|name| Machine { name, ..source.clone() });
    let options = source.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (source.open(options).unwrap(), Graph::new(2));
    graph.grow(&primary, 5);
    let keeps_all = whole.replica_of(&source);
    catch_up(&keeps_all);
    let replica = late.replica_of(&source);
    assert_eq!(replica.replica_catch_up_once(2).unwrap(), 2);
    replica.close().unwrap();
    source.disk.remove(&source.segments()[2]).unwrap();
    let replica = late.replica_of(&source);
    expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
    expect_needs_reseed(&replica);

    replica.replica_repoint(whole.db(), None).unwrap();
    assert_eq!(catch_up(&replica), 3);
    graph.expect_all(&replica);
    let status = replica_status(&replica);
    assert_eq!((status.needs_reseed, status.last_error), (false, None));
}

/// A reseed under a view: who reads goes on reading what was there.
#[test]
fn a_reader_in_the_midst_of_it_keeps_its_graph() {
    let Scene { primary, replica, mut graph, .. } = outrun(SyncMode::Full);
    let view = replica.snapshot().unwrap();
    let before = dump(&view);
    for _ in 0..3 {
        replica.replica_reseed_from_snapshot().unwrap();
        graph.grow(&primary, 4);
        catch_up(&replica);
        replica.checkpoint().unwrap();
        assert_eq!(dump(&view), before);
    }
    graph.expect_all(&replica);
}

/// All at once: reseeds, pulls, status and readers on one replica.
#[test]
fn it_may_be_called_from_many_threads() {
    let Scene { primary, replica, mut graph, .. } = outrun(SyncMode::Full);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..4).for_each(|_| replica.replica_reseed_from_snapshot().unwrap()));
            scope.spawn(|| {
                for _ in 0..30 {
                    match replica.replica_catch_up_once(3) {
                        Ok(_) => {}
                        Err(e) => assert_eq!(e.code(), ErrorCode::NeedsReseed, "{e:?}"),
                    }
                    replica_status(&replica);
                    graph.clone().expect(&replica);
                }
            });
        }
    });
    graph.grow(&primary, 2);
    catch_up(&replica);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}
