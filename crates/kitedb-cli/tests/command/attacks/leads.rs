//! Who leads after a restore, a move, or a repair that gave commits up.

use super::{
    stage::*,
    support::{Folder, parsed},
};
use serde_json::json;
use std::{fs, io::Write, path::Path};

const NODE: [&str; 2] = ["", ".replication"];

/// Copies a database and its log.
fn copy_node(from: &Path, to: &Path) {
    let beside = |path: &Path, suffix: &str| {
        let name = format!("{}{suffix}", path.file_name().unwrap().to_str().unwrap());
        path.with_file_name(name)
    };
    NODE.iter().for_each(|suffix| copy(&beside(from, suffix), &beside(to, suffix)));
}

fn remove_node(folder: &Folder, name: &str) {
    fs::remove_file(folder.path().join(name)).unwrap();
    let _ = fs::remove_dir_all(folder.path().join(format!("{name}.replication")));
}

/// A primary `p` and its replica `r`, and a backup of `p` in `saved`.
fn with_backup() -> Folder {
    let folder = pair();
    fs::create_dir(folder.path().join("saved")).unwrap();
    copy_node(&folder.path().join("p.kitedb"), &folder.path().join("saved/p.kitedb"));
    folder
}

fn restore(folder: &Folder) {
    remove_node(folder, "p.kitedb");
    copy_node(&folder.path().join("saved/p.kitedb"), &folder.path().join("p.kitedb"));
}

/// All of a primary is restored: the file, its log, its control file. Neither knows what came after.
#[test]
fn a_restored_primary_does_not_lead_beside_a_replica_that_took_over() {
    for through_another in [false, true] {
        let folder = with_backup();
        if through_another {
            // The one that leads is not registered in the backup; one that is follows it.
            replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
            replica(&folder, "promote", "s.kitedb", "p.kitedb").ok();
            import(&folder, "s.kitedb", "new primary K\n", &[]).ok();
            catch_up(&folder, "r.kitedb", "s.kitedb").ok();
        } else {
            replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
        }
        restore(&folder);
        let leader = if through_another { "s.kitedb" } else { "r.kitedb" };
        for _ in 0..2 {
            let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
            assert_eq!(run.code, 1, "{run:?}");
            let told = run.err.contains(&format!("{leader} leads epoch 2")) && run.err.contains("--force");
            assert!(told, "{run:?}");
        }
        assert_eq!(import(&folder, "p.kitedb", "fork K M\n", &[]).code, 1);
        // By name it leads, and in no epoch that another one has.
        let led = folder.run(&["role", "p.kitedb", "primary", "--moved", "--force", "--json"]).json();
        assert!(led["epoch"].as_u64() > Some(2), "{led}");
        import(&folder, "p.kitedb", "fork K M\n", &[]).ok();
    }
}

#[test]
fn a_restored_primary_does_not_lead_without_what_a_replica_has_of_it() {
    let folder = with_backup();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    restore(&folder);
    let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("r.kitedb holds the commits up to 1:2"), "{run:?}");
    // Each command that is told leads on.
    let promote = changes_in(&run.err).into_iter().find(|command| command.contains("replica promote")).unwrap();
    let run = paste(&folder, &promote);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(import(&folder, "r.kitedb", "e f K\n", &[]).json()["token"].as_str().unwrap().ends_with(":3"));
    let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    assert!(run.code == 1 && run.err.contains("r.kitedb leads"), "{run:?}");
}

/// A move that takes the files to another file system is a copy and a removal: nobody has more, and nobody asks for force.
#[test]
fn a_primary_that_was_moved_and_has_all_that_its_replicas_have_leads() {
    let folder = with_backup();
    restore(&folder);
    folder.run(&["role", "p.kitedb", "primary", "--moved"]).ok();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    assert_eq!(catch_up(&folder, "r.kitedb", "p.kitedb").json()["applied_log_index"], 2);
}

/// The source that is named is a wrong one. The one that is remembered is asked all the same, and those that it knows.
#[test]
fn a_promotion_by_force_takes_no_epoch_that_is_known_where_it_followed() {
    for took_over in [false, true] {
        let folder = pair();
        import(&folder, "wrong.kitedb", "x y K\n", &["--role", "primary"]).ok();
        let (leader, epoch) = if took_over {
            replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
            replica(&folder, "promote", "s.kitedb", "p.kitedb").ok();
            import(&folder, "s.kitedb", "c d K\n", &[]).ok();
            // Who took over left its source, and remembers that it followed it.
            ("s.kitedb", 2)
        } else {
            import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            ("p.kitedb", 1)
        };
        let args = ["replica", "promote", "r.kitedb", "--force", "--source-db", "wrong.kitedb"];
        let run = folder.run(&[&args[..], &["--json"]].concat()).json();
        assert_eq!(run["epoch"], epoch + 1, "{run}");
        let rivals = run["rivals"].as_array().unwrap();
        assert_eq!(rivals.len(), 1, "{run}");
        assert!(rivals[0]["db"].as_str().unwrap().ends_with(leader), "{run}");
        let told = [&rivals[0]["leads"], &rivals[0]["knows_epoch"], &rivals[0]["last_token"]];
        let (leads, knows, last) = if took_over { (Some(2), None::<u64>, "2:2") } else { (Some(1), None, "1:2") };
        assert_eq!(told, [&json!(leads), &json!(knows), &json!(last)], "{run}");
        assert_eq!(run["rival_epoch"], if took_over { json!(2) } else { json!(null) }, "{run}");
    }
    let folder = pair();
    import(&folder, "wrong.kitedb", "x y K\n", &["--role", "primary"]).ok();
    let run = folder.run(&["replica", "promote", "r.kitedb", "--force", "--source-db", "wrong.kitedb"]).ok();
    assert!(run.out.contains("p.kitedb leads epoch 1, with the commits up to 1:1, and was not fenced"), "{run:?}");
}

/// A killed primary, whose replica has all its commits, and whose last segment is damaged.
fn killed_with_a_damaged_log() -> Folder {
    let folder = Folder::new();
    let mut feed = Feed::start(&folder, "p.kitedb", &["--role", "primary", "--segment-max-bytes", "1024"]);
    feed.feed(&folder, "p.kitedb", &lines("n", 30), "1:30");
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    feed.feed(&folder, "p.kitedb", &lines("m", 30), "1:60");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    feed.kill_nine();
    folder
}

/// Damages the last segment but one of `p`. Returns the last commit before the damage.
fn damage(folder: &Folder) -> String {
    let log = folder.path().join("p.kitedb.replication");
    let all: Vec<_> = names(&log).into_iter().filter(|name| name.starts_with("segment-")).collect();
    let path = log.join(&all[all.len() - 2]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[600..608].iter_mut().for_each(|byte| *byte ^= 0xA5);
    fs::File::options().write(true).open(&path).unwrap().write_all(&bytes).unwrap();
    let planned = folder.run(&["repair", "p.kitedb", "--dry-run", "--json"]);
    let planned: serde_json::Value = serde_json::from_str(&planned.out).unwrap();
    planned["asks_for_cut_at"].as_str().unwrap().to_owned()
}

/// As [`killed_with_a_damaged_log`], and its operator gave up what is behind the damage. The last commit before that.
pub fn cut_beside_a_replica() -> (Folder, String) {
    let folder = killed_with_a_damaged_log();
    let end = damage(&folder);
    folder.run(&["repair", "p.kitedb", "--cut-at", &end]);
    (folder, end)
}

/// Fails unless `p` reads, and takes no write before its operator says that it leads.
#[track_caller]
fn expect_fenced(folder: &Folder, what: &str) {
    let run = import(folder, "p.kitedb", "fork K M\n", &[]);
    assert!(run.code == 1 && run.err.contains("stale primary"), "{what}: {run:?}");
    let status = folder.run(&["primary", "status", "p.kitedb", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert!(status.code == 3 && shown["fenced"] == true, "{what}: {status:?}");
}

/// `r` takes over while `p` is somewhere else.
fn take_over_unseen(folder: &Folder) {
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let move_all = |from: &Path, to: &Path| {
        for suffix in NODE {
            let name = format!("p.kitedb{suffix}");
            fs::rename(from.join(&name), to.join(&name)).unwrap();
        }
    };
    move_all(folder.path(), &away);
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    move_all(&away, folder.path());
}

/// A repair that sees who leads in place of the node does not let it lead beside that one: in one epoch there is one history.
#[test]
fn a_repair_beside_a_node_that_took_over_leaves_the_node_fenced() {
    for (what, damaged) in [("damaged", true), ("cut short", false)] {
        let folder = killed_with_a_damaged_log();
        let end = damaged.then(|| damage(&folder));
        take_over_unseen(&folder);
        import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
        let end = end.unwrap_or_else(|| {
            // The newest segment is gone.
            let log = folder.path().join("p.kitedb.replication");
            fs::remove_file(log.join(names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap()))
                .unwrap();
            let planned = folder.run(&["repair", "p.kitedb", "--dry-run", "--json"]);
            let planned: serde_json::Value = serde_json::from_str(&planned.out).unwrap();
            planned["asks_for_cut_at"].as_str().unwrap().to_owned()
        });
        let run = folder.run(&["repair", "p.kitedb", "--cut-at", &end]);
        let told = run.out.contains("r.kitedb leads epoch 2") && run.out.contains("leave it fenced");
        assert!(run.code == 3 && told, "{what}: {run:?}");
        expect_fenced(&folder, what);
        expect_fenced(&folder, what);
        // By its operator's word it leads, and in an epoch of its own; who leads is named.
        let run = folder.run(&["primary", "promote", "p.kitedb"]);
        assert_ne!(run.code, 0, "{what}: {run:?}");
        let led = folder.run(&["primary", "promote", "p.kitedb", "--force", "--json"]).json();
        assert!(led["epoch"].as_u64() > Some(2), "{what}: {led}");
        assert!(led["rivals"][0]["db"].as_str().unwrap().ends_with("r.kitedb"), "{what}: {led}");
        import(&folder, "p.kitedb", "fork K M\n", &[]).ok();
    }
}

/// Nothing is wrong with the files of a primary beside which another node leads: a repair changes nothing, and names that node.
#[test]
fn a_repair_of_a_whole_primary_beside_one_that_leads_changes_nothing_and_names_it() {
    let folder = pair();
    take_over_unseen(&folder);
    for more in [&["--dry-run"][..], &[]] {
        let run = folder.run(&[&["repair", "p.kitedb", "--json"], more].concat());
        let told: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        let remains = told["remains"].as_array().unwrap();
        let named = remains.iter().any(|what| what.as_str().unwrap().contains("r.kitedb leads epoch 2"));
        assert!(run.code == 3 && named, "{run:?}");
        assert!(told["fenced"] == false && told["done"] == false, "{run:?}");
        assert!(told["steps"].as_array().unwrap().is_empty(), "{run:?}");
    }
}

/// The same where an older file was put back beside a log that is whole, and where a node was closed and lost its last segment.
#[test]
fn a_repair_of_an_older_file_beside_a_node_that_took_over_leaves_it_fenced() {
    let folder = pair();
    fs::create_dir(folder.path().join("saved")).unwrap();
    copy(&folder.path().join("p.kitedb"), &folder.path().join("saved/p.kitedb"));
    import(&folder, "p.kitedb", &lines("n", 5), &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    take_over_unseen(&folder);
    fs::write(folder.path().join("p.kitedb"), fs::read(folder.path().join("saved/p.kitedb")).unwrap()).unwrap();
    let run = folder.run(&["repair", "p.kitedb"]);
    assert!(run.code == 3 && run.out.contains("r.kitedb leads epoch 2"), "{run:?}");
    let run = import(&folder, "p.kitedb", "fork K M\n", &[]);
    assert_eq!(run.code, 1, "{run:?}");

    let folder = Folder::new();
    import(&folder, "p.kitedb", &lines("n", 30), &["--role", "primary", "--segment-max-bytes", "1024"]).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    take_over_unseen(&folder);
    let log = folder.path().join("p.kitedb.replication");
    fs::remove_file(log.join(names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap())).unwrap();
    let run = folder.run(&["repair", "p.kitedb", "--cut-at", "1:30"]);
    assert!(run.code == 3 && run.out.contains("r.kitedb leads epoch 2"), "{run:?}");
    expect_fenced(&folder, "closed");
}

/// By force a primary leads on beside whoever leads: that one is named, and the epoch is later than its own.
#[test]
fn a_primary_that_is_promoted_by_force_names_who_else_leads() {
    let folder = pair();
    import(&folder, "wrong.kitedb", "x y K\n", &["--role", "primary"]).ok();
    for _ in 0..2 {
        folder.run(&["replica", "promote", "r.kitedb", "--source-db", "wrong.kitedb", "--force"]);
        folder.run(&["primary", "promote", "r.kitedb"]).ok();
    }
    import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
    let led = folder.run(&["primary", "promote", "p.kitedb", "--force", "--json"]).json();
    let theirs = folder.run(&["primary", "status", "r.kitedb", "--json"]).json()["epoch"].as_u64().unwrap();
    assert!(led["epoch"].as_u64() > Some(theirs), "{led}");
    assert!(led["rivals"][0]["db"].as_str().unwrap().ends_with("r.kitedb"), "{led}");
    // As a person reads it; who is not led beside it, nor lacks anything, is told of nobody.
    let folder = pair();
    let run = folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
    assert_eq!(run.out.lines().count(), 1, "{run:?}");
    take_over_unseen(&folder);
    let run = folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
    assert!(run.out.contains("r.kitedb leads epoch") && run.out.contains("let it not write again"), "{run:?}");
}

#[test]
fn a_replica_ahead_of_a_source_that_gave_commits_up_says_so_before_it_pulls() {
    let (folder, _) = cut_beside_a_replica();
    let expect_told = |when: &str| {
        let status = folder.run(&["replica", "status", "r.kitedb", "--json"]);
        assert_eq!(status.code, 3, "{when}: {status:?}");
        let shown: serde_json::Value = serde_json::from_str(&status.out).unwrap();
        assert!(shown.to_string().contains("it lacks what this replica has at log index 60"), "{when}: {shown}");
    };
    expect_told("repaired");
    import(&folder, "p.kitedb", "new node K\n", &[]).ok();
    expect_told("it went on");
    // Also where it has as many commits again.
    import(&folder, "p.kitedb", &lines("k", 60), &[]).ok();
    expect_told("it has more");
}

#[test]
fn a_repair_names_the_replica_that_has_what_is_missing() {
    for restored in [false, true] {
        let folder = killed_with_a_damaged_log();
        if restored {
            // An older backup of all of it.
            let folder = with_backup();
            import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            catch_up(&folder, "r.kitedb", "p.kitedb").ok();
            restore(&folder);
            let run = folder.run(&["repair", "p.kitedb", "--dry-run"]);
            assert!(run.code == 3 && run.out.contains("r.kitedb holds the commits up to 1:2"), "{run:?}");
            continue;
        }
        fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
        for args in [&["repair", "p.kitedb", "--dry-run"][..], &["repair", "p.kitedb"]] {
            let run = folder.run(args);
            assert_ne!(run.code, 0, "{run:?}");
            let told = format!("{}{}", run.out, run.err);
            assert!(told.contains("r.kitedb holds the commits up to 1:60"), "{run:?}");
        }
    }
}

/// It gets another id, since it may be a copy beside the one that it was copied from: where that cannot be, one goes.
#[test]
fn a_replica_that_is_restored_in_place_is_registered_once() {
    let folder = pair();
    fs::create_dir(folder.path().join("saved")).unwrap();
    copy_node(&folder.path().join("r.kitedb"), &folder.path().join("saved/r.kitedb"));
    let first = registered(&folder, "p.kitedb");
    for _ in 0..3 {
        remove_node(&folder, "r.kitedb");
        copy_node(&folder.path().join("saved/r.kitedb"), &folder.path().join("r.kitedb"));
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        let now = registered(&folder, "p.kitedb");
        assert_eq!(now.len(), 1, "{now:?}");
        assert_ne!(now, first);
    }
    let status = folder.run(&["primary", "status", "p.kitedb"]).ok();
    assert!(!status.out.contains("nothing is at"), "{status:?}");
}

#[test]
fn a_copy_of_a_replica_beside_it_is_registered_beside_it() {
    let folder = pair();
    copy_node(&folder.path().join("r.kitedb"), &folder.path().join("c.kitedb"));
    for name in ["c.kitedb", "r.kitedb", "c.kitedb"] {
        catch_up(&folder, name, "p.kitedb").ok();
    }
    assert_eq!(registered(&folder, "p.kitedb").len(), 2);
}

/// It may be on a disk that is not mounted: what is kept for it goes by its operator's word, and that word is shown.
#[test]
fn a_replica_that_is_not_where_it_was_is_told_with_what_removes_it() {
    let folder = pair();
    fs::create_dir(folder.path().join("new")).unwrap();
    copy_node(&folder.path().join("r.kitedb"), &folder.path().join("new/r.kitedb"));
    remove_node(&folder, "r.kitedb");
    catch_up(&folder, "new/r.kitedb", "p.kitedb").ok();
    assert_eq!(registered(&folder, "p.kitedb").len(), 2);
    let status = folder.run(&["primary", "status", "p.kitedb"]).ok();
    let remove = commands_in(&status.out);
    assert_eq!(remove.len(), 1, "{status:?}");
    folder.run(&remove[0]).ok();
    let left = folder.run(&["primary", "status", "p.kitedb", "--json"]).json()["replica_lags"].clone();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["absent"]), (1, &json!(false)), "{left}");
    assert!(left[0]["path"].as_str().unwrap().ends_with("new/r.kitedb"), "{left}");
}

/// The node has taken over since. It does not follow by the old word, and does not lead before it is told.
#[test]
fn a_control_file_of_before_a_promotion_makes_no_replica_of_who_took_over() {
    for killed in [false, true] {
        let folder = pair();
        let control = folder.path().join("r.kitedb.replication/control");
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        let older = fs::read(&control).unwrap();
        replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
        if killed {
            let mut feed = Feed::start(&folder, "r.kitedb", &[]);
            feed.feed(&folder, "r.kitedb", "e f K\n", "2:3");
            feed.kill_nine();
        } else {
            import(&folder, "r.kitedb", "e f K\n", &[]).ok();
        }
        // In place: a file under another name is known for a copy.
        fs::File::options().write(true).open(&control).unwrap().write_all(&older).unwrap();
        for when in ["before it is opened", "after it is opened"] {
            let role = parsed(&folder.run(&["role", "r.kitedb", "--json"]).out);
            assert_eq!((&role["role"], &role["fenced"]), (&json!("primary"), &json!(true)), "{when}: {role}");
            let status = folder.run(&["primary", "status", "r.kitedb"]);
            assert_eq!(status.code, 3, "{when}: {status:?}");
            assert!(status.out.contains("put back") && status.out.contains("--force"), "{when}: {status:?}");
            let run = import(&folder, "r.kitedb", "g h K\n", &[]);
            assert!(run.code == 1 && run.err.contains("put back"), "{when}: {run:?}");
        }
        folder.run(&["primary", "promote", "r.kitedb", "--force"]).ok();
        let token = import(&folder, "r.kitedb", "g h K\n", &[]).json()["token"].clone();
        assert!(token.as_str().is_some_and(|token| token.ends_with(":4")), "{token}");
        assert!(knows(&folder, "r.kitedb", "e"));
    }
}

/// A primary `p` and its replica `r`, and a copy of `p` in `new`.
fn with_copy() -> Folder {
    let folder = pair();
    fs::create_dir(folder.path().join("new")).unwrap();
    copy_node(&folder.path().join("p.kitedb"), &folder.path().join("new/p.kitedb"));
    folder
}

fn overwrite_in_place(path: &Path, bytes: &[u8]) {
    fs::File::options().write(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Its log is in order, a replica may take over by it, and it may hold what the copy lacks.
#[test]
fn a_copy_does_not_lead_beside_an_original_whose_file_cannot_be_read() {
    type Spoil = fn(&Folder, &Path);
    let spoils: [(&str, bool, Spoil); 6] = [
        ("zeros", true, |_, path| overwrite_in_place(path, &[0; 8192])),
        ("another kind of file", true, |_, path| fs::write(path, "root:x:0:0::/root:/bin/sh\n").unwrap()),
        ("cut", true, |_, path| fs::File::options().write(true).open(path).unwrap().set_len(8192).unwrap()),
        ("gone", false, |_, path| fs::remove_file(path).unwrap()),
        ("a folder", false, |_, path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("another database", false, |folder, path| {
            import(folder, "other.kitedb", "x y K\n", &[]).ok();
            fs::rename(folder.path().join("other.kitedb"), path).unwrap();
        }),
    ];
    for (how, is_in_place, spoil) in spoils {
        for more in [true, false] {
            let folder = with_copy();
            if more {
                import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            }
            spoil(&folder, &folder.path().join("p.kitedb"));
            let run = folder.run(&["role", "new/p.kitedb", "primary", "--moved"]);
            if more || is_in_place {
                let last = if more { "1:2" } else { "1:1" };
                let told = run.err.contains("stale primary") && run.err.contains(&format!("the commits up to {last}"));
                assert!(run.code == 1 && told, "{how}, {more}: {run:?}");
                assert_eq!(import(&folder, "new/p.kitedb", "fork K M\n", &[]).code, 1, "{how}, {more}");
            } else {
                // The original is gone, and had no more. Nobody takes over from it by what it left.
                assert_eq!(run.code, 0, "{how}: {run:?}");
                let run = replica(&folder, "promote", "r.kitedb", "p.kitedb");
                assert_ne!(run.code, 0, "{how}: {run:?}");
            }
        }
    }
}

/// A process commits on, whatever became of the file under it.
#[test]
fn a_copy_does_not_lead_beside_a_process_that_leads_with_a_file_that_cannot_be_read() {
    let spoils: [fn(&Path); 2] = [|path| overwrite_in_place(path, &[0; 8192]), |path| fs::remove_file(path).unwrap()];
    for spoil in spoils {
        let folder = Folder::new();
        let mut feed = Feed::start(&folder, "p.kitedb", &["--role", "primary"]);
        feed.feed(&folder, "p.kitedb", &lines("n", 3), "1:3");
        fs::create_dir(folder.path().join("new")).unwrap();
        copy_node(&folder.path().join("p.kitedb"), &folder.path().join("new/p.kitedb"));
        spoil(&folder.path().join("p.kitedb"));
        let run = folder.run(&["role", "new/p.kitedb", "primary", "--moved"]);
        assert!(run.code == 1 && run.err.contains("p.kitedb leads epoch 1"), "{run:?}");
    }
}

/// Its log lies elsewhere than beside its file.
#[test]
fn a_copy_does_not_lead_without_what_a_log_elsewhere_has() {
    let folder = Folder::new();
    let log = ["--role", "primary", "--sidecar", "logs/p"];
    fs::create_dir(folder.path().join("logs")).unwrap();
    import(&folder, "p.kitedb", "a b K\n", &log).ok();
    fs::create_dir(folder.path().join("new")).unwrap();
    copy(&folder.path().join("p.kitedb"), &folder.path().join("new/p.kitedb"));
    copy(&folder.path().join("logs/p"), &folder.path().join("new/p.kitedb.replication"));
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    overwrite_in_place(&folder.path().join("p.kitedb"), &[0; 8192]);
    let run = folder.run(&["role", "new/p.kitedb", "primary", "--moved"]);
    assert!(run.code == 1 && run.err.contains("logs/p holds the commits up to 1:2"), "{run:?}");
}

/// Refuses that the copy `x` of the primary leads, and lets the primary go on.
#[track_caller]
fn expect_copy(folder: &Folder, x: &str, what: &str) {
    let refused = import(folder, x, "fork K M\n", &[]);
    assert!(refused.code != 0 && refused.err.contains("copied or restored"), "{what}: {refused:?}");
    let role = folder.run(&["role", x]);
    assert!(role.out.contains("primary"), "{what}: {role:?}");
}

/// What is refused leaves what tells a copy.
#[test]
fn a_copy_whose_reseed_is_refused_is_a_copy_still() {
    for action in ["reseed", "bootstrap"] {
        for fenced in [false, true] {
            let folder = if fenced { failed_over() } else { pair() };
            copy_node(&folder.path().join("p.kitedb"), &folder.path().join("x.kitedb"));
            for _ in 0..2 {
                let run = folder.run(&["replica", action, "x.kitedb", "--source-db", "typo.kitedb", "--overwrite"]);
                assert!(run.code != 0, "{run:?}");
                if fenced {
                    assert_ne!(import(&folder, "x.kitedb", "fork K M\n", &[]).code, 0);
                } else {
                    expect_copy(&folder, "x.kitedb", action);
                }
            }
            if fenced {
                let run = folder.run(&["primary", "promote", "x.kitedb"]);
                assert!(run.code != 0 && run.err.contains("copied or restored"), "{run:?}");
                continue;
            }
            import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            // Once it has the graph of its source it is a replica, and no copy.
            assert_ne!(replica(&folder, action, "x.kitedb", "p.kitedb").code, 0);
            folder.run(&["replica", action, "x.kitedb", "--source-db", "p.kitedb", "--overwrite"]).ok();
            import(&folder, "p.kitedb", "e f K\n", &[]).ok();
            catch_up(&folder, "x.kitedb", "p.kitedb").ok();
            replica(&folder, "promote", "x.kitedb", "p.kitedb").ok();
            import(&folder, "x.kitedb", "g h K\n", &[]).ok();
        }
    }
}

/// A restored primary is not made a leader by the refusal to copy a replica of its own.
#[test]
fn a_restored_primary_whose_reseed_is_a_circle_does_not_lead() {
    let folder = with_backup();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    restore(&folder);
    let run = folder.run(&["replica", "reseed", "p.kitedb", "--source-db", "r.kitedb", "--overwrite"]);
    assert_ne!(run.code, 0, "{run:?}");
    expect_copy(&folder, "p.kitedb", "a circle");
}

/// The log of a copy is that of the primary itself: no copy of it makes a replica of the primary.
#[test]
fn a_copy_with_the_log_of_its_original_does_not_take_the_lead_from_it() {
    use std::os::unix::fs::symlink;
    for by_links in [true, false] {
        let folder = pair();
        let path = |name: &str| folder.path().join(name);
        copy(&path("p.kitedb"), &path("x.kitedb"));
        if by_links {
            fs::create_dir(path("x.kitedb.replication")).unwrap();
            for (name, _) in contents(&path("p.kitedb.replication")) {
                let linked = path("x.kitedb.replication").join(&name);
                fs::hard_link(path("p.kitedb.replication").join(&name), linked).unwrap();
            }
        } else {
            symlink(path("p.kitedb.replication"), path("x.kitedb.replication")).unwrap();
        }
        let run = folder.run(&["replica", "reseed", "x.kitedb", "--source-db", "p.kitedb", "--overwrite"]);
        // By a link the two are seen to have one log before that is looked at.
        let says_so =
            run.err.contains("the log of the primary itself") || run.err.contains("must differ from the replica's own");
        assert!(run.code != 0 && says_so, "{run:?}");
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        assert_ne!(import(&folder, "x.kitedb", "fork K M\n", &[]).code, 0);
    }
}
