//! Promotions across processes: killed, stopped and continued, and several at once.

use crate::{
    support_process::{Child, Random, assert_clean, child_args, dump, hear, mode_of, tell},
    support_replication::{
        MODES, catch_up, expect_error, expect_fenced,
        folder::{
            Folder, commit_item, commit_items, last_item, mode_name, primary_options, replica_options, sidecar_of,
            signal,
        },
        primary_status, replica_status, write,
    },
};
use kitedb_core::{Database, ErrorCode, SyncMode, Token};
use std::{fs, path::Path, thread, time::Duration};

/// Not a test of its own: a primary that commits from several threads until it is fenced, and says what was acknowledged.
#[test]
fn child_primary() {
    let Some(args) = child_args() else { return };
    let [path, mode, writers] = args.as_slice() else { panic!("{args:?}") };
    let options = primary_options(mode_of(mode)).replication_segment_max_bytes(64 << 10);
    let primary = Database::open(path, options).unwrap();
    tell(std::process::id());
    thread::scope(|scope| {
        for writer in 0..writers.parse::<usize>().unwrap() {
            let (primary, writer) = (&primary, format!("w{writer}"));
            scope.spawn(move || {
                for n in last_item(primary, &writer) + 1.. {
                    match commit_item(primary, &writer, n) {
                        Ok(token) => tell(format_args!("{writer} {n} {token}")),
                        Err(e) => {
                            tell(format_args!("end {writer} {} {e}", e.code().as_str()));
                            break;
                        }
                    }
                }
            });
        }
    });
    assert!(primary_status(&primary).fenced);
    assert_eq!(write(&primary).unwrap_err().code(), ErrorCode::StalePrimary);
    primary.close().unwrap();
}

struct OldPrimary {
    child: Child,
    id: String,
}

impl OldPrimary {
    fn spawn(folder: &Folder, mode: SyncMode, writers: usize) -> Self {
        let args = [&folder.text("old"), mode_name(mode), &writers.to_string()];
        let mut child = Child::spawn("processes::child_primary", &args);
        let id = child.line().unwrap();
        Self { child, id }
    }
}

/// What was acknowledged: the last number of each writer, and the greatest token.
#[derive(Debug, Default)]
struct Acknowledged {
    items: std::collections::BTreeMap<String, i64>,
    token: Token,
    ended: usize,
}

impl Acknowledged {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "end" {
            assert_eq!(words[2], "STALE_PRIMARY", "{line}");
            assert!(line.contains("stale primary"), "{line}");
            self.ended += 1;
            return;
        }
        self.items.insert(words[0].to_owned(), words[1].parse().unwrap());
        self.token = self.token.max(words[2].parse().unwrap());
    }

    /// `db` has all of it, and of each writer at most the one commit whose outcome it never learned.
    #[track_caller]
    fn expect_in(&self, db: &Database) {
        for (writer, last) in &self.items {
            let shown = last_item(db, writer);
            assert!((*last..=last + 1).contains(&shown), "{writer}: {last} were acknowledged, {shown} are there");
        }
    }
}

#[test]
fn a_primary_that_was_killed_is_taken_over_from() {
    let mut random = Random::from_environment();
    for mode in MODES {
        for _ in 0..4 {
            let folder = Folder::new();
            let mut old = OldPrimary::spawn(&folder, mode, 3);
            let mut acknowledged = Acknowledged::default();
            for _ in 0..50 + random.below(200) {
                acknowledged.note(&old.child.line().unwrap());
            }
            let new = folder.replica("new", "old", mode);
            if random.below(2) == 0 {
                new.replica_bootstrap_from_snapshot().unwrap();
            }
            old.child.kill_nine().iter().for_each(|line| acknowledged.note(line));
            let promotion = new.replica_promote(false).unwrap();
            assert!(promotion.source_fenced && promotion.last_kept >= acknowledged.token);
            acknowledged.expect_in(&new);
            assert_eq!(write(&new).unwrap().epoch.0, promotion.epoch);

            // It comes back as a primary, and is fenced; then as a replica, and goes on without a reseed.
            let back = folder.primary("old", mode);
            expect_fenced(&back);
            back.close().unwrap();
            let back = folder.replica("old", "new", mode);
            catch_up(&back);
            assert!(!replica_status(&back).needs_reseed);
            assert_eq!(dump(&back.snapshot().unwrap()), dump(&new.snapshot().unwrap()));
            assert_clean(&back);
        }
    }
}

/// The stalled writer: stopped in whatever it was doing, taken over from, its segments gone, and continued.
#[test]
fn a_primary_that_was_stopped_and_continued_gets_nothing_more_acknowledged() {
    let mut random = Random::from_environment();
    for mode in MODES {
        for round in 0..8 {
            let folder = Folder::new();
            let mut old = OldPrimary::spawn(&folder, mode, 3);
            let mut acknowledged = Acknowledged::default();
            for _ in 0..30 + random.below(100) {
                acknowledged.note(&old.child.line().unwrap());
            }
            let new = folder.replica("new", "old", mode);
            if round % 2 == 0 {
                new.replica_bootstrap_from_snapshot().unwrap();
            }
            thread::sleep(Duration::from_micros(random.below(5_000)));
            signal(&old.id, "STOP");
            let promotion = new.replica_promote(false).unwrap();
            assert!(promotion.source_fenced);
            write(&new).unwrap();
            if round % 4 > 1 {
                for entry in fs::read_dir(sidecar_of(&folder.path("old"))).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|e| e == "klog") {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            signal(&old.id, "CONT");
            // It says what it still had to say, and that it is fenced; then it ends by itself.
            while acknowledged.ended < 3 {
                acknowledged.note(&old.child.line().expect("each writer says how it ended"));
            }
            assert!(acknowledged.token <= promotion.last_kept, "{acknowledged:?}, {promotion:?}");
            acknowledged.expect_in(&new);
            if round % 4 < 2 {
                old.child.finish();
            } else {
                old.child.kill_nine();
            }
            assert_clean(&new);
        }
    }
}

/// A primary that commits at full rate in its own process, and is neither killed nor stopped.
#[test]
fn a_primary_that_goes_on_is_fenced_from_another_process() {
    for mode in MODES {
        let folder = Folder::new();
        let mut old = OldPrimary::spawn(&folder, mode, 4);
        let mut acknowledged = Acknowledged::default();
        for _ in 0..100 {
            acknowledged.note(&old.child.line().unwrap());
        }
        let new = folder.replica("new", "old", mode);
        new.replica_bootstrap_from_snapshot().unwrap();
        let promotion = new.replica_promote(false).unwrap();
        assert!(promotion.source_fenced);
        while acknowledged.ended < 4 {
            acknowledged.note(&old.child.line().unwrap());
        }
        assert!(acknowledged.token <= promotion.last_kept);
        acknowledged.expect_in(&new);
        old.child.finish();
        write(&new).unwrap();

        let back = folder.replica("old", "new", mode);
        catch_up(&back);
        assert!(!replica_status(&back).needs_reseed, "{:?}", replica_status(&back));
        assert_eq!(dump(&back.snapshot().unwrap()), dump(&new.snapshot().unwrap()));
        assert_clean(&back);
    }
}

/// Not a test of its own: a replica that takes over when it is told to, and says what came of it.
#[test]
fn child_promoter() {
    let Some(args) = child_args() else { return };
    let [path, source, mode] = args.as_slice() else { panic!("{args:?}") };
    let replica = Database::open(path, replica_options(mode_of(mode), Path::new(source))).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    tell("ready");
    assert_eq!(hear(), "promote");
    match replica.replica_promote(false) {
        Ok(promotion) => {
            let token = write(&replica).unwrap();
            tell(format_args!("leads {} {} {token}", promotion.epoch, promotion.last_kept));
        }
        Err(e) => {
            assert_eq!(write(&replica).unwrap_err().code(), ErrorCode::ReplicaReadOnly);
            tell(format_args!("follows {}", e.code().as_str()));
        }
    }
    assert_eq!(hear(), "end");
}

#[test]
fn of_several_processes_exactly_one_takes_over() {
    for mode in MODES {
        for _ in 0..3 {
            let folder = Folder::new();
            let old = folder.primary("old", mode);
            commit_items(&old, "w", 30);
            let mut racers: Vec<Child> = ["a", "b", "c", "d"]
                .iter()
                .map(|name| {
                    let args = [&folder.text(name), &folder.text("old"), mode_name(mode)];
                    Child::spawn("processes::child_promoter", &args)
                })
                .collect();
            racers.iter_mut().for_each(|child| child.expect("ready"));
            racers.iter_mut().for_each(|child| child.say("promote"));
            let said: Vec<String> = racers.iter_mut().map(|child| child.line().unwrap()).collect();
            let leaders: Vec<&String> = said.iter().filter(|line| line.starts_with("leads")).collect();
            assert_eq!(leaders, ["leads 2 1:30 2:31"], "{said:?}");
            assert_eq!(said.iter().filter(|line| *line == "follows STALE_PRIMARY").count(), 3, "{said:?}");
            expect_fenced(&old);
            racers.iter_mut().for_each(|child| child.say("end"));
            racers.into_iter().for_each(Child::finish);
        }
    }
}

/// Not a test of its own: opens a primary, promotes it and writes, if it may.
#[test]
fn child_opener() {
    let Some(args) = child_args() else { return };
    assert_eq!(hear(), "go");
    match Database::open(&args[0], primary_options(SyncMode::Normal)) {
        Ok(primary) => {
            let epoch = primary.primary_promote_to_next_epoch().unwrap();
            tell(format_args!("leads {epoch} {} {}", write(&primary).unwrap(), std::process::id()));
            assert_eq!(hear(), "end");
            primary.close().unwrap();
        }
        Err(e) => {
            tell(format_args!("refused {} {e}", e.code().as_str()));
            assert_eq!(hear(), "end");
        }
    }
}

#[test]
fn of_several_processes_one_opens_a_primary_and_the_others_learn_which() {
    let folder = Folder::new();
    folder.primary("primary", SyncMode::Normal).close().unwrap();
    for round in 0..5 {
        let mut openers: Vec<Child> =
            (0..3).map(|_| Child::spawn("processes::child_opener", &[&folder.text("primary")])).collect();
        openers.iter_mut().for_each(|child| child.say("go"));
        let said: Vec<String> = openers.iter_mut().map(|child| child.line().unwrap()).collect();
        let leader = said.iter().find(|line| line.starts_with("leads")).unwrap_or_else(|| panic!("{said:?}"));
        let words: Vec<&str> = leader.split(' ').collect();
        assert_eq!(words[1..3], [(round + 2).to_string(), format!("{}:{}", round + 2, round + 1)]);
        for line in said.iter().filter(|line| *line != leader) {
            assert!(line.starts_with("refused LOCKED "), "{said:?}");
            assert!(line.contains("primary sidecar lock is held by another process"), "{line}");
        }
        // This process may not write either; it may read.
        let error = expect_error(
            Database::open(folder.path("primary"), primary_options(SyncMode::Normal)),
            ErrorCode::Locked,
            "primary sidecar lock is held by another process",
        );
        assert!(error.to_string().contains(words[3]), "{error} does not name process {}", words[3]);
        let reader = Database::open(folder.path("primary"), primary_options(SyncMode::Normal).read_only(true)).unwrap();
        assert_eq!(reader.last_commit_token().unwrap().to_string(), words[2]);
        openers.iter_mut().for_each(|child| child.say("end"));
        openers.into_iter().for_each(Child::finish);
    }
}

/// The promoter dies in the midst of it: somebody can always take over, and nothing acknowledged is lost.
#[test]
fn a_promoter_that_is_killed_leaves_nothing_half_done() {
    let mut random = Random::from_environment();
    for mode in MODES {
        for _ in 0..6 {
            let folder = Folder::new();
            let old = folder.primary("old", mode);
            let last = commit_items(&old, "w", 30);
            let args = [&folder.text("new"), &folder.text("old"), mode_name(mode)];
            let mut child = Child::spawn("processes::child_promoter", &args);
            child.expect("ready");
            child.say("promote");
            thread::sleep(Duration::from_micros(random.below(3_000)));
            let said = child.kill_nine();
            let led = said.iter().any(|line| line.starts_with("leads"));
            let goes_on = match write(&old) {
                Ok(_) => true,
                Err(e) => {
                    assert_eq!(e.code(), ErrorCode::StalePrimary, "{e:?}");
                    false
                }
            };
            assert!(!(led && goes_on), "both lead");
            let new = match Database::open(folder.path("new"), replica_options(mode, &folder.path("old"))) {
                Ok(new) => {
                    let promotion = new.replica_promote(false).unwrap();
                    assert!(promotion.last_kept.log_index >= last.log_index);
                    new
                }
                // It leads already.
                Err(e) => {
                    assert_eq!(e.code(), ErrorCode::RoleMismatch, "{e:?}");
                    assert!(!goes_on, "both lead");
                    folder.primary("new", mode)
                }
            };
            assert_eq!(last_item(&new, "w"), 30);
            write(&new).unwrap();
            expect_fenced(&old);
        }
    }
}
