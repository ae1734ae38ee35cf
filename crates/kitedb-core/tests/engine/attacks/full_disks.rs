//! Disks that have no room left and copy on write, as btrfs does, and xfs where files share blocks: what changes a page
//! needs another block, also where no file grows. A store to a mapped page used to kill the process there (`SIGBUS`), of
//! the writer, of a follower, of a promoter, of `primary remove`.

use super::support_replication::{
    CRASHES, Graph, MODES, Machine, catch_up, digest, expect_error, expect_following, primary_status, replica_status,
    write,
};
use kitedb_core::{
    Database, Error, ErrorCode, ErrorKind, OpenOptions, ReplicaState, Result, SyncMode,
    io::{
        Disk,
        sim::{Crash, FaultOn, FaultPlan},
    },
};
use std::io;

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::copying("primary", 1, mode), Machine::copying("replica", 2, mode))
}

fn fill(machine: &Machine) {
    machine.disk.set_capacity(Some(0));
}

fn make_room(machine: &Machine) {
    machine.expect_no_violations();
    machine.disk.set_capacity(None);
}

/// Lets the stores to words of that file fail for want of room, from the `nth` on.
fn no_room_for_words(machine: &Machine, file: &str, nth: u64) {
    machine.disk.fail(FaultPlan::new(FaultOn::Write, nth, io::ErrorKind::StorageFull).forever().on_path(file));
}

fn commit_until_it_fails(graph: &mut Graph, db: &Database) -> Error {
    (0..1000).find_map(|_| graph.try_commit(db).err()).expect("it never failed")
}

fn expect_full(error: &Error) {
    assert_eq!((error.code(), error.kind()), (ErrorCode::DiskFull, ErrorKind::RetryLater), "{error:?}");
}

#[test]
fn a_full_disk_refuses_commits_and_the_same_handle_goes_on_when_there_is_room() {
    for mode in MODES {
        for synced in [false, true] {
            let (a, b) = machines(mode);
            let (primary, mut graph) = (a.primary(), Graph::new(1));
            let replica = b.replica_of(&a);
            graph.grow(&primary, 5);
            if synced {
                // All that is written from here on needs other blocks.
                primary.checkpoint().unwrap();
            }
            fill(&a);
            for _ in 0..3 {
                expect_full(&commit_until_it_fails(&mut graph, &primary));
            }
            assert!(primary_status(&primary).append_failures >= 3);
            graph.expect_all(&primary);
            a.expect_no_violations();

            make_room(&a);
            graph.grow(&primary, 5);
            catch_up(&replica);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
            for crash in CRASHES {
                let a = a.restart(crash);
                if crash == Crash::Kill {
                    graph.expect_all(&a.primary());
                }
                a.expect_no_violations();
            }
        }
    }
}

/// What is durable and cannot be announced for want of room is acknowledged, and nothing more is, until others see it.
#[test]
fn what_others_do_not_see_for_want_of_room_they_see_once_there_is_some() {
    for mode in MODES {
        for ended in [false, true] {
            let (a, b) = machines(mode);
            let (primary, mut graph) = (a.primary(), Graph::new(2));
            let replica = b.replica_of(&a);
            graph.grow(&primary, 4);
            catch_up(&replica);
            no_room_for_words(&a, "control", 1);
            graph.grow(&primary, 1);
            graph.expect_all(&primary);
            for _ in 0..2 {
                let error = graph.try_commit(&primary).unwrap_err();
                expect_full(&error);
                assert!(error.to_string().contains("could not be announced"), "{error}");
            }
            a.disk.clear_faults();
            let (a, primary) = match ended {
                false => (a, primary),
                true => {
                    let after = a.restart(Crash::Kill);
                    drop(primary);
                    let primary = after.primary();
                    (after, primary)
                }
            };
            graph.expect_all(&primary);
            let replica = if ended {
                drop(replica);
                b.replica_of(&a)
            } else {
                replica
            };
            graph.grow(&primary, 1);
            catch_up(&replica);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
            a.expect_no_violations();
        }
    }
}

#[test]
fn a_full_disk_stops_a_replica_which_goes_on_when_there_is_room() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(3));
        let replica = b.replica_of(&a);
        graph.grow(&primary, 3);
        catch_up(&replica);
        graph.grow(&primary, 40);
        fill(&b);
        let mut result = Ok(1);
        while let Ok(1..) = result {
            result = replica.replica_catch_up_once(2);
        }
        expect_error(result, ErrorCode::DiskFull, "");
        let status = replica_status(&replica);
        assert_eq!((status.state, status.needs_reseed), (ReplicaState::Stalled, false));
        b.expect_no_violations();
        make_room(&b);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        let b = b.restart(Crash::Kill);
        drop(replica);
        graph.expect_all(&b.replica_of(&a));
    }
}

/// A follower writes at its source, too: its report there, and that it sleeps.
#[test]
fn a_follower_of_a_source_without_room_for_its_report_follows_and_says_so() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(4));
        graph.grow(&primary, 6);
        no_room_for_words(&a, "replicas", 1);
        let replica = b.replica_of(&a);
        let (mut pulled, mut result) = (0, Ok(1));
        while let Ok(1..) = result {
            result = replica.replica_catch_up_once(2);
            pulled += result.as_ref().map_or(0, |count| *count);
        }
        assert_eq!((pulled, graph.expect(&replica)), (6, 6), "{result:?}");
        assert_eq!(replica_status(&replica).state, ReplicaState::Unregistered);
        a.expect_no_violations();
        a.disk.clear_faults();
        graph.grow(&primary, 1);
        catch_up(&replica);
        assert_eq!(replica_status(&replica).state, ReplicaState::Following);
        expect_following(&replica, &primary);
    }
}

#[test]
fn a_promotion_without_room_for_the_fence_at_its_source_can_be_called_again() {
    for mode in MODES {
        for nth in 1..=8 {
            let (a, b) = machines(mode);
            let (old, mut graph) = (a.primary(), Graph::new(5));
            graph.grow(&old, 4);
            let new = b.replica_of(&a);
            catch_up(&new);
            no_room_for_words(&a, "control", nth);
            let first = new.replica_promote(false);
            if let Err(e) = &first {
                expect_full(e);
            }
            a.disk.clear_faults();
            let fenced = match graph.try_commit(&old) {
                Ok(_) => false,
                Err(e) => {
                    assert!(matches!(e.code(), ErrorCode::StalePrimary | ErrorCode::OutcomeUnknown), "{nth}: {e:?}");
                    true
                }
            };
            assert!(fenced || first.is_err(), "{nth}: both lead");
            if first.is_err() {
                new.replica_promote(false).unwrap();
            }
            graph.expect_all(&new);
            graph.commit(&new);
            assert_eq!(write(&old).unwrap_err().code(), ErrorCode::StalePrimary);
            a.expect_no_violations();
            b.expect_no_violations();
        }
    }
}

#[test]
fn a_promotion_from_a_full_disk_fails_and_fences_for_good_only_what_it_leads() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(6));
        graph.grow(&old, 4);
        let new = b.replica_of(&a);
        catch_up(&new);
        fill(&a);
        expect_full(&new.replica_promote(false).unwrap_err());
        make_room(&a);
        graph.commit(&old);
        new.replica_promote(false).unwrap();
        graph.expect_all(&new);
        assert_eq!(write(&old).unwrap_err().code(), ErrorCode::StalePrimary);
    }
}

#[test]
fn a_replica_is_not_removed_where_there_is_no_room_to_note_it() {
    for file in ["replicas", "control"] {
        for nth in 1..=3 {
            let (a, b) = machines(SyncMode::Full);
            let (primary, mut graph) = (a.primary(), Graph::new(7));
            graph.grow(&primary, 3);
            let replica = b.replica_of(&a);
            catch_up(&replica);
            let id = primary_status(&primary).replica_lags[0].replica_id.clone();
            no_room_for_words(&a, file, nth);
            match primary.primary_remove_replica(&id) {
                Ok(known) => assert!(known),
                Err(e) => expect_full(&e),
            }
            a.disk.clear_faults();
            let left = primary_status(&primary).replica_lags.len();
            assert_eq!(primary.primary_remove_replica(&id).unwrap(), left == 1);
            assert!(primary_status(&primary).replica_lags.is_empty());
            graph.commit(&primary);
            catch_up(&replica);
            expect_following(&replica, &primary);
            assert!(primary.check().unwrap().is_clean());
            a.expect_no_violations();
        }
    }
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(7));
    graph.grow(&primary, 3);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let id = primary_status(&primary).replica_lags[0].replica_id.clone();
    fill(&a);
    expect_full(&primary.primary_remove_replica(&id).unwrap_err());
    make_room(&a);
    let left = primary_status(&primary).replica_lags.len();
    assert_eq!(primary.primary_remove_replica(&id).unwrap(), left == 1);
    assert!(primary.check().unwrap().is_clean());
}

/// A life, in which the `nth` store to shared words finds no room, nor any after it.
#[test]
fn at_whatever_store_the_disk_is_full_nothing_acknowledged_is_lost() {
    for file in ["control", "replicas"] {
        for (nth, mode) in (1..80).flat_map(|nth| MODES.map(|mode| (nth, mode))) {
            let (a, b) = machines(mode);
            let mut graph = Graph::new(nth);
            {
                let primary = a.primary();
                graph.grow(&primary, 2);
                primary.close().unwrap();
            }
            no_room_for_words(&a, file, nth);
            let life = |graph: &mut Graph| -> Result<()> {
                let primary = a.try_primary()?;
                graph.try_commit(&primary)?;
                let replica = b.replica_of(&a);
                replica.replica_catch_up_once(10)?;
                graph.try_commit(&primary)?;
                primary.checkpoint()?;
                primary.primary_run_retention()?;
                graph.try_commit(&primary)?;
                replica.replica_catch_up_once(10)?;
                replica.close()?;
                primary.close()?;
                let primary = a.try_primary()?;
                graph.try_commit(&primary)?;
                primary.close()
            };
            if let Err(e) = life(&mut graph) {
                expect_full(&e);
            }
            a.expect_no_violations();
            a.disk.clear_faults();
            let primary = a.primary();
            graph.expect_all(&primary);
            graph.commit(&primary);
            let replica = b.replica_of(&a);
            catch_up(&replica);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
            assert!(primary.check().unwrap().is_clean());
        }
    }
}

/// The same of a reseed, whose new log the control file of a living replica is to name: what is told and what is stored agree, and
/// what is left to be done is, by the next pull or the next open.
#[test]
fn at_whatever_store_the_disk_is_full_a_reseed_ends_with_the_next_pull_or_open() {
    let mut failed_late = 0;
    for (nth, reopened) in (1..40).flat_map(|nth| [(nth, false), (nth, true)]) {
        let (a, b) = machines(SyncMode::Full);
        let (primary, mut graph) = (a.primary(), Graph::new(nth));
        graph.grow(&primary, 3);
        let mut replica = b.replica_of(&a);
        catch_up(&replica);
        graph.grow(&primary, 3);
        no_room_for_words(&b, "control", nth);
        let reseeded = replica.replica_reseed_from_snapshot();
        let reached = replica.last_commit_token().unwrap().log_index.0 as usize;
        assert_eq!(digest(&replica), graph.digests[reached], "{nth}");
        if let Err(e) = &reseeded {
            expect_full(e);
            failed_late += usize::from(reached == 6);
            assert!(replica_status(&replica).last_error.is_none_or(|e| !e.contains("gone")), "{nth}");
        } else {
            assert_eq!(reached, 6);
        }
        assert_eq!(replica_status(&replica).log_fault, None, "{nth}: {reseeded:?}");
        assert_eq!(replica.check().unwrap().damage, Vec::<String>::new(), "{nth}: {reseeded:?}");
        b.expect_no_violations();
        b.disk.clear_faults();
        if reopened {
            drop(replica);
            replica = b.replica_of(&a);
        }
        catch_up(&replica);
        graph.grow(&primary, 2);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        assert!(replica.check().unwrap().is_clean(), "{nth}");
    }
    assert!(failed_late > 0, "no store failed after the copy was in place");
}

#[test]
fn a_database_without_a_part_in_replication_meets_a_full_disk_as_well() {
    for mode in MODES {
        let a = Machine::copying("one", 9, mode);
        let options = || OpenOptions::new().sync_mode(mode).background(false);
        let open = |machine: &Machine| machine.open(options());
        let (db, mut graph) = (open(&a).unwrap(), Graph::new(9));
        graph.grow(&db, 3);
        fill(&a);
        expect_full(&commit_until_it_fails(&mut graph, &db));
        // Another process reads beside it all the while.
        let reader = Database::open_in(a.disk.process().env(&a.host), a.db(), options().read_only(true)).unwrap();
        assert_eq!(digest(&reader), digest(&db));
        drop(reader);
        a.expect_no_violations();
        make_room(&a);
        graph.commit(&db);
        let a = a.restart(Crash::Kill);
        drop(db);
        let db = open(&a).unwrap();
        graph.expect_all(&db);
        db.close().unwrap();
        graph.expect_all(&open(&a).unwrap());
    }
}

/// Of several frames that a full disk cut short the first may be there, whole. A file that was closed then, and a log that
/// went on after it, fitted together no more, and nothing but a reseed was left.
#[test]
fn a_replica_that_was_closed_when_a_full_disk_had_cut_a_pull_short_takes_over() {
    for seed in 0..30 {
        let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", seed, SyncMode::Full));
        let (primary, mut graph) = (a.primary(), Graph::new(seed));
        graph.grow(&primary, 3);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        graph.grow(&primary, 6);
        b.disk.fail(FaultPlan::new(FaultOn::Write, 1, io::ErrorKind::StorageFull).forever().on_path("segment"));
        expect_full(&replica.replica_catch_up_once(100).unwrap_err());
        if seed % 2 == 0 {
            b.disk.clear_faults();
        }
        replica.close().unwrap();
        b.disk.clear_faults();

        let replica = b.replica_of(&a);
        primary.close().unwrap();
        a.disk.remove(&a.db()).unwrap();
        replica.replica_promote(true).unwrap();
        graph.cut(graph.expect(&replica));
        graph.grow(&replica, 2);
        graph.expect_all(&replica);
        b.expect_no_violations();
    }
}
