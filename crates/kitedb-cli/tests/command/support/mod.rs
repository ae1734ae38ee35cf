//! Runs the real binary in a folder of its own.
#![allow(dead_code, reason = "each test target uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run its command has failed")]

use serde_json::Value as Json;
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kitedb"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
        command.env_remove("KITEDB_LOG").env_remove("RUST_LOG");
        std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"OTEL_")).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().unwrap())
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Run {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Run::of(child.wait_with_output().unwrap())
    }
}

#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The run, which must have gone well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The one JSON document that a successful run printed, tokens in their short form.
    #[track_caller]
    pub fn json(self) -> Json {
        parsed(&self.ok().out)
    }

    /// The one JSON document that a successful run printed, as it did.
    #[track_caller]
    pub fn json_in_full(self) -> Json {
        let run = self.ok();
        serde_json::from_str(&run.out).unwrap()
    }
}

/// A JSON document, tokens in their short form: what tags they have differs from run to run.
#[track_caller]
pub fn parsed(text: &str) -> Json {
    shortened(serde_json::from_str(text).unwrap())
}

/// A document without the tags of its tokens.
pub fn shortened(document: Json) -> Json {
    match document {
        Json::Object(fields) => fields.into_iter().map(|(name, value)| (name, shortened(value))).collect(),
        Json::Array(values) => values.into_iter().map(shortened).collect(),
        Json::String(text) => {
            let token = text.rsplit_once('.').filter(|(place, tag)| is_place(place) && is_tag(tag));
            Json::String(token.map_or(text.clone(), |(place, _)| place.to_owned()))
        }
        other => other,
    }
}

fn is_place(text: &str) -> bool {
    text.split_once(':').is_some_and(|(epoch, index)| epoch.parse::<u64>().is_ok() && index.parse::<u64>().is_ok())
}

/// Whether that is the tag of a token.
pub fn is_tag(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A collector of metrics that takes whatever is sent to it. Returns its endpoint.
pub fn collector() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            let is_whole = |request: &[u8]| {
                let head = request.windows(4).position(|end| end == b"\r\n\r\n")?;
                let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
                let length: usize = text.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
                Some(request.len() >= head + 4 + length)
            };
            while is_whole(&request) != Some(true) {
                match stream.read(&mut part) {
                    Ok(length) if length > 0 => request.extend(&part[..length]),
                    _ => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        }
    });
    endpoint
}
