//! A log, to those who publish what is in it.

use crate::log::{Appender, Control, GroupSync};
use std::sync::Arc;

/// See the [module documentation](self).
#[derive(Debug, Clone, Copy)]
pub(super) struct PublishedLog<'a> {
    pub sync: &'a GroupSync,
    pub control: &'a Control,
}

impl<'a> PublishedLog<'a> {
    pub fn of(appender: &'a Appender) -> Self {
        Self { sync: appender.group_sync(), control: appender.control() }
    }

    /// Of what was kept of a log while the commit lock was given up.
    pub fn kept((sync, control): &'a KeptLog) -> Self {
        Self { sync, control }
    }
}

/// What outlives the commit lock: another log may have taken the place of this one.
pub(super) type KeptLog = (Arc<GroupSync>, Arc<Control>);

pub(super) fn keep(appender: &Appender) -> KeptLog {
    (appender.group_sync().clone(), appender.control().clone())
}
