//! The order of a promotion, and what it needs of its source: the log and the control file, neither the runs nor a disk
//! that can sync.

use crate::{
    support::observed::{Observer, Operation, observed},
    support_replication::{
        Graph, MODES, Machine, catch_up, expect_fenced,
        folder::{Folder, commit_items, last_item, replica_options},
        primary_status, replica_status, write,
    },
};
use kitedb_core::{
    Database, ErrorCode, SyncMode,
    io::{
        Access, Disk, DiskFile, Env, FileIdentity, OpenMode,
        sim::{Crash, FaultOn, FaultPlan},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

#[test]
fn a_source_whose_segments_cannot_be_synced_is_taken_over_from() {
    for mode in MODES {
        for (path, synced) in [("segment", true), ("", false)] {
            let (a, b) = machines(mode);
            let (old, mut graph) = (a.primary(), Graph::new(1));
            graph.grow(&old, 6);
            let new = b.replica_of(&a);
            assert_eq!(new.replica_catch_up_once(2).unwrap(), 2);
            a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).forever().on_path(path));
            let promotion = new.replica_promote(false).unwrap();
            assert_eq!((promotion.source_fenced, promotion.fence_synced), (true, synced));
            assert_eq!(promotion.last_kept.to_string(), "1:6");
            expect_fenced(&old);
            graph.expect_all(&new);
            graph.commit(&new);
            a.disk.clear_faults();
            drop(old);
            let a = a.restart(Crash::Kill);
            expect_fenced(&a.primary());
        }
    }
}

/// A commit that waits for a sync which fails, while a replica takes over.
#[test]
fn what_a_failed_sync_left_in_the_log_is_taken_along() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 3);
    let new = b.replica_of(&a);
    catch_up(&new);
    a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment"));
    let error = write(&old).unwrap_err();
    assert_eq!(error.code(), ErrorCode::OutcomeUnknown, "{error:?}");
    let promotion = new.replica_promote(false).unwrap();
    assert_eq!((promotion.last_kept.to_string(), promotion.fence_synced), ("1:4".to_owned(), true));
    write(&new).unwrap();
}

/// Neither its runs nor its manifest are read, nor the header where that is damaged, too.
#[test]
fn a_source_whose_file_is_damaged_is_taken_over_from() {
    for killed in [false, true] {
        for damaged in [8192..u64::MAX, 0..u64::MAX] {
            let (a, b) = machines(SyncMode::Normal);
            let (old, mut graph) = (a.primary(), Graph::new(1));
            graph.grow(&old, 4);
            let new = b.replica_of(&a);
            assert_eq!(new.replica_catch_up_once(2).unwrap(), 2);
            old.checkpoint().unwrap();
            graph.grow(&old, 3);
            let a = if killed { a.restart(Crash::Kill) } else { a };
            let len = a.disk.read(a.db()).unwrap().len() as u64;
            if killed {
                drop(old);
            } else {
                old.close().unwrap();
            }
            for at in (damaged.start..len.min(damaged.end)).step_by(64) {
                a.disk.corrupt(a.db(), at, 0x41).unwrap();
            }
            new.close().unwrap();
            let new = b.replica_of(&a);
            let promotion = new.replica_promote(false).unwrap();
            assert_eq!((promotion.last_kept.to_string(), promotion.source_fenced), ("1:7".into(), true));
            graph.expect_all(&new);
            graph.commit(&new);
            graph.expect_all(&new);
        }
    }
}

/// The log of an earlier time lies beside the source's file: what it committed since is not in it.
#[test]
fn a_source_with_commits_beside_its_log_is_not_fenced_for_nothing() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 4);
    let new = b.replica_of(&a);
    catch_up(&new);
    old.close().unwrap();
    let log = a.segments().pop().unwrap();
    let earlier = a.disk.read(&log).unwrap();
    let old = a.primary();
    let beyond = write(&old).unwrap();
    old.close().unwrap();
    let now = a.disk.read(&log).unwrap();
    let swap = || {
        for (at, byte) in now.iter().enumerate() {
            let other = byte ^ earlier.get(at).copied().unwrap_or_default();
            if other != 0 {
                a.disk.corrupt(&log, at as u64, other).unwrap();
            }
        }
    };
    swap();
    let error = new.replica_promote(false).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SourceUnavailable, "{error:?}");
    swap();
    // It leads as before, and can be taken over from.
    let old = a.primary();
    assert_eq!(primary_status(&old).fence, None);
    old.close().unwrap();
    let promotion = new.replica_promote(false).unwrap();
    assert_eq!(promotion.last_kept, beyond);
}

/// A disk on which control files can only be read.
#[derive(Debug)]
struct Sealed(Arc<dyn Disk>);

impl Disk for Sealed {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode != OpenMode::Read && path.ends_with("control") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.open(path, mode)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename_new(from, to)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.0.identity(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.0.is_dir(path)
    }
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.resolve(path)
    }
    fn anchor(&self, folder: &Path, like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(Self(self.0.anchor(folder, like)?)))
    }
}

#[test]
fn a_source_whose_control_file_cannot_be_written_refuses_and_goes_on() {
    let (a, b) = machines(SyncMode::Full);
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 4);
    let sealed = Env { disk: Arc::new(Sealed(a.env().disk)), host: a.env().host };
    let new = Database::open_with_source_in(b.env(), sealed, b.db(), b.following(&a)).unwrap();
    let error = new.replica_promote(false).unwrap_err();
    assert!(error.to_string().contains("control"), "{error}");
    graph.commit(&old);
    assert_eq!(primary_status(&old).fence, None);
    catch_up(&new);
    graph.expect_all(&new);
    assert_eq!(replica_status(&new).promotion, None);
    let promotion = new.replica_promote(true).unwrap();
    assert_eq!((promotion.source_fenced, promotion.fence_synced), (false, false));
}

#[test]
fn a_replica_without_room_for_an_epoch_fences_nobody() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (old, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&old, 4);
        let new = b.replica_of(&a);
        catch_up(&new);
        b.disk.set_capacity(Some(b.disk.used()));
        let error = new.replica_promote(false).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DiskFull, "{error:?}");
        assert!(error.to_string().contains("nothing was fenced"), "{error}");
        graph.commit(&old);
        b.disk.set_capacity(None);
        assert_eq!(new.replica_promote(false).unwrap().last_kept.log_index.0, 5);
        graph.expect_all(&new);
        assert!(!b.disk.paths().iter().any(|path| path.ends_with("promotion.probe")));
    }
}

/// Asks, at everything that a promotion does on a disk, who leads.
#[derive(Debug, Default)]
struct Watch {
    nodes: OnceLock<(Database, Database)>,
    before: AtomicUsize,
    fenced: AtomicUsize,
}

impl Observer for Watch {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let Some((old, new)) = self.nodes.get() else { return Ok(()) };
        if !matches!(operation, Operation::Write | Operation::Sync) || path.ends_with("replicas") {
            return Ok(());
        }
        match primary_status(old).fence {
            None => self.before.fetch_add(1, Ordering::SeqCst),
            Some(fence) if fence.ended.is_none() => {
                assert_eq!(write(new).unwrap_err().code(), ErrorCode::ReplicaReadOnly);
                self.fenced.fetch_add(1, Ordering::SeqCst)
            }
            Some(_) => 0,
        };
        Ok(())
    }
}

#[test]
fn nothing_of_the_new_epoch_is_acknowledged_before_the_end_of_the_old_one_is_said() {
    for mode in MODES {
        let folder = Folder::new();
        let old = folder.primary("old", mode);
        commit_items(&old, "w", 9);
        let watch = Arc::new(Watch::default());
        let options = replica_options(mode, &folder.path("old")).background(false);
        let new = Database::open_in(observed(&Env::real(), watch.clone()), folder.path("new"), options).unwrap();
        new.replica_catch_up_once(3).unwrap();
        watch.nodes.set((old.clone(), new.clone())).unwrap();
        let promotion = new.replica_promote(false).unwrap();
        assert!(promotion.fence_synced);
        write(&new).unwrap();
        expect_fenced(&old);
        assert_eq!(last_item(&new, "w"), 9);
        // It looked and made room before it fenced, and had its segment before it said the end.
        assert!(watch.before.load(Ordering::SeqCst) > 2 && watch.fenced.load(Ordering::SeqCst) > 2, "{watch:?}");
    }
}
