//! Damaged, lost and exchanged files: an unsynced tail is cut without a word, damage to anything durable is an error
//! that names it, and what is older than the damage can always be read.

use crate::support::{
    Rng,
    compare::{Cursors, compare_view},
    model::{Draft, Model},
    ops::{self, encoded},
    script::PATH,
    world::stepped,
};
use kitedb_core::{
    AllTypes, Database, Error, ErrorCode, GraphRead, NodeId, OpenOptions, SyncMode,
    io::sim::{Crash, Loss, SimDisk, SimHost},
};
use std::path::PathBuf;

const WAL: &str = "/graph.kitedb-wal";

/// A database whose process was killed, and where each commit ends in the log.
struct Scene {
    disk: SimDisk,
    host: SimHost,
    options: OpenOptions,
    states: Vec<Model>,
    /// The segment and the place in it where the commit with that log index ends; 0 is a stand-in.
    ends: Vec<(PathBuf, usize)>,
}

impl Scene {
    fn new(seed: u64, options: OpenOptions) -> Self {
        let (disk, host) = (SimDisk::new(seed), SimHost::new(seed));
        Self { disk, host, options, states: vec![Model::default()], ends: vec![(PathBuf::new(), 512)] }
    }

    fn open(&self) -> Result<Database, Error> {
        self.open_at(PATH, self.options.clone())
    }

    fn open_at(&self, path: &str, options: OpenOptions) -> Result<Database, Error> {
        Database::open_in(self.disk.env(&self.host), path, options)
    }

    fn commit(&mut self, db: &Database, rng: &mut Rng) {
        let (mut tx, mut draft) = (db.begin().unwrap(), Draft::new(self.states.last().unwrap()));
        (0..10).for_each(|_| ops::apply(rng.op(), &mut tx, &mut draft));
        let id = tx.create_node(None).unwrap();
        draft.create(id.0, crate::support::model::Node::default());
        tx.commit().unwrap();
        self.states.push(draft.after());
        let segment = self.segments().pop().unwrap();
        let bytes = self.disk.read(&segment).unwrap();
        let end = end_of_last_frame(&bytes);
        self.ends.push((segment, end));
    }

    fn commits(&mut self, db: &Database, rng: &mut Rng, count: usize) {
        (0..count).for_each(|_| self.commit(db, rng));
    }

    fn segments(&self) -> Vec<PathBuf> {
        self.disk.paths().into_iter().filter(|p| p.starts_with(WAL) && !p.ends_with("control")).collect()
    }

    /// Ends the process. Another one on the same disk may then open the file.
    fn crash(&mut self, db: Database, crash: Crash) {
        let disk = self.disk.restart(crash);
        self.host = self.host.restart(crash);
        drop(db);
        self.disk = disk;
    }

    /// A copy of the scene on a disk of its own.
    fn copy(&self) -> Self {
        let disk = SimDisk::new(1);
        for path in self.disk.paths() {
            disk.write(&path, &self.disk.read(&path).unwrap()).unwrap();
        }
        let (host, options, states, ends) =
            (self.host.process(), self.options.clone(), self.states.clone(), self.ends.clone());
        Self { disk, host, options, states, ends }
    }

    /// The database can be read as of `index`, and the damage is reported.
    #[track_caller]
    fn expect_readable(&self, index: usize) {
        let db = self.open_at(PATH, self.options.clone().read_only(true)).unwrap();
        let view = db.snapshot().unwrap();
        assert_eq!(view.token().log_index.0 as usize, index, "the last good log index");
        compare_view(&view, &self.states[index], &Cursors::default());
        let report = db.check().unwrap();
        assert!(!report.is_clean() && report.error_count == 0, "{report:#?}");
        assert!(db.stats().unwrap().damage.is_some());
    }

    /// The database opens for writing, shows the state as of `index`, and goes on.
    #[track_caller]
    fn expect_writable(&self, index: usize) {
        let db = self.open().unwrap();
        let view = db.snapshot().unwrap();
        assert_eq!(view.token().log_index.0 as usize, index, "the last good log index");
        compare_view(&view, &self.states[index], &Cursors::default());
        assert!(db.check().unwrap().is_clean());
        db.transaction(|tx| tx.create_node(None)).unwrap();
        db.close().unwrap();
    }
}

/// Where the last frame of a segment ends, by what each says of its length: the last bytes of one may be zeros.
fn end_of_last_frame(segment: &[u8]) -> usize {
    let (mut at, mut end) = (512, 512);
    while let Some(len) = segment.get(at + 4..at + 8).map(|len| u32::from_le_bytes(len.try_into().unwrap())) {
        match len {
            u32::MAX => at += 32,
            // No frame is without a payload.
            0 => break,
            len => (at, end) = ((at + 56 + len as usize).next_multiple_of(8), at + 56 + len as usize),
        }
    }
    end
}

#[track_caller]
fn refused(result: Result<Database, Error>, code: ErrorCode, phrases: &[&str]) {
    let Err(e) = result else { panic!("opened in spite of it") };
    assert_eq!(e.code(), code, "{e:?}");
    for phrase in phrases {
        assert!(e.to_string().contains(phrase), "'{phrase}' is missing in: {e}");
    }
}

#[test]
fn a_damaged_tail_behind_the_last_sync_is_cut_silently() {
    let mut rng = Rng::new(1);
    let mut scene = Scene::new(1, stepped(SyncMode::Normal).segment_max_bytes(1 << 20));
    let db = scene.open().unwrap();
    scene.commits(&db, &mut rng, 3);
    db.sync().unwrap();
    scene.commits(&db, &mut rng, 4);
    scene.crash(db, Crash::Kill);
    for damaged in 4..=7 {
        let start = scene.ends[damaged - 1].1.next_multiple_of(8);
        // The first frame after the sync begins behind the mark of that sync.
        let start = if damaged == 4 { start + 32 } else { start };
        let (segment, end) = &scene.ends[damaged];
        for offset in [start, start + 5, (start + end) / 2, end - 1] {
            let scene = scene.copy();
            scene.disk.corrupt(segment, offset as u64, 0x10).unwrap();
            scene.expect_writable(damaged - 1);
        }
    }
}

#[test]
fn damage_to_durable_frames_is_an_error_and_the_state_before_it_can_be_read() {
    for crash in [Crash::Kill, Crash::PowerLoss(Loss::Random)] {
        let mut rng = Rng::new(2);
        let mut scene = Scene::new(2, stepped(SyncMode::Full).segment_max_bytes(4096));
        let db = scene.open().unwrap();
        while scene.segments().len() < 4 {
            scene.commit(&db, &mut rng);
        }
        scene.crash(db, crash);
        let last = scene.states.len() - 1;
        // No mark claims the last one. The control file does, of which a loss of power may have kept the word or not.
        let known = if let Crash::Kill = crash { last } else { last - 1 };
        for damaged in 1..=known {
            let (segment, end) = scene.ends[damaged].clone();
            // In place: of a copy the control file would prove nothing.
            scene.disk.corrupt(&segment, end as u64 - 1, 0x01).unwrap();
            let name = segment.file_name().unwrap().to_string_lossy().into_owned();
            let phrases = if damaged < last {
                [name, format!("log index {damaged} ")]
            } else {
                ["ends at".into(), format!("{last} ")]
            };
            refused(scene.open(), ErrorCode::Corrupt, &phrases.each_ref().map(String::as_str));
            // Refusing has changed nothing.
            refused(scene.open(), ErrorCode::Corrupt, &[&phrases[0]]);
            scene.expect_readable(damaged - 1);
            scene.disk.corrupt(&segment, end as u64 - 1, 0x01).unwrap();
        }
    }
}

/// A segment whose header was damaged used to count as one whose making was cut short, and its durable frames
/// were cut without a word.
#[test]
fn a_damaged_segment_header_is_an_error() {
    let mut rng = Rng::new(3);
    let mut scene = Scene::new(3, stepped(SyncMode::Full).segment_max_bytes(4096));
    let db = scene.open().unwrap();
    // Until the last segment has two commits: the mark before the second one says that the first is durable.
    while scene.segments().len() < 3 || scene.ends[scene.ends.len() - 2].0 != scene.ends[scene.ends.len() - 1].0 {
        scene.commit(&db, &mut rng);
    }
    scene.crash(db, Crash::Kill);
    for segment in scene.segments() {
        let first = scene.ends.iter().position(|(path, _)| *path == segment).unwrap();
        for offset in [0, 8, 60, 100, 127] {
            let scene = scene.copy();
            scene.disk.corrupt(&segment, offset, 0x80).unwrap();
            refused(scene.open(), ErrorCode::Corrupt, &[".klog"]);
            scene.expect_readable(first - 1);
        }
    }
}

#[test]
fn a_damaged_control_file_is_an_error() {
    let mut rng = Rng::new(4);
    let mut scene = Scene::new(4, stepped(SyncMode::Full));
    let db = scene.open().unwrap();
    scene.commits(&db, &mut rng, 2);
    db.checkpoint().unwrap();
    scene.commits(&db, &mut rng, 2);
    scene.crash(db, Crash::Kill);
    for offset in (0..72).step_by(5) {
        let scene = scene.copy();
        scene.disk.corrupt(format!("{WAL}/control"), offset, 0x04).unwrap();
        refused(scene.open(), ErrorCode::Corrupt, &["control"]);
        scene.expect_readable(2);
    }
}

#[test]
fn a_file_without_its_log_says_what_is_missing_and_can_be_read() {
    let mut rng = Rng::new(5);
    let mut scene = Scene::new(5, stepped(SyncMode::Full).segment_max_bytes(4096));
    let db = scene.open().unwrap();
    scene.commits(&db, &mut rng, 5);
    db.checkpoint().unwrap();
    while scene.segments().len() < 4 {
        scene.commit(&db, &mut rng);
    }
    // Copied while it is open: a copy of the file alone.
    scene.disk.copy(PATH, "/copy.kitedb").unwrap();
    let missing = "after log index 5 ";
    refused(
        scene.open_at("/copy.kitedb", stepped(SyncMode::Full)),
        ErrorCode::LogMismatch,
        &[missing, "/copy.kitedb-wal"],
    );
    let read_only = stepped(SyncMode::Full).read_only(true);
    let copy = scene.open_at("/copy.kitedb", read_only).unwrap();
    compare_view(&copy.snapshot().unwrap(), &scene.states[5], &Cursors::default());
    drop(copy);

    // With the log of another database under its name.
    let other = scene.open_at("/other.kitedb", stepped(SyncMode::Full)).unwrap();
    other.transaction(|tx| tx.create_node(Some("other"))).unwrap();
    for path in scene.disk.paths() {
        let name = path.to_string_lossy().into_owned();
        if name.starts_with("/other.kitedb-wal/") {
            scene.disk.copy(&path, name.replace("/other", "/copy")).unwrap();
        }
    }
    refused(scene.open_at("/copy.kitedb", stepped(SyncMode::Full)), ErrorCode::LogMismatch, &[missing, "another"]);
    drop(other);
    scene.crash(db, Crash::Kill);

    // The log is gone as a whole, or its first part, or its last but one.
    let segments = scene.segments();
    assert!(segments.len() > 2, "{segments:?}");
    let without = |gone: &dyn Fn(&str) -> bool| {
        let disk = SimDisk::new(9);
        for path in scene.disk.paths().iter().filter(|p| !gone(&p.to_string_lossy())) {
            disk.write(path, &scene.disk.read(path).unwrap()).unwrap();
        }
        Scene { disk, ..scene.copy() }
    };
    let all = without(&|path| path.starts_with(WAL));
    refused(all.open(), ErrorCode::LogMismatch, &[missing, WAL]);
    all.expect_readable(5);
    // The first segment that holds commits beyond the checkpoint, and the one after it.
    let needed = segments.iter().position(|path| *path == scene.ends[6].0).unwrap();
    let first = without(&|path| *path == *segments[needed].to_string_lossy());
    if needed == 0 {
        refused(first.open(), ErrorCode::LogMismatch, &[missing]);
    } else {
        refused(first.open(), ErrorCode::Corrupt, &["log index 6 "]);
    }
    first.expect_readable(5);
    let middle = without(&|path| *path == *segments[needed + 1].to_string_lossy());
    let good = scene.ends.iter().rposition(|(path, _)| *path == segments[needed]).unwrap();
    refused(middle.open(), ErrorCode::Corrupt, &[&format!("log index {} ", good + 1)]);
    middle.expect_readable(good);
    // And where nothing is missing, nothing is wrong.
    without(&|_| false).expect_writable(scene.states.len() - 1);
}

#[test]
fn a_log_is_never_replayed_into_an_older_copy_of_its_file() {
    let mut rng = Rng::new(6);
    let mut scene = Scene::new(6, stepped(SyncMode::Full));
    let db = scene.open().unwrap();
    scene.commits(&db, &mut rng, 3);
    db.close().unwrap();
    scene.disk.copy(PATH, "/backup.kitedb").unwrap();
    let db = scene.open().unwrap();
    scene.commits(&db, &mut rng, 3);
    scene.crash(db, Crash::Kill);
    // The backup is put in the place of the file, beside a log that goes on from there.
    scene.disk.copy("/backup.kitedb", PATH).unwrap();
    let db = scene.open_at(PATH, stepped(SyncMode::Full).read_only(true)).unwrap();
    compare_view(&db.snapshot().unwrap(), &scene.states[3], &Cursors::default());
    assert!(db.damage().is_some(), "what is missing is told");
    drop(db);
    let refused = scene.open().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::LogMismatch, "commits that only the log has must not be thrown away");
    assert!(scene.disk.paths().iter().any(|path| path.starts_with(WAL)));
}

#[test]
fn a_damaged_header_slot_is_reported_and_leaves_the_state_that_the_other_one_names() {
    for closed in [false, true] {
        for slot in [0, 4096] {
            for offset in [0, 9, 30, 200, 511] {
                let mut rng = Rng::new(7);
                let mut scene = Scene::new(7, stepped(SyncMode::Full));
                let db = scene.open().unwrap();
                scene.commits(&db, &mut rng, 3);
                db.checkpoint().unwrap();
                scene.commits(&db, &mut rng, 2);
                if closed {
                    db.close().unwrap()
                } else {
                    scene.crash(db, Crash::Kill)
                }
                let newest = newest_slot(&scene);
                scene.disk.corrupt(PATH, slot + offset, 0x20).unwrap();
                let db = scene.open_at(PATH, stepped(SyncMode::Full).read_only(true)).unwrap();
                let view = db.snapshot().unwrap();
                // The older slot shows the checkpoint before the last one, and what of the log is still there.
                let shown = view.token().log_index.0 as usize;
                assert!(shown == 5 || db.stats().unwrap().damage.is_some(), "log index {shown}");
                assert!(shown == 5 || slot == newest, "the slot that does not count was damaged");
                compare_view(&view, &scene.states[shown], &Cursors::default());
                let report = db.check().unwrap();
                let found = report.damage.iter().any(|d| d.contains("header slot"));
                assert!(found, "closed {closed}, byte {}: {report:#?}", slot + offset);
                drop((view, db));
                let both = scene.copy();
                both.disk.corrupt(PATH, (4096 - slot) + 100, 0x20).unwrap();
                refused(both.open(), ErrorCode::Corrupt, &["both header slots"]);
                match scene.open() {
                    Ok(db) => compare_view(&db.snapshot().unwrap(), &scene.states[5], &Cursors::default()),
                    // The older slot names a log whose frames the newer one had let go.
                    Err(e) => assert_eq!(e.code(), ErrorCode::LogMismatch, "{e:?}"),
                }
            }
        }
    }
}

/// Where the slot with the greater generation is; the other one is whole.
fn newest_slot(scene: &Scene) -> u64 {
    let bytes = scene.disk.read(PATH).unwrap();
    let generation = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    // Behind the magic and the format.
    let at = 12;
    if generation(at) > generation(4096 + at) { 0 } else { 4096 }
}

#[test]
fn without_the_magic_it_is_no_database() {
    let mut scene = Scene::new(8, stepped(SyncMode::Full));
    let db = scene.open().unwrap();
    scene.commit(&db, &mut Rng::new(8));
    db.close().unwrap();
    scene.disk.corrupt(PATH, 0, 1).unwrap();
    scene.disk.corrupt(PATH, 4096, 1).unwrap();
    refused(scene.open(), ErrorCode::NotADatabase, &[PATH]);
}

/// Reads all that can be read: what comes back is right, and what does not is a typed error. Whether there was one.
fn read_all(db: &Database, model: &Model) -> bool {
    let view = db.snapshot().unwrap();
    let mut failed = false;
    fn checked<T>(result: Result<T, Error>, failed: &mut bool) -> Option<T> {
        result.inspect_err(|e| assert_eq!(e.code(), ErrorCode::Corrupt, "{e:?}")).inspect_err(|_| *failed = true).ok()
    }
    for (&id, node) in &model.nodes {
        if let Some(found) = checked(view.node_props(NodeId(id)), &mut failed) {
            let mut found: Vec<_> = found.unwrap().iter().map(|(_, value)| encoded(value)).collect();
            let mut expected: Vec<_> = node.props.values().cloned().collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "node {id}");
        }
        if let Some(key) = &node.key
            && let Some(found) = checked(view.node_by_key(key), &mut failed)
        {
            assert_eq!(found, Some(NodeId(id)));
        }
        if let Some(degree) = checked(view.out_degree(NodeId(id), AllTypes), &mut failed) {
            assert_eq!(degree, model.edges.keys().filter(|e| e.0 == id).count() as u64, "out degree of node {id}");
        }
        if let Some(degree) = checked(view.in_degree(NodeId(id), AllTypes), &mut failed) {
            assert_eq!(degree, model.edges.keys().filter(|e| e.2 == id).count() as u64, "in degree of node {id}");
        }
        for (v, (name, _)) in crate::support::model::VECTORS.iter().enumerate() {
            if let Some(found) = checked(view.node_vector(NodeId(id), *name), &mut failed) {
                let found: Option<Vec<u32>> = found.map(|f| f.iter().map(|x| x.to_bits()).collect());
                assert_eq!(found.as_ref(), model.vectors.get(&(id, v)));
            }
        }
    }
    for (edge, props) in &model.edges {
        let found = view.edge_props(NodeId(edge.0), crate::support::model::TYPES[edge.1], NodeId(edge.2));
        if let Some(found) = checked(found, &mut failed) {
            let mut found: Vec<_> = found.unwrap().iter().map(|(_, value)| encoded(value)).collect();
            let mut expected: Vec<_> = props.values().cloned().collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "edge {edge:?}");
        }
    }
    if let Some(nodes) = checked(view.nodes().collect::<Result<Vec<_>, _>>(), &mut failed) {
        assert!(nodes.into_iter().map(|node| node.id().0).eq(model.nodes.keys().copied()));
    }
    if let Some(edges) = checked(view.edges().collect::<Result<Vec<_>, _>>(), &mut failed) {
        assert_eq!(edges.len(), model.edges.len());
    }
    failed
}

#[test]
fn a_damaged_byte_of_the_file_is_an_error_where_it_is_read_and_found_by_a_check() {
    let mut rng = Rng::new(10);
    let mut scene = Scene::new(10, stepped(SyncMode::Full));
    let db = scene.open().unwrap();
    for _ in 0..3 {
        scene.commits(&db, &mut rng, 8);
        db.checkpoint().unwrap();
    }
    db.close().unwrap();
    let (len, model) = (scene.disk.read(PATH).unwrap().len() as u64, scene.states.last().unwrap().clone());
    let (mut refused, mut read, mut checked) = (0, 0, 0);
    let step = 61;
    for offset in (8192..len).step_by(step) {
        let scene = scene.copy();
        scene.disk.corrupt(PATH, offset, 1 << (offset % 8)).unwrap();
        let db = match scene.open() {
            Ok(db) => db,
            Err(e) => {
                assert_eq!(e.code(), ErrorCode::Corrupt, "byte {offset}: {e:?}");
                refused += 1;
                continue;
            }
        };
        let failed = read_all(&db, &model);
        let report = db.check().unwrap();
        assert!(!(failed && report.is_clean()), "byte {offset}: a read fails and the check finds nothing");
        read += u64::from(failed);
        checked += u64::from(!report.is_clean());
    }
    // Most of a small file is padding; but what holds data must have been hit often.
    assert!(
        refused > 2 && read > 20 && checked >= read,
        "{refused} refused, {read} failed reads, {checked} found, {len} bytes"
    );
}
