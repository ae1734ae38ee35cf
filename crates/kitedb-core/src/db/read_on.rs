//! What a handle that only reads goes on by.

use crate::{
    error::Result,
    io::{Disk, OpenMode},
    log::{Control, LogReader},
};
use std::{path::Path, sync::Arc};

/// What a handle that only reads keeps open of the log that it follows.
#[derive(Debug, Default)]
pub(super) struct ReadOn {
    control: Option<Arc<Control>>,
    /// What reads its frames.
    pub reader: Option<LogReader>,
}

impl ReadOn {
    /// The control file of the log in `dir`, as it is now; `None` if there is none.
    pub fn control(&mut self, disk: &dyn Disk, dir: &Path) -> Result<Option<Arc<Control>>> {
        match self.control.take().filter(|control| control.is_seen_anew(disk)) {
            Some(seen) => self.control = Some(seen),
            None => self.control = Control::open(disk, dir, OpenMode::Read)?.map(Arc::new),
        }
        Ok(self.control.clone())
    }
}
