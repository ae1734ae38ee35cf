//! Import: from the text of a file to elements of a graph. The parsers are pure; [`sink::Sink`] alone writes.

pub mod csv;
pub mod edgelist;
pub mod jsonl;
mod lines;
pub mod progress;
mod rows;
pub mod sink;

use crate::failure::Failure;
use kitedb_core::{MAX_RANK, Value};
use std::borrow::Cow;

/// The properties of an element. A name stands once.
pub type Props<'a> = Vec<(Cow<'a, str>, Value)>;

/// One node or edge as a file names it.
#[derive(Debug, PartialEq)]
pub enum Element<'a> {
    Node {
        key: Cow<'a, str>,
        labels: Vec<Cow<'a, str>>,
        props: Props<'a>,
    },
    /// `rank`: which of several parallel edges; 0 where the file names none.
    Edge {
        src: Cow<'a, str>,
        dst: Cow<'a, str>,
        ty: Option<Cow<'a, str>>,
        rank: u64,
        props: Props<'a>,
    },
}

/// What stands at one place of a file: an element, or what is wrong there.
pub struct Item<'a> {
    /// The line on which it begins, from 1.
    pub line: u64,
    pub element: Result<Element<'a>, String>,
}

/// Takes the items of a file in order; an error ends the reading.
pub type Visit<'v> = &'v mut dyn FnMut(Item<'_>) -> Result<(), Failure>;

/// No line (and no row of a table) is longer than this: a file without line ends must not fill the memory.
pub const MAX_LINE: usize = 16 << 20;

fn too_long() -> String {
    format!("longer than {} MiB", MAX_LINE >> 20)
}

/// A rank that is none.
fn no_rank(given: impl std::fmt::Display) -> String {
    format!("the rank is {given}: give a whole number between 0 and {MAX_RANK}, or leave it out")
}

/// A key, type or label with the blanks around it taken off; `what` names it if nothing is left.
fn name<'a>(text: &'a str, what: &str) -> Result<Cow<'a, str>, String> {
    match text.trim() {
        "" => Err(format!("the {what} is empty")),
        text => Ok(Cow::Borrowed(text)),
    }
}
