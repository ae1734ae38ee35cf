//! `kitedb delete`: nodes, with all that hangs on them.

use super::{
    Plan,
    change::{Change, Named},
    edit, find,
};
use crate::{cli::DeleteArgs, failure::Outcome, render::number::counted, render::style::clean, watched::Watched};
use kitedb_core::{AllTypes, Graph, GraphRead, NodeId, Watch};
use std::{collections::BTreeMap, io::Write};

/// So many nodes are named in a refusal.
const NAMED: usize = 5;

pub fn run(args: &DeleteArgs, out: &mut dyn Write) -> Outcome {
    let watched = Watched::begin(|| {})?;
    edit(&args.edit, |graph| plan(args, graph, watched.watch()), out)
}

fn plan(args: &DeleteArgs, graph: &dyn Graph, watch: &Watch) -> Outcome<Plan> {
    // One that is named twice goes once.
    let mut nodes: BTreeMap<NodeId, Named> = BTreeMap::new();
    for key in &args.keys {
        let (id, node) = find(graph, &args.edit, key)?;
        nodes.insert(id, node);
    }
    let (mut changes, mut all_edges) = (Vec::with_capacity(nodes.len()), 0);
    for (id, node) in &nodes {
        let out = graph.out_degree(*id, AllTypes)?;
        // Those from a node that goes, too, go with that one; a loop is one edge.
        let (mut into, mut into_from_others) = (0, 0);
        for edge in graph.in_edges(*id, AllTypes)? {
            watch.require_uncancelled()?;
            into += u64::from(edge.src() != *id);
            into_from_others += u64::from(!nodes.contains_key(&edge.src()));
        }
        all_edges += out + into_from_others;
        let labels = graph.node_labels(*id)?.into_iter().filter_map(|label| graph.label_name(label)).collect();
        changes.push(Change::DeleteNode { node: node.clone(), labels, edges: out + into });
    }
    let count = nodes.len() as u64;
    let needs_yes = (count + all_edges > 1 && !args.yes).then(|| {
        let mut named: Vec<_> = args.keys.iter().take(NAMED).map(|key| clean(key)).collect();
        if args.keys.len() > NAMED {
            named.push("…".to_owned());
        }
        let nodes = counted(count, "node", "nodes");
        format!("this would delete {nodes} ({}) and {}", named.join(", "), counted(all_edges, "edge", "edges"))
    });
    let fields = [("deleted_nodes".to_owned(), count.into()), ("deleted_edges".to_owned(), all_edges.into())];
    Ok(Plan { changes, fields: fields.into_iter().collect(), needs_yes, ..Plan::default() })
}
