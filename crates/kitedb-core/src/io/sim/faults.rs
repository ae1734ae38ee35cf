//! Failures that a test orders from a simulated disk.

use std::{io, path::Path};

/// Which operations of a simulated disk a [`FaultPlan`] counts and fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOn {
    /// `write_at` and `set_len`.
    Write,
    /// `sync_data` and `sync_dir`.
    Sync,
    /// What changes names: create, rename, remove, `create_dir`, `remove_dir`.
    Name,
    /// All of these.
    Any,
    /// `read_at` and `map`, which are not counted as operations.
    Read,
    /// After `write_at`: the system writes the file back by itself, and fails. That is no failure of the write: each open file
    /// is told by its next sync.
    WriteBack,
}

/// An order to fail an operation to come.
///
/// A write that fails may have been done in part. A sync that fails may have made any part durable, and the rest
/// never will be: a later sync succeeds without it, though readers see it until the next power loss. As on Linux, every other
/// file that was open then is told by its own next sync, once.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    on: FaultOn,
    left: u64,
    kind: io::ErrorKind,
    forever: bool,
    path: Option<String>,
}

impl FaultPlan {
    /// Fails the `nth` operation of that sort from now, counted from 1, with an error of `kind`.
    pub fn new(on: FaultOn, nth: u64, kind: io::ErrorKind) -> Self {
        Self { on, left: nth.max(1), kind, forever: false, path: None }
    }

    /// Fails every such operation after it too.
    #[must_use]
    pub fn forever(self) -> Self {
        Self { forever: true, ..self }
    }

    /// Counts and fails only operations on paths that contain `part`.
    #[must_use]
    pub fn on_path(self, part: impl Into<String>) -> Self {
        Self { path: Some(part.into()), ..self }
    }

    fn concerns(&self, on: FaultOn, path: &Path) -> bool {
        (self.on == on || (self.on == FaultOn::Any && !matches!(on, FaultOn::Read | FaultOn::WriteBack)))
            && self.path.as_ref().is_none_or(|part| path.to_string_lossy().contains(part.as_str()))
    }
}

/// How often a simulated disk refused something since it was made, over all its restarts: failures that came, not failures
/// that were only ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Operations of [`FaultOn::Write`] that failed because that was ordered.
    pub writes: u64,
    /// Those of [`FaultOn::Sync`].
    pub syncs: u64,
    /// Those of [`FaultOn::Name`].
    pub names: u64,
    /// Those of [`FaultOn::Read`].
    pub reads: u64,
    /// Writes that were taken, and that the system could not write back.
    pub write_backs: u64,
    /// Syncs that failed because of what could not be written back before.
    pub late: u64,
    /// Writes and lengths for which there was no room.
    pub full: u64,
}

impl Refusals {
    pub(super) fn count(&mut self, on: FaultOn) {
        match on {
            FaultOn::Write => self.writes += 1,
            FaultOn::Sync => self.syncs += 1,
            FaultOn::Name => self.names += 1,
            FaultOn::Read => self.reads += 1,
            FaultOn::WriteBack => self.write_backs += 1,
            // An order, and no sort of operation.
            FaultOn::Any => {}
        }
    }
}

/// Counts one operation in every plan; the kind of error it fails with, if any.
pub(super) fn hit(plans: &mut Vec<FaultPlan>, on: FaultOn, path: &Path) -> Option<io::ErrorKind> {
    let mut kind = None;
    plans.retain_mut(|plan| {
        if !plan.concerns(on, path) {
            return true;
        }
        plan.left = plan.left.saturating_sub(1);
        if plan.left > 0 {
            return true;
        }
        kind = Some(plan.kind);
        plan.forever
    });
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_count_only_what_concerns_them() {
        let table = [
            (FaultPlan::new(FaultOn::Write, 2, io::ErrorKind::Other), vec![false, true, false]),
            (FaultPlan::new(FaultOn::Any, 2, io::ErrorKind::Other).forever(), vec![false, true, true]),
            (FaultPlan::new(FaultOn::Write, 1, io::ErrorKind::Other).on_path("seg"), vec![true, false, false]),
            (FaultPlan::new(FaultOn::Write, 1, io::ErrorKind::Other).on_path("none").forever(), vec![false; 3]),
            (FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other), vec![false; 3]),
        ];
        for (plan, expected) in table {
            let mut plans = vec![plan.clone()];
            assert_eq!(hit(&mut plans, FaultOn::Read, Path::new("/segment")), None);
            let hits: Vec<bool> =
                (0..3).map(|_| hit(&mut plans, FaultOn::Write, Path::new("/segment")).is_some()).collect();
            assert_eq!(hits, expected, "{plan:?}");
        }
    }
}
