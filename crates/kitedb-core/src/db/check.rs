//! The check: every checksum, and every invariant, recomputed from nothing.

use super::{
    dyn_graph::sealed::ReadState,
    engine::Engine,
    options::ReplicationRole,
    place::{default_sidecar, left_log_in, no_control_file, wal_dir},
    read::GraphRead,
    writer_lock::ATTEMPTS,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Direction, EdgeKey, IndexDef, IndexTarget, LabelId, LogIndex, NameKind, NodeId},
    io::OpenMode,
    log::{Control, LogIdentity, holds_segments_of, in_its_way, is_in_its_way, out_of_place, verify},
    state::hash_id,
    store::{LogKind, LogLink},
    watch::{Phase, Watch},
};
use rustc_hash::{FxHashMap, FxHashSet};

/// What [`Database::check`](crate::Database::check) found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// Ranges of the file, or parts of the log, that do not verify.
    pub damage: Vec<String>,
    /// Invariants that do not hold; at most [`CheckReport::MAX_ERRORS`] are listed.
    pub errors: Vec<String>,
    /// How many invariants do not hold.
    pub error_count: u64,
    /// Nodes that were read.
    pub nodes: u64,
    /// Edges that were read.
    pub edges: u64,
    /// Vectors that were read.
    pub vectors: u64,
    /// The digest, recomputed from what was read (I20).
    pub digest: Digest,
    /// The log index that was checked.
    pub log_index: LogIndex,
}

impl CheckReport {
    /// How many errors are listed at most.
    pub const MAX_ERRORS: usize = 100;

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.error_count == 0
    }

    fn error(&mut self, what: impl std::fmt::Display) {
        self.error_count += 1;
        if self.errors.len() < Self::MAX_ERRORS {
            self.errors.push(what.to_string());
        }
    }

    fn expect<T: PartialEq + std::fmt::Display>(&mut self, what: impl std::fmt::Display, stored: T, found: T) {
        if stored != found {
            self.error(format_args!("{what}: {stored} recorded, {found} found"));
        }
    }
}

impl Engine {
    /// Where it is ended, nothing was changed.
    pub(crate) fn check(&self, watch: &Watch) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        // What may not be read is not damaged, as far as can be told.
        let denied = |e: &&Error| e.code() == ErrorCode::PermissionDenied;
        if let Some(denied) = self.damage().as_ref().filter(denied) {
            return Err(denied.clone());
        }
        report.damage.extend(self.damage().iter().map(ToString::to_string));
        let bytes = self.store.runs().iter().map(|run| run.bytes()).sum();
        let mut stage = watch.begin(Phase::Verify, Some(bytes))?;
        let damage = self.store.verify(&mut |bytes| stage.advance(bytes))?;
        stage.end()?;
        if damage.is_empty() {
            let faults =
                self.store.runs().iter().filter_map(|run| run.check().err()).map(|e| e.to_string()).collect::<Vec<_>>();
            report.damage.extend(faults);
        }
        for damage in damage {
            report.damage.push(format!("{} bytes at {}: {}", damage.len, damage.offset, damage.what));
        }
        // The open may have told it already.
        let new: Vec<String> = self.log_damage()?.into_iter().filter(|found| !report.damage.contains(found)).collect();
        report.damage.extend(new);
        watch.require_uncancelled()?;
        match self.check_graph(&mut report, watch) {
            // What was not read is not damaged.
            Err(e) if e.code() == ErrorCode::Cancelled => return Err(e),
            Err(e) => report.damage.push(e.to_string()),
            Ok(()) => {}
        }
        Ok(report)
    }

    /// What of the log does not verify, or cannot be read: that is told, and the rest checked all the same. A writer may end
    /// the log meanwhile, remove what is left of it, or begin one beside a file that had none: so nothing is damage but what is
    /// found twice in a row while the header names the same log.
    pub(super) fn log_damage(&self) -> Result<Vec<String>> {
        let mut before = Vec::new();
        for _ in 0..ATTEMPTS {
            let link = self.store.log_link();
            let found = match self.check_log(&link) {
                // Neither what may not be read nor what a newer build wrote is damaged, as far as can be told.
                Err(e) if e.code() == ErrorCode::PermissionDenied || e.is_other_version() => return Err(e),
                found => found.unwrap_or_else(|e| vec![e.to_string()]),
            };
            // A header that cannot be read now, of a file that is gone, say, takes nothing back.
            if found.is_empty() || self.log_is_another_one(&link).unwrap_or(false) {
                return Ok(Vec::new());
            }
            if found == before {
                return Ok(found);
            }
            before = found;
        }
        Ok(before)
    }

    /// Reads the log that the file names: its control file, and each segment that is there, needed or not.
    fn check_log(&self, link: &LogLink) -> Result<Vec<String>> {
        let log = LogIdentity { log_id: link.id, file_id: self.store.file_id() };
        if link.kind == LogKind::None {
            let left = [wal_dir(&self.path), default_sidecar(&self.path)]
                .into_iter()
                .find_map(|dir| left_log_in(&self.env, &dir, &self.path, log.file_id, self.published()).transpose());
            let left = left.transpose()?;
            // The first commit would meet it.
            let stranger = || match self.env.disk.is_dir(&wal_dir(&self.path)) {
                true => out_of_place(&self.env, &wal_dir(&self.path), log),
                false => Ok(None),
            };
            let told = left.map_or_else(stranger, |left| Ok(Some(left)))?;
            // A replica has a log from its first copy on.
            let never_made = || self.opened.log_fault().filter(|_| self.role() == ReplicationRole::Replica).cloned();
            return Ok(told.or_else(never_made).into_iter().map(|e| e.to_string()).collect());
        }
        let control = match Control::open(&*self.env.disk, &self.log_dir, OpenMode::Read) {
            Ok(Some(control)) if control.expect(log.file_id).is_ok() => control,
            Ok(None) if holds_segments_of(&self.env, &self.log_dir, log.file_id) => {
                return Ok(vec![no_control_file(&self.log_dir).to_string()]);
            }
            Ok(_) => return Ok(self.missing_log(link.kind)),
            Err(e) if e.code() == ErrorCode::Corrupt => return Ok(vec![e.to_string()]),
            Err(e) => return Err(e),
        };
        let fence = control.fence().err().map(|e| e.to_string());
        let frames = verify(&self.env, &self.log_dir, log, &control, self.published())?;
        let in_its_way = in_its_way(&self.env, &self.log_dir, log)?;
        let in_its_way = in_its_way.iter().map(|path| is_in_its_way(path));
        Ok(fence.into_iter().chain(frames).chain(in_its_way).collect())
    }

    /// What is told of a log that is not there, or is another one. A private log is there only while commits are in it, which
    /// an open misses for itself; a node of a cluster keeps its log, also where its file holds every commit. A copy of its
    /// file alone never had one.
    fn missing_log(&self, kind: LogKind) -> Vec<String> {
        let told = match self.opened.log_fault() {
            Some(copied) if copied.code() == ErrorCode::FilesMoved => None,
            Some(fault) => Some(fault.to_string()),
            None if kind == LogKind::Sidecar && self.checkpoint_index() > LogIndex(0) => {
                Some(format!("the log of this database is not in {} any more: put it back", self.log_dir.display()))
            }
            None => None,
        };
        told.into_iter().collect()
    }

    fn check_graph(&self, report: &mut CheckReport, watch: &Watch) -> Result<()> {
        let view = self.view();
        let mut stage = watch.begin(Phase::Check, Some(view.count_nodes() + view.count_edges()))?;
        let reading = view.reading();
        report.log_index = view.index;
        let mut labels = Labels { in_deltas: reading.labelled_in_deltas().collect(), ..Labels::default() };
        let mut types: FxHashMap<u32, u64> = FxHashMap::default();
        let (mut incoming, mut greatest, mut greatest_rank) = (0u64, 0u64, 0u64);
        for id in reading.nodes(NodeId(0)) {
            let id = id?;
            stage.advance(1)?;
            let Some(node) = reading.node(id)? else { continue };
            node.validate()?;
            report.nodes += 1;
            greatest = greatest.max(id.0);
            report.digest += Digest::of_node(node.as_bytes());
            if node.id() != id {
                report.error(format_args!("the record of node {id} is that of node {}", node.id()));
            }
            if let Some(key) = node.key()
                && reading.node_by_key(key)? != Some(id)
            {
                report.error(format_args!("key '{key}' of node {id} does not lead to it"));
            }
            let written = reading.written_node(id)?.is_some();
            for label in node.labels() {
                labels.add(label, id, written, report);
                if view.label_name(label).is_none() {
                    report.error(format_args!("label {label} of node {id} has no name"));
                }
            }
            for prop in node.props()?.iter() {
                let (key, _) = prop?;
                if view.propkey_name(key).is_none() {
                    report.error(format_args!("property key {key} of node {id} has no name"));
                }
            }
            for edge in reading.edges_at(id, Direction::In, None)? {
                incoming += 1;
                if !reading.edge_exists(edge)? {
                    let EdgeKey { src, ty, .. } = edge;
                    report.error(format_args!("an edge of type {ty} from node {src} is known at its end {id} only"));
                }
            }
            for key in reading.vector_keys(id)? {
                let Some(vector) = reading.vector(id, key)? else { continue };
                report.vectors += 1;
                report.digest += Digest::of_vector(id, key, vector.as_bytes());
                if view.levels.names.dimension(key) != Some(vector.len() as u32) {
                    report.error(format_args!("a vector of node {id} has another length than its property key says"));
                }
            }
        }
        for edge in reading.edges(None, usize::MAX) {
            let edge = edge?;
            stage.advance(1)?;
            report.edges += 1;
            greatest_rank = greatest_rank.max(edge.rank);
            *types.entry(edge.ty.0).or_default() += 1;
            let Some(props) = reading.edge(edge)? else {
                report.error(format_args!("{edge:?} is listed but does not exist"));
                continue;
            };
            props.validate()?;
            report.digest += Digest::of_edge(edge, props.as_bytes());
            for end in [edge.src, edge.dst] {
                if !reading.node_exists(end)? {
                    report.error(format_args!("{edge:?} has no node {end} at its end"));
                }
            }
            if view.etype_name(edge.ty).is_none() {
                report.error(format_args!("edge type {} has no name", edge.ty));
            }
        }
        // Each incoming edge was found among the outgoing ones; if there are as many, each outgoing one is incoming.
        report.expect("edges by their destination and by their source", incoming, report.edges);
        report.expect("number of nodes", view.count_nodes(), report.nodes);
        report.expect("number of edges", view.count_edges(), report.edges);
        report.expect("number of vectors", view.count_vectors(), report.vectors);
        self.check_names(&view, report, &labels, &types)?;
        self.check_indexes(&view, report);
        let next = self.ids.next();
        if greatest >= next.node {
            report.error(format_args!("node {greatest} lies beyond the next node id to be given out"));
        }
        if greatest_rank >= next.rank {
            report.error(format_args!("rank {greatest_rank} of an edge lies beyond the next one to be given out"));
        }
        report.expect("state digest", view.digest(), report.digest);
        stage.end()
    }

    fn check_names(
        &self,
        view: &super::View,
        report: &mut CheckReport,
        labels: &Labels,
        types: &FxHashMap<u32, u64>,
    ) -> Result<()> {
        for kind in NameKind::ALL {
            for (id, name) in view.list_names(kind) {
                report.digest += Digest::of_name(kind, id, &name);
            }
        }
        for (label, name) in view.labels() {
            let carriers = labels.carriers.get(&label).copied().unwrap_or_default();
            report.expect(format_args!("nodes with label '{name}'"), view.count_nodes_by_label(label), carriers.count);
            let stored = labels.stored.get(&label).copied().unwrap_or_default();
            self.check_index(view, report, (label, &name), stored)?;
        }
        for (ty, name) in view.etypes() {
            let found = types.get(&ty.0).copied().unwrap_or(0);
            report.expect(format_args!("edges of type '{name}'"), view.count_edges_by_type(ty), found);
        }
        Ok(())
    }

    /// Checks that definitions of indexes are about names that there are, and that each has a name of its own.
    fn check_indexes(&self, view: &super::View, report: &mut CheckReport) {
        let (mut names, mut greatest) = (FxHashSet::default(), 0);
        let indexes = view.reading().indexes();
        for index in indexes.iter() {
            let IndexDef { id, name, .. } = index;
            report.digest += Digest::of_index(index);
            greatest = greatest.max(id.0);
            if !names.insert(name.clone()) {
                report.error(format_args!("more than one index has the name '{name}'"));
            }
            let on = match index.on {
                IndexTarget::Label(label) => view.label_name(label),
                IndexTarget::EdgeType(ty) => view.etype_name(ty),
            };
            if on.is_none() || view.propkey_name(index.property).is_none() {
                report.error(format_args!("index '{name}' is about names that there are not"));
            }
        }
        if greatest >= self.ids.next().index {
            report.error(format_args!("index {greatest} lies beyond the next index id to be given out"));
        }
    }

    /// Checks what the runs list under a label against the nodes that carry it and that only the runs know.
    fn check_index(
        &self,
        view: &super::View,
        report: &mut CheckReport,
        (label, name): (LabelId, &str),
        carriers: Nodes,
    ) -> Result<()> {
        let reading = view.reading();
        let mut listed = Nodes::default();
        for id in reading.stored_members(label)? {
            if reading.written_node(id)?.is_none() {
                listed.add(id);
            }
        }
        if listed == carriers {
            return Ok(());
        }
        // Only now, because that reads a record for each of them: which ones.
        for id in reading.stored_members(label)? {
            if reading.written_node(id)?.is_none() && !reading.node(id)?.is_some_and(|node| node.has_label(label)) {
                report.error(format_args!("node {id} is listed under label '{name}' and does not carry it"));
            }
        }
        report.expect(format_args!("nodes in the index of label '{name}'"), listed.count, carriers.count);
        Ok(())
    }
}

/// Which nodes carry which label, as their records say.
#[derive(Default)]
struct Labels {
    /// What the deltas list.
    in_deltas: FxHashSet<(LabelId, NodeId)>,
    /// All nodes, by label.
    carriers: FxHashMap<LabelId, Nodes>,
    /// Of these the ones that no delta wrote.
    stored: FxHashMap<LabelId, Nodes>,
}

/// A set of nodes: two are taken to be equal if as many nodes have the same sum of hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Nodes {
    count: u64,
    sum: u64,
}

impl Nodes {
    fn add(&mut self, id: NodeId) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash_id(id.0));
    }
}

impl Labels {
    /// Takes note that a node carries a label; `written` says whether a delta wrote the node.
    fn add(&mut self, label: LabelId, id: NodeId, written: bool, report: &mut CheckReport) {
        self.carriers.entry(label).or_default().add(id);
        if !written {
            self.stored.entry(label).or_default().add(id);
        } else if !self.in_deltas.contains(&(label, id)) {
            report.error(format_args!("node {id} carries label {label} and is not listed under it"));
        }
    }
}
