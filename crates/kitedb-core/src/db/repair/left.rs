//! What a repair finds left of a control file.

use crate::{error::Error, log::Control};

/// What is left of a control file.
pub(super) enum Left {
    /// All of it.
    Whole(Control),
    /// All but its fence.
    ButFence(Control, Error),
    /// Nothing; a file of its name may be there.
    Nothing(Error),
}

impl Left {
    /// What is wrong with it.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Whole(_) => None,
            Self::ButFence(_, e) | Self::Nothing(e) => Some(e.to_string()),
        }
    }

    /// What of it can be read.
    pub fn control(&self) -> Option<&Control> {
        match self {
            Self::Whole(control) | Self::ButFence(control, _) => Some(control),
            Self::Nothing(_) => None,
        }
    }
}
