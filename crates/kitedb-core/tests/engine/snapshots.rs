//! A snapshot shows one state: whole transactions, and for ever the same, whatever is committed, checkpointed
//! and compacted meanwhile.

use crate::support_process::{Random, assert_clean, code, dump, quiet};
use kitedb_core::{
    AllTypes, Database, Direction, EdgeKey, ErrorCode, GraphRead, NodeId, OpenOptions, Result, SyncMode, Transaction,
    Value, View,
};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

const ACCOUNTS: u64 = 32;
const BALANCE: i64 = 100;

fn integer(reader: &impl GraphRead, id: NodeId, key: &str) -> i64 {
    match reader.node_prop(id, key).unwrap() {
        Some(Value::I64(n)) => n,
        other => panic!("node {id} has {other:?} under {key}"),
    }
}

/// A bank in which every transaction keeps the sum, the twin of each balance, and edges in pairs.
struct Bank {
    db: Database,
    accounts: Vec<NodeId>,
}

impl Bank {
    fn open(db: Database) -> Self {
        let accounts = db
            .transaction(|tx| -> Result<_> {
                (0..ACCOUNTS)
                    .map(|n| {
                        let id = tx.create_node(Some(&format!("account {n}")))?;
                        tx.set_node_prop(id, "balance", BALANCE)?;
                        tx.set_node_prop(id, "twin", BALANCE)?;
                        Ok(id)
                    })
                    .collect::<Result<Vec<_>>>()
            })
            .unwrap();
        Self { db, accounts }
    }

    fn transfer(&self, tx: &mut Transaction, from: NodeId, to: NodeId, amount: i64) -> Result<()> {
        for (id, change) in [(from, -amount), (to, amount)] {
            let balance = integer(tx, id, "balance") + change;
            tx.set_node_prop(id, "balance", balance)?;
            tx.set_node_prop(id, "twin", balance)?;
            // A label tells who is in debt.
            if balance < 0 {
                tx.add_node_label(id, "Debtor")?
            } else {
                tx.remove_node_label(id, "Debtor")?
            };
        }
        // "PAID" and its counterpart come and go together, and a receipt with them.
        let receipt = format!("receipt {from} {to}");
        if tx.edge_exists(from, "PAID", to)? {
            tx.delete_edge(from, "PAID", to)?;
            tx.delete_edge(to, "GOT", from)?;
            let old = tx.node_by_key(&receipt)?.expect("a receipt comes with its edges");
            tx.delete_node(old)?;
        } else {
            tx.add_edge(from, "PAID", to)?;
            tx.set_edge_prop(from, "PAID", to, "amount", amount)?;
            tx.add_edge(to, "GOT", from)?;
            let id = tx.create_node(Some(&receipt))?;
            tx.add_edge(id, "OF", from)?;
            tx.set_node_vector(id, "trace", &[amount as f32, 1.0])?;
        }
        Ok(())
    }

    fn verify(&self, view: &impl GraphRead) {
        let (mut sum, mut debtors) = (0, Vec::new());
        for &id in &self.accounts {
            let balance = integer(view, id, "balance");
            assert_eq!(balance, integer(view, id, "twin"));
            sum += balance;
            if balance < 0 {
                debtors.push(id);
            }
        }
        assert_eq!(sum, ACCOUNTS as i64 * BALANCE);
        let labelled: Vec<_> = view.nodes_with_label("Debtor").unwrap().map(|node| node.unwrap().id()).collect();
        assert_eq!(labelled, debtors);
        assert_eq!(view.count_nodes_by_label("Debtor"), debtors.len() as u64);
        let (paid, got) = (view.etype_id("PAID"), view.etype_id("GOT"));
        let (mut edges, mut payments) = (0, 0);
        for edge in view.edges() {
            let EdgeKey { src, ty, dst, .. } = edge.unwrap().key();
            edges += 1;
            if Some(ty) == paid {
                payments += 1;
                assert!(view.edge_exists(dst, "GOT", src).unwrap());
                assert!(view.edge_prop(src, "PAID", dst, "amount").unwrap().is_some());
                let receipt = view.node_by_key(&format!("receipt {src} {dst}")).unwrap().expect("a receipt");
                assert!(view.out_neighbors(receipt, AllTypes).unwrap().map(|node| node.id()).eq([src]));
                assert!(view.node_vector(receipt, "trace").unwrap().is_some());
            } else if Some(ty) == got {
                assert!(view.edge_exists(dst, "PAID", src).unwrap());
            }
        }
        assert_eq!(edges, 3 * payments);
        assert_eq!(view.count_edges(), edges);
        assert_eq!(view.count_edges_by_type("PAID"), payments);
        assert_eq!(view.count_vectors(), payments);
        assert_eq!(view.count_nodes(), ACCOUNTS + payments);
        assert_eq!(view.nodes().map(Result::unwrap).count() as u64, ACCOUNTS + payments);
        let [mut out, mut incoming] = [0, 0];
        for &id in &self.accounts {
            out += view.out_degree(id, "PAID").unwrap();
            incoming += view.in_degree(id, "PAID").unwrap();
        }
        if paid.is_some() {
            assert_eq!((out, incoming), (payments, payments));
        }
    }
}

/// Tells the others that its thread has failed.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Writers, readers, checkpoints and merges all at once, until every writer has done its share.
fn run_bank(mode: SyncMode, transfers: u64) {
    let dir = tempfile::tempdir().unwrap();
    let options =
        OpenOptions::new().sync_mode(mode).checkpoint_log_bytes(32 << 10).segment_max_bytes(256 << 10).max_runs(2);
    let bank = Bank::open(Database::open(dir.path().join("bank.kitedb"), options.clone()).unwrap());
    let first = bank.db.snapshot().unwrap();
    let first_dump = dump(&first);
    let writing = AtomicBool::new(true);
    let conflicts = AtomicU64::new(0);
    // Writers go on until everyone else has had turns enough to meet them.
    let turns = [const { AtomicU64::new(0) }; 3];
    let failed = AtomicBool::new(false);
    let enough = |done| {
        failed.load(Ordering::Relaxed) || done >= transfers && turns.iter().all(|t| t.load(Ordering::Relaxed) >= 16)
    };
    let (bank, turns, failed, enough) = (&bank, &turns, &failed, &enough);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|seed| {
                let conflicts = &conflicts;
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    let mut last = None;
                    let mut done = 0;
                    while !enough(done) {
                        done += 1;
                        let [from, to] = [0, 1].map(|_| bank.accounts[random.below(ACCOUNTS) as usize]);
                        if from == to {
                            continue;
                        }
                        let amount = random.below(90) as i64;
                        let token = loop {
                            let mut tx = bank.db.begin().unwrap();
                            bank.transfer(&mut tx, from, to, amount).unwrap();
                            match tx.commit() {
                                Err(e) if e.is_conflict() => conflicts.fetch_add(1, Ordering::Relaxed),
                                token => break token.unwrap(),
                            };
                        };
                        assert!(Some(token) > last, "a later commit has a greater token");
                        last = Some(token);
                        // Whoever was told of a commit sees it.
                        assert!(bank.db.snapshot().unwrap().token() >= token);
                    }
                })
            })
            .collect();
        for (reader, turns) in turns[..2].iter().enumerate() {
            let writing = &writing;
            scope.spawn(move || {
                let _alarm = Alarm(failed);
                let mut before = bank.db.snapshot().unwrap();
                let mut before_dump = dump(&before);
                while writing.load(Ordering::Relaxed) {
                    let view = bank.db.snapshot().unwrap();
                    assert!(view.token() >= before.token(), "snapshots never go back");
                    bank.verify(&view);
                    if reader == 0 {
                        bank.verify(&bank.db.begin().unwrap());
                    }
                    assert_eq!(dump(&before), before_dump, "a snapshot never changes");
                    (before_dump, before) = (dump(&view), view);
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let writing_flag = &writing;
        scope.spawn(move || {
            let _alarm = Alarm(failed);
            while writing_flag.load(Ordering::Relaxed) {
                match turns[2].fetch_add(1, Ordering::Relaxed) % 4 {
                    0 => bank.db.checkpoint().unwrap(),
                    1 => drop(bank.db.compact_step().unwrap()),
                    // Recomputes the digest of one index while others are committed.
                    2 => assert_clean(&bank.db),
                    _ => bank.db.compact().unwrap(),
                }
            }
        });
        let ends: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        writing.store(false, Ordering::Relaxed);
        ends.into_iter().for_each(|end| end.unwrap());
    });
    bank.verify(&bank.db.snapshot().unwrap());
    bank.db.compact().unwrap();
    assert_eq!(dump(&first), first_dump, "a snapshot from before everything never changes");
    let stats = bank.db.stats().unwrap();
    assert!(stats.checkpoints > 3 && stats.compactions > 0, "{stats:?}");
    assert!(stats.oldest_pin_ms.is_some());
    drop(first);
    assert_eq!(bank.db.stats().unwrap().oldest_pin_ms, None);
    assert_clean(&bank.db);
    println!("{} commits, {} conflicts, {stats:?}", stats.token, conflicts.load(Ordering::Relaxed));
}

#[test]
fn readers_see_whole_transactions_amid_writers_checkpoints_and_merges() {
    run_bank(SyncMode::Off, 2000);
}

#[test]
fn readers_see_only_durable_whole_transactions_in_full() {
    run_bank(SyncMode::Full, 150);
}

/// A database with some of everything; `round` varies it.
fn write_round(db: &Database, round: i64) {
    db.transaction(|tx| -> Result<_> {
        for n in 0..20 {
            let (id, new) = tx.upsert_node(&format!("node {n}"), &[])?;
            tx.set_node_prop(id, "round", round)?;
            tx.set_node_prop(id, "text", "x".repeat(100 + round as usize))?;
            tx.set_node_vector(id, "vector", &[round as f32 + 1.0, n as f32])?;
            if (n + round) % 2 == 0 {
                tx.add_node_label(id, "Even")?
            } else {
                tx.remove_node_label(id, "Even")?
            };
            let (other, _) = tx.upsert_node(&format!("node {}", (n + 1) % 20), &[])?;
            if tx.edge_exists(id, "NEXT", other)? {
                tx.delete_edge(id, "NEXT", other)?;
            } else {
                tx.add_edge(id, "NEXT", other)?;
                tx.set_edge_prop(id, "NEXT", other, "round", round)?;
            }
            if !new && n == round % 20 {
                tx.delete_node(id)?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_snapshot_of_each_moment_reads_the_same_ever_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.kitedb");
    let db = Database::open(&path, quiet().max_runs(2)).unwrap();
    let mut views: Vec<(View, Vec<String>)> = Vec::new();
    for round in 0..24 {
        write_round(&db, round);
        match round % 4 {
            0 => db.checkpoint().unwrap(),
            1 => drop(db.compact_step().unwrap()),
            2 => db.compact().unwrap(),
            _ => {}
        }
        let view = db.snapshot().unwrap();
        let shown = dump(&view);
        views.push((view, shown));
        for (view, shown) in &views {
            assert_eq!(&dump(view), shown);
        }
    }
    // Scans and pages of an old snapshot go on where they were.
    let (view, _) = &views[3];
    let mut scan = view.nodes();
    let some: Vec<_> = scan.by_ref().take(5).map(|node| node.unwrap().id()).collect();
    let page = view.nodes_page(None, 5).unwrap();
    assert_eq!(page.items, some);
    db.compact().unwrap();
    write_round(&db, 24);
    db.compact().unwrap();
    let rest: Vec<_> = scan.map(|node| node.unwrap().id()).collect();
    assert_eq!(view.nodes_page(page.next, 1000).unwrap().items, rest);
    assert_eq!(some.len() + rest.len(), view.count_nodes() as usize);
    assert_clean(&db);
}

/// The space that a snapshot sees belongs to it for as long as it lives: also after its database was closed,
/// and opened again by someone who knows nothing of it.
#[test]
fn a_snapshot_outlives_its_database_and_the_next_one_on_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.kitedb");
    let db = Database::open(&path, quiet()).unwrap();
    write_round(&db, 0);
    db.checkpoint().unwrap();
    let old = db.snapshot().unwrap();
    write_round(&db, 1);
    db.compact().unwrap();
    let newer = db.snapshot().unwrap();
    db.close().unwrap();
    // Nothing was read through them yet, so every checksum is still to be compared.
    let db = Database::open(&path, quiet()).unwrap();
    for round in 2..12 {
        write_round(&db, round);
        db.compact().unwrap();
    }
    let late = db.snapshot().unwrap();
    let integers =
        |view: &View| -> Vec<i64> { view.nodes().map(|node| integer(view, node.unwrap().id(), "round")).collect() };
    assert!(integers(&old).iter().all(|round| *round == 0), "{:?}", integers(&old));
    assert!(integers(&newer).iter().all(|round| *round == 1));
    assert!(integers(&late).iter().all(|round| *round == 11));
    // Two lines of totals, one label, one type, 20 nodes in a circle.
    assert_eq!(dump(&old).len(), 2 + 2 + 20 + 20);
    // Once they are gone their space is used again.
    drop((old, newer, late));
    for round in 12..20 {
        write_round(&db, round);
        db.compact().unwrap();
    }
    let stats = db.stats().unwrap();
    assert!(stats.file_bytes < 6 * stats.runs.iter().sum::<u64>(), "{stats:?}");
    assert_clean(&db);
}

#[test]
fn a_transaction_reads_its_snapshot_under_its_own_writes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("a.kitedb"), quiet()).unwrap();
    write_round(&db, 0);
    let mut tx = db.begin().unwrap();
    let first = tx.node_by_key("node 0").unwrap().unwrap();
    let mine = tx.create_node(Some("mine")).unwrap();
    tx.add_edge(mine, "MINE", first).unwrap();
    write_round(&db, 1);
    db.compact().unwrap();
    write_round(&db, 2);
    assert_eq!(integer(&tx, first, "round"), 0);
    assert_eq!(tx.count_nodes(), 21);
    assert_eq!(tx.count_edges(), 21);
    assert_eq!(tx.neighbors_page(first, Direction::In, AllTypes, None, 10).unwrap().items.len(), 2);
    assert!(db.snapshot().unwrap().node_by_key("mine").unwrap().is_none());
    // Its own part touches nothing that others wrote; the node it leads to is only relied on.
    tx.commit().unwrap();
    assert_eq!(integer(&db.snapshot().unwrap(), first, "round"), 2);
    assert_clean(&db);
}

#[test]
fn pages_go_on_where_they_were_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("a.kitedb"), quiet()).unwrap();
    let ids: Vec<NodeId> = db
        .transaction(|tx| -> Result<_> {
            let ids = (0..100).map(|_| tx.create_node(None)).collect::<Result<Vec<_>>>()?;
            for id in &ids {
                tx.add_node_label(*id, "L")?;
                tx.add_edge(ids[0], "E", *id)?;
            }
            Ok(ids)
        })
        .unwrap();
    let (mut nodes, mut labelled, mut edges, mut neighbors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut after_node, mut after_label, mut after_edge, mut after_neighbor) = (None, None, None, None);
    for step in 0..20 {
        // Each page is of another snapshot: only the cursors connect them.
        let view = db.snapshot().unwrap();
        let page = view.nodes_page(after_node, 5).unwrap();
        (after_node, _) = (page.next, nodes.extend(page.items));
        let page = view.label_page("L", after_label, 5).unwrap();
        (after_label, _) = (page.next, labelled.extend(page.items));
        let page = view.edges_page(after_edge, 5).unwrap();
        (after_edge, _) = (page.next, edges.extend(page.items));
        let page = view.neighbors_page(ids[0], Direction::Out, AllTypes, after_neighbor, 5).unwrap();
        (after_neighbor, _) = (page.next, neighbors.extend(page.items));
        if step < 19 {
            assert!(after_node.is_some() && after_label.is_some() && after_edge.is_some() && after_neighbor.is_some());
            // What was paged over goes, the node that the cursor names included; nothing after it changes.
            db.transaction(|tx| tx.delete_node(ids[5 * step + 4])).unwrap();
            match step % 3 {
                0 => db.checkpoint().unwrap(),
                1 => db.compact().unwrap(),
                _ => {}
            }
        }
    }
    assert_eq!((after_node, after_label, after_edge, after_neighbor), (None, None, None, None));
    assert_eq!(nodes, ids);
    assert_eq!(labelled, ids);
    assert_eq!(edges.iter().map(|e| e.dst).collect::<Vec<_>>(), ids);
    assert_eq!(neighbors.iter().map(|edge| edge.dst).collect::<Vec<_>>(), ids);
    let view = db.snapshot().unwrap();
    assert_eq!(code(view.nodes_page(None, 0)), ErrorCode::InvalidArgument);
    assert_eq!(code(view.neighbors_page(ids[0], Direction::In, AllTypes, None, 0)), ErrorCode::InvalidArgument);
    assert!(view.label_page("no such label", None, 5).unwrap().items.is_empty());
    assert!(view.nodes_page(Some(NodeId(u64::MAX)), 5).unwrap().items.is_empty());
}
