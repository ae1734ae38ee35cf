//! Runs and merges hold what was written.

use super::{
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::graph::{
    Direction, EdgeKey, EdgeTypeId, LabelId, NodeId, NodeRecord, NodeRecordBuf, PropKeyId, PropList, key_hash,
};
use proptest::prelude::*;
use std::collections::HashMap;

/// Asks for single things, those that are there and their neighbours.
fn check_lookups(run: &Run, contents: &Contents) {
    let near = |id: u64| [id.wrapping_sub(1), id, id.wrapping_add(1)];
    for id in contents.nodes.keys().flat_map(|&id| near(id)) {
        let found = run.node(NodeId(id)).unwrap().map(|record| record.as_bytes().to_vec());
        assert_eq!(found.as_ref(), contents.nodes.get(&id));
        let from = run.nodes_from(NodeId(id)).next().map(|record| record.unwrap().id().0);
        assert_eq!(from, contents.nodes.range(id..).next().map(|(id, _)| *id));
    }
    let mut keys: HashMap<String, bool> = HashMap::new();
    for record in contents.nodes.values().map(|record| NodeRecord::parse(record).unwrap()) {
        let Some(key) = record.key() else { continue };
        let live = keys.entry(key.to_owned()).or_default();
        *live |= !record.is_dead();
    }
    for (key, live) in keys {
        let found = run.key(key_hash(&key), &key).unwrap().unwrap();
        let record = run.node(found.id).unwrap().unwrap();
        assert_eq!((record.key(), found.dead, record.is_dead()), (Some(key.as_str()), !live, !live));
        assert!(run.key(key_hash(&key), "another").unwrap().is_none());
    }
    for (&(src, ty, dst, rank), (kind, props)) in &contents.edges {
        let edge = |(src, ty, dst, rank)| EdgeKey::new(NodeId(src), EdgeTypeId(ty), NodeId(dst)).with_rank(rank);
        let row = run.row(Direction::Out, NodeId(src)).unwrap();
        let find = |sought| run.find(Direction::Out, &row, edge(sought)).unwrap();
        let at = find((src, ty, dst, rank)).unwrap();
        assert_eq!(row.get(at).unwrap(), RowEntry { ty: EdgeTypeId(ty), kind: *kind, other: NodeId(dst) });
        assert_eq!(run.edge_props(&row, at).unwrap().as_bytes(), props);
        for near in
            [(src, ty, dst ^ 1 << 20, rank), (src, ty + 256, dst, rank), (src, ty, dst, rank ^ 1), (src, ty, dst, 0)]
        {
            assert_eq!(find(near).is_some(), contents.edges.contains_key(&near));
        }
        let of_type = contents.edges.range((src, ty, 0, 0)..(src, ty + 1, 0, 0)).map(|((_, _, dst, _), _)| *dst);
        assert!(row.others().slice(row.type_range(EdgeTypeId(ty))).iter().eq(of_type));
        let between = contents.edges.range((src, ty, dst, 0)..=(src, ty, dst, u64::MAX)).map(|((.., rank), _)| *rank);
        let ranks = run.ranks(Direction::Out, &row).unwrap();
        assert!(row.find_all(EdgeTypeId(ty), NodeId(dst)).map(|at| ranks.of(&row, at)).eq(between));
        let back = run.row(Direction::In, NodeId(dst)).unwrap();
        let at = run.find(Direction::In, &back, edge((src, ty, dst, rank))).unwrap().unwrap();
        assert_eq!((back.kind(at), run.ranks(Direction::In, &back).unwrap().of(&back, at)), (Some(*kind), rank));
        let from = run.rows_from(Direction::Out, NodeId(src + 1)).next().map(|row| row.unwrap().0.0);
        assert_eq!(from, contents.edges.range((src + 1, 0, 0, 0)..).next().map(|((src, ..), _)| *src));
    }
    assert_eq!(run.has_ranks(), contents.edges.keys().any(|edge| edge.3 != 0));
    for (&(label, node), kind) in &contents.labels {
        let members = run.label_members(LabelId(label)).unwrap();
        assert_eq!(members.find(NodeId(node)), Some(*kind));
    }
    for (&(node, key), vector) in &contents.vectors {
        let found = run.vector(NodeId(node), PropKeyId(key)).unwrap().unwrap();
        assert_eq!(found.map(|vector| vector.as_bytes().to_vec()), *vector);
        assert!(run.vector(NodeId(node), PropKeyId(9)).unwrap().is_none());
    }
    let entries = |kind| run.meta().table(kind).map_or(0, |table| table.items);
    assert_eq!([TableKind::Out, TableKind::In].map(entries), [contents.edges.len() as u64; 2]);
    run.check().unwrap();
    assert_eq!(run.has_removals(), contents.edges.values().any(|(kind, _)| *kind == EntryKind::Remove));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn runs_and_their_merges_read_back(seed: u64, shape: u8, edits in 0u64..500, count in 1usize..5) {
        let disk = SimDisk::new(seed);
        let store = create(&disk);
        let mut chance = Chance(seed);
        let palette = Palette::new(&mut chance, shape);
        let mut states = vec![Visible::default()];
        let (mut contents, mut runs) = (Vec::new(), Vec::new());
        for number in 0..count {
            let mut state = states[number].clone();
            let run = state.next_run(&mut chance, &palette, edits);
            runs.push(run.write(&store).unwrap());
            contents.push(run);
            states.push(state);
        }
        publish(&store, runs).unwrap();
        drop(store);

        let store = open(&disk, true).unwrap();
        let runs = store.runs();
        for (run, contents) in runs.iter().zip(&contents) {
            prop_assert_eq!(&Contents::read(run).unwrap(), contents);
            check_lookups(run, contents);
        }
        prop_assert_eq!(store.verify(&mut |_| Ok(())).unwrap(), vec![]);
        for from in 0..count {
            for to in from + 1..=count {
                let mut pace = |_| Ok(());
                let merged = merge_with(&store, &runs[from..to], from == 0, Nodes::Unknown, &mut pace).unwrap();
                let expected = states[from].merged(&contents[from..to], &states[to], from == 0);
                prop_assert_eq!(&Contents::read(&merged).unwrap(), &expected, "{}..{}", from, to);
                check_lookups(&merged, &expected);
            }
        }
        prop_assert_eq!(disk.violations(), Vec::<String>::new());
    }
}

#[test]
fn keys_whose_fingerprints_collide_are_told_apart() {
    // Given two keys that share the 24 bits that the index keeps of a hash.
    let mut seen = HashMap::new();
    let (a, b) = (0..)
        .find_map(|at| {
            let key = format!("key {at}");
            seen.insert(key_hash(&key) & 0xff_ffff, key.clone()).map(|other| (other, key))
        })
        .unwrap();
    let disk = SimDisk::new(1);
    let store = create(&disk);
    let mut contents = Contents::default();
    for (id, key) in [(1, &a), (2, &b)] {
        let record = NodeRecordBuf::default().live(NodeId(id), Some(key), &[], PropList::default()).to_vec();
        contents.nodes.insert(id, record);
    }
    let run = contents.write(&store).unwrap();
    for (id, key) in [(1, &a), (2, &b)] {
        // Also if their homes are the same: homes ascend with hashes, and there are few of them here.
        assert_eq!(run.key(key_hash(key), key).unwrap().unwrap().id, NodeId(id));
        assert_eq!(run.key(key_hash(&a), key).unwrap().map(|found| found.id).unwrap_or(NodeId(id)), NodeId(id));
    }
}

#[test]
fn slots_of_either_width_lead_from_keys_to_nodes() {
    // Keys that a slot holds, that it does not, that end in zeros, that begin alike, and ids that do not fit.
    let mut keys: Vec<String> = (0..300).map(|at| "k".repeat(at % 15) + &at.to_string()).collect();
    keys.extend(
        ["", "\0", "a", "a\0", "a\0\0", "exactly 12 b", "exactly 12 b\0", "ä", "same start 1", "same start 12"]
            .map(String::from),
    );
    let id = |at: usize| NodeId(if at.is_multiple_of(7) { (1 << 30) - 20 + at as u64 } else { 1 + at as u64 });
    let mut contents = Contents::default();
    for (at, key) in keys.iter().enumerate() {
        let record = match at.is_multiple_of(5) {
            true => NodeRecordBuf::default().dead(id(at), Some(key)).to_vec(),
            false => NodeRecordBuf::default().live(id(at), Some(key), &[], PropList::default()).to_vec(),
        };
        contents.nodes.insert(id(at).0, record);
    }
    let disk = SimDisk::new(4);
    let store = create(&disk);
    for (key_slots, width) in [(KeySlots::Eight, 8), (KeySlots::Sixteen, 16)] {
        let run = contents.write_as(&store, key_slots).unwrap();
        publish(&store, vec![run]).unwrap();
        let store = open(&disk, true).unwrap();
        let run = &store.runs()[0];
        assert_eq!(run.meta().section(TableKind::Nodes, Part::Hash).unwrap().width, width);
        for (at, key) in keys.iter().enumerate() {
            let expected = KeyOwner { id: id(at), dead: at.is_multiple_of(5) };
            assert_eq!(run.key(key_hash(key), key).unwrap(), Some(expected), "{key:?}");
            let other = format!("{key}\0");
            let found = run.key(key_hash(key), &other).unwrap();
            assert_eq!(found.is_some(), keys.contains(&other) && found.is_some(), "{key:?}");
            assert!(run.key(key_hash(key), "none").unwrap().is_none());
        }
    }
}

#[test]
fn two_nodes_of_one_key_are_met_in_slots_of_either_width() {
    for (key, ids) in [("short", [1, 2]), ("longer than a slot", [1, 2]), ("short", [1, 1 << 40])] {
        for key_slots in [KeySlots::Eight, KeySlots::Sixteen] {
            let mut contents = Contents::default();
            for id in ids {
                let record = NodeRecordBuf::default().live(NodeId(id), Some(key), &[], PropList::default()).to_vec();
                contents.nodes.insert(id, record);
            }
            let refused = contents.write_as(&create(&SimDisk::new(1)), key_slots).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Corrupt, "{key} {key_slots:?}: {refused}");
            let [a, b] = ids;
            let dead = NodeRecordBuf::default().dead(NodeId(a), Some(key)).to_vec();
            contents.nodes.insert(a, dead);
            let run = contents.write_as(&create(&SimDisk::new(1)), key_slots).unwrap();
            assert_eq!(run.key(key_hash(key), key).unwrap(), Some(KeyOwner { id: NodeId(b), dead: false }));
        }
    }
}

#[test]
fn large_sections_stream_in_pieces_and_are_paced() {
    let disk = SimDisk::new(2);
    let store = create(&disk);
    let mut contents = Contents::default();
    for id in 1..=3000u64 {
        let props =
            crate::graph::PropListBuf::from_pairs(&[(PropKeyId(1), "p".repeat((id % 4000) as usize).into())]).unwrap();
        let record = NodeRecordBuf::default().live(NodeId(id), None, &[], props.as_list()).to_vec();
        contents.nodes.insert(id, record);
    }
    let mut written = 0;
    let mut pace = |bytes| {
        written += bytes;
        Ok(())
    };
    let run = contents.write(&store).unwrap();
    let merged = merge(&store, &[run], true, &mut pace).unwrap();
    assert_eq!(Contents::read(&merged).unwrap(), contents);
    assert!(written > 4 << 20 && written <= merged.bytes(), "{written}");
}

#[test]
fn a_run_outside_its_bounds_or_order_is_refused() {
    let disk = SimDisk::new(3);
    let store = create(&disk);
    let record = |id| NodeRecordBuf::default().live(NodeId(id), None, &[], PropList::default()).to_vec();
    let mut bounds = RunBounds::default();
    bounds.nodes.add(5, 10);
    bounds.nodes.add(7, 10);
    for ids in [[5, 5].as_slice(), &[7, 5], &[4], &[8], &[5, 6, 7]] {
        let mut pace = |_| Ok(());
        let mut writer = store.begin_run(&bounds, &mut pace).unwrap();
        let refused = ids.iter().find_map(|&id| writer.node(&record(id)).err()).unwrap();
        assert_eq!(refused.code(), ErrorCode::Internal, "{ids:?}");
    }
}
