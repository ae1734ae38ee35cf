//! `kitedb reach`: the nodes that can be reached from a node.

use super::{
    find_node, limits_of,
    node_list::{NodeList, in_order},
    open_to_read,
    pace::Pace,
    rows::Told,
    steps_of, tell_unknown, whole,
};
use crate::{
    cli::{CostArgs, NodeListArgs, ReachArgs},
    failure::Outcome,
    render::listing::Form,
    select::{
        condition::Condition,
        field::Field,
        filter::{NodeFilter, unknown},
    },
    watched::Watched,
};
use kitedb_core::{
    Database, GraphRead, NodeId, Value, View,
    query::{Reach, Steps},
};
use serde_json::json;
use std::io::Write;

pub fn run(args: &ReachArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.node.common)?;
    let shown = find(args, &database, out);
    whole(&database, shown, out)
}

fn find(args: &ReachArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let view = database.snapshot()?;
    let start = find_node(&view, &args.node)?;
    let from = json!({ "id": start.0, "key": view.node_key(start)? });
    let around = Around {
        view: &view,
        start,
        steps: steps_of(&args.steps),
        types: &args.steps.edge_types,
        depth: args.depth.unwrap_or(u32::MAX),
        list: &args.list,
        cost: &args.steps.cost,
        form: args.list.form.form(&args.node.common),
        document: format!("{{\"from\":{from},\"nodes\":["),
        nouns: ("node", "nodes"),
    };
    around.show(out)
}

/// Nodes around a node, each once with how far it is.
pub struct Around<'a> {
    pub view: &'a View,
    pub start: NodeId,
    pub steps: Steps<'a>,
    pub types: &'a [String],
    pub depth: u32,
    pub list: &'a NodeListArgs,
    pub cost: &'a CostArgs,
    pub form: Form,
    pub document: String,
    pub nouns: (&'static str, &'static str),
}

impl Around<'_> {
    pub fn show(self, out: &mut dyn Write) -> Outcome {
        let Self { view, start, steps, depth, list, cost, .. } = &self;
        let watched = Watched::begin(|| {})?;
        let limits = limits_of(cost, watched.watch());
        let mut pace = Pace::new(watched.watch(), cost.timeout_ms);
        // All of them are gone through: the conditions are about what is listed.
        let filter = NodeFilter { labels: &[], key_prefix: None, conditions: &list.conditions };
        let told = Told::of(&list.show, self.form);
        let asked = list.conditions.iter().filter_map(Condition::property).chain(told.properties());
        let asked = asked.chain(list.sort.as_ref().and_then(Field::property));
        tell_unknown(self.form, &unknown(view, [], self.types, asked));
        let (form, document, nouns) = (self.form, self.document.clone(), self.nouns);
        NodeList { view, told, form, document, before: Some("depth"), nouns }.write(
            &mut |give| {
                let reach = Reach::from(*view, [*start], steps, &limits)?.depth(*depth);
                // Where it starts is no answer.
                let scan = reach.skip(1).filter_map(|reached| {
                    let found = reached.and_then(|reached| Ok((view.node(reached.node)?, reached.depth)));
                    found.map(|(node, depth)| Some((node?, Some(Value::from(depth))))).transpose()
                });
                in_order(scan, &filter, (view, list, cost.memory()), &mut pace, give)
            },
            out,
        )
    }
}
