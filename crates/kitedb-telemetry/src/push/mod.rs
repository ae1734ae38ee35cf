//! One push ([`run`]): gate, collect, send, wait, send again, record. All of it before one deadline, in a thread of its
//! own ([`thread`]), with what was checked and read once when the pusher was made.

mod failure;
pub mod functions;
mod grpc;
mod http;
mod payload;
mod reply;
mod run;
pub(crate) mod secrets;
mod thread;
mod tls;

use crate::{
    error::{Result, TelemetryError},
    health::{DropReason, ExporterHealth},
    options::{OtlpHttpPushOptions, OtlpTransport},
    render,
    settings::Settings,
};
use kitedb_core::{Database, Error, ErrorCode, Watch, WeakDatabase};
use payload::Payload;
use run::{Deadline, Push};
use std::{
    fmt, mem,
    sync::{Arc, mpsc},
    time::Duration,
};
use thread::PushThread;
use tokio::{sync::oneshot, time::Instant};

/// What became of a push that the collector took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpHttpExportResult {
    /// The HTTP status; 200 for gRPC.
    pub status_code: i64,
    /// The body as text. Over gRPC, and where the body is protobuf: empty, or one line that tells of partial success.
    pub response_body: String,
    /// Data points that the collector refused though it took the push. They are not sent again.
    pub rejected_data_points: u64,
    /// What it said about them. Without such points: a warning.
    pub partial_error: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
}

/// Pushes to one collector, one time or many. Connections are kept in between.
///
/// It has a thread of its own, in which an attempt ends when its time is over; the calls wait for it, and may be made
/// from any thread, inside an async runtime or outside (inside of one, they block the thread that runs it). Several
/// threads may push at the same time. After a fork it fails with [`TelemetryError::Closed`]: make one in the child.
///
/// ```
/// use kitedb_telemetry::{OtlpHttpPushOptions, OtlpPusher, OtlpTransport};
/// # use std::{io::{Read, Write}, net::TcpListener, thread};
/// # let listener = TcpListener::bind("127.0.0.1:0").unwrap();
/// # let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
/// # let collector = thread::spawn(move || {
/// #     let (mut stream, _) = listener.accept().unwrap();
/// #     let mut request = Vec::new();
/// #     while !request.ends_with(b"{\"resourceMetrics\":[]}") {
/// #         let mut byte = [0];
/// #         stream.read_exact(&mut byte).unwrap();
/// #         request.push(byte[0]);
/// #     }
/// #     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
/// # });
/// let options = OtlpHttpPushOptions::new().retry_max_attempts(3);
/// let pusher = OtlpPusher::new(OtlpTransport::HttpJson, &endpoint, &options)?;
/// let result = pusher.push_payload(br#"{"resourceMetrics":[]}"#)?;
/// assert_eq!((result.status_code, result.attempts), (200, 1));
/// # Ok::<(), kitedb_telemetry::TelemetryError>(())
/// ```
pub struct OtlpPusher {
    push: Arc<Push>,
    thread: PushThread,
}

/// So much longer than the deadline a caller waits for the thread to say so. It is only needed if that cannot run.
const GRACE: Duration = Duration::from_secs(1);

/// What the thread tells the caller.
enum Event {
    /// The gate is open: collect, and send it here.
    Collect(oneshot::Sender<Payload>),
    Done(Result<OtlpHttpExportResult>),
}

impl OtlpPusher {
    /// Checks the endpoint and the options, reads the TLS files, and starts the thread. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidOption` with what is wrong; `Resources` if no thread can be started.
    pub fn new(transport: OtlpTransport, endpoint: &str, options: &OtlpHttpPushOptions) -> Result<Self> {
        Self::with(Settings::check(transport, endpoint, options)?)
    }

    fn with(settings: Settings) -> Result<Self> {
        Ok(Self { push: Arc::new(Push::new(settings)?), thread: PushThread::start()? })
    }

    /// Where it pushes to, without credentials and query.
    pub fn shown(&self) -> &str {
        self.push.settings.endpoint.shown()
    }

    /// Pushes bytes that were rendered beforehand: JSON or protobuf, by the transport.
    ///
    /// # Errors
    /// `InvalidPayload` for more than 64 MiB, or (gRPC) bytes that are no OTLP metrics: nothing was sent. Else as
    /// [`Self::push`].
    pub fn push_payload(&self, payload: &[u8]) -> Result<OtlpHttpExportResult> {
        self.send(Payload::new(&self.push.settings, payload)?)
    }

    fn send(&self, payload: Payload) -> Result<OtlpHttpExportResult> {
        self.run(&ExporterHealth::of(""), Some(payload), self.push.settings.timeout, &mut || Err(cancelled()))
    }

    /// Collects the replication metrics of `db`, once it is clear that they may be sent, and pushes them. What becomes
    /// of them is counted among them: see [`ExporterHealth`].
    ///
    /// # Errors
    /// `CircuitOpen`, `ProbeInFlight`: nothing was sent. `Rejected`, `RejectedGrpc`, `Transport`, `DeadlineExceeded`:
    /// the last attempt did not succeed. `Database`: it is closed, say.
    pub fn push(&self, db: &Database) -> Result<OtlpHttpExportResult> {
        let health = ExporterHealth::of(&db.path().to_string_lossy());
        self.run(&health, None, self.push.settings.timeout, &mut || self.collect(db))
    }

    /// As [`Self::push`], once, and until `watch` ends it. Whether the collector took it is not known then.
    ///
    /// # Errors
    /// `Database` with [`ErrorCode::Cancelled`]; those of [`Self::push`].
    pub fn push_until(self, db: &Database, watch: &Watch) -> Result<OtlpHttpExportResult> {
        let pusher = Arc::new(self);
        let to_end = pusher.clone();
        let _asleep = watch.while_asleep(move || to_end.cancel());
        watch.require_uncancelled()?;
        match pusher.push(db) {
            Err(TelemetryError::Closed(what)) => {
                watch.require_uncancelled()?;
                Err(TelemetryError::Closed(what))
            }
            result => result,
        }
    }

    /// As [`Self::push`], within `bound` if that is less, and the database is held only while it is collected: its owner
    /// may close it at any time. [`Self::cancel`] ends it.
    pub(crate) fn push_weak(
        &self,
        db: &WeakDatabase,
        health: &Arc<ExporterHealth>,
        bound: Duration,
    ) -> Result<OtlpHttpExportResult> {
        self.run(health, None, self.push.settings.timeout.min(bound), &mut || {
            self.collect(&db.upgrade().ok_or_else(|| Error::new(ErrorCode::Closed, "Database is closed"))?)
        })
    }

    /// Lets pushes that wait in other threads, and every later one, end at once with `Closed`.
    pub fn cancel(&self) {
        self.thread.stop();
    }

    fn collect(&self, db: &Database) -> Result<Payload> {
        let settings = &self.push.settings;
        Ok(Payload::collected(settings, render::request(&db.collect_metrics()?, &settings.resource)))
    }

    /// Starts the push in the thread and waits for it. Collecting is the caller's to do: it borrows the database.
    fn run(
        &self,
        health: &Arc<ExporterHealth>,
        ready: Option<Payload>,
        bound: Duration,
        collect: &mut dyn FnMut() -> Result<Payload>,
    ) -> Result<OtlpHttpExportResult> {
        let deadline = Deadline::after(bound);
        let mut points = ready.as_ref().map(|payload| payload.points);
        let (events, told) = mpsc::channel();
        let (push, counted) = (self.push.clone(), health.clone());
        self.thread.spawn(async move {
            let result = push.counted(ready, &events, &counted, deadline).await;
            let _ = events.send(Event::Done(result));
        })?;
        loop {
            match told.recv_timeout(deadline.at.saturating_duration_since(Instant::now()) + GRACE) {
                Ok(Event::Collect(answer)) => {
                    let payload = collect()?;
                    points = Some(payload.points);
                    let _ = answer.send(payload);
                }
                Ok(Event::Done(result)) => return result,
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(self.push.late(deadline, "the push was not run")),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    health.count_dropped(DropReason::Closed, points.unwrap_or(0));
                    return Err(cancelled());
                }
            }
        }
    }
}

impl Drop for OtlpPusher {
    fn drop(&mut self) {
        if self.thread.is_parents() {
            // The connections in it belong to the parent, and so may their locks.
            mem::forget(self.push.clone());
        }
    }
}

impl fmt::Debug for OtlpPusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.push.settings;
        f.debug_struct("OtlpPusher")
            .field("transport", &settings.transport)
            .field("endpoint", &settings.endpoint.shown())
            .finish_non_exhaustive()
    }
}

fn cancelled() -> TelemetryError {
    TelemetryError::Closed("the push was given up: its exporter was closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    #[test]
    fn a_push_that_is_ended_waits_for_no_collector() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/metrics", silent.local_addr().unwrap());
        let pusher = || {
            let options = OtlpHttpPushOptions::new().timeout_ms(3_600_000);
            OtlpPusher::new(OtlpTransport::HttpJson, &endpoint, &options).unwrap()
        };
        let (db, watch) = (Database::in_memory().unwrap(), Watch::silent());
        let push = |pusher: OtlpPusher| match pusher.push_until(&db, &watch) {
            Err(TelemetryError::Database(e)) => e.code(),
            other => panic!("{other:?}"),
        };
        thread::scope(|scope| {
            let pushed = scope.spawn(|| push(pusher()));
            let _connection = silent.accept().unwrap();
            watch.cancel();
            assert_eq!(pushed.join().unwrap(), ErrorCode::Cancelled);
        });
        assert_eq!(push(pusher()), ErrorCode::Cancelled, "it was ended before it began");
    }
}
