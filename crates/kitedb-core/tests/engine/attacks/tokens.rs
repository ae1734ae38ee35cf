//! Whose commit a token names: an epoch's number alone does not tell.

use super::{
    coming::confirm_moved_beside_its_original,
    stage::{Stage, add, copy_database, disabled, nothing_said, open_and_add, primary, replica_of},
    support_replication::{Graph, Machine, catch_up, folder::sidecar_of},
};
use kitedb_core::{
    Database, Epoch, ErrorCode, FollowerOptions, LogIndex, RepairOptions, SyncMode, Token, TokenWait, WriterTag,
};
use std::{fs, path::PathBuf, thread};

fn wait(db: &Database, token: Token) -> TokenWait {
    db.wait_for_token_outcome(token, 0).unwrap()
}

/// The token with the tag of a writer that never was.
fn of_nobody(token: Token) -> Token {
    token.with_tag(token.tag().map(|tag| WriterTag(!tag.0)))
}

fn tag(token: Token) -> WriterTag {
    token.tag().expect("a token that a node gave has a tag")
}

/// A primary and its copy, each of which leads an epoch 2 of its own from index 3 on.
fn rivals(stage: &Stage) -> (PathBuf, PathBuf) {
    let (one, other) = (stage.leading("one.kitedb"), stage.path("other.kitedb"));
    copy_database(&one, &other);
    confirm_moved_beside_its_original(&other);
    let db = Database::open(&one, primary()).unwrap();
    assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 2);
    db.close().unwrap();
    (one, other)
}

/// Both have a commit 2:3, and each takes the token of its own only, whatever was closed, folded or copied since.
#[test]
fn a_commit_of_a_rival_in_an_epoch_of_the_same_number_is_never_reached() {
    let stage = Stage::new();
    let (one, other) = rivals(&stage);
    let (own, others) =
        (open_and_add(&one, primary(), "own").unwrap(), open_and_add(&other, primary(), "others").unwrap());
    assert_eq!((own.to_string(), own), ("2:3".to_owned(), others));
    assert!(!own.agrees_with(others) && tag(own) != tag(others));
    let short: Token = own.to_string().parse().unwrap();

    let replica = stage.replica("replica.kitedb", &one);
    let as_replica = || Database::open(&replica, replica_of(&one)).unwrap();
    let as_reader = |path| Database::open(path, nothing_said().read_only(true)).unwrap();
    let expect = |db: &Database| {
        assert_eq!(db.last_commit_token().unwrap().full(), own.full());
        for (token, outcome) in [
            (own, TokenWait::Reached),
            (own.full().parse().unwrap(), TokenWait::Reached),
            // Without a tag it counts for either, as ever.
            (short, TokenWait::Reached),
            (others, TokenWait::EpochChanged),
            (others.full().parse().unwrap(), TokenWait::EpochChanged),
            (of_nobody(own), TokenWait::EpochChanged),
        ] {
            assert_eq!(wait(db, token), outcome, "{}", token.full());
            assert_eq!(db.wait_for_token(token, 0).unwrap(), outcome == TokenWait::Reached);
        }
        // Nor will it be: there is nothing to wait for.
        let next = |token: Token| Token::new(token.epoch, LogIndex(token.log_index.0 + 5)).with_tag(token.tag());
        assert_eq!(wait(db, next(own)), TokenWait::TimedOut);
        assert_eq!(wait(db, next(short)), TokenWait::TimedOut);
        assert_eq!(wait(db, next(others)), TokenWait::EpochChanged);
    };
    for db in [Database::open(&one, primary()).unwrap(), as_replica(), as_reader(&one), as_reader(&replica)] {
        expect(&db);
        db.close().unwrap();
    }
    // What is in the file alone, and what only the log has.
    let db = Database::open(&one, primary()).unwrap();
    db.checkpoint().unwrap();
    expect(&db);
    let later = add(&db, "later").unwrap();
    assert_eq!(tag(later), tag(own));
    let reader = as_reader(&one);
    for db in [&db, &reader] {
        assert_eq!([own, later].map(|token| wait(db, token)), [TokenWait::Reached; 2]);
        assert_eq!([others, of_nobody(later)].map(|token| wait(db, token)), [TokenWait::EpochChanged; 2]);
    }
}

/// Of every epoch that was led, whoever asks and when: against what happened, written down as it did.
#[test]
fn every_token_is_told_apart_by_whoever_has_the_history() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (mut primary, mut graph) = (a.primary(), Graph::new(7));
    let replica = b.replica_of(&a);
    let mut given: Vec<Token> = Vec::new();
    for round in 0..12u64 {
        match round % 4 {
            1 => assert!(primary.primary_promote_to_next_epoch().unwrap() > 1),
            2 => primary.checkpoint().unwrap(),
            3 => {
                primary.close().unwrap();
                primary = a.primary();
            }
            _ => {}
        }
        given.extend((0..=round % 3).map(|_| graph.commit(&primary)));
        if round % 2 == 0 {
            catch_up(&replica);
            replica.checkpoint().unwrap();
        }
    }
    catch_up(&replica);
    let tags: Vec<WriterTag> = given.iter().map(|token| tag(*token)).collect();
    let (leads, last) = (given.last().unwrap().epoch.0, given.len() as u64);
    let writer = |epoch: u64| given.iter().rfind(|token| token.epoch.0 == epoch).map(|token| tag(*token));
    let expected = |token: Token| match given.get((token.log_index.0 as usize).wrapping_sub(1)) {
        _ if token.log_index == LogIndex(0) => TokenWait::Reached,
        Some(there) if *there == token && token.tag().is_none_or(|own| own == tag(*there)) => TokenWait::Reached,
        Some(_) => TokenWait::EpochChanged,
        None if token.epoch.0 < leads => TokenWait::EpochChanged,
        None if token.epoch.0 == leads && token.tag().is_some_and(|own| Some(own) != writer(leads)) => {
            TokenWait::EpochChanged
        }
        None => TokenWait::TimedOut,
    };
    let mut asked = 0;
    for (db, name) in [(&primary, "primary"), (&replica, "replica")] {
        for index in 0..=last + 2 {
            for epoch in 0..=leads + 1 {
                let tags = tags.iter().copied().chain([WriterTag(0)]).map(Some).chain([None]);
                for token in tags.map(|tag| Token::new(Epoch(epoch), LogIndex(index)).with_tag(tag)) {
                    assert_eq!(wait(db, token), expected(token), "{} on the {name}", token.full());
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 1000 && leads > 3);
}

/// Who waits for a rival's commit is told as soon as a frame says that the epoch is another node's.
#[test]
fn a_wait_for_a_rivals_commit_ends_when_the_epoch_turns_out_to_be_anothers() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let db = Database::open(&path, primary()).unwrap();
    let replica = stage.path("r.kitedb");
    let replica = Database::open(&replica, replica_of(&path)).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    // Nothing has told yet whose epoch 2 is.
    let of_a_rival = Token::new(Epoch(2), LogIndex(90)).with_tag(WriterTag(7));
    assert_eq!(wait(&replica, of_a_rival), TokenWait::TimedOut);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| replica.wait_for_token_outcome(of_a_rival, 3_600_000).unwrap());
        replica.start_follower(FollowerOptions::default()).unwrap();
        db.primary_promote_to_next_epoch().unwrap();
        let token = add(&db, "c").unwrap();
        assert!(replica.wait_for_token(token, 60_000).unwrap());
        assert_eq!(waiting.join().unwrap(), TokenWait::EpochChanged);
    });
    replica.stop_follower().unwrap();
}

/// A token of before it is not one of the database that a copy becomes: what is committed there is another history.
#[test]
fn a_detached_database_takes_no_tagged_token_of_its_original() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let before = Database::open(&path, primary()).unwrap().last_commit_token().unwrap();
    let detached = Database::detach(&path).unwrap().last_token.unwrap();
    let db = Database::open(&path, disabled()).unwrap();
    assert_eq!((detached, tag(detached)), (before, tag(db.last_commit_token().unwrap())));
    assert_eq!((wait(&db, before), wait(&db, detached)), (TokenWait::EpochChanged, TokenWait::Reached));
    let next = add(&db, "c").unwrap();
    assert_eq!(tag(next), tag(detached));
}

/// Nobody wrote what is before the first commit, and an empty transaction names the commit that it saw.
#[test]
fn what_commits_nothing_gives_the_token_of_what_it_saw() {
    let stage = Stage::new();
    let db = Database::open(stage.path("new.kitedb"), disabled()).unwrap();
    assert_eq!(db.last_commit_token(), None);
    assert_eq!(db.snapshot().unwrap().token().tag(), None);
    assert_eq!(db.begin().unwrap().commit().unwrap().tag(), None);
    let first = add(&db, "a").unwrap();
    for token in [db.begin().unwrap().commit().unwrap(), db.snapshot().unwrap().token(), db.stats().unwrap().token] {
        assert_eq!(token.full(), first.full());
    }
    let other = db.clone();
    db.close().unwrap();
    assert_eq!(other.wait_for_token_outcome(first, 0).unwrap_err().code(), ErrorCode::Closed);
}

/// A repair is told what to give up by the token of that very history.
#[test]
fn a_cut_at_the_token_of_a_rival_is_refused() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let last = Database::open(&path, primary()).unwrap().last_commit_token().unwrap();
    let cut = |token: Token| Database::repair(&path, RepairOptions::new().cut_at(token));
    let refused = cut(of_nobody(last)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    for told in [last, of_nobody(last)] {
        assert!(refused.to_string().contains(&told.full()), "{refused}");
    }
    assert_eq!((refused.token(), refused.found()), (Some(last), Some(&*of_nobody(last).full())));
    let short: Token = last.to_string().parse().unwrap();
    for token in [last, short] {
        assert!(!cut(token).unwrap().done);
    }
}

/// The same where commits do lie behind damage.
#[test]
fn a_cut_of_what_lies_behind_damage_needs_the_token_of_that_very_history() {
    let stage = Stage::new();
    let path = stage.path("p.kitedb");
    let db = Database::open(&path, primary().auto_checkpoint(false).background(false)).unwrap();
    let tokens: Vec<Token> = (0..5).map(|n| add(&db, &format!("key {n}")).unwrap()).collect();
    let copied = stage.folder("copied").join("p.kitedb");
    copy_database(&path, &copied);
    let segment = fs::read_dir(sidecar_of(&copied)).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("segment-")).max();
    let segment = segment.unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(5).rposition(|text| text == b"key 3").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let options = || RepairOptions::new().dry_run(true);
    let found = Database::repair(&copied, options()).unwrap();
    let asked = found.asks_for.unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(asked.full(), tokens[2].full());
    let refused = Database::repair(&copied, options().cut_at(of_nobody(asked))).unwrap_err();
    assert_eq!((refused.code(), refused.token()), (ErrorCode::Corrupt, Some(asked)));
    assert!(refused.to_string().contains(&asked.full()), "{refused}");
    for token in [asked, asked.to_string().parse().unwrap()] {
        Database::repair(&copied, options().cut_at(token)).unwrap();
    }
}

/// A wait holds nothing up, and ends, where it is asked by many at once.
#[test]
fn tagged_waits_in_many_threads_end_with_what_is_so() {
    let stage = Stage::new();
    let db = Database::open(stage.path("p.kitedb"), primary()).unwrap();
    let first = add(&db, "first").unwrap();
    thread::scope(|scope| {
        let waits: Vec<_> = (2..20)
            .map(|index| {
                let token = Token::new(first.epoch, LogIndex(index)).with_tag(first.tag());
                let (own, others) = (db.clone(), db.clone());
                let reached = scope.spawn(move || own.wait_for_token_outcome(token, 60_000).unwrap());
                let rival = of_nobody(token);
                (reached, scope.spawn(move || others.wait_for_token_outcome(rival, 60_000).unwrap()))
            })
            .collect();
        for n in 2..20 {
            add(&db, &format!("{n}")).unwrap();
        }
        for (reached, rival) in waits {
            assert_eq!((reached.join().unwrap(), rival.join().unwrap()), (TokenWait::Reached, TokenWait::EpochChanged));
        }
    });
}
