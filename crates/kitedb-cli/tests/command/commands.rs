//! Exit codes, output for people and for scripts, and readers that go away.

use crate::support::Folder;
use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

fn star(leaves: usize) -> String {
    (0..leaves).map(|leaf| format!("hub leaf{leaf} {}\n", if leaf % 2 == 0 { "EVEN" } else { "ODD" })).collect()
}

#[test]
fn exit_codes_tell_what_happened() {
    let folder = Folder::new();
    folder.file("graph.txt", "a b\n");
    folder.file("not-a-database.kitedb", "some text, long enough to be looked at\n".repeat(500));
    folder.run(&["import", "g.kitedb", "graph.txt"]).ok();
    for (args, code, phrase) in [
        (&["stats", "g.kitedb"][..], 0, ""),
        (&["check", "g.kitedb"], 0, ""),
        (&["stats", "nowhere.kitedb"], 1, "error: "),
        (&["stats", "not-a-database.kitedb"], 1, "error: "),
        (&["get", "g.kitedb", "nobody"], 1, "error: there is no node with the key `nobody`"),
        (&["get", "g.kitedb", "--id", "99"], 1, "error: there is no node 99"),
        (&["get", "g.kitedb", "--id", "x"], 2, "error: `x` is not a node's number"),
        (&["import", "g.kitedb", "nowhere.txt"], 1, "error: cannot read nowhere.txt"),
        (&["import", "g.kitedb", "-"], 2, "error: cannot tell the format"),
        (&["import", "g.kitedb"], 2, "error: "),
        (&["paint", "g.kitedb"], 2, "error: "),
        (&["--help"], 0, ""),
        (&["--version"], 0, ""),
    ] {
        let run = folder.run(args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert!(run.err.starts_with(phrase), "{args:?}: {run:?}");
        assert!(!run.err.contains("panicked"), "{args:?}: {run:?}");
    }
    assert!(!folder.path().join("nowhere.kitedb").exists());
}

#[test]
fn a_database_of_kitedb_0_2_is_known_to_every_command() {
    let folder = Folder::new();
    folder.file("graph.txt", "a b\n");
    folder.run(&["import", "g.kitedb", "graph.txt", "--role", "primary"]).ok();
    let old = include_bytes!("../../../kitedb-core/tests/data/first_page_of_kitedb_0_2.bin");
    let path = folder.path().join("old.kitedb");
    fs::write(&path, old).unwrap();
    for args in [
        &["stats", "old.kitedb"][..],
        &["check", "old.kitedb"],
        &["get", "old.kitedb", "a"],
        &["role", "old.kitedb"],
        &["repair", "old.kitedb"],
        &["import", "old.kitedb", "graph.txt"],
        &["primary", "status", "old.kitedb"],
        &["primary", "promote", "old.kitedb", "--force"],
        &["replica", "bootstrap", "old.kitedb", "--source-db", "g.kitedb"],
        &["replica", "bootstrap", "old.kitedb", "--source-db", "g.kitedb", "--overwrite"],
        &["replica", "bootstrap", "new.kitedb", "--source-db", "old.kitedb"],
        &["verify", "g.kitedb", "old.kitedb"],
    ] {
        let run = folder.run(args);
        assert!(run.code == 1 || run.code == 3, "{args:?}: {run:?}");
        let told = format!("{}{}", run.out, run.err);
        assert!(told.contains("kitedb 0.2") && told.contains("JSON Lines"), "{args:?}: {run:?}");
    }
    assert_eq!(fs::read(&path).unwrap(), old);
    assert!(!folder.path().join("new.kitedb").exists());
}

#[test]
fn check_finds_damage_and_says_so_with_its_exit_code() {
    let folder = Folder::new();
    folder.file("graph.txt", star(2_000));
    folder.run(&["import", "g.kitedb", "graph.txt"]).ok();
    let file = folder.path().join("g.kitedb");
    let mut bytes = fs::read(&file).unwrap();
    // Past both headers, wherever that is: something that was written must notice.
    let text = bytes.windows(8).position(|window| window == b"leaf1000").unwrap();
    bytes[text] ^= 0x20;
    fs::write(&file, bytes).unwrap();

    let run = folder.run(&["check", "g.kitedb"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.out.contains("damaged") || run.err.contains("error: "), "{run:?}");
    let run = folder.run(&["check", "g.kitedb", "--json"]);
    assert_eq!(run.code, 3, "{run:?}");
}

#[test]
fn neighbors_come_by_type_direction_and_limit() {
    let folder = Folder::new();
    folder.file("graph.txt", star(2_500));
    folder.run(&["import", "g.kitedb", "graph.txt"]).ok();
    for (rest, count, more) in [
        (&[][..], 2_500, false),
        (&["--type", "ODD"], 1_250, false),
        (&["--type", "NOT_THERE"], 0, false),
        (&["--limit", "1000"], 1_000, true),
        (&["--limit", "2500"], 2_500, false),
        (&["--type", "EVEN", "--limit", "7"], 7, true),
        (&["--in"], 0, false),
    ] {
        let found = folder.run(&[&["neighbors", "g.kitedb", "hub", "--json"], rest].concat()).json();
        assert_eq!((&found["count"], &found["more"]), (&json!(count), &json!(more)), "{rest:?}");
        assert_eq!(found["neighbors"].as_array().unwrap().len(), count, "{rest:?}");
        assert_eq!(found["node"]["key"], "hub");
    }
    let found = folder.run(&["neighbors", "g.kitedb", "hub", "--type", "ODD", "--json"]).json();
    assert!(found["neighbors"].as_array().unwrap().iter().all(|neighbor| neighbor["type"] == "ODD"));
    let found = folder.run(&["neighbors", "g.kitedb", "leaf3", "--in", "--json"]).json();
    assert_eq!(found["neighbors"][0]["key"], "hub");
}

#[test]
fn output_into_a_pipe_is_plain() {
    let folder = Folder::new();
    folder.file("graph.txt", "a b T\nbad\n");
    for args in [
        &["import", "g.kitedb", "graph.txt", "--skip-bad"][..],
        &["stats", "g.kitedb"],
        &["check", "g.kitedb"],
        &["get", "g.kitedb", "a"],
        &["neighbors", "g.kitedb", "a"],
        &["nodes", "g.kitedb", "--show", "degree", "--where", "not has nothing"],
        &["edges", "g.kitedb"],
        &["count", "g.kitedb", "--by", "type"],
        &["top", "g.kitedb", "--by", "pagerank"],
        &["set", "g.kitedb", "a", "x=1"],
        &["delete", "g.kitedb", "a"],
        &["get", "g.kitedb", "nobody"],
        &["--help"],
    ] {
        let run = folder.run(args);
        assert!(!run.out.contains('\x1b') && !run.err.contains('\x1b'), "{args:?}: {run:?}");
        assert!(!run.out.is_empty() || !run.err.is_empty(), "{args:?}");
    }
}

#[test]
fn what_stands_in_a_database_cannot_steer_the_terminal() {
    let folder = Folder::new();
    let line = r#"{"key":"k","labels":["L\u001b[31m"],"props":{"p\u0007":"\u001b[2Jgone"}}"#;
    folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl"], line).ok();
    let run = folder.run(&["get", "g.kitedb", "k"]).ok();
    assert!(run.out.contains("\\u{1b}[2Jgone"), "{run:?}");
    assert!(!run.out.contains(['\x1b', '\x07']), "{run:?}");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let folder = Folder::new();
    folder.file("graph.txt", star(20_000));
    folder.run(&["import", "g.kitedb", "graph.txt"]).ok();
    for args in [&["neighbors", "g.kitedb", "hub"][..], &["nodes", "g.kitedb", "--key-prefix", "leaf"]] {
        let mut command = folder.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("leaf"), "{line}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn nodes_without_a_key_are_found_by_number() {
    let folder = Folder::new();
    folder.file("graph.txt", "a b\n");
    folder.run(&["import", "g.kitedb", "graph.txt"]).ok();
    let by_key = folder.run(&["get", "g.kitedb", "b", "--json"]).json();
    let id = by_key["id"].to_string();
    assert_eq!(folder.run(&["get", "g.kitedb", &id, "--id", "--json"]).json(), by_key);
}

#[test]
fn readers_work_beside_a_running_import_and_a_second_writer_is_told_to_wait() {
    let folder = Folder::new();
    folder.file("other.txt", "x y\n");
    let mut command = folder.command(&["import", "g.kitedb", "-", "--format", "edgelist", "--batch", "2"]);
    let mut writer = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    // The last line waits for its batch to fill: only what is committed is seen.
    input.write_all(b"a b\nb c\nc d\nd e\ne f\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let run = folder.run(&["stats", "g.kitedb", "--json"]);
        if run.code == 0 && run.json()["edges"] == 4 {
            break;
        }
        assert!(Instant::now() < deadline, "the import never came to its second batch");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(folder.run(&["check", "g.kitedb", "--json"]).json()["clean"], true);
    assert_eq!(folder.run(&["get", "g.kitedb", "d", "--json"]).json()["in_degree"], 1);
    assert_eq!(folder.run(&["nodes", "g.kitedb", "--where", "key=d", "--json"]).json()["count"], 1);
    let run = folder.run(&["import", "g.kitedb", "other.txt"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("hint: another process writes to it"), "{run:?}");
    let run = folder.run(&["set", "g.kitedb", "a", "x=1"]);
    assert!(run.code == 1 && run.err.contains("hint: stop that process first"), "{run:?}");

    drop(input);
    assert!(writer.wait().unwrap().success());
    assert_eq!(folder.run(&["stats", "g.kitedb", "--json"]).json()["edges"], 5);
}
