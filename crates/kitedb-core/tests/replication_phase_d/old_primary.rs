//! What becomes of a primary that another node took over from.

use crate::support_replication::{
    Graph, MODES, Machine, catch_up, digest, expect_error, expect_fenced, expect_following, expect_needs_reseed,
    primary_status, replica_status,
};
use kitedb_core::{
    Database, ErrorCode, ReplicationRole, SyncMode, TokenWait,
    io::{
        Disk,
        sim::{Crash, FaultOn, FaultPlan, Loss},
    },
};
use std::io;

/// An old primary and a new one that took over from it, on one machine.
struct Scene {
    a: Machine,
    b: Machine,
    old: Database,
    new: Database,
    graph: Graph,
}

fn taken_over(mode: SyncMode) -> Scene {
    let a = Machine::new("a", 1, mode);
    let b = Machine { name: "b", ..a.clone() };
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 6);
    old.checkpoint().unwrap();
    graph.grow(&old, 3);
    let new = b.replica_of(&a);
    new.replica_promote(false).unwrap();
    graph.grow(&new, 4);
    Scene { a, b, old, new, graph }
}

#[test]
fn as_a_replica_of_the_new_one_it_goes_on_without_a_reseed() {
    for mode in MODES {
        let Scene { a, b, old, new, mut graph } = taken_over(mode);
        old.close().unwrap();
        let old = a.replica_of(&b);
        assert_eq!(replica_status(&old).applied_log_index, 9);
        assert_eq!(catch_up(&old), 4);
        graph.expect_all(&old);
        expect_following(&old, &new);
        assert_eq!(replica_status(&old).applied_epoch, 2);
        expect_error(old.begin(), ErrorCode::ReplicaReadOnly, "replica");
        graph.grow(&new, 2);
        assert_eq!(catch_up(&old), 2);
        graph.expect_all(&old);
        drop(old);
        let old = a.replica_of(&b);
        graph.expect_all(&old);
    }
}

/// And back again: it takes over from the one that took over from it.
#[test]
fn the_two_can_change_places_again_and_again() {
    for mode in MODES {
        let Scene { a, b, old, new, mut graph } = taken_over(mode);
        old.close().unwrap();
        let (mut leading, mut led) = ((b, new), a);
        for round in 0..6 {
            let follower = led.replica_of(&leading.0);
            if round % 2 == 0 {
                catch_up(&follower);
            }
            graph.grow(&leading.1, 3);
            let promotion = follower.replica_promote(false).unwrap();
            assert_eq!(promotion.epoch, 3 + round);
            assert_eq!(promotion.last_kept.log_index.0, graph.head());
            expect_fenced(&leading.1);
            graph.grow(&follower, 2);
            graph.expect_all(&follower);
            let (machine, db) = std::mem::replace(&mut leading, (led, follower));
            db.close().unwrap();
            led = machine;
        }
        let last = led.replica_of(&leading.0);
        catch_up(&last);
        graph.expect_all(&last);
        expect_following(&last, &leading.1);
    }
}

/// It may lead again if someone says so. Then there are two histories, and nobody mixes them.
#[test]
fn promoted_again_by_hand_it_begins_a_history_of_its_own() {
    let Scene { a, b, old, new, mut graph } = taken_over(SyncMode::Full);
    old.close().unwrap();
    let old = a.primary();
    assert!(primary_status(&old).fenced);
    let mut other = graph.clone();
    other.cut(9);
    expect_fenced(&old);
    let epoch = old.primary_promote_to_next_epoch().unwrap();
    assert!(epoch >= 2);
    other.grow(&old, 6);
    other.expect_all(&old);
    graph.grow(&new, 1);

    // One that followed the new one is not on this history, whatever the numbers say.
    let c = Machine { name: "c", ..a.clone() };
    let third = c.replica_of(&b);
    catch_up(&third);
    graph.expect_all(&third);
    third.replica_repoint(a.db(), None).unwrap();
    expect_error(third.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
    expect_needs_reseed(&third);
    graph.expect_all(&third);
    expect_error(third.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "would be given up");
    third.close().unwrap();
    let third = c.overwritten_by(&a);
    third.replica_reseed_from_snapshot().unwrap();
    other.expect_all(&third);
    assert_ne!(digest(&third), digest(&new));
}

/// A forced promotion: what only the old primary had is lost, and the old primary is told.
#[test]
fn with_commits_that_the_new_one_never_saw_it_needs_a_reseed() {
    for served in [0, 1, 3] {
        let a = Machine::new("a", 1, SyncMode::Full);
        let (b, c) = (Machine { name: "b", ..a.clone() }, Machine { name: "c", ..a.clone() });
        let (old, mut graph) = (a.primary(), Graph::new(2));
        graph.grow(&old, 6);
        let (new, third) = (b.replica_of(&a), c.replica_of(&a));
        catch_up(&new);
        graph.grow(&old, 3);
        if served > 0 {
            third.replica_catch_up_once(6 + served).unwrap();
        }
        a.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::TimedOut).forever().on_path("/a.kitedb"));
        a.disk.fail(FaultPlan::new(FaultOn::Any, 1, io::ErrorKind::TimedOut).forever().on_path("/a.kitedb"));
        let promotion = new.replica_promote(true).unwrap();
        a.disk.clear_faults();
        assert_eq!((promotion.last_kept.to_string(), promotion.source_fenced), ("1:6".into(), false));
        let lost = old.last_commit_token().unwrap();
        let mut after = graph.clone();
        after.cut(6);
        after.grow(&new, 2 + served as u64);

        // Nothing told the old one: as the issue says, a forced promotion may lose what it goes on to acknowledge.
        graph.grow(&old, 1);
        old.close().unwrap();
        expect_error(a.try_replica_of(&b), ErrorCode::RoleMismatch, "given up");
        let old = a.overwritten_by(&b);
        expect_error(old.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
        expect_error(old.replica_promote(true), ErrorCode::NeedsReseed, "needs reseed");
        expect_needs_reseed(&old);
        graph.expect_all(&old);
        // Whom it is told to follow makes no replica of it.
        expect_error(old.replica_repoint(c.db(), None), ErrorCode::InvalidOption, "leads back");
        old.replica_repoint(b.db(), None).unwrap();
        expect_needs_reseed(&old);
        // Nothing of that is noted in its log: it leads still.
        old.close().unwrap();
        let leads = a.as_it_is().unwrap();
        assert_eq!((leads.replication_role(), primary_status(&leads).fenced), (ReplicationRole::Primary, false));
        graph.grow(&leads, 1);
        let lost = leads.last_commit_token().unwrap().max(lost);
        leads.close().unwrap();
        let old = a.overwritten_by(&b);
        expect_needs_reseed(&old);
        old.replica_reseed_from_snapshot().unwrap();
        after.expect_all(&old);
        expect_following(&old, &new);
        assert_eq!(old.wait_for_token_outcome(lost, 0).unwrap(), TokenWait::EpochChanged);
        // From then on it is a replica, and remembers of whom.
        old.close().unwrap();
        let old = a.as_it_is().unwrap();
        assert_eq!(replica_status(&old).source_db_path, Some(b.db()));
        assert_eq!(catch_up(&old), 0);

        // A replica that had such commits parts with the new one, too; one that had not goes on.
        third.replica_repoint(b.db(), None).unwrap();
        let third = if served > 0 {
            expect_error(third.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
            expect_needs_reseed(&third);
            expect_error(third.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "would be given up");
            third.close().unwrap();
            let third = c.overwritten_by(&b);
            third.replica_reseed_from_snapshot().unwrap();
            third
        } else {
            third
        };
        catch_up(&third);
        after.expect_all(&third);
        expect_following(&third, &new);
    }
}

/// Both sides gave the same number to different epochs; what tells them apart is who wrote them.
#[test]
fn two_forced_promotions_to_the_same_epoch_are_told_apart() {
    let a = Machine::new("a", 1, SyncMode::Full);
    let [b, c, d] = ["b", "c", "d"].map(|name| Machine { name, ..a.clone() });
    let (old, mut graph) = (a.primary(), Graph::new(3));
    graph.grow(&old, 6);
    let (left, right) = (b.replica_of(&a), c.replica_of(&a));
    catch_up(&left);
    catch_up(&right);
    let away = |path: &str| {
        a.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::TimedOut).forever().on_path(path));
        a.disk.fail(FaultPlan::new(FaultOn::Any, 1, io::ErrorKind::TimedOut).forever().on_path(path));
    };
    away("/a.kitedb");
    let promoted = left.replica_promote(true).unwrap();
    // Nor do the two see each other.
    away("/b.kitedb");
    assert_eq!(promoted.epoch, right.replica_promote(true).unwrap().epoch);
    a.disk.clear_faults();
    drop(old);

    // The same commit on both sides: equal epochs, equal indices, equal graphs, and yet two histories.
    let mut twin = graph.clone();
    assert_eq!(graph.commit(&left).to_string(), twin.commit(&right).to_string());
    let follower = d.replica_of(&b);
    catch_up(&follower);
    graph.expect_all(&follower);
    follower.replica_repoint(c.db(), None).unwrap();
    expect_error(follower.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
    expect_needs_reseed(&follower);
    expect_error(follower.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "2:7");
    follower.close().unwrap();
    let follower = d.overwritten_by(&c);
    follower.replica_reseed_from_snapshot().unwrap();
    twin.grow(&right, 2);
    catch_up(&follower);
    twin.expect_all(&follower);
}

/// Its process stood still while another node took over, and its log was cut meanwhile.
#[test]
fn a_stalled_writer_gets_nothing_acknowledged_though_its_segments_are_gone() {
    for mode in MODES {
        let a = Machine::new("a", 1, mode);
        let b = Machine { name: "b", ..a.clone() };
        let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
        let (old, mut graph) = (a.open(options).unwrap(), Graph::new(4));
        graph.grow(&old, 6);
        let mut begun = old.begin().unwrap();
        begun.create_node(None).unwrap();
        let new = b.replica_of(&a);
        new.replica_promote(false).unwrap();
        graph.grow(&new, 3);
        for segment in a.segments() {
            a.disk.remove(&segment).unwrap();
        }
        expect_error(begun.commit(), ErrorCode::StalePrimary, "stale primary");
        for _ in 0..3 {
            expect_fenced(&old);
        }
        assert_eq!(graph.expect(&old), 6);
    }
}

#[test]
fn it_is_a_database_of_its_own_once_it_is_detached() {
    let Scene { a, b, old, new, mut graph } = taken_over(SyncMode::Full);
    let led = graph.clone();
    old.close().unwrap();
    graph.cut(9);
    let disabled = || a.options(ReplicationRole::Disabled);
    expect_error(a.open(disabled()), ErrorCode::RoleMismatch, "took over");
    let old = a.as_it_is().unwrap();
    expect_fenced(&old);
    graph.expect_all(&old);
    old.close().unwrap();
    let detached = Database::detach_in(a.env(), a.db(), disabled()).unwrap();
    assert_eq!((detached.last_token.map(|token| token.log_index.0), &detached.missing), (Some(9), &None));
    let alone = a.open(disabled()).unwrap();
    graph.expect_all(&alone);
    graph.grow(&alone, 2);
    alone.close().unwrap();
    graph.expect_all(&a.open(disabled()).unwrap());
    // The new one knows nothing of that.
    led.expect_all(&new);
    new.close().unwrap();
    led.expect_all(&b.as_it_is().unwrap());
}

/// The new primary is lost for good, machine and all, right after it took over: the old one is promoted again.
#[test]
fn the_old_one_can_lead_again_where_the_new_one_is_lost() {
    let a = Machine::new("a", 1, SyncMode::Full);
    let b = Machine::new("b", 2, SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&old, 6);
    let new = b.replica_of(&a);
    new.replica_promote(false).unwrap();
    let _ = b.restart(Crash::Kill);
    drop(new);
    old.close().unwrap();
    let old = a.primary();
    expect_fenced(&old);
    let epoch = old.primary_promote_to_next_epoch().unwrap();
    assert!(epoch >= 2);
    graph.grow(&old, 3);
    graph.expect_all(&old);
    // What comes back leads as far as it knows: that its graph is given up must be said.
    let b = b.restart(Crash::Kill);
    expect_error(b.try_replica_of(&a), ErrorCode::RoleMismatch, "given up");
    let again = b.overwritten_by(&a);
    again.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&again);
    again.close().unwrap();
    let again = b.replica_of(&a);
    graph.grow(&old, 2);
    catch_up(&again);
    graph.expect_all(&again);
}

/// Frames that somebody has seen went with the power. Whoever opens the file meanwhile as what it is not does not hide that.
#[test]
fn what_leads_and_was_opened_as_a_replica_does_not_give_out_a_lost_number_again() {
    let (a, b) = (Machine::new("a", 1, SyncMode::Off), Machine::new("b", 2, SyncMode::Off));
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 6);
    old.checkpoint().unwrap();
    let lost = graph.grow(&old, 3);
    let other = b.primary();
    std::mem::forget(old);
    let a = a.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    // It is not overwritten after all.
    a.overwritten_by(&b).close().unwrap();
    let old = a.primary();
    let last = old.snapshot().unwrap().token();
    assert!(last < lost, "nothing was lost: {last}");
    graph.cut(last.log_index.0);
    let next = graph.grow(&old, lost.log_index.0 - last.log_index.0);
    assert!(next.epoch > lost.epoch, "{next} goes on as the writer whose commits up to {lost} were seen");
    drop(other);
}

/// It lost the end of what its fence had counted with its power, and follows a node that goes on without that: who follows it
/// misses nothing, and is told of no damage.
#[test]
fn who_follows_an_old_primary_is_not_told_of_an_end_that_it_lost() {
    let mut lost = 0;
    for seed in 0..16 {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| Machine::new(name, seed, SyncMode::Off));
        let (old, mut graph) = (a.primary(), Graph::new(seed));
        graph.grow(&old, 1);
        old.checkpoint().unwrap();
        let (behind, below) = (c.replica_of(&a), d.replica_of(&a));
        assert_eq!((catch_up(&behind), catch_up(&below)), (1, 1));
        below.close().unwrap();
        graph.grow(&old, 2);
        a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).forever().on_path("segment"));
        let promotion = b.replica_of(&a).replica_promote(false).unwrap();
        assert!(promotion.fence_synced);
        std::mem::forget(old);
        let a = a.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        if a.primary().snapshot().unwrap().token().log_index.0 > 1 {
            continue;
        }
        lost += 1;
        // Nobody can reach the one that took over.
        behind.replica_promote(true).unwrap();
        let old = a.replica_of(&c);
        assert_eq!(catch_up(&old), 0);
        let below = d.replica_of(&a);
        assert_eq!(catch_up(&below), 0);
        assert_eq!(replica_status(&below).last_error, None);
        graph.cut(1);
        graph.commit_apart(&behind);
        assert_eq!((catch_up(&old), catch_up(&below)), (1, 1));
        graph.expect_all(&below);
    }
    assert!(lost > 0);
}
