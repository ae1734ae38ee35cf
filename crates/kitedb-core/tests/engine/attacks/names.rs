//! The names that the engine gives to files beside a database: what bears one of them already, and is somebody else's, stays
//! as it is. An act that is refused leaves nothing.

use super::{
    stage::{
        Stage, add, contents, disabled, expect_its_own, has, names, nothing_said, open_and_add, primary, refused_open,
        replica_of, stand_in,
    },
    support_replication::{catch_up, folder::sidecar_of, replica_status},
};
use kitedb_core::{Database, GraphRead, OpenOptions};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

const PRECIOUS: &str = "ten years of work";

/// What somebody may have put at a path, and a look whether it is as it was.
type OfOthers = (fn(&Stage, &Path), fn(&Stage, &Path) -> bool);

/// Each kind of it.
const OF_OTHERS: [OfOthers; 5] = [
    (|_, at| fs::write(at, PRECIOUS).unwrap(), |_, at| fs::read_to_string(at).unwrap() == PRECIOUS),
    (
        |_, at| {
            fs::create_dir(at).unwrap();
            fs::write(at.join("text"), PRECIOUS).unwrap();
        },
        |_, at| fs::read_to_string(at.join("text")).unwrap() == PRECIOUS,
    ),
    (
        |stage, at| {
            fs::write(stage.path("target"), "").unwrap();
            symlink(stage.path("target"), at).unwrap();
        },
        |stage, at| at.is_symlink() && fs::read(stage.path("target")).unwrap().is_empty(),
    ),
    (
        |stage, at| symlink(stage.path("nowhere"), at).unwrap(),
        |stage, at| at.is_symlink() && !stage.path("nowhere").exists(),
    ),
    (
        |_, at| assert!(Command::new("mkfifo").arg(at).status().unwrap().success()),
        |_, at| !at.is_file() && fs::symlink_metadata(at).is_ok(),
    ),
];

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Flips a bit of every byte of `what`, wherever that is in the file.
fn damage_text(path: &Path, what: &str) {
    let mut bytes = fs::read(path).unwrap();
    let places: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(what.as_bytes())).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 0x20;
    }
    fs::write(path, bytes).unwrap();
}

/// The files that somebody may have at `<file>.creating`, where a new database is written first.
#[test]
fn a_database_is_not_made_over_what_bears_the_name_of_its_draft() {
    for (make, is_as_it_was) in OF_OTHERS {
        let stage = Stage::new();
        let path = stage.path("n.kitedb");
        let draft = beside(&path, ".creating");
        make(&stage, &draft);
        for options in [nothing_said(), primary()] {
            let error = refused_open(&path, options);
            assert!(error.to_string().contains("n.kitedb.creating"), "{error}");
            assert!(is_as_it_was(&stage, &draft) && !path.exists() && !sidecar_of(&path).exists());
        }
    }
    // A database of his own that somebody called so, and what a creator that died left behind.
    let stage = Stage::new();
    let (path, other) = (stage.path("n.kitedb"), stage.stand_alone("n.kitedb.creating"));
    let before = fs::read(&other).unwrap();
    refused_open(&path, nothing_said());
    assert!(fs::read(&other).unwrap() == before && !path.exists());
    for left in [vec![], vec![0; 9000]] {
        let stage = Stage::new();
        fs::write(stage.path("n.kitedb.creating"), left).unwrap();
        open_and_add(&stage.path("n.kitedb"), nothing_said(), "a").unwrap();
        assert_eq!(names(&stage.path("")), ["n.kitedb"]);
    }
}

#[test]
fn what_was_put_aside_once_is_kept() {
    for (make, is_as_it_was) in OF_OTHERS {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let replica = stage.replica("r.kitedb", &source);
        let earlier = beside(&replica, ".damaged");
        make(&stage, &earlier);
        stand_in::WHOLE_FILE(&replica);
        let damaged = fs::read(&replica).unwrap();
        let db = Database::open(&replica, replica_of(&source)).unwrap();
        db.replica_reseed_from_snapshot().unwrap();
        expect_its_own(&db);
        assert!(is_as_it_was(&stage, &earlier));
        assert!(fs::read(beside(&replica, ".damaged.2")).unwrap() == damaged);
    }
}

#[test]
fn what_bears_the_name_of_a_revived_file_is_left_alone() {
    for name in [".reviving", ".reviving.creating"] {
        for (make, is_as_it_was) in OF_OTHERS {
            let stage = Stage::new();
            let source = stage.leading("p.kitedb");
            let replica = stage.replica("r.kitedb", &source);
            let other = beside(&replica, name);
            make(&stage, &other);
            stand_in::WHOLE_FILE(&replica);
            let damaged = fs::read(&replica).unwrap();
            let error = refused_open(&replica, replica_of(&source));
            assert!(error.to_string().contains("r.kitedb.reviving"), "{error}");
            assert!(is_as_it_was(&stage, &other) && fs::read(&replica).unwrap() == damaged);
        }
    }
}

/// A file that somebody put under the name of a segment beside a log: at a close, at a recovery, at a detachment.
#[test]
fn a_segment_that_no_log_made_is_never_removed() {
    for (make, is_as_it_was) in OF_OTHERS {
        let stage = Stage::new();
        let (path, led) = (stage.stand_alone("w.kitedb"), stage.leading("p.kitedb"));
        let name = "segment-00000000000000000077.klog";
        let (private, sidecar) = (beside(&path, "-wal"), sidecar_of(&led));
        let db = Database::open(&path, nothing_said()).unwrap();
        add(&db, "c").unwrap();
        make(&stage, &private.join(name));
        db.close().unwrap();
        assert!(is_as_it_was(&stage, &private.join(name)));
        assert_eq!(names(&private), [name]);
        open_and_add(&path, nothing_said(), "d").unwrap();
        assert!(is_as_it_was(&stage, &private.join(name)));
        assert_eq!(names(&private), [name]);
        if fs::remove_file(private.join(name)).is_err() {
            fs::remove_dir_all(private.join(name)).unwrap();
        }
        let _ = fs::remove_file(stage.path("target"));

        make(&stage, &sidecar.join(name));
        // Of a pipe or a folder the log cannot be read; it says so.
        let _ = open_and_add(&led, primary(), "c");
        assert!(is_as_it_was(&stage, &sidecar.join(name)));
        let _ = Database::detach(&led);
        assert!(is_as_it_was(&stage, &sidecar.join(name)));
    }
}

/// … beside the log of a replica, and of a primary whose log is cut: at a follow, at a reseed, at retention, at a promotion.
#[test]
fn a_segment_that_no_log_made_outlives_what_replication_does() {
    for (make, is_as_it_was) in OF_OTHERS {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let other = sidecar_of(&path).join("segment-00000000000000000099.klog");
        make(&stage, &other);
        for key in ["c", "d"] {
            open_and_add(&source, primary(), key).unwrap();
            let db = Database::open(&path, replica_of(&source)).unwrap();
            assert_eq!(catch_up(&db), 1);
            db.close().unwrap();
            assert!(is_as_it_was(&stage, &other));
        }
        let db = Database::open(&path, replica_of(&source)).unwrap();
        db.replica_reseed_from_snapshot().unwrap();
        db.replica_promote(false).unwrap();
        for key in ["e", "f", "g"] {
            add(&db, key).unwrap();
        }
        db.primary_run_retention().unwrap();
        db.close().unwrap();
        assert!(is_as_it_was(&stage, &other));
        let last = open_and_add(&path, primary().replication_retention_min_entries(0), "h").unwrap();
        assert_eq!(last.log_index.0, 8);
        Database::run_retention_at(&path, &nothing_said(), &Default::default()).unwrap();
        assert!(is_as_it_was(&stage, &other));
    }
}

/// The log gets to a number that is taken.
#[test]
fn a_log_does_not_go_on_in_a_file_of_somebody_else() {
    let stage = Stage::new();
    let path = stage.closed("p.kitedb", primary().replication_segment_max_bytes(1), &["a", "b"]);
    let dir = sidecar_of(&path);
    let last = names(&dir)
        .into_iter()
        .filter_map(|name| name.strip_prefix("segment-")?.strip_suffix(".klog")?.parse::<u64>().ok());
    let other = dir.join(format!("segment-{:020}.klog", last.max().unwrap() + 1));
    let db = Database::open(&path, primary().replication_segment_max_bytes(1)).unwrap();
    fs::write(&other, PRECIOUS).unwrap();
    let error = add(&db, "c").unwrap_err();
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(fs::read_to_string(&other).unwrap(), PRECIOUS);
    fs::remove_file(&other).unwrap();
    add(&db, "c").unwrap();
    expect_its_own(&db);
}

/// A folder of his own in which a name is taken that a sidecar needs.
#[test]
fn a_folder_in_which_a_name_is_taken_does_not_become_a_sidecar() {
    let taken = ["control", "control.creating", "segment-00000000000000000001.klog", "source", "source.creating"];
    for name in taken.into_iter().chain(["replicas", "bootstrap.progress", "promotion.probe"]) {
        for (make, is_as_it_was) in OF_OTHERS {
            let stage = Stage::new();
            let source = stage.leading("p.kitedb");
            let alone = stage.stand_alone("one.kitedb");
            let other = stage.folder("docs").join(name);
            make(&stage, &other);
            let before = names(&stage.path(""));
            for (path, options) in
                [(stage.path("n.kitedb"), replica_of(&source)), (stage.path("n.kitedb"), primary()), (alone, primary())]
            {
                let error = refused_open(&path, options.replication_sidecar_path(stage.path("docs")));
                assert!(error.to_string().contains(name), "{error}");
                assert!(is_as_it_was(&stage, &other));
                assert_eq!(
                    (names(&stage.path("")), names(&stage.path("docs"))),
                    (before.clone(), vec![name.to_owned()])
                );
            }
        }
    }
}

/// Opens that are to make a database and cannot, because of the place for its log.
#[test]
fn a_refused_open_leaves_nothing() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let headless = stage.leading("q.kitedb");
    fs::remove_file(sidecar_of(&headless).join("control")).unwrap();
    symlink(stage.path("none/dir"), stage.path("dangling")).unwrap();
    symlink(stage.path("loop"), stage.path("loop")).unwrap();
    fs::write(stage.path("text"), PRECIOUS).unwrap();
    symlink(stage.path("none"), stage.path("linked.kitedb.replication")).unwrap();
    fs::write(stage.path("file.kitedb.replication"), PRECIOUS).unwrap();
    let before = (names(&stage.path("")), contents_of_files(&stage));
    let given = |options: OpenOptions, dir: PathBuf| options.replication_sidecar_path(dir);
    for options in [primary(), replica_of(&source)] {
        for dir in [sidecar_of(&source), sidecar_of(&headless), stage.path("dangling"), stage.path("loop")] {
            refused_open(&stage.path("n.kitedb"), given(options.clone(), dir));
        }
        for dir in ["text", "none/dir", "text/dir"] {
            refused_open(&stage.path("n.kitedb"), given(options.clone(), stage.path(dir)));
        }
        refused_open(&stage.path("linked.kitedb"), options.clone());
        refused_open(&stage.path("file.kitedb"), options.clone());
    }
    assert!((names(&stage.path("")), contents_of_files(&stage)) == before, "{:?}", names(&stage.path("")));
    // An empty folder of his own that was given stays, where a bootstrap is refused for something else.
    let empty = stage.folder("empty");
    let options = given(replica_of(&stage.stand_alone("one.kitedb")), empty.clone());
    let db = Database::open(stage.path("n.kitedb"), options).unwrap();
    db.replica_bootstrap_from_snapshot().unwrap_err();
    db.close().unwrap();
    assert!(names(&empty).is_empty() && !stage.path("n.kitedb").exists(), "{:?}", names(&empty));
}

fn contents_of_files(stage: &Stage) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for name in names(&stage.path("")) {
        let path = stage.path(&name);
        if path.is_dir() {
            all.extend(contents(&path));
        } else if path.is_file() {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all
}

/// A primary whose file has a section of names.
fn leading_with_names(stage: &Stage) -> PathBuf {
    let source = stage.leading("p.kitedb");
    let db = Database::open(&source, primary()).unwrap();
    db.transaction(|tx| {
        let (a, b) = (tx.node_by_key("a")?.unwrap(), tx.node_by_key("b")?.unwrap());
        tx.add_edge(a, "KNOWS_VERY_WELL", b)
    })
    .unwrap();
    db.close().unwrap();
    source
}

/// A replica's file is damaged in a place that is read at the open, behind a good header.
#[test]
fn a_replica_whose_names_are_damaged_is_reseeded_in_place() {
    for keep_control in [true, false] {
        let stage = Stage::new();
        let source = leading_with_names(&stage);
        let replica = stage.replica("r.kitedb", &source);
        damage_text(&replica, "KNOWS_VERY_WELL");
        let damaged = fs::read(&replica).unwrap();
        if !keep_control {
            fs::remove_file(sidecar_of(&replica).join("control")).unwrap();
        }
        let db = Database::open(&replica, replica_of(&source)).unwrap();
        assert!(replica_status(&db).needs_reseed);
        db.replica_reseed_from_snapshot().unwrap();
        expect_its_own(&db);
        db.close().unwrap();
        let db = Database::open(&replica, replica_of(&source)).unwrap();
        assert_eq!(catch_up(&db), 0);
        expect_its_own(&db);
        assert!(fs::read(beside(&replica, ".damaged")).unwrap() == damaged);
    }
}

/// A bit flips anywhere in a replica's file.
#[test]
fn a_replica_that_is_damaged_anywhere_is_reseeded_in_place() {
    let stage = Stage::new();
    let source = leading_with_names(&stage);
    let replica = stage.replica("r.kitedb", &source);
    let good = fs::read(&replica).unwrap();
    for at in (0..good.len()).step_by(512) {
        let mut bytes = good.clone();
        bytes[at + 9] ^= 0x10;
        fs::write(&replica, bytes).unwrap();
        let db = Database::open(&replica, replica_of(&source)).unwrap();
        db.replica_reseed_from_snapshot().unwrap();
        expect_its_own(&db);
        db.close().unwrap();
        assert!(Database::open(&replica, nothing_said()).unwrap().check().unwrap().is_clean(), "byte {at}");
        fs::write(&replica, &good).unwrap();
    }
}

/// The same damage to what is no replica: it stays where it is, and the open is refused.
#[test]
fn a_damaged_file_that_is_no_replica_is_not_put_aside() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    for (name, options) in [("led.kitedb", primary()), ("alone.kitedb", disabled())] {
        let path = stage.path(name);
        let db = Database::open(&path, options).unwrap();
        db.transaction(|tx| {
            let a = tx.create_node(Some("a"))?;
            tx.add_edge(a, "KNOWS_VERY_WELL", a)
        })
        .unwrap();
        db.close().unwrap();
        damage_text(&path, "KNOWS_VERY_WELL");
        let before = (names(&stage.path("")), fs::read(&path).unwrap());
        refused_open(&path, replica_of(&source));
        assert!((names(&stage.path("")), fs::read(&path).unwrap()) == before && !has_damaged(&stage));
    }
    let db = Database::open(&source, primary()).unwrap();
    assert!(has(&db, "a"));
}

fn has_damaged(stage: &Stage) -> bool {
    names(&stage.path("")).iter().any(|name| name.contains(".damaged") || name.contains(".reviving"))
}
