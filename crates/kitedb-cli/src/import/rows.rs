//! Rows of separated values (RFC 4180): fields in quotes may hold separators, line ends, and quotes written twice.

use super::{MAX_LINE, lines, too_long};
use std::io::{self, BufRead};

/// The fields of one row, one after the other in one text.
#[derive(Debug, Default)]
pub struct Row {
    text: String,
    /// Where each field ends in the text.
    ends: Vec<usize>,
    /// Whether the row broke off inside a quoted field, which goes on with the next line.
    open: bool,
}

impl Row {
    /// A row of these fields.
    #[cfg(test)]
    pub fn of(fields: &[&str]) -> Self {
        let mut row = Self::default();
        for field in fields {
            row.text.push_str(field);
            row.ends.push(row.text.len());
        }
        row
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A field; past the end, an empty one.
    pub fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(at).copied();
        start.zip(end).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.open = false;
    }

    fn end_field(&mut self) {
        self.ends.push(self.text.len());
    }

    /// Takes in the next line of the row.
    fn push(&mut self, line: &str, delimiter: char) -> Result<(), String> {
        let mut rest = line;
        loop {
            if !self.open {
                if let Some(quoted) = rest.strip_prefix('"') {
                    self.open = true;
                    rest = quoted;
                    continue;
                }
                let (field, after) = rest.split_once(delimiter).map_or((rest, None), |(f, after)| (f, Some(after)));
                self.text.push_str(field);
                self.end_field();
                match after {
                    Some(after) => rest = after,
                    None => return Ok(()),
                }
                continue;
            }
            let Some((quoted, after)) = rest.split_once('"') else {
                self.text.push_str(rest);
                return Ok(());
            };
            self.text.push_str(quoted);
            if let Some(after) = after.strip_prefix('"') {
                self.text.push('"');
                rest = after;
                continue;
            }
            self.open = false;
            self.end_field();
            if after.is_empty() {
                return Ok(());
            }
            rest = after.strip_prefix(delimiter).ok_or("there is text after a closing quote")?;
        }
    }
}

/// Calls `each` with every row of `reader` that is not blank: the line it begins on, and its fields.
pub fn each<E>(
    reader: impl BufRead,
    delimiter: char,
    failed: impl Fn(&io::Error) -> E,
    mut each: impl FnMut(u64, Result<&Row, String>) -> Result<(), E>,
) -> Result<(), E> {
    let mut row = Row::default();
    let mut start = 0;
    lines::each(reader, MAX_LINE, failed, |line, text| {
        if row.open {
            row.text.push('\n');
        } else {
            row.clear();
            start = line;
        }
        let pushed = match text {
            Ok(text) if text.trim().is_empty() && !row.open => return Ok(()),
            Ok(text) => row.push(text, delimiter),
            Err(what) => Err(what),
        };
        match pushed {
            Ok(()) if !row.open => each(start, Ok(&row)),
            Ok(()) if row.text.len() <= MAX_LINE => Ok(()),
            Ok(()) => {
                row.clear();
                each(start, Err(format!("{} (is a quote not closed?)", too_long(MAX_LINE))))
            }
            Err(what) => {
                row.clear();
                each(start, Err(what))
            }
        }
    })?;
    if row.open { each(start, Err("a quote is not closed".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Vec<(u64, Result<Vec<String>, String>)>;

    fn rows(text: &str, delimiter: char) -> Seen {
        let mut all = Vec::new();
        let see = |line, row: Result<&Row, String>| {
            all.push((line, row.map(|row| row.iter().map(str::to_owned).collect())));
            Ok(())
        };
        each(text.as_bytes(), delimiter, |e| e.to_string(), see).unwrap();
        all
    }

    #[test]
    fn a_row_is_split_into_fields() {
        for (text, want) in [
            ("a,b", &["a", "b"][..]),
            ("a,,", &["a", "", ""]),
            (",", &["", ""]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("\"say \"\"hi\"\"\"", &["say \"hi\""]),
            ("\"\",x", &["", "x"]),
            ("\"two\r\nlines\",x", &["two\nlines", "x"]),
            ("5\" pipe,x", &["5\" pipe", "x"]),
        ] {
            let all = rows(text, ',');
            assert_eq!(all.len(), 1, "{text:?}");
            assert_eq!(all[0].1.as_deref().unwrap(), want, "{text:?}");
        }
        assert_eq!(rows("a;b,c", ';')[0].1.as_deref().unwrap(), ["a", "b,c"]);
    }

    #[test]
    fn rows_are_numbered_by_their_first_line() {
        let all = rows("h\r\n\r\n\"one\r\ntwo\"\r\n\n\nlast", ',');
        assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 7]);
    }

    #[test]
    fn a_bad_row_is_reported_and_the_next_one_read() {
        let all = rows("\"a\"b,c\nok\n\"open\nto the end", ',');
        assert!(all[0].1.as_ref().unwrap_err().contains("after a closing quote"));
        assert!(all[1].1.is_ok());
        assert_eq!(all[2], (3, Err("a quote is not closed".to_owned())));
    }
}
