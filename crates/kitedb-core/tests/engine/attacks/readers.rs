//! Who reads beside a writer in another process. Nothing holds that one up: it checkpoints, rotates, closes, opens again
//! and recovers between any two looks of the reader, who never calls a healthy database damaged.

use super::{
    stage::{Stage, add_many, nothing_said},
    support::{
        gate::{At, Gate},
        observed::{Observer, Operation, observed},
    },
    support_process::{copy_as_after_a_crash, log_folder},
};
use kitedb_core::{
    Database, GraphRead, OpenOptions, SyncMode,
    io::{Env, sim::SimHost},
};
use parking_lot::Mutex;
use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

type Act = Box<dyn FnOnce() + Send>;

/// Does something once, at the `nth` time that a reader comes to a place.
#[derive(Default)]
struct Moment(Mutex<Option<(Operation, PathBuf, u32, Act)>>);

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moment")
    }
}

impl Moment {
    fn env(self: &Arc<Self>) -> Env {
        observed(&Env::real(), self.clone())
    }

    fn at(&self, operation: Operation, path: impl Into<PathBuf>, nth: u32, act: impl FnOnce() + Send + 'static) {
        *self.0.lock() = Some((operation, path.into(), nth, Box::new(act)));
    }

    /// Whether it has come.
    fn has_come(&self) -> bool {
        self.0.lock().is_none()
    }
}

impl Observer for Moment {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let mut planned = self.0.lock();
        if let Some((at, place, nth, _)) = &mut *planned
            && *at == operation
            && *place == path
        {
            *nth -= 1;
            if *nth == 0
                && let Some((_, _, _, act)) = planned.take()
            {
                drop(planned);
                act();
            }
        }
        Ok(())
    }
}

/// Opens a gate in the end, also where a test fails.
struct Opened(Arc<Gate>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A log of short segments, of which none goes before a checkpoint is asked for.
fn short() -> OpenOptions {
    nothing_said().sync_mode(SyncMode::Off).segment_max_bytes(4096).background(false)
}

fn segment(path: &Path, number: u32) -> PathBuf {
    log_folder(path).join(format!("segment-{number:020}.klog"))
}

fn read(moment: &Arc<Moment>, path: &Path) -> Database {
    Database::open_in(moment.env(), path, nothing_said().read_only(true)).unwrap()
}

fn nodes(db: &Database) -> u64 {
    db.snapshot().unwrap().count_nodes()
}

#[track_caller]
fn expect_clean(db: &Database) {
    assert_eq!(db.stats().unwrap().damage, None);
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// A database on a stage, with so many commits in its log, and who reads it.
fn scene(commits: u32) -> (Stage, PathBuf, Database, Arc<Moment>) {
    let stage = Stage::new();
    let path = stage.path("a.kitedb");
    let writer = Database::open(&path, short()).unwrap();
    add_many(&writer, "first", commits);
    assert!(commits < 60 || segment(&path, 2).exists());
    (stage, path, writer, Arc::default())
}

#[test]
fn segments_that_are_begun_while_a_reader_opens_are_no_gap() {
    let (_stage, path, writer, moment) = scene(10);
    let other = writer.clone();
    // It has seen how far it may read, and not yet which segments there are.
    moment.at(Operation::List, log_folder(&path), 1, move || add_many(&other, "second", 300));
    let reader = read(&moment, &path);
    assert!(moment.has_come());
    assert!((10..=310).contains(&nodes(&reader)));
    expect_clean(&reader);
    drop(writer);
}

#[test]
fn segments_that_a_checkpoint_lets_go_of_while_a_reader_opens_are_not_missed() {
    let (_stage, path, writer, moment) = scene(300);
    let gate = Arc::new(Gate::default());
    writer.close().unwrap();
    let writer = Database::open_in(gate.env(), &path, short()).unwrap();
    add_many(&writer, "second", 300);
    // The header that names the checkpoint is there, and the first segment is about to go.
    gate.shut(At::Remove, "1.klog");
    thread::scope(|scope| {
        let _opened = Opened(gate.clone());
        let checkpoint = scope.spawn(|| writer.checkpoint().unwrap());
        gate.wait_for_someone();
        let (opened, first) = (gate.clone(), segment(&path, 1));
        moment.at(Operation::Open, first.clone(), 1, move || {
            opened.open();
            while first.exists() {
                thread::yield_now();
            }
        });
        let reader = read(&moment, &path);
        assert!(moment.has_come());
        assert_eq!(nodes(&reader), 600);
        checkpoint.join().unwrap();
        expect_clean(&reader);
    });
}

/// Frames whose sync nobody can vouch for are written to another segment by who recovers them, and cut off where they were. A
/// reader that listed the segments before shows them all the same.
#[test]
fn frames_that_recovery_puts_into_another_segment_are_not_missed() {
    /// Word 19 of a control file: flags, and which one says that a sync is under way.
    const FLAGS: u64 = 19 * 8;
    const SYNCING: u8 = 32;
    let (stage, path, writer, _) = scene(3);
    let copy = stage.path("copy.kitedb");
    copy_as_after_a_crash(&path, &copy);
    drop(writer);
    let control = File::options().read(true).write(true).open(log_folder(&copy).join("control")).unwrap();
    let mut flags = [0];
    control.read_exact_at(&mut flags, FLAGS).unwrap();
    control.write_all_at(&[flags[0] | SYNCING], FLAGS).unwrap();
    let (gate, moment) = (Arc::new(Gate::default()), Arc::new(Moment::default()));
    let _opened = Opened(gate.clone());
    gate.shut(At::Sync, "segment-00000000000000000001.klog");
    let (opens, stopped) = (gate.clone(), gate.clone());
    let recovers = copy.clone();
    let (log, again) = (log_folder(&copy), moment.clone());
    moment.at(Operation::Open, segment(&copy, 1), 1, move || {
        // It has cut the first segment, and stops before it says that it has opened its log. It goes on at the second look.
        thread::spawn(move || Database::open_in(gate.env(), &recovers, short()).map(std::mem::forget));
        stopped.wait_for_someone();
        again.at(Operation::List, log, 1, move || opens.open());
    });
    let reader = read(&moment, &copy);
    assert_eq!(nodes(&reader), 3);
    assert!(moment.has_come());
    expect_clean(&reader);
}

/// The log of each session has the same names: a segment that was looked at may be one of the next log by the time that it
/// is read.
#[test]
fn a_log_that_takes_the_place_of_another_while_a_reader_checks_is_not_taken_for_it() {
    for ends_only in [false, true] {
        let (_stage, path, writer, moment) = scene(300);
        let reader = read(&moment, &path);
        let (log, again) = (log_folder(&path), path.clone());
        let replace = move || {
            writer.close().unwrap();
            assert!(!log.exists());
            if !ends_only {
                let writer = Database::open(&again, short()).unwrap();
                add_many(&writer, "second", 300);
                // As a process that is killed leaves it.
                std::mem::forget(writer);
            }
        };
        // First its header is looked at, then it is read.
        moment.at(Operation::Open, segment(&path, 2), 2, replace);
        expect_clean(&reader);
        assert!(moment.has_come());
        assert_eq!(nodes(&reader), 300);
    }
}

#[test]
fn a_log_that_ends_before_a_reader_looks_into_its_folder_is_not_missed() {
    let (_stage, path, writer, moment) = scene(300);
    let reader = read(&moment, &path);
    moment.at(Operation::List, log_folder(&path), 1, move || writer.close().unwrap());
    expect_clean(&reader);
    assert!(moment.has_come());
}

#[test]
fn a_segment_that_gets_its_header_while_a_reader_checks_is_not_damaged() {
    let (_stage, path, writer, moment) = scene(10);
    writer.close().unwrap();
    let gate = Arc::new(Gate::default());
    let writer = Database::open_in(gate.env(), &path, short()).unwrap();
    gate.shut(At::Write, "2.klog");
    thread::scope(|scope| {
        let _opened = Opened(gate.clone());
        let rotated = scope.spawn(|| add_many(&writer, "second", 100));
        gate.wait_for_someone();
        // It has read all of the first segment.
        let reader = read(&moment, &path);
        let (opened, begun) = (gate.clone(), segment(&path, 2));
        moment.at(Operation::Open, begun.clone(), 2, move || {
            opened.open();
            let has_a_frame = || {
                fs::read(&begun).is_ok_and(|bytes| bytes.get(512..).is_some_and(|rest| rest.iter().any(|b| *b != 0)))
            };
            while !has_a_frame() {
                thread::yield_now();
            }
        });
        expect_clean(&reader);
        assert!(moment.has_come());
        rotated.join().unwrap();
    });
}

/// What a process leaves that is killed while it syncs five commits.
fn killed_in_a_sync(stage: &Stage) -> PathBuf {
    let (path, killed) = (stage.path("a.kitedb"), stage.path("killed.kitedb"));
    let gate = Arc::new(Gate::default());
    let options = nothing_said().sync_mode(SyncMode::Off).background(false);
    let writer = Database::open_in(gate.env(), &path, options).unwrap();
    add_many(&writer, "first", 5);
    gate.shut(At::Sync, ".klog");
    thread::scope(|scope| {
        let synced = scope.spawn(|| writer.sync().unwrap());
        gate.wait_for_someone();
        copy_as_after_a_crash(&path, &killed);
        gate.open();
        synced.join().unwrap();
    });
    killed
}

#[test]
fn a_log_that_is_recovered_while_a_reader_opens_is_not_damaged() {
    let stage = Stage::new();
    let path = killed_in_a_sync(&stage);
    let (copying, naming, moment) = (Arc::new(Gate::default()), Arc::new(Gate::default()), Arc::new(Moment::default()));
    // Frames that may have been lost are written again, to another segment; then they are cut off where they were.
    copying.shut(At::Write, ".klog");
    naming.shut(At::Write, "killed.kitedb");
    thread::scope(|scope| {
        let _opened = [Opened(copying.clone()), Opened(naming.clone())];
        let env = observed(&copying.env(), naming.clone());
        let recovering = scope.spawn(|| Database::open_in(env, &path, nothing_said().background(false)).unwrap());
        copying.wait_for_someone();
        let (copying, written) = (copying.clone(), naming.clone());
        moment.at(Operation::Open, segment(&path, 1), 1, move || {
            copying.open();
            written.wait_for_someone();
        });
        let reader = read(&moment, &path);
        assert!(moment.has_come());
        assert_eq!(nodes(&reader), 5);
        assert_eq!(reader.stats().unwrap().damage, None);
        naming.open();
        let writer = recovering.join().unwrap();
        assert_eq!(nodes(&writer), 5);
        expect_clean(&reader);
    });
}

/// After the end of a machine the control file need not say what was published; the writer that recovers finds it in the log.
#[test]
fn a_reader_beside_a_writer_that_recovers_after_a_loss_of_power_sees_what_was_acknowledged() {
    let stage = Stage::new();
    let path = killed_in_a_sync(&stage);
    // The published index.
    File::options().write(true).open(log_folder(&path).join("control")).unwrap().write_all_at(&[0; 8], 17 * 8).unwrap();
    let rebooted = Env { host: Arc::new(SimHost::new(1)), ..Env::real() };
    let gate = Arc::new(Gate::default());
    gate.shut(At::Write, ".klog");
    thread::scope(|scope| {
        let _opened = Opened(gate.clone());
        let env = observed(&rebooted, gate.clone());
        let recovering = scope.spawn(|| Database::open_in(env, &path, nothing_said().background(false)).unwrap());
        gate.wait_for_someone();
        let reader = Database::open_in(rebooted.clone(), &path, nothing_said().read_only(true)).unwrap();
        assert_eq!(nodes(&reader), 5);
        assert_eq!(reader.stats().unwrap().damage, None);
        gate.open();
        recovering.join().unwrap();
    });
}

/// A header slot that is read while it is written is torn: that is no damage, and an older header is not the newest.
#[test]
fn a_header_that_is_read_while_it_is_written_is_read_again() {
    let stage = Stage::new();
    let path = stage.stand_alone("a.kitedb");
    let whole = fs::read(&path).unwrap();
    let generation = |slot: usize| u64::from_le_bytes(whole[slot * 4096 + 12..][..8].try_into().unwrap());
    let newest = usize::from(generation(1) > generation(0));
    let file = File::options().write(true).open(&path).unwrap();
    let file = Arc::new(file);
    for slot in [newest, 1 - newest] {
        let at = slot as u64 * 4096;
        let moment = Arc::new(Moment::default());
        let plan = || {
            file.write_all_at(&[0; 256], at + 256).unwrap();
            let (file, bytes) = (file.clone(), whole[slot * 4096..][..512].to_vec());
            moment.at(Operation::Read(512), &path, slot as u32 + 1, move || file.write_all_at(&bytes, at).unwrap());
        };
        plan();
        let reader = read(&moment, &path);
        assert!(moment.has_come());
        assert!(nodes(&reader) == 2, "{} in slot {slot}", nodes(&reader));
        plan();
        expect_clean(&reader);
        assert!(moment.has_come());
    }
}
