//! `kitedb neighbors`: the nodes around a node, page by page.

use super::{find_node, label_names, named, node_name, open_to_read, whole};
use crate::{
    cli::NeighborsArgs,
    failure::Outcome,
    render::{
        number::counted,
        style::{ACCENT, DIM, PLAIN, Styled, clean},
        table::{Left, Table},
        value,
    },
};
use kitedb_core::{AllTypes, Database, Direction, EdgeKey, GraphRead, NodeId, Result, TypeFilter, Value, View};
use serde_json::json;
use std::io::{self, Write};

const PAGE: usize = 1_000;

struct Neighbor {
    id: NodeId,
    key: Option<String>,
    labels: Vec<String>,
    edge: EdgeKey,
    edge_type: String,
    props: Vec<(String, Value)>,
}

pub fn run(args: &NeighborsArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.node.common)?;
    let shown = walk(args, &database, out);
    whole(&database, shown, out)
}

fn walk(args: &NeighborsArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let view = database.snapshot()?;
    let node = find_node(&view, &args.node)?;
    let direction = if args.incoming { Direction::In } else { Direction::Out };
    let mut walk = Walk::new(&view, node, direction, args);
    if args.node.common.json { show_json(&mut walk, out) } else { show(&mut walk, out) }
}

/// The neighbours of a node in the order of their edges, of one type or of all.
struct Walk<'v> {
    view: &'v View,
    node: NodeId,
    direction: Direction,
    types: TypeFilter<'v>,
    after: Option<EdgeKey>,
    left: u64,
    shown: u64,
    /// Whether there are neighbours past the limit.
    more: bool,
    ended: bool,
}

impl<'v> Walk<'v> {
    fn new(view: &'v View, node: NodeId, direction: Direction, args: &'v NeighborsArgs) -> Self {
        let types = args.edge_type.as_ref().map_or(AllTypes.into(), TypeFilter::from);
        let left = args.limit.unwrap_or(u64::MAX);
        Self { view, node, direction, types, after: None, left, shown: 0, more: false, ended: false }
    }

    /// The next neighbours; none at the end.
    fn page(&mut self) -> Result<Vec<Neighbor>> {
        if self.ended {
            return Ok(Vec::new());
        }
        let wanted = usize::try_from(self.left).unwrap_or(PAGE).min(PAGE);
        let page = self.view.neighbors_page(self.node, self.direction, self.types, self.after, wanted)?;
        self.left -= page.items.len() as u64;
        self.shown += page.items.len() as u64;
        self.more = page.next.is_some();
        self.ended = !self.more || self.left == 0;
        self.after = page.next;
        page.items.into_iter().map(|edge| self.neighbor(edge)).collect()
    }

    fn neighbor(&self, edge: EdgeKey) -> Result<Neighbor> {
        let id = edge.ends(self.direction).1;
        Ok(Neighbor {
            id,
            key: self.view.node_key(id)?,
            labels: label_names(self.view, id)?,
            edge,
            edge_type: self.view.etype_name(edge.ty).unwrap_or_default(),
            props: named(self.view, self.view.edge_props_by_key(edge)?),
        })
    }
}

fn show(walk: &mut Walk<'_>, out: &mut dyn Write) -> Outcome {
    let mut table =
        Table::new(0, [("", Left, DIM), ("", Left, ACCENT), ("", Left, PLAIN), ("", Left, DIM), ("", Left, DIM)]);
    let arrow = match walk.direction {
        Direction::Out => "→",
        Direction::In => "←",
    };
    loop {
        for neighbor in walk.page()? {
            table.row([
                arrow.to_owned(),
                clean(&neighbor.edge_type),
                node_name(neighbor.key.as_deref(), neighbor.id),
                neighbor.labels.iter().map(|label| format!(":{}", clean(label))).collect::<Vec<_>>().join(" "),
                value::line(&neighbor.props),
            ]);
        }
        if table.is_empty() {
            break;
        }
        table.write(out)?;
    }
    let more = if walk.more { " shown, there are more" } else { "" };
    Ok(writeln!(out, "{}", Styled(DIM, format!("{}{more}", counted(walk.shown, "neighbor", "neighbors"))))?)
}

/// One document, written as it is read: each neighbour on a line of its own.
fn show_json(walk: &mut Walk<'_>, out: &mut dyn Write) -> Outcome {
    let node = json!({ "id": walk.node.0, "key": walk.view.node_key(walk.node)? });
    let direction = if walk.direction == Direction::In { "in" } else { "out" };
    write!(out, "{{\"node\":{node},\"direction\":\"{direction}\",\"neighbors\":[")?;
    let mut before = "\n";
    loop {
        let page = walk.page()?;
        if page.is_empty() {
            break;
        }
        for neighbor in page {
            write_neighbor(out, before, &neighbor)?;
            before = ",\n";
        }
    }
    Ok(writeln!(out, "],\"count\":{},\"more\":{}}}", walk.shown, walk.more)?)
}

fn write_neighbor(out: &mut dyn Write, before: &str, neighbor: &Neighbor) -> io::Result<()> {
    let mut document = json!({
        "id": neighbor.id.0,
        "key": neighbor.key,
        "labels": neighbor.labels,
        "type": neighbor.edge_type,
        "props": value::json_object(&neighbor.props),
    });
    if neighbor.edge.rank != 0 {
        document["rank"] = neighbor.edge.rank.into();
    }
    write!(out, "{before}{document}")
}
