//! `kitedb top`: the nodes of the highest degree, rank or property.

use super::{
    node_list::NodeList,
    open_to_read,
    pace::{Pace, each},
    rows::Told,
    tell_unknown, whole,
};
use crate::{
    cli::{Rank, TopArgs},
    failure::Outcome,
    select::{
        condition::Condition,
        field::{Field, Own},
        filter::{NodeFilter, unknown},
        sorted::Sorted,
    },
    watched::Watched,
};
use kitedb_core::{
    Database, EdgeTypeId, GraphRead, NodeRef, Result, Value, View, Watch,
    query::{PageRank, Projection, Steps},
};
use std::io::Write;

/// How likely somebody who follows edges at random goes on from a node, as it is usual; when the ranks are told to stand still.
const DAMPING: f64 = 0.85;
const MOST_ROUNDS: usize = 100;
const TOLERANCE: f64 = 1e-9;

pub fn run(args: &TopArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.common)?;
    let shown = list(args, &database, out);
    whole(&database, shown, out)
}

fn list(args: &TopArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let form = args.form.form(&args.common);
    let by = match &args.by {
        Rank::PageRank => None,
        Rank::Field(field) => Some(field),
    };
    super::require(args.edge_types.is_empty() || by.is_none_or(is_degree), || {
        "--type says by which edges degrees and pagerank are reckoned: leave it out of a question by a property"
            .to_owned()
    })?;
    let view = database.snapshot()?;
    let watched = Watched::begin(|| {})?;
    let filter = NodeFilter { labels: &args.labels, key_prefix: None, conditions: &args.conditions };
    let told = Told::of(&args.show, form);
    let asked = args.conditions.iter().filter_map(Condition::property).chain(told.properties());
    let asked = asked.chain(by.and_then(Field::property));
    tell_unknown(form, &unknown(&view, &args.labels, &args.edge_types, asked));
    let place = Place::of(args, &view, watched.watch())?;
    let mut pace = Pace::new(watched.watch(), args.cost.timeout_ms);
    let mut sorted = Sorted::new(true, Some(args.limit), args.cost.memory());
    each(
        filter.scan(&view)?,
        |node| filter.holds(node),
        &mut pace,
        None,
        |node| -> Outcome {
            // What has no such property has no place.
            if let Some(value) = place.of_node(&node)? {
                sorted.put(Some(value), node.id())?;
            }
            Ok(())
        },
    )?;
    let (order, more) = sorted.into_order();
    let name = match by {
        None => "pagerank",
        Some(Field::Own(own)) if is_degree(&Field::Own(*own)) => "degree",
        Some(_) => "value",
    };
    let document = r#"{"nodes":["#.to_owned();
    NodeList { view: &view, told, form, document, before: Some(name), nouns: ("node", "nodes") }.write(
        &mut |give| {
            for (value, id) in &order {
                if let Some(node) = view.node(*id)? {
                    give((node, value.clone()))?;
                }
            }
            Ok(more)
        },
        out,
    )
}

fn is_degree(field: &Field) -> bool {
    matches!(field, Field::Own(Own::Degree | Own::InDegree | Own::OutDegree))
}

/// What says how high a node stands.
enum Place<'a> {
    PageRank(PageRank),
    /// The degrees of these types, out and in.
    Degree {
        types: Vec<EdgeTypeId>,
        out: bool,
        into: bool,
    },
    Field(&'a Field),
}

impl<'a> Place<'a> {
    fn of(args: &'a TopArgs, view: &View, watch: &Watch) -> Outcome<Self> {
        let field = match &args.by {
            Rank::PageRank => {
                let limits = super::limits_of(&args.cost, watch);
                let steps = args.edge_types.iter().fold(Steps::out(), |steps, ty| steps.of_type(ty));
                let graph = Projection::of(view, &steps, &limits)?;
                return Ok(Self::PageRank(graph.page_rank(DAMPING, MOST_ROUNDS, TOLERANCE, &limits)?));
            }
            Rank::Field(field) => field,
        };
        let (out, into) = match field {
            Field::Own(Own::Degree) => (true, true),
            Field::Own(Own::OutDegree) => (true, false),
            Field::Own(Own::InDegree) => (false, true),
            _ => return Ok(Self::Field(field)),
        };
        if args.edge_types.is_empty() {
            return Ok(Self::Field(field));
        }
        let mut types: Vec<_> = args.edge_types.iter().filter_map(|name| view.etype_id(name)).collect();
        types.sort_unstable();
        types.dedup();
        Ok(Self::Degree { types, out, into })
    }

    fn of_node(&self, node: &NodeRef<'_>) -> Result<Option<Value>> {
        Ok(match self {
            Self::PageRank(ranks) => ranks.rank_of(node.id()).map(Value::F64),
            Self::Field(field) => field.of_node(node)?,
            Self::Degree { types, out, into } => {
                let (graph, mut degree) = (node.graph(), 0);
                for ty in types {
                    degree += if *out { graph.out_degree(node.id(), *ty)? } else { 0 };
                    degree += if *into { graph.in_degree(node.id(), *ty)? } else { 0 };
                }
                Some(Value::I64(i64::try_from(degree).unwrap_or(i64::MAX)))
            }
        })
    }
}
