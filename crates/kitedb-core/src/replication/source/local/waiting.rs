//! Waiting for more in a log on this machine.

use super::LocalSource;
use crate::{graph::LogIndex, log::Control, replication::source::News};
use std::{cell::Cell, time::Duration};

/// Of a log whose writer cannot wake who waits: how long after nothing came it is looked at again, at first and at last.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_secs(1);

impl LocalSource {
    /// See [`Source::wait`](crate::replication::source::Source::wait).
    pub(super) fn wait_for_more(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        // Not under the lock: others may ask meanwhile. If it is not there any more, the next pull says so.
        let Ok(control) = self.control() else { return };
        if control.require_mapped().is_err() {
            return self.look_out(&control, seen, timeout, still);
        }
        *self.awaited.lock() = Some(control.clone());
        // Asked once whoever replaces it is heard.
        control.wait_published(seen, timeout, &|| still() && control.is_current(&*self.env.disk));
        *self.awaited.lock() = None;
    }

    /// See [`Source::news`](crate::replication::source::Source::news).
    pub(super) fn news_of_more(&self, seen: LogIndex, still: &dyn Fn() -> bool) -> Option<News> {
        let control = self.control().ok()?;
        *self.awaited.lock() = Some(control.clone());
        // Where its writer cannot be told of who waits, he looks by himself.
        let news = control.news(seen, &|| still() && control.is_current(&*self.env.disk)).ok()?;
        Some(news.map_or(News::Here, News::Changes))
    }

    /// See [`Source::wake`](crate::replication::source::Source::wake).
    pub(super) fn wake_waiters(&self) {
        self.woken.notify_all();
        // Whoever waits next says so first, and then finds what was changed before this.
        if let Some(control) = self.awaited.lock().take() {
            control.wake_followers();
        }
    }

    /// Waits for a log that this process may not write to, so that its writer does not know of whoever waits: looks at it
    /// again and again, the less often the longer nothing has come, and whether it is there still.
    fn look_out(&self, control: &Control, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        let (mut waited, over) = (Duration::ZERO, Cell::new(false));
        let there = || control.is_current(&*self.env.disk);
        while !over.get() && waited < timeout && control.published() <= seen && there() {
            let nap = (waited / 8).clamp(FIRST_LOOK, LAST_LOOK).min(timeout - waited);
            self.woken.wait_until(None, nap, || {
                over.set(!still());
                over.get()
            });
            waited += nap;
        }
    }
}
