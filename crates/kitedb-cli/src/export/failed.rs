//! Why an export ends early.

use crate::{
    failure::{EXIT_FAULT, Failure},
    piped::interruption,
};
use kitedb_core::{Error, ErrorKind};
use std::io;

/// See the [module documentation](self).
#[derive(Debug)]
pub enum Failed {
    /// The database cannot be read.
    Read(Error),
    /// The output cannot be written.
    Write(io::Error),
    /// What is to be exported cannot be.
    Other(Failure),
}

impl Failed {
    /// Why it ended, if a signal ended it.
    pub fn interruption(&self) -> Option<Error> {
        match self {
            Self::Read(error) => (error.kind() == ErrorKind::Cancelled).then(|| error.clone()),
            Self::Write(error) => interruption(error),
            Self::Other(_) => None,
        }
    }

    /// As the failure of a command that writes to `output`.
    pub fn into_failure(self, output: &str) -> Failure {
        match self {
            Self::Read(error) => unreadable(error, "what was exported is not the whole graph, and lacks its last line"),
            Self::Write(error) => Failure::new(format_args!("cannot write {output}: {error}")),
            Self::Other(failure) => failure,
        }
    }
}

/// The failure of an export that could not read a database: `so` is what comes of it. Damage is a fault.
fn unreadable(error: Error, so: &str) -> Failure {
    match error.kind() {
        ErrorKind::Cancelled => Failure::from(error).literal_hint("nothing is left of the export"),
        ErrorKind::Reseed => Failure::from(error.context(so)).exit(EXIT_FAULT),
        _ => error.into(),
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}
