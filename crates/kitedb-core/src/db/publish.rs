//! What of the log may be seen: here, and nowhere else, a commit becomes visible to the readers of this process, to other
//! processes and to replicas, and the control file learns how far the log is durable. A mark claims no more than the sync
//! object says ([`GroupSync::durable`]), which this compares with.

use super::{
    engine::Engine,
    options::{ReplicationRole, SyncMode},
    view::View,
};
use crate::{
    error::Result,
    graph::{Epoch, LogIndex},
    log::{Appender, Control, Fence, GroupSync},
    state::{Levels, ReaderKind},
};
use std::sync::{Arc, atomic::Ordering};

/// A log, to those who publish what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublishedLog<'a> {
    pub sync: &'a GroupSync,
    pub control: &'a Control,
}

impl<'a> PublishedLog<'a> {
    pub fn of(appender: &'a Appender) -> Self {
        Self { sync: appender.group_sync(), control: appender.control() }
    }

    /// Of what was kept of a log while the commit lock was given up.
    pub fn kept((sync, control): &'a KeptLog) -> Self {
        Self { sync, control }
    }
}

/// What outlives the commit lock: another log may have taken the place of this one.
pub(super) type KeptLog = (Arc<GroupSync>, Arc<Control>);

pub(super) fn keep(appender: &Appender) -> KeptLog {
    (appender.group_sync().clone(), appender.control().clone())
}

impl Engine {
    /// The last published commit.
    pub(crate) fn published(&self) -> LogIndex {
        LogIndex(self.published.load(Ordering::Acquire))
    }

    /// The current levels and the last published index. The levels come first: what they rest on is published.
    /// A checkpoint and a commit may come in between; then these levels end before what is published by now.
    #[inline]
    pub(crate) fn current(&self) -> (Arc<Levels>, LogIndex) {
        loop {
            let levels = self.levels.load_full();
            let index = self.published().min(levels.active.last());
            // Upholds I40: between these two looks a bootstrap may have put another graph in place of this one.
            if index >= levels.base() {
                return (levels, index);
            }
            crate::lock::yield_now();
        }
    }

    pub(crate) fn view(&self) -> View {
        let (levels, index) = self.current();
        let _hold = self.held.hold(index, ReaderKind::View);
        View { levels, index, _hold }
    }

    /// Lets commits up to `index` be seen: by readers of this process, and by whoever reads the log, if there is one.
    /// Upholds I4: a maximum, whoever comes last.
    #[inline]
    pub(super) fn publish(&self, log: Option<PublishedLog<'_>>, index: LogIndex) {
        if let Some(PublishedLog { sync, control }) = log {
            let durable = sync.durable();
            debug_assert!(
                self.options.sync_mode != SyncMode::Full || index <= durable,
                "I3: {index} is published, and durable is {durable}"
            );
            control.set_published(index);
        }
        self.published.fetch_max(index.0, Ordering::SeqCst);
        self.signal.reach(index.0);
    }

    /// Puts another graph, as of `index`, in place of the current one, which may have had more commits.
    pub(super) fn publish_anew(&self, levels: Levels, index: LogIndex) {
        debug_assert_eq!(levels.base(), index, "I40: the levels of a graph begin with it");
        self.exchange_levels(levels);
        self.published.store(index.0, Ordering::SeqCst);
    }

    /// Puts `levels` in place of the current ones. What they rest on is published.
    pub(super) fn exchange_levels(&self, levels: Levels) {
        let old = self.levels.swap(Arc::new(levels));
        self.pins.supersede(&old, self.env.host.now_ms(), self.options.max_snapshot_age_ms);
    }

    /// Says in the control file that a sync has made the log durable through `durable`.
    fn note_durable(&self, log: PublishedLog<'_>, durable: LogIndex) {
        let synced = log.sync.durable();
        debug_assert!(durable <= synced, "I38: {durable} is said to be durable, and synced is {synced}");
        self.latencies.sync.record(log.sync.last_sync_ns());
        log.control.set_durable(durable);
    }

    /// Syncs the log through `index`, and publishes none of it.
    pub(super) fn sync_unseen(&self, log: PublishedLog<'_>, index: LogIndex) -> Result<()> {
        log.sync.sync_through(index, &|durable| self.note_durable(log, durable))
    }

    /// Syncs the log through `index`; of what is durable then, all that no fence made void is published.
    pub(super) fn sync_and_publish(&self, log: PublishedLog<'_>, index: LogIndex, epoch: Epoch) -> Result<()> {
        let on_durable = |durable: LogIndex| {
            self.note_durable(log, durable);
            if self.role() == ReplicationRole::Replica {
                // What is appended is published once it is folded.
            } else if log.control.allows(epoch) || self.role() == ReplicationRole::Disabled {
                self.publish(Some(log), durable);
            } else if let Ok(Fence { ended: Some(end), .. }) = log.control.fence()
                && end.epoch == epoch
            {
                self.publish(Some(log), durable.min(end.last));
            }
        };
        self.guarded("a sync", || log.sync.sync_through(index, &on_durable)).inspect_err(|e| self.note_log_failure(e))
    }
}
