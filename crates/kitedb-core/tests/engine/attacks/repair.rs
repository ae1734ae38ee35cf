//! A control file is damaged or gone beside frames that all verify, and a repair is asked for.

use super::{
    stage::{Stage, add, add_many, has, names, nothing_said, open_and_add, primary, replica_of, short_log},
    support_replication::{Graph, MODES, Machine, digest, folder::sidecar_of, primary_status, write},
};
use kitedb_core::{
    Database, ErrorCode, RepairOptions, ReplicationRole, Result, SyncMode, Token,
    io::{
        Disk, Env,
        sim::{Crash, FaultOn, FaultPlan},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
};

type Lose = fn(&Machine, &Path);
type Damage = Box<dyn Fn(&mut Vec<u8>)>;

/// What may become of a control file, or of the part of it that only its fence is in.
const LOSSES: [(&str, Lose); 8] = [
    ("deleted", |machine, path| machine.disk.remove(path).unwrap()),
    ("empty", |machine, path| machine.disk.write(path, b"").unwrap()),
    ("cut short", |machine, path| rewrite(machine, path, |bytes| bytes.truncate(100))),
    ("zeros", |machine, path| rewrite(machine, path, |bytes| bytes.fill(0))),
    ("noise", |machine, path| rewrite(machine, path, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0xA5))),
    ("a flipped bit", |machine, path| machine.disk.corrupt(path, 50, 1).unwrap()),
    ("no fence", |machine, path| rewrite(machine, path, |bytes| bytes[16 * 8..48 * 8].fill(0))),
    ("no fence that verifies", |machine, path| {
        machine.disk.corrupt(path, 37 * 8, 1).unwrap();
        machine.disk.corrupt(path, 43 * 8, 1).unwrap();
    }),
];

fn rewrite(machine: &Machine, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = machine.disk.read(path).unwrap();
    let before = bytes.clone();
    change(&mut bytes);
    if bytes.len() < before.len() {
        return machine.disk.write(path, &bytes).unwrap();
    }
    // In place: a file that is written anew is another one.
    for (at, (old, new)) in before.iter().zip(&bytes).enumerate().filter(|(_, (old, new))| old != new) {
        machine.disk.corrupt(path, at as u64, old ^ new).unwrap();
    }
}

fn control_of(machine: &Machine, role: ReplicationRole) -> PathBuf {
    match role {
        ReplicationRole::Disabled => "/node.kitedb-wal/control".into(),
        _ => machine.sidecar().join("control"),
    }
}

fn repair(machine: &Machine, options: RepairOptions) -> Result<kitedb_core::Repair> {
    Database::repair_in(machine.env(), machine.db(), options)
}

/// The machine as it is, with a disk of its own.
fn copy_of(machine: &Machine) -> Machine {
    machine.restart(Crash::Kill)
}

#[track_caller]
fn expect_all(db: &Database, graph: &Graph, what: &str) {
    assert_eq!(db.last_commit_token().unwrap().log_index.0, graph.head(), "{what}");
    assert_eq!(digest(db), *graph.digests.last().unwrap(), "{what}");
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{what}: {report:?}");
}

/// Whatever became of the control file: check tells it, nobody writes, a repair gives every commit back, and who may write
/// does so again.
#[test]
fn a_lost_control_file_is_made_anew_from_its_log() {
    for role in [ReplicationRole::Primary, ReplicationRole::Disabled] {
        for mode in MODES {
            for closed in [false, true] {
                if closed && role == ReplicationRole::Disabled {
                    // At rest it is one file.
                    continue;
                }
                let machine = Machine::new("node", 1, mode);
                let options = || machine.options(role).segment_max_bytes(4096);
                let (db, mut graph) = (machine.open(options()).unwrap(), Graph::new(1));
                graph.grow(&db, 30);
                db.checkpoint().unwrap();
                graph.grow(&db, 30);
                // As after a kill, unless it is closed.
                let open = if closed { db.close().map(|()| None).unwrap() } else { Some(db) };
                for (loss, lose) in LOSSES {
                    let what = format!("{role:?}, {mode:?}, {loss}, closed: {closed}");
                    let machine = copy_of(&machine);
                    let control = control_of(&machine, role);
                    lose(&machine, &control);
                    let lost = machine.disk.read(&control).ok();
                    let report = machine.open(options().read_only(true)).unwrap().check().unwrap();
                    assert_eq!(report.damage.len(), 1, "{what}: {report:?}");
                    let error = machine.open(options()).and_then(|db| write(&db)).expect_err(&what);
                    assert!([ErrorCode::Corrupt, ErrorCode::LogMismatch].contains(&error.code()), "{what}: {error:?}");
                    assert_eq!(machine.disk.read(&control).ok(), lost, "{what}");

                    let planned = repair(&machine, RepairOptions::new().dry_run(true)).unwrap();
                    assert!(!planned.done && planned.asks_for.is_none(), "{what}: {planned:?}");
                    assert_eq!(machine.disk.read(&control).ok(), lost, "{what}");
                    let done = repair(&machine, RepairOptions::new()).unwrap();
                    assert_eq!((&planned.found, &planned.steps), (&done.found, &done.steps), "{what}");
                    assert_eq!(done.last_token.unwrap().log_index.0, graph.head(), "{what}");
                    assert!(done.done && done.remains.is_empty(), "{what}: {done:?}");
                    let aside: Vec<_> = done.put_aside.iter().map(|path| machine.disk.read(path).unwrap()).collect();
                    assert_eq!(aside, lost.into_iter().collect::<Vec<_>>(), "{what}");
                    assert!(repair(&machine, RepairOptions::new()).unwrap().is_clean(), "{what}");

                    expect_all(&machine.open(options().read_only(true)).unwrap(), &graph, &what);
                    let db = machine.open(options()).unwrap();
                    expect_all(&db, &graph, &what);
                    if role == ReplicationRole::Primary {
                        assert!(done.fenced, "{what}");
                        let error = write(&db).unwrap_err();
                        assert_eq!(error.code(), ErrorCode::StalePrimary, "{what}: {error:?}");
                        assert!(primary_status(&db).fence.unwrap().assumed, "{what}");
                        db.primary_promote_to_next_epoch().unwrap();
                        assert!(primary_status(&db).fence.is_none(), "{what}");
                    }
                    write(&db).unwrap();
                    db.close().unwrap();
                    let db = machine.open(options()).unwrap();
                    write(&db).unwrap();
                    assert!(db.check().unwrap().is_clean(), "{what}");
                    db.close().unwrap();
                    machine.expect_no_violations();
                }
                drop(open);
            }
        }
    }
}

/// Replicas of a primary that was repaired go on after it leads again, and so does a replica that was repaired itself:
/// nothing is copied anew.
#[test]
fn replicas_go_on_after_a_repair() {
    for (loss, lose) in LOSSES {
        let (source, node) = (Machine::new("source", 1, SyncMode::Full), Machine::new("node", 2, SyncMode::Full));
        let (db, mut graph) = (source.primary(), Graph::new(1));
        graph.grow(&db, 20);
        let replica = node.replica_of(&source);
        replica.replica_bootstrap_from_snapshot().unwrap();
        graph.grow(&db, 20);
        while replica.replica_catch_up_once(100).unwrap() > 0 {}
        let node = node.restart(Crash::Kill);
        drop(replica);
        lose(&node, &node.sidecar().join("control"));
        let report = node.open(node.options(ReplicationRole::Replica).read_only(true)).unwrap().check().unwrap();
        assert!(!report.is_clean(), "{loss}");
        let done = repair(&node, RepairOptions::new()).unwrap();
        assert!(done.done && !done.fenced, "{loss}: {done:?}");
        let replica = node.replica_of(&source);
        graph.grow(&db, 20);
        while replica.replica_catch_up_once(100).unwrap() > 0 {}
        expect_all(&replica, &graph, loss);
        assert_eq!(write(&replica).unwrap_err().code(), ErrorCode::ReplicaReadOnly, "{loss}");

        let source = source.restart(Crash::Kill);
        drop(db);
        lose(&source, &source.sidecar().join("control"));
        let done = repair(&source, RepairOptions::new()).unwrap();
        assert!(done.done && done.fenced, "{loss}: {done:?}");
        let db = source.primary();
        db.primary_promote_to_next_epoch().unwrap();
        graph.grow(&db, 5);
        replica.close().unwrap();
        let replica = node.replica_of(&source);
        while replica.replica_catch_up_once(100).unwrap() > 0 {}
        expect_all(&replica, &graph, loss);
    }
}

/// A replica whose control file was lost is opened: it is made anew, and its log is all there.
#[test]
fn a_replica_that_is_opened_without_its_control_file_needs_no_reseed() {
    let (source, node) = (Machine::new("source", 1, SyncMode::Full), Machine::new("node", 2, SyncMode::Full));
    let (db, mut graph) = (source.primary(), Graph::new(1));
    let replica = node.replica_of(&source);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&db, 40);
    while replica.replica_catch_up_once(100).unwrap() > 0 {}
    let node = node.restart(Crash::Kill);
    drop(replica);
    node.disk.remove(&node.sidecar().join("control")).unwrap();
    let replica = node.replica_of(&source);
    assert_eq!(replica.replica_catch_up_once(1).unwrap(), 0);
    assert!(replica.check().unwrap().is_clean());
    graph.grow(&db, 5);
    while replica.replica_catch_up_once(100).unwrap() > 0 {}
    expect_all(&replica, &graph, "");
}

/// Each bit of a control file, and each stretch of it, of a primary that another node took over from: whatever is made of
/// it, it never leads without being told, and every commit is there.
#[test]
fn no_damage_to_a_control_file_lets_a_fenced_primary_lead() {
    let (old, new) = (Machine::new("old", 1, SyncMode::Full), Machine::new("new", 2, SyncMode::Full));
    let (db, mut graph) = (old.primary(), Graph::new(1));
    graph.grow(&db, 20);
    let replica = new.replica_of(&old);
    replica.replica_bootstrap_from_snapshot().unwrap();
    replica.replica_promote(false).unwrap();
    let control = old.sidecar().join("control");
    let words = |from: usize, to: usize| move |bytes: &mut Vec<u8>| bytes[from * 8..to * 8].fill(0);
    let flips = (0..64 * 8).map(|at| -> Damage { Box::new(move |bytes| bytes[at] ^= 1 << (at % 8)) });
    let zeros =
        [(0, 64), (0, 512), (9, 64), (9, 512), (16, 17), (16, 36), (16, 48), (36, 48), (36, 42), (42, 48), (16, 42)]
            .map(|(from, to)| -> Damage { Box::new(words(from, to)) });
    let mut mended = 0;
    for (nth, damage) in flips.chain(zeros).enumerate() {
        let machine = copy_of(&old);
        rewrite(&machine, &control, |bytes| damage(bytes));
        let what = format!("damage {nth}");
        let planned = repair(&machine, RepairOptions::new().dry_run(true)).unwrap();
        let options = RepairOptions::new();
        let options = match planned.asks_for {
            Some(last) => options.cut_at(last),
            None => options,
        };
        let report = machine.open(machine.options(ReplicationRole::Primary).read_only(true)).unwrap().check().unwrap();
        assert_eq!(report.is_clean(), planned.is_clean(), "{what}: {report:?}, {planned:?}");
        mended += u32::from(repair(&machine, options).unwrap().done);
        let db = machine.as_it_is().unwrap();
        let report = db.check().unwrap();
        // What is noted of the registry may be damaged: then nothing is let go of.
        assert!(
            report.errors.is_empty() && report.damage.iter().all(|what| what.contains("registry")),
            "{what}: {report:?}"
        );
        assert_eq!((db.last_commit_token().unwrap().log_index.0, digest(&db)), (20, graph.digests[20]), "{what}");
        let error = write(&db).expect_err(&what);
        assert_eq!(error.code(), ErrorCode::StalePrimary, "{what}: {error:?}");
    }
    assert!(mended > 64, "{mended}");
    drop(db);
}

/// Commits behind damage are given up only by the name of the last one before it, and lie aside even then.
#[test]
fn commits_behind_damage_are_given_up_by_name_only() {
    let roles = [ReplicationRole::Primary, ReplicationRole::Disabled];
    for (role, deleted) in roles.into_iter().flat_map(|role| [(role, false), (role, true)]) {
        let machine = Machine::new("node", 1, SyncMode::Full);
        let options = || machine.options(role).segment_max_bytes(4096);
        let (db, mut graph) = (machine.open(options()).unwrap(), Graph::new(1));
        graph.grow(&db, 60);
        let machine = machine.restart(Crash::Kill);
        drop(db);
        let log = control_of(&machine, role).parent().unwrap().to_owned();
        let mut segments: Vec<_> = machine.disk.paths();
        segments.retain(|path| path.starts_with(&log) && path.extension().is_some_and(|kind| kind == "klog"));
        segments.sort();
        assert!(segments.len() > 2);
        // In the midst of the log; or its end is gone, and only the control file knows that there was more.
        match deleted {
            true => machine.disk.remove(&segments.pop().unwrap()).unwrap(),
            false => machine.damage(&segments[1], 2000),
        }

        let planned = repair(&machine, RepairOptions::new().dry_run(true)).unwrap();
        let end = planned.asks_for.unwrap();
        assert!(end.log_index.0 > 0 && end.log_index.0 < graph.head() && planned.found.len() == 1, "{planned:?}");
        for told in [None, Some(Token::new(end.epoch, kitedb_core::LogIndex(end.log_index.0 - 1)))] {
            let before: Vec<_> = segments.iter().map(|path| machine.disk.read(path).unwrap()).collect();
            let options = told.map_or_else(RepairOptions::new, |told| RepairOptions::new().cut_at(told));
            let error = repair(&machine, options).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corrupt);
            assert!(error.to_string().contains(&format!("--cut-at {end}")), "{error}");
            let after: Vec<_> = segments.iter().map(|path| machine.disk.read(path).unwrap()).collect();
            assert_eq!(before, after);
        }
        let done = repair(&machine, RepairOptions::new().cut_at(end)).unwrap();
        assert!(done.done && !done.fenced);
        assert_eq!(done.put_aside.len(), if deleted { 0 } else { segments.len() - 1 }, "{done:?}");
        let db = machine.open(options()).unwrap();
        assert_eq!(db.last_commit_token(), Some(end));
        assert_eq!(digest(&db), graph.digests[end.log_index.0 as usize]);
        // The number was given out before, and comes again as another one.
        let token = write(&db).unwrap();
        assert_eq!((token.log_index.0, token.epoch.0), (end.log_index.0 + 1, end.epoch.0 + 1));
        assert!(db.check().unwrap().is_clean());
        db.close().unwrap();
        machine.expect_no_violations();
    }
}

/// What is given up was acknowledged once. Whatever the first open after that meets, in the same boot, its numbers do not come
/// again in their epoch.
#[test]
fn numbers_that_were_given_up_come_again_in_another_epoch_whatever_the_next_open_meets() {
    for role in [ReplicationRole::Primary, ReplicationRole::Disabled] {
        for repaired in [true, false] {
            let machine = Machine::new("node", 1, if repaired { SyncMode::Full } else { SyncMode::Normal });
            let options = || machine.options(role).segment_max_bytes(4096);
            let (db, mut graph) = (machine.open(options()).unwrap(), Graph::new(1));
            graph.grow(&db, 60);
            let machine = if repaired {
                let machine = machine.restart(Crash::Kill);
                let mut segments = machine.disk.paths();
                segments.retain(|path| path.extension().is_some_and(|kind| kind == "klog"));
                segments.sort();
                machine.damage(&segments[1], 2000);
                let end = repair(&machine, RepairOptions::new().dry_run(true)).unwrap().asks_for.unwrap();
                assert!(repair(&machine, RepairOptions::new().cut_at(end)).unwrap().done);
                machine
            } else {
                // Nobody knows what became of what it showed.
                machine.disk.fail(FaultPlan::new(FaultOn::Sync, 1, std::io::ErrorKind::Other).on_path(".klog"));
                db.sync().unwrap_err();
                machine.restart(Crash::Kill)
            };
            drop(db);
            let (mut refused, mut opened) = (0, 0);
            for (op, killed) in (1..80).flat_map(|op| [(op, false), (op, true)]) {
                let what = format!("{role:?}, repaired: {repaired}, operation {op}, killed: {killed}");
                let mut machine = copy_of(&machine);
                match killed {
                    true => machine.disk.crash_at(machine.disk.ops() + op),
                    false => machine.disk.fail(FaultPlan::new(FaultOn::Any, op, std::io::ErrorKind::StorageFull)),
                }
                let met = match machine.open(options()).map(|db| db.close()) {
                    Ok(closed) => {
                        opened += 1;
                        format!("closed: {closed:?}")
                    }
                    Err(e) => {
                        refused += 1;
                        format!("refused: {e:?}")
                    }
                };
                machine = machine.restart(Crash::Kill);
                let db = machine.open(options()).unwrap();
                let token = write(&db).unwrap();
                assert!(token.epoch.0 > 1, "{what}, {met}: {token}");
            }
            assert!(refused > 10 && opened > 0, "{role:?}, repaired: {repaired}: {refused}, {opened}");
        }
    }
}

/// Of a database without a part in replication the middle of the log is gone, and its control file with it.
#[test]
fn a_stand_alone_database_whose_log_is_given_up_is_written_to_again() {
    for (loss, lose) in LOSSES {
        let machine = Machine::new("node", 1, SyncMode::Full);
        let options = || machine.options(ReplicationRole::Disabled).segment_max_bytes(4096);
        let (db, mut graph) = (machine.open(options()).unwrap(), Graph::new(1));
        graph.grow(&db, 30);
        db.checkpoint().unwrap();
        graph.grow(&db, 60);
        let machine = machine.restart(Crash::Kill);
        drop(db);
        let mut segments = machine.disk.paths();
        segments.retain(|path| path.extension().is_some_and(|kind| kind == "klog"));
        segments.sort();
        segments.pop();
        segments.iter().for_each(|segment| machine.disk.remove(segment).unwrap());
        let control = control_of(&machine, ReplicationRole::Disabled);
        lose(&machine, &control);
        let lost = machine.disk.read(&control).ok().filter(|bytes| !bytes.is_empty());
        let end = repair(&machine, RepairOptions::new().dry_run(true)).unwrap().asks_for.unwrap();
        assert_eq!(end.log_index.0, 30, "{loss}");
        let done = repair(&machine, RepairOptions::new().cut_at(end)).unwrap();
        if let Some(lost) = lost.filter(|_| !loss.starts_with("no fence")) {
            assert!(done.put_aside.iter().any(|path| machine.disk.read(path).unwrap() == lost), "{loss}: {done:?}");
        }
        for n in 1..3 {
            let db = machine.open(options()).unwrap();
            let token = write(&db).unwrap();
            assert_eq!((token.log_index.0, token.epoch.0), (30 + n, 2), "{loss}");
            assert!(db.check().unwrap().is_clean(), "{loss}");
            db.close().unwrap();
        }
    }
}

/// With the control file goes the knowledge of who was registered: where the registry is gone, too, nothing is let go of.
#[test]
fn a_repair_says_that_the_registry_is_lost() {
    for left in [None, Some(100), Some(4096)] {
        let stage = Stage::new();
        let source = stage.closed("p.kitedb", short_log(primary()), &["a", "b", "c"]);
        stage.replica("r.kitedb", &source);
        fs::remove_file(sidecar_of(&source).join("control")).unwrap();
        let registry = sidecar_of(&source).join("replicas");
        match left {
            None => fs::remove_file(registry).unwrap(),
            // What it begins with tells for what it is.
            Some(left) => fs::File::options().write(true).open(registry).unwrap().set_len(left).unwrap(),
        }
        let done = Database::repair(&source, RepairOptions::new()).unwrap();
        assert!(done.steps.iter().any(|step| step.contains("REGISTRY_LOST")), "{done:?}");
        assert!(done.remains.iter().any(|what| what.contains("--replicas-complete")), "{done:?}");
        let db = Database::open(&source, short_log(primary())).unwrap();
        db.primary_promote_to_next_epoch().unwrap();
        add_many(&db, "n", 5);
        db.checkpoint().unwrap();
        let error = db.primary_run_retention().unwrap_err();
        assert_eq!(error.code(), ErrorCode::RegistryLost, "{error:?}");
        assert!(names(&sidecar_of(&source)).iter().filter(|name| name.starts_with("segment-")).count() >= 8);
    }
}

/// Nothing is repaired under a process that has the database open, nor what is in order, nor what is not there.
#[test]
fn a_repair_keeps_its_hands_off() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let before = crate::attacks::stage::contents(&stage.path(""));
    let found = Database::repair(&path, RepairOptions::new()).unwrap();
    assert!(found.is_clean() && !found.done && found.put_aside.is_empty(), "{found:?}");
    let alone = stage.stand_alone("one.kitedb");
    assert!(Database::repair(&alone, RepairOptions::new()).unwrap().is_clean());
    fs::remove_file(&alone).unwrap();
    assert_eq!(crate::attacks::stage::contents(&stage.path("")), before);
    let error = Database::repair(&alone, RepairOptions::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound, "{error:?}");
    assert!(!alone.exists());

    let db = Database::open(&path, primary()).unwrap();
    add(&db, "c").unwrap();
    let error = Database::repair(&path, RepairOptions::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked, "{error:?}");
    db.close().unwrap();
    fs::remove_dir_all(sidecar_of(&path)).unwrap();
    let error = Database::repair(&path, RepairOptions::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
    assert!(has(&Database::open(&path, nothing_said().read_only(true)).unwrap(), "c"));
}

/// A control file, or a whole log folder, that was lost turns up again after the node was repaired or told to lead, and
/// another one took over: it knows of neither.
#[test]
fn a_control_file_that_turns_up_again_gives_nobody_the_lead() {
    for how in ["repaired", "led anew"] {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let [replica, second] = ["r.kitedb", "q.kitedb"].map(|name| stage.replica(name, &path));
        let (lost, kept) = match how {
            "repaired" => (sidecar_of(&path).join("control"), stage.path("control")),
            _ => (sidecar_of(&path), stage.path("folder")),
        };
        fs::rename(&lost, &kept).unwrap();
        match how {
            "repaired" => drop(Database::repair(&path, RepairOptions::default()).unwrap()),
            _ => {
                let forced = primary().replication_overwrite(true);
                Database::confirm_moved_in(Env::real(), &path, forced).unwrap();
            }
        }
        let db = Database::open(&replica, replica_of(&path)).unwrap();
        db.replica_promote(true).unwrap();
        add(&db, "new").unwrap();
        db.close().unwrap();
        if how != "repaired" {
            fs::remove_dir_all(&lost).unwrap();
        }
        fs::rename(&kept, &lost).unwrap();
        // Whether or not it was opened since, which is when it finds out.
        for opened in [false, true] {
            let db = Database::open(&second, replica_of(&path)).unwrap();
            let error = db.replica_promote(false).unwrap_err();
            // As long as it was not opened it says that it leads: then who leads is found.
            let told = if opened { "was put back" } else { "r.kitedb leads epoch 3" };
            assert!(error.to_string().contains(told), "{how}, opened {opened}: {error:?}");
            db.close().unwrap();
            let error = open_and_add(&path, primary(), "two lead").unwrap_err();
            assert_eq!(error.code(), ErrorCode::StalePrimary, "{how}: {error:?}");
            // Nothing was repaired where the folder was put back, and nothing is said to be.
            assert!(error.to_string().contains("was repaired, or an older one was put back"), "{how}: {error}");
        }
        let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
        assert!(has(&db, "a") && has(&db, "b"), "{how}");
    }
}

/// A node took over, was killed and lost its control file: its file knows that it led, and what it led is not replaced.
#[test]
fn a_killed_node_that_took_over_is_no_replica_without_its_control_file() {
    for mode in MODES {
        let (a, b) = (Machine::new("old", 1, mode), Machine::new("new", 2, mode));
        let (old, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&old, 3);
        let new = b.replica_of(&a);
        new.replica_catch_up_once(100).unwrap();
        new.replica_promote(false).unwrap();
        graph.grow(&new, 4);
        let b = b.restart(Crash::Kill);
        b.disk.remove(&b.sidecar().join("control")).unwrap();
        let replaced = b.open_replica_of(&a, b.following(&a)).and_then(|db| db.replica_bootstrap_from_snapshot());
        assert!(replaced.is_err(), "{mode:?}");
        let done = repair(&b, RepairOptions::new()).unwrap();
        assert!(done.done && done.fenced, "{mode:?}: {done:?}");
        let db = b.primary();
        db.primary_promote_to_next_epoch().unwrap();
        expect_all(&db, &graph, "promoted");
    }
}

/// What a primary led is its own, also where another node took over and its log is gone: a reseed asks.
#[test]
fn a_fenced_primary_without_its_log_is_replaced_by_name_only() {
    for lost in ["control", ""] {
        let stage = Stage::new();
        let (old, new) = stage.fenced("p.kitedb", "r.kitedb");
        Database::open(&old, primary()).unwrap().close().unwrap();
        let lost = sidecar_of(&old).join(lost);
        if lost.is_dir() { fs::remove_dir_all(&lost) } else { fs::remove_file(&lost) }.unwrap();
        for _ in 0..2 {
            let db = Database::open(&old, replica_of(&new)).unwrap();
            let error = db.replica_bootstrap_from_snapshot().unwrap_err();
            assert_eq!(error.code(), ErrorCode::WouldOverwrite, "{error:?}");
        }
        let db = Database::open(&old, replica_of(&new).replication_overwrite(true)).unwrap();
        db.replica_bootstrap_from_snapshot().unwrap();
        assert!(has(&db, "new"));
    }
}

/// Who tries a repair on a copy first changes nothing of the original's.
#[test]
fn a_repair_of_a_copy_leaves_the_log_of_its_original_alone() {
    for gone in [false, true] {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let (copy, sidecar) = (stage.path("copy.kitedb"), sidecar_of(&path));
        fs::copy(&path, &copy).unwrap();
        let control = sidecar.join("control");
        if gone { fs::remove_file(&control) } else { fs::write(&control, b"damaged") }.unwrap();
        let before = crate::attacks::stage::contents(&sidecar);
        Database::repair(&copy, RepairOptions::new()).unwrap_err();
        Database::repair(&copy, RepairOptions::new().replication_sidecar_path(&sidecar)).unwrap_err();
        assert_eq!(crate::attacks::stage::contents(&sidecar), before, "gone {gone}");
        assert!(Database::repair(&path, RepairOptions::new()).unwrap().done, "gone {gone}");
        let db = Database::open(&path, primary()).unwrap();
        db.primary_promote_to_next_epoch().unwrap();
        add(&db, "c").unwrap();
    }
}

/// Who puts an older copy of the file in its place, in place or by another name, loses nothing that its log still has: no
/// command takes that away unasked, and a repair brings the file up to it.
#[test]
fn a_file_that_is_older_than_its_log_takes_from_it_what_it_lacks() {
    for follows in [false, true] {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = if follows { stage.replica("r.kitedb", &source) } else { source.clone() };
        let older = fs::read(&path).unwrap();
        let db = Database::open(&source, primary()).unwrap();
        add_many(&db, "n", 5);
        db.close().unwrap();
        if follows {
            let db = Database::open(&path, replica_of(&source)).unwrap();
            assert_eq!(db.replica_catch_up_once(100).unwrap(), 5);
            db.close().unwrap();
            fs::remove_file(&source).unwrap();
            fs::remove_dir_all(sidecar_of(&source)).unwrap();
        }
        fs::write(&path, older).unwrap();
        let before = crate::attacks::stage::contents(&sidecar_of(&path));
        let segments = |before: &std::collections::BTreeMap<PathBuf, Vec<u8>>| {
            before.iter().filter(|(path, _)| path.to_string_lossy().contains("segment")).count()
        };

        let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
        assert!(db.damage().is_some() && !db.check().unwrap().is_clean(), "follows {follows}");
        drop(db);
        let error = Database::detach(&path).unwrap_err();
        assert!(error.to_string().contains("kitedb repair"), "{error}");
        if follows {
            let db = Database::open(&path, replica_of(&source)).unwrap();
            let error = db.replica_promote(true).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NeedsReseed, "{error:?}");
        } else {
            let error = open_and_add(&path, primary(), "beside").unwrap_err();
            assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
        }
        assert_eq!(
            segments(&crate::attacks::stage::contents(&sidecar_of(&path))),
            segments(&before),
            "follows {follows}"
        );

        let found = Database::repair(&path, RepairOptions::new().dry_run(true)).unwrap();
        assert!(!found.is_clean() && !found.done, "{found:?}");
        let done = Database::repair(&path, RepairOptions::new()).unwrap();
        assert!(done.done && done.remains.is_empty() && done.put_aside.is_empty(), "{done:?}");
        assert_eq!(done.last_token.unwrap().to_string(), "1:7");
        let db = match follows {
            true => {
                let db = Database::open(&path, replica_of(&source)).unwrap();
                db.replica_promote(true).unwrap();
                db
            }
            false => Database::open(&path, primary()).unwrap(),
        };
        assert_eq!(db.last_commit_token().unwrap().log_index.0, 7, "follows {follows}");
        assert!(db.check().unwrap().is_clean(), "follows {follows}");
        add(&db, "c").unwrap();
    }
}

/// As above, of a database without a part in replication that was killed.
#[test]
fn a_log_that_a_killed_database_left_is_told_beside_an_older_copy_of_its_file() {
    let a = Machine::new("alone", 1, SyncMode::Full);
    let options = a.options(ReplicationRole::Disabled);
    write(&a.open(options.clone()).unwrap()).unwrap();
    let older = a.disk.read(a.db()).unwrap();
    let db = a.open(options.clone()).unwrap();
    write(&db).unwrap();
    let a = a.restart(Crash::Kill);
    a.disk.write(a.db(), &older).unwrap();
    let db = a.open(options.clone().read_only(true)).unwrap();
    assert!(db.check().unwrap().damage.iter().any(|damage| damage.contains("-wal")));
    drop(db);
    assert_eq!(Database::detach_in(a.env(), a.db(), nothing_said()).unwrap_err().code(), ErrorCode::Corrupt);
    assert_eq!(a.open(options).unwrap_err().code(), ErrorCode::LogMismatch);
}

/// An older control file is put back in place, and knows neither that its node follows nor who took over: its file does.
#[test]
fn an_older_control_file_gives_nobody_the_lead() {
    for follows in [false, true] {
        let stage = Stage::new();
        let path = stage.leading("p.kitedb");
        let replica = stage.replica("r.kitedb", &path);
        let control = sidecar_of(&path).join("control");
        let older = fs::read(&control).unwrap();
        let db = Database::open(&path, primary()).unwrap();
        add_many(&db, "n", 3);
        db.close().unwrap();
        let db = Database::open(&replica, replica_of(&path)).unwrap();
        db.replica_promote(false).unwrap();
        add(&db, "new").unwrap();
        db.close().unwrap();
        if follows {
            let db = Database::open(&path, replica_of(&replica)).unwrap();
            assert_eq!(db.replica_catch_up_once(100).unwrap(), 1);
            db.close().unwrap();
        }
        // In place: a file under another name is known for a copy.
        let file = fs::File::options().write(true).open(&control).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &older, 0).unwrap();
        for _ in 0..2 {
            let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
            let role = if follows { ReplicationRole::Replica } else { ReplicationRole::Primary };
            assert_eq!(db.replication_role(), role, "follows {follows}");
            drop(db);
            let error = open_and_add(&path, nothing_said(), "two lead").unwrap_err();
            let code = if follows { ErrorCode::ReplicaReadOnly } else { ErrorCode::StalePrimary };
            assert_eq!(error.code(), code, "follows {follows}: {error:?}");
        }
        if follows {
            let db = Database::open(&path, replica_of(&replica)).unwrap();
            db.replica_catch_up_once(100).unwrap();
            assert!(has(&db, "new"));
        }
    }
}

/// A repair is cut short wherever that may be: the next one finds what the first one did not come to, and nothing that was
/// lost passes for what there is.
#[test]
fn a_repair_that_is_cut_short_is_one_that_was_not_made() {
    for op in 0..40 {
        let (a, mut graph) = (Machine::new("primary", op, SyncMode::Normal), Graph::new(op));
        let b = Machine::new("replica", 99, SyncMode::Normal);
        let db = a.primary();
        graph.grow(&db, 3);
        let replica = b.replica_of(&a);
        drop(replica);
        graph.grow(&db, 3);
        let a = a.restart(Crash::Kill);
        for name in ["control", "replicas"] {
            a.disk.remove(&a.sidecar().join(name)).unwrap();
        }
        a.disk.crash_at(a.disk.ops() + op);
        let first = repair(&a, RepairOptions::new());
        let a = a.restart(Crash::Kill);
        if first.is_err() {
            repair(&a, RepairOptions::new()).unwrap();
        }
        let db = a.primary();
        assert_eq!(write(&db).unwrap_err().code(), ErrorCode::StalePrimary, "cut at operation {op}");
        let epoch = db.primary_promote_to_next_epoch().unwrap();
        assert!(epoch > 1, "cut at operation {op}");
        assert_eq!(digest(&db), *graph.digests.last().unwrap(), "cut at operation {op}");
        let error = db.primary_run_retention().unwrap_err();
        assert_eq!(error.code(), ErrorCode::RegistryLost, "cut at operation {op}: {error:?}");
    }
}
