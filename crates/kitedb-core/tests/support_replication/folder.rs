//! Nodes in a folder of a real disk.

use crate::support_process::mode_of;
use kitedb_core::{AllTypes, Database, GraphRead, OpenOptions, ReplicationRole, Result, SyncMode, Token, Value};
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A folder with the files of a primary and its replicas.
#[derive(Debug)]
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.kitedb"))
    }

    /// As text, for a child process.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn primary(&self, name: &str, mode: SyncMode) -> Database {
        Database::open(self.path(name), primary_options(mode)).unwrap()
    }

    pub fn replica(&self, name: &str, of: &str, mode: SyncMode) -> Database {
        Database::open(self.path(name), replica_options(mode, &self.path(of))).unwrap()
    }
}

pub fn sidecar_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push(".replication");
    path.with_file_name(name)
}

pub fn primary_options(mode: SyncMode) -> OpenOptions {
    OpenOptions::new().sync_mode(mode).sync_interval_ms(10).replication_role(ReplicationRole::Primary)
}

pub fn replica_options(mode: SyncMode, source: &Path) -> OpenOptions {
    primary_options(mode).replication_role(ReplicationRole::Replica).replication_source_db_path(source)
}

pub fn mode_name(mode: SyncMode) -> &'static str {
    let name = match mode {
        SyncMode::Full => "full",
        SyncMode::Normal => "normal",
        _ => "off",
    };
    assert_eq!(mode_of(name), mode);
    name
}

/// Commits item `n` of a writer: a node with a key, a label, properties, a vector, and an edge to the writer's hub.
pub fn commit_item(db: &Database, writer: &str, n: i64) -> Result<Token> {
    loop {
        let mut tx = db.begin()?;
        let (hub, _) = tx.upsert_node(writer, &[])?;
        tx.set_node_prop(hub, "n", n)?;
        let item = tx.create_node(Some(&item_key(writer, n)))?;
        tx.add_node_label(item, "Item")?;
        tx.set_node_prop(item, "payload", vec![n as u8; 40 + (n as usize * 37) % 300])?;
        tx.add_edge(hub, "HAS", item)?;
        tx.set_edge_prop(hub, "HAS", item, "n", n)?;
        tx.set_node_vector(item, "place", &[n as f32, 1.0])?;
        match tx.commit() {
            Err(e) if e.is_conflict() => {}
            done => return done,
        }
    }
}

/// Commits items 1 to `last` of a writer; returns the last token.
pub fn commit_items(db: &Database, writer: &str, last: i64) -> Token {
    (1..=last).fold(Token::default(), |_, n| commit_item(db, writer, n).unwrap())
}

pub fn item_key(writer: &str, n: i64) -> String {
    format!("{writer} {n}")
}

/// The last item of a writer that `db` shows; every one before it is there too.
#[track_caller]
pub fn last_item(db: &Database, writer: &str) -> i64 {
    let view = db.snapshot().unwrap();
    let Some(hub) = view.node_by_key(writer).unwrap() else { return 0 };
    let Some(Value::I64(last)) = view.node_prop(hub, "n").unwrap() else { panic!("{writer} has no number") };
    assert_eq!(view.out_degree(hub, AllTypes).unwrap(), last as u64);
    for n in 1..=last {
        let item = view.node_by_key(&item_key(writer, n)).unwrap().expect("an item");
        assert_eq!(view.edge_prop(hub, "HAS", item, "n").unwrap(), Some(Value::I64(n)));
    }
    last
}

/// Waits until `done` holds: for what happens in the background. Fails after a minute.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("it never happened that {what}");
}

/// Sends a signal (`STOP`, `CONT`) to a process.
pub fn signal(process: &str, name: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{name}"), process]).status().unwrap();
    assert!(status.success());
}
