//! A lead goes by name only; one whose promotion was cut short, and forgotten, is gone on with; and what a candidate is looked at for
//! before it leads.

use super::{stage::*, support::Folder};
use std::fs;

/// A primary that nothing was committed to leads as well: once it was promoted, another node is fenced for it.
#[test]
fn a_node_that_leads_is_reseeded_from_the_one_that_it_fenced_by_name_only() {
    for committed in [true, false] {
        let folder = Folder::new();
        import(&folder, "p.kitedb", if committed { "a b K\n" } else { "" }, &["--role", "primary"]).ok();
        replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
        replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
        for action in ["reseed", "bootstrap"] {
            let run = replica(&folder, action, "r.kitedb", "p.kitedb");
            let told = ["leads epoch 2", "the lead", "--overwrite"].iter().all(|what| run.err.contains(what));
            assert!(run.code == 1 && told, "{committed} {action}: {run:?}");
            let status = folder.run(&["primary", "status", "r.kitedb", "--json"]).ok().json();
            assert_eq!(status["epoch"], 2, "{committed} {action}: {status}");
        }
        // By name it goes, and who leads then is told.
        let args = ["replica", "reseed", "r.kitedb", "--source-db", "p.kitedb", "--overwrite"];
        let run = folder.run(&args);
        assert!(run.code == 3 && run.out.contains("it led epoch 2 until now"), "{committed}: {run:?}");
        let lead = changes_in(&run.out).into_iter().find(|command| command.contains("primary promote")).unwrap();
        paste(&folder, &lead).ok();
        import(&folder, "p.kitedb", "leads again K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        assert!(knows(&folder, "r.kitedb", "leads"), "{committed}");
    }
    // In place, before anything was committed.
    let folder = pair();
    import(&folder, "e.kitedb", "", &["--role", "primary"]).ok();
    folder.run(&["primary", "promote", "e.kitedb"]).ok();
    let run = replica(&folder, "reseed", "e.kitedb", "p.kitedb");
    assert!(run.code == 1 && run.err.contains("--overwrite"), "{run:?}");
}

/// `r` began to take over from `p`, which said where its epoch ends; `r` was killed before it led, and its control file is lost.
fn promotion_without_a_control_file() -> Folder {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    let kept = [("p.kitedb.replication/replicas", "registry"), ("r.kitedb", "file")];
    for (from, to) in kept {
        fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
    }
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    for (from, to) in kept {
        // In place, as the same file.
        fs::write(folder.path().join(from), fs::read(folder.path().join(to)).unwrap()).unwrap();
    }
    fs::remove_file(folder.path().join("r.kitedb.replication/control")).unwrap();
    folder
}

/// What each node says is done as it is shown, in the order in which it is shown: the source names the replica, that one asks for a
/// repair, and goes on with its promotion then.
#[test]
fn a_promotion_that_was_cut_short_and_forgotten_is_completed_by_who_began_it() {
    let folder = promotion_without_a_control_file();
    let status = folder.run(&["primary", "status", "p.kitedb"]);
    let role = folder.run(&["role", "p.kitedb"]);
    for told in [&status.out, &role.out] {
        assert!(told.contains("nobody leads") && told.contains("r.kitedb"), "{told}");
    }
    let promote = changes_in(&status.out).into_iter().find(|command| command.contains("replica promote")).unwrap();
    let run = paste(&folder, &promote);
    assert_ne!(run.code, 0, "{run:?}");
    let repair = changes_in(&run.err).into_iter().find(|command| command.contains(" repair ")).unwrap();
    // A dry run changes nothing.
    folder.run(&["repair", "r.kitedb", "--dry-run"]);
    assert_ne!(paste(&folder, &promote).code, 0);
    let run = paste(&folder, &repair).ok();
    assert!(run.out.contains("go on with the promotion"), "{run:?}");
    assert!(folder.run(&["primary", "status", "p.kitedb"]).out.contains(&promote[..]), "{promote}");
    // Nobody gives it up unasked meanwhile.
    assert_eq!(folder.run(&["role", "r.kitedb", "detach"]).code, 1);
    let run = paste(&folder, &promote).ok();
    assert!(run.out.contains("nothing that it acknowledged is lost"), "{run:?}");
    import(&folder, "r.kitedb", "e f K\n", &[]).ok();
    catch_up(&folder, "p.kitedb", "r.kitedb").ok();
    assert!(knows(&folder, "p.kitedb", "e") && knows(&folder, "r.kitedb", "c"));
}

/// Where another node leads by now, or the source took the lead back, nothing is gone on with.
#[test]
fn a_promotion_that_was_forgotten_is_not_gone_on_with_beside_one_that_leads() {
    let folder = promotion_without_a_control_file();
    folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
    let run = folder.run(&["repair", "r.kitedb"]).ok();
    assert!(!run.out.contains("go on with the promotion"), "{run:?}");
    import(&folder, "p.kitedb", "e f K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "e"));

    // One that led by it, and committed, is a primary that asks for a word.
    let folder = pair();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    fs::remove_file(folder.path().join("r.kitedb.replication/control")).unwrap();
    let run = folder.run(&["repair", "r.kitedb"]);
    assert!(!run.out.contains("go on with the promotion"), "{run:?}");
}

/// What a promotion assumes of its candidate: it reads no more of its log than headers and ends. A check reads all of it, and says so
/// before anybody is fenced; after it, the check, and who follows, tell.
#[test]
fn a_check_of_the_candidate_finds_what_a_promotion_does_not_look_for() {
    let folder = Folder::new();
    let small = ["--role", "primary", "--segment-max-bytes", "1024"];
    import(&folder, "p.kitedb", "a b K\n", &small).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", &lines("n", 60), &small).ok();
    folder
        .run(&["replica", "follow", "r.kitedb", "--source-db", "p.kitedb", "--once", "--segment-max-bytes", "1024"])
        .ok();
    folder.run(&["check", "r.kitedb"]).ok();
    let log = folder.path().join("r.kitedb.replication");
    let segments: Vec<_> = names(&log).into_iter().filter(|name| name.ends_with(".klog")).collect();
    assert!(segments.len() > 2, "{segments:?}");
    // A byte of a frame amid a segment that is neither the first nor the last.
    let path = log.join(&segments[1]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[600] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    let run = folder.run(&["check", "r.kitedb"]);
    assert_eq!(run.code, 3, "{run:?}");
    // It leads with all commits: the file holds what is folded.
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "n1") && knows(&folder, "r.kitedb", "n60"));
    import(&folder, "r.kitedb", "leads on K\n", &[]).ok();
    assert_eq!(folder.run(&["check", "r.kitedb"]).code, 3);
    // Who has all of it follows, and who is new copies the file.
    catch_up(&folder, "p.kitedb", "r.kitedb").ok();
    replica(&folder, "bootstrap", "s.kitedb", "r.kitedb").ok();
    assert!(knows(&folder, "p.kitedb", "leads") && knows(&folder, "s.kitedb", "n30"));
}
