//! Lists of nodes and edges, as a user asks for them.

use super::support::{Folder, Run};
use serde_json::{Value as Json, json};

/// A few people, who they know, and what does not fit.
fn people() -> Folder {
    let folder = Folder::new();
    let lines = [
        r#"{"type":"node","key":"ada","labels":["Person","Poet"],"props":{"age":36,"name":"Ada Lovelace","born":{"$date":"1815-12-10"}}}"#,
        r#"{"type":"node","key":"charles","labels":["Person"],"props":{"age":79,"name":"Charles Babbage","born":{"$date":"1791-12-26"}}}"#,
        r#"{"type":"node","key":"mary","labels":["Person"],"props":{"age":91.5,"name":"Mary Somerville"}}"#,
        r#"{"type":"node","key":"bot","labels":["Bot"],"props":{"age":"36","name":null}}"#,
        r#"{"type":"node","key":"void"}"#,
        r#"{"type":"edge","src":"ada","dst":"charles","label":"KNOWS","props":{"since":1833}}"#,
        r#"{"type":"edge","src":"mary","dst":"ada","label":"KNOWS","props":{"since":1834}}"#,
        r#"{"type":"edge","src":"mary","dst":"charles","label":"KNOWS"}"#,
        r#"{"type":"edge","src":"bot","dst":"ada","label":"LIKES","rank":7,"props":{"since":1990}}"#,
    ];
    folder.file("people.jsonl", lines.join("\n"));
    folder.run(&["import", "g.kitedb", "people.jsonl"]).ok();
    folder
}

fn ask(folder: &Folder, command: &str, more: &[&str]) -> Run {
    folder.run(&[&[command, "g.kitedb"], more].concat())
}

fn keys(document: &Json) -> Vec<&str> {
    let list = document["nodes"].as_array().or(document["neighbors"].as_array()).unwrap();
    list.iter().map(|node| node["key"].as_str().unwrap()).collect()
}

#[test]
fn nodes_are_chosen_by_labels_conditions_and_keys() {
    let folder = people();
    for (more, want) in [
        (&[][..], &["ada", "charles", "mary", "bot", "void"][..]),
        (&["--label", "Person"], &["ada", "charles", "mary"]),
        (&["--label", "Person", "--label", "Poet"], &["ada"]),
        (&["--label", "Nobody"], &[]),
        (&["--key-prefix", "b"], &["bot"]),
        (&["--where", "age>36"], &["charles", "mary"]),
        (&["--where", "age>=36", "--where", "age<91.5"], &["ada", "charles"]),
        (&["--where", "age='36'"], &["bot"]),
        (&["--where", "age!=36"], &["charles", "mary"]),
        (&["--where", "not age=36"], &["charles", "mary", "bot", "void"]),
        (&["--where", "not has name"], &["void"]),
        (&["--where", "has name", "--where", "not name~."], &["bot"]),
        (&["--where", "name~'^Ada|some'"], &["ada"]),
        (&["--where", "name~'(?i)^ada|some'"], &["ada", "mary"]),
        (&["--where", "born<1800-01-01"], &["charles"]),
        (&["--where", "degree>=2", "--where", "in-degree>0"], &["ada", "charles"]),
        (&["--where", "key>bot", "--where", "key<=mary"], &["charles", "mary"]),
        (&["--where", "id=1"], &["ada"]),
    ] {
        let document = ask(&folder, "nodes", &[more, &["--json"]].concat()).json();
        assert_eq!(keys(&document), want, "{more:?}");
        assert_eq!((&document["count"], &document["more"]), (&json!(want.len()), &json!(false)), "{more:?}");
    }
    let ada = ask(&folder, "nodes", &["--key-prefix", "ada", "--json"]).json()["nodes"][0].clone();
    let props = json!({ "age": 36, "name": "Ada Lovelace", "born": { "$date": "1815-12-10" } });
    assert_eq!(ada, json!({ "id": 1, "key": "ada", "labels": ["Person", "Poet"], "props": props }));
}

#[test]
fn nodes_come_in_the_order_that_is_asked_for() {
    let folder = people();
    for (more, want, has_more) in [
        (&["--sort", "age"][..], &["bot", "ada", "charles", "mary", "void"][..], false),
        (&["--sort", "age", "--desc"], &["mary", "charles", "ada", "bot", "void"], false),
        (&["--sort", "age", "--desc", "--limit", "2"], &["mary", "charles"], true),
        (&["--sort", "key", "--limit", "5"], &["ada", "bot", "charles", "mary", "void"], false),
        (&["--sort", "degree", "--desc", "--limit", "1"], &["ada"], true),
        (&["--sort", "id", "--desc", "--limit", "1"], &["void"], true),
        (&["--limit", "3"], &["ada", "charles", "mary"], true),
    ] {
        let document = ask(&folder, "nodes", &[more, &["--json"]].concat()).json();
        assert_eq!((keys(&document), &document["more"]), (want.to_vec(), &json!(has_more)), "{more:?}");
    }
    let run = ask(&folder, "nodes", &["--sort", "age", "--memory-bytes", "100"]);
    assert!(run.code == 1 && run.err.contains("100 bytes") && run.err.contains("--memory-bytes"), "{run:?}");
    let run = ask(&folder, "nodes", &["--sort", "age", "--timeout-ms", "0", "--json"]);
    let error: Json = serde_json::from_str(&run.err).unwrap();
    assert_eq!((run.code, &error["code"]), (1, &json!("TIME_LIMIT")), "{run:?}");
    assert_eq!(ask(&folder, "nodes", &["--desc"]).code, 2);
}

#[test]
fn nodes_are_written_in_every_form() {
    let folder = people();
    let out = |more: &[&str]| ask(&folder, "nodes", more).ok().out;
    assert_eq!(
        out(&["--where", "age<80"]),
        "ada      :Person :Poet  age=36 born=1815-12-10 name=Ada Lovelace\n\
         charles  :Person        age=79 born=1791-12-26 name=Charles Babbage\n2 nodes\n"
    );
    assert_eq!(
        out(&["--show", "age,degree", "--show", "born", "--limit", "2"]),
        "key      labels         age  degree  born\n\
         ada      :Person :Poet  36   3       1815-12-10\n\
         charles  :Person        79   2       1791-12-26\n2 nodes shown, there are more\n"
    );
    // Columns are made of what those have that are listed.
    assert_eq!(
        out(&["--csv", "--where", "not has born"]),
        "id,key,labels,age,name\r\n3,mary,Person,91.5,Mary Somerville\r\n4,bot,Bot,36,\r\n5,void,,,\r\n"
    );
    assert_eq!(
        out(&["--csv", "--show", "name", "--limit", "1"]),
        "id,key,labels,name\r\n1,ada,Person;Poet,Ada Lovelace\r\n"
    );
    assert_eq!(
        out(&["--jsonl", "--show", "id,age", "--key-prefix", "m"]),
        "{\"id\":3,\"key\":\"mary\",\"labels\":[\"Person\"],\"props\":{\"age\":91.5}}\n"
    );
    for two in [["--json", "--csv"], ["--json", "--jsonl"], ["--csv", "--jsonl"]] {
        assert_eq!(ask(&folder, "nodes", &two).code, 2, "{two:?}");
    }
}

/// What a list writes by the line is what an import reads.
#[test]
fn lists_by_the_line_are_imported() {
    let folder = people();
    let lines = ["nodes", "edges"].map(|command| ask(&folder, command, &["--jsonl"]).ok().out);
    for lines in &lines {
        folder.run_with_input(&["import", "copy.kitedb", "-", "--format", "jsonl"], lines).ok();
    }
    let again = ["nodes", "edges"].map(|command| folder.run(&[command, "copy.kitedb", "--jsonl"]).ok().out);
    assert_eq!(again, lines);
    assert_eq!(lines.map(|lines| lines.lines().count()), [5, 4]);
}

#[test]
fn edges_are_chosen_and_listed() {
    let folder = people();
    let ends = |more: &[&str]| -> Vec<String> {
        let document = ask(&folder, "edges", &[more, &["--json"]].concat()).json();
        let end = |edge: &Json, end: &str| edge[end]["key"].as_str().unwrap().to_owned();
        let edges = document["edges"].as_array().unwrap();
        assert_eq!(document["count"], edges.len());
        edges
            .iter()
            .map(|edge| format!("{} {} {}", end(edge, "from"), edge["type"].as_str().unwrap(), end(edge, "to")))
            .collect()
    };
    let all = ["ada KNOWS charles", "mary KNOWS ada", "mary KNOWS charles", "bot LIKES ada"];
    assert_eq!(ends(&[]), all);
    assert_eq!(ends(&["--type", "LIKES"]), all[3..]);
    assert_eq!(ends(&["--type", "LIKES", "--type", "KNOWS", "--type", "KNOWS"]), all);
    assert_eq!(ends(&["--from", "mary"]), all[1..3]);
    assert_eq!(ends(&["--to", "ada"]), ["mary KNOWS ada", "bot LIKES ada"]);
    assert_eq!(ends(&["--from", "mary", "--to", "ada", "--type", "KNOWS"]), all[1..2]);
    assert_eq!(ends(&["--from", "3", "--id", "--to", "2"]), all[2..3]);
    assert_eq!(ends(&["--where", "since<1900"]), all[..2]);
    assert_eq!(ends(&["--where", "rank>0"]), all[3..]);
    assert_eq!(ends(&["--where", "type=KNOWS", "--where", "to=charles"]), ["ada KNOWS charles", "mary KNOWS charles"]);
    assert_eq!(
        ends(&["--sort", "since", "--desc"]),
        ["bot LIKES ada", "mary KNOWS ada", "ada KNOWS charles", "mary KNOWS charles"]
    );
    let out = |more: &[&str]| ask(&folder, "edges", more).ok().out;
    assert_eq!(out(&["--from", "ada"]), "ada  -KNOWS→  charles  since=1833\n1 edge\n");
    assert_eq!(out(&["--type", "LIKES", "--csv"]), "from,to,type,rank,since\r\nbot,ada,LIKES,7,1990\r\n");
    assert_eq!(
        out(&["--type", "LIKES", "--jsonl"]),
        "{\"dst\":\"ada\",\"label\":\"LIKES\",\"props\":{\"since\":1990},\"rank\":7,\"src\":\"bot\",\"type\":\"edge\"}\n"
    );
    let unknown = ask(&folder, "edges", &["--from", "nobody"]);
    assert!(unknown.code == 1 && unknown.err.contains("no node with the key `nobody`"), "{unknown:?}");
}

#[test]
fn counts_are_of_all_of_some_or_of_each() {
    let folder = people();
    let count = |more: &[&str]| ask(&folder, "count", &[more, &["--json"]].concat()).json();
    assert_eq!(count(&[]), json!({ "nodes": 5, "edges": 4 }));
    for (more, want) in [
        (&["nodes"][..], 5),
        (&["--label", "Person"], 3),
        (&["nodes", "--label", "Person", "--where", "age>40"], 2),
        (&["nodes", "--where", "degree=0"], 1),
        (&["--key-prefix", "v"], 1),
    ] {
        assert_eq!(count(more), json!({ "nodes": want }), "{more:?}");
    }
    for (more, want) in [
        (&["edges"][..], 4),
        (&["--type", "KNOWS"], 3),
        (&["--from", "mary"], 2),
        (&["edges", "--where", "has since"], 3),
    ] {
        assert_eq!(count(more), json!({ "edges": want }), "{more:?}");
    }
    let groups = |more: &[&str]| -> Vec<(Json, u64)> {
        let document = count(more);
        document["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| (group["value"].clone(), group["count"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(
        groups(&["--by", "label"]),
        [(json!("Person"), 3), (json!("Bot"), 1), (json!("Poet"), 1), (Json::Null, 1)]
    );
    assert_eq!(groups(&["--by", "type"]), [(json!("KNOWS"), 3), (json!("LIKES"), 1)]);
    assert_eq!(groups(&["edges", "--by", "to", "--limit", "1"]), [(json!("ada"), 2)]);
    assert_eq!(groups(&["nodes", "--by", "degree"])[0], (json!(2), 2));
    assert_eq!(
        ask(&folder, "count", &["--by", "type"]).ok().out,
        "type   edges\nKNOWS      3\nLIKES      1\n2 groups\n4 edges\n"
    );
    assert_eq!(ask(&folder, "count", &["--by", "type", "--csv"]).ok().out, "type,count\r\nKNOWS,3\r\nLIKES,1\r\n");
    assert_eq!(ask(&folder, "count", &[]).ok().out, "nodes  5\nedges  4\n");
    assert_eq!(ask(&folder, "count", &["--csv"]).ok().out, "nodes,edges\r\n5,4\r\n");
    for wrong in [
        &["--where", "age>3"][..],
        &["--by", "age"],
        &["--label", "A", "--type", "B"],
        &["nodes", "--from", "ada"],
        &["edges", "--by", "label"],
        &["nodes", "--where", "age>"],
        &["nodes", "--limit", "3"],
        &["things"],
    ] {
        assert_eq!(ask(&folder, "count", wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn the_top_is_by_degree_rank_or_property() {
    let folder = people();
    let top = |more: &[&str]| -> Vec<(String, Json)> {
        let document = ask(&folder, "top", &[more, &["--json"]].concat()).json();
        let value =
            |node: &Json| ["degree", "value", "pagerank"].iter().find_map(|name| node.get(*name).cloned()).unwrap();
        document["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| (node["key"].as_str().unwrap().to_owned(), value(node)))
            .collect()
    };
    let named =
        |pairs: &[(&str, i64)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Vec<_>>();
    assert_eq!(top(&["--by", "degree", "--limit", "2"]), named(&[("ada", 3), ("charles", 2)]));
    assert_eq!(top(&["--by", "in-degree", "--type", "KNOWS", "--limit", "1"]), named(&[("charles", 2)]));
    assert_eq!(top(&["--by", "out-degree", "--label", "Person", "--limit", "1"]), named(&[("mary", 2)]));
    assert_eq!(top(&["--by", "age", "--where", "age<90"]), named(&[("charles", 79), ("ada", 36)]));
    let ranks = top(&["--by", "pagerank"]);
    assert_eq!((ranks.len(), ranks[0].0.as_str(), ranks[1].0.as_str()), (5, "charles", "ada"));
    let sum: f64 = ranks.iter().map(|(_, rank)| rank.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    let shown = ask(&folder, "top", &["--by", "degree", "--show", "name", "--limit", "1"]).ok().out;
    assert_eq!(
        shown,
        "degree  key  labels         name\n     3  ada  :Person :Poet  Ada Lovelace\n1 node shown, there are more\n"
    );
    assert_eq!(ask(&folder, "top", &[]).code, 2);
    assert_eq!(ask(&folder, "top", &["--by", "age", "--type", "KNOWS"]).code, 2);
}

#[test]
fn neighbors_are_gone_to_either_way_and_further() {
    let folder = people();
    let around = |more: &[&str]| ask(&folder, "neighbors", &[&["ada"], more, &["--json"]].concat()).json();
    assert_eq!(keys(&around(&[])), ["charles"]);
    let both = around(&["--both"]);
    assert_eq!((keys(&both), &both["direction"]), (vec!["charles", "mary", "bot"], &json!("both")));
    let directions: Vec<_> = both["neighbors"].as_array().unwrap().iter().map(|one| one["direction"].clone()).collect();
    assert_eq!(directions, ["out", "in", "in"]);
    assert_eq!(keys(&around(&["--both", "--where", "age>80"])), ["mary"]);
    assert_eq!(keys(&around(&["--both", "--sort", "key"])), ["bot", "charles", "mary"]);
    let one = around(&["--both", "--sort", "age", "--desc", "--limit", "1", "--show", "name,degree"]);
    assert_eq!((keys(&one), &one["more"]), (vec!["mary"], &json!(true)));
    assert_eq!(one["neighbors"][0]["shown"], json!({ "name": "Mary Somerville", "degree": 2 }));
    let far = ask(&folder, "neighbors", &["bot", "--depth", "2", "--json"]).json();
    let depths: Vec<_> = far["neighbors"].as_array().unwrap().iter().map(|one| one["depth"].clone()).collect();
    assert_eq!((keys(&far), depths), (vec!["ada", "charles"], vec![json!(1), json!(2)]));
    // What is gone through need not be listed.
    let far = ask(&folder, "neighbors", &["bot", "--depth", "2", "--where", "age>40", "--json"]).json();
    assert_eq!(keys(&far), ["charles"]);
    let text = ask(&folder, "neighbors", &["ada", "--both", "--type", "LIKES", "--show", "age"]).ok().out;
    assert_eq!(text, "   type   key  labels  edge        age\n←  LIKES  bot  :Bot    since=1990  36\n1 neighbor\n");
    assert_eq!(
        ask(&folder, "neighbors", &["ada", "--both", "--type", "LIKES", "--csv"]).ok().out,
        "direction,type,rank,id,key,labels,edge\r\nin,LIKES,7,4,bot,Bot,\"{\"\"since\"\":1990}\"\r\n"
    );
    assert_eq!(
        ask(&folder, "reach", &["bot", "--csv", "--show", "age", "--sort", "age", "--desc"]).ok().out,
        "depth,id,key,labels,age\r\n2,2,charles,Person,79\r\n1,1,ada,Person;Poet,36\r\n"
    );
    folder.run(&["set", "g.kitedb", "void", "id=7"]).ok();
    assert_eq!(
        ask(&folder, "nodes", &["--csv", "--show", "id,key,\"id\"", "--key-prefix", "void"]).ok().out,
        "id,key,labels,\"\"\"id\"\"\"\r\n5,void,,7\r\n"
    );
    // A loop is one neighbour.
    folder.file("loop.csv", "src,dst,type\nvoid,void,SELF\n");
    folder.run(&["import", "g.kitedb", "loop.csv"]).ok();
    assert_eq!(ask(&folder, "neighbors", &["void", "--both", "--json"]).json()["count"], 1);
}

#[test]
fn what_cannot_be_understood_is_told_by_its_place() {
    let folder = people();
    for (more, phrase) in [
        (["--where", "age=>3"], "at character 5: there is no such operator"),
        (["--where", "name~'('"], "at character 6: this is no regular expression"),
        (["--show", "a,,b"], "at character 3: a name is missing"),
        (["--sort", "\"a"], "is not closed"),
    ] {
        let run = ask(&folder, "nodes", &more);
        assert!(run.code == 2 && run.err.contains(phrase) && run.out.is_empty(), "{more:?}: {run:?}");
    }
    // A name that nothing has is no error, and may be a slip.
    let run = ask(&folder, "nodes", &["--where", "aeg>30", "--label", "Persn"]).ok();
    assert!(
        run.out == "0 nodes\n" && run.err.contains("property `aeg`") && run.err.contains("label `Persn`"),
        "{run:?}"
    );
    assert_eq!(ask(&folder, "nodes", &["--where", "aeg>30", "--json"]).ok().err, "");
}

/// A text that comes out of a database steers no terminal, and is what it was for a program.
#[test]
fn what_a_program_reads_is_what_is_there() {
    let folder = Folder::new();
    let hostile = "a\u{1b}[31m\u{7f}\u{9b}31m\u{202e}b";
    folder.file("g.jsonl", json!({ "type": "node", "key": hostile }).to_string());
    folder.run(&["import", "g.kitedb", "g.jsonl"]).ok();
    let table = ask(&folder, "nodes", &[]).ok().out;
    assert!(!table.contains(['\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}']), "{table:?}");
    assert_eq!(ask(&folder, "nodes", &["--csv"]).ok().out, format!("id,key,labels\r\n1,{hostile},\r\n"));
    assert_eq!(ask(&folder, "nodes", &["--json"]).json()["nodes"][0]["key"], hostile);
    assert_eq!(folder.run(&["get", "g.kitedb", hostile, "--json"]).json()["key"], hostile);
}

#[test]
fn who_asks_for_json_gets_its_errors_as_json() {
    let folder = people();
    let error = |args: &[&str]| -> (i32, Json) {
        let run = folder.run(args);
        assert!(run.out.is_empty() && run.err.lines().count() == 1, "{run:?}");
        (run.code, serde_json::from_str(&run.err).unwrap())
    };
    for (args, code, name) in [
        (&["get", "g.kitedb", "nobody", "--json"][..], 1, "NODE_NOT_FOUND"),
        (&["nodes", "none.kitedb", "--jsonl"], 1, "NOT_FOUND"),
        (&["stats", "people.jsonl", "--json"], 1, "NOT_A_DATABASE"),
        (&["nodes", "g.kitedb", "--json", "--where", "age>"], 2, "INVALID_ARGUMENT"),
        (&["count", "g.kitedb", "--json", "--where", "age>1"], 2, "INVALID_ARGUMENT"),
        (&["reach", "g.kitedb", "ada", "--json", "--nonsense"], 2, "INVALID_ARGUMENT"),
        (&["role", "none.kitedb", "detach", "--json"], 1, "NOT_FOUND"),
    ] {
        let (exit, document) = error(args);
        assert_eq!((exit, &document["code"]), (code, &json!(name)), "{args:?}: {document}");
        assert!(document["message"].is_string() && document["hint"].is_string(), "{args:?}: {document}");
    }
    let (_, document) = error(&["nodes", "g.kitedb", "--json", "--where", "age>"]);
    let message = document["message"].as_str().unwrap();
    assert!(
        message.contains("at character 5") && !message.contains("Usage") && !message.contains("error:"),
        "{message}"
    );
    // Help is none.
    assert!(folder.run(&["nodes", "--help", "--json"]).ok().out.contains("--where"));
    let text = folder.run(&["get", "g.kitedb", "nobody"]);
    assert!(text.code == 1 && text.err.starts_with("error: there is no node"), "{text:?}");
}
