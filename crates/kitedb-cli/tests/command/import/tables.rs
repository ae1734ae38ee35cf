//! What tables and edge lists say is what is stored: no cell becomes another one.

use super::left_out;
use crate::support::Folder;
use serde_json::json;

fn props(folder: &Folder, key: &str) -> serde_json::Value {
    folder.run(&["get", "g.kitedb", key, "--json"]).json()["props"].clone()
}

#[test]
fn a_cell_is_a_number_only_if_it_prints_so() {
    let folder = Folder::new();
    folder.file(
        "n.csv",
        "id,version,price,hash,quoted,padded,tiny,big,minus0,n,x\nn1,1.10,2.50,12345e10,\"42\",\" 42 \",1e-400,9007199254740993.0,-0,42,0.5\n",
    );
    let report = folder.run(&["import", "g.kitedb", "n.csv", "--json"]).json();
    let want = json!({
        "version": "1.10", "price": "2.50", "hash": "12345e10", "quoted": "42", "padded": " 42 ", "tiny": "1e-400",
        "big": "9007199254740993.0", "minus0": "-0", "n": 42, "x": 0.5,
    });
    assert_eq!(props(&folder, "n1"), want);
    // Whoever wanted numbers learns how they come.
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("6 cells that look like numbers stayed text"), "{warnings}");
    assert!(warnings.contains("`price` (line 2: `2.50`)") && warnings.contains("`version:float`"), "{warnings}");
    assert!(!warnings.contains("`quoted`") && !warnings.contains("`n`"), "{warnings}");
    folder.file("typed.csv", "id,price:float,version:string\nt,2.50,1\n");
    folder.run(&["import", "g.kitedb", "typed.csv"]).ok();
    assert_eq!(props(&folder, "t"), json!({ "price": 2.5, "version": "1" }));
}

#[test]
fn keys_are_taken_with_their_blanks() {
    let folder = Folder::new();
    folder.file("k.csv", "id,p\n\"x \",1\nx,2\n x,3\n");
    let report = folder.run(&["import", "g.kitedb", "k.csv", "--json"]).json();
    assert_eq!(report["nodes_created"], 3, "{report}");
    for (key, p) in [("x ", 1), ("x", 2), (" x", 3)] {
        assert_eq!(props(&folder, key), json!({ "p": p }), "{key:?}");
    }
    assert!(
        report["warnings"][0]
            .as_str()
            .unwrap()
            .starts_with("2 lines have a key or type that begins or ends with a blank")
    );
}

#[test]
fn a_cell_in_quotes_keeps_its_line_ends() {
    let folder = Folder::new();
    folder.file("q.csv", "id,text\r\na,\"one\r\ntwo\nthree\"\r\n");
    folder.run(&["import", "g.kitedb", "q.csv"]).ok();
    assert_eq!(props(&folder, "a"), json!({ "text": "one\r\ntwo\nthree" }));
}

#[test]
fn an_unclosed_quote_is_reported_with_the_lines_that_it_swallows() {
    let folder = Folder::new();
    folder.file("open.csv", "id,name\nbad,\"Acme 5\nn0,Name 0\nn1,Name 1\n");
    let run = folder.run(&["import", "g.kitedb", "open.csv"]);
    assert!(
        run.code == 1 && run.err.contains("line 2: a quote is not closed: its cell takes in lines 2 to 4"),
        "{run:?}"
    );
    folder.file("closed.csv", "id,name\nbad,\"Acme 5\nn0,Name 0\nn1,\"Name 1\"\nn2,Name 2\n");
    let report = left_out(&folder.run(&["import", "g.kitedb", "closed.csv", "--skip-bad", "--json"]));
    assert!(report["bad_lines"][0]["error"].as_str().unwrap().contains("takes in lines 2 to 4"), "{report}");
    assert_eq!((&report["nodes_created"], &report["skipped"]), (&json!(1), &json!(3)));
    let report = left_out(&folder.run(&["import", "g.kitedb", "open.csv", "--skip-bad", "--json"]));
    assert_eq!((&report["skipped"], &report["lines"]), (&json!(3), &json!(4)), "{report}");
}

#[test]
fn text_that_would_be_read_as_other_text_is_refused() {
    let folder = Folder::new();
    folder.file("cr.csv", "id,name\ra,Ada\rb,Bob\rc,Cy\r");
    folder.file("cr.txt", "a b\rc d\r");
    folder.file("cr.jsonl", "{\"key\":\"a\"}\r{\"key\":\"b\"}\r");
    let utf_16 =
        |text: &str, mark: &[u8]| [mark.to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
    folder.file("le.csv", utf_16("id,name\na,Ada\n", b"\xff\xfe"));
    folder.file("be.txt", b"\xfe\xff\0a\0 \0b\0\n");
    folder.file("bare.txt", utf_16("a b\n", b""));
    folder.file("bare.csv", utf_16("id\na\n", b""));
    folder.file("le.jsonl", utf_16("{}\n", b"\xff\xfe"));
    for (file, phrase) in [
        ("cr.csv", "carriage return"),
        ("cr.txt", "carriage return"),
        ("cr.jsonl", "line 1"),
        ("le.csv", "UTF-16"),
        ("be.txt", "UTF-16"),
        ("bare.txt", "UTF-16"),
        ("bare.csv", "UTF-16"),
        ("le.jsonl", "UTF-16"),
    ] {
        let run = folder.run(&["import", "g.kitedb", file]);
        assert!(run.code == 1 && run.err.contains(phrase), "{file}: {run:?}");
        assert!(!folder.path().join("g.kitedb").exists(), "{file}");
    }
}

#[test]
fn a_blank_that_is_none_separates_nothing() {
    let folder = Folder::new();
    folder.file("n.txt", "New\u{a0}York\tBoston\n");
    folder.run(&["import", "g.kitedb", "n.txt"]).ok();
    assert_eq!(folder.run(&["get", "g.kitedb", "New\u{a0}York", "--json"]).json()["out_degree"], 1);
    folder.file("mixed.txt", "New York\tBoston\n");
    let report = folder.run(&["import", "h.kitedb", "mixed.txt", "--json"]).json();
    assert!(report["warnings"][0].as_str().unwrap().contains("both tabs and blanks between fields"), "{report}");
}

#[test]
fn what_may_be_meant_otherwise_gets_a_warning() {
    let folder = Folder::new();
    folder.file("w.txt", "1 2 5\n2 3 0.5\n");
    let shown = folder.run(&["import", "g.kitedb", "w.txt"]).ok().out;
    assert!(shown.contains("warning: 2 edges have a type that looks like a number (line 1: `5`)"), "{shown}");
    folder.file("l.csv", "Id,Label\n1,Ada\n2,Bob\n3,Cy\n4,Dan\n5,Eve\n");
    let shown = folder.run(&["import", "h.kitedb", "l.csv"]).ok().out;
    assert!(shown.contains("warning: the column of labels has 5 labels on 5 nodes"), "{shown}");
}

#[test]
fn a_table_that_could_be_nodes_or_edges_is_asked_about() {
    let folder = Folder::new();
    folder.file("t.csv", "id,source,target\n7,a,b\n");
    let run = folder.run(&["import", "g.kitedb", "t.csv"]);
    assert!(run.code == 1 && run.err.contains("pass --nodes or --edges"), "{run:?}");
    assert!(!folder.path().join("g.kitedb").exists());
    folder.run(&["import", "g.kitedb", "t.csv", "--edges"]).ok();
    assert_eq!(
        folder.run(&["neighbors", "g.kitedb", "a", "--json"]).json()["neighbors"][0]["props"],
        json!({ "id": 7 })
    );
    folder.run(&["import", "g.kitedb", "t.csv", "--nodes"]).ok();
    assert_eq!(props(&folder, "7"), json!({ "source": "a", "target": "b" }));
    assert_eq!(folder.run(&["import", "g.kitedb", "t.csv", "--edges", "--nodes"]).code, 2);
}

#[test]
fn the_delimiter_of_a_table_that_looks_like_one_column_is_named() {
    let folder = Folder::new();
    for (header, shown) in [("id|name", "'|'"), ("src;dst", "';'"), ("src\tdst", "tab")] {
        folder.file("t.csv", format!("{header}\n"));
        let run = folder.run(&["import", "g.kitedb", "t.csv"]);
        assert!(run.code == 1 && run.err.contains(&format!("pass --delimiter {shown}")), "{run:?}");
    }
}

#[test]
fn the_headers_of_neo4j_are_known_whole() {
    let folder = Folder::new();
    folder.file(
        "people.csv",
        "name:ID(Person),born:int,score:float,ok:boolean,tags:string[],since:date,secret:IGNORE,:LABEL\n1,1815,2,true,a;b,2015-07-21,x,Person;Poet\n",
    );
    folder.file("firms.csv", ":ID(Firm),name\n1,Acme\n");
    folder.file("works.csv", ":START_ID(Person),since:long,:END_ID(Firm),:TYPE\n1,1990,1,WORKS_AT\n");
    let files = ["import", "g.kitedb", "people.csv", "firms.csv", "works.csv", "--json"];
    let report = folder.run(&files).json();
    assert_eq!((&report["nodes_created"], &report["edges_created"]), (&json!(2), &json!(1)), "{report}");
    let person = folder.run(&["get", "g.kitedb", "Person:1", "--json"]).json();
    assert_eq!(person["labels"], json!(["Person", "Poet"]));
    let want = json!({
        "name": "1", "born": 1815, "score": 2.0, "ok": true, "tags": ["a", "b"], "since": { "$date": "2015-07-21" },
    });
    assert_eq!(person["props"], want);
    let edge = folder.run(&["neighbors", "g.kitedb", "Person:1", "--json"]).json()["neighbors"][0].clone();
    assert_eq!(
        (&edge["key"], &edge["type"], &edge["props"]),
        (&json!("Firm:1"), &json!("WORKS_AT"), &json!({ "since": 1990 }))
    );
    folder.file("bad.csv", ":ID,born:int\n2,old\n");
    let run = folder.run(&["import", "g.kitedb", "bad.csv"]);
    assert!(run.code == 1 && run.err.contains("line 2: the born is old, which is not a number"), "{run:?}");
}

#[test]
fn columns_are_given_in_place_of_a_header() {
    let folder = Folder::new();
    let columns = ["--columns", "src,type,dst,weight:float"];
    folder.file("bare.csv", "a,KNOWS,b,1\n");
    folder.run(&[&["import", "g.kitedb", "bare.csv", "--no-header"][..], &columns].concat()).ok();
    let edge = |key| folder.run(&["neighbors", "g.kitedb", key, "--json"]).json()["neighbors"][0].clone();
    assert_eq!((&edge("a")["type"], &edge("a")["props"]), (&json!("KNOWS"), &json!({ "weight": 1.0 })));
    folder.file("list.txt", "# a comment\nc KNOWS d 0.50\n");
    folder.run(&[&["import", "g.kitedb", "list.txt"][..], &columns].concat()).ok();
    assert_eq!(edge("c")["props"], json!({ "weight": 0.5 }));
    // With a header, that is replaced; what looks like data is not passed over as one.
    folder.file("headed.csv", "from,how,to,w\ne,KNOWS,f,2\n");
    let report = folder.run(&[&["import", "g.kitedb", "headed.csv", "--json"][..], &columns].concat()).json();
    assert!(
        report["edges_created"] == 1 && report["warnings"][0].as_str().unwrap().contains("--no-header"),
        "{report}"
    );
    let run = folder.run(&[&["import", "g.kitedb", "bare.csv"][..], &columns].concat());
    assert!(run.code == 1 && run.err.contains("pass --no-header if it is data"), "{run:?}");
    assert_eq!(folder.run(&["import", "g.kitedb", "bare.csv", "--no-header"]).code, 2);
    assert_eq!(folder.run(&["import", "g.kitedb", "list.txt", "--no-header", "--columns", "src,dst"]).code, 2);
}

#[test]
fn the_tables_of_ldbc_name_the_kinds_of_their_ends() {
    let folder = Folder::new();
    folder.file("person_0_0.csv", "id|firstName\n1|Ada\n2|Bob\n");
    folder.file("knows.csv", "Person.id|Person.id|creationDate\n1|2|2010\n");
    folder.file("likes.csv", "Person.id|Post.id\n1|1\n");
    let import =
        |more: &[&str]| folder.run(&[&["import", "g.kitedb", "--delimiter", "|", "--json"], more].concat()).json();
    import(&["person_0_0.csv", "--key-prefix", "Person:", "--label", "Person"]);
    let report = import(&["knows.csv", "likes.csv", "--type", "T"]);
    assert_eq!((&report["nodes_created"], &report["edges_created"]), (&json!(1), &json!(2)), "{report}");
    assert!(report["warnings"][0].as_str().unwrap().contains("`Person:`"), "{report}");
    assert_eq!(props(&folder, "Person:1"), json!({ "firstName": "Ada" }));
    assert_eq!(folder.run(&["get", "g.kitedb", "Post:1", "--json"]).json()["in_degree"], 1);
}

#[test]
fn the_edge_lists_of_networkx_carry_their_data() {
    let folder = Folder::new();
    folder.file("g.edgelist", "1 2 {'weight': 0.5, 'color': 'dark red'}\n2 3 {}\n");
    folder.run(&["import", "g.kitedb", "g.edgelist"]).ok();
    let edge = folder.run(&["neighbors", "g.kitedb", "1", "--json"]).json()["neighbors"][0].clone();
    assert_eq!((&edge["type"], &edge["props"]), (&json!("LINK"), &json!({ "weight": 0.5, "color": "dark red" })));
}
