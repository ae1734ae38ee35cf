//! One error type in three parts: what the caller should do ([`ErrorKind`]), a stable machine-readable
//! [`ErrorCode`], and a message that says what was wrong and with what.
//!
//! # Fields
//!
//! What the message names, a program reads from the error: the [token](Error::token) of a commit, the [epoch](Error::epoch)
//! that leads, the [path](Error::path) of a file, the [process id](Error::pid) of who holds it, the [key](Error::key) or name
//! that the caller used, what was [expected](Error::expected) and what was [found](Error::found). Each is there where it is
//! known and means something; no field holds what the message may not say.

mod fields;

use fields::Fields;
pub(crate) use fields::bounded;

use crate::printable::printable;
use std::{borrow::Cow, fmt, io, path::Path, sync::Arc};

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Run the transaction, or the read, again, on a new snapshot: another transaction committed first, or the snapshot is
    /// held for too long.
    RetryTransaction,
    /// Nothing is wrong with the call; try it later (disk full, file locked, a limit in force).
    RetryLater,
    /// This handle is of no more use: open the database again.
    Reopen,
    /// The stored data is damaged or lost: restore it, or reseed this replica.
    Reseed,
    /// Another writer leads now: stop writing here.
    Fenced,
    /// The call or its input is wrong: fix it.
    Input,
    /// The caller ended the operation: nothing is wrong.
    Cancelled,
    /// A defect of KiteDB: report it.
    Bug,
}

impl ErrorKind {
    /// The stable text form that bindings expose as `error.kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryTransaction => "retry_transaction",
            Self::RetryLater => "retry_later",
            Self::Reopen => "reopen",
            Self::Reseed => "reseed",
            Self::Fenced => "fenced",
            Self::Input => "input",
            Self::Cancelled => "cancelled",
            Self::Bug => "bug",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal => $kind:ident,)*) => {
        /// A stable, machine-readable reason. Codes are only ever added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// Every code.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text form that bindings expose as `error.code`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What a caller should do about an error of this code.
            pub fn kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind,)* }
            }
        }
    };
}

codes! {
    /// Another transaction that committed first wrote what this one touches.
    Conflict = "CONFLICT" => RetryTransaction,
    /// What this transaction touches was written by a commit that the same handle submitted and that is not published yet: begin
    /// it again after that one ([`Database::begin_after`](crate::Database::begin_after)), or once it has ended.
    ConflictUnpublished = "CONFLICT_UNPUBLISHED" => RetryTransaction,
    /// The view or transaction was held for longer than
    /// [`OpenOptions::max_pin_ms`](crate::OpenOptions::max_pin_ms) allows.
    SnapshotExpired = "SNAPSHOT_EXPIRED" => RetryTransaction,
    /// The node does not exist.
    NodeNotFound = "NODE_NOT_FOUND" => Input,
    /// The edge does not exist.
    EdgeNotFound = "EDGE_NOT_FOUND" => Input,
    /// The edge exists already.
    EdgeExists = "EDGE_EXISTS" => Input,
    /// The node id is taken.
    NodeExists = "NODE_EXISTS" => Input,
    /// A node with this key exists already.
    DuplicateKey = "DUPLICATE_KEY" => Input,
    /// No name with that id, or no such name.
    UnknownName = "UNKNOWN_NAME" => Input,
    /// The vector's length differs from the first one stored under its property key.
    VectorDimension = "VECTOR_DIMENSION" => Input,
    /// An argument is outside what the call accepts.
    InvalidArgument = "INVALID_ARGUMENT" => Input,
    /// An option, or a combination of options, is not valid.
    InvalidOption = "INVALID_OPTION" => Input,
    /// The file plays another part in replication than the open asked for.
    RoleMismatch = "ROLE_MISMATCH" => Input,
    /// A bootstrap or reseed would replace a graph that is no replica's.
    WouldOverwrite = "WOULD_OVERWRITE" => Input,
    /// The files of a primary were copied or restored: before it writes, its operator says what it is.
    FilesMoved = "FILES_MOVED" => Input,
    /// Replicas that were registered are not known any more: before the log lets go of anything, its operator says who there is.
    RegistryLost = "REGISTRY_LOST" => Input,
    /// The file has more than one hard link, so that its log cannot be told by its name.
    HardLinked = "HARD_LINKED" => Input,
    /// The transaction is larger than one frame can be.
    TransactionTooLarge = "TRANSACTION_TOO_LARGE" => Input,
    /// The database or transaction was opened for reading only.
    ReadOnly = "READ_ONLY" => Input,
    /// The file does not exist.
    NotFound = "NOT_FOUND" => Input,
    /// The operating system denies the account of this process a file or folder: give it permission there.
    PermissionDenied = "PERMISSION_DENIED" => Input,
    /// The file is not a KiteDB database.
    NotADatabase = "NOT_A_DATABASE" => Input,
    /// A newer KiteDB wrote what is to be read, and this build does not know how: see
    /// [`FEATURE_LEVEL`](crate::FEATURE_LEVEL). Nothing is damaged: use a newer KiteDB.
    TooNew = "TOO_NEW" => Input,
    /// A KiteDB before its release wrote the file, in a format that is not read any more: import the source data again.
    OldFormat = "OLD_FORMAT" => Input,
    /// kitedb 0.2 wrote the file: export its graph as JSON Lines with that version, and import them here.
    Format02 = "FORMAT_0_2" => Input,
    /// The handle was used in a child process after a fork.
    Forked = "FORKED" => Reopen,
    /// The database is closed.
    Closed = "CLOSED" => Reopen,
    /// A sync failed: what was committed since the last one may not survive the death of the machine.
    SyncFailed = "SYNC_FAILED" => Reopen,
    /// An earlier failure made this handle unusable for writes.
    Poisoned = "POISONED" => Reopen,
    /// Another process or handle holds the database.
    Locked = "LOCKED" => RetryLater,
    /// The disk has no space left, a quota is used up, or a file would be longer than this process may make one
    /// (`RLIMIT_FSIZE`, which kills a process that does not ignore `SIGXFSZ`: whether it does, is the application's to say).
    DiskFull = "DISK_FULL" => RetryLater,
    /// A transaction, view or bulk load is done with: it was committed, rolled back, released, or has failed. Begin another one;
    /// the database is open as before.
    Finished = "FINISHED" => Input,
    /// A call that waits for nothing would have had to wait; nothing was done.
    WouldBlock = "WOULD_BLOCK" => RetryLater,
    /// The operating system refused an operation on a file.
    Io = "IO" => RetryLater,
    /// Stored bytes do not verify.
    Corrupt = "CORRUPT" => Reseed,
    /// The log that the database needs is missing or belongs to another database.
    LogMismatch = "LOG_MISMATCH" => Reseed,
    /// This replica is not on its source's history, or what it needs is gone.
    NeedsReseed = "NEEDS_RESEED" => Reseed,
    /// The call is for a primary.
    NotPrimary = "NOT_PRIMARY" => Input,
    /// The call is for a replica.
    NotReplica = "NOT_REPLICA" => Input,
    /// A replica takes writes only from its source.
    ReplicaReadOnly = "REPLICA_READ_ONLY" => Input,
    /// The source of a replica cannot be read, or has not got there yet.
    SourceUnavailable = "SOURCE_UNAVAILABLE" => RetryLater,
    /// A replica could not register with its source, which would not keep its log for it.
    Unregistered = "UNREGISTERED" => RetryLater,
    /// A report of progress is of another epoch than the primary's.
    EpochMismatch = "EPOCH_MISMATCH" => Input,
    /// A replication cursor cannot be read.
    InvalidCursor = "INVALID_CURSOR" => Input,
    /// Another primary took over.
    StalePrimary = "STALE_PRIMARY" => Fenced,
    /// Whether the commit counts is not known here: a sync of it failed, or the promotion of another node did not say in
    /// time which commits it keeps. Look for it before making it again.
    OutcomeUnknown = "OUTCOME_UNKNOWN" => Reopen,
    /// A question needs more memory than its [`Limits`](crate::query::Limits) allow: ask for less, or allow more.
    MemoryLimit = "MEMORY_LIMIT" => Input,
    /// A question takes longer than its [`Limits`](crate::query::Limits) allow.
    TimeLimit = "TIME_LIMIT" => RetryLater,
    /// The caller ended a long operation, by its [`Watch`](crate::Watch), before it was done.
    Cancelled = "CANCELLED" => Cancelled,
    /// An invariant does not hold.
    Internal = "INTERNAL" => Bug,
}

/// What went wrong, as one value: kind, code and message, and [what they are about](self#fields), each where it is known.
///
/// It is one pointer wide, so that what succeeds pays for no error.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: ErrorCode,
    message: Box<str>,
    fields: Fields,
    source: Option<Arc<io::Error>>,
}

/// Whether a write failed for want of room: what fitted was written, and the same write may succeed later.
pub(crate) fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// A message that may repeat what somebody gave.
fn shown(message: String) -> Box<str> {
    match printable(&message) {
        Cow::Borrowed(_) => message.into(),
        Cow::Owned(shown) => shown.into(),
    }
}

impl Error {
    /// An error of `code` whose `message` says what was wrong and what to do. It is one line: see [`printable`].
    pub fn new(code: ErrorCode, message: impl fmt::Display) -> Self {
        Self::from_parts(code, message.to_string(), None)
    }

    /// An input/output failure of `action` (a verb phrase such as "write to") on `path`.
    pub fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::NotFound => ErrorCode::NotFound,
            kind if is_full(kind) => ErrorCode::DiskFull,
            io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
            // No file can have such a name: trying again does not help. (Without a number: the system was not even asked.)
            io::ErrorKind::InvalidFilename => ErrorCode::InvalidArgument,
            io::ErrorKind::InvalidInput if source.raw_os_error().is_none() => ErrorCode::InvalidArgument,
            _ => ErrorCode::Io,
        };
        let mend = match code {
            ErrorCode::PermissionDenied => {
                ": the account of this process needs permission on it, and on the folders that lead there"
            }
            ErrorCode::DiskFull if source.kind() == io::ErrorKind::FileTooLarge => {
                ": files of this process may not be longer (ulimit -f, RLIMIT_FSIZE), or those of this file system"
            }
            _ if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                ": raise the limit of open files (ulimit -n, RLIMIT_NOFILE), and try it again"
            }
            _ => "",
        };
        let message = format!("cannot {action} {}: {source}{mend}", path.display());
        Self::from_parts(code, message, Some(Arc::new(source))).with_path(path)
    }

    fn from_parts(code: ErrorCode, message: String, source: Option<Arc<io::Error>>) -> Self {
        Self(Box::new(Inner { code, message: shown(message), fields: Fields::default(), source }))
    }

    /// As [`Error::io`], on a file or folder that the database has: that it is not there is damage.
    pub(crate) fn own_file(action: &str, path: &Path, source: io::Error) -> Self {
        let gone = source.kind() == io::ErrorKind::NotFound;
        let mut error = Self::io(action, path, source);
        if gone {
            error.0.code = ErrorCode::Corrupt;
            error.0.message = format!("{}: it is a part of the database, put it back", error.0.message).into();
        }
        error
    }

    /// Whether a file, or a part of one, is sound and of a version that this build does not read.
    pub(crate) fn is_other_version(&self) -> bool {
        matches!(self.0.code, ErrorCode::TooNew | ErrorCode::OldFormat | ErrorCode::Format02)
    }

    /// Stored bytes that do not verify: `what` names the place and the fault.
    pub fn corrupt(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Corrupt, what)
    }

    /// An argument outside what a call accepts.
    pub fn invalid(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidArgument, what)
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind()
    }

    /// The stable machine-readable reason.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Whether another commit is in the transaction's way, so that it may succeed when it is run again on a new snapshot: what
    /// [`Database::transaction_with_retry`](crate::Database::transaction_with_retry) runs again. [`ErrorCode::SnapshotExpired`]
    /// is none, though of the same kind: what took too long may take as long again, and is run again only by who says so.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.code, ErrorCode::Conflict | ErrorCode::ConflictUnpublished)
    }

    /// Whether its message shows a command that mends it.
    pub fn names_a_command(&self) -> bool {
        self.0.message.contains(crate::shell::COMMAND)
    }

    /// The same error under another code: what it says means something else to who asked.
    #[must_use]
    pub(crate) fn recoded(mut self, code: ErrorCode) -> Self {
        self.0.code = code;
        self
    }

    /// The same error with `what` put behind its message.
    #[must_use]
    pub(crate) fn and(mut self, what: impl fmt::Display) -> Self {
        self.0.message = shown(format!("{}; {what}", self.0.message));
        self
    }

    /// The same error with `context` put before its message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = shown(format!("{context}: {}", self.0.message));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.message.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}{}", self.code().as_str(), self.kind().as_str(), self.0.message, self.0.fields)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
