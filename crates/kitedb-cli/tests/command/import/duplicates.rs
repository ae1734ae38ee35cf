//! What is there already is counted, named and never replaced unasked; what changes nothing writes nothing.

use super::left_out;
use crate::support::Folder;
use serde_json::{Value as Json, json};
use std::{fs, path::Path};

fn size(folder: &Folder) -> u64 {
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let is_database = |name: &str| name.starts_with("g.kitedb");
    files.filter(|file| is_database(&file.file_name().to_string_lossy())).map(|file| weight(&file.path())).sum()
}

fn weight(path: &Path) -> u64 {
    match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| weight(&entry.unwrap().path())).sum(),
        false => fs::metadata(path).unwrap().len(),
    }
}

#[test]
fn five_equal_imports_end_at_the_size_of_one() {
    for role in [&["--role", "primary"][..], &[]] {
        let folder = Folder::new();
        let edges: String = (0..6000).map(|n| format!("n{n},n{},KNOWS,0.5,\"t{n}\"\n", n % 700)).collect();
        folder.file("edges.csv", format!("src,dst,type,w,note\n{edges}"));
        let nodes: String = (0..3000)
            .map(|n| format!("{{\"key\":\"n{n}\",\"labels\":[\"L\"],\"props\":{{\"x\":[{n},1.5]}},\"vectors\":{{\"v\":[1,{n}]}}}}\n"))
            .collect();
        folder.file("nodes.jsonl", nodes);
        let import =
            || folder.run(&[&["import", "g.kitedb", "edges.csv", "nodes.jsonl", "--json"][..], role].concat()).json();
        let first = import();
        assert!(first["batches"].as_u64().unwrap() >= 2 && first["committed"] == true, "{first}");
        // The first one left what it wrote in its log, perhaps.
        folder.run(&["check", "g.kitedb"]).ok();
        let (before, token) = (size(&folder), first["token"].clone());
        for _ in 0..4 {
            let again = import();
            let counts = ["nodes_created", "edges_created", "nodes_updated", "edges_updated", "batches"];
            assert!(counts.iter().all(|count| again[count] == 0), "{again}");
            assert_eq!((&again["edges_existing"], &again["nodes_existing"]), (&json!(6000), &json!(3000)));
            assert_eq!((&again["committed"], &again["token"]), (&json!(false), &json!(null)));
        }
        assert!(size(&folder) <= before, "{} bytes after five, {before} after one", size(&folder));
        let stats = folder.run(&["stats", "g.kitedb", "--json"]).json();
        assert_eq!(stats["token"], token, "{stats}");
    }
}

#[test]
fn as_many_commits_are_counted_as_the_database_got() {
    let folder = Folder::new();
    let import = |lines: &str| {
        folder.file("g.txt", lines);
        folder.run(&["import", "g.kitedb", "g.txt", "--batch", "2", "--json"]).json()
    };
    // The second batch repeats the first one.
    let report = import("a b\nc d\na b\nc d\ne f\n");
    assert_eq!((&report["batches"], &report["token"]), (&json!(2), &json!("1:2")));
    let report = import("a b\nx y\nc d\n");
    assert_eq!((&report["batches"], &report["token"]), (&json!(1), &json!("1:3")));
}

#[test]
fn an_edge_that_is_there_with_another_value_is_replaced_or_doubled_only_where_that_is_asked_for() {
    let paid = |folder: &Folder| {
        let out = folder.run(&["neighbors", "g.kitedb", "a", "--json"]).json();
        out["neighbors"].as_array().unwrap().iter().map(|n| n["props"].clone()).collect::<Vec<Json>>()
    };
    for (mode, left, counted) in [
        ("keep", vec![json!({ "amount": 10 })], json!([1, 0, 2, 1])),
        ("update", vec![json!({ "amount": 20, "on": "friday" })], json!([1, 1, 1, 0])),
        (
            "parallel",
            vec![json!({ "amount": 10 }), json!({ "amount": 10 }), json!({ "amount": 20, "on": "friday" })],
            json!([3, 0, 0, 0]),
        ),
    ] {
        let folder = Folder::new();
        folder.file("paid.csv", "src,dst,type,amount,on\na,b,PAID,10,\na,b,PAID,10,\na,b,PAID,20,friday\n");
        let run = folder.run(&["import", "g.kitedb", "paid.csv"]);
        assert_eq!(run.code, 1, "{run:?}");
        for phrase in
            ["line 4: the edge a -[PAID]-> b is there already", "`amount` is `10`, and not `20`", "--on-duplicate"]
        {
            assert!(run.err.contains(phrase), "{phrase}: {run:?}");
        }
        assert!(!folder.path().join("g.kitedb").exists());
        let report = folder.run(&["import", "g.kitedb", "paid.csv", "--on-duplicate", mode, "--json"]).json();
        let counts = ["edges_created", "edges_updated", "edges_existing", "kept"].map(|name| report[name].clone());
        assert_eq!(json!(counts), counted, "{mode}: {report}");
        assert_eq!(report["there_already"][0]["edge"], "a -[PAID]-> b");
        assert_eq!(report["there_already"][0]["line"], 3);
        assert_eq!(paid(&folder), left, "{mode}");
    }
}

#[test]
fn edges_that_are_there_already_are_named_on_a_terminal() {
    let folder = Folder::new();
    folder.file("g.txt", "a b\nc d\na b\na b\na b\na b\n");
    let shown = folder.run(&["import", "g.kitedb", "g.txt"]).ok().out;
    assert!(shown.contains("and 4 there already, unchanged"), "{shown}");
    assert!(shown.contains("line 3: a -[LINK]-> b was there already: the same"), "{shown}");
    assert!(shown.contains("and 1 more edge"), "{shown}");
    // Whoever wants none of them says so.
    let run = folder.run(&["import", "h.kitedb", "g.txt", "--on-duplicate", "error"]);
    assert!(run.code == 1 && run.err.contains("line 3: the edge a -[LINK]-> b is there already"), "{run:?}");
}

#[test]
fn a_value_of_a_node_is_replaced_only_where_that_is_asked_for() {
    let folder = Folder::new();
    folder.file("one.csv", "id,name,born\n1,Ada,\n");
    folder.file("two.csv", "id,name,born\n1,Acme,1815\n");
    folder.run(&["import", "g.kitedb", "one.csv"]).ok();
    let run = folder.run(&["import", "g.kitedb", "two.csv"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.err.contains("line 2: the node `1` is there already, and its `name` is `Ada`, and not `Acme`"),
        "{run:?}"
    );
    assert!(run.err.contains("--key-prefix") && run.err.contains("nothing was imported"), "{run:?}");
    let props = |key| folder.run(&["get", "g.kitedb", key, "--json"]).json()["props"].clone();
    // What it lacks it gets, and what is there stays.
    folder.run(&["import", "g.kitedb", "two.csv", "--on-duplicate", "keep"]).ok();
    assert_eq!(props("1"), json!({ "name": "Ada", "born": 1815 }));
    folder.run(&["import", "g.kitedb", "two.csv", "--key-prefix", "company:"]).ok();
    assert_eq!(
        (props("1"), props("company:1")),
        (json!({ "name": "Ada", "born": 1815 }), json!({ "name": "Acme", "born": 1815 }))
    );
    folder.run(&["import", "g.kitedb", "two.csv", "--on-duplicate", "update"]).ok();
    assert_eq!(props("1"), json!({ "name": "Acme", "born": 1815 }));
    // An integer is no float, though they are equal.
    folder.file("float.jsonl", "{\"key\":\"1\",\"props\":{\"born\":1815.0}}");
    assert_eq!(folder.run(&["import", "g.kitedb", "float.jsonl"]).code, 1);
    folder
        .file("vector.jsonl", "{\"key\":\"v\",\"vectors\":{\"v\":[1,2]}}\n{\"key\":\"v\",\"vectors\":{\"v\":[2,1]}}\n");
    let run = folder.run(&["import", "g.kitedb", "vector.jsonl"]);
    assert!(
        run.code == 1 && run.err.contains("line 2: the node `v` is there already, and its `v` is another vector"),
        "{run:?}"
    );
}

#[test]
fn nodes_of_two_kinds_that_share_a_key_are_not_merged_unasked() {
    let folder = Folder::new();
    folder.file("people.csv", "id,born\n1,1815\n2,\n");
    folder.file("firms.csv", "id,founded\n1,1990\n3,\n");
    folder.run(&["import", "g.kitedb", "people.csv", "--label", "Person"]).ok();
    let run = folder.run(&["import", "g.kitedb", "firms.csv", "--label", "Firm"]);
    assert_eq!(run.code, 1, "{run:?}");
    for phrase in ["line 2: the node `1` is there already with the label `Person`", "`Firm`", "--key-prefix", "update"]
    {
        assert!(run.err.contains(phrase), "{phrase}: {run:?}");
    }
    let report = left_out(&folder.run(&["import", "g.kitedb", "firms.csv", "--label", "Firm", "--skip-bad", "--json"]));
    assert_eq!((&report["nodes_created"], &report["skipped"]), (&json!(1), &json!(1)));
    let node = |key| folder.run(&["get", "g.kitedb", key, "--json"]).json();
    assert_eq!((&node("1")["labels"], &node("1")["props"]), (&json!(["Person"]), &json!({ "born": 1815 })));
    folder.run(&["import", "g.kitedb", "firms.csv", "--label", "Firm", "--key-prefix", "firm:"]).ok();
    assert_eq!(node("firm:1")["labels"], json!(["Firm"]));
    // The ends of edges have it, too.
    folder.file("works.csv", "src,dst\n1,3\n");
    folder.run(&["import", "g.kitedb", "works.csv", "--key-prefix", "firm:"]).ok();
    assert_eq!(node("firm:1")["out_degree"], 1);
    folder.run(&["import", "g.kitedb", "firms.csv", "--label", "Firm", "--on-duplicate", "update"]).ok();
    assert_eq!(node("1")["labels"], json!(["Person", "Firm"]));
    // A node that an edge made has no kind yet, and a line that says more of one adds to it.
    folder.file("more.jsonl", "{\"key\":\"2\",\"labels\":[\"Person\",\"Poet\"]}\n");
    folder.run(&["import", "g.kitedb", "more.jsonl"]).ok();
    assert_eq!(node("2")["labels"], json!(["Person", "Poet"]));
}

/// Without labels nothing tells for certain: it is said.
#[test]
fn nodes_without_labels_that_may_be_of_two_kinds_get_a_warning() {
    let folder = Folder::new();
    folder.file("people.csv", "id,born\n1,1815\n2,1791\n");
    folder.file("firms.csv", "id,founded\n1,1990\n2,1995\n3,2000\n");
    folder.file("more.csv", "id,born,died\n1,1815,1852\n");
    folder.run(&["import", "g.kitedb", "people.csv"]).ok();
    let warnings = |file| folder.run(&["import", "g.kitedb", file, "--json"]).json()["warnings"].clone();
    assert_eq!(warnings("more.csv"), json!([]));
    let told = warnings("firms.csv");
    let told = told[0].as_str().unwrap();
    assert!(told.starts_with("2 nodes that were there already") && told.contains("line 2: the node `1`"), "{told}");
    assert!(told.contains("--key-prefix"), "{told}");
    assert_eq!(warnings("firms.csv"), json!([]));
}

#[test]
fn an_export_is_not_doubled_by_parallel_edges() {
    let folder = Folder::new();
    folder.file("g.txt", "a b\n");
    folder.run(&["import", "g.kitedb", "g.txt"]).ok();
    folder.run(&["export", "g.kitedb", "--output", "g.jsonl"]).ok();
    let run = folder.run(&["import", "g.kitedb", "g.jsonl", "--on-duplicate", "parallel"]);
    assert!(run.code == 2 && run.err.contains("an export, which has every edge once"), "{run:?}");
}
