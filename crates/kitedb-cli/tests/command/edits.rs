//! Edits by hand: what is shown is what is done, and what is refused changes nothing.

use super::support::{Folder, Run};
use serde_json::{Value as Json, json};

fn graph() -> Folder {
    let folder = Folder::new();
    let lines = [
        r#"{"type":"node","key":"ada","labels":["Person"],"props":{"age":36}}"#,
        r#"{"type":"node","key":"bot","labels":["Bot"]}"#,
        r#"{"type":"node","key":"void"}"#,
        r#"{"type":"edge","src":"ada","dst":"bot","label":"PAID","props":{"amount":1}}"#,
        r#"{"type":"edge","src":"ada","dst":"bot","label":"PAID","rank":7,"props":{"amount":2}}"#,
        r#"{"type":"edge","src":"bot","dst":"bot","label":"SELF"}"#,
        r#"{"type":"edge","src":"bot","dst":"ada","label":"KNOWS"}"#,
    ];
    folder.file("g.jsonl", lines.join("\n"));
    folder.run(&["import", "g.kitedb", "g.jsonl"]).ok();
    folder
}

fn run(folder: &Folder, command: &str, more: &[&str]) -> Run {
    folder.run(&[&[command, "g.kitedb"], more].concat())
}

fn get(folder: &Folder, key: &str) -> Json {
    run(folder, "get", &[key, "--json"]).json()
}

/// The digest of the graph, and its last commit.
fn state(folder: &Folder) -> (Json, Json) {
    let stats = run(folder, "stats", &["--json"]).json_in_full();
    (stats["digest"].clone(), stats["token"].clone())
}

fn edges(folder: &Folder) -> Vec<(String, Json)> {
    let document = run(folder, "edges", &["--json"]).json();
    document["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| {
            let rank = edge["rank"].as_u64().unwrap_or(0);
            let end = |end: &str| edge[end]["key"].as_str().unwrap();
            (format!("{} {} {} {rank}", end("from"), edge["type"].as_str().unwrap(), end("to")), edge["props"].clone())
        })
        .collect()
}

#[test]
fn properties_are_set_and_shown_before_and_after() {
    let folder = graph();
    let out = run(&folder, "set", &["ada", "age=37", "zip:text=0123", "name=Ada Lovelace"]).ok().out;
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[..3],
        ["~ ada age: 36 → 37", "+ ada zip: (none) → 0123", "+ ada name: (none) → Ada Lovelace"],
        "{out}"
    );
    assert!(lines[3].starts_with("committed as "), "{out}");
    assert_eq!(get(&folder, "ada")["props"], json!({ "age": 37, "zip": "0123", "name": "Ada Lovelace" }));
    let before = state(&folder);
    // The same is no change, and no commit.
    assert_eq!(run(&folder, "set", &["ada", "age=37"]).ok().out, "nothing to change\n");
    assert_eq!(state(&folder), before);
    // Another kind of the same number is one.
    let document = run(&folder, "set", &["ada", "age:float=37", "--json"]).json();
    let change = json!({ "change": "set_property", "node": { "id": 1, "key": "ada" }, "name": "age", "before": 37, "after": 37.0 });
    assert_eq!((&document["changes"], &document["dry_run"]), (&json!([change]), &json!(false)));
    assert!(document["token"].is_string(), "{document}");
    run(&folder, "set", &["1", "--id", "born:date=1815-12-10"]).ok();
    assert_eq!(get(&folder, "ada")["props"]["born"], json!({ "$date": "1815-12-10" }));
    let out = run(&folder, "unset", &["ada", "zip", "name", "zip"]).ok().out;
    assert!(out.starts_with("- ada zip: 0123 → (none)\n- ada name: Ada Lovelace → (none)\ncommitted"), "{out}");
    assert_eq!(get(&folder, "ada")["props"], json!({ "age": 37.0, "born": { "$date": "1815-12-10" } }));
}

#[test]
fn a_node_is_created_only_where_that_is_asked_for() {
    let folder = graph();
    let before = state(&folder);
    let refused = run(&folder, "set", &["grace", "age=37"]);
    assert!(refused.code == 1 && refused.err.contains("`grace`") && refused.err.contains("--create"), "{refused:?}");
    assert_eq!(state(&folder), before);
    let out = run(&folder, "set", &["grace", "age=37", "--create"]).ok().out;
    assert!(out.starts_with("+ node grace\n+ grace age: (none) → 37\ncommitted"), "{out}");
    run(&folder, "set", &["grace", "age=38", "--create"]).ok();
    run(&folder, "set", &["bare", "--create"]).ok();
    assert_eq!(get(&folder, "grace")["props"], json!({ "age": 38 }));
    assert_eq!(get(&folder, "bare")["props"], json!({}));
    // A database is none of that.
    let missing = folder.run(&["set", "none.kitedb", "a", "b=1", "--create"]);
    assert!(missing.code == 1 && !folder.path().join("none.kitedb").exists(), "{missing:?}");
}

#[test]
fn an_edge_is_named_by_its_ends_type_and_rank() {
    let folder = graph();
    let before = state(&folder);
    let two = run(&folder, "set", &["--edge", "ada", "PAID", "bot", "amount=9"]);
    assert!(two.code == 1 && two.err.contains("ranks 0, 7") && two.err.contains("--rank"), "{two:?}");
    assert_eq!(state(&folder), before);
    let out = run(&folder, "set", &["--edge", "ada", "PAID", "bot", "--rank", "7", "amount=9"]).ok().out;
    assert!(out.starts_with("~ ada -PAID→ bot (rank 7) amount: 2 → 9\n"), "{out}");
    run(&folder, "set", &["--edge", "bot", "KNOWS", "ada", "since=1990"]).ok();
    run(&folder, "unset", &["--edge", "ada", "PAID", "bot", "amount", "--rank", "0"]).ok();
    let now = edges(&folder);
    let props = |name: &str| now.iter().find(|(edge, _)| edge == name).unwrap().1.clone();
    assert_eq!(
        [props("ada PAID bot 0"), props("ada PAID bot 7"), props("bot KNOWS ada 0")],
        [json!({}), json!({ "amount": 9 }), json!({ "since": 1990 })]
    );
    for (more, phrase) in [
        (&["--edge", "ada", "KNOWS", "bot", "a=1"][..], "no edge of type `KNOWS` leads from ada to bot"),
        (&["--edge", "ada", "PAID", "bot", "--rank", "3", "a=1"], "and rank 3"),
        (&["--edge", "ada", "PAID", "nobody", "a=1"], "`nobody`"),
    ] {
        let run = run(&folder, "set", more);
        assert!(run.code == 1 && run.err.contains(phrase), "{more:?}: {run:?}");
    }
}

#[test]
fn labels_are_added_and_taken_off() {
    let folder = graph();
    let out = run(&folder, "label", &["ada", "--add", "Poet", "--remove", "Person"]).ok().out;
    assert!(out.starts_with("+ ada :Poet\n- ada :Person\ncommitted"), "{out}");
    assert_eq!(get(&folder, "ada")["labels"], json!(["Poet"]));
    let before = state(&folder);
    assert_eq!(run(&folder, "label", &["ada", "--add", "Poet"]).ok().out, "nothing to change\n");
    let missing = run(&folder, "label", &["ada", "--add", "Other", "--remove", "Person"]);
    assert!(missing.code == 1 && missing.err.contains("no label `Person`"), "{missing:?}");
    assert_eq!(run(&folder, "label", &["ada", "--add", "A", "--remove", "A"]).code, 2);
    assert_eq!(run(&folder, "label", &["ada"]).code, 2);
    assert_eq!(state(&folder), before);
}

#[test]
fn edges_are_added_and_parallel_ones_by_name() {
    let folder = graph();
    let before = state(&folder);
    let there = run(&folder, "link", &["bot", "KNOWS", "ada"]);
    assert!(there.code == 1 && there.err.contains("already") && there.err.contains("--parallel"), "{there:?}");
    let missing = run(&folder, "link", &["ada", "KNOWS", "grace"]);
    assert!(missing.code == 1 && missing.err.contains("`grace`") && missing.err.contains("--create"), "{missing:?}");
    assert_eq!(state(&folder), before);
    let out = run(&folder, "link", &["void", "KNOWS", "ada", "since=1833"]).ok().out;
    assert!(out.starts_with("+ edge void -KNOWS→ ada  since=1833\ncommitted"), "{out}");
    let Run { out, err, .. } = run(&folder, "link", &["grace", "LIKES", "grace", "--create"]).ok();
    assert!(err.contains("note: `LIKES` is a new type"), "{err}");
    assert!(out.starts_with("+ node grace\n+ edge grace -LIKES→ grace\n"), "{out}");
    run(&folder, "link", &["bot", "KNOWS", "ada", "--parallel"]).ok();
    let known = edges(&folder).into_iter().filter(|(edge, _)| edge.contains("KNOWS")).count();
    assert_eq!((known, edges(&folder).len()), (3, 7));
}

#[test]
fn more_than_one_element_goes_only_with_yes() {
    let folder = graph();
    let before = state(&folder);
    let refused = run(&folder, "unlink", &["ada", "PAID", "bot"]);
    assert!(refused.code == 1 && refused.err.contains("2 edges") && refused.err.contains("--yes"), "{refused:?}");
    // A loop is one edge.
    let refused = run(&folder, "delete", &["bot"]);
    let said = "this would delete 1 node (bot) and 4 edges: nothing is done without --yes";
    assert!(refused.code == 1 && refused.err.contains(said), "{refused:?}");
    let both = run(&folder, "delete", &["ada", "bot", "ada"]);
    assert!(both.code == 1 && both.err.contains("2 nodes") && both.err.contains("and 4 edges"), "{both:?}");
    let refused = run(&folder, "delete", &["bot", "--json"]);
    let error: Json = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((refused.code, &error["code"]), (1, &json!("INVALID_ARGUMENT")), "{refused:?}");
    let missing = run(&folder, "delete", &["void", "nobody", "--yes"]);
    assert!(missing.code == 1 && missing.err.contains("`nobody`"), "{missing:?}");
    let dry = run(&folder, "delete", &["bot", "void", "--dry-run", "--json"]).json();
    assert_eq!(
        (&dry["deleted_nodes"], &dry["deleted_edges"], &dry["needs_yes"], &dry["token"]),
        (&json!(2), &json!(4), &json!(true), &Json::Null)
    );
    assert_eq!(state(&folder), before);

    let out = run(&folder, "unlink", &["ada", "PAID", "bot", "--rank", "7"]).ok().out;
    assert!(out.starts_with("- edge ada -PAID→ bot (rank 7)\ncommitted"), "{out}");
    run(&folder, "unlink", &["ada", "PAID", "bot"]).ok();
    let again = run(&folder, "unlink", &["ada", "PAID", "bot"]);
    assert!(again.code == 1 && again.err.contains("no edge of type `PAID`"), "{again:?}");
    // One node without edges is one element.
    let out = run(&folder, "delete", &["void"]).ok().out;
    assert!(out.starts_with("- node void with 0 edges\ncommitted"), "{out}");
    let out = run(&folder, "delete", &["bot", "--yes"]).ok().out;
    assert!(out.starts_with("- node bot :Bot with 2 edges\n"), "{out}");
    let stats = run(&folder, "stats", &["--json"]).json();
    assert_eq!((&stats["nodes"], &stats["edges"]), (&json!(1), &json!(0)));
    assert_eq!(run(&folder, "check", &["--json"]).json()["clean"], true);
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let folder = graph();
    let before = state(&folder);
    for (command, more, code, phrase) in [
        ("set", &["ada"][..], 2, "nothing is set"),
        ("set", &["ada", "age"], 2, "no NAME=VALUE"),
        ("set", &["ada", "age="], 2, "kitedb unset"),
        ("set", &["ada", "a=1", "a=2"], 2, "set twice"),
        ("set", &["ada", "age:itn=1"], 2, "`itn` is no kind"),
        ("set", &["ada", "b=1", "_key=x"], 1, "_key"),
        ("set", &["--edge", "ada", "PAID", "x=1"], 2, ""),
        ("set", &["--edge", "ada", "PAID", "bot", "a=1", "--create"], 2, "--create"),
        ("unset", &["ada", "age", "agee"], 1, "has no property `agee`"),
        ("unset", &["ada"], 2, "no property is named"),
        ("link", &["ada", "", "bot"], 2, ""),
        ("link", &["ada", "KNOWS", "bot", "x"], 2, "no NAME=VALUE"),
        ("delete", &[], 2, ""),
        ("delete", &["void", "--segment-max-bytes", "1000000"], 2, "a database without replication"),
        ("delete", &["99", "--id"], 1, "there is no node 99"),
    ] {
        let run = run(&folder, command, more);
        assert!(run.code == code && run.err.contains(phrase), "{command} {more:?}: {run:?}");
    }
    for (command, more) in [
        ("set", &["ada", "age=99", "--dry-run"][..]),
        ("unset", &["ada", "age", "--dry-run"]),
        ("label", &["ada", "--add", "New", "--dry-run"]),
        ("link", &["ada", "NEW", "grace", "--create", "--dry-run"]),
        ("unlink", &["ada", "PAID", "bot", "--dry-run"]),
        ("delete", &["ada", "--dry-run"]),
    ] {
        let out = run(&folder, command, more).ok().out;
        assert!(out.contains("nothing was changed"), "{command}: {out}");
    }
    assert_eq!(state(&folder), before);
}

#[test]
fn edits_are_for_who_leads() {
    let folder = graph();
    folder.run(&["import", "p.kitedb", "g.jsonl", "--role", "primary"]).ok();
    folder.run(&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"]).ok();
    let refused = folder.run(&["set", "r.kitedb", "ada", "age=1", "--json"]);
    let error: Json = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((refused.code, &error["code"]), (1, &json!("REPLICA_READ_ONLY")), "{refused:?}");
    let refused = folder.run(&["set", "r.kitedb", "ada", "age=1", "--dry-run"]);
    assert!(refused.code == 1 && refused.err.contains("is a replica"), "{refused:?}");
    // A primary stays one, and its replica follows.
    folder.run(&["set", "p.kitedb", "ada", "age=40"]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    assert_eq!(folder.run(&["get", "r.kitedb", "ada", "--json"]).json()["props"]["age"], 40);
    folder.run(&["replica", "promote", "r.kitedb"]).ok();
    let fenced = folder.run(&["delete", "p.kitedb", "void", "--json"]);
    let error: Json = serde_json::from_str(&fenced.err).unwrap();
    assert_eq!((fenced.code, &error["code"]), (1, &json!("STALE_PRIMARY")), "{fenced:?}");
    folder.run(&["delete", "r.kitedb", "void"]).ok();
}

/// The log of a file that has two names is found by one of them alone.
#[test]
fn a_file_with_two_names_takes_an_edit_only_if_told() {
    let folder = graph();
    std::fs::hard_link(folder.path().join("g.kitedb"), folder.path().join("other.kitedb")).unwrap();
    let refused = folder.run(&["set", "other.kitedb", "ada", "age=1", "--json"]);
    let error: Json = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((refused.code, &error["code"]), (1, &json!("HARD_LINKED")), "{refused:?}");
    assert_eq!(get(&folder, "ada")["props"]["age"], 36);
    folder.run(&["set", "other.kitedb", "ada", "age=1", "--accept-hard-links"]).ok();
    assert_eq!(get(&folder, "ada")["props"]["age"], 1);
}
