//! What was lent out and can be taken back.

use std::fmt::Debug;

/// What can be taken back.
pub trait Withdraw: Debug + Send + Sync {
    /// Takes it back if it is held for too long.
    fn withdraw_expired(&self);
    /// Takes it back.
    fn withdraw(&self, why: Withdrawn);
}

/// Why what was lent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// It was held for too long.
    Expired,
    /// The database was closed.
    Closed,
    /// Whoever had it gave it back.
    Released,
    /// Somebody else has it in his hands.
    InUse,
}
