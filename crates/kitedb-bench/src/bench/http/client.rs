//! Whoever asks: a connection that is kept, which costs as little as may be beside what it measures; and `curl`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::server::{Server, TOKEN};
use crate::Res;

/// A connection that is kept.
pub struct Client {
    stream: TcpStream,
    /// What came.
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(server: &Server) -> Res<Self> {
        let stream = TcpStream::connect(server.address())?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The body of the answer, which has to be a good one and to say its length.
    pub fn get(&mut self, route: &str) -> Res<Vec<u8>> {
        let request = format!("GET {route} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        let head = loop {
            self.more()?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        if !text.starts_with("HTTP/1.1 200 ") {
            return Err(text.lines().next().unwrap_or_default().into());
        }
        let length = text.lines().filter_map(|line| line.split_once(": "));
        let length: usize = length
            .into_iter()
            .find_map(|(name, value)| name.eq_ignore_ascii_case("content-length").then(|| value.parse()))
            .ok_or("an answer without a length")??;
        while self.buffer.len() < head + length {
            self.more()?;
        }
        Ok(self.buffer[head..].to_vec())
    }

    fn more(&mut self) -> Res<()> {
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece)? {
            0 => Err("the server ended the connection".into()),
            read => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}

/// What `curl` got.
pub struct Page {
    /// Bytes of the body.
    pub length: u64,
    headers: String,
}

impl Page {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value.trim()))
    }
}

/// Fetches with `curl`, which throws the body away.
pub fn curl(url: &str, headers: &[&str]) -> Res<Page> {
    let mut command = Command::new("curl");
    command.args(["-sSf", "-D", "-", "-o", "/dev/null", "-w", "\n%{size_download}"]);
    command.args(["-H", &format!("authorization: Bearer {TOKEN}")]);
    for header in headers {
        command.args(["-H", header]);
    }
    let done = command.arg(url).output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into());
    }
    let said = String::from_utf8(done.stdout)?;
    let (headers, length) = said.trim_end().rsplit_once('\n').ok_or("curl said nothing")?;
    Ok(Page { length: length.parse()?, headers: headers.to_owned() })
}
