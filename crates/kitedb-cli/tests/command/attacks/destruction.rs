//! What would be destroyed unasked: swapped arguments, refused bootstraps and imports, a folder exchanged under a process.

use super::{stage::*, support::Folder};
use std::{fs, os::unix::fs::symlink};

#[test]
fn a_bootstrap_with_its_arguments_swapped_is_refused() {
    let folder = pair();
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    for action in ["bootstrap", "reseed", "follow"] {
        let run = replica(&folder, action, "p.kitedb", "r.kitedb");
        assert_eq!(run.code, 1, "{action}: {run:?}");
        assert!(run.err.contains("p.kitedb") && run.err.contains("primary"), "{action}: {run:?}");
        assert!(knows(&folder, "p.kitedb", "only"), "{action}");
    }
    assert_eq!(import(&folder, "p.kitedb", "goes on K\n", &[]).json()["token"], "1:3");
}

#[test]
fn a_bootstrap_over_a_database_of_its_own_wants_to_be_told() {
    let folder = pair();
    import(&folder, "mine.kitedb", "my only-copy K\n", &[]).ok();
    for action in ["bootstrap", "reseed"] {
        let run = replica(&folder, action, "mine.kitedb", "p.kitedb");
        assert_eq!(run.code, 1, "{action}: {run:?}");
        assert!(run.err.contains("--overwrite") && run.err.contains("1:1"), "{action}: {run:?}");
        assert!(knows(&folder, "mine.kitedb", "only-copy"), "{action}");
    }
    folder.run(&["replica", "bootstrap", "mine.kitedb", "--source-db", "p.kitedb", "--overwrite"]).ok();
    assert!(knows(&folder, "mine.kitedb", "a") && !knows(&folder, "mine.kitedb", "only-copy"));
}

#[test]
fn a_refused_bootstrap_leaves_nothing() {
    let folder = Folder::new();
    import(&folder, "plain.kitedb", "a b K\n", &[]).ok();
    folder.file("text.kitedb", "no database at all");
    for source in ["nowhere.kitedb", "text.kitedb", "plain.kitedb"] {
        let before = names(folder.path());
        let run = replica(&folder, "bootstrap", "new.kitedb", source);
        assert_eq!(run.code, 1, "{source}: {run:?}");
        assert_eq!(names(folder.path()), before, "{source}");
    }
}

/// The place that is given for the log of the replica is that of its source's.
#[test]
fn a_bootstrap_that_is_refused_for_its_sidecar_leaves_nothing() {
    let folder = Folder::new();
    import(&folder, "q.kitedb", "a b K\n", &["--role", "primary", "--sidecar", "f"]).ok();
    let before = (names(folder.path()), names(&folder.path().join("f")));
    for action in ["bootstrap", "follow"] {
        let run = folder.run(&["replica", action, "x.kitedb", "--source-db", "q.kitedb", "--sidecar", "f"]);
        assert_eq!(run.code, 1, "{action}: {run:?}");
        assert_eq!((names(folder.path()), names(&folder.path().join("f"))), before, "{action}");
    }
}

/// The place that is given for the log is not one, and the graph cannot be read: nothing was made for either.
#[test]
fn a_refused_import_leaves_nothing() {
    let folder = pair();
    fs::remove_file(folder.path().join("p.kitedb.replication/control")).unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/control"), "precious").unwrap();
    symlink("none/there", folder.path().join("dangling")).unwrap();
    folder.file("edges.txt", "");
    let before = (names(folder.path()), names(&folder.path().join("p.kitedb.replication")));
    for sidecar in ["p.kitedb.replication", "docs", "dangling", "edges.txt"] {
        let run = import(&folder, "new.kitedb", "a b K\n", &["--role", "primary", "--sidecar", sidecar]);
        assert_eq!(run.code, 1, "{sidecar}: {run:?}");
        let run = folder.run(&["replica", "bootstrap", "new.kitedb", "--source-db", "r.kitedb", "--sidecar", sidecar]);
        assert_eq!(run.code, 1, "{sidecar}: {run:?}");
        assert_eq!((names(folder.path()), names(&folder.path().join("p.kitedb.replication"))), before, "{sidecar}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("docs/control")).unwrap(), "precious");
    for role in ["primary", "disabled"] {
        let run = import(&folder, "new.kitedb", "only-one-field\n", &["--role", role]);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("nothing was imported"), "{run:?}");
        assert_eq!(names(folder.path()), before.0);
    }
}

#[test]
fn a_process_does_not_remove_the_log_of_a_database_that_was_put_in_its_place() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("data")).unwrap();
    fs::create_dir(at("other")).unwrap();
    // Its commits are only in its log.
    let mut other = Feed::start(&folder, "other/p.kitedb", &[]);
    other.feed(&folder, "other/p.kitedb", &lines("x", 50), "1:50");
    other.kill_nine();
    let before = contents(&at("other/p.kitedb-wal"));
    assert!(!before.is_empty());

    let mut running = Feed::start(&folder, "data/p.kitedb", &[]);
    running.feed(&folder, "data/p.kitedb", &lines("y", 3), "1:3");
    fs::rename(at("data"), at("data.old")).unwrap();
    fs::rename(at("other"), at("data")).unwrap();
    running.end();

    assert!(at("data/p.kitedb-wal").exists() && contents(&at("data/p.kitedb-wal")) == before);
    assert_eq!(folder.run(&["stats", "data/p.kitedb", "--json"]).json()["token"], "1:50");
    assert_eq!(folder.run(&["stats", "data.old/p.kitedb", "--json"]).json()["token"], "1:3");
}

/// The arguments of an import are swapped: what is given as the graph to read is the database.
#[test]
fn an_import_with_its_arguments_swapped_changes_nothing() {
    let folder = Folder::new();
    import(&folder, "g.kitedb", "a b K\n", &[]).ok();
    folder.file("graph.csv", "src,dst\nc,d\n");
    let before = contents(folder.path());
    let run = folder.run(&["import", "graph.csv", "g.kitedb"]);
    assert_ne!(run.code, 0, "{run:?}");
    assert!(contents(folder.path()) == before, "{run:?}");
}

/// What is not there is made by an import, or as a replica: the hint says both, each as it is typed.
#[test]
fn a_database_that_is_not_there_is_made_by_name() {
    let folder = Folder::new();
    let run = folder.run(&["stats", "q.kitedb"]);
    let both = ["`kitedb import q.kitedb FILE`", "`kitedb replica bootstrap q.kitedb --source-db PRIMARY`"];
    assert!(run.code == 1 && both.iter().all(|hint| run.err.contains(hint)), "{run:?}");
}

/// A file is copied alone while it is written to, and made a database of its own as it is told.
#[test]
fn a_copy_of_a_primary_in_use_is_told_by_which_word_it_is_detached() {
    let folder = pair();
    let mut feed = Feed::start(&folder, "p.kitedb", &[]);
    feed.feed(&folder, "p.kitedb", "c d K\n", "1:2");
    fs::copy(folder.path().join("p.kitedb"), folder.path().join("copy.kitedb")).unwrap();
    for run in [import(&folder, "copy.kitedb", "x y K\n", &[]), folder.run(&["role", "copy.kitedb"])] {
        let told = format!("{}{}", run.out, run.err);
        assert!(changes_in(&told).iter().any(|command| command.ends_with("copy.kitedb detach --overwrite")), "{run:?}");
    }
    assert_eq!(folder.run(&["role", "copy.kitedb", "detach"]).code, 1);
    folder.run(&["role", "copy.kitedb", "detach", "--overwrite"]).ok();
    assert_eq!(feed.end(), Some(0));
}
