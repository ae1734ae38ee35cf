//! A real process that commits is killed with SIGKILL at random moments, again and again on the same file. What
//! it had acknowledged is there, whole, whatever the sync mode; nothing half done is.
//!
//! `KITEDB_ROUNDS` asks for more rounds, `KITEDB_SEED` for a certain choice of moments.

use crate::support_process::{Child, Random, assert_clean, child_args, dump, mode_of, tell};
use kitedb_core::{AllTypes, Database, GraphRead, OpenOptions, Result, Token, Value};
use std::{collections::HashMap, path::Path, thread, time::Duration};

/// A writer deletes its oldest item once it has so many: the data stay constant while the log grows.
const KEPT: i64 = 20;

fn options(mode: &str) -> OpenOptions {
    OpenOptions::new()
        .sync_mode(mode_of(mode))
        .sync_interval_ms(10)
        .checkpoint_log_bytes(64 << 10)
        .segment_max_bytes(128 << 10)
        .max_runs(3)
}

/// The `n`th transaction of a writer: an item with all that a node can have, tied to the writer's counter.
fn commit_item(db: &Database, writer: usize, n: i64) -> Result<Token> {
    loop {
        let mut tx = db.begin()?;
        let (counter, _) = tx.upsert_node(&format!("counter {writer}"), &[])?;
        tx.set_node_prop(counter, "n", n)?;
        let item = tx.create_node(Some(&format!("item {writer} {n}")))?;
        tx.add_node_label(item, "Item")?;
        tx.set_node_prop(item, "n", n)?;
        tx.set_node_prop(item, "payload", vec![n as u8; 50 + (n as usize * 37) % 900])?;
        tx.add_edge(counter, "HAS", item)?;
        tx.set_edge_prop(counter, "HAS", item, "n", n)?;
        tx.set_node_vector(item, "place", &[n as f32, 1.0])?;
        if let Some(old) = tx.node_by_key(&format!("item {writer} {}", n - KEPT))? {
            tx.delete_node(old)?;
        }
        match tx.commit() {
            Err(e) if e.is_conflict() => {}
            done => return done,
        }
    }
}

fn counter(db: &Database, writer: usize) -> i64 {
    let view = db.snapshot().unwrap();
    let Some(counter) = view.node_by_key(&format!("counter {writer}")).unwrap() else { return 0 };
    match view.node_prop(counter, "n").unwrap() {
        Some(Value::I64(n)) => n,
        other => panic!("counter {writer} shows {other:?}"),
    }
}

/// Not a test of its own: the process that is killed. Writes for ever, and says what was acknowledged.
#[test]
fn child_that_writes() {
    let Some(args) = child_args() else { return };
    let [path, mode, writers, closes] = args.as_slice() else { panic!("{args:?}") };
    let writers: usize = writers.parse().unwrap();
    loop {
        let db = Database::open(path, options(mode)).unwrap();
        tell("open");
        thread::scope(|scope| {
            for writer in 0..writers {
                let db = db.clone();
                scope.spawn(move || {
                    let first = counter(&db, writer) + 1;
                    let end = if closes == "closes" { first + 40 } else { i64::MAX };
                    for n in first..end {
                        let token = commit_item(&db, writer, n).unwrap();
                        tell(format_args!("{writer} {n} {token}"));
                    }
                });
            }
        });
        db.close().unwrap();
    }
}

#[derive(Default)]
struct Acknowledged {
    items: HashMap<usize, i64>,
    token: Option<Token>,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        let writer = words.next().unwrap();
        if writer == "open" {
            return;
        }
        let n = words.next().unwrap().parse().unwrap();
        let before = self.items.insert(writer.parse().unwrap(), n);
        assert!(before.is_none_or(|before| before < n));
        self.token = self.token.max(Some(words.next().unwrap().parse().unwrap()));
    }
}

/// Everything acknowledged is there, and each writer's items are those of one moment.
fn verify(db: &Database, acknowledged: &Acknowledged) {
    assert!(db.last_commit_token() >= acknowledged.token, "{:?}", db.last_commit_token());
    let view = db.snapshot().unwrap();
    let (mut nodes, mut edges) = (0, 0);
    for writer in 0..8 {
        let last = counter(db, writer);
        let known = acknowledged.items.get(&writer).copied().unwrap_or(0);
        assert!(last >= known, "writer {writer}: item {known} was acknowledged, {last} is the last one there");
        assert!(last <= known + 1, "writer {writer}: after item {known} one more can have been tried, not {last}");
        if last == 0 {
            continue;
        }
        let hub = view.node_by_key(&format!("counter {writer}")).unwrap().unwrap();
        let kept = last.min(KEPT);
        (nodes, edges) = (nodes + 1 + kept as u64, edges + kept as u64);
        assert_eq!(view.out_degree(hub, AllTypes).unwrap(), kept as u64);
        assert_eq!(view.node_by_key(&format!("item {writer} {}", last - KEPT)).unwrap(), None);
        for n in last - kept + 1..=last {
            let item = view.node_by_key(&format!("item {writer} {n}")).unwrap().expect("an item");
            assert_eq!(view.node_prop(item, "n").unwrap(), Some(Value::I64(n)));
            assert_eq!(view.edge_prop(hub, "HAS", item, "n").unwrap(), Some(Value::I64(n)));
            assert_eq!(view.node_vector(item, "place").unwrap(), Some(vec![n as f32, 1.0]));
        }
    }
    assert_eq!((view.count_nodes(), view.count_edges(), view.count_vectors()), (nodes, edges, edges));
    assert_eq!(view.count_nodes_by_label("Item"), edges);
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.digest, view.digest());
}

fn rounds() -> u64 {
    std::env::var("KITEDB_ROUNDS").map_or(10, |n| n.parse().expect("KITEDB_ROUNDS is a number"))
}

fn kill_again_and_again(mode: &str, closes: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("killed.kitedb");
    let mut random = Random::from_environment();
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds() {
        let writers = 1 + random.below(4);
        let role = [path.to_str().unwrap(), mode, &writers.to_string(), if closes { "closes" } else { "stays" }];
        let mut child = Child::spawn("kill_nine::child_that_writes", &role);
        // Now and then it dies while it opens, mostly after so and so many commits.
        let lines = if random.below(5) == 0 { 0 } else { random.below(if mode == "full" { 200 } else { 2000 }) };
        for _ in 0..lines {
            acknowledged.note(&child.line().expect("the child goes on until it is killed"));
        }
        thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill_nine().iter().for_each(|line| acknowledged.note(line));
        if !path.exists() {
            assert!(acknowledged.token.is_none());
            continue;
        }
        reopen(&path, mode, round, &mut acknowledged);
    }
    println!("{mode}: {} rounds, the last token {:?}", rounds(), acknowledged.token);
}

fn reopen(path: &Path, mode: &str, round: u64, acknowledged: &mut Acknowledged) {
    // Looking at what a crash left behind changes nothing of it.
    let reader = Database::open(path, OpenOptions::new().read_only(true)).unwrap();
    verify(&reader, acknowledged);
    let seen = dump(&reader.snapshot().unwrap());
    // The next child goes on from what is there, also from what this one did not live to acknowledge.
    for writer in 0..8 {
        acknowledged.items.insert(writer, counter(&reader, writer));
    }
    drop(reader);
    if round.is_multiple_of(3) {
        // The next child recovers what this one left.
        return;
    }
    let db = Database::open(path, options(mode)).unwrap();
    assert_eq!(dump(&db.snapshot().unwrap()), seen);
    verify(&db, acknowledged);
    if round % 3 == 1 {
        db.compact().unwrap();
        assert_eq!(dump(&db.snapshot().unwrap()), seen);
    }
    db.close().unwrap();
    let left = std::fs::read_dir(crate::support_process::log_folder(path));
    let left = left.map(|left| left.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>());
    assert!(left.is_err(), "a close left {left:?} of its log");
    let db = Database::open(path, options(mode)).unwrap();
    assert_eq!(dump(&db.snapshot().unwrap()), seen);
    assert_clean(&db);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_in_full() {
    kill_again_and_again("full", false);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_in_normal() {
    kill_again_and_again("normal", false);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_in_off() {
    kill_again_and_again("off", false);
}

#[test]
fn a_process_killed_while_it_opens_and_closes_loses_nothing_acknowledged() {
    for mode in ["full", "off"] {
        kill_again_and_again(mode, true);
    }
}
