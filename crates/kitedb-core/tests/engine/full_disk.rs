//! Disks that are full for real, and copy on write: a btrfs, and an xfs on which somebody copied the log with shared blocks.
//! They are made in a file and mounted, which only root may do, where the machine has such file systems: elsewhere the
//! tests say that they are skipped. A store to a mapped page that finds no block kills this process.
#![cfg(target_os = "linux")]

use kitedb_core::{
    Database, Error, ErrorCode, GraphRead, OpenOptions, ReplicationRole, Result, RetentionWindows, SyncMode,
};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

/// A file system in a file, mounted for as long as this lives.
struct Mounted {
    dir: tempfile::TempDir,
}

fn done(program: &str, args: &[&str]) -> bool {
    let run = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

impl Mounted {
    fn new(kind: &str, args: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (image, at) = (dir.path().join("image"), dir.path().join("mounted"));
        File::create(&image).unwrap().set_len(320 << 20).unwrap();
        fs::create_dir(&at).unwrap();
        let (image, at) = (image.to_str().unwrap(), at.to_str().unwrap());
        let mut make = args.to_vec();
        make.push(image);
        if !done(&format!("mkfs.{kind}"), &make) || !done("mount", &["-o", "loop", image, at]) {
            println!("skipped: no {kind} can be made and mounted here");
            return None;
        }
        Some(Self { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("mounted").join(name)
    }

    /// Leaves no block.
    fn fill(&self) {
        assert!(done("sync", &[]));
        for _ in 0..2 {
            let mut file = File::options().append(true).create(true).open(self.path("fill")).unwrap();
            for piece in [1 << 20, 65_536, 4096, 512] {
                let bytes = vec![7; piece];
                while file.write(&bytes).inspect_err(|e| assert_eq!(e.kind(), ErrorKind::StorageFull)).is_ok() {}
            }
            // What was promised and is not there is told here.
            let _ = file.sync_all();
        }
        assert!(done("sync", &[]));
    }

    fn make_room(&self) {
        fs::remove_file(self.path("fill")).unwrap();
        assert!(done("sync", &[]));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let at = self.dir.path().join("mounted");
        if !done("umount", &[at.to_str().unwrap()]) {
            done("umount", &["-l", at.to_str().unwrap()]);
        }
    }
}

fn options(mode: SyncMode) -> OpenOptions {
    OpenOptions::new().sync_mode(mode).replication_role(ReplicationRole::Primary).replication_segment_max_bytes(16_384)
}

fn add(db: &Database, key: &str) -> Result<()> {
    db.transaction(|tx| tx.create_node(Some(key))).map(drop)
}

fn expect_keys(db: &Database, keys: &[String]) {
    assert_eq!(db.stats().unwrap().nodes, keys.len() as u64);
    let view = db.snapshot().unwrap();
    for key in keys {
        assert!(view.node_by_key(key).unwrap().is_some(), "{key} is gone");
    }
}

fn expect_full(error: &Error) {
    assert_eq!(error.code(), ErrorCode::DiskFull, "{error:?}");
}

/// A primary on `disk` and its replica elsewhere, while `disk` is full and after it was.
fn live(disk: &Mounted, mode: SyncMode, before: impl FnOnce(&Path)) {
    let (path, elsewhere) = (disk.path("a.kitedb"), tempfile::tempdir().unwrap());
    let follow = || {
        let options = options(mode).replication_role(ReplicationRole::Replica).replication_source_db_path(&path);
        Database::open(elsewhere.path().join("b.kitedb"), options)
    };
    let primary = Database::open(&path, options(mode)).unwrap();
    let mut keys = Vec::new();
    let mut commit = |db: &Database| {
        let key = format!("key-{}", keys.len());
        add(db, &key).map(|()| keys.push(key))
    };
    for _ in 0..20 {
        commit(&primary).unwrap();
    }
    let replica = follow().unwrap();
    while replica.replica_catch_up_once(100).unwrap() > 0 {}
    before(&disk.path("a.kitedb.replication"));
    disk.fill();

    let failed = (0..100_000).find_map(|_| commit(&primary).err()).expect("the disk never got full");
    expect_full(&failed);
    expect_full(&commit(&primary).unwrap_err());
    // A follower, and a promoter, at a source whose disk is full.
    while replica.replica_catch_up_once(100).is_ok_and(|pulled| pulled > 0) {}
    let status = primary.primary_replication_status().unwrap().unwrap();
    let id = status.replica_lags[0].replica_id.clone();
    if let Err(e) = primary.primary_remove_replica(&id) {
        expect_full(&e);
    }
    let promoted = replica.replica_promote(false).map_err(|e| expect_full(&e)).is_ok();

    disk.make_room();
    if promoted {
        assert_eq!(add(&primary, "void").unwrap_err().code(), ErrorCode::StalePrimary);
        commit(&replica).unwrap();
        expect_keys(&replica, &keys);
        return;
    }
    for _ in 0..20 {
        commit(&primary).unwrap();
    }
    expect_keys(&primary, &keys);
    while replica.replica_catch_up_once(100).unwrap() > 0 {}
    let (a, b) = (primary.snapshot().unwrap(), replica.snapshot().unwrap());
    assert_eq!(a.digest(), b.digest());
    drop((a, b));
    primary.close().unwrap();
    let primary = Database::open(&path, options(mode)).unwrap();
    expect_keys(&primary, &keys);
    assert!(primary.check().unwrap().is_clean());
    replica.replica_promote(false).unwrap();
    expect_keys(&replica, &keys);
}

#[test]
fn a_full_btrfs_is_an_error_and_ends_nobody() {
    for mode in MODES {
        let Some(disk) = Mounted::new("btrfs", &["-q"]) else { return };
        live(&disk, mode, |_| {});
    }
}

/// `cp` shares blocks where it can: whoever copied a log so has its next store need a block.
#[test]
fn a_full_xfs_whose_log_was_copied_is_an_error_and_ends_nobody() {
    for mode in MODES {
        let Some(disk) = Mounted::new("xfs", &["-q", "-m", "reflink=1"]) else { return };
        live(&disk, mode, |sidecar| {
            let (from, to) = (sidecar.to_str().unwrap(), disk.path("copy"));
            assert!(done("cp", &["-r", "--reflink=always", from, to.to_str().unwrap()]));
        });
    }
}

/// A small file system in memory.
fn tmpfs() -> Option<Mounted> {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("mounted");
    fs::create_dir(&at).unwrap();
    if !done("mount", &["-t", "tmpfs", "-o", "size=4m", "none", at.to_str().unwrap()]) {
        println!("skipped: no tmpfs can be mounted here");
        return None;
    }
    Some(Mounted { dir })
}

/// `cp --sparse` and `tar -S` leave holes where the registry of replicas has zeros, which is nearly everywhere.
#[test]
fn a_sparse_registry_on_a_full_tmpfs_is_an_error_and_ends_nobody() {
    let Some(disk) = tmpfs() else { return };
    let open = || Database::open(disk.path("a.kitedb"), options(SyncMode::Normal));
    let report =
        |db: &Database| (0..40).try_for_each(|n| db.primary_report_replica_progress(&format!("replica-{n}"), 1, 1));
    let db = open().unwrap();
    add(&db, "one").unwrap();
    db.close().unwrap();
    let registry = disk.path("a.kitedb.replication/replicas");
    assert!(done("fallocate", &["--dig-holes", registry.to_str().unwrap()]));
    disk.fill();
    let full = open().and_then(|db| report(&db));
    expect_full(&full.unwrap_err());
    disk.make_room();
    let db = open().unwrap();
    report(&db).unwrap();
    assert_eq!(db.primary_replication_status().unwrap().unwrap().replica_lags.len(), 40);
    assert!(db.snapshot().unwrap().node_by_key("one").unwrap().is_some());
}

/// Retention is to make room on a full disk, and nothing of the log is in the file yet: nothing can go, and that is told, with
/// the room that it takes. Once there is that much, it cuts the log.
#[test]
fn retention_on_a_full_disk_says_what_room_it_needs() {
    let Some(disk) = tmpfs() else { return };
    let (path, mode) = (disk.path("a.kitedb"), SyncMode::Full);
    let db = Database::open(&path, options(mode)).unwrap();
    let mut keys = Vec::new();
    for n in 0..400 {
        keys.push(format!("key-{n}"));
        add(&db, &keys[n]).unwrap();
    }
    disk.fill();
    expect_full(&db.close().unwrap_err());
    let windows = RetentionWindows::new().min_entries(0).max_bytes(1);
    let error = Database::run_retention_at(&path, &options(mode), &windows).unwrap_err();
    expect_full(&error);
    let told = error.to_string();
    for phrase in
        ["after log index 0 (up to 400)", " KiB at most", "a.kitedb.replication together", "`kitedb primary retention "]
    {
        assert!(told.contains(phrase), "{phrase}: {told}");
    }
    expect_keys(&Database::open(&path, options(mode).read_only(true)).unwrap(), &keys);
    disk.make_room();
    Database::run_retention_at(&path, &options(mode), &windows).unwrap();
    assert!(Database::run_retention_at(&path, &options(mode), &windows).unwrap().retained_floor > 1);
    expect_keys(&Database::open(&path, options(mode)).unwrap(), &keys);
}
