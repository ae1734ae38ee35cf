//! What of the log may be seen: here, and nowhere else, a commit becomes visible to the readers of this process, to other
//! processes and to replicas, and the control file learns how far the log is durable. A mark claims no more than the sync
//! object says ([`GroupSync::durable`]), which this compares with.

use super::{
    engine::{Commit, Engine},
    options::{ReplicationRole, SyncMode},
    published_log::{PublishedLog, keep},
    view::View,
};
use crate::{
    error::Result,
    graph::{Epoch, LogIndex},
    log::Fence,
    state::{Levels, ReaderKind, Site},
};
use std::sync::Arc;

impl Engine {
    /// The last published commit.
    pub(crate) fn published(&self) -> LogIndex {
        self.publication.index()
    }

    /// The current levels and the last published index.
    #[inline]
    pub(crate) fn current(&self) -> (Arc<Levels>, LogIndex) {
        self.publication.current()
    }

    /// A view for the engine itself, which ends with the call that takes it.
    pub(crate) fn view(&self) -> View {
        self.view_for(ReaderKind::Engine, Site::default())
    }

    pub(super) fn view_for(&self, holder: ReaderKind, site: Site) -> View {
        let (levels, index, hold) = self.publication.hold_current(holder, site);
        View { levels, index, hold }
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
        self.publication.reach(index);
    }

    /// Puts another graph, as of `index`, in place of the current one, which may have had more commits.
    pub(super) fn publish_anew(&self, commit: &Commit, levels: Levels, index: LogIndex) {
        debug_assert_eq!(levels.base(), index, "I40: the levels of a graph begin with it");
        self.exchange_levels(commit, levels);
        self.publication.restart_at(index);
    }

    /// Puts `levels` in place of the current ones, which only who holds the commit lock may do. What they rest on is published.
    pub(super) fn exchange_levels(&self, _: &Commit, levels: Levels) {
        self.publication.exchange(levels, self.env.host.now_ms());
    }

    /// Says in the control file that a sync has made the log durable through `durable`.
    fn note_durable(&self, log: PublishedLog<'_>, durable: LogIndex) {
        let synced = log.sync.durable();
        debug_assert!(durable <= synced, "I38: {durable} is said to be durable, and synced is {synced}");
        self.measures.sync_latency.record(log.sync.last_sync_ns());
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
        self.guarded("a sync", || log.sync.sync_through(index, &on_durable))
            .inspect_err(|e| self.poison.note_log_failure(e))
    }

    /// Makes every commit so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let (last, kept) = {
            let commit = self.commit.lock();
            let Some(appender) = &commit.appender else { return Ok(()) };
            (appender.last(), keep(appender))
        };
        self.sync_and_publish(PublishedLog::kept(&kept), last, self.epoch())?;
        self.end_submitted_before();
        Ok(())
    }
}
