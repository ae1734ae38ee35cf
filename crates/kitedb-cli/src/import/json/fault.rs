//! Why a line of JSON cannot be read.

use std::{fmt, io};

/// See the [module documentation](self).
#[derive(Debug)]
pub enum Fault {
    /// The input failed.
    Io(io::Error),
    /// The line ends within the object, at this byte.
    Ends(u64),
    /// It is not JSON, from this byte on.
    Syntax(String, u64),
    /// It is JSON, and says what cannot be.
    Line(String),
    /// A value that cannot be: the steps to it, the last one first, and what it is.
    Value { path: Vec<String>, what: String },
}

impl Fault {
    /// A value that is `what`.
    pub fn value(what: impl fmt::Display) -> Self {
        Self::Value { path: Vec::new(), what: what.to_string() }
    }

    /// The same fault of a value that contains the one that it was about.
    #[must_use]
    pub fn within(mut self, step: impl fmt::Display) -> Self {
        if let Self::Value { path, .. } = &mut self {
            path.push(step.to_string());
        }
        self
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Ends(at) => write!(f, "not JSON: the line ends within its object, at column {at}"),
            Self::Syntax(what, at) => write!(f, "not JSON: {what} at column {at}"),
            Self::Line(what) => f.write_str(what),
            Self::Value { path, what } => {
                path.iter().rev().try_for_each(|step| f.write_str(step))?;
                write!(f, " is {what}")
            }
        }
    }
}
