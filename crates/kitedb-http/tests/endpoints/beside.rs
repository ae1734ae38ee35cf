//! Beside the process that writes: one of its own, which is this program again.

use super::server::{Server, by_token, commit, primary};
use reqwest::StatusCode;
use serde_json::json;
use std::{
    env,
    io::{BufRead, BufReader, Read, stdin},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const HELD: &str = "KITEDB_HELD_BY_A_TEST";

/// Has a primary open for writing, and commits once whenever it is told to.
#[test]
#[ignore = "the process beside which others serve: they start it"]
fn holds_a_database() {
    let Some(path) = env::var_os(HELD) else { return };
    let db = primary(&PathBuf::from(path), 0);
    eprintln!("holds");
    let mut word = [0];
    while stdin().read(&mut word).unwrap() == 1 {
        commit(&db, 1);
        eprintln!("committed");
    }
    db.close().unwrap();
}

/// A process that has a database open.
pub struct Writer {
    pub process: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Writer {
    pub fn of(path: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "beside::holds_a_database", "--ignored", "--nocapture"]).env(HELD, path);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stderr.take().unwrap());
        let mut writer = Self { process, said };
        writer.wait_for("holds");
        writer
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended without saying {word}");
        }
    }

    pub fn commit(&mut self) {
        use std::io::Write;
        self.process.stdin.as_mut().unwrap().write_all(b"c").unwrap();
        self.wait_for("committed");
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn it_reads_what_is_published_and_writes_nothing_while_another_process_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.kitedb");
    primary(&path, 1).close().unwrap();
    let mut writer = Writer::of(&path);
    let server = Server::beside(&path, by_token()).await;
    let head = async || server.get("/api/replication/status").await.1["primary"]["headLogIndex"].clone();
    assert_eq!(head().await, 1);
    for index in 2..=5 {
        writer.commit();
        assert_eq!(head().await, index);
        let (_, page) = server.get("/api/replication/log").await;
        assert_eq!((&page["frameCount"], &page["headLogIndex"]), (&json!(index), &json!(index)));
    }
    assert_eq!(server.get("/api/replication/snapshot/latest").await.0, StatusCode::OK);
    let (status, body) = server.post("/api/replication/promote").await;
    assert_eq!(
        (status, &body["code"], &body["pid"]),
        (StatusCode::CONFLICT, &json!("LOCKED"), &json!(writer.process.id()))
    );
    assert_eq!(head().await, 5);

    writer.kill();
    // Nobody has it open now, and what was committed is there.
    let (status, body) = server.post("/api/replication/promote").await;
    assert_eq!(
        (status, &body["epoch"], &body["primary"]["headLogIndex"]),
        (StatusCode::OK, &json!(2), &json!(5)),
        "{body}"
    );
    assert_eq!(server.get("/api/replication/status").await.1["primary"]["epoch"], 2);
}
