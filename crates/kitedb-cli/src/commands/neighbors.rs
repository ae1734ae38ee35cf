//! `kitedb neighbors`: the nodes around a node, a row for each edge.

use super::{
    find_node, node_name, open_to_read,
    pace::{Pace, each},
    reach::Around,
    rows::{Told, colons, joined, separated},
    tell_unknown, whole,
};
use crate::{
    cli::NeighborsArgs,
    failure::Outcome,
    render::{
        listing::{Head, Listing, Row},
        style::{ACCENT, DIM, PLAIN, clean},
        table::{Left, Table},
        value,
    },
    select::{
        condition::Condition,
        field::Field,
        filter::{NodeFilter, edges_at, unknown},
        sorted::Sorted,
    },
    watched::Watched,
};
use kitedb_core::{
    Database, Direction, EdgeKey, EdgeRef, GraphRead, NodeId, Result, Value, View, json,
    query::{Steps, Way},
};
use serde_json::{Map, Value as Json, json as object};
use std::io::Write;

pub fn run(args: &NeighborsArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.node.common)?;
    let shown = find(args, &database, out);
    whole(&database, shown, out)
}

fn find(args: &NeighborsArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let view = database.snapshot()?;
    let node = find_node(&view, &args.node)?;
    let form = args.list.form.form(&args.node.common);
    let (way, name) = match (args.both, args.incoming) {
        (true, _) => (Way::Both, "both"),
        (false, true) => (Way::In, "in"),
        (false, false) => (Way::Out, "out"),
    };
    let told = object!({ "id": node.0, "key": view.node_key(node)? });
    let document = format!("{{\"node\":{told},\"direction\":\"{name}\",\"neighbors\":[");
    let nouns = ("neighbor", "neighbors");
    if let Some(depth) = args.depth {
        let steps = args.edge_types.iter().fold(Steps::new(way), |steps, ty| steps.of_type(ty));
        let (list, cost, types) = (&args.list, &args.cost, args.edge_types.as_slice());
        return Around { view: &view, start: node, steps, types, depth, list, cost, form, document, nouns }.show(out);
    }
    let watched = Watched::begin(|| {})?;
    let mut pace = Pace::new(watched.watch(), args.cost.timeout_ms);
    let told = Told::of(&args.list.show, form);
    let shown = told.fields();
    let asked = args.list.conditions.iter().filter_map(Condition::property);
    let asked =
        asked.chain(args.list.sort.as_ref().and_then(Field::property)).chain(shown.iter().filter_map(Field::property));
    tell_unknown(form, &unknown(&view, [], &args.edge_types, asked));
    let mut listing = Listing::begin(out, form, head(document, shown))?;
    let question = Question { args, view: &view, node, way };
    let more = question
        .ask(&mut pace, &mut |direction, edge| Ok(listing.row(&Neighbor::read(direction, edge, shown, way)?)?))?;
    Ok(listing.end(more, nouns)?)
}

struct Question<'a> {
    args: &'a NeighborsArgs,
    view: &'a View,
    node: NodeId,
    way: Way,
}

/// What takes an edge, and from which of its ends it is seen.
type Give<'g> = dyn FnMut(Direction, &EdgeRef<'_>) -> Outcome + 'g;

impl Question<'_> {
    /// Calls `give` with the edges that are meant, in the order that is asked for, or else those that go out first, each by type,
    /// other end and rank. Whether there are more.
    fn ask(&self, pace: &mut Pace<'_>, give: &mut Give<'_>) -> Outcome<bool> {
        let Self { args, view, node, way } = *self;
        let list = &args.list;
        let filter = NodeFilter { labels: &[], key_prefix: None, conditions: &list.conditions };
        let mut scans = Vec::new();
        if way != Way::In {
            scans.push((Direction::Out, edges_at(view, node, Direction::Out, &args.edge_types)?));
        }
        if way != Way::Out {
            scans.push((Direction::In, edges_at(view, node, Direction::In, &args.edge_types)?));
        }
        let seen = scans.into_iter().flat_map(|(direction, scan)| scan.map(move |edge| Ok((direction, edge?))));
        // A loop is one neighbour, however it is gone.
        let is_told = |direction: Direction, edge: EdgeKey| {
            way != Way::Both || direction == Direction::Out || edge.src != edge.dst
        };
        let holds = |(direction, edge): &(Direction, EdgeRef<'_>)| {
            Ok(is_told(*direction, edge.key()) && (filter.is_all() || filter.holds(&edge.other_node())?))
        };
        let Some(field) = &list.sort else {
            return each(seen, holds, pace, list.limit, |(direction, edge)| give(direction, &edge));
        };
        let mut sorted = Sorted::new(list.desc, list.limit, args.cost.memory());
        each(seen, holds, pace, None, |(direction, edge)| -> Outcome {
            Ok(sorted.put(field.of_node(&edge.other_node())?, (direction == Direction::In, edge.key()))?)
        })?;
        let (order, more) = sorted.into_order();
        for (_, (is_in, key)) in order {
            pace.step()?;
            let direction = if is_in { Direction::In } else { Direction::Out };
            if let Some(edge) = view.edge(key)? {
                give(direction, &edge)?;
            }
        }
        Ok(more)
    }
}

fn head(document: String, shown: &[Field]) -> Head {
    let mut columns = vec![("", Left, DIM), ("", Left, ACCENT), ("", Left, PLAIN), ("", Left, DIM), ("", Left, DIM)]
        .into_iter()
        .map(|(head, align, style)| (String::from(head), align, style))
        .collect::<Vec<_>>();
    if !shown.is_empty() {
        for (column, head) in columns.iter_mut().zip(["", "type", "key", "labels", "edge"]) {
            head.clone_into(&mut column.0);
        }
    }
    columns.extend(shown.iter().map(|field| (clean(&field.to_string()), Left, PLAIN)));
    let names = ["direction", "type", "rank", "id", "key", "labels", "edge"].map(str::to_owned).into_iter();
    let names = names.chain(shown.iter().map(Field::to_string)).collect();
    Head { document, table: Table::of(0, columns), names }
}

struct Neighbor<'f> {
    /// Where it is asked for either way.
    direction: Option<Direction>,
    seen_from: Direction,
    id: NodeId,
    key: Option<String>,
    labels: Vec<String>,
    edge_type: String,
    rank: u64,
    props: Vec<(String, Value)>,
    shown: Vec<(&'f Field, Option<Value>)>,
}

impl<'f> Neighbor<'f> {
    fn read(direction: Direction, edge: &EdgeRef<'_>, shown: &'f [Field], way: Way) -> Result<Self> {
        let id = edge.key().ends(direction).1;
        let node = if id == edge.dst() { edge.dst_node() } else { edge.src_node() };
        let mut props = Vec::new();
        for prop in edge.named_props()? {
            let (name, value) = prop?;
            props.push((name.to_string(), value.to_value()));
        }
        props.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self {
            direction: (way == Way::Both).then_some(direction),
            seen_from: direction,
            id,
            key: node.key()?.map(str::to_owned),
            labels: node.label_names()?.iter().map(ToString::to_string).collect(),
            edge_type: edge.type_name()?.to_string(),
            rank: edge.rank(),
            props,
            shown: shown.iter().map(|field| Ok((field, field.of_node(&node)?))).collect::<Result<_>>()?,
        })
    }
}

fn name_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Out => "out",
        Direction::In => "in",
    }
}

impl Row for Neighbor<'_> {
    fn cells(&self) -> Vec<String> {
        let arrow = match self.seen_from {
            Direction::Out => "→",
            Direction::In => "←",
        };
        let mut cells = vec![
            arrow.to_owned(),
            clean(&self.edge_type),
            node_name(self.key.as_deref(), self.id),
            colons(&self.labels),
            value::line(&self.props),
        ];
        cells.extend(self.shown.iter().map(|(_, value)| value.as_ref().map_or_else(String::new, value::text)));
        cells
    }

    fn object(&self) -> Json {
        let mut told = object!({
            "id": self.id.0,
            "key": self.key,
            "labels": self.labels,
            "type": self.edge_type,
            "props": value::json_object(&self.props),
        });
        if self.rank != 0 {
            told["rank"] = self.rank.into();
        }
        if let Some(direction) = self.direction {
            told["direction"] = name_of(direction).into();
        }
        if !self.shown.is_empty() {
            let shown = self
                .shown
                .iter()
                .map(|(field, value)| (field.to_string(), value.as_ref().map_or(Json::Null, json::to_json)));
            told["shown"] = Json::Object(shown.collect::<Map<_, _>>());
        }
        told
    }

    fn values(&self) -> Vec<Option<String>> {
        let edge = (!self.props.is_empty()).then(|| Json::Object(value::json_object(&self.props)).to_string());
        let mut values = vec![
            Some(name_of(self.seen_from).to_owned()),
            Some(self.edge_type.clone()),
            Some(self.rank.to_string()),
            Some(self.id.to_string()),
            self.key.clone(),
            joined(&self.labels),
            edge,
        ];
        values.extend(self.shown.iter().map(|(_, value)| value.as_ref().and_then(separated)));
        values
    }
}
