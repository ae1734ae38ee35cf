//! Two that lead, a lead taken back, a promotion that is refused.

use super::{stage::*, support::parsed};
use serde_json::json;
use std::{fs, os::unix::fs::symlink};

#[test]
fn a_fenced_primary_takes_no_import_whatever_role_is_said() {
    let folder = failed_over();
    for role in [&[][..], &["--role", "primary"], &["--role", "disabled"]] {
        let run = import(&folder, "p.kitedb", "old fork K\n", role);
        assert_eq!(run.code, 1, "{role:?}: {run:?}");
        assert!(!knows(&folder, "p.kitedb", "fork"), "{role:?}");
    }
    // It follows who took over, and nothing has to be thrown away.
    assert_eq!(catch_up(&folder, "p.kitedb", "r.kitedb").json()["applied_epoch"], 2);
}

#[test]
fn a_fenced_primary_takes_no_import_through_a_link() {
    let folder = failed_over();
    symlink("p.kitedb", folder.path().join("current.kitedb")).unwrap();
    for role in [&[][..], &["--role", "primary"], &["--role", "disabled"]] {
        let run = import(&folder, "current.kitedb", "old bylink K\n", role);
        assert_eq!(run.code, 1, "{role:?}: {run:?}");
    }
    assert!(!folder.path().join("current.kitedb.replication").exists());
    let status = folder.run(&["primary", "status", "current.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
}

#[test]
fn a_primary_that_is_told_not_to_replicate_takes_no_import() {
    let folder = pair();
    let run = import(&folder, "p.kitedb", "c d K\n", &["--role", "disabled"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("primary"), "{run:?}");
    assert_eq!(import(&folder, "p.kitedb", "c d K\n", &[]).json()["token"], "1:2");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "c"));
}

#[test]
fn the_role_of_a_fenced_primary_says_so() {
    let folder = pair();
    folder.run(&["replica", "promote", "r.kitedb", "--source-db", "p.kitedb"]).ok();
    for (name, expected) in [("p.kitedb", true), ("r.kitedb", false)] {
        let shown = parsed(&folder.run(&["role", name, "--json"]).out);
        assert_eq!((&shown["role"], &shown["fenced"]), (&"primary".into(), &expected.into()), "{name}: {shown}");
        assert_eq!(folder.run(&["role", name]).out.contains("fenced"), expected);
    }
}

#[test]
fn who_was_taken_over_from_leads_again_only_by_force() {
    let folder = failed_over();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join(name.replacen('p', "c", 1)));
    }
    let refused = |args: &[&str]| {
        let run = folder.run(args);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("took over from") && run.err.contains("--force"), "{run:?}");
    };
    for (db, args, token) in [
        ("p.kitedb", ["primary", "promote", "p.kitedb"].as_slice(), "3:2"),
        // Not in the epoch of the one that it was copied from.
        ("c.kitedb", ["role", "c.kitedb", "primary", "--moved"].as_slice(), "4:2"),
    ] {
        refused(args);
        assert_eq!(import(&folder, db, "c d K\n", &[]).code, 1);
        folder.run(&[args, &["--force"]].concat()).ok();
        assert_eq!(import(&folder, db, "c d K\n", &[]).json()["token"], token);
    }
}

/// It goes on with the source that it had.
#[test]
fn a_promotion_from_a_wrong_source_leaves_the_remembered_one() {
    let folder = pair();
    import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
    let run = folder.run(&["replica", "promote", "r.kitedb", "--source-db", "other.kitedb"]);
    assert_eq!(run.code, 1, "{run:?}");
    let status = folder.run(&["replica", "status", "r.kitedb", "--json"]).json();
    assert!(status["source_db_path"].as_str().unwrap().ends_with("/p.kitedb"), "{status}");
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    assert!(knows(&folder, "r.kitedb", "c"));
}

/// Its source is gone, or was repaired: what is said is so, and a command that it gives does what it says.
#[test]
fn a_promotion_that_is_refused_says_what_force_does_and_risks() {
    for repaired in [false, true] {
        for named in [&[][..], &["--source-db", "p.kitedb"]] {
            let folder = pair();
            if repaired {
                fs::remove_file(folder.path().join("p.kitedb.replication/control")).unwrap();
                folder.run(&["repair", "p.kitedb"]).ok();
            } else {
                fs::create_dir(folder.path().join("gone")).unwrap();
                for name in ["p.kitedb", "p.kitedb.replication"] {
                    fs::rename(folder.path().join(name), folder.path().join("gone").join(name)).unwrap();
                }
            }
            let run = folder.run(&[&["replica", "promote", "r.kitedb"][..], named].concat());
            assert_eq!(run.code, 1, "{run:?}");
            assert!(run.err.contains("is lost") && !run.err.contains("another node leads now"), "{run:?}");
            assert!(!repaired || run.err.contains("was repaired"), "{run:?}");
            let force = [&["replica", "promote", "r.kitedb"][..], named, &["--force"]].concat();
            let given = commands_in(&run.err).into_iter().find(|command| *command == force);
            folder.run(&given.unwrap_or_else(|| panic!("no word of force: {run:?}"))).ok();
            assert!(knows(&folder, "r.kitedb", "a"));
            import(&folder, "r.kitedb", "c d K\n", &[]).ok();
        }
    }
}

#[test]
fn a_demoted_primary_forgets_who_followed_it() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "p.kitedb").ok();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    let follow = |db: &str| {
        let args = ["replica", "follow", db, "--source-db", "r.kitedb", "--once"];
        folder.run(&[&args[..], &SMALL].concat()).ok();
    };
    for round in 0..4 {
        let options = ["--sync-mode", "off", "--segment-max-bytes", "4096"];
        import(&folder, "r.kitedb", &lines(&format!("r{round}-"), 200), &options).ok();
        follow("p.kitedb");
    }
    let left = segments(&folder, "p.kitedb");
    assert!(left <= 10, "{left} segments");
    let shown = folder.run(&["replica", "status", "p.kitedb", "--json"]).json();
    assert_eq!(shown["segments"], json!(left));
    assert!(shown["log_bytes"].as_u64() > Some(0), "{shown}");
}

/// The control file that was lost turns up again after another node took over: that the lead is taken anew is said by name.
#[test]
fn a_primary_whose_old_control_file_was_put_back_leads_by_force_only() {
    let folder = pair();
    let (control, kept) = (folder.path().join("p.kitedb.replication/control"), folder.path().join("control"));
    fs::rename(&control, &kept).unwrap();
    folder.run(&["repair", "p.kitedb"]).ok();
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    fs::rename(&kept, &control).unwrap();
    for _ in 0..2 {
        let run = folder.run(&["primary", "promote", "p.kitedb"]);
        assert!(run.code == 1 && run.err.contains("put back") && run.err.contains("--force"), "{run:?}");
    }
    folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
}

/// An older control file is put back, into the very file or as another one: whatever is told then, one command after the other,
/// leads to a node that leads.
#[test]
fn what_is_told_after_an_older_control_file_was_put_back_leads_out() {
    for as_a_copy in [false, true] {
        for ask in [&["primary", "status"][..], &["primary", "promote"], &["role"], &["import"]] {
            let folder = pair();
            let (control, older) = (folder.path().join("p.kitedb.replication/control"), folder.path().join("older"));
            copy(&control, &older);
            folder.run(&["primary", "promote", "p.kitedb"]).ok();
            import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            if as_a_copy {
                fs::remove_file(&control).unwrap();
                copy(&older, &control);
            } else {
                fs::write(&control, fs::read(&older).unwrap()).unwrap();
            }
            let mut run = match ask {
                ["import"] => import(&folder, "p.kitedb", "e f K\n", &[]),
                _ => folder.run(&[ask, &["p.kitedb"]].concat()),
            };
            if !as_a_copy && ask == ["role"] {
                // It says what the file is; how it leads, its status says.
                continue;
            }
            let mut passed: Vec<String> = Vec::new();
            loop {
                let told = format!("{}{}", run.out, run.err);
                // A promotion takes its word with an option.
                let forced =
                    told.contains("--force only if").then(|| "kitedb primary promote p.kitedb --force".to_owned());
                let next = changes_in(&told).into_iter().find(|line| line.contains(" primary ")).or(forced);
                let next = next.unwrap_or_else(|| panic!("{as_a_copy}, {ask:?}, {passed:?}: {run:?}"));
                assert!(!passed.contains(&next), "{as_a_copy}, {ask:?}: {passed:?} and again {next}: {run:?}");
                run = paste(&folder, &next);
                passed.push(next);
                if run.code == 0 {
                    break;
                }
            }
            assert!(passed.len() <= 2, "{as_a_copy}, {ask:?}: {passed:?}");
            import(&folder, "p.kitedb", "e f K\n", &[]).ok();
        }
    }
}

/// Its control file was lost and repaired, so that it does not lead, and is told to follow its own replica: nobody would lead.
#[test]
fn a_repaired_primary_does_not_follow_its_own_replica() {
    let folder = pair();
    fs::remove_file(folder.path().join("p.kitedb.replication/control")).unwrap();
    folder.run(&["repair", "p.kitedb"]);
    let run = catch_up(&folder, "p.kitedb", "r.kitedb");
    assert!(run.code != 0 && run.err.contains("nobody leads"), "{run:?}");
    let role = parsed(&folder.run(&["role", "p.kitedb", "--json"]).out);
    assert_eq!(role["role"], "primary", "{role}");
    let lead = changes_in(&run.err).into_iter().find(|line| line.contains("primary promote")).unwrap();
    assert_eq!(paste(&folder, &lead).code, 0, "{lead}");
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "c"));
}
