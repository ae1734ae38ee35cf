//! What lies beside the file is as private as the file, and belongs to whom the file belongs.

use super::{
    stage::{Stage, add, add_many, disabled, nothing_said, open_and_add, primary, replica_of},
    support_process::log_folder,
    support_replication::folder::sidecar_of,
};
use kitedb_core::{Database, OpenOptions};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

/// An account that nobody works under.
const NOBODY: u32 = 65534;

fn beside(folder: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    inside.chain([folder.to_owned()]).collect()
}

#[track_caller]
fn expect_private(folder: &Path) {
    for path in beside(folder) {
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
}

#[track_caller]
fn private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_log_of_a_private_file_is_private() {
    let stage = Stage::new();
    let path = stage.stand_alone("one.kitedb");
    private(&path);
    let db = Database::open(&path, disabled().segment_max_bytes(4096)).unwrap();
    add_many(&db, &"secret".repeat(40), 40);
    expect_private(&log_folder(&path));
}

#[test]
fn the_sidecar_of_a_private_file_is_private() {
    let stage = Stage::new();
    let path = stage.stand_alone("p.kitedb");
    private(&path);
    open_and_add(&path, primary(), "c").unwrap();
    expect_private(&sidecar_of(&path));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    // So is that of a replica whose file is private.
    let replica = stage.closed("r.kitedb", nothing_said(), &[]);
    private(&replica);
    let db = Database::open(&replica, replica_of(&path)).unwrap();
    db.replica_bootstrap_from_snapshot().unwrap();
    expect_private(&sidecar_of(&replica));
    assert_eq!(fs::metadata(&replica).unwrap().mode() & 0o777, 0o600);
}

/// A group that may write the file may write its log.
#[test]
fn the_log_of_a_shared_file_is_shared() {
    let stage = Stage::new();
    let path = stage.stand_alone("p.kitedb");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    open_and_add(&path, primary(), "c").unwrap();
    for path in beside(&sidecar_of(&path)) {
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o066, 0o060, "{} has mode {mode:o}", path.display());
    }
}

/// Maintenance as root leaves nothing that the owner cannot write.
fn owner_after(options: impl Fn() -> OpenOptions, act: impl Fn(&Database)) {
    let stage = Stage::new();
    let path = stage.closed("p.kitedb", options(), &["a"]);
    if fs::metadata(&path).unwrap().uid() != 0 {
        println!("skipped: only root can give a file away");
        return;
    }
    let all = |path: &Path| {
        [sidecar_of(path), log_folder(path)].iter().filter(|folder| folder.exists()).flat_map(|f| beside(f)).collect()
    };
    let given: Vec<PathBuf> = all(&path);
    given.iter().chain([&path]).for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap());
    let db = Database::open(&path, options()).unwrap();
    act(&db);
    let now: Vec<PathBuf> = all(&path);
    assert!(!now.is_empty());
    for path in now.iter().chain([&path]) {
        let found = fs::metadata(path).unwrap();
        assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{}", path.display());
    }
}

#[test]
fn what_root_makes_beside_the_file_belongs_to_its_owner() {
    let promotes: fn(&Database) = |db| assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 2);
    let commits: fn(&Database) = |db| assert_eq!(add(db, "b").unwrap().log_index.0, 2);
    owner_after(primary, promotes);
    owner_after(|| primary().replication_segment_max_bytes(1), commits);
    owner_after(disabled, commits);
}

/// Someone else may write the folder and has put links where the log is to be: nothing is written through them.
#[test]
fn a_planted_link_is_not_written_through() {
    for name in ["control", "control.creating", "segment-00000000000000000001.klog", "replicas"] {
        let stage = Stage::new();
        let victim = stage.path("victim");
        let bytes = vec![7u8; 100_000];
        fs::write(&victim, &bytes).unwrap();
        let mode = fs::metadata(&victim).unwrap().mode();
        for (path, options) in [("one.kitedb", disabled()), ("p.kitedb", primary())] {
            let path = stage.path(path);
            let folder = if path.ends_with("p.kitedb") { sidecar_of(&path) } else { log_folder(&path) };
            fs::create_dir(&folder).unwrap();
            symlink(&victim, folder.join(name)).unwrap();
            let _ = open_and_add(&path, options, "a");
            assert!(fs::read(&victim).unwrap() == bytes, "{name} of {}", path.display());
            assert_eq!(fs::metadata(&victim).unwrap().mode(), mode);
        }
    }
}
