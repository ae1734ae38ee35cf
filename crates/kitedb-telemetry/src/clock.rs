//! Clocks and chance: read here and passed in everywhere else.
#![allow(clippy::disallowed_methods, reason = "this is the place for it")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The clock that never goes back.
pub fn now() -> Instant {
    Instant::now()
}

/// ms since 1970; 0 for a clock that is set before that.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A number drawn evenly from 0 (included) to 1 (excluded). Without a source of randomness: 0.5.
pub fn chance() -> f64 {
    getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1u64 << 53) as f64)
}
