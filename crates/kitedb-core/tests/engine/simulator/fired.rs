//! How often each kind of fault came, over all worlds of a run.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $text:literal,)*) => {
        /// A kind of fault, or of what an operator does wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $kind,)* }

        const KINDS: &[Fault] = &[$(Fault::$kind,)*];

        const TEXTS: &[&str] = &[$($text,)*];
    };
}

kinds! {
    Killed => "a process was killed",
    PowerLost => "a machine lost its power",
    CrashedWithin => "a machine crashed in the midst of an operation of its disk",
    WriteRefused => "a disk failed a write",
    SyncRefused => "a disk failed a sync",
    NameRefused => "a disk failed a change of names",
    ReadRefused => "a disk failed a read",
    DiskFull => "a disk had no room for a write",
    CopyingDiskFull => "a disk that copies on write had no room for one",
    WriteBackFailed => "a write-back failed, of which each open file is told once",
    WriteBackTold => "a sync told of a write-back that had failed",
    CommittedBeside => "a transaction that was begun before others committed, too",
    CommittedAcrossCheckpoint => "one with a checkpoint between",
    CommittedAcrossPromotion => "one with a promotion in place between",
    SubmittedTogether => "commits were in flight together, and ended well",
    Conflicted => "a transaction that was begun before others conflicted with them",
    FencedMeanwhile => "the node of an open transaction was fenced before it committed",
    ClosedHandle => "the handle of an open transaction was closed before it committed",
    EndedWhileOpen => "a process ended while transactions were open",
    GivenUp => "a transaction was given up",
    OperationFailed => "a transaction committed of which an operation had failed",
    OperationTakenBack => "one committed that took back what it had done",
    LogDamaged => "a bit of a log was flipped",
    CutPromotion => "a promotion was cut by a crash",
    PromoterSyncFailed => "a sync that a promotion made failed, here or at its source",
    DoneUntold => "a promotion was done, and nobody was told",
    NoRole => "opened with no role",
    LeadingAsReplica => "a primary that leads was opened as a replica",
    Overwritten => "a bootstrap would overwrite a primary's graph",
    Disabled => "opened as one that does not replicate",
    ReplicaAsPrimary => "a replica was opened as a primary",
    TookOverAsPrimary => "a replica that was opened as a primary took over",
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
    fired_times(fault, 1);
}

pub fn fired_times(fault: Fault, count: u64) {
    FIRED[fault as usize].fetch_add(count, Ordering::Relaxed);
}

/// How often each kind came, a line each.
pub fn report() -> String {
    let lines = TEXTS.iter().zip(&FIRED).map(|(text, count)| format!("{:9} {text}\n", count.load(Ordering::Relaxed)));
    lines.collect()
}

/// In so many seeds each kind comes once at least.
const OFTEN: u64 = 100;

/// The kinds that came more rarely than they must over so many seeds: nobody makes them any more.
pub fn too_rare(seeds: u64) -> Vec<Fault> {
    let rare = |fault: &&Fault| FIRED[**fault as usize].load(Ordering::Relaxed) < seeds / OFTEN;
    KINDS.iter().filter(rare).copied().collect()
}
