//! Two nodes lead: an older backup was put in the place of a primary whose replica took over, or a replica was promoted by force where
//! its primary could not be reached.

use super::{
    stage::*,
    support::{Folder, Run},
};
use serde_json::Value as Json;
use std::fs;

/// `r` leads epoch 2, and `p` is as it was before that: written into the files that were there, so that nothing tells of a copy.
fn older_backup() -> Folder {
    let folder = pair();
    fs::create_dir(folder.path().join("old")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join("old"));
    }
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    import(&folder, "r.kitedb", "only there K\n", &[]).ok();
    let back = "cp old/p.kitedb . && cp old/p.kitedb.replication/* p.kitedb.replication/";
    assert_eq!(paste(&folder, back).code, 0);
    folder
}

/// `r` was promoted by force while `p` was away.
fn forced() -> Folder {
    let folder = pair();
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let carry = |from: &std::path::Path, to: &std::path::Path| {
        for name in ["p.kitedb", "p.kitedb.replication"] {
            fs::rename(from.join(name), to.join(name)).unwrap();
        }
    };
    carry(folder.path(), &away);
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    import(&folder, "r.kitedb", "only there K\n", &[]).ok();
    carry(&away, folder.path());
    folder
}

fn document(run: &Run) -> Json {
    serde_json::from_str(&run.out).unwrap()
}

/// Whether the status of `p` names `r` as the one that leads in its place; if not, it is well.
#[track_caller]
fn is_told(folder: &Folder, what: &str) -> bool {
    let (shown, run) =
        (folder.run(&["primary", "status", "p.kitedb"]), folder.run(&["primary", "status", "p.kitedb", "--json"]));
    let (role, of) = (folder.run(&["role", "p.kitedb"]), folder.run(&["role", "p.kitedb", "--json"]));
    let status = document(&run);
    let told = !status["led_by"].is_null();
    assert_eq!((run.code, shown.code), if told { (3, 3) } else { (0, 0) }, "{what}: {run:?} {shown:?}");
    assert_eq!(!document(&of)["led_by"].is_null(), told, "{what}: {of:?}");
    if told {
        assert!(status["led_by"]["db"].as_str().unwrap().ends_with("r.kitedb"), "{what}: {status}");
        assert!(status["led_by"]["leads"].as_u64() >= status["epoch"].as_u64(), "{what}: {status}");
        for text in [&shown.out, &role.out, &status["fault"].to_string()] {
            assert!(text.contains("r.kitedb leads epoch 2"), "{what}: {text}");
        }
        for action in ["replica reseed", "primary promote"] {
            assert!(shown.out.contains(action), "{what}: {shown:?}");
        }
    }
    told
}

#[test]
fn a_primary_names_the_registered_replica_that_leads_in_its_place() {
    for (what, stage) in [("an older backup", older_backup as fn() -> Folder), ("forced", forced)] {
        let folder = stage();
        assert!(is_told(&folder, what), "{what}");
        // Also where it wrote on, or began the very epoch that the other one leads.
        import(&folder, "p.kitedb", "only here K\n", &[]).ok();
        assert!(is_told(&folder, what), "{what}");

        // What is made of it names it, and is no end that a script passes over.
        let run = folder.run(&["replica", "bootstrap", "s.kitedb", "--source-db", "p.kitedb"]);
        assert!(run.code == 3 && run.out.contains("r.kitedb leads epoch 2"), "{what}: {run:?}");
        let run = replica(&folder, "bootstrap", "t.kitedb", "p.kitedb");
        let told = document(&run);
        assert!(told["ahead_of_source"][0]["db"].as_str().unwrap().ends_with("r.kitedb"), "{what}: {told}");
        assert!(run.code == 3 && told["fault"].as_str().unwrap().contains("r.kitedb"), "{what}: {told}");

        // The way back: what it says is done as it is shown.
        let shown = folder.run(&["primary", "status", "p.kitedb"]).out;
        let commands = changes_in(&shown);
        assert_eq!(paste(&folder, &commands[0]).code, 0, "{what}: {shown}");
        assert!(knows(&folder, "p.kitedb", "there") && !knows(&folder, "p.kitedb", "here"), "{what}");
        assert_eq!(folder.run(&["replica", "status", "p.kitedb"]).code, 0, "{what}");

        // Or the other way.
        let folder = stage();
        let commands = changes_in(&folder.run(&["primary", "status", "p.kitedb"]).out);
        assert_eq!(paste(&folder, &commands[1]).code, 0, "{what}: {commands:?}");
        assert!(!is_told(&folder, what), "{what}");
        assert_eq!(paste(&folder, &commands[2]).code, 0, "{what}: {commands:?}");
        assert!(!knows(&folder, "r.kitedb", "there"), "{what}");
    }
}

/// What is at the path of a registered replica leads another database, or is a copy; or it leads an epoch that this one is past.
#[test]
fn a_primary_whose_replicas_place_is_another_databases_leads_alone() {
    let folder = pair();
    import(&folder, "q.kitedb", "x y K\n", &["--role", "primary"]).ok();
    for _ in 0..3 {
        folder.run(&["primary", "promote", "q.kitedb"]).ok();
    }
    assert!(!is_told(&folder, "it follows"));
    // The replica becomes one of that, and leads there, while its old source knows nothing of it.
    fs::rename(folder.path().join("p.kitedb"), folder.path().join("away")).unwrap();
    folder.run(&["replica", "reseed", "r.kitedb", "--source-db", "q.kitedb", "--overwrite"]);
    folder.run(&["replica", "promote", "r.kitedb", "--source-db", "q.kitedb"]).ok();
    fs::rename(folder.path().join("away"), folder.path().join("p.kitedb")).unwrap();
    assert!(!is_told(&folder, "it leads another database"));

    let folder = forced();
    folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
    assert!(!is_told(&folder, "it leads an earlier epoch"));
}

/// An older control file was written into the primary's, which leads again by what that says. Another replica, which asks its source
/// before it takes over, finds the one that did.
#[test]
fn a_promotion_finds_who_leads_though_the_source_forgot() {
    let folder = pair();
    folder.run(&["replica", "bootstrap", "s.kitedb", "--source-db", "p.kitedb"]).ok();
    let control = folder.path().join("p.kitedb.replication/control");
    let old = fs::read(&control).unwrap();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    fs::write(&control, old).unwrap();
    let run = replica(&folder, "promote", "s.kitedb", "p.kitedb");
    assert!(run.code == 1 && run.err.contains("r.kitedb leads epoch 2 by now"), "{run:?}");
    // What it says to do.
    catch_up(&folder, "s.kitedb", "r.kitedb").ok();
    import(&folder, "r.kitedb", "only there K\n", &[]).ok();
    catch_up(&folder, "s.kitedb", "r.kitedb").ok();
    assert!(knows(&folder, "s.kitedb", "there"));
}

/// A backup was put back without the list of replicas, or with a damaged one: nothing tells whether one of them leads by now.
#[test]
fn a_restored_primary_whose_list_of_replicas_is_lost_leads_only_by_force() {
    for how in ["gone", "empty", "zeros"] {
        let folder = pair();
        let (here, there) = (folder.path().to_owned(), folder.path().join("there"));
        fs::create_dir(&there).unwrap();
        for name in ["p.kitedb", "p.kitedb.replication"] {
            copy(&here.join(name), &there);
        }
        replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
        let list = there.join("p.kitedb.replication/replicas");
        match how {
            "gone" => fs::remove_file(&list).unwrap(),
            "empty" => fs::write(&list, b"").unwrap(),
            _ => fs::write(&list, [0; 65_536]).unwrap(),
        }
        let away = here.join("away");
        fs::create_dir(&away).unwrap();
        for name in ["p.kitedb", "p.kitedb.replication", "r.kitedb", "r.kitedb.replication"] {
            fs::rename(here.join(name), away.join(name)).unwrap();
        }
        for name in ["p.kitedb", "p.kitedb.replication"] {
            fs::rename(there.join(name), here.join(name)).unwrap();
        }
        let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
        assert!(run.code == 1 && run.err.contains("nothing tells whether another node has more"), "{how}: {run:?}");
        let run = import(&folder, "p.kitedb", "x y K\n", &[]);
        assert_eq!(run.code, 1, "{how}: {run:?}");
        folder.run(&["role", "p.kitedb", "primary", "--moved", "--force"]).ok();
        import(&folder, "p.kitedb", "x y K\n", &[]).ok();
    }
}

/// A promotion by force that could not fence its source, which is there and goes on: what comes next in its log is damaged.
#[test]
fn a_source_that_was_not_fenced_knows_who_leads_beside_it() {
    let folder = pair();
    import(&folder, "p.kitedb", &lines("more", 30), &[]).ok();
    let log = folder.path().join("p.kitedb.replication");
    let segment = log.join(names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap());
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(6).position(|bytes| bytes == b"more12").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let run = replica(&folder, "promote", "r.kitedb", "p.kitedb");
    assert_ne!(run.code, 0, "{run:?}");
    let run = folder.run(&["replica", "promote", "r.kitedb", "--force", "--json"]);
    let told = document(&run);
    assert!(told["source_fenced"] == false, "{run:?}");
    let status = folder.run(&["primary", "status", "p.kitedb", "--json"]);
    assert!(
        status.code == 3 && document(&status)["led_by"]["db"].as_str().unwrap().ends_with("r.kitedb"),
        "{status:?}"
    );
}

#[test]
fn a_primary_does_not_begin_another_epoch_beside_who_leads_unless_forced() {
    let folder = forced();
    let run = folder.run(&["primary", "promote", "p.kitedb"]);
    assert!(run.code != 0 && run.err.contains("r.kitedb leads epoch 2"), "{run:?}");
    let run = folder.run(&["primary", "promote", "p.kitedb", "--force"]);
    assert!(run.code == 0 && run.out.contains("r.kitedb"), "{run:?}");
}

/// The node between the two is gone, and neither of them ever followed the other one.
#[test]
fn a_replica_finds_the_sibling_that_took_over_from_what_is_gone() {
    let folder = pair();
    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    import(&folder, "r.kitedb", "only there K\n", &[]).ok();
    fs::remove_file(folder.path().join("p.kitedb")).unwrap();
    fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
    let status = folder.run(&["replica", "status", "s.kitedb"]);
    assert!(status.code == 3 && status.out.contains("r.kitedb leads epoch 2"), "{status:?}");
    let run = folder.run(&["replica", "promote", "s.kitedb"]);
    assert!(run.code != 0 && run.err.contains("r.kitedb leads epoch 2"), "{run:?}");
    let run = folder.run(&["replica", "promote", "s.kitedb", "--force", "--json"]);
    let told = document(&run);
    assert!(told["epoch"] == 3 && told["rival_epoch"] == 2, "{run:?}");
}

/// As that, of the primary that was there before both of them.
#[test]
fn a_primary_finds_who_followed_the_one_that_took_over_from_it() {
    let folder = pair();
    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    import(&folder, "r.kitedb", "only there K\n", &[]).ok();
    catch_up(&folder, "s.kitedb", "r.kitedb").ok();
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    fs::remove_dir_all(folder.path().join("r.kitedb.replication")).unwrap();
    let run = folder.run(&["primary", "promote", "p.kitedb", "--force"]);
    assert!(run.out.contains("s.kitedb") || run.err.contains("s.kitedb"), "{run:?}");
    assert!(run.out.contains("epoch 3") || run.out.contains("epoch 4"), "{run:?}");
}

/// A follow of a source that was named by mistake is refused, and leaves nothing there.
#[test]
fn a_wrong_source_is_not_registered_with() {
    let folder = pair();
    import(&folder, "q.kitedb", "x y K\nz w K\n", &["--role", "primary"]).ok();
    let run = catch_up(&folder, "r.kitedb", "q.kitedb");
    assert_ne!(run.code, 0, "{run:?}");
    assert!(registered(&folder, "q.kitedb").is_empty());
    assert_eq!(registered(&folder, "p.kitedb").len(), 1);
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    assert_eq!(folder.run(&["replica", "status", "r.kitedb"]).code, 0);

    // Nor with a replica that lacks the way to what it needs.
    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", "later L K\n", &[]).ok();
    replica(&folder, "bootstrap", "d.kitedb", "p.kitedb").ok();
    assert_ne!(catch_up(&folder, "s.kitedb", "d.kitedb").code, 0);
    folder.run(&["replica", "follow", "s.kitedb", "--once"]).ok();
    assert_eq!(folder.run(&["replica", "status", "d.kitedb"]).code, 0);
}
