//! A bootstrap that is cut short: what it leaves is a replica, and says so.

use super::{stage::*, support::Folder};
use serde_json::Value as Json;

/// Ends in the midst of a copy, as soon as its file would grow beyond a quarter of a megabyte.
fn cut_short(folder: &Folder, action: &str, db: &str, more: &str) {
    let kitedb = env!("CARGO_BIN_EXE_kitedb");
    let run = paste(folder, &format!("ulimit -f 512; ulimit -c 0; {kitedb} replica {action} {db} {more}"));
    assert!(run.code != 0 && run.err.contains("ulimit -f"), "it was not cut short: {run:?}");
}

/// Imports more than fits into such a file, in one commit.
fn fill(folder: &Folder, db: &str, prefix: &str, more: &[&str]) {
    folder.file("many.txt", lines(prefix, 20_000));
    folder.run(&[&["import", db, "many.txt", "--format", "edgelist"], more].concat()).ok();
}

/// A primary `p` with more than fits, and `r`, whose bootstrap was cut short.
fn half_made() -> Folder {
    let folder = Folder::new();
    fill(&folder, "p.kitedb", "n", &["--role", "primary"]);
    cut_short(&folder, "bootstrap", "r.kitedb", "--source-db p.kitedb");
    folder
}

fn status(folder: &Folder, db: &str) -> (i32, Json) {
    let run = folder.run(&["replica", "status", db, "--json"]);
    (run.code, serde_json::from_str(&run.out).unwrap())
}

#[test]
fn a_replica_whose_bootstrap_was_cut_short_takes_no_import() {
    let folder = half_made();
    for role in [&[][..], &["--role", "primary"], &["--role", "disabled"]] {
        let run = import(&folder, "r.kitedb", "x y K\n", role);
        assert_eq!(run.code, 1, "{role:?}: {run:?}");
        assert!(folder.run(&["role", "r.kitedb"]).ok().out.contains("replica"), "{role:?}");
    }
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "n1") && !knows(&folder, "r.kitedb", "x"));
    assert_eq!(status(&folder, "r.kitedb").0, 0);
}

#[test]
fn a_replica_whose_bootstrap_was_cut_short_says_so() {
    let folder = half_made();
    let (code, status) = status(&folder, "r.kitedb");
    assert_eq!((code, &status["state"], &status["needs_reseed"]), (3, &"bootstrapping".into(), &false.into()));
    let run = folder.run(&["replica", "status", "r.kitedb"]);
    assert_eq!((run.code, commands_in(&run.out)[0][..2].to_vec()), (3, vec!["replica", "bootstrap"]), "{run:?}");
    // What it says is run: it goes on.
    folder.run(&commands_in(&run.out)[0]).ok();
    assert!(knows(&folder, "r.kitedb", "n1"));
    assert_eq!(folder.run(&["replica", "status", "r.kitedb"]).code, 0);
}

#[test]
fn what_is_half_made_seeds_no_other_replica() {
    let folder = half_made();
    let run = replica(&folder, "bootstrap", "s.kitedb", "r.kitedb");
    assert!(run.code == 1 && run.err.contains("holds nothing yet"), "{run:?}");
    folder.run(&commands_in(&run.err)[0]).ok();
    replica(&folder, "bootstrap", "s.kitedb", "r.kitedb").ok();
    assert!(knows(&folder, "s.kitedb", "n1"));
}

#[test]
fn what_is_half_made_does_not_take_over() {
    let folder = half_made();
    for force in [&[][..], &["--force"]] {
        let run = folder.run(&[&["replica", "promote", "r.kitedb"], force].concat());
        assert!(run.code == 1 && run.err.contains("holds nothing yet") && !run.err.contains("--force"), "{run:?}");
    }
    // The primary leads still.
    import(&folder, "p.kitedb", "x y K\n", &[]).ok();
}

#[test]
fn what_is_half_made_is_registered_no_more_once_it_is_detached() {
    let folder = half_made();
    assert_eq!(registered(&folder, "p.kitedb").len(), 1);
    folder.run(&["role", "r.kitedb", "detach"]).ok();
    assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());
}

/// What the primary `p` says of its one replica, and where its log begins after a run of retention that keeps nothing else.
fn kept(folder: &Folder) -> (Json, u64) {
    folder.run(&["primary", "retention", "p.kitedb", "--retention-min-entries", "0"]).ok();
    let status = folder.run(&["primary", "status", "p.kitedb", "--json"]).json();
    (status["replica_lags"][0].clone(), status["retained_floor"].as_u64().unwrap())
}

/// It has what it had, can follow on from there, and says at its source no more than that.
#[test]
fn a_reseed_that_is_cut_short_leaves_the_replica_and_its_log_as_they_were() {
    let folder = pair();
    let small = ["--segment-max-bytes", "300"];
    import(&folder, "p.kitedb", &lines("early", 3), &small).ok();
    fill(&folder, "p.kitedb", "n", &small);
    cut_short(&folder, "reseed", "r.kitedb", "");
    let (lag, floor) = kept(&folder);
    assert_eq!((&lag["applied_log_index"], &lag["durable_log_index"]), (&1.into(), &1.into()), "{lag}");
    assert!(lag["lag_frames"].as_u64() > Some(3) && lag["reserved_log_index"].as_u64() > Some(4), "{lag}");
    assert!(lag["hold"] == "held" && floor <= 2, "{floor}: {lag}");
    let (code, status) = status(&folder, "r.kitedb");
    // That the last try failed is told, too.
    assert_eq!((code, &status["state"], &status["applied_log_index"]), (3, &"closed".into(), &1.into()));
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    assert!(knows(&folder, "r.kitedb", "n1"));
    let (lag, _) = kept(&folder);
    assert_eq!((&lag["lag_frames"], &lag["reserved_log_index"]), (&0.into(), &Json::Null), "{lag}");
}

/// It has nothing, and the log is kept for it from the snapshot on, not from before.
#[test]
fn a_first_bootstrap_that_is_cut_short_holds_the_log_from_its_snapshot_on() {
    let folder = half_made();
    let small = ["--segment-max-bytes", "300"];
    let (lag, _) = kept(&folder);
    assert_eq!(lag["applied_log_index"], 0, "{lag}");
    let snapshot = lag["reserved_log_index"].as_u64().unwrap();
    assert!(lag["lag_frames"].as_u64() >= Some(snapshot), "{lag}");
    import(&folder, "p.kitedb", &lines("late", 5), &small).ok();
    let (lag, floor) = kept(&folder);
    assert!(lag["hold"] == "held" && floor <= snapshot + 1, "{floor}: {lag}");
    folder.run(&["replica", "bootstrap", "r.kitedb"]).ok();
    assert!(knows(&folder, "r.kitedb", "late5"));
    let (lag, floor) = kept(&folder);
    assert_eq!((&lag["lag_frames"], &lag["reserved_log_index"]), (&0.into(), &Json::Null), "{lag}");
    assert!(floor > snapshot + 1, "{floor}");
}
