//! Who follows, and who does no more.

use super::{
    stage::*,
    support::{Folder, Run},
};
use kitedb_core::{Database, OpenOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::{fs, path::Path, process::Stdio};

#[test]
fn a_replica_is_removed_by_its_path_and_what_is_none_is_an_error() {
    let folder = pair();
    for json in [&[][..], &["--json"]] {
        let run = folder.run(&[&["primary", "remove", "p.kitedb", "nobody"], json].concat());
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("no replica is registered as nobody"), "{run:?}");
    }
    assert_eq!(folder.run(&["primary", "remove", "p.kitedb", "./r.kitedb", "--json"]).json()["removed"], true);
}

/// The source keeps nothing for it any more: it forgets the replica at once, or its operator is told how.
#[test]
fn a_replica_that_is_detached_is_registered_no_more() {
    let folder = pair();
    assert_eq!(registered(&folder, "p.kitedb").len(), 1);
    let run = folder.run(&["role", "r.kitedb", "detach"]).ok();
    assert!(run.out.contains("p.kitedb") && run.out.contains("no longer keeps its log for it"), "{run:?}");
    assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());

    // Its source is away.
    for json in [false, true] {
        let folder = pair();
        fs::create_dir(folder.path().join("away")).unwrap();
        let moves = |from: &Path, to: &Path| {
            ["p.kitedb", "p.kitedb.replication"]
                .iter()
                .for_each(|name| fs::rename(from.join(name), to.join(name)).unwrap());
        };
        moves(folder.path(), &folder.path().join("away"));
        let run =
            folder.run(&[&["role", "r.kitedb", "detach"][..], if json { &["--json"] } else { &[] }].concat()).ok();
        moves(&folder.path().join("away"), folder.path());
        assert_eq!(registered(&folder, "p.kitedb").len(), 1);
        let remove: Vec<String> = if json {
            let left: Json = serde_json::from_str(&run.out).unwrap();
            let text = |key: &str| left["still_registered"][key].as_str().unwrap().to_owned();
            vec!["primary".into(), "remove".into(), text("source_db_path"), text("replica_id")]
        } else {
            assert!(run.out.contains("still keeps its log for it"), "{run:?}");
            commands_in(&run.out)[0].iter().map(|word| (*word).to_owned()).collect()
        };
        folder.run(&remove.iter().map(String::as_str).collect::<Vec<_>>()).ok();
        assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());
    }
}

/// The replica that it was copied from follows on, and what it needs is kept.
#[test]
fn a_copy_of_a_replica_that_is_detached_leaves_the_replica_registered() {
    let folder = pair();
    for with_log in [true, false] {
        copy(&folder.path().join("r.kitedb"), &folder.path().join("c.kitedb"));
        if with_log {
            copy(&folder.path().join("r.kitedb.replication"), &folder.path().join("c.kitedb.replication"));
        }
        let run = folder.run(&["role", "c.kitedb", "detach"]).ok();
        assert!(!run.out.contains("p.kitedb"), "{run:?}");
        assert_eq!(registered(&folder, "p.kitedb").len(), 1);
        fs::remove_file(folder.path().join("c.kitedb")).unwrap();
    }
}

/// A replica that is to catch up once takes what its source has, and does not wait for one that never pauses.
#[test]
fn a_replica_that_follows_once_ends_although_its_source_goes_on() {
    let folder = pair();
    let primary = Database::open(folder.path().join("p.kitedb"), OpenOptions::new()).unwrap();
    let commit = || primary.transaction(|tx| tx.create_node(None)).map(drop).unwrap();
    (0..20).for_each(|_| commit());
    let follow = ["replica", "follow", "r.kitedb", "--once", "--max-frames", "1", "--json"];
    let mut process = folder.command(&follow).stdout(Stdio::piped()).spawn().unwrap();
    let mut left = 2000;
    // Always a few commits ahead of what it reports.
    while left > 0 && process.try_wait().unwrap().is_none() {
        let status = primary.primary_replication_status().unwrap().unwrap();
        if status.replica_lags[0].lag_frames < 20 {
            left -= 1;
            commit();
        }
    }
    assert!(process.wait().unwrap().success());
    assert!(left > 0, "it went on until its source paused");
    let applied = primary.primary_replication_status().unwrap().unwrap().replica_lags[0].applied_log_index;
    assert!((21..1000).contains(&applied), "{applied}");
}

#[test]
fn a_replica_that_follows_once_at_a_time_cuts_its_log() {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    folder.run(&[&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"], &SMALL[..]].concat()).ok();
    for round in 0..4 {
        let options = ["--sync-mode", "off", "--segment-max-bytes", "4096"];
        import(&folder, "p.kitedb", &lines(&format!("r{round}-"), 200), &options).ok();
        let follow = ["replica", "follow", "r.kitedb", "--source-db", "p.kitedb", "--once"];
        folder.run(&[&follow[..], &SMALL].concat()).ok();
    }
    let left = segments(&folder, "r.kitedb");
    assert!(left <= 10, "{left} segments");
    // An operator can ask for it, too.
    folder.run(&[&["primary", "retention", "r.kitedb"], &SMALL[..]].concat()).ok();
}

#[test]
fn a_replica_is_removed_while_the_primary_runs() {
    let folder = pair();
    let mut running = Feed::start(&folder, "p.kitedb", &["--segment-max-bytes", "4096"]);
    running.feed(&folder, "p.kitedb", &lines("x", 200), "1:201");
    let id = folder.run(&["primary", "status", "p.kitedb", "--json"]).json()["replica_lags"][0]["replica_id"].clone();
    let before = segments(&folder, "p.kitedb");
    folder.run(&["primary", "remove", "p.kitedb", id.as_str().unwrap()]).ok();
    folder.run(&[&["primary", "retention", "p.kitedb"], &SMALL[..]].concat()).ok();
    assert!(segments(&folder, "p.kitedb") < before);
    running.feed(&folder, "p.kitedb", "q r K\n", "1:202");
    assert_eq!(running.end(), Some(0));
    assert_eq!(folder.run(&["check", "p.kitedb", "--json"]).json()["clean"], true);
}

/// Once its source is remembered, nobody has to say it again.
#[test]
fn a_replica_is_told_its_source_once() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    let status = folder.run(&["replica", "status", "r.kitedb", "--json"]).json();
    assert_eq!((&status["lag_frames"], &status["source_head_log_index"]), (&json!(1), &json!(2)), "{status}");
    assert_eq!(folder.run(&["replica", "follow", "r.kitedb", "--once", "--json"]).json()["applied_log_index"], 2);
    assert_eq!(folder.run(&["replica", "promote", "r.kitedb", "--json"]).json()["source_fenced"], true);
}

/// The machine of a replica is gone, or its folder was emptied first: it is removed by the path that it had.
#[test]
fn a_replica_whose_file_is_gone_is_removed_by_its_path() {
    let folder = pair();
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    let run = folder.run(&["primary", "remove", "p.kitedb", "r.kitedb", "--json"]).ok();
    assert_eq!(run.json()["removed"], true);
    assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());
}

/// It says so before it tries to follow, and before its source lets go of what it needs.
#[test]
fn a_replica_whose_source_lost_its_registry_says_so() {
    let folder = pair();
    let status = || folder.run(&["replica", "status", "r.kitedb", "--json"]);
    assert_eq!(status().ok().json()["registered"], true);
    fs::remove_file(folder.path().join("p.kitedb.replication/replicas")).unwrap();
    let found = status();
    let told: Json = serde_json::from_str(&found.out).unwrap();
    assert_eq!((found.code, &told["registered"]), (3, &false.into()), "{found:?}");
    assert!(told["fault"].as_str().unwrap().contains("registry of replicas"), "{found:?}");
    let metrics = folder.run(&["metrics", "r.kitedb"]).out;
    let figure = metrics.lines().find(|line| line.starts_with("kitedb_replication_replica_registered"));
    assert!(figure.is_some_and(|figure| figure.ends_with(" 0")), "{figure:?}");
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    assert_eq!(status().ok().json()["registered"], true);

    // Removed by its operator it is registered again with its next report.
    folder.run(&["primary", "remove", "p.kitedb", "r.kitedb"]).ok();
    assert_eq!(status().ok().json()["registered"], false);
}

/// What a follower worked with is removed under it, and it is asked to end: its exit code is that of a status then.
#[test]
fn a_follower_whose_files_are_removed_under_it_ends_as_its_status_does() {
    for gone in
        ["r.kitedb", "r.kitedb.replication/source", "r.kitedb.replication/control", "r.kitedb.replication/replicas"]
    {
        let folder = pair();
        let mut follower = folder
            .command(&["replica", "follow", "r.kitedb"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("it follows", || folder.run(&["replica", "status", "r.kitedb", "--json"]).out.contains("\"following\""));
        fs::remove_file(folder.path().join(gone)).unwrap();
        kill_process(Pid::from_raw(follower.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let code = follower.wait().unwrap().code();
        let status = folder.run(&["replica", "status", "r.kitedb"]);
        assert_eq!(code, Some(status.code), "{gone}: {status:?}");
    }
}

/// `r` is copied anew, and `c`, which follows it, has less than `r` or its source.
#[test]
fn a_reseed_says_which_replicas_below_it_need_one() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
    import(&folder, "p.kitedb", &lines("n", 20), &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    let run = folder.run(&["replica", "reseed", "r.kitedb"]);
    assert!(run.code == 1 && run.err.contains("c.kitedb") && run.err.contains("--overwrite"), "{run:?}");
    assert_eq!(folder.run(&["replica", "status", "c.kitedb"]).code, 0);
    let run = folder.run(&["replica", "reseed", "r.kitedb", "--overwrite"]).ok();
    let commands = changes_in(&run.out);
    assert!(commands.len() == 1 && commands[0].contains("reseed") && commands[0].contains("c.kitedb"), "{run:?}");
    assert_eq!(folder.run(&["replica", "follow", "c.kitedb", "--once"]).code, 3);
    paste(&folder, &commands[0]).ok();
    assert!(knows(&folder, "c.kitedb", "n20"));
    // With all that there is, it goes on: nobody is asked.
    replica(&folder, "reseed", "r.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", "more there K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    catch_up(&folder, "c.kitedb", "r.kitedb").ok();
}

#[test]
fn who_names_too_few_digits_of_an_id_is_told_how_many_are_needed() {
    let folder = pair();
    let id = registered(&folder, "p.kitedb").remove(0);
    let run = folder.run(&["primary", "remove", "p.kitedb", &id[..3]]);
    assert!(run.code == 1 && run.err.contains("4 digits"), "{run:?}");
    folder.run(&["primary", "remove", "p.kitedb", &id[..4]]).ok();
}

/// A primary is killed, and the end of its log is deleted: whoever follows it is told by its status and by a pull alike, also where
/// it lacks nothing, and through another replica; and what they say to do leads on.
#[test]
fn a_source_whose_log_lost_its_end_is_told_by_status_and_pull_alike() {
    for has_all in [true, false] {
        let folder = pair();
        replica(&folder, "bootstrap", "s.kitedb", "r.kitedb").ok();
        let mut feed = Feed::start(&folder, "p.kitedb", &["--segment-max-bytes", "1024"]);
        feed.feed(&folder, "p.kitedb", &lines("n", 40), "1:41");
        if has_all {
            catch_up(&folder, "r.kitedb", "p.kitedb").ok();
            catch_up(&folder, "s.kitedb", "r.kitedb").ok();
        }
        feed.kill_nine();
        let log = folder.path().join("p.kitedb.replication");
        let last = names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap();
        let whole = fs::read(log.join(&last)).unwrap();
        fs::remove_file(log.join(&last)).unwrap();
        let tells = |run: &Run, text: &str| {
            assert_eq!(run.code, 3, "{run:?}");
            assert!(
                ["frames up to 41 were durable", "replica promote REPLICA --force", "kitedb repair"]
                    .iter()
                    .all(|what| text.contains(what)),
                "{run:?}"
            );
        };
        for _ in 0..2 {
            for db in ["r.kitedb", "s.kitedb"] {
                let run = folder.run(&["replica", "status", db]);
                tells(&run, &run.out);
            }
            let run = folder.run(&["replica", "follow", "r.kitedb", "--once"]);
            tells(&run, &run.err);
        }
        let run = folder.run(&["replica", "reseed", "r.kitedb", "--overwrite"]);
        assert!(run.code != 0 && run.err.contains("frames up to 41 were durable"), "{run:?}");
        if has_all {
            folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
            folder.run(&["replica", "reseed", "p.kitedb", "--source-db", "r.kitedb", "--overwrite"]).ok();
            folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
        } else {
            fs::write(log.join(&last), whole).unwrap();
            catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        }
        catch_up(&folder, "s.kitedb", "r.kitedb").ok();
        assert!(knows(&folder, "s.kitedb", "n40"));
    }
}

/// A replica is told once to follow a node that it cannot follow: that says nothing of it, and it goes on as before.
#[test]
fn a_wrong_source_that_was_named_once_does_not_stick() {
    let folder = pair();
    import(&folder, "s.kitedb", "a b K\n", &[]).ok();
    import(&folder, "o.kitedb", "a b K\n", &["--role", "primary"]).ok();
    folder.file("e.txt", "no database\n");
    let before = folder.run(&["replica", "status", "r.kitedb", "--json"]).json();
    for source in ["s.kitedb", "o.kitedb", "e.txt", "nowhere.kitedb"] {
        for action in ["follow", "reseed", "promote"] {
            let more: &[&str] = if action == "follow" { &["--once"] } else { &[] };
            let run = folder.run(&[&["replica", action, "r.kitedb", "--source-db", source], more].concat());
            assert_ne!(run.code, 0, "{source}: {run:?}");
            assert_eq!(folder.run(&["replica", "status", "r.kitedb", "--json"]).json(), before, "{action} {source}");
        }
    }
    import(&folder, "p.kitedb", "later on K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    folder.run(&["replica", "promote", "r.kitedb"]).ok();
}
