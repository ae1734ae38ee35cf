//! What commands say of a node that is not in order, and with which exit code: nobody who only looks at that is told that
//! all is well.

use crate::support::{Folder, Run, parsed};
use kitedb_core::{Database, OpenOptions};
use serde_json::{Value as Json, json};
use std::{fs, path::Path, process::Command};

fn import(folder: &Folder, db: &str, edges: &str, more: &[&str]) -> Run {
    folder.file("edges.txt", edges);
    let args = ["import", db, "edges.txt", "--format", "edgelist", "--batch", "1"];
    folder.run(&[&args[..], more].concat())
}

fn replica(folder: &Folder, action: &str, db: &str, source: &str) -> Run {
    folder.run(&["replica", action, db, "--source-db", source])
}

fn catch_up(folder: &Folder, db: &str, source: &str) -> Run {
    folder.run(&["replica", "follow", db, "--source-db", source, "--once"])
}

/// A primary `p` with one commit, and the replicas `r` and `s` of it.
fn cluster() -> Folder {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    for db in ["r.kitedb", "s.kitedb"] {
        replica(&folder, "bootstrap", db, "p.kitedb").ok();
    }
    folder
}

fn copy(folder: &Folder, from: &str, to: &str) {
    for end in ["", ".replication"] {
        let path = |name: &str| folder.path().join(format!("{name}{end}"));
        let status = Command::new("cp").arg("-a").arg(path(from)).arg(path(to)).status().unwrap();
        assert!(status.success());
    }
}

fn rename(folder: &Folder, from: &str, to: &str) {
    for end in ["", ".replication"] {
        let path = |name: &str| folder.path().join(format!("{name}{end}"));
        fs::rename(path(from), path(to)).unwrap();
    }
}

/// The status of a node, as text and as a document, which must be that of a node with a fault.
#[track_caller]
fn faulty(folder: &Folder, role: &str, db: &str) -> (String, Json) {
    let shown = folder.run(&[role, "status", db]);
    assert_eq!(shown.code, 3, "{shown:?}");
    let document = folder.run(&[role, "status", db, "--json"]);
    assert_eq!(document.code, 3, "{document:?}");
    let document: Json = serde_json::from_str(&document.out).unwrap();
    assert!(document["fault"].is_string(), "{document}");
    (shown.out, document)
}

/// Somebody follows on after another replica took over: he has all that his source has, and nothing more will come.
#[test]
fn a_replica_of_a_fenced_primary_says_who_took_over_and_what_to_do() {
    let folder = cluster();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    let run = catch_up(&folder, "s.kitedb", "p.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.out.contains("orphaned at 1:1") && run.out.contains("p.kitedb does not lead any more"), "{run:?}");
    let (shown, document) = faulty(&folder, "replica", "s.kitedb");
    for phrase in [
        "its source: ",
        "took over from it with epoch 2",
        "`kitedb replica follow s.kitedb --source-db",
        "r.kitedb leads",
    ] {
        assert!(shown.contains(phrase), "{phrase}: {shown}");
    }
    assert!(!shown.contains("all that its source has"), "{shown}");
    assert_eq!((&document["source_fault"], &document["state"]), (&json!("fenced"), &json!("closed")));
    catch_up(&folder, "s.kitedb", "r.kitedb").ok();
    folder.run(&["replica", "status", "s.kitedb"]).ok();
}

#[test]
fn replicas_that_follow_each_other_say_so() {
    let folder = cluster();
    catch_up(&folder, "r.kitedb", "s.kitedb").ok();
    assert_eq!(catch_up(&folder, "s.kitedb", "r.kitedb").code, 3);
    for db in ["r.kitedb", "s.kitedb"] {
        let (shown, document) = faulty(&folder, "replica", db);
        assert!(shown.contains("which follows") && document["source_fault"] == "cycle", "{shown}");
    }
    // One of them takes the name of the primary.
    catch_up(&folder, "s.kitedb", "p.kitedb").ok();
    rename(&folder, "p.kitedb", "old.kitedb");
    rename(&folder, "s.kitedb", "p.kitedb");
    assert_eq!(faulty(&folder, "replica", "p.kitedb").1["source_fault"], "cycle");
}

#[test]
fn a_replica_that_is_lost_says_so_before_it_tries() {
    let folder = cluster();
    let more: String = (0..5).map(|n| format!("more{n} b K\n")).collect();
    import(&folder, "p.kitedb", &more, &["--segment-max-bytes", "1"]).ok();
    let windows = ["--retention-min-entries", "0", "--retention-max-bytes", "1"];
    folder.run(&[&["primary", "retention", "p.kitedb"][..], &windows].concat()).ok();
    let (shown, document) = faulty(&folder, "replica", "r.kitedb");
    assert!(shown.contains("needs_reseed") && shown.contains("`kitedb replica reseed r.kitedb`"), "{shown}");
    assert_eq!((&document["needs_reseed"], &document["source_fault"]), (&json!(true), &json!("lost")));
    // Nor does it claim to have everything once it found out.
    catch_up(&folder, "r.kitedb", "p.kitedb");
    let (shown, _) = faulty(&folder, "replica", "r.kitedb");
    assert!(!shown.contains("all that its source has"), "{shown}");
}

/// A replica of another history has as many commits as its source.
#[test]
fn a_replica_that_needs_a_reseed_does_not_claim_to_have_everything() {
    let folder = cluster();
    import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
    let run = catch_up(&folder, "r.kitedb", "other.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    // Nobody is told to lead beside the one that does.
    for way in ["p.kitedb` keeps", "other.kitedb --overwrite`"] {
        assert!(run.err.contains(way) && !run.err.contains("--force"), "{run:?}");
    }
    let shown = folder.run(&["replica", "status", "r.kitedb", "--source-db", "other.kitedb"]);
    assert!(shown.code == 3 && !shown.out.contains("all that its source has"), "{shown:?}");
}

#[test]
fn a_copied_primary_says_so_wherever_it_is_looked_at() {
    let folder = cluster();
    copy(&folder, "p.kitedb", "copied.kitedb");
    let (shown, document) = faulty(&folder, "primary", "copied.kitedb");
    assert!(shown.contains("copied: ") && document["copied"] == true, "{shown}");
    let metrics = folder.run(&["metrics", "copied.kitedb"]).ok().out;
    assert!(metrics.lines().any(|line| line.starts_with("kitedb_replication_primary_copied") && line.ends_with(" 1")));
    assert!(metrics.lines().any(|line| line.contains("state=\"copied\"") && line.ends_with(" 1")), "{metrics}");
    // An order that it lead is refused as a write is, whatever source is said.
    for more in [&[][..], &["--source-db", "r.kitedb"]] {
        let run = folder.run(&[&["replica", "promote", "copied.kitedb"][..], more].concat());
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("copied or restored") && run.err.contains("/copied.kitedb primary --moved`"));
    }
    folder.run(&["primary", "status", "p.kitedb"]).ok();
}

#[test]
fn the_role_of_a_file_without_its_log_says_so() {
    let folder = cluster();
    let to = |name: &str| folder.path().join(name);
    fs::create_dir(to("far")).unwrap();
    fs::copy(to("p.kitedb"), to("beside.kitedb")).unwrap();
    fs::copy(to("p.kitedb"), to("far/p.kitedb")).unwrap();
    fs::copy(to("r.kitedb"), to("far/r.kitedb")).unwrap();
    let role = |db: &str| {
        let (shown, document) = (folder.run(&["role", db]), folder.run(&["role", db, "--json"]));
        let code = if db == "p.kitedb" { 0 } else { 3 };
        assert_eq!((shown.code, document.code), (code, code), "{shown:?}");
        (shown.out, parsed(&document.out))
    };
    let (shown, document) = role("beside.kitedb");
    assert!(shown.contains("`kitedb role beside.kitedb detach`") && document["copied"] == true, "{shown}");
    let (shown, document) = role("far/p.kitedb");
    assert!(shown.contains("it is not there") && document["copied"] == false, "{shown}");
    let (shown, document) = role("far/r.kitedb");
    assert!(shown.contains("is not there") && document["log_fault"].is_string(), "{shown}");
    for (node, db) in [("primary", "beside.kitedb"), ("primary", "far/p.kitedb"), ("replica", "far/r.kitedb")] {
        let run = folder.run(&[node, "status", db]);
        assert!(run.code == 3 && run.out.contains("its log: "), "{run:?}");
    }
    assert_eq!(role("p.kitedb").1["log_fault"], Json::Null);
}

/// The arguments of a promotion are exchanged: the primary leads already, and nobody was promoted.
#[test]
fn a_promotion_with_its_arguments_exchanged_is_no_success() {
    let folder = cluster();
    for more in [&["--source-db", "r.kitedb"][..], &[]] {
        let run = folder.run(&[&["replica", "promote", "p.kitedb"][..], more].concat());
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("p.kitedb is a primary that leads epoch 1, and did not take over"), "{run:?}");
    }
    let run = replica(&folder, "promote", "p.kitedb", "r.kitedb");
    assert!(run.err.contains("`kitedb replica promote r.kitedb --source-db p.kitedb`"), "{run:?}");
    // What was promoted is told so when it is asked again, with its source or without.
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    for more in [&["--source-db", "p.kitedb"][..], &[]] {
        let again = folder.run(&[&["replica", "promote", "r.kitedb"][..], more].concat()).ok().out;
        assert!(
            again.contains("leads epoch 2 already, since it took over from ") && again.contains("p.kitedb"),
            "{again}"
        );
    }
    assert_eq!(replica(&folder, "promote", "r.kitedb", "s.kitedb").code, 1, "it took over from another one");
}

/// The disk is full when the import is done: its commits count, and that is said where it is read.
#[test]
fn an_import_whose_checkpoint_fails_says_what_is_committed() {
    for json in [false, true] {
        let folder = Folder::new();
        let many: String = (0..60_000).map(|n| format!("node-{n} node-{} K\n", n + 1)).collect();
        folder.file("many.txt", many);
        folder.run(&["import", "p.kitedb", "many.txt", "--format", "edgelist", "--role", "primary"]).ok();
        let blocks = fs::metadata(folder.path().join("p.kitedb")).unwrap().len() / 1024;
        assert!(blocks > 1024, "{blocks}");
        folder.file("one.txt", "a b K\n");
        // Nothing can be written beyond what the file has, and the log takes less.
        let line = format!(
            "ulimit -f {blocks}; exec {} import p.kitedb one.txt --format edgelist --segment-max-bytes 4096 {}",
            env!("CARGO_BIN_EXE_kitedb"),
            if json { "--json" } else { "" }
        );
        let output = Command::new("bash").arg("-c").arg(line).current_dir(folder.path()).output().unwrap();
        let run = Run::of(output);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("was not brought up to date") && run.err.contains("all of it counts"), "{run:?}");
        let token = folder.run(&["stats", "p.kitedb", "--json"]).json()["token"].as_str().unwrap().to_owned();
        assert!(run.err.contains(&format!("the last is {token}")), "{run:?}");
        if json {
            let document = parsed(&run.out);
            assert_eq!((&document["committed"], &document["token"]), (&json!(true), &json!(token)));
            assert_eq!((&document["edges_created"], &document["error"]["code"]), (&json!(1), &json!("DISK_FULL")));
        }
        folder.run(&["get", "p.kitedb", "a"]).ok();
    }
}

/// An import that ends early says what of it is committed, in both forms.
#[test]
fn an_import_that_ends_early_says_what_is_committed() {
    let folder = Folder::new();
    let run = import(&folder, "p.kitedb", "a b K\nc d K\nbad\n", &["--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let document = parsed(&run.out);
    assert_eq!((&document["committed"], &document["token"]), (&json!(true), &json!("1:2")));
    assert_eq!((&document["edges_created"], &document["nodes_created"]), (&json!(2), &json!(4)));
    assert!(document["error"]["message"].as_str().unwrap().contains("line 3"), "{document}");
    let run = import(&folder, "q.kitedb", "bad\n", &["--json"]);
    let document: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&document["committed"], &document["token"]), (&json!(false), &Json::Null));
}

/// What a program needs to act on a failure stands beside its words.
#[test]
fn the_document_of_a_failure_has_its_fields() {
    let folder = Folder::new();
    let not = folder.file("not.kitedb", "no database, and long enough to be looked at".repeat(200));
    let error = |run: Run| parsed(&run.out)["error"].clone();
    let failed = error(import(&folder, "not.kitedb", "a b K\n", &["--json"]));
    assert_eq!((&failed["code"], &failed["kind"]), (&json!("NOT_A_DATABASE"), &json!("input")));
    assert_eq!(Path::new(failed["path"].as_str().unwrap()).file_name(), not.file_name());
    assert!(failed.get("pid").is_none() && failed.get("token").is_none(), "{failed}");
    // One that is none of the engine has words alone.
    let failed = error(import(&folder, "p.kitedb", "bad\n", &["--json"]));
    assert_eq!((&failed["code"], &failed["kind"]), (&Json::Null, &Json::Null));
    assert_eq!(failed.as_object().unwrap().len(), 3, "{failed}");
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    let holder = Database::open(folder.path().join("p.kitedb"), OpenOptions::new()).unwrap();
    let failed = error(import(&folder, "p.kitedb", "c d K\n", &["--json"]));
    assert_eq!((&failed["code"], &failed["pid"]), (&json!("LOCKED"), &json!(std::process::id())));
    holder.close().unwrap();
    let failed = error(import(&folder, "p.kitedb", "c d K\n", &["--json", "--role", "disabled"]));
    assert_eq!((&failed["code"], &failed["token"]), (&json!("ROLE_MISMATCH"), &json!("1:1")));
    assert_eq!((&failed["expected"], &failed["found"]), (&json!("disabled"), &json!("primary")));
}

/// A hint that can be run as it stands.
#[test]
fn hints_name_the_database() {
    let folder = cluster();
    for (args, phrase) in [
        (&["stats", "none.kitedb"][..], "`kitedb import none.kitedb FILE`"),
        (&["replica", "bootstrap", "p.kitedb", "--source-db", "r.kitedb"], "`kitedb role p.kitedb`"),
        (&["import", "r.kitedb", "edges.txt", "--format", "edgelist"], "`kitedb replica promote r.kitedb`"),
    ] {
        let run = folder.run(args);
        assert!(run.code == 1 && run.err.contains(phrase), "{run:?}");
    }
}

/// A replica that lies beside its source moves alone.
#[test]
fn a_replica_that_is_moved_alone_goes_on_or_asks_for_its_source() {
    let folder = cluster();
    fs::create_dir(folder.path().join("moved")).unwrap();
    rename(&folder, "r.kitedb", "moved/r.kitedb");
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.run(&["replica", "follow", "moved/r.kitedb", "--once"]).ok();
    folder.run(&["replica", "status", "moved/r.kitedb"]).ok();
}

/// What a replica is told of a source from which nothing can ever come, before a pull is tried.
#[test]
fn a_replica_whose_source_leads_nowhere_says_so_before_it_tries() {
    let to = |folder: &Folder, name: &str| folder.path().join(name);
    let control = "p.kitedb.replication/control";
    let detach: fn(&Folder) = |folder| drop(folder.run(&["role", "p.kitedb", "detach"]).ok());
    let detach_and_write: fn(&Folder) = |folder| {
        folder.run(&["role", "p.kitedb", "detach"]).ok();
        import(folder, "p.kitedb", "c d K\n", &[]).ok();
    };
    let become_another: fn(&Folder) = |folder| {
        folder.run(&["role", "p.kitedb", "detach"]).ok();
        import(folder, "p.kitedb", "c d K\n", &["--role", "primary"]).ok();
        import(folder, "p.kitedb", "e f K\n", &[]).ok();
    };
    let replace: fn(&Folder) = |folder| {
        fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
        // With the same graph: its digest tells nothing.
        import(folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    };
    let other: fn(&Folder, &str) = |folder, how| {
        let status = Command::new("sh").arg("-c").arg(how).current_dir(folder.path()).status().unwrap();
        assert!(status.success());
    };
    for (kind, phrase, act) in [
        ("stand_alone", "has no part in replication", &detach as &dyn Fn(&Folder)),
        ("stand_alone", "has no part in replication", &detach_and_write),
        ("another", "p.kitedb is another database", &become_another),
        ("another", "p.kitedb is another database", &replace),
        ("missing", "p.kitedb is not there", &|folder| fs::remove_file(to(folder, "p.kitedb")).unwrap()),
        ("missing", "p.kitedb is not there", &|folder| other(folder, "rm -r p.kitedb*")),
        ("unnamed", "--source-db", &|folder| fs::remove_file(to(folder, "r.kitedb.replication/source")).unwrap()),
        ("unavailable", "control file", &|folder| fs::remove_file(to(folder, control)).unwrap()),
        ("unavailable", "control file", &|folder| drop(fs::write(to(folder, control), ""))),
        ("unavailable", "log should be in", &|folder| other(folder, "mv p.kitedb.replication away")),
        ("unavailable", "is a folder", &|folder| other(folder, "mv p.kitedb away; mkdir p.kitedb")),
        ("unavailable", "p.kitedb", &|folder| other(folder, "rm -r p.kitedb*; mkfifo p.kitedb")),
    ] {
        let folder = cluster();
        act(&folder);
        let (shown, document) = faulty(&folder, "replica", "r.kitedb");
        assert_eq!(document["source_fault"], kind, "{document}");
        assert!(shown.contains("its source: ") && shown.contains(phrase), "{kind}: {shown}");
        assert!(!shown.contains("all that its source has") && !shown.contains("is gone"), "{kind}: {shown}");
        let metrics = folder.run(&["metrics", "r.kitedb"]).ok().out;
        let healthy = |line: &str| line.starts_with("kitedb_health_healthy") || line.starts_with("kitedb_healthy");
        assert!(!metrics.lines().any(|line| healthy(line) && line.ends_with(" 1")), "{kind}: {metrics}");
        // Nothing comes, and it says no other thing once it was tried.
        assert_ne!(folder.run(&["replica", "follow", "r.kitedb", "--once"]).code, 0, "{kind}");
        let (shown, _) = faulty(&folder, "replica", "r.kitedb");
        assert!(!shown.contains("all that its source has") && !shown.contains("is gone"), "{kind}: {shown}");
    }
    let folder = cluster();
    folder.run(&["replica", "status", "r.kitedb"]).ok();
}

/// The file of a primary was deleted, and its log stayed. It is the same with an empty file in its place: nothing hangs on
/// that one.
#[test]
fn a_primary_whose_file_was_deleted_is_taken_over_from_by_its_log_if_told() {
    for (empty, log_too) in [(false, false), (true, false), (false, true), (true, true)] {
        let what = format!("an empty file: {empty}, its log is gone: {log_too}");
        let folder = cluster();
        import(&folder, "p.kitedb", "late commit K\n", &[]).ok();
        fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        if log_too {
            fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
        }
        if empty {
            folder.file("p.kitedb", "");
        }
        let (shown, document) = faulty(&folder, "replica", "r.kitedb");
        assert_eq!(document["source_fault"], "missing", "{what}: {document}");
        assert!(
            shown.contains("p.kitedb is not there") && shown.contains("kitedb replica promote r.kitedb"),
            "{shown}"
        );
        let run = folder.run(&["replica", "promote", "r.kitedb"]);
        if log_too {
            assert_ne!(run.code, 0, "{what}: {run:?}");
            let forced = folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
            assert!(forced.out.contains("what it acknowledged after 1:1 is lost"), "{what}: {forced:?}");
        } else {
            // It may lead elsewhere, with another log.
            assert!(run.code == 1 && run.err.contains("force"), "{what}: {run:?}");
            let forced = folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
            let told = forced.out.contains("its log was taken to its end") && !forced.out.contains("nothing that it");
            assert!(told, "{what}: {forced:?}");
            folder.run(&["get", "r.kitedb", "late"]).ok();
        }
        import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
    }
    // The log of another database has come to its place.
    let folder = cluster();
    fs::remove_file(folder.path().join("p.kitedb")).unwrap();
    fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
    import(&folder, "other.kitedb", "a b K\n", &["--role", "primary"]).ok();
    rename(&folder, "other.kitedb", "p.kitedb");
    fs::remove_file(folder.path().join("p.kitedb")).unwrap();
    let run = folder.run(&["replica", "promote", "r.kitedb"]);
    assert!(run.code == 1 && run.err.contains("belongs to another database"), "{run:?}");
}

/// The source is on a history of its own, and what was followed under its name before is not noted as that.
#[test]
fn a_replica_is_not_told_that_another_database_is_its_source_however_often_it_tries() {
    let folder = cluster();
    folder.run(&["role", "p.kitedb", "detach"]).ok();
    assert_ne!(folder.run(&["replica", "follow", "r.kitedb", "--once"]).code, 0);
    import(&folder, "p.kitedb", "c d K\n", &["--role", "primary"]).ok();
    for _ in 0..2 {
        assert_eq!(faulty(&folder, "replica", "r.kitedb").1["source_fault"], "another");
        let run = folder.run(&["replica", "follow", "r.kitedb", "--once"]);
        assert!(run.code == 3 && run.err.contains("another history") && !run.err.contains("is gone"), "{run:?}");
    }
    // What took over from its source may take its name.
    let folder = cluster();
    replica(&folder, "promote", "s.kitedb", "p.kitedb").ok();
    rename(&folder, "p.kitedb", "old.kitedb");
    rename(&folder, "s.kitedb", "p.kitedb");
    folder.run(&["replica", "status", "r.kitedb"]).ok();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    folder.run(&["replica", "status", "r.kitedb"]).ok();
}

/// The command in the hint of a run that failed, without the program's name.
#[track_caller]
fn hinted(run: &Run) -> String {
    let hint = run.err.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
    hint.split('`').nth(1).unwrap().to_owned()
}

/// Runs a command line that a hint gave.
fn follow_hint(folder: &Folder, line: &str) -> Run {
    let line = line.strip_prefix("kitedb ").unwrap();
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_kitedb"));
    Run::of(Command::new("sh").arg("-c").arg(line).current_dir(folder.path()).output().unwrap())
}

/// The error is about the source: what its hint says is not to be done with the replica.
#[test]
fn a_hint_names_the_file_that_the_error_is_about() {
    let folder = cluster();
    fs::create_dir(folder.path().join("B")).unwrap();
    copy(&folder, "p.kitedb", "B/p.kitedb");
    let run = replica(&folder, "promote", "r.kitedb", "B/p.kitedb");
    assert!(run.code == 1 && run.err.contains("B/p.kitedb primary --moved`"), "{run:?}");
    assert!(!run.err.contains("r.kitedb primary") && !run.err.contains("r.kitedb detach"), "{run:?}");
    // The log is another one, or is there without its file: the message says what to do.
    for (lose, phrase) in
        [("s.kitedb.replication", "move that folder away"), ("p.kitedb.replication", "put the file back")]
    {
        let folder = cluster();
        fs::rename(folder.path().join(lose), folder.path().join("log")).unwrap();
        if lose.starts_with('s') {
            fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
        } else {
            fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        }
        fs::rename(folder.path().join("log"), folder.path().join("p.kitedb.replication")).unwrap();
        let run = import(&folder, "p.kitedb", "c d K\n", &["--role", "primary"]);
        assert!(run.code == 1 && run.err.contains(phrase) && !run.err.contains("hint:"), "{run:?}");
    }
}

#[test]
fn a_hint_to_reseed_can_be_followed_as_it_stands() {
    let folder = cluster();
    replica(&folder, "bootstrap", "my own.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "s.kitedb", "p.kitedb").ok();
    // Its source is away, and keeps what nobody else has.
    rename(&folder, "p.kitedb", "away.kitedb");
    folder.run(&["replica", "promote", "my own.kitedb", "--force"]).ok();
    rename(&folder, "away.kitedb", "p.kitedb");
    import(&folder, "my own.kitedb", "e f K\n", &[]).ok();
    let run = catch_up(&folder, "s.kitedb", "my own.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    let own = folder.path().canonicalize().unwrap();
    let give_up =
        format!("kitedb replica reseed {0}/s.kitedb --source-db '{0}/my own.kitedb' --overwrite", own.display());
    assert!(run.err.contains(&format!("`{give_up}` gives it up")), "{run:?}");
    let shown = folder.run(&["replica", "status", "s.kitedb", "--source-db", "my own.kitedb"]);
    assert!(shown.code == 3 && shown.out.contains("reseed this replica from there (--overwrite)"), "{shown:?}");
    follow_hint(&folder, &give_up).ok();
    folder.run(&["get", "s.kitedb", "e"]).ok();
    // One that has a graph of its own.
    import(&folder, "it's.kitedb", "x y K\n", &[]).ok();
    let run = catch_up(&folder, "it's.kitedb", "p.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    assert_eq!(hinted(&run), r"kitedb replica reseed 'it'\''s.kitedb' --source-db p.kitedb --overwrite");
    // Another node leads in place of that one.
    assert_eq!(follow_hint(&folder, &hinted(&run)).code, 3);
    folder.run(&["get", "it's.kitedb", "c"]).ok();
    // A message that shows commands.
    copy(&folder, "p.kitedb", "a copy.kitedb");
    let run = import(&folder, "a copy.kitedb", "x y K\n", &[]);
    assert!(run.code == 1 && run.err.contains("/a copy.kitedb' detach`"), "{run:?}");
}
