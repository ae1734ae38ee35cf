//! The feature level: what of the format a build must know to read an element.
//!
//! The file's header, its manifest, each segment and each frame say which level they need. It is written as low as it
//! suffices, so that an older build reads what it can, and one that cannot says [`ErrorCode::TooNew`]: it never takes what a
//! later build wrote for damage, for a torn tail, or for something that it may cut off (I44). The number of the format is for what
//! no level can express: a build of another number reads nothing at all.

use crate::error::{Error, ErrorCode, Result};
use std::fmt;

/// The greatest feature level that this build reads.
pub const FEATURE_LEVEL: u16 = 1;
/// The level of what every build of this format reads: the least there is.
pub(crate) const BASE_LEVEL: u16 = 1;

/// Fails if `what`, a noun phrase with its place, needs a greater level than `known`.
#[inline]
pub(crate) fn require_known(known: u16, level: u16, what: impl fmt::Display) -> Result<()> {
    if level <= known { Ok(()) } else { Err(too_new(known, level, &what)) }
}

#[cold]
fn too_new(known: u16, level: u16, what: &dyn fmt::Display) -> Error {
    Error::new(
        ErrorCode::TooNew,
        format_args!(
            "{what} needs feature level {level}, and this build reads up to level {known}: a newer KiteDB wrote it. Nothing is \
             damaged; use a newer KiteDB"
        ),
    )
    .with_expected(known)
    .with_found(level)
}

/// The levels of a process: see [`Host`](crate::io::Host).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels {
    /// The greatest that it reads.
    pub known: u16,
    /// What it writes needs this one.
    pub written: u16,
}

impl Levels {
    /// Those of the process that `host` is.
    pub fn of(host: &dyn crate::io::Host) -> Self {
        Self { known: host.known_level(), written: host.written_level() }
    }
}
