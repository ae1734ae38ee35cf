//! A breaker store that records every request to the byte and answers as it is told.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found =
            self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "{name} is there twice: {self:?}");
        first
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What becomes of a request.
pub enum Reply {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, until the client goes away.
    Silence,
    /// The connection is cut.
    Cut,
}

impl Reply {
    pub fn of(status: u16, body: &str) -> Self {
        Self::Answer(status, Vec::new(), body.into())
    }

    pub fn tagged(status: u16, tag: &str, body: &str) -> Self {
        Self::Answer(status, vec![("ETag", tag.to_owned())], body.into())
    }
}

pub struct ScriptedStore {
    pub url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedStore {
    /// A store that answers the n-th request, from 0, with what `script` says.
    pub fn start(script: impl FnMut(usize, &Recorded) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/breaker", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (seen, stop) = (requests.clone(), stopped.clone());
        let thread = std::thread::spawn(move || {
            let script = Arc::new(Mutex::new(script));
            let mut served = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (seen, script) = (seen.clone(), script.clone());
                served.push(std::thread::spawn(move || serve(stream.unwrap(), &seen, &script)));
            }
            for one in served {
                let _ = one.join();
            }
        });
        Self { url, requests, stopped, thread: Some(thread) }
    }

    /// A store that answers with these, one after the other, and with 500 after them.
    pub fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let mut replies = replies.into_iter().collect::<Vec<_>>().into_iter();
        Self::start(move |_, _| replies.next().unwrap_or(Reply::of(500, "the script is at its end")))
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    pub fn methods(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.method).collect()
    }
}

impl Drop for ScriptedStore {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let address = self.url.trim_start_matches("http://").trim_end_matches("/breaker");
        let _ = TcpStream::connect(address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

type Script<F> = Arc<Mutex<F>>;

fn serve<F: FnMut(usize, &Recorded) -> Reply>(stream: TcpStream, seen: &Mutex<Vec<Recorded>>, script: &Script<F>) {
    // A client that stalls is a failure of its test, not a test that hangs.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(request) = read(&mut reader) else { return };
    let reply = {
        let mut script = script.lock().unwrap();
        let mut seen = seen.lock().unwrap();
        let at = seen.len();
        let reply = script(at, &request);
        seen.push(request);
        reply
    };
    let mut stream = stream;
    match reply {
        Reply::Cut => {}
        Reply::Silence => {
            let _ = reader.read(&mut [0]);
        }
        Reply::Answer(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
            for (name, value) in headers {
                head += &format!("{name}: {value}\r\n");
            }
            let _ = stream.write_all(format!("{head}\r\n").as_bytes());
            let _ = stream.write_all(&body);
        }
    }
}

/// Reads one request.
pub fn read(reader: &mut BufReader<TcpStream>) -> Option<Recorded> {
    let mut line = String::new();
    let mut next = || {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = next()?;
    let mut first = first.split(' ').map(str::to_owned);
    let (method, path) = (first.next()?, first.next()?);
    let mut headers = Vec::new();
    while let Some((name, value)) = next()?.split_once(':') {
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut recorded = Recorded { method, path, headers, body: String::new() };
    let length = recorded.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    recorded.body = String::from_utf8(body).unwrap();
    Some(recorded)
}
