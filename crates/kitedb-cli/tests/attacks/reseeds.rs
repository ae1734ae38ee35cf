//! What a reseed gives up: commits that only the replica has.

use super::{stage::*, support::Folder};
use std::fs;

fn remove(folder: &Folder, db: &str) {
    fs::remove_file(folder.path().join(db)).unwrap();
    fs::remove_dir_all(folder.path().join(format!("{db}.replication"))).unwrap();
}

/// `r` has 1:2, and an older copy of `p` was put back, which ends at 1:1.
fn restored() -> Folder {
    let folder = pair();
    fs::create_dir(folder.path().join("old")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join("old"));
    }
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    remove(&folder, "p.kitedb");
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join("old").join(name), folder.path());
    }
    folder
}

/// A primary was restored from an older copy, and the hint of its replica is followed to the letter.
#[test]
fn a_reseed_gives_up_what_only_the_replica_has_only_if_it_is_told_to() {
    let folder = restored();
    let run = folder.run(&["replica", "follow", "r.kitedb", "--once"]);
    let both = [("promote", "--force"), ("reseed", "--overwrite")];
    assert_eq!(run.code, 3, "{run:?}");
    let commands: Vec<String> = changes_in(&run.err);
    for ((verb, option), command) in both.iter().zip(&commands) {
        assert!(command.contains(verb) && command.contains(option) && command.contains("r.kitedb"), "{run:?}");
    }
    assert!(commands.len() == 2 && run.err.contains("1:2"), "{run:?}");
    let status = folder.run(&["replica", "status", "r.kitedb"]);
    assert!(status.code == 3 && !status.out.contains("copies the source anew"), "{status:?}");

    for action in ["reseed", "bootstrap"] {
        let run = replica(&folder, action, "r.kitedb", "p.kitedb");
        assert!(run.code == 1 && run.err.contains("1:2") && run.err.contains("--overwrite"), "{action}: {run:?}");
        assert!(knows(&folder, "r.kitedb", "only"), "{action}");
    }
    // Of a copy that was not said to lead.
    assert_eq!(paste(&folder, &commands[1]).code, 3);
    assert!(!knows(&folder, "r.kitedb", "only"));

    // Or it leads with what it has.
    let folder = restored();
    paste(&folder, &changes_in(&folder.run(&["replica", "follow", "r.kitedb", "--once"]).err)[0]).ok();
    assert!(knows(&folder, "r.kitedb", "only"));
}

/// The primary is gone, and another one is named in its place.
#[test]
fn a_replica_is_not_given_the_graph_of_another_database_unasked() {
    let folder = pair();
    import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
    remove(&folder, "p.kitedb");
    for action in ["reseed", "bootstrap"] {
        let run = replica(&folder, action, "r.kitedb", "other.kitedb");
        assert!(run.code == 1 && run.err.contains("1:1") && run.err.contains("--overwrite"), "{action}: {run:?}");
        assert!(knows(&folder, "r.kitedb", "a"), "{action}");
    }
    folder.run(&["replica", "reseed", "r.kitedb", "--source-db", "other.kitedb", "--overwrite"]).ok();
    assert!(knows(&folder, "r.kitedb", "x"));
}

/// A promotion by force said what it loses, and so did who let a restored primary lead.
#[test]
fn a_reseed_need_not_ask_again_for_what_was_given_up_before() {
    let folder = pair();
    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    catch_up(&folder, "s.kitedb", "p.kitedb").ok();
    remove(&folder, "p.kitedb");
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    replica(&folder, "reseed", "s.kitedb", "r.kitedb").ok();
    assert!(!knows(&folder, "s.kitedb", "only"));

    let folder = restored();
    // `leads`: by its own word, also against a replica that has more.
    let leads = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    if leads.code != 0 {
        folder.run(&["role", "p.kitedb", "primary", "--moved", "--force"]).ok();
    }
    replica(&folder, "reseed", "r.kitedb", "p.kitedb").ok();
    assert!(!knows(&folder, "r.kitedb", "only"));
}

/// The words of a restored primary, of which a replica has more, are followed to the letter.
#[test]
fn what_a_restored_primary_is_told_to_do_leads_out() {
    let folder = restored();
    let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    let commands = changes_in(&run.err);
    assert!(run.code == 1 && commands.len() == 3, "{run:?}");
    for command in &commands[..2] {
        paste(&folder, command).ok();
    }
    assert!(knows(&folder, "p.kitedb", "only"));
    import(&folder, "r.kitedb", "goes on K\n", &[]).ok();
    folder.run(&["replica", "follow", "p.kitedb", "--once"]).ok();
    assert!(knows(&folder, "p.kitedb", "goes"));
    // Who would follow at once is told which command does it.
    let folder = restored();
    let run = catch_up(&folder, "p.kitedb", "r.kitedb");
    assert!(run.code != 0 && run.err.contains("replica reseed") && run.err.contains("--overwrite"), "{run:?}");
}

/// The source's file was renamed or deleted, and its log is there.
#[test]
fn a_reseed_from_a_source_that_is_gone_says_so() {
    for log_too in [false, true] {
        let folder = pair();
        fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        if log_too {
            fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
        }
        let run = folder.run(&["replica", "reseed", "r.kitedb"]);
        let told = run.err.contains("the source") && run.err.contains("p.kitedb is not there: bring it back");
        assert!(run.code == 1 && told && !run.err.contains("kitedb import"), "{run:?}");
    }
}

/// What was is told by its log: who has a replica is not told to let a replica of it lead.
#[test]
fn a_file_that_is_gone_is_told_as_what_it_was() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    for more in [&[][..], &["--source-db", "p.kitedb"]] {
        let run = folder.run(&[&["replica", "reseed", "r.kitedb"], more].concat());
        let told = run.err.contains("put the file back") && run.err.contains("kitedb replica bootstrap");
        assert!(run.code == 1 && told && !run.err.contains("promote"), "{run:?}");
    }
    let mut feed = Feed::start(&folder, "s.kitedb", &[]);
    feed.feed(&folder, "s.kitedb", "a b K\n", "1:1");
    feed.kill_nine();
    fs::remove_file(folder.path().join("s.kitedb")).unwrap();
    let run = import(&folder, "s.kitedb", "x y K\n", &[]);
    assert!(run.code == 1 && run.err.contains("put the file back") && !run.err.contains("promote"), "{run:?}");
}

/// The file of the primary is gone, and its log is not: what is told then is run as it stands.
#[test]
fn what_is_told_where_the_file_of_a_source_is_gone_lets_its_replica_lead() {
    for empty in [false, true] {
        let folder = pair();
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        if empty {
            folder.file("p.kitedb", "");
        }
        let told = folder.run(&["replica", "status", "r.kitedb"]);
        let commands = changes_in(&told.out);
        let promote = commands.iter().find(|command| command.contains("promote")).unwrap_or_else(|| panic!("{told:?}"));
        paste(&folder, promote).ok();
        assert!(knows(&folder, "r.kitedb", "c"));
    }
}

/// A primary was restored, or its file alone copied, and another node leads: whoever looks at it is told how it becomes a replica of
/// that one, and that is run as it is told.
#[test]
fn a_copied_primary_is_told_how_it_follows_the_node_that_leads() {
    for file_alone in [false, true] {
        let folder = pair();
        fs::create_dir(folder.path().join("new")).unwrap();
        copy(&folder.path().join("p.kitedb"), &folder.path().join("new"));
        if !file_alone {
            copy(&folder.path().join("p.kitedb.replication"), &folder.path().join("new"));
        }
        replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
        import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
        if !file_alone {
            remove(&folder, "p.kitedb");
        }
        let mut told = Vec::new();
        for run in [
            folder.run(&["role", "new/p.kitedb"]),
            folder.run(&["primary", "status", "new/p.kitedb"]),
            import(&folder, "new/p.kitedb", "c d K\n", &[]),
        ] {
            let commands = changes_in(&format!("{}{}", run.out, run.err));
            let reseed = commands.into_iter().find(|command| command.contains(" reseed "));
            told.push(reseed.unwrap_or_else(|| panic!("{file_alone}: {run:?}")));
        }
        for command in told {
            paste(&folder, &command.replace("NODE", "r.kitedb")).ok();
            assert!(knows(&folder, "new/p.kitedb", "primary"), "{file_alone}: {command}");
        }
        import(&folder, "r.kitedb", "goes on K\n", &[]).ok();
        folder.run(&["replica", "follow", "new/p.kitedb", "--once"]).ok();
        assert!(knows(&folder, "new/p.kitedb", "goes"), "{file_alone}");
    }
}
