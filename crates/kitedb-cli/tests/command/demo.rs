//! The demo runs from anywhere, crash included, and what it leaves is a database like any other.

use crate::support::Folder;
use serde_json::json;

const LOCK: &str = r#"
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["log", "rand 0.9.1"]

[[package]]
name = "log"
version = "0.4.2"
source = "registry+https://example.org"

[[package]]
name = "rand"
version = "0.9.1"
source = "registry+https://example.org"
dependencies = ["log"]
"#;

#[test]
fn demo_survives_its_crashes_and_leaves_a_clean_database() {
    let folder = Folder::new();
    folder.file("Cargo.lock", LOCK);
    let run = folder.run(&["demo", "--dir", "shown"]).ok();
    assert!(run.out.contains("none lost"), "{run:?}");
    assert!(run.out.contains("log 0.4.2"), "{run:?}");
    for part in ["has caught up", "Every acknowledged commit is there", "stale primary", "needs reseed"] {
        assert!(run.out.contains(part), "{part}: {run:?}");
    }
    assert!(!run.out.contains('\x1b') && run.err.is_empty(), "{run:?}");

    let log = folder.run(&["neighbors", "shown/demo.kitedb", "log 0.4.2", "--in", "--json"]).json();
    assert_eq!(log["count"], 2);
    let app = folder.run(&["neighbors", "shown/demo.kitedb", "app 0.1.0", "--json"]).json();
    assert_eq!(app["neighbors"][1]["props"], json!({ "requirement": "rand 0.9.1" }));
    assert_eq!(folder.run(&["check", "shown/demo.kitedb", "--json"]).json()["clean"], true);

    let leader = folder.run(&["primary", "status", "shown/demo-a.kitedb", "--json"]).json();
    assert_eq!((&leader["epoch"], &leader["process_id"]), (&json!(2), &json!(null)));
    for replica in ["shown/demo.kitedb", "shown/demo-b.kitedb"] {
        let found = folder.run(&["verify", "shown/demo-a.kitedb", replica, "--json"]).json();
        assert_eq!((&found["equal"], &found["lead"]), (&json!(true), &json!(0)), "{replica}");
        assert_eq!(folder.run(&["replica", "status", replica, "--json"]).json()["state"], "closed");
    }
}

#[test]
fn demo_without_a_lock_file_shows_the_built_in_one_and_speaks_json() {
    let folder = Folder::new();
    let document = folder.run(&["demo", "--dir", ".", "--json"]).json();
    assert_eq!(document["ok"], true);
    assert!(document["graph"]["nodes"].as_u64().unwrap() > 50);
    let crashes = document["crashes"].as_array().unwrap();
    assert!(crashes.len() >= 2);
    for crash in crashes {
        assert!(crash["acknowledged"].as_u64().unwrap() >= 1);
        assert_eq!(crash["lost"], 0);
    }
    let replication = &document["replication"];
    assert_eq!(replication["bootstraps"].as_array().unwrap().len(), 2);
    assert!(replication["lag"]["frames"].as_u64() >= Some(1), "{replication}");
    assert_eq!((&replication["promotion"]["epoch"], &replication["promotion"]["lost"]), (&json!(2), &json!(0)));
    assert!(replication["fenced"].as_str().unwrap().contains("stale primary"), "{replication}");
    assert!(replication["reseed"]["error"].as_str().unwrap().contains("needs reseed"), "{replication}");
    let members = replication["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|member| member["digest"] == members[0]["digest"]), "{replication}");
}

#[test]
fn demo_never_writes_over_a_file() {
    let folder = Folder::new();
    folder.file("Cargo.lock", LOCK);
    folder.file("demo.kitedb", "mine");
    let document = folder.run(&["demo", "--dir", ".", "--json"]).json();
    assert!(document["database"].as_str().unwrap().ends_with("demo-2.kitedb"));
    assert_eq!(std::fs::read_to_string(folder.path().join("demo.kitedb")).unwrap(), "mine");
}
