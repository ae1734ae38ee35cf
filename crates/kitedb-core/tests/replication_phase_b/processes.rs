//! Other processes: one of them may lead a log, and dies with its lock.

use crate::{
    commit,
    support_process::{Child, child_args, code, hear, mode_of, tell},
    support_replication::{
        MODES, expect_error,
        folder::{Folder, commit_item, last_item, mode_name, primary_options, sidecar_of},
        primary_status,
    },
};
use kitedb_core::{Database, ErrorCode, ErrorKind, OpenOptions, SyncMode};

/// Not a test of its own: a process that holds a primary, and commits when told to.
#[test]
fn child_primary() {
    let Some(args) = child_args() else { return };
    let [path, mode] = args.as_slice() else { panic!("{args:?}") };
    let db = Database::open(path, primary_options(mode_of(mode))).unwrap();
    tell("open");
    let mut commits = 0;
    loop {
        match hear().as_str() {
            "commit" => {
                commits += 1;
                tell(commit_item(&db, "child", commits).unwrap());
            }
            "promote" => tell(db.primary_promote_to_next_epoch().unwrap()),
            _ => break,
        }
    }
    db.close().unwrap();
}

fn spawn(folder: &Folder, mode: SyncMode) -> Child {
    let mut child = Child::spawn("processes::child_primary", &[&folder.text("primary"), mode_name(mode)]);
    child.expect("open");
    child
}

#[test]
fn a_log_that_another_process_leads_is_locked() {
    for mode in MODES {
        let folder = Folder::new();
        let mut child = spawn(&folder, mode);
        child.say("commit");
        child.expect("1:1");
        let opened = Database::open(folder.path("primary"), primary_options(mode));
        let error = expect_error(opened, ErrorCode::Locked, "primary sidecar lock is held by another process");
        assert_eq!(error.kind(), ErrorKind::RetryLater);
        let disabled = OpenOptions::new().sync_mode(mode);
        assert_eq!(code(Database::open(folder.path("primary"), disabled)), ErrorCode::Locked);
        // Who reads is let in, and sees what was acknowledged.
        let reader = Database::open(folder.path("primary"), primary_options(mode).read_only(true)).unwrap();
        assert_eq!(last_item(&reader, "child"), 1);
        child.say("commit");
        child.expect("1:2");
        child.say("end");
        child.finish();
        let db = folder.primary("primary", mode);
        assert_eq!(last_item(&db, "child"), 2);
        commit(&db).unwrap();
    }
}

/// The file is another one, the sidecar is the same.
#[test]
fn a_sidecar_that_another_process_leads_is_not_shared_by_another_file() {
    let folder = Folder::new();
    let mut child = spawn(&folder, SyncMode::Full);
    let options = primary_options(SyncMode::Full).replication_sidecar_path(sidecar_of(&folder.path("primary")));
    let error = Database::open(folder.path("other"), options).unwrap_err();
    assert!(matches!(error.code(), ErrorCode::LogMismatch | ErrorCode::Locked), "{error:?}");
    child.say("end");
    child.finish();
}

#[test]
fn a_process_that_is_killed_gives_its_lock_back_and_what_it_acknowledged_stays() {
    for mode in MODES {
        let folder = Folder::new();
        let mut child = spawn(&folder, mode);
        for n in 1..=20 {
            child.say("commit");
            child.expect(&format!("1:{n}"));
        }
        child.say("promote");
        child.expect("2");
        child.say("commit");
        child.expect("2:21");
        child.kill_nine();
        let db = folder.primary("primary", mode);
        assert_eq!(last_item(&db, "child"), 21);
        let status = primary_status(&db);
        assert_eq!((status.epoch, status.head_log_index, status.fenced), (2, 21, false));
        assert_eq!(commit(&db).unwrap().to_string(), "2:22");
        db.close().unwrap();
        // Nothing said, it is what it was.
        let db = Database::open(folder.path("primary"), OpenOptions::new());
        assert_eq!(commit(&db.unwrap()).unwrap().to_string(), "2:23");
    }
}
