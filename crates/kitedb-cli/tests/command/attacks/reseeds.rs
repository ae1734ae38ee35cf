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

/// A word that was said at one node (a promotion by force, that a restored primary leads) speaks for no commit of another one.
#[test]
fn what_was_said_at_one_node_gives_up_nothing_that_another_one_has() {
    let folder = pair();
    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    catch_up(&folder, "s.kitedb", "p.kitedb").ok();
    remove(&folder, "p.kitedb");
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    expect_refused(&folder, "s.kitedb", "r.kitedb");
    // What the new primary commits does not change that.
    import(&folder, "r.kitedb", &lines("later", 5), &[]).ok();
    expect_refused(&folder, "s.kitedb", "r.kitedb");
    folder.run(&["replica", "reseed", "s.kitedb", "--source-db", "r.kitedb", "--overwrite"]).ok();
    assert!(!knows(&folder, "s.kitedb", "only") && knows(&folder, "s.kitedb", "later1"));

    let folder = restored();
    // `leads`: by its own word, also against a replica that has more.
    let leads = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    if leads.code != 0 {
        folder.run(&["role", "p.kitedb", "primary", "--moved", "--force"]).ok();
    }
    expect_refused(&folder, "r.kitedb", "p.kitedb");
    folder.run(&["replica", "reseed", "r.kitedb", "--source-db", "p.kitedb", "--overwrite"]).ok();
    assert!(!knows(&folder, "r.kitedb", "only"));
}

/// A primary is cut off while a replica is promoted by force, and acknowledges on: what its own replica has of that is nobody's to give
/// up.
#[test]
fn commits_that_were_made_after_a_promotion_by_force_are_not_given_up_unasked() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "p.kitedb").ok();
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let carry = |from: &std::path::Path, to: &std::path::Path| {
        for name in ["p.kitedb", "p.kitedb.replication"] {
            fs::rename(from.join(name), to.join(name)).unwrap();
        }
    };
    carry(folder.path(), &away);
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    carry(&away, folder.path());
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    catch_up(&folder, "c.kitedb", "p.kitedb").ok();
    remove(&folder, "p.kitedb");
    expect_refused(&folder, "c.kitedb", "r.kitedb");
}

/// Fails unless whatever gives `replica` the graph of `source` is refused, with what is lost and by which word, and what only it has stays.
#[track_caller]
fn expect_refused(folder: &Folder, of: &str, source: &str) {
    for action in ["reseed", "bootstrap"] {
        let run = replica(folder, action, of, source);
        let told = ["1:2", "--overwrite", "kitedb export"].iter().all(|told| run.err.contains(told));
        assert!(run.code == 1 && told && knows(folder, of, "only"), "{action}: {run:?}");
    }
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

/// An older backup is written into the primary's own files, which write on in the same epoch until they have `more` commits after it;
/// `a` has three commits that nobody else has by then, up to 1:6.
fn overwritten_in_place(more: u32) -> Folder {
    let folder = Folder::new();
    import(&folder, "p.kitedb", &lines("old", 3), &["--role", "primary"]).ok();
    fs::create_dir(folder.path().join("bk")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join("bk"));
    }
    replica(&folder, "bootstrap", "a.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", &lines("only", 3), &[]).ok();
    catch_up(&folder, "a.kitedb", "p.kitedb").ok();
    let into = |from: &std::path::Path, to: &std::path::Path| fs::write(to, fs::read(from).unwrap()).unwrap();
    let saved = folder.path().join("bk");
    into(&saved.join("p.kitedb"), &folder.path().join("p.kitedb"));
    for name in names(&saved.join("p.kitedb.replication")) {
        let log = |folder: &std::path::Path| folder.join("p.kitedb.replication").join(&name);
        into(&log(&saved), &log(folder.path()));
    }
    import(&folder, "p.kitedb", &lines("other", more), &[]).ok();
    folder
}

/// Fails unless each way in which `a` would get the graph of `source` is refused, naming `lost`, and `key` is there still.
#[track_caller]
fn expect_kept(folder: &Folder, a: &str, source: &str, (lost, key): (&str, &str)) {
    let status = folder.run(&["replica", "status", a]);
    assert_eq!(status.code, 3, "{status:?}");
    assert!(status.out.contains("has another history") || status.out.contains("lacks"), "{status:?}");
    assert!(!status.out.contains("all that its source has") && !status.out.contains("behind its source"), "{status:?}");
    let run = folder.run(&["replica", "follow", a, "--once"]);
    assert_eq!(run.code, 3, "{run:?}");
    let told = run.err.contains(lost) && run.err.contains("promote") && run.err.contains("--overwrite");
    assert!(told, "{run:?}");
    for action in ["reseed", "bootstrap"] {
        let run = replica(folder, action, a, source);
        let refused = run.code == 1 && run.err.contains(lost) && run.err.contains("--overwrite");
        assert!(refused, "{action}: {run:?}");
        assert!(knows(folder, a, key), "{action}");
    }
    let run = folder.run(&["replica", "reseed", a]);
    assert!(run.code == 1 && knows(folder, a, key), "{run:?}");
}

/// By then it has fewer commits than the replica, as many, or more: whatever it has, it is not what the replica has.
#[test]
fn a_source_that_a_backup_was_written_into_is_never_given_what_only_its_replica_has() {
    for more in [2, 3, 6] {
        let folder = overwritten_in_place(more);
        let lost = if more == 2 { "log index 4 to 1:6" } else { "the commits from log index 4 to 1:6" };
        expect_kept(&folder, "a.kitedb", "p.kitedb", (lost, "only1"));
        // By name it goes, and the replica follows.
        folder.run(&["replica", "reseed", "a.kitedb", "--overwrite"]).ok();
        assert!(!knows(&folder, "a.kitedb", "only1") && knows(&folder, "a.kitedb", "other1"));
        import(&folder, "p.kitedb", "goes on K\n", &[]).ok();
        catch_up(&folder, "a.kitedb", "p.kitedb").ok();
    }
}

/// Of a node that copied that source nothing tells but its last commit; the source that the replica followed tells that there are two
/// histories.
#[test]
fn a_copy_of_a_source_that_a_backup_was_written_into_is_not_given_what_only_its_replica_has() {
    let folder = overwritten_in_place(6);
    replica(&folder, "bootstrap", "b.kitedb", "p.kitedb").ok();
    for action in ["reseed", "bootstrap"] {
        let run = replica(&folder, action, "a.kitedb", "b.kitedb");
        assert!(run.code == 1 && run.err.contains("to 1:6") && run.err.contains("--overwrite"), "{action}: {run:?}");
        assert!(knows(&folder, "a.kitedb", "only1"), "{action}");
    }
    // One that is merely behind is given it without a word.
    let folder = pair();
    import(&folder, "p.kitedb", &lines("more", 3), &[]).ok();
    replica(&folder, "bootstrap", "b.kitedb", "p.kitedb").ok();
    replica(&folder, "reseed", "r.kitedb", "b.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "more1"));
}

/// Another epoch, begun in place without a word of what others have, gives nothing up either; and the replica leads with all it has.
#[test]
fn a_promotion_in_place_gives_up_nothing_that_a_replica_has() {
    let folder = overwritten_in_place(1);
    folder.run(&["primary", "promote", "p.kitedb"]).ok();
    import(&folder, "p.kitedb", &lines("later", 6), &[]).ok();
    expect_kept(&folder, "a.kitedb", "p.kitedb", ("to 1:6", "only1"));
    let run = folder.run(&["replica", "promote", "a.kitedb"]);
    assert!(run.code != 0 && knows(&folder, "a.kitedb", "only1"), "{run:?}");
    let run = folder.run(&["replica", "promote", "a.kitedb", "--force", "--json"]).json();
    assert!(run["last_kept"] == "1:6" && run["epoch"].as_u64() > Some(2), "{run}");
    assert!(run["rivals"].as_array().is_some(), "{run}");
    assert!(knows(&folder, "a.kitedb", "only1"));
}

/// What a repair gave up at the source, or what its log lost, was given up there, and not here.
#[test]
fn a_source_that_was_repaired_and_wrote_on_is_never_given_what_only_its_replica_has() {
    for more in [0, 3] {
        let (folder, end) = super::leads::cut_beside_a_replica();
        if more > 0 {
            import(&folder, "p.kitedb", &lines("more", more), &[]).ok();
        }
        assert!(!end.ends_with(":60"));
        expect_kept(&folder, "r.kitedb", "p.kitedb", ("to 1:60", "m30"));
        folder.run(&["replica", "reseed", "r.kitedb", "--overwrite"]).ok();
        assert!(!knows(&folder, "r.kitedb", "m30"));
    }
}
