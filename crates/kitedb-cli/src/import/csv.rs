//! Tables: the header decides whether rows are nodes or edges, and what of their cells becomes of them.

use super::{
    Item, Visit,
    columns::{Columns, Rows},
    notes::Seen,
    number::{NoNumber, Number},
    rows::{self, Row},
};
use crate::{
    failure::Failure,
    render::{number::counted, style::clean},
};
use std::io::{self, BufRead};

/// How a table is read.
#[derive(Default)]
pub struct Table {
    pub delimiter: u8,
    pub rows: Rows,
    /// The columns, where they are given in place of the header.
    pub columns: Option<Vec<String>>,
    /// Whether the first row is data.
    pub no_header: bool,
}

/// Calls `visit` with every row of the table in `reader`, once `accept` took its columns. Returns what whoever imports it
/// is to know.
pub fn read(
    reader: impl BufRead,
    table: &Table,
    failed: impl Fn(&io::Error) -> Failure,
    accept: impl Fn(&Columns) -> Result<(), Failure>,
    visit: Visit<'_>,
) -> Result<Vec<String>, Failure> {
    let bad = |what: String| failed(&io::Error::new(io::ErrorKind::InvalidData, clean(&what)));
    let mut notes = Vec::new();
    let mut columns = table.given().transpose().map_err(|what| bad(format!("--columns: {what}")))?;
    if let Some(columns) = &columns {
        accept(columns)?;
    }
    let mut stayed = columns.as_ref().map_or_else(Vec::new, no_cells);
    let mut at_header = !table.no_header;
    rows::each(reader, table.delimiter.into(), &failed, |(line, to), row| {
        if std::mem::take(&mut at_header) {
            // A table that cannot be understood has no good rows to go on with.
            let bad = |what: String| bad(format!("line {line}: {what}"));
            let header = row.map_err(bad)?;
            if let Some(columns) = &columns {
                notes.push(replaced(header, columns, table.delimiter).map_err(bad)?);
                return Ok(());
            }
            let read = Columns::from_header(header, table.rows).map_err(bad)?;
            accept(&read)?;
            stayed = no_cells(&read);
            columns = Some(read);
            return Ok(());
        }
        let Some(columns) = &columns else { return Ok(()) };
        let element = row.and_then(|row| {
            columns.element(row, |column, cell| {
                if let Some(stayed) = stayed.get_mut(column) {
                    stayed.note(line, cell);
                }
            })
        });
        visit(Item { line, to, element })
    })?;
    let Some(columns) = columns else { return Err(bad("it is empty: a table begins with a header".to_owned())) };
    let mut spaces: Vec<_> = columns.spaces().map(|space| format!("`{space:.64}:`")).collect();
    spaces.dedup();
    if !columns.are_nodes() && !spaces.is_empty() {
        notes.push(format!(
            "keys have the space of their column before them ({}): tables of these nodes have it in their header, too \
             (`:ID(Space)`), or are imported with --key-prefix",
            spaces.join(", ")
        ));
    }
    notes.extend(told(&columns, &stayed));
    Ok(notes)
}

fn no_cells(columns: &Columns) -> Vec<Seen> {
    vec![Seen::default(); columns.properties().len()]
}

impl Table {
    fn given(&self) -> Option<Result<Columns, String>> {
        let names: Vec<_> = self.columns.as_ref()?.iter().map(String::as_str).collect();
        Some(Columns::named(&names, self.rows))
    }
}

/// What is said of a header that other columns replace. One that looks like data is not passed over.
fn replaced(header: &Row, columns: &Columns, delimiter: u8) -> Result<String, String> {
    if header.len() != columns.count() {
        return Err(format!("{} columns, but --columns gives {}", header.len(), columns.count()));
    }
    if let Some(cell) = header.iter().find(|cell| cell.is_empty() || Number::read(cell) != Err(NoNumber::Other)) {
        return Err(format!(
            "--columns would replace this row as the header, and `{cell:.40}` is no name of a column: pass --no-header if it is data"
        ));
    }
    let shown = header.iter().collect::<Vec<_>>().join(&char::from(delimiter).to_string());
    Ok(format!(
        "the first row, `{shown:.64}`, was taken as the header that --columns replaces: pass --no-header if it is data"
    ))
}

/// What is said of cells that look like numbers, and stayed text.
fn told(columns: &Columns, stayed: &[Seen]) -> Option<String> {
    const SHOWN: usize = 4;
    let seen = columns.properties().iter().zip(stayed).filter(|(_, stayed)| stayed.times > 0);
    let seen: Vec<_> = seen.map(|(property, stayed)| (&property.name, stayed)).collect();
    let (first, _) = seen.first()?;
    let cells = seen.iter().map(|(_, stayed)| stayed.times).sum();
    let places: Vec<_> =
        seen.iter().take(SHOWN).map(|(name, stayed)| format!("`{name:.64}` ({})", stayed.place())).collect();
    let more = seen.len() - places.len();
    let more = if more > 0 { format!(" and {}", counted(more as u64, "more", "more")) } else { String::new() };
    Some(format!(
        "{} stayed text, because a number would print otherwise: in {}{more}; a column that is named `{first:.64}:float` or `:int` \
         has numbers",
        counted(cells, "cell that looks like a number", "cells that look like numbers"),
        places.join(", ")
    ))
}
