//! The interface itself: what a handle shows of the graph, and how it ends.

use super::{
    stage::{Stage, add},
    support_replication::folder::Folder,
};
use kitedb_core::{
    AllTypes, Database, Direction, ErrorCode, Graph, GraphRead, OpenOptions, RepairOptions, Result, SyncMode, Watch,
};
use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

const SECRET: &str = "hunter2hunter2";

fn shows_nothing(what: &str, value: &dyn Debug) {
    let bytes = |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for shown in [format!("{value:?}"), format!("{value:#?}").replace("\n", " ")] {
        assert!(shown.len() < 2000, "{what} shows {} bytes", shown.len());
        assert!(!shown.contains(SECRET) && !shown.contains(&bytes(&SECRET[..6])), "{what}: {shown}");
    }
}

#[test]
fn what_holds_a_graph_shows_none_of_it() {
    let folder = Folder::new();
    let db = folder.primary("primary", SyncMode::Full);
    let node = db
        .transaction(|tx| -> Result<_> {
            let node = tx.create_node(Some(SECRET))?;
            tx.set_node_prop(node, "password", SECRET)?;
            tx.add_node_label(node, "L")?;
            tx.add_edge(node, "T", node)?;
            Ok(node)
        })
        .unwrap();
    let view = db.snapshot().unwrap();
    shows_nothing("Database", &db);
    shows_nothing("WeakDatabase", &db.downgrade());
    shows_nothing("View", &view);
    shows_nothing("ViewHandle", &view.clone().into_handle());
    let graph: &dyn Graph = &view;
    shows_nothing("dyn Graph", &graph);
    shows_nothing("Nodes", &view.nodes());
    shows_nothing("Edges", &view.edges());
    shows_nothing("NodeEdges", &view.out_edges(node, AllTypes).unwrap());
    shows_nothing("Neighbors", &view.out_neighbors(node, AllTypes).unwrap());
    shows_nothing("SortedEdges", &view.sorted_edges(node, Direction::Out, AllTypes).unwrap());
    shows_nothing("NodeRef", &view.nodes().next().unwrap().unwrap());
    shows_nothing("EdgeRef", &view.edges().next().unwrap().unwrap());
    shows_nothing("NodeCursor", &view.node_cursor());
    shows_nothing("EdgeCursor", &view.edge_cursor());
    let mut tx = db.begin().unwrap();
    tx.set_node_prop(node, "password", format!("{SECRET}!")).unwrap();
    shows_nothing("Transaction", &tx);
    shows_nothing("TransactionHandle", &tx.into_handle());
    let mut bulk = db.begin_bulk(10).unwrap();
    bulk.create_node(Some(&format!("{SECRET}?"))).unwrap();
    shows_nothing("BulkLoader", &bulk);
    drop(bulk);
    let mut tx = db.begin().unwrap();
    tx.create_node(Some(&format!("{SECRET}."))).unwrap();
    let pending = tx.submit().unwrap();
    shows_nothing("Pending", &pending);
    pending.wait().unwrap();
    let page = db.primary_export_log(None, 10, 1 << 20).unwrap();
    shows_nothing("ExportedPage", &page);
    shows_nothing("ExportedFrame", &page.frames().next().unwrap());
    shows_nothing("ExportedSnapshot", &db.primary_export_snapshot().unwrap());
    shows_nothing("Stats", &db.stats().unwrap().pins);
}

#[test]
fn a_close_that_is_refused_leaves_the_handle_and_a_second_one_does_nothing() {
    let stage = Stage::new();
    let db = Database::open(stage.path("graph.kitedb"), OpenOptions::new()).unwrap();
    let (inner, refused) = (db.clone(), Arc::new(Mutex::new(None)));
    let told = refused.clone();
    let watch = Watch::new(move |_, _| *told.lock().unwrap() = Some(inner.close().unwrap_err().code()));
    db.check_with(&watch).unwrap();
    assert_eq!(*refused.lock().unwrap(), Some(ErrorCode::InvalidArgument));
    add(&db, "goes on").unwrap();
    db.close().unwrap();
    db.close().unwrap();
    let e = add(&db, "closed").unwrap_err();
    assert_eq!((e.code(), e.path()), (ErrorCode::Closed, Some(db.path())));
}

#[test]
fn a_bulk_load_does_not_commit_a_transaction_that_is_not_its_own() {
    let (db, other) = (Database::in_memory().unwrap(), Database::in_memory().unwrap());
    for of in [&db, &other] {
        let mut bulk = db.begin_bulk(10).unwrap();
        bulk.create_node(Some("lost")).unwrap();
        drop(std::mem::replace(&mut *bulk, of.begin().unwrap()));
        assert_eq!(bulk.flush().unwrap_err().code(), ErrorCode::InvalidArgument);
        assert_eq!(bulk.finish().unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    assert_eq!(db.snapshot().unwrap().count_nodes() + other.snapshot().unwrap().count_nodes(), 0);
}

#[test]
fn a_handle_that_is_done_with_says_so_and_is_not_used_within_itself() {
    let db = Database::in_memory().unwrap();
    let handle = db.begin().unwrap().into_handle();
    let within = handle.with(|_| handle.with(|_| Ok(())));
    assert_eq!(within.unwrap_err().code(), ErrorCode::InvalidArgument);
    handle.commit().unwrap();
    assert_eq!(handle.commit().unwrap_err().code(), ErrorCode::Finished);
}

#[test]
fn a_name_that_no_file_can_have_is_the_callers_mistake() {
    let stage = Stage::new();
    for name in ["nul\0name".to_owned(), "n".repeat(300)] {
        let e = Database::open(stage.path(&name), OpenOptions::new()).unwrap_err();
        assert_eq!(e.code(), ErrorCode::InvalidArgument, "{e}");
    }
}

#[test]
fn the_name_of_databases_in_memory_is_no_file_for_any_call() {
    let refused = [
        Database::detach(":memory:").map(drop),
        Database::repair(":memory:", RepairOptions::default()).map(drop),
        Database::confirm_moved(":memory:").map(drop),
        Database::open_with_source(
            ":memory:",
            OpenOptions::new(),
            Database::source_at(&kitedb_core::source::SourcePlace::files("elsewhere.kitedb")),
        )
        .map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidOption);
    }
    assert!(!std::path::Path::new(":memory:").exists());
}

/// The cursor of another history, which a promotion by force began.
#[test]
fn the_start_of_a_snapshot_of_another_history_is_a_gap() {
    let folder = Folder::new();
    let p = folder.primary("primary", SyncMode::Full);
    for n in 0..20 {
        add(&p, &format!("n{n}")).unwrap();
    }
    for cursor in ["2:0:0:16", "9:0:0:9", "9:0:0:21"] {
        let page = p.primary_export_log(Some(cursor.parse().unwrap()), 10, 1 << 20).unwrap();
        assert_eq!(page.gap().map(|gap| gap.reason.as_str()), Some("off_history"), "{cursor}");
    }
    let own = p.primary_export_snapshot().unwrap().start_cursor();
    assert_eq!(p.primary_export_log(Some(own), 10, 1 << 20).unwrap().gap(), None);
    p.primary_promote_to_next_epoch().unwrap();
    let own = p.primary_export_snapshot().unwrap().start_cursor();
    assert_eq!(p.primary_export_log(Some(own), 10, 1 << 20).unwrap().gap(), None);
    add(&p, "of the next epoch").unwrap();
    for cursor in [own, p.primary_export_snapshot().unwrap().start_cursor()] {
        assert_eq!(p.primary_export_log(Some(cursor), 10, 1 << 20).unwrap().gap(), None, "{cursor}");
    }
}

/// Closed handles are kept for long where a collector of garbage drops them. They hold nothing of the file.
#[test]
fn a_closed_handle_pins_nothing_and_a_copy_of_what_outlives_it_does() {
    let stage = Stage::new();
    let path = stage.path("graph.kitedb");
    let options = || OpenOptions::new().background(false);
    let reader_options = || OpenOptions::new().read_only(true);
    let db = Database::open(&path, options()).unwrap();
    let write = |db: &Database, key: &str| {
        add(db, key).unwrap();
        db.compact().unwrap();
    };
    write(&db, "a");
    let reader = Database::open(&path, reader_options()).unwrap();
    let seen = reader.snapshot().unwrap();
    write(&db, "b");
    assert!(db.stats().unwrap().pinned_elsewhere, "by a reader's handle");
    reader.close().unwrap();
    assert!(db.stats().unwrap().pinned_elsewhere, "by its view");
    drop(seen);
    assert!(!db.stats().unwrap().pinned_elsewhere);

    let view = db.snapshot().unwrap();
    db.close().unwrap();
    let next = Database::open(&path, options()).unwrap();
    write(&next, "c");
    assert!(next.stats().unwrap().pinned_elsewhere);
    let copy = view.clone();
    drop(view);
    assert!(next.stats().unwrap().pinned_elsewhere, "by a copy that was made after the close");
    drop(db);
    let (last, cursor) = (copy.clone(), copy.node_cursor());
    drop(copy);
    drop(last);
    assert!(next.stats().unwrap().pinned_elsewhere, "by a cursor of a copy, of handles that are gone");
    drop(cursor);
    assert!(!next.stats().unwrap().pinned_elsewhere);
}
