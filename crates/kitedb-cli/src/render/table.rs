//! Aligned columns. Rows can be written page by page: a column keeps at least the width it has had.

use super::style::{DIM, PLAIN};
use anstyle::Style;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// On which side of a column its text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

pub use Align::{Left, Right};

struct Column {
    head: String,
    align: Align,
    style: Style,
    width: usize,
}

/// Rows that wait to be written, and the columns they stand in.
pub struct Table {
    indent: usize,
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    head_is_due: bool,
}

impl Table {
    /// A table of the columns given as head, side and style. Without any head there is no line of heads.
    pub fn new<const N: usize>(indent: usize, columns: [(&'static str, Align, Style); N]) -> Self {
        Self::of(indent, columns.map(|(head, align, style)| (head.to_owned(), align, style)).into())
    }

    /// As [`Table::new`], of as many columns as there are.
    pub fn of(indent: usize, columns: Vec<(String, Align, Style)>) -> Self {
        let head_is_due = columns.iter().any(|(head, ..)| !head.is_empty());
        let column = |(head, align, style): (String, Align, Style)| Column { width: head.width(), head, align, style };
        Self { indent, columns: columns.into_iter().map(column).collect(), rows: Vec::new(), head_is_due }
    }

    /// Names and what they stand for, without heads.
    pub fn fields(indent: usize) -> Self {
        Self::new(indent, [("", Left, DIM), ("", Left, PLAIN)])
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) -> &mut Self {
        self.cells(cells.into())
    }

    /// As [`Table::row`], of a table that was made by [`Table::of`].
    pub fn cells(&mut self, cells: Vec<String>) -> &mut Self {
        self.rows.push(cells);
        self
    }

    /// A row of [`Table::fields`].
    pub fn field(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.row([name.to_owned(), value.to_string()])
    }

    /// Writes the waiting rows, the first time under the heads.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        for row in &self.rows {
            for (column, cell) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(visible_width(cell));
            }
        }
        if std::mem::take(&mut self.head_is_due) {
            let heads: Vec<_> = self.columns.iter().map(|column| (column, column.head.as_str(), DIM)).collect();
            write_line(out, self.indent, &heads)?;
        }
        for row in self.rows.drain(..) {
            let cells: Vec<_> =
                self.columns.iter().zip(&row).map(|(column, cell)| (column, cell.as_str(), column.style)).collect();
            write_line(out, self.indent, &cells)?;
        }
        Ok(())
    }
}

/// The columns that a text takes up on a terminal: styles in it take none.
fn visible_width(text: &str) -> usize {
    if text.contains('\x1b') { anstream::adapter::strip_str(text).to_string().width() } else { text.width() }
}

fn write_line(out: &mut dyn Write, indent: usize, cells: &[(&Column, &str, Style)]) -> io::Result<()> {
    write!(out, "{:indent$}", "")?;
    let last = cells.iter().rposition(|(_, text, _)| !text.is_empty()).unwrap_or(0);
    let mut gap = 0;
    for (at, (column, text, style)) in cells.iter().enumerate().take(last + 1) {
        let pad = column.width - visible_width(text);
        match column.align {
            Left => write!(out, "{:gap$}{style}{text}{style:#}", "")?,
            Right => write!(out, "{:before$}{style}{text}{style:#}", "", before = gap + pad)?,
        }
        gap = 2 + if column.align == Left { pad } else { 0 };
        if at == last {
            break;
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &mut Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let mut table = Table::new(2, [("name", Left, PLAIN), ("count", Right, PLAIN), ("", Left, PLAIN)]);
        table.row(["漢字".into(), "1".into(), "x".into()]).row(["abcdef".into(), "1,000,000".into(), String::new()]);
        let plain = anstream::adapter::strip_str(&text(&mut table)).to_string();
        assert_eq!(plain, "  name        count\n  漢字            1  x\n  abcdef  1,000,000\n");
    }

    #[test]
    fn a_style_within_a_cell_takes_no_room() {
        let mut table = Table::new(0, [("", Left, PLAIN), ("", Left, PLAIN)]);
        table.row([crate::render::style::Styled(DIM, "ab").to_string(), "1".into()]).row(["abc".into(), "2".into()]);
        assert_eq!(anstream::adapter::strip_str(&text(&mut table)).to_string(), "ab   1\nabc  2\n");
    }

    #[test]
    fn a_second_page_has_no_heads_and_the_same_columns() {
        let mut table = Table::new(0, [("a", Left, PLAIN), ("b", Left, PLAIN)]);
        table.row(["long one".into(), "1".into()]);
        text(&mut table);
        table.row(["two".into(), "2".into()]);
        assert_eq!(text(&mut table), "two       2\n");
        assert_eq!(text(&mut table), "");
    }
}
