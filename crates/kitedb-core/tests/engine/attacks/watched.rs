//! Long operations that are ended: by their caller, at any moment, in a callback that does what it must not.

use super::stage::{Stage, add, add_many, disabled, primary, replica_of};
use kitedb_core::{
    Database, Digest, Error, ErrorCode, ErrorKind, GraphRead, Phase, Progress, RepairOptions, SyncMode, Watch, compare,
    compare_deep_with, compare_with,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A watch that ends the operation when it is told the `nth` time, from 0 on, and what it was told.
fn ending_at(nth: u64) -> (Watch, Arc<Mutex<Vec<Progress>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let count = AtomicU64::new(0);
    let watch = Watch::new({
        let told = told.clone();
        move |watch, progress| {
            told.lock().unwrap().push(progress);
            if count.fetch_add(1, Ordering::Relaxed) == nth {
                watch.cancel();
            }
        }
    });
    (watch, told)
}

#[track_caller]
fn cancelled(e: &Error) {
    assert_eq!((e.code(), e.kind()), (ErrorCode::Cancelled, ErrorKind::Cancelled), "{e}");
}

fn off() -> kitedb_core::OpenOptions {
    disabled().sync_mode(SyncMode::Off).background(false)
}

/// Commits nodes that take some MiB together.
fn fill(db: &Database, prefix: &str) {
    db.transaction(|tx| -> Result<_, Error> {
        for n in 0..40 {
            let node = tx.create_node(Some(&format!("{prefix} {n}")))?;
            tx.set_node_prop(node, "text", prefix.repeat(60_000))?;
        }
        Ok(())
    })
    .unwrap();
}

fn digest(db: &Database) -> Digest {
    db.snapshot().unwrap().digest()
}

/// All that lies in a folder, with the bytes of each file.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                found.insert(path.clone(), Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn a_checkpoint_that_is_ended_anywhere_leaves_everything_where_it_was() {
    let stage = Stage::new();
    let path = stage.path("one.kitedb");
    let db = Database::open(&path, off()).unwrap();
    fill(&db, "a");
    let before = digest(&db);
    let mut nth = 0;
    let told = loop {
        let (watch, told) = ending_at(nth);
        let Err(e) = db.checkpoint_with(&watch) else { break told };
        cancelled(&e);
        assert_eq!(db.stats().unwrap().checkpoint_index.0, 0);
        assert_eq!(digest(&db), before);
        assert!(db.check().unwrap().is_clean());
        // What is committed meanwhile is written by the one that gets to its end.
        nth += 1;
        assert!(nth < 100, "it never gets to its end");
    };
    assert!(nth > 2, "there is more than one piece: {nth}");
    let told = told.lock().unwrap();
    assert!(told.iter().all(|p| p.phase == Phase::Checkpoint) && told.is_sorted_by_key(|p| p.done), "{told:?}");
    let stats = db.stats().unwrap();
    assert_eq!((stats.checkpoint_index, stats.runs.len()), (stats.token.log_index, 1));
    assert!(stats.file_bytes < 3 * stats.runs[0], "what was half written is room again: {stats:?}");
    add(&db, "after").unwrap();
    // Ended before it began, and the log has it all.
    let watch = Watch::silent();
    watch.cancel();
    cancelled(&db.checkpoint_with(&watch).unwrap_err());
    let last = digest(&db);
    drop(db);
    let db = Database::open(&path, off()).unwrap();
    assert_eq!(digest(&db), last);
    assert!(db.check().unwrap().is_clean());
}

#[test]
fn a_merge_that_is_ended_anywhere_leaves_the_runs_as_they_were() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), off().auto_compaction(false)).unwrap();
    for prefix in ["a", "b", "c"] {
        fill(&db, prefix);
        db.checkpoint().unwrap();
    }
    let (before, runs) = (digest(&db), db.stats().unwrap().runs);
    let mut nth = 0;
    let told = loop {
        let (watch, told) = ending_at(nth);
        let Err(e) = db.compact_with(&watch) else { break told };
        cancelled(&e);
        assert_eq!(db.stats().unwrap().runs, runs);
        assert_eq!(digest(&db), before);
        nth += 1;
        assert!(nth < 200, "it never gets to its end");
    };
    assert!(nth > 3);
    let last = *told.lock().unwrap().last().unwrap();
    assert_eq!(last.phase, Phase::Merge);
    assert_eq!(last.total, Some(runs.iter().sum()));
    let stats = db.stats().unwrap();
    assert_eq!(stats.runs.len(), 1);
    assert!(stats.file_bytes < 4 * runs.iter().sum::<u64>(), "{stats:?}");
    assert_eq!(digest(&db), before);
    assert!(db.check().unwrap().is_clean());
}

/// A check that is ended says nothing: neither that all is well, nor that something is damaged.
#[test]
fn a_check_and_a_comparison_that_are_ended_say_nothing() {
    let stage = Stage::new();
    let open = |name: &str| {
        let db = Database::open(stage.path(name), off()).unwrap();
        fill(&db, "a");
        add_many(&db, "n", 50);
        db.checkpoint().unwrap();
        db
    };
    let (a, b) = (open("a.kitedb"), open("b.kitedb"));
    add(&b, "more").unwrap();
    add(&a, "other").unwrap();
    let (mut phases, mut nth) = (Vec::new(), 0);
    loop {
        let (watch, told) = ending_at(nth);
        match a.check_with(&watch) {
            Err(e) => cancelled(&e),
            Ok(report) => {
                assert!(report.is_clean());
                phases.extend(told.lock().unwrap().iter().map(|p| p.phase));
                break;
            }
        }
        nth += 1;
    }
    phases.dedup();
    assert_eq!(phases, [Phase::Verify, Phase::Check]);
    for nth in 0.. {
        let (watch, told) = ending_at(nth);
        match compare_with(&a, &b, &watch) {
            Err(e) => cancelled(&e),
            Ok(found) => {
                assert_eq!(found, compare(&a, &b).unwrap());
                assert_eq!((found.equal, nth), (Some(false), told.lock().unwrap().len() as u64));
                break;
            }
        }
    }
    let watch = Watch::silent();
    watch.cancel();
    cancelled(&compare_deep_with(&a, &b, &watch).unwrap_err());
}

#[test]
fn a_bootstrap_that_is_ended_anywhere_goes_on_with_the_next_one() {
    let stage = Stage::new();
    let (source, path) = (stage.path("one.kitedb"), stage.path("two.kitedb"));
    let leader = Database::open(&source, primary().sync_mode(SyncMode::Off)).unwrap();
    fill(&leader, "a");
    leader.checkpoint().unwrap();
    add_many(&leader, "n", 20);
    let mut nth = 0;
    let mut phases = Vec::new();
    loop {
        let (watch, told) = ending_at(nth);
        let replica = Database::open(&path, replica_of(&source)).unwrap();
        let ended = replica.replica_bootstrap_with(&watch);
        phases.extend(told.lock().unwrap().iter().map(|p| p.phase));
        match ended {
            Ok(()) => {
                assert_eq!(digest(&replica), digest(&leader));
                assert!(replica.check().unwrap().is_clean());
                replica.close().unwrap();
                break;
            }
            Err(e) => {
                cancelled(&e);
                // Nothing of the source's, or all of its snapshot.
                let nodes = replica.snapshot().unwrap().count_nodes();
                assert!([0, 40].contains(&nodes) || nodes == 60, "{nodes}");
            }
        }
        // It is opened again each time, as after a Ctrl-C of the command.
        replica.close().unwrap();
        nth += 1;
        assert!(nth < 100, "it never gets to its end");
    }
    assert!(phases.contains(&Phase::Copy) && phases.contains(&Phase::CatchUp), "{phases:?}");
    assert!(nth > 2);
    // A reseed that is ended keeps the old graph, and what is committed here is not given up.
    let replica = Database::open(&path, replica_of(&source)).unwrap();
    let before = digest(&replica);
    add(&leader, "later").unwrap();
    let (watch, _) = ending_at(0);
    cancelled(&replica.replica_reseed_with(&watch).unwrap_err());
    assert_eq!(digest(&replica), before);
    replica.replica_catch_up_once(usize::MAX).unwrap();
    assert_eq!(digest(&replica), digest(&leader));
    replica.close().unwrap();
    leader.close().unwrap();
}

#[test]
fn a_load_that_is_ended_keeps_its_whole_batches() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), off()).unwrap();
    let (watch, told) = ending_at(3);
    let mut load = db.begin_bulk_with(10, &watch).unwrap();
    let mut last = None;
    let e = (0..100)
        .find_map(|n| {
            let put = load.create_node(Some(&format!("n {n}"))).and_then(|_| load.step());
            match put {
                Ok(token) => {
                    last = token.or(last);
                    None
                }
                Err(e) => Some(e),
            }
        })
        .expect("it is ended");
    cancelled(&e);
    assert_eq!(load.last_token(), last);
    assert_eq!(db.last_commit_token(), last);
    cancelled(&load.step().unwrap_err());
    cancelled(&load.finish().unwrap_err());
    assert_eq!(db.snapshot().unwrap().count_nodes(), 20);
    assert_eq!(told.lock().unwrap().iter().map(|p| p.done).collect::<Vec<_>>(), [0, 10, 20, 30]);
}

#[test]
fn a_repair_that_is_ended_changes_nothing() {
    let stage = Stage::new();
    let folder = stage.folder("here");
    let path = folder.join("one.kitedb");
    let db = Database::open(&path, primary()).unwrap();
    fill(&db, "a");
    db.close().unwrap();
    fs::remove_file(folder.join("one.kitedb.replication/control")).unwrap();
    let before = tree(&folder);
    let (watch, _) = ending_at(1);
    cancelled(&Database::repair(&path, RepairOptions::new().watched_by(&watch)).unwrap_err());
    assert!(tree(&folder) == before);
    assert!(Database::repair(&path, RepairOptions::new().watched_by(&Watch::silent())).unwrap().done);
}

/// A callback that does what would wait for the operation that it is told of, or breaks.
#[test]
fn a_callback_cannot_bring_the_database_to_a_halt() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), off()).unwrap();
    fill(&db, "a");
    let found = Arc::new(Mutex::new(Vec::new()));
    let watch = Watch::new({
        let (db, found) = (db.clone(), found.clone());
        move |_, _| {
            let told = [
                db.checkpoint(),
                db.compact(),
                db.compact_step().map(drop),
                db.clone().close(),
                db.clone().abandon(),
                db.replica_bootstrap_from_snapshot(),
            ];
            found.lock().unwrap().extend(told.map(|result| result.unwrap_err().code()));
            // What waits for nothing may be done.
            assert!(db.snapshot().unwrap().node_by_key("a 1").unwrap().is_some());
            assert!(db.stats().unwrap().nodes >= 40);
            let count = db.snapshot().unwrap().count_nodes();
            add(&db, &format!("told {count}")).unwrap();
        }
    });
    db.checkpoint_with(&watch).unwrap();
    let found = found.lock().unwrap();
    assert!(found.len() >= 6 && found.iter().all(|code| *code == ErrorCode::InvalidArgument), "{found:?}");
    // It was not closed by that.
    add(&db, "after").unwrap();
    db.compact().unwrap();
    assert!(db.check().unwrap().is_clean());

    let broken = Watch::new(|_, progress| assert!(progress.done == 0, "broken"));
    fill(&db, "b");
    let e = db.checkpoint_with(&broken).unwrap_err();
    cancelled(&e);
    assert!(e.to_string().contains("panicked"), "{e}");
    add(&db, "last").unwrap();
    db.checkpoint().unwrap();
    assert!(db.check().unwrap().is_clean());
}
