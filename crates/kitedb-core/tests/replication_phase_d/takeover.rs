//! A replica that takes over: it fences its source, takes everything that was acknowledged there, and goes on.

use crate::support_replication::{
    Graph, MODES, Machine, catch_up, expect_error, expect_fenced, expect_following, primary_status, replica_status,
};
use kitedb_core::{
    ErrorCode, ErrorKind, FollowerOptions, ReplicationRole, SyncMode,
    io::{
        Disk,
        sim::{Crash, FaultOn, FaultPlan, Loss},
    },
};
use std::io;

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

#[test]
fn it_takes_what_it_had_not_pulled_and_leads_on_its_own_files() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&old, 6);
        let new = b.replica_of(&a);
        assert_eq!(new.replica_catch_up_once(2).unwrap(), 2);
        let promotion = new.replica_promote(false).unwrap();
        assert_eq!((promotion.epoch, promotion.source_fenced), (2, true));
        assert_eq!(promotion.last_kept.to_string(), "1:6");
        graph.expect_all(&new);

        assert_eq!(new.replication_role(), ReplicationRole::Primary);
        assert!(new.replica_replication_status().unwrap().is_none());
        let status = primary_status(&new);
        assert_eq!((status.epoch, status.head_log_index, status.fenced), (2, 6, false));
        assert_eq!(status.sidecar_path, b.sidecar());
        assert_eq!(graph.commit(&new).to_string(), "2:7");
        graph.expect_all(&new);

        expect_fenced(&old);
        assert!(primary_status(&old).fenced);
        expect_error(old.primary_promote_to_next_epoch(), ErrorCode::StalePrimary, "stale primary");
        expect_error(old.primary_run_retention(), ErrorCode::StalePrimary, "stale primary");
        assert_eq!(graph.expect(&old), 6);

        // It is a primary like any other from then on.
        new.close().unwrap();
        let new = b.primary();
        assert_eq!(graph.commit(&new).to_string(), "2:8");
        assert_eq!(new.primary_promote_to_next_epoch().unwrap(), 3);
        assert_eq!(graph.commit(&new).to_string(), "3:9");
        graph.expect_all(&new);
    }
}

#[test]
fn it_may_not_have_pulled_anything_yet() {
    let (a, b) = machines(SyncMode::Normal);
    let (old, mut graph) = (a.primary(), Graph::new(2));
    graph.grow(&old, 9);
    let new = b.replica_of(&a);
    assert_eq!(new.replica_promote(false).unwrap().last_kept.to_string(), "1:9");
    graph.expect_all(&new);
    graph.commit(&new);
    expect_fenced(&old);
}

#[test]
fn of_an_empty_primary_too() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(3));
    let new = b.replica_of(&a);
    let promotion = new.replica_promote(false).unwrap();
    assert_eq!((promotion.epoch, promotion.last_kept.log_index.0), (2, 0));
    assert_eq!(graph.commit(&new).to_string(), "2:1");
    expect_fenced(&old);
}

#[test]
fn a_bootstrapped_replica_takes_over_as_well() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(4));
        graph.grow(&old, 6);
        old.checkpoint().unwrap();
        graph.grow(&old, 6);
        let new = b.replica_of(&a);
        new.replica_bootstrap_from_snapshot().unwrap();
        graph.grow(&old, 3);
        assert_eq!(new.replica_promote(false).unwrap().last_kept.to_string(), "1:15");
        graph.commit(&new);
        graph.expect_all(&new);
        expect_fenced(&old);
    }
}

#[test]
fn its_follower_ends_with_it() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&old, 6);
    let new = b.replica_of(&a);
    new.start_follower(FollowerOptions::default()).unwrap();
    new.replica_promote(false).unwrap();
    expect_error(new.start_follower(FollowerOptions::default()), ErrorCode::NotReplica, "not opened in replica role");
    expect_error(new.replica_catch_up_once(1), ErrorCode::NotReplica, "not opened in replica role");
    graph.grow(&new, 5);
    graph.expect_all(&new);
}

#[test]
fn a_source_that_was_killed_or_closed_is_fenced_all_the_same() {
    for mode in MODES {
        for killed in [true, false] {
            let (a, b) = machines(mode);
            let (old, mut graph) = (a.primary(), Graph::new(6));
            graph.grow(&old, 6);
            let a = if killed {
                let killed = a.restart(Crash::Kill);
                drop(old);
                killed
            } else {
                old.close().unwrap();
                a
            };
            let new = b.replica_of(&a);
            let promotion = new.replica_promote(false).unwrap();
            assert_eq!((promotion.source_fenced, promotion.last_kept.to_string()), (true, "1:6".into()));
            graph.commit(&new);
            graph.expect_all(&new);

            // The old one comes back, and finds that it no longer leads.
            let old = a.primary();
            assert!(primary_status(&old).fenced);
            expect_fenced(&old);
            assert_eq!(graph.expect(&old), 6);
            old.close().unwrap();
            expect_fenced(&a.primary());
        }
    }
}

#[test]
fn a_source_that_cannot_be_reached_refuses_and_force_says_what_is_kept() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(7));
        graph.grow(&old, 6);
        let new = b.replica_of(&a);
        assert_eq!(new.replica_catch_up_once(4).unwrap(), 4);
        a.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::TimedOut).forever());
        a.disk.fail(FaultPlan::new(FaultOn::Any, 1, io::ErrorKind::TimedOut).forever());
        let error = new.replica_promote(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RetryLater, "{error:?}");
        // Nothing has changed: it is still a replica.
        assert_eq!(new.replication_role(), ReplicationRole::Replica);
        assert_eq!(replica_status(&new).applied_log_index, 4);
        expect_error(new.begin(), ErrorCode::ReplicaReadOnly, "replica");

        let promotion = new.replica_promote(true).unwrap();
        assert_eq!((promotion.epoch, promotion.source_fenced), (2, false));
        assert_eq!(promotion.last_kept.to_string(), "1:4");
        graph.cut(4);
        assert_eq!(graph.commit(&new).to_string(), "2:5");
        graph.expect_all(&new);
    }
}

/// A refusal leaves the source as it was, unless the fence stands already.
#[test]
fn after_a_refusal_the_source_goes_on_and_the_promotion_can_be_tried_again() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(8));
    graph.grow(&old, 6);
    let new = b.replica_of(&a);
    a.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::Other).forever());
    new.replica_promote(false).unwrap_err();
    a.disk.clear_faults();
    graph.grow(&old, 2);
    assert_eq!(new.replica_promote(false).unwrap().last_kept.to_string(), "1:8");
    graph.expect_all(&new);
    expect_fenced(&old);
}

#[test]
fn the_sources_folder_is_gone() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(9));
    graph.grow(&old, 6);
    let new = b.replica_of(&a);
    catch_up(&new);
    new.close().unwrap();
    old.close().unwrap();
    for path in a.disk.paths() {
        if path.starts_with(a.sidecar()) {
            a.disk.remove(&path).unwrap();
        }
    }
    let new = b.replica_of(&a);
    expect_error(new.replica_promote(false), ErrorCode::SourceUnavailable, "");
    let promotion = new.replica_promote(true).unwrap();
    assert_eq!((promotion.last_kept.to_string(), promotion.source_fenced), ("1:6".into(), false));
    graph.commit(&new);
    graph.expect_all(&new);
}

/// A replica's replica could not stop the primary.
#[test]
fn one_that_follows_a_replica_refuses() {
    let [a, b, c] = ["primary", "middle", "last"].map(|name| Machine::new(name, name.len() as u64, SyncMode::Full));
    let (old, mut graph) = (a.primary(), Graph::new(10));
    graph.grow(&old, 6);
    let (middle, last) = (b.replica_of(&a), c.replica_of(&b));
    catch_up(&middle);
    catch_up(&last);
    expect_error(last.replica_promote(false), ErrorCode::SourceUnavailable, "replica");
    // Nobody was fenced by that.
    graph.grow(&old, 2);
    assert_eq!(catch_up(&middle), 2);
    assert_eq!(catch_up(&last), 2);
    graph.expect_all(&last);

    // Once the middle one leads, it can be taken over from.
    middle.replica_promote(false).unwrap();
    graph.grow(&middle, 2);
    let promotion = last.replica_promote(false).unwrap();
    assert_eq!((promotion.epoch, promotion.last_kept.to_string()), (3, "2:10".into()));
    graph.grow(&last, 1);
    graph.expect_all(&last);
    expect_fenced(&middle);
    expect_fenced(&old);
}

#[test]
fn one_that_needs_a_reseed_refuses_unless_forced() {
    let (a, b) = machines(SyncMode::Full);
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (old, mut graph) = (a.open(options.replication_retention_min_entries(0)).unwrap(), Graph::new(11));
    let new = b.replica_of(&a);
    graph.grow(&old, 2);
    catch_up(&new);
    assert!(old.primary_remove_replica(&replica_status(&new).replica_id).unwrap());
    graph.grow(&old, 8);
    old.primary_run_retention().unwrap();
    for _ in 0..2 {
        expect_error(new.replica_promote(false), ErrorCode::NeedsReseed, "needs reseed");
    }
    // The source was not fenced for nothing.
    graph.grow(&old, 1);

    let promotion = new.replica_promote(true).unwrap();
    assert_eq!(promotion.last_kept.to_string(), "1:2");
    graph.cut(2);
    graph.commit(&new);
    graph.expect_all(&new);
}

/// Power is lost right after a promotion has returned, on both sides: what was acknowledged anywhere is there.
#[test]
fn it_survives_a_loss_of_power_on_both_sides() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(12));
        graph.grow(&old, 6);
        let new = b.replica_of(&a);
        catch_up(&new);
        new.replica_promote(false).unwrap();
        let crash = Crash::PowerLoss(Loss::LoseAllUnsynced);
        let (a, b) = (a.restart(crash), b.restart(crash));
        drop((old, new));
        let (old, new) = (a.primary(), b.primary());
        expect_fenced(&old);
        graph.expect_all(&new);
        assert!(!primary_status(&new).fenced);
        graph.commit(&new);
        graph.expect_all(&new);
    }
}

/// The other replicas are pointed at the new primary, and go on with what they have.
#[test]
fn the_others_are_repointed_and_go_on() {
    for mode in MODES {
        let near = Machine::new("primary", 1, mode);
        let [b, c, d] = ["b", "c", "d"].map(|name| Machine { name, ..near.clone() });
        let (old, mut graph) = (near.primary(), Graph::new(13));
        graph.grow(&old, 10);
        let (new, behind, level) = (b.replica_of(&near), c.replica_of(&near), d.replica_of(&near));
        assert_eq!(behind.replica_catch_up_once(4).unwrap(), 4);
        catch_up(&level);
        new.replica_promote(false).unwrap();
        graph.grow(&new, 3);
        // What still follows the old one finds nothing new there.
        assert_eq!(level.replica_catch_up_once(10).unwrap(), 0);
        for replica in [&behind, &level] {
            replica.replica_repoint(b.db(), None).unwrap();
            catch_up(replica);
            graph.expect_all(replica);
            expect_following(replica, &new);
            let status = replica_status(replica);
            assert_eq!(status.applied_epoch, 2);
            assert_eq!((status.source_db_path, status.source_sidecar_path), (Some(b.db()), Some(b.sidecar())));
        }
        assert_eq!(primary_status(&new).replica_lags.len(), 2);
        drop(old);
    }
}

#[test]
fn paths_that_cannot_be_followed_are_refused() {
    let near = Machine::new("primary", 1, SyncMode::Full);
    let b = Machine { name: "replica", ..near.clone() };
    let (_old, replica) = (near.primary(), b.replica_of(&near));
    for (db, sidecar, phrase) in [
        ("/nowhere.kitedb", None, "source db path does not exist"),
        ("/replica.kitedb.replication", None, "source db path must be a file"),
        ("/replica.kitedb", None, "source db path must differ"),
        ("/primary.kitedb", Some("/replica.kitedb.replication"), "source sidecar path must differ"),
        ("/primary.kitedb", Some("/primary.kitedb"), "source sidecar path must be a directory"),
    ] {
        let sidecar = sidecar.map(Into::into);
        expect_error(replica.replica_repoint(db, sidecar), ErrorCode::InvalidOption, phrase);
    }
    assert_eq!(replica_status(&replica).source_db_path, Some(near.db()));
}

/// Two forced promotions begin the same epoch, each as a writer of its own. A node that is ahead of such a source used
/// to take over from it, and what only that had was lost.
#[test]
fn not_from_a_source_of_the_same_epoch_and_another_writer() {
    for ahead in [4, 9] {
        let (a, b) = machines(SyncMode::Full);
        let c = Machine::new("other", 3, SyncMode::Full);
        let (old, mut graph) = (a.primary(), Graph::new(3));
        graph.grow(&old, 6);
        let (one, other) = (b.replica_of(&a), c.replica_of(&a));
        assert_eq!((catch_up(&one), catch_up(&other)), (6, 6));
        let mut parted = graph.clone();
        // Nobody reaches the source, so neither hears of the other.
        a.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::TimedOut).forever().on_path("/primary.kitedb"));
        a.disk.fail(FaultPlan::new(FaultOn::Any, 1, io::ErrorKind::TimedOut).forever().on_path("/primary.kitedb"));
        assert_eq!(one.replica_promote(true).unwrap().epoch, 2);
        assert_eq!(other.replica_promote(true).unwrap().epoch, 2);
        a.disk.clear_faults();
        graph.grow(&one, 4);
        parted.grow(&other, ahead);
        let d = Machine::new("follower", 4, SyncMode::Full);
        let follower = d.replica_of(&c);
        catch_up(&follower);
        parted.expect_all(&follower);
        other.close().unwrap();
        follower.close().unwrap();
        expect_error(c.try_replica_of(&b), ErrorCode::RoleMismatch, "given up");
        for parted in [d.overwritten_by(&b), c.overwritten_by(&b)] {
            let what = "needs reseed";
            expect_error(parted.replica_catch_up_once(10), ErrorCode::NeedsReseed, what);
            expect_error(parted.replica_promote(false), ErrorCode::NeedsReseed, what);
            // The source goes on.
            graph.commit(&one);
            parted.replica_reseed_from_snapshot().unwrap();
            graph.expect_all(&parted);
            expect_following(&parted, &one);
        }
    }
}

/// A node that led, followed others and is then made anew from the old source, which it had fenced itself: it used to
/// take its own promotion for one that was cut short, and began an epoch that another node led already.
#[test]
fn a_promotion_that_is_past_is_not_taken_up_after_a_reseed() {
    let (a, b) = machines(SyncMode::Full);
    let c = Machine::new("other", 3, SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(4));
    graph.grow(&old, 3);
    let first = b.replica_of(&a);
    assert_eq!(first.replica_promote(false).unwrap().epoch, 2);
    graph.grow(&first, 3);
    let second = c.replica_of(&b);
    assert_eq!(second.replica_promote(false).unwrap().epoch, 3);
    graph.grow(&second, 2);
    assert_eq!(second.primary_promote_to_next_epoch().unwrap(), 4);
    graph.grow(&second, 2);
    first.close().unwrap();
    let first = b.replica_of(&c);
    assert_eq!(catch_up(&first), 4);
    first.close().unwrap();
    let first = b.overwritten_by(&a);
    first.replica_reseed_from_snapshot().unwrap();
    expect_error(first.replica_promote(false), ErrorCode::StalePrimary, "fenced by another promotion");
    // By force it goes, in an epoch that it has never heard of.
    assert_eq!(first.replica_promote(true).unwrap().epoch, 5);
}

/// A node that took over, committed, and whose log was repaired after a failed sync: its own epoch stands at the head of
/// a segment without a frame then. As a replica of who took over from it, it was told once that its promotion had been cut
/// short.
#[test]
fn a_promotion_that_was_done_is_not_taken_for_one_that_was_cut_short() {
    let (a, b) = machines(SyncMode::Normal);
    let c = Machine::new("third", 3, SyncMode::Normal);
    let (old, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&old, 6);
    let second = b.open_replica_of(&a, b.following(&a).replication_segment_max_bytes(1)).unwrap();
    assert_eq!(second.replica_promote(false).unwrap().epoch, 2);
    graph.commit(&second);
    b.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::StorageFull).on_path("segment"));
    let failed = graph.try_commit(&second).unwrap_err();
    assert_eq!(failed.code(), ErrorCode::SyncFailed, "{failed:?}");
    let third = c.replica_of(&b);
    catch_up(&third);
    assert_eq!(third.replica_promote(false).unwrap().epoch, 3);
    graph.commit(&third);
    let _ = second.close();
    let second = b.replica_of(&c);
    assert_eq!(second.replica_promote(false).unwrap().epoch, 4);
    graph.expect_all(&second);
    graph.commit(&second);
}
