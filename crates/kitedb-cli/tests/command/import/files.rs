//! Files that are imported: packed, several at once, those that fail, and the list of lines that were left out.

use super::left_out;
use crate::support::Folder;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value as Json, json};
use std::{fs, io::Write};

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[test]
fn gzip_is_unpacked_by_what_it_is() {
    let folder = Folder::new();
    folder.file("e.tsv.gz", packed("src\tdst\na\tb\n"));
    folder.file("plain.txt", packed("b c\n"));
    folder.run(&["import", "g.kitedb", "e.tsv.gz", "plain.txt"]).ok();
    assert_eq!(folder.run(&["stats", "g.kitedb", "--json"]).json()["edges"], 2);
    let whole = packed(&(0..40_000).map(|n| format!("n{n} m{n}\n")).collect::<String>());
    folder.file("cut.txt.gz", &whole[..whole.len() - 20]);
    let run = folder.run(&["import", "g.kitedb", "cut.txt.gz", "--batch", "100"]);
    assert!(
        run.code == 1 && run.err.contains("cannot read cut.txt.gz") && run.err.contains("batches are committed"),
        "{run:?}"
    );
    folder.file("z.txt", b"\x28\xb5\x2f\xfd....");
    let run = folder.run(&["import", "h.kitedb", "z.txt"]);
    assert!(run.code == 1 && run.err.contains("zstd") && !folder.path().join("h.kitedb").exists(), "{run:?}");
}

#[test]
fn several_files_are_imported_one_after_the_other() {
    let folder = Folder::new();
    folder.file("nodes.csv", "key,x\na,1\n");
    folder.file("edges.txt", "a b T\n");
    let report = folder.run(&["import", "g.kitedb", "nodes.csv", "edges.txt", "--json"]).json();
    assert_eq!(
        (&report["nodes_created"], &report["edges_created"], &report["batches"]),
        (&json!(2), &json!(1), &json!(2))
    );
    let files: Vec<_> =
        report["files"].as_array().unwrap().iter().map(|file| (&file["file"], &file["format"])).collect();
    assert_eq!(files, [(&json!("nodes.csv"), &json!("csv")), (&json!("edges.txt"), &json!("edgelist"))]);
    // One that is not there is found before anything is imported.
    let run = folder.run(&["import", "h.kitedb", "nodes.csv", "missing.csv"]);
    assert!(run.code == 1 && run.err.contains("missing.csv") && !folder.path().join("h.kitedb").exists(), "{run:?}");
    // One that is bad: those before it stay, and that is said.
    folder.file("bad.txt", "alone\n");
    let run = folder.run(&["import", "h.kitedb", "nodes.csv", "bad.txt"]);
    assert!(
        run.code == 1 && run.err.contains("bad.txt, line 1") && run.err.contains("files before this one are imported"),
        "{run:?}"
    );
    assert_eq!(folder.run(&["stats", "h.kitedb", "--json"]).json()["nodes"], 1);
    assert_eq!(folder.run(&["import", "g.kitedb", "-", "-", "--format", "csv"]).code, 2);
}

#[test]
fn a_file_that_fails_leaves_no_empty_database() {
    let folder = Folder::new();
    folder.file("header.csv", "name,age\nx,1\n");
    folder.file("empty.csv", "");
    folder.file("bad.jsonl", "{\"key\":1.5}\n");
    folder.file("cut.txt.gz", &packed("a b\n")[..12]);
    folder.file("graph.graphml", "<graphml/>");
    folder.file("nodes.csv", "key\na\n");
    for args in [
        &["header.csv"][..],
        &["empty.csv"],
        &["bad.jsonl"],
        &["bad.jsonl", "--role", "primary"],
        &["cut.txt.gz"],
        &["graph.graphml"],
        &["nodes.csv", "--type", "T"],
        &["nodes.csv", "--columns", "a,b"],
    ] {
        let run = folder.run(&[&["import", "g.kitedb"], args].concat());
        assert!(run.code != 0 && run.err.contains("error: "), "{args:?}: {run:?}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("kitedb")), "{args:?}: {left:?}");
    }
    let run = folder.run(&["import", "g.kitedb", "graph.graphml"]);
    assert!(run.err.contains("GraphML") && run.err.contains("write_edgelist"), "{run:?}");
    let run = folder.run(&["import", "nodes.csv", "g.kitedb"]);
    assert!(
        run.code == 2 && run.err.contains("the database comes first: `kitedb import g.kitedb nodes.csv`"),
        "{run:?}"
    );
}

#[test]
fn bad_lines_that_were_left_out_are_listed_in_a_file() {
    let folder = Folder::new();
    let lines: String = (0..30).map(|n| format!("a{n} b\nalone{n}\n")).collect();
    folder.file("g.txt", lines);
    let run = folder.run(&["import", "g.kitedb", "g.txt", "--skip-bad"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("30 bad lines are left out") && run.err.contains("g.kitedb.skipped.jsonl"), "{run:?}");
    let list = fs::read_to_string(folder.path().join("g.kitedb.skipped.jsonl")).unwrap();
    let listed: Vec<Json> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 30);
    assert_eq!(listed[29]["file"], "g.txt");
    assert_eq!((&listed[29]["line"], &listed[29]["to"]), (&json!(60), &json!(60)));
    // None is written over.
    let report = left_out(&folder.run(&["import", "g.kitedb", "g.txt", "--skip-bad", "--json"]));
    assert_eq!(report["skipped_list"], "g.kitedb.skipped-2.jsonl");
    assert_eq!(fs::read_to_string(folder.path().join("g.kitedb.skipped.jsonl")).unwrap(), list);
    folder.file("good.txt", "a b\n");
    folder.run(&["import", "good.kitedb", "good.txt", "--skip-bad"]).ok();
    assert!(!folder.path().join("good.kitedb.skipped.jsonl").exists());
}
