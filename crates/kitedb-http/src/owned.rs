//! Files that decide who is admitted, or who somebody is.

use crate::{
    ConfigError,
    regular::{open_regular, read_bounded},
};
use rustix::process::geteuid;
use std::{fmt, os::unix::fs::MetadataExt, path::Path};

/// What a file holds that nobody else may write to: whoever can, decides what it decides. `what` says which it is.
pub(crate) fn read_owned(path: &Path, what: &str) -> Result<Vec<u8>, ConfigError> {
    let wrong = |why: &dyn fmt::Display| ConfigError::new(format!("{what}, {}, {why}", path.display()));
    let unread = |e: &dyn fmt::Display| wrong(&format_args!("cannot be read: {e}"));
    let (file, metadata) = open_regular(path).map_err(|e| unread(&e))?;
    if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(wrong(&format_args!(
            "may be written to by others (mode {mode:04o}): take that away with `chmod go-w`"
        )));
    }
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(wrong(&format_args!(
            "belongs to another user (id {}): let it be root's, or that of who serves",
            metadata.uid()
        )));
    }
    read_bounded(file).map_err(|e| unread(&e))
}
