//! Promotions: one asks for no more than it needs, takes no epoch that is known, and leaves a way on where it fails or is cut short.

use super::{
    stage::{Stage, add, primary, replica_of},
    support_replication::{
        Graph, Machine, catch_up, expect_fenced, expect_following,
        folder::{eventually, sidecar_of},
        primary_status, replica_status, write,
    },
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, FollowerOptions, RepairOptions, SyncMode,
    io::{
        Disk,
        sim::{Crash, FaultOn, FaultPlan, Loss, SimHost},
    },
};
use std::{fs, io, path::Path};

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

/// A promotion in place fails, wherever the disk fails it: who led leads on, or knows of the new epoch, and nothing is to be
/// forced.
#[test]
fn a_promotion_in_place_that_fails_costs_nobody_the_lead() {
    for on in [FaultOn::Sync, FaultOn::Write, FaultOn::Name] {
        let mut failed = 0;
        for nth in 1..40 {
            for crash in [None, Some(Crash::Kill), Some(Crash::PowerLoss(Loss::LoseAllUnsynced))] {
                let machine = Machine::new("node", nth, SyncMode::Full);
                let (db, mut graph) = (machine.primary(), Graph::new(1));
                graph.grow(&db, 5);
                db.close().unwrap();
                let db = machine.primary();
                machine.disk.fail(FaultPlan::new(on, nth, io::ErrorKind::Other));
                failed += u32::from(db.primary_promote_to_next_epoch().is_err());
                machine.disk.clear_faults();
                let machine = match crash {
                    Some(crash) => machine.restart(crash),
                    None => {
                        let _ = db.close();
                        machine
                    }
                };
                let db = machine.primary();
                let written = write(&db);
                assert!(written.is_ok(), "{on:?} {nth}, {crash:?}: {written:?}");
                db.close().unwrap();
                write(&machine.primary()).unwrap();
            }
        }
        assert!(failed > 0, "{on:?}");
    }
}

/// The replica looks before it fences: a promotion that its own disk has no room for takes nobody's lead.
#[test]
fn a_replica_without_room_does_not_fence_its_source() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(3));
    graph.grow(&old, 3);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    b.disk.set_capacity(Some(b.disk.used()));
    let error = replica.replica_promote(false).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DiskFull, "{error:?}");
    assert!(!primary_status(&old).fenced);
    graph.commit(&old);
    b.disk.set_capacity(None);
    catch_up(&replica);
    expect_following(&replica, &old);
}

/// The frames that the replica has not pulled are damaged at the source: found before the fence, not after it.
#[test]
fn a_replica_that_cannot_read_what_it_lacks_does_not_fence_its_source() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(4));
    graph.grow(&old, 2);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    graph.grow(&old, 100);
    let segments = a.segments();
    assert!(segments.len() > 3);
    a.damage(&segments[1], usize::MAX);
    replica.replica_promote(false).unwrap_err();
    assert!(!primary_status(&old).fenced);
    graph.commit(&old);
}

/// A promoter that comes to nothing after its fence: the source says so, and can take the lead back.
#[test]
fn a_source_takes_the_lead_back_from_a_promotion_that_failed() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&old, 3);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    // What it asks of its disk before the fence succeeds.
    b.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment-").forever());
    replica.replica_promote(false).unwrap_err();
    b.disk.clear_faults();
    assert!(primary_status(&old).fenced);
    assert_eq!(write(&old).unwrap_err().kind(), ErrorKind::Fenced);
    old.primary_promote_to_next_epoch().unwrap();
    graph.commit(&old);
    graph.expect_all(&old);
}

/// Its runs are not needed, and its disk need not sync any more: a promotion is what one does with a dying disk.
#[test]
fn a_promotion_does_not_need_the_sources_disk_to_sync() {
    for mode in [SyncMode::Full, SyncMode::Normal] {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(6));
        graph.grow(&old, 3);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        graph.commit(&old);
        a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).forever().on_path(".klog"));
        let promotion = replica.replica_promote(false).unwrap();
        assert!(promotion.source_fenced);
        assert_eq!(promotion.last_kept.log_index.0, graph.head());
        graph.commit(&replica);
        graph.expect_all(&replica);
        expect_fenced(&old);
    }
}

#[test]
fn a_promotion_does_not_need_the_sources_runs() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(7));
    graph.grow(&old, 3);
    old.checkpoint().unwrap();
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&old, 2);
    drop(old);
    let bytes = a.disk.read(a.db()).unwrap();
    a.disk.overwrite(a.db(), &[&bytes[..8192], &vec![0x55; bytes.len() - 8192]].concat()).unwrap();
    let promotion = replica.replica_promote(false).unwrap();
    assert_eq!((promotion.last_kept.log_index.0, promotion.source_fenced), (5, true));
    graph.commit(&replica);
    graph.expect_all(&replica);
}

/// A promotion that was refused leaves the follower at work.
#[test]
fn a_promotion_that_fails_lets_the_follower_go_on() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let between = stage.replica("between.kitedb", &source);
    // A replica that follows a replica cannot fence it.
    let path = stage.replica("r.kitedb", &between);
    let db = Database::open(path, replica_of(&between)).unwrap();
    db.start_follower(FollowerOptions::default()).unwrap();
    eventually("the replica follows", || replica_status(&db).applied_log_index == 2);
    db.replica_promote(false).unwrap_err();
    assert!(replica_status(&db).follower_running);
}

/// The same promoter asks twice, because the first answer was lost: it leads the one epoch.
#[test]
fn a_promotion_that_is_asked_for_twice_is_one() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(8));
    graph.grow(&old, 3);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_promote(false).unwrap().epoch, 2);
    assert_eq!(replica.replica_promote(false).unwrap_err().code(), ErrorCode::NotReplica);
    assert_eq!(graph.commit(&replica).to_string(), "2:4");
    expect_fenced(&old);
}

/// Two operators, each with a replica of his own: what was taken over already is led by two only if one is forced, and
/// then in another epoch.
#[test]
fn a_promotion_that_is_forced_beside_another_one_takes_a_later_epoch() {
    let (a, b) = machines(SyncMode::Full);
    let c = Machine::new("other", 3, SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(9));
    graph.grow(&old, 3);
    let (first, second) = (b.replica_of(&a), c.replica_of(&a));
    catch_up(&first);
    catch_up(&second);
    assert_eq!(first.replica_promote(false).unwrap().rival_epoch, None);
    assert_eq!(second.replica_promote(false).unwrap_err().code(), ErrorCode::StalePrimary);
    let forced = second.replica_promote(true).unwrap();
    assert_eq!((forced.epoch, forced.rival_epoch), (3, Some(2)));
}

/// Its source began epoch 2, of which no frame came: that it was there, the replica knows as of a pull or a status, of a
/// source that promoted itself or was taken over from, and after a loss of power. The source is gone, or cannot be fenced.
#[test]
fn a_promotion_by_force_takes_no_epoch_that_its_source_was_seen_in() {
    type See = fn(&Database);
    let pulled: See = |replica| assert_eq!(catch_up(replica), 0);
    let looked: See = |replica| drop(replica_status(replica));
    let reseeded: See = |replica| replica.replica_reseed_from_snapshot().unwrap();
    for (how, see) in [("pulled", pulled), ("looked", looked), ("reseeded", reseeded)] {
        for taken_over in [false, true] {
            let (a, b) = machines(SyncMode::Full);
            let c = Machine::new("other", 3, SyncMode::Full);
            let (old, mut graph) = (a.primary(), Graph::new(9));
            graph.grow(&old, 3);
            let (replica, other) = (b.replica_of(&a), c.replica_of(&a));
            catch_up(&replica);
            catch_up(&other);
            let led = match taken_over {
                true => other.replica_promote(false).unwrap().epoch,
                false => old.primary_promote_to_next_epoch().unwrap(),
            };
            assert_eq!(led, 2);
            see(&replica);
            // Its machine loses its power, and its source's burns down.
            b.host.set_forked(true);
            drop(replica);
            let b = b.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
            for path in a.disk.paths() {
                a.disk.remove(&path).unwrap();
            }
            let replica = b.replica_of(&a);
            let forced = replica.replica_promote(true).unwrap();
            assert_eq!((forced.epoch, forced.source_fenced), (3, false), "{how}, taken over: {taken_over}");
        }
    }
}

/// Another replica's promotion raised the fence and did not come to its end while this one looked; then it did, and the source
/// is gone.
#[test]
fn a_promotion_by_force_takes_no_epoch_that_another_one_was_about_to_begin() {
    let (a, b) = machines(SyncMode::Full);
    let c = Machine::new("other", 3, SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(9));
    graph.grow(&old, 3);
    let (replica, other) = (b.replica_of(&a), c.replica_of(&a));
    catch_up(&replica);
    catch_up(&other);
    // The segment of the next epoch cannot be made.
    c.disk.fail(FaultPlan::new(FaultOn::Name, 1, io::ErrorKind::Other).forever().on_path("segment"));
    other.replica_promote(false).unwrap_err();
    c.disk.clear_faults();
    let fence = primary_status(&old).fence.expect("the source is fenced");
    assert_eq!((fence.epoch, fence.ended), (2, None));
    assert_eq!(catch_up(&replica), 0);
    let (first, second) = (other.replica_promote(false).unwrap().epoch, {
        for path in a.disk.paths() {
            a.disk.remove(&path).unwrap();
        }
        replica.replica_promote(true).unwrap().epoch
    });
    assert_eq!((first, second), (2, 3));
}

/// It never pulled since, and the source, a replica itself, knows of a later epoch of which it has no frame either; or it has
/// seen that, and its files are opened as a primary's first, which does not lead beside a source that cannot be fenced.
#[test]
fn no_promotion_takes_an_epoch_that_its_source_knows() {
    for as_primary in [false, true] {
        let (a, b) = machines(SyncMode::Full);
        let c = Machine::new("other", 3, SyncMode::Full);
        let (old, mut graph) = (a.primary(), Graph::new(9));
        graph.grow(&old, 3);
        let middle = b.replica_of(&a);
        catch_up(&middle);
        let last = c.replica_of(&b);
        catch_up(&last);
        assert_eq!(old.primary_promote_to_next_epoch().unwrap(), 2);
        catch_up(&middle);
        let last = if as_primary {
            catch_up(&last);
            last.close().unwrap();
            let last = c.primary();
            let error = last.primary_promote_to_next_epoch().unwrap_err();
            assert_eq!(error.code(), ErrorCode::SourceUnavailable, "{error:?}");
            last.close().unwrap();
            c.replica_of(&b)
        } else {
            last
        };
        assert_eq!(last.replica_promote(true).unwrap().epoch, 3, "opened as a primary: {as_primary}");
    }
}

/// Nobody took over: its source's control file was lost, and it does not lead before it is told to.
#[test]
fn a_promotion_from_a_source_that_was_repaired_does_not_say_that_another_node_leads() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    fs::remove_file(sidecar_of(&source).join("control")).unwrap();
    assert!(Database::repair(&source, RepairOptions::new()).unwrap().fenced);
    let replica = Database::open(&path, replica_of(&source)).unwrap();
    let refused = replica.replica_promote(false).unwrap_err();
    let text = refused.to_string();
    assert_eq!(refused.code(), ErrorCode::SourceUnavailable, "{text}");
    let command = format!("`kitedb primary promote {} --force`", source.display());
    assert!(text.contains("was repaired") && text.contains(&command), "{text}");
    assert!(!text.contains("by another promotion"), "{text}");
    let forced = replica.replica_promote(true).unwrap();
    // The repair gave a number away, which the source may lead when its operator says so.
    assert_eq!((forced.epoch, forced.rival_epoch), (3, None));
    replica.close().unwrap();

    // Or the source leads again, and then the replica takes over as ever.
    let path = stage.path("s.kitedb");
    let lead = Database::open(&source, primary()).unwrap();
    // Beside the one that leads by now it does so by force only.
    let refused = lead.primary_promote_to_next_epoch().unwrap_err();
    assert!(refused.code() == ErrorCode::StalePrimary && refused.to_string().contains("r.kitedb"), "{refused}");
    assert!(lead.primary_promote_by_force().unwrap() > 3);
    let replica = Database::open(&path, replica_of(&source)).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    assert!(replica.replica_promote(false).unwrap().source_fenced);
}

/// A primary begins an epoch, the disk fails in the midst of that, and it is well again for the commits that follow; then
/// the power goes.
#[test]
fn a_promotion_in_place_that_cannot_be_taken_back_lets_nothing_be_committed_that_it_makes_void() {
    for seed in 0..20 {
        let machine = Machine::new("primary", seed, SyncMode::Full);
        let (db, mut graph) = (machine.primary(), Graph::new(seed));
        graph.grow(&db, 2);
        machine.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).forever().on_path("control"));
        db.primary_promote_to_next_epoch().unwrap_err();
        machine.disk.clear_faults();
        let acknowledged = (0..3).take_while(|_| graph.try_commit(&db).is_ok()).count() as u64;
        machine.host.set_forked(true);
        drop(db);
        let found = Machine { disk: machine.disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced)), ..machine };
        found.host.set_forked(false);
        let db = found.primary();
        assert!(graph.expect(&db) >= 2 + acknowledged, "seed {seed}: {acknowledged} acknowledged");
    }
}

/// A promotion is killed after it moved the source's fence. Nobody leads: that is what a commit and the status of the source say, and
/// the source does not become a replica of the one that follows it. What is told leads out, either way.
#[test]
fn a_primary_does_not_follow_who_began_to_take_over_from_it() {
    let mut begun = 0;
    for op in 1.. {
        let a = Machine::new("primary", 1, SyncMode::Full);
        let b = Machine { name: "replica", host: SimHost::new(2), ..a.clone() };
        let (old, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&old, 3);
        let new = b.replica_of(&a);
        catch_up(&new);
        graph.grow(&old, 2);
        old.close().unwrap();
        a.disk.crash_at(a.disk.ops() + op);
        let promoted = new.replica_promote(false);
        if !a.disk.crashed() {
            promoted.unwrap();
            break;
        }
        drop(new);
        let a = a.restart(Crash::Kill);
        let b = Machine { name: "replica", host: SimHost::new(3), ..a.clone() };
        let old = a.primary();
        let status = primary_status(&old);
        if status.fence.as_ref().is_none_or(|fence| fence.ended.is_some()) {
            continue;
        }
        begun += 1;
        let refused = write(&old).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StalePrimary, "operation {op}: {refused}");
        for said in [status.fault().unwrap(), refused.to_string()] {
            assert!(said.contains("was begun and not completed, and nobody leads"), "operation {op}: {said}");
            assert!(said.contains("`kitedb primary promote /primary.kitedb`"), "operation {op}: {said}");
        }
        old.close().unwrap();
        for _ in 0..2 {
            let follower = a.replica_of(&b);
            let refused = follower.replica_catch_up_once(9).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::StalePrimary, "operation {op}: {refused}");
            for way in ["`kitedb replica promote /replica.kitedb`", "`kitedb primary promote /primary.kitedb`"] {
                assert!(refused.to_string().contains(way), "operation {op}: {refused}");
            }
            follower.close().unwrap();
        }
        if begun % 3 == 0 {
            // Its source is away, and who began it leads by force: neither the source nor another one makes a second history.
            let away = Path::new("/away.replication");
            a.disk.rename(Path::new("/primary.kitedb.replication"), away).unwrap();
            let new = b.replica_of(&a);
            assert!(new.replica_promote(true).unwrap().epoch > 1, "operation {op}");
            graph.commit(&new);
            new.close().unwrap();
            a.disk.rename(away, Path::new("/primary.kitedb.replication")).unwrap();
            let old = a.primary();
            let refused = old.primary_promote_to_next_epoch().unwrap_err();
            assert_eq!(refused.code(), ErrorCode::StalePrimary, "operation {op}: {refused}");
            assert!(refused.to_string().contains("--source-db /replica.kitedb"), "operation {op}: {refused}");
            assert!(old.primary_promote_by_force().unwrap() > 2, "operation {op}");
        } else if begun % 3 == 1 {
            let old = a.primary();
            old.primary_promote_to_next_epoch().unwrap();
            graph.commit(&old);
            let new = b.replica_of(&a);
            catch_up(&new);
            graph.expect_all(&new);
        } else {
            let new = b.replica_of(&a);
            new.replica_promote(false).unwrap();
            graph.commit(&new);
            let old = a.replica_of(&b);
            catch_up(&old);
            graph.expect_all(&old);
        }
    }
    assert!(begun > 3, "{begun} crashes came between the fence and its end");
}

/// A promotion is killed after it said at the source where the epoch ends, and before it led. Nobody leads, and only the replica that
/// began it can complete it: that is what the source says; it stays a primary, whichever replica it is told to follow; a reseed of
/// that replica leaves it able to, and it is detached by name only.
#[test]
fn a_promotion_that_was_cut_short_before_it_led_is_completed_by_who_began_it() {
    let mut begun = 0;
    for op in 1.. {
        let a = Machine::new("primary", 1, SyncMode::Full);
        let on = |name, seed, a: &Machine| Machine { name, host: SimHost::new(seed), ..a.clone() };
        let (b, c) = (on("replica", 2, &a), on("other", 4, &a));
        let (old, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&old, 3);
        let other = c.replica_of(&a);
        catch_up(&other);
        other.close().unwrap();
        let new = b.replica_of(&a);
        catch_up(&new);
        old.close().unwrap();
        a.disk.crash_at(a.disk.ops() + op);
        let promoted = new.replica_promote(false);
        if !a.disk.crashed() {
            promoted.unwrap();
            break;
        }
        drop(new);
        let a = a.restart(Crash::Kill);
        let (b, c) = (on("replica", 3, &a), on("other", 5, &a));
        let old = a.primary();
        let status = primary_status(&old);
        let leads = || match b.try_replica_of(&a) {
            Ok(new) => replica_status(&new).promotion.is_none(),
            Err(e) => e.code() == ErrorCode::RoleMismatch,
        };
        if status.fence.as_ref().is_none_or(|fence| fence.ended.is_none()) || leads() {
            continue;
        }
        begun += 1;
        let said = status.fault().unwrap();
        let complete = "`kitedb replica promote /replica.kitedb`";
        assert!(said.contains("nobody leads") && said.contains(complete), "operation {op}: {said}");
        old.close().unwrap();
        for source in [&b, &c] {
            let follower = a.replica_of(source);
            let refused = follower.replica_catch_up_once(9).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::StalePrimary, "operation {op}: {refused}");
            assert!(refused.to_string().contains(complete), "operation {op}: {refused}");
            follower.close().unwrap();
        }
        assert!(primary_status(&a.primary()).fenced);
        let refused = Database::detach_in(a.env(), Path::new("/replica.kitedb"), Default::default()).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::WouldOverwrite, "operation {op}: {refused}");
        let new = b.replica_of(&a);
        if begun % 2 == 0 {
            new.replica_bootstrap_from_snapshot().unwrap();
        }
        new.replica_promote(false).unwrap_or_else(|e| panic!("operation {op}: {e}"));
        graph.commit(&new);
        let old = a.replica_of(&b);
        catch_up(&old);
        graph.expect_all(&old);
    }
    assert!(begun > 1, "{begun} crashes came between the end and the lead");
}

/// The log of a replica lost its end, and its primary is whole: nobody is fenced for it. Once it is reseeded it takes over.
#[test]
fn a_replica_that_is_damaged_itself_does_not_fence_its_source() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    add(&Database::open(&source, primary()).unwrap(), "more").unwrap();
    let replica = Database::open(&path, replica_of(&source)).unwrap();
    catch_up(&replica);
    replica.close().unwrap();
    let log = fs::read_dir(sidecar_of(&path)).unwrap().map(|entry| entry.unwrap().path());
    let segment = log.filter(|path| path.extension().is_some_and(|ending| ending == "klog")).max().unwrap();
    let replica = Database::open(&path, replica_of(&source)).unwrap();
    fs::remove_file(segment).unwrap();
    let refused = replica.replica_promote(false).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NeedsReseed, "{refused}");
    assert!(refused.to_string().contains("kitedb replica reseed "), "{refused}");
    add(&Database::open(&source, primary()).unwrap(), "leads").unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    replica.replica_promote(false).unwrap();
    add(&replica, "took over").unwrap();
}
