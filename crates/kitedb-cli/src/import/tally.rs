//! What an import did, counted, and the first ones named of what was there already.

use kitedb_core::Token;

/// So many of what was there already are named.
const NAMED: usize = 10;

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub nodes_created: u64,
    /// Nodes that were there already, and got something.
    pub nodes_updated: u64,
    /// Nodes that were there already, as the file has them.
    pub nodes_existing: u64,
    pub edges_created: u64,
    /// Edges that were there already, and got something.
    pub edges_updated: u64,
    /// Edges that were there already, as the file has them: lines that stand twice, or of an earlier import.
    pub edges_existing: u64,
    /// Nodes and edges that were there already and kept what the file has otherwise.
    pub kept: u64,
    pub commits: u64,
    /// Properties that got another name, because theirs is reserved.
    pub renamed: u64,
    /// Nodes that were there with properties, and got others: neither a property nor a label tells that they are the same.
    pub merged: u64,
    /// How many edges are named that were there already.
    named: usize,
    /// The last commit.
    pub token: Option<Token>,
}

impl Counts {
    /// Every node and edge there is in the count.
    pub fn elements(&self) -> u64 {
        let nodes = self.nodes_created + self.nodes_updated + self.nodes_existing;
        nodes + self.edges_created + self.edges_updated + self.edges_existing
    }

    /// What this and another one did, that one the later.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            nodes_created: self.nodes_created + later.nodes_created,
            nodes_updated: self.nodes_updated + later.nodes_updated,
            nodes_existing: self.nodes_existing + later.nodes_existing,
            edges_created: self.edges_created + later.edges_created,
            edges_updated: self.edges_updated + later.edges_updated,
            edges_existing: self.edges_existing + later.edges_existing,
            kept: self.kept + later.kept,
            commits: self.commits + later.commits,
            renamed: self.renamed + later.renamed,
            merged: self.merged + later.merged,
            named: self.named + later.named,
            token: later.token.or(self.token),
        }
    }
}

/// What became of an edge or node that was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It was as the file has it.
    Same,
    /// It got something.
    Updated,
    /// It kept what the file has otherwise.
    Kept,
    /// Another edge was added beside it.
    Parallel,
}

impl Became {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "the same",
            Self::Updated => "updated",
            Self::Kept => "kept",
            Self::Parallel => "added beside it",
        }
    }
}

/// An edge that was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    pub line: u64,
    /// Its ends and its type.
    pub edge: String,
    pub became: Became,
}

/// The counts, and the first edges that were there already.
#[derive(Debug, Default)]
pub struct Tally {
    pub counts: Counts,
    there: Vec<There>,
    /// The line of the first node that was merged, and its key.
    merged: Option<(u64, String)>,
    line: u64,
}

impl Tally {
    /// The same, for what is on that line.
    pub fn on(&mut self, line: u64) -> &mut Self {
        self.line = line;
        self
    }

    /// Nothing counts that came after these.
    pub fn take_back_to(&mut self, counts: Counts) {
        self.counts = counts;
        self.there.truncate(counts.named);
    }

    /// Counts an edge that was there already; what `name` says names it.
    pub fn there(&mut self, became: Became, name: impl FnOnce() -> String) {
        match became {
            Became::Same => self.counts.edges_existing += 1,
            Became::Updated => self.counts.edges_updated += 1,
            Became::Kept => {
                self.counts.edges_existing += 1;
                self.counts.kept += 1;
            }
            Became::Parallel => self.counts.edges_created += 1,
        }
        if self.there.len() < NAMED {
            self.there.push(There { line: self.line, edge: name(), became });
            self.counts.named = self.there.len();
        }
    }

    /// Counts a node that was there with properties, and got others of which nothing tells that they are of the same.
    pub fn merged(&mut self, key: impl FnOnce() -> String) {
        if self.counts.merged == 0 {
            self.merged = Some((self.line, key()));
        }
        self.counts.merged += 1;
    }

    /// Where that was first, and of which node.
    pub fn first_merged(&self) -> Option<&(u64, String)> {
        self.merged.as_ref()
    }

    /// The first edges that were there already, of those that `counts` covers.
    pub fn named(&self, counts: Counts) -> &[There] {
        self.there.get(..counts.named).unwrap_or(&self.there)
    }
}
