//! A monitor asks `kitedb role`, and goes by its exit code; an operator detaches a node that others follow.

use super::{
    stage::{commands_in, copy, failed_over, import, pair, paste, registered, replica},
    support::Folder,
};
use serde_json::Value as Json;
use std::fs;

/// What is done to a pair.
type Spoil = fn(&Folder);

/// What it shows as a fault it ends with, as the status of that node does.
#[test]
fn a_role_that_somebody_has_to_see_to_ends_as_its_status_does() {
    let states: [(&str, &str, Spoil); 6] = [
        ("well", "p.kitedb", |_| {}),
        ("well", "r.kitedb", |_| {}),
        ("fenced", "p.kitedb", |folder| drop(replica(folder, "promote", "r.kitedb", "p.kitedb").ok())),
        ("copied", "p.kitedb", |folder| {
            for name in ["p.kitedb", "p.kitedb.replication"] {
                copy(&folder.path().join(name), &folder.path().join(format!("{name}.copy")));
                let old = folder.path().join(name);
                fs::remove_dir_all(&old).or_else(|_| fs::remove_file(&old)).unwrap();
                fs::rename(folder.path().join(format!("{name}.copy")), &old).unwrap();
            }
        }),
        ("its log", "p.kitedb", |folder| fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap()),
        ("its log", "r.kitedb", |folder| {
            fs::remove_file(folder.path().join("r.kitedb.replication/control")).unwrap();
        }),
    ];
    for (what, db, spoil) in states {
        let folder = pair();
        spoil(&folder);
        let code = if what == "well" { 0 } else { 3 };
        let kind = if db == "p.kitedb" { "primary" } else { "replica" };
        assert_eq!(folder.run(&[kind, "status", db]).code, code, "{what} {db}");
        for json in [false, true] {
            let run = folder.run(&[&["role", db][..], if json { &["--json"] } else { &[] }].concat());
            assert_eq!(run.code, code, "{what} {db}: {run:?}");
            assert!(run.out.contains(kind), "{what} {db}: {run:?}");
        }
    }
}

/// Who followed it is named, with a command that works, in words and in the document.
#[test]
fn a_node_that_is_detached_names_who_followed_it() {
    for (db, behind, source) in [("p.kitedb", "r.kitedb", "NODE"), ("r.kitedb", "c.kitedb", "p.kitedb")] {
        for json in [false, true] {
            let folder = pair();
            if behind == "c.kitedb" {
                replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
            }
            let id = registered_with(&folder, db).remove(0);
            let run = folder.run(&[&["role", db, "detach"][..], if json { &["--json"] } else { &[] }].concat()).ok();
            if json {
                let document: Json = serde_json::from_str(&run.out).unwrap();
                assert_eq!(document["followers"][0]["replica_id"], id, "{document}");
                assert!(document["followers"][0]["path"].as_str().unwrap().ends_with(behind), "{document}");
                continue;
            }
            let told =
                commands_in(&run.out).into_iter().find(|command| command.contains(&"follow")).expect("a command");
            assert!(told[2].ends_with(behind) && told[4].ends_with(source), "{told:?}");
            if source != "NODE" {
                import(&folder, "p.kitedb", "c d K\n", &[]).ok();
                folder.run(&[&told[..], &["--once"]].concat()).ok();
                folder.run(&["verify", "p.kitedb", behind]).ok();
            }
        }
    }
    // Nobody followed it.
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    assert!(!folder.run(&["role", "p.kitedb", "detach"]).ok().out.contains("follow"));
}

fn registered_with(folder: &Folder, db: &str) -> Vec<String> {
    if db == "p.kitedb" {
        return registered(folder, db);
    }
    let status = folder.run(&["replica", "status", db, "--json"]).json();
    status["replica_lags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lag| lag["replica_id"].as_str().unwrap().to_owned())
        .collect()
}

/// Its log, which alone knew its source, is gone: the registration is named all the same, and the command ends it.
#[test]
fn a_replica_that_is_detached_without_its_log_names_the_command_that_ends_its_registration() {
    for json in [false, true] {
        let folder = pair();
        fs::remove_dir_all(folder.path().join("r.kitedb.replication")).unwrap();
        let run =
            folder.run(&[&["role", "r.kitedb", "detach"][..], if json { &["--json"] } else { &[] }].concat()).ok();
        let ids = registered(&folder, "p.kitedb");
        assert_eq!(ids.len(), 1);
        if json {
            let document: Json = serde_json::from_str(&run.out).unwrap();
            assert_eq!(document["still_registered"]["replica_id"], ids[0], "{document}");
        } else {
            let told = run.out.split('`').find(|part| part.starts_with("kitedb primary remove")).expect("a command");
            paste(&folder, &told.replace(" SOURCE ", " p.kitedb ")).ok();
            assert!(registered(&folder, "p.kitedb").is_empty());
        }
    }
    // A fenced primary and a database of its own are registered nowhere.
    let folder = failed_over();
    fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
    let run = folder.run(&["role", "p.kitedb", "detach"]).ok();
    assert!(!run.out.contains("primary remove"), "{run:?}");
}
