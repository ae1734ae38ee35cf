//! How often each kind of fault came, over all worlds of a run.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $text:literal,)*) => {
        /// A kind of fault, or of what an operator does wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $kind,)* }

        const TEXTS: &[&str] = &[$($text,)*];
    };
}

kinds! {
    Killed => "a process was killed",
    PowerLost => "a machine lost its power",
    DiskFailed => "a disk failed, or ran full",
    WriteBackFailed => "a write-back failed, of which each open file is told once",
    CommittedBeside => "a transaction that was begun before others committed, too",
    CopyingDiskFull => "a disk that copies on write ran full",
    LogDamaged => "a bit of a log was flipped",
    CutPromotion => "a promotion was cut by a crash",
    PromoterSyncFailed => "a sync that a promotion made failed, here or at its source",
    DoneUntold => "a promotion was done, and nobody was told",
    NoRole => "opened with no role",
    LeadingAsReplica => "a primary that leads was opened as a replica",
    Overwritten => "a bootstrap would overwrite a primary's graph",
    Disabled => "opened as one that does not replicate",
    ReplicaAsPrimary => "a replica was opened as a primary",
    OtherSidecar => "opened with the path of another sidecar",
    Symlink => "opened through a symbolic link",
    HardLink => "opened through a hard link",
    Renamed => "opened under a new name",
    Copied => "a copy was opened",
    CopyConfirmed => "a copy was told to lead, and replicas told it from its original",
    FenceFlipped => "a bit of the fence's words was flipped",
    ControlFlipped => "another bit of the control file was flipped",
}

static FIRED: [AtomicU64; TEXTS.len()] = [const { AtomicU64::new(0) }; TEXTS.len()];

/// Counts one.
pub fn fired(fault: Fault) {
    FIRED[fault as usize].fetch_add(1, Ordering::Relaxed);
}

/// How often each kind came, a line each.
pub fn report() -> String {
    let lines = TEXTS.iter().zip(&FIRED).map(|(text, count)| format!("{:9} {text}\n", count.load(Ordering::Relaxed)));
    lines.collect()
}
