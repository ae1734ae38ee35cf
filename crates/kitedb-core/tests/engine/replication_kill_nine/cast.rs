//! The parts that child processes play. None is a test of its own: in the test itself each ends at once.

use super::{
    actor::enter,
    ledger::{commit_item, counter, tell_state},
    stage::Part,
    support_process::{Random, tell},
};
use kitedb_core::{Database, Error, ErrorCode, FollowerOptions, ReplicationRole, Result};
use std::{path::Path, thread, time::Duration};

/// A primary that commits for ever, or until it is fenced.
#[test]
fn primary() {
    let Some(part) = enter().map(Part::parse) else { return };
    // 0: it never closes in between.
    let commits: i64 = part.extra[0].parse().unwrap();
    loop {
        let db = Database::open(&part.path, part.options()).unwrap();
        tell("open");
        let fenced = lead(&db, part.writers, if commits == 0 { i64::MAX } else { commits });
        if fenced {
            tell_state(&db);
            tell("fenced");
        }
        db.close().unwrap();
        if fenced {
            return;
        }
    }
}

/// Commits with so many writers, so much each. Returns whether another node took over.
fn lead(db: &Database, writers: usize, commits: i64) -> bool {
    thread::scope(|scope| {
        let writers: Vec<_> = (0..writers).map(|writer| scope.spawn(move || write(db, writer, commits))).collect();
        let ended: Vec<Result<()>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        ended.into_iter().any(|end| end.is_err())
    })
}

/// Commits as one writer, and says what was acknowledged. The only error there may be is a fence.
fn write(db: &Database, writer: usize, commits: i64) -> Result<()> {
    let first = counter(db, writer) + 1;
    for n in first..first.saturating_add(commits) {
        match commit_item(db, writer, n) {
            Ok(token) => {
                assert!(db.last_commit_token() >= Some(token), "{token} was acknowledged and is not shown");
                tell(format_args!("ack {writer} {n} {token}"));
                tell_state(db);
            }
            Err(e) => {
                // And so it stays. A promotion that takes long leaves the commits that met it unknown: this one may count.
                let again = commit_item(db, writer, n).unwrap_err();
                if e.code() != ErrorCode::OutcomeUnknown {
                    expect_stale(&e);
                    expect_stale(&again);
                } else if again.code() != ErrorCode::DuplicateKey {
                    expect_stale(&again);
                }
                expect_stale(&commit_item(db, writer, n + 1).unwrap_err());
                return Err(e);
            }
        }
    }
    Ok(())
}

#[track_caller]
fn expect_stale(e: &Error) {
    assert_eq!(e.code(), ErrorCode::StalePrimary, "{e}");
    assert!(e.to_string().contains("stale primary"), "{e}");
}

/// A primary with a handle for each writer, which fence each other all the time.
#[test]
fn handles() {
    let Some(part) = enter().map(Part::parse) else { return };
    let _open = Database::open(&part.path, part.options()).unwrap();
    tell("open");
    thread::scope(|scope| {
        for writer in 0..part.writers {
            let part = &part;
            let mut random = Random::new(part.seed + writer as u64);
            scope.spawn(move || {
                let mut refused = None;
                loop {
                    let handle = Database::open(&part.path, part.options()).unwrap();
                    let last = counter(&handle, writer);
                    assert!(refused.is_none_or(|n| last < n), "commit {last} was refused as stale, and is there");
                    refused = write_and_promote(&handle, writer, last + 1, &mut random);
                }
            });
        }
    });
}

/// Commits until the handle is fenced; returns the commit that was refused, if it was one.
fn write_and_promote(handle: &Database, writer: usize, first: i64, random: &mut Random) -> Option<i64> {
    for n in first.. {
        match commit_item(handle, writer, n) {
            Ok(token) => tell(format_args!("ack {writer} {n} {token}")),
            Err(e) => {
                expect_stale(&e);
                return Some(n);
            }
        }
        if random.below(20) == 0
            && let Err(e) = handle.primary_promote_to_next_epoch()
        {
            expect_stale(&e);
            return None;
        }
    }
    None
}

/// A primary and its replica in one process.
#[test]
fn pair() {
    let Some(part) = enter().map(Part::parse) else { return };
    let db = Database::open(&part.path, part.options()).unwrap();
    let other = Part { path: part.extra[0].clone(), source: part.path.clone(), ..part.clone() };
    let replica = Database::open(&other.path, other.options()).unwrap();
    if replica.last_commit_token().is_none() {
        replica.replica_bootstrap_from_snapshot().unwrap();
    }
    replica.start_follower(FollowerOptions::default()).unwrap();
    tell("open");
    lead(&db, part.writers, i64::MAX);
}

/// A replica that follows in the background (`follow`), pulls by itself (`pull`), or copies its source again and again
/// (`bootstrap`).
#[test]
fn replica() {
    let Some(part) = enter().map(Part::parse) else { return };
    let db = Database::open(&part.path, part.options()).unwrap();
    tell("open");
    let mut random = Random::new(part.seed);
    if db.last_commit_token().is_none() {
        db.replica_bootstrap_from_snapshot().unwrap();
    }
    let way = part.extra[0].as_str();
    if way == "follow" {
        db.start_follower(FollowerOptions::default()).unwrap();
    }
    let mut shown = None;
    loop {
        match way {
            "pull" => drop(db.replica_catch_up_once(1 + random.below(300) as usize).unwrap()),
            "bootstrap" => db.replica_bootstrap_from_snapshot().unwrap(),
            _ => {}
        }
        let token = db.last_commit_token();
        if token != shown {
            shown = token;
            tell_state(&db);
        } else {
            thread::sleep(Duration::from_millis(1));
        }
        let status = db.replica_replication_status().unwrap().unwrap();
        assert!(!status.needs_reseed && status.last_error.is_none(), "{status:?}");
    }
}

/// A replica that copies its source once, and says how many bytes it wrote to files for that.
#[test]
fn copier() {
    let Some(part) = enter().map(Part::parse) else { return };
    let db = Database::open(&part.path, part.options()).unwrap();
    tell("open");
    let before = written_bytes();
    db.replica_bootstrap_from_snapshot().unwrap();
    tell(format_args!("wrote {}", written_bytes() - before));
    db.close().unwrap();
}

/// Bytes that this process has handed to `write` and the like.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).map_or(0, |n| n.parse().unwrap())
}

/// A replica that takes over: at once, or when the file appears that says so. Then it leads, and commits if it has
/// writers. Where the promotion of one that was killed is done, it leads already.
#[test]
fn promoter() {
    let Some(part) = enter().map(Part::parse) else { return };
    let db = match Database::open(&part.path, part.options()) {
        Err(e) if e.code() == ErrorCode::Locked => return tell(format_args!("lost {}", e.code().as_str())),
        Err(e) if e.code() == ErrorCode::RoleMismatch => return go_on(&part),
        db => db.unwrap(),
    };
    tell("open");
    let gate = Path::new(&part.extra[0]);
    while !part.extra[0].is_empty() && !gate.exists() {
        thread::yield_now();
    }
    match db.replica_promote(false) {
        Ok(promotion) => {
            assert!(promotion.source_fenced);
            tell(format_args!("won {} {}", promotion.epoch, promotion.last_kept));
            lead_for_ever(&db, part.writers);
        }
        Err(e) => tell(format_args!("lost {} {e}", e.code().as_str())),
    }
}

/// Leads where a promotion was done. If nobody was told of it, nothing was committed since.
fn go_on(part: &Part) {
    let db = match Database::open(&part.path, part.options().replication_role(ReplicationRole::Primary)) {
        Err(e) if e.code() == ErrorCode::Locked => return tell(format_args!("lost {}", e.code().as_str())),
        db => db.unwrap(),
    };
    tell("open");
    let status = db.primary_replication_status().unwrap().unwrap();
    assert!(!status.fenced, "{status:?}");
    tell(format_args!("won {} {}", status.epoch, db.last_commit_token().unwrap_or_default()));
    lead_for_ever(&db, part.writers);
}

fn lead_for_ever(db: &Database, writers: usize) {
    lead(db, writers, i64::MAX);
    loop {
        thread::park();
    }
}
