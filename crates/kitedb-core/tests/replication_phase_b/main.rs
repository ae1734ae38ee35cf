//! Replication, phase B: commits and their tokens, what a primary counts, who may write, and what opening refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support_process/mod.rs"]
mod support_process;
#[path = "../support_replication/mod.rs"]
mod support_replication;

mod commits;
mod failures;
mod fences;
mod group;
mod options;
mod processes;
mod retention;
mod roles;
mod sidecars;
mod waiting;

use kitedb_core::{Database, Epoch, LogIndex, Result, Token};

fn token(epoch: u64, index: u64) -> Token {
    Token::new(Epoch(epoch), LogIndex(index))
}

/// Commits a node.
fn commit(db: &Database) -> Result<Token> {
    let mut tx = db.begin()?;
    tx.create_node(None)?;
    tx.commit()
}
