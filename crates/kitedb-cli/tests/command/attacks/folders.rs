//! A log's folder that says more than the file or the control file beside it, or that is not the one which the leading file uses.

use super::{stage::*, support::Folder};
use serde_json::Value as Json;
use std::{fs, path::PathBuf, process::Command};

const SMALL_SEGMENTS: [&str; 2] = ["--segment-max-bytes", "1024"];

/// Commits of one edge each, in segments of few of them.
fn commit(folder: &Folder, db: &str, from: u32, to: u32, more: &[&str]) -> Json {
    import(folder, db, &hub(from, to), &[&SMALL_SEGMENTS[..], more].concat()).json()
}

fn hub(from: u32, to: u32) -> String {
    (from..=to).map(|n| format!("hub c{n} K\n")).collect()
}

fn holds(folder: &Folder, db: &str, from: u32, to: u32) -> bool {
    (from..=to).all(|n| knows(folder, db, &format!("c{n}")))
}

fn boot(folder: &Folder, db: &str, source: &str) {
    replica(folder, "bootstrap", db, source).ok();
}

fn sh(folder: &Folder, line: &str) {
    let run = Command::new("sh").args(["-ec", line]).current_dir(folder.path()).output().unwrap();
    assert!(run.status.success(), "{line}: {run:?}");
}

fn save(folder: &Folder, db: &str) {
    sh(folder, &format!("tar cf {db}.tar {db} {db}.replication"));
}

fn put_back(folder: &Folder, db: &str) {
    sh(folder, &format!("tar xf {db}.tar"));
}

/// A primary `a` with commits 1 to 9.
fn primary() -> Folder {
    let folder = Folder::new();
    commit(&folder, "a.kitedb", 1, 9, &["--role", "primary"]);
    folder
}

fn segment_names(folder: &Folder, db: &str) -> Vec<String> {
    let mut all = names(&folder.path().join(format!("{db}.replication")));
    all.retain(|name| name.starts_with("segment-"));
    all
}

/// What reading commands tell of a node whose log holds more than its file.
#[track_caller]
fn expect_told(folder: &Folder, db: &str, role: &str) {
    for command in [&["check", db][..], &["stats", db], &[role, "status", db]] {
        let run = folder.run(command);
        let told = format!("{}{}", run.out, run.err);
        assert_eq!(run.code, 3, "{command:?}: {run:?}");
        assert!(told.contains("older copy") && told.contains("kitedb repair"), "{command:?}: {run:?}");
    }
}

fn is_refused(folder: &Folder, args: &[&str], says: &str) {
    let run = folder.run(args);
    assert!(run.code != 0 && format!("{}{}", run.out, run.err).contains(says), "{args:?}: {run:?}");
}

/// The original log goes on elsewhere, with the file that leads.
#[test]
fn nobody_takes_over_by_a_log_whose_file_is_not_there() {
    for how in ["copied", "renamed", "older backup", "moved across disks"] {
        let folder = primary();
        boot(&folder, "b.kitedb", "a.kitedb");
        fs::create_dir(folder.path().join("v2")).unwrap();
        let (leader, more): (&str, &[&str]) = match how {
            "copied" => {
                sh(&folder, "cp -a a.kitedb.replication keep");
                sh(&folder, "mv a.kitedb a.kitedb.replication v2/; mv keep a.kitedb.replication");
                ("v2/a.kitedb", &[])
            }
            "renamed" => {
                sh(&folder, "cp -a a.kitedb.replication keep; mkdir logs");
                sh(&folder, "mv a.kitedb.replication logs/a; mv a.kitedb other.kitedb");
                commit(&folder, "other.kitedb", 10, 10, &["--sidecar", "logs/a"]);
                sh(&folder, "mv keep a.kitedb.replication");
                ("other.kitedb", &[])
            }
            "older backup" => {
                sh(&folder, "cp -a a.kitedb.replication keep");
                commit(&folder, "a.kitedb", 10, 11, &[]);
                sh(&folder, "mv a.kitedb a.kitedb.replication v2/; mv keep a.kitedb.replication");
                ("v2/a.kitedb", &[])
            }
            _ => {
                sh(&folder, "cp -a a.kitedb a.kitedb.replication v2/; rm a.kitedb");
                folder.run(&["role", "v2/a.kitedb", "primary", "--moved"]).ok();
                ("v2/a.kitedb", &[])
            }
        };
        commit(&folder, leader, 12, 13, more);
        let run = folder.run(&["replica", "promote", "b.kitedb"]);
        assert_eq!(run.code, 1, "{how}: {run:?}");
        assert!(run.err.contains("a.kitedb, is not there") && run.err.contains("--force"), "{how}: {run:?}");
        assert!(!run.out.contains("nothing that it acknowledged is lost"), "{how}: {run:?}");
        // Nothing was changed: it follows on, and the leader leads.
        assert_eq!(folder.run(&["role", "b.kitedb", "--json"]).json()["role"], "replica", "{how}");
        commit(&folder, leader, 14, 14, more);
        let forced = folder.run(&["replica", "promote", "b.kitedb", "--force"]).ok();
        assert!(forced.out.contains("let it not write again"), "{how}: {forced:?}");
        assert!(!forced.out.contains("nothing that it acknowledged is lost"), "{how}: {forced:?}");
    }
}

/// As the backup is unpacked over a node, newer segments stay. What they hold is told, kept, and had again in one way.
#[test]
fn a_backup_that_is_unpacked_over_a_primary_costs_none_of_its_commits() {
    let folder = primary();
    save(&folder, "a.kitedb");
    commit(&folder, "a.kitedb", 10, 20, &[]);
    put_back(&folder, "a.kitedb");
    let segments = segment_names(&folder, "a.kitedb");
    expect_told(&folder, "a.kitedb", "primary");
    for refused in [
        &["role", "a.kitedb", "detach"][..],
        &["role", "a.kitedb", "primary", "--moved"],
        &["role", "a.kitedb", "primary", "--moved", "--force"],
    ] {
        is_refused(&folder, refused, "kitedb repair");
    }
    assert_eq!(segment_names(&folder, "a.kitedb"), segments);
    // The way that each answer names next.
    let mut next = commands_in(&folder.run(&["check", "a.kitedb"]).out)[0].join(" ");
    let mut ran = Vec::new();
    while ran.len() < 3 && !ran.contains(&next) && !next.is_empty() {
        ran.push(next.clone());
        let run = paste(&folder, &format!("kitedb {next}"));
        // What it did is past.
        let told = run.out.split("remains:").last().unwrap().to_owned() + &run.err;
        let more = commands_in(&told);
        next = more.first().map(|command| command.join(" ")).unwrap_or_default();
        if run.code == 0 {
            break;
        }
    }
    let ways: Vec<_> = ran.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ways, ["repair", "role"], "{ran:?}");
    assert!(ran[1].ends_with("primary --moved"), "{ran:?}");
    let last = commit(&folder, "a.kitedb", 21, 21, &[]);
    assert!(last["token"].as_str().unwrap().ends_with(":21"), "{last}");
    assert!(holds(&folder, "a.kitedb", 1, 21));
    folder.run(&["check", "a.kitedb"]).ok();
}

/// In their very inodes, so that nothing but the segments tells.
#[test]
fn a_backup_that_is_written_into_the_files_of_a_primary_costs_none_of_its_commits() {
    let folder = primary();
    sh(&folder, "cp a.kitedb file; cp a.kitedb.replication/control control");
    commit(&folder, "a.kitedb", 10, 20, &[]);
    sh(&folder, "cat file > a.kitedb; cat control > a.kitedb.replication/control");
    expect_told(&folder, "a.kitedb", "primary");
    assert_eq!(import(&folder, "a.kitedb", "x y K\n", &[]).code, 1);
    is_refused(&folder, &["role", "a.kitedb", "detach"], "kitedb repair");
    folder.run(&["repair", "a.kitedb"]).ok();
    // Who took over since, the control file of before does not know.
    assert_eq!(import(&folder, "a.kitedb", "x y K\n", &[]).code, 1);
    folder.run(&["primary", "promote", "a.kitedb", "--force"]).ok();
    assert!(holds(&folder, "a.kitedb", 1, 20));
    commit(&folder, "a.kitedb", 21, 21, &[]);
}

/// Nobody takes over from it, nor follows it as if it had no more, before it is mended.
#[test]
fn a_primary_with_an_older_backup_in_its_files_is_not_taken_over_from_without_what_its_log_has() {
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    sh(&folder, "cp a.kitedb file; cp a.kitedb.replication/control control");
    commit(&folder, "a.kitedb", 10, 20, &[]);
    sh(&folder, "cat file > a.kitedb; cat control > a.kitedb.replication/control");
    let run = folder.run(&["replica", "promote", "b.kitedb"]);
    assert!(run.code != 0 && run.err.contains("older copy"), "{run:?}");
    let run = catch_up(&folder, "b.kitedb", "a.kitedb");
    assert!(run.code != 0 && run.err.contains("kitedb repair"), "{run:?}");
    folder.run(&["repair", "a.kitedb"]).ok();
    folder.run(&["primary", "promote", "a.kitedb", "--force"]).ok();
    catch_up(&folder, "b.kitedb", "a.kitedb").ok();
    assert!(holds(&folder, "b.kitedb", 1, 20));
}

/// It led since. No other node has what its segments hold.
#[test]
fn a_backup_that_is_unpacked_over_a_node_that_took_over_costs_none_of_its_commits() {
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    save(&folder, "b.kitedb");
    folder.run(&["replica", "promote", "b.kitedb"]).ok();
    commit(&folder, "b.kitedb", 10, 20, &[]);
    put_back(&folder, "b.kitedb");
    let segments = segment_names(&folder, "b.kitedb");
    expect_told(&folder, "b.kitedb", "replica");
    for refused in [
        &["replica", "reseed", "b.kitedb", "--source-db", "a.kitedb"][..],
        &["role", "b.kitedb", "detach"],
        &["replica", "follow", "b.kitedb", "--once"],
        &["replica", "promote", "b.kitedb"],
        &["replica", "promote", "b.kitedb", "--force"],
    ] {
        // Also when it was opened before.
        for _ in 0..2 {
            is_refused(&folder, refused, "kitedb repair");
            assert_eq!(segment_names(&folder, "b.kitedb"), segments, "{refused:?}");
        }
    }
    folder.run(&["repair", "b.kitedb"]).ok();
    assert!(holds(&folder, "b.kitedb", 1, 20));
    folder.run(&["check", "b.kitedb"]).ok();
    is_refused(&folder, &["replica", "reseed", "b.kitedb", "--source-db", "a.kitedb"], "would be given up");
    let led = folder.run(&["replica", "promote", "b.kitedb", "--force", "--json"]).json();
    assert!(led["epoch"].as_u64() > Some(2), "{led}");
    commit(&folder, "b.kitedb", 21, 21, &[]);
    assert!(holds(&folder, "b.kitedb", 1, 21));
}

#[test]
fn what_only_the_log_of_a_replica_has_goes_by_name_alone() {
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    save(&folder, "b.kitedb");
    folder.run(&["replica", "promote", "b.kitedb"]).ok();
    commit(&folder, "b.kitedb", 10, 20, &[]);
    put_back(&folder, "b.kitedb");
    // The copy is whole, and its source does not lead.
    let run = folder.run(&["replica", "reseed", "b.kitedb", "--source-db", "a.kitedb", "--overwrite"]);
    assert!(run.code == 3 && run.out.contains("fault:"), "{run:?}");
    folder.run(&["check", "b.kitedb"]).ok();
    assert!(!knows(&folder, "b.kitedb", "c10"));
}

/// The replica was unpacked over; its primary was restored as a whole, and would lead on without what only that log has.
#[test]
fn a_restored_primary_does_not_lead_without_what_only_the_log_of_a_replica_has() {
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    save(&folder, "a.kitedb");
    save(&folder, "b.kitedb");
    commit(&folder, "a.kitedb", 10, 20, &[]);
    folder.run(&["replica", "follow", "b.kitedb", "--once", SMALL_SEGMENTS[0], SMALL_SEGMENTS[1]]).ok();
    sh(&folder, "rm -r a.kitedb a.kitedb.replication");
    put_back(&folder, "a.kitedb");
    put_back(&folder, "b.kitedb");
    is_refused(&folder, &["role", "a.kitedb", "primary", "--moved"], "b.kitedb holds the commits up to 1:20");
    expect_told(&folder, "b.kitedb", "replica");
    let segments = segment_names(&folder, "b.kitedb");
    is_refused(&folder, &["replica", "follow", "b.kitedb", "--once"], "kitedb repair");
    assert_eq!(segment_names(&folder, "b.kitedb"), segments);
    folder.run(&["repair", "b.kitedb"]).ok();
    assert!(holds(&folder, "b.kitedb", 1, 20));
}

#[test]
fn a_replica_that_a_backup_was_unpacked_over_follows_on_once_it_is_repaired() {
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    commit(&folder, "a.kitedb", 10, 12, &[]);
    let follow = ["replica", "follow", "b.kitedb", "--once", SMALL_SEGMENTS[0], SMALL_SEGMENTS[1]];
    folder.run(&follow).ok();
    save(&folder, "b.kitedb");
    sh(&folder, "tar cf heads.tar b.kitedb b.kitedb.replication/control");
    commit(&folder, "a.kitedb", 13, 30, &[]);
    folder.run(&follow).ok();
    sh(&folder, "tar xf heads.tar");
    expect_told(&folder, "b.kitedb", "replica");
    let run = folder.run(&follow);
    assert!(run.code == 3 && run.err.contains("kitedb repair") && !run.err.contains("move that folder"), "{run:?}");
    folder.run(&["repair", "b.kitedb"]).ok();
    commit(&folder, "a.kitedb", 31, 31, &[]);
    folder.run(&follow).ok();
    assert!(holds(&folder, "b.kitedb", 1, 31));
    folder.run(&["check", "b.kitedb"]).ok();
    // With its segments, of which the one that was last then has lost what came after: what its source has need not be kept here.
    put_back(&folder, "b.kitedb");
    is_refused(&folder, &["repair", "b.kitedb"], "reseed");
    folder.run(&["replica", "reseed", "b.kitedb", "--source-db", "a.kitedb"]).ok();
    assert!(holds(&folder, "b.kitedb", 1, 31));
}

/// The epoch that it led begins another log than the one that its older file names.
#[test]
fn a_repair_of_a_node_that_took_over_finds_what_it_led_beside_an_older_file() {
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    sh(&folder, "cp -a b.kitedb old");
    folder.run(&["replica", "promote", "b.kitedb"]).ok();
    commit(&folder, "b.kitedb", 10, 20, &[]);
    sh(&folder, "rm b.kitedb b.kitedb.replication/control; mv old b.kitedb");
    let check = folder.run(&["check", "b.kitedb"]);
    assert_eq!(check.code, 3, "{check:?}");
    let repaired = folder.run(&["repair", "b.kitedb"]).ok();
    assert!(repaired.out.contains("as of 2:20") && repaired.out.contains("which ends with 2:20"), "{repaired:?}");
    is_refused(&folder, &["replica", "reseed", "b.kitedb", "--source-db", "a.kitedb"], "would be given up");
    assert!(holds(&folder, "b.kitedb", 1, 20));
    folder.run(&["check", "b.kitedb"]).ok();
}

/// In a folder of its own, or beside it, at rest or while a process has it open.
#[test]
fn a_copy_does_not_lead_beside_the_live_one_that_it_was_copied_from() {
    for (copied, open) in [("copy.kitedb", false), ("copy.kitedb", true), ("v2/a.kitedb", false)] {
        let folder = primary();
        fs::create_dir(folder.path().join("v2")).unwrap();
        sh(&folder, &format!("cp -a a.kitedb {copied}; cp -a a.kitedb.replication {copied}.replication"));
        let feed = open.then(|| {
            let mut feed = Feed::start(&folder, "a.kitedb", &[]);
            feed.feed(&folder, "a.kitedb", "hub c10 K\n", "1:10");
            feed
        });
        let run = folder.run(&["role", copied, "primary", "--moved"]);
        assert_eq!(run.code, 1, "{copied} {open}: {run:?}");
        assert!(run.err.contains("a.kitedb leads epoch 1") && run.err.contains("--force"), "{copied} {open}: {run:?}");
        drop(feed);
        // Once it is gone, nobody asks for force.
        sh(&folder, "rm -r a.kitedb a.kitedb.replication");
        folder.run(&["role", copied, "primary", "--moved"]).ok();
        commit(&folder, copied, 20, 20, &[]);
    }
}

/// A replica that took over is looked at by its log where its file is gone or an older one.
#[test]
fn a_restored_primary_does_not_lead_beside_the_log_of_a_replica_that_took_over() {
    for older in [false, true] {
        let folder = primary();
        boot(&folder, "b.kitedb", "a.kitedb");
        sh(&folder, "cp -a b.kitedb old");
        save(&folder, "a.kitedb");
        folder.run(&["replica", "promote", "b.kitedb"]).ok();
        commit(&folder, "b.kitedb", 10, 12, &[]);
        sh(&folder, "mv b.kitedb aside; rm -r a.kitedb a.kitedb.replication");
        if older {
            sh(&folder, "cp -a old b.kitedb");
        }
        put_back(&folder, "a.kitedb");
        let run = folder.run(&["role", "a.kitedb", "primary", "--moved"]);
        assert_eq!(run.code, 1, "{older}: {run:?}");
        let told = run.err.contains("b.kitedb") && run.err.contains("2:12") && run.err.contains("--force");
        assert!(told, "{older}: {run:?}");
    }
}

/// Who cannot be looked at is named; who had more by its last report keeps it from leading.
#[test]
fn who_cannot_be_looked_at_before_a_restored_primary_leads_is_named() {
    let restored = |folder: &Folder| {
        sh(folder, "rm -r a.kitedb a.kitedb.replication");
        put_back(folder, "a.kitedb");
    };
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    save(&folder, "a.kitedb");
    fs::create_dir(folder.path().join("sub")).unwrap();
    sh(&folder, "mv b.kitedb b.kitedb.replication sub/");
    restored(&folder);
    let led = folder.run(&["role", "a.kitedb", "primary", "--moved"]).ok();
    assert!(led.out.contains("not looked at: the replica") && led.out.contains("b.kitedb"), "{led:?}");
    // Its registry is lost, and is known to be: who that would be nothing tells.
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    sh(&folder, "rm a.kitedb.replication/replicas");
    save(&folder, "a.kitedb");
    restored(&folder);
    is_refused(&folder, &["role", "a.kitedb", "primary", "--moved"], "the registry of replicas");
    let led = folder.run(&["role", "a.kitedb", "primary", "--moved", "--force", "--json"]).json();
    assert_eq!(led["not_seen"].as_array().map(Vec::len), Some(1), "{led}");
    // What the registry says of it is more than this node has.
    let folder = primary();
    boot(&folder, "b.kitedb", "a.kitedb");
    let registry = |folder: &Folder| -> PathBuf { folder.path().join("a.kitedb.replication/replicas") };
    save(&folder, "a.kitedb");
    commit(&folder, "a.kitedb", 10, 12, &[]);
    catch_up(&folder, "b.kitedb", "a.kitedb").ok();
    let reported = fs::read(registry(&folder)).unwrap();
    restored(&folder);
    fs::write(registry(&folder), reported).unwrap();
    sh(&folder, "mkdir sub; mv b.kitedb b.kitedb.replication sub/");
    is_refused(&folder, &["role", "a.kitedb", "primary", "--moved"], "had reported 1:12");
    let led = folder.run(&["role", "a.kitedb", "primary", "--moved", "--force", "--json"]).json();
    assert_eq!(led["not_seen"].as_array().map(Vec::len), Some(1), "{led}");
}

/// What lies between is gone: the rest of it goes by name, and lies aside even then.
#[test]
fn what_a_log_has_behind_a_gap_after_an_older_file_is_kept() {
    let folder = primary();
    save(&folder, "a.kitedb");
    commit(&folder, "a.kitedb", 10, 40, &[]);
    let log = folder.path().join("a.kitedb.replication");
    for name in &segment_names(&folder, "a.kitedb")[2..5] {
        fs::remove_file(log.join(name)).unwrap();
    }
    put_back(&folder, "a.kitedb");
    expect_told(&folder, "a.kitedb", "primary");
    let segments = segment_names(&folder, "a.kitedb");
    is_refused(&folder, &["role", "a.kitedb", "detach"], "older copy");
    is_refused(&folder, &["repair", "a.kitedb"], "--cut-at 1:9");
    assert_eq!(segment_names(&folder, "a.kitedb"), segments);
    let cut = folder.run(&["repair", "a.kitedb", "--cut-at", "1:9"]);
    assert!(cut.out.contains("is repaired, as of 1:9"), "{cut:?}");
    let aside = names(&log).iter().filter(|name| name.ends_with(".klog.damaged")).count();
    assert!(aside >= segments.len() - 2, "{:?}", names(&log));
    folder.run(&["role", "a.kitedb", "primary", "--moved"]).ok();
    assert!(commit(&folder, "a.kitedb", 50, 50, &[])["token"].as_str().unwrap().ends_with(":10"));
    folder.run(&["check", "a.kitedb"]).ok();
}
