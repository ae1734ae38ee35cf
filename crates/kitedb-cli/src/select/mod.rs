//! Which nodes and edges a question is about, in which order, and what of them is told: the small language of `--where`, `--sort`
//! and `--show`. Pure, but for what they read of the elements that they are asked of.

pub mod condition;
pub mod field;
pub mod filter;
mod literal;
mod scanner;
pub mod sorted;
