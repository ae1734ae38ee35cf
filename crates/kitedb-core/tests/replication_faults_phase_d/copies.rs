//! Copies of files and restored backups: found at first contact, never merged.

use crate::support_replication::{
    Graph, Machine, catch_up, expect_error, expect_following, expect_needs_reseed, primary_status, replica_status,
    write,
};
use kitedb_core::{Database, ErrorCode, ErrorKind, ReplicationRole, SyncMode, io::Disk};
use std::path::PathBuf;

/// The files of a machine's database, as `cp -r` would take them.
fn backup(machine: &Machine) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths = machine.disk.paths();
    paths.retain(|path| *path == machine.db() || path.starts_with(machine.sidecar()));
    paths.into_iter().map(|path| (path.clone(), machine.disk.read(&path).unwrap())).collect()
}

/// Puts them on `machine`, under its own name, in place of what it has.
fn restore(machine: &Machine, from: &Machine, files: &[(PathBuf, Vec<u8>)]) {
    for path in machine.disk.paths() {
        if path == machine.db() || path.starts_with(machine.sidecar()) {
            machine.disk.remove(&path).unwrap();
        }
    }
    for (path, bytes) in files {
        let path = path.to_str().unwrap().replacen(from.name, machine.name, 1);
        machine.disk.write(path, bytes).unwrap();
    }
}

fn near(name: &'static str, machine: &Machine) -> Machine {
    Machine { name, ..machine.clone() }
}

#[test]
fn a_copied_primary_and_its_original_part_and_replicas_notice() {
    // Copied at rest, and from under a process that had it open; read later on the same machine, and on another one.
    for (at_rest, same_machine) in [(true, true), (true, false), (false, true), (false, false)] {
        let a = Machine::new("primary", 1, SyncMode::Full);
        let (mut primary, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&primary, 6);
        let files = if at_rest {
            primary.close().unwrap();
            let files = backup(&a);
            primary = a.primary();
            files
        } else {
            backup(&a)
        };
        let copy = if same_machine { near("copied", &a) } else { Machine::new("copied", 5, SyncMode::Full) };
        restore(&copy, &a, &files);
        copy.expect_moved();
        // On another machine, nobody knows what else the one that it was copied from had shown.
        assert_eq!(copy.confirm_moved_by_force(), if at_rest || same_machine { 2 } else { 3 });
        let copied = copy.primary();
        let mut other = graph.clone();
        graph.grow(&primary, 3);
        // Other commits under the same numbers.
        other.commit_apart(&copied);
        other.grow(&copied, 3);

        let b = Machine::new("replica", 2, SyncMode::Full);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        graph.expect_all(&replica);
        replica.close().unwrap();
        let replica = b.replica_of(&copy);
        let what = format!("at rest: {at_rest}, on the same machine: {same_machine}");
        let error = replica.replica_catch_up_once(100).expect_err(&what);
        assert_eq!(error.code(), ErrorCode::NeedsReseed, "{what}: {error:?}");
        expect_needs_reseed(&replica);
        graph.expect_all(&replica);
        // Back to the original: nothing has happened.
        replica.close().unwrap();
        let replica = b.replica_of(&a);
        graph.grow(&primary, 1);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        replica.close().unwrap();
        let replica = b.replica_of(&copy);
        expect_error(replica.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "would be given up");
        replica.close().unwrap();
        let replica = b.overwritten_by(&copy);
        replica.replica_reseed_from_snapshot().unwrap();
        other.expect_all(&replica);
        expect_following(&replica, &copied);
    }
}

/// A replica of before the copy may go on with either of them, once.
#[test]
fn a_replica_of_before_the_copy_follows_one_of_them() {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(2));
    graph.grow(&primary, 6);
    let b = Machine::new("replica", 2, SyncMode::Full);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(4).unwrap(), 4);
    replica.close().unwrap();
    primary.close().unwrap();
    let copy = near("copied", &a);
    restore(&copy, &a, &backup(&a));
    copy.expect_moved();
    copy.confirm_moved_by_force();
    let (primary, copied, mut other) = (a.primary(), copy.primary(), graph.clone());
    graph.grow(&primary, 3);
    other.commit_apart(&copied);
    let replica = b.replica_of(&copy);
    assert_eq!(catch_up(&replica), 3);
    other.expect_all(&replica);
    replica.close().unwrap();
    let replica = b.replica_of(&a);
    expect_error(replica.replica_catch_up_once(100), ErrorCode::NeedsReseed, "needs reseed");
    other.expect_all(&replica);
}

/// An older backup of the primary was put in its place: its replica is ahead of it.
#[test]
fn a_restored_backup_of_the_primary_is_found() {
    for goes_on in [0, 1, 4, 9] {
        let a = Machine::new("primary", 1, SyncMode::Full);
        let (primary, mut graph) = (a.primary(), Graph::new(3));
        graph.grow(&primary, 6);
        primary.close().unwrap();
        let files = backup(&a);
        let primary = a.primary();
        graph.grow(&primary, 4);
        let b = Machine::new("replica", 2, SyncMode::Full);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        primary.close().unwrap();
        replica.close().unwrap();
        restore(&a, &a, &files);
        let mut after = graph.clone();
        after.cut(6);
        after.expect_all(&a.primary());
        a.expect_moved();
        assert_eq!(a.confirm_moved(), 2);
        let primary = a.primary();
        after.expect_all(&primary);
        if goes_on > 0 {
            after.commit_apart(&primary);
            after.grow(&primary, goes_on - 1);
        }
        let replica = b.replica_of(&a);
        let error = replica.replica_catch_up_once(100).expect_err("ahead of its source, or beside it");
        assert_eq!(error.code(), ErrorCode::NeedsReseed, "{goes_on}: {error:?}");
        expect_needs_reseed(&replica);
        graph.expect_all(&replica);
        expect_error(replica.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "would be given up");
        replica.close().unwrap();
        let replica = b.overwritten_by(&a);
        replica.replica_reseed_from_snapshot().unwrap();
        after.expect_all(&replica);
        after.grow(&primary, 5);
        assert_eq!(catch_up(&replica), 5);
        after.expect_all(&replica);
    }
}

/// The restored primary may be led from: but its replica, which has more, takes over instead.
#[test]
fn a_replica_ahead_of_a_restored_primary_can_take_over_by_force() {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(4));
    graph.grow(&primary, 6);
    primary.close().unwrap();
    let files = backup(&a);
    let primary = a.primary();
    graph.grow(&primary, 4);
    let b = Machine::new("replica", 2, SyncMode::Full);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    primary.close().unwrap();
    replica.close().unwrap();
    restore(&a, &a, &files);
    let restored = a.primary();
    let replica = b.replica_of(&a);
    // Of what was restored nobody takes over before its operator has said what it is.
    let error = replica.replica_promote(false).unwrap_err();
    assert_eq!(error.code(), ErrorCode::FilesMoved, "{error:?}");
    let promotion = replica.replica_promote(true).unwrap();
    assert_eq!((promotion.last_kept.log_index.0, promotion.source_fenced), (10, false));
    graph.grow(&replica, 2);
    graph.expect_all(&replica);
    restored.close().unwrap();
    // Nobody fenced it: that its graph is given up must be said.
    let error = a.try_replica_of(&b).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::RoleMismatch, "{error:?}");
    let follower = a.overwritten_by(&b);
    expect_needs_reseed(&follower);
    follower.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&follower);
    expect_following(&follower, &replica);
    follower.close().unwrap();
    // From then on it is a replica like any other.
    let follower = a.replica_of(&b);
    graph.grow(&replica, 2);
    catch_up(&follower);
    graph.expect_all(&follower);
}

/// A backup of a replica, put in its place, is only behind.
#[test]
fn a_restored_backup_of_a_replica_goes_on() {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(5));
    let b = Machine::new("replica", 2, SyncMode::Full);
    graph.grow(&primary, 6);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    replica.close().unwrap();
    let files = backup(&b);
    graph.grow(&primary, 4);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    replica.close().unwrap();
    restore(&b, &b, &files);
    let replica = b.replica_of(&a);
    assert_eq!(replica_status(&replica).applied_log_index, 6);
    assert_eq!(catch_up(&replica), 4);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

/// Only the file is put back, and the log beside it is newer: commits are missing in one of them, and that is said.
#[test]
fn a_file_that_is_older_than_its_log_is_refused() {
    for in_place in [true, false] {
        older_than_its_log(in_place);
    }
}

fn older_than_its_log(in_place: bool) {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(6));
    graph.grow(&primary, 6);
    primary.close().unwrap();
    let file = a.disk.read(a.db()).unwrap();
    let primary = a.primary();
    graph.grow(&primary, 4);
    primary.close().unwrap();
    if !in_place {
        a.disk.write(a.db(), &file).unwrap();
        let found = a.primary();
        assert_eq!(graph.expect(&found), 6);
        assert!(found.damage().unwrap().to_string().contains("up to 10"));
        return a.expect_moved();
    }
    // As a block copy or `rsync --inplace` does: nothing tells it from the file that was there.
    a.disk.overwrite(a.db(), &file).unwrap();
    match a.try_primary() {
        Ok(primary) => match graph.expect(&primary) {
            10 => graph.expect_all(&primary),
            // Then it must not write over what its log holds beyond it.
            shown => {
                assert_eq!(shown, 6);
                let error = write(&primary).unwrap_err();
                assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
            }
        },
        Err(e) => assert_eq!(e.kind(), ErrorKind::Reseed, "{e:?}"),
    }
}

/// Two replicas from copies of one replica's files: each reports as itself, and neither holds the other's place.
#[test]
fn a_copied_replica_is_a_replica_of_its_own() {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(7));
    graph.grow(&primary, 6);
    let b = near("replica", &a);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(4).unwrap(), 4);
    replica.close().unwrap();
    let c = near("twin", &a);
    restore(&c, &b, &backup(&b));
    let (replica, twin) = (b.replica_of(&a), c.replica_of(&a));
    assert_eq!(replica_status(&twin).applied_log_index, 4);
    catch_up(&twin);
    graph.expect_all(&twin);
    replica.replica_catch_up_once(1).unwrap();
    assert_ne!(replica_status(&replica).replica_id, replica_status(&twin).replica_id);
    let mut lags: Vec<_> =
        primary_status(&primary).replica_lags.into_iter().map(|l| (l.path, l.applied_log_index)).collect();
    lags.sort();
    assert_eq!(lags, [(Some("/replica.kitedb".to_owned()), 5), (Some("/twin.kitedb".to_owned()), 6)]);
    // It keeps its own id from then on.
    let id = replica_status(&twin).replica_id;
    twin.close().unwrap();
    let twin = c.replica_of(&a);
    assert_eq!(replica_status(&twin).replica_id, id);
    // One takes over; the other one does not believe that it did.
    let promotion = twin.replica_promote(false).unwrap();
    assert_eq!(promotion.epoch, 2);
    assert_eq!(replica.replica_promote(false).unwrap_err().code(), ErrorCode::StalePrimary);
}

/// A source that is put aside and replaced by another database under the same path.
#[test]
fn another_database_under_the_sources_path_is_found() {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(8));
    graph.grow(&primary, 6);
    let b = Machine::new("replica", 2, SyncMode::Full);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    primary.close().unwrap();
    for path in a.disk.paths() {
        a.disk.remove(&path).unwrap();
    }
    a.disk.remove_dir(&a.sidecar()).unwrap();
    let (stranger, mut strange) = (a.primary(), Graph::new(9));
    for more in [3, 3, 6] {
        strange.grow(&stranger, more);
        let error = replica.replica_catch_up_once(100).expect_err("another database");
        assert_eq!(error.code(), ErrorCode::NeedsReseed, "{error:?}");
        graph.expect_all(&replica);
    }
    let error = replica.replica_reseed_from_snapshot().unwrap_err();
    assert_eq!(error.code(), ErrorCode::WouldOverwrite, "{error:?}");
    replica.close().unwrap();
    let replica = b.overwritten_by(&a);
    replica.replica_reseed_from_snapshot().unwrap();
    strange.expect_all(&replica);
    expect_following(&replica, &stranger);
}

/// What was a primary is copied and detached: it is a database of its own, and nobody's source.
#[test]
fn a_copy_that_is_detached_is_in_nobodys_way() {
    let a = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(10));
    graph.grow(&primary, 6);
    primary.close().unwrap();
    let copy = near("copied", &a);
    restore(&copy, &a, &backup(&a));
    let disabled = || copy.options(ReplicationRole::Disabled);
    let error = copy.open(disabled()).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::RoleMismatch, "{error:?}");
    let detached = Database::detach_in(copy.env(), copy.db(), disabled()).unwrap();
    assert_eq!((detached.last_token.map(|token| token.log_index.0), &detached.missing), (Some(6), &None));
    let alone = copy.open(disabled()).unwrap();
    let mut other = graph.clone();
    other.commit_apart(&alone);
    alone.close().unwrap();
    let primary = a.primary();
    graph.grow(&primary, 3);
    graph.expect_all(&primary);
    // And with a role again, it does not pass for the other one.
    let copied = copy.primary();
    other.expect_all(&copied);
    other.grow(&copied, 3);
    let b = Machine::new("replica", 2, SyncMode::Full);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    replica.close().unwrap();
    let replica = b.replica_of(&copy);
    expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
    graph.expect_all(&replica);
}
