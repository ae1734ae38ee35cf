//! Where imported elements go: batches, each one transaction and so one frame of the log.

use super::{Element, Props};
use kitedb_core::{
    BulkLoader, Database, EdgeKey, Error, ErrorCode, ErrorKind, GraphRead, LabelId, NewNode, NodeId, PropKeyId, Result,
    Token, Transaction, Value,
};

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub nodes_created: u64,
    pub nodes_updated: u64,
    pub edges_created: u64,
    /// Edges that existed already: duplicates in the file, or of an earlier import.
    pub edges_existing: u64,
    pub batches: u64,
    /// The commit of the last batch.
    pub token: Option<Token>,
}

impl Counts {
    /// Every node and edge there is in the count.
    pub fn elements(&self) -> u64 {
        self.nodes_created + self.nodes_updated + self.edges_created + self.edges_existing
    }
}

/// Why an element was not written.
pub enum Unwritten {
    /// The engine does not take it. What came before it stays.
    Refused(Error),
    /// Its batch failed, and with it the import.
    Failed(Error),
}

impl Unwritten {
    /// What the engine says.
    pub fn into_error(self) -> Error {
        let (Self::Refused(error) | Self::Failed(error)) = self;
        error
    }
}

/// Writes elements to a database, batch by batch. Dropped, it gives up the batch that is not full yet.
pub struct Sink<'a> {
    loader: BulkLoader,
    edge_type: &'a str,
    label: Option<&'a str>,
    pending: bool,
    counts: Counts,
    committed: Counts,
    /// The last commit of the database.
    last: Option<Token>,
}

impl<'a> Sink<'a> {
    /// A sink of transactions of `batch` elements. Edges without a type get `edge_type`; every node gets `label`.
    pub fn new(database: &Database, batch: usize, edge_type: &'a str, label: Option<&'a str>) -> Result<Self> {
        let loader = database.begin_bulk(batch)?;
        let (counts, committed) = (Counts::default(), Counts::default());
        Ok(Self { loader, edge_type, label, pending: false, counts, committed, last: database.last_commit_token() })
    }

    /// Writes one element. Returns whether it completed a batch, which then is committed.
    pub fn put(&mut self, element: &Element<'_>) -> Result<bool, Unwritten> {
        write(&mut self.loader, element, self.edge_type, self.label, &mut self.counts).map_err(|e| match e.kind() {
            ErrorKind::Input => Unwritten::Refused(e),
            _ => Unwritten::Failed(e),
        })?;
        let token = self.loader.step().map_err(Unwritten::Failed)?;
        self.pending = token.is_none();
        self.note(token);
        Ok(token.is_some())
    }

    /// What was written so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What of that was committed.
    pub fn committed(&self) -> Counts {
        self.committed
    }

    /// Commits the last batch.
    pub fn finish(&mut self) -> Result<()> {
        if self.pending {
            let token = self.loader.flush()?;
            self.pending = false;
            self.note(Some(token));
        }
        Ok(())
    }

    fn note(&mut self, token: Option<Token>) {
        if token.is_none() {
            return;
        }
        // A batch that changes nothing is no commit.
        if token != self.last {
            self.counts.batches += 1;
            self.counts.token = token;
            self.last = token;
        }
        self.committed = self.counts;
    }
}

fn write(
    transaction: &mut Transaction,
    element: &Element<'_>,
    edge_type: &str,
    label: Option<&str>,
    counts: &mut Counts,
) -> Result<()> {
    match element {
        Element::Node { key, labels, props } => {
            let labels = labels.iter().map(AsRef::as_ref).chain(label);
            let labels = labels.map(|label| transaction.label_id_or_create(label)).collect::<Result<Vec<_>>>()?;
            if transaction.node_by_key(key)?.is_none() {
                let props = resolve(transaction, props, |value| value)?;
                let new = NewNode { key: Some(key), labels: &labels, props: &props, ..NewNode::default() };
                transaction.create_node_with(new)?;
                counts.nodes_created += 1;
                return Ok(());
            }
            let props = resolve(transaction, props, Some)?;
            let (node, _) = transaction.upsert_node(key, &props)?;
            for label in labels {
                transaction.add_node_label(node, label)?;
            }
            counts.nodes_updated += 1;
        }
        Element::Edge { src, dst, ty, rank, props } => {
            let label = label.map(|label| transaction.label_id_or_create(label)).transpose()?;
            let src = end(transaction, src, label, counts)?;
            let dst = end(transaction, dst, label, counts)?;
            let ty = ty.as_deref().unwrap_or(edge_type);
            if *rank > 0 {
                let props = resolve(transaction, props, |value| value)?;
                let edge = EdgeKey::new(src, transaction.etype_id_or_create(ty)?, dst).with_rank(*rank);
                let told = "an edge with a rank is added, and none that is there is changed";
                transaction.add_edge_by_key(edge, &props).map_err(|e| match e.code() {
                    ErrorCode::EdgeExists => e.context(told),
                    _ => e,
                })?;
                counts.edges_created += 1;
                return Ok(());
            }
            let props = resolve(transaction, props, Some)?;
            let created = transaction.upsert_edge_with_props(src, ty, dst, &props)?;
            *(if created { &mut counts.edges_created } else { &mut counts.edges_existing }) += 1;
        }
    }
    Ok(())
}

/// Properties by the ids of their names, each value in the form that the call wants.
fn resolve<V>(
    transaction: &mut Transaction,
    props: &Props<'_>,
    form: impl Fn(Value) -> V,
) -> Result<Vec<(PropKeyId, V)>> {
    props.iter().map(|(name, value)| Ok((transaction.propkey_id_or_create(name)?, form(value.clone())))).collect()
}

/// The node at the end of an edge, created if it does not exist yet.
fn end(transaction: &mut Transaction, key: &str, label: Option<LabelId>, counts: &mut Counts) -> Result<NodeId> {
    if let Some(node) = transaction.node_by_key(key)? {
        return Ok(node);
    }
    let new = NewNode { key: Some(key), labels: label.as_slice(), ..NewNode::default() };
    let node = transaction.create_node_with(new)?;
    counts.nodes_created += 1;
    Ok(node)
}
