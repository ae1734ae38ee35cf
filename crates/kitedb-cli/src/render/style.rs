//! The few styles there are, and text that carries one.

use anstyle::{AnsiColor, Style};
use kitedb_core::{printable, shell_word};
use std::{
    fmt::{self, Display},
    path::Path,
};

pub const TITLE: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const ACCENT: Style = AnsiColor::Cyan.on_default();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const PLAIN: Style = Style::new();

/// A value shown in a style.
pub struct Styled<T>(pub Style, pub T);

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.0, self.1, self.0)
    }
}

/// Text out of a database or a file, made safe to show: see [`printable`].
pub fn clean(text: &str) -> String {
    printable(text).into_owned()
}

/// A path in a command that is shown, made safe to show: it can be copied into a shell.
pub fn word(path: &Path) -> String {
    clean(&shell_word(path).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_steer_the_terminal() {
        for (text, want) in
            [("plain é 漢", "plain é 漢"), ("a\nb", "a\\nb"), ("\x1b[31m", "\\u{1b}[31m"), ("\u{202e}x", "\\u{202e}x")]
        {
            assert_eq!(clean(text), want);
        }
    }

    #[test]
    fn a_style_ends_where_its_text_ends() {
        assert_eq!(Styled(GOOD, "ok").to_string(), "\x1b[32mok\x1b[0m");
        assert_eq!(Styled(PLAIN, "ok").to_string(), "ok");
    }
}
