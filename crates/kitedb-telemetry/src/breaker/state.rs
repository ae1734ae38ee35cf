//! What is known of one collector: the shape in which it is kept and shared.

use serde::{Deserialize, Serialize};

/// The state of one key. Its form in JSON is an interface: other versions and other programs read and write it.
/// Fields that are missing count as 0, fields that are not known are kept out of the way of their owners by whoever
/// stores a document. The last three are additions; who does not know them ignores them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerState {
    /// Pushes that failed in a row while it was closed.
    pub consecutive_failures: u32,
    /// Until when it is open, ms since 1970; 0: it is not.
    pub open_until_ms: u64,
    /// Pushes that must still succeed before it closes; 0: it is not half-open.
    pub half_open_remaining_probes: u32,
    /// Whether such a push is under way.
    pub half_open_in_flight: bool,
    /// The weighted share of pushes that failed, 0 to 1.
    pub ewma_error_score: f64,
    /// Pushes that failed in a row, whatever the breaker did. Opening it does not reset this.
    #[serde(skip_serializing_if = "is_default")]
    pub failure_streak: u32,
    /// Another one each time that it opens or closes and each time that a probe is given up for lost: who began before
    /// that has nothing to say about it any more. 0 once that is so long ago that nobody did.
    #[serde(skip_serializing_if = "is_default")]
    pub generation: u64,
    /// When a probe under way counts as lost, ms since 1970.
    #[serde(skip_serializing_if = "is_default")]
    pub probe_until_ms: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
