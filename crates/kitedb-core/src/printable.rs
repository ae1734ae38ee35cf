//! Text of others that is shown: a key, a name, a path may hold what steers a terminal, or breaks the line of a log.

use std::borrow::Cow;

/// Whether a terminal does not show that character as it is: control characters, and those that turn the direction of text around.
pub(crate) fn is_unshown(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as one line that steers no terminal: what no terminal shows as it is stands there escaped, as Rust writes it (`\n`, `\u{1b}`).
/// Messages of errors are so.
///
/// ```
/// assert_eq!(kitedb_core::printable("a\x1b[31m\nb"), r"a\u{1b}[31m\nb");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unshown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unshown(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}
