use kitedb_core::{Database, GraphRead, OpenOptions, SyncMode};
#[test]
fn thin_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.kitedb");
    for mode in [SyncMode::Full, SyncMode::Normal, SyncMode::Off] {
        let db = Database::open(&path, OpenOptions::new().sync_mode(mode)).unwrap();
        let n0 = db.snapshot().unwrap().count_nodes();
        db.transaction(|tx| {
            let a = tx.create_node(Some(&format!("a{n0}")))?;
            let b = tx.create_node(Some(&format!("b{n0}")))?;
            tx.add_node_label(a, "Person")?;
            tx.set_node_prop(a, "age", 42)?;
            tx.add_edge_with_props(a, "KNOWS", b, &[])?;
            tx.set_edge_prop(a, "KNOWS", b, "since", 1999)?;
            tx.set_node_vector(b, "v", &[1.0, 2.0])
        })
        .unwrap();
        let r = db.check().unwrap();
        assert!(r.is_clean(), "{r:?}");
        db.checkpoint().unwrap();
        let r = db.check().unwrap();
        assert!(r.is_clean(), "{r:?}");
        db.close().unwrap();
        assert!(!dir.path().join("a.kitedb-wal").exists());
        let db = Database::open(&path, OpenOptions::new().sync_mode(mode)).unwrap();
        let v = db.snapshot().unwrap();
        assert_eq!(v.count_nodes(), n0 + 2);
        let a = v.node_by_key(&format!("a{n0}")).unwrap().unwrap();
        assert_eq!(v.out_neighbors(a, None).unwrap().count(), 1);
        let r = db.check().unwrap();
        assert!(r.is_clean(), "{r:?}");
        db.close().unwrap();
    }
}
