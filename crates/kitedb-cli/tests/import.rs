//! What `kitedb import` brings is what the other commands show.

mod support;

use serde_json::json;
use support::Folder;

#[test]
fn an_edge_list_becomes_nodes_and_edges() {
    let folder = Folder::new();
    folder.file("graph.txt", "# a comment\nada charles KNOWS\ncharles\tada\n\n% another\nada charles KNOWS\n");

    let report =
        folder.run(&["import", "g.kitedb", "graph.txt", "--type", "WRITES_TO", "--label", "Person", "--json"]).json();
    assert_eq!(report["format"], "edgelist");
    assert_eq!(report["nodes_created"], 2);
    assert_eq!(report["edges_created"], 2);
    assert_eq!(report["edges_existing"], 1);
    assert_eq!(report["skipped"], 0);

    let stats = folder.run(&["stats", "g.kitedb", "--json"]).json();
    assert_eq!((&stats["nodes"], &stats["edges"]), (&json!(2), &json!(2)));
    let ada = folder.run(&["get", "g.kitedb", "ada", "--json"]).json();
    assert_eq!(ada["labels"], json!(["Person"]));
    let out = folder.run(&["neighbors", "g.kitedb", "ada", "--json"]).json();
    assert_eq!(out["neighbors"][0]["key"], "charles");
    assert_eq!(out["neighbors"][0]["type"], "KNOWS");
    let back = folder.run(&["neighbors", "g.kitedb", "ada", "--in", "--json"]).json();
    assert_eq!(back["neighbors"][0]["type"], "WRITES_TO");
    assert_eq!(folder.run(&["check", "g.kitedb", "--json"]).json()["clean"], true);
}

#[test]
fn a_konect_list_carries_weights_and_times() {
    let folder = Folder::new();
    folder.file("out.ratings", "% asym posweighted\n1 2 4.5 1082040961\n");
    folder.run(&["import", "g.kitedb", "out.ratings"]).ok();
    let edge = folder.run(&["neighbors", "g.kitedb", "1", "--json"]).json()["neighbors"][0].clone();
    assert_eq!(edge["type"], "LINK");
    assert_eq!(edge["props"], json!({ "weight": 4.5, "timestamp": 1_082_040_961 }));
}

#[test]
fn tables_of_nodes_and_of_edges_meet_by_key() {
    let folder = Folder::new();
    let nodes =
        "\u{feff}key,labels,born,name,active\r\nada,Person;Poet,1815,\"Lovelace, Ada\",true\r\ncharles,Person,,,\r\n";
    folder.file("nodes.csv", nodes);
    folder.file("edges.tsv", "src\tdst\ttype\tsince\nada\tcharles\tKNOWS\t1833.5\n");
    folder.run(&["import", "g.kitedb", "nodes.csv"]).ok();
    folder.run(&["import", "g.kitedb", "edges.tsv"]).ok();

    let ada = folder.run(&["get", "g.kitedb", "ada", "--json"]).json();
    assert_eq!(ada["props"], json!({ "born": 1815, "name": "Lovelace, Ada", "active": true }));
    assert_eq!(ada["labels"], json!(["Person", "Poet"]));
    assert_eq!(ada["out_degree"], 1);
    let charles = folder.run(&["get", "g.kitedb", "charles", "--json"]).json();
    assert_eq!((&charles["props"], &charles["in_degree"]), (&json!({}), &json!(1)));
    let edge = folder.run(&["neighbors", "g.kitedb", "ada", "--json"]).json()["neighbors"][0].clone();
    assert_eq!((&edge["type"], &edge["props"]), (&json!("KNOWS"), &json!({ "since": 1833.5 })));
}

#[test]
fn json_lines_keep_the_kind_of_every_value() {
    let folder = Folder::new();
    let lines = r#"{"type":"edge","src":"ada","dst":"charles","label":"KNOWS","props":{"since":1833}}
{"type":"node","key":"ada","labels":["Person"],"props":{"i":-7,"f":2.0,"s":"é","b":true,"n":null,"v":[0.1,2]}}
"#;
    let report = folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl", "--json"], lines).json();
    // The edge came first and created both its ends.
    assert_eq!((&report["nodes_created"], &report["nodes_updated"]), (&json!(2), &json!(1)));
    let ada = folder.run(&["get", "g.kitedb", "ada", "--json"]).json();
    assert_eq!(ada["props"], json!({ "i": -7, "f": 2.0, "s": "é", "b": true, "n": null, "v": [0.1, 2.0] }));
    assert_eq!(ada["labels"], json!(["Person"]));
}

#[test]
fn an_import_run_twice_changes_nothing() {
    let folder = Folder::new();
    folder.file("graph.csv", "src,dst,w\na,b,1\nb,c,2\n");
    folder.run(&["import", "g.kitedb", "graph.csv"]).ok();
    let digest = folder.run(&["check", "g.kitedb", "--json"]).json()["digest"].clone();
    let again = folder.run(&["import", "g.kitedb", "graph.csv", "--json"]).json();
    assert_eq!(
        (&again["nodes_created"], &again["edges_created"], &again["edges_existing"]),
        (&json!(0), &json!(0), &json!(2))
    );
    assert_eq!(folder.run(&["check", "g.kitedb", "--json"]).json()["digest"], digest);
}

#[test]
fn a_bad_line_stops_the_import_with_its_number_and_leaves_whole_batches() {
    let folder = Folder::new();
    folder.file("graph.txt", "a b\nb c\nc d\nd e\nalone\ne f\n");

    let run = folder.run(&["import", "g.kitedb", "graph.txt", "--batch", "2"]);
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("error: graph.txt, line 5: only one field"), "{}", run.err);
    assert!(run.err.contains("hint: "), "{}", run.err);
    assert!(run.out.is_empty());
    let stats = folder.run(&["stats", "g.kitedb", "--json"]).json();
    assert_eq!(stats["edges"], 4);

    let run = folder.run(&["import", "h.kitedb", "graph.txt"]);
    assert!(run.err.contains("nothing was imported"), "{}", run.err);
    // Nothing of it is left.
    assert!(!folder.path().join("h.kitedb").exists());
}

#[test]
fn bad_lines_can_be_skipped_and_are_counted() {
    let folder = Folder::new();
    for (name, content) in [
        ("graph.txt", "a b\nalone\nb c\n"),
        ("graph.csv", "src,dst\na,b\nalone\nb,c\n"),
        ("graph.jsonl", "{\"src\":\"a\",\"dst\":\"b\"}\n{\"src\":\"alone\"}\n{\"src\":\"b\",\"dst\":\"c\"}\n"),
    ] {
        let database = format!("{name}.kitedb");
        let report = folder.run(&["import", &database, name, "--skip-bad", "--json"]);
        assert_eq!(report.code, 1, "the file does not exist yet");
        folder.file(name, content);
        let report = folder.run(&["import", &database, name, "--skip-bad", "--json"]).json();
        assert_eq!((&report["edges_created"], &report["skipped"]), (&json!(2), &json!(1)), "{name}");
        assert_eq!(report["bad_lines"][0]["line"], if name.ends_with("csv") { 3 } else { 2 }, "{name}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_a_bad_line() {
    let folder = Folder::new();
    folder.file("graph.txt", b"a b\n\xff\xfe c\n");
    let run = folder.run(&["import", "g.kitedb", "graph.txt"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("line 2: not UTF-8"), "{}", run.err);
}

/// Everything after it would be one cell: a name of thousands of lines.
#[test]
fn a_quote_that_is_never_closed_is_a_bad_line_and_brings_nothing() {
    let folder = Folder::new();
    let rows: String = (0..10_000).map(|n| format!("n{n},Name {n}\n")).collect();
    folder.file("names.csv", format!("id,name\nbad,\"Acme 5\n{rows}"));
    let run = folder.run(&["import", "g.kitedb", "names.csv"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.starts_with("error: names.csv, line 2: a quote is not closed"), "{run:?}");
    assert!(run.err.contains("nothing was imported"), "{run:?}");
    assert!(!folder.path().join("g.kitedb").exists());
}

#[test]
fn keys_of_json_lines_are_taken_with_their_blanks() {
    let folder = Folder::new();
    let lines = "{\"key\":\"x \",\"props\":{\"p\":1}}\n{\"key\":\"x\",\"props\":{\"p\":2}}\n";
    folder.file("nodes.jsonl", lines);
    let report = folder.run(&["import", "g.kitedb", "nodes.jsonl", "--json"]).json();
    assert_eq!(report["nodes_created"], 2, "{report}");
    for (key, p) in [("x ", 1), ("x", 2)] {
        assert_eq!(folder.run(&["get", "g.kitedb", key, "--json"]).json()["props"], json!({ "p": p }), "{key:?}");
    }
}
