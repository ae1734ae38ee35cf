//! The end of an engine: of the last handle, or of an open that failed half way.

use super::engine::Engine;
use crate::{error::Result, graph::LogIndex, state::Outlived, store::WRITER_LOCK};
use std::sync::atomic::{Ordering, fence};

impl Engine {
    /// Closes the engine: no handle uses it any more.
    pub(crate) fn close(&self) -> Result<()> {
        self.end(false)
    }

    /// As [`Engine::close`]. `unmake`: what this open made of a sidecar goes. While the locks are held, so that it is nobody
    /// else's yet.
    fn end(&self, unmake: bool) -> Result<()> {
        if self.env.host.forked() {
            // The parent goes on with the log and the locks: touch nothing.
            return Ok(());
        }
        self.set_closed();
        self.signal().notify_all();
        self.maintenance.jobs.stop();
        // Before the states are taken from who holds them: what ends runs code of the callers'.
        self.end_admitted();
        self.publication.held.close();
        let result = if self.options.read_only { Ok(()) } else { self.close_log() };
        if unmake || self.is_foreign() {
            self.unmake_sidecar();
        }
        self.take_back_sidecar();
        // One that was promoted meanwhile leads.
        let as_made = self.role() == self.options.role.unwrap_or_default();
        let empty = as_made && self.published() == LogIndex(0) && self.opened.made_file();
        if empty && self.opened.is_unwanted() {
            self.unmake_file();
        }
        // A closed handle may be kept for long: it pins nothing, only views do. Who takes one meanwhile is seen here, or sees that
        // its handle is closed, and reads nothing.
        fence(Ordering::SeqCst);
        let held = self.publication.is_held();
        if held || self.options.read_only {
            let needed: Outlived = self.store.pin_for_views(&self.env);
            self.publication.held.outlive(&needed, held);
        }
        self.unlock();
        result
    }

    /// Closes what could not be opened as a whole. What the open made for a part that the file does not have goes.
    pub(crate) fn give_up(&self) {
        let unused = self.published() == LogIndex(0) && !self.options.read_only;
        if let Err(e) = self.end(unused) {
            tracing::warn!("closing what could not be opened failed: {e}");
        }
    }

    /// Gives the writer's locks back.
    pub(super) fn unlock(&self) {
        if let Some(control) = self.sidecar.as_ref().filter(|_| !self.options.read_only) {
            control.unlock_writer();
        }
        let _ = self.store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
    }
}
