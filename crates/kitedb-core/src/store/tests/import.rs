//! An import holds what its image holds, whatever interrupts it, and copies nothing twice that it need not.

use super::{
    super::{
        import::{NOTE_EVERY, PIECE},
        space::ALIGN,
    },
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::{
    error::Error,
    graph::{NodeId, NodeRecordBuf, PropKeyId, PropListBuf},
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
};
use proptest::prelude::*;
use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

const RECORD: &str = "/db.kitedb-import";

/// An image that counts what is read of it, and fails or lies when told to.
struct Watched {
    image: StoreImage,
    bytes: AtomicU64,
    /// Fails the read with this number, counted from 1; 0 fails none.
    fail: u64,
    reads: AtomicU64,
    /// Flips a bit at this offset.
    flip: Option<u64>,
}

impl Watched {
    fn new(store: &Store) -> Self {
        Self { image: store.image(), bytes: AtomicU64::new(0), fail: 0, reads: AtomicU64::new(0), flip: None }
    }

    fn failing(store: &Store, fail: u64) -> Self {
        Self { fail, ..Self::new(store) }
    }

    fn read(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl Image for Watched {
    fn manifest_bytes(&self) -> Result<Vec<u8>> {
        self.image.manifest_bytes()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if self.reads.fetch_add(1, Relaxed) + 1 == self.fail {
            return Err(Error::new(ErrorCode::Io, "the line is cut"));
        }
        assert!(buf.len() <= PIECE);
        self.bytes.fetch_add(buf.len() as u64, Relaxed);
        self.image.read_at(buf, offset)?;
        if let Some(at) = self.flip.and_then(|flip| flip.checked_sub(offset)).filter(|at| *at < buf.len() as u64) {
            buf[at as usize] ^= 1;
        }
        Ok(())
    }
}

/// A database of some runs to import from, with what they hold.
struct Given {
    store: Store,
    contents: Vec<Contents>,
}

impl Given {
    fn new(contents: Vec<Contents>) -> Self {
        let disk = SimDisk::new(99);
        let store = create(&disk);
        let runs = contents.iter().map(|run| run.write(&store).unwrap()).collect();
        let checkpoint = CheckpointMark { log_index: crate::graph::LogIndex(17), ..CheckpointMark::default() };
        let manifest = Manifest { checkpoint, node_count: 5, type_counts: vec![(1, 2)], ..Manifest::default() };
        store.publish_with_log(manifest, runs, LogLink::default()).unwrap();
        Self { store, contents }
    }

    /// Two runs with sections of no piece, of one and of many.
    fn large(seed: u64) -> Self {
        Self::new(vec![large(seed), small(seed + 1)])
    }

    fn bytes(&self) -> u64 {
        let sections = self.store.runs().iter().flat_map(|run| run.meta().sections.clone()).collect::<Vec<_>>();
        sections.iter().map(SectionMeta::stored_len).sum()
    }

    /// Panics unless `store` shows what this source shows, and all of it verifies.
    fn assert_shown_by(&self, store: &Store) {
        let (ours, theirs) = (self.store.manifest(), store.manifest());
        let without_runs = |manifest: &Manifest| Manifest { runs: Vec::new(), ..manifest.clone() };
        assert_eq!(without_runs(&theirs), without_runs(&ours));
        let found: Vec<_> = store.runs().iter().map(|run| Contents::read(run).unwrap()).collect();
        assert!(found == self.contents);
        let damage = store.verify(&mut |_| Ok(())).unwrap();
        assert!(damage.iter().all(|damage| damage.what.contains("header slot")), "{damage:?}");
    }
}

fn small(seed: u64) -> Contents {
    let mut chance = Chance(seed);
    let palette = Palette::new(&mut chance, seed as u8);
    Visible::default().next_run(&mut chance, &palette, 300)
}

/// About a megabyte.
fn large(seed: u64) -> Contents {
    let mut contents = small(seed);
    for id in 1_000..1_400u64 {
        let text = format!("{seed} {id} ").repeat(200 + (id % 100) as usize);
        let props = PropListBuf::from_pairs(&[(PropKeyId(1), text.into())]).unwrap();
        let record = NodeRecordBuf::default().live(NodeId(id), None, &[], props.as_list()).to_vec();
        contents.nodes.insert(id, record);
    }
    contents.nodes.retain(|id, _| (1_000..1_400).contains(id));
    contents
}

fn import(disk: &SimDisk, store: &Store, image: &dyn Image) -> Result<(Manifest, Vec<Arc<Run>>)> {
    store.import(&env(disk), image, Path::new(RECORD), &mut |_| Ok(()))
}

/// Imports, and makes what was imported the database.
fn adopt(disk: &SimDisk, store: &Store, image: &dyn Image) -> Result<()> {
    let (manifest, runs) = import(disk, store, image)?;
    store.publish(manifest, runs)?;
    Store::forget_import(&env(disk), Path::new(RECORD))
}

/// A database that holds `contents`.
fn replica(seed: u64, contents: &Contents) -> (SimDisk, Store) {
    let disk = SimDisk::new(seed);
    let store = create(&disk);
    publish(&store, vec![contents.write(&store).unwrap()]).unwrap();
    (disk, store)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_import_holds_what_its_image_holds(
        seed: u64, shape: u8, edits in 0u64..3000, count in 0usize..4, before in 0u64..1500, twice: bool,
    ) {
        let mut chance = Chance(seed);
        let palette = Palette::new(&mut chance, shape);
        let mut state = Visible::default();
        let source = Given::new((0..count).map(|_| state.next_run(&mut chance, &palette, edits)).collect());
        let old = Visible::default().next_run(&mut chance, &palette, before);
        let (disk, store) = replica(seed, &old);
        let generation = store.generation();
        for _ in 0..=u8::from(twice) {
            let (mut paced, before) = (0, store.manifest());
            let mut pace = |bytes| {
                paced += bytes;
                Ok(())
            };
            let (manifest, runs) =
                store.import(&env(&disk), &source.store.image(), Path::new(RECORD), &mut pace).unwrap();
            prop_assert_eq!(paced, source.bytes());
            prop_assert_eq!(&store.manifest(), &before);
            store.publish(manifest, runs).unwrap();
            Store::forget_import(&env(&disk), Path::new(RECORD)).unwrap();
            source.assert_shown_by(&store);
        }
        drop(store);
        let store = open(&disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced)), true).unwrap();
        source.assert_shown_by(&store);
        prop_assert!(store.generation() > generation);
        prop_assert_eq!(disk.violations(), Vec::<String>::new());
        prop_assert_eq!(disk.paths(), vec![Path::new(PATH).to_owned()]);
    }

    /// Failures of the disk and of the image, kills, losses of power, and other work on the file in between: whatever
    /// the record then says, what is published in the end outlives a loss of all that was not synced.
    #[test]
    fn what_a_resumed_import_publishes_is_durable(seed: u64, steps in proptest::collection::vec((0u8..7, 1u64..40), 1..8)) {
        let source = Given::large(seed % 4);
        let (mut disk, mut store) = replica(seed, &small(seed));
        let mut fail = 0;
        for (step, nth) in steps {
            let work = |store: &Store| drop(import(&disk, store, &Watched::failing(&source.store, fail)));
            match step {
                0 => fail = nth,
                1 => disk.fail(FaultPlan::new(FaultOn::Sync, nth % 8 + 1, ErrorKind::Other)),
                2 => disk.fail(FaultPlan::new(FaultOn::Write, nth, ErrorKind::StorageFull)),
                3 => work(&store),
                4 if nth % 2 == 0 => drop(large(nth).write(&store)),
                4 => drop(small(nth).write(&store).and_then(|run| publish(&store, vec![run]))),
                _ => {
                    disk.crash_at(disk.ops() + nth);
                    work(&store);
                    drop(store);
                    disk = disk.restart(if step == 5 { Crash::Kill } else { Crash::PowerLoss(Loss::Random) });
                    store = open(&disk, true).unwrap();
                }
            }
        }
        disk.clear_faults();
        adopt(&disk, &store, &source.store.image()).unwrap();
        prop_assert_eq!(disk.violations(), Vec::<String>::new());
        drop(store);
        let store = open(&disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced)), true).unwrap();
        source.assert_shown_by(&store);
    }

    #[test]
    fn a_record_of_any_bytes_is_survived(
        bytes: Vec<u8>, valid: bool, at: usize, xor: u8, cut in 0usize..2000, stop in 1u64..30,
    ) {
        let source = Given::large(1);
        let (disk, store) = replica(1, &small(1));
        let mut record = bytes;
        if valid {
            import(&disk, &store, &Watched::failing(&source.store, stop)).unwrap_err();
            record = disk.read(RECORD).unwrap();
            if let Some(byte) = (!record.is_empty()).then(|| at % record.len()).and_then(|at| record.get_mut(at)) {
                *byte ^= xor;
            }
            record.truncate(record.len().saturating_sub(cut % 72));
        }
        disk.write(RECORD, &record).unwrap();
        import(&disk, &store, &Watched::failing(&source.store, stop)).unwrap_err();
        adopt(&disk, &store, &source.store.image()).unwrap();
        source.assert_shown_by(&store);
    }

    #[test]
    fn a_flipped_bit_of_the_image_is_named_and_nothing_is_published(which: u64, at: u64) {
        let source = Given::large(2);
        let (disk, store) = replica(2, &small(7));
        let (before, in_use) = (store.manifest(), store.space_in_use());
        let sections: Vec<_> = source.store.runs().iter().flat_map(|run| run.meta().sections.clone()).collect();
        let section = &sections[(which % sections.len() as u64) as usize];
        let flip = section.offset + at % section.stored_len();
        // Zeros between data and checksums are covered, too.
        let image = Watched { flip: Some(flip), ..Watched::new(&source.store) };
        let error = import(&disk, &store, &image).unwrap_err();
        prop_assert_eq!(error.code(), ErrorCode::Corrupt);
        let message = error.to_string();
        prop_assert!(message.contains(&section.id.to_string()), "{}", message);
        let named: u64 = message.split("at offset ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        prop_assert!(named <= flip && flip < named + BLOCK as u64, "{} {}", message, flip);
        prop_assert_eq!((store.manifest(), store.space_in_use()), (before, in_use));
        let again = Watched::new(&source.store);
        adopt(&disk, &store, &again).unwrap();
        source.assert_shown_by(&store);
        prop_assert!(image.read() + again.read() <= source.bytes() + PIECE as u64);
    }
}

/// How an import is made to fail at its nth step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Failure {
    Pace,
    Image,
    Write,
    Sync,
    OwnDiskFull,
}

#[test]
fn an_import_that_fails_anywhere_gives_its_space_back_and_goes_on_from_there() {
    let source = Given::large(3);
    let old = small(5);
    for failure in [Failure::Pace, Failure::Image, Failure::Write, Failure::Sync, Failure::OwnDiskFull] {
        let mut failures = 0;
        for nth in 1..200u64 {
            let (disk, store) = replica(nth, &old);
            let before = (store.manifest(), store.space_in_use());
            let image = Watched::failing(&source.store, if failure == Failure::Image { nth } else { 0 });
            match failure {
                Failure::Write => disk.fail(FaultPlan::new(FaultOn::Write, nth, ErrorKind::Other).on_path("db.kitedb")),
                Failure::Sync => disk.fail(FaultPlan::new(FaultOn::Sync, nth, ErrorKind::Other)),
                Failure::OwnDiskFull => disk.set_capacity(Some(disk.used() + nth * 20_000)),
                _ => {}
            }
            let mut left = if failure == Failure::Pace { nth } else { u64::MAX };
            let mut pace = |_| {
                left -= 1;
                if left == 0 { Err(Error::new(ErrorCode::Closed, "closing")) } else { Ok(()) }
            };
            let done = store.import(&env(&disk), &image, Path::new(RECORD), &mut pace);
            disk.clear_faults();
            disk.set_capacity(None);
            let Err(error) = done else { break };
            failures += 1;
            let expected = match failure {
                Failure::Pace => ErrorCode::Closed,
                Failure::OwnDiskFull => ErrorCode::DiskFull,
                _ => ErrorCode::Io,
            };
            assert_eq!(error.code(), expected, "{failure:?} {nth}: {error}");
            assert_eq!((store.manifest(), store.space_in_use()), before, "{failure:?} {nth}");
            assert!(Contents::read(&store.runs()[0]).unwrap() == old);

            let again = Watched::new(&source.store);
            adopt(&disk, &store, &again).unwrap();
            source.assert_shown_by(&store);
            assert_eq!(disk.violations(), Vec::<String>::new());
            // A failed sync takes with it what it covered; everything else costs a piece, and a table of checksums.
            let lost = if failure == Failure::Sync { NOTE_EVERY } else { 0 };
            let copied = image.read() + again.read();
            assert!(copied <= source.bytes() + lost + 2 * PIECE as u64, "{failure:?} {nth}: {copied}");
            drop(store);
            let store = open(&disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced)), true).unwrap();
            source.assert_shown_by(&store);
        }
        assert!(failures >= 8, "{failure:?} {failures}");
    }
}

#[test]
fn a_crash_anywhere_leaves_one_of_both_graphs_and_costs_what_was_not_noted() {
    let source = Given::large(4);
    let old = small(6);
    let prepare = |op| replica(op, &old);
    let (quiet, store) = prepare(0);
    let first = quiet.ops();
    adopt(&quiet, &store, &source.store.image()).unwrap();
    for op in first + 1..=quiet.ops() {
        for crash in [Crash::Kill, Crash::PowerLoss(Loss::Random), Crash::PowerLoss(Loss::LoseAllUnsynced)] {
            let (disk, store) = prepare(op);
            disk.crash_at(op);
            let image = Watched::new(&source.store);
            // A crash while the record is removed is not seen by who does not ask.
            let _ = adopt(&disk, &store, &image);
            assert!(disk.crashed());
            drop(store);
            let disk = disk.restart(crash);
            let store = open(&disk, true).unwrap();
            if store.manifest().node_count == source.store.manifest().node_count {
                // What a killed process published may not be durable before the next change is.
                store.change_log(|link| link).unwrap();
            } else {
                assert!(Contents::read(&store.runs()[0]).unwrap() == old, "{op} {crash:?}");
                let again = Watched::new(&source.store);
                adopt(&disk, &store, &again).unwrap();
                let copied = image.read() + again.read();
                let limit = source.bytes() + NOTE_EVERY + 2 * PIECE as u64;
                assert!(copied <= limit, "{op} {crash:?}: {copied} > {limit}");
            }
            assert_eq!(disk.violations(), Vec::<String>::new());
            drop(store);
            let store = open(&disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced)), true).unwrap();
            source.assert_shown_by(&store);
        }
    }
}

#[test]
fn a_finished_copy_that_was_not_published_is_not_copied_again() {
    let source = Given::large(8);
    let (disk, store) = replica(8, &large(8));
    // The copy lies behind what is in use now, and will not be: who allocates anew comes before it.
    let in_use = store.runs();
    publish(&store, vec![small(8).write(&store).unwrap()]).unwrap();
    drop(import(&disk, &store, &source.store.image()).unwrap());
    drop((in_use, store));
    let disk = disk.restart(Crash::Kill);
    // A reader of what is published holds nothing of it.
    let reader = open(&disk.process(), false).unwrap();
    let store = open(&disk, true).unwrap();
    let image = Watched::new(&source.store);
    adopt(&disk, &store, &image).unwrap();
    assert_eq!(image.read(), 0);
    source.assert_shown_by(&store);
    assert!(Contents::read(&reader.runs()[0]).unwrap() == small(8));
    assert_eq!(disk.violations(), Vec::<String>::new());
}

#[test]
fn what_was_durable_once_is_not_believed_of_a_place_that_was_written_again() {
    let source = Given::large(15);
    for seed in 0..20 {
        let (disk, store) = replica(seed, &small(15));
        import(&disk, &store, &Watched::failing(&source.store, 30)).unwrap_err();
        // Others use the place, and let go of it.
        drop(large(16).write(&store).unwrap());
        // What is written now can be read, verifies, and is lost: the system believes it synced.
        disk.fail(FaultPlan::new(FaultOn::Sync, 1 + seed % 3, ErrorKind::Other).on_path("db.kitedb"));
        import(&disk, &store, &source.store.image()).unwrap_err();
        disk.clear_faults();
        adopt(&disk, &store, &source.store.image()).unwrap();
        drop(store);
        let store = open(&disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced)), true).unwrap();
        source.assert_shown_by(&store);
    }
}

#[test]
fn what_a_foreign_reader_pins_is_not_written_to_and_the_copy_begins_elsewhere() {
    let source = Given::large(9);
    let (disk, store) = replica(9, &small(9));
    import(&disk, &store, &Watched::failing(&source.store, 20)).unwrap_err();
    let reader = open(&disk.process(), false).unwrap();
    // The record's places are published, read, and let go of.
    publish(&store, vec![large(30).write(&store).unwrap()]).unwrap();
    let late = open(&disk.process(), false).unwrap();
    publish(&store, vec![small(31).write(&store).unwrap()]).unwrap();
    adopt(&disk, &store, &source.store.image()).unwrap();
    source.assert_shown_by(&store);
    assert!(Contents::read(&reader.runs()[0]).unwrap() == small(9));
    assert!(Contents::read(&late.runs()[0]).unwrap() == large(30));
    assert_eq!((reader.verify(&mut |_| Ok(())).unwrap(), late.verify(&mut |_| Ok(())).unwrap()), (vec![], vec![]));
    assert_eq!(disk.violations(), Vec::<String>::new());
}

#[test]
fn a_later_image_takes_over_the_sections_that_it_shares() {
    let mut source = Given::large(10);
    let (disk, store) = replica(10, &small(10));
    drop(import(&disk, &store, &source.store.image()).unwrap());
    let before = source.bytes();
    let mut runs = source.store.runs().to_vec();
    let more = large(11);
    runs.push(more.write(&source.store).unwrap());
    source.contents.push(more);
    source.store.publish_with_log((*source.store.manifest()).clone(), runs, LogLink::default()).unwrap();
    let image = Watched::new(&source.store);
    adopt(&disk, &store, &image).unwrap();
    assert_eq!(image.read(), source.bytes() - before);
    source.assert_shown_by(&store);
}

#[test]
fn an_image_stays_what_it_was_while_its_store_goes_on() {
    let source = Given::large(12);
    let image = source.store.image();
    let (disk, store) = replica(12, &small(12));
    for round in 0..4 {
        publish(&source.store, vec![large(round).write(&source.store).unwrap()]).unwrap();
    }
    let (manifest, runs) = import(&disk, &store, &image).unwrap();
    assert_eq!(manifest, Manifest { runs: Vec::new(), ..image.manifest().clone() });
    let found: Vec<_> = runs.iter().map(|run| Contents::read(run).unwrap()).collect();
    assert!(found == source.contents);
}

/// An image whose file holds nothing.
struct Empty(Vec<u8>);

impl Image for Empty {
    fn manifest_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> Result<()> {
        Err(Error::new(ErrorCode::Io, "there is nothing to be read"))
    }
}

#[test]
fn a_manifest_from_outside_is_not_believed() {
    let source = Given::large(13);
    let (disk, store) = replica(13, &small(13));
    let refused = |change: &dyn Fn(&mut [&mut SectionMeta])| {
        let mut manifest = (*source.store.manifest()).clone();
        let mut sections: Vec<_> = manifest.runs.iter_mut().flat_map(|run| &mut run.sections).collect();
        sections.sort_by_key(|section| section.offset);
        change(&mut sections);
        let before = (store.space_in_use(), store.manifest());
        let error = import(&disk, &store, &Empty(manifest.encode())).unwrap_err();
        assert_eq!((store.space_in_use(), store.manifest()), before);
        (error.code(), error.to_string())
    };
    let (code, message) = refused(&|sections| sections[1].offset = sections[0].offset);
    assert!(code == ErrorCode::Corrupt && message.contains("overlaps"), "{message}");
    let (code, message) = refused(&|sections| sections[0].offset = ALIGN);
    assert!(code == ErrorCode::Corrupt && message.contains("overlaps"), "{message}");
    // A length of petabytes takes no memory and no room.
    let (code, _) = refused(&|sections| sections.last_mut().unwrap().len = 1 << 55);
    assert_eq!(code, ErrorCode::Io);
    let error = import(&disk, &store, &Empty(vec![1, 2, 3])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt);
    adopt(&disk, &store, &source.store.image()).unwrap();
    source.assert_shown_by(&store);
}

#[test]
fn a_file_too_long_for_a_record_is_begun_anew() {
    let source = Given::large(14);
    let (disk, store) = replica(14, &small(14));
    disk.write(RECORD, &vec![7; (16 << 20) + 1]).unwrap();
    import(&disk, &store, &Watched::failing(&source.store, 20)).unwrap_err();
    assert!(disk.read(RECORD).unwrap().len() < 4096);
    adopt(&disk, &store, &source.store.image()).unwrap();
    source.assert_shown_by(&store);
}

#[test]
fn a_store_open_for_reading_imports_nothing() {
    let source = Given::large(14);
    let (disk, store) = replica(14, &small(14));
    drop(store);
    let reader = open(&disk, false).unwrap();
    let refused = import(&disk, &reader, &source.store.image()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ReadOnly);
    assert_eq!(disk.paths(), vec![Path::new(PATH).to_owned()]);
}
