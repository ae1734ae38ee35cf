//! `kitedb count`: how many nodes and edges there are, or of each kind.

use super::{
    choose_edges, open_to_read,
    pace::{Pace, each},
    require,
    rows::separated,
    tell_unknown, whole, write_json,
};
use crate::{
    cli::{CountArgs, Counted},
    failure::{Failure, Outcome},
    import::size_of_value,
    render::{
        csv,
        listing::{Form, Head, Listing, Row},
        number::{count, counted},
        style::{ACCENT, DIM, PLAIN, Styled, clean},
        table::{Left, Right, Table},
        value,
    },
    select::{
        condition::Condition,
        field::{Field, Of},
        filter::{EdgeFilter, NodeFilter, unknown},
    },
    watched::Watched,
};
use kitedb_core::{Database, Error, ErrorCode, GraphRead, NodeRef, Result, Value, View, json};
use serde_json::{Map, Value as Json, json as object};
use std::{cmp::Ordering, collections::BTreeMap, io::Write};

pub fn run(args: &CountArgs, out: &mut dyn Write) -> Outcome {
    let asked = Asked::of(args)?;
    let database = open_to_read(&args.common)?;
    let shown = answer(args, &asked, &database, out);
    whole(&database, shown, out)
}

/// What is counted.
enum Asked {
    /// All there is.
    Both,
    Nodes {
        conditions: Vec<Condition>,
        by: Option<By>,
    },
    Edges {
        conditions: Vec<Condition>,
        by: Option<By>,
    },
}

/// What things are counted apart by.
enum By {
    Label,
    Field(Field),
}

impl Asked {
    fn of(args: &CountArgs) -> Outcome<Self> {
        let CountArgs { edges, by, .. } = args;
        let of_nodes = !args.labels.is_empty() || args.key_prefix.is_some() || by.as_deref() == Some("label");
        let of_edges =
            !edges.edge_types.is_empty() || edges.from.is_some() || edges.to.is_some() || by.as_deref() == Some("type");
        let what = match (args.what, of_nodes, of_edges) {
            (Some(Counted::Nodes), _, false) | (None, true, false) => Counted::Nodes,
            (Some(Counted::Edges), false, _) | (None, false, true) => Counted::Edges,
            (None, false, false) if args.conditions.is_empty() && by.is_none() => return Ok(Self::Both),
            (None, false, false) => {
                return Err(Failure::usage("--where and --by ask of nodes or of edges: say which")
                    .literal_hint("as `kitedb count DB nodes --where 'age>30'`"));
            }
            _ => {
                return Err(Failure::usage(
                    "--label, --key-prefix and --by label are about nodes; --type, --from, --to and --by type about edges",
                )
                .literal_hint("ask of each by itself, or ask of a property called so by its name in quotes: --by '\"type\"'"));
            }
        };
        let of = if what == Counted::Nodes { Of::Node } else { Of::Edge };
        let conditions = args
            .conditions
            .iter()
            .map(|text| Condition::parse(text, of).map_err(|e| Failure::usage(clean(&format!("--where {text}: {e}")))));
        let conditions = conditions.collect::<Outcome<Vec<_>>>()?;
        let by = match by.as_deref() {
            Some("label") if what == Counted::Nodes => Some(By::Label),
            Some(name) => Some(By::Field(
                Field::parse(name, of).map_err(|e| Failure::usage(clean(&format!("--by {name}: {e}"))))?,
            )),
            None => None,
        };
        require(!(edges.id && edges.from.is_none() && edges.to.is_none()), || {
            "--id says that --from and --to are numbers, and neither is given".to_owned()
        })?;
        Ok(match what {
            Counted::Nodes => Self::Nodes { conditions, by },
            Counted::Edges => Self::Edges { conditions, by },
        })
    }

    fn properties(&self) -> Vec<&str> {
        match self {
            Self::Both => Vec::new(),
            Self::Nodes { conditions, by } | Self::Edges { conditions, by } => {
                let by = by.as_ref().and_then(|by| if let By::Field(field) = by { field.property() } else { None });
                conditions.iter().filter_map(Condition::property).chain(by).collect()
            }
        }
    }
}

fn answer(args: &CountArgs, asked: &Asked, database: &Database, out: &mut dyn Write) -> Outcome {
    let form = args.form.form(&args.common);
    let view = database.snapshot()?;
    tell_unknown(form, &unknown(&view, &args.labels, &args.edges.edge_types, asked.properties()));
    let watched = Watched::begin(|| {})?;
    let mut pace = Pace::new(watched.watch(), args.cost.timeout_ms);
    match asked {
        Asked::Both => show(form, &[("nodes", view.count_nodes()), ("edges", view.count_edges())], out),
        Asked::Nodes { conditions, by } => {
            let filter = NodeFilter { labels: &args.labels, key_prefix: args.key_prefix.as_deref(), conditions };
            match by {
                None => show(form, &[("nodes", count_nodes(&view, &filter, &mut pace)?)], out),
                Some(by) => {
                    let mut groups = Groups::new(args.cost.memory());
                    each(
                        filter.scan(&view)?,
                        |node| filter.holds(node),
                        &mut pace,
                        None,
                        |node| group_node(&node, by, &mut groups),
                    )?;
                    groups.show(args, form, by, ("node", "nodes"), out)
                }
            }
        }
        Asked::Edges { conditions, by } => {
            let filter = choose_edges(&view, &args.edges, conditions)?;
            match by {
                None => show(form, &[("edges", count_edges(&view, &filter, &mut pace)?)], out),
                Some(by) => {
                    let mut groups = Groups::new(args.cost.memory());
                    each(
                        filter.scan(&view)?,
                        |edge| filter.holds(edge),
                        &mut pace,
                        None,
                        |edge| match by {
                            By::Label => Ok(()),
                            By::Field(field) => groups.put(field.of_edge(&edge)?),
                        },
                    )?;
                    groups.show(args, form, by, ("edge", "edges"), out)
                }
            }
        }
    }
}

fn group_node(node: &NodeRef<'_>, by: &By, groups: &mut Groups) -> Result<()> {
    let By::Field(field) = by else {
        // A node counts with each of its labels.
        let labels = node.label_names()?;
        if labels.is_empty() {
            return groups.put(None);
        }
        return labels.iter().try_for_each(|label| groups.put(Some(Value::from(&**label))));
    };
    groups.put(field.of_node(node)?)
}

/// What the graph counts itself is not counted again.
fn count_nodes(view: &View, filter: &NodeFilter<'_>, pace: &mut Pace<'_>) -> Result<u64> {
    match filter.labels {
        [] if filter.is_all() => return Ok(view.count_nodes()),
        [label] if filter.key_prefix.is_none() && filter.conditions.is_empty() => {
            return Ok(view.count_nodes_by_label(label));
        }
        _ => {}
    }
    let mut found = 0;
    each(
        filter.scan(view)?,
        |node| filter.holds(node),
        pace,
        None,
        |_| -> Result<()> {
            found += 1;
            Ok(())
        },
    )?;
    Ok(found)
}

fn count_edges(view: &View, filter: &EdgeFilter<'_>, pace: &mut Pace<'_>) -> Result<u64> {
    match filter.types {
        [] if filter.is_all() => return Ok(view.count_edges()),
        [ty] if filter.from.is_none() && filter.to.is_none() && filter.conditions.is_empty() => {
            return Ok(view.count_edges_by_type(ty));
        }
        _ => {}
    }
    let mut found = 0;
    each(
        filter.scan(view)?,
        |edge| filter.holds(edge),
        pace,
        None,
        |_| -> Result<()> {
            found += 1;
            Ok(())
        },
    )?;
    Ok(found)
}

fn show(form: Form, counts: &[(&str, u64)], out: &mut dyn Write) -> Outcome {
    match form {
        Form::Json | Form::JsonLines => {
            let document: Map<String, Json> =
                counts.iter().map(|(name, number)| ((*name).to_owned(), (*number).into())).collect();
            write_json(out, &document)
        }
        Form::Csv => {
            csv::write_row(out, counts.iter().map(|(name, _)| Some(*name)))?;
            let numbers: Vec<_> = counts.iter().map(|(_, number)| number.to_string()).collect();
            Ok(csv::write_row(out, numbers.iter().map(|number| Some(number.as_str())))?)
        }
        Form::Table => {
            let mut table = Table::new(0, [("", Left, DIM), ("", Right, PLAIN)]);
            for (name, number) in counts {
                table.row([(*name).to_owned(), count(*number)]);
            }
            Ok(table.write(out)?)
        }
    }
}

/// A value by which things are counted apart: those that are the same in the order of all values are one.
struct Key(Option<Value>);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => a.total_cmp(b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

/// How many there are of each.
struct Groups {
    counts: BTreeMap<Key, u64>,
    held: usize,
    memory: usize,
}

impl Groups {
    fn new(memory: usize) -> Self {
        Self { counts: BTreeMap::new(), held: 0, memory }
    }

    fn put(&mut self, value: Option<Value>) -> Result<()> {
        let size = size_of::<(Key, u64)>() + value.as_ref().map_or(0, size_of_value);
        // Stored null is nothing, as null is elsewhere.
        let number = self.counts.entry(Key(value.filter(|value| *value != Value::Null))).or_default();
        if *number == 0 {
            self.held += size;
        }
        *number += 1;
        if self.held <= self.memory {
            return Ok(());
        }
        let what = format_args!(
            "to count apart takes more than the {} bytes of memory that the question may hold: count by what has fewer values, or give \
             it more memory",
            self.memory
        );
        Err(Error::new(ErrorCode::MemoryLimit, what))
    }

    fn show(self, args: &CountArgs, form: Form, by: &By, nouns: (&str, &str), out: &mut dyn Write) -> Outcome {
        let name = match by {
            By::Label => "label".to_owned(),
            By::Field(field) => field.to_string(),
        };
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        // Of the same number in the order of the values, in which they come.
        counts.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        let all: u64 = counts.iter().map(|(_, number)| number).sum();
        let most = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let more = counts.len() > most;
        let head = Head {
            document: format!("{{\"by\":{},\"groups\":[", object!(name)),
            table: Table::of(0, vec![(clean(&name), Left, ACCENT), (nouns.1.to_owned(), Right, PLAIN)]),
            names: vec![name, "count".to_owned()],
        };
        let mut listing = Listing::begin(out, form, head)?;
        for (Key(value), number) in counts.into_iter().take(most) {
            listing.row(&Group { value, number })?;
        }
        listing.end(more, ("group", "groups"))?;
        if form == Form::Table && !matches!(by, By::Label) {
            writeln!(out, "{}", Styled(DIM, counted(all, nouns.0, nouns.1)))?;
        }
        Ok(())
    }
}

struct Group {
    value: Option<Value>,
    number: u64,
}

impl Row for Group {
    fn cells(&self) -> Vec<String> {
        vec![self.value.as_ref().map_or_else(|| "(none)".to_owned(), value::text), count(self.number)]
    }

    fn object(&self) -> Json {
        object!({ "value": self.value.as_ref().map(json::to_json), "count": self.number })
    }

    fn values(&self) -> Vec<Option<String>> {
        vec![self.value.as_ref().and_then(separated), Some(self.number.to_string())]
    }
}
