//! `kitedb get`: one node, whole.

use super::{find_node, label_names, named, node_name, open_to_read, whole, write_json};
use crate::{
    cli::GetArgs,
    failure::Outcome,
    render::{
        number::{count, counted},
        style::{DIM, Styled, TITLE, clean},
        table::Table,
        value,
    },
};
use kitedb_core::{AllTypes, Database, GraphRead, NodeId, Value, View};
use serde_json::json;
use std::io::{self, Write};

struct Node {
    id: NodeId,
    key: Option<String>,
    labels: Vec<String>,
    props: Vec<(String, Value)>,
    out_degree: u64,
    in_degree: u64,
}

pub fn run(args: &GetArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.common)?;
    let shown = look_up(args, &database, out);
    whole(&database, shown, out)
}

fn look_up(args: &GetArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let view = database.snapshot()?;
    let node = read(&view, find_node(&view, args)?)?;
    if args.common.json {
        return write_json(
            out,
            &json!({
                "id": node.id.0,
                "key": node.key,
                "labels": node.labels,
                "props": value::json_object(&node.props),
                "out_degree": node.out_degree,
                "in_degree": node.in_degree,
            }),
        );
    }
    Ok(show(&node, out)?)
}

fn read(view: &View, id: NodeId) -> kitedb_core::Result<Node> {
    Ok(Node {
        id,
        key: view.node_key(id)?,
        labels: label_names(view, id)?,
        props: named(view, view.node_props(id)?),
        out_degree: view.out_degree(id, AllTypes)?,
        in_degree: view.in_degree(id, AllTypes)?,
    })
}

fn show(node: &Node, out: &mut dyn Write) -> io::Result<()> {
    let labels: String = node.labels.iter().map(|label| format!(" :{}", clean(label))).collect();
    writeln!(out, "{}{}", Styled(TITLE, node_name(node.key.as_deref(), node.id)), Styled(DIM, labels))?;
    let mut table = Table::fields(2);
    for (name, property) in &node.props {
        table.field(&clean(name), value::text(property));
    }
    table.write(out)?;
    let edges =
        format!("node {}, {} out, {} in", node.id, counted(node.out_degree, "edge", "edges"), count(node.in_degree));
    writeln!(out, "  {}", Styled(DIM, edges))
}
