//! `kitedb serve`: the runbook's curl examples, word for word, by a shell.

use crate::support::Folder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

const TOKEN: &str = "correct-horse";

/// A server that runs as a process and is killed with its test.
pub struct Server {
    child: Child,
    said: Json,
}

impl Server {
    pub fn start(folder: &Folder, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let args = [&["serve", "--json"], args].concat();
        let mut command = folder.command(&args);
        Self::of(command.env("PORT", "0").envs(variables.iter().copied()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(!said.is_empty(), "it did not start: {:?}", child.wait_with_output());
        let said = serde_json::from_str(&said).unwrap();
        Self { child, said }
    }

    /// One that may have no more descriptors than that, nor raise the limit.
    pub fn with_descriptors(folder: &Folder, descriptors: usize, args: &[&str]) -> Self {
        let args = [&["serve", "--json"], args].concat();
        let served = folder.command(&args);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {descriptors} && exec \"$@\""), "sh"]);
        limited.arg(served.get_program()).args(served.get_args());
        if let Some(folder) = served.get_current_dir() {
            limited.current_dir(folder);
        }
        for (name, value) in served.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        Self::of(limited.env("PORT", "0"))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self) -> &str {
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

    pub fn json(&self, line: &str) -> Json {
        serde_json::from_str(&self.shell(line)).unwrap()
    }

    /// Sends SIGTERM and waits; the exit code.
    fn end(self) -> Option<i32> {
        self.end_and_tell().0
    }

    /// The same, and what it told on standard error.
    pub fn end_and_tell(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A primary `p.kitedb` with two nodes and an edge, and a replica `r.kitedb` of it.
pub fn group() -> Folder {
    let folder = Folder::new();
    folder.file("edges.txt", "ada charles KNOWS\n");
    folder.run(&["import", "p.kitedb", "edges.txt", "--role", "primary"]).ok();
    folder.run(&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"]).ok();
    folder
}

/// A file that nobody else may write to.
fn private(folder: &Folder, name: &str, content: impl AsRef<[u8]>) {
    fs::set_permissions(folder.file(name, content), fs::Permissions::from_mode(0o600)).unwrap();
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

/// The way in which the documentation makes a hash makes one that is admitted.
#[test]
fn a_token_whose_hash_a_shell_made_does_what_its_scopes_say() {
    let folder = group();
    let hash = r#"printf '{"tokens":{"%s":{"name":"prometheus","scopes":["metrics"]}}}' "$(printf %s scrape-it | sha256sum | cut -d' ' -f1)""#;
    let made = Command::new("sh").args(["-ec", hash]).output().unwrap();
    private(&folder, "tokens.json", made.stdout);
    let variables = [("KITEDB_TOKENS_FILE", "tokens.json"), ("RUST_LOG", "off"), ("KITEDB_LOG", "kitedb::access=info")];
    let server = Server::start(&folder, &["p.kitedb"], &variables);
    let asked = |route: &str| format!(r#"curl -sS -H "Authorization: Bearer scrape-it" "$BASE{route}?secret=query""#);
    assert!(server.shell(&asked("/metrics")).contains("# TYPE kitedb_replication_auth_enabled"));
    assert_eq!(server.json(&asked("/api/replication/log"))["code"], "FORBIDDEN");
    let (code, told) = server.end_and_tell();
    assert_eq!(code, Some(0), "{told}");
    let [scraped, refused] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(scraped.contains(r#"path="/metrics" status=200"#) && scraped.contains(r#"who="prometheus""#), "{told}");
    assert!(refused.contains(r#"path="/api/replication/log" status=403"#), "{told}");
    assert!(!told.contains("scrape-it") && !told.contains("secret"), "{told}");
}

#[test]
fn a_tokens_file_that_breaks_is_told_of_once_and_what_it_said_stays_in_force() {
    let folder = group();
    private(&folder, "admin.token", format!("{TOKEN}\n"));
    let server = Server::start(&folder, &["p.kitedb"], &[("REPLICATION_ADMIN_TOKEN_FILE", "admin.token")]);
    assert!(server.shell(METRICS).contains("# TYPE kitedb_replication_auth_enabled"));
    private(&folder, "admin.token", "secret\u{7}");
    for _ in 0..4 {
        server.shell("sleep 0.7");
        assert!(server.shell(METRICS).contains("# TYPE kitedb_replication_auth_enabled"));
    }
    let (_, told) = server.end_and_tell();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("ERROR") && told.contains("admin.token") && told.contains("stays in force"), "{told}");
    assert!(!told.contains("secret") && !told.contains(TOKEN), "{told}");
}

#[test]
fn what_cannot_be_meant_does_not_start() {
    let folder = group();
    for (args, variables, code, says) in [
        (&["p.kitedb"][..], &[("REPLICATION_ADMIN_AUTH_MODE", "token")][..], 2, "requires a non-empty token"),
        (&["p.kitedb"], &[("REPLICATION_ADMIN_AUTH_MODE", "tokens")], 2, "Invalid REPLICATION_ADMIN_AUTH_MODE"),
        (&["p.kitedb"], &[("HOST", "0.0.0.0")], 2, "can be reached from elsewhere"),
        (&["p.kitedb"], &[("PORT", "http")], 2, "Invalid PORT"),
        (&["p.kitedb"], &[("KITEDB_TOKENS_FILE", "none.json")], 2, "none.json"),
        (&["p.kitedb"], &[("REPLICATION_MTLS_NATIVE_SUBJECT_REGEX", "CN=a")], 2, "REPLICATION_MTLS_NATIVE_TLS"),
        (&["p.kitedb"], &[("KITEDB_LOG", "a=b=c")], 2, "Invalid KITEDB_LOG"),
        (&["p.kitedb"], &[("REPLICATION_ADMIN_TOKEN", "a"), ("REPLICATION_ADMIN_TOKEN_FILE", "a")], 2, "told twice"),
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
fn several_databases_and_a_socket() {
    let folder = group();
    let server = Server::start(&folder, &["p.kitedb", "r.kitedb"], &[]);
    assert_eq!(server.said["databases"], json!(["p", "r"]));
    for (name, role) in [("p", "primary"), ("r", "replica")] {
        let line = format!(r#"curl -sS "$BASE/db/{name}/api/replication/status""#);
        assert_eq!(server.json(&line)["role"], role);
    }
    assert_eq!(server.end(), Some(0));
    for args in [
        ["p.kitedb", "r.kitedb", "--lead"],
        ["p.kitedb", "r.kitedb", "./p.kitedb"],
        ["p.kitedb", "none.kitedb", "r.kitedb"],
    ] {
        let refused = folder.run(&[&["serve"][..], &args].concat());
        assert_ne!(refused.code, 0, "{args:?}");
    }

    let server = Server::start(&folder, &["p.kitedb", "--socket", "kitedb.sock"], &[]);
    assert_eq!(server.url(), "unix:kitedb.sock");
    let socket = folder.path().join("kitedb.sock");
    let line = format!(r#"curl -sS --unix-socket "{}" http://localhost/readyz"#, socket.display());
    assert_eq!(server.json(&line)["ready"], true);
    assert_eq!(server.end(), Some(0));
    assert!(!socket.exists());
}

/// As systemd does: the socket is made first, and handed to the process that is started.
#[test]
fn a_socket_that_is_handed_over_is_served() {
    const START: &str = "import os, socket, sys\n\
        s = socket.create_server(('127.0.0.1', 0))\n\
        os.dup2(s.fileno(), 3)\n\
        os.set_inheritable(3, True)\n\
        os.environ['LISTEN_FDS'], os.environ['LISTEN_PID'] = '1', str(os.getpid())\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let folder = group();
    let mut command = Command::new("python3");
    command.args(["-c", START, env!("CARGO_BIN_EXE_kitedb"), "serve", "--json"]).arg(folder.path().join("p.kitedb"));
    // Where it would listen otherwise is no place to listen at.
    let server = Server::of(command.env("PORT", "0").env("HOST", "192.0.2.1"));
    assert!(server.url().starts_with("http://127.0.0.1:"), "{}", server.url());
    assert_eq!(server.json(r#"curl -sS "$BASE/healthz""#), json!({ "alive": true }));
    assert_eq!(server.end(), Some(0));
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
