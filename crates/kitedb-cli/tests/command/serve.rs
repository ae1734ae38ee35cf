//! `kitedb serve`: the runbook's curl examples, word for word, by a shell.

use crate::support::Folder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const TOKEN: &str = "correct-horse";

/// A server that runs as a process and is killed with its test.
struct Server {
    child: Child,
    said: Json,
}

impl Server {
    fn start(folder: &Folder, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let args = [&["serve", "--json"], args].concat();
        let mut command = folder.command(&args);
        command.env("PORT", "0").envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(!said.is_empty(), "it did not start: {:?}", child.wait_with_output());
        let said = serde_json::from_str(&said).unwrap();
        Self { child, said }
    }

    fn url(&self) -> &str {
        self.said["url"].as_str().unwrap()
    }

    /// What a line of the runbook answers, with its variables set.
    fn shell(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-ec", line]).env("BASE", self.url()).env("REPLICATION_ADMIN_TOKEN", TOKEN);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Json {
        serde_json::from_str(&self.shell(line)).unwrap()
    }

    /// Sends SIGTERM and waits; the exit code.
    fn end(mut self) -> Option<i32> {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A primary `p.kitedb` with two nodes and an edge, and a replica `r.kitedb` of it.
fn group() -> Folder {
    let folder = Folder::new();
    folder.file("edges.txt", "ada charles KNOWS\n");
    folder.run(&["import", "p.kitedb", "edges.txt", "--role", "primary"]).ok();
    folder.run(&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"]).ok();
    folder
}

const BATCH: &str = r#"curl -sS -X POST -H "Idempotency-Key: 1" -d '{"mutations":[{"op":"upsertNode","key":"mary"}]}' "$BASE/api/graph/batch""#;
const NODE: &str = r#"curl -sS "$BASE/api/graph/node?key=mary""#;
const STATUS: &str = r#"curl -sS "$BASE/api/replication/status""#;
const METRICS: &str = r#"curl -sS -H "Authorization: Bearer $REPLICATION_ADMIN_TOKEN" "$BASE/api/replication/metrics""#;
const LOG: &str = r#"curl -sS -H "Authorization: Bearer $REPLICATION_ADMIN_TOKEN" "$BASE/api/replication/log?maxFrames=128&maxBytes=1048576""#;
const PULL: &str = r#"curl -sS -X POST -H "Authorization: Bearer $REPLICATION_ADMIN_TOKEN" -H "Content-Type: application/json" -d '{"maxFrames":256}' "$BASE/api/replication/pull""#;
const RESEED: &str =
    r#"curl -sS -X POST -H "Authorization: Bearer $REPLICATION_ADMIN_TOKEN" "$BASE/api/replication/reseed""#;
const PROMOTE: &str =
    r#"curl -sS -X POST -H "Authorization: Bearer $REPLICATION_ADMIN_TOKEN" "$BASE/api/replication/promote""#;
const CERTIFIED: &str = r#"curl -sS -H "x-client-cert: CN=allowed-client,O=RayDB" "$BASE/api/replication/metrics""#;

#[test]
fn the_lines_of_the_runbook_work_beside_nobody() {
    let folder = group();
    let by_token = [("REPLICATION_ADMIN_TOKEN", TOKEN)];
    let primary = Server::start(&folder, &["p.kitedb"], &by_token);
    assert_eq!((&primary.said["role"], &primary.said["writes"]), (&json!("primary"), &json!(false)));
    let status = primary.json(STATUS);
    assert_eq!(
        (&status["connected"], &status["authEnabled"], &status["role"]),
        (&json!(true), &json!(true), &json!("primary"))
    );
    assert!(primary.shell(METRICS).contains("# TYPE kitedb_replication_enabled gauge"));
    let page = primary.json(LOG);
    assert_eq!((&page["success"], &page["eof"]), (&json!(true), &json!(true)), "{page}");
    assert!(page["frameCount"].as_u64().unwrap() > 0, "{page}");

    let replica = Server::start(&folder, &["r.kitedb"], &by_token);
    folder.file("more.txt", "ada grace KNOWS\n");
    folder.run(&["import", "p.kitedb", "more.txt"]).ok();
    let pulled = replica.json(PULL);
    assert_eq!((&pulled["success"], &pulled["role"]), (&json!(true), &json!("replica")), "{pulled}");
    assert!(pulled["appliedFrames"].as_u64().unwrap() > 0, "{pulled}");
    assert_eq!(replica.json(RESEED)["replica"]["needsReseed"], false);
    assert_eq!(primary.json(PROMOTE)["epoch"], 2);
    assert_eq!((primary.end(), replica.end()), (Some(0), Some(0)));
    folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
}

#[test]
fn the_line_with_a_certificate_works_from_this_machine() {
    let folder = group();
    let variables = [
        ("REPLICATION_ADMIN_AUTH_MODE", "mtls"),
        ("REPLICATION_MTLS_HEADER", "x-client-cert"),
        ("REPLICATION_MTLS_SUBJECT_REGEX", "CN=allowed-client"),
    ];
    let server = Server::start(&folder, &["p.kitedb"], &variables);
    assert!(server.shell(CERTIFIED).contains("kitedb_replication_auth_enabled"));
    assert_eq!(server.json(LOG)["code"], "UNAUTHORIZED");
}

#[test]
fn a_server_that_leads_or_follows_has_it_open_for_writing() {
    let folder = group();
    let by_token = [("REPLICATION_ADMIN_TOKEN", TOKEN)];
    let primary = Server::start(&folder, &["p.kitedb", "--lead"], &by_token);
    let replica = Server::start(&folder, &["r.kitedb", "--follow"], &by_token);
    let refused = folder.run(&["import", "p.kitedb", "edges.txt"]);
    assert_ne!(refused.code, 0);
    assert_eq!(primary.json(PROMOTE)["epoch"], 2);
    let asked = STATUS.replace("-sS", r#"-sS -H "Authorization: Bearer $REPLICATION_ADMIN_TOKEN""#);
    assert_eq!(replica.json(&asked)["replica"]["followerRunning"], true);
    assert_eq!((replica.end(), primary.end()), (Some(0), Some(0)));
    folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
}

#[test]
fn what_cannot_be_meant_does_not_start() {
    let folder = group();
    for (args, variables, code, says) in [
        (&["p.kitedb"][..], &[("REPLICATION_ADMIN_AUTH_MODE", "token")][..], 2, "requires a non-empty token"),
        (&["p.kitedb"], &[("REPLICATION_ADMIN_AUTH_MODE", "tokens")], 2, "Invalid REPLICATION_ADMIN_AUTH_MODE"),
        (&["p.kitedb"], &[("HOST", "0.0.0.0")], 2, "can be reached from elsewhere"),
        (&["p.kitedb"], &[("PORT", "http")], 2, "Invalid PORT"),
        (&["none.kitedb"], &[], 1, "none.kitedb"),
        (&["p.kitedb", "--follow"], &[], 1, "is no replica"),
        (&["r.kitedb", "--lead"], &[], 1, "is no primary"),
    ] {
        let mut command = folder.command(&[&["serve"], args].concat());
        let output = command.env("PORT", "0").envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn everybody_may_change_the_graph_only_where_that_was_said() {
    let folder = group();
    let server = Server::start(&folder, &["p.kitedb"], &[]);
    assert_eq!(server.json(BATCH)["code"], "FORBIDDEN");
    assert_eq!(server.json(NODE)["code"], "NODE_NOT_FOUND");
    assert_eq!(server.end(), Some(0));
    let server = Server::start(&folder, &["p.kitedb", "--allow-writes"], &[]);
    let done = server.json(BATCH);
    assert_eq!(done["results"][0]["created"], true, "{done}");
    assert_eq!(server.json(NODE)["node"]["id"], done["results"][0]["id"]);
    // Once, though it is asked for twice.
    assert_eq!(server.json(BATCH)["results"], done["results"]);
    assert_eq!(server.end(), Some(0));
}
