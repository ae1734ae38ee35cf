//! Values of every kind: what is stored is what was given, wherever it is read, and what cannot be stored is refused with its
//! path before anything is changed.

use super::{
    stage::{Stage, primary, replica_of},
    support_replication::catch_up,
};
use kitedb_core::{
    Database, Date, DateTime, Duration, EdgeKey, Error, ErrorCode, GraphRead, LocalDateTime, LocalTime, NewNode,
    NodeId, OpenOptions, Time, Value, ValueRef,
};
use std::collections::BTreeMap;

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A value of each kind that is not a plain one, and all of them together.
fn values() -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("list", Value::List(vec![1.into(), "two".into(), Value::Null, Value::Vector(vec![0.5]), Value::List(vec![])])),
        ("map", map([("z", 1.into()), ("a", map([("deep", f64::NAN.into())])), ("", Value::Bytes(vec![0, 255]))])),
        ("date", Date::from_ymd(-999_999_999, 1, 1).unwrap().into()),
        ("local_time", LocalTime::new(86_399_999_999_999).unwrap().into()),
        ("time", Time::new(1, -64_800).unwrap().into()),
        ("local_date_time", LocalDateTime::new(-1, 999_999_999).unwrap().into()),
        ("date_time", DateTime::new(1_437_511_232, 142_000_000, 3600, Some("Europe/London")).unwrap().into()),
        ("duration", Duration::new(-14, 3, i64::MIN, 1).unwrap().into()),
    ];
    let together = all.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    all.push(("together", Value::Map(together)));
    all
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes).unwrap();
    bytes
}

/// `db` has each value at the node `n` and at its edge to itself, bit for bit.
fn expect_values(db: &Database) {
    let view = db.snapshot().unwrap();
    let node = view.node_by_key("n").unwrap().unwrap();
    for (name, value) in values() {
        let found = view.node_prop(node, name).unwrap().unwrap();
        assert_eq!(encoded(&found), encoded(&value), "{name} of the node");
        let found = view.edge_prop(node, "SELF", node, name).unwrap().unwrap();
        assert_eq!(encoded(&found), encoded(&value), "{name} of the edge");
    }
    // It is read where it lies.
    let key = view.propkey_id("together").unwrap();
    let Some(ValueRef::Map(together)) = view.node_prop_ref(node, key).unwrap() else { panic!("not a map") };
    let Some(ValueRef::Map(inner)) = together.get("map") else { panic!("no map in it") };
    assert_eq!(inner.names().collect::<Vec<_>>(), ["", "a", "z"]);
    assert_eq!(inner.get("z"), Some(ValueRef::I64(1)));
    let Some(ValueRef::List(list)) = together.get("list") else { panic!("no list in it") };
    assert_eq!((list.len(), list.get(1)), (5, Some(ValueRef::String("two"))));
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_value_of_every_kind_is_the_same_in_the_log_in_the_file_and_on_a_replica() {
    let stage = Stage::new();
    let path = stage.path("primary.kitedb");
    let db = Database::open(&path, primary()).unwrap();
    let mut tx = db.begin().unwrap();
    let props: Vec<_> =
        values().into_iter().map(|(name, value)| (tx.propkey_id_or_create(name).unwrap(), value)).collect();
    let node = tx.create_node(Some("n")).unwrap();
    tx.add_edge_with_props(node, "SELF", node, &props).unwrap();
    for (key, value) in props {
        tx.set_node_prop(node, key, value).unwrap();
    }
    tx.commit().unwrap();
    expect_values(&db);

    // From the log, then from the file, of which the replica gets a copy.
    let replica = Database::open(stage.path("replica.kitedb"), replica_of(&path)).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    expect_values(&replica);
    db.checkpoint().unwrap();
    expect_values(&db);
    let mut tx = db.begin().unwrap();
    tx.set_node_prop(node, "later", map([("kids", Value::List(vec![Value::Null]))])).unwrap();
    tx.commit().unwrap();
    catch_up(&replica);
    expect_values(&replica);
    assert_eq!(replica.check().unwrap().digest, db.check().unwrap().digest);
    replica.close().unwrap();
    db.close().unwrap();
    expect_values(&Database::open(&path, OpenOptions::new()).unwrap());
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: ErrorCode, phrase: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().starts_with(phrase), "{error}");
}

#[test]
fn a_value_that_cannot_be_stored_is_refused_with_its_path_and_changes_nothing() {
    let stage = Stage::new();
    let db = Database::open(stage.path("g.kitedb"), OpenOptions::new()).unwrap();
    let deep = (0..32).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let kids = Value::List(vec![Value::Null, map([("name", deep)])]);
    let large = map([("blob", Value::Bytes(vec![0; (64 << 20) + 1]))]);
    let mut tx = db.begin().unwrap();
    let node = tx.create_node(Some("n")).unwrap();
    tx.add_edge(node, "T", node).unwrap();
    let (key, ty) = (tx.propkey_id_or_create("kids").unwrap(), tx.etype_id_or_create("T").unwrap());
    let other = tx.propkey_id_or_create("other").unwrap();
    let before = tx.node_props(node).unwrap();

    let too_deep = (ErrorCode::InvalidArgument, "kids[1].name[0][0]");
    let too_large = (ErrorCode::TransactionTooLarge, "kids.blob takes more than 64 MiB");
    for (value, (code, phrase)) in [(kids, too_deep), (large, too_large)] {
        let pairs = [(other, 1.into()), (key, value.clone())];
        let some = pairs.clone().map(|(key, value)| (key, Some(value)));
        refused(tx.set_node_prop(node, "kids", value.clone()), code, phrase);
        refused(tx.set_edge_prop(node, "T", node, "kids", value.clone()), code, phrase);
        refused(tx.create_node_with(NewNode::new().props(&pairs)), code, phrase);
        refused(tx.create_nodes_batch(&[NewNode::new(), NewNode::new().props(&pairs)]), code, phrase);
        refused(tx.upsert_node("n", &some), code, phrase);
        refused(tx.upsert_node("new", &some), code, phrase);
        refused(tx.upsert_node_by_id(NodeId(77), &some), code, phrase);
        refused(tx.upsert_edge_with_props(node, "T", node, &some), code, phrase);
        refused(tx.add_edge_with_props(node, "U", node, &pairs), code, phrase);
        let edge = EdgeKey::new(node, ty, node);
        refused(tx.add_edges_with_props_batch(&[(edge, &pairs)]), code, phrase);
        refused(tx.add_parallel_edge(node, "T", node, &pairs), code, phrase);
        refused(tx.add_edge_by_key(edge.with_rank(7), &pairs), code, phrase);
    }
    assert_eq!((tx.node_props(node).unwrap(), tx.count_nodes(), tx.count_edges()), (before, 1, 1));
    assert_eq!((tx.node_by_key("new").unwrap(), tx.etype_id("U")), (None, None));
    tx.set_node_prop(node, "kids", Value::List(vec![])).unwrap();
    tx.commit().unwrap();
    assert!(db.check().unwrap().is_clean());
}

#[test]
fn no_property_takes_the_name_under_which_queries_read_the_key() {
    let stage = Stage::new();
    let db = Database::open(stage.path("g.kitedb"), OpenOptions::new()).unwrap();
    let mut tx = db.begin().unwrap();
    let node = tx.create_node(Some("n")).unwrap();
    tx.add_edge(node, "T", node).unwrap();
    let told = "no property can be called `_key`";
    refused(tx.set_node_prop(node, "_key", 1), ErrorCode::InvalidArgument, told);
    refused(tx.set_edge_prop(node, "T", node, "_key", 1), ErrorCode::InvalidArgument, told);
    refused(tx.set_node_vector(node, "_key", &[1.0]), ErrorCode::InvalidArgument, told);
    // Creations, upserts and batches take properties by id, of which there is none.
    refused(tx.propkey_id_or_create("_key"), ErrorCode::InvalidArgument, told);
    // Anywhere else it is a name like others.
    tx.add_node_label(node, "_key").unwrap();
    tx.set_node_prop(node, "inside", Value::Map(BTreeMap::from([("_key".to_owned(), Value::Null)]))).unwrap();
    tx.set_node_prop(node, "_keys", 1).unwrap();
    tx.commit().unwrap();
    let view = db.snapshot().unwrap();
    assert_eq!((view.propkey_id("_key"), view.propkeys().len()), (None, 2));
}
