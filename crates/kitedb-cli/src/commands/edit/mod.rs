//! Edits by hand: what is to be changed is found out first, then shown, and done in one transaction.

mod assignment;
mod change;
pub mod delete;
pub mod label;
pub mod link;
pub mod property;

use super::{
    node_named, open_node, open_to_read, require_no_replica, require_options_of_role, require_takes_writes, whole,
    write_json,
};
use crate::{
    cli::EditArgs,
    failure::{Failure, Outcome, note},
    render::style::{DIM, Styled, clean},
};
use change::{Change, Named, NamedEdge};
use kitedb_core::{Database, EdgeKey, ErrorCode, Graph, GraphRead, NodeId, Token};
use serde_json::{Map, Value as Json, json};
use std::io::Write;

/// What an edit is to do.
#[derive(Default)]
struct Plan {
    changes: Vec<Change>,
    /// Fields of the document beside the changes.
    fields: Map<String, Json>,
    /// What is worth knowing of it: a name that is new may be one that was misspelt.
    notes: Vec<String>,
    /// Why it is not done without `--yes`, if it is not.
    needs_yes: Option<String>,
}

impl Plan {
    fn of(changes: Vec<Change>) -> Self {
        Self { changes, ..Self::default() }
    }
}

/// Does what `plan` makes of the graph, or shows it.
fn edit(args: &EditArgs, plan: impl FnOnce(&dyn Graph) -> Outcome<Plan>, out: &mut dyn Write) -> Outcome {
    if args.dry_run {
        let database = open_to_read(&args.common)?;
        let shown = require_no_replica(&database, &args.common.database)
            .and_then(|()| Ok(database.snapshot()?))
            .and_then(|view| plan(view.as_graph()));
        let shown = shown.and_then(|plan| tell(args, &plan, None, out));
        return whole(&database, shown, out);
    }
    let database = open_node(&args.common, args.log.apply(args.common.options()))?;
    let done = change(args, &database, plan);
    let closed = database.close();
    let (plan, token) = done?;
    if let (Err(error), Some(token)) = (closed, token) {
        let hint = format_args!("the change is committed ({token}), and nothing needs to be done again");
        return Err(Failure::from(error.context("the file was not brought up to date")).although(hint));
    }
    tell(args, &plan, token, out)
}

/// Plans and commits. Without anything to change there is no commit.
fn change(
    args: &EditArgs,
    database: &Database,
    plan: impl FnOnce(&dyn Graph) -> Outcome<Plan>,
) -> Outcome<(Plan, Option<Token>)> {
    require_options_of_role(&args.log, &args.common.database, database, "")?;
    require_takes_writes(database, &args.common.database)?;
    let mut tx = database.begin()?;
    let plan = plan(tx.as_graph())?;
    if let Some(what) = &plan.needs_yes {
        let refused = Failure::new(format_args!("{what}: nothing is done without --yes"));
        return Err(refused.of(ErrorCode::InvalidArgument).hint("--yes does it; --dry-run shows each change"));
    }
    if plan.changes.is_empty() {
        return Ok((plan, None));
    }
    plan.changes.iter().try_for_each(|change| change.apply(&mut tx))?;
    let token = tx.commit()?;
    Ok((plan, Some(token)))
}

fn tell(args: &EditArgs, plan: &Plan, token: Option<Token>, out: &mut dyn Write) -> Outcome {
    if args.common.json {
        let mut document = plan.fields.clone();
        document.insert("changes".to_owned(), plan.changes.iter().map(Change::object).collect());
        document.insert("dry_run".to_owned(), args.dry_run.into());
        if args.dry_run {
            document.insert("needs_yes".to_owned(), plan.needs_yes.is_some().into());
        }
        document.insert("token".to_owned(), json!(token.map(Token::full)));
        return write_json(out, &document);
    }
    for what in &plan.notes {
        note(what);
    }
    for change in &plan.changes {
        writeln!(out, "{}", change.line())?;
    }
    let said = match (plan.changes.is_empty(), args.dry_run, token) {
        (true, ..) => "nothing to change".to_owned(),
        (_, true, _) if plan.needs_yes.is_some() => "nothing was changed; without --dry-run it takes --yes".to_owned(),
        (_, true, _) => "nothing was changed".to_owned(),
        (_, _, token) => token.map_or_else(String::new, |token| format!("committed as {token}")),
    };
    Ok(writeln!(out, "{}", Styled(DIM, said))?)
}

/// The node that an argument names.
fn find(graph: &dyn Graph, args: &EditArgs, key: &str) -> Outcome<(NodeId, Named)> {
    let id = node_named(graph, key, args.id)?;
    Ok((id, Named { id: Some(id), key: graph.node_key(id)? }))
}

/// The edges of that type from one node to another, of which there is one at least; only that of `rank`, if one is said.
fn find_edges(
    graph: &dyn Graph,
    args: &EditArgs,
    [src, ty, dst]: [&str; 3],
    rank: Option<u64>,
) -> Outcome<Vec<NamedEdge>> {
    let ((src_id, src), (dst_id, dst)) = (find(graph, args, src)?, find(graph, args, dst)?);
    let mut edges: Vec<EdgeKey> = graph.edges_between(src_id, ty, dst_id)?;
    edges.retain(|edge| rank.is_none_or(|rank| edge.rank == rank));
    if edges.is_empty() {
        let [from, to] = [&src, &dst].map(|end| change::Element::Node(end.clone()).text());
        let rank = rank.map_or_else(String::new, |rank| format!(" and rank {rank}"));
        let what = format_args!("no edge of type `{}`{rank} leads from {from} to {to}", clean(ty));
        return Err(Failure::new(what)
            .of(ErrorCode::EdgeNotFound)
            .hint("`kitedb edges DB` lists what there is; types are case-sensitive, and edges have a direction"));
    }
    Ok(edges
        .into_iter()
        .map(|edge| NamedEdge { edge, src: src.clone(), ty: ty.to_owned(), dst: dst.clone() })
        .collect())
}
