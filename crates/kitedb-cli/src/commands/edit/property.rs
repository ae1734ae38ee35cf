//! `kitedb set` and `kitedb unset`: properties of a node or of an edge.

use super::{
    Plan,
    assignment::Assignment,
    change::{Change, Element, Named},
    edit, find, find_edges,
};
use crate::{
    cli::{EdgeArgs, EditArgs, SetArgs, UnsetArgs},
    failure::{Failure, Outcome},
    render::style::clean,
};
use kitedb_core::{ErrorCode, Graph, GraphRead, Value};
use std::io::Write;

pub fn set(args: &SetArgs, out: &mut dyn Write) -> Outcome {
    let (key, words) = subject(&args.edge, &args.words);
    let wanted = Assignment::all(words)
        .map_err(|what| Failure::usage(clean(&what)).literal_hint("as `kitedb set DB ada age=36 zip:text=01234`"))?;
    if wanted.is_empty() && !args.create {
        return Err(Failure::usage("nothing is set")
            .literal_hint("as `kitedb set DB ada age=36`; --create makes a node without any property"));
    }
    edit(&args.edit, |graph| plan_set(args, key, &wanted, graph), out)
}

fn plan_set(args: &SetArgs, key: Option<&str>, wanted: &[Assignment], graph: &dyn Graph) -> Outcome<Plan> {
    let mut changes = Vec::new();
    let of = match key {
        Some(key) if args.create && graph.node_by_key(key)?.is_none() => {
            changes.push(Change::CreateNode { key: key.to_owned() });
            Element::Node(Named { id: None, key: Some(key.to_owned()) })
        }
        _ => element(graph, &args.edit, &args.edge, key).map_err(|failure| match failure.code() {
            Some(ErrorCode::NodeNotFound) if key.is_some() && !args.edit.id => {
                failure.literal_hint("keys are case-sensitive; --create makes a node with this key")
            }
            _ => failure,
        })?,
    };
    for Assignment { name, value } in wanted {
        let before = property_of(graph, &of, name)?;
        // The same value of another kind is another one.
        if before.as_ref() != Some(value) {
            let after = Some(value.clone());
            changes.push(Change::Property { of: of.clone(), name: name.clone(), before, after });
        }
    }
    Ok(Plan::of(changes))
}

pub fn unset(args: &UnsetArgs, out: &mut dyn Write) -> Outcome {
    let (key, names) = subject(&args.edge, &args.words);
    if names.is_empty() {
        return Err(Failure::usage("no property is named").literal_hint("as `kitedb unset DB ada age`"));
    }
    edit(
        &args.edit,
        |graph| {
            let of = element(graph, &args.edit, &args.edge, key)?;
            let mut changes: Vec<Change> = Vec::new();
            for name in names {
                let before = property_of(graph, &of, name)?;
                if before.is_none() {
                    let what = format_args!("{} has no property `{}`", of.text(), clean(name));
                    return Err(Failure::new(what)
                        .of(ErrorCode::UnknownName)
                        .literal_hint("nothing is changed; names are case-sensitive"));
                }
                let is_twice = changes
                    .iter()
                    .any(|change| matches!(change, Change::Property { name: other, .. } if other == name));
                if !is_twice {
                    changes.push(Change::Property { of: of.clone(), name: name.clone(), before, after: None });
                }
            }
            Ok(Plan::of(changes))
        },
        out,
    )
}

/// The key of the node, unless an edge is meant, and the words behind it.
fn subject<'a>(edge: &EdgeArgs, words: &'a [String]) -> (Option<&'a str>, &'a [String]) {
    match words.split_first() {
        Some((key, rest)) if edge.edge.is_empty() => (Some(key), rest),
        _ => (None, words),
    }
}

/// The node with that key, or the edge that is meant.
fn element(graph: &dyn Graph, edit: &EditArgs, edge: &EdgeArgs, key: Option<&str>) -> Outcome<Element> {
    if let Some(key) = key {
        return Ok(Element::Node(find(graph, edit, key)?.1));
    }
    let [src, ty, dst] = edge.edge.as_slice() else {
        return Err(Failure::usage("--edge takes SRC TYPE DST"));
    };
    let mut edges = find_edges(graph, edit, [src, ty, dst], edge.rank)?;
    if edges.len() > 1 {
        let ranks = edges.iter().map(|edge| edge.edge.rank.to_string()).collect::<Vec<_>>().join(", ");
        let what = format_args!("{} edges of type `{}` lead there, of the ranks {ranks}", edges.len(), clean(ty));
        return Err(Failure::new(what).of(ErrorCode::InvalidArgument).literal_hint("--rank says which one is meant"));
    }
    match edges.pop() {
        Some(edge) => Ok(Element::Edge(edge)),
        None => Err(Failure::new("there is no such edge").of(ErrorCode::EdgeNotFound)),
    }
}

fn property_of(graph: &dyn Graph, of: &Element, name: &str) -> Outcome<Option<Value>> {
    Ok(match of {
        Element::Node(Named { id: Some(id), .. }) => graph.node_prop(*id, name)?,
        Element::Node(Named { id: None, .. }) => None,
        Element::Edge(edge) => graph.edge_prop_by_key(edge.edge, name)?,
    })
}
