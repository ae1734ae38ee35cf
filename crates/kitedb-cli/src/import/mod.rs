//! Import: from the text of a file to elements of a graph. The parsers are pure; [`sink::Sink`] alone writes.

pub mod cell;
pub mod columns;
pub mod csv;
pub mod edgelist;
pub mod envelope;
mod json;
pub mod jsonl;
mod kind;
mod lines;
pub mod notes;
pub mod number;
pub mod progress;
mod python;
mod rows;
pub mod sink;
pub mod tally;
pub mod write;

use crate::{failure::Failure, render::number::count};
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

    /// As it is, with that text before every key.
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        fn put(key: &mut Cow<'_, str>, prefix: &str) {
            key.to_mut().insert_str(0, prefix);
        }
        match &mut self {
            Self::Name { .. } => {}
            Self::Node { key, .. } => key.iter_mut().for_each(|key| put(key, prefix)),
            Self::Edge { src, dst, .. } => {
                [src, dst].into_iter().filter_map(End::key_mut).for_each(|key| put(key, prefix))
            }
        }
        self
    }

    /// The same, of which nothing is borrowed from the input.
    pub fn into_owned(self) -> Element<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let own_names = |props: Props<'_>| props.into_iter().map(|(name, value)| (own(name), value)).collect();
        match self {
            Self::Name { kind, id, name } => Element::Name { kind, id, name: own(name) },
            Self::Node { id, key, labels, props, vectors } => Element::Node {
                id,
                key: key.map(own),
                labels: labels.into_iter().map(own).collect(),
                props: own_names(props),
                vectors: vectors.into_iter().map(|(name, vector)| (own(name), vector)).collect(),
            },
            Self::Edge { src, dst, ty, rank, props } => Element::Edge {
                src: src.into_owned(),
                dst: dst.into_owned(),
                ty: ty.map(own),
                rank,
                props: own_names(props),
            },
        }
    }

    /// How many bytes it takes in a commit at most.
    pub fn size(&self) -> usize {
        /// Ids and lengths of one operation.
        const HEAD: usize = 64;
        let text = |text: &Cow<'_, str>| HEAD + text.len();
        let props_size =
            |props: &Props<'_>| props.iter().map(|(name, value)| text(name) + size_of_value(value)).sum::<usize>();
        HEAD + match self {
            Self::Name { name, .. } => text(name),
            Self::Node { key, labels, props, vectors, .. } => {
                let vectors: usize = vectors.iter().map(|(name, vector)| text(name) + 4 * vector.len()).sum();
                key.as_ref().map_or(0, text) + labels.iter().map(text).sum::<usize>() + props_size(props) + vectors
            }
            Self::Edge { src, dst, ty, props, .. } => {
                let key = |end: &End<'_>| if let End::Key(key) = end { text(key) } else { 0 };
                key(src) + key(dst) + ty.as_ref().map_or(0, text) + props_size(props)
            }
        }
    }
}

/// How many bytes a value takes in storage at most.
pub fn size_of_value(value: &Value) -> usize {
    /// More than a number, a length or a time takes; with the name of its zone, a time has more.
    const PART: usize = 40;
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::String(text) => PART + text.len(),
        Value::Bytes(bytes) => PART + bytes.len(),
        Value::Vector(vector) => PART + 4 * vector.len(),
        Value::List(items) => PART + items.iter().map(size_of_value).sum::<usize>(),
        Value::Map(map) => {
            PART + map.iter().map(|(name, value)| PART + name.len() + size_of_value(value)).sum::<usize>()
        }
        Value::DateTime(_) => PART + 255,
        _ => PART,
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

impl<'a> End<'a> {
    fn key_mut(&mut self) -> Option<&mut Cow<'a, str>> {
        match self {
            Self::Key(key) => Some(key),
            Self::Id(_) => None,
        }
    }

    fn into_owned(self) -> End<'static> {
        match self {
            Self::Key(key) => End::Key(Cow::Owned(key.into_owned())),
            Self::Id(id) => End::Id(id),
        }
    }

    /// Its key, if that names it.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) => Some(key),
            Self::Id(_) => None,
        }
    }

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
    /// The line on which it ends.
    pub to: u64,
    pub element: Result<Element<'a>, String>,
}

/// The value that a JSON text stands for, by the rules of JSON Lines; `what` names it where it stands for none.
pub fn value_of_json(json: &str, what: &str) -> Result<Value, String> {
    if json.trim().contains('\n') {
        return Err(format!("{what} is JSON of more than one line"));
    }
    let mut text = json::Text::new(json.trim().as_bytes());
    let read = |text: &mut json::Text<&[u8]>| {
        text.next_line()?;
        let value = text.value()?;
        text.end_line().map(|()| value)
    };
    read(&mut text).map_err(|fault| match fault {
        json::Fault::Value { .. } => fault.within(what).to_string(),
        fault => format!("{what} is {fault}"),
    })
}

/// Takes the items of a file in order; an error ends the reading.
pub type Visit<'v> = &'v mut dyn FnMut(Item<'_>) -> Result<(), Failure>;

/// No line of text (and no row of a table) is longer than this: a file without line ends must not fill the memory.
pub const MAX_LINE: usize = 16 << 20;

/// A value takes up to 64 MiB in a database; as JSON (local date-times of three bytes each, say) up to fifteen times as much.
/// Such a line is read as it comes, and never in memory as a whole.
pub const MAX_JSON_LINE: usize = 1 << 30;

/// So many values are in one cell or one dictionary at most: each takes up many times what it does in the file.
const MAX_ITEMS: usize = 1 << 20;

fn too_many() -> String {
    format!("a list of more than {} values", count(MAX_ITEMS as u64))
}

fn too_long(limit: usize) -> String {
    format!("longer than {} MiB", limit >> 20)
}

/// A rank that is none.
fn no_rank(given: impl std::fmt::Display) -> String {
    format!("the rank is {given}: give a whole number between 0 and {MAX_RANK}, or leave it out")
}

#[cfg(test)]
mod fuzz;
