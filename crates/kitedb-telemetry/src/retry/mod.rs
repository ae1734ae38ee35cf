//! What an answer means, and how long to wait: pure functions.

mod after;
mod backoff;
mod classify;

pub use backoff::Backoff;
pub use classify::{Outcome, Verdict, classify_grpc, classify_http};
