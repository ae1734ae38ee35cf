//! What part an open file plays in replication now: its role, the epoch that it leads or follows, and what keeps it from
//! committing or from following.

use crate::{
    db::options::ReplicationRole,
    error::{Error, Result},
    graph::Epoch,
    lock::Mutex,
};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// See the [module documentation](self). Each part is read without a lock; what changes several of them holds the commit lock,
/// or is an open that nobody shares yet.
#[derive(Debug)]
pub struct ReplicationState {
    /// A [`ReplicationRole`], as a number: a promoted replica becomes a primary.
    role: AtomicU8,
    /// The epoch in which commits are made: a handle of another one is fenced.
    epoch: AtomicU64,
    /// Whether commits wait for a promotion: another node took over, or this one was its replica.
    fenced: AtomicBool,
    /// Whether it is a primary that was fenced, opened as a replica, and not known to be on its source's history yet.
    on_trial: AtomicBool,
    /// Why a file that is opened as a replica, and is none, does not follow.
    foreign: Mutex<Option<Error>>,
}

impl ReplicationState {
    /// That of a file that is opened in a role and goes on in an epoch.
    pub fn new(role: ReplicationRole, epoch: Epoch) -> Self {
        Self {
            role: AtomicU8::new(role as u8),
            epoch: AtomicU64::new(epoch.0),
            fenced: AtomicBool::new(false),
            on_trial: AtomicBool::new(false),
            foreign: Mutex::new(None),
        }
    }

    /// What part the database plays now.
    #[inline]
    pub fn role(&self) -> ReplicationRole {
        match self.role.load(Ordering::Acquire) {
            0 => ReplicationRole::Disabled,
            1 => ReplicationRole::Primary,
            _ => ReplicationRole::Replica,
        }
    }

    /// The database plays that part from now on.
    pub fn set_role(&self, role: ReplicationRole) {
        self.role.store(role as u8, Ordering::Release);
    }

    /// The epoch in which commits are made.
    #[inline]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Commits are made in `epoch` from now on.
    pub fn set_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// The frames that come are of `epoch`. Returns whether those before were of another one.
    pub fn follow(&self, epoch: Epoch) -> bool {
        self.epoch.swap(epoch.0, Ordering::AcqRel) != epoch.0
    }

    /// It leads `epoch` from now on, as a primary.
    pub fn lead(&self, epoch: Epoch) {
        self.set_role(ReplicationRole::Primary);
        self.set_epoch(epoch);
        self.set_fenced(false);
    }

    /// Whether commits wait for a promotion.
    #[inline]
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// Whether commits wait for a promotion from now on.
    pub fn set_fenced(&self, fenced: bool) {
        self.fenced.store(fenced, Ordering::Release);
    }

    /// Whether it was fenced as a primary, follows, and is not known to be on its source's history yet.
    pub fn is_on_trial(&self) -> bool {
        self.on_trial.load(Ordering::Acquire)
    }

    /// A primary that was fenced follows: it is a replica once it is known to be on its source's history.
    pub fn begin_trial(&self) {
        self.on_trial.store(true, Ordering::Release);
    }

    /// It is on its source's history.
    pub fn end_trial(&self) {
        self.on_trial.store(false, Ordering::Release);
    }

    /// Whether it is opened as a replica and is none.
    pub fn is_foreign(&self) -> bool {
        self.foreign.lock().is_some()
    }

    /// Fails, with the reason, if it is opened as a replica and is none.
    pub fn require_not_foreign(&self) -> Result<()> {
        self.foreign.lock().clone().map_or(Ok(()), Err)
    }

    /// It is opened as a replica and is none, for that reason.
    pub fn set_foreign(&self, why: Error) {
        *self.foreign.lock() = Some(why);
    }

    /// The graph of its source took the place of its own: it is a replica, whatever it was before.
    pub fn become_replica(&self) {
        *self.foreign.lock() = None;
        self.end_trial();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn a_fenced_primary_that_leads_again_is_not_fenced() {
        let state = ReplicationState::new(ReplicationRole::Replica, Epoch(3));
        state.set_fenced(true);
        state.lead(Epoch(5));
        assert_eq!((state.role(), state.epoch(), state.is_fenced()), (ReplicationRole::Primary, Epoch(5), false));
    }

    #[test]
    fn whoever_follows_learns_when_the_epoch_is_another_one() {
        let state = ReplicationState::new(ReplicationRole::Replica, Epoch(3));
        assert_eq!([3, 4, 4, 3].map(|epoch| state.follow(Epoch(epoch))), [false, true, false, true]);
    }

    #[test]
    fn a_copied_graph_ends_what_kept_a_file_from_following() {
        let state = ReplicationState::new(ReplicationRole::Replica, Epoch(3));
        state.begin_trial();
        state.set_foreign(Error::new(ErrorCode::NeedsReseed, "a graph of its own"));
        assert!(state.is_on_trial() && state.is_foreign());
        assert_eq!(state.require_not_foreign().unwrap_err().code(), ErrorCode::NeedsReseed);
        state.become_replica();
        assert!(!state.is_on_trial() && !state.is_foreign() && state.require_not_foreign().is_ok());
    }
}
