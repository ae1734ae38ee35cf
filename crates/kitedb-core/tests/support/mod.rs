//! What the tests of this folder share: a naive model of a graph, random operations on model and database alike,
//! a full comparison of the two, and seeds that replay a failure.
#![allow(dead_code, missing_docs, clippy::print_stderr)]

pub mod compare;
pub mod gate;
pub mod meter;
pub mod model;
pub mod observed;
pub mod ops;
pub mod refs;
pub mod script;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A small random number generator (splitmix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1CE_5EED)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// How many cases to run: `default`, or `default` times `KITEDB_CASES`.
pub fn cases(default: u64) -> u64 {
    default * env_number("KITEDB_CASES").unwrap_or(1)
}

/// The one seed to run, if `KITEDB_SEED` asks for one.
pub fn asked_seed() -> Option<u64> {
    env_number("KITEDB_SEED")
}

/// Runs `test` with the seeds from 0 on. A seed that fails prints the command that runs it alone.
pub fn for_seeds(binary: &str, name: &str, count: u64, test: impl Fn(u64)) {
    let seeds: Vec<u64> = asked_seed().map_or_else(|| (0..cases(count)).collect(), |seed| vec![seed]);
    for seed in seeds {
        replayable(binary, name, &format!("KITEDB_SEED={seed}"), || test(seed));
    }
}

/// Runs `test`; if it fails, prints the command that runs it again with `variables`.
pub fn replayable(binary: &str, name: &str, variables: &str, test: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(test)) {
        eprintln!("to replay: {variables} cargo test -p kitedb-core --test {binary} -- --exact {name}");
        resume_unwind(panic);
    }
}
