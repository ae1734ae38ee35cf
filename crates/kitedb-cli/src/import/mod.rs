//! Import: from the text of a file to elements of a graph. The parsers are pure; [`sink::Sink`] alone writes.

pub mod csv;
pub mod edgelist;
pub mod jsonl;
mod lines;
pub mod progress;
mod rows;
pub mod sink;

use crate::failure::Failure;
use kitedb_core::{MAX_RANK, NodeId, Value, graph::NameKind};
use std::borrow::Cow;

/// The properties of an element. A name stands once.
pub type Props<'a> = Vec<(Cow<'a, str>, Value)>;

/// The vectors of a node, by the name of the property key.
pub type Vectors<'a> = Vec<(Cow<'a, str>, Vec<f32>)>;

/// What a file names.
#[derive(Debug, PartialEq)]
pub enum Element<'a> {
    /// A name that is to have this id, as it has in the database that was exported.
    Name { kind: NameKind, id: u32, name: Cow<'a, str> },
    /// A node, by its id if it has one here, else by its key.
    Node {
        id: Option<NodeId>,
        key: Option<Cow<'a, str>>,
        labels: Vec<Cow<'a, str>>,
        props: Props<'a>,
        vectors: Vectors<'a>,
    },
    Edge {
        src: End<'a>,
        dst: End<'a>,
        ty: Option<Cow<'a, str>>,
        /// Which of several parallel edges; where the file names none, the one of the lowest rank.
        rank: Option<u64>,
        props: Props<'a>,
    },
}

impl<'a> Element<'a> {
    /// A node with a key.
    pub fn node(key: impl Into<Cow<'a, str>>, labels: Vec<Cow<'a, str>>, props: Props<'a>) -> Self {
        Self::Node { id: None, key: Some(key.into()), labels, props, vectors: Vec::new() }
    }

    /// An edge between nodes with keys, of which the file names no rank.
    pub fn edge(
        src: impl Into<Cow<'a, str>>,
        dst: impl Into<Cow<'a, str>>,
        ty: Option<Cow<'a, str>>,
        props: Props<'a>,
    ) -> Self {
        Self::Edge { src: End::Key(src.into()), dst: End::Key(dst.into()), ty, rank: None, props }
    }

    /// As it is, but of this rank if it is an edge.
    pub fn with_rank(mut self, given: Option<u64>) -> Self {
        if let Self::Edge { rank, .. } = &mut self {
            *rank = given;
        }
        self
    }
}

/// The node at an end of an edge.
#[derive(Debug, PartialEq)]
pub enum End<'a> {
    /// The one with this key, which is created if there is none.
    Key(Cow<'a, str>),
    /// The one with this id, which must be there.
    Id(NodeId),
}

impl End<'_> {
    /// Its id, if that names it.
    pub fn id(&self) -> Option<NodeId> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Key(_) => None,
        }
    }
}

/// What stands at one place of a file: an element, or what is wrong there.
pub struct Item<'a> {
    /// The line on which it begins, from 1.
    pub line: u64,
    pub element: Result<Element<'a>, String>,
}

/// Takes the items of a file in order; an error ends the reading.
pub type Visit<'v> = &'v mut dyn FnMut(Item<'_>) -> Result<(), Failure>;

/// No line of text (and no row of a table) is longer than this: a file without line ends must not fill the memory.
pub const MAX_LINE: usize = 16 << 20;

/// A value takes up to 64 MiB in a database; as JSON (dates of three bytes each, say) up to thirteen times as much.
pub const MAX_JSON_LINE: usize = 1 << 30;

fn too_long(limit: usize) -> String {
    format!("longer than {} MiB", limit >> 20)
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
