//! Who is registered where, after a replica was made again under its path, or a node that others follow was copied anew.

use super::{stage::*, support::Folder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::{fs, process::Stdio};

fn remove(folder: &Folder, db: &str) {
    fs::remove_file(folder.path().join(db)).unwrap();
    fs::remove_dir_all(folder.path().join(format!("{db}.replication"))).unwrap();
}

fn rename(folder: &Folder, from: &str, to: &str) {
    for end in ["", ".replication"] {
        fs::rename(folder.path().join(format!("{from}{end}")), folder.path().join(format!("{to}{end}"))).unwrap();
    }
}

fn id_of(folder: &Folder, db: &str) -> String {
    folder.run(&["replica", "status", db, "--json"]).json()["replica_id"].as_str().unwrap().to_owned()
}

/// The primary goes on keeping its log for the former one, says so, and says which command ends that.
#[test]
fn a_replica_that_is_made_again_under_its_path_is_told_of_the_former_one() {
    for json in [false, true] {
        let folder = pair();
        let former = id_of(&folder, "r.kitedb");
        remove(&folder, "r.kitedb");
        let run = match json {
            true => replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok(),
            false => folder.run(&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"]).ok(),
        };
        let now = id_of(&folder, "r.kitedb");
        // By the path alone two are meant: which of them is there now is told, and what names each alone.
        let refused = folder.run(&["primary", "remove", "p.kitedb", "r.kitedb"]);
        let told = changes_in(&refused.err);
        assert!(refused.code == 1 && told.len() == 2 && told[0].contains(&former[..8]), "{refused:?}");
        assert!(refused.err.contains("reported last") && told[1].contains(&now[..8]), "{refused:?}");
        let status = folder.run(&["primary", "status", "p.kitedb"]).ok();
        assert!(changes_in(&status.out).iter().any(|command| command.contains(&former[..8])), "{status:?}");
        if json {
            let document: Json = serde_json::from_str(&run.out).unwrap();
            assert_eq!(document["registered_before"][0], former.as_str(), "{document}");
            paste(&folder, &told[0]).ok();
        } else {
            let commands = changes_in(&run.out);
            assert!(commands.len() == 1 && run.out.contains("registered at this path before"), "{run:?}");
            paste(&folder, &commands[0]).ok();
        }
        assert_eq!(registered(&folder, "p.kitedb"), [now]);
        assert!(changes_in(&folder.run(&["primary", "status", "p.kitedb"]).ok().out).is_empty());
    }
}

/// It may be idle elsewhere: nothing tells a file that was moved from one that is gone.
#[test]
fn a_replica_that_was_moved_keeps_its_place_though_another_one_is_made_where_it_was() {
    let folder = pair();
    let moved = id_of(&folder, "r.kitedb");
    rename(&folder, "r.kitedb", "moved.kitedb");
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    assert!(registered(&folder, "p.kitedb").contains(&moved));
    folder.run(&["replica", "follow", "moved.kitedb", "--once"]).ok();
    // Once it reported from there, each path names one.
    assert!(changes_in(&folder.run(&["primary", "status", "p.kitedb"]).ok().out).is_empty());
    folder.run(&["primary", "remove", "p.kitedb", "r.kitedb"]).ok();
    assert_eq!(registered(&folder, "p.kitedb"), [moved]);
}

/// `r` is given the graph of another database, and `c`, which follows it, has what is gone there.
#[test]
fn a_reseed_to_another_history_names_the_replicas_below_that_are_lost_by_it() {
    for keep in [true, false] {
        let folder = pair();
        import(&folder, "p.kitedb", "c d K\ne f K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
        import(&folder, "q.kitedb", "x y K\nz y K\n", &["--role", "primary"]).ok();
        let run = folder.run(&["replica", "reseed", "r.kitedb", "--source-db", "q.kitedb", "--overwrite"]).ok();
        assert!(run.out.contains("c.kitedb") && run.out.contains("1:3"), "{run:?}");
        let commands = changes_in(&run.out);
        assert!(commands.len() == 2 && commands[0].contains("promote"), "{run:?}");
        paste(&folder, &commands[usize::from(!keep)]).ok();
        assert_eq!((knows(&folder, "c.kitedb", "e"), knows(&folder, "c.kitedb", "x")), (keep, !keep));
    }
    // For a script.
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
    import(&folder, "q.kitedb", "x y K\n", &["--role", "primary"]).ok();
    let below = id_of(&folder, "c.kitedb");
    let args = ["replica", "reseed", "r.kitedb", "--source-db", "q.kitedb", "--overwrite", "--json"];
    let document = folder.run(&args).json();
    assert_eq!(document["replicas_to_reseed"], serde_json::json!([below]));
    let status = folder.run(&["replica", "status", "r.kitedb", "--json"]).json();
    assert_eq!(status["replica_lags"], Json::Array(Vec::new()), "nothing is kept for what is not of this history");
}

/// A primary that is made a replica keeps no list of who followed it: they are named once.
#[test]
fn a_primary_that_is_reseeded_lists_its_former_replicas_no_more() {
    let folder = pair();
    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    fs::create_dir(folder.path().join("away")).unwrap();
    rename(&folder, "p.kitedb", "away/p.kitedb");
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    rename(&folder, "away/p.kitedb", "p.kitedb");
    import(&folder, "r.kitedb", &lines("n", 3), &[]).ok();
    // From a replica of the one that leads, which followed it, too.
    replica(&folder, "bootstrap", "z.kitedb", "r.kitedb").ok();
    let run = folder.run(&["replica", "reseed", "p.kitedb", "--source-db", "z.kitedb", "--overwrite"]).ok();
    let commands: Vec<_> = run.out.split('`').filter(|part| part.starts_with("kitedb ")).collect();
    assert!(commands.len() == 1 && commands[0].contains("s.kitedb") && commands[0].contains("z.kitedb"), "{run:?}");
    let status = folder.run(&["replica", "status", "p.kitedb", "--json"]).json();
    assert_eq!(status["replica_lags"], Json::Array(Vec::new()));
    // That one's log begins later, which is told with the way on.
    let run = paste(&folder, &format!("{} --once", commands[0]));
    assert_eq!(run.code, 3, "{run:?}");
    paste(&folder, &changes_in(&run.err)[0]).ok();
    assert!(knows(&folder, "s.kitedb", "n3"));
}

/// Decommissioned by the book, in either order: what ends is no fault.
#[test]
fn a_follower_that_is_removed_at_its_source_ends_as_its_status_does() {
    let folder = pair();
    let follow = ["replica", "follow", "r.kitedb"];
    let mut follower = folder.command(&follow).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it follows", || folder.run(&["replica", "status", "r.kitedb", "--json"]).out.contains("\"following\""));
    folder.run(&["primary", "remove", "p.kitedb", "r.kitedb"]).ok();
    // While it runs it is not well: it would register again.
    let status = folder.run(&["replica", "status", "r.kitedb", "--json"]);
    assert!(status.code == 3 && status.out.contains("\"unregistered\""), "{status:?}");
    kill_process(Pid::from_raw(follower.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    let code = follower.wait().unwrap().code();
    let status = folder.run(&["replica", "status", "r.kitedb"]);
    assert_eq!((code, status.code), (Some(0), 0), "{status:?}");
    assert!(status.out.contains("not registered with its source"), "{status:?}");
    assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());
}

#[test]
fn a_name_for_who_is_not_registered_is_refused() {
    let folder = pair();
    let run = folder.run(&["replica", "follow", "r.kitedb", "--once", "--unregistered", "--name", "west"]);
    assert!(run.code == 2 && run.err.contains("--name") && run.err.contains("--unregistered"), "{run:?}");
}

/// Also where the file has nothing that is not there already.
#[test]
fn an_import_that_may_not_commit_is_refused_whatever_it_brings() {
    let folder = failed_over();
    replica(&folder, "bootstrap", "s.kitedb", "r.kitedb").ok();
    for db in ["p.kitedb", "s.kitedb"] {
        for edges in ["", "a b K\n", "x y K\n"] {
            let run = import(&folder, db, edges, &["--role", "primary"]);
            assert!(run.code == 1 && run.err.contains("stale primary"), "{db} {edges:?}: {run:?}");
        }
    }
}
