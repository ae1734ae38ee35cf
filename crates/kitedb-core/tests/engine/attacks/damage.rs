//! What is gone or damaged is found and told, and never gone in silence.

use super::{
    stage::{Stage, add, add_many, disabled, has, names, nothing_said, open_and_add, primary, short_log},
    support::world::stepped,
    support_process::copy_as_after_a_crash,
    support_replication::{Graph, MODES, Machine, digest, folder::sidecar_of, primary_status, write},
};
use kitedb_core::{Database, ErrorCode, GraphRead, NewNode, ReplicationRole, SyncMode, io::sim::Crash};
use std::{fs, os::unix::fs::FileExt, path::PathBuf};

/// How the end of a log can be lost.
const LOSSES: [fn(&Machine, &[PathBuf]); 3] = [
    |machine, segments| machine.disk.env(&machine.host).disk.remove(&segments[segments.len() - 1]).unwrap(),
    |machine, segments| {
        let last = &segments[segments.len() - 1];
        let bytes = machine.disk.read(last).unwrap();
        machine.disk.write(last, &bytes[..512]).unwrap();
    },
    |machine, segments| {
        for segment in &segments[1..] {
            machine.disk.env(&machine.host).disk.remove(segment).unwrap();
        }
    },
];

/// In `Full` every acknowledged commit was durable. Less log than that is damage, in whatever role.
#[test]
fn a_log_that_ends_too_early_is_damage() {
    for role in [ReplicationRole::Primary, ReplicationRole::Disabled] {
        for (nth, lose) in LOSSES.iter().enumerate() {
            let machine = Machine::new("node", 1, SyncMode::Full);
            let options = || machine.options(role).segment_max_bytes(4096);
            let (db, mut graph) = (machine.open(options()).unwrap(), Graph::new(1));
            graph.grow(&db, 60);
            let machine = machine.restart(Crash::Kill);
            drop(db);
            let log = if role == ReplicationRole::Primary { machine.sidecar() } else { "/node.kitedb-wal".into() };
            let mut segments = machine.disk.paths();
            segments.retain(|path| path.starts_with(&log) && path.extension().is_some_and(|kind| kind == "klog"));
            segments.sort();
            assert!(segments.len() > 2);
            lose(&machine, &segments);

            let what = format!("{role:?}, loss {nth}");
            let reader = machine.open(options().read_only(true)).unwrap();
            assert!(!reader.check().unwrap().is_clean(), "{what}: check is clean");
            assert!(reader.stats().unwrap().damage.is_some(), "{what}");
            let error = machine.open(options()).and_then(|db| write(&db)).expect_err(&what);
            assert_eq!(error.code(), ErrorCode::Corrupt, "{what}: {error:?}");
        }
    }
}

/// A primary whose log lost its end is opened as a replica to be overwritten, and is not: what is missing stays missed.
#[test]
fn a_log_that_ends_too_early_is_damage_whoever_looked_at_it() {
    let machine = Machine::new("node", 1, SyncMode::Full);
    let primary = || machine.options(ReplicationRole::Primary).segment_max_bytes(4096);
    let (db, mut graph) = (machine.open(primary()).unwrap(), Graph::new(1));
    graph.grow(&db, 60);
    let machine = machine.restart(Crash::Kill);
    drop(db);
    let last = machine.segments().pop().unwrap();
    machine.damage(&last, 67);
    let source = Machine::new("source", 2, SyncMode::Full);
    source.primary().close().unwrap();
    machine.overwritten_by(&source).close().unwrap();
    let error = machine.open(primary()).and_then(|db| write(&db)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error:?}");
}

/// What somebody does to segments that the file does not need, but a replica: each is told in every mode, also after a clean
/// close.
#[test]
fn segments_that_are_folded_and_lost_are_told_in_every_mode() {
    let zero_last_frame: fn(&Machine, &[PathBuf]) = |machine, segments| {
        let last = &segments[segments.len() - 1];
        let mut bytes = machine.disk.read(last).unwrap();
        bytes[512..].fill(0);
        machine.disk.write(last, &bytes).unwrap();
    };
    let remove_one: fn(&Machine, &[PathBuf]) =
        |machine, segments| machine.disk.env(&machine.host).disk.remove(&segments[2]).unwrap();
    let remove_all: fn(&Machine, &[PathBuf]) = |machine, segments| {
        segments.iter().for_each(|segment| machine.disk.env(&machine.host).disk.remove(segment).unwrap());
    };
    for mode in MODES {
        for (nth, lose) in LOSSES.into_iter().chain([zero_last_frame, remove_one, remove_all]).enumerate() {
            let machine = Machine::new("node", 1, mode);
            let options = || machine.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
            let (db, mut graph) = (machine.open(options()).unwrap(), Graph::new(1));
            graph.grow(&db, 6);
            db.close().unwrap();
            lose(&machine, &machine.segments());
            for read_only in [true, false] {
                let db = machine.open(options().read_only(read_only)).unwrap();
                let report = db.check().unwrap();
                assert_eq!(report.damage.len(), 1, "{mode:?}, loss {nth}: {report:?}");
                assert!(report.damage[0].contains("segment"), "{report:?}");
                assert!(primary_status(&db).log_fault.is_some(), "{mode:?}, loss {nth}");
            }
        }
    }
}

/// The file of a database is deleted and its log is not: no new, empty database is made beside it.
#[test]
fn a_log_whose_file_is_gone_is_damage() {
    let stage = Stage::new();
    for (name, options) in [("one.kitedb", disabled()), ("p.kitedb", primary())] {
        let live = Database::open(stage.folder("live").join(name), options.clone()).unwrap();
        add_many(&live, "n", 20);
        let crashed = stage.folder("crashed").join(name);
        copy_as_after_a_crash(live.path(), &crashed);
        if sidecar_of(live.path()).exists() {
            crate::attacks::stage::copy(&sidecar_of(live.path()), &sidecar_of(&crashed));
        }
        fs::remove_file(&crashed).unwrap();
        for options in [options, nothing_said()] {
            let error = Database::open(&crashed, options).and_then(|db| add(&db, "new")).expect_err(name);
            assert!(["CORRUPT", "LOG_MISMATCH"].contains(&error.code().as_str()), "{error:?}");
            assert!(!crashed.exists(), "{name}");
        }
    }
}

/// A segment that is damaged below the checkpoint: recovery does not need it, a replica may, and `check` reads it.
#[test]
fn check_reads_every_segment_that_is_there() {
    for open in [true, false] {
        let machine = Machine::new("primary", 1, SyncMode::Full);
        let (mut db, mut graph) = (machine.primary(), Graph::new(1));
        graph.grow(&db, 60);
        db.checkpoint().unwrap();
        let segments = machine.segments();
        assert!(segments.len() > 2);
        machine.damage(&segments[0], 2000);
        if !open {
            db.close().unwrap();
            db = machine.primary();
        }
        assert!(!db.check().unwrap().is_clean(), "open: {open}");
    }
}

/// A block is damaged after it was verified, and a merge copies it: with a checksum of its own it would pass for good.
#[test]
fn a_merge_does_not_give_damage_a_good_checksum() {
    let stage = Stage::new();
    let options = || stepped(SyncMode::Off);
    let path = stage.path("one.kitedb");
    let db = Database::open(&path, options()).unwrap();
    for round in 0..3 {
        db.transaction(|tx| -> kitedb_core::Result<_> {
            let label = tx.label_id_or_create("L")?;
            for n in 0..300 {
                let key = format!("{round} {n}");
                let node = tx.create_node_with(NewNode::new().key(&key).labels(&[label]))?;
                tx.set_node_prop(node, "p", format!("value {n}"))?;
                tx.add_edge(node, "T", node)?;
                tx.set_edge_prop(node, "T", node, "q", n)?;
                tx.set_node_vector(node, "v", &[n as f32, 1.0])?;
            }
            Ok(())
        })
        .unwrap();
        db.checkpoint().unwrap();
    }
    let expected = digest(&db);
    db.close().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut healed = Vec::new();
    for at in (8192..bytes.len()).step_by(bytes.len() / 120) {
        if bytes[at] == 0 {
            continue;
        }
        let path = stage.path("damaged.kitedb");
        fs::write(&path, &bytes).unwrap();
        let db = Database::open(&path, options()).unwrap();
        assert!(db.check().unwrap().is_clean());
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[bytes[at] ^ 0x04], at as u64).unwrap();
        if db.compact().is_err() {
            continue;
        }
        let _ = db.close();
        let Ok(db) = Database::open(&path, options()) else { continue };
        let Ok(report) = db.check() else { continue };
        if report.is_clean() && digest(&db) == expected && db.snapshot().unwrap().count_nodes() == 900 {
            continue;
        }
        if report.damage.is_empty() {
            healed.push(at);
        }
    }
    assert!(healed.is_empty(), "damage at {healed:?} has a good checksum after a merge");
}

/// The last segment is deleted on a real disk, of a primary at rest after a crash: the commits are not gone in silence.
#[test]
fn a_deleted_last_segment_is_told_on_a_real_disk_too() {
    let stage = Stage::new();
    let live = Database::open(stage.path("p.kitedb"), short_log(primary())).unwrap();
    add_many(&live, "n", 20);
    let crashed = stage.folder("crashed").join("p.kitedb");
    crate::attacks::stage::copy(live.path(), &crashed);
    crate::attacks::stage::copy(&sidecar_of(live.path()), &sidecar_of(&crashed));
    let log = sidecar_of(&crashed);
    let last = names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap();
    fs::remove_file(log.join(last)).unwrap();
    let db = Database::open(&crashed, primary().read_only(true)).unwrap();
    assert!(has(&db, "n 0") && !has(&db, "n 19"));
    assert!(!db.check().unwrap().is_clean());
    assert!(db.stats().unwrap().damage.is_some());
}

/// A backup is copied over the file of a primary that was closed, its log is not: that has a commit more.
#[test]
fn an_older_file_in_the_place_of_a_closed_one_is_damage_to_who_reads() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let old = fs::read(&path).unwrap();
    open_and_add(&path, primary(), "later").unwrap();
    fs::write(&path, old).unwrap();
    let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
    let damage = db.damage().unwrap().to_string();
    assert!(damage.contains("log index 2") && damage.contains("up to 3"), "{damage}");
    assert!(!db.check().unwrap().is_clean());
}
