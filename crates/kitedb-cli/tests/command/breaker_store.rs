//! `kitedb breaker-store`: what it says, keeps and survives.

use crate::support::Folder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Stdio},
};

/// A store that runs as a process and is killed with its test.
struct Store {
    child: Child,
    out: BufReader<ChildStdout>,
    /// The first line that it printed.
    said: String,
}

impl Store {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let args = [&["breaker-store", "--listen", "127.0.0.1:0"], args].concat();
        let mut child = folder.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        Self { child, out, said }
    }

    /// Sends one request; status and body of the answer.
    fn ask(&self, method: &str, headers: &str, body: &str) -> (u16, String) {
        let url = serde_json::from_str::<Json>(&self.said).unwrap()["url"].as_str().unwrap().to_owned();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{method} / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}").unwrap();
        write!(stream, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Sends a signal and waits; the exit code and the rest of what it printed.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const KEY: &str = "x-kitedb-breaker-mode: patch-v1\r\nx-kitedb-breaker-key: k\r\n";

#[test]
fn it_says_where_it_listens_and_ends_cleanly_when_asked_to() {
    let folder = Folder::new();
    for signal in [Signal::TERM, Signal::INT] {
        let store = Store::start(&folder, &[]);
        assert!(store.said.starts_with("listening on http://127.0.0.1:"), "{}", store.said);
        assert!(store.said.ends_with("/: states are kept in memory only\n"), "{}", store.said);
        assert_eq!(store.end(signal), (Some(0), String::new()));
    }
}

#[test]
fn with_a_file_it_survives_being_killed_and_without_one_it_forgets() {
    let folder = Folder::new();
    for (args, survives) in [(&["--json", "--file", "states.json"][..], true), (&["--json"], false)] {
        let store = Store::start(&folder, args);
        let told: Json = serde_json::from_str(&store.said).unwrap();
        assert_eq!(told["file"], if survives { json!("states.json") } else { json!(null) });
        assert_eq!(store.ask("GET", "", "").0, 404);
        let patch = r#"{"key":"k","state":{"open_until_ms":9}}"#;
        assert_eq!(store.ask("PATCH", KEY, patch), (204, String::new()));
        assert_eq!(store.end(Signal::KILL).0, None);

        let store = Store::start(&folder, args);
        let want =
            if survives { (200, r#"{"open_until_ms":9}"#) } else { (404, r#"{"error":"there is no state for `k`"}"#) };
        assert_eq!(store.ask("GET", KEY, ""), (want.0, want.1.to_owned()));
    }
}

#[test]
fn what_is_in_its_way_is_said_with_what_to_do() {
    let folder = Folder::new();
    folder.file("broken.json", "{\"k\":7}");
    folder.file("empty.json", "");
    let store = Store::start(&folder, &["--json", "--file", "taken.json"]);
    let url = serde_json::from_str::<Json>(&store.said).unwrap()["url"].as_str().unwrap().to_owned();
    let taken = url.trim_start_matches("http://").trim_end_matches('/');
    for (args, code, phrase) in [
        (&["--listen", taken][..], 1, format!("error: cannot listen on {taken}: ")),
        (&["--listen", "nonsense"], 1, "error: cannot listen on nonsense: ".to_owned()),
        (&["--listen", "127.0.0.1:0", "--file", "taken.json"], 1, "error: another process uses ".to_owned()),
        (&["--listen", "127.0.0.1:0", "--file", "broken.json"], 1, "error: ".to_owned()),
        (&["--listen", "127.0.0.1:0", "--file", "empty.json"], 1, "error: ".to_owned()),
        (&["--listen", "127.0.0.1:0", "--file", "no/folder/states.json"], 1, "error: cannot lock ".to_owned()),
        (&["database.kitedb"], 2, "error: unexpected argument".to_owned()),
    ] {
        let run = folder.run(&[&["breaker-store"], args].concat());
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert!(run.err.starts_with(&phrase) && run.out.is_empty(), "{args:?}: {run:?}");
    }
    let broken = folder.run(&["breaker-store", "--listen", "127.0.0.1:0", "--file", "broken.json"]);
    assert!(broken.err.contains("broken.json is not in order: `k`: no breaker state"), "{broken:?}");
}
