//! The simulator: one primary and up to five replicas on simulated machines, through everything that may happen to
//! them, from one seed. After every step the invariants are checked; in the end all nodes must come together again.
//!
//! 200 seeds by default; `KITEDB_SEEDS=N` runs N, `KITEDB_FIRST=S` begins with another one than 0, and `KITEDB_SEED=S`
//! runs one alone and prints its steps. The end tells how often each kind of fault came; after 500 seeds or more, one that
//! came less than once in 100 of them is a failure.

use crate::{
    simulator::{World, report, too_rare},
    support,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// After so many failures no further seed is begun.
const ENOUGH: u64 = 20;

/// Over so many seeds each kind of fault must have come.
const MANY: u64 = 500;

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    let run = catch_unwind(AssertUnwindSafe(|| world.run()));
    if support::asked_seed().is_some() || (run.is_err() && number("KITEDB_TRACE").is_some()) {
        world.trace.iter().for_each(|line| eprintln!("{line}"));
    }
    // A failed world may hold a database in a state that cannot be closed.
    if let Err(panic) = run {
        std::mem::forget(world);
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_cluster_survives_whatever_happens_to_it() {
    let first = support::asked_seed().or_else(|| number("KITEDB_FIRST")).unwrap_or(0);
    let count = if support::asked_seed().is_some() { 1 } else { number("KITEDB_SEEDS").unwrap_or(200) };
    let (next, failed) = (AtomicU64::new(first), AtomicU64::new(0));
    // Each seed is a world of its own, in one thread.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count as usize);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < first + count
                    && failed.load(Ordering::Relaxed) < ENOUGH
                {
                    if catch_unwind(|| simulate(seed)).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!(
                            "to replay: KITEDB_SEED={seed} cargo test -p kitedb-core --test engine replication_simulator"
                        );
                    }
                }
            });
        }
    });
    eprintln!("over {count} seeds:\n{}", report());
    assert_eq!(failed.into_inner(), 0, "seeds failed");
    if count >= MANY {
        assert_eq!(too_rare(count), [], "a kind of fault came less than once in 100 seeds");
    }
}
