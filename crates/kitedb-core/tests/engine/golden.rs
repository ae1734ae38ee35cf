//! A file that an earlier build of this format wrote, with all that the format has (`src/database/golden.rs` made it), reads
//! as it did then: before and after its log is folded and its runs are merged, and on a replica.

use crate::support_process::{assert_clean, copy_folder, log_folder, quiet};
use kitedb_core::{
    AllTypes, Database, EdgeKey, GraphRead, Index, IndexOn, IndexState, OpenOptions, PropKeyId, ReplicationRole, Value,
    json::{components, to_json},
};
use serde_json::{Value as Json, json};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// A page of the file: what its extents are whole numbers of.
const PAGE: usize = 4096;

/// Where the golden files lie; `None`, said aloud, in a packaged crate, which comes without them.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    if !folder.exists() {
        println!("skipped: there is no golden file beside this crate");
        return None;
    }
    Some(folder)
}

fn edge_of(key: EdgeKey) -> Json {
    json!([key.src.0, key.ty.0, key.dst.0, key.rank])
}

fn index_of(index: &Index) -> Json {
    let on = match &index.spec.on {
        IndexOn::Label(label) => json!({ "label": label }),
        IndexOn::EdgeType(ty) => json!({ "edge_type": ty }),
        other => panic!("{other:?}"),
    };
    let state = match index.state {
        IndexState::Building => json!("building"),
        IndexState::Ready => json!("ready"),
        IndexState::EqualNodes([a, b]) => json!([a.0, b.0]),
        IndexState::EqualEdges(edges) => json!(edges.map(edge_of)),
        other => panic!("{other:?}"),
    };
    json!({ "index": index.id.0, "name": index.name, "on": on, "property": index.spec.property,
        "unique": index.spec.unique, "state": state })
}

/// All that a database holds, an object on each line, in a form of its own that depends on nothing but what is stored.
fn dump(db: &Database) -> String {
    let (view, mut out) = (db.snapshot().unwrap(), String::new());
    let mut line = |object: Json| writeln!(out, "{object}").unwrap();
    line(json!({ "token": view.token().to_string(), "digest": view.digest().to_string(),
        "nodes": view.count_nodes(), "edges": view.count_edges(), "vectors": view.count_vectors() }));
    for (id, name) in view.labels() {
        let nodes: Vec<u64> = view.nodes_with_label(id).unwrap().map(|node| node.unwrap().id().0).collect();
        assert_eq!(view.count_nodes_by_label(id), nodes.len() as u64);
        line(json!({ "label": id.0, "name": name, "nodes": nodes }));
    }
    for (id, name) in view.etypes() {
        line(json!({ "edge_type": id.0, "name": name, "edges": view.count_edges_by_type(id) }));
    }
    let keys = view.propkeys();
    for (id, name) in &keys {
        line(json!({ "property_key": id.0, "name": name, "dimension": view.vector_dimension(*id) }));
    }
    view.indexes().iter().for_each(|index| line(index_of(index)));
    let name_of = |id: PropKeyId| view.propkey_name(id).unwrap();
    let props = |props: Option<Vec<(PropKeyId, Value)>>| -> Json {
        let props = props.unwrap().into_iter();
        props.map(|(key, value)| (name_of(key), to_json(&value))).collect::<serde_json::Map<_, _>>().into()
    };
    for node in view.nodes() {
        let node = node.unwrap().id();
        let key = view.node_key(node).unwrap();
        if let Some(key) = &key {
            assert_eq!(view.node_by_key(key).unwrap(), Some(node));
        }
        let labels: Vec<u32> = view.node_labels(node).unwrap().iter().map(|label| label.0).collect();
        let vectors = keys
            .iter()
            .filter_map(|(key, name)| Some((name.clone(), components(&view.node_vector(node, *key).unwrap()?))));
        let vectors: serde_json::Map<_, _> = vectors.collect();
        let props = props(view.node_props(node).unwrap());
        line(json!({ "node": node.0, "key": key, "labels": labels, "props": props, "vectors": vectors,
            "out": view.out_degree(node, AllTypes).unwrap(), "in": view.in_degree(node, AllTypes).unwrap() }));
    }
    for edge in view.edges() {
        let edge = edge.unwrap().key();
        assert!(view.edges_between(edge.src, edge.ty, edge.dst).unwrap().contains(&edge));
        line(json!({ "edge": edge_of(edge), "props": props(view.edge_props_by_key(edge).unwrap()) }));
    }
    out
}

/// A file as it is checked in: its length, then of each page the length without the zeros at its end, and these bytes. Most
/// of a small database is the ends of pages.
fn packed(file: &[u8]) -> Vec<u8> {
    let mut out = (file.len() as u64).to_le_bytes().to_vec();
    for page in file.chunks(PAGE) {
        let len = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        out.extend_from_slice(&(len as u16).to_le_bytes());
        out.extend_from_slice(&page[..len]);
    }
    out
}

fn unpacked(mut packed: &[u8]) -> Vec<u8> {
    let mut take = |bytes: usize| packed.split_off(..bytes).unwrap();
    let mut file = vec![0; u64::from_le_bytes(take(8).try_into().unwrap()) as usize];
    for page in file.chunks_mut(PAGE) {
        let len = usize::from(u16::from_le_bytes(take(2).try_into().unwrap()));
        page[..len].copy_from_slice(take(len));
    }
    file
}

/// Puts the golden file to `path`, with its log beside it, and returns what it holds.
fn golden(path: &Path) -> Option<String> {
    let folder = folder()?;
    fs::write(path, unpacked(&fs::read(folder.join("everything.packed")).unwrap())).unwrap();
    copy_folder(&folder.join("everything.kitedb-wal"), &log_folder(path));
    Some(fs::read_to_string(folder.join("everything.jsonl")).unwrap())
}

#[track_caller]
fn expect(db: &Database, expected: &str) {
    assert_clean(db);
    let found = dump(db);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn a_file_with_all_that_the_format_has_reads_as_it_did_when_it_was_written() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("everything.kitedb");
    let Some(expected) = golden(&path) else { return };
    let open = |options: OpenOptions| Database::open(&path, options.create_if_missing(false)).unwrap();
    let db = open(quiet().read_only(true));
    expect(&db, &expected);
    db.close().unwrap();
    let db = open(quiet());
    expect(&db, &expected);
    db.checkpoint().unwrap();
    expect(&db, &expected);
    db.close().unwrap();
    let db = open(quiet());
    expect(&db, &expected);
    db.compact().unwrap();
    assert_eq!(db.stats().unwrap().runs.len(), 1);
    expect(&db, &expected);
    db.close().unwrap();
    expect(&open(quiet().read_only(true)), &expected);
}

#[test]
fn a_replica_gets_all_of_a_file_that_was_written_long_ago() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("everything.kitedb");
    let Some(expected) = golden(&path) else { return };
    let primary = Database::open(&path, quiet().replication_role(ReplicationRole::Primary)).unwrap();
    expect(&primary, &expected);
    let options = quiet().replication_role(ReplicationRole::Replica).replication_source_db_path(&path);
    let replica = Database::open(scratch.path().join("replica.kitedb"), options).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    expect(&replica, &expected);
}

/// Together with the file itself, which `database::golden::the_golden_file_is_written` makes.
#[test]
#[ignore = "packs the golden file and writes what it holds: KITEDB_GOLDEN says in which folder it lies"]
fn the_golden_file_is_packed() {
    let folder = PathBuf::from(std::env::var_os("KITEDB_GOLDEN").unwrap());
    let path = folder.join("everything.kitedb");
    let db = Database::open(&path, quiet().read_only(true)).unwrap();
    assert_clean(&db);
    fs::write(folder.join("everything.jsonl"), dump(&db)).unwrap();
    let file = fs::read(&path).unwrap();
    assert_eq!(unpacked(&packed(&file)), file);
    fs::write(folder.join("everything.packed"), packed(&file)).unwrap();
    fs::remove_file(path).unwrap();
}
