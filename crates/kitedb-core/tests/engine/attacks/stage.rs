//! A folder on a real disk with databases of every kind, and what the tests ask of them.

use super::support_replication::folder::sidecar_of;
use kitedb_core::{Database, Error, GraphRead, OpenOptions, ReplicationRole, Result, Token};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Stage(TempDir);

impl Stage {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The database `name`, made by these options with a commit for each key, and closed.
    pub fn closed(&self, name: &str, options: OpenOptions, keys: &[&str]) -> PathBuf {
        let path = self.path(name);
        let db = Database::open(&path, options).unwrap();
        for key in keys {
            add(&db, key).unwrap();
        }
        db.close().unwrap();
        path
    }

    /// A database that never replicated, with the nodes `a` and `b`.
    pub fn stand_alone(&self, name: &str) -> PathBuf {
        self.closed(name, disabled(), &["a", "b"])
    }

    /// A primary that leads, with the nodes `a` and `b`.
    pub fn leading(&self, name: &str) -> PathBuf {
        self.closed(name, primary(), &["a", "b"])
    }

    /// A replica of `source` that has all of it.
    pub fn replica(&self, name: &str, source: &Path) -> PathBuf {
        let path = self.path(name);
        let db = Database::open(&path, replica_of(source)).unwrap();
        db.replica_bootstrap_from_snapshot().unwrap();
        db.close().unwrap();
        path
    }

    /// A primary that is fenced, and the primary that took over from it: both hold `a` and `b`, the new one `new` too.
    pub fn fenced(&self, name: &str, by: &str) -> (PathBuf, PathBuf) {
        let old = self.leading(name);
        let new = self.replica(by, &old);
        let db = Database::open(&new, replica_of(&old)).unwrap();
        db.replica_promote(false).unwrap();
        add(&db, "new").unwrap();
        db.close().unwrap();
        (old, new)
    }
}

/// Options that say nothing of a role.
pub fn nothing_said() -> OpenOptions {
    OpenOptions::new()
}

pub fn disabled() -> OpenOptions {
    OpenOptions::new().replication_role(ReplicationRole::Disabled)
}

pub fn primary() -> OpenOptions {
    OpenOptions::new().replication_role(ReplicationRole::Primary)
}

/// A replica that is told no source.
pub fn replica() -> OpenOptions {
    OpenOptions::new().replication_role(ReplicationRole::Replica)
}

pub fn replica_of(source: &Path) -> OpenOptions {
    replica().replication_source_db_path(source)
}

/// A log whose every frame has a segment of its own, and that keeps only the newest one by itself.
pub fn short_log(options: OpenOptions) -> OpenOptions {
    options.replication_segment_max_bytes(1).replication_retention_min_entries(1)
}

/// Commits a node with this key.
pub fn add(db: &Database, key: &str) -> Result<Token> {
    let mut tx = db.begin()?;
    tx.create_node(Some(key))?;
    tx.commit()
}

/// Commits nodes whose keys are `prefix` and a number below `count`, one by one.
pub fn add_many(db: &Database, prefix: &str, count: u32) {
    for n in 0..count {
        add(db, &format!("{prefix} {n}")).unwrap();
    }
}

#[track_caller]
pub fn has(db: &Database, key: &str) -> bool {
    db.snapshot().unwrap().node_by_key(key).unwrap().is_some()
}

/// Opens, commits a node, closes.
pub fn open_and_add(path: &Path, options: OpenOptions, key: &str) -> Result<Token> {
    let db = Database::open(path, options)?;
    let token = add(&db, key)?;
    db.close()?;
    Ok(token)
}

/// How an open or the first commit after it is refused; `key` is not in the file afterwards.
#[track_caller]
pub fn refusal(path: &Path, options: OpenOptions, key: &str) -> Error {
    let error = open_and_add(path, options, key).expect_err("a commit that must be refused");
    let db = Database::open(path, nothing_said().read_only(true)).unwrap();
    assert!(!has(&db, key), "refused ({error:?}), and there all the same");
    error
}

/// The code of a refusal: by its text, so that codes to come can be named.
#[track_caller]
pub fn refused(path: &Path, options: OpenOptions) -> &'static str {
    refusal(path, options, "refused").code().as_str()
}

/// The code of an open that must fail.
#[track_caller]
pub fn refused_open(path: &Path, options: OpenOptions) -> Error {
    Database::open(path, options).map(|db| db.replication_role()).expect_err("an open that must be refused")
}

/// The nodes of `a` and `b` are there, and every invariant holds.
#[track_caller]
pub fn expect_its_own(db: &Database) {
    assert!(has(db, "a") && has(db, "b"));
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// As `cp -a`.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// The file of a database and its sidecar, as `cp -a` copies them.
pub fn copy_database(from: &Path, to: &Path) {
    copy(from, to);
    copy(&sidecar_of(from), &sidecar_of(to));
}

/// The file of a database and its sidecar are given another name.
pub fn rename_database(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
    fs::rename(sidecar_of(from), sidecar_of(to)).unwrap();
}

pub fn remove_database(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::remove_dir_all(sidecar_of(path)).unwrap();
}

/// Every file under `folder`, with its bytes.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, bytes);
        }
    }
    all
}

/// The names in `folder`, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// How many segments the log in `sidecar` has.
pub fn segments(sidecar: &Path) -> usize {
    names(sidecar).iter().filter(|name| name.starts_with("segment-")).count()
}

/// What may stand in place of the bytes of a file.
pub mod stand_in {
    use std::{fs, path::Path};

    /// Neither header slot verifies.
    pub const BOTH_HEADERS: fn(&Path) = |path| {
        let mut bytes = fs::read(path).unwrap();
        for at in [12, 4096 + 12] {
            bytes[at] ^= 0x40;
        }
        fs::write(path, bytes).unwrap();
    };

    /// All of it is noise.
    pub const WHOLE_FILE: fn(&Path) = |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, bytes.iter().map(|byte| byte ^ 0xA5).collect::<Vec<_>>()).unwrap();
    };
}
