//! Nodes and edges as rows of a scan: most have the labels and the properties of the one before, so that their ids are compared, and
//! no name is looked up again.

use super::reads::Select;
use crate::wire::Writer;
use kitedb::{EdgeRef, EdgeTypeId, GraphRead, LabelId, NodeRef, PropKeyId, Result, ValueRef};

/// Which properties are asked for, by the ids that they have in the state that is read.
enum Asked<'s> {
    All,
    Only(Vec<(&'s str, PropKeyId)>),
}

/// The names that the row before had, and the number of their list if that has one.
struct Last<I> {
    ids: Vec<I>,
    list: Option<u32>,
}

impl<I: PartialEq + Copy> Last<I> {
    fn none() -> Self {
        Self { ids: Vec::new(), list: None }
    }

    /// The number of the list, if these are the names.
    fn list_of(&self, ids: impl Iterator<Item = I>) -> Option<u32> {
        self.list.filter(|_| ids.eq(self.ids.iter().copied()))
    }
}

/// Writes the rows of a scan over one state.
pub struct Rows<'s> {
    asked: Asked<'s>,
    labels: Last<LabelId>,
    props: Last<PropKeyId>,
    ty: Option<(EdgeTypeId, u32)>,
}

impl<'s> Rows<'s> {
    /// Of nodes or edges of `graph`, with the properties that `select` asks for.
    pub fn new<G: GraphRead + ?Sized>(graph: &G, select: &'s Select<'s>) -> Self {
        let asked = match select {
            Select::All => Asked::All,
            Select::Only(names) => Asked::Only(ids_of(graph, names)),
            Select::Told(names) => Asked::Only(ids_of(graph, names)),
        };
        Self { asked, labels: Last::none(), props: Last::none(), ty: None }
    }

    /// Id, key, labels and properties.
    pub fn put_node(&mut self, w: &mut Writer<'_>, node: &NodeRef<'_>) -> Result<()> {
        w.node(node.id());
        w.optional(node.key()?, Writer::text);
        match self.labels.list_of(node.labels()?) {
            Some(list) => w.u32(list),
            None => {
                let list = w.labels(&node.label_names()?);
                self.labels = Last { ids: node.labels()?.collect(), list };
            }
        }
        match &self.asked {
            Asked::All => put_props(w, &mut self.props, || node.props(), |w| w.props(|| node.named_props())),
            Asked::Only(asked) => {
                let props = || Ok(those(asked, |id| node.prop(id)));
                put_props(w, &mut self.props, props, |w| w.props(|| Ok(named(asked, |id| node.prop(id)))))
            }
        }
    }

    /// Source, type, destination, rank and properties.
    pub fn put_edge(&mut self, w: &mut Writer<'_>, edge: &EdgeRef<'_>) -> Result<()> {
        w.node(edge.src());
        match self.ty {
            Some((ty, number)) if ty == edge.ty() => w.u32(number),
            _ => self.ty = w.name(&edge.type_name()?).map(|number| (edge.ty(), number)),
        }
        w.node(edge.dst());
        w.u64(edge.rank());
        match &self.asked {
            Asked::All => put_props(w, &mut self.props, || edge.props(), |w| w.props(|| edge.named_props())),
            Asked::Only(asked) => {
                let props = || Ok(those(asked, |id| edge.prop(id)));
                put_props(w, &mut self.props, props, |w| w.props(|| Ok(named(asked, |id| edge.prop(id)))))
            }
        }
    }
}

/// A name that no property here has is on none.
fn ids_of<'s, G: GraphRead + ?Sized, N: AsRef<str>>(graph: &G, names: &'s [N]) -> Vec<(&'s str, PropKeyId)> {
    names.iter().map(AsRef::as_ref).filter_map(|name| Some((name, graph.propkey_id(name)?))).collect()
}

/// Those of some properties that are there.
fn those<'p>(
    asked: &[(&str, PropKeyId)],
    prop: impl Fn(PropKeyId) -> Result<Option<ValueRef<'p>>>,
) -> impl Iterator<Item = Result<(PropKeyId, ValueRef<'p>)>> {
    asked.iter().filter_map(move |(_, id)| Some(prop(*id).transpose()?.map(|value| (*id, value))))
}

/// The same by their names.
fn named<'s, 'p>(
    asked: &[(&'s str, PropKeyId)],
    prop: impl Fn(PropKeyId) -> Result<Option<ValueRef<'p>>>,
) -> impl Iterator<Item = Result<(&'s str, ValueRef<'p>)>> {
    asked.iter().filter_map(move |(name, id)| Some(prop(*id).transpose()?.map(|value| (*name, value))))
}

/// Writes properties: `props` gives them, `named` writes them where they are not those of the row before.
fn put_props<'p, P: Iterator<Item = Result<(PropKeyId, ValueRef<'p>)>>>(
    w: &mut Writer<'_>,
    last: &mut Last<PropKeyId>,
    props: impl Fn() -> Result<P>,
    named: impl FnOnce(&mut Writer<'_>) -> Result<Option<u32>>,
) -> Result<()> {
    if let Some(list) = last.list {
        let place = w.len();
        w.u32(list);
        let (mut ids, mut same) = (last.ids.iter(), true);
        for prop in props()? {
            let (id, value) = prop?;
            same = ids.next() == Some(&id);
            if !same {
                break;
            }
            w.value(value);
        }
        if same && ids.next().is_none() {
            return Ok(());
        }
        w.truncate(place);
    }
    let list = named(w)?;
    let ids = props()?.map(|prop| Ok(prop?.0)).collect::<Result<_>>()?;
    *last = Last { ids, list };
    Ok(())
}
