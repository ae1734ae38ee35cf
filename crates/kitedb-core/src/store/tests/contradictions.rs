//! Runs that verify, each by itself, and say what cannot be so of one graph: a merge makes no choice between them.

use super::{model::Contents, *};
use crate::{
    error::Error,
    graph::{EdgeKey, EdgeTypeId, NameKind, NodeId, NodeRecordBuf, PropListBuf},
};

fn live(id: u64, key: Option<&str>) -> (u64, Vec<u8>) {
    (id, NodeRecordBuf::default().live(NodeId(id), key, &[], PropListBuf::default().as_list()).to_vec())
}

fn dead(id: u64, key: Option<&str>) -> (u64, Vec<u8>) {
    (id, NodeRecordBuf::default().dead(NodeId(id), key).to_vec())
}

fn nodes(all: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Contents {
    Contents { nodes: all.into_iter().collect(), ..Contents::default() }
}

fn with_edge(contents: Contents, src: u64, dst: u64, kind: EntryKind) -> Contents {
    with_parallel(contents, src, dst, 0, kind)
}

fn with_parallel(mut contents: Contents, src: u64, dst: u64, rank: u64, kind: EntryKind) -> Contents {
    contents.edges.insert((src, 1, dst, rank), (kind, Vec::new()));
    contents
}

fn with_member(contents: Contents, kind: EntryKind) -> Contents {
    Contents { labels: [((1, 1), kind)].into(), ..contents }
}

fn with_vector(contents: Contents, node: u64) -> Contents {
    Contents { vectors: [((node, 1), Some(1.5f32.to_le_bytes().to_vec()))].into(), ..contents }
}

fn with_name(contents: Contents, dimension: u32, name: &str) -> Contents {
    Contents { names: [((NameKind::PropKey, 1), (dimension, name.to_owned()))].into(), ..contents }
}

/// Writes these runs, publishes them, opens the file again and merges them all; `None`: they fit together.
fn refusal(runs: &[Contents], oldest: bool) -> Option<Error> {
    let disk = SimDisk::new(1);
    let store = create(&disk);
    let written = runs.iter().map(|run| run.write(&store).unwrap()).collect();
    publish(&store, written).unwrap();
    drop(store);
    let store = open(&disk, true).unwrap();
    assert_eq!(store.verify(&mut |_| Ok(())).unwrap(), vec![]);
    let mut pace = |_| Ok(());
    let merged = merge(&store, &store.runs(), oldest, &mut pace).err();
    assert_eq!(disk.violations(), Vec::<String>::new());
    merged
}

#[test]
fn what_runs_contradict_each_other_in_is_corrupt_and_no_choice() {
    use EntryKind::{Add, Remove, Replace};
    let both = || nodes([live(1, None), live(2, None)]);
    let none = Contents::default;
    let cases: Vec<(&str, bool, [Contents; 2])> = vec![
        ("an edge is added twice", true, [with_edge(both(), 1, 2, Add), with_edge(none(), 1, 2, Add)]),
        ("an edge that is not there is removed", true, [both(), with_edge(none(), 1, 2, Remove)]),
        ("an edge that is not there gets properties", true, [both(), with_edge(none(), 1, 2, Replace)]),
        ("an edge is removed twice", false, [with_edge(none(), 1, 2, Remove), with_edge(none(), 1, 2, Remove)]),
        ("the source of an edge does not exist", true, [nodes([live(2, None)]), with_edge(none(), 1, 2, Add)]),
        ("the destination of an edge does not exist", true, [nodes([live(1, None)]), with_edge(none(), 1, 2, Add)]),
        ("an end of an edge is deleted, not the edge", true, [with_edge(both(), 1, 2, Add), nodes([dead(2, None)])]),
        ("the same where there are older runs", false, [with_edge(both(), 1, 2, Add), nodes([dead(1, None)])]),
        (
            "a parallel edge is added twice",
            true,
            [with_parallel(both(), 1, 2, 5, Add), with_parallel(with_edge(none(), 1, 2, Add), 1, 2, 5, Add)],
        ),
        (
            "another one than is there is removed",
            true,
            [with_parallel(both(), 1, 2, 5, Add), with_edge(none(), 1, 2, Remove)],
        ),
        ("two nodes have one key", true, [nodes([live(1, Some("key"))]), nodes([live(2, Some("key"))])]),
        ("the same where there are older runs", false, [nodes([live(1, Some("key"))]), nodes([live(2, Some("key"))])]),
        ("a member is removed that is none", true, [both(), with_member(none(), Remove)]),
        ("… and added again", true, [with_member(both(), Remove), with_member(none(), Add)]),
        ("a member is added twice", false, [with_member(both(), Add), with_member(none(), Add)]),
        ("a vector is that of no node", true, [both(), with_vector(none(), 3)]),
        ("a vector is that of a deleted node", false, [with_vector(both(), 2), nodes([dead(2, None)])]),
        ("a name is another one", true, [with_name(both(), 0, "a"), with_name(none(), 0, "b")]),
    ];
    for (what, oldest, runs) in cases {
        let error = refusal(&runs, oldest).unwrap_or_else(|| panic!("{what}: merged"));
        assert_eq!(error.code(), ErrorCode::Corrupt, "{what}: {error:?}");
    }
}

#[test]
fn what_fits_together_is_merged() {
    use EntryKind::{Add, Remove, Replace};
    let both = || nodes([live(1, None), live(2, None)]);
    let none = Contents::default;
    let cases: Vec<(&str, bool, [Contents; 2])> = vec![
        (
            "an edge and its end are deleted",
            true,
            [with_edge(both(), 1, 2, Add), with_edge(nodes([dead(2, None)]), 1, 2, Remove)],
        ),
        ("ends and removals of older runs", false, [with_edge(none(), 1, 2, Add), with_edge(none(), 3, 4, Remove)]),
        (
            "of parallel edges, one goes and another one comes",
            true,
            [
                with_parallel(with_edge(both(), 1, 2, Add), 1, 2, 5, Add),
                with_parallel(with_parallel(none(), 1, 2, 5, Remove), 1, 2, 4, Add),
            ],
        ),
        ("an edge of older runs gets properties", false, [none(), with_edge(none(), 1, 2, Replace)]),
        ("an edge is removed and added again", false, [with_edge(none(), 1, 2, Remove), with_edge(none(), 1, 2, Add)]),
        (
            "a key goes from one node to another",
            true,
            [nodes([live(1, Some("key"))]), nodes([dead(1, Some("key")), live(2, Some("key"))])],
        ),
        (
            "the same where there are older runs",
            false,
            [nodes([live(1, Some("key"))]), nodes([dead(1, Some("key")), live(2, Some("key"))])],
        ),
        ("a vector of an older run's node", false, [with_vector(none(), 3), none()]),
        ("the length of vectors is fixed later", true, [with_name(both(), 0, "a"), with_name(none(), 3, "a")]),
    ];
    for (what, oldest, runs) in cases {
        let refused = refusal(&runs, oldest);
        assert!(refused.is_none(), "{what}: {refused:?}");
    }
}

/// What is at the source of an edge only, or at its destination only.
#[test]
fn an_edge_that_is_known_at_one_end_only_is_corrupt() {
    for outgoing in [true, false] {
        let disk = SimDisk::new(1);
        let store = create(&disk);
        let whole = with_edge(nodes([live(1, None), live(2, None)]), 1, 2, EntryKind::Add);
        let mut pace = |_| Ok(());
        let mut writer = store.begin_run(&whole.bounds(), &mut pace).unwrap();
        whole.nodes.values().for_each(|record| writer.node(record).unwrap());
        let edge = EdgeKey::new(NodeId(1), EdgeTypeId(1), NodeId(2));
        match outgoing {
            true => writer.out_edge(edge, EntryKind::Add, &[]).unwrap(),
            false => writer.in_edge(edge, EntryKind::Add).unwrap(),
        }
        let run = writer.finish().unwrap();
        let mut pace = |_| Ok(());
        let error = merge(&store, &[run], true, &mut pace).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt, "{error:?}");
    }
}
