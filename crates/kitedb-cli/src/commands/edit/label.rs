//! `kitedb label`: labels of a node.

use super::{
    Plan,
    change::{Change, Element},
    edit, find,
};
use crate::{
    cli::LabelArgs,
    failure::{Failure, Outcome},
    render::style::clean,
};
use kitedb_core::{ErrorCode, GraphRead};
use std::{collections::BTreeSet, io::Write};

pub fn run(args: &LabelArgs, out: &mut dyn Write) -> Outcome {
    let (add, remove): (BTreeSet<&String>, BTreeSet<&String>) =
        (args.add.iter().collect(), args.remove.iter().collect());
    if let Some(both) = add.intersection(&remove).next() {
        return Err(Failure::usage(format_args!("the label `{}` is both added and removed", clean(both))));
    }
    edit(
        &args.edit,
        |graph| {
            let (id, node) = find(graph, &args.edit, &args.key)?;
            let mut plan = Plan::default();
            for label in add {
                if !graph.node_has_label(id, label)? {
                    if graph.label_id(label).is_none() {
                        plan.notes.push(format!("`{}` is a new label: no node had it before", clean(label)));
                    }
                    plan.changes.push(Change::Label { node: node.clone(), label: label.clone(), add: true });
                }
            }
            for label in remove {
                if !graph.node_has_label(id, label)? {
                    let what = format_args!("{} has no label `{}`", Element::Node(node).text(), clean(label));
                    return Err(Failure::new(what)
                        .of(ErrorCode::UnknownName)
                        .literal_hint("nothing is changed; labels are case-sensitive"));
                }
                plan.changes.push(Change::Label { node: node.clone(), label: label.clone(), add: false });
            }
            Ok(plan)
        },
        out,
    )
}
