//! Paths in commands that a message shows: what is copied out of it runs as it stands.

use std::{fmt, path::Path};

/// A path as one word of a POSIX shell: as it is if nothing in it means anything to a shell, else in single quotes.
#[derive(Debug, Clone, Copy)]
pub struct ShellWord<'a>(&'a Path);

/// `path` as one word of a POSIX shell.
pub fn shell_word(path: &Path) -> ShellWord<'_> {
    ShellWord(path)
}

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
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

#[cfg(test)]
mod tests {
    use super::*;

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
