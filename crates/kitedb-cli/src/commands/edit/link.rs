//! `kitedb link` and `kitedb unlink`: edges.

use super::{
    Plan,
    assignment::Assignment,
    change::{Change, Named},
    edit, find, find_edges,
};
use crate::{
    cli::{LinkArgs, UnlinkArgs},
    failure::{Failure, Outcome},
    render::{number::counted, style::clean},
};
use kitedb_core::{ErrorCode, Graph, GraphRead};
use std::io::Write;

pub fn link(args: &LinkArgs, out: &mut dyn Write) -> Outcome {
    let props = Assignment::all(&args.props).map_err(|what| {
        Failure::usage(clean(&what)).literal_hint("as `kitedb link DB ada KNOWS charles since=1833`")
    })?;
    let props: Vec<_> = props.into_iter().map(|one| (one.name, one.value)).collect();
    edit(
        &args.edit,
        |graph| {
            let mut changes = Vec::new();
            let mut end = |key: &str| -> Outcome<Named> {
                let is_planned = |changes: &[Change]| {
                    changes.iter().any(|change| matches!(change, Change::CreateNode { key: other } if other == key))
                };
                if args.create && graph.node_by_key(key)?.is_none() {
                    if !is_planned(&changes) {
                        changes.push(Change::CreateNode { key: key.to_owned() });
                    }
                    return Ok(Named { id: None, key: Some(key.to_owned()) });
                }
                let found = find(graph, &args.edit, key);
                Ok(found.map_err(|failure| without_node(args, failure))?.1)
            };
            let (src, dst) = (end(&args.src)?, end(&args.dst)?);
            if !args.parallel {
                require_none_there(args, graph, (&src, &dst))?;
            }
            let mut plan = Plan::of(changes);
            if graph.etype_id(&args.edge_type).is_none() {
                plan.notes.push(format!("`{}` is a new type: no edge had it before", clean(&args.edge_type)));
            }
            let (ty, parallel) = (args.edge_type.clone(), args.parallel);
            plan.changes.push(Change::CreateEdge { src, ty, dst, props, parallel });
            Ok(plan)
        },
        out,
    )
}

fn without_node(args: &LinkArgs, failure: Failure) -> Failure {
    match failure.code() {
        Some(ErrorCode::NodeNotFound) if !args.edit.id => {
            failure.literal_hint("keys are case-sensitive; --create makes the nodes that are not there")
        }
        _ => failure,
    }
}

fn require_none_there(args: &LinkArgs, graph: &dyn Graph, (src, dst): (&Named, &Named)) -> Outcome {
    let (Some(src), Some(dst)) = (src.id, dst.id) else { return Ok(()) };
    if graph.edge_between(src, &args.edge_type, dst)?.is_none() {
        return Ok(());
    }
    let what = format_args!("an edge of type `{}` leads there already", clean(&args.edge_type));
    Err(Failure::new(what)
        .of(ErrorCode::EdgeExists)
        .hint("`kitedb set DB --edge SRC TYPE DST NAME=VALUE` changes its properties; --parallel adds one more"))
}

pub fn unlink(args: &UnlinkArgs, out: &mut dyn Write) -> Outcome {
    edit(
        &args.edit,
        |graph| {
            let edges = find_edges(graph, &args.edit, [&args.src, &args.edge_type, &args.dst], args.rank)?;
            let needs_yes = (edges.len() > 1 && !args.yes).then(|| {
                let ranks = edges.iter().map(|edge| edge.edge.rank.to_string()).collect::<Vec<_>>().join(", ");
                let many = counted(edges.len() as u64, "edge", "edges");
                format!(
                    "this would delete {many} of type `{}`, of the ranks {ranks} (--rank means one of them)",
                    clean(&args.edge_type)
                )
            });
            let fields = [("deleted_nodes".to_owned(), 0.into()), ("deleted_edges".to_owned(), edges.len().into())];
            let changes = edges.into_iter().map(Change::DeleteEdge).collect();
            Ok(Plan { changes, fields: fields.into_iter().collect(), needs_yes, ..Plan::default() })
        },
        out,
    )
}
