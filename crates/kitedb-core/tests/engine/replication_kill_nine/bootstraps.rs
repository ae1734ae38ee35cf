//! A replica is killed in the midst of a bootstrap: it comes up with the old graph or with the new one, and copies
//! again, going on where it was.

use super::{
    stage::{Stage, takes},
    support_process::{assert_clean, dump},
};
use kitedb_core::{SyncMode, compare};
use rustix::process::Signal;

fn kill_in_the_midst(mode: SyncMode) {
    let mut stage = Stage::new(mode, 4).with_window(8);
    for round in 0..stage.rounds {
        let primary = stage.start_primary("primary");
        let commits = 30 + stage.some_commits();
        stage.hear(&primary, commits);
        let replica = stage.start_replica("replica", "primary", "bootstrap");
        if stage.once_in(2) {
            stage.hear_state(&replica);
        }
        stage.pause(20_000);
        stage.ledger.note_all(replica.kill_nine());

        // Old or new: a graph that the primary had at that index. The new one may be of an earlier checkpoint, and not
        // have caught up yet.
        let replica = stage.replica("replica", "primary");
        stage.ledger.expect_sound(&replica);
        let source = stage.reader("primary");
        assert_ne!(compare(&replica, &source).unwrap().equal, Some(false));
        drop(source);
        replica.replica_bootstrap_from_snapshot().unwrap();
        // What comes next is kept for it from the first moment on.
        replica.replica_catch_up_once(1000).unwrap();
        stage.ledger.note_all(primary.kill_nine());
        let primary = stage.primary("primary");
        stage.ledger.expect_all(&primary);
        stage.expect_caught_up(&replica, &primary);
        replica.close().unwrap();
        primary.close().unwrap();
        if round % 3 == 2 {
            stage.forget("replica");
        }
    }
}

impl Stage {
    /// Removes a node's files.
    fn forget(&self, name: &str) {
        let path = self.folder.path(name);
        std::fs::remove_dir_all(crate::replication_kill_nine::folder::sidecar_of(&path)).unwrap();
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_replica_killed_in_a_bootstrap_is_old_or_new_in_full() {
    kill_in_the_midst(SyncMode::Full);
}

#[test]
fn a_replica_killed_in_a_bootstrap_is_old_or_new_in_normal() {
    kill_in_the_midst(SyncMode::Normal);
}

#[test]
fn a_replica_killed_in_a_bootstrap_is_old_or_new_in_off() {
    kill_in_the_midst(SyncMode::Off);
}

/// Bytes of a graph that is large enough for a copy to be remembered halfway.
const LARGE: u64 = 120 << 20;
/// After so many bytes it is.
const HALFWAY: u64 = 80 << 20;

/// The copy of a large graph, killed halfway, goes on there: the rest is written, and not all of it again.
#[test]
fn a_bootstrap_that_was_killed_goes_on_where_it_was() {
    let mut stage = Stage::new(SyncMode::Off, 1);
    let primary = stage.primary("primary");
    let mut bulk = primary.begin_bulk(64).unwrap();
    let piece = 128 << 10;
    for n in 0..LARGE / piece {
        let node = bulk.create_node(None).unwrap();
        let bytes: Vec<u8> = (0..piece).map(|at| (at * n) as u8).collect();
        bulk.set_node_prop(node, "bytes", bytes).unwrap();
        bulk.step().unwrap();
    }
    bulk.finish().unwrap();
    primary.checkpoint().unwrap();
    primary.compact().unwrap();
    // One may be through before it is seen to be halfway.
    let killed = (0..10).any(|_| {
        let copier = stage.start_copier("replica", "primary");
        let path = stage.folder.path("replica");
        while !takes(&path, HALFWAY) {
            std::thread::yield_now();
        }
        copier.signal(Signal::STOP);
        let killed = !copier.kill_nine().iter().any(|line| line.starts_with("wrote"));
        if !killed {
            stage.forget("replica");
        }
        killed
    });
    assert!(killed, "every copy was done before it could be killed");
    let replica = stage.replica("replica", "primary");
    assert_eq!(replica.last_commit_token(), None);
    replica.close().unwrap();

    let copier = stage.start_copier("replica", "primary");
    let lines = copier.finish();
    let wrote: u64 = lines.iter().find_map(|line| line.strip_prefix("wrote ")).unwrap().parse().unwrap();
    if cfg!(target_os = "linux") {
        assert!(wrote < LARGE - (HALFWAY - (20 << 20)), "{wrote} bytes were written again");
    }
    let replica = stage.replica("replica", "primary");
    assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
    assert_clean(&replica);
}
