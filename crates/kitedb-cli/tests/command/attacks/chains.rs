//! Replicas of replicas: whether a primary leads at the end of the way, and what is kept on it.

use super::{stage::*, support::Folder};
use serde_json::Value as Json;
use std::fs;

/// `c` follows `r`, which follows the primary `p`.
fn chain() -> Folder {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
    folder
}

fn status(folder: &Folder, db: &str) -> (i32, Json) {
    let run = folder.run(&["replica", "status", db, "--json"]);
    (run.code, serde_json::from_str(&run.out).unwrap())
}

fn with_log(db: &str) -> [String; 2] {
    [db.to_owned(), format!("{db}.replication")]
}

fn remove(folder: &Folder, db: &str) {
    fs::remove_file(folder.path().join(db)).unwrap();
    fs::remove_dir_all(folder.path().join(format!("{db}.replication"))).unwrap();
}

/// The primary at the end is gone, or is none any more: every replica on the way says so.
#[test]
fn a_chain_whose_primary_is_gone_leads_to_no_primary_for_each_of_its_replicas() {
    let gone = |folder: &Folder| remove(folder, "p.kitedb");
    type End<'a> = &'a dyn Fn(&Folder);
    let cases: [(&str, End<'_>); 6] = [
        ("missing", &gone),
        ("missing", &|folder| {
            gone(folder);
            folder.file("p.kitedb", "");
        }),
        ("another", &|folder| {
            gone(folder);
            import(folder, "p.kitedb", "x y K\n", &["--role", "primary"]).ok();
        }),
        ("stand_alone", &|folder| {
            folder.run(&["role", "p.kitedb", "detach"]).ok();
        }),
        ("unavailable", &|folder| fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap()),
        // It was orphaned by the fence, and is so still once the fenced primary is deleted.
        ("missing", &|folder| {
            replica(folder, "bootstrap", "t.kitedb", "p.kitedb").ok();
            replica(folder, "promote", "t.kitedb", "p.kitedb").ok();
            assert_eq!(status(folder, "c.kitedb").1["source_fault"], "fenced");
            gone(folder);
        }),
    ];
    for (kind, end) in cases {
        let folder = chain();
        assert_eq!(status(&folder, "c.kitedb").0, 0);
        end(&folder);
        for db in ["r.kitedb", "c.kitedb"] {
            let (code, status) = status(&folder, db);
            assert_eq!((code, status["source_fault"].as_str()), (3, Some(kind)), "{db}: {status}");
            assert!(status["fault"].as_str().unwrap().contains("p.kitedb"), "{db}: {status}");
        }
        let run = folder.run(&["replica", "follow", "c.kitedb", "--once"]);
        assert!(run.code == 3 && run.out.contains("orphaned"), "{kind}: {run:?}");
    }
}

/// The source of its source is on a machine that cannot be seen from here: that is no fault, and not told as all well.
#[test]
fn a_chain_whose_end_cannot_be_seen_says_so() {
    let folder = Folder::new();
    let far = folder.path().join("far");
    fs::create_dir(&far).unwrap();
    import(&folder, "far/p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    let p = far.join("p.kitedb");
    replica(&folder, "bootstrap", "r.kitedb", p.to_str().unwrap()).ok();
    replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
    assert_eq!(status(&folder, "c.kitedb").1["source_unseen"], Json::Null);
    fs::rename(&far, folder.path().join("unmounted")).unwrap();
    let (code, found) = status(&folder, "c.kitedb");
    let why = found["source_unseen"].as_str().unwrap_or_default();
    assert!(code == 0 && why.contains("far/p.kitedb"), "{found}");
    let shown = folder.run(&["replica", "status", "c.kitedb"]).ok();
    assert!(shown.out.contains("not known"), "{shown:?}");
    // Its source has noticed: that is told.
    assert_ne!(folder.run(&["replica", "follow", "r.kitedb", "--once"]).code, 0);
    let (code, found) = status(&folder, "c.kitedb");
    assert_eq!((code, found["source_fault"].as_str()), (3, Some("unavailable")), "{found}");
}

/// Its source was reseeded to the history of a restored primary, under the same id.
#[test]
fn a_replica_of_a_replica_that_was_reseeded_to_another_history_says_so() {
    let folder = chain();
    fs::create_dir(folder.path().join("old")).unwrap();
    with_log("p.kitedb").iter().for_each(|name| copy(&folder.path().join(name), &folder.path().join("old")));
    import(&folder, "p.kitedb", "lost here K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    catch_up(&folder, "c.kitedb", "r.kitedb").ok();
    remove(&folder, "p.kitedb");
    with_log("p.kitedb").iter().for_each(|name| copy(&folder.path().join("old").join(name), folder.path()));
    folder.run(&["role", "p.kitedb", "primary", "--moved", "--force"]).ok();
    folder.run(&["replica", "reseed", "r.kitedb", "--overwrite"]).ok();
    import(&folder, "p.kitedb", "goes on K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    for more in [&[][..], &["--source-db", "r.kitedb"]] {
        let run = folder.run(&[&["replica", "status", "c.kitedb", "--json"], more].concat());
        let found: Json = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, found["source_fault"].as_str()), (3, Some("another")), "{found}");
    }
    assert_eq!(folder.run(&["replica", "follow", "c.kitedb", "--once"]).code, 3);
}

/// The control file of a replica is gone, and it goes on to follow before anybody repairs it.
#[test]
fn a_replica_without_its_control_file_keeps_its_log_for_those_that_follow_it() {
    let folder = chain();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    fs::remove_file(folder.path().join("r.kitedb.replication/control")).unwrap();
    import(&folder, "p.kitedb", "e f K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    folder.run(&["check", "r.kitedb"]).ok();
    assert_eq!(folder.run(&["replica", "follow", "c.kitedb", "--once", "--json"]).json()["applied_log_index"], 3);
    folder.run(&["verify", "p.kitedb", "c.kitedb"]).ok();
    assert_eq!(folder.run(&["role", "r.kitedb", "--json"]).json()["role"], "replica");
}

/// The last of a chain takes over from the primary, and the one that it followed before follows it.
#[test]
fn a_node_that_takes_over_is_registered_with_none_of_its_sources_any_more() {
    let folder = chain();
    assert_eq!(status(&folder, "r.kitedb").1["replica_lags"].as_array().unwrap().len(), 1);
    replica(&folder, "promote", "c.kitedb", "p.kitedb").ok();
    catch_up(&folder, "r.kitedb", "c.kitedb").ok();
    for db in ["r.kitedb", "p.kitedb"] {
        let kind = if db == "r.kitedb" { "replica" } else { "primary" };
        let run = folder.run(&[kind, "status", db, "--json"]);
        let found: Json = serde_json::from_str(&run.out).unwrap();
        let ids: Vec<_> = found["replica_lags"].as_array().unwrap().iter().map(|lag| lag["path"].clone()).collect();
        assert!(!ids.iter().any(|path| path.as_str().is_some_and(|path| path.ends_with("c.kitedb"))), "{db}: {found}");
    }
    assert_eq!(registered(&folder, "c.kitedb").len(), 1);
}

/// Nobody was promoted beside it, and nothing says so.
#[test]
fn a_replica_that_is_opened_as_a_primary_is_told_that_it_is_a_replica() {
    let folder = pair();
    let run = import(&folder, "r.kitedb", "x y K\n", &["--role", "primary"]);
    assert!(run.code == 1 && run.err.contains("r.kitedb is a replica"), "{run:?}");
    assert!(run.err.contains("kitedb replica promote") && !run.err.contains("another node"), "{run:?}");
    let run = folder.run(&["replica", "promote", "p.kitedb", "--source-db", "p.kitedb"]);
    assert!(run.code == 1 && !run.err.contains("arguments exchanged"), "{run:?}");
}

/// Its log can be followed, and has no more: an operator who looks, and who runs a follower, is told.
#[test]
fn a_file_in_a_chain_that_cannot_be_read_is_told_by_each_replica_below_it() {
    for (spoilt, below) in [("p.kitedb", &["r.kitedb", "c.kitedb"][..]), ("r.kitedb", &["c.kitedb"])] {
        let folder = chain();
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        if spoilt == "p.kitedb" {
            catch_up(&folder, "r.kitedb", "p.kitedb").ok();
            catch_up(&folder, "c.kitedb", "r.kitedb").ok();
        }
        fs::write(folder.path().join(spoilt), "root:x:0:0::/root:/bin/sh\n").unwrap();
        for db in below {
            let look = folder.run(&["replica", "status", db]);
            assert!(look.code == 3 && !look.out.contains("all that its source has"), "{db} below {spoilt}: {look:?}");
            let once = folder.run(&["replica", "follow", db, "--once"]);
            assert!(once.code == 3 && once.out.contains("cannot be read"), "{db} below {spoilt}: {once:?}");
            assert_eq!(status(&folder, db).1["source_fault"], "unavailable");
        }
    }
}

/// The replica in the middle is gone, its file or all of it: who follows it is told to follow the primary that leads still, and
/// never to lead beside it.
#[test]
fn a_replica_whose_source_was_a_replica_is_not_told_to_lead_beside_the_primary() {
    for lost in ["file", "all", "detached", "an older copy"] {
        let folder = pair();
        replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
        let (file, log) = (folder.path().join("r.kitedb"), folder.path().join("r.kitedb.replication"));
        let saved = folder.path().join("saved");
        fs::create_dir(&saved).unwrap();
        for path in [&file, &log] {
            copy(path, &saved);
        }
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        for (db, source) in [("r.kitedb", "p.kitedb"), ("c.kitedb", "r.kitedb")] {
            catch_up(&folder, db, source).ok();
        }
        match lost {
            "detached" => drop(folder.run(&["role", "r.kitedb", "detach"]).ok()),
            "file" => fs::remove_file(&file).unwrap(),
            _ => {
                fs::remove_file(&file).unwrap();
                fs::remove_dir_all(&log).unwrap();
            }
        }
        if lost == "an older copy" {
            copy(&saved.join("r.kitedb"), folder.path());
            copy(&saved.join("r.kitedb.replication"), folder.path());
        }
        let mut told = 0;
        for command in [
            &["replica", "status", "c.kitedb"][..],
            &["replica", "follow", "c.kitedb", "--once"],
            &["replica", "status", "c.kitedb"],
            &["replica", "promote", "c.kitedb"],
            &["replica", "promote", "c.kitedb", "--source-db", "r.kitedb"],
            &["replica", "reseed", "c.kitedb"],
        ] {
            let run = folder.run(command);
            let text = format!("{}{}", run.out, run.err);
            assert!(!text.contains("force"), "{lost}, {command:?}: {run:?}");
            told += text.matches("replica follow c.kitedb --source-db").count();
            assert_eq!(folder.run(&["role", "c.kitedb", "--json"]).json()["role"], "replica", "{lost}, {command:?}");
        }
        assert!(told > 0 || lost == "an older copy", "{lost}");
        import(&folder, "p.kitedb", "e f K\n", &[]).ok();
        folder.run(&["replica", "follow", "c.kitedb", "--source-db", "p.kitedb", "--once"]).ok();
        assert!(knows(&folder, "c.kitedb", "e"), "{lost}");
    }
}

/// The source is gone, was taken over from, or is an older copy, and who leads can be reached: that one is named, nobody is told to lead
/// beside it, and what is told is run.
#[test]
fn who_cannot_follow_its_source_is_told_which_node_leads() {
    for how in ["taken over from", "gone", "an older copy"] {
        let folder = pair();
        // It follows `r`, and is found through it.
        replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
        let saved = folder.path().join("saved");
        fs::create_dir(&saved).unwrap();
        let node = ["p.kitedb", "p.kitedb.replication"];
        node.iter().for_each(|name| copy(&folder.path().join(name), &saved));
        if how == "an older copy" {
            import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        }
        replica(&folder, "promote", "s.kitedb", "p.kitedb").ok();
        import(&folder, "s.kitedb", "e f K\n", &[]).ok();
        if how == "an older copy" {
            fs::remove_file(folder.path().join("p.kitedb")).unwrap();
            fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
            node.iter().for_each(|name| copy(&saved.join(name), folder.path()));
        }
        if how == "gone" {
            fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        }
        // The log that is left of `p` knows no more who followed it before; `s` remembers that it did.
        let mut told = Vec::new();
        for command in [
            &["replica", "promote", "r.kitedb"][..],
            &["replica", "status", "r.kitedb"],
            &["replica", "follow", "r.kitedb", "--once"],
            &["replica", "reseed", "r.kitedb"],
            &["replica", "status", "r.kitedb"],
        ] {
            let run = folder.run(command);
            let text = format!("{}{}", run.out, run.err);
            assert!(!text.contains("--force") && !text.contains("by force"), "{how}, {command:?}: {run:?}");
            let follow =
                commands_in(&text).into_iter().find(|words| words.contains(&"follow")).map(|words| words.join(" "));
            told.extend(follow.filter(|line| line.ends_with("s.kitedb")));
        }
        assert!(!told.is_empty(), "{how}");
        paste(&folder, &format!("kitedb {} --once", told[0])).ok();
        assert!(knows(&folder, "r.kitedb", "e"), "{how}");
    }
}
