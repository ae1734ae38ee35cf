//! Rows of separated values (RFC 4180): fields in quotes may hold separators, line ends, and quotes written twice.

use super::{
    MAX_LINE,
    lines::{self, LONE_CR},
    too_long,
};
use crate::render::number::count;
use std::io::{self, BufRead};

/// No table has more columns: what has is none, and would fill the memory with names.
const MAX_COLUMNS: usize = 1 << 16;

/// The fields of one row, one after the other in one text.
#[derive(Debug, Default)]
pub struct Row {
    text: String,
    /// Where each field ends in the text, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    /// The line on which a quoted field begins that goes on with the next line, if the row broke off inside one.
    open: Option<u64>,
}

impl Row {
    /// Takes these fields in place of its own, none of them quoted.
    pub fn fill<'f>(&mut self, fields: impl Iterator<Item = &'f str>) {
        self.clear();
        for field in fields {
            self.text.push_str(field);
            self.end_field(false);
        }
    }

    /// A row of these fields.
    #[cfg(test)]
    pub fn of(fields: &[&str]) -> Self {
        let mut row = Self::default();
        row.fill(fields.iter().copied());
        row
    }

    /// The row that one line is.
    #[cfg(test)]
    pub fn read(line: &str, delimiter: char) -> Result<Self, String> {
        let mut row = Self::default();
        row.push(1, line, delimiter)?;
        if row.open.is_some() { Err("a quote is not closed".to_owned()) } else { Ok(row) }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A field; past the end, an empty one.
    pub fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).map(|(end, _)| *end));
        let end = self.ends.get(at).map(|(end, _)| *end);
        start.zip(end).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    /// Whether a field stood in quotes.
    pub fn is_quoted(&self, at: usize) -> bool {
        self.ends.get(at).is_some_and(|(_, quoted)| *quoted)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.open = None;
    }

    fn end_field(&mut self, quoted: bool) {
        self.ends.push((self.text.len(), quoted));
    }

    /// Takes in the next line of the row.
    fn push(&mut self, number: u64, line: &str, delimiter: char) -> Result<(), String> {
        let mut rest = line;
        loop {
            if self.ends.len() >= MAX_COLUMNS {
                return Err(format!("more than {} columns", count(MAX_COLUMNS as u64)));
            }
            if self.open.is_none() {
                if let Some(quoted) = rest.strip_prefix('"') {
                    self.open = Some(number);
                    rest = quoted;
                    continue;
                }
                let (field, after) = rest.split_once(delimiter).map_or((rest, None), |(f, after)| (f, Some(after)));
                if field.contains('\r') {
                    return Err(LONE_CR.to_owned());
                }
                self.text.push_str(field);
                self.end_field(false);
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
            let opened = self.open.take().unwrap_or(number);
            self.end_field(true);
            if after.is_empty() {
                return Ok(());
            }
            rest = after.strip_prefix(delimiter).ok_or_else(|| match opened == number {
                true => "there is text after a closing quote".to_owned(),
                false => format!(
                    "there is text after a closing quote: the quoted cell {}; is its quote closed on line {}?",
                    takes_in(opened, number),
                    count(opened)
                ),
            })?;
        }
    }
}

/// The lines that a quoted cell takes in.
fn takes_in(from: u64, to: u64) -> String {
    format!("takes in lines {} to {}", count(from), count(to))
}

/// Calls `each` with every row of `reader` that is not blank: the lines on which it begins and ends, and its fields.
pub fn each<E>(
    reader: impl BufRead,
    delimiter: char,
    failed: impl Fn(&io::Error) -> E,
    mut each: impl FnMut((u64, u64), Result<&Row, String>) -> Result<(), E>,
) -> Result<(), E> {
    let mut row = Row::default();
    // Where the row began, and the last line with its end.
    let (mut start, mut last, mut end) = (0, 0, "");
    lines::each(reader, MAX_LINE, failed, |line, text, this_end| {
        if row.open.is_some() {
            row.text.push_str(end);
        } else {
            row.clear();
            start = line;
        }
        (last, end) = (line, this_end);
        let pushed = match text {
            Ok(text) if text.bytes().all(|byte| byte == b' ') && row.open.is_none() => return Ok(()),
            Ok(text) => row.push(line, text, delimiter),
            Err(what) if line > start => Err(format!("{what}, on line {}", count(line))),
            Err(what) => Err(what),
        };
        match (pushed, row.open) {
            (Ok(()), None) => each((start, last), Ok(&row)),
            (Ok(()), Some(_)) if row.text.len() <= MAX_LINE => Ok(()),
            (Ok(()), Some(opened)) => {
                row.clear();
                let what = format_args!("a quoted cell that {}: is its quote not closed?", takes_in(opened, line));
                each((start, last), Err(format!("{}, with {what}", too_long(MAX_LINE))))
            }
            (Err(what), _) => {
                row.clear();
                each((start, last), Err(what))
            }
        }
    })?;
    match row.open {
        Some(opened) => each(
            (start, last),
            Err(format!("a quote is not closed: its cell {}, the last one", takes_in(opened, last))),
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Vec<(u64, Result<Vec<String>, String>)>;

    fn rows(text: &str, delimiter: char) -> Seen {
        let mut all = Vec::new();
        let see = |(line, _), row: Result<&Row, String>| {
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
            ("\"two\r\nlines\",x", &["two\r\nlines", "x"]),
            ("\"two\nlines\r\",x\r\n", &["two\nlines\r", "x"]),
            ("\u{a0},x", &["\u{a0}", "x"]),
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
        assert_eq!(all[2], (3, Err("a quote is not closed: its cell takes in lines 3 to 4, the last one".to_owned())));
    }

    /// The quote of line 2 ends at the next one, wherever that is.
    #[test]
    fn a_quote_that_another_row_closes_is_reported_with_the_lines_between() {
        let all = rows("id,name\nbad,\"Acme 5\nn0,x\nn1,\"Name\"\nn2,y", ',');
        let error = all[1].1.as_ref().unwrap_err();
        assert!(all[1].0 == 2 && error.contains("takes in lines 2 to 4"), "{all:?}");
        assert_eq!(all[2].1.as_deref().unwrap(), ["n2", "y"]);
    }

    #[test]
    fn a_carriage_return_alone_ends_no_line_and_is_no_part_of_a_cell() {
        let all = rows("id,name\ra,Ada\rb,Bob\r", ',');
        assert_eq!(all.len(), 1);
        assert!(all[0].1.as_ref().unwrap_err().contains("carriage return"), "{all:?}");
    }

    #[test]
    fn a_row_of_separators_alone_is_refused() {
        let all = rows(&",".repeat(1 << 17), ',');
        assert_eq!(all, [(1, Err("more than 65,536 columns".to_owned()))]);
    }

    #[test]
    fn a_row_tells_what_was_quoted() {
        let row = Row::read("\"42\",42,\"\",", ',').unwrap();
        assert_eq!([0, 1, 2, 3].map(|at| row.is_quoted(at)), [true, false, true, false]);
        assert!(Row::read("\"open", ',').is_err());
    }
}
