//! How a command fails: a message, a hint, an exit code.

use crate::render::style::word;
use anstyle::{AnsiColor, Style};
use kitedb_core::{Error, ErrorCode, ErrorKind};
use serde_json::{Value as Json, json};
use std::{
    fmt, io,
    io::Write,
    panic::PanicHookInfo,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

pub const EXIT_FAILED: u8 = 1;
pub const EXIT_USAGE: u8 = 2;
/// What was looked at is not in order.
pub const EXIT_FAULT: u8 = 3;
/// A signal ended it; which one, a shell tells by 128 and its number, and this is that of SIGINT.
pub const EXIT_SIGNAL: u8 = 130;

/// Whether failures are told as JSON, to a script that asked for JSON.
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// From here on failures are told as JSON: one object, on one line of standard error.
pub fn tell_as_json() {
    AS_JSON.store(true, Ordering::Relaxed);
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = Style::new().dimmed();

/// What to do about a failure.
#[derive(Debug, Clone)]
enum Hint {
    /// With ` DB` in place of the command's database, and ` SOURCE` in that of `--source-db` and what it was given.
    Template(String),
    /// As it is shown.
    Literal(String),
}

/// Why a command ended early.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<Hint>,
    /// An error of the engine, if it was one.
    cause: Option<Error>,
    /// What it is, where it was none.
    code: Option<ErrorCode>,
    exit: u8,
    /// The command has said for itself what is wrong.
    silent: bool,
}

impl Failure {
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, cause: None, code: None, exit: EXIT_FAILED, silent: false }
    }

    /// The command line asks for something that makes no sense.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: EXIT_USAGE, code: Some(ErrorCode::InvalidArgument), ..Self::new(message) }
    }

    /// Ends with `exit` after the command has shown for itself what is wrong.
    pub fn shown(exit: u8) -> Self {
        Self { exit, silent: true, ..Self::new("") }
    }

    /// An input file that cannot be read.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        Self::new(format_args!("cannot read {}: {error}", path.display()))
    }

    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(Hint::Template(hint.to_string())), ..self }
    }

    /// A hint that names its files itself.
    #[must_use]
    pub fn literal_hint(self, hint: impl fmt::Display) -> Self {
        Self { hint: Some(Hint::Literal(hint.to_string())), ..self }
    }

    /// What it is by the codes of the engine, of which it is no error.
    #[must_use]
    pub fn of(self, code: ErrorCode) -> Self {
        Self { code: Some(code), ..self }
    }

    #[must_use]
    pub fn exit(self, exit: u8) -> Self {
        Self { exit, ..self }
    }

    /// The same failure, with what is so all the same put before its hint.
    #[must_use]
    pub fn although(self, what: impl fmt::Display) -> Self {
        let hint = match self.hint {
            Some(Hint::Template(hint)) => Hint::Template(format!("{what}; {hint}")),
            Some(Hint::Literal(hint)) => Hint::Literal(format!("{what}; {hint}")),
            None => Hint::Literal(what.to_string()),
        };
        Self { hint: Some(hint), ..self }
    }

    /// The same failure of a command on the database at `path`, which was given that `source`: hints name them. One of an
    /// error that is about the source, and says what to do with the database, is left out.
    #[must_use]
    pub fn naming(self, path: &Path, source: Option<&Path>) -> Self {
        let about_source = self.code().is_some_and(is_about_a_file)
            && source.is_some_and(|source| self.names(source))
            && !self.names(path);
        let hint = self.hint.and_then(|hint| match hint {
            Hint::Template(hint) => (!about_source).then(|| Hint::Literal(named(&hint, path, source))),
            literal => Some(literal),
        });
        Self { hint, ..self }
    }

    /// Whether its message names that file.
    fn names(&self, path: &Path) -> bool {
        let whole = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
        [path, &whole].iter().any(|path| self.message.contains(&path.display().to_string()))
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        self.exit
    }

    /// The code of the engine's error, if it was one, or that of what it is.
    pub fn code(&self) -> Option<ErrorCode> {
        self.cause.as_ref().map(Error::code).or(self.code)
    }

    /// As documents have it: message, code and kind, `null` where the engine has no code for it, and those fields of an error of
    /// the engine that are set.
    pub fn document(&self) -> Json {
        let code = self.code();
        let mut document = json!({
            "code": code.map(ErrorCode::as_str),
            "kind": code.map(|code| code.kind().as_str()),
            "message": self.message,
        });
        for (name, text) in self.cause.iter().flat_map(Error::fields) {
            let number = matches!(name, "epoch" | "pid").then(|| text.parse::<u64>().ok()).flatten();
            document[name] = number.map_or(Json::String(text), Json::from);
        }
        document
    }

    /// Prints the failure to standard error and gives the exit code.
    pub fn report(&self) -> u8 {
        if !self.silent {
            let hint = self.hint.as_ref().map(|(Hint::Template(hint) | Hint::Literal(hint))| hint.as_str());
            print(&self.message, hint, || self.document());
        }
        self.exit
    }
}

/// Prints what a panic would have said as one more error: a user has no use for a backtrace.
pub fn report_panic(info: &PanicHookInfo<'_>) {
    let what = info.payload();
    let what = what.downcast_ref::<&str>().copied().or_else(|| what.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map(|at| format!(" at {at}")).unwrap_or_default();
    let failure = Failure::new(format_args!("{}{place}", what.unwrap_or("unknown failure"))).of(ErrorCode::Internal);
    failure.literal_hint(REPORT).report();
}

fn print(message: &str, hint: Option<&str>, document: impl FnOnce() -> Json) {
    if AS_JSON.load(Ordering::Relaxed) {
        let mut document = document();
        document["hint"] = hint.into();
        let _ = writeln!(io::stderr().lock(), "{document}");
        return;
    }
    let mut err = anstream::stderr().lock();
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(err, "{ERROR}error:{ERROR:#} {message}");
    if let Some(hint) = hint {
        let _ = writeln!(err, "{HINT}hint: {hint}{HINT:#}");
    }
}

/// Tells on standard error what is worth knowing, and is no failure.
pub fn note(what: impl fmt::Display) {
    // As of a failure.
    let _ = writeln!(anstream::stderr().lock(), "{HINT}note: {what}{HINT:#}");
}

/// A hint in which ` DB` is to name the database at `path`, and ` SOURCE` the source that was given, if one was.
pub fn named(hint: &str, path: &Path, source: Option<&Path>) -> String {
    let given = source.map_or_else(String::new, |source| format!(" --source-db {}", word(source)));
    let name = format!(" {}", word(path));
    hint.split(" SOURCE").map(|part| part.replace(" DB", &name)).collect::<Vec<_>>().join(&given)
}

/// Whether an error of that code tells what one file is.
fn is_about_a_file(code: ErrorCode) -> bool {
    use ErrorCode::{Corrupt, Format02, HardLinked, NotADatabase, NotFound, OldFormat, ReadOnly, RoleMismatch, TooNew};
    matches!(
        code,
        Corrupt | Format02 | HardLinked | NotADatabase | NotFound | OldFormat | ReadOnly | RoleMismatch | TooNew
    )
}

const REPORT: &str = concat!("this is a defect of KiteDB: please report it at ", env!("CARGO_PKG_REPOSITORY"));

macro_rules! in_place_of_a_primary {
    () => {
        "let a replica lead (`kitedb replica promote REPLICA`), move this file and the folder of its log away, and make a new \
         replica (`kitedb replica bootstrap DB --source-db REPLICA`); without a replica, restore it from a copy"
    };
}

/// For a database whose file does not open. A replica that does not is reseeded in place.
pub const DOES_NOT_OPEN: &str = concat!(
    "a replica is reseeded in place (`kitedb replica reseed DB SOURCE`); in place of a primary ",
    in_place_of_a_primary!()
);

/// For a file that does not open and is not a replica's: it is not reseeded in place.
pub const NO_REPLICA_AND_DOES_NOT_OPEN: &str =
    concat!("it is not a replica, so that it is not reseeded in place: ", in_place_of_a_primary!());

/// For a file that holds no database any more, as the log beside it tells.
const BLOTTED_OUT: &str = concat!(
    "its log is that of a database: the file was overwritten. Restore that from a copy; or ",
    in_place_of_a_primary!()
);

/// For a replica that is not on its source's history.
pub const RESEED: &str = "`kitedb replica reseed DB SOURCE` copies the source anew";

fn hint_for(error: &Error) -> Option<&'static str> {
    Some(match error.code() {
        // Where its log is there, its message says what to do.
        ErrorCode::NotFound if error.names_a_command() => return None,
        ErrorCode::NotFound => {
            "check the path; `kitedb import DB FILE` creates a database, `kitedb replica bootstrap DB --source-db PRIMARY` a \
             replica of one"
        }
        ErrorCode::NotADatabase if error.names_a_command() => return None,
        ErrorCode::NotADatabase if error.path().is_some_and(|path| is_blotted_out(error, path, None)) => BLOTTED_OUT,
        ErrorCode::NotADatabase => "the first argument is the path of a KiteDB database",
        ErrorCode::Locked => {
            "another process writes to it; status, stats, check, get, nodes, edges and other questions work beside a writer"
        }
        ErrorCode::DiskFull => {
            "free some space, or raise the limit, and run the command again; what was committed is kept"
        }
        ErrorCode::MemoryLimit => {
            "ask for less by what `--help` lists (types, conditions, a depth, a limit); --memory-bytes allows more"
        }
        ErrorCode::TimeLimit => {
            "ask for less by what `--help` lists (types, conditions, a depth, a limit); --timeout-ms allows more"
        }
        ErrorCode::ReadOnly => "check the permissions of the file and of its folder",
        ErrorCode::NeedsReseed if error.names_a_command() => return None,
        ErrorCode::NeedsReseed => RESEED,
        // Of a replica its message names both ways: one of them loses nothing.
        ErrorCode::WouldOverwrite if error.names_a_command() => return None,
        ErrorCode::WouldOverwrite => "pass --overwrite to replace it all the same: its own graph is lost then",
        ErrorCode::RoleMismatch => "`kitedb role DB` shows what it is",
        ErrorCode::HardLinked => "pass --accept-hard-links to write to it all the same",
        // Which file that is, and what to do with it, its message says.
        ErrorCode::FilesMoved | ErrorCode::LogMismatch => return None,
        // Its message names the command that mends it.
        ErrorCode::StalePrimary if error.names_a_command() => return None,
        ErrorCode::StalePrimary => {
            "another node leads now: write there, and let this one follow it (`kitedb replica follow DB --source-db NEW`)"
        }
        ErrorCode::OutcomeUnknown => {
            "look whether it is there (`kitedb get DB KEY`), here and on the node that leads, before you run the command again"
        }
        ErrorCode::SourceUnavailable if error.names_a_command() => return None,
        ErrorCode::SourceUnavailable => {
            "check --source-db and --source-sidecar, and that the source was opened as a primary"
        }
        ErrorCode::ReplicaReadOnly => "write to its primary; `kitedb replica promote DB` makes this one take writes",
        _ => match error.kind() {
            ErrorKind::Reseed if error.names_a_command() => return None,
            ErrorKind::Reseed => {
                "`kitedb check DB` lists what is damaged, `kitedb repair DB --dry-run` what of it can be mended; what cannot is \
                 restored from a copy"
            }
            ErrorKind::Reopen | ErrorKind::RetryTransaction => "run the command again",
            ErrorKind::Bug => REPORT,
            _ => return None,
        },
    })
}

/// The code with which a command ends that only looks, where the database at `path` does not open: what is damaged, or was a
/// database once by the log beside it, was looked at and is not in order; all else is a failure of the command. Of a log that was
/// `given` what was given is wrong, and not what was looked at.
fn exit_of_open(error: &Error, path: &Path, given: Option<&Path>) -> u8 {
    match error.kind() {
        _ if given.is_some() && error.code() == ErrorCode::LogMismatch => EXIT_FAILED,
        ErrorKind::Reseed => EXIT_FAULT,
        _ if is_blotted_out(error, path, given) => EXIT_FAULT,
        _ => EXIT_FAILED,
    }
}

/// Whether what is at `path` is no database, and the log of one is beside it, or where it was `given`.
fn is_blotted_out(error: &Error, path: &Path, given: Option<&Path>) -> bool {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".replication");
    let logs = [Some(Path::new(&beside)), given];
    error.code() == ErrorCode::NotADatabase && logs.into_iter().flatten().any(|log| log.join("control").is_file())
}

/// As [`is_blotted_out`], of what is not a replica's: its message says how that is reseeded in place.
fn is_no_replica(error: &Error, path: &Path, given: Option<&Path>) -> bool {
    is_blotted_out(error, path, given) && !error.names_a_command()
}

/// Why a command that only looks did not open the database at `path`, with the log that was `given`, if one was.
pub fn not_opened(error: Error, path: &Path, given: Option<&PathBuf>) -> Failure {
    let given = given.map(PathBuf::as_path);
    let (exit, was_one) = (exit_of_open(&error, path, given), is_no_replica(&error, path, given));
    let failure = Failure::from(error).exit(exit);
    if was_one { failure.hint(BLOTTED_OUT) } else { failure }
}

/// As [`not_opened`], of a command that was to write to it.
pub fn not_opened_to_write(error: Error, path: &Path, given: Option<&Path>) -> Failure {
    let was_one = is_no_replica(&error, path, given);
    if was_one { Failure::from(error).hint(BLOTTED_OUT) } else { error.into() }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.code() == ErrorCode::Cancelled {
            return Self { cause: Some(error), exit: EXIT_SIGNAL, ..Self::new("interrupted") };
        }
        Self {
            hint: hint_for(&error).map(|hint| Hint::Template(hint.to_owned())),
            message: error.to_string(),
            cause: Some(error),
            ..Self::new("")
        }
    }
}

/// A failed write to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(format_args!("cannot write the output: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_engine_come_with_a_hint() {
        for (code, phrase) in [
            (ErrorCode::NotFound, "check the path"),
            (ErrorCode::Locked, "another process"),
            (ErrorCode::Corrupt, "kitedb check"),
            (ErrorCode::Internal, "report"),
        ] {
            let failure = Failure::from(Error::new(code, "what"));
            let Some(Hint::Template(hint)) = failure.hint else { panic!("{code:?}") };
            assert!(hint.contains(phrase), "{code:?}");
            assert_eq!(failure.exit, EXIT_FAILED);
        }
    }

    #[test]
    fn a_document_says_what_it_is_by_the_codes_of_the_engine() {
        let engine = Failure::from(Error::new(ErrorCode::NotFound, "what")).document();
        assert_eq!((&engine["code"], &engine["kind"]), (&json!("NOT_FOUND"), &json!("input")));
        let usage = Failure::usage("what").document();
        assert_eq!((&usage["code"], &usage["kind"]), (&json!("INVALID_ARGUMENT"), &json!("input")));
        let named = Failure::new("what").of(ErrorCode::NodeNotFound).document();
        assert_eq!((&named["code"], &named["message"]), (&json!("NODE_NOT_FOUND"), &json!("what")));
        assert_eq!(Failure::new("what").document()["code"], Json::Null);
    }

    #[test]
    fn what_a_signal_ended_ends_with_its_code() {
        let failure = Failure::from(Error::new(ErrorCode::Cancelled, "what")).hint("so");
        assert_eq!((failure.exit_code(), failure.message()), (EXIT_SIGNAL, "interrupted"));
    }

    #[test]
    fn hints_name_the_database() {
        let hint = |code, what: &str, db: &str, source: Option<&str>| {
            let failure = Failure::from(Error::new(code, what)).naming(Path::new(db), source.map(Path::new));
            failure.hint.map(|(Hint::Template(hint) | Hint::Literal(hint))| hint)
        };
        for code in [ErrorCode::NotFound, ErrorCode::NeedsReseed, ErrorCode::RoleMismatch, ErrorCode::OutcomeUnknown] {
            let hint = hint(code, "what", "my/own.kitedb", None).unwrap();
            let bare = hint.contains(" my/own.kitedb`") || hint.contains(" my/own.kitedb ");
            assert!(bare && !hint.contains("DB") && !hint.contains("SOURCE"), "{hint}");
        }
        let reseed = hint(ErrorCode::NeedsReseed, "what", "a DB", Some("of SOURCE")).unwrap();
        assert!(reseed.starts_with("`kitedb replica reseed 'a DB' --source-db 'of SOURCE'`"), "{reseed}");
        // What is said of the source is not to be done with the database.
        let damaged = |what| hint(ErrorCode::Corrupt, what, "r.kitedb", Some("p.kitedb"));
        assert_eq!(damaged("p.kitedb: a block does not verify"), None);
        assert!(damaged("r.kitedb: a block does not verify").is_some());
        // Its message says what to do.
        assert_eq!(hint(ErrorCode::LogMismatch, "what", "r.kitedb", None), None);
    }
}
