//! Rows of comma-separated values, by RFC 4180.

use std::io::{self, Write};

/// Writes one row. A cell that is none is empty; one of an empty text is a pair of quotes.
pub fn write_row<'c>(out: &mut dyn Write, cells: impl IntoIterator<Item = Option<&'c str>>) -> io::Result<()> {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match cell {
            None => {}
            Some(text) if needs_quotes(text) => write!(out, "\"{}\"", text.replace('"', "\"\""))?,
            Some(text) => out.write_all(text.as_bytes())?,
        }
    }
    out.write_all(b"\r\n")
}

/// Blanks at an end are kept by some readers in quotes alone.
fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.contains(['"', ',', '\r', '\n']) || text.trim().len() < text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let mut out = Vec::new();
        let cells = [
            Some("plain é"),
            None,
            Some(""),
            Some("a,b"),
            Some("say \"a\""),
            Some("two\nlines"),
            Some(" padded"),
            Some("1"),
        ];
        write_row(&mut out, cells).unwrap();
        let want = "plain é,,\"\",\"a,b\",\"say \"\"a\"\"\",\"two\nlines\",\" padded\",1\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
