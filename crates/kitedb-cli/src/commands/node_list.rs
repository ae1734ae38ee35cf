//! Nodes as a list: those that are meant, in an order, each as a row.

use super::{
    pace::{Pace, each},
    rows::{NodeRow, Told},
};
use crate::{
    cli::NodeListArgs,
    failure::Outcome,
    render::listing::{Form, Listing},
    select::{filter::NodeFilter, sorted::Sorted},
};
use kitedb_core::{GraphRead, NodeId, NodeRef, Result, Value, View};
use std::io::Write;

/// A node, and what the list says of it before.
pub type Listed<'v> = (NodeRef<'v>, Option<Value>);

/// What a list takes its nodes from, again where it is read twice; whether there are more.
pub type Nodes<'n, 'v> = dyn FnMut(&mut dyn FnMut(Listed<'v>) -> Outcome) -> Outcome<bool> + 'n;

pub struct NodeList<'a> {
    pub view: &'a View,
    pub told: Told,
    pub form: Form,
    /// The beginning of a document, up to its list.
    pub document: String,
    /// What each row has before its node.
    pub before: Option<&'static str>,
    pub nouns: (&'static str, &'static str),
}

impl<'a> NodeList<'a> {
    pub fn write(mut self, nodes: &mut Nodes<'_, 'a>, out: &mut dyn Write) -> Outcome {
        if self.form == Form::Csv && matches!(self.told, Told::All(_)) {
            // The columns are known once all is seen.
            let told = &mut self.told;
            nodes(&mut |(node, _)| Ok(told.gather(node.named_props()?.map(|prop| Ok(prop?.0.to_string())))?))?;
        }
        let Self { view, told, form, .. } = &self;
        let mut listing = Listing::begin(out, *form, NodeRow::head(self.document.clone(), told, self.before))?;
        let has_vectors = *form == Form::JsonLines && view.count_vectors() > 0;
        let more = nodes(&mut |(node, value)| {
            let row = NodeRow::read(&node, told, self.before.zip(value))?;
            let row = if has_vectors { row.with_vectors(&node, view)? } else { row };
            Ok(listing.row(&row)?)
        })?;
        Ok(listing.end(more, self.nouns)?)
    }
}

/// Calls `give` with the nodes of `scan`, each with what the list says of it before, that the filter holds for: in the order that is
/// asked for, or else as they come. Whether there are more than are asked for.
pub fn in_order<'v>(
    scan: impl Iterator<Item = Result<Listed<'v>>>,
    filter: &NodeFilter<'_>,
    (view, list, memory): (&'v View, &NodeListArgs, usize),
    pace: &mut Pace<'_>,
    give: &mut dyn FnMut(Listed<'v>) -> Outcome,
) -> Outcome<bool> {
    let holds = |(node, _): &Listed<'v>| filter.holds(node);
    let Some(field) = &list.sort else { return each(scan, holds, pace, list.limit, give) };
    let mut sorted = Sorted::new(list.desc, list.limit, memory);
    each(scan, holds, pace, None, |(node, before)| -> Outcome {
        let place = field.of_node(&node)?;
        Ok(sorted.put(place, Element { id: node.id(), before })?)
    })?;
    let (order, more) = sorted.into_order();
    for (_, Element { id, before }) in order {
        pace.step()?;
        if let Some(node) = view.node(id)? {
            give((node, before))?;
        }
    }
    Ok(more)
}

/// A node among others, by its id.
struct Element {
    id: NodeId,
    before: Option<Value>,
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(&other.id)
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Element {}
