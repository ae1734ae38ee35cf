//! What file systems do that ours do not: names that linger, folders that vanish, removals that take their time.

use super::{
    stage::{Stage, add, add_many, has, nothing_said},
    support::{
        gate::{At, Gate},
        observed::{Observer, Operation, observed},
    },
    support_process::log_folder,
};
use kitedb_core::{Database, ErrorCode, OpenOptions, SyncMode, io::Env};
use std::{
    fs, io,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

fn short() -> OpenOptions {
    nothing_said().sync_mode(SyncMode::Off).segment_max_bytes(4096).background(false)
}

/// As FUSE and NFS: what is removed while somebody has it open lingers in its folder under another name.
#[derive(Debug)]
struct Lingering;

impl Observer for Lingering {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if operation == Operation::Remove && path.ends_with("control") {
            fs::write(path.with_file_name(".fuse_hidden0000000100000001"), "")?;
        }
        Ok(())
    }
}

#[test]
fn a_removed_file_that_lingers_in_the_folder_of_the_log_is_no_failure() {
    let stage = Stage::new();
    let path = stage.path("a.kitedb");
    let open = || Database::open_in(observed(&Env::real(), Arc::new(Lingering)), &path, short()).unwrap();
    for n in 0..3 {
        let db = open();
        // The first commit clears away what the last close left.
        add(&db, &format!("{n}")).unwrap();
        db.close().unwrap();
        assert!(log_folder(&path).exists());
    }
    fs::remove_file(log_folder(&path).join(".fuse_hidden0000000100000001")).unwrap();
    let db = Database::open(&path, short()).unwrap();
    add(&db, "last").unwrap();
    db.close().unwrap();
    assert!(!log_folder(&path).exists());
    let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
    assert!(["0", "1", "2", "last"].iter().all(|key| has(&db, key)));
    assert!(db.check().unwrap().is_clean());
}

/// Large segments take a file system a while: nobody waits for that.
#[test]
fn commits_go_on_while_segments_are_removed() {
    let stage = Stage::new();
    let path = stage.path("a.kitedb");
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), &path, short()).unwrap();
    add_many(&db, "first", 200);
    gate.shut(At::Remove, "1.klog");
    let (other, (done, committed)) = (db.clone(), mpsc::channel());
    thread::scope(|scope| {
        let checkpoint = scope.spawn(|| db.checkpoint());
        gate.wait_for_someone();
        scope.spawn(move || done.send(add(&other, "meanwhile").is_ok()));
        let committed = committed.recv_timeout(Duration::from_secs(60));
        gate.open();
        assert_eq!(committed, Ok(true), "the commit waited for the removal");
        checkpoint.join().unwrap().unwrap();
    });
    assert!(!log_folder(&path).join("segment-00000000000000000001.klog").exists());
    db.close().unwrap();
    let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
    assert!(has(&db, "meanwhile") && db.check().unwrap().is_clean());
}

/// One that could not be removed goes with the next checkpoint.
#[test]
fn a_segment_that_could_not_be_removed_is_removed_later() {
    let stage = Stage::new();
    let path = stage.path("a.kitedb");
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), &path, short()).unwrap();
    add_many(&db, "first", 200);
    gate.shut(At::Remove, "2.klog");
    gate.fail();
    assert_eq!(db.checkpoint().unwrap_err().code(), ErrorCode::Io);
    gate.open();
    let second = log_folder(&path).join("segment-00000000000000000002.klog");
    assert!(second.exists());
    add(&db, "next").unwrap();
    db.checkpoint().unwrap();
    assert!(!second.exists());
    assert!(db.check().unwrap().is_clean());
}

/// `NOT_FOUND` is a path that the caller gave. What the database itself has is damaged where it is gone.
#[test]
fn a_part_of_the_database_that_is_not_there_is_damage_that_names_it() {
    let stage = Stage::new();
    let path = stage.path("a.kitedb");
    let db = Database::open(&path, short()).unwrap();
    add_many(&db, "first", 10);
    fs::remove_dir_all(log_folder(&path)).unwrap();
    let error = (0..200).find_map(|n| add(&db, &format!("{n}")).err()).unwrap();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error:?}");
    assert!(error.to_string().contains("-wal/segment-"), "{error}");
    drop(db);
}
