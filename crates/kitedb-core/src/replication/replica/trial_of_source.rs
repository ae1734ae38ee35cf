//! A source that a replica was told to follow, and has not followed yet: what becomes of that says nothing of the replica. As long
//! as its process tries, the control file tells others how that goes; if it ends without a success, and the source that it followed
//! before can be followed, the replica is again what it was.

use super::{Replica, Work};
use crate::{
    graph::LogIndex,
    replication::source::{
        remembered::remembered,
        upstream::{Asking, look_upstream},
    },
};

/// How a replica was before it tried another source.
#[derive(Debug, Clone, Copy)]
pub(super) struct BeforeTrial {
    /// Its last commit.
    at: LogIndex,
    /// Whether its source kept its log for it.
    registered: bool,
}

impl Replica {
    /// It was opened with a source that it did not follow before.
    pub fn tries_source(&self) {
        self.begin_trial(&mut self.working.lock());
    }

    /// Notes how it is, if all is well with it.
    pub(super) fn begin_trial(&self, work: &mut Work) {
        let is_well = self.control.last_error().is_none() && !self.control.needs_reseed();
        if work.before_trial.is_none() && is_well && !self.engine.is_foreign() {
            let (at, registered) = (self.engine.published(), self.control.is_registered());
            work.before_trial = Some(BeforeTrial { at, registered });
        }
    }

    /// The replica is closed. What it noted of a source that it never followed is past, unless it took something from there, or
    /// found damage of its own.
    pub fn end_trial_of_source(&self) {
        let Some(before) = self.working.lock().before_trial.take() else { return };
        let untouched = self.engine.published() == before.at && before.at > LogIndex(0);
        if !untouched || !self.engine.is_replica() || self.engine.require_undamaged().is_err() {
            return;
        }
        // Where nothing comes from there, what became of the other one is what its operator has to know.
        let asking = Asking::of(&self.engine, &self.control);
        let known = remembered(&self.engine, &self.source_env);
        if known.is_some_and(|known| look_upstream(&self.source_env, &known, &asking).fault.is_some()) {
            return;
        }
        self.control.set_last_error(None);
        self.control.set_needs_reseed(false);
        self.control.set_denied(false);
        self.control.set_too_new(false);
        self.control.set_registered(before.registered, false);
    }
}
