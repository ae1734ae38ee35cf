//! The cases of `tests/conformance/`, which Node and Python run, too: see the README there.
// A call that returns nothing gives null, which a function makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unit_arg, missing_docs)]

mod graph;
mod options;
mod scene;
mod tags;
mod told;

use scene::{Failure, Scene};
use serde_json::Value as Json;
use std::{collections::BTreeSet, fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn read(path: PathBuf) -> Json {
    let text = fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text<'j>(step: &'j Json, member: &str) -> Option<&'j str> {
    step.get(member).and_then(Json::as_str)
}

/// What is wrong with what came of a step, if anything is.
fn fault(scene: &mut Scene, step: &Json) -> Option<String> {
    let known = ["on", "call", "args", "with", "as", "gives", "fails", "says"];
    if let Some(member) = step.as_object().unwrap().keys().find(|member| !known.contains(&member.as_str())) {
        return Some(format!("a step has no {member}"));
    }
    match (scene.run(step), text(step, "fails")) {
        (Err(Failure { code, message }), Some(expected)) => {
            let says = text(step, "says").is_none_or(|says| message.to_lowercase().contains(&says.to_lowercase()));
            (code != expected || !says).then(|| format!("it failed with {code}: {message}"))
        }
        (Err(Failure { code, message }), None) => Some(format!("it failed with {code}: {message}")),
        (Ok(result), Some(_)) => Some(format!("it gave {result}")),
        (Ok(result), None) => {
            let expected = step.get("gives").map(|gives| scene.resolved(gives))?;
            (!tags::matches(&expected, &result)).then(|| format!("it gave {result}"))
        }
    }
}

/// Every case of a file; what is wrong with each one that failed.
fn run(file: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let cases = read(folder().join("cases").join(file));
    for case in cases["cases"].as_array().unwrap() {
        let mut scene = Scene::new();
        if case.get("open") != Some(&Json::Bool(false)) {
            scene
                .open_first(case.get("options"))
                .unwrap_or_else(|Failure { code, message }| panic!("{code}: {message}"));
        }
        for (nth, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            if let Some(fault) = fault(&mut scene, step) {
                let name = text(case, "name").unwrap();
                faults.push(format!("{file}: {name}\n  step {}: {step}\n  {fault}", nth + 1));
                break;
            }
        }
    }
    faults
}

macro_rules! subjects {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let faults = run(concat!(stringify!($name), ".json"));
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        })*

        /// No file is there that no test runs.
        #[test]
        fn every_file_of_cases_is_run() {
            let files = fs::read_dir(folder().join("cases")).unwrap();
            let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            let run = [$(concat!(stringify!($name), ".json")),*].into_iter().map(str::to_owned).collect();
            assert_eq!(files, run);
        }
    };
}

subjects! { edges nodes open reads replication transactions upkeep upserts values }

/// Writes the database with definitions of indexes that a case reads: no call of the interface makes them yet.
///
/// `cargo test -p kitedb-bindings --test conformance -- --ignored` after a change of the format.
#[test]
#[ignore = "it writes a file of the repository"]
fn write_the_database_with_indexes() {
    use kitedb::{Database, IndexOn, IndexSpec, IndexState, OpenOptions, Transaction, testing::DefineIndexes};
    // A file remembers its folder: one that says nothing of whoever made it.
    let made_in = std::env::temp_dir().join("kitedb-conformance");
    let path = made_in.join("indexes.kitedb");
    drop(fs::remove_dir_all(&made_in));
    fs::create_dir_all(&made_in).unwrap();
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    let label = |property: &str| IndexSpec::new(IndexOn::Label("Person".to_owned()), property).unique(true);
    db.transaction(|tx| {
        tx.define_index("person_email", &label("email"))?;
        tx.define_index("since", &IndexSpec::new(IndexOn::EdgeType("KNOWS".to_owned()), "since"))?;
        tx.set_index_state("since", IndexState::Ready)?;
        tx.define_index("person_name", &label("name"))?;
        let twin = |tx: &mut Transaction| {
            let twin = tx.create_node(None)?;
            tx.add_node_label(twin, "Person")?;
            tx.set_node_prop(twin, "name", "Ada").map(|()| twin)
        };
        let twins = [twin(tx)?, twin(tx)?];
        tx.set_index_state("person_name", IndexState::EqualNodes(twins))
    })
    .unwrap();
    db.close().unwrap();
    fs::copy(&path, folder().join("data/indexes.kitedb")).unwrap();
    fs::remove_dir_all(made_in).unwrap();
}

/// Each code says there what it says here, and is met by a case or has a reason why it is not.
#[test]
fn every_error_code_is_listed_and_met() {
    let listed = read(folder().join("errors.json"));
    let mut met = BTreeSet::new();
    for file in fs::read_dir(folder().join("cases")).unwrap() {
        for case in read(file.unwrap().path())["cases"].as_array().unwrap() {
            let codes = case["steps"].as_array().unwrap().iter().filter_map(|step| text(step, "fails"));
            met.extend(codes.map(str::to_owned));
        }
    }
    let listed = listed.as_object().unwrap();
    for (code, entry) in listed {
        let reason = text(entry, "no_case").is_some();
        assert_ne!(met.contains(code), reason, "{code} is met by a case, or has a reason why not: one of both");
    }
    let unlisted: Vec<_> = met.iter().filter(|code| !listed.contains_key(*code)).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}
