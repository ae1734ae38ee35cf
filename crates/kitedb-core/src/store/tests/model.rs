//! Runs as maps, and databases that grow run by run.

use super::*;
use crate::graph::{
    Direction, EdgeKey, EdgeTypeId, LabelId, MAX_RANK, NameKind, NodeId, NodeRecord, NodeRecordBuf, PropKeyId,
    PropListBuf, Value,
};
use std::collections::BTreeMap;

/// Source, type, destination, rank.
pub(super) type Edge = (u64, u32, u64, u64);

/// What a run holds.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Contents {
    pub names: BTreeMap<(NameKind, u32), (u32, String)>,
    pub nodes: BTreeMap<u64, Vec<u8>>,
    pub edges: BTreeMap<Edge, (EntryKind, Vec<u8>)>,
    pub labels: BTreeMap<(u32, u64), EntryKind>,
    pub vectors: BTreeMap<(u64, u32), Option<Vec<u8>>>,
}

impl Contents {
    fn incoming(&self) -> BTreeMap<Edge, EntryKind> {
        self.edges.iter().map(|(&(src, ty, dst, rank), (kind, _))| ((dst, ty, src, rank), *kind)).collect()
    }

    pub fn changes(&self) -> Changes<'_> {
        let edge = |(src, ty, dst, rank)| EdgeKey::new(NodeId(src), EdgeTypeId(ty), NodeId(dst)).with_rank(rank);
        let names =
            self.names.iter().map(|(&(kind, id), (dimension, name))| (kind, id, *dimension, name.as_str().into()));
        let vectors =
            self.vectors.iter().map(|(&(node, key), floats)| (NodeId(node), PropKeyId(key), floats.as_deref()));
        Changes {
            names: names.collect(),
            nodes: self.nodes.iter().map(|(&id, record)| (NodeId(id), record.as_slice())).collect(),
            edges: self.edges.iter().map(|(&key, (kind, props))| (edge(key), *kind, props.as_slice())).collect(),
            members: self.labels.iter().map(|(&(label, node), kind)| (LabelId(label), NodeId(node), *kind)).collect(),
            vectors: vectors.collect(),
        }
    }

    pub fn bounds(&self) -> RunBounds {
        self.changes().bounds()
    }

    pub fn write(&self, store: &Store) -> Result<Arc<Run>> {
        self.write_as(store, KeySlots::default())
    }

    pub fn write_as(&self, store: &Store, key_slots: KeySlots) -> Result<Arc<Run>> {
        let mut pace = |_| Ok(());
        let mut writer = store.begin_run(&RunBounds { key_slots, ..self.bounds() }, &mut pace)?;
        self.changes().write_to(&mut writer)?;
        writer.finish()
    }

    /// Reads everything by scans, from `from` on.
    pub fn read(run: &Run) -> Result<Self> {
        let mut contents = Self::default();
        for (kind, id, dimension, name) in run.names()? {
            contents.names.insert((kind, id), (dimension, name));
        }
        for record in run.nodes_from(NodeId(0)) {
            let record = record?;
            contents.nodes.insert(record.id().0, record.as_bytes().to_vec());
        }
        for row in run.rows_from(Direction::Out, NodeId(0)) {
            let (src, row) = row?;
            for (at, entry) in row.iter().enumerate() {
                let props = run.edge_props(&row, at)?.as_bytes().to_vec();
                let edge = (src.0, entry.ty.0, entry.other.0, run.rank(Direction::Out, &row, at)?);
                contents.edges.insert(edge, (entry.kind, props));
            }
        }
        let mut incoming = BTreeMap::new();
        for row in run.rows_from(Direction::In, NodeId(0)) {
            let (dst, row) = row?;
            for (at, entry) in row.iter().enumerate() {
                let edge = (dst.0, entry.ty.0, entry.other.0, run.rank(Direction::In, &row, at)?);
                incoming.insert(edge, entry.kind);
            }
        }
        assert_eq!(incoming, contents.incoming());
        for members in run.labels() {
            let (label, members) = members?;
            contents.labels.extend(members.iter().map(|(node, kind)| ((label.0, node.0), kind)));
        }
        for entries in run.vectors_from(NodeId(0)) {
            let (node, entries) = entries?;
            for entry in entries {
                let (key, vector) = entry?;
                contents.vectors.insert((node.0, key.0), vector.map(|vector| vector.as_bytes().to_vec()));
            }
        }
        Ok(contents)
    }
}

/// A small generator, so that a case is its seed.
pub(super) struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Ids and types that runs are made of.
pub(super) struct Palette {
    ids: Vec<u64>,
    types: Vec<u32>,
    props: u64,
    ranks: Vec<u64>,
}

impl Palette {
    /// `shape` chooses how ids are spread, how many types there are, and how often edges have properties.
    pub fn new(chance: &mut Chance, shape: u8) -> Self {
        let ids = match shape % 4 {
            0 => (1..=40).collect(),
            1 => (0..200).map(|_| 1 + chance.below(1 << 40)).collect(),
            2 => (0..60).map(|_| (1 << 63) - 1 - chance.below(1 << 34)).chain([1, 2, (1 << 63) - 1]).collect(),
            // Skewed: most in one bucket.
            _ => (0..300).map(|at| 5000 + at * (1 + chance.below(2))).chain([1, 1 << 31]).collect(),
        };
        let types = match shape / 4 % 3 {
            0 => vec![1, 2, 3],
            1 => (1..=200).collect(),
            _ => vec![1, 63, 64, 16_383, 16_384, (1 << 30) - 1],
        };
        // Two shapes in five have no parallel edges.
        let ranks = match shape % 5 {
            0 | 1 => vec![0],
            2 => vec![0, 0, 0, 0, 0, 0, 0, 7],
            _ => vec![0, 0, 1, 2, 3, 127, 128, 1 << 40, MAX_RANK],
        };
        Self { ids, types, props: u64::from(shape / 12 % 3), ranks }
    }
}

/// What is visible after some runs.
#[derive(Default, Clone)]
pub(super) struct Visible {
    edges: BTreeMap<Edge, Vec<u8>>,
    labels: BTreeMap<(u32, u64), ()>,
    nodes: BTreeMap<u64, String>,
    vectors: BTreeMap<(u64, u32), ()>,
}

fn props(chance: &mut Chance, some: bool) -> Vec<u8> {
    let pairs = [
        (PropKeyId(1), Value::I64(chance.next() as i64)),
        (PropKeyId(300), Value::String("x".repeat(chance.below(40) as usize))),
    ];
    let count = if some { 1 + chance.below(2) as usize } else { 0 };
    PropListBuf::from_pairs(&pairs[..count]).unwrap().as_list().as_bytes().to_vec()
}

impl Visible {
    /// A run of `edits` changes on top of this state, which becomes the state after it.
    pub fn next_run(&mut self, chance: &mut Chance, palette: &Palette, edits: u64) -> Contents {
        let mut run = Contents::default();
        let before = self.clone();
        let hub = palette.ids[0];
        for edit in 0..edits {
            let id = chance.pick(&palette.ids);
            match chance.below(8) {
                0 | 1 => {
                    let key = format!("key {}", id % 1000 + chance.below(2) * 1000);
                    let free = !self.nodes.values().any(|taken| *taken == key);
                    let value = [Value::I64(edit as i64), Value::F64(0.5), Value::Bool(true), "text".into()];
                    let other = value[chance.below(4) as usize].clone();
                    let pairs = [(PropKeyId(1), Value::I64(edit as i64)), (PropKeyId(2), other)];
                    let props = PropListBuf::from_pairs(&pairs[..chance.below(3) as usize]).unwrap();
                    let record = if before.nodes.contains_key(&id) && chance.below(2) == 0 {
                        NodeRecordBuf::default().dead(NodeId(id), self.nodes.remove(&id).as_deref()).to_vec()
                    } else if let Some(key) = self.nodes.get(&id) {
                        NodeRecordBuf::default().live(NodeId(id), Some(key), &[LabelId(3)], props.as_list()).to_vec()
                    } else if free {
                        self.nodes.insert(id, key.clone());
                        NodeRecordBuf::default().live(NodeId(id), Some(&key), &[], props.as_list()).to_vec()
                    } else {
                        continue;
                    };
                    run.nodes.insert(id, record);
                }
                2..=5 => {
                    let other = chance.pick(&palette.ids);
                    let (src, dst) = if chance.below(3) == 0 { (hub, other) } else { (id, other) };
                    let edge = (src, chance.pick(&palette.types), dst, chance.pick(&palette.ranks));
                    let some = chance.below(2) < palette.props;
                    let new = props(chance, some);
                    let gone = self.edges.contains_key(&edge) && chance.below(2) == 0;
                    let kind = match (before.edges.contains_key(&edge), gone) {
                        (true, true) => EntryKind::Remove,
                        (true, false) => EntryKind::Replace,
                        (false, false) => EntryKind::Add,
                        (false, true) => {
                            run.edges.remove(&edge);
                            self.edges.remove(&edge);
                            continue;
                        }
                    };
                    if gone {
                        self.edges.remove(&edge);
                        run.edges.insert(edge, (kind, Vec::new()));
                    } else {
                        self.edges.insert(edge, new.clone());
                        run.edges.insert(edge, (kind, new));
                    }
                }
                6 => {
                    let member = (1 + chance.below(4) as u32, id);
                    let kind = if self.labels.remove(&member).is_some() {
                        EntryKind::Remove
                    } else {
                        self.labels.insert(member, ());
                        EntryKind::Add
                    };
                    let back = before.labels.contains_key(&member) == self.labels.contains_key(&member);
                    if back {
                        run.labels.remove(&member);
                    } else {
                        run.labels.insert(member, kind);
                    }
                }
                _ => {
                    let at = (id, 1 + chance.below(3) as u32);
                    let vector = if self.vectors.remove(&at).is_some() {
                        None
                    } else {
                        self.vectors.insert(at, ());
                        Some([1.5f32, edit as f32].iter().flat_map(|float| float.to_le_bytes()).collect())
                    };
                    run.vectors.insert(at, vector);
                    let name = chance.below(5) as u32 + 1;
                    run.names.insert((NameKind::PropKey, name), (edit as u32, format!("name {name}")));
                }
            }
        }
        run
    }

    /// What a merge of `runs`, which lead from `self` to `after`, must hold.
    pub fn merged(&self, runs: &[Contents], after: &Self, oldest: bool) -> Contents {
        let mut merged = Contents::default();
        for run in runs {
            merged.names.extend(run.names.clone());
            merged.nodes.extend(run.nodes.clone());
            merged.vectors.extend(run.vectors.clone());
            for edge in run.edges.keys() {
                let kind = match (self.edges.contains_key(edge), after.edges.get(edge)) {
                    (false, Some(props)) => (EntryKind::Add, props.clone()),
                    (true, Some(props)) => (EntryKind::Replace, props.clone()),
                    (true, None) => (EntryKind::Remove, Vec::new()),
                    (false, None) => continue,
                };
                merged.edges.insert(*edge, kind);
            }
            for member in run.labels.keys() {
                match (self.labels.contains_key(member), after.labels.contains_key(member)) {
                    (false, true) => merged.labels.insert(*member, EntryKind::Add),
                    (true, false) => merged.labels.insert(*member, EntryKind::Remove),
                    _ => None,
                };
            }
        }
        if oldest {
            merged.nodes.retain(|_, record| !NodeRecord::parse(record).unwrap().is_dead());
            merged.vectors.retain(|_, vector| vector.is_some());
        }
        merged
    }
}
