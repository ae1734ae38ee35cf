//! The file: how it is opened, by whom, what lies beside it, how large it gets, and what is not a database.
#![allow(unsafe_code, reason = "a fork has no safe form")]

use crate::support_process::{
    Child, Random, assert_clean, child_args, code, copy_as_after_a_crash, copy_folder, dump, hear, log_folder, quiet,
    tell,
};
use kitedb_core::{
    AllTypes, Database, ErrorCode, GraphRead, NodeId, OpenOptions, ReplicationRole, Result, SyncMode, Value,
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

fn read_only() -> OpenOptions {
    OpenOptions::new().read_only(true)
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.kitedb");
    (dir, path)
}

fn add(db: &Database, key: &str) {
    db.transaction(|tx| tx.create_node(Some(key))).unwrap();
}

fn keys(db: &Database) -> Vec<String> {
    let view = db.snapshot().unwrap();
    view.nodes().map(|node| node.unwrap().key().unwrap().unwrap().to_owned()).collect()
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

// ---- opening ------------------------------------------------------------------------------------------------------

#[test]
fn a_file_that_is_missing_is_made_only_if_asked_for() {
    let (dir, path) = scratch();
    assert_eq!(code(Database::open(&path, quiet().create_if_missing(false))), ErrorCode::NotFound);
    assert_eq!(code(Database::open(&path, read_only())), ErrorCode::NotFound);
    assert_eq!(code(Database::open(dir.path().join("no/such/folder.kitedb"), quiet())), ErrorCode::NotFound);
    assert_eq!(entries(dir.path()), [""; 0]);
    let db = Database::open(&path, quiet()).unwrap();
    assert_eq!(entries(dir.path()), ["a.kitedb"]);
    assert_eq!((db.path(), db.is_read_only(), db.sync_mode()), (path.as_path(), false, SyncMode::Off));
    db.close().unwrap();
    Database::open(&path, quiet().create_if_missing(false)).unwrap();
}

#[test]
fn a_path_that_cannot_be_a_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code(Database::open(dir.path(), quiet())), ErrorCode::InvalidArgument);
    assert_eq!(code(Database::open(dir.path(), read_only())), ErrorCode::InvalidArgument);
    assert_eq!(code(Database::open("", quiet())), ErrorCode::InvalidArgument);
    // Any other name will do.
    let odd = dir.path().join("name without extension ż");
    Database::open(&odd, quiet()).unwrap().close().unwrap();
    let file = dir.path().join("file.txt");
    fs::write(&file, "text").unwrap();
    assert!(Database::open(file.join("inside.kitedb"), quiet()).is_err());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let (_dir, path) = scratch();
    for options in [
        quiet().max_runs(1),
        quiet().max_runs(33),
        quiet().sync_interval_ms(0),
        quiet().segment_max_bytes(4095),
        quiet().checkpoint_log_bytes(1),
    ] {
        assert_eq!(code(Database::open(&path, options)), ErrorCode::InvalidOption);
    }
    assert!(!path.exists());
}

#[test]
fn what_is_not_a_database_is_refused_and_left_alone() {
    let (dir, path) = scratch();
    let text = "not a database, although long enough to hold a header. ".repeat(500);
    for bytes in [&b""[..], b"x", &[0; 8192], text.as_bytes(), b"SQLite format 3\0"] {
        fs::write(&path, bytes).unwrap();
        for options in [quiet(), read_only()] {
            assert_eq!(code(Database::open(&path, options)), ErrorCode::NotADatabase, "{} bytes", bytes.len());
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert_eq!(entries(dir.path()), ["a.kitedb"]);
}

#[test]
fn a_file_of_another_format_is_refused_by_number() {
    let (_dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "a");
    db.close().unwrap();
    for (format, code, advice) in
        [(99u32, ErrorCode::TooNew, "use a newer KiteDB"), (3, ErrorCode::OldFormat, "import the source data again")]
    {
        let mut bytes = fs::read(&path).unwrap();
        for slot in [0, 4096] {
            let slot = &mut bytes[slot..slot + 512];
            // As format 3 had it: the level is its upper half.
            slot[8..12].copy_from_slice(&format.to_le_bytes());
            let crc = crc32fast::hash(&slot[..508]);
            slot[508..].copy_from_slice(&crc.to_le_bytes());
        }
        fs::write(&path, &bytes).unwrap();
        for options in [quiet(), read_only(), quiet().replication_role(ReplicationRole::Primary)] {
            let error = Database::open(&path, options).unwrap_err();
            assert_eq!(error.code(), code);
            let what = error.to_string();
            assert!(what.contains(&format!("format {format}")) && what.contains(advice), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_database_of_kitedb_0_2_is_known_and_told_the_way_over() {
    let (dir, path) = scratch();
    let old = include_bytes!("../data/first_page_of_kitedb_0_2.bin");
    fs::write(&path, old).unwrap();
    let folder = dir.path().join("folder");
    fs::create_dir_all(folder.join("snapshots")).unwrap();
    fs::write(folder.join("snapshots/snap_1.gds"), "GDS1").unwrap();
    for path in [&path, &folder] {
        for options in [quiet(), read_only(), quiet().replication_role(ReplicationRole::Primary)] {
            let error = Database::open(path, options).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Format02, "{error:?}");
            let what = error.to_string();
            assert!(what.contains("JSON Lines") && what.contains("kitedb import"), "{what}");
        }
    }
    assert_eq!(fs::read(&path).unwrap(), old);
}

#[test]
fn a_truncated_file_gives_a_typed_error_wherever_it_was_cut() {
    let (dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    for round in 0..3 {
        for n in 0..300 {
            db.transaction(|tx| {
                let id = tx.create_node(Some(&format!("{round} {n}")))?;
                tx.add_node_label(id, "L")?;
                tx.set_node_vector(id, "v", &[1.0; 16])?;
                tx.add_edge(id, "E", id)
            })
            .unwrap();
        }
        db.checkpoint().unwrap();
    }
    db.close().unwrap();
    let whole = fs::read(&path).unwrap();
    let cut = dir.path().join("cut.kitedb");
    let mut cuts: Vec<usize> = (0..whole.len()).step_by(4096).collect();
    cuts.extend([1, 511, 513, 4095, 8191, 8193, whole.len() - 1, whole.len() - 4097]);
    for len in cuts {
        fs::write(&cut, &whole[..len]).unwrap();
        for options in [quiet(), read_only()] {
            match Database::open(&cut, options) {
                Err(e) => assert!(
                    matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase) && len < whole.len(),
                    "cut at {len}: {e}"
                ),
                // Only padding was cut.
                Ok(db) => assert_eq!(db.snapshot().unwrap().nodes().filter(Result::is_ok).count(), 900, "cut at {len}"),
            }
        }
    }
}

// ---- reading only ---------------------------------------------------------------------------------------------------

#[test]
fn a_read_only_open_needs_no_permission_to_write_and_writes_nothing() {
    let (dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "in a run");
    db.checkpoint().unwrap();
    add(&db, "in the log");
    let crashed = dir.path().join("crashed.kitedb");
    copy_as_after_a_crash(&path, &crashed);
    db.close().unwrap();
    for path in [&path, &crashed] {
        let log = log_folder(path);
        let mut files = vec![path.clone()];
        if log.exists() {
            files.extend(fs::read_dir(&log).unwrap().map(|e| e.unwrap().path()));
        }
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        files.iter().for_each(|file| mode(file, 0o444));
        mode(dir.path(), 0o555);
        let before: Vec<_> =
            files.iter().map(|f| (fs::read(f).unwrap(), fs::metadata(f).unwrap().modified().unwrap())).collect();
        let db = Database::open(path, read_only()).unwrap();
        assert_eq!(keys(&db), ["in a run", "in the log"]);
        assert_clean(&db);
        assert!(db.is_read_only());
        for write in [
            db.begin().map(drop),
            db.transaction(|tx| tx.create_node(None)).map(drop),
            db.begin_bulk(1).map(drop),
            db.checkpoint(),
            db.compact(),
            db.compact_step().map(drop),
        ] {
            assert_eq!(code(write), ErrorCode::ReadOnly);
        }
        db.close().unwrap();
        // To the superuser permissions mean nothing.
        if unsafe { libc::geteuid() } != 0 {
            assert_eq!(code(Database::open(path, quiet())), ErrorCode::PermissionDenied);
        }
        let after: Vec<_> =
            files.iter().map(|f| (fs::read(f).unwrap(), fs::metadata(f).unwrap().modified().unwrap())).collect();
        assert!(after == before);
        mode(dir.path(), 0o755);
    }
}

#[test]
fn opening_and_closing_without_a_commit_leaves_the_file_as_it_was() {
    let (dir, path) = scratch();
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    add(&db, "a");
    db.close().unwrap();
    assert_eq!(entries(dir.path()), ["a.kitedb"], "at rest a database is one file");
    let state = || {
        let metadata = fs::metadata(&path).unwrap();
        (fs::read(&path).unwrap(), metadata.modified().unwrap(), entries(dir.path()))
    };
    let before = state();
    for mode in [SyncMode::Full, SyncMode::Normal, SyncMode::Off] {
        let db = Database::open(&path, OpenOptions::new().sync_mode(mode)).unwrap();
        assert_eq!(keys(&db), ["a"]);
        assert_clean(&db);
        let mut tx = db.begin().unwrap();
        tx.create_node(Some("never")).unwrap();
        tx.rollback();
        db.begin().unwrap().commit().unwrap();
        assert_eq!(code(db.transaction(|tx| tx.create_node(Some("a")))), ErrorCode::DuplicateKey);
        db.checkpoint().unwrap();
        db.compact().unwrap();
        db.sync().unwrap();
        db.stats().unwrap();
        assert!(state() == before);
        db.close().unwrap();
        assert!(state() == before);
    }
    drop(Database::open(&path, quiet()).unwrap());
    assert!(state() == before);
}

/// A removed file that is open lingers under another name on some file systems (FUSE, NFS), and its folder with it.
#[test]
fn a_closed_database_holds_nothing_of_the_log_that_it_removed() {
    let (dir, path) = scratch();
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    add(&db, "a");
    let log = log_folder(&path).canonicalize().unwrap();
    let open_there = || {
        let links =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link.starts_with(&log)).count()
    };
    assert!(open_there() > 0);
    db.close().unwrap();
    assert_eq!(open_there(), 0);
    assert_eq!(entries(dir.path()), ["a.kitedb"]);
}

#[test]
fn dropping_the_last_handle_closes_the_database() {
    let (dir, path) = scratch();
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    let other = db.clone();
    add(&db, "a");
    drop(db);
    add(&other, "b");
    assert!(log_folder(&path).exists());
    drop(other);
    assert_eq!(entries(dir.path()), ["a.kitedb"]);
    assert_eq!(keys(&Database::open(&path, read_only()).unwrap()), ["a", "b"]);
}

// ---- handles and processes --------------------------------------------------------------------------------------------

#[test]
fn handles_of_one_process_share_the_database() {
    let (dir, path) = scratch();
    let first = Database::open(&path, quiet()).unwrap();
    let link = dir.path().join("link.kitedb");
    symlink(&path, &link).unwrap();
    let second = Database::open(&link, quiet()).unwrap();
    add(&first, "a");
    add(&second, "b");
    assert_eq!(keys(&first), keys(&second));
    assert_eq!(code(Database::open(&path, quiet().sync_mode(SyncMode::Full))), ErrorCode::InvalidOption);
    let clone = first.clone();
    let late = first.begin().unwrap();
    first.close().unwrap();
    // Closing a handle closes its clones, not the other open.
    assert_eq!(code(clone.snapshot()), ErrorCode::Closed);
    assert_eq!(code(clone.begin()), ErrorCode::Closed);
    clone.close().unwrap();
    add(&second, "c");
    let view = second.snapshot().unwrap();
    let mut late = late;
    late.create_node(Some("d")).unwrap();
    second.close().unwrap();
    assert_eq!(code(late.commit()), ErrorCode::Closed);
    assert_eq!(view.count_nodes(), 3);
    let third = Database::open(&path, quiet().sync_mode(SyncMode::Full)).unwrap();
    assert_eq!(keys(&third), ["a", "b", "c"]);
}

/// Not a test of its own: a process that holds a database open for writing and does as it is told.
#[test]
fn child_that_holds_the_database() {
    let Some(args) = child_args() else { return };
    let db = Database::open(&args[0], quiet()).unwrap();
    tell("open");
    loop {
        match hear().as_str() {
            "close" => return db.close().unwrap(),
            key => add(&db, key),
        }
        tell("done");
    }
}

#[test]
fn a_second_process_cannot_write_until_the_first_is_gone() {
    let (_dir, path) = scratch();
    let mut child = Child::spawn("files::child_that_holds_the_database", &[path.to_str().unwrap()]);
    child.expect("open");
    let refused = || {
        let error = Database::open(&path, quiet()).unwrap_err();
        assert_eq!((error.code(), error.kind().as_str()), (ErrorCode::Locked, "retry_later"), "{error}");
    };
    refused();
    child.say("a");
    child.expect("done");
    refused();
    assert_eq!(keys(&Database::open(&path, read_only()).unwrap()), ["a"]);
    child.kill_nine();
    let db = Database::open(&path, quiet()).unwrap();
    assert_eq!(keys(&db), ["a"]);
    db.close().unwrap();
    let mut child = Child::spawn("files::child_that_holds_the_database", &[path.to_str().unwrap()]);
    child.expect("open");
    child.say("b");
    child.expect("done");
    refused();
    child.say("close");
    child.finish();
    let db = Database::open(&path, quiet()).unwrap();
    assert_eq!(keys(&db), ["a", "b"]);
}

/// Not a test of its own: a process that writes for ever, with checkpoints and merges all the time. Node `n` of
/// 50 has the same `round` as all others, and so has each edge of the circle that they form.
#[test]
fn child_that_churns() {
    let Some(args) = child_args() else { return };
    let options = OpenOptions::new()
        .sync_mode(crate::support_process::mode_of(&args[1]))
        .checkpoint_log_bytes(32 << 10)
        .segment_max_bytes(64 << 10)
        .max_runs(2);
    let mut turns = 0;
    for round in 0..i64::MAX {
        let db = Database::open(&args[0], options.clone()).unwrap();
        if turns == 0 {
            db.transaction(|tx| (0..50).try_for_each(|n| tx.create_node(Some(&format!("{n}"))).map(drop))).unwrap();
        }
        for _ in 0..60 {
            turns += 1;
            db.transaction(|tx| -> Result<_> {
                for n in 0..50 {
                    let [id, next] = [n, (n + 1) % 50].map(|n| tx.node_by_key(&format!("{n}")).unwrap().unwrap());
                    tx.set_node_prop(id, "round", turns)?;
                    tx.set_node_prop(id, "filler", vec![turns as u8; 100])?;
                    // Every other round the circle is taken apart.
                    if turns % 2 == 0 {
                        tx.add_edge(id, "NEXT", next)?
                    } else if turns > 1 {
                        tx.delete_edge(id, "NEXT", next)?
                    }
                }
                Ok(())
            })
            .unwrap();
        }
        db.compact().unwrap();
        db.close().unwrap();
        if round == 0 {
            tell("churns");
        }
    }
}

fn one_round(db: &Database) -> i64 {
    let view = db.snapshot().unwrap();
    let rounds: Vec<_> = view.nodes().map(|node| view.node_prop(node.unwrap().id(), "round").unwrap()).collect();
    assert!(rounds.iter().all(|r| r == &rounds[0]), "{rounds:?}");
    let Some(Some(Value::I64(round))) = rounds.first() else { return 0 };
    let circle = if round % 2 == 0 { 50 } else { 0 };
    assert_eq!(view.edges().map(Result::unwrap).count(), circle);
    assert_eq!(view.count_edges() as usize, circle);
    *round
}

#[test]
fn a_reader_beside_a_writer_in_another_process_sees_one_state_and_keeps_it() {
    for mode in ["off", "full"] {
        let (_dir, path) = scratch();
        let mut child = Child::spawn("files::child_that_churns", &[path.to_str().unwrap(), mode]);
        child.expect("churns");
        let first = Database::open(&path, read_only()).unwrap();
        let view = first.snapshot().unwrap();
        let (mut held, mut before) = (Vec::new(), 0);
        let (mut moved, mut opens) = (0, 0);
        while moved < 12 {
            let db = Database::open(&path, read_only()).unwrap();
            assert_eq!(db.stats().unwrap().damage, None);
            let round = one_round(&db);
            assert!(round >= before, "{round} after {before}");
            moved += u32::from(round > before);
            before = round;
            assert_clean(&db);
            if opens % 20 == 0 && held.len() < 10 {
                let view = db.snapshot().unwrap();
                let seen = dump(&view);
                held.push((db, view, seen));
            }
            opens += 1;
        }
        // What the first reader pinned was never read until now.
        assert_eq!(view.count_nodes(), 50);
        one_round(&first);
        assert_clean(&first);
        for (db, view, seen) in &held {
            assert_eq!(&dump(view), seen);
            assert_clean(db);
        }
        child.kill_nine();
        let db = Database::open(&path, quiet()).unwrap();
        assert!(one_round(&db) >= before);
        assert_clean(&db);
    }
}

/// A reader looks for a writer by a lock; for that moment it must not itself be taken for one.
/// Nor may it take the log of the next session, which has the same names, for the end of the one that it reads:
/// it then showed the state without that session's last commits.
#[test]
fn readers_that_come_and_go_are_never_taken_for_a_writer() {
    let (_dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "first");
    db.close().unwrap();
    let writing = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut before = 0;
                while writing.load(Ordering::Relaxed) {
                    let db = Database::open(&path, read_only()).unwrap();
                    assert_eq!(db.stats().unwrap().damage, None);
                    let now = db.snapshot().unwrap().count_nodes();
                    assert!(now >= before, "{now} nodes after {before}");
                    before = now;
                }
            });
        }
        for n in 0..150 {
            let db = Database::open(&path, quiet());
            if db.is_err() {
                writing.store(false, Ordering::Relaxed);
            }
            let db = db.unwrap();
            add(&db, &format!("{n}"));
            if n % 2 == 0 {
                db.checkpoint().unwrap();
                add(&db, &format!("{n} again"));
            }
            db.close().unwrap();
        }
        writing.store(false, Ordering::Relaxed);
    });
}

/// Until a process that is being started becomes another program, it has copies of all open files, locks included:
/// a lock that ended only with its file was still held for that while.
#[test]
fn processes_that_are_started_meanwhile_hold_no_lock() {
    let (_dir, path) = scratch();
    let opening = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while opening.load(Ordering::Relaxed) {
                    assert!(std::process::Command::new("true").status().unwrap().success());
                }
            });
        }
        let results: Vec<_> = (0..300).map(|_| Database::open(&path, quiet()).and_then(|db| db.close())).collect();
        opening.store(false, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
}

/// As above, of a log that a crash left: every reader looks for a writer then.
#[test]
fn readers_of_what_a_crash_left_are_never_taken_for_a_writer() {
    let (dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "a");
    let copies = AtomicUsize::new(0);
    let copy = |n: usize| dir.path().join(format!("copy {n}.kitedb"));
    copy_as_after_a_crash(&path, &copy(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    match copies.load(Ordering::Relaxed) {
                        usize::MAX => return,
                        n => assert_eq!(keys(&Database::open(copy(n), read_only()).unwrap()), ["a"]),
                    }
                }
            });
        }
        let mut results = Vec::new();
        for n in 1..100 {
            copy_as_after_a_crash(&path, &copy(n));
            copies.store(n, Ordering::Relaxed);
            for _ in 0..n {
                thread::yield_now();
            }
            results.push(Database::open(copy(n), quiet()).and_then(|db| db.close()));
        }
        copies.store(usize::MAX, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
}

// ---- fork ---------------------------------------------------------------------------------------------------------------

/// What a forked child finds: 0 if all is as it should be, else the number of the step that was not.
fn in_the_forked_child(path: &Path, db: Database, view: &kitedb_core::View, tx: kitedb_core::Transaction) -> i32 {
    let forked = |result: Result<()>| result.is_err_and(|e| e.code() == ErrorCode::Forked);
    let steps = [
        forked(db.snapshot().map(drop)),
        forked(db.begin().map(drop)),
        forked(db.transaction(|tx| tx.create_node(None)).map(drop)),
        forked(db.checkpoint()),
        forked(db.compact_step().map(drop)),
        forked(db.check().map(drop)),
        forked(db.stats().map(drop)),
        forked(db.sync()),
        forked(tx.commit().map(drop)),
        // A view is memory and immutable bytes: it can still be read.
        view.count_nodes() == 1 && view.node_by_key("a").is_ok_and(|id| id.is_some()),
        db.clone().close().is_ok(),
        // Nor did that take the parent's lock or log away.
        Database::open(path, quiet()).is_err_and(|e| e.code() == ErrorCode::Locked),
        Database::open(path, read_only()).is_ok_and(|db| keys(&db) == ["a"]),
    ];
    drop(db);
    steps.iter().position(|ok| !ok).map_or(0, |step| step as i32 + 1)
}

/// Not a test of its own: forks, in a process of its own.
#[test]
fn child_that_forks() {
    let Some(args) = child_args() else { return };
    let path = Path::new(&args[0]);
    let db = Database::open(path, quiet()).unwrap();
    add(&db, "a");
    let view = db.snapshot().unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("parent")).unwrap();
    for _ in 0..3 {
        let childs_handle = db.clone();
        let childs_tx = db.begin().unwrap();
        // SAFETY: the child only calls into this library, allocates, and ends by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let step = in_the_forked_child(path, childs_handle, &view, childs_tx);
                // SAFETY: ends the process without running what belongs to the parent.
                unsafe { libc::_exit(step) }
            }
            pid => {
                assert!(pid > 0);
                let mut status = 0;
                // SAFETY: waits for the child that was just made.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
                assert!(libc::WIFEXITED(status));
                assert_eq!(libc::WEXITSTATUS(status), 0, "the step in the forked child that failed");
            }
        }
    }
    // The parent goes on as if nothing had been.
    tx.commit().unwrap();
    add(&db, "b");
    assert_clean(&db);
    tell("forked");
    assert_eq!(hear(), "go on");
    db.checkpoint().unwrap();
    add(&db, "c");
    db.close().unwrap();
    tell("closed");
}

#[test]
fn after_a_fork_the_child_is_told_so_and_the_parent_goes_on() {
    let (_dir, path) = scratch();
    let mut child = Child::spawn("files::child_that_forks", &[path.to_str().unwrap()]);
    child.expect("forked");
    assert_eq!(code(Database::open(&path, quiet())), ErrorCode::Locked);
    child.say("go on");
    child.expect("closed");
    child.finish();
    assert!(!log_folder(&path).exists());
    let db = Database::open(&path, quiet()).unwrap();
    assert_eq!(keys(&db), ["a", "parent", "b", "c"]);
    assert_clean(&db);
}

// ---- the log beside the file ----------------------------------------------------------------------------------------------

#[test]
fn a_log_that_says_nothing_new_is_cleared_away_by_the_next_commit() {
    let (dir, path) = scratch();
    let kept = dir.path().join("kept");
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "a");
    copy_folder(&log_folder(&path), &kept);
    add(&db, "b");
    db.close().unwrap();
    for commit in [true, false] {
        copy_folder(&kept, &log_folder(&path));
        let db = Database::open(&path, quiet()).unwrap();
        assert!(keys(&db).starts_with(&["a".to_owned(), "b".to_owned()]), "a stale log is not replayed");
        if commit {
            add(&db, "c");
        }
        assert_clean(&db);
        db.close().unwrap();
        assert!(!log_folder(&path).exists());
    }
    assert_eq!(keys(&Database::open(&path, quiet()).unwrap()), ["a", "b", "c"]);
}

#[test]
fn a_log_that_knows_more_than_the_file_is_never_cleared_away() {
    let (dir, path) = scratch();
    let [old, log] = ["old", "log"].map(|name| dir.path().join(name));
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "a");
    db.close().unwrap();
    fs::copy(&path, &old).unwrap();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "b");
    copy_folder(&log_folder(&path), &log);
    db.close().unwrap();
    // An old copy of the file comes back, beside the log of a later time.
    fs::copy(&old, &path).unwrap();
    copy_folder(&log, &log_folder(&path));
    let files = entries(&log_folder(&path));
    let db = Database::open(&path, read_only()).unwrap();
    assert_eq!(keys(&db), ["a"]);
    assert!(db.damage().unwrap().to_string().contains("-wal"));
    drop(db);
    let error = Database::open(&path, quiet()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LogMismatch);
    assert!(error.to_string().contains("-wal"), "{error}");
    assert_eq!(entries(&log_folder(&path)), files);
    // So it is with the log of another database.
    let other = dir.path().join("other.kitedb");
    let db = Database::open(&other, quiet()).unwrap();
    add(&db, "other");
    db.close().unwrap();
    copy_folder(&log, &log_folder(&other));
    let db = Database::open(&other, quiet()).unwrap();
    assert_eq!(code(db.transaction(|tx| tx.create_node(None))), ErrorCode::LogMismatch);
    db.close().unwrap();
    assert_eq!(entries(&log_folder(&other)), files);
    fs::remove_dir_all(log_folder(&other)).unwrap();
    let db = Database::open(&other, quiet()).unwrap();
    add(&db, "goes on");
}

#[test]
fn a_file_whose_log_is_missing_says_which_commits_are() {
    let (dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "a");
    db.checkpoint().unwrap();
    add(&db, "b");
    let copy = dir.path().join("copy.kitedb");
    fs::copy(&path, &copy).unwrap();
    let error = Database::open(&copy, quiet()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LogMismatch);
    assert!(error.to_string().contains("after log index 1"), "{error}");
    assert!(error.to_string().contains("copy.kitedb-wal"), "{error}");
    let reader = Database::open(&copy, read_only()).unwrap();
    assert_eq!(keys(&reader), ["a"]);
    assert!(!reader.check().unwrap().is_clean());
    assert!(reader.stats().unwrap().damage.is_some());
    drop(reader);
    // With its log beside it the copy is a database of its own.
    copy_folder(&log_folder(&path), &log_folder(&copy));
    let db = Database::open(&copy, quiet()).unwrap();
    assert_eq!(keys(&db), ["a", "b"]);
    db.close().unwrap();
    assert!(log_folder(&path).exists());
}

#[test]
fn what_else_lies_in_the_folder_of_the_log_is_left_alone() {
    let (_dir, path) = scratch();
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "a");
    fs::write(log_folder(&path).join("notes.txt"), "mine").unwrap();
    db.close().unwrap();
    assert_eq!(entries(&log_folder(&path)), ["notes.txt"]);
    let db = Database::open(&path, quiet()).unwrap();
    add(&db, "b");
    db.close().unwrap();
    assert_eq!(entries(&log_folder(&path)), ["notes.txt"]);
    assert_eq!(keys(&Database::open(&path, read_only()).unwrap()), ["a", "b"]);
}

// ---- size -----------------------------------------------------------------------------------------------------------------

/// A million updates of data that stay as many: the file stays as large as the data ask for.
#[test]
fn the_file_stays_bounded_under_a_million_updates() {
    const NODES: u64 = 20_000;
    const BATCH: u64 = 1_000;
    let (dir, path) = scratch();
    let options = OpenOptions::new()
        .sync_mode(SyncMode::Off)
        .checkpoint_log_bytes(512 << 10)
        .segment_max_bytes(1 << 20)
        .max_runs(2);
    let db = Database::open(&path, options).unwrap();
    db.transaction(|tx| -> Result<_> {
        for n in 0..NODES {
            let id = tx.create_node(Some(&format!("node {n}")))?;
            tx.add_edge(id, "SELF", id)?;
        }
        Ok(())
    })
    .unwrap();
    let value = tx_propkey(&db);
    let mut random = Random::new(1);
    let (mut largest_file, mut largest_log) = (0, 0);
    for batch in 0..1_000_000 / BATCH {
        db.transaction(|tx| -> Result<_> {
            for n in 0..BATCH {
                let id = NodeId(1 + random.below(NODES));
                match n % 50 {
                    // The node goes, and another one comes in its place with all that it had.
                    0 => {
                        let key = tx.node_key(id)?;
                        tx.delete_node(id)?;
                        tx.create_node_with(kitedb_core::NewNode::new().id(id).maybe_key(key.as_deref()))?;
                        tx.add_edge(id, "SELF", id)?;
                    }
                    1 => tx.delete_edge(id, "SELF", id).and_then(|()| tx.add_edge(id, "SELF", id))?,
                    2 => drop(tx.add_node_label(id, "L")? || tx.remove_node_label(id, "L")?),
                    _ => tx.set_node_prop(id, value, (batch * BATCH + n) as i64)?,
                }
            }
            Ok(())
        })
        .unwrap();
        if batch % 10 == 0 {
            let stats = db.stats().unwrap();
            largest_file = largest_file.max(stats.file_bytes);
            largest_log = largest_log.max(stats.log_bytes);
        }
    }
    assert_clean(&db);
    db.compact().unwrap();
    let stats = db.stats().unwrap();
    let data = stats.runs.iter().sum::<u64>();
    // A merge holds what it reads and what it writes, and so does a full set of tiers.
    let bound = 8 * data;
    println!("data {data}, file up to {largest_file}, log up to {largest_log}, {stats:?}");
    assert!(stats.bytes_checkpointed + stats.bytes_compacted > bound, "{stats:?}");
    assert!(largest_file < bound, "{largest_file} bytes of file at most, for {data} bytes of data");
    assert!(largest_log < 16 << 20, "{largest_log}");
    db.close().unwrap();
    assert_eq!(entries(dir.path()), ["a.kitedb"]);
    let at_rest = fs::metadata(&path).unwrap().len();
    assert!(at_rest < bound, "{at_rest} bytes at rest, for {data} bytes of data");
    let db = Database::open(&path, read_only()).unwrap();
    assert_eq!((db.snapshot().unwrap().count_nodes(), db.snapshot().unwrap().count_edges()), (NODES, NODES));
    assert_clean(&db);
}

/// Each session leaves a run, and nobody stays long enough to merge them in the background.
#[test]
fn sessions_that_commit_a_little_leave_few_runs() {
    let (_dir, path) = scratch();
    for (options, limit) in [(OpenOptions::new().sync_mode(SyncMode::Off), 7), (quiet().max_runs(2), 2)] {
        let _ = fs::remove_file(&path);
        for n in 0..80 {
            let db = Database::open(&path, options.clone()).unwrap();
            add_to_hub(&db, n);
            db.close().unwrap();
            let db = Database::open(&path, read_only()).unwrap();
            let stats = db.stats().unwrap();
            assert!(stats.runs.len() <= limit, "{stats:?}");
        }
        assert_hub(&Database::open(&path, read_only()).unwrap(), 80);
    }
}

/// A reader can look into a certain number of runs at once; no option makes there be more.
#[test]
fn a_node_with_edges_in_very_many_runs_reads_right() {
    let (_dir, path) = scratch();
    let db = Database::open(&path, quiet().auto_compaction(false)).unwrap();
    for n in 0..150 {
        add_to_hub(&db, n);
        db.checkpoint().unwrap();
        let view = db.snapshot().unwrap();
        let hub = view.node_by_key("hub").unwrap().unwrap();
        assert_eq!(view.out_neighbors(hub, AllTypes).unwrap().count() as u64, n + 1);
        if n % 10 == 0 {
            assert_hub(&db, n + 1);
        }
    }
    db.compact().unwrap();
    assert_hub(&db, 150);
}

fn add_to_hub(db: &Database, n: u64) {
    db.transaction(|tx| {
        let (hub, _) = tx.upsert_node("hub", &[])?;
        let id = tx.create_node(Some(&format!("{n}")))?;
        tx.add_edge(hub, "E", id)?;
        // Every third one loses its edge to the next, which brings it back.
        if n % 3 == 1 {
            let before = tx.node_by_key(&format!("{}", n - 1))?.unwrap();
            tx.delete_edge(hub, "E", before)?;
            tx.add_edge(hub, "E", before)?;
        }
        tx.set_edge_prop(hub, "E", id, "n", n as i64)
    })
    .unwrap();
}

fn assert_hub(db: &Database, count: u64) {
    let view = db.snapshot().unwrap();
    let hub = view.node_by_key("hub").unwrap().unwrap();
    assert_eq!(view.out_degree(hub, AllTypes).unwrap(), count);
    let mut found: Vec<_> = view.out_neighbors(hub, AllTypes).unwrap().map(|node| node.id()).collect();
    found.sort_unstable();
    let mut expected: Vec<_> = (0..count).map(|n| view.node_by_key(&format!("{n}")).unwrap().unwrap()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_clean(db);
}

fn tx_propkey(db: &Database) -> kitedb_core::PropKeyId {
    db.transaction(|tx| tx.propkey_id_or_create("value")).unwrap()
}

// ---- vectors ------------------------------------------------------------------------------------------------------

#[test]
fn vectors_that_lie_in_columns_are_read_changed_removed_and_merged_like_any() {
    let (_dir, path) = scratch();
    let mut model: Vec<[Option<Vec<f32>>; 2]> = vec![[None, None]; 900];
    let names = ["embedding", "rare"];
    let verify = |db: &Database, model: &[[Option<Vec<f32>>; 2]]| {
        let view = db.snapshot().unwrap();
        for (at, of_node) in model.iter().enumerate() {
            for (name, expected) in names.iter().zip(of_node) {
                let found = view.propkey_id(name).and_then(|key| view.node_vector(NodeId(at as u64 + 1), key).unwrap());
                assert_eq!(&found, expected, "{name} of node {}", at + 1);
            }
        }
        assert_eq!(view.count_vectors(), model.iter().flatten().flatten().count() as u64);
        assert_clean(db);
    };
    let db = Database::open(&path, quiet().auto_compaction(false)).unwrap();
    db.transaction(|tx| (0..900).try_for_each(|_| tx.create_node(None).map(drop))).unwrap();
    let mut random = Random::new(5);
    for round in 0..6u32 {
        db.transaction(|tx| -> Result<_> {
            for (at, of_node) in model.iter_mut().enumerate() {
                let node = NodeId(at as u64 + 1);
                // Most in the first round, few in the later ones, and removals of nearly all in one.
                let few = random.below(10) == 0;
                if round == 3 && !few && of_node[0].take().is_some() {
                    tx.delete_node_vector(node, names[0])?;
                } else if round == 0 && at % 3 != 0 || few {
                    let which = usize::from(random.below(20) == 0);
                    let floats = vec![at as f32 + round as f32 / 8.0; 3 + which];
                    tx.set_node_vector(node, names[which], &floats)?;
                    of_node[which] = Some(floats);
                }
            }
            Ok(())
        })
        .unwrap();
        verify(&db, &model);
        db.checkpoint().unwrap();
        verify(&db, &model);
        if round == 4 {
            db.compact().unwrap();
            verify(&db, &model);
        }
    }
    let digest = db.snapshot().unwrap().digest();
    db.close().unwrap();
    let db = Database::open(&path, quiet()).unwrap();
    db.compact().unwrap();
    verify(&db, &model);
    assert_eq!(db.snapshot().unwrap().digest(), digest);
}
