//! The database does what the model does: random operations with commits, rollbacks, checkpoints, merges, reopens
//! and views held for long, all compared in full.

use crate::support::{
    Rng, asked_seed, cases,
    compare::{Cursors, compare, compare_view},
    for_seeds,
    model::{Draft, Model, Node},
    ops::{self, Op, any_op},
    world::{Step, World, stepped},
};
use kitedb_core::{GraphRead, NewNode, NodeId, OpenOptions, SyncMode, Transaction, io::Env};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

fn any_step() -> impl Strategy<Value = Step> {
    (any::<u8>(), any::<u8>(), prop::collection::vec(any_op(), 1..8)).prop_map(|(kind, slot, ops)| Step {
        kind,
        slot,
        ops,
    })
}

/// Shrinks to few operations when something fails.
#[test]
fn random_steps_agree_with_the_model() {
    let seed = asked_seed().unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: cases(150) as u32, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let steps = prop::collection::vec(any_step(), 1..60);
    let result = runner.run(&(0usize..3, steps), |(mode, steps)| {
        let mut world = World::simulated(seed, stepped(MODES[mode]));
        steps.iter().for_each(|step| world.step(step));
        world.finish();
        Ok(())
    });
    if let Err(e) = result {
        panic!("{e}\nto replay: KITEDB_SEED={seed} cargo test -p kitedb-core --test properties random_steps");
    }
}

/// Parallel edges between a few nodes, in three runs, a delta that waits for its checkpoint, the one above it and a
/// transaction: each level adds some, changes some and takes some away of those below, and everything that can be read is
/// what the model, a plain multigraph, says; also once runs are merged, and in views of long ago.
#[test]
fn parallel_edges_in_every_level_read_as_a_plain_multigraph() {
    const EDGES: [u8; 14] = [15, 19, 20, 22, 23, 25, 27, 32, 33, 34, 35, 36, 37, 39];
    for_seeds("engine", "properties::parallel_edges_in_every_level_read_as_a_plain_multigraph", 40, |seed| {
        let mut rng = Rng::new(seed);
        let world = World::simulated(seed, stepped(SyncMode::Off).max_runs(8));
        let (db, disk, cursors) = (world.db(), world.disk.as_ref().unwrap(), Cursors::default());
        let (mut model, mut states) = (Model::default(), Vec::new());
        // Enough at one node, now and then, that what was touched is kept in order.
        let count = if seed % 8 == 0 { 500 } else { 10 + rng.below(60) };
        let work = |tx: &mut Transaction, draft: &mut Draft, rng: &mut Rng| {
            for _ in 0..count {
                let op = rng.op();
                ops::apply(Op { kind: EDGES[usize::from(op.kind) % EDGES.len()], ..op }, tx, draft);
            }
        };
        for level in 0..6 {
            let (mut tx, mut draft) = (db.begin().unwrap(), Draft::new(&model));
            if level == 0 {
                (0..3).for_each(|_| draft.create(tx.create_node(None).unwrap().0, Node::default()));
            }
            work(&mut tx, &mut draft, &mut rng);
            compare(&tx, &draft.now, &cursors);
            if level == 5 {
                break;
            }
            tx.commit().unwrap();
            drop(draft.commit_to(&mut model));
            match level {
                0..=2 => db.checkpoint().unwrap(),
                3 => {
                    // It has no room, so that its delta waits.
                    disk.set_capacity(Some(disk.used()));
                    db.checkpoint().unwrap_err();
                    disk.set_capacity(None);
                }
                _ => {}
            }
            let view = db.snapshot().unwrap();
            compare_view(&view, &model, &cursors);
            states.push((view, model.clone()));
        }
        states.iter().for_each(|(view, model)| compare_view(view, model, &cursors));
        assert!(db.check().unwrap().is_clean());
        db.checkpoint().unwrap();
        for merge in 0..2 {
            match merge {
                0 => assert!(db.compact_step().is_ok()),
                _ => db.compact().unwrap(),
            }
            compare_view(&db.snapshot().unwrap(), &model, &cursors);
            let report = db.check().unwrap();
            assert!(report.is_clean(), "{report:?}");
        }
        states.iter().for_each(|(view, model)| compare_view(view, model, &cursors));
    });
}

/// Longer histories than the ones above, with larger transactions.
#[test]
fn long_histories_agree_with_the_model() {
    for_seeds("engine", "properties::long_histories_agree_with_the_model", 60, |seed| {
        let mut rng = Rng::new(seed);
        let options = stepped(MODES[seed as usize % 3]).max_runs(2 + rng.below(6) as usize);
        let mut world = World::simulated(seed, options);
        for _ in 0..150 + rng.below(150) {
            world.step(&rng.step(20));
        }
        world.finish();
    });
}

/// Mostly transactions that are open together on few elements.
#[test]
fn the_first_committer_wins_and_only_a_real_conflict_is_one() {
    let (mut commits, mut conflicts) = (0, 0);
    let counts = std::cell::RefCell::new((&mut commits, &mut conflicts));
    for_seeds("engine", "properties::the_first_committer_wins_and_only_a_real_conflict_is_one", 150, |seed| {
        let mut rng = Rng::new(seed ^ 0xC0F1);
        let mut world = World::simulated(seed, stepped(SyncMode::Off));
        for _ in 0..200 {
            let mut step = rng.step(4);
            // One in twelve a checkpoint: a transaction then spans two deltas.
            step.kind = if rng.one_in(12) { 15 } else { [10, 11, 0][rng.below(3) as usize] };
            world.step(&step);
        }
        let mut counts = counts.borrow_mut();
        *counts.0 += world.history.commits.len();
        *counts.1 += world.conflicts;
        world.finish();
    });
    assert!(asked_seed().is_some() || (conflicts > 200 && commits > 2000), "{commits} commits, {conflicts} conflicts");
}

/// The same operations with other checkpoints, merges and reopens leave the same digest.
#[test]
fn the_digest_does_not_depend_on_how_the_state_is_kept() {
    for_seeds("engine", "properties::the_digest_does_not_depend_on_how_the_state_is_kept", 40, |seed| {
        let digests = [0u8, 1, 2].map(|way| {
            let mut rng = Rng::new(seed ^ 0xD16E);
            let mut chance = Rng::new(u64::from(way));
            let mut world = World::simulated(seed, stepped(MODES[usize::from(way)]));
            for _ in 0..60 {
                let mut step = rng.step(10);
                (step.kind, step.slot) = (0, 15);
                world.step(&step);
                if way > 0 && chance.one_in(u64::from(way) * 4) {
                    let kind = 15 + chance.below(7) as u8;
                    world.step(&Step { kind, slot: chance.byte(), ops: Vec::new() });
                }
            }
            let digest = world.db().snapshot().unwrap().digest();
            world.finish();
            digest
        });
        assert!(digests.iter().all(|d| *d == digests[0]), "{digests:?}");
    });
}

/// Operations on different elements leave the same digest in any order.
#[test]
fn the_digest_does_not_depend_on_the_order() {
    for_seeds("engine", "properties::the_digest_does_not_depend_on_the_order", 40, |seed| {
        let digests = [1, 2, 3].map(|way| {
            let mut order: Vec<u64> = (1..40).collect();
            let mut chance = Rng::new(seed * 4 + way);
            for i in (1..order.len()).rev() {
                order.swap(i, chance.below(i as u64 + 1) as usize);
            }
            let mut world = World::simulated(seed, stepped(SyncMode::Off));
            world.define_names();
            for pass in 0..3 {
                for id in &order {
                    let (node, next) = (NodeId(*id), NodeId(id % 39 + 1));
                    let mut tx = world.db().begin().unwrap();
                    match pass {
                        0 => {
                            let key = format!("n{id}");
                            tx.create_node_with(NewNode::new().id(node).key(&key)).unwrap();
                        }
                        1 => {
                            tx.add_edge(node, "KNOWS", next).unwrap();
                            tx.set_edge_prop(node, "KNOWS", next, "age", *id as i64).unwrap();
                        }
                        _ if id % 3 == 0 => tx.delete_edge(node, "KNOWS", next).unwrap(),
                        _ => tx.set_node_prop(node, "name", key_of(*id)).unwrap(),
                    }
                    tx.commit().unwrap();
                    if chance.one_in(30) {
                        world.db().checkpoint().unwrap();
                    }
                }
            }
            assert!(world.db().check().unwrap().is_clean());
            let view = world.db().snapshot().unwrap();
            assert_eq!(view.count_edges(), 26);
            view.digest()
        });
        assert!(digests.iter().all(|d| *d == digests[0]), "{digests:?}");
    });
}

fn key_of(id: u64) -> String {
    format!("name of {id}")
}

/// The same on the file system of this machine, with the threads of a real database.
#[test]
fn the_real_disk_agrees_with_the_model() {
    for_seeds("engine", "properties::the_real_disk_agrees_with_the_model", 4, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let options =
            OpenOptions::new().sync_mode(MODES[seed as usize % 3]).checkpoint_log_bytes(4096).segment_max_bytes(16_384);
        let mut world = World::new(Env::real(), &dir.path().join("graph.kitedb"), options);
        let mut rng = Rng::new(seed ^ 0x4EA1);
        for _ in 0..120 {
            world.step(&rng.step(20));
        }
        world.finish();
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["graph.kitedb"], "at rest, the database is one file");
    });
}

/// A node created anew under its old id with another key left its old key in the older runs, where it was found.
#[test]
fn a_node_created_anew_under_its_id_does_not_keep_its_old_key() {
    let world = World::simulated(1, stepped(SyncMode::Full));
    let (db, id) = (world.db(), NodeId(7));
    let create = |key| NewNode::new().id(id).key(key);
    db.transaction(|tx| tx.create_node_with(create("old"))).unwrap();
    db.checkpoint().unwrap();
    let again = |tx: &mut Transaction| {
        tx.delete_node(id)?;
        tx.create_node_with(create("new"))
    };
    db.transaction(again).unwrap();
    for _ in 0..2 {
        db.checkpoint().unwrap();
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_by_key("old").unwrap(), None);
        assert_eq!(view.node_by_key("new").unwrap(), Some(id));
        db.transaction(|tx| tx.create_node(Some("old")).and_then(|other| tx.delete_node(other))).unwrap();
        assert!(db.check().unwrap().is_clean());
        db.compact().unwrap();
    }
}

/// A view that outlived its database was no reader to the next one, which wrote over what it showed.
#[test]
fn a_view_outlives_the_database_it_came_from() {
    let mut world = World::simulated(2, stepped(SyncMode::Full));
    let step = |world: &mut World, kind| world.step(&Step { kind, slot: 7, ops: vec![Rng::new(3).op(); 3] });
    for _ in 0..20 {
        for kind in [0, 0, 15, 19, 21, 18, 22] {
            step(&mut world, kind);
        }
    }
    world.finish();
}

/// A transaction read nothing under a name that another one had defined after its snapshot, not even its own write.
#[test]
fn a_transaction_reads_what_it_wrote_under_a_name_that_is_new_since_its_snapshot() {
    let world = World::simulated(4, stepped(SyncMode::Full));
    let id = world.db().transaction(|tx| tx.create_node(None)).unwrap();
    let mut tx = world.db().begin().unwrap();
    let other = world.db().transaction(|tx| -> kitedb_core::Result<_> {
        let other = tx.create_node(None)?;
        tx.set_node_prop(other, "age", 1)?;
        tx.add_node_label(other, "Person")?;
        Ok(other)
    });
    tx.set_node_prop(id, "age", 2).unwrap();
    tx.add_node_label(id, "Person").unwrap();
    assert_eq!(tx.node_prop(id, "age").unwrap(), Some(2.into()));
    assert!(tx.node_has_label(id, "Person").unwrap());
    assert_eq!(tx.labels().len(), 1);
    assert!(!tx.node_exists(other.unwrap()).unwrap());
    tx.commit().unwrap();
}

/// What is attached to a node, and the deletion of that node, exclude each other, also where the node was created
/// anew under its id: an edge used to survive on the new node, or the new node to get an edge meant for the old one.
#[test]
fn a_deletion_excludes_what_is_attached_meanwhile_even_if_the_node_is_created_anew() {
    let world = World::simulated(5, stepped(SyncMode::Full));
    let (db, id) = (world.db(), NodeId(7));
    let new = NewNode::new().id(id);
    let other = db.transaction(|tx| tx.create_node_with(new).and_then(|_| tx.create_node(None))).unwrap();

    let mut deletes = db.begin().unwrap();
    deletes.delete_node(id).unwrap();
    deletes.create_node_with(new).unwrap();
    db.transaction(|tx| tx.add_edge(id, "KNOWS", other)).unwrap();
    assert!(deletes.commit().unwrap_err().is_conflict());

    let mut attaches = db.begin().unwrap();
    attaches.add_edge(other, "KNOWS", id).unwrap();
    db.transaction(|tx| tx.delete_node(id)).unwrap();
    db.transaction(|tx| tx.create_node_with(new)).unwrap();
    assert!(attaches.commit().unwrap_err().is_conflict());
    assert_eq!(db.snapshot().unwrap().count_edges(), 0);
    // In one transaction, too.
    let (mut attaches, mut gives) = (db.begin().unwrap(), db.begin().unwrap());
    attaches.add_edge(other, "KNOWS", id).unwrap();
    gives.set_node_vector(id, "face", &[1.0]).unwrap();
    db.transaction(|tx| tx.delete_node(id).and_then(|()| tx.create_node_with(new))).unwrap();
    assert!(attaches.commit().unwrap_err().is_conflict());
    assert!(gives.commit().unwrap_err().is_conflict());
    // Where nothing in memory tells of it any more, a node that has another key is another node.
    let (mut attaches, mut gives) = (db.begin().unwrap(), db.begin().unwrap());
    attaches.add_edge(other, "KNOWS", id).unwrap();
    gives.set_node_vector(id, "face", &[1.0]).unwrap();
    db.checkpoint().unwrap();
    let new = new.key("another");
    db.transaction(|tx| tx.delete_node(id).and_then(|()| tx.create_node_with(new))).unwrap();
    for n in 0..2 {
        db.checkpoint().unwrap();
        db.transaction(|tx| tx.create_node(Some(&format!("between {n}")))).unwrap();
    }
    assert!(attaches.commit().unwrap_err().is_conflict());
    assert!(gives.commit().unwrap_err().is_conflict());
}
