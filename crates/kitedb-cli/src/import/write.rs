//! How an element gets into a transaction. One that is there already is compared first: what is the same is not written, and
//! what is another value is replaced only where that is asked for.

use super::{
    Element, End, Props, Vectors,
    tally::{Became, Tally},
};
use crate::render::value;
use kitedb_core::{
    EdgeKey, Error, ErrorCode, GraphRead, LabelId, NewNode, NodeId, PropKeyId, Result, Transaction, Value,
    graph::RESERVED_PROPERTY,
};
use std::borrow::Cow;

/// What a property is called whose name in the file is the one that no property has.
pub const RENAMED: &str = "_key_";

/// What is done about a node or edge that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// A line with another value is bad.
    #[default]
    RefuseOther,
    /// So is one about an edge that is there, also where it is the same.
    Refuse,
    /// What is there stays.
    Keep,
    /// The file's value replaces it.
    Update,
    /// Another edge is added, whether or not the one that is there is the same.
    Parallel,
}

/// What whoever imports chose.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a> {
    /// The type of edges that name none.
    pub edge_type: &'a str,
    /// A label for every node.
    pub label: Option<&'a str>,
    pub on_duplicate: OnDuplicate,
}

/// Writes an element, or nothing where it is there already and the same.
pub fn write(
    transaction: &mut Transaction,
    element: &Element<'_>,
    choices: Choices<'_>,
    tally: &mut Tally,
) -> Result<()> {
    match element {
        Element::Name { kind, id, name } => transaction.define_name(*kind, *id, name),
        Element::Node { id, key, labels, props, vectors } => {
            let labels: Vec<_> = labels.iter().map(AsRef::as_ref).chain(choices.label).collect();
            match there(transaction, *id, key.as_deref())? {
                None => {
                    let (labels, props) = (made(transaction, &labels)?, resolve(transaction, props, tally)?);
                    let new = NewNode::new().maybe_id(*id).maybe_key(key.as_deref()).labels(&labels).props(&props);
                    let node = transaction.create_node_with(new)?;
                    tally.counts.nodes_created += 1;
                    vectors.iter().try_for_each(|(name, vector)| transaction.set_node_vector(node, &**name, vector))
                }
                Some(node) => {
                    let said = (labels.as_slice(), props, vectors);
                    change_node(transaction, (node, id.is_none()), said, choices.on_duplicate, tally)
                }
            }
        }
        Element::Edge { src, dst, ty, rank, props } => {
            // Before the other end is made, which might get that number.
            for id in [src, dst].into_iter().filter_map(End::id) {
                if !transaction.node_exists(id)? {
                    return Err(Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist")));
                }
            }
            let ends = (end(transaction, src, choices.label, tally)?, end(transaction, dst, choices.label, tally)?);
            let ty = ty.as_deref().unwrap_or(choices.edge_type);
            write_edge(transaction, ends, ty, *rank, props, choices.on_duplicate, tally)
        }
    }
}

/// The ids of labels.
fn made(transaction: &mut Transaction, labels: &[&str]) -> Result<Vec<LabelId>> {
    labels.iter().map(|label| transaction.label_id_or_create(label)).collect()
}

/// Gives a node that is there, and was found by its key or not, what it lacks.
fn change_node(
    transaction: &mut Transaction,
    (node, by_key): (NodeId, bool),
    (labels, props, vectors): (&[&str], &Props<'_>, &Vectors<'_>),
    on_duplicate: OnDuplicate,
    tally: &mut Tally,
) -> Result<()> {
    let held = transaction.node_labels(node)?;
    let lacks: Vec<_> = labels
        .iter()
        .copied()
        .filter(|label| transaction.label_id(label).is_none_or(|id| !held.contains(&id)))
        .collect();
    let is_of_another_kind = !held.is_empty() && !labels.is_empty() && lacks.len() == labels.len();
    match on_duplicate {
        OnDuplicate::Update => {}
        OnDuplicate::Keep if is_of_another_kind => {
            tally.counts.nodes_existing += 1;
            tally.counts.kept += 1;
            return Ok(());
        }
        _ if is_of_another_kind => return Err(another_kind(transaction, node, &held, labels)?),
        _ => {}
    }
    if let Some(value) = renamed(props, tally) {
        require_same(transaction.node_prop(node, RENAMED)?, value)?;
    }
    let (mut kept, mut changes, mut shares) = (false, Vec::new(), lacks.len() < labels.len());
    for (name, value) in named(props, tally)? {
        let there = transaction.node_prop(node, name)?;
        shares |= there.is_some();
        match decided(there, value, on_duplicate, || other_value(transaction, node, name))? {
            Decision::Write => changes.push((name, value)),
            Decision::Keep => kept = true,
            Decision::Nothing => {}
        }
    }
    let mut new_vectors = Vec::new();
    for (name, vector) in vectors {
        let bits = |vector: &[f32]| vector.iter().map(|component| component.to_bits()).collect::<Vec<_>>();
        match transaction.node_vector(node, &**name)? {
            Some(there) if bits(&there) == bits(vector) => {}
            Some(_) if on_duplicate == OnDuplicate::Keep => kept = true,
            Some(_) if on_duplicate != OnDuplicate::Update => {
                return Err(other_value(transaction, node, name)("another vector"));
            }
            _ => new_vectors.push((name, vector)),
        }
    }
    // A line with an id is one of several of an export about a node.
    if !shares && by_key && !changes.is_empty() && transaction.node_props(node)?.is_some_and(|props| !props.is_empty())
    {
        tally.merged(|| called(transaction, node));
    }
    let is_same = changes.is_empty() && new_vectors.is_empty() && lacks.is_empty();
    if !changes.is_empty() {
        let changes =
            changes.into_iter().map(|(name, value)| Ok((transaction.propkey_id_or_create(name)?, Some(value.clone()))));
        let changes = changes.collect::<Result<Vec<_>>>()?;
        transaction.upsert_node_by_id(node, &changes)?;
    }
    for label in made(transaction, &lacks)? {
        transaction.add_node_label(node, label)?;
    }
    for (name, vector) in new_vectors {
        transaction.set_node_vector(node, &**name, vector)?;
    }
    tally.counts.kept += u64::from(kept);
    *(if is_same { &mut tally.counts.nodes_existing } else { &mut tally.counts.nodes_updated }) += 1;
    Ok(())
}

/// What is done about a property that a file names.
enum Decision {
    Write,
    Keep,
    Nothing,
}

/// Compares the value that is there with the file's.
fn decided<F: FnOnce(&str) -> Error>(
    there: Option<Value>,
    value: &Value,
    on_duplicate: OnDuplicate,
    error: impl FnOnce() -> F,
) -> Result<Decision> {
    match there {
        None => Ok(Decision::Write),
        Some(there) if is_same(&there, value) => Ok(Decision::Nothing),
        Some(_) if on_duplicate == OnDuplicate::Keep => Ok(Decision::Keep),
        Some(_) if on_duplicate == OnDuplicate::Update => Ok(Decision::Write),
        Some(there) => Err(error()(&format!("`{}`, and not `{}`", shown(&there), shown(value)))),
    }
}

/// Whether both are stored as the same.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Vector(a), Value::Vector(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((a, one), (b, other))| a == b && is_same(one, other))
        }
        // An integer and a float may be equal, and are not the same.
        _ => std::mem::discriminant(a) == std::mem::discriminant(b) && a.total_eq(b),
    }
}

/// A value, in a message.
fn shown(given: &Value) -> String {
    value::text(given).chars().take(40).collect()
}

/// The error about a property of a node that has another value.
fn other_value<'n>(transaction: &'n Transaction, node: NodeId, name: &'n str) -> impl FnOnce(&str) -> Error + 'n {
    move |what| {
        Error::invalid(format_args!(
            "{} is there already, and its `{name:.64}` is {what}: pass --on-duplicate keep or update if it is the same node, and \
             --key-prefix if it is one of another kind",
            called(transaction, node)
        ))
    }
}

/// A node, in a message.
fn called(transaction: &Transaction, node: NodeId) -> String {
    match transaction.node_key(node) {
        Ok(Some(key)) => format!("the node `{key:.64}`"),
        _ => format!("node {node}"),
    }
}

fn another_kind(transaction: &Transaction, node: NodeId, held: &[LabelId], labels: &[&str]) -> Result<Error> {
    let held: Vec<_> = held.iter().filter_map(|label| transaction.label_name(*label)).collect();
    Ok(Error::invalid(format_args!(
        "{} is there already with the label `{:.64}`, and this one has the label `{:.64}`: pass --key-prefix to have two nodes, or \
         --on-duplicate update if they are one",
        called(transaction, node),
        held.join("`, `"),
        labels.join("`, `")
    )))
}

/// Writes an edge between nodes that are there. Where no rank is given, it is the one of the lowest rank.
fn write_edge(
    transaction: &mut Transaction,
    (src, dst): (NodeId, NodeId),
    ty: &str,
    rank: Option<u64>,
    props: &Props<'_>,
    on_duplicate: OnDuplicate,
    tally: &mut Tally,
) -> Result<()> {
    let of_rank = |rank| transaction.etype_id(ty).map(|ty| EdgeKey::new(src, ty, dst).with_rank(rank));
    let found = match rank {
        None => transaction.edge_between(src, ty, dst)?,
        Some(rank) => match of_rank(rank) {
            Some(edge) if transaction.edge_exists_by_key(edge)? => Some(edge),
            _ => None,
        },
    };
    let name = |transaction: &Transaction| {
        let key = |node| match transaction.node_key(node) {
            Ok(Some(key)) => format!("{key:.64}"),
            _ => format!("{node}"),
        };
        format!("{} -[{ty:.64}]-> {}", key(src), key(dst))
    };
    let Some(edge) = found else {
        let props = resolve(transaction, props, tally)?;
        match rank {
            None => transaction.add_edge_with_props(src, ty, dst, &props)?,
            Some(rank) => {
                let ty = transaction.etype_id_or_create(ty)?;
                transaction.add_edge_by_key(EdgeKey::new(src, ty, dst).with_rank(rank), &props)?;
            }
        }
        tally.counts.edges_created += 1;
        return Ok(());
    };
    if on_duplicate == OnDuplicate::Parallel && rank.is_none() {
        let props = resolve(transaction, props, tally)?;
        transaction.add_parallel_edge(src, ty, dst, &props)?;
        tally.there(Became::Parallel, || name(transaction));
        return Ok(());
    }
    if on_duplicate == OnDuplicate::Refuse {
        let what = format_args!("the edge {} is there already, and --on-duplicate error was given", name(transaction));
        return Err(Error::new(ErrorCode::EdgeExists, what));
    }
    if let Some(value) = renamed(props, tally) {
        require_same(transaction.edge_prop_by_key(edge, RENAMED)?, value)?;
    }
    let (mut kept, mut changes) = (false, Vec::new());
    for (property, value) in named(props, tally)? {
        let there = transaction.edge_prop_by_key(edge, property)?;
        match decided(there, value, on_duplicate, || other_edge(name(transaction), property, rank))? {
            Decision::Write => changes.push((property, value)),
            Decision::Keep => kept = true,
            Decision::Nothing => {}
        }
    }
    let became = match (kept, changes.is_empty()) {
        (true, _) => Became::Kept,
        (false, true) => Became::Same,
        (false, false) => Became::Updated,
    };
    // Of an edge that keeps what it has nothing is made that is half the file's.
    if became == Became::Updated {
        for (property, value) in changes {
            let property = transaction.propkey_id_or_create(property)?;
            transaction.set_edge_prop_by_key(edge, property, value.clone())?;
        }
    }
    tally.there(became, || name(transaction));
    Ok(())
}

/// The error about a property of an edge that has another value.
fn other_edge(edge: String, property: &str, rank: Option<u64>) -> impl FnOnce(&str) -> Error {
    move |what| {
        let advice = match rank {
            Some(rank) => format!(
                "an edge with a rank is added, and none that is there is changed: pass --on-duplicate keep or update if the edge of \
                 rank {rank} is the same, and give it another rank if it is not"
            ),
            None => "pass --on-duplicate keep, update or parallel, which makes a second edge".to_owned(),
        };
        let what = format_args!("the edge {edge} is there already, and its `{property:.64}` is {what}: {advice}");
        Error::new(ErrorCode::EdgeExists, what)
    }
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
fn renamed<'p>(props: &'p Props<'_>, tally: &Tally) -> Option<&'p Value> {
    let called = |wanted: &str| props.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    called(RESERVED_PROPERTY).or_else(|| called(RENAMED).filter(|_| tally.counts.renamed > 0))
}

/// Fails if another value stands there already.
fn require_same(there: Option<Value>, value: &Value) -> Result<()> {
    match there {
        Some(there) if !is_same(&there, value) => Err(Error::invalid(format_args!(
            "a property called `{RESERVED_PROPERTY}` comes in as `{RENAMED}`, and one of that name with another value is there \
             already: give one of them another name"
        ))),
        _ => Ok(()),
    }
}

/// Properties under the names that they get. What is called as no property may be gets another one, and is counted.
fn named<'p>(props: &'p Props<'_>, tally: &mut Tally) -> Result<Vec<(&'p str, &'p Value)>> {
    let both = |name: &str| props.iter().any(|(other, _)| other == name);
    let named = props.iter().map(|(name, value)| match &**name {
        RESERVED_PROPERTY if both(RENAMED) => Err(Error::invalid(format_args!(
            "no property can be called `{RESERVED_PROPERTY}`, and `{RENAMED}`, which it would be instead, is there, too: give one \
             of them another name"
        ))),
        RESERVED_PROPERTY => {
            tally.counts.renamed += 1;
            Ok((RENAMED, value))
        }
        name => Ok((name, value)),
    });
    named.collect()
}

/// Properties by the ids of their names.
fn resolve(transaction: &mut Transaction, props: &Props<'_>, tally: &mut Tally) -> Result<Vec<(PropKeyId, Value)>> {
    let named = named(props, tally)?.into_iter();
    named.map(|(name, value)| Ok((transaction.propkey_id_or_create(name)?, value.clone()))).collect()
}

/// The node at the end of an edge, created if it does not exist yet.
fn end(transaction: &mut Transaction, end: &End<'_>, label: Option<&str>, tally: &mut Tally) -> Result<NodeId> {
    let key: &Cow<'_, str> = match end {
        End::Id(id) => return Ok(*id),
        End::Key(key) => key,
    };
    if let Some(node) = transaction.node_by_key(key)? {
        return Ok(node);
    }
    let labels = made(transaction, label.as_slice())?;
    let node = transaction.create_node_with(NewNode::new().key(key).labels(&labels))?;
    tally.counts.nodes_created += 1;
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_need_not_be_the_same() {
        let list = |value| Value::List(vec![value]);
        for (a, b, same) in [
            (Value::I64(1), Value::I64(1), true),
            (Value::I64(1), Value::F64(1.0), false),
            (Value::F64(0.0), Value::F64(-0.0), false),
            (Value::F64(f64::NAN), Value::F64(f64::NAN), true),
            (list(Value::I64(1)), list(Value::F64(1.0)), false),
            (Value::Null, Value::Null, true),
            (Value::from("1"), Value::I64(1), false),
            (Value::Vector(vec![0.0]), Value::Vector(vec![-0.0]), false),
        ] {
            assert_eq!(is_same(&a, &b), same, "{a:?} {b:?}");
        }
    }
}
