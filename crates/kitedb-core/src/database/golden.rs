//! The golden file: a database with all that format 4 has, as this build once wrote it. `tests/engine/golden.rs` reads it; here it is
//! made, because only a test build of this crate makes columns of so few nodes.

use super::Database;
use crate::{
    db::{GraphRead, IndexOn, IndexSpec, OpenOptions, SyncMode, Transaction, definitions_for_testing::DefineIndexes},
    graph::{
        Date, DateTime, Duration, EdgeKey, IndexState, LocalDateTime, LocalTime, LogIndex, Mutations, NodeId, Time,
        Value,
    },
    io::Env,
    log::{FrameRef, LogReader, PageLimits},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The greatest operation of a mutation, and the numbers of all tables.
const OPERATIONS: u8 = 22;
const TABLES: [u8; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

fn options() -> OpenOptions {
    OpenOptions::new()
        .sync_mode(SyncMode::Off)
        .background(false)
        .auto_checkpoint(false)
        .auto_compaction(false)
        .max_runs(32)
        .segment_max_bytes(4096)
}

/// A value of every kind, and those at the ends of what the kinds hold.
fn values() -> Vec<(&'static str, Value)> {
    let list = |items: &[Value]| Value::List(items.to_vec());
    let map = |entries: &[(&str, Value)]| -> Value {
        entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<BTreeMap<_, _>>().into()
    };
    let plain = vec![
        ("null", Value::Null),
        ("false", false.into()),
        ("true", true.into()),
        ("zero", 0i64.into()),
        ("least", i64::MIN.into()),
        ("greatest", i64::MAX.into()),
        ("half", 0.5.into()),
        ("minus zero", (-0.0).into()),
        ("not a number", f64::from_bits(0xfff8_0000_0000_0017).into()),
        ("infinite", f64::NEG_INFINITY.into()),
        ("no text", "".into()),
        ("text", "gr\u{fc}\u{df}e, \u{4e16}\u{754c} \u{1f680}\u{0}".into()),
        ("long text", "0123456789".repeat(40).into()),
        ("bytes", vec![0u8, 255, 7].into()),
        ("floats", vec![1.5f32, -0.0, f32::from_bits(0x7fc0_0011)].into()),
        ("date", Date::new(-300_000_000_000).unwrap().into()),
        ("local time", LocalTime::new(86_399_999_999_999).unwrap().into()),
        ("time", Time::new(1, -64_800).unwrap().into()),
        ("local date-time", LocalDateTime::new(-62_135_596_801, 999_999_999).unwrap().into()),
        ("date-time", DateTime::new(1_700_000_000, 1, 3_600, None).unwrap().into()),
        ("date-time in a zone", DateTime::new(-1, 0, 7_200, Some("Europe/Stockholm")).unwrap().into()),
        ("duration", Duration::new(-1, i64::MAX, i64::MIN, 999_999_999).unwrap().into()),
        ("no items", list(&[])),
        ("no entries", map(&[])),
    ];
    let items: Vec<Value> = plain.iter().map(|(_, value)| value.clone()).collect();
    let mut all = plain.clone();
    all.push(("list of all", list(&items)));
    all.push(("map of all", map(&plain)));
    all.push((
        "nested",
        map(&[("a", list(&[map(&[("$date", list(&[Value::Null]))]), items[5].clone()])), ("", 1.into())]),
    ));
    all.push(("deep", (0..31).fold(Value::List(vec![]), |inner, _| Value::List(vec![inner]))));
    all
}

fn node(tx: &Transaction, key: &str) -> NodeId {
    tx.node_by_key(key).unwrap().unwrap()
}

fn parallel(tx: &Transaction, from: &str, ty: &str, to: &str) -> Vec<EdgeKey> {
    tx.edges_between(node(tx, from), ty, node(tx, to)).unwrap()
}

fn on(label: &str) -> IndexOn {
    IndexOn::Label(label.to_owned())
}

fn vector(n: u64, len: u64) -> Vec<f32> {
    (0..len).map(|at| (n * 31 + at * 7) as f32 / 8.0 - 5.0).collect()
}

/// What the first run holds: nodes in columns, every kind of value, parallel edges.
fn found(tx: &mut Transaction) {
    let person = tx.label_id_or_create("Person").unwrap();
    let robot = tx.label_id_or_create("R\u{f6}bot").unwrap();
    for n in 1..=40u64 {
        let id = tx.create_node(Some(&format!("node {n}"))).unwrap();
        tx.add_node_label(id, if n % 3 == 0 { robot } else { person }).unwrap();
        tx.set_node_prop(id, "small", n as i64).unwrap();
        tx.set_node_prop(id, "wide", i64::MAX / (1 + n as i64)).unwrap();
        tx.set_node_prop(id, "score", n as f64 / 3.0).unwrap();
        tx.set_node_prop(id, "born", Date::new(n as i64 * 100 - 20_000).unwrap()).unwrap();
        tx.set_node_prop(id, "wakes", LocalTime::new(n * 1_000_000_007).unwrap()).unwrap();
        if n % 2 == 0 {
            tx.set_node_prop(id, "even", true).unwrap();
        }
        tx.set_node_vector(id, "embedding", &vector(n, 16)).unwrap();
    }
    let values_of = tx.create_node(Some("values")).unwrap();
    for (name, value) in values() {
        tx.set_node_prop(values_of, name, value).unwrap();
    }
    tx.set_node_vector(values_of, "rare", &[0.5, -1.0, f32::MIN_POSITIVE]).unwrap();
    let chosen = NodeId((1 << 33) + 5);
    tx.create_node_with(crate::db::NewNode::new().id(chosen)).unwrap();
    for n in 1..40u64 {
        let (a, b) = (node(tx, &format!("node {n}")), node(tx, &format!("node {}", n + 1)));
        tx.add_edge(a, "NEXT", b).unwrap();
        if n % 4 == 0 {
            tx.set_edge_prop(a, "NEXT", b, "since", 1900 + n as i64).unwrap();
        }
    }
    tx.add_edge(values_of, "KNOWS", chosen).unwrap();
    let (a, b) = (node(tx, "node 1"), node(tx, "node 2"));
    tx.add_edge(a, "PAID", b).unwrap();
    for amount in 1..=3 {
        let edge = tx.add_parallel_edge(a, "PAID", b, &[]).unwrap();
        tx.set_edge_prop_by_key(edge, "amount", amount).unwrap();
    }
    tx.add_edge_by_key(EdgeKey { rank: 1 << 40, ..parallel(tx, "node 1", "PAID", "node 2")[0] }, &[]).unwrap();
    for (name, value) in values() {
        tx.set_edge_prop(values_of, "KNOWS", chosen, name, value).unwrap();
    }
    tx.define_index("being built", &IndexSpec::new(on("Person"), "small")).unwrap();
    tx.define_index("dropped", &IndexSpec::new(on("Person"), "wide")).unwrap();
    tx.define_index("ready", &IndexSpec::new(IndexOn::EdgeType("PAID".into()), "amount").unique(true)).unwrap();
}

/// What the second run holds over the first: removals and replacements of all kinds.
fn change(tx: &mut Transaction) {
    for gone in ["node 40", "node 39"] {
        tx.delete_node(node(tx, gone)).unwrap();
    }
    let (a, b, c) = (node(tx, "node 1"), node(tx, "node 2"), node(tx, "node 3"));
    tx.remove_node_label(a, "Person").unwrap();
    tx.add_node_label(a, "R\u{f6}bot").unwrap();
    tx.delete_node_prop(b, "score").unwrap();
    tx.set_node_prop(c, "small", "no number any more").unwrap();
    tx.delete_node_vector(b, "embedding").unwrap();
    tx.set_node_vector(c, "embedding", &vector(99, 16)).unwrap();
    tx.delete_edge(b, "NEXT", c).unwrap();
    tx.set_edge_prop(a, "NEXT", b, "since", Date::new(19_000).unwrap()).unwrap();
    let edges = parallel(tx, "node 1", "PAID", "node 2");
    tx.delete_edge_by_key(edges[0]).unwrap();
    tx.delete_edge_by_key(edges[2]).unwrap();
    tx.set_edge_prop_by_key(edges[1], "amount", 11).unwrap();
    tx.add_parallel_edge(c, "PAID", c, &[]).unwrap();
    tx.set_index_state("ready", IndexState::Ready).unwrap();
    tx.define_index("two nodes", &IndexSpec::new(on("Person"), "even").unique(true)).unwrap();
    tx.set_index_state("two nodes", IndexState::EqualNodes([NodeId(2), NodeId(4)])).unwrap();
}

/// What the third run holds: keys that were released, taken again.
fn take_again(tx: &mut Transaction) {
    let again = tx.create_node(Some("node 40")).unwrap();
    tx.add_edge(again, "NEXT", node(tx, "node 1")).unwrap();
    tx.add_parallel_edge(again, "NEXT", node(tx, "node 1"), &[]).unwrap();
    tx.define_index("two edges", &IndexSpec::new(IndexOn::EdgeType("NEXT".into()), "since").unique(true)).unwrap();
    let edge = EdgeKey::new(NodeId(4), tx.etype_id("NEXT").unwrap(), NodeId(5));
    tx.set_index_state("two edges", IndexState::EqualEdges([edge, edge.with_rank(3)])).unwrap();
}

/// What the log holds, each part in a frame: every operation.
fn log(db: &Database) {
    let parts: [fn(&mut Transaction); 5] = [
        |tx| {
            let new = tx.create_node(Some("new in the log")).unwrap();
            tx.create_node(None).unwrap();
            tx.add_node_label(new, "Label of the log").unwrap();
            tx.add_node_label(node(tx, "node 2"), "Label of the log").unwrap();
            tx.remove_node_label(node(tx, "node 4"), "Person").unwrap();
            tx.delete_node(node(tx, "node 38")).unwrap();
            tx.set_node_vector(new, "vector of the log", &[1.0, 2.0]).unwrap();
            tx.delete_node_vector(node(tx, "node 5"), "embedding").unwrap();
        },
        |tx| {
            let id = node(tx, "new in the log");
            for (name, value) in values() {
                tx.set_node_prop(id, name, value).unwrap();
            }
            tx.delete_node_prop(node(tx, "node 6"), "small").unwrap();
            tx.set_node_prop(node(tx, "node 6"), "wide", 7).unwrap();
        },
        // After it the segment is left for another one.
        |tx| tx.set_node_prop(node(tx, "node 11"), "long text", "0123456789".repeat(500)).unwrap(),
        |tx| {
            let (a, b, c) = (node(tx, "node 7"), node(tx, "node 8"), node(tx, "node 9"));
            tx.add_edge(a, "LIKES", c).unwrap();
            tx.delete_edge(a, "NEXT", b).unwrap();
            tx.set_edge_prop(b, "NEXT", c, "since", 7.5).unwrap();
            tx.delete_edge_prop(node(tx, "node 12"), "NEXT", node(tx, "node 13"), "since").unwrap();
            tx.add_parallel_edge(a, "LIKES", c, &[]).unwrap();
            let paid = parallel(tx, "node 1", "PAID", "node 2");
            tx.delete_edge_prop_by_key(paid[0], "amount").unwrap();
            tx.set_edge_prop_by_key(paid[1], "amount", "much").unwrap();
            tx.delete_edge_by_key(parallel(tx, "node 40", "NEXT", "node 1")[1]).unwrap();
        },
        |tx| {
            tx.define_index("of the log", &IndexSpec::new(on("Label of the log"), "text")).unwrap();
            tx.set_index_state("being built", IndexState::Ready).unwrap();
            tx.drop_index("dropped").unwrap();
        },
    ];
    for part in parts {
        commit(db, part);
    }
}

fn commit(db: &Database, change: fn(&mut Transaction)) {
    let mut tx = db.begin().unwrap();
    change(&mut tx);
    tx.commit().unwrap();
}

/// Makes the database at `path`, as it is after a crash: its log is not folded.
fn make(path: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("everything.kitedb");
    let db = Database::open(&made, options()).unwrap();
    for change in [found, change, take_again] {
        commit(&db, change);
        db.checkpoint().unwrap();
    }
    log(&db);
    db.sync().unwrap();
    copy(&made, path);
    db.close().unwrap();
}

/// Copies a database with its log.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    let (from, to) = (log_of(from), log_of(to));
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn log_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

/// Fails unless the runs of the database at `path` have every table between them, its log every operation, and both every
/// kind of what is in them.
fn expect_everything(path: &Path) {
    let db = Database::open(path, options().read_only(true)).unwrap();
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
    let runs = db.engine().unwrap().store.runs();
    assert!(
        runs.len() >= 3 && runs.iter().any(|run| run.meta().removals) && runs.iter().any(|run| run.meta().replaces)
    );
    let tables: BTreeSet<u8> = runs.iter().flat_map(|run| &run.meta().tables).map(|table| table.kind as u8).collect();
    assert!(tables.iter().eq(&TABLES), "{tables:?}");

    let mut reader = LogReader::open(&Env::real(), &log_of(path)).unwrap();
    assert!(reader.segments().len() > 1);
    let after = LogIndex(reader.floor().unwrap().0 - 1);
    let limits = PageLimits { max_frames: 1000, max_bytes: 1 << 30, through: LogIndex(u64::MAX) };
    let mut operations = BTreeSet::new();
    for chunk in reader.read(after, limits).unwrap().chunks {
        for place in &chunk.frames {
            let frame = FrameRef::parse(&chunk.bytes[place.at..place.at + place.len]).unwrap();
            for mutation in Mutations::new(frame.payload) {
                let mut bytes = Vec::new();
                mutation.unwrap().encode(&mut bytes);
                operations.insert(bytes[0]);
            }
        }
    }
    assert!(operations.iter().copied().eq(1..=OPERATIONS), "{operations:?}");
    let view = db.snapshot().unwrap();
    for key in ["values", "new in the log"] {
        let id = view.node_by_key(key).unwrap().unwrap();
        for (name, value) in values() {
            let stored = view.node_prop(id, name).unwrap();
            // Bit for bit: a NaN is not equal to itself.
            assert_eq!(format!("{stored:?}"), format!("{:?}", Some(value)), "{name}");
        }
    }
    db.close().unwrap();
}

#[test]
fn what_becomes_the_golden_file_has_everything_that_the_format_has() {
    let scratch = tempfile::tempdir().unwrap();
    let made = scratch.path().join("made.kitedb");
    make(&made);
    expect_everything(&made);
}

/// What is checked in stands for every file that people have: it is written anew only where the number of the format changes.
/// `tests/engine/golden.rs` then packs it, and writes what it holds.
#[test]
#[ignore = "writes the golden file: KITEDB_GOLDEN says into which folder, where none is"]
fn the_golden_file_is_written() {
    let folder = PathBuf::from(std::env::var_os("KITEDB_GOLDEN").unwrap());
    let path = folder.join("everything.kitedb");
    make(&path);
    expect_everything(&path);
}
