//! Commands that a message shows: what is copied out of it runs as it stands. Every message makes them here.

use crate::printable::is_unshown;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A path as one word of a POSIX shell: as it is if nothing in it means anything to a shell, else in single quotes. A name that no
/// terminal shows as it is, with a control character, one that turns the direction of text around, or bytes that are no UTF-8, is
/// written as `$'..'`, with these bytes as octal numbers, so that what is copied leads to that very file.
#[derive(Debug, Clone, Copy)]
pub struct ShellWord<'a>(&'a Path);

/// `path` as one word of a POSIX shell.
pub fn shell_word(path: &Path) -> ShellWord<'_> {
    ShellWord(path)
}

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        if self.0.to_str().is_none() || text.chars().any(is_unshown) {
            return escaped(self.0.as_os_str().as_encoded_bytes(), f);
        }
        let plain = |c: char| c.is_alphanumeric() || "_./+:,@%=-".contains(c);
        // A name that begins with a dash would pass for an option.
        let here = if text.starts_with('-') { "./" } else { "" };
        if !text.is_empty() && text.chars().all(plain) {
            write!(f, "{here}{text}")
        } else {
            write!(f, "'{here}{}'", text.replace('\'', r"'\''"))
        }
    }
}

/// The name of these bytes as `$'..'`.
fn escaped(name: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("$'")?;
    if name.starts_with(b"-") {
        f.write_str("./")?;
    }
    for byte in name {
        match byte {
            b'\'' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
            // A command stands between backticks.
            b' '..=b'~' if *byte != b'`' => write!(f, "{}", char::from(*byte))?,
            _ => write!(f, "\\{byte:03o}")?,
        }
    }
    f.write_str("'")
}

/// What the names of a database's logs end in: that of one with a part in replication, and that of one without.
pub(crate) const SIDECAR: &str = ".replication";
pub(crate) const WAL: &str = "-wal";

/// How each of them begins.
pub(crate) const COMMAND: &str = "`kitedb ";

/// A `kitedb` command on one database, in backticks.
#[derive(Debug, Clone)]
pub struct Command {
    verb: &'static str,
    database: PathBuf,
    rest: String,
}

/// The command `verb` on the file at `database`, with `rest` behind it.
pub fn command(verb: &'static str, database: &Path, rest: impl fmt::Display) -> Command {
    Command { verb, database: database.to_owned(), rest: rest.to_string() }
}

/// As [`command`], where only the folder of its log is known, which is named after the file; of one that is not, that
/// folder is said.
pub(crate) fn command_by_log(verb: &'static str, dir: &Path, rest: impl fmt::Display) -> Command {
    let name = dir.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.strip_suffix(SIDECAR).or_else(|| name.strip_suffix(WAL))) {
        Some(stem) if !stem.is_empty() => command(verb, &dir.with_file_name(stem), rest),
        _ => {
            let rest = rest.to_string();
            let sep = if rest.is_empty() { "" } else { " " };
            command(verb, Path::new("DB"), format_args!("--sidecar {}{sep}{rest}", shell_word(dir)))
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sep = if self.rest.is_empty() { "" } else { " " };
        write!(f, "{COMMAND}{} {}{sep}{}`", self.verb, shell_word(&self.database), self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_its_database() {
        let path = Path::new("/my data/a.kitedb");
        assert_eq!(command("repair", path, "").to_string(), "`kitedb repair '/my data/a.kitedb'`");
        let shown = command("role", path, "primary --moved").to_string();
        assert_eq!(shown, "`kitedb role '/my data/a.kitedb' primary --moved`");
        for dir in ["/d/a.kitedb.replication", "/d/a.kitedb-wal"] {
            let shown = command_by_log("repair", Path::new(dir), "--dry-run").to_string();
            assert_eq!(shown, "`kitedb repair /d/a.kitedb --dry-run`");
        }
        let shown = command_by_log("repair", Path::new("/my logs"), "--dry-run").to_string();
        assert_eq!(shown, "`kitedb repair DB --sidecar '/my logs' --dry-run`");
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_a_word_all_the_same() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        for (name, word) in [
            (&b"a\nb.kitedb"[..], r"$'a\012b.kitedb'"),
            (b"a\xffb", r"$'a\377b'"),
            (b"-it's\x1b[31m\\", r"$'./-it\'s\033[31m\\'"),
            (b"plain\xc3\xa9", "plain\u{e9}"),
        ] {
            assert_eq!(shell_word(Path::new(OsStr::from_bytes(name))).to_string(), word);
        }
    }

    /// A command that is written out in a message would lack the database, or quote it in its own way.
    #[test]
    fn every_command_that_a_message_shows_is_made_here() {
        let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("shell.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let written = text.lines().find(|line| {
                        let line = line.trim_start();
                        !line.starts_with("//") && line.contains(COMMAND)
                    });
                    assert_eq!(written, None, "{}", path.display());
                }
            }
        }
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("a.kitedb", "a.kitedb"),
            ("/var/lib/é-1_2.kitedb", "/var/lib/é-1_2.kitedb"),
            ("my db", "'my db'"),
            ("it's", r"'it'\''s'"),
            ("$(x);*", "'$(x);*'"),
            ("~", "'~'"),
            ("", "''"),
            ("-n", "./-n"),
            ("-n x", "'./-n x'"),
        ] {
            assert_eq!(shell_word(Path::new(path)).to_string(), word);
        }
    }
}
