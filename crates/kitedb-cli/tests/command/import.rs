//! What `kitedb import` brings is what the other commands show.

mod duplicates;
mod files;
mod mutated;
mod tables;

use crate::support::{Folder, Run, parsed};
use serde_json::{Value as Json, json};
use std::{fs, io::Write, process::Stdio};

/// The document of an import that left out bad lines.
#[track_caller]
fn left_out(run: &Run) -> Json {
    assert_eq!(run.code, 3, "{run:?}");
    parsed(&run.out)
}

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

/// What it brought would end with it.
#[test]
fn a_database_in_memory_takes_no_import() {
    let folder = Folder::new();
    folder.file("graph.txt", "ada charles KNOWS\n");
    for args in [&["import", ":memory:", "graph.txt"][..], &["stats", ":memory:"], &["check", ":memory:", "--json"]] {
        let run = folder.run(args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(run.err.contains("a database in memory ends with this command"), "{run:?}");
    }
    folder.run(&["import", "./:memory:", "graph.txt"]).ok();
    assert_eq!(folder.run(&["stats", "./:memory:", "--json"]).json()["nodes"], 2);
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
    let edge = r#"{"type":"edge","src":"ada","dst":"charles","label":"KNOWS","props":{"since":1833}}"#;
    let plain = r#""i":-7,"f":2.0,"s":"é","b":true,"n":null"#;
    let nested = r#""l":[0.1,[2]],"m":{"x":{"y":null}}"#;
    let tagged = r#""v":{"$vector":[0.1,2]},"x":{"$bytes":"Af8="},"d":{"$date_time":"2015-07-21T21:40:32+01:00"}"#;
    let node = r#"{"type":"node","key":"ada","labels":["Person"]"#;
    let lines = format!("{edge}\n{node},\"props\":{{{plain},{nested},{tagged}}}}}\n");
    let report = folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl", "--json"], &lines).json();
    // The edge came first and created both its ends.
    assert_eq!((&report["nodes_created"], &report["nodes_updated"]), (&json!(2), &json!(1)));
    let ada = folder.run(&["get", "g.kitedb", "ada", "--json"]).json();
    let want = json!({
        "i": -7, "f": 2.0, "s": "é", "b": true, "n": null, "l": [0.1, [2]], "m": { "x": { "y": null } },
        "v": { "$vector": [0.1, 2.0] }, "x": { "$bytes": "Af8=" }, "d": { "$date_time": "2015-07-21T21:40:32+01:00" },
    });
    assert_eq!(ada["props"], want);
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
        let report = left_out(&folder.run(&["import", &database, name, "--skip-bad", "--json"]));
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

#[test]
fn parallel_edges_come_with_their_ranks_and_are_never_made_twice() {
    let folder = Folder::new();
    folder.file("paid.csv", "src,dst,type,rank,amount\na,b,PAID,,10\na,b,PAID,7,20\na,b,PAID,0,11\n");
    folder.file("more.jsonl", "{\"src\":\"a\",\"dst\":\"b\",\"type\":\"PAID\",\"rank\":3,\"props\":{\"amount\":30}}\n");
    // Rank 0 is the edge that a line without a rank means, and has another value: it is updated where that is asked for.
    let run = folder.run(&["import", "g.kitedb", "paid.csv"]);
    assert!(run.code == 1 && run.err.contains("line 4: the edge a -[PAID]-> b is there already"), "{run:?}");
    let report = folder.run(&["import", "g.kitedb", "paid.csv", "--on-duplicate", "update", "--json"]).json();
    assert_eq!((&report["edges_created"], &report["edges_updated"]), (&json!(2), &json!(1)));
    folder.run(&["import", "g.kitedb", "more.jsonl"]).ok();
    let out = folder.run(&["neighbors", "g.kitedb", "a", "--json"]).json();
    let edges: Vec<_> =
        out["neighbors"].as_array().unwrap().iter().map(|n| (&n["rank"], &n["props"]["amount"])).collect();
    let (none, three, seven) = (json!(null), json!(3), json!(7));
    assert_eq!(edges, [(&none, &json!(11)), (&three, &json!(30)), (&seven, &json!(20))]);
    assert_eq!(folder.run(&["check", "g.kitedb", "--json"]).json()["clean"], true);

    // Again: nothing changes. Cut short: it is finished. Of another database, where that rank is another edge: it is refused.
    let before = folder.run(&["stats", "g.kitedb", "--json"]).json();
    folder.run(&["import", "g.kitedb", "more.jsonl"]).ok();
    assert_eq!(folder.run(&["stats", "g.kitedb", "--json"]).json()["digest"], before["digest"]);
    let line =
        |props: &str| format!("{{\"src\":\"a\",\"dst\":\"b\",\"type\":\"PAID\",\"rank\":3,\"props\":{{{props}}}}}\n");
    folder.file("rest.jsonl", line("\"amount\":30,\"on\":\"friday\""));
    folder.run(&["import", "g.kitedb", "rest.jsonl"]).ok();
    folder.file("other.jsonl", line("\"amount\":31"));
    let other = folder.run(&["import", "g.kitedb", "other.jsonl"]);
    assert_eq!(other.code, 1);
    assert!(other.err.starts_with("error: other.jsonl, line 1: the edge a -[PAID]-> b is there"), "{}", other.err);
    assert!(other.err.contains("an edge with a rank is added"), "{}", other.err);
    assert!(other.err.contains("of rank 3") && other.err.contains("`amount`"), "{}", other.err);
    assert_eq!(folder.run(&["stats", "g.kitedb", "--json"]).json()["edges"], 3);
}

#[test]
fn a_line_of_rank_0_means_that_edge_also_where_another_came_first() {
    let folder = Folder::new();
    let line = |rank: u64| format!("{{\"src\":\"a\",\"dst\":\"b\",\"rank\":{rank},\"props\":{{\"x\":{rank}}}}}\n");
    folder.file("g.jsonl", line(1) + &line(0));
    folder.file("h.csv", "src,dst,rank,x\na,b,1,1\na,b,0,0\n");
    for file in ["g.jsonl", "h.csv"] {
        let database = format!("{file}.kitedb");
        folder.run(&["import", &database, file]).ok();
        let out = folder.run(&["neighbors", &database, "a", "--json"]).json();
        let edges: Vec<_> = out["neighbors"].as_array().unwrap().iter().map(|n| n["props"]["x"].clone()).collect();
        assert_eq!(edges, [json!(0), json!(1)], "{file}");
    }
}

#[test]
fn a_line_does_not_make_the_node_whose_number_it_gives() {
    let folder = Folder::new();
    folder.file("g.jsonl", "{\"src_id\":1,\"dst\":\"b\"}\n");
    let run = folder.run(&["import", "g.kitedb", "g.jsonl"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("line 1: node 1 does not exist"), "{}", run.err);
}

#[test]
fn a_property_called_key_with_an_underscore_gets_another_name_and_the_report_says_so() {
    let folder = Folder::new();
    for (name, content) in [
        ("g.csv", "key,_key\na,1\nb,2\n"),
        ("g.jsonl", "{\"key\":\"a\",\"props\":{\"_key\":1}}\n{\"key\":\"b\",\"props\":{\"_key\":2}}\n"),
    ] {
        folder.file(name, content);
        let database = format!("{name}.kitedb");
        let report = folder.run(&["import", &database, name, "--json"]).json();
        assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
        assert!(report["warnings"][0].as_str().unwrap().starts_with("2 properties called `_key` came in as `_key_`"));
        let node = folder.run(&["get", &database, "a", "--json"]).json();
        assert_eq!(node["props"], json!({ "_key_": 1 }), "{name}");
        let shown = folder.run(&["import", &database, name]).ok().out;
        assert_eq!(shown.matches("warning: ").count(), 1, "{shown}");
    }
    folder.file("both.csv", "key,_key,_key_\na,1,2\n");
    let run = folder.run(&["import", "both.kitedb", "both.csv"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("`_key_`, which it would be instead, is there, too"), "{}", run.err);
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

#[test]
fn a_number_that_cannot_be_kept_is_a_bad_line_and_no_other_number() {
    let folder = Folder::new();
    for (name, content, phrases) in [
        (
            "a.jsonl",
            "{\"key\":\"a\",\"props\":{\"x\":[1,9223372036854775808]}}",
            ["line 1", "property x[1] is 9223372036854775808"],
        ),
        ("b.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\",\"props\":{\"n\":-0}}", ["line 2", "property n is -0"]),
        ("c.jsonl", "{\"key\":\"a\",\"props\":{\"n\":1e400}}", ["line 1", "property n is 1e400"]),
        ("d.jsonl", "{\"key\":\"a\",\"vectors\":{\"v\":[1e39]}}", ["line 1", "the vector `v`"]),
        ("out.e", "% weighted\n1 2 18446744073709551616", ["line 2", "the weight is 18446744073709551616"]),
    ] {
        folder.file(name, content);
        let run = folder.run(&["import", "g.kitedb", name]);
        assert_eq!(run.code, 1, "{name}: {run:?}");
        assert!(phrases.iter().all(|phrase| run.err.contains(phrase)), "{name}: {run:?}");
        assert!(!folder.path().join("g.kitedb").exists(), "{name}");
    }
    // A cell has no other form for it: it stays what it is.
    folder.file("cells.csv", "key,x,y,z\na,9223372036854775808,-0,1e400\n");
    folder.run(&["import", "cells.kitedb", "cells.csv"]).ok();
    let node = folder.run(&["get", "cells.kitedb", "a", "--json"]).json();
    assert_eq!(node["props"], json!({ "x": "9223372036854775808", "y": "-0", "z": "1e400" }));
}

#[test]
fn a_name_that_stands_twice_in_an_object_is_a_bad_line() {
    let folder = Folder::new();
    for (line, phrase) in [
        ("{\"key\":\"a\",\"key\":\"b\"}", "the name `key` stands twice"),
        ("{\"key\":\"a\",\"props\":{\"x\":1,\"x\":2}}", "two properties are called `x`"),
        (
            "{\"key\":\"a\",\"props\":{\"m\":[{\"x\":1,\"\\u0078\":2}]}}",
            "property m[0] is an object in which the name `x`",
        ),
    ] {
        let run = folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl"], line);
        assert!(run.code == 1 && run.err.contains(phrase), "{line}: {run:?}");
    }
}

/// What its first half did, and every name that it brought, goes with it; what stands around it stays.
#[test]
fn a_bad_line_that_is_skipped_leaves_nothing_of_itself() {
    let folder = Folder::new();
    let good = "{\"key\":\"a\",\"labels\":[\"L\"],\"vectors\":{\"v\":[1,2]}}\n{\"src\":\"a\",\"dst\":\"b\"}\n";
    let bad = [
        // The vector has another length than the first one.
        "{\"key\":\"half\",\"labels\":[\"New\"],\"props\":{\"fresh\":1},\"vectors\":{\"v\":[1]}}",
        "{\"key\":\"a\",\"labels\":[\"New\"],\"props\":{\"fresh\":1},\"vectors\":{\"v\":[1]}}",
        // Both ends are made before its properties are looked at.
        "{\"src\":\"end\",\"dst\":\"other end\",\"label\":\"NEW\",\"props\":{\"fresh\":1,\"_key\":1,\"_key_\":2}}",
    ];
    let after = "{\"key\":\"c\",\"props\":{\"p\":1}}\n";
    folder.file("clean.jsonl", format!("{good}{after}"));
    folder.run(&["import", "clean.kitedb", "clean.jsonl"]).ok();
    folder.file("bad.jsonl", format!("{good}{}\n{after}{}\n", bad.join("\n"), bad[2]));
    let names = |database: &str| {
        let lines = folder.run(&["export", database]).ok().out;
        let mut names: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|line| line["type"] == "name")
            .map(|line| (line["kind"].to_string(), line["name"].to_string()))
            .collect();
        names.sort();
        names
    };
    for batch in ["1", "3", "5000"] {
        let database = format!("{batch}.kitedb");
        let report =
            left_out(&folder.run(&["import", &database, "bad.jsonl", "--skip-bad", "--batch", batch, "--json"]));
        assert_eq!((&report["skipped"], &report["nodes_created"]), (&json!(4), &json!(3)), "{report}");
        assert_eq!((&report["nodes_updated"], &report["edges_created"]), (&json!(0), &json!(1)), "{report}");
        let lines: Vec<_> = report["bad_lines"].as_array().unwrap().iter().map(|bad| bad["line"].clone()).collect();
        assert_eq!(lines, [3, 4, 5, 7], "{report}");
        let stats = folder.run(&["stats", &database, "--json"]).json();
        assert_eq!((&stats["nodes"], &stats["edges"]), (&json!(3), &json!(1)), "batch {batch}");
        let node = folder.run(&["get", &database, "a", "--json"]).json();
        assert_eq!((&node["labels"], &node["props"]), (&json!(["L"]), &json!({})), "batch {batch}");
        assert_eq!(names(&database), names("clean.kitedb"), "batch {batch}");
        assert_eq!(folder.run(&["check", &database, "--json"]).json()["clean"], true);
    }
}

#[test]
fn a_property_that_gets_another_name_replaces_none_of_another_line() {
    let folder = Folder::new();
    let line = |name: &str, value: u32| format!("{{\"key\":\"a\",\"props\":{{\"{name}\":{value}}}}}\n");
    let edge = |name: &str, value: u32| format!("{{\"src\":\"a\",\"dst\":\"b\",\"props\":{{\"{name}\":{value}}}}}\n");
    for (n, lines) in [
        line("_key_", 1) + &line("_key", 2),
        line("_key", 1) + &line("_key_", 2),
        edge("_key_", 1) + &edge("_key", 2),
        edge("_key", 1) + &edge("_key_", 2),
    ]
    .iter()
    .enumerate()
    {
        let run = folder.run_with_input(&["import", &format!("{n}.kitedb"), "-", "--format", "jsonl"], lines);
        assert!(run.code == 1 && run.err.contains("line 2: a property called `_key` comes in as `_key_`"), "{run:?}");
    }
    // The same again is no other value.
    folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl"], &line("_key", 1).repeat(2)).ok();
}

/// As a file that was written without line ends, or is no text.
#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let folder = Folder::new();
    let mut command = folder.command(&["import", "g.kitedb", "-", "--format", "jsonl", "--skip-bad", "--json"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"key\":\"").unwrap();
    let part = b"x".repeat(1 << 20);
    for _ in 0..400 {
        input.write_all(&part).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    input.write_all(b"\n{\"key\":\"b\"}\n").unwrap();
    drop(input);
    let report: serde_json::Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert!(report["bad_lines"][0]["error"].as_str().unwrap().contains("longer than 85 MiB"), "{report}");
    assert_eq!((&report["nodes_created"], &report["lines"]), (&json!(1), &json!(2)), "{report}");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 300 << 10, "{peak} kB");
}

#[test]
fn an_import_of_what_cannot_be_read_prints_a_document() {
    let folder = Folder::new();
    let run = folder.run(&["import", "g.kitedb", "missing.jsonl", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert!(document["error"]["message"].as_str().unwrap().contains("missing.jsonl"), "{document}");
    assert_eq!((&document["committed"], &document["token"]), (&json!(false), &json!(null)));
    assert!(!folder.path().join("g.kitedb").exists());
    folder.file("not.kitedb", "no database, and long enough to be looked at".repeat(200));
    folder.file("edges.txt", "a b\n");
    let run = folder.run(&["import", "not.kitedb", "edges.txt", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let document: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(document["error"]["code"], "NOT_A_DATABASE", "{document}");
}
