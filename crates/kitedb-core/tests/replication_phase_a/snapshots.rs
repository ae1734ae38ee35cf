//! Snapshots as JSON: an image of the database at a checkpoint, made while commits go on, and where its log goes on.

use crate::{
    naive::{decoded, page},
    support_replication::{Graph, MODES, Machine, expect_error, folder::Folder, primary_status},
};
use kitedb_core::{
    Cursor, Database, ErrorCode, GraphRead, OpenOptions, ReplicationRole, SyncMode, Value,
    io::{Disk, Host},
};
use kitedb_transport::TransportJson;
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Clone, Deserialize)]
struct Snapshot {
    version: u32,
    format: String,
    db_path: String,
    byte_length: u64,
    checksum_crc32c: String,
    generated_at_ms: u64,
    epoch: u64,
    head_log_index: u64,
    retained_floor: u64,
    checkpoint_log_index: u64,
    digest: String,
    start_cursor: String,
    data_base64: Option<String>,
}

impl Snapshot {
    #[track_caller]
    fn of(db: &Database, include_data: bool) -> Self {
        let json = db.primary_export_snapshot_transport_json(include_data).unwrap();
        let snapshot: Self = serde_json::from_str(&json).unwrap();
        assert_eq!((snapshot.version, snapshot.format.as_str()), (1, "single-file-db-copy"));
        assert_eq!(snapshot.data_base64.is_some(), include_data);
        assert!(snapshot.checkpoint_log_index <= snapshot.head_log_index);
        let start: Cursor = snapshot.start_cursor.parse().unwrap();
        assert_eq!(start, Cursor::before(start.epoch, (snapshot.checkpoint_log_index + 1).into()));
        snapshot
    }

    fn data(&self) -> Vec<u8> {
        let data = decoded(self.data_base64.as_deref().unwrap());
        assert_eq!(data.len() as u64, self.byte_length);
        assert_eq!(format!("{:08x}", crc32c::crc32c(&data)), self.checksum_crc32c);
        data
    }

    /// The database that the snapshot is, on a machine of its own.
    fn restore(&self, role: ReplicationRole) -> (Machine, Database) {
        let machine = Machine::new("restored", 77, SyncMode::Full);
        machine.disk.write(machine.db(), &self.data()).unwrap();
        assert_eq!(machine.disk.list("/".as_ref()).unwrap(), ["restored.kitedb"]);
        let db = machine.open(machine.options(role)).unwrap();
        assert_eq!(db.snapshot().unwrap().digest().to_string(), self.digest);
        (machine, db)
    }
}

#[test]
fn a_database_rebuilt_from_a_snapshot_is_the_primary_at_that_index() {
    for (seed, mode) in (1..).zip(MODES) {
        let machine = Machine::new("primary", seed, mode);
        let (db, mut graph) = (machine.primary(), Graph::new(seed));
        for round in 0..5 {
            graph.grow(&db, 9);
            match round {
                1 => db.checkpoint().unwrap(),
                2 => drop(db.primary_promote_to_next_epoch().unwrap()),
                3 => db.compact().unwrap(),
                _ => {}
            }
            let snapshot = Snapshot::of(&db, true);
            // As recent as can be.
            assert_eq!(snapshot.checkpoint_log_index, graph.head());
            assert_eq!(snapshot.head_log_index, graph.head());
            assert_eq!(snapshot.epoch, primary_status(&db).epoch);
            assert_eq!(snapshot.db_path, "/primary.kitedb");
            assert_eq!(snapshot.generated_at_ms, machine.host.now_ms());
            let (_restored, copy) = snapshot.restore(ReplicationRole::Disabled);
            graph.expect_all(&copy);
            // It is a database like any other.
            copy.transaction(|tx| tx.create_node(Some("of its own"))).unwrap();
            copy.close().unwrap();
            // The source's log goes on right after it.
            let rest = page(&db, &snapshot.start_cursor);
            assert_eq!((rest.gap, rest.frame_count, rest.eof), (None, 0, true));
            graph.grow(&db, 2);
            assert_eq!(page(&db, &snapshot.start_cursor).indexes(), [graph.head() - 1, graph.head()]);
        }
        machine.expect_no_violations();
    }
}

#[test]
fn a_restored_snapshot_is_opened_in_any_role() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 12);
    let snapshot = Snapshot::of(&db, true);
    let (_machine, copy) = snapshot.restore(ReplicationRole::Primary);
    let (mut of_its_own, status) = (graph.clone(), primary_status(&copy));
    assert_eq!((status.head_log_index, status.retained_floor), (12, 13));
    of_its_own.grow(&copy, 3);
    of_its_own.expect_all(&copy);
    graph.grow(&db, 3);
    graph.expect_all(&db);
}

#[test]
fn an_empty_database_has_a_snapshot_too() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let snapshot = Snapshot::of(&db, true);
    assert_eq!((snapshot.checkpoint_log_index, snapshot.head_log_index, snapshot.retained_floor), (0, 0, 0));
    assert_eq!(snapshot.start_cursor, "1:0:0:1");
    let (_machine, copy) = snapshot.restore(ReplicationRole::Disabled);
    assert_eq!(copy.snapshot().unwrap().count_nodes(), 0);
}

#[test]
fn with_and_without_its_data_a_snapshot_has_the_same_length_and_checksum() {
    let machine = Machine::new("primary", 3, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(3));
    graph.grow(&db, 20);
    let (with, without) = (Snapshot::of(&db, true), Snapshot::of(&db, false));
    with.data();
    assert_eq!((with.byte_length, with.checksum_crc32c), (without.byte_length, without.checksum_crc32c));
    assert_eq!(with.retained_floor, 0);
}

#[test]
fn where_the_log_was_cut_a_snapshot_bridges_the_gap() {
    let machine = Machine::new("primary", 3, SyncMode::Full);
    let options = machine.options(ReplicationRole::Primary);
    let options = options.replication_segment_max_bytes(1).replication_retention_min_entries(0);
    let (db, mut graph) = (machine.open(options).unwrap(), Graph::new(3));
    graph.grow(&db, 20);
    assert_eq!(db.primary_run_retention().unwrap().retained_floor, 20);
    let snapshot = Snapshot::of(&db, false);
    assert_eq!((snapshot.retained_floor, snapshot.checkpoint_log_index), (20, 20));
    assert_eq!(page(&db, &snapshot.start_cursor).gap, None);
    assert_eq!(page(&db, "1:0:0:1").gap(), Some(("below_floor", Some(1), Some(19))));
}

#[test]
fn a_snapshot_of_more_than_32_mib_is_not_put_into_json() {
    let machine = Machine::new("primary", 3, SyncMode::Off);
    let options = OpenOptions::new().sync_mode(SyncMode::Off).background(false).auto_checkpoint(false);
    let db = machine.open(options.replication_role(ReplicationRole::Primary)).unwrap();
    for n in 0..34u8 {
        db.transaction(|tx| {
            let node = tx.create_node(None)?;
            tx.set_node_prop(node, "bytes", vec![n; 1 << 20])
        })
        .unwrap();
    }
    let error = expect_error(
        db.primary_export_snapshot_transport_json(true),
        ErrorCode::InvalidArgument,
        "exceeds max inline payload",
    );
    assert!(error.to_string().contains("snapshot size"), "{error}");
    let snapshot = Snapshot::of(&db, false);
    assert!(snapshot.byte_length > 32 << 20 && snapshot.byte_length < 40 << 20);
}

/// How many items a writer writes again and again.
const ITEMS: i64 = 300;

/// Ends a writer also where the test fails.
struct StopAtLast<'a>(&'a AtomicBool);

impl Drop for StopAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Commits, checkpoints and merges go on while snapshots are made; each is the graph of its index.
#[test]
fn snapshots_made_under_load_are_each_of_one_moment() {
    let folder = Folder::new();
    let options = OpenOptions::new()
        .sync_mode(SyncMode::Normal)
        .checkpoint_log_bytes(64 << 10)
        .max_runs(3)
        .replication_role(ReplicationRole::Primary);
    let db = Database::open(folder.path("primary"), options).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtLast(&stop);
        let writer = scope.spawn(|| {
            let mut n = 0i64;
            while !stop.load(Ordering::Acquire) {
                n += 1;
                db.transaction(|tx| {
                    let (counter, _) = tx.upsert_node("counter", &[])?;
                    tx.set_node_prop(counter, "n", n)?;
                    let (item, _) = tx.upsert_node(&format!("item {}", n % ITEMS), &[])?;
                    tx.set_node_prop(item, "n", n)?;
                    tx.set_node_prop(item, "bytes", vec![n as u8; 200])
                })
                .unwrap();
            }
            n
        });
        let mut seen = 0;
        for _ in 0..15 {
            let before = db.last_commit_token().map_or(0, |token| token.log_index.0);
            let snapshot = Snapshot::of(&db, true);
            assert!(snapshot.checkpoint_log_index >= before, "it is as recent as its making");
            let (_machine, copy) = snapshot.restore(ReplicationRole::Disabled);
            let view = copy.snapshot().unwrap();
            assert_eq!(view.token().log_index.0, snapshot.checkpoint_log_index);
            // The commit with log index n is the one that wrote n.
            let head = snapshot.checkpoint_log_index as i64;
            for n in 1.max(head - ITEMS + 1)..=head {
                let item = view.node_by_key(&format!("item {}", n % ITEMS)).unwrap().unwrap();
                assert_eq!(view.node_prop(item, "n").unwrap(), Some(Value::I64(n)));
            }
            let counter = view.node_by_key("counter").unwrap().map(|id| view.node_prop(id, "n").unwrap());
            assert_eq!(counter, (head > 0).then_some(Some(Value::I64(head))));
            assert!(copy.check().unwrap().is_clean());
            let rest = page(&db, &snapshot.start_cursor);
            assert_eq!(rest.gap, None);
            assert!(rest.indexes().first().is_none_or(|first| *first == head as u64 + 1));
            assert!(head >= seen);
            seen = head;
        }
        stop.store(true, Ordering::Release);
        assert!(writer.join().unwrap() >= seen);
    });
}

/// What holds a snapshot's bytes in place is a lock that ends with it: afterwards their space is used again.
#[test]
fn a_snapshot_leaves_nothing_behind() {
    let machine = Machine::new("primary", 3, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(3));
    graph.grow(&db, 5);
    for _ in 0..30 {
        graph.grow(&db, 1);
        Snapshot::of(&db, true);
        db.compact().unwrap();
    }
    let stats = db.stats().unwrap();
    assert!(stats.file_bytes < 1 << 20, "{stats:?}");
    graph.expect_all(&db);
    machine.expect_no_violations();
}
