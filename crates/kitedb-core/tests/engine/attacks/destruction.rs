//! Bootstrap and reseed replace a graph: only that of a replica, unless they are told otherwise.

use super::{
    coming::overwriting,
    stage::{Stage, contents, expect_its_own, has, names, nothing_said, open_and_add, primary, replica_of, stand_in},
    support_replication::{catch_up, folder::sidecar_of, replica_status},
};
use kitedb_core::{Database, OpenOptions, Result};
use std::{fs, path::Path};

fn bootstrap(path: &Path, options: OpenOptions) -> Result<()> {
    let db = Database::open(path, options)?;
    db.replica_bootstrap_from_snapshot()?;
    db.close()
}

/// The arguments are swapped: the primary is given as the replica to make, and its replica as the source.
#[test]
fn a_bootstrap_over_the_primary_is_refused() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &path);
    open_and_add(&path, primary(), "only here").unwrap();
    let error = bootstrap(&path, replica_of(&replica)).unwrap_err();
    assert!(["ROLE_MISMATCH", "WOULD_OVERWRITE"].contains(&error.code().as_str()), "{error:?}");
    assert!(error.to_string().contains("1:3"), "it does not say what would be lost: {error}");
    let db = Database::open(&path, primary()).unwrap();
    assert!(has(&db, "only here"));
    expect_its_own(&db);
}

#[test]
fn a_bootstrap_over_a_database_that_never_replicated_is_refused() {
    let stage = Stage::new();
    let (mine, source) = (stage.stand_alone("mine.kitedb"), stage.closed("p.kitedb", primary(), &["x"]));
    let before = fs::read(&mine).unwrap();
    let error = bootstrap(&mine, replica_of(&source)).unwrap_err();
    assert_eq!(error.code().as_str(), "WOULD_OVERWRITE", "{error:?}");
    assert!(error.to_string().contains("1:2"), "it does not say what would be lost: {error}");
    assert!(fs::read(&mine).unwrap() == before && !sidecar_of(&mine).exists());
    // Told so, it does.
    bootstrap(&mine, overwriting(replica_of(&source)).unwrap()).unwrap();
    let db = Database::open(&mine, replica_of(&source)).unwrap();
    assert!(has(&db, "x") && !has(&db, "a"));
}

#[test]
fn a_bootstrap_over_a_fenced_primary_of_another_history_is_refused() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
    let stranger = stage.closed("stranger.kitedb", primary(), &["x"]);
    let error = bootstrap(&old, replica_of(&stranger)).unwrap_err();
    assert_eq!(error.code().as_str(), "WOULD_OVERWRITE", "{error:?}");
    expect_its_own(&Database::open(&old, nothing_said().read_only(true)).unwrap());
}

/// That is what reseeding is for, as long as its source has what it gives up.
#[test]
fn a_replica_is_reseeded_without_more_words_and_from_another_database_if_it_is_told_to() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &source);
    bootstrap(&replica, replica_of(&source)).unwrap();
    let other = stage.closed("other.kitedb", primary(), &["x"]);
    let error = bootstrap(&replica, replica_of(&other)).unwrap_err();
    assert_eq!(error.code().as_str(), "WOULD_OVERWRITE", "{error:?}");
    bootstrap(&replica, overwriting(replica_of(&other)).unwrap()).unwrap();
    let db = Database::open(&replica, replica_of(&other)).unwrap();
    assert!(has(&db, "x") && !has(&db, "a"));
}

/// The source is no primary, no database, or not there: what the bootstrap was to make is not there either.
#[test]
fn a_refused_bootstrap_leaves_nothing() {
    let stage = Stage::new();
    let text = stage.path("text.kitedb");
    fs::write(&text, "no database at all").unwrap();
    for source in [stage.path("absent.kitedb"), text, stage.stand_alone("one.kitedb")] {
        let before = contents(&stage.path(""));
        bootstrap(&stage.path("r.kitedb"), replica_of(&source)).unwrap_err();
        assert!(contents(&stage.path("")) == before, "{}: {:?}", source.display(), names(&stage.path("")));
    }
}

/// What is no database is not replaced by one.
#[test]
fn a_bootstrap_over_what_is_no_database_is_refused() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let text = stage.path("thesis.txt");
    fs::write(&text, "ten years of work".repeat(1000)).unwrap();
    let before = fs::read(&text).unwrap();
    let error = bootstrap(&text, replica_of(&source)).unwrap_err();
    assert!(["NOT_A_DATABASE", "CORRUPT", "WOULD_OVERWRITE"].contains(&error.code().as_str()), "{error:?}");
    assert!(fs::read(&text).unwrap() == before && !sidecar_of(&text).exists());
}

/// A replica's own file is damaged beyond opening: it is known by its log, and reseeded in place.
#[test]
fn a_damaged_replica_is_reseeded_in_place() {
    for damage in [stand_in::BOTH_HEADERS, stand_in::WHOLE_FILE] {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let replica = stage.replica("r.kitedb", &source);
        open_and_add(&source, primary(), "c").unwrap();
        damage(&replica);
        let db = Database::open(&replica, replica_of(&source)).unwrap();
        assert!(replica_status(&db).needs_reseed);
        db.replica_reseed_from_snapshot().unwrap();
        expect_its_own(&db);
        assert!(has(&db, "c"));
        db.close().unwrap();
        let db = Database::open(&replica, replica_of(&source)).unwrap();
        assert_eq!(catch_up(&db), 0);
        expect_its_own(&db);
    }
}

/// The same damage to a primary, with the sidecar of a primary beside it: not overwritten without being told.
#[test]
fn a_damaged_primary_is_not_replaced_by_a_bootstrap() {
    for damage in [stand_in::BOTH_HEADERS, stand_in::WHOLE_FILE] {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let replica = stage.replica("r.kitedb", &path);
        damage(&path);
        let before = contents(&stage.path(""));
        bootstrap(&path, replica_of(&replica)).unwrap_err();
        let after = contents(&stage.path(""));
        assert!(after[&path] == before[&path]);
        let log = sidecar_of(&path);
        let segments = |all: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| {
            all.iter()
                .filter(|(at, _)| at.starts_with(&log) && at.extension().is_some_and(|kind| kind == "klog"))
                .map(|(at, bytes)| (at.clone(), bytes.clone()))
                .collect::<Vec<_>>()
        };
        assert!(segments(&after) == segments(&before));
    }
}

/// Somebody gives a folder of his own as the place of a sidecar.
#[test]
fn a_folder_with_files_of_others_does_not_become_a_sidecar() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let folder = stage.path("docs");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("control"), "precious").unwrap();
    for options in [replica_of(&source), primary()] {
        assert!(bootstrap(&stage.path("r.kitedb"), options.replication_sidecar_path(&folder)).is_err());
        assert_eq!(fs::read_to_string(folder.join("control")).unwrap(), "precious");
    }
}
