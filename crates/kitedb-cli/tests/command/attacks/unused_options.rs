//! Options that would be without effect: they are refused, and not passed over.

use super::{
    stage::*,
    support::{Folder, is_tag},
};
use std::fs;

#[test]
fn an_option_of_another_format_is_refused_by_an_import() {
    let folder = Folder::new();
    folder.file("edges.csv", "src,dst\na,b\n");
    folder.file("edges.txt", "a b\n");
    for (file, more, named) in [
        ("edges.csv", &["--weighted"][..], "--weighted"),
        ("edges.txt", &["--delimiter", ","], "--delimiter"),
        ("edges.csv", &["--format", "jsonl", "--delimiter", ","], "--delimiter"),
    ] {
        let run = folder.run(&[&["import", "g.kitedb", file], more].concat());
        assert!(run.code == 2 && run.err.contains(named), "{more:?}: {run:?}");
        assert!(!folder.path().join("g.kitedb").exists());
    }
    folder.run(&["import", "g.kitedb", "edges.csv", "--delimiter", ","]).ok();
}

#[test]
fn an_option_that_has_nothing_to_act_on_is_refused_by_an_import() {
    let folder = Folder::new();
    folder.file("edges.txt", "a b\n");
    folder.file("nodes.csv", "key,x\na,1\n");
    folder.file("edges.csv", "src,dst\na,b\n");
    for (file, option) in [
        ("edges.txt", &["--segment-max-bytes", "4096"]),
        ("edges.txt", &["--fence-wait-ms", "7"]),
        ("nodes.csv", &["--type", "T"]),
    ] {
        let run = folder.run(&[&["import", "new.kitedb", file][..], option].concat());
        assert!(run.code == 2 && run.err.contains(option[0]), "{run:?}");
        assert!(!folder.path().join("new.kitedb").exists(), "{option:?}");
    }
    folder.run(&["import", "plain.kitedb", "edges.txt"]).ok();
    assert_eq!(folder.run(&["import", "plain.kitedb", "edges.txt", "--fence-wait-ms", "7"]).code, 2);
    // A primary has such a log, and a table of edges has types; what is accepted need not be there.
    let log = ["--segment-max-bytes", "4096", "--fence-wait-ms", "7", "--accept-copy", "--accept-hard-links"];
    folder.run(&[&["import", "p.kitedb", "edges.csv", "--type", "T", "--role", "primary"][..], &log].concat()).ok();
    folder.run(&[&["import", "p.kitedb", "edges.txt"][..], &log].concat()).ok();
}

#[test]
fn a_cut_where_nothing_lies_behind_damage_is_refused() {
    let folder = pair();
    import(&folder, "plain.kitedb", "a b K\n", &[]).ok();
    for db in ["p.kitedb", "plain.kitedb"] {
        let run = folder.run(&["repair", db, "--cut-at", "7:7"]);
        assert!(run.code == 1 && run.err.contains("7:7") && run.err.contains("1:1"), "{db}: {run:?}");
    }
    // As a repair that is said again.
    folder.run(&["repair", "p.kitedb", "--cut-at", "1:1"]).ok();
}

#[test]
fn a_cut_takes_a_token_in_both_forms_and_none_of_another_writer() {
    let folder = pair();
    let printed = folder.run(&["stats", "p.kitedb", "--json"]).json_in_full();
    let full = printed["token"].as_str().unwrap();
    let (short, tag) = full.split_once('.').unwrap();
    assert!(is_tag(tag), "{full}");
    // A replica has the same commit, and every command says the same of it.
    for command in [&["stats", "r.kitedb"][..], &["verify", "p.kitedb", "r.kitedb"], &["export", "p.kitedb"]] {
        let run = folder.run(&[command, if command[0] == "export" { &[][..] } else { &["--json"] }].concat()).ok();
        assert!(run.out.contains(&format!("\"token\":\"{full}\"")), "{run:?}");
    }
    for told in [short, full, &full.to_uppercase()] {
        folder.run(&["repair", "p.kitedb", "--cut-at", told]).ok();
    }
    let others = if tag == "00000000" { "00000001" } else { "00000000" };
    let run = folder.run(&["repair", "p.kitedb", "--cut-at", &format!("{short}.{others}")]);
    assert!(run.code == 1 && run.err.contains(full) && run.err.contains(others), "{run:?}");
    for bad in [format!("{short}."), format!("{short}.{tag}0"), format!("{short}.x{}", &tag[1..])] {
        let run = folder.run(&["repair", "p.kitedb", "--cut-at", &bad]);
        assert!(run.code == 2 && run.err.contains("8 hexadecimal digits"), "{run:?}");
    }
}

#[test]
fn an_option_of_a_breaker_that_there_is_not_is_refused() {
    let folder = pair();
    let push = ["push", "p.kitedb", "--endpoint", "http://127.0.0.1:1/v1/metrics"];
    for option in [
        &["--circuit-breaker-state-path", "state"][..],
        &["--circuit-breaker-open-ms", "5"],
        &["--circuit-breaker-state-cas"],
    ] {
        let run = folder.run(&[&push[..], option].concat());
        assert!(run.code == 2 && run.err.contains(option[0]), "{option:?}: {run:?}");
        let run = folder.run(&[&push[..], option, &["--circuit-breaker-failure-threshold", "3"]].concat());
        assert!(!run.err.contains("there is none"), "{option:?}: {run:?}");
    }
}

/// A source that is away is a state; one that never was there is a mistake.
#[test]
fn metrics_of_a_replica_with_a_source_that_never_was_fail() {
    let folder = pair();
    for command in [&["metrics"][..], &["push", "--endpoint", "http://127.0.0.1:1/v1/metrics"]] {
        let run = folder.run(&[command, &["r.kitedb", "--source-db", "typo.kitedb"]].concat());
        assert!(run.code == 1 && run.err.contains("typo.kitedb"), "{run:?}");
    }
    fs::rename(folder.path().join("p.kitedb"), folder.path().join("away.kitedb")).unwrap();
    for source in ["p.kitedb", "./p.kitedb"] {
        folder.run(&["metrics", "r.kitedb", "--source-db", source]).ok();
    }
}
