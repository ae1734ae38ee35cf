use super::*;
use crate::io::{
    LockKind,
    sim::{FaultOn, Loss},
};

const LOST: Crash = Crash::PowerLoss(Loss::LoseAllUnsynced);
const RANDOM: Crash = Crash::PowerLoss(Loss::Random);

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn create(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path(name), OpenMode::CreateNew).unwrap();
    file.write_at(bytes, 0).unwrap();
    file
}

#[test]
fn a_name_is_durable_only_after_a_sync_of_its_folder() {
    let disk = SimDisk::new(1);
    disk.create_dir(path("/db")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    create(&disk, "/db/a", b"a").sync_data().unwrap();
    disk.sync_dir(path("/db")).unwrap();
    create(&disk, "/db/b", b"b").sync_data().unwrap();
    disk.remove(path("/db/a")).unwrap();
    assert_eq!(disk.list(path("/db")).unwrap(), ["b"]);
    let found = disk.restart(LOST);
    assert_eq!(found.paths(), [path("/db/a")]);
    assert_eq!(found.read("/db/a").unwrap(), b"a");
    assert_eq!(disk.restart(Crash::Kill).paths(), [path("/db/b")]);
}

#[test]
fn a_rename_within_a_folder_is_whole_or_not_at_all() {
    let mut seen = [false; 2];
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        disk.write("/db", b"old").unwrap();
        create(&disk, "/new", b"new").sync_data().unwrap();
        disk.sync_dir(path("/")).unwrap();
        disk.rename(path("/new"), path("/db")).unwrap();
        assert_eq!(disk.read("/db").unwrap(), b"new");
        let found = disk.restart(RANDOM);
        let renamed = found.paths() == [path("/db")];
        assert_eq!(found.read("/db").unwrap(), if renamed { b"new" } else { b"old" });
        seen[usize::from(renamed)] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_folder_keeps_a_prefix_of_its_changes() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        for name in ["1", "2", "3", "4"] {
            create(&disk, name, b"");
        }
        let names = disk.restart(RANDOM).list(path("/")).unwrap();
        assert_eq!(names, ["1", "2", "3", "4"][..names.len()]);
    }
}

#[test]
fn every_operation_can_be_the_last() {
    let workload = |disk: &SimDisk| -> io::Result<()> {
        disk.create_dir(path("/db"))?;
        let file = disk.open(path("/db/log"), OpenMode::CreateNew)?;
        disk.sync_dir(path("/"))?;
        disk.sync_dir(path("/db"))?;
        for i in 0..4u8 {
            file.write_at(&[i + 1; 600], u64::from(i) * 600)?;
            file.sync_data()?;
        }
        file.set_len(100)?;
        disk.rename(path("/db/log"), path("/db/old"))?;
        disk.remove(path("/db/old"))?;
        disk.remove_dir(path("/db"))
    };
    let dry = SimDisk::new(0);
    workload(&dry).unwrap();
    assert_eq!(dry.ops(), 16);
    for op in 1..=dry.ops() {
        for crash in [Crash::Kill, RANDOM, LOST] {
            let disk = SimDisk::new(op);
            disk.start_trace();
            disk.crash_at(op);
            assert_eq!(workload(&disk).unwrap_err().to_string(), "simulated crash");
            assert!(disk.crashed());
            assert!(disk.trace().last().unwrap().ends_with("crashes"));
            assert!(disk.list(path("/")).is_err());
            let found = disk.restart(crash);
            // Synced writes are there, whatever came after them.
            if (7..=12).contains(&op) {
                let synced = ((op - 5) / 2) as usize * 600;
                let bytes = found.read("/db/log").unwrap();
                assert!(bytes[..synced].iter().enumerate().all(|(i, b)| usize::from(*b) == i / 600 + 1));
            }
            assert_eq!(found.ops(), 0);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_crash() {
    let outcome = |seed| {
        let disk = SimDisk::new(seed);
        let file = create(&disk, "/f", &[1; 4096]);
        file.write_at(&[2; 4096], 1000).unwrap();
        disk.sync_dir(path("/")).unwrap();
        disk.restart(RANDOM).read("/f").unwrap()
    };
    assert_eq!(outcome(3), outcome(3));
    assert!((0..9).any(|seed| outcome(seed) != outcome(seed + 1)));
}

/// As Linux tells it since 4.13.
#[test]
fn each_open_file_is_told_once_of_a_failed_write_back() {
    let disk = SimDisk::new(1);
    let writer = create(&disk, "/f", &[0; 8]);
    let other = disk.open(path("/f"), OpenMode::ReadWrite).unwrap();
    disk.fail(FaultPlan::new(FaultOn::WriteBack, 1, io::ErrorKind::Other));
    writer.write_at(&[1; 8], 0).unwrap();
    let untold = disk.open(path("/f"), OpenMode::ReadWrite).unwrap();
    for file in [&writer, &other, &untold] {
        assert_eq!(file.sync_data().unwrap_err().kind(), io::ErrorKind::Other);
        file.sync_data().unwrap();
    }
    // Who comes later is not told any more, and what was lost stays so.
    disk.open(path("/f"), OpenMode::ReadWrite).unwrap().sync_data().unwrap();

    disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::StorageFull));
    assert_eq!(other.sync_data().unwrap_err().kind(), io::ErrorKind::StorageFull);
    other.sync_data().unwrap();
    assert_eq!(writer.sync_data().unwrap_err().kind(), io::ErrorKind::StorageFull);
    writer.sync_data().unwrap();
}

#[test]
fn handles_of_before_stay_dead() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "/f", b"kept");
    assert!(file.try_lock(0..1, LockKind::Exclusive).unwrap());
    let found = disk.restart(Crash::Kill);
    assert!(file.write_at(b"x", 0).is_err() && file.len().is_err() && disk.open(path("/f"), OpenMode::Read).is_err());
    assert_eq!(found.read("/f").unwrap(), b"kept");
    let again = found.open(path("/f"), OpenMode::ReadWrite).unwrap();
    assert!(again.try_lock(0..1, LockKind::Exclusive).unwrap());
    assert_ne!(again.identity().unwrap().device, SimDisk::new(1).identity(path("/")).unwrap().device);
}

#[test]
fn two_opens_of_one_file_exclude_each_other() {
    let disk = SimDisk::new(1);
    let a = create(&disk, "/f", b"");
    let b = disk.open(path("/f"), OpenMode::Read).unwrap();
    assert!(a.try_lock(3..4, LockKind::Exclusive).unwrap());
    assert!(!b.try_lock(3..4, LockKind::Shared).unwrap());
    assert!(b.try_lock(4..5, LockKind::Exclusive).is_err(), "opened for reading only");
    drop(a);
    assert!(b.try_lock(3..4, LockKind::Shared).unwrap());
}

#[test]
fn one_process_can_die_alone() {
    let disk = SimDisk::new(1);
    let a = create(&disk, "/f", b"12345678");
    assert!(a.try_lock(0..1, LockKind::Exclusive).unwrap());
    let other = disk.process();
    let b = other.open(path("/f"), OpenMode::ReadWrite).unwrap();
    assert!(!b.try_lock(0..1, LockKind::Exclusive).unwrap());
    disk.kill();
    assert!(a.len().is_err() && disk.open(path("/f"), OpenMode::Read).is_err());
    assert!(b.try_lock(0..1, LockKind::Exclusive).unwrap());
    assert!(other.restart(Crash::Kill).read("/f").is_ok());
}

#[test]
fn words_survive_a_kill_and_start_from_the_bytes() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "/control", &[0; 4096]);
    file.sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    let words = file.clone().map_words(4).unwrap();
    let same = disk.open(path("/control"), OpenMode::ReadWrite).unwrap().map_words(4).unwrap();
    words.store(2, 5).unwrap();
    assert_eq!(same.load(2), 5);
    disk.crash_at(disk.ops() + 1);
    assert!(file.sync_data().is_err());
    words.store(2, 6).unwrap();
    let found = disk.restart(Crash::Kill).open(path("/control"), OpenMode::ReadWrite).unwrap();
    assert_eq!(found.clone().map_words(4).unwrap().load(2), 5, "what the dead store, no one sees");
    assert!(file.map_words(4).is_err() && found.map_words(513).is_err());
}

/// As btrfs does, and xfs where files share blocks.
#[test]
fn a_full_disk_that_copies_on_write_takes_no_change_before_a_sync_gives_blocks_back() {
    let disk = SimDisk::new(1);
    disk.copy_on_write();
    let file = create(&disk, "/f", &[1; 12_288]);
    file.sync_data().unwrap();
    disk.set_capacity(Some(disk.used() + 4096));
    let full = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(&[2; 100], 0).unwrap();
    // That page has its block now; another one has none, be it for one byte.
    file.write_at(&[3; 4096], 0).unwrap();
    full(file.write_at(&[4], 4096));
    full(file.write_at(&[4], 12_288));
    assert_eq!(disk.used(), 16_384);
    file.sync_data().unwrap();
    file.write_at(&[4], 4096).unwrap();
    full(file.write_at(&[5], 0));
    let mut bytes = [0; 2];
    file.read_exact_at(&mut bytes, 4095).unwrap();
    assert_eq!(bytes, [3, 4]);
    assert!(disk.violations().is_empty());
}

#[test]
fn words_of_a_disk_that_copies_on_write_are_written_and_a_store_that_finds_no_block_is_an_error() {
    let disk = SimDisk::new(1);
    disk.copy_on_write();
    let file = create(&disk, "/control", &[0; 4096]);
    file.sync_data().unwrap();
    let words = file.clone().map_words(512).unwrap();
    let same = disk.process().open(path("/control"), OpenMode::ReadWrite).unwrap().map_words(512).unwrap();
    words.store(3, 7).unwrap();
    assert_eq!(same.update(3, |was| was + 1).unwrap(), 7);
    assert_eq!(same.update_locked(3, 1 << 62, 1, |was| was + 1).unwrap(), 8);
    same.raise(3, 4).unwrap();
    words.store_all(4, &[5, 6]).unwrap();
    assert_eq!([3, 4, 5, 512].map(|at| words.load(at)), [9, 5, 6, 0]);
    file.sync_data().unwrap();
    disk.set_capacity(Some(0));
    for failed in [words.store(3, 1), words.store_all(3, &[1, 1]), words.raise(3, 10), same.update(3, |_| 1).map(drop)]
    {
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    words.raise(3, 9).unwrap();
    assert!(words.store(512, 1).is_err() && words.store_all(511, &[1, 1]).is_err());
    assert_eq!([3, 4, 511].map(|at| same.load(at)), [9, 5, 0]);
    assert!(disk.violations().is_empty());

    // What would kill the process: a store to the mapped page itself.
    let inode = file.identity().unwrap().inode;
    let mapped = disk.state.lock().tree.contents(inode).unwrap().map_words(4).unwrap();
    mapped[3].store(1, Ordering::Release);
    assert_eq!(disk.violations().len(), 1);
}

#[test]
fn a_change_under_a_live_mapping_is_a_violation() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "/f", &[1; 8192]);
    let mapping = file.map(4096, 4096).unwrap();
    file.write_at(&[2; 4096], 0).unwrap();
    file.write_at(&[], 5000).unwrap();
    file.set_len(9000).unwrap();
    assert!(disk.violations().is_empty());
    file.write_at(&[2], 8191).unwrap();
    file.set_len(8191).unwrap();
    assert_eq!(disk.violations().len(), 2);
    assert_eq!(&mapping[..], &[1; 4096], "a mapping is a snapshot");
    drop(mapping);
    file.write_at(&[2], 4096).unwrap();
    assert_eq!(disk.restart(Crash::Kill).violations().len(), 2);
    assert_eq!(file.map(8, 8).unwrap_err().to_string(), "simulated crash");
}

#[test]
fn a_full_disk_refuses_growth_only() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "/f", &[1; 100]);
    let other = create(&disk, "/g", &[1; 50]);
    disk.set_capacity(Some(200));
    file.write_at(&[2; 100], 0).unwrap();
    assert_eq!(file.write_at(&[3; 100], 100).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.set_len(151).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(file.len().unwrap() <= 150 && disk.used() <= 200);
    disk.remove(path("/g")).unwrap();
    assert!(file.set_len(200).is_err(), "an open file keeps its bytes");
    drop(other);
    file.set_len(200).unwrap();
    assert_eq!(disk.refusals(), Refusals { full: 3, ..Refusals::default() });
}

#[test]
fn ordered_failures_come_once_or_for_ever() {
    let disk = SimDisk::new(1);
    let file = create(&disk, "/f", &[1; 100]);
    disk.fail(FaultPlan::new(FaultOn::Sync, 2, io::ErrorKind::Other));
    disk.fail(FaultPlan::new(FaultOn::Name, 1, io::ErrorKind::QuotaExceeded).on_path("/g").forever());
    file.sync_data().unwrap();
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    for _ in 0..2 {
        let error = disk.open(path("/g"), OpenMode::CreateNew).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    }
    create(&disk, "/h", b"");
    disk.clear_faults();
    create(&disk, "/g", b"");
    disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::Other));
    assert!(file.read_at(&mut [0], 0).is_err());
    assert_eq!(file.read_at(&mut [0], 0).unwrap(), 1);
    // Counted when they come, and not when they are ordered.
    disk.fail(FaultPlan::new(FaultOn::Any, 1, io::ErrorKind::Other).on_path("/nowhere"));
    let came = Refusals { syncs: 1, names: 2, reads: 1, ..Refusals::default() };
    assert_eq!((disk.refusals(), disk.restart(LOST).refusals()), (came, came));
}

#[test]
fn files_for_tests_are_durable_at_once() {
    let disk = SimDisk::new(1);
    disk.write("/a/b/c", b"abc").unwrap();
    disk.copy("/a/b/c", "/a/d").unwrap();
    disk.corrupt("/a/d", 1, 1).unwrap();
    assert!(disk.corrupt("/a/d", 3, 1).is_err());
    let found = disk.restart(LOST);
    assert_eq!(found.paths(), [path("/a/b/c"), path("/a/d")]);
    assert_eq!(found.read("/a/d").unwrap(), b"acc");
    assert_eq!(found.ops(), 0);
    assert!(found.is_dir(path("/a/b")) && !found.is_dir(path("/a/d")) && !found.is_dir(path("/none")));
    assert_eq!(found.remove_dir(path("/a/b")).unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
    found.create_dir(path("/a/b")).unwrap();
    assert_eq!(found.create_dir(path("/x/y")).unwrap_err().kind(), io::ErrorKind::NotFound);
}
