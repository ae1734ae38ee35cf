//! Primary, replica, or both are killed at random moments; what comes after goes on with what they left.

use super::{actor::Actor, stage::Stage, support_process::dump};
use kitedb_core::{SyncMode, Token};

const WAYS: [&str; 2] = ["follow", "pull"];

/// A replica at work, and the last state that it said it shows.
struct Following {
    actor: Actor,
    shown: Option<Token>,
}

impl Following {
    fn kill_nine(self, stage: &mut Stage) -> Option<Token> {
        let rest = stage.ledger.note_all(self.actor.kill_nine());
        rest.or(self.shown)
    }
}

fn start_replica(stage: &mut Stage) -> Following {
    let way = stage.choose(&WAYS);
    Following { actor: stage.start_replica("replica", "primary", way), shown: None }
}

/// The primary again: all that was acknowledged is there. The replica, at work or not: all of that, and the same.
fn settle(stage: &mut Stage, following: Option<Following>) {
    let reader = stage.reader("primary");
    let seen = dump(&reader.snapshot().unwrap());
    drop(reader);
    let primary = stage.primary("primary");
    assert_eq!(dump(&primary.snapshot().unwrap()), seen);
    stage.ledger.expect_all(&primary);
    stage.commit(&primary);
    let mut shown = None;
    if let Some(mut following) = following {
        // It goes on with the primary that is opened anew.
        while following.shown < primary.last_commit_token() {
            following.shown = Some(stage.hear_state(&following.actor));
        }
        shown = following.kill_nine(stage);
    }
    let replica = stage.replica("replica", "primary");
    assert!(replica.last_commit_token() >= shown, "it has shown {shown:?}");
    if replica.last_commit_token().is_none() {
        // It died before it had anything, and the log is cut.
        replica.replica_bootstrap_from_snapshot().unwrap();
    }
    stage.expect_caught_up(&replica, &primary);
    if stage.once_in(2) {
        primary.compact().unwrap();
    }
    primary.close().unwrap();
    if stage.once_in(2) {
        // A source that is closed has nothing new, and that is no error.
        assert_eq!(replica.replica_catch_up_once(10).unwrap(), 0);
    }
    replica.close().unwrap();
}

fn kill_again_and_again(mode: SyncMode) {
    let mut stage = Stage::new(mode, 5).with_window(8);
    let mut following: Option<Following> = None;
    for round in 0..stage.rounds {
        let primary = stage.start_primary("primary");
        // Now and then it dies while it opens.
        let commits = if round > 0 && stage.once_in(5) { 0 } else { 1 + stage.some_commits() };
        if following.is_none() && round > 0 && stage.once_in(2) {
            following = Some(start_replica(&mut stage));
        }
        stage.hear(&primary, commits);
        if following.is_none() {
            following = Some(start_replica(&mut stage));
        }
        stage.pause(30_000);
        match stage.random.below(4) {
            0 => {
                stage.ledger.note_all(primary.kill_nine());
            }
            1 => {
                following.take().unwrap().kill_nine(&mut stage);
                let mut again = start_replica(&mut stage);
                again.shown = Some(stage.hear_state(&again.actor));
                stage.pause(10_000);
                stage.ledger.note_all(primary.kill_nine());
                following = Some(again);
            }
            2 => {
                stage.ledger.note_all(primary.kill_nine());
                following.take().unwrap().kill_nine(&mut stage);
            }
            _ => {
                following.take().unwrap().kill_nine(&mut stage);
                stage.pause(10_000);
                stage.ledger.note_all(primary.kill_nine());
            }
        }
        // What they left may also be for the next ones to recover.
        if round + 1 == stage.rounds || !stage.once_in(4) {
            settle(&mut stage, following.take());
        }
    }
    println!("{mode:?}: {} rounds, {} commits acknowledged, 0 missing", stage.rounds, stage.ledger.acknowledged());
}

#[test]
fn killed_nodes_miss_nothing_acknowledged_in_full() {
    kill_again_and_again(SyncMode::Full);
}

#[test]
fn killed_nodes_miss_nothing_acknowledged_in_normal() {
    kill_again_and_again(SyncMode::Normal);
}

#[test]
fn killed_nodes_miss_nothing_acknowledged_in_off() {
    kill_again_and_again(SyncMode::Off);
}

/// Handles that fence each other, and a primary with its replica in one process, die like any other.
#[test]
fn many_handles_in_one_killed_process_lose_nothing_acknowledged() {
    for mode in [SyncMode::Full, SyncMode::Normal, SyncMode::Off] {
        let mut stage = Stage::new(mode, 3).with_window(8);
        for round in 0..stage.rounds {
            let process = match round % 2 {
                0 => stage.start_handles("primary"),
                _ => stage.start_pair("primary", "replica"),
            };
            let commits = 1 + stage.some_commits();
            stage.hear(&process, commits);
            stage.pause(20_000);
            stage.ledger.note_all(process.kill_nine());
            let following = (round % 2 == 0).then(|| start_replica(&mut stage));
            settle(&mut stage, following);
        }
    }
}
