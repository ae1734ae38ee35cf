//! Damaged bytes are found, named and never believed.

use super::{
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::{
    io::sim::{FaultOn, FaultPlan},
    level::FEATURE_LEVEL,
};
use proptest::prelude::*;

fn database(seed: u64) -> (SimDisk, Vec<SectionMeta>) {
    let disk = SimDisk::new(seed);
    let store = create(&disk);
    let mut chance = Chance(seed);
    let palette = Palette::new(&mut chance, seed as u8);
    let run = Visible::default().next_run(&mut chance, &palette, 3000).write(&store).unwrap();
    let sections = run.meta().sections.clone();
    publish(&store, vec![run]).unwrap();
    (disk, sections)
}

#[test]
fn the_databases_that_are_damaged_have_sections_of_every_kind() {
    let ids: std::collections::HashSet<_> =
        (0..12).flat_map(|seed| database(seed).1).map(|section| section.id).collect();
    let parts = |table| ids.iter().filter(|id| id.table == table).count();
    assert_eq!((parts(TableKind::Columns), parts(TableKind::AlignedVectors)), (3, 3), "{ids:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_flipped_bit_in_a_section_is_found_at_the_touch_and_by_verify(seed in 0u64..12, which: u64, at: u64, bit in 0u8..8) {
        let (disk, sections) = database(seed);
        let section = &sections[(which % sections.len() as u64) as usize];
        let offset = section.offset + at % section.stored_len();
        disk.corrupt(PATH, offset, 1 << bit).unwrap();
        let store = open(&disk, true).unwrap();
        let damage = store.verify(&mut |_| Ok(())).unwrap();
        prop_assert!(damage.iter().any(|d| d.offset <= offset && offset < d.offset + d.len), "{:?}", damage);
        let run = store.runs()[0].clone();
        let whole = Contents::read(&run);
        // The bucket index and the hash slots are not part of a scan, nor are columns, which a check reads.
        if section.id.table == TableKind::Columns {
            prop_assert_eq!(run.check().unwrap_err().code(), ErrorCode::Corrupt);
        } else if !matches!(section.id.part, Part::Buckets | Part::Hash) {
            prop_assert_eq!(whole.unwrap_err().code(), ErrorCode::Corrupt);
        }
        for id in 0..50 {
            let _ = (run.node(id.into()), run.row(crate::graph::Direction::Out, id.into()), run.key(id, "key"));
        }
    }

    #[test]
    fn arbitrary_manifest_bytes_give_a_manifest_or_an_error(mut bytes: Vec<u8>, valid: bool, at: usize, xor: u8) {
        if valid {
            let disk = SimDisk::new(1);
            let store = create(&disk);
            let mut chance = Chance(1);
            let palette = Palette::new(&mut chance, 1);
            let run = Visible::default().next_run(&mut chance, &palette, 50).write(&store).unwrap();
            publish(&store, vec![run]).unwrap();
            bytes = store.manifest().encode();
            prop_assert_eq!(&Manifest::decode(&bytes, FEATURE_LEVEL).unwrap(), &*store.manifest());
            let at = at % bytes.len();
            bytes[at] ^= xor;
        } else {
            bytes.insert(0, 1);
        }
        let _ = Manifest::decode(&bytes, FEATURE_LEVEL);
    }
}

#[test]
fn one_damaged_slot_is_survived_and_two_are_corrupt_or_no_database() {
    let (disk, _) = database(5);
    let generation = open(&disk, true).unwrap().generation();
    disk.corrupt(PATH, 4096 * (generation % 2) + 20, 1).unwrap();
    disk.corrupt(PATH, 4096 * (generation % 2) + 20, 1).unwrap();
    for slot in 0..2 {
        disk.corrupt(PATH, 4096 * slot + 20, 1).unwrap();
        let store = open(&disk, true).unwrap();
        assert!(generation - store.generation() <= 1);
        assert_eq!(store.verify(&mut |_| Ok(())).unwrap().len(), 1);
        disk.corrupt(PATH, 4096 * slot + 20, 1).unwrap();
    }
    disk.corrupt(PATH, 20, 1).unwrap();
    disk.corrupt(PATH, 4096 + 20, 1).unwrap();
    assert_eq!(open(&disk, true).unwrap_err().code(), ErrorCode::Corrupt);
    disk.corrupt(PATH, 0, 1).unwrap();
    disk.corrupt(PATH, 4096, 1).unwrap();
    assert_eq!(open(&disk, true).unwrap_err().code(), ErrorCode::NotADatabase);
    disk.write("/other", b"hello").unwrap();
    let other = Store::open(&env(&disk), Path::new("/other"), false);
    assert_eq!(other.unwrap_err().code(), ErrorCode::NotADatabase);
    assert_eq!(Store::open(&env(&disk), Path::new("/none"), false).unwrap_err().code(), ErrorCode::NotFound);
}

#[test]
fn a_damaged_manifest_or_a_cut_file_is_corrupt() {
    let (disk, sections) = database(6);
    let store = open(&disk, true).unwrap();
    let manifest =
        sections.iter().map(|section| section.offset + section.stored_len()).max().unwrap().next_multiple_of(4096);
    drop(store);
    disk.corrupt(PATH, manifest + 5, 1).unwrap();
    assert_eq!(open(&disk, true).unwrap_err().code(), ErrorCode::Corrupt);
    disk.corrupt(PATH, manifest + 5, 1).unwrap();
    open(&disk, true).unwrap();
    let bytes = disk.read(PATH).unwrap();
    disk.write("/cut", &bytes[..manifest as usize]).unwrap();
    assert_eq!(Store::open(&env(&disk), Path::new("/cut"), true).unwrap_err().code(), ErrorCode::Corrupt);
}

#[test]
fn what_the_disk_cannot_read_is_an_error_also_where_it_was_read_before() {
    let (disk, sections) = database(7);
    let store = open(&disk, true).unwrap();
    let run = store.runs()[0].clone();
    Contents::read(&run).unwrap();
    disk.fail(FaultPlan::new(FaultOn::Read, 1, std::io::ErrorKind::Other).forever());
    let damage = store.verify(&mut |_| Ok(())).unwrap();
    let unreadable = damage.iter().filter(|found| found.what.contains("cannot read")).count();
    assert!(unreadable >= sections.len(), "{damage:?}");
    // The mapping would show the bytes: on a real disk the process would end there.
    assert_eq!(Contents::read(&run).unwrap_err().code(), ErrorCode::Corrupt);
    disk.clear_faults();
    Contents::read(&run).unwrap();
}

#[test]
fn a_merge_of_what_the_disk_cannot_read_fails_and_leaves_what_is_there() {
    let (disk, _) = database(8);
    let store = open(&disk, true).unwrap();
    let runs = store.runs().to_vec();
    let whole = Contents::read(&runs[0]).unwrap();
    for nth in 1..4 {
        disk.fail(FaultPlan::new(FaultOn::Read, nth, std::io::ErrorKind::Other));
        let error = merge(&store, &runs, false, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Io, "{error}");
        disk.clear_faults();
    }
    let merged = merge(&store, &runs, false, &mut |_| Ok(())).unwrap();
    assert!(Contents::read(&merged).unwrap() == whole, "what is merged is what was there");
}
