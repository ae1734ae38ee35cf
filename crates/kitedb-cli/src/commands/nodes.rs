//! `kitedb nodes`: the nodes that are meant.

use super::{
    node_list::{NodeList, in_order},
    open_to_read,
    pace::Pace,
    rows::Told,
    tell_unknown, whole,
};
use crate::{
    cli::NodesArgs,
    failure::Outcome,
    select::{
        condition::Condition,
        field::Field,
        filter::{NodeFilter, unknown},
    },
    watched::Watched,
};
use kitedb_core::Database;
use std::io::Write;

pub fn run(args: &NodesArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.common)?;
    let shown = list(args, &database, out);
    whole(&database, shown, out)
}

fn list(args: &NodesArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let (form, list) = (args.list.form.form(&args.common), &args.list);
    let view = database.snapshot()?;
    let watched = Watched::begin(|| {})?;
    let mut pace = Pace::new(watched.watch(), args.cost.timeout_ms);
    let filter =
        NodeFilter { labels: &args.labels, key_prefix: args.key_prefix.as_deref(), conditions: &list.conditions };
    let told = Told::of(&list.show, form);
    let asked = list.conditions.iter().filter_map(Condition::property).chain(told.properties());
    let asked = asked.chain(list.sort.as_ref().and_then(Field::property));
    tell_unknown(form, &unknown(&view, &args.labels, [], asked));
    let document = r#"{"nodes":["#.to_owned();
    NodeList { view: &view, told, form, document, before: None, nouns: ("node", "nodes") }.write(
        &mut |give| {
            let scan = filter.scan(&view)?.map(|node| Ok((node?, None)));
            in_order(scan, &filter, (&view, list, args.cost.memory()), &mut pace, give)
        },
        out,
    )
}
