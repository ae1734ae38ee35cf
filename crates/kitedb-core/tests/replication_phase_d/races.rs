//! Promotions that race, with each other and with commits in flight: exactly one writer, and nothing acknowledged lost.

use crate::{
    support::gate::{At, Gate},
    support_replication::{
        MODES, catch_up, expect_fenced,
        folder::{Folder, commit_item, commit_items, eventually, last_item, primary_options, replica_options},
        primary_status, replica_status, write,
    },
};
use kitedb_core::{Database, ErrorCode, GraphRead, Result, SyncMode, Token};
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Runs each of `racers` in a thread of its own, all from the same moment.
fn race<T: Send>(racers: &[Database], run: impl Fn(&Database) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(racers.len());
    thread::scope(|scope| {
        let threads: Vec<_> = racers
            .iter()
            .map(|db| {
                let (start, run) = (&start, &run);
                scope.spawn(move || {
                    start.wait();
                    run(db)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// The one that won; every other one was told that another leads.
#[track_caller]
fn winner<T: std::fmt::Debug>(results: &[Result<T>]) -> usize {
    let won: Vec<usize> = (0..results.len()).filter(|at| results[*at].is_ok()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    for lost in results.iter().filter_map(|r| r.as_ref().err()) {
        assert_eq!(lost.code(), ErrorCode::StalePrimary, "{lost:?}");
    }
    won[0]
}

/// Commits until that fails because another leads; returns what was acknowledged.
fn commit_until_fenced(db: &Database, writer: &str, acknowledged: &AtomicUsize) -> Vec<Token> {
    let mut tokens = Vec::new();
    for n in last_item(db, writer) + 1.. {
        match commit_item(db, writer, n) {
            Ok(token) => tokens.push(token),
            Err(e) => {
                assert_eq!(e.code(), ErrorCode::StalePrimary, "{e:?}");
                break;
            }
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    tokens
}

#[test]
fn of_several_handles_one_wins_and_only_that_one_writes() {
    for mode in MODES {
        let folder = Folder::new();
        for round in 1..=20 {
            let handles: Vec<Database> = (0..4).map(|_| folder.primary("primary", mode)).collect();
            let results = race(&handles, Database::primary_promote_to_next_epoch);
            let won = winner(&results);
            assert_eq!(*results[won].as_ref().unwrap(), round + 1);
            for (at, handle) in handles.iter().enumerate() {
                if at == won {
                    assert_eq!(write(handle).unwrap().epoch.0, round + 1);
                } else {
                    expect_fenced(handle);
                }
            }
        }
    }
}

#[test]
fn commits_in_flight_during_a_promotion_are_in_the_history_or_refused() {
    for mode in MODES {
        let folder = Folder::new();
        let replica_of = |name| folder.replica(name, "primary", mode);
        for round in 0..5 {
            let (old, new) = (folder.primary("primary", mode), folder.primary("primary", mode));
            let acknowledged = AtomicUsize::new(0);
            let writers: Vec<String> = (0..3).map(|w| format!("writer {round} {w}")).collect();
            let (tokens, epoch, end) = thread::scope(|scope| {
                let threads: Vec<_> = writers
                    .iter()
                    .map(|writer| {
                        let (old, acknowledged) = (&old, &acknowledged);
                        scope.spawn(move || commit_until_fenced(old, writer, acknowledged))
                    })
                    .collect();
                eventually("there are commits in flight", || acknowledged.load(Ordering::SeqCst) > 30);
                let epoch = new.primary_promote_to_next_epoch().unwrap();
                let end = primary_status(&new).head_log_index;
                let tokens: Vec<Vec<Token>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
                (tokens, epoch, end)
            });
            assert_eq!(epoch, round + 2);
            for (writer, tokens) in writers.iter().zip(&tokens) {
                assert!(tokens.iter().all(|t| t.epoch.0 == epoch - 1 && t.log_index.0 <= end), "{end}: {tokens:?}");
                assert_eq!(last_item(&new, writer), tokens.len() as i64);
            }
            assert_eq!(write(&new).unwrap(), Token::new(kitedb_core::Epoch(epoch), (end + 1).into()));
            old.close().unwrap();
            new.close().unwrap();
        }
        let primary = folder.primary("primary", mode);
        let replica = replica_of("replica");
        catch_up(&replica);
        assert_eq!(replica_status(&replica).digest, primary_status(&primary).digest);
    }
}

#[test]
fn a_replica_that_takes_over_amid_commits_has_all_that_were_acknowledged() {
    for mode in MODES {
        let folder = Folder::new();
        let options = primary_options(mode).replication_segment_max_bytes(32 << 10).checkpoint_log_bytes(64 << 10);
        let mut names: Vec<String> = vec!["node 0".into()];
        let mut old = Database::open(folder.path("node 0"), options).unwrap();
        let mut written: Vec<(String, usize)> = Vec::new();
        for round in 1..=4 {
            let name = format!("node {round}");
            let new = folder.replica(&name, &names[round - 1], mode);
            new.replica_bootstrap_from_snapshot().unwrap();
            let acknowledged = AtomicUsize::new(0);
            let writers: Vec<String> = (0..3).map(|w| format!("writer {round} {w}")).collect();
            let (tokens, kept) = thread::scope(|scope| {
                let threads: Vec<_> = writers
                    .iter()
                    .map(|writer| {
                        let (old, acknowledged) = (&old, &acknowledged);
                        scope.spawn(move || commit_until_fenced(old, writer, acknowledged))
                    })
                    .collect();
                eventually("there are commits in flight", || acknowledged.load(Ordering::SeqCst) > 30);
                let promotion = new.replica_promote(false).unwrap();
                assert!(promotion.source_fenced);
                let tokens: Vec<Vec<Token>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
                (tokens, promotion.last_kept)
            });
            for (writer, tokens) in writers.iter().zip(&tokens) {
                assert!(tokens.iter().all(|t| *t <= kept), "{kept}: {tokens:?}");
                written.push((writer.clone(), tokens.len()));
            }
            for (writer, count) in &written {
                // A commit whose outcome its caller never learned may be there, too.
                assert!(last_item(&new, writer) as usize - count <= 1);
            }
            write(&new).unwrap();
            expect_fenced(&old);
            old.close().unwrap();
            names.push(name);
            old = new;
        }
        assert!(old.check().unwrap().is_clean());
    }
}

#[test]
fn of_two_replicas_one_takes_over_and_the_other_follows_it() {
    for mode in MODES {
        let folder = Folder::new();
        let old = folder.primary("old", mode);
        commit_items(&old, "w", 20);
        let names = ["a", "b", "c"];
        let racers: Vec<Database> = names.iter().map(|name| folder.replica(name, "old", mode)).collect();
        racers[0].replica_catch_up_once(7).unwrap();
        let results = race(&racers, |db| db.replica_promote(false));
        let won = winner(&results);
        let promotion = results[won].as_ref().unwrap();
        assert_eq!((promotion.epoch, promotion.last_kept.to_string()), (2, "1:20".into()));
        assert_eq!(write(&racers[won]).unwrap().to_string(), "2:21");
        expect_fenced(&old);
        for (at, other) in racers.iter().enumerate().filter(|(at, _)| *at != won) {
            assert_eq!(write(other).unwrap_err().code(), ErrorCode::ReplicaReadOnly, "{}", names[at]);
            other.replica_repoint(folder.path(names[won]), None).unwrap();
            catch_up(other);
            assert_eq!(replica_status(other).digest, primary_status(&racers[won]).digest);
            assert!(!replica_status(other).needs_reseed);
        }
    }
}

/// The primary begins another epoch at the moment at which its replica takes over.
#[test]
fn a_primary_and_its_replica_cannot_both_lead() {
    for mode in MODES {
        for round in 0..10 {
            let folder = Folder::new();
            let old = folder.primary("old", mode);
            commit_items(&old, "w", 3);
            let new = folder.replica("new", "old", mode);
            if round % 2 == 0 {
                catch_up(&new);
            }
            let results = race(&[old.clone(), new.clone()], |db| match db.primary_replication_status().unwrap() {
                Some(_) => db.primary_promote_to_next_epoch(),
                None => db.replica_promote(false).map(|p| p.epoch),
            });
            let can_write = [write(&old), write(&new)].map(|result| result.map_err(|e| e.code()));
            match &can_write {
                [Err(ErrorCode::StalePrimary), Ok(token)] => {
                    assert_eq!(token.epoch.0, *results[1].as_ref().unwrap());
                    assert!(Some(token.epoch.0) > results[0].as_ref().ok().copied());
                }
                [Ok(token), Err(ErrorCode::ReplicaReadOnly)] => {
                    assert_eq!(token.epoch.0, *results[0].as_ref().unwrap());
                    assert!(results[1].is_err());
                }
                other => panic!("{other:?} after {results:?}"),
            }
            assert_eq!(last_item(if can_write[0].is_ok() { &old } else { &new }, "w"), 3);
        }
    }
}

/// One handle promotes again and again while others open, write and close.
#[test]
fn handles_that_come_and_go_find_one_leader() {
    let folder = Folder::new();
    let leader = folder.primary("primary", SyncMode::Normal);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = Token::default();
                while !stop.load(Ordering::SeqCst) {
                    let handle = folder.primary("primary", SyncMode::Normal);
                    for _ in 0..5 {
                        match write(&handle) {
                            Ok(token) => {
                                assert!(token > last, "{token} after {last}");
                                last = token;
                            }
                            Err(e) => {
                                assert_eq!(e.code(), ErrorCode::StalePrimary, "{e:?}");
                                break;
                            }
                        }
                    }
                    handle.close().unwrap();
                }
            });
        }
        for epoch in 2..40 {
            assert_eq!(leader.primary_promote_to_next_epoch().unwrap(), epoch);
            assert_eq!(write(&leader).unwrap().epoch.0, epoch);
        }
        stop.store(true, Ordering::SeqCst);
    });
    let replica = folder.replica("replica", "primary", SyncMode::Normal);
    catch_up(&replica);
    assert_eq!(replica_status(&replica).digest, primary_status(&leader).digest);
    assert_eq!(replica_status(&replica).applied_epoch, 39);
}

/// A checkpoint that looks at the fence just before another node moves it writes frames that this node has not
/// published, because it does not know yet that they count. It used to show the digest of those under the index of
/// what was published.
#[test]
fn a_checkpoint_beside_a_promotion_shows_what_it_has_written() {
    let folder = Folder::new();
    let (old, new) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let options = primary_options(SyncMode::Full).background(false);
    let primary = Database::open_in(old.env(), folder.path("old"), options).unwrap();
    primary.transaction(|tx| tx.create_node(None)).unwrap();
    let replica = Database::open_in(
        new.env(),
        folder.path("new"),
        replica_options(SyncMode::Full, &folder.path("old")).background(false),
    )
    .unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    let before = primary.snapshot().unwrap();
    thread::scope(|scope| {
        // A commit waits for the disk, and a checkpoint that begins then waits with it.
        old.shut(At::Sync, ".klog");
        let commit = scope.spawn(|| commit_item(&primary, "a", 1));
        old.wait_for_someone();
        let checkpoint = scope.spawn(|| primary.checkpoint());
        thread::sleep(Duration::from_millis(100));
        // Another node has moved the fence, and waits for its own disk before it says where the epoch ends.
        new.shut(At::Write, ".klog");
        let promotion = scope.spawn(|| replica.replica_promote(false));
        new.wait_for_someone();
        old.open();
        let checkpoint = checkpoint.join().unwrap();
        let view = primary.snapshot().unwrap();
        new.open();
        checkpoint.unwrap();
        assert_eq!(view.token().log_index.0, before.token().log_index.0 + 1);
        assert_eq!(view.count_nodes(), before.count_nodes() + 2);
        let token = commit.join().unwrap().unwrap();
        let promotion = promotion.join().unwrap().unwrap();
        assert_eq!((promotion.last_kept, view.token()), (token, token));
        assert_eq!(replica.snapshot().unwrap().digest(), view.digest());
    });
}
