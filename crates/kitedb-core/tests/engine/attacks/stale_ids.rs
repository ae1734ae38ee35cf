//! Ids of names that a caller kept from a transaction that failed, or has not committed.

use super::stage::Stage;
use kitedb_core::{Database, Error, ErrorCode, GraphRead, OpenOptions, PropKeyId, Result};

#[test]
fn an_id_of_a_name_that_was_given_up_never_writes_under_another_name() {
    let db = Database::in_memory().unwrap();
    let node = db.transaction(|tx| tx.create_node(None)).unwrap();
    let mut kept = None;
    let failed: Result<()> = db.transaction(|tx| {
        kept = Some(tx.propkey_id_or_create("salary")?);
        tx.set_node_prop(node, kept.unwrap(), 1)?;
        Err(Error::invalid("the application changed its mind"))
    });
    failed.unwrap_err();
    let kept = kept.unwrap();
    let refused = |what: &str| {
        let e = db.transaction(|tx| tx.set_node_prop(node, kept, 1000)).unwrap_err();
        assert_eq!(e.code(), ErrorCode::UnknownName, "{what}: {e}");
    };
    refused("given up");
    // Far more than are remembered: each has an id of its own, and none is the kept one.
    for n in 0..6000 {
        let mut tx = db.begin().unwrap();
        assert_ne!(tx.propkey_id_or_create(&format!("given up {n}")).unwrap(), kept);
    }
    for n in 0..1500 {
        db.transaction(|tx| tx.set_node_prop(node, &*format!("p{n}"), n)).unwrap();
    }
    refused("others were given up, and others defined");
    assert_eq!(db.snapshot().unwrap().node_prop(node, kept).unwrap(), None);
    assert!(db.check().unwrap().is_clean());
}

#[test]
fn an_id_is_its_own_transactions_until_that_has_committed() {
    let stage = Stage::new();
    let db = Database::open(stage.path("graph.kitedb"), OpenOptions::new()).unwrap();
    let node = db.transaction(|tx| tx.create_node(None)).unwrap();
    let mut first = db.begin().unwrap();
    let id: PropKeyId = first.propkey_id_or_create("age").unwrap();
    let mut second = db.begin().unwrap();
    assert_eq!(second.set_node_prop(node, id, 2).unwrap_err().code(), ErrorCode::UnknownName);
    // Asked for by its name it is the same one, and either may define it.
    assert_eq!(second.propkey_id_or_create("age").unwrap(), id);
    second.set_node_prop(node, id, 2).unwrap();
    drop(first);
    let pending = second.submit().unwrap();
    let mut third = db.begin_after(&pending).unwrap();
    third.set_node_prop(node, id, 3).unwrap();
    third.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().node_prop(node, "age").unwrap(), Some(3.into()));
}
