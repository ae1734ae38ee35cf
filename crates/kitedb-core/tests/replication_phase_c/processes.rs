//! Replicas in processes of their own.

use crate::{
    support_process::{Child, Random, child_args, dump, hear, mode_of, tell},
    support_replication::{
        MODES,
        folder::{Folder, commit_item, eventually, last_item, mode_name, primary_options, replica_options},
        primary_status, replica_status,
    },
};
use kitedb_core::{Database, FollowerOptions, SyncMode, Token};
use std::{path::Path, thread, time::Duration};

/// Not a test of its own: a replica that does what it is told, line by line.
#[test]
fn child_replica() {
    let Some(args) = child_args() else { return };
    let [path, source, mode] = args.as_slice() else { panic!("{args:?}") };
    let replica = Database::open(path, replica_options(mode_of(mode), Path::new(source))).unwrap();
    tell("open");
    loop {
        let order = hear();
        match order.split_once(' ').unwrap_or((&order, "")) {
            ("bootstrap", _) => replica.replica_bootstrap_from_snapshot().unwrap(),
            ("follow", _) => {
                replica.start_follower(FollowerOptions::new().poll_ms(3_600_000)).unwrap();
            }
            ("wait", token) => {
                let reached = replica.wait_for_token(token.parse::<Token>().unwrap(), 60_000).unwrap();
                assert!(reached, "{token} never came: {:?}", replica_status(&replica));
            }
            ("dump", _) => {
                for line in dump(&replica.snapshot().unwrap()) {
                    tell(line.escape_debug());
                }
            }
            ("status", _) => {
                let status = replica_status(&replica);
                tell(format_args!("{} {:?} {}", status.state, status.last_error, status.needs_reseed));
                continue;
            }
            ("close", _) => break replica.close().unwrap(),
            other => panic!("{other:?}"),
        }
        tell("done");
    }
}

fn spawn(folder: &Folder, name: &str, mode: SyncMode) -> Child {
    let (path, source) = (folder.text(name), folder.text("primary"));
    let mut child = Child::spawn("processes::child_replica", &[&path, &source, mode_name(mode)]);
    child.expect("open");
    child
}

fn order(child: &mut Child, order: &str) {
    child.say(order);
    child.expect("done");
}

fn expect_equal(child: &mut Child, primary: &Database) {
    child.say("dump");
    for line in dump(&primary.snapshot().unwrap()) {
        assert_eq!(child.line().unwrap(), line.escape_debug().to_string());
    }
    child.expect("done");
}

#[test]
fn a_replica_in_another_process_is_woken_by_each_commit() {
    for mode in MODES {
        let folder = Folder::new();
        let primary = folder.primary("primary", mode);
        for n in 1..=20 {
            commit_item(&primary, "w", n).unwrap();
        }
        let mut child = spawn(&folder, "replica", mode);
        order(&mut child, "bootstrap");
        expect_equal(&mut child, &primary);
        order(&mut child, "follow");
        for n in 21..=60 {
            let token = commit_item(&primary, "w", n).unwrap();
            if n % 4 == 0 {
                order(&mut child, &format!("wait {token}"));
            }
        }
        expect_equal(&mut child, &primary);
        eventually("it reports that it has all", || {
            let lags = primary_status(&primary).replica_lags;
            lags.len() == 1 && lags[0].applied_log_index == primary_status(&primary).head_log_index
        });
        child.say("status");
        child.expect("following None false");
        child.say("close");
        child.finish();
    }
}

/// A bootstrap from a process that commits at full rate, and a death of the replica in the midst of it.
#[test]
fn a_replica_that_is_killed_while_it_copies_or_follows_goes_on_where_it_was() {
    let mut random = Random::from_environment();
    for mode in MODES {
        let folder = Folder::new();
        let primary = folder.primary("primary", mode);
        for n in 1..=300 {
            commit_item(&primary, "w", n).unwrap();
        }
        primary.checkpoint().unwrap();
        let mut last = 300;
        for round in 0..8 {
            let mut child = spawn(&folder, "replica", mode);
            child.say(if round % 2 == 0 { "bootstrap" } else { "follow" });
            for _ in 0..20 {
                last += 1;
                commit_item(&primary, "w", last).unwrap();
            }
            thread::sleep(Duration::from_micros(random.below(20_000)));
            child.kill_nine();
            // What it left is a state of the primary's history: the old one or a newer one.
            let replica = folder.replica("replica", "primary", mode);
            let status = replica_status(&replica);
            assert!(!status.needs_reseed, "{status:?}");
            assert!(last_item(&replica, "w") <= last);
            replica.close().unwrap();
        }
        let mut child = spawn(&folder, "replica", mode);
        order(&mut child, "follow");
        order(&mut child, &format!("wait {}", primary.last_commit_token().unwrap()));
        expect_equal(&mut child, &primary);
        child.say("close");
        child.finish();
    }
}

/// Not a test of its own: a primary that commits for ever, and says what was acknowledged.
#[test]
fn child_primary() {
    let Some(args) = child_args() else { return };
    let [path, mode] = args.as_slice() else { panic!("{args:?}") };
    let primary = Database::open(path, primary_options(mode_of(mode)).checkpoint_log_bytes(256 << 10)).unwrap();
    tell("open");
    for n in last_item(&primary, "w") + 1.. {
        let token = commit_item(&primary, "w", n).unwrap();
        tell(token);
    }
}

#[test]
fn a_primary_in_another_process_is_copied_while_it_commits_and_followed_over_its_death() {
    for mode in MODES {
        let folder = Folder::new();
        let (path, name) = (folder.text("primary"), mode_name(mode));
        let mut acknowledged: Option<Token> = None;
        let mut replica = None;
        for _ in 0..3 {
            let mut child = Child::spawn("processes::child_primary", &[&path, name]);
            child.expect("open");
            for _ in 0..100 {
                acknowledged = Some(child.line().unwrap().parse().unwrap());
            }
            let replica = replica.get_or_insert_with(|| folder.replica("replica", "primary", mode));
            replica.replica_bootstrap_from_snapshot().unwrap();
            assert!(replica.wait_for_token(acknowledged.unwrap(), 0).unwrap());
            for line in child.kill_nine() {
                acknowledged = Some(line.parse().unwrap());
            }
        }
        let replica = replica.unwrap();
        let primary = folder.primary("primary", mode);
        assert!(primary.last_commit_token() >= acknowledged);
        while replica.replica_catch_up_once(1000).unwrap() > 0 {}
        assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
        assert!(replica.wait_for_token(acknowledged.unwrap(), 0).unwrap());
        assert!(!replica_status(&replica).needs_reseed);
    }
}

/// The replica asks the primary's process for a checkpoint where it needs one, and that process makes it.
#[test]
fn a_primary_in_another_process_makes_the_checkpoint_that_is_asked_for() {
    let folder = Folder::new();
    let mut child = Child::spawn("processes::child_silent_primary", &[&folder.text("primary")]);
    child.expect("ready");
    let replica = folder.replica("replica", "primary", SyncMode::Full);
    replica.replica_bootstrap_from_snapshot().unwrap();
    assert_eq!(last_item(&replica, "w"), 8);
    child.say("end");
    child.finish();
}

/// Not a test of its own: a primary whose log lacks a segment that a bootstrap from its last checkpoint would need.
#[test]
fn child_silent_primary() {
    let Some(args) = child_args() else { return };
    let options = primary_options(SyncMode::Full).replication_segment_max_bytes(1);
    let primary = Database::open(&args[0], options).unwrap();
    for n in 1..=8 {
        commit_item(&primary, "w", n).unwrap();
    }
    let sidecar = crate::support_replication::folder::sidecar_of(Path::new(&args[0]));
    std::fs::remove_file(sidecar.join("segment-00000000000000000004.klog")).unwrap();
    tell("ready");
    assert_eq!(hear(), "end");
    primary.close().unwrap();
}
