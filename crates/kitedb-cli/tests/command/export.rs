//! What `kitedb export` writes is the whole graph: `kitedb import` reads it back to an equal digest.

use crate::support::Folder;
use kitedb_core::{
    Database, Date, DateTime, Duration, GraphRead, LocalDateTime, LocalTime, NewNode, NodeId, OpenOptions, Result,
    Time, Transaction, Value,
};
use serde_json::json;
use std::{
    fs,
    process::{Command, Stdio},
};

/// Random numbers, the same for a seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn text(&mut self) -> String {
        let letters = ["a", "\"", "\\", "\n", "\u{1b}[31m", "é", "\u{10ffff}", "$map", "\u{0}", " "];
        (0..self.below(6)).map(|_| letters[self.below(10) as usize]).collect()
    }

    /// A value of any kind.
    fn value(&mut self, depth: u32) -> Value {
        let kinds = if depth < 4 { 15 } else { 13 };
        let nanos = self.below(1_000_000_000) as u32;
        let second = self.next() as i64 / 1_000;
        let offset = self.below(129_601) as i32 - 64_800;
        match self.below(kinds) {
            0 => Value::Null,
            1 => (self.below(2) == 0).into(),
            2 => (self.next() as i64).into(),
            3 => f64::from_bits(self.next()).into(),
            4 => [f64::NAN, -0.0, f64::INFINITY, 1e300, 3.0][self.below(5) as usize].into(),
            5 => self.text().into(),
            6 => Value::Bytes((0..self.below(9)).map(|_| self.next() as u8).collect()),
            7 => Value::Vector((0..self.below(5)).map(|_| f32::from_bits(self.next() as u32)).collect()),
            8 => Date::new(second / 86_400).unwrap().into(),
            9 => LocalTime::new(self.below(86_400_000_000_000)).unwrap().into(),
            10 => Time::new(self.below(86_400_000_000_000), offset).unwrap().into(),
            11 if nanos.is_multiple_of(2) => LocalDateTime::new(second, nanos).unwrap().into(),
            11 => {
                DateTime::new(second, nanos, offset, Some("Mars/Olympus").filter(|_| second % 2 == 0)).unwrap().into()
            }
            12 => Duration::new(self.next() as i64, second, self.next() as i64, nanos).unwrap().into(),
            13 => Value::List((0..self.below(4)).map(|_| self.value(depth + 1)).collect()),
            _ => {
                let names = ["$date", "$map", "", "plain", "_key"];
                let count = self.below(3);
                Value::Map(
                    (0..count).map(|_| (names[self.below(5) as usize].to_owned(), self.value(depth + 1))).collect(),
                )
            }
        }
    }
}

/// A few changes of any kind.
fn change(chance: &mut Chance, tx: &mut Transaction) -> Result<()> {
    let any = |chance: &mut Chance, tx: &Transaction| {
        let nodes: Vec<_> = tx.nodes().map(|node| node.unwrap().id()).collect();
        nodes.get(chance.below(nodes.len().max(1) as u64) as usize).copied().unwrap_or(NodeId(1))
    };
    for _ in 0..8 {
        let (a, b) = (any(chance, tx), any(chance, tx));
        let ty = format!("TYPE {}", chance.below(3));
        let name = format!("p{}{}", chance.below(5), if chance.below(9) == 0 { "\"$ é" } else { "" });
        let done = match chance.below(15) {
            0..=3 => {
                let key = format!("key {}\n", chance.below(40));
                let id = (chance.below(5) == 0).then(|| NodeId(1 + chance.below(1 << 50)));
                let label = tx.label_id_or_create(&format!("Label {}", chance.below(4)))?;
                let key = Some(&*key).filter(|_| id.is_none());
                tx.create_node_with(NewNode::new().maybe_id(id).maybe_key(key).labels(&[label])).map(drop)
            }
            4 => tx.delete_node(a),
            5..=7 => tx.set_node_prop(a, &*name, chance.value(0)),
            8 => tx.add_edge(a, &*ty, b),
            9 => {
                let key = tx.propkey_id_or_create(&name)?;
                tx.upsert_edge_with_props(a, &*ty, b, &[(key, Some(chance.value(0)))]).map(drop)
            }
            12 => tx.add_parallel_edge(a, &*ty, b, &[]).map(drop),
            13 => {
                let key = tx.propkey_id_or_create(&name)?;
                tx.add_parallel_edge(b, &*ty, a, &[(key, chance.value(0))]).map(drop)
            }
            14 => tx.delete_edge(a, &*ty, b),
            10 => tx.set_node_vector(a, "embedding", &[0.1, f32::from_bits(1), -(chance.below(9) as f32) - 1.0]),
            _ => tx.delete_node_prop(a, &*name).map(drop),
        };
        // What is refused changes nothing.
        drop(done);
    }
    Ok(())
}

fn random_graph(folder: &Folder, name: &str, seed: u64) -> String {
    let db = Database::open(folder.path().join(name), OpenOptions::new()).unwrap();
    let mut chance = Chance(seed);
    for round in 0..10 + chance.below(10) {
        let mut tx = db.begin().unwrap();
        // An id of a name that nobody has in the end.
        drop(tx.propkey_id_or_create(&format!("given up {round}")));
        if round % 3 == 1 {
            continue;
        }
        change(&mut chance, &mut tx).unwrap();
        tx.commit().unwrap();
        if round % 4 == 3 {
            db.checkpoint().unwrap();
        }
    }
    let digest = db.check().unwrap().digest.to_string();
    db.close().unwrap();
    digest
}

#[test]
fn an_export_reads_back_to_an_equal_digest() {
    let folder = Folder::new();
    for seed in 0..12 {
        let (from, file, to) = (format!("{seed}.kitedb"), format!("{seed}.jsonl"), format!("{seed}-copy.kitedb"));
        let digest = random_graph(&folder, &from, seed);
        let report = folder.run(&["export", &from, "--output", &file, "--json"]).json();
        assert_eq!(report["digest"], *digest, "seed {seed}");
        folder.run(&["import", &to, &file, "--batch", "7"]).ok();
        let check = folder.run(&["check", &to, "--json"]).json();
        assert_eq!((&check["clean"], &check["digest"]), (&json!(true), &json!(digest)), "seed {seed}");
        for what in ["nodes", "edges", "vectors"] {
            assert_eq!(report[what], check[what], "seed {seed}");
        }
        // And the copy is exported to the same bytes, the token apart.
        let graph = |export: &str| export.split_once('\n').map(|(_, graph)| graph.to_owned()).unwrap();
        let (again, first) = (folder.run(&["export", &to]).ok().out, folder.path().join(&file));
        assert_eq!(graph(&again), graph(&fs::read_to_string(first).unwrap()), "seed {seed}");
        // Which are the same graph, though each came to it by commits of its own.
        let found = folder.run(&["verify", &from, &to, "--json"]).json();
        assert_eq!(found["equal"], true, "seed {seed}: {found}");
    }
}

#[test]
fn values_and_elements_of_any_size_are_exported_and_read_back() {
    let folder = Folder::new();
    let db = Database::open(folder.path().join("g.kitedb"), OpenOptions::new()).unwrap();
    let mut tx = db.begin().unwrap();
    let node = tx.create_node(Some("large")).unwrap();
    tx.propkey_id_or_create("bytes").unwrap();
    tx.add_edge(node, "SELF", node).unwrap();
    let parallel = tx.add_parallel_edge(node, "SELF", node, &[]).unwrap();
    tx.commit().unwrap();
    // The second one fills a frame, also when it is written again.
    let nothing = Value::List(vec![Value::Null; 1 << 20]);
    let nearly_all = Value::Bytes(vec![7; (64 << 20) - 8]);
    for (name, value) in [("list", nothing), ("bytes", nearly_all)] {
        let mut tx = db.begin().unwrap();
        tx.set_node_prop(node, name, value).unwrap();
        tx.commit().unwrap();
    }
    for n in 0..5 {
        let mut tx = db.begin().unwrap();
        let (name, text) = (format!("part {n}"), "x".repeat(700 << 10));
        tx.set_edge_prop(node, "SELF", node, &*name, &*text).unwrap();
        tx.set_edge_prop_by_key(parallel, &*name, text).unwrap();
        tx.commit().unwrap();
    }
    let digest = db.check().unwrap().digest.to_string();
    db.close().unwrap();
    folder.run(&["export", "g.kitedb", "-o", "g.jsonl"]).ok();
    folder.run(&["import", "h.kitedb", "g.jsonl"]).ok();
    assert_eq!(folder.run(&["check", "h.kitedb", "--json"]).json()["digest"], *digest);
}

/// A line says which node or edge it is about, whatever stands before it.
#[test]
fn the_order_of_lines_of_one_kind_does_not_matter() {
    let folder = Folder::new();
    for seed in 0..6 {
        let (from, file, to) = (format!("{seed}.kitedb"), format!("{seed}.jsonl"), format!("{seed}-copy.kitedb"));
        random_graph(&folder, &from, seed);
        let db = Database::open(folder.path().join(&from), OpenOptions::new()).unwrap();
        let mut tx = db.begin().unwrap();
        let (a, b) = (tx.create_node(Some("long")).unwrap(), tx.create_node(Some("other")).unwrap());
        // Of this pair the edge of rank 0 is gone, of the other one it is there.
        tx.add_edge(a, "TYPE 0", b).unwrap();
        tx.add_parallel_edge(a, "TYPE 0", b, &[]).unwrap();
        tx.delete_edge(a, "TYPE 0", b).unwrap();
        tx.add_edge(b, "TYPE 0", a).unwrap();
        let parallel = tx.add_parallel_edge(b, "TYPE 0", a, &[]).unwrap();
        for n in 0..3 {
            // More than one line holds.
            let (name, text) = (format!("part {n}"), "x".repeat(700 << 10));
            tx.set_node_prop(a, &*name, &*text).unwrap();
            tx.set_edge_prop_by_key(parallel, &*name, &*text).unwrap();
            tx.set_edge_prop(b, "TYPE 0", a, &*name, format!("{n}")).unwrap();
        }
        tx.commit().unwrap();
        let digest = db.check().unwrap().digest.to_string();
        db.close().unwrap();
        folder.run(&["export", &from, "-o", &file]).ok();

        let text = fs::read_to_string(folder.path().join(&file)).unwrap();
        let mut chance = Chance(seed);
        let mut shuffled = Vec::new();
        for kind in ["{\"kitedb_export\"", "{\"type\":\"name\"", "{\"type\":\"node\"", "{\"type\":\"edge\"", "{\"end\""]
        {
            let mut lines: Vec<_> = text.lines().filter(|line| line.starts_with(kind)).collect();
            for n in (1..lines.len()).rev() {
                lines.swap(n, chance.below(n as u64 + 1) as usize);
            }
            shuffled.extend(lines);
        }
        assert_eq!(shuffled.len(), text.lines().count());
        folder.file(&file, shuffled.join("\n"));
        folder.run(&["import", &to, &file, "--batch", "7"]).ok();
        assert_eq!(folder.run(&["check", &to, "--json"]).json()["digest"], *digest, "seed {seed}");
        // Once more changes nothing.
        folder.run(&["import", &to, &file]).ok();
        assert_eq!(folder.run(&["check", &to, "--json"]).json()["digest"], *digest, "seed {seed}");
    }
}

/// Whoever imports half of a graph is told, whether he gave a file or a stream.
#[test]
fn an_export_that_was_cut_is_not_taken_for_a_whole_one() {
    let folder = Folder::new();
    random_graph(&folder, "g.kitedb", 3);
    folder.run(&["export", "g.kitedb", "-o", "g.jsonl"]).ok();
    let whole = fs::read_to_string(folder.path().join("g.jsonl")).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let half = (whole.len() / 2..).find(|at| whole.is_char_boundary(*at)).unwrap();
    let cuts = [&whole[..whole.len() - 20], &whole[..half], &lines[..lines.len() - 1].join("\n")];
    for (n, cut) in cuts.iter().enumerate() {
        let (file, to, from_a_stream) = (format!("cut{n}.jsonl"), format!("{n}.kitedb"), format!("{n}-stream.kitedb"));
        folder.file(&file, cut);
        // A file is looked at before anything of it is imported.
        let run = folder.run(&["import", &to, &file]);
        assert!(run.code == 3 && run.err.contains("is cut") && run.err.contains("nothing is imported"), "{run:?}");
        assert!(!folder.path().join(&to).exists());
        for args in [&["import", &to, &file, "--skip-bad"][..], &["import", &from_a_stream, "-", "--format", "jsonl"]] {
            let run = folder.run_with_input(args, cut);
            assert!(run.code == 3 && run.err.contains("is not the whole of an export"), "{run:?}");
            assert!(run.err.contains("what is there of it is imported"), "{run:?}");
        }
    }
    // A line less, and another one in place of one.
    let end = lines.len() - 1;
    let less: Vec<_> = lines.iter().enumerate().filter(|(n, _)| *n != end - 1).map(|(_, line)| *line).collect();
    let mut other = lines.clone();
    other[end - 1] = "{\"key\":\"another\"}";
    for (n, (lines, phrase)) in [(less, "as its last line says"), (other, "has the digest")].iter().enumerate() {
        folder.file("changed.jsonl", lines.join("\n"));
        let to = format!("changed{n}.kitedb");
        let run = folder.run(&["import", &to, "changed.jsonl", "--json"]);
        assert!(run.code == 3 && run.err.contains(phrase), "{run:?}");
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((&report["export"], &report["committed"]), (&json!("incomplete"), &json!(true)), "{report}");
    }
    let report = folder.run(&["import", "whole.kitedb", "g.jsonl", "--json"]).json();
    assert_eq!((&report["export"], &report["export_lack"]), (&json!("whole"), &json!(null)));
    // Another graph is there already: only what was read can be compared.
    folder.run_with_input(&["import", "other.kitedb", "-", "--format", "edgelist"], "x y\n").ok();
    folder.file("small.jsonl", "{\"kitedb_export\":1}\n{\"key\":\"z\"}\n{\"end\":{\"names\":0,\"nodes\":1,\"edges\":0,\"vectors\":0,\"lines\":1,\"digest\":\"7\"}}\n");
    folder.run(&["import", "other.kitedb", "small.jsonl"]).ok();
}

#[test]
fn an_export_of_a_damaged_file_leaves_none_that_looks_whole() {
    let folder = Folder::new();
    let edges: String = (0..20_000).map(|n| format!("node{n} node{} K\n", n * 7 % 20_000)).collect();
    folder.file("edges.txt", edges);
    folder.run(&["import", "g.kitedb", "edges.txt"]).ok();
    let path = folder.path().join("g.kitedb");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).rposition(|bytes| bytes == b"node12345").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let run = folder.run(&["export", "g.kitedb", "-o", "g.jsonl"]);
    assert_eq!(run.code, 3, "{run:?}");
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["edges.txt", "g.kitedb"]);
    let run = folder.run(&["export", "g.kitedb"]);
    assert_eq!(run.code, 3, "{:?}", run.err);
    assert!(!run.out.contains("{\"end\""), "{:?}", run.err);
    let again = folder.run_with_input(&["import", "h.kitedb", "-", "--format", "jsonl"], &run.out);
    assert_eq!(again.code, 3, "{:?}", again.err);
}

#[test]
fn an_export_that_is_stopped_leaves_no_draft() {
    let folder = Folder::new();
    let edges: String = (0..60_000).map(|n| format!("node{n} node{} K\n", n * 7 % 60_000)).collect();
    folder.file("edges.txt", edges);
    folder.run(&["import", "g.kitedb", "edges.txt"]).ok();
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("jsonl")).collect::<Vec<_>>()
    };
    for signal in ["-TERM", "-INT"] {
        // One that is done before the signal comes is tried again.
        let was_stopped = (0..20).any(|_| {
            let _ = fs::remove_file(folder.path().join("g.jsonl"));
            let mut command = folder.command(&["export", "g.kitedb", "-o", "g.jsonl"]);
            let mut child = command.stdout(Stdio::null()).spawn().unwrap();
            // A draft is there from the first line to the last one.
            while names().is_empty() && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            child.wait().unwrap().code() == Some(130) && names() != ["g.jsonl"]
        });
        assert!(was_stopped, "{signal}");
        assert_eq!(names(), Vec::<String>::new(), "{signal}");
    }
    // A file that cannot be written is named.
    let run = folder.run(&["export", "g.kitedb", "-o", "no/such/folder/g.jsonl"]);
    assert!(run.code == 1 && run.err.contains("no/such/folder/"), "{run:?}");
}

#[test]
fn an_export_replaces_no_file_and_leaves_nothing_else() {
    let folder = Folder::new();
    random_graph(&folder, "g.kitedb", 1);
    folder.file("taken.jsonl", "somebody's");
    let run = folder.run(&["export", "g.kitedb", "--output", "taken.jsonl"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("taken.jsonl is there already"), "{}", run.err);
    assert_eq!(fs::read_to_string(folder.path().join("taken.jsonl")).unwrap(), "somebody's");
    let run = folder.run(&["export", "none.kitedb", "--output", "new.jsonl"]);
    assert_eq!(run.code, 1);
    let run = folder.run(&["export", "g.kitedb", "--json"]);
    assert_eq!(run.code, 2, "{run:?}");
    folder.run(&["export", "g.kitedb", "--output", "g.jsonl"]).ok();
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["g.jsonl", "g.kitedb", "taken.jsonl"]);
}

#[test]
fn ids_are_kept_only_where_they_are_free() {
    let folder = Folder::new();
    let lines = "{\"type\":\"name\",\"kind\":\"label\",\"id\":5,\"name\":\"Five\"}\n{\"node_id\":7,\"key\":\"a\",\"labels\":[\"Five\"]}\n";
    folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl"], lines).ok();
    // Once more changes nothing.
    folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl"], lines).ok();
    for (line, phrase) in [
        ("{\"type\":\"name\",\"kind\":\"label\",\"id\":6,\"name\":\"Five\"}", "the label 'Five' has the id 5 already"),
        (
            "{\"type\":\"name\",\"kind\":\"label\",\"id\":5,\"name\":\"Six\"}",
            "the id 5 belongs to the label 'Five' already",
        ),
        ("{\"type\":\"name\",\"kind\":\"label\",\"id\":4000000000,\"name\":\"Far\"}", "is not between 1 and 16777216"),
        ("{\"node_id\":7,\"key\":\"b\"}", "node 7 is there already, and its key is 'a'"),
        ("{\"node_id\":8,\"key\":\"a\"}", "key 'a' belongs to node 7 already"),
        ("{\"src_id\":7,\"dst_id\":9,\"label\":\"T\"}", "node 9 does not exist"),
    ] {
        let run = folder.run_with_input(&["import", "g.kitedb", "-", "--format", "jsonl"], line);
        assert_eq!(run.code, 1, "{line}");
        assert!(run.err.contains(phrase), "{line}: {}", run.err);
    }
    let node = folder.run(&["get", "g.kitedb", "7", "--id", "--json"]).json();
    assert_eq!((&node["key"], &node["labels"]), (&json!("a"), &json!(["Five"])));
}
