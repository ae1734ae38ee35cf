//! The table of roles: what each kind of file gives when it is opened with nothing said, as a primary, as a replica,
//! and as one that does not replicate.

use super::{
    stage::{
        Stage, add, contents, disabled, expect_its_own, has, nothing_said, open_and_add, primary, refused,
        refused_open, remove_database, replica, replica_of,
    },
    support_replication::{CRASHES, Graph, Machine, catch_up, folder::sidecar_of, primary_status, replica_status},
};
use kitedb_core::{Database, ErrorCode, OpenOptions, ReplicaState, ReplicationRole, SyncMode};
use std::{fs, path::Path};

/// Files without a commit: none at all, and one that was made and closed.
fn without_a_commit(stage: &Stage) -> [std::path::PathBuf; 2] {
    [stage.path("absent.kitedb"), stage.closed("made.kitedb", nothing_said(), &[])]
}

fn opens_as(path: &Path, options: OpenOptions) -> ReplicationRole {
    let db = Database::open(path, options).unwrap();
    let role = db.replication_role();
    db.close().unwrap();
    role
}

/// An open that is refused for its role: nothing changes, and it says what would be given up.
#[track_caller]
fn expect_mismatch(path: &Path, options: OpenOptions) {
    let folder = path.parent().unwrap();
    let before = contents(folder);
    let error = refused_open(path, options);
    assert_eq!(error.code().as_str(), "ROLE_MISMATCH", "{error:?}");
    assert!(contents(folder) == before, "a refused open changed something");
}

mod new_or_without_a_commit {
    use super::*;

    #[test]
    fn nothing_said_does_not_replicate() {
        let stage = Stage::new();
        for path in without_a_commit(&stage) {
            assert_eq!(opens_as(&path, nothing_said()), ReplicationRole::Disabled);
            assert!(!sidecar_of(&path).exists());
        }
    }

    #[test]
    fn as_a_primary_it_is_one() {
        let stage = Stage::new();
        for path in without_a_commit(&stage) {
            assert_eq!(opens_as(&path, primary()), ReplicationRole::Primary);
            assert_eq!(open_and_add(&path, primary(), "a").unwrap().to_string(), "1:1");
        }
    }

    #[test]
    fn as_a_replica_it_is_one() {
        let stage = Stage::new();
        let source = stage.leading("source.kitedb");
        for path in without_a_commit(&stage) {
            let db = Database::open(&path, replica_of(&source)).unwrap();
            assert_eq!(db.replication_role(), ReplicationRole::Replica);
            assert_eq!(catch_up(&db), 2);
            expect_its_own(&db);
        }
    }

    #[test]
    fn as_disabled_it_does_not_replicate() {
        let stage = Stage::new();
        for path in without_a_commit(&stage) {
            assert_eq!(opens_as(&path, disabled()), ReplicationRole::Disabled);
            open_and_add(&path, disabled(), "a").unwrap();
        }
    }
}

mod stand_alone {
    use super::*;

    #[test]
    fn nothing_said_leaves_it_as_it_is() {
        let stage = Stage::new();
        let path = stage.stand_alone("one.kitedb");
        assert_eq!(opens_as(&path, nothing_said()), ReplicationRole::Disabled);
        assert_eq!(open_and_add(&path, nothing_said(), "c").unwrap().to_string(), "1:3");
        assert!(!sidecar_of(&path).exists());
    }

    #[test]
    fn as_a_primary_it_becomes_one_with_its_history() {
        let stage = Stage::new();
        let path = stage.stand_alone("one.kitedb");
        let digest = |db: &Database| db.snapshot().unwrap().digest();
        let before = digest(&Database::open(&path, nothing_said().read_only(true)).unwrap());
        let db = Database::open(&path, primary()).unwrap();
        assert_eq!((db.replication_role(), digest(&db)), (ReplicationRole::Primary, before));
        assert_eq!(add(&db, "c").unwrap().log_index.0, 3);
        db.close().unwrap();
        let copy = stage.replica("copy.kitedb", &path);
        expect_its_own(&Database::open(&copy, replica_of(&path)).unwrap());
    }

    #[test]
    fn as_a_replica_it_reads_and_needs_a_reseed_that_must_be_asked_for() {
        let stage = Stage::new();
        let (path, source) = (stage.stand_alone("one.kitedb"), stage.closed("source.kitedb", primary(), &["x"]));
        let db = Database::open(&path, replica_of(&source)).unwrap();
        expect_its_own(&db);
        let status = replica_status(&db);
        assert!(status.needs_reseed && status.state == ReplicaState::NeedsReseed, "{status:?}");
        add(&db, "c").unwrap_err();
        let error = db.replica_bootstrap_from_snapshot().unwrap_err();
        assert_eq!(error.code().as_str(), "WOULD_OVERWRITE", "{error:?}");
        expect_its_own(&db);
        db.close().unwrap();
        // Nothing came of it.
        assert_eq!(open_and_add(&path, nothing_said(), "c").unwrap().to_string(), "1:3");
    }

    #[test]
    fn as_disabled_it_is_as_it_is() {
        let stage = Stage::new();
        let path = stage.stand_alone("one.kitedb");
        assert_eq!(opens_as(&path, disabled()), ReplicationRole::Disabled);
        assert_eq!(open_and_add(&path, disabled(), "c").unwrap().to_string(), "1:3");
    }
}

mod a_primary_that_leads {
    use super::*;

    #[test]
    fn nothing_said_is_a_primary() {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let replica = stage.replica("r.kitedb", &path);
        assert_eq!(opens_as(&path, nothing_said()), ReplicationRole::Primary);
        assert_eq!(open_and_add(&path, nothing_said(), "c").unwrap().to_string(), "1:3");
        let db = Database::open(&replica, replica_of(&path)).unwrap();
        assert_eq!(catch_up(&db), 1);
        assert!(has(&db, "c"));
    }

    #[test]
    fn as_a_primary_it_goes_on() {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        assert_eq!(opens_as(&path, primary()), ReplicationRole::Primary);
        assert_eq!(open_and_add(&path, primary(), "c").unwrap().to_string(), "1:3");
    }

    #[test]
    fn as_a_replica_it_is_refused() {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let copy = stage.replica("r.kitedb", &path);
        expect_mismatch(&path, replica_of(&copy));
        expect_mismatch(&path, replica());
        assert_eq!(open_and_add(&path, primary(), "c").unwrap().to_string(), "1:3");
    }

    #[test]
    fn as_disabled_it_is_refused() {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        expect_mismatch(&path, disabled());
        assert_eq!(open_and_add(&path, primary(), "c").unwrap().to_string(), "1:3");
    }

    #[test]
    fn the_refusal_says_what_would_be_given_up() {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let said = refused_open(&path, disabled()).to_string();
        assert!(said.contains("primary") && said.contains("1:2"), "{said}");
    }
}

mod a_primary_that_is_fenced {
    use super::*;

    #[track_caller]
    fn reads_and_does_not_write(options: OpenOptions) {
        let stage = Stage::new();
        let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
        let db = Database::open(&old, options.clone()).unwrap();
        expect_its_own(&db);
        let error = add(&db, "c").expect_err("a commit of a fenced primary");
        assert_eq!(error.code(), ErrorCode::StalePrimary, "{error:?}");
        db.close().unwrap();
        assert_eq!(refused(&old, options), "STALE_PRIMARY");
    }

    #[test]
    fn nothing_said_reads_and_does_not_write() {
        reads_and_does_not_write(nothing_said());
    }

    #[test]
    fn as_a_primary_it_reads_and_does_not_write() {
        reads_and_does_not_write(primary());
    }

    #[test]
    fn as_a_primary_it_leads_again_once_it_is_promoted() {
        let stage = Stage::new();
        let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
        let db = Database::open(&old, primary()).unwrap();
        assert!(primary_status(&db).fenced);
        db.primary_promote_to_next_epoch().unwrap();
        add(&db, "c").unwrap();
        assert!(!primary_status(&db).fenced);
    }

    #[test]
    fn as_a_replica_of_who_took_over_it_goes_on() {
        let stage = Stage::new();
        let (old, new) = stage.fenced("old.kitedb", "new.kitedb");
        let db = Database::open(&old, replica_of(&new)).unwrap();
        assert_eq!(catch_up(&db), 1);
        assert!(has(&db, "new"));
        assert_eq!(replica_status(&db).state, ReplicaState::Following);
    }

    #[test]
    fn as_a_replica_of_another_history_it_reads_and_needs_a_reseed() {
        let stage = Stage::new();
        let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
        let stranger = stage.closed("stranger.kitedb", primary(), &["x", "y", "z"]);
        let db = Database::open(&old, replica_of(&stranger)).unwrap();
        assert_eq!(db.replica_catch_up_once(10).unwrap_err().code(), ErrorCode::NeedsReseed);
        assert!(replica_status(&db).needs_reseed);
        expect_its_own(&db);
    }

    #[test]
    fn as_disabled_it_is_refused() {
        let stage = Stage::new();
        let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
        expect_mismatch(&old, disabled());
    }
}

mod a_replica {
    use super::*;

    #[test]
    fn nothing_said_follows_the_source_that_it_remembers() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        open_and_add(&source, primary(), "c").unwrap();
        let db = Database::open(&path, nothing_said()).unwrap();
        assert_eq!(db.replication_role(), ReplicationRole::Replica);
        assert_eq!(add(&db, "own").unwrap_err().code(), ErrorCode::ReplicaReadOnly);
        assert_eq!(catch_up(&db), 1);
        assert!(has(&db, "c"));
        assert_eq!(replica_status(&db).lag_frames, 0);
    }

    #[test]
    fn as_a_replica_without_a_source_it_follows_the_one_that_it_remembers() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        open_and_add(&source, primary(), "c").unwrap();
        let db = Database::open(&path, replica()).unwrap();
        assert_eq!(catch_up(&db), 1);
    }

    #[test]
    fn a_source_that_is_away_is_a_state_and_no_failed_open() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let away = stage.folder("away").join("p.kitedb");
        crate::attacks::stage::rename_database(&source, &away);
        for options in [nothing_said(), replica(), replica_of(&source)] {
            let db = Database::open(&path, options).unwrap();
            expect_its_own(&db);
            let error = db.replica_catch_up_once(10).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SourceUnavailable, "{error:?}");
            let status = replica_status(&db);
            assert!(status.state == ReplicaState::Stalled && !status.needs_reseed, "{status:?}");
            db.close().unwrap();
        }
        crate::attacks::stage::rename_database(&away, &source);
        open_and_add(&source, primary(), "c").unwrap();
        assert_eq!(catch_up(&Database::open(&path, nothing_said()).unwrap()), 1);
    }

    #[test]
    fn as_a_primary_it_reads_and_writes_only_once_it_is_promoted() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let db = Database::open(&path, primary()).unwrap();
        expect_its_own(&db);
        assert_eq!(add(&db, "own").unwrap_err().code(), ErrorCode::StalePrimary);
        // What its source acknowledged since is part of what it takes over, and the source is fenced.
        let leader = Database::open(&source, primary()).unwrap();
        add(&leader, "later").unwrap();
        assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 2);
        add(&db, "own").unwrap();
        assert_eq!(db.replication_role(), ReplicationRole::Primary);
        assert!(has(&db, "later"));
        assert_eq!(add(&leader, "void").unwrap_err().code(), ErrorCode::StalePrimary);
        // From here on it is a primary like any other.
        assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 3);
        add(&db, "more").unwrap();
    }

    #[test]
    fn as_a_primary_it_does_not_lead_beside_a_source_that_cannot_be_fenced() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let away = stage.folder("away").join("p.kitedb");
        crate::attacks::stage::rename_database(&source, &away);
        let db = Database::open(&path, primary()).unwrap();
        let error = db.primary_promote_to_next_epoch().unwrap_err();
        assert_eq!(error.code(), ErrorCode::SourceUnavailable, "{error:?}");
        assert_eq!(add(&db, "own").unwrap_err().code(), ErrorCode::StalePrimary);
        open_and_add(&away, primary(), "goes on").unwrap();
        crate::attacks::stage::rename_database(&away, &source);
        assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 2);
        assert!(has(&db, "goes on"));
        add(&db, "own").unwrap();
    }

    #[test]
    fn as_a_replica_of_another_source_it_follows_that_one() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let (path, between) = (stage.replica("r.kitedb", &source), stage.replica("between.kitedb", &source));
        let db = Database::open(&path, replica_of(&between)).unwrap();
        assert_eq!(catch_up(&db), 0);
        assert_eq!(replica_status(&db).source_db_path.unwrap().file_name(), between.file_name());
        expect_its_own(&db);
    }

    #[test]
    fn another_source_is_remembered_from_then_on() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let (path, between) = (stage.replica("r.kitedb", &source), stage.replica("between.kitedb", &source));
        let db = Database::open(&path, replica_of(&between)).unwrap();
        catch_up(&db);
        db.close().unwrap();
        let db = Database::open(&path, nothing_said()).unwrap();
        assert_eq!(replica_status(&db).source_db_path.unwrap().file_name(), between.file_name());
    }

    #[test]
    fn as_disabled_it_is_refused() {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        expect_mismatch(&path, disabled());
        assert_eq!(catch_up(&Database::open(&path, replica_of(&source)).unwrap()), 0);
    }
}

/// After a clean close a file alone can be read, whatever it is, and whatever role is said.
mod read_only {
    use super::*;

    #[track_caller]
    fn each_kind_reads(options: impl Fn(&Path) -> OpenOptions) {
        let stage = Stage::new();
        let lone = stage.folder("lone");
        let (old, new) = stage.fenced("old.kitedb", "new.kitedb");
        let source = stage.leading("source.kitedb");
        let kinds =
            [stage.stand_alone("one.kitedb"), stage.leading("p.kitedb"), old, new, stage.replica("r.kitedb", &source)];
        for path in kinds {
            let there = lone.join(path.file_name().unwrap());
            fs::rename(&path, &there).unwrap();
            let _ = fs::remove_dir_all(sidecar_of(&path));
            if path.ends_with("r.kitedb") {
                remove_database(&source);
            }
            let before = contents(&lone);
            let db = Database::open(&there, options(&source).read_only(true))
                .unwrap_or_else(|e| panic!("{}: {e:?}", there.display()));
            assert!(has(&db, "a") && has(&db, "b"), "{}", there.display());
            assert_eq!(db.stats().unwrap().damage, None, "{}", there.display());
            let error = db.begin().map(|_| ()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::ReadOnly, "{error:?}");
            db.close().unwrap();
            assert!(contents(&lone) == before, "{}: reading changed something", there.display());
        }
    }

    #[test]
    fn nothing_said() {
        each_kind_reads(|_| crate::attacks::stage::nothing_said());
    }

    #[test]
    fn as_a_primary() {
        each_kind_reads(|_| primary());
    }

    #[test]
    fn as_a_replica() {
        each_kind_reads(replica_of);
        each_kind_reads(|_| replica());
    }

    #[test]
    fn as_disabled() {
        each_kind_reads(|_| disabled());
    }
}

/// A role outlives a crash as well as a clean close.
#[test]
fn a_role_outlives_a_crash() {
    for crash in CRASHES {
        let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
        let (primary, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&primary, 3);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        let (a, b) = (a.restart(crash), b.restart(crash));
        drop((primary, replica));
        let said_nothing = a.mode_only();
        let primary = a.open(said_nothing.clone()).unwrap();
        assert_eq!(primary.replication_role(), ReplicationRole::Primary, "{crash:?}");
        graph.commit(&primary);
        let replica = b.open_replica_of(&a, said_nothing).unwrap();
        assert_eq!(replica.replication_role(), ReplicationRole::Replica, "{crash:?}");
        catch_up(&replica);
        graph.expect_all(&replica);
    }
}

impl Machine {
    /// Options that say nothing of a role.
    fn mode_only(&self) -> OpenOptions {
        crate::support::world::stepped(self.mode)
    }
}
