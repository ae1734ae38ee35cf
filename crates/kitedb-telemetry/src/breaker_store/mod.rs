//! The reference store for breaker states: a small HTTP server in memory, or in memory and one file.
//!
//! It is what `circuit_breaker_state_url` points to. It speaks plain HTTP, asks nobody who they are and keeps one
//! document, whatever the path of the URL: it belongs on a network that is trusted, or behind a proxy with TLS.
//!
//! | request | answer |
//! |---|---|
//! | `GET` | the document: an object, key to state; 404 before the first write |
//! | `PUT` | takes a whole document |
//! | `GET`, mode `patch-v1`, a key | its state; 404 if there is none |
//! | `PATCH`, mode `patch-v1`, a key | takes `{"key", "state"}`; a state of `null` deletes |
//! | `PATCH`, mode `patch-batch-v1`, a key | takes `{"updates": [{"key", "state"}, ..]}`, all or none |
//! | `PATCH`, mode `patch-merge-v1`, a key | as a batch; `scope_key`, `total_keys`, `truncated` are only checked |
//!
//! The mode is the header `x-kitedb-breaker-mode`, the key `x-kitedb-breaker-key`. Answers carry a strong `ETag`, of
//! the document or of the key; writes heed `If-Match` and `If-None-Match` for the same and are refused with 412. A tag
//! never comes back, also not after a restart. `x-kitedb-breaker-lease` is opaque: whatever a request has there comes
//! back with the answer. A refusal is `{"error": ".."}`. Bodies and the document are 4 MiB at most.

mod call;
mod keep;
mod table;

use crate::error::{Result, TelemetryError};
use crate::setters::setters;
use bytes::Bytes;
use call::{Answer, Call, LEASE};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use keep::Keep;
use parking_lot::Mutex;
use std::{
    convert::Infallible, future::poll_fn, io, net::TcpListener, path::PathBuf, pin::pin, sync::Arc, task::Poll,
    thread::JoinHandle, time::Duration,
};
use table::Table;
use tokio::sync::watch;

/// No body, and no document, is longer.
const MAX_BYTES: usize = 4 << 20;

/// So long the head of a request may take to arrive, and so long its body.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(5);

/// So long nobody is let in after that failed for want of something, such as open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// So long requests under way keep a stop waiting.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// How a store is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerStoreOptions {
    /// Where it listens: `host:port`. Port 0: one that is free, which [`BreakerStore::url`] tells.
    pub listen: String,
    /// Where it keeps what it holds, so that it survives the death of the process and of the machine. It is created
    /// with the first write; beside it is a file `<file>.lock`. `None`: only in memory.
    pub file: Option<PathBuf>,
}

setters!(BreakerStoreOptions {
    listen: String,
    file: Option<PathBuf>,
});

impl BreakerStoreOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for BreakerStoreOptions {
    fn default() -> Self {
        Self { listen: "127.0.0.1:4319".to_owned(), file: None }
    }
}

/// A store that runs, on a thread of its own, until it is stopped or dropped.
///
/// ```
/// # fn main() -> kitedb_telemetry::Result<()> {
/// use kitedb_telemetry::{OtlpHttpPushOptions, breaker_store::{BreakerStore, BreakerStoreOptions}};
///
/// let store = BreakerStore::start(BreakerStoreOptions::new().listen("127.0.0.1:0".to_owned()))?;
/// let options = OtlpHttpPushOptions::new()
///     .circuit_breaker_failure_threshold(5)
///     .circuit_breaker_open_ms(30_000)
///     .circuit_breaker_state_url(Some(store.url().to_owned()))
///     .circuit_breaker_state_patch(true)
///     .circuit_breaker_state_cas(true)
///     .circuit_breaker_state_patch_retry_max_attempts(4);
/// # drop(options);
/// store.stop();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct BreakerStore {
    url: String,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl BreakerStore {
    /// Reads the file, if there is one, and begins to listen.
    ///
    /// # Errors
    /// `InvalidOption`: the address cannot be listened on, the file is not in order or in use by another store.
    /// `Resources`: there is no thread for it.
    pub fn start(options: BreakerStoreOptions) -> Result<Self> {
        let listen = &options.listen;
        let listening = |e| TelemetryError::InvalidOption(format!("cannot listen on {listen}: {e}"));
        let listener = TcpListener::bind(listen).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let url = format!("http://{}/", listener.local_addr().map_err(listening)?);
        let (keep, table) = match options.file {
            Some(file) => Keep::open(file).map(|(keep, document)| (Some(keep), Table::new(document))),
            None => Ok((None, Table::new(None))),
        }
        .map_err(TelemetryError::InvalidOption)?;

        let resources = |e| TelemetryError::Resources(format!("cannot start the breaker store: {e}"));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(4).build().map_err(resources)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(listening)?
        };
        let shared = Arc::new(Mutex::new(Shared { table, keep }));
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("kitedb-breaker-store".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve(listener, shared, stopped))).map_err(resources)?;
        Ok(Self { url, stop, thread: Some(thread) })
    }

    /// Its URL, for `circuit_breaker_state_url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes no more requests, lets those under way end, and returns then.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for BreakerStore {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// What the requests share.
struct Shared {
    table: Table,
    keep: Option<Keep>,
}

impl Shared {
    /// Answers a call. What it changes is in the file before it is answered.
    fn answer(&mut self, call: &Call) -> Answer {
        let (next, answer) = match self.table.after(call) {
            Ok(done) => done,
            Err(refused) => return refused,
        };
        let Some(next) = next else { return answer };
        let text = match next.render() {
            Ok(text) if text.len() > MAX_BYTES => {
                return Answer::refused(StatusCode::INSUFFICIENT_STORAGE, "the document would be longer than 4 MiB");
            }
            Ok(text) => text,
            Err(e) => return Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, e),
        };
        if let Some(Err(e)) = self.keep.as_ref().map(|keep| keep.write(&text)) {
            tracing::error!("breaker store cannot write its file: {e}");
            return Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, format_args!("cannot write the file: {e}"));
        }
        self.table = next;
        answer
    }
}

async fn serve(listener: tokio::net::TcpListener, shared: Arc<Mutex<Shared>>, mut stop: watch::Receiver<bool>) {
    let connections = GracefulShutdown::new();
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    loop {
        let mut next = pin!(listener.accept());
        let taken = poll_fn(|context| match stopped.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => next.as_mut().poll(context).map(Some),
        });
        let stream = match taken.await {
            None => break,
            Some(taken) => taken,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(e) if is_of_the_caller(&e) => continue,
            Err(e) => {
                tracing::warn!("the breaker store cannot take a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let shared = shared.clone();
        let service = service_fn(move |request| {
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(handle(shared, request).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(ARRIVAL_PATIENCE);
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        // A connection that breaks off concerns its caller only.
        tokio::spawn(async move { drop(connection.await) });
    }
    let _ = tokio::time::timeout(STOP_PATIENCE, connections.shutdown()).await;
}

/// Whether a connection was gone before it was taken.
fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn handle(shared: Arc<Mutex<Shared>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let lease = head.headers.get(LEASE).cloned();
    let call = match take_in(body).await {
        Ok(body) => Call::of(&head.method, &head.headers, &body),
        Err(refused) => Err(refused),
    };
    let answer = match call {
        // The file is written on a thread where that keeps nobody's request from being read.
        Ok(call) => tokio::task::spawn_blocking(move || shared.lock().answer(&call))
            .await
            .unwrap_or_else(|e| Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, e)),
        Err(refused) => refused,
    };
    respond(answer, lease)
}

async fn take_in(body: Incoming) -> Result<Bytes, Answer> {
    let too_long = || Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 4 MiB, or broke off");
    if body.size_hint().lower() > MAX_BYTES as u64 {
        return Err(too_long());
    }
    match tokio::time::timeout(ARRIVAL_PATIENCE, Limited::new(body, MAX_BYTES).collect()).await {
        Ok(taken) => taken.map(|body| body.to_bytes()).map_err(|_| too_long()),
        Err(_) => Err(Answer::refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

fn respond(answer: Answer, lease: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if answer.status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, PUT, PATCH"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(tag) = answer.tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(lease) = lease {
        headers.insert(LEASE, lease);
    }
    response
}
