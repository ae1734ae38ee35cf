//! What an error says besides its words: what a program needs to act on it, under the names that the caller used.

use super::{
    stage::{Stage, add, disabled, nothing_said, primary, refused_open, replica_of},
    support_process::{Child, child_args, hear, tell},
};
use kitedb_core::{
    Database, EdgeKey, EdgeTypeId, Epoch, Error, ErrorCode, GraphRead, LabelId, NewNode, NodeId, PropKeyId,
    ReplicationRole, Result, Transaction, Value, graph::NameKind,
};
use std::fs;

/// A value that no property takes.
fn too_deep() -> Value {
    (0..200).fold(Value::I64(1), |inner, _| Value::List(vec![inner]))
}

/// The error of a write that must fail, with what it is about.
#[track_caller]
fn refused<T>(done: Result<T>, code: ErrorCode, key: &str, phrases: &[&str]) -> Error {
    let error = done.map(drop).expect_err("a write that must be refused");
    assert_eq!((error.code(), error.key()), (code, Some(key)), "{error:?}");
    for phrase in phrases {
        assert!(error.to_string().contains(phrase), "{error}: {phrase}");
    }
    error
}

/// Each in the name that its caller used.
#[test]
fn a_refused_write_is_told_in_the_names_that_its_caller_used() {
    use ErrorCode::{
        DuplicateKey, EdgeExists, EdgeNotFound, InvalidArgument, NodeNotFound, UnknownName, VectorDimension,
    };
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), disabled()).unwrap();
    let mut tx = db.begin().unwrap();
    let (ada, bob) = (tx.create_node(Some("ada")).unwrap(), tx.create_node(Some("bob")).unwrap());
    let bio = tx.propkey_id_or_create("bio").unwrap();
    tx.add_edge(ada, "KNOWS", bob).unwrap();
    tx.set_node_vector(ada, "face", &[1.0, 2.0]).unwrap();
    let holder = ada.to_string();
    let duplicate = refused(tx.create_node(Some("ada")), DuplicateKey, "ada", &["'ada'", &holder]);
    assert_eq!(duplicate.found(), Some(&*holder));
    refused(tx.delete_node(NodeId(77)), NodeNotFound, "77", &["node 77"]);
    refused(tx.set_node_prop(NodeId(77), "bio", 1), NodeNotFound, "77", &["node 77"]);
    refused(tx.add_edge(ada, "KNOWS", NodeId(77)), NodeNotFound, "77", &["node 77"]);
    refused(tx.add_edge(ada, "KNOWS", bob), EdgeExists, "KNOWS", &["type 'KNOWS'"]);
    refused(tx.add_edges_batch(&[tx.edges_between(ada, "KNOWS", bob).unwrap()[0]]), EdgeExists, "KNOWS", &["'KNOWS'"]);
    refused(tx.delete_edge(bob, "KNOWS", ada), EdgeNotFound, "KNOWS", &["type 'KNOWS'"]);
    // A type that nobody ever used, by its name, and one by an id that nobody has.
    refused(tx.delete_edge(ada, "LIKES", bob), EdgeNotFound, "LIKES", &["type 'LIKES'"]);
    refused(tx.set_edge_prop(ada, "LIKES", bob, "since", 1), EdgeNotFound, "LIKES", &["type 'LIKES'"]);
    refused(tx.delete_edge(ada, EdgeTypeId(99), bob), EdgeNotFound, "99", &["type 99"]);
    let gone = EdgeKey::new(ada, EdgeTypeId(99), bob).with_rank(7);
    refused(tx.delete_edge_prop_by_key(gone, "since"), EdgeNotFound, "99", &["type 99 and rank 7"]);
    refused(tx.add_edge(ada, EdgeTypeId(99), bob), UnknownName, "99", &["edge type", "99"]);
    refused(tx.add_node_label(ada, LabelId(99)), UnknownName, "99", &["label", "99"]);
    refused(tx.set_node_prop(ada, PropKeyId(99), 1), UnknownName, "99", &["property key", "99"]);
    refused(tx.add_node_label(ada, ""), InvalidArgument, "", &["label", "has 0"]);
    refused(tx.set_node_prop(ada, "_key", 1), InvalidArgument, "_key", &["`_key`"]);

    refused(tx.set_node_prop(ada, "bio", too_deep()), InvalidArgument, "bio", &["bio"]);
    refused(tx.upsert_node("ada", &[(bio, Some(too_deep()))]), InvalidArgument, "bio", &["node 'ada'", "bio"]);
    refused(tx.upsert_node("eve", &[(bio, Some(too_deep()))]), InvalidArgument, "bio", &["node 'eve'", "bio"]);
    let nodes = [NewNode::new().key("c"), NewNode::new().key("d").labels(&[LabelId(99)])];
    refused(tx.create_nodes_batch(&nodes), UnknownName, "99", &["node 'd'", "label"]);

    let length = refused(tx.set_node_vector(bob, "face", &[1.0; 3]), VectorDimension, "face", &["'face'"]);
    assert_eq!((length.expected(), length.found()), (Some("2"), Some("3")));
    refused(tx.set_node_vector(bob, "face", &[f32::NAN; 2]), InvalidArgument, "face", &["'face'", "NaN"]);
    refused(tx.set_node_vector(bob, "face", &[]), InvalidArgument, "face", &["'face'", "no direction"]);
    let knows = tx.etype_id("KNOWS").unwrap();
    let other =
        refused(tx.define_name(NameKind::EdgeType, knows.0 + 5, "KNOWS"), InvalidArgument, "KNOWS", &["'KNOWS'"]);
    assert_eq!(other.found(), Some(&*knows.to_string()));

    // Nothing of all that stayed, and what was there before did.
    tx.commit().unwrap();
    let view = db.snapshot().unwrap();
    assert_eq!((view.count_nodes(), view.count_edges()), (2, 1));
    assert_eq!((view.etype_id("LIKES"), view.label_id("")), (None, None));
}

/// The conflict of `own`, which begins before `others` and commits after it.
#[track_caller]
fn conflict(
    db: &Database,
    own: impl FnOnce(&mut Transaction) -> Result<()>,
    others: impl FnMut(&mut Transaction) -> Result<()>,
    key: &str,
    phrases: &[&str],
) {
    let mut tx = db.begin().unwrap();
    own(&mut tx).unwrap();
    db.transaction(others).unwrap();
    refused(tx.commit(), ErrorCode::Conflict, key, phrases);
}

#[test]
fn a_conflict_is_told_in_names() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), disabled().background(false)).unwrap();
    let (ada, bob) = db
        .transaction(|tx| -> Result<_> {
            let (ada, bob) = (tx.create_node(Some("ada"))?, tx.create_node(None)?);
            tx.set_node_prop(ada, "age", 0)?;
            tx.add_edge(ada, "KNOWS", bob)?;
            tx.set_edge_prop(ada, "KNOWS", bob, "since", 0)?;
            tx.set_node_vector(ada, "face", &[1.0])?;
            Ok((ada, bob))
        })
        .unwrap();
    let (ada_id, bob_id) = (ada.to_string(), bob.to_string());
    for round in 1..=2i64 {
        // What another one did is in memory at first, and then in the file.
        let settle = |tx: &mut Transaction| tx.set_node_prop(bob, "round", round);
        conflict(
            &db,
            |tx| tx.set_node_prop(ada, "age", 1),
            |tx| tx.set_node_prop(ada, "age", round),
            "ada",
            &["'ada'", &ada_id],
        );
        conflict(&db, |tx| tx.set_node_prop(bob, "age", 1), settle, &bob_id, &["node "]);
        let fresh = format!("fresh {round}");
        conflict(
            &db,
            |tx| tx.create_node(Some(&fresh)).map(drop),
            |tx| tx.create_node(Some(&fresh)).map(drop),
            &fresh,
            &["key 'fresh "],
        );
        conflict(
            &db,
            |tx| tx.set_edge_prop(ada, "KNOWS", bob, "since", 1),
            |tx| tx.set_edge_prop(ada, "KNOWS", bob, "since", 1 + round),
            "KNOWS",
            &["type 'KNOWS'"],
        );
        conflict(
            &db,
            |tx| tx.set_node_vector(ada, "face", &[2.0]),
            |tx| tx.set_node_vector(ada, "face", &[3.0 + round as f32]),
            "face",
            &["'face'", &ada_id],
        );
        let new = format!("vectors {round}");
        conflict(
            &db,
            |tx| tx.set_node_vector(ada, &new, &[2.0]),
            |tx| tx.set_node_vector(bob, &new, &[3.0, 4.0]),
            &new,
            &["length of vectors", "'vectors "],
        );
        db.checkpoint().unwrap();
    }
    // The states are compared where the commits between are in the file, and their deltas are gone.
    let mut tx = db.begin().unwrap();
    tx.set_edge_prop(ada, "KNOWS", bob, "since", 9).unwrap();
    db.transaction(|tx| tx.set_edge_prop(ada, "KNOWS", bob, "since", 10)).unwrap();
    db.checkpoint().unwrap();
    db.transaction(|tx| tx.set_node_prop(bob, "age", 10)).unwrap();
    db.checkpoint().unwrap();
    refused(tx.commit(), ErrorCode::Conflict, "KNOWS", &["type 'KNOWS'"]);
}

/// A key of megabytes is one that a user may have: no error takes as much for it.
#[test]
fn no_error_grows_with_a_key() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), disabled()).unwrap();
    let key = "ä".repeat(1 << 20);
    add(&db, &key).unwrap();
    let mut tx = db.begin().unwrap();
    let error = tx.create_node(Some(&key)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DuplicateKey);
    let own = error.key().unwrap();
    assert!(own.len() < 5000 && own.ends_with("ä…") && error.to_string().len() < 6000, "{}", own.len());
    let name = "n".repeat(1 << 20);
    let error = tx.set_node_prop(NodeId(1), &name, 1).unwrap_err();
    assert!(format!("{error:?}").len() < 6000);
}

#[test]
fn what_is_wrong_with_a_file_names_it() {
    let stage = Stage::new();
    let missing = stage.path("missing.kitedb");
    let error = refused_open(&missing, nothing_said().create_if_missing(false));
    assert_eq!((error.code(), error.path()), (ErrorCode::NotFound, Some(&*missing)));
    let not = stage.path("not.kitedb");
    fs::write(&not, "no database".repeat(2000)).unwrap();
    let error = refused_open(&not, nothing_said());
    assert_eq!((error.code(), error.path()), (ErrorCode::NotADatabase, Some(&*not)));

    let leads = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &leads);
    let error = refused_open(&leads, disabled());
    assert_eq!((error.code(), error.path()), (ErrorCode::RoleMismatch, Some(&*leads)));
    assert_eq!((error.expected(), error.found()), (Some("disabled"), Some("primary")));
    assert_eq!(error.token().unwrap().to_string(), "1:2");
    let db = Database::open(&replica, replica_of(&leads)).unwrap();
    let error = add(&db, "c").unwrap_err();
    assert_eq!((error.code(), error.path()), (ErrorCode::ReplicaReadOnly, Some(&*replica)));
    let error = db.primary_report_replica_progress("x", 1, 1).map(drop).unwrap_err();
    assert_eq!(error.path(), Some(&*replica));
    let other = db.clone();
    db.close().unwrap();
    // Once closed, it is about the handle.
    assert_eq!(add(&other, "c").unwrap_err().code(), ErrorCode::Closed);
}

/// Who is fenced is told which epoch leads, and which commit does not count.
#[test]
fn who_is_fenced_learns_the_epoch_that_leads() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
    let db = Database::open(&old, primary()).unwrap();
    let error = add(&db, "late").unwrap_err();
    assert_eq!((error.code(), error.epoch(), error.path()), (ErrorCode::StalePrimary, Some(Epoch(2)), Some(&*old)));
    assert_eq!(db.replication_role(), ReplicationRole::Primary);
    let leads = stage.leading("p.kitedb");
    let db = Database::open(&leads, primary()).unwrap();
    let error = db.primary_report_replica_progress("replica", 7, 1).unwrap_err();
    assert_eq!((error.code(), error.key(), error.epoch()), (ErrorCode::EpochMismatch, Some("replica"), Some(Epoch(1))));
    assert_eq!((error.expected(), error.found()), (Some("1"), Some("7")));
}

/// The child: has a database open until its parent is gone.
#[test]
fn errors_holder() {
    let Some(args) = child_args() else { return };
    let _db = Database::open(&args[0], primary()).unwrap();
    tell(std::process::id());
    hear();
}

/// Who is kept out learns which process is in the way.
#[test]
fn who_is_kept_out_learns_the_process_that_is_in_the_way() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let mut holder = Child::spawn("attacks::errors::errors_holder", &[path.to_str().unwrap()]);
    let pid: u32 = holder.line().unwrap().parse().unwrap();
    let error = refused_open(&path, primary());
    assert_eq!((error.code(), error.pid(), error.path()), (ErrorCode::Locked, Some(pid), Some(&*path)));
    assert!(error.to_string().contains(&pid.to_string()), "{error}");
    holder.kill_nine();
}
