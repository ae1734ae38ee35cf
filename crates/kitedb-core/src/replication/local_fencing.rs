//! The fence of a local source, held until its end is known.

use super::source::{Fenced, Fencing};
use crate::lock::Mutex;
use crate::{
    db::HeldFence,
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    log::Fence,
    shell::command,
};
use std::{path::Path, sync::Arc};

/// See [`Fencing`].
#[derive(Debug)]
pub(super) struct LocalFencing {
    pub lock: HeldFence,
    /// The fence as this promotion left it.
    pub raised: Fence,
    pub last: LogIndex,
    /// Whether it was durable then.
    pub synced: bool,
    pub draining: Arc<Mutex<Option<LogIndex>>>,
}

impl Fencing for LocalFencing {
    fn fenced(&self) -> Fenced {
        Fenced { ended: Epoch(self.raised.epoch.0.saturating_sub(1)), last: self.last, next: self.raised.epoch }
    }

    fn complete(&self) -> Result<bool> {
        let control = self.lock.control();
        let now = control.fence()?;
        if now != self.raised {
            let what = format_args!(
                "stale primary: the fence of the source was moved by somebody else, to epoch {}: this replica does not take \
                 over",
                now.epoch
            );
            return Err(Error::new(ErrorCode::StalePrimary, what));
        }
        let completed = self.raised.completed(self.last);
        let mut durable = control.put_fence(&completed)?.is_durable();
        if durable && !self.synced {
            // What was lost then comes back only if it is written once more.
            durable = control.put_fence(&completed)?.is_durable();
        }
        Ok(durable)
    }
}

impl Drop for LocalFencing {
    fn drop(&mut self) {
        *self.draining.lock() = None;
    }
}

/// Why nobody takes over from the source at `db`: its fence is assumed.
pub(super) fn was_repaired(db: &Path) -> Error {
    Error::new(
        ErrorCode::SourceUnavailable,
        format_args!(
            "the control file of the source {shown} was repaired, or an older one was put back, and what it knew of other \
             nodes is lost, so that it does not lead, and nothing there tells whether another node took over from it. If one \
             did, follow that one (--source-db, replica_repoint); if none did, let the source lead again ({lead}) and promote \
             this replica then, or force this promotion",
            shown = db.display(),
            lead = command("primary promote", db, "--force")
        ),
    )
}
