//! A bootstrap that is cut short: what it leaves is a replica, and says so.

use super::{stage::*, support::Folder};
use serde_json::Value as Json;

/// Dies in the midst of a copy, as soon as its file grows beyond a quarter of a megabyte.
fn cut_short(folder: &Folder, action: &str, db: &str, more: &str) {
    let kitedb = env!("CARGO_BIN_EXE_kitedb");
    let run = paste(folder, &format!("ulimit -f 512; ulimit -c 0; {kitedb} replica {action} {db} {more}"));
    assert!(run.code != 0 && run.code != 1, "it ended by itself: {run:?}");
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
