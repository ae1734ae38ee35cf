//! What the questions of several hops have in common: which edges they follow, and what they may cost.

use super::neighbors::Seen;
use kitedb_core::{
    Watch,
    query::{Limits, Steps, Way},
};

/// ms that a question may take where nothing is said, and at most.
const TIME: u64 = 10_000;
const MOST_TIME: u64 = 30_000;
/// Bytes that a question may hold: many may be asked at once.
const MEMORY: usize = 256 << 20;

/// Which edges are followed.
pub fn steps(direction: Option<Seen>, ty: Option<&str>) -> Steps<'static> {
    let way = match direction.unwrap_or(Seen::Out) {
        Seen::Out => Way::Out,
        Seen::In => Way::In,
        Seen::Both => Way::Both,
    };
    ty.into_iter().fold(Steps::new(way), |steps, ty| steps.of_type(ty))
}

/// What ends a question once whoever asked is gone.
#[derive(Debug, Default)]
pub struct Asked(Watch);

impl Asked {
    pub fn new() -> Self {
        Self(Watch::silent())
    }

    /// What it may cost. It looks at the clock itself, and holds no more of the server than its place among the calls.
    pub fn limits(&self, timeout_ms: Option<u64>) -> Limits {
        // What takes long takes one thread.
        Limits::new()
            .time_ms(timeout_ms.unwrap_or(TIME).min(MOST_TIME))
            .memory_bytes(MEMORY)
            .threads(1)
            .watched_by(&self.0)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
