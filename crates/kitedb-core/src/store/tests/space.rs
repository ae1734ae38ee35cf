//! Space is reused, but never under a reader.

use super::{
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::io::sim::{FaultOn, FaultPlan};
use std::io::ErrorKind;

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
        assert_eq!(store.verify(), vec![]);
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
    assert_eq!(reader.verify(), vec![]);
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
    let again = Store::create(&env(&disk), Path::new(PATH), [8; 16], Manifest::default());
    assert!(again.is_err());
    assert_eq!(open(&disk, true).unwrap().file_id(), [7; 16]);
    assert_eq!(disk.paths().iter().filter(|path| path.to_string_lossy().contains("creating")).count(), 0);
}
