//! A collector over HTTP/1.1 whose every byte is scripted.

use super::certificates::Pair;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What becomes of a request.
#[derive(Clone)]
pub enum Step {
    /// These bytes, and the connection stays.
    Send(Vec<u8>),
    /// These bytes, and then the end of the connection.
    SendAndClose(Vec<u8>),
    /// These bytes one at a time, and then nothing, with the connection left open.
    Drip(Vec<u8>),
    /// Nothing at all, with the connection left open.
    Hang,
}

impl Step {
    /// An answer without surprises.
    pub fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        Self::Send([head.as_bytes(), body].concat())
    }

    pub fn status(status: u16) -> Self {
        Self::answer(status, "", "")
    }

    pub fn json(body: &str) -> Self {
        Self::answer(200, "content-type: application/json\r\n", body)
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its first line.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection's number, from 0 on.
    pub connection: usize,
    /// Whether the client showed a certificate.
    pub client_certificate: bool,
}

impl Seen {
    /// Header `name`; it must not be there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = found.next();
        assert!(found.next().is_none(), "{name} is there twice: {:?}", self.headers);
        first.map(|(_, value)| value.as_str())
    }
}

/// It listens until it is dropped. After the script it answers 200 with `{}`.
pub struct HttpCollector {
    port: u16,
    https: bool,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<std::vec::IntoIter<Step>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl HttpCollector {
    pub fn start(script: Vec<Step>) -> Self {
        Self::listen(script, None)
    }

    /// With TLS; with `clients`, only for clients with a certificate of that authority.
    pub fn start_tls(script: Vec<Step>, server: &Pair, clients: Option<&str>) -> Self {
        Self::start_tls_for(script, server, clients, false)
    }

    /// With TLS, for clients with a certificate of that authority and for those without one.
    pub fn start_tls_optional(script: Vec<Step>, server: &Pair, clients: &str) -> Self {
        Self::start_tls_for(script, server, Some(clients), true)
    }

    fn start_tls_for(script: Vec<Step>, server: &Pair, clients: Option<&str>, optional: bool) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let certs = vec![CertificateDer::from_pem_slice(server.cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
        Self::listen(script, Some(Arc::new(builder.with_single_cert(certs, key).unwrap())))
    }

    fn listen(script: Vec<Step>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Self {
            port: listener.local_addr().unwrap().port(),
            https: tls.is_some(),
            shared: Arc::new(Shared {
                script: Mutex::new(script.into_iter()),
                seen: Mutex::default(),
                connections: Mutex::default(),
                stopped: AtomicBool::new(false),
            }),
        };
        let shared = collector.shared.clone();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let (shared, tls) = (shared.clone(), tls.clone());
                thread::spawn(move || {
                    let socket = stream.try_clone().unwrap();
                    // What goes wrong with one connection is the client's to notice.
                    let _ = shared.serve_socket(stream, number, tls);
                    let _ = socket.shutdown(Shutdown::Both);
                });
            }
        });
        collector
    }

    /// `scheme://127.0.0.1:port`.
    pub fn origin(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.https { "https" } else { "http" }, self.port)
    }

    pub fn endpoint(&self) -> String {
        self.origin() + "/v1/metrics"
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// How many clients connected so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }
}

impl Drop for HttpCollector {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve_socket(&self, stream: TcpStream, number: usize, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
        let Some(config) = tls else { return self.serve(stream, number, false) };
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let certificate = stream.conn.peer_certificates().is_some();
        self.serve(stream, number, certificate)
    }

    fn serve(&self, stream: impl Read + Write, connection: usize, client_certificate: bool) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(seen) = request(&mut stream, connection, client_certificate)? {
            self.seen.lock().unwrap().push(seen);
            let step = self.script.lock().unwrap().next().unwrap_or_else(|| Step::json("{}"));
            let out = stream.get_mut();
            match step {
                Step::Send(bytes) => {
                    out.write_all(&bytes)?;
                    out.flush()?;
                }
                Step::SendAndClose(bytes) => {
                    out.write_all(&bytes)?;
                    return out.flush();
                }
                Step::Drip(bytes) => {
                    for byte in bytes {
                        out.write_all(&[byte])?;
                        out.flush()?;
                        thread::sleep(Duration::from_millis(1));
                    }
                    self.hang(&mut stream)?;
                }
                Step::Hang => self.hang(&mut stream)?,
            }
        }
        Ok(())
    }

    /// Until the client, or the test, ends the connection.
    fn hang(&self, stream: &mut impl Read) -> io::Result<()> {
        while stream.read(&mut [0; 64])? > 0 {}
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn request(stream: &mut impl BufRead, connection: usize, client_certificate: bool) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut seen = Seen { line: line.trim_end().to_owned(), headers, body: Vec::new(), connection, client_certificate };
    seen.body = vec![0; seen.header("content-length").map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut seen.body)?;
    Ok(Some(seen))
}
