//! `kitedb edges`: the edges that are meant.

use super::{
    choose_edges, open_to_read,
    pace::{Pace, each},
    rows::{EdgeRow, Told},
    tell_unknown, whole,
};
use crate::{
    cli::EdgesArgs,
    failure::Outcome,
    render::listing::{Form, Listing},
    select::{
        condition::Condition,
        field::Field,
        filter::{EdgeFilter, unknown},
        sorted::Sorted,
    },
    watched::Watched,
};
use kitedb_core::{Database, EdgeRef, GraphRead, View};
use std::io::Write;

pub fn run(args: &EdgesArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.common)?;
    let shown = list(args, &database, out);
    whole(&database, shown, out)
}

fn list(args: &EdgesArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let form = args.form.form(&args.common);
    let view = database.snapshot()?;
    let filter = choose_edges(&view, &args.choice, &args.conditions)?;
    let watched = Watched::begin(|| {})?;
    let mut pace = Pace::new(watched.watch(), args.cost.timeout_ms);
    let mut told = Told::of(&args.show, form);
    let asked = args.conditions.iter().filter_map(Condition::property).chain(told.properties());
    let asked = asked.chain(args.sort.as_ref().and_then(Field::property));
    tell_unknown(form, &unknown(&view, [], &args.choice.edge_types, asked));
    if form == Form::Csv && matches!(told, Told::All(_)) {
        // The columns are known once all is seen.
        in_order(args, &view, &filter, &mut pace, &mut |edge| {
            Ok(told.gather(edge.named_props()?.map(|prop| Ok(prop?.0.to_string())))?)
        })?;
    }
    let mut listing = Listing::begin(out, form, EdgeRow::head(r#"{"edges":["#.to_owned(), &told))?;
    let more = in_order(args, &view, &filter, &mut pace, &mut |edge| Ok(listing.row(&EdgeRow::read(edge, &told)?)?))?;
    Ok(listing.end(more, ("edge", "edges"))?)
}

/// Calls `give` with the edges that are meant, in order. Whether there are more.
fn in_order(
    args: &EdgesArgs,
    view: &View,
    filter: &EdgeFilter<'_>,
    pace: &mut Pace<'_>,
    give: &mut dyn FnMut(&EdgeRef<'_>) -> Outcome,
) -> Outcome<bool> {
    let (scan, holds) = (filter.scan(view)?, |edge: &EdgeRef<'_>| filter.holds(edge));
    let Some(field) = &args.sort else { return each(scan, holds, pace, args.limit, |edge| give(&edge)) };
    let mut sorted = Sorted::new(args.desc, args.limit, args.cost.memory());
    each(scan, holds, pace, None, |edge| -> Outcome { Ok(sorted.put(field.of_edge(&edge)?, edge.key())?) })?;
    let (order, more) = sorted.into_order();
    for (_, key) in order {
        pace.step()?;
        if let Some(edge) = view.edge(key)? {
            give(&edge)?;
        }
    }
    Ok(more)
}
