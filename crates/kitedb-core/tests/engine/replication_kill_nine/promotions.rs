//! Promotions that are killed, tried again, and raced: exactly one node leads, with all that was acknowledged.

use super::{
    actor::Actor,
    stage::{Stage, won},
};
use kitedb_core::{SyncMode, Token};
use rustix::process::Signal;

const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

/// The old primary ends, having acknowledged nothing beyond what was kept.
fn conclude(stage: &mut Stage, primary: Option<Actor>, kept: Token) {
    let Some(primary) = primary else { return };
    primary.signal(Signal::CONT);
    stage.ledger.limit = Some(kept.log_index);
    stage.ledger.note_all(primary.finish());
    stage.ledger.limit = None;
}

#[test]
fn a_promotion_that_is_killed_is_completed_by_another_attempt() {
    for mode in MODES {
        let mut stage = Stage::new(mode, 3);
        let (mut old, mut new) = ("a", "b");
        for round in 0..stage.rounds {
            stage.ledger.scene = format!("the primary of round {round}");
            let primary = stage.start_primary(old);
            let commits = 1 + stage.some_commits();
            stage.hear(&primary, commits);
            stage.pause(10_000);
            let primary = match round % 3 {
                0 => {
                    stage.stop(&primary, old);
                    Some(primary)
                }
                1 => Some(primary),
                _ => {
                    stage.ledger.note_all(primary.kill_nine());
                    None
                }
            };
            let mut said = Vec::new();
            for _ in 0..1 + stage.random.below(3) {
                let writers = stage.random.below(2) as usize;
                let promoter = stage.start_promoter(new, old, writers, "");
                // It dies while it opens, promotes, or leads.
                let within = stage.choose(&[10_000, 30_000, 100_000]);
                stage.pause(within);
                said.extend(promoter.kill_nine());
            }
            // Whatever became of those.
            let promoter = stage.start_promoter(new, old, 2, "");
            loop {
                let line = promoter.line().unwrap();
                assert!(!line.starts_with("lost"), "{line}");
                said.push(line);
                if won(said.last().unwrap()).is_some() {
                    break;
                }
            }
            // The first one that was done said what was kept of the old primary's commits.
            let (_, kept) = said.iter().find_map(|line| won(line)).unwrap();
            conclude(&mut stage, primary, kept);
            stage.ledger.scene = format!("the promoters of round {round}: {said:?}");
            stage.ledger.note_all(said);
            stage.hear(&promoter, 5);
            stage.ledger.note_all(promoter.kill_nine());
            stage.ledger.scene = format!("who looks after round {round}");
            stage.expect_taken_over(new, old, false);
            (old, new) = (new, old);
        }
    }
}

/// How each of these ended: the one that leads, and what it said.
fn outcome(racers: &[Actor]) -> Vec<String> {
    let end = |racer: &Actor| loop {
        match racer.line() {
            Some(line) if line == "open" => {}
            line => break line.unwrap_or_default(),
        }
    };
    racers.iter().map(end).collect()
}

#[test]
fn of_several_replicas_that_race_exactly_one_leads() {
    for mode in MODES {
        let mut stage = Stage::new(mode, 2);
        let mut names = ["a", "b", "c", "d"];
        for round in 0..stage.rounds {
            let old = names[0];
            let primary = stage.start_primary(old);
            let commits = 1 + stage.some_commits();
            stage.hear(&primary, commits);
            if stage.once_in(2) {
                stage.stop(&primary, old);
            }
            let gate = stage.folder.text(&format!("gate {round}"));
            let mut racers: Vec<Actor> =
                names[1..].iter().map(|name| stage.start_promoter(name, old, 1, &gate)).collect();
            for racer in &racers {
                assert_eq!(racer.line().as_deref(), Some("open"));
            }
            std::fs::write(&gate, "").unwrap();
            let killed = stage.once_in(2).then(|| {
                stage.pause(20_000);
                (names[3], racers.pop().unwrap().kill_nine())
            });
            let mut lines = outcome(&racers);
            racers.truncate(names.len() - 1);
            if let Some((name, said)) = killed {
                let alone = !lines.iter().any(|line| won(line).is_some());
                assert!(said.iter().all(|line| won(line).is_none()) || alone, "{said:?} {lines:?}");
                // Whoever died halfway stands where it stood: either it had fenced the source, and leads now, or not.
                let again = stage.start_promoter(name, old, 1, "");
                let line = outcome(std::slice::from_ref(&again)).remove(0);
                assert_eq!(won(&line).is_some(), alone, "{line} {lines:?}");
                lines.push(line);
                racers.push(again);
                let kept = said.iter().chain(&lines).find_map(|line| won(line)).unwrap().1;
                conclude(&mut stage, Some(primary), kept);
                stage.ledger.note_all(said);
            } else {
                let kept = lines.iter().find_map(|line| won(line)).expect("one leads").1;
                conclude(&mut stage, Some(primary), kept);
            }
            let winners: Vec<usize> = (0..3).filter(|at| won(&lines[*at]).is_some()).collect();
            assert_eq!(winners.len(), 1, "{lines:?}");
            for line in lines.iter().filter(|line| won(line).is_none()) {
                assert!(line.starts_with("lost STALE_PRIMARY") || line.starts_with("lost LOCKED"), "{line}");
            }
            let winner = racers.swap_remove(winners[0]);
            stage.hear(&winner, 5);
            stage.ledger.note_all(winner.kill_nine());
            for racer in racers {
                racer.finish();
            }
            names.swap(0, winners[0] + 1);
            // The others follow it.
            for name in &names[1..] {
                stage.expect_taken_over(names[0], name, false);
            }
        }
    }
}

#[test]
fn of_several_processes_that_race_on_one_replica_exactly_one_leads() {
    for mode in MODES {
        let mut stage = Stage::new(mode, 2);
        let (mut old, mut new) = ("a", "b");
        for _ in 0..stage.rounds {
            let primary = stage.start_primary(old);
            let commits = 1 + stage.some_commits();
            stage.hear(&primary, commits);
            stage.pause(5_000);
            let mut racers: Vec<Actor> = (0..4).map(|_| stage.start_promoter(new, old, 1, "")).collect();
            let lines = outcome(&racers);
            let winners: Vec<usize> = (0..4).filter(|at| won(&lines[*at]).is_some()).collect();
            assert_eq!(winners.len(), 1, "{lines:?}");
            for line in lines.iter().filter(|line| won(line).is_none()) {
                assert!(line.starts_with("lost LOCKED"), "{line}");
            }
            let (_, kept) = won(&lines[winners[0]]).unwrap();
            conclude(&mut stage, Some(primary), kept);
            let winner = racers.swap_remove(winners[0]);
            stage.hear(&winner, 5);
            stage.ledger.note_all(winner.kill_nine());
            stage.expect_taken_over(new, old, false);
            (old, new) = (new, old);
        }
    }
}
