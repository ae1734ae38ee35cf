//! The database does what the model does: random operations with commits, rollbacks, checkpoints, merges, reopens
//! and views held for long, all compared in full.
#![allow(missing_docs, clippy::print_stderr)]

mod support;

use kitedb_core::{GraphRead, NewNode, NodeId, OpenOptions, SyncMode, io::Env};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use support::{
    Rng, asked_seed, cases, for_seeds,
    ops::any_op,
    world::{Step, World, stepped},
};

const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

fn any_step() -> impl Strategy<Value = Step> {
    (any::<u8>(), any::<u8>(), prop::collection::vec(any_op(), 1..8))
        .prop_map(|(kind, slot, ops)| Step { kind, slot, ops })
}

/// Shrinks to few operations when something fails.
#[test]
fn random_steps_agree_with_the_model() {
    let seed = asked_seed().unwrap_or(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: cases(150) as u32,
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
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

/// Longer histories than the ones above, with larger transactions.
#[test]
fn long_histories_agree_with_the_model() {
    for_seeds("properties", "long_histories_agree_with_the_model", 60, |seed| {
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
    for_seeds("properties", "the_first_committer_wins_and_only_a_real_conflict_is_one", 150, |seed| {
        let mut rng = Rng::new(seed ^ 0xC0F1);
        let mut world = World::simulated(seed, stepped(SyncMode::Off));
        for _ in 0..200 {
            let mut step = rng.step(4);
            // One in twelve a checkpoint: a transaction then spans two deltas.
            step.kind = if rng.one_in(12) { 15 } else { [10, 11, 0][rng.below(3) as usize] };
            world.step(&step);
        }
        let mut counts = counts.borrow_mut();
        *counts.0 += world.commits.len();
        *counts.1 += world.conflicts;
        world.finish();
    });
    assert!(asked_seed().is_some() || (conflicts > 200 && commits > 2000), "{commits} commits, {conflicts} conflicts");
}

/// The same operations with other checkpoints, merges and reopens leave the same digest.
#[test]
fn the_digest_does_not_depend_on_how_the_state_is_kept() {
    for_seeds("properties", "the_digest_does_not_depend_on_how_the_state_is_kept", 40, |seed| {
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
    for_seeds("properties", "the_digest_does_not_depend_on_the_order", 40, |seed| {
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
                            tx.create_node_with(NewNode { id: Some(node), key: Some(&key), ..NewNode::default() })
                                .unwrap();
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
    for_seeds("properties", "the_real_disk_agrees_with_the_model", 4, |seed| {
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
