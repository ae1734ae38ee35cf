//! The log of a file is told of each header that the file gets, so that an older copy of the file is known beside it. Upholds I46.

use super::engine::Engine;
use crate::{
    log::Control,
    store::{LogKind, Witness},
};
use std::sync::Arc;

#[derive(Debug)]
struct InLog(Arc<Control>);

impl Witness for InLog {
    fn note(&self, generation: u64) {
        if let Err(e) = self.0.set_file_generation(generation) {
            // The next header is noted, or the next open does it.
            tracing::warn!(log = %self.0.dir().display(), "which header its file has was not noted: {e}");
        }
    }
}

impl Engine {
    /// From here on the log that this engine writes knows which header its file has; one that is damaged does not take an older file
    /// for the one that counts.
    pub(super) fn have_log_witness(&self) {
        let private = || self.commit.lock().appender.as_ref().map(|appender| appender.control().clone());
        let control = match self.store.log_link().kind {
            _ if self.opened.is_damaged() || self.is_foreign() => None,
            // One that the file does not name yet has seen nothing of it.
            LogKind::None => None,
            LogKind::Sidecar => self.sidecar.clone(),
            LogKind::Private => private(),
        };
        if let Some(control) = control {
            self.witnessed_by(control);
        }
    }

    pub(super) fn witnessed_by(&self, control: Arc<Control>) {
        self.store.set_witness(Arc::new(InLog(control)));
    }
}
