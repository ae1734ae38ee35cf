//! Rows in the form that was asked for: aligned for people, or one document, objects on lines, or a table of separated values for
//! scripts. Each is written as it comes.

use super::{
    csv,
    number::counted,
    style::{DIM, Styled, clean},
    table::Table,
};
use serde_json::Value as Json;
use std::io::{self, IsTerminal, Write};

/// Rows of a table that are lined up with each other.
const PAGE: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Table,
    Json,
    JsonLines,
    Csv,
}

/// A row in each form.
pub trait Row {
    /// In the columns of the table, fit for a terminal.
    fn cells(&self) -> Vec<String>;

    /// In the list of a document.
    fn object(&self) -> Json;

    /// On a line of its own.
    fn line(&self) -> Json {
        self.object()
    }

    /// Under the names of the columns of separated values.
    fn values(&self) -> Vec<Option<String>>;
}

/// What is before the rows.
pub struct Head {
    /// The beginning of a document, up to its list: `{"nodes":[`.
    pub document: String,
    pub table: Table,
    /// The names of the columns of separated values.
    pub names: Vec<String>,
}

/// Rows that are being written.
pub struct Listing<'o> {
    out: &'o mut dyn Write,
    form: Form,
    table: Table,
    waiting: usize,
    shown: u64,
    /// Whether a terminal shows separated values, which must not steer it.
    is_seen: bool,
}

impl<'o> Listing<'o> {
    pub fn begin(out: &'o mut dyn Write, form: Form, head: Head) -> io::Result<Self> {
        let is_seen = form == Form::Csv && io::stdout().is_terminal();
        let mut listing = Self { out, form, table: head.table, waiting: 0, shown: 0, is_seen };
        match form {
            Form::Json => listing.out.write_all(head.document.as_bytes())?,
            Form::Csv => listing.values(head.names.into_iter().map(Some).collect())?,
            Form::Table | Form::JsonLines => {}
        }
        Ok(listing)
    }

    pub fn row(&mut self, row: &dyn Row) -> io::Result<()> {
        match self.form {
            Form::Table => {
                self.table.cells(row.cells());
                self.waiting += 1;
                if self.waiting.is_multiple_of(PAGE) {
                    self.table.write(self.out)?;
                }
            }
            Form::Json => {
                let before = if self.shown == 0 { "\n" } else { ",\n" };
                write!(self.out, "{before}{}", row.object())?;
            }
            Form::JsonLines => writeln!(self.out, "{}", row.line())?,
            Form::Csv => self.values(row.values())?,
        }
        self.shown += 1;
        Ok(())
    }

    fn values(&mut self, values: Vec<Option<String>>) -> io::Result<()> {
        let shown = |value: String| if self.is_seen { clean(&value) } else { value };
        let values: Vec<_> = values.into_iter().map(|value| value.map(shown)).collect();
        csv::write_row(self.out, values.iter().map(Option::as_deref))
    }

    /// Says how many there were, of what is called so, and whether there are more.
    pub fn end(mut self, more: bool, (one, many): (&str, &str)) -> io::Result<()> {
        match self.form {
            Form::Table => {
                self.table.write(self.out)?;
                let more = if more { " shown, there are more" } else { "" };
                writeln!(self.out, "{}", Styled(DIM, format!("{}{more}", counted(self.shown, one, many))))
            }
            Form::Json => writeln!(self.out, "],\"count\":{},\"more\":{more}}}", self.shown),
            Form::JsonLines | Form::Csv => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{style::PLAIN, table::Left};
    use serde_json::json;

    struct Pair(&'static str, u64);

    impl Row for Pair {
        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }

        fn object(&self) -> Json {
            json!({ "name": self.0, "count": self.1 })
        }

        fn values(&self) -> Vec<Option<String>> {
            vec![Some(self.0.to_owned()), Some(self.1.to_string())]
        }
    }

    fn written(form: Form, rows: &[Pair], more: bool) -> String {
        let mut out = Vec::new();
        let columns = [("name", Left, PLAIN), ("count", Left, PLAIN)];
        let names = columns.map(|(name, ..)| name.to_owned()).to_vec();
        let head = Head { document: r#"{"all":["#.to_owned(), table: Table::new(0, columns), names };
        let mut listing = Listing::begin(&mut out, form, head).unwrap();
        rows.iter().for_each(|row| listing.row(row).unwrap());
        listing.end(more, ("row", "rows")).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    }

    #[test]
    fn rows_have_four_forms() {
        let rows = || vec![Pair("a", 1), Pair("b,c", 20)];
        assert_eq!(
            written(Form::Table, &rows(), true),
            "name  count\na     1\nb,c   20\n2 rows shown, there are more\n"
        );
        assert_eq!(
            written(Form::JsonLines, &rows(), true),
            "{\"count\":1,\"name\":\"a\"}\n{\"count\":20,\"name\":\"b,c\"}\n"
        );
        assert_eq!(written(Form::Csv, &rows(), true), "name,count\r\na,1\r\n\"b,c\",20\r\n");
        let document: Json = serde_json::from_str(&written(Form::Json, &rows(), true)).unwrap();
        assert_eq!(document["all"][1], json!({ "name": "b,c", "count": 20 }));
        assert_eq!((&document["count"], &document["more"]), (&json!(2), &json!(true)));
        assert_eq!(written(Form::Json, &[], false), "{\"all\":[],\"count\":0,\"more\":false}\n");
        assert_eq!(written(Form::Table, &[], false), "name  count\n0 rows\n");
    }
}
