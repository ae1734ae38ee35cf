//! What can be read, from a [`View`](super::View) and from within a [`Transaction`](super::Transaction) alike.

use super::{
    dyn_graph::{Graph, Wanted, resolve},
    edge_ref::EdgeRef,
    indexes::{Index, indexes_of},
    name::{NameRef, TypeFilter},
    node_ref::NodeRef,
    page::{Page, page, positive},
    scans::{Edges, Neighbors, NodeEdges, Nodes, SortedEdges, following},
};
use crate::{
    error::{Error, Result},
    graph::{Direction, EdgeKey, EdgeTypeId, LabelId, NameKind, NodeId, PropKeyId, PropList, Value, ValueRef},
};

fn owned(props: PropList<'_>) -> Result<Vec<(PropKeyId, Value)>> {
    props.iter().map(|p| p.map(|(key, value)| (key, value.to_value()))).collect()
}

/// Reads of one consistent state: a [`View`](crate::View), a [`Transaction`](crate::Transaction), or either as a
/// [`dyn Graph`](Graph).
///
/// Labels, edge types and property keys are given by name or by id. A name that is not in use finds nothing; every type is
/// said as [`AllTypes`](crate::AllTypes).
pub trait GraphRead: Graph {
    /// This state as a type that is not generic.
    fn as_graph(&self) -> &dyn Graph {
        self.as_dyn()
    }

    /// A node; `None` if it does not exist.
    fn node(&self, id: NodeId) -> Result<Option<NodeRef<'_>>> {
        Ok(self.fresh()?.node(id)?.map(|record| NodeRef::of(self.as_dyn(), record)))
    }

    /// The node that has `key`; `None` if none has.
    fn node_with_key(&self, key: &str) -> Result<Option<NodeRef<'_>>> {
        Ok(self.node_by_key(key)?.map(|id| NodeRef::new(self.as_dyn(), id)))
    }

    /// Exactly that edge; `None` if it does not exist.
    fn edge(&self, edge: EdgeKey) -> Result<Option<EdgeRef<'_>>> {
        Ok(self.fresh()?.edge(edge)?.map(|props| EdgeRef::of(self.as_dyn(), edge, props)))
    }

    /// Whether a node exists.
    fn node_exists(&self, id: NodeId) -> Result<bool> {
        self.fresh()?.node_exists(id)
    }

    /// The node that has `key`.
    #[inline]
    fn node_by_key(&self, key: &str) -> Result<Option<NodeId>> {
        self.fresh()?.node_by_key(key)
    }

    /// A node's key, if the node exists and has one.
    fn node_key(&self, id: NodeId) -> Result<Option<String>> {
        Ok(self.fresh()?.node(id)?.and_then(|n| n.key().map(str::to_owned)))
    }

    /// A node's properties, by key id; `None` if the node does not exist.
    fn node_props(&self, id: NodeId) -> Result<Option<Vec<(PropKeyId, Value)>>> {
        self.fresh()?.node(id)?.map(|n| owned(n.props()?)).transpose()
    }

    /// One property of a node.
    fn node_prop<'n>(&self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<Option<Value>> {
        let Some(key) = resolve(self, key) else { return Ok(None) };
        Ok(self.node_prop_ref(id, key)?.map(ValueRef::to_value))
    }

    /// One property of a node, without a copy.
    #[inline]
    fn node_prop_ref(&self, id: NodeId, key: PropKeyId) -> Result<Option<ValueRef<'_>>> {
        match self.fresh()?.node(id)? {
            Some(node) => node.props()?.get(key),
            None => Ok(None),
        }
    }

    /// A node's labels, ascending; none if the node does not exist.
    fn node_labels(&self, id: NodeId) -> Result<Vec<LabelId>> {
        Ok(self.fresh()?.node(id)?.map(|n| n.labels().collect()).unwrap_or_default())
    }

    /// Whether a node carries a label.
    fn node_has_label<'n>(&self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        let Some(label) = resolve(self, label) else { return Ok(false) };
        Ok(self.fresh()?.node(id)?.is_some_and(|n| n.has_label(label)))
    }

    /// Whether an edge of that type leads from `src` to `dst`.
    #[inline]
    fn edge_exists<'n>(&self, src: NodeId, ty: impl Into<NameRef<'n, EdgeTypeId>>, dst: NodeId) -> Result<bool> {
        let Some(ty) = resolve(self, ty) else { return Ok(false) };
        self.fresh()?.any_edge_exists(EdgeKey::new(src, ty, dst))
    }

    /// The edge that calls by source, type and destination mean: of several parallel ones, that of the lowest rank.
    fn edge_between<'n>(
        &self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
    ) -> Result<Option<EdgeKey>> {
        let Some(ty) = resolve(self, ty) else { return Ok(None) };
        self.fresh()?.lowest(EdgeKey::new(src, ty, dst))
    }

    /// Every edge of that type that leads from `src` to `dst`, by rank.
    fn edges_between<'n>(
        &self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
    ) -> Result<Vec<EdgeKey>> {
        let Some(ty) = resolve(self, ty) else { return Ok(Vec::new()) };
        self.fresh()?.edges_between(EdgeKey::new(src, ty, dst))
    }

    /// Whether exactly that edge exists.
    #[inline]
    fn edge_exists_by_key(&self, edge: EdgeKey) -> Result<bool> {
        self.fresh()?.edge_exists(edge)
    }

    /// The properties of exactly that edge, by key id; `None` if it does not exist.
    fn edge_props_by_key(&self, edge: EdgeKey) -> Result<Option<Vec<(PropKeyId, Value)>>> {
        self.fresh()?.edge(edge)?.map(owned).transpose()
    }

    /// One property of exactly that edge.
    fn edge_prop_by_key<'k>(&self, edge: EdgeKey, key: impl Into<NameRef<'k, PropKeyId>>) -> Result<Option<Value>> {
        let Some(key) = resolve(self, key) else { return Ok(None) };
        let Some(props) = self.fresh()?.edge(edge)? else { return Ok(None) };
        Ok(props.get(key)?.map(ValueRef::to_value))
    }

    /// The properties of the edge between two nodes (of several parallel ones, that of the lowest rank), by key id; `None`
    /// if there is none.
    fn edge_props<'n>(
        &self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
    ) -> Result<Option<Vec<(PropKeyId, Value)>>> {
        let Some(ty) = resolve(self, ty) else { return Ok(None) };
        self.fresh()?.lowest_props(EdgeKey::new(src, ty, dst))?.map(|(_, props)| owned(props)).transpose()
    }

    /// One property of the edge between two nodes: of several parallel ones, that of the lowest rank.
    fn edge_prop<'n, 'k>(
        &self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        key: impl Into<NameRef<'k, PropKeyId>>,
    ) -> Result<Option<Value>> {
        let (Some(ty), Some(key)) = (resolve(self, ty), resolve(self, key)) else { return Ok(None) };
        let Some((_, props)) = self.fresh()?.lowest_props(EdgeKey::new(src, ty, dst))? else { return Ok(None) };
        Ok(props.get(key)?.map(ValueRef::to_value))
    }

    /// The nodes that edges of a node lead to, in no particular order: each once for every edge that leads there.
    #[inline]
    fn out_neighbors<'n>(&self, id: NodeId, types: impl Into<TypeFilter<'n>>) -> Result<Neighbors<'_>> {
        self.out_edges(id, types).map(Neighbors)
    }

    /// The nodes that edges to a node come from, in no particular order.
    #[inline]
    fn in_neighbors<'n>(&self, id: NodeId, types: impl Into<TypeFilter<'n>>) -> Result<Neighbors<'_>> {
        self.in_edges(id, types).map(Neighbors)
    }

    /// Calls `f` with each neighbour of a node, in no particular order: the fastest way to traverse.
    #[inline]
    fn for_each_neighbor<'n>(
        &self,
        id: NodeId,
        direction: Direction,
        types: impl Into<TypeFilter<'n>>,
        f: impl FnMut(NodeId),
    ) -> Result<()> {
        let reading = self.fresh()?;
        match Wanted::of(self, types).only() {
            Some(ty) => reading.visit_neighbors(id, direction, ty, f),
            None => Ok(()),
        }
    }

    /// The edges that lead from a node, in no particular order.
    #[inline]
    fn out_edges<'n>(&self, id: NodeId, types: impl Into<TypeFilter<'n>>) -> Result<NodeEdges<'_>> {
        NodeEdges::new(self.as_dyn(), id, Direction::Out, Wanted::of(self, types))
    }

    /// The edges that lead to a node, in no particular order.
    #[inline]
    fn in_edges<'n>(&self, id: NodeId, types: impl Into<TypeFilter<'n>>) -> Result<NodeEdges<'_>> {
        NodeEdges::new(self.as_dyn(), id, Direction::In, Wanted::of(self, types))
    }

    /// The edges at a node, ascending by type, other end and rank: as pages and cursors have them. Its neighbours in this
    /// order are at [`EdgeRef::other`].
    fn sorted_edges<'n>(
        &self,
        id: NodeId,
        direction: Direction,
        types: impl Into<TypeFilter<'n>>,
    ) -> Result<SortedEdges<'_>> {
        SortedEdges::new(self.as_dyn(), (id, direction), Wanted::of(self, types), None, usize::MAX)
    }

    /// How many edges lead from a node.
    fn out_degree<'n>(&self, id: NodeId, types: impl Into<TypeFilter<'n>>) -> Result<u64> {
        self.degree(id, Direction::Out, types)
    }

    /// How many edges lead to a node.
    fn in_degree<'n>(&self, id: NodeId, types: impl Into<TypeFilter<'n>>) -> Result<u64> {
        self.degree(id, Direction::In, types)
    }

    /// How many edges are at a node, seen from `direction`.
    fn degree<'n>(&self, id: NodeId, direction: Direction, types: impl Into<TypeFilter<'n>>) -> Result<u64> {
        let reading = self.fresh()?;
        match Wanted::of(self, types).only() {
            Some(ty) => Ok(reading.edges_at(id, direction, ty)?.degree()),
            None => Ok(0),
        }
    }

    /// A node's vector under a property key, exactly as it was stored.
    fn node_vector<'n>(&self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<Option<Vec<f32>>> {
        let Some(key) = resolve(self, key) else { return Ok(None) };
        Ok(self.fresh()?.vector(id, key)?.map(|v| v.to_vec()))
    }

    /// How many components the vectors under a property key have: the first one that was stored there fixed it.
    fn vector_dimension<'n>(&self, key: impl Into<NameRef<'n, PropKeyId>>) -> Option<u32> {
        self.reading().dimension(resolve(self, key)?)
    }

    /// Every node, ascending.
    fn nodes(&self) -> Nodes<'_> {
        Nodes::all(self.as_dyn(), None)
    }

    /// Every node with a label, ascending; from the label's index, not by a scan of the nodes.
    fn nodes_with_label<'n>(&self, label: impl Into<NameRef<'n, LabelId>>) -> Result<Nodes<'_>> {
        Nodes::labelled(self.as_dyn(), resolve(self, label), None)
    }

    /// Every edge, ascending by source, type, destination and rank.
    fn edges(&self) -> Edges<'_> {
        Edges::all(self.as_dyn(), None, usize::MAX)
    }

    /// Up to `limit` nodes after `after`, ascending. The cursor holds across commits and checkpoints.
    fn nodes_page(&self, after: Option<NodeId>, limit: usize) -> Result<Page<NodeId>> {
        page(self.fresh()?.nodes(following(after)), limit, |id| *id)
    }

    /// Up to `limit` nodes with a label after `after`, ascending.
    fn label_page<'n>(
        &self,
        label: impl Into<NameRef<'n, LabelId>>,
        after: Option<NodeId>,
        limit: usize,
    ) -> Result<Page<NodeId>> {
        match resolve(self, label) {
            Some(label) => page(self.fresh()?.label(label, following(after))?, limit, |id| *id),
            None => Ok(Page { items: Vec::new(), next: None }),
        }
    }

    /// Up to `limit` edges after `after`, ascending by source, type, destination and rank.
    fn edges_page(&self, after: Option<EdgeKey>, limit: usize) -> Result<Page<EdgeKey>> {
        page(self.fresh()?.edges(after, limit), limit, |edge| *edge)
    }

    /// Up to `limit` edges at a node after `after`, one of its edges, ascending by type, other end and rank: a page may end
    /// between two parallel edges.
    fn neighbors_page<'n>(
        &self,
        id: NodeId,
        direction: Direction,
        types: impl Into<TypeFilter<'n>>,
        after: Option<EdgeKey>,
        limit: usize,
    ) -> Result<Page<EdgeKey>> {
        positive(limit)?;
        if let Some(after) = after.filter(|after| after.ends(direction).0 != id) {
            let (src, dst) = (after.src, after.dst);
            return Err(Error::invalid(format_args!(
                "the page after the edge from node {src} to node {dst} was asked for, which is none of the edges at node {id}: \
                 give the last one of the page before"
            )));
        }
        let after = after.map(|after| (after.ty, after.ends(direction).1, after.rank));
        let reading = self.fresh()?;
        let Some(ty) = Wanted::of(self, types).only() else { return Ok(Page { items: Vec::new(), next: None }) };
        let (edges, more) = reading.edges_in_order(id, direction, ty, after, limit)?.page(limit);
        let key = |(ty, other, rank)| EdgeKey::seen_from(id, direction, ty, other, rank);
        let items: Vec<EdgeKey> = edges.into_iter().map(key).collect();
        Ok(Page { next: items.last().copied().filter(|_| more), items })
    }

    /// How many nodes there are. Constant time, as all counts.
    fn count_nodes(&self) -> u64 {
        self.reading().totals()[0]
    }

    /// How many edges there are.
    fn count_edges(&self) -> u64 {
        self.reading().totals()[1]
    }

    /// How many vectors there are.
    fn count_vectors(&self) -> u64 {
        self.reading().totals()[2]
    }

    /// How many edges of a type there are.
    fn count_edges_by_type<'n>(&self, ty: impl Into<NameRef<'n, EdgeTypeId>>) -> u64 {
        resolve(self, ty).map_or(0, |ty| self.reading().count_type(ty))
    }

    /// How many nodes carry a label.
    fn count_nodes_by_label<'n>(&self, label: impl Into<NameRef<'n, LabelId>>) -> u64 {
        resolve(self, label).map_or(0, |label| self.reading().count_label(label))
    }

    /// The id of a label.
    fn label_id(&self, name: &str) -> Option<LabelId> {
        resolve(self, name)
    }

    /// The id of an edge type.
    fn etype_id(&self, name: &str) -> Option<EdgeTypeId> {
        resolve(self, name)
    }

    /// The id of a property key.
    fn propkey_id(&self, name: &str) -> Option<PropKeyId> {
        resolve(self, name)
    }

    /// The name of a label.
    fn label_name(&self, id: LabelId) -> Option<String> {
        self.name_of(NameKind::Label, id.0).map(|n| n.to_string())
    }

    /// The name of an edge type.
    fn etype_name(&self, id: EdgeTypeId) -> Option<String> {
        self.name_of(NameKind::EdgeType, id.0).map(|n| n.to_string())
    }

    /// The name of a property key.
    fn propkey_name(&self, id: PropKeyId) -> Option<String> {
        self.name_of(NameKind::PropKey, id.0).map(|n| n.to_string())
    }

    /// Every label in use, by id.
    fn labels(&self) -> Vec<(LabelId, String)> {
        self.list_names(NameKind::Label).into_iter().map(|(id, name)| (LabelId(id), name.to_string())).collect()
    }

    /// Every edge type in use, by id.
    fn etypes(&self) -> Vec<(EdgeTypeId, String)> {
        self.list_names(NameKind::EdgeType).into_iter().map(|(id, name)| (EdgeTypeId(id), name.to_string())).collect()
    }

    /// Every property key in use, by id.
    fn propkeys(&self) -> Vec<(PropKeyId, String)> {
        self.list_names(NameKind::PropKey).into_iter().map(|(id, name)| (PropKeyId(id), name.to_string())).collect()
    }

    /// The indexes that are defined, in the order in which they came.
    fn indexes(&self) -> Vec<Index> {
        indexes_of(&self.reading().indexes(), |kind, id| self.name_of(kind, id))
    }
}

impl<S: Graph + ?Sized> GraphRead for S {}
