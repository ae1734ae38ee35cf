//! Where imported elements go: batches, each one transaction and so one frame of the log.

use super::{Element, End, Props};
use kitedb_core::{
    BulkLoader, Database, EdgeKey, Error, ErrorCode, ErrorKind, GraphRead, LabelId, NewNode, NodeId, PropKeyId, Result,
    Token, Transaction, Value, graph::RESERVED_PROPERTY,
};
use std::borrow::Cow;

/// What a property is called whose name in the file is the one that no property has.
pub const RENAMED: &str = "_key_";

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub nodes_created: u64,
    pub nodes_updated: u64,
    pub edges_created: u64,
    /// Edges that existed already: duplicates in the file, or of an earlier import.
    pub edges_existing: u64,
    pub batches: u64,
    /// Properties that got another name, because theirs is reserved.
    pub renamed: u64,
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

/// An element of at least so many bytes begins a batch: what the loader lets a batch grow to, and this, fit a commit.
const LARGE: usize = 32 << 20;

/// Writes elements to a database, batch by batch. Dropped, it gives up the batch that is not full yet.
pub struct Sink<'a> {
    database: &'a Database,
    /// How many elements make a batch.
    size: usize,
    loader: BulkLoader,
    edge_type: &'a str,
    label: Option<&'a str>,
    pending: bool,
    /// What is written and not committed, where one that is refused does not end the import: of such a one nothing stays.
    batch: Option<Vec<Element<'static>>>,
    /// Where in the file the last element was that was written, and the last one that is committed.
    line: u64,
    kept_to: u64,
    counts: Counts,
    committed: Counts,
    /// The last commit of the database.
    last: Option<Token>,
}

impl<'a> Sink<'a> {
    /// A sink of transactions of `batch` elements. Edges without a type get `edge_type`; every node gets `label`.
    pub fn new(database: &'a Database, size: usize, edge_type: &'a str, label: Option<&'a str>) -> Result<Self> {
        let loader = database.begin_bulk(size)?;
        let (counts, committed) = (Counts::default(), Counts::default());
        let last = database.last_commit_token();
        let (pending, batch, line, kept_to) = (false, None, 0, 0);
        Ok(Self { database, size, loader, edge_type, label, pending, batch, line, kept_to, counts, committed, last })
    }

    /// The same, where the import goes on after an element that is refused.
    #[must_use]
    pub fn going_on(self) -> Self {
        Self { batch: Some(Vec::new()), ..self }
    }

    /// Writes one element, which begins on that line. Returns whether it completed a batch, which then is committed. Of one
    /// that is refused a batch must not be committed, unless this is [`Sink::going_on`].
    pub fn put(&mut self, element: Element<'_>, line: u64) -> Result<bool, Unwritten> {
        if self.pending && element.size() >= LARGE {
            self.commit().map_err(Unwritten::Failed)?;
        }
        if let Err(e) = self.write(&element) {
            if e.kind() != ErrorKind::Input {
                return Err(Unwritten::Failed(e));
            }
            self.take_back().map_err(Unwritten::Failed)?;
            return Err(Unwritten::Refused(e));
        }
        self.line = line;
        if let Some(batch) = &mut self.batch {
            batch.push(element.into_owned());
        }
        let token = self.loader.step().map_err(Unwritten::Failed)?;
        self.pending = token.is_none();
        self.note(token);
        Ok(token.is_some())
    }

    /// Gives up the batch, of which the last element is written in part, and writes the others again. They are committed
    /// then, so that each is written twice at most, however many are refused.
    fn take_back(&mut self) -> Result<()> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        let batch = std::mem::take(batch);
        self.loader = self.database.begin_bulk(self.size)?;
        self.counts = self.committed;
        batch.iter().try_for_each(|element| self.write(element))?;
        if batch.is_empty() { Ok(()) } else { self.commit() }
    }

    /// Commits what is written.
    fn commit(&mut self) -> Result<()> {
        let token = self.loader.flush()?;
        self.pending = false;
        self.note(Some(token));
        Ok(())
    }

    /// The line of the last element that is committed; 0 if there is none.
    pub fn kept_to(&self) -> u64 {
        self.kept_to
    }

    fn write(&mut self, element: &Element<'_>) -> Result<()> {
        write(&mut self.loader, element, self.edge_type, self.label, &mut self.counts)
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
        if self.pending { self.commit() } else { Ok(()) }
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
        self.kept_to = self.line;
        if let Some(batch) = &mut self.batch {
            batch.clear();
        }
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
        Element::Name { kind, id, name } => transaction.define_name(*kind, *id, name)?,
        Element::Node { id, key, labels, props, vectors } => {
            let labels = labels.iter().map(AsRef::as_ref).chain(label);
            let labels = labels.map(|label| transaction.label_id_or_create(label)).collect::<Result<Vec<_>>>()?;
            let node = match there(transaction, *id, key.as_deref())? {
                None => {
                    let props = resolve(transaction, props, |value| value, &mut counts.renamed)?;
                    let new = NewNode::new().maybe_id(*id).maybe_key(key.as_deref()).labels(&labels).props(&props);
                    let node = transaction.create_node_with(new)?;
                    counts.nodes_created += 1;
                    node
                }
                Some(node) => {
                    if let Some(value) = renamed(props, counts) {
                        require_same(transaction.node_prop(node, RENAMED)?, value)?;
                    }
                    let props = resolve(transaction, props, Some, &mut counts.renamed)?;
                    transaction.upsert_node_by_id(node, &props)?;
                    for label in labels {
                        transaction.add_node_label(node, label)?;
                    }
                    counts.nodes_updated += 1;
                    node
                }
            };
            for (name, vector) in vectors {
                transaction.set_node_vector(node, &**name, vector)?;
            }
        }
        Element::Edge { src, dst, ty, rank, props } => {
            let label = label.map(|label| transaction.label_id_or_create(label)).transpose()?;
            // Before the other end is made, which might get that number.
            for id in [src, dst].into_iter().filter_map(End::id) {
                if !transaction.node_exists(id)? {
                    return Err(Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist")));
                }
            }
            let src = end(transaction, src, label, counts)?;
            let dst = end(transaction, dst, label, counts)?;
            let ty = ty.as_deref().unwrap_or(edge_type);
            if let Some(value) = renamed(props, counts) {
                let edges = transaction.edges_between(src, ty, dst)?;
                if let Some(edge) = edges.iter().find(|edge| rank.is_none_or(|rank| edge.rank == rank)) {
                    require_same(transaction.edge_prop_by_key(*edge, RENAMED)?, value)?;
                }
            }
            if let Some(rank) = *rank {
                let props = resolve(transaction, props, |value| value, &mut counts.renamed)?;
                let edge = EdgeKey::new(src, transaction.etype_id_or_create(ty)?, dst).with_rank(rank);
                return write_exactly(transaction, edge, &props, counts);
            }
            let props = resolve(transaction, props, Some, &mut counts.renamed)?;
            let created = transaction.upsert_edge_with_props(src, ty, dst, &props)?;
            *(if created { &mut counts.edges_created } else { &mut counts.edges_existing }) += 1;
        }
    }
    Ok(())
}

/// Writes the edge of that rank. One that is there already, because a file is imported again or says more of it in a further
/// line, gets what it lacks; what it has must be the same, or it is another edge to which the same rank was given.
fn write_exactly(
    transaction: &mut Transaction,
    edge: EdgeKey,
    props: &[(PropKeyId, Value)],
    counts: &mut Counts,
) -> Result<()> {
    if !transaction.edge_exists_by_key(edge)? {
        transaction.add_edge_by_key(edge, props)?;
        counts.edges_created += 1;
        return Ok(());
    }
    for (key, value) in props {
        match transaction.edge_prop_by_key(edge, *key)? {
            Some(there) if there.total_cmp(value).is_eq() => continue,
            // Rank 0 is the edge that most files mean, and is updated as a line without a rank updates it.
            Some(_) if edge.rank > 0 => {
                let name = transaction.propkey_name(*key).unwrap_or_default();
                let what = format_args!(
                    "an edge with a rank is added, and none that is there is changed: one of rank {} is there between these nodes, \
                     and its property `{name}` is another",
                    edge.rank
                );
                return Err(Error::new(ErrorCode::EdgeExists, what));
            }
            _ => transaction.set_edge_prop_by_key(edge, *key, value.clone())?,
        }
    }
    counts.edges_existing += 1;
    Ok(())
}

/// The node that an element is about, if it is there already.
fn there(transaction: &Transaction, id: Option<NodeId>, key: Option<&str>) -> Result<Option<NodeId>> {
    let Some(id) = id else { return key.map_or(Ok(None), |key| transaction.node_by_key(key)) };
    if !transaction.node_exists(id)? {
        return Ok(None);
    }
    let held = transaction.node_key(id)?;
    if key.is_some() && held.as_deref() != key {
        return Err(Error::invalid(format_args!(
            "node {id} is there already, and its key is {}: ids are kept only in a database that is empty at first, and of \
             several lines about a node the one with its key comes first",
            held.map_or_else(|| "none".to_owned(), |key| format!("'{key}'"))
        )));
    }
    Ok(Some(id))
}

/// The value that an element has, and that may replace one of another property: one that gets the reserved name's stead, or
/// that has this name where others of the file came to it.
fn renamed<'p>(props: &'p Props<'_>, counts: &Counts) -> Option<&'p Value> {
    let called = |wanted: &str| props.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    called(RESERVED_PROPERTY).or_else(|| called(RENAMED).filter(|_| counts.renamed > 0))
}

/// Fails if another value stands there already.
fn require_same(there: Option<Value>, value: &Value) -> Result<()> {
    match there {
        Some(there) if there.total_cmp(value).is_ne() => Err(Error::invalid(format_args!(
            "a property called `{RESERVED_PROPERTY}` comes in as `{RENAMED}`, and one of that name with another value is there \
             already: give one of them another name"
        ))),
        _ => Ok(()),
    }
}

/// Properties by the ids of their names, each value in the form that the call wants. What is called as no property may be
/// gets another name, and is counted in `renamed`.
fn resolve<V>(
    transaction: &mut Transaction,
    props: &Props<'_>,
    form: impl Fn(Value) -> V,
    renamed: &mut u64,
) -> Result<Vec<(PropKeyId, V)>> {
    let both = |name: &str| props.iter().any(|(other, _)| other == name);
    let mut resolved = Vec::with_capacity(props.len());
    for (name, value) in props {
        let name: &str = match &**name {
            RESERVED_PROPERTY if both(RENAMED) => {
                return Err(Error::invalid(format_args!(
                    "no property can be called `{RESERVED_PROPERTY}`, and `{RENAMED}`, which it would be instead, is there, \
                     too: give one of them another name"
                )));
            }
            RESERVED_PROPERTY => {
                *renamed += 1;
                RENAMED
            }
            name => name,
        };
        resolved.push((transaction.propkey_id_or_create(name)?, form(value.clone())));
    }
    Ok(resolved)
}

/// The node at the end of an edge, created if it does not exist yet.
fn end(transaction: &mut Transaction, end: &End<'_>, label: Option<LabelId>, counts: &mut Counts) -> Result<NodeId> {
    let key: &Cow<'_, str> = match end {
        End::Id(id) => return Ok(*id),
        End::Key(key) => key,
    };
    if let Some(node) = transaction.node_by_key(key)? {
        return Ok(node);
    }
    let new = NewNode::new().key(key).labels(label.as_slice());
    let node = transaction.create_node_with(new)?;
    counts.nodes_created += 1;
    Ok(node)
}
