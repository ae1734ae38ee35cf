//! Reads and writes of a graph, by their names in the cases.

use crate::{
    scene::{Args, Failure},
    tags::{absent, shown, tagged, value},
    told::told,
};
use kitedb::{
    AllTypes, Direction, EdgeKey, EdgeRef, GraphRead, LabelId, NameRef, NewNode, NodeId, NodeRef, Page, PropKeyId,
    Result, Transaction, TypeFilter, Value,
};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

type Answer = Result<Json, Failure>;

fn object(members: impl Iterator<Item = (Arc<str>, Json)>) -> Json {
    Json::Object(members.map(|(name, value)| (name.to_string(), value)).collect::<Map<_, _>>())
}

/// The properties that are asked for.
fn selected(props: impl Iterator<Item = (Arc<str>, Json)>, select: Option<&Json>) -> Json {
    let asked = |name: &str| select.is_none_or(|names| names.as_array().unwrap().iter().any(|one| one == name));
    object(props.filter(|(name, _)| asked(name)))
}

fn node(node: &NodeRef<'_>, select: Option<&Json>) -> Answer {
    let props: Vec<_> = node.named_props()?.collect::<Result<_>>()?;
    let props = props.into_iter().map(|(name, value)| (name, shown(&value.to_value())));
    let labels: Vec<_> = node.label_names()?.iter().map(ToString::to_string).collect();
    Ok(json!({"id": node.id().0, "key": node.key()?, "labels": labels, "props": selected(props, select)}))
}

fn edge(edge: &EdgeRef<'_>, select: Option<&Json>) -> Answer {
    let props: Vec<_> = edge.named_props()?.collect::<Result<_>>()?;
    let props = props.into_iter().map(|(name, value)| (name, shown(&value.to_value())));
    let (src, dst) = (edge.src().0, edge.dst().0);
    let ty = edge.type_name()?.to_string();
    Ok(json!({"src": src, "type": ty, "dst": dst, "rank": edge.rank(), "props": selected(props, select)}))
}

fn key<G: GraphRead + ?Sized>(graph: &G, edge: EdgeKey) -> Json {
    json!({"src": edge.src.0, "type": graph.etype_name(edge.ty), "dst": edge.dst.0, "rank": edge.rank})
}

fn page<T, C>(page: Page<T, C>, item: impl Fn(T) -> Json, next: impl Fn(C) -> Json) -> Json {
    json!({"items": page.items.into_iter().map(item).collect::<Json>(), "next": page.next.map(next)})
}

/// An edge as an argument names it; none if its type is not in use.
fn named<G: GraphRead + ?Sized>(graph: &G, edge: &Json) -> Option<EdgeKey> {
    graph.etype_id(edge["type"].as_str().unwrap()).map(|ty| of(edge).key(ty))
}

struct Ends {
    src: NodeId,
    dst: NodeId,
    rank: u64,
}

impl Ends {
    fn key(&self, ty: kitedb::EdgeTypeId) -> EdgeKey {
        EdgeKey::new(self.src, ty, self.dst).with_rank(self.rank)
    }
}

fn of(edge: &Json) -> Ends {
    let id = |name: &str| NodeId(edge[name].as_u64().unwrap());
    let rank = match &edge["rank"] {
        Json::Object(big) => big["$integer"].as_str().unwrap().parse().unwrap(),
        rank => rank.as_u64().unwrap_or(0),
    };
    Ends { src: id("src"), dst: id("dst"), rank }
}

fn direction(word: &str) -> Direction {
    if word == "in" { Direction::In } else { Direction::Out }
}

fn types(json: &Json) -> TypeFilter<'_> {
    json.as_str().map_or(TypeFilter::from(AllTypes), |name| TypeFilter::Type(NameRef::Name(name)))
}

fn names<I>(names: Vec<(I, String)>, number: impl Fn(I) -> u32) -> Answer {
    Ok(names.into_iter().map(|(id, name)| json!({"id": number(id), "name": name})).collect())
}

/// A property, or that it is not there.
fn prop(value: Option<Value>) -> Answer {
    Ok(value.as_ref().map_or_else(absent, shown))
}

fn all<T>(items: impl Iterator<Item = Result<T>>, item: impl Fn(&T) -> Answer) -> Answer {
    items.map(|found| item(&found?)).collect::<Result<Vec<_>, _>>().map(Json::from)
}

/// What a read gives; none if it is no read.
pub fn read<G: GraphRead + ?Sized>(graph: &G, call: &str, args: &Args<'_>) -> Option<Answer> {
    let answer = || -> Result<Option<Json>, Failure> {
        let a = args;
        let select = a.with("select");
        Ok(Some(match call {
            "node" => graph.node(a.node(0))?.map(|found| node(&found, select)).transpose()?.into(),
            "node_with_key" => graph.node_with_key(a.text(0))?.map(|found| node(&found, select)).transpose()?.into(),
            "node_by_key" => graph.node_by_key(a.text(0))?.map(|id| id.0).into(),
            "node_exists" => graph.node_exists(a.node(0))?.into(),
            "node_key" => graph.node_key(a.node(0))?.into(),
            "node_prop" => prop(graph.node_prop(a.node(0), a.text(1))?)?,
            "node_props" => {
                graph.node(a.node(0))?.map(|it| node(&it, select)).transpose()?.map(|it| it["props"].clone()).into()
            }
            "node_labels" => {
                let labels = graph.node_labels(a.node(0))?;
                labels.into_iter().map(|label| Json::from(graph.label_name(label))).collect()
            }
            "node_has_label" => graph.node_has_label(a.node(0), a.text(1))?.into(),
            "node_vector" => {
                let vector = graph.node_vector(a.node(0), a.text(1))?;
                vector.map(|vector| shown(&Value::Vector(vector))).into()
            }
            "vector_dimension" => graph.vector_dimension(a.text(0)).into(),
            "edge" => match named(graph, a.json(0)) {
                Some(wanted) => graph.edge(wanted)?.map(|found| edge(&found, select)).transpose()?.into(),
                None => Json::Null,
            },
            "edge_between" => match graph.edge_between(a.node(0), a.text(1), a.node(2))? {
                Some(found) => graph.edge(found)?.map(|found| edge(&found, select)).transpose()?.into(),
                None => Json::Null,
            },
            "edges_between" => {
                let found = graph.edges_between(a.node(0), a.text(1), a.node(2))?;
                found.into_iter().map(|edge| key(graph, edge)).collect()
            }
            "edge_exists" => graph.edge_exists(a.node(0), a.text(1), a.node(2))?.into(),
            "edge_exists_by_key" => match named(graph, a.json(0)) {
                Some(wanted) => graph.edge_exists_by_key(wanted)?.into(),
                None => false.into(),
            },
            "edge_prop" => prop(graph.edge_prop(a.node(0), a.text(1), a.node(2), a.text(3))?)?,
            "edge_prop_by_key" => match named(graph, a.json(0)) {
                Some(wanted) => prop(graph.edge_prop_by_key(wanted, a.text(1))?)?,
                None => absent(),
            },
            "edge_props" => match graph.edge_props(a.node(0), a.text(1), a.node(2))? {
                Some(props) => object(
                    props.into_iter().map(|(key, value)| (graph.propkey_name(key).unwrap().into(), shown(&value))),
                ),
                None => Json::Null,
            },
            "edge_props_by_key" => match named(graph, a.json(0)) {
                Some(wanted) => graph
                    .edge_props_by_key(wanted)?
                    .map(|props| {
                        let props = props
                            .into_iter()
                            .map(|(key, value)| (graph.propkey_name(key).unwrap().into(), shown(&value)));
                        selected(props, select)
                    })
                    .into(),
                None => Json::Null,
            },
            "out_neighbors" => all(graph.out_neighbors(a.node(0), types(a.json(1)))?.map(Ok), |it| node(it, select))?,
            "in_neighbors" => all(graph.in_neighbors(a.node(0), types(a.json(1)))?.map(Ok), |it| node(it, select))?,
            "out_edges" => all(graph.out_edges(a.node(0), types(a.json(1)))?.map(Ok), |it| edge(it, select))?,
            "in_edges" => all(graph.in_edges(a.node(0), types(a.json(1)))?.map(Ok), |it| edge(it, select))?,
            "sorted_edges" => {
                let found = graph.sorted_edges(a.node(0), direction(a.text(1)), types(a.json(2)))?;
                all(found.map(Ok), |it| edge(it, select))?
            }
            "neighbor_ids" => {
                let mut ids = Vec::new();
                graph.for_each_neighbor(a.node(0), direction(a.text(1)), types(a.json(2)), |id| ids.push(id.0))?;
                ids.into()
            }
            "out_degree" => graph.out_degree(a.node(0), types(a.json(1)))?.into(),
            "in_degree" => graph.in_degree(a.node(0), types(a.json(1)))?.into(),
            "degree" => graph.degree(a.node(0), direction(a.text(1)), types(a.json(2)))?.into(),
            "nodes" => all(graph.nodes(), |it| node(it, select))?,
            "nodes_with_label" => all(graph.nodes_with_label(a.text(0))?, |it| node(it, select))?,
            "edges" => all(graph.edges(), |it| edge(it, select))?,
            "nodes_page" => page(graph.nodes_page(a.after(0), a.size(1))?, |id| id.0.into(), |id| id.0.into()),
            "label_page" => {
                page(graph.label_page(a.text(0), a.after(1), a.size(2))?, |id| id.0.into(), |id| id.0.into())
            }
            "edges_page" => {
                let after = Some(a.json(0)).filter(|edge| !edge.is_null()).and_then(|edge| named(graph, edge));
                page(graph.edges_page(after, a.size(1))?, |edge| key(graph, edge), |edge| key(graph, edge))
            }
            "neighbors_page" => {
                let after = Some(a.json(3)).filter(|edge| !edge.is_null()).and_then(|edge| named(graph, edge));
                let found =
                    graph.neighbors_page(a.node(0), direction(a.text(1)), types(a.json(2)), after, a.size(4))?;
                page(found, |edge| key(graph, edge), |edge| key(graph, edge))
            }
            "count_nodes" => graph.count_nodes().into(),
            "count_edges" => graph.count_edges().into(),
            "count_vectors" => graph.count_vectors().into(),
            "count_nodes_by_label" => graph.count_nodes_by_label(a.text(0)).into(),
            "count_edges_by_type" => graph.count_edges_by_type(a.text(0)).into(),
            "labels" => names(graph.labels(), |id| id.0)?,
            "etypes" => names(graph.etypes(), |id| id.0)?,
            "propkeys" => names(graph.propkeys(), |id| id.0)?,
            "label_id" => graph.label_id(a.text(0)).map(|id| id.0).into(),
            "etype_id" => graph.etype_id(a.text(0)).map(|id| id.0).into(),
            "propkey_id" => graph.propkey_id(a.text(0)).map(|id| id.0).into(),
            "indexes" => graph.indexes().iter().map(told).collect(),
            _ => return Ok(None),
        }))
    };
    answer().transpose()
}

fn props(tx: &mut Transaction, props: &Json) -> Result<Vec<(PropKeyId, Value)>> {
    let members = props.as_object().into_iter().flatten();
    members.map(|(name, json)| Ok((tx.propkey_id_or_create(name)?, value(json)?))).collect()
}

/// What an upsert says of properties: null removes one.
fn changes(tx: &mut Transaction, json: &Json) -> Result<Vec<(PropKeyId, Option<Value>)>> {
    let props = props(tx, json)?;
    Ok(props.into_iter().map(|(key, value)| (key, Some(value).filter(|value| *value != Value::Null))).collect())
}

struct Described<'j> {
    id: Option<NodeId>,
    key: Option<&'j str>,
    labels: Vec<LabelId>,
    props: Vec<(PropKeyId, Value)>,
}

impl<'j> Described<'j> {
    /// A node to be created: its key, or what it is described as.
    fn read(tx: &mut Transaction, json: &'j Json) -> Result<Self> {
        let labels = json["labels"].as_array().into_iter().flatten();
        Ok(Self {
            id: json["id"].as_u64().map(NodeId),
            key: json.as_str().or_else(|| json["key"].as_str()),
            labels: labels.map(|label| tx.label_id_or_create(label.as_str().unwrap())).collect::<Result<_>>()?,
            props: props(tx, &json["props"])?,
        })
    }

    fn new_node(&self) -> NewNode<'_> {
        NewNode::new().maybe_id(self.id).maybe_key(self.key).labels(&self.labels).props(&self.props)
    }
}

fn edge_to_add(tx: &mut Transaction, edge: &Json) -> Result<EdgeKey> {
    Ok(of(edge).key(tx.etype_id_or_create(edge["type"].as_str().unwrap())?))
}

/// An edge that is there, as far as its type is in use.
fn existing(tx: &mut Transaction, edge: &Json) -> Result<EdgeKey> {
    match named(tx, edge) {
        Some(found) => Ok(found),
        None => tx.delete_edge(of(edge).src, edge["type"].as_str().unwrap(), of(edge).dst).map(|()| unreachable!()),
    }
}

/// What a write gives; none if it is no write.
pub fn write(tx: &mut Transaction, call: &str, args: &Args<'_>) -> Option<Answer> {
    let mut answer = || -> Result<Option<Json>, Failure> {
        let a = args;
        Ok(Some(match call {
            "create_node" => {
                let described = if a.len() > 0 { a.json(0) } else { a.all_with() };
                let node = Described::read(tx, described)?;
                tx.create_node_with(node.new_node())?.0.into()
            }
            "create_nodes_batch" => {
                let nodes: Vec<_> = a.list(0).iter().map(|it| Described::read(tx, it)).collect::<Result<_>>()?;
                let nodes: Vec<_> = nodes.iter().map(Described::new_node).collect();
                tx.create_nodes_batch(&nodes)?.into_iter().map(|id| Json::from(id.0)).collect()
            }
            "delete_node" => unit(tx.delete_node(a.node(0))?),
            "add_node_label" => tx.add_node_label(a.node(0), a.text(1))?.into(),
            "remove_node_label" => tx.remove_node_label(a.node(0), a.text(1))?.into(),
            "set_node_prop" => unit(tx.set_node_prop(a.node(0), a.text(1), value(a.json(2))?)?),
            "delete_node_prop" => tx.delete_node_prop(a.node(0), a.text(1))?.into(),
            "set_node_vector" => match value(a.json(2))? {
                Value::Vector(vector) => unit(tx.set_node_vector(a.node(0), a.text(1), &vector)?),
                other => panic!("{other:?} is no vector"),
            },
            "delete_node_vector" => tx.delete_node_vector(a.node(0), a.text(1))?.into(),
            "add_edge" => {
                let props = props(tx, a.json(3))?;
                unit(tx.add_edge_with_props(a.node(0), a.text(1), a.node(2), &props)?)
            }
            "add_parallel_edge" => {
                let props = props(tx, a.json(3))?;
                let edge = tx.add_parallel_edge(a.node(0), a.text(1), a.node(2), &props)?;
                key(tx, edge)
            }
            "add_edge_by_key" => {
                let (edge, props) = (edge_to_add(tx, a.json(0))?, props(tx, a.json(1))?);
                unit(tx.add_edge_by_key(edge, &props)?)
            }
            "add_edges_batch" => {
                let edge = |it: &Json| Ok((edge_to_add(tx, it)?, props(tx, &it["props"])?));
                let edges: Vec<_> = a.list(0).iter().map(edge).collect::<Result<_>>()?;
                let edges: Vec<_> = edges.iter().map(|(edge, props)| (*edge, props.as_slice())).collect();
                unit(tx.add_edges_with_props_batch(&edges)?)
            }
            "delete_edge" => unit(tx.delete_edge(a.node(0), a.text(1), a.node(2))?),
            "delete_edge_by_key" => {
                let edge = existing(tx, a.json(0))?;
                unit(tx.delete_edge_by_key(edge)?)
            }
            "delete_edges_between" => tx.delete_edges_between(a.node(0), a.text(1), a.node(2))?.into(),
            "set_edge_prop" => unit(tx.set_edge_prop(a.node(0), a.text(1), a.node(2), a.text(3), value(a.json(4))?)?),
            "set_edge_prop_by_key" => {
                let edge = existing(tx, a.json(0))?;
                unit(tx.set_edge_prop_by_key(edge, a.text(1), value(a.json(2))?)?)
            }
            "delete_edge_prop" => tx.delete_edge_prop(a.node(0), a.text(1), a.node(2), a.text(3))?.into(),
            "delete_edge_prop_by_key" => {
                let edge = existing(tx, a.json(0))?;
                tx.delete_edge_prop_by_key(edge, a.text(1))?.into()
            }
            "upsert_node" => {
                let changes = changes(tx, a.json(1))?;
                let (id, created) = tx.upsert_node(a.text(0), &changes)?;
                json!({"id": id.0, "created": created})
            }
            "upsert_node_by_id" => {
                let changes = changes(tx, a.json(1))?;
                tx.upsert_node_by_id(a.node(0), &changes)?.into()
            }
            "upsert_edge" => {
                let changes = changes(tx, a.json(3))?;
                tx.upsert_edge_with_props(a.node(0), a.text(1), a.node(2), &changes)?.into()
            }
            _ => return Ok(None),
        }))
    };
    answer().transpose()
}

fn unit((): ()) -> Json {
    Json::Null
}

/// Bytes as the cases write them.
pub fn bytes(bytes: Vec<u8>) -> Json {
    let shown = shown(&Value::Bytes(bytes));
    tagged("$bytes", shown["$bytes"].clone())
}
