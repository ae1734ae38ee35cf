//! Where a replica's frames come from, and whether any will: what leads nowhere does not look healthy, and a source is
//! found, or asked for, wherever its replica was moved.

use super::{
    coming::confirm_moved_beside_its_original,
    stage::{
        Stage, add_many, copy_database, nothing_said, open_and_add, primary, remove_database, rename_database,
        replica_of, short_log, stand_in,
    },
    support_replication::{catch_up, folder::sidecar_of, replica_status},
};
use kitedb_core::{Database, ErrorCode, OpenOptions, ReplicaReplicationStatus, ReplicaState};
use std::{fs, os::unix::fs::FileExt, path::Path};

/// What `db` says of itself; its health, its metrics and its status agree.
#[track_caller]
fn told(db: &Database) -> ReplicaReplicationStatus {
    let status = replica_status(db);
    let health = db.health_check().unwrap();
    assert_eq!(health.healthy, status.fault().is_none(), "{health:?}, {status:?}");
    let metrics = db.collect_metrics().unwrap().replication;
    assert_eq!(metrics.fault, status.fault());
    assert_eq!(metrics.replica.unwrap().state, status.state);
    status
}

/// A look from outside.
#[track_caller]
fn looked(path: &Path) -> ReplicaReplicationStatus {
    told(&Database::open(path, nothing_said().read_only(true)).unwrap())
}

/// The replica is told that nothing will come, of the kind `kind`, while it follows and when it is closed. Returns what it
/// is told.
#[track_caller]
fn expect_orphaned(path: &Path, options: OpenOptions, kind: &str) -> String {
    let db = Database::open(path, options).unwrap();
    assert_eq!(catch_up(&db), 0);
    let mut status = told(&db);
    let since = status.state_since_ms;
    for _ in 0..2 {
        assert_eq!(status.state, ReplicaState::Orphaned, "{status:?}");
        assert_eq!(status.source_fault.as_ref().map(|fault| fault.kind()), Some(kind), "{status:?}");
        assert_eq!((status.last_error, status.state_since_ms), (None, since), "it is so since it was seen first");
        assert_eq!(catch_up(&db), 0);
        status = told(&db);
    }
    db.close().unwrap();
    let seen = looked(path);
    assert_eq!(seen.state, ReplicaState::Closed);
    assert_eq!(seen.source_fault.as_ref().map(|fault| fault.kind()), Some(kind));
    seen.fault().unwrap()
}

#[track_caller]
fn expect_well(path: &Path, options: OpenOptions) {
    let db = Database::open(path, options).unwrap();
    catch_up(&db);
    let status = told(&db);
    assert_eq!((status.state, status.fault()), (ReplicaState::Following, None));
    db.close().unwrap();
    assert_eq!(looked(path).fault(), None);
}

/// Another replica took over: this one has all that its source has, and will never get more.
#[test]
fn a_replica_of_a_fenced_primary_does_not_look_healthy() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let (new, other) = (stage.replica("new.kitedb", &source), stage.replica("other.kitedb", &source));
    let last = stage.replica("last.kitedb", &other);
    let db = Database::open(&new, replica_of(&source)).unwrap();
    db.replica_promote(false).unwrap();
    db.close().unwrap();
    // The one that follows it, and the one that follows that one.
    for (path, of) in [(&other, &source), (&last, &other)] {
        let what = expect_orphaned(path, replica_of(of), "fenced");
        for phrase in ["p.kitedb does not lead any more", "epoch 2", "after log index 2", "--source-db"] {
            assert!(what.contains(phrase), "{phrase}: {what}");
        }
    }
    open_and_add(&new, primary(), "c").unwrap();
    expect_well(&other, replica_of(&new));
    expect_well(&last, replica_of(&other));
    // The old primary follows the new one, and who follows it gets all of it.
    expect_well(&source, replica_of(&new));
    expect_well(&last, replica_of(&source));
}

/// A replica of the new leader is given the one before it, by mistake: nothing that it has was lost there, and it is told the same
/// whether a process has that one open or none.
#[test]
fn a_replica_of_a_leader_that_is_given_the_one_before_is_told_that_it_was_fenced() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let (new, other) = (stage.replica("new.kitedb", &source), stage.replica("other.kitedb", &source));
    let fenced = Database::open(&source, primary()).unwrap();
    let db = Database::open(&new, replica_of(&source)).unwrap();
    db.replica_promote(false).unwrap();
    db.close().unwrap();
    open_and_add(&new, primary(), "c").unwrap();
    expect_well(&other, replica_of(&new));
    expect_orphaned(&other, replica_of(&source), "fenced");
    expect_well(&other, replica_of(&new));
    fenced.close().unwrap();
    expect_orphaned(&other, replica_of(&source), "fenced");
    expect_well(&other, replica_of(&new));
}

#[test]
fn a_replica_of_a_copied_primary_does_not_look_healthy() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let copied = stage.path("copied.kitedb");
    copy_database(&source, &copied);
    let what = expect_orphaned(&path, replica_of(&copied), "copied");
    assert!(what.contains("copied.kitedb was copied or restored"), "{what}");
    confirm_moved_beside_its_original(&copied);
    expect_well(&path, replica_of(&copied));
}

#[test]
fn replicas_that_follow_each_other_do_not_look_healthy() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let [a, b, c] = ["a.kitedb", "b.kitedb", "c.kitedb"].map(|name| stage.replica(name, &source));
    // Each follows the next one; what each of them holds, all hold.
    expect_well(&b, replica_of(&a));
    for options in [replica_of(&b), nothing_said()] {
        let what = expect_orphaned(&a, options, "cycle");
        assert!(what.contains("b.kitedb, which follows ") && what.contains("a.kitedb"), "{what}");
    }
    expect_orphaned(&b, nothing_said(), "cycle");
    // One that follows a circle, and is none of it.
    let what = expect_orphaned(&c, replica_of(&a), "cycle");
    assert!(what.contains("leads back"), "{what}");
    expect_orphaned(&b, replica_of(&c), "cycle");
    // Once one of them follows the primary, all do.
    expect_well(&a, replica_of(&source));
    expect_well(&b, nothing_said());
    expect_well(&c, nothing_said());
}

/// A replica, or the primary itself, is to follow what follows it, or what follows that: it is told so before its graph, its
/// log or its source is given up.
#[test]
fn a_repoint_or_a_reseed_that_would_close_a_circle_is_refused() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let a = stage.replica("a.kitedb", &source);
    let b = stage.replica("b.kitedb", &a);
    open_and_add(&source, primary(), "only there").unwrap();

    let db = Database::open(&a, nothing_said()).unwrap();
    let refused = db.replica_repoint(&b, None).unwrap_err();
    assert!(refused.code() == ErrorCode::InvalidOption && refused.to_string().contains("leads back"), "{refused}");
    assert_eq!(db.replica_replication_status().unwrap().unwrap().source_db_path.as_ref(), Some(&source));
    db.close().unwrap();
    for (path, of) in [(&a, &b), (&source, &a), (&source, &b)] {
        let before = fs::read(path).unwrap();
        let db = Database::open(path, replica_of(of).replication_overwrite(true)).unwrap();
        let refused = db.replica_reseed_from_snapshot().unwrap_err();
        assert!(refused.code() == ErrorCode::InvalidOption && refused.to_string().contains("leads back"), "{refused}");
        db.close().unwrap();
        assert!(fs::read(path).unwrap() == before, "{}", path.display());
    }
    open_and_add(&source, primary(), "more").unwrap();
    expect_well(&a, nothing_said());
    expect_well(&b, nothing_said());
}

/// A replica takes the name of the primary that it followed.
#[test]
fn a_replica_that_follows_itself_after_a_rename_does_not_look_healthy() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    remove_database(&source);
    rename_database(&path, &source);
    let what = expect_orphaned(&source, nothing_said(), "cycle");
    assert!(what.contains("p.kitedb"), "{what}");
}

/// A copy of a replica has the id of the file that it was copied from, and is another node.
#[test]
fn a_copy_of_a_replica_may_follow_what_it_was_copied_from() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let copied = stage.path("copied.kitedb");
    copy_database(&path, &copied);
    expect_well(&copied, replica_of(&path));
}

/// The log let go of what a replica needs next: it says so, also before it tries.
#[test]
fn a_replica_that_is_lost_to_its_source_does_not_look_healthy() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let options = short_log(primary()).replication_retention_max_bytes(1);
    let db = Database::open(&source, options).unwrap();
    add_many(&db, "more", 5);
    db.primary_run_retention().unwrap();
    assert_eq!(crate::support_replication::primary_status(&db).replica_lags[0].hold.as_str(), "lost");
    let db = Database::open(&path, replica_of(&source)).unwrap();
    for status in [looked(&path), told(&db)] {
        assert_eq!((status.state, status.needs_reseed), (ReplicaState::NeedsReseed, true), "{status:?}");
        let what = status.fault().unwrap();
        assert!(what.contains("log index 3, which it needs next, is gone") && what.contains("reseed it"), "{what}");
    }
    assert_eq!(db.replica_catch_up_once(10).unwrap_err().code().as_str(), "NEEDS_RESEED");
    db.replica_reseed_from_snapshot().unwrap();
    assert_eq!(told(&db).fault(), None);
}

/// A replica that lies beside its source is moved without it.
#[test]
fn a_replica_that_is_moved_alone_finds_its_source_where_it_was() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let moved = stage.folder("elsewhere").join("r.kitedb");
    rename_database(&path, &moved);
    // Another database of that name is beside it now.
    stage.closed("elsewhere/p.kitedb", primary(), &["x", "y"]);
    open_and_add(&source, primary(), "c").unwrap();
    let seen = looked(&moved);
    assert_eq!((seen.source_db_path.as_deref(), seen.lag_frames), (Some(&*source.canonicalize().unwrap()), 1));
    expect_well(&moved, nothing_said());
    // And once more: it is remembered from where it lies now.
    let again = stage.folder("again").join("r.kitedb");
    rename_database(&moved, &again);
    expect_well(&again, nothing_said());
    // The folder with both of them is what moves with them.
    let folder = stage.folder("both");
    rename_database(&source, &folder.join("p.kitedb"));
    rename_database(&again, &folder.join("r.kitedb"));
    let asked = looked(&folder.join("r.kitedb")).source_fault.unwrap();
    assert_eq!(asked.kind(), "missing", "nobody has told it of that place");
    expect_well(&folder.join("r.kitedb"), replica_of(&folder.join("p.kitedb")));
    fs::rename(&folder, stage.path("renamed")).unwrap();
    expect_well(&stage.path("renamed/r.kitedb"), nothing_said());
}

#[test]
fn a_replica_that_is_moved_and_whose_source_is_gone_asks_for_it() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let moved = stage.folder("elsewhere").join("r.kitedb");
    rename_database(&path, &moved);
    let away = stage.folder("away").join("p.kitedb");
    rename_database(&source, &away);
    let seen = looked(&moved);
    assert_eq!(seen.source_fault.as_ref().map(|fault| fault.kind()), Some("astray"), "{seen:?}");
    let db = Database::open(&moved, nothing_said()).unwrap();
    let error = db.replica_catch_up_once(1).unwrap_err();
    assert_eq!(error.code().as_str(), "SOURCE_UNAVAILABLE");
    for what in [error.to_string(), told(&db).fault().unwrap(), seen.fault().unwrap()] {
        assert!(what.contains("this replica was moved") && what.contains("--source-db"), "{what}");
        assert!(what.contains(&source.canonicalize().unwrap_or(source.clone()).display().to_string()), "{what}");
    }
    db.close().unwrap();
    // What it remembered is remembered still.
    assert_eq!(looked(&moved).source_fault.map(|fault| fault.kind()), Some("astray"));
    expect_well(&moved, replica_of(&away));
    expect_well(&moved, nothing_said());
}

/// What remembers a source without its second part is followed, and remembered in full.
#[test]
fn a_source_whose_second_part_is_not_remembered_is_followed() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let record = sidecar_of(&path).join("source");
    let whole = fs::read_to_string(&record).unwrap();
    let old: String = whole.split_inclusive('\n').take(4).collect();
    fs::write(&record, &old).unwrap();
    assert_eq!(looked(&path).source_db_path.unwrap().file_name(), source.file_name());
    expect_well(&path, nothing_said());
    assert_eq!(fs::read_to_string(&record).unwrap(), whole);
}

/// What an operator, or a disk, puts in place of the bytes of a file, which keeps its name and its inode.
type Spoil = fn(&Path);

const UNREADABLE: [(&str, Spoil); 4] = [
    ("a header of zeros", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[..8192].fill(0);
        fs::write(path, bytes).unwrap();
    }),
    ("another kind of file", |path| fs::write(path, "root:x:0:0:root:/root:/bin/sh\n").unwrap()),
    ("a damaged header", stand_in::BOTH_HEADERS),
    ("a file that was cut", |path| {
        let whole = fs::read(path).unwrap();
        fs::write(path, &whole[..8192]).unwrap();
    }),
];

/// Its log can be read, and says that there is no more: nobody says that all is well.
#[test]
fn a_replica_whose_source_cannot_be_read_does_not_look_healthy() {
    for (how, spoil) in UNREADABLE {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let last = stage.replica("last.kitedb", &path);
        let whole = fs::read(&source).unwrap();
        spoil(&source);
        for (db, of) in [(&path, &source), (&last, &path)] {
            let what = expect_orphaned(db, replica_of(of), "unavailable");
            let named = what.contains("p.kitedb cannot be followed") && what.contains("its file cannot be read");
            assert!(named, "{how}: {what}");
        }
        fs::write(&source, whole).unwrap();
        expect_well(&path, replica_of(&source));
        expect_well(&last, replica_of(&path));
        // In the midst of a chain.
        open_and_add(&source, primary(), "c").unwrap();
        spoil(&path);
        let what = expect_orphaned(&last, replica_of(&path), "unavailable");
        assert!(what.contains("r.kitedb cannot be followed"), "{how}: {what}");
    }
}

/// A process leads with a log whose file is spoilt under it: what it commits comes, and no look says that all is well.
#[test]
fn a_replica_follows_the_log_of_a_source_that_cannot_be_read_and_says_so() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let leader = Database::open(&source, primary()).unwrap();
    // The first commit writes the header anew.
    add_many(&leader, "first", 1);
    let whole = fs::read(&source).unwrap();
    // In place: what the process has mapped stays there.
    let put = |bytes: &[u8]| fs::File::options().write(true).open(&source).unwrap().write_all_at(bytes, 0).unwrap();
    put(&[0; 8192]);
    add_many(&leader, "more", 3);
    let db = Database::open(&path, replica_of(&source)).unwrap();
    assert_eq!(catch_up(&db), 4);
    let status = told(&db);
    assert_eq!((status.state, status.lag_frames, status.registered), (ReplicaState::Orphaned, 0, true), "{status:?}");
    put(&whole[..8192]);
    assert_eq!((told(&db).state, told(&db).fault()), (ReplicaState::Following, None));
}

/// A placeholder takes the place of a source that was moved, and whose log stayed or went with it.
#[test]
fn a_placeholder_in_the_place_of_a_source_is_told() {
    for log_stays in [true, false] {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let away = stage.folder("new").join("p.kitedb");
        fs::rename(&source, &away).unwrap();
        if !log_stays {
            fs::rename(sidecar_of(&source), sidecar_of(&away)).unwrap();
        }
        let log = if log_stays { sidecar_of(&source) } else { sidecar_of(&away) };
        open_and_add(&away, primary().replication_sidecar_path(log), "c").unwrap();
        fs::write(&source, "moved to new/p.kitedb\n").unwrap();
        let db = Database::open(&path, replica_of(&source)).unwrap();
        let _ = db.replica_catch_up_once(10);
        assert_eq!(told(&db).source_fault.map(|fault| fault.kind()), Some("unavailable"), "{log_stays}");
        assert_eq!(db.replica_promote(false).unwrap_err().code(), ErrorCode::SourceUnavailable, "{log_stays}");
        db.close().unwrap();
        assert_eq!(looked(&path).source_fault.map(|fault| fault.kind()), Some("unavailable"), "{log_stays}");
    }
}

/// Its words are mapped by whoever follows, and a look at what is no more there would end the process.
#[test]
fn a_follower_outlives_a_control_file_that_is_cut() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let db = Database::open(&path, replica_of(&source)).unwrap();
    assert_eq!(catch_up(&db), 0);
    let control = sidecar_of(&source).join("control");
    let whole = fs::read(&control).unwrap();
    fs::write(&control, "").unwrap();
    db.replica_catch_up_once(1).unwrap_err();
    assert!(told(&db).fault().is_some());
    fs::write(&control, whole).unwrap();
    assert_eq!(catch_up(&db), 0);
}
