//! A primary that is stopped, or restarted, or goes on while a replica takes over in another process: it acknowledges
//! nothing beyond what the promotion kept, and then nothing at all.

use super::stage::{Stage, won};
use kitedb_core::SyncMode;
use rustix::process::Signal;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Old {
    /// SIGSTOP, and SIGCONT once the other one leads.
    Stalled,
    /// As before, with its segments gone meanwhile.
    Pruned,
    GoesOn,
    /// Killed, and started again in the same moment.
    Restarted,
}

fn take_over_from(mode: SyncMode) {
    let mut stage = Stage::new(mode, 4);
    let (mut old, mut new) = ("a", "b");
    for round in 0..stage.rounds {
        let mut primary = stage.start_primary(old);
        let commits = 1 + stage.some_commits();
        stage.hear(&primary, commits);
        if stage.once_in(2) {
            // Else it has all of it to catch up with.
            let way = stage.choose(&["follow", "pull"]);
            let replica = stage.start_replica(new, old, way);
            stage.hear_state(&replica);
            stage.ledger.note_all(replica.kill_nine());
        }
        stage.pause(10_000);
        let what = match round % 4 {
            0 => Old::Stalled,
            1 => Old::GoesOn,
            2 => Old::Pruned,
            _ => Old::Restarted,
        };
        match what {
            Old::Stalled | Old::Pruned => stage.stop(&primary, old),
            Old::GoesOn => {}
            Old::Restarted => {
                stage.ledger.note_all(primary.kill_nine());
                primary = stage.start_primary(old);
                stage.pause(30_000);
            }
        }
        let promoter = stage.start_promoter(new, old, 2, "");
        let (epoch, kept) = loop {
            let line = promoter.line().unwrap();
            if let Some(won) = won(&line) {
                break won;
            }
            assert_eq!(line, "open");
        };
        if what == Old::Pruned {
            stage.remove_segments(old);
        }
        if matches!(what, Old::Stalled | Old::Pruned) {
            primary.signal(Signal::CONT);
        }
        stage.ledger.limit = Some(kept.log_index);
        let last_words = primary.finish();
        assert_eq!(last_words.last().map(String::as_str), Some("fenced"));
        stage.ledger.note_all(last_words);
        stage.ledger.limit = None;

        stage.hear(&promoter, 5);
        stage.pause(10_000);
        stage.ledger.note_all(promoter.kill_nine());
        assert_eq!(stage.ledger.last().unwrap().epoch.0, epoch);
        stage.expect_taken_over(new, old, what == Old::Pruned);
        (old, new) = (new, old);
    }
}

#[test]
fn an_old_primary_acknowledges_nothing_beyond_a_promotion_in_full() {
    take_over_from(SyncMode::Full);
}

#[test]
fn an_old_primary_acknowledges_nothing_beyond_a_promotion_in_normal() {
    take_over_from(SyncMode::Normal);
}

#[test]
fn an_old_primary_acknowledges_nothing_beyond_a_promotion_in_off() {
    take_over_from(SyncMode::Off);
}
