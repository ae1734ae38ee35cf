//! A few questions to the graph of crates.

use super::lockfile::{CRATE, DEPENDS_ON};
use crate::{
    commands::node_name,
    render::{
        bar::bar,
        number::{bytes, count},
        style::{ACCENT, DIM, PLAIN, Styled},
        table::{Left, Right, Table},
        tree::Tree,
    },
};
use kitedb_core::{GraphRead, NodeId, Result, Stats, View};
use serde_json::{Value as Json, json};
use std::{
    cmp::Reverse,
    io::{self, Write},
};

const RANKED: usize = 10;
const BAR: usize = 36;
/// How many children the neighbourhood shows, at each depth.
const CHILDREN: [usize; 2] = [6, 3];

/// The answers.
pub struct Tour {
    crates: u64,
    dependencies: u64,
    file_bytes: u64,
    digest: String,
    /// Crates and how many others depend on them, most first.
    ranking: Vec<(String, u64)>,
    neighborhood: Tree,
}

/// Asks.
pub fn read(view: &View, stats: &Stats) -> Result<Tour> {
    let mut ranking = Vec::new();
    let mut root = None;
    for node in view.nodes_with_label(CRATE)? {
        let node = node?.id();
        let (wanted, wants) = (view.in_degree(node, DEPENDS_ON)?, view.out_degree(node, DEPENDS_ON)?);
        ranking.push((wanted, node));
        // The neighbourhood is that of the crate with the most dependencies that nothing depends on.
        root = root.max(Some((wanted == 0, wants, Reverse(node))));
    }
    ranking.sort_by_key(|(wanted, node)| (Reverse(*wanted), *node));
    let name = |node| -> Result<String> { Ok(node_name(view.node_key(node)?.as_deref(), node)) };
    let ranking = ranking.into_iter().take(RANKED).map(|(wanted, node)| Ok((name(node)?, wanted)));
    Ok(Tour {
        crates: view.count_nodes_by_label(CRATE),
        dependencies: view.count_edges(),
        file_bytes: stats.file_bytes + stats.log_bytes,
        digest: view.digest().to_string(),
        ranking: ranking.collect::<Result<_>>()?,
        neighborhood: match root {
            Some((_, _, Reverse(node))) => grow(view, node, &CHILDREN)?,
            None => Tree::default(),
        },
    })
}

/// The tree of what a crate depends on: at each depth, the children with the most dependencies of their own.
fn grow(view: &View, node: NodeId, widths: &[usize]) -> Result<Tree> {
    let text = node_name(view.node_key(node)?.as_deref(), node);
    let mut children = Vec::new();
    for child in view.out_neighbors(node, DEPENDS_ON)? {
        children.push((Reverse(view.out_degree(child.id(), DEPENDS_ON)?), child.id()));
    }
    children.sort_unstable();
    let Some((&width, below)) = widths.split_first() else {
        let more = match children.len() {
            0 => String::new(),
            more => Styled(DIM, format!("  → {more}")).to_string(),
        };
        return Ok(Tree { text: text + &more, ..Tree::default() });
    };
    // Rather one line of a child than one that says "and 1 more".
    let shown = if children.len() == width + 1 { width + 1 } else { width.min(children.len()) };
    let more = children.len() - shown;
    let children = children[..shown].iter().map(|(_, child)| grow(view, *child, below));
    Ok(Tree { text, children: children.collect::<Result<_>>()?, more })
}

impl Tour {
    /// The crate that most others depend on.
    pub fn favourite(&self) -> &str {
        self.ranking.first().map_or("", |(name, _)| name)
    }

    pub fn show_counts(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(2, [("", Right, PLAIN), ("", Left, PLAIN), ("", Left, DIM)]);
        table.row([count(self.crates), "nodes".into(), format!(":{CRATE} (name, version, source, checksum)")]);
        table.row([count(self.dependencies), "edges".into(), format!("{DEPENDS_ON} (requirement)")]);
        table.row([bytes(self.file_bytes), "on disk".into(), format!("digest {}", self.digest)]);
        table.write(out)
    }

    pub fn show_ranking(&self, out: &mut dyn Write) -> io::Result<()> {
        let most = self.ranking.first().map_or(0, |(_, wanted)| *wanted);
        let mut table = Table::new(2, [("", Left, PLAIN), ("", Right, PLAIN), ("", Left, ACCENT)]);
        for (name, wanted) in &self.ranking {
            table.row([name.clone(), count(*wanted), bar(*wanted, most, BAR)]);
        }
        table.write(out)
    }

    pub fn show_neighborhood(&self, out: &mut dyn Write) -> io::Result<()> {
        self.neighborhood.write(out, 2)
    }

    pub fn json(&self) -> Json {
        let ranking: Vec<_> =
            self.ranking.iter().map(|(name, wanted)| json!({ "key": name, "in_degree": wanted })).collect();
        json!({ "nodes": self.crates, "edges": self.dependencies, "digest": self.digest, "most_depended_on": ranking })
    }
}
