//! A fence that was not completed: it shows on both nodes, and is completed by the same replica, or taken back. And what
//! is done to its words: no flipped bit lets a node lead that should not.

use crate::support::world::stepped;
use crate::support_replication::{
    CRASHES, Graph, MODES, Machine, catch_up, expect_error, expect_fenced, folder::eventually, primary_status,
    replica_status, write,
};
use kitedb_core::{
    Database, ErrorCode, FenceStatus, FollowerOptions, ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan},
};
use std::io;

fn pair(mode: SyncMode) -> (Machine, Machine, Database, Database, Graph) {
    let (a, b) = (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode));
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 4);
    let new = b.replica_of(&a);
    catch_up(&new);
    graph.grow(&old, 3);
    (a, b, old, new, graph)
}

/// Promotes with a crash of the replica's machine at each operation in turn, and hands what is left to `then`.
fn cut_at_every_operation(mode: SyncMode, mut then: impl FnMut(Machine, Machine, Database, Graph)) {
    for op in 1.. {
        let (a, b, old, new, graph) = pair(mode);
        b.disk.crash_at(b.disk.ops() + op);
        let promoted = new.replica_promote(false);
        if !b.disk.crashed() {
            promoted.unwrap();
            assert!(op > 10);
            return;
        }
        let b = b.restart(CRASHES[op as usize % CRASHES.len()]);
        drop(new);
        then(a, b, old, graph);
    }
}

fn fence_of(db: &Database) -> Option<FenceStatus> {
    primary_status(db).fence
}

#[test]
fn one_that_was_not_completed_shows_on_both_nodes() {
    let mut pending = 0;
    cut_at_every_operation(SyncMode::Full, |a, b, old, graph| {
        let shown = fence_of(&old);
        let reader = a.open(a.options(ReplicationRole::Primary).read_only(true)).unwrap();
        assert_eq!(fence_of(&reader), shown);
        assert_eq!(primary_status(&old).fenced, shown.is_some());
        let Some(new) = b.try_replica_still(&a).unwrap() else {
            // It was done: nothing is left to be shown there.
            assert_eq!(shown.and_then(|shown| shown.ended), Some(graph.head()));
            let new = b.as_it_is().unwrap();
            assert_eq!((fence_of(&new), primary_status(&new).fenced), (None, false));
            return expect_fenced(&old);
        };
        assert_eq!(replica_status(&new).promotion, shown);
        let reader = b.open_replica_of(&a, b.following(&a).read_only(true)).unwrap();
        assert_eq!(replica_status(&reader).promotion, shown);
        drop(reader);
        if let Some(FenceStatus { epoch, promoter, ended: None, .. }) = &shown {
            pending += 1;
            assert_eq!((*epoch, promoter.len()), (2, 32));
        }
        new.replica_promote(false).unwrap();
        let ended = fence_of(&old).unwrap();
        assert_eq!((ended.epoch, ended.ended), (2, Some(graph.head())));
        assert!(shown.is_none_or(|shown| shown.promoter == ended.promoter), "another promotion than was begun");
        assert_eq!(fence_of(&new), None);
        expect_fenced(&old);
    });
    assert!(pending > 3, "{pending} crashes came between the fence and the end");
}

/// The one that began it is gone for a while; the old primary, which never ended, goes on. What comes back follows it,
/// whatever it had begun, and leads only where it is promoted anew.
#[test]
fn the_source_takes_the_lead_back_and_the_replica_follows_on() {
    for mode in MODES {
        for reopened in [false, true] {
            let (mut taken_back, mut refused) = (0, 0);
            cut_at_every_operation(mode, |a, b, mut old, mut graph| {
                let ending = fence_of(&old).is_some_and(|fence| fence.ended.is_none());
                if ending {
                    expect_fenced(&old);
                    if reopened {
                        old.close().unwrap();
                        old = a.primary();
                        expect_fenced(&old);
                    }
                    // Higher than what the promotion began.
                    assert_eq!(old.primary_promote_to_next_epoch().unwrap(), 3);
                    assert_eq!(fence_of(&old), None);
                    assert!(!primary_status(&old).fenced);
                    taken_back += 1;
                } else if fence_of(&old).is_some() {
                    // Completed: it is the other's.
                    expect_error(old.primary_promote_to_next_epoch(), ErrorCode::StalePrimary, "stale primary");
                    return;
                }
                graph.grow(&old, 3);
                let new = b.replica_of(&a);
                if let Err(e) = new.replica_promote(false) {
                    assert_eq!(e.code(), ErrorCode::StalePrimary, "{e:?}");
                    assert!(e.to_string().contains("took the lead back"), "{e}");
                    assert!(ending);
                    refused += 1;
                    graph.grow(&old, 1);
                    catch_up(&new);
                    assert!(!replica_status(&new).needs_reseed);
                    assert_eq!(replica_status(&new).promotion, None);
                    graph.expect_all(&new);
                    // Told again, it does.
                    let promotion = new.replica_promote(false).unwrap();
                    assert_eq!(promotion.epoch, 4);
                }
                graph.expect_all(&new);
                expect_fenced(&old);
                graph.commit(&new);
                old.close().unwrap();
                let old = a.replica_of(&b);
                catch_up(&old);
                graph.expect_all(&old);
            });
            assert!(taken_back > 3 && refused > 0, "{taken_back} taken back, {refused} refused");
        }
    }
}

/// The replica that began it comes back only after another one took over: it follows that one without a reseed.
#[test]
fn another_replica_completes_it_and_the_first_follows() {
    cut_at_every_operation(SyncMode::Full, |a, b, old, mut graph| {
        if fence_of(&old).is_some_and(|fence| fence.ended.is_some()) {
            return;
        }
        let c = Machine::new("third", 7, SyncMode::Full);
        let third = c.replica_of(&a);
        assert_eq!(third.replica_promote(false).unwrap().epoch, 2);
        graph.grow(&third, 2);
        let first = b.replica_of(&a);
        let error = first.replica_promote(false).unwrap_err();
        assert_eq!(error.code(), ErrorCode::StalePrimary, "{error:?}");
        first.replica_repoint("/third.kitedb", None).unwrap_err();
        first.close().unwrap();
        let first = b.replica_of(&c);
        catch_up(&first);
        graph.expect_all(&first);
        assert!(!replica_status(&first).needs_reseed);
    });
}

/// It led an epoch in which nothing was committed, and follows the one that took over from it: told to lead again, it
/// does. It used to take its own promotion for one that was cut short.
#[test]
fn a_promotion_that_was_complete_is_not_taken_for_one_that_was_cut_short() {
    for commits in [0, 1] {
        let (a, b, old, new, mut graph) = pair(SyncMode::Full);
        new.replica_promote(false).unwrap();
        graph.grow(&new, commits);
        old.close().unwrap();
        let old = a.replica_of(&b);
        catch_up(&old);
        assert_eq!(old.replica_promote(false).unwrap().epoch, 3);
        new.close().unwrap();
        let new = b.replica_of(&a);
        assert_eq!(replica_status(&new).promotion, None);
        assert_eq!(new.replica_promote(false).unwrap().epoch, 4);
        graph.commit(&new);
        graph.expect_all(&new);
        expect_fenced(&old);
    }
}

/// It took over and committed, and nobody learned of it: told again, it goes on in its epoch, ahead of its old source.
#[test]
fn a_promotion_that_was_done_and_not_heard_of_goes_on() {
    for mode in MODES {
        let (a, b, old, new, mut graph) = pair(mode);
        assert_eq!(new.replica_promote(false).unwrap().epoch, 2);
        graph.grow(&new, 3);
        let b = b.restart(Crash::Kill);
        drop(new);
        // It leads; there is nothing to repeat.
        expect_error(b.try_replica_of(&a), ErrorCode::RoleMismatch, "leads epoch 2");
        let new = b.open(stepped(mode)).unwrap();
        assert_eq!((new.replication_role(), primary_status(&new).epoch), (ReplicationRole::Primary, 2));
        assert_eq!(graph.commit(&new).epoch.0, 2);
        graph.expect_all(&new);
        expect_fenced(&old);
    }
}

#[test]
fn a_follower_goes_on_after_a_promotion_that_failed() {
    let (a, _b, old, new, mut graph) = pair(SyncMode::Full);
    new.start_follower(FollowerOptions::new().poll_ms(7).backoff_ms(3).backoff_max_ms(9)).unwrap();
    a.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::TimedOut).forever());
    new.replica_promote(false).unwrap_err();
    a.disk.clear_faults();
    eventually("the follower runs again", || replica_status(&new).follower_running);
    graph.grow(&old, 3);
    eventually("it follows", || replica_status(&new).applied_log_index == graph.head());
    graph.expect_all(&new);
    new.replica_promote(false).unwrap();
    graph.commit(&new);
    expect_fenced(&old);
}

/// The words of the fence: the one that committers compare, those of before the records, and both records.
const WORDS: [u64; 21] = [16, 19, 21, 22, 23, 24, 33, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 20];

#[test]
fn no_flipped_bit_lets_a_fenced_primary_or_a_replica_commit() {
    let (a, b, old, new, graph) = pair(SyncMode::Full);
    let c = Machine::new("third", 7, SyncMode::Full);
    let third = c.replica_of(&a);
    catch_up(&third);
    third.close().unwrap();
    new.replica_promote(false).unwrap();
    old.close().unwrap();
    for bit in WORDS.into_iter().flat_map(|word| (0..64).step_by(3).map(move |bit| word * 64 + bit)) {
        for (machine, follows) in [(&a, false), (&c, true)] {
            let machine = machine.restart(Crash::Kill);
            machine.disk.corrupt(machine.sidecar().join("control"), bit / 8, 1 << (bit % 8)).unwrap();
            match machine.try_primary() {
                Ok(db) => {
                    expect_fenced(&db);
                    assert_eq!(fence_of(&db).is_some(), !follows);
                    assert_eq!(graph.expect(&db), 7);
                }
                Err(e) => assert_eq!(e.code(), ErrorCode::Corrupt, "{e:?}"),
            }
        }
    }
    drop(b);
}

#[test]
fn a_flipped_bit_under_a_primary_at_work_stops_nothing_and_is_mended() {
    for mode in MODES {
        let machine = Machine::new("primary", 1, mode);
        let (db, mut graph) = (machine.primary(), Graph::new(1));
        graph.grow(&db, 2);
        let control = machine.sidecar().join("control");
        for bit in WORDS.into_iter().flat_map(|word| (0..64).step_by(5).map(move |bit| word * 64 + bit)) {
            machine.disk.corrupt(&control, bit / 8, 1 << (bit % 8)).unwrap();
            graph.commit(&db);
            // Records are mended when the fence is moved or the log is opened; until then one of them is enough.
            if bit / 64 >= 36 {
                machine.disk.corrupt(&control, bit / 8, 1 << (bit % 8)).unwrap();
            }
        }
        graph.expect_all(&db);
        assert!(!primary_status(&db).fenced);
    }
}

#[test]
fn a_fence_that_is_damaged_in_both_copies_is_an_error_and_the_graph_can_be_read() {
    let (a, _b, old, new, graph) = pair(SyncMode::Full);
    let (control, hit) = (a.sidecar().join("control"), |word: u64| word * 8);
    for word in [38, 44] {
        a.disk.corrupt(&control, hit(word), 1).unwrap();
    }
    // To nobody who asks is it anything else.
    expect_error(old.primary_replication_status(), ErrorCode::Corrupt, "the fence in the log control file");
    expect_error(old.primary_promote_to_next_epoch(), ErrorCode::Corrupt, "does not verify");
    expect_error(new.replica_promote(false), ErrorCode::Corrupt, "does not verify");
    old.close().unwrap();
    expect_error(a.try_primary(), ErrorCode::Corrupt, "does not verify");
    let reader = a.open(a.options(ReplicationRole::Disabled).read_only(true)).unwrap();
    assert_eq!(graph.expect(&reader), 7);
}

/// As versions before this one wrote it: without records.
fn make_old(machine: &Machine, epoch: u64, owner: Option<u128>, end: Option<(u64, u64)>, flags: u64) {
    let path = machine.sidecar().join("control");
    let mut bytes = machine.disk.read(&path).unwrap();
    let mut put = |word: usize, value: u64| bytes[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
    (36..48).for_each(|word| put(word, 0));
    put(16, epoch);
    put(19, flags);
    put(21, owner.unwrap_or(0) as u64);
    put(22, (owner.unwrap_or(0) >> 64) as u64);
    put(35, if owner.is_some() { epoch } else { 0 });
    let (ended, last) = end.unwrap_or((0, 0));
    let pair = [ended.to_le_bytes(), last.to_le_bytes()].concat();
    put(23, ended);
    put(24, last);
    put(33, u64::from(crc32fast::hash(&pair)) | 1 << 32);
    machine.disk.overwrite(&path, &bytes).unwrap();
}

#[test]
fn a_control_file_of_an_older_version_says_the_same() {
    let (a, b, old, new, mut graph) = pair(SyncMode::Full);
    catch_up(&new);
    old.close().unwrap();
    new.close().unwrap();
    make_old(&a, 1, None, None, 0);
    make_old(&b, 1, None, None, 2);
    let old = a.primary();
    graph.commit(&old);
    let new = b.replica_of(&a);
    catch_up(&new);
    new.replica_promote(false).unwrap();
    expect_fenced(&old);
    let fence = fence_of(&old).unwrap();
    assert_eq!((fence.epoch, fence.ended), (2, Some(8)));
    old.close().unwrap();
    // Fenced by such a version.
    let owner = u128::from_str_radix(&fence.promoter, 16).unwrap().swap_bytes();
    for end in [None, Some((1, 8))] {
        let a = a.restart(Crash::Kill);
        make_old(&a, 2, Some(owner), end, 0);
        let old = a.primary();
        expect_fenced(&old);
        assert_eq!(fence_of(&old), Some(fence.clone()).map(|fence| with_end(fence, end)));
    }
    write(&new).unwrap();
}

fn with_end(mut fence: FenceStatus, end: Option<(u64, u64)>) -> FenceStatus {
    fence.ended = end.map(|(_, last)| last);
    fence
}
