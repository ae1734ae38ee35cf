//! What an operator is told to do: what is named first loses nothing, and every command that is named leads on.

use super::{stage::*, support::Folder};
use std::{fs, os::unix::fs::symlink, path::PathBuf};

/// The segments of the log of `db`, the oldest first.
fn segments_of(folder: &Folder, db: &str) -> Vec<PathBuf> {
    let dir = folder.path().join(format!("{db}.replication"));
    let mut found: Vec<PathBuf> =
        names(&dir).into_iter().filter(|name| name.starts_with("segment-")).map(|name| dir.join(name)).collect();
    found.sort();
    found
}

/// Of a primary that was closed in an orderly way the log lost what a replica needs: its end, all of it, or what the replica needs
/// next. Its file has every commit.
#[test]
fn a_promotion_whose_source_has_all_in_its_file_names_the_reseed_and_no_force() {
    for what in ["end", "all", "next"] {
        let folder = Folder::new();
        let small = ["--role", "primary", "--segment-max-bytes", "1024"];
        import(&folder, "p.kitedb", "a b K\n", &small).ok();
        replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
        import(&folder, "p.kitedb", &lines("n", 60), &small).ok();
        let all = segments_of(&folder, "p.kitedb");
        let gone = match what {
            "end" => &all[all.len() - 1..],
            "all" => &all[..],
            _ => &all[..3],
        };
        gone.iter().for_each(|segment| fs::remove_file(segment).unwrap());
        let status = folder.run(&["replica", "status", "r.kitedb"]);
        assert!(status.code == 3 && status.out.contains("`kitedb replica reseed r.kitedb`"), "{what}: {status:?}");
        let run = folder.run(&["replica", "promote", "r.kitedb"]);
        assert!(run.code == 1 && !run.err.contains("--force"), "{what}: {run:?}");
        let ways = changes_in(&run.err);
        assert_eq!(ways, ["kitedb replica reseed r.kitedb", "kitedb replica promote r.kitedb"], "{what}: {run:?}");
        ways.iter().for_each(|way| drop(paste(&folder, way).ok()));
        assert!(knows(&folder, "r.kitedb", "n60"), "{what}");
        let led = import(&folder, "r.kitedb", "y z K\n", &[]).json();
        assert_eq!(led["token"], "2:62", "{what}: {led}");
    }
}

/// An older file lies in the place of a primary's, whose log has more. A replica is told to lead in no way that is refused then.
#[test]
fn each_way_that_is_told_of_an_older_file_of_a_primary_leads_out() {
    for by_replica in [false, true] {
        let folder = pair();
        let path = folder.path().join("p.kitedb");
        let old = fs::read(&path).unwrap();
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        fs::write(&path, old).unwrap();
        for args in [&["primary", "status", "p.kitedb"][..], &["replica", "promote", "r.kitedb"]] {
            let run = folder.run(args);
            let ways = changes_in(&run.err);
            assert!(ways[0].contains("kitedb repair"), "{run:?}");
            assert!(ways[1].contains("promote REPLICA --force") && ways[2].contains("REPLICA --overwrite"), "{run:?}");
        }
        let ways = changes_in(&folder.run(&["primary", "status", "p.kitedb"]).err);
        let (ways, leader) = if by_replica { (&ways[1..], "r.kitedb") } else { (&ways[..1], "p.kitedb") };
        ways.iter().for_each(|way| drop(paste(&folder, &way.replace("REPLICA", "r.kitedb")).ok()));
        import(&folder, leader, "e f K\n", &[]).ok();
        let other = if by_replica { "p.kitedb" } else { "r.kitedb" };
        catch_up(&folder, other, leader).ok();
        assert!(["a", "c", "e"].iter().all(|key| knows(&folder, other, key)), "{by_replica}");
    }
}

/// The folder of its log was moved away, and with it what it followed.
#[test]
fn a_replica_without_its_log_is_told_the_same_by_its_status_and_by_who_would_follow() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    fs::rename(folder.path().join("r.kitedb.replication"), folder.path().join("away")).unwrap();
    let status = folder.run(&["replica", "status", "r.kitedb"]);
    let follow = folder.run(&["replica", "follow", "r.kitedb", "--once"]);
    assert_eq!((status.code, follow.code), (3, 1), "{status:?} {follow:?}");
    let way = |told: &str| {
        let way = told.split('`').find(|way| way.starts_with("kitedb replica follow")).map(str::to_owned);
        way.unwrap_or_else(|| panic!("{told}"))
    };
    assert_eq!(way(&status.out), way(&follow.err));
    // What was tried made nothing in the place of what may be put back.
    assert!(!folder.path().join("r.kitedb.replication").exists());
    let once = way(&follow.err).replace("SOURCE", "p.kitedb") + " --once";
    paste(&folder, &once).ok();
    assert!(knows(&folder, "r.kitedb", "c"));
    folder.run(&["replica", "status", "r.kitedb"]).ok();
}

/// The primary was restored, whole, from an older copy, and goes on, or not. No pull was tried yet.
#[test]
fn a_replica_that_is_ahead_of_its_restored_source_needs_a_reseed_at_the_first_look() {
    for goes_on in [false, true] {
        let folder = pair();
        let saved = folder.path().join("saved");
        fs::create_dir(&saved).unwrap();
        for name in ["p.kitedb", "p.kitedb.replication"] {
            copy(&folder.path().join(name), &saved.join(name));
        }
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        fs::remove_file(folder.path().join("p.kitedb")).unwrap();
        fs::remove_dir_all(folder.path().join("p.kitedb.replication")).unwrap();
        for name in ["p.kitedb", "p.kitedb.replication"] {
            fs::rename(saved.join(name), folder.path().join(name)).unwrap();
        }
        if goes_on {
            folder.run(&["role", "p.kitedb", "primary", "--moved", "--force"]).ok();
            import(&folder, "p.kitedb", "x y K\n", &[]).ok();
        }
        let status = folder.run(&["replica", "status", "r.kitedb", "--json"]);
        assert_eq!(status.code, 3, "{status:?}");
        let status = super::support::parsed(&status.out);
        for (field, told) in [("source_fault", "another"), ("state", "needs_reseed")] {
            assert_eq!(status[field], told, "{status}");
        }
        assert_eq!(status["needs_reseed"], true, "{status}");
        // As a pull finds it.
        let pulled = catch_up(&folder, "r.kitedb", "p.kitedb");
        assert_eq!(pulled.code, 3, "{pulled:?}");
        let shown = folder.run(&["replica", "status", "r.kitedb"]);
        assert_eq!(shown.code, 3, "{shown:?}");
    }
}

/// A link, or a file, bears the name of a log's folder.
#[test]
fn what_is_in_the_place_of_a_logs_folder_is_told_as_what_it_is() {
    for suffix in ["-wal", ".replication"] {
        for kind in ["link", "link to nothing", "file"] {
            let folder = Folder::new();
            let role: &[&str] = if suffix == "-wal" { &[] } else { &["--role", "primary"] };
            import(&folder, "d.kitedb", "a b K\n", &[]).ok();
            let place = folder.path().join(format!("d.kitedb{suffix}"));
            fs::create_dir(folder.path().join("elsewhere")).unwrap();
            match kind {
                "link" => symlink("elsewhere", &place).unwrap(),
                "link to nothing" => symlink("nowhere", &place).unwrap(),
                _ => fs::write(&place, "somebody's").unwrap(),
            }
            let run = import(&folder, "d.kitedb", "c d K\n", role);
            assert_eq!(run.code, 1, "{kind} {suffix}: {run:?}");
            let named = run.err.contains(&format!("d.kitedb{suffix} is there already"));
            assert!(named && run.err.contains("move it away") && !run.err.contains("os error"), "{kind}: {run:?}");
            assert!(names(&folder.path().join("elsewhere")).is_empty(), "{kind} {suffix}");
            fs::remove_file(&place).unwrap();
            import(&folder, "d.kitedb", "c d K\n", role).ok();
        }
    }
}

/// The folder of the database itself, one above it, or one with somebody's files: by the first open, and by one of a database that
/// is there.
#[test]
fn a_log_is_given_a_folder_of_its_own() {
    for sidecar in [".", "..", "others", "../under/others"] {
        for is_there in [false, true] {
            let folder = Folder::new();
            let under = folder.path().join("under");
            fs::create_dir_all(under.join("others")).unwrap();
            fs::write(under.join("others/notes.txt"), "mine").unwrap();
            fs::write(under.join("edges.txt"), "a b K\n").unwrap();
            let import = |more: &[&str]| {
                let args = ["import", "d.kitedb", "edges.txt", "--format", "edgelist"];
                let mut command = folder.command(&[&args[..], more].concat());
                super::support::Run::of(command.current_dir(&under).output().unwrap())
            };
            if is_there {
                import(&[]).ok();
            }
            let before = (names(folder.path()), names(&under), names(&under.join("others")));
            let run = import(&["--role", "primary", "--sidecar", sidecar]);
            assert!(run.code == 1 && run.err.contains("one of its own"), "{sidecar} {is_there}: {run:?}");
            assert_eq!((names(folder.path()), names(&under), names(&under.join("others"))), before, "{sidecar}");
            // An empty one is, also with what a file system keeps at its root.
            fs::create_dir_all(under.join("log/lost+found")).unwrap();
            import(&["--role", "primary", "--sidecar", "log"]).ok();
            // And it is gone on with.
            import(&["--role", "primary", "--sidecar", "log"]).ok();
        }
    }
}

/// Of a replica nothing is left but what remembers its source, and who follows it.
#[test]
fn what_remembers_a_source_keeps_the_place_of_a_replica_that_is_gone() {
    let folder = pair();
    let dir = folder.path().join("r.kitedb.replication");
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    for name in names(&dir).into_iter().filter(|name| name != "source" && name != "replicas") {
        fs::remove_file(dir.join(name)).unwrap();
    }
    let before = contents(&dir);
    for role in [&[][..], &["--role", "primary"]] {
        let run = import(&folder, "r.kitedb", "x y K\n", role);
        assert!(run.code == 1 && run.err.contains("put the file back"), "{run:?}");
        assert!(!folder.path().join("r.kitedb").exists() && contents(&dir) == before, "{role:?}");
    }
    let status = folder.run(&["replica", "status", "r.kitedb"]);
    assert_eq!((status.code, changes_in(&status.err).len()), (1, 1), "{status:?}");
    paste(&folder, &changes_in(&status.err)[0]).ok();
    assert!(knows(&folder, "r.kitedb", "a"));
    folder.run(&["replica", "status", "r.kitedb"]).ok();
}

/// Its header is damaged, it was cut, or zeros are in its place; its log lies beside it, or where `--sidecar` says.
#[test]
fn every_command_that_reads_ends_with_three_at_a_file_that_was_overwritten() {
    for apart in [false, true] {
        let folder = Folder::new();
        let log: &[&str] = if apart { &["--sidecar", "log"] } else { &[] };
        import(&folder, "p.kitedb", "a b K\n", &[&["--role", "primary"], log].concat()).ok();
        import(&folder, "q.kitedb", "a b K\n", &[]).ok();
        let len = fs::metadata(folder.path().join("p.kitedb")).unwrap().len();
        for bytes in [vec![0; len as usize], b"somebody's text".to_vec()] {
            fs::write(folder.path().join("p.kitedb"), bytes).unwrap();
            let asks = [
                &["check", "p.kitedb"][..],
                &["primary", "status", "p.kitedb"],
                &["stats", "p.kitedb"],
                &["get", "p.kitedb", "a"],
                &["export", "p.kitedb", "--output", "out.jsonl"],
                &["metrics", "p.kitedb"],
            ];
            for ask in asks {
                let run = folder.run(&[ask, log].concat());
                assert_eq!(run.code, 3, "{ask:?} {apart}: {run:?}");
            }
            for (args, option) in [
                (["verify", "p.kitedb", "q.kitedb"], "--sidecar-a"),
                (["verify", "q.kitedb", "p.kitedb"], "--sidecar-b"),
            ] {
                let given: &[&str] = if apart { &[option, "log"] } else { &[] };
                let run = folder.run(&[&args[..], given].concat());
                assert!(run.code == 3 && !run.err.contains(" DB"), "{apart}: {run:?}");
            }
        }
        assert!(!folder.path().join("out.jsonl").exists());
    }
}

/// The file of a primary was overwritten, and a replica of it leads.
#[test]
fn what_is_said_of_an_overwritten_primary_leads_on() {
    let folder = failed_over();
    fs::write(folder.path().join("p.kitedb"), b"somebody's text").unwrap();
    for run in [folder.run(&["repair", "p.kitedb"]), import(&folder, "p.kitedb", "c d K\n", &[])] {
        assert!(run.code != 0 && run.err.contains("the file was overwritten"), "{run:?}");
    }
    let run = replica(&folder, "bootstrap", "p.kitedb", "r.kitedb");
    assert!(run.code != 0 && run.err.contains("move the file and the folder of its log away"), "{run:?}");
    assert!(!run.err.contains("is not there") && !run.err.contains("--force"), "{run:?}");
    fs::create_dir(folder.path().join("aside")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        fs::rename(folder.path().join(name), folder.path().join("aside").join(name)).unwrap();
    }
    replica(&folder, "bootstrap", "p.kitedb", "r.kitedb").ok();
    assert!(knows(&folder, "p.kitedb", "primary"));
}

/// `role primary --moved` is said of what was not copied: what is told instead is not refused then.
#[test]
fn what_is_no_copied_primary_is_told_what_it_is() {
    let folder = failed_over();
    import(&folder, "own.kitedb", "a b K\n", &[]).ok();
    let moved = |db: &str| {
        let run = folder.run(&["role", db, "primary", "--moved"]);
        assert_eq!(run.code, 1, "{run:?}");
        run.err
    };
    let own = moved("own.kitedb");
    assert!(own.contains("no part in replication") && !own.contains("primary promote"), "{own}");
    let fenced = moved("p.kitedb");
    assert!(fenced.contains("primary status ") && !fenced.contains("primary promote"), "{fenced}");
    let leads = moved("r.kitedb");
    let way = changes_in(&leads).into_iter().find(|way| way.contains("primary promote")).unwrap();
    paste(&folder, &way).ok();
}

/// A log's place is given by mistake: nothing is wrong with the database.
#[test]
fn a_repair_that_is_given_another_place_of_the_log_names_nothing_that_would_replace_the_database() {
    let folder = pair();
    let run = folder.run(&["repair", "p.kitedb", "--sidecar", "nothere"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("given as its sidecar") && !run.err.contains("REPLICA"), "{run:?}");
    folder.run(&["repair", "p.kitedb"]).ok();
}

/// A replica led by force while its source was away, which comes back.
#[test]
fn a_primary_beside_which_another_one_leads_is_told_of_a_way_that_is_open() {
    let folder = pair();
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let both = ["p.kitedb", "p.kitedb.replication"];
    both.iter().for_each(|name| fs::rename(folder.path().join(name), away.join(name)).unwrap());
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    both.iter().for_each(|name| fs::rename(away.join(name), folder.path().join(name)).unwrap());
    let run = folder.run(&["primary", "promote", "p.kitedb"]);
    assert_eq!(run.code, 1, "{run:?}");
    let ways = changes_in(&run.err);
    assert!(ways[0].contains("replica reseed") && ways[0].contains("--overwrite"), "{run:?}");
    paste(&folder, &ways[0]).ok();
    assert_eq!(folder.run(&["role", "p.kitedb", "--json"]).json()["role"], "replica");
}

/// The log of a primary that was killed is damaged in its middle: what only it has cannot be copied.
#[test]
fn a_copy_of_a_source_whose_log_is_damaged_is_told_of_the_source() {
    let folder = pair();
    let mut leader = Feed::start(&folder, "p.kitedb", &["--role", "primary"]);
    leader.feed(&folder, "p.kitedb", &lines("n", 8), "1:9");
    leader.kill_nine();
    let log = segments_of(&folder, "p.kitedb").pop().unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let at = middle.min(written * 2 / 3);
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    for args in [&["bootstrap", "t.kitedb", "--source-db", "p.kitedb"][..], &["reseed", "r.kitedb"]] {
        let run = folder.run(&[&["replica"], args].concat());
        assert_ne!(run.code, 0, "{run:?}");
        assert!(run.err.contains("`kitedb repair ") && !run.err.contains("replica reseed"), "{run:?}");
        let looked = changes_in(&run.err).into_iter().find(|way| way.contains("repair")).unwrap();
        assert!(paste(&folder, &looked).out.contains("--cut-at"), "{looked}");
    }
}

/// A process that may open few files only.
#[test]
fn who_runs_out_of_files_is_told_to_raise_the_limit_and_of_no_force() {
    let folder = pair();
    let told: Vec<_> =
        (7..14).map(|n| paste(&folder, &format!("ulimit -n {n}; kitedb replica promote r.kitedb"))).collect();
    let told: Vec<_> = told.into_iter().filter(|run| run.err.contains("os error 24")).collect();
    assert!(!told.is_empty());
    for run in told {
        assert!(run.code == 1 && run.err.contains("ulimit -n") && !run.err.contains("--force"), "{run:?}");
    }
}
