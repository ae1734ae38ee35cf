//! The naive model: ordered maps, and the rules of the data model written down as plainly as they can be.

use kitedb_core::{
    Digest, EdgeKey, EdgeTypeId, ErrorCode, GraphRead, IndexId, IndexOn, IndexSpec, IndexState, LabelId, NodeId,
    PropKeyId,
    graph::{IndexDef, IndexTarget, MAX_NODE_ID, NameKind, codec::put_varint},
};
use std::collections::{BTreeMap, BTreeSet};

pub const LABELS: [&str; 3] = ["Person", "City", "Großraum"];
pub const TYPES: [&str; 3] = ["KNOWS", "LIVES_IN", "likes"];
pub const PROPS: [&str; 4] = ["name", "age", "blob", "δ"];
/// Property keys of vectors, each with its dimension.
pub const VECTORS: [(&str, usize); 2] = [("embedding", 3), ("face", 5)];

/// Names of indexes: few, so that they are dropped and defined anew.
pub const INDEXES: [&str; 3] = ["by name", "ключ", "edges"];

/// A value's canonical bytes: equal exactly if the values are, bit for bit.
pub type Bytes = Vec<u8>;
/// By position in [`PROPS`].
pub type Props = BTreeMap<usize, Bytes>;
/// Source, position in [`TYPES`], destination, rank.
pub type Edge = (u64, usize, u64, u64);
pub type Outcome<T> = Result<T, ErrorCode>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    pub key: Option<String>,
    /// Positions in [`LABELS`].
    pub labels: BTreeSet<usize>,
    pub props: Props,
}

/// The definition of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    pub id: IndexId,
    pub spec: IndexSpec,
    pub state: IndexState,
}

/// A graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub nodes: BTreeMap<u64, Node>,
    pub edges: BTreeMap<Edge, Props>,
    /// By node and position in [`VECTORS`]; the floats' bits.
    pub vectors: BTreeMap<(u64, usize), Vec<u32>>,
    pub keys: BTreeMap<String, u64>,
    /// Positions in [`VECTORS`] whose dimension is fixed.
    pub fixed: BTreeSet<usize>,
    /// Every id that a committed node ever had.
    pub ever: BTreeSet<u64>,
    /// By position in [`INDEXES`].
    pub indexes: BTreeMap<usize, Indexed>,
    /// Every rank that a committed edge ever had.
    pub ranks: BTreeSet<u64>,
}

/// What a transaction wrote and what it relies on.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    pub nodes: BTreeSet<u64>,
    pub keys: BTreeSet<String>,
    pub edges: BTreeSet<Edge>,
    pub vectors: BTreeSet<(u64, usize)>,
    /// Nodes that were there before and were deleted, even if they were created again later.
    pub deleted: BTreeSet<u64>,
    pub indexes: BTreeSet<usize>,
}

/// A model that a transaction changes.
#[derive(Debug, Clone)]
pub struct Draft {
    pub before: Model,
    pub now: Model,
    pub writes: Writes,
    /// Every id under which it created a node.
    created: BTreeSet<u64>,
}

/// What a commit did, as others that were open then see it.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    writes: Writes,
    /// Nodes that edges or vectors were attached to.
    relied: BTreeSet<u64>,
    /// Nodes that were deleted, even if they were created anew.
    gone: BTreeSet<u64>,
}

/// The commits in their order.
#[derive(Debug, Default)]
pub struct History {
    pub commits: Vec<Committed>,
    /// How many commits there were at each checkpoint.
    checkpoints: Vec<usize>,
}

/// Where in a history a transaction began.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    commits: usize,
    checkpoints: usize,
}

/// Whether a transaction may conflict, and whether it must.
#[derive(Debug, Clone, Copy)]
pub struct Conflict {
    pub may: bool,
    pub must: bool,
}

impl History {
    pub fn now(&self) -> Since {
        Since { commits: self.commits.len(), checkpoints: self.checkpoints.len() }
    }

    /// Whether there was a checkpoint since then.
    pub fn checkpointed(&self, since: Since) -> bool {
        self.checkpoints.len() > since.checkpoints
    }

    /// Takes note of a checkpoint.
    pub fn checkpoint(&mut self) {
        self.checkpoints.push(self.commits.len());
    }
}

impl Draft {
    pub fn new(model: &Model) -> Self {
        Self { before: model.clone(), now: model.clone(), created: BTreeSet::new(), writes: Writes::default() }
    }

    /// Whether a node can be created, and if not, why.
    pub fn may_create(&self, id: Option<u64>, key: Option<&str>) -> Outcome<()> {
        if key == Some("") || id.is_some_and(|id| id == 0 || id > MAX_NODE_ID) {
            return Err(ErrorCode::InvalidArgument);
        }
        if id.is_some_and(|id| self.now.nodes.contains_key(&id)) {
            return Err(ErrorCode::NodeExists);
        }
        if key.is_some_and(|key| self.now.keys.contains_key(key)) {
            return Err(ErrorCode::DuplicateKey);
        }
        Ok(())
    }

    pub fn create(&mut self, id: u64, node: Node) {
        if let Some(key) = &node.key {
            assert!(self.now.keys.insert(key.clone(), id).is_none());
            self.writes.keys.insert(key.clone());
        }
        assert!(self.now.nodes.insert(id, node).is_none());
        self.now.ever.insert(id);
        self.created.insert(id);
        self.writes.nodes.insert(id);
    }

    pub fn delete_node(&mut self, id: u64) -> Outcome<()> {
        let node = self.now.nodes.remove(&id).ok_or(ErrorCode::NodeNotFound)?;
        if let Some(key) = node.key {
            self.now.keys.remove(&key);
            self.writes.keys.insert(key);
        }
        let edges: Vec<Edge> = self.now.edges.keys().filter(|e| e.0 == id || e.2 == id).copied().collect();
        for edge in edges {
            self.now.edges.remove(&edge);
            self.writes.edges.insert(edge);
        }
        for vector in 0..VECTORS.len() {
            if self.now.vectors.remove(&(id, vector)).is_some() {
                self.writes.vectors.insert((id, vector));
            }
        }
        self.writes.nodes.insert(id);
        if self.before.nodes.contains_key(&id) {
            self.writes.deleted.insert(id);
        }
        Ok(())
    }

    /// Sets or removes a property; whether there was one.
    pub fn change_prop(&mut self, id: u64, prop: usize, value: Option<Bytes>) -> Outcome<bool> {
        let node = self.now.nodes.get_mut(&id).ok_or(ErrorCode::NodeNotFound)?;
        let setting = value.is_some();
        let was = replace(&mut node.props, prop, value);
        if setting || was {
            self.writes.nodes.insert(id);
        }
        Ok(was)
    }

    /// Adds or removes a label; whether that changed anything.
    pub fn change_label(&mut self, id: u64, label: usize, add: bool) -> Outcome<bool> {
        let node = self.now.nodes.get_mut(&id).ok_or(ErrorCode::NodeNotFound)?;
        let changed = if add { node.labels.insert(label) } else { node.labels.remove(&label) };
        if changed {
            self.writes.nodes.insert(id);
        }
        Ok(changed)
    }

    /// One of rank 0 where there is none, or exactly one of another rank.
    pub fn add_edge(&mut self, edge: Edge, props: Props) -> Outcome<()> {
        let ends = self.now.nodes.contains_key(&edge.0) && self.now.nodes.contains_key(&edge.2);
        if ends && edge.3 == 0 && self.now.lowest(edge).is_some_and(|there| self.now.edges.contains_key(&there)) {
            return Err(ErrorCode::EdgeExists);
        }
        self.add_edge_exactly(edge, props)
    }

    pub fn add_edge_exactly(&mut self, edge: Edge, props: Props) -> Outcome<()> {
        if !self.now.nodes.contains_key(&edge.0) || !self.now.nodes.contains_key(&edge.2) {
            return Err(ErrorCode::NodeNotFound);
        }
        if self.now.edges.contains_key(&edge) {
            return Err(ErrorCode::EdgeExists);
        }
        self.now.edges.insert(edge, props);
        self.now.ranks.insert(edge.3);
        self.writes.edges.insert(edge);
        Ok(())
    }

    pub fn delete_edge(&mut self, edge: Edge) -> Outcome<()> {
        self.now.edges.remove(&edge).ok_or(ErrorCode::EdgeNotFound)?;
        self.writes.edges.insert(edge);
        Ok(())
    }

    /// Sets or removes an edge's property; whether there was one.
    pub fn change_edge_prop(&mut self, edge: Edge, prop: usize, value: Option<Bytes>) -> Outcome<bool> {
        let props = self.now.edges.get_mut(&edge).ok_or(ErrorCode::EdgeNotFound)?;
        let setting = value.is_some();
        let was = replace(props, prop, value);
        if setting || was {
            self.writes.edges.insert(edge);
        }
        Ok(was)
    }

    /// Sets or removes a vector; whether there was one.
    pub fn change_vector(&mut self, id: u64, vector: usize, floats: Option<&[f32]>) -> Outcome<bool> {
        if !self.now.nodes.contains_key(&id) {
            return Err(ErrorCode::NodeNotFound);
        }
        let was = match floats {
            Some(floats) if floats.iter().any(|f| !f.is_finite()) || floats.iter().all(|f| *f == 0.0) => {
                return Err(ErrorCode::InvalidArgument);
            }
            Some(floats) if floats.len() != VECTORS[vector].1 && self.now.fixed.contains(&vector) => {
                return Err(ErrorCode::VectorDimension);
            }
            Some(floats) => {
                self.now.fixed.insert(vector);
                let bits = floats.iter().map(|f| f.to_bits()).collect();
                self.now.vectors.insert((id, vector), bits).is_some()
            }
            None => self.now.vectors.remove(&(id, vector)).is_some(),
        };
        if floats.is_some() || was {
            self.writes.vectors.insert((id, vector));
        }
        Ok(was)
    }

    /// Defines an index, whose id is `id` if there is none yet; whether there was none.
    pub fn define_index(&mut self, index: usize, spec: &IndexSpec, id: IndexId) -> Outcome<bool> {
        match self.now.indexes.get(&index) {
            Some(there) if there.spec == *spec => return Ok(false),
            Some(_) => return Err(ErrorCode::InvalidArgument),
            None => {}
        }
        self.now.indexes.insert(index, Indexed { id, spec: spec.clone(), state: IndexState::Building });
        self.writes.indexes.insert(index);
        Ok(true)
    }

    pub fn set_index_state(&mut self, index: usize, state: IndexState) -> Outcome<()> {
        let there = self.now.indexes.get_mut(&index).ok_or(ErrorCode::InvalidArgument)?;
        if there.state != state {
            there.state = state;
            self.writes.indexes.insert(index);
        }
        Ok(())
    }

    pub fn drop_index(&mut self, index: usize) -> Outcome<()> {
        self.now.indexes.remove(&index).ok_or(ErrorCode::InvalidArgument)?;
        self.writes.indexes.insert(index);
        Ok(())
    }

    /// What was written, without what came and went within the transaction: nobody else ever sees that. Only the greatest
    /// id that it gave a node counts all the same, so that it is not given out again.
    fn net(&self) -> Writes {
        let (before, now) = (&self.before, &self.now);
        let greatest = self.created.last();
        let mut net = self.writes.clone();
        net.nodes.retain(|id| before.nodes.contains_key(id) || now.nodes.contains_key(id) || greatest == Some(id));
        net.keys.retain(|key| before.keys.contains_key(key) || now.keys.contains_key(key));
        net.edges.retain(|edge| before.edges.contains_key(edge) || now.edges.contains_key(edge));
        net.vectors.retain(|v| before.vectors.contains_key(v) || now.vectors.contains_key(v));
        net.indexes.retain(|i| before.indexes.contains_key(i) || now.indexes.contains_key(i));
        net
    }

    /// Whether something came and went within the transaction.
    pub fn took_back(&self) -> bool {
        let size = |writes: &Writes| writes.nodes.len() + writes.keys.len() + writes.edges.len() + writes.vectors.len();
        size(&self.net()) < size(&self.writes)
    }

    /// Whether one of the transactions that committed since this one began is in its way: whether it may conflict, and
    /// whether it must. What lies between two checkpoints since then may not be in memory any more; that counts only if it
    /// changed something.
    pub fn conflicts(&self, history: &History, since: Since, current: &Model) -> Conflict {
        let commits = &history.commits[since.commits..];
        let may = self.conflicts_with(commits);
        let must = match &history.checkpoints[since.checkpoints..] {
            [] | [_] => may,
            [first, .., last] => {
                let [first, last] = [first, last].map(|at| at - since.commits);
                self.conflicts_with(&commits[..first]) || self.conflicts_with(&commits[last..]) || self.differs(current)
            }
        };
        assert!(may || !must, "what differs was written by somebody");
        // Definitions are compared, whatever is in memory still.
        let index = self.net().indexes.iter().any(|i| self.before.indexes.get(i) != current.indexes.get(i));
        Conflict { may: may || index, must: must || index }
    }

    fn conflicts_with(&self, committed: &[Committed]) -> bool {
        let mine = &self.net();
        let relied = self.relied(mine);
        committed.iter().any(|other| {
            !mine.nodes.is_disjoint(&other.writes.nodes)
                || !mine.keys.is_disjoint(&other.writes.keys)
                || !mine.edges.is_disjoint(&other.writes.edges)
                || !mine.vectors.is_disjoint(&other.writes.vectors)
                || !relied.is_disjoint(&other.gone)
                || !mine.deleted.is_disjoint(&other.relied)
        })
    }

    /// Whether what it wrote or relies on is not in `current` as it was before.
    fn differs(&self, current: &Model) -> bool {
        fn changed<K: Ord, V: PartialEq>(keys: &BTreeSet<K>, one: &BTreeMap<K, V>, other: &BTreeMap<K, V>) -> bool {
            keys.iter().any(|key| one.get(key) != other.get(key))
        }
        let (mine, before) = (&self.net(), &self.before);
        let key_in = |model: &Model, id: &u64| model.nodes.get(id).map(|node| node.key.clone());
        changed(&mine.nodes, &before.nodes, &current.nodes)
            || changed(&mine.keys, &before.keys, &current.keys)
            || changed(&mine.edges, &before.edges, &current.edges)
            || changed(&mine.vectors, &before.vectors, &current.vectors)
            || self.relied(mine).difference(&mine.nodes).any(|id| key_in(before, id) != key_in(current, id))
            || current.edges.keys().any(|edge| {
                (mine.deleted.contains(&edge.0) || mine.deleted.contains(&edge.2)) && !mine.edges.contains(edge)
            })
            || current.vectors.keys().any(|at| mine.deleted.contains(&at.0) && !mine.vectors.contains(at))
    }

    /// The nodes that what is left of its writes is attached to.
    fn relied(&self, mine: &Writes) -> BTreeSet<u64> {
        let edges = mine.edges.iter().filter(|e| self.now.edges.contains_key(e)).flat_map(|e| [e.0, e.2]);
        let vectors = mine.vectors.iter().filter(|v| self.now.vectors.contains_key(v)).map(|v| v.0);
        edges.chain(vectors).collect()
    }

    /// The model once this is committed, if nothing else was meanwhile.
    pub fn after(&self) -> Model {
        let mut after = self.now.clone();
        after.fixed.retain(|vector| self.fixes(*vector));
        after.ranks = self.before.ranks.union(&self.net().edges.iter().map(|edge| edge.3).collect()).copied().collect();
        after
    }

    /// Whether the length of these vectors is fixed: by one that stays.
    fn fixes(&self, vector: usize) -> bool {
        self.before.fixed.contains(&vector) || self.now.vectors.keys().any(|(_, other)| *other == vector)
    }

    /// Whether committing this leaves a frame.
    pub fn wrote(&self) -> bool {
        let Writes { nodes, edges, vectors, indexes, .. } = self.net();
        !(nodes.is_empty() && edges.is_empty() && vectors.is_empty() && indexes.is_empty())
    }

    /// Puts what was written into `model`, which may be newer than what this draft began with.
    pub fn commit_to(&self, model: &mut Model) -> Committed {
        fn copy<K: Ord + Clone, V: Clone>(keys: &BTreeSet<K>, from: &BTreeMap<K, V>, to: &mut BTreeMap<K, V>) {
            for key in keys {
                match from.get(key) {
                    Some(value) => drop(to.insert(key.clone(), value.clone())),
                    None => drop(to.remove(key)),
                }
            }
        }
        let (before, now, all) = (&self.before, &self.now, &self.net());
        copy(&all.nodes, &now.nodes, &mut model.nodes);
        copy(&all.keys, &now.keys, &mut model.keys);
        copy(&all.edges, &now.edges, &mut model.edges);
        copy(&all.vectors, &now.vectors, &mut model.vectors);
        copy(&all.indexes, &now.indexes, &mut model.indexes);
        model.fixed.extend(now.fixed.iter().filter(|vector| self.fixes(**vector)));
        model.ever.extend(&now.ever);
        model.ranks.extend(all.edges.iter().map(|edge| edge.3));
        let mut writes = all.clone();
        writes.nodes.retain(|id| before.nodes.contains_key(id) || now.nodes.contains_key(id));
        let added = writes.edges.iter().filter(|e| now.edges.contains_key(e) && !before.edges.contains_key(e));
        let attached = writes.vectors.iter().filter(|v| now.vectors.contains_key(v)).map(|v| v.0);
        let relied = added.flat_map(|e| [e.0, e.2]).chain(attached).collect();
        let gone = writes.deleted.clone();
        Committed { writes, relied, gone }
    }
}

fn replace(props: &mut Props, prop: usize, value: Option<Bytes>) -> bool {
    match value {
        Some(value) => props.insert(prop, value).is_some(),
        None => props.remove(&prop).is_some(),
    }
}

impl Model {
    /// Every edge with the ends and type of this one, by rank.
    pub fn between(&self, (src, ty, dst, _): Edge) -> impl Iterator<Item = Edge> {
        self.edges.range((src, ty, dst, 0)..=(src, ty, dst, u64::MAX)).map(|(edge, _)| *edge)
    }

    /// The edge that calls by source, type and destination mean.
    pub fn lowest(&self, edge: Edge) -> Option<Edge> {
        self.between(edge).next()
    }

    /// Whether `read` has an id for every name that this graph uses: else it shows another one.
    pub fn is_named_by(&self, read: &(impl GraphRead + ?Sized)) -> bool {
        let props = |props: &Props| props.keys().all(|prop| read.propkey_id(PROPS[*prop]).is_some());
        let labels = |node: &Node| node.labels.iter().all(|label| read.label_id(LABELS[*label]).is_some());
        self.nodes.values().all(|node| props(&node.props) && labels(node))
            && self.edges.iter().all(|((_, ty, ..), edge)| props(edge) && read.etype_id(TYPES[*ty]).is_some())
            && self.vectors.keys().all(|(_, vector)| read.propkey_id(VECTORS[*vector].0).is_some())
            && self.indexes.values().all(|index| {
                let on = match &index.spec.on {
                    IndexOn::Label(label) => read.label_id(label.as_str()).is_some(),
                    IndexOn::EdgeType(ty) => read.etype_id(ty.as_str()).is_some(),
                    other => panic!("{other:?}"),
                };
                on && read.propkey_id(index.spec.property.as_str()).is_some()
            })
    }

    /// The digest of this graph under the names, and their ids, that `read` shows.
    pub fn digest(&self, read: &(impl GraphRead + ?Sized)) -> Digest {
        let mut sum = Digest::default();
        for (id, name) in read.labels() {
            sum += Digest::of_name(NameKind::Label, id.0, &name);
        }
        for (id, name) in read.etypes() {
            sum += Digest::of_name(NameKind::EdgeType, id.0, &name);
        }
        for (id, name) in read.propkeys() {
            sum += Digest::of_name(NameKind::PropKey, id.0, &name);
        }
        for (&id, node) in &self.nodes {
            let mut labels: Vec<LabelId> = node.labels.iter().map(|l| label_id(read, *l)).collect();
            labels.sort_unstable();
            let mut record = Vec::new();
            put_varint(&mut record, id);
            record.push(node.key.is_some().into());
            if let Some(key) = &node.key {
                put_varint(&mut record, key.len() as u64);
                record.extend(key.as_bytes());
            }
            put_varint(&mut record, labels.len() as u64);
            labels.iter().for_each(|label| put_varint(&mut record, label.0.into()));
            record.extend(prop_list(read, &node.props));
            sum += Digest::of_node(&record);
        }
        for (&edge, props) in &self.edges {
            sum += Digest::of_edge(edge_key(read, edge), &prop_list(read, props));
        }
        for (&(id, vector), bits) in &self.vectors {
            let bytes: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
            sum += Digest::of_vector(NodeId(id), prop_id(read, VECTORS[vector].0), &bytes);
        }
        for (&index, Indexed { id, spec, state }) in &self.indexes {
            let on = match &spec.on {
                IndexOn::Label(label) => IndexTarget::Label(read.label_id(label.as_str()).unwrap()),
                IndexOn::EdgeType(ty) => IndexTarget::EdgeType(read.etype_id(ty.as_str()).unwrap()),
                other => panic!("{other:?}"),
            };
            let (name, property) = (INDEXES[index].into(), prop_id(read, &spec.property));
            sum += Digest::of_index(&IndexDef { id: *id, name, on, property, unique: spec.unique, state: *state });
        }
        sum
    }
}

/// The canonical bytes of properties: key ids ascending, each followed by its value.
fn prop_list(read: &(impl GraphRead + ?Sized), props: &Props) -> Bytes {
    let mut pairs: Vec<_> = props.iter().map(|(p, value)| (prop_id(read, PROPS[*p]), value)).collect();
    pairs.sort_unstable();
    let mut bytes = Vec::new();
    for (key, value) in pairs {
        put_varint(&mut bytes, key.0.into());
        bytes.extend(value);
    }
    bytes
}

pub fn label_id(read: &(impl GraphRead + ?Sized), label: usize) -> LabelId {
    read.label_id(LABELS[label]).unwrap_or_else(|| panic!("label {} is in use and has no id", LABELS[label]))
}

pub fn prop_id(read: &(impl GraphRead + ?Sized), name: &str) -> PropKeyId {
    read.propkey_id(name).unwrap_or_else(|| panic!("property key {name} is in use and has no id"))
}

pub fn type_id(read: &(impl GraphRead + ?Sized), ty: usize) -> EdgeTypeId {
    read.etype_id(TYPES[ty]).unwrap_or_else(|| panic!("edge type {} is in use and has no id", TYPES[ty]))
}

pub fn edge_key(read: &(impl GraphRead + ?Sized), (src, ty, dst, rank): Edge) -> EdgeKey {
    EdgeKey::new(NodeId(src), type_id(read, ty), NodeId(dst)).with_rank(rank)
}
