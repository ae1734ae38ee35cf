//! A read-only open in a replication role tells what a primary or a replica is up to, beside the process that has it
//! open, and changes nothing.

use crate::support_replication::{
    catch_up,
    folder::{Folder, commit_item, sidecar_of},
};
use kitedb_core::{
    Database, ErrorCode, HoldState, OpenOptions, PrimaryReplicationStatus, ReplicaReplicationStatus, ReplicaState,
    ReplicationRole, SyncMode,
};
use std::{fs, path::Path};

fn look(path: &Path, role: ReplicationRole) -> Database {
    Database::open(path, OpenOptions::new().read_only(true).replication_role(role)).unwrap()
}

fn look_at_primary(path: &Path) -> PrimaryReplicationStatus {
    look(path, ReplicationRole::Primary).primary_replication_status().unwrap().expect("a primary")
}

fn look_at_replica(path: &Path, source: Option<&Path>) -> ReplicaReplicationStatus {
    let mut options = OpenOptions::new().read_only(true).replication_role(ReplicationRole::Replica);
    if let Some(source) = source {
        options = options.replication_source_db_path(source);
    }
    Database::open(path, options).unwrap().replica_replication_status().unwrap().expect("a replica")
}

/// A primary with `commits` commits, and a replica that has all of them.
fn pair(folder: &Folder, commits: i64) -> (Database, Database) {
    let primary = folder.primary("a", SyncMode::Normal);
    for n in 0..commits {
        commit_item(&primary, "w", n).unwrap();
    }
    let replica = folder.replica("b", "a", SyncMode::Normal);
    replica.replica_bootstrap_from_snapshot().unwrap();
    (primary, replica)
}

#[test]
fn a_primary_is_looked_at_beside_its_writer() {
    let folder = Folder::new();
    let (primary, replica) = pair(&folder, 10);
    commit_item(&primary, "w", 10).unwrap();
    let (seen, own) = (look_at_primary(&folder.path("a")), primary.primary_replication_status().unwrap().unwrap());
    assert_eq!((seen.epoch, seen.head_log_index, seen.digest), (own.epoch, 11, own.digest));
    assert_eq!((seen.last_token, seen.segments, seen.fenced), (own.last_token, own.segments, false));
    assert_eq!((seen.process_id, own.process_id), (Some(std::process::id().into()), Some(std::process::id().into())));
    let [lag] = &seen.replica_lags[..] else { panic!("{:?}", seen.replica_lags) };
    assert_eq!((lag.applied_log_index, lag.lag_frames, lag.hold), (10, 1, HoldState::Held));
    assert_eq!(lag.replica_id, own.replica_lags[0].replica_id);

    catch_up(&replica);
    assert_eq!(look_at_primary(&folder.path("a")).replica_lags[0].lag_frames, 0);
    primary.close().unwrap();
    let seen = look_at_primary(&folder.path("a"));
    assert_eq!((seen.head_log_index, seen.process_id), (11, None));
}

#[test]
fn a_look_shows_what_was_so_when_it_was_taken() {
    let folder = Folder::new();
    let (primary, _replica) = pair(&folder, 3);
    let seen = look(&folder.path("a"), ReplicationRole::Primary);
    commit_item(&primary, "w", 3).unwrap();
    assert_eq!(seen.primary_replication_status().unwrap().unwrap().head_log_index, 3);
    assert_eq!(look_at_primary(&folder.path("a")).head_log_index, 4);
}

#[test]
fn a_look_changes_nothing() {
    let folder = Folder::new();
    let (primary, replica) = pair(&folder, 3);
    let id = primary.primary_replication_status().unwrap().unwrap().replica_lags[0].replica_id.clone();
    let seen = look(&folder.path("a"), ReplicationRole::Primary);
    for refused in [
        seen.primary_run_retention().map(drop),
        seen.primary_promote_to_next_epoch().map(drop),
        seen.primary_remove_replica(&id).map(drop),
        seen.primary_report_replica_progress(&id, 1, 2),
        seen.begin().map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), ErrorCode::ReadOnly);
    }
    let seen = look(&folder.path("b"), ReplicationRole::Replica);
    for refused in [
        seen.replica_catch_up_once(1).map(drop),
        seen.replica_bootstrap_from_snapshot(),
        seen.replica_promote(true).map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), ErrorCode::ReadOnly);
    }
    assert_eq!(primary.primary_replication_status().unwrap().unwrap().replica_lags.len(), 1);
    primary.close().unwrap();
    replica.close().unwrap();
    let held = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.into_iter().map(|path| fs::read(&path).unwrap_or_default()).collect::<Vec<_>>()
    };
    let sidecar = sidecar_of(&folder.path("a"));
    let before = held(&sidecar);
    drop(look_at_primary(&folder.path("a")));
    assert_eq!(held(&sidecar), before);
}

#[test]
fn a_replica_is_looked_at_in_each_of_its_states() {
    let folder = Folder::new();
    let (primary, replica) = pair(&folder, 5);
    let (a, b) = (folder.path("a"), folder.path("b"));
    let seen = look_at_replica(&b, Some(&a));
    let own = replica.replica_replication_status().unwrap().unwrap();
    assert_eq!((seen.state, seen.lag_frames, seen.source_head_log_index), (ReplicaState::Following, 0, 5));
    assert_eq!((&seen.replica_id, seen.digest, seen.applied_epoch), (&own.replica_id, own.digest, 1));
    assert_eq!(seen.source_db_path, own.source_db_path);

    commit_item(&primary, "w", 5).unwrap();
    let seen = look_at_replica(&b, Some(&a));
    assert_eq!((seen.state, seen.applied_log_index, seen.lag_frames), (ReplicaState::Behind, 5, 1));
    // It remembers its source.
    let seen = look_at_replica(&b, None);
    assert_eq!((seen.source_head_log_index, seen.lag_frames, seen.source_db_path), (6, 1, own.source_db_path));

    replica.close().unwrap();
    let seen = look_at_replica(&b, Some(&a));
    assert_eq!((seen.state, seen.process_id, seen.lag_frames), (ReplicaState::Closed, None, 1));

    // Another database takes the place of its source: that is remembered.
    primary.close().unwrap();
    fs::remove_file(&a).unwrap();
    fs::remove_dir_all(sidecar_of(&a)).unwrap();
    let other = folder.primary("a", SyncMode::Normal);
    for n in 0..9 {
        commit_item(&other, "another", n).unwrap();
    }
    let replica = folder.replica("b", "a", SyncMode::Normal);
    assert_eq!(replica.replica_catch_up_once(1).unwrap_err().code(), ErrorCode::NeedsReseed);
    for _ in 0..2 {
        let seen = look_at_replica(&b, Some(&a));
        assert_eq!((seen.state, seen.needs_reseed), (ReplicaState::NeedsReseed, true));
        assert!(seen.last_error.unwrap().contains("needs reseed"));
        replica.clone().close().unwrap();
    }
}

#[test]
fn what_took_over_is_a_primary_and_what_it_took_over_from_is_fenced() {
    let folder = Folder::new();
    let (primary, replica) = pair(&folder, 5);
    primary.close().unwrap();
    assert_eq!(replica.replica_promote(false).unwrap().epoch, 2);
    let old = look_at_primary(&folder.path("a"));
    assert_eq!((old.epoch, old.fenced), (1, true));
    let new = look(&folder.path("b"), ReplicationRole::Replica);
    assert_eq!(new.replication_role(), ReplicationRole::Primary);
    assert_eq!(new.replica_replication_status().unwrap(), None);
    let new = new.primary_replication_status().unwrap().unwrap();
    assert_eq!((new.epoch, new.fenced, new.head_log_index), (2, false, 5));
}

#[test]
fn without_a_sidecar_there_is_nothing_to_look_at() {
    let folder = Folder::new();
    let path = folder.path("plain");
    drop(Database::open(&path, OpenOptions::new()).unwrap());
    for role in [ReplicationRole::Primary, ReplicationRole::Replica] {
        let seen = look(&path, role);
        assert_eq!(seen.primary_replication_status().unwrap(), None);
        assert_eq!(seen.replica_replication_status().unwrap(), None);
    }
    assert!(!sidecar_of(&path).exists());
}
