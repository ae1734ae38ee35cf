//! Space is reused, but never under a reader.

use super::{
    super::{
        device::Device,
        space::{ALIGN, Extent, FIRST, Lease, Space},
    },
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::{
    io::{
        Disk, OpenMode,
        sim::{FaultOn, FaultPlan},
    },
    level::Levels,
};
use proptest::prelude::*;
use std::{collections::BTreeSet, io::ErrorKind};

fn contents(seed: u64) -> Contents {
    let mut chance = Chance(seed);
    let palette = Palette::new(&mut chance, 0);
    Visible::default().next_run(&mut chance, &palette, 2000)
}

#[test]
fn space_is_reused_once_no_view_of_this_process_needs_it() {
    let disk = SimDisk::new(1);
    let store = create(&disk);
    let mut lens = Vec::new();
    for round in 0..20 {
        let contents = contents(round);
        let view = store.runs();
        publish(&store, vec![contents.write(&store).unwrap()]).unwrap();
        assert_eq!(Contents::read(&store.runs()[0]).unwrap(), contents);
        view.iter().for_each(|run| drop(Contents::read(run).unwrap()));
        lens.push(store.file_len().unwrap());
        assert_eq!(store.verify(&mut |_| Ok(())).unwrap(), vec![]);
    }
    assert_eq!(disk.violations(), Vec::<String>::new());
    assert!(lens.iter().max() <= Some(&(3 * lens[0])), "{lens:?}");
    publish(&store, vec![]).unwrap();
    publish(&store, vec![]).unwrap();
    assert!(store.file_len().unwrap() <= 6 * 4096, "{:?}", store.stats());
}

#[test]
fn what_a_foreign_reader_pins_is_neither_reused_nor_cut() {
    let disk = SimDisk::new(2);
    let store = create(&disk);
    let first = contents(100);
    publish(&store, vec![first.write(&store).unwrap()]).unwrap();
    let reader = open(&disk, false).unwrap();
    let mut grown = 0;
    for round in 0..8 {
        publish(&store, vec![contents(round).write(&store).unwrap()]).unwrap();
        store.mark_log(LogLink { open: round % 2 == 0, ..LogLink::default() }).unwrap();
        grown = store.file_len().unwrap();
    }
    publish(&store, vec![]).unwrap();
    assert_eq!(Contents::read(&reader.runs()[0]).unwrap(), first);
    assert_eq!(reader.verify(&mut |_| Ok(())).unwrap(), vec![]);
    assert_eq!(disk.violations(), Vec::<String>::new());
    assert_eq!(reader.mark_log(LogLink::default()).unwrap_err().code(), ErrorCode::ReadOnly);

    // The pin lasts as long as a run that the reader showed, and another writer respects it as well.
    let run = reader.runs()[0].clone();
    drop((reader, store));
    let store = open(&disk, true).unwrap();
    publish(&store, vec![contents(9).write(&store).unwrap()]).unwrap();
    assert_eq!(Contents::read(&run).unwrap(), first);
    assert_eq!(disk.violations(), Vec::<String>::new());
    drop(run);
    publish(&store, vec![]).unwrap();
    publish(&store, vec![]).unwrap();
    assert!(store.file_len().unwrap() < grown / 2, "{:?}", store.stats());
}

#[test]
fn a_failed_run_gives_its_space_back_and_changes_nothing() {
    let disk = SimDisk::new(3);
    let store = create(&disk);
    publish(&store, vec![contents(1).write(&store).unwrap()]).unwrap();
    let in_use = store.space_in_use();
    let mut failures = [0, 0];
    for nth in 1..40 {
        for (at, on) in [FaultOn::Write, FaultOn::Sync].into_iter().enumerate() {
            let before = (store.generation(), store.manifest());
            disk.fail(FaultPlan::new(on, nth, ErrorKind::StorageFull));
            let done = contents(2).write(&store).and_then(|run| publish(&store, vec![run]));
            disk.clear_faults();
            if let Err(error) = done {
                assert_eq!(error.code(), ErrorCode::DiskFull);
                assert_eq!((store.generation(), store.manifest()), before);
                assert_eq!(Contents::read(&store.runs()[0]).unwrap(), contents(1));
                assert_eq!(store.space_in_use(), in_use, "{on:?} {nth}");
                failures[at] += 1;
            }
            // Whatever the file shows after the failure, the next attempt works and is what counts.
            publish(&store, vec![contents(1).write(&store).unwrap()]).unwrap();
            assert_eq!(Contents::read(&open(&disk, false).unwrap().runs()[0]).unwrap(), contents(1));
        }
    }
    assert!(failures[0] > 10 && failures[1] == 3, "{failures:?}");
    assert_eq!(disk.violations(), Vec::<String>::new());
}

#[test]
fn a_run_given_up_by_its_pace_frees_its_space() {
    let disk = SimDisk::new(4);
    let store = create(&disk);
    let run = contents(1).write(&store).unwrap();
    let before = store.space_in_use();
    let mut pace = |_| Err(crate::error::Error::new(ErrorCode::Closed, "closing"));
    let given_up = merge(&store, std::slice::from_ref(&run), true, &mut pace).unwrap_err();
    assert_eq!((given_up.code(), store.space_in_use()), (ErrorCode::Closed, before));
}

#[test]
fn opening_writes_nothing_and_creating_refuses_what_exists() {
    let disk = SimDisk::new(5);
    drop(create(&disk));
    let ops = disk.ops();
    drop((open(&disk, true).unwrap(), open(&disk, false).unwrap()));
    assert_eq!(disk.ops(), ops);
    let again = Store::create(&env(&disk), Path::new(PATH), [8; 16], Manifest::default(), link::Part::Unsaid);
    assert!(again.is_err());
    assert_eq!(open(&disk, true).unwrap().file_id(), [7; 16]);
    assert_eq!(disk.paths().iter().filter(|path| path.to_string_lossy().contains("creating")).count(), 0);
}

proptest! {
    /// Against a set of the pages in use.
    #[test]
    fn an_extent_at_a_place_is_leased_exactly_if_all_of_it_is_free(
        live in 0u64..30, steps in proptest::collection::vec((0u8..4, 0u64..40, 1u64..12), 0..60),
    ) {
        let disk = SimDisk::new(1);
        let file = disk.open(Path::new(PATH), OpenMode::CreateNew).unwrap();
        let extent = Extent { offset: FIRST + 2 * ALIGN, len: live * ALIGN };
        let live = if live == 0 { Vec::new() } else { vec![extent] };
        let space = Space::new(Arc::new(Device::new(file, Path::new(PATH), Levels { known: 1, written: 1 })), 20 * ALIGN, live.clone(), 5);
        // As after an open: all else is in quarantine, and nobody pins it.
        space.set_durable(5);
        let pages = |extent: Extent| extent.offset / ALIGN..extent.end() / ALIGN;
        let mut used: BTreeSet<u64> = live.into_iter().flat_map(pages).collect();
        let mut end = used.last().map_or(20, |last| 20.max(last + 1));
        let mut leases = Vec::new();
        for (step, at, len) in steps {
            let bytes = len * ALIGN - at;
            let lease = match step {
                0 if !leases.is_empty() => {
                    let lease: Lease = leases.swap_remove(at as usize % leases.len());
                    used.retain(|page| !pages(lease.extent()).contains(page));
                    continue;
                }
                0 | 1 => space.allocate(bytes).unwrap(),
                _ => {
                    let free = at >= FIRST / ALIGN && at < end && (at..at + len).all(|page| !used.contains(&page));
                    let lease = space.allocate_at(at * ALIGN, bytes);
                    prop_assert_eq!(lease.is_some(), free, "{} {}", at, len);
                    match lease {
                        Some(lease) => lease,
                        None => continue,
                    }
                }
            };
            prop_assert_eq!(lease.extent().len, len * ALIGN);
            for page in pages(lease.extent()) {
                prop_assert!(used.insert(page));
                end = end.max(page + 1);
            }
            leases.push(lease);
        }
        prop_assert_eq!(space.in_use(), used.len() as u64 * ALIGN);
        for (offset, bytes) in [(1, 1), (FIRST + 1, 1), (1 << 62, 1), (FIRST, 1 << 60), (FIRST, u64::MAX)] {
            prop_assert!(space.allocate_at(offset, bytes).is_none());
        }
    }
}
