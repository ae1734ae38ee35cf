//! A push as the thread runs it: gate, collect, send, wait, send again, record.

use super::{
    Event, OtlpHttpExportResult, cancelled,
    failure::{Failure, drop_reason, millis},
    grpc::GrpcSender,
    http::{self, HttpSender},
    payload::{Form, Payload},
    reply::Accepted,
    tls::TlsMaterial,
};
use crate::{
    breaker::{Breaker, BreakerSettings, StoreSettings},
    clock,
    error::{Result, TelemetryError},
    health::ExporterHealth,
    options::OtlpTransport,
    retry::Outcome,
    settings::{Settings, StoreChoice},
};
use std::{
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};

/// When a push must be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub at: Instant,
    /// How long that was when it began.
    pub within: Duration,
}

impl Deadline {
    pub fn after(within: Duration) -> Self {
        Self { at: Instant::now() + within, within }
    }
}

enum Sender {
    Http(Box<HttpSender>),
    Grpc(Box<GrpcSender>),
}

/// What pushes to one collector share.
pub(crate) struct Push {
    pub settings: Settings,
    sender: Sender,
    store: StoreSettings,
}

impl Push {
    /// # Errors
    /// `InvalidOption`: a TLS file.
    pub fn new(settings: Settings) -> Result<Self> {
        let tls = TlsMaterial::load(settings.transport, &settings.endpoint, &settings.tls)?;
        let sender = match settings.transport {
            OtlpTransport::Grpc => Sender::Grpc(Box::new(GrpcSender::new(&settings, &tls)?)),
            _ => Sender::Http(Box::new(HttpSender::new(&settings, &tls)?)),
        };
        let store = match &settings.store {
            StoreChoice::Process => StoreSettings::Process,
            StoreChoice::File(path) => StoreSettings::File(path.clone()),
            // Another party than the collector is not shown who this client is.
            StoreChoice::Http(store) => {
                let same = settings.endpoint.same_origin(&store.url);
                store.with_client(http::client(&tls, same)?)
            }
        };
        Ok(Self { settings, sender, store })
    }

    /// A push, and what it leaves in the counters.
    pub async fn counted(
        &self,
        ready: Option<Payload>,
        events: &mpsc::Sender<Event>,
        health: &Arc<ExporterHealth>,
        deadline: Deadline,
    ) -> Result<OtlpHttpExportResult> {
        health.begin_push(clock::now_ms());
        let mut points = ready.as_ref().map(|payload| payload.points);
        let result = self.run(ready, events, health, deadline, &mut points).await;
        match (&result, points) {
            (Ok(result), points) => {
                health.count_exported(points.unwrap_or(0), result.rejected_data_points, clock::now_ms());
            }
            (Err(error), points) => match (drop_reason(error), points) {
                (Some(reason), Some(points)) => health.count_dropped(reason, points),
                (Some(reason), None) => health.count_kept_back(reason),
                (None, _) => {}
            },
        }
        result
    }

    /// The push itself, in the order in which it happens.
    async fn run(
        &self,
        ready: Option<Payload>,
        events: &mpsc::Sender<Event>,
        health: &Arc<ExporterHealth>,
        deadline: Deadline,
        points: &mut Option<u64>,
    ) -> Result<OtlpHttpExportResult> {
        let breaker = Breaker::new(self.breaker(deadline), health.clone());
        let admission = timeout_at(deadline.at, breaker.admit())
            .await
            .map_err(|_| self.late(deadline, "the store of the breaker's state did not answer"))??;
        let payload = match ready {
            Some(payload) => payload,
            None => self.collected(events, deadline).await?,
        };
        *points = Some(payload.points);
        health.note_points(payload.points);
        let (result, outcome) = self.deliver(&payload, &breaker, health, deadline).await;
        breaker.settle(admission, outcome).await;
        result
    }

    /// Sends, and sends again as long as that may help and there is time.
    async fn deliver(
        &self,
        payload: &Payload,
        breaker: &Breaker,
        health: &ExporterHealth,
        deadline: Deadline,
    ) -> (Result<OtlpHttpExportResult>, Outcome) {
        let end = self.last_attempt_ends(deadline);
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(payload, self.attempt_ends(attempt, end)).await {
                Ok(accepted) => return (Ok(result(accepted, attempt)), Outcome::Success),
                Err(failure) => failure,
            };
            let Some(wait) = self.wait(&failure, attempt, breaker, end).await else {
                let out_of_time = (Instant::now() >= end).then_some(deadline.within);
                let outcome = failure.outcome();
                return (Err(failure.into_error(self.settings.endpoint.shown(), attempt, out_of_time)), outcome);
            };
            sleep(wait).await;
            attempt += 1;
            health.count_retry();
        }
    }

    /// How long to wait before the next attempt: as long as the collector asked for, and as its history advises at
    /// least. `None`: there is none, and no sense in waiting for it.
    async fn wait(&self, failure: &Failure, attempt: u32, breaker: &Breaker, end: Instant) -> Option<Duration> {
        if !failure.is_retryable() || attempt >= self.settings.max_attempts {
            return None;
        }
        let multiplier = timeout_at(end, breaker.multiplier()).await.unwrap_or(1);
        let own = self.settings.backoff.wait(attempt, multiplier, clock::chance());
        let wait = own.max(failure.asked_to_wait().unwrap_or_default());
        (wait < end.saturating_duration_since(Instant::now())).then_some(wait)
    }

    async fn attempt(&self, payload: &Payload, until: Instant) -> Result<Accepted, Failure> {
        match (&self.sender, &payload.form) {
            (Sender::Http(sender), Form::Body(body)) => sender.attempt(body, until).await,
            (Sender::Grpc(sender), Form::Message(message)) => sender.attempt(message, until).await,
            (sender, _) => Err(Failure::Transport {
                grpc: matches!(sender, Sender::Grpc(_)),
                cause: "the payload was made for another transport".to_owned(),
                retryable: false,
            }),
        }
    }

    async fn collected(&self, events: &mpsc::Sender<Event>, deadline: Deadline) -> Result<Payload> {
        let (answer, collected) = oneshot::channel();
        events.send(Event::Collect(answer)).map_err(|_| cancelled())?;
        match timeout_at(deadline.at, collected).await {
            Ok(Ok(payload)) => Ok(payload),
            // It failed, which is the caller's to tell.
            Ok(Err(_)) => Err(cancelled()),
            Err(_) => Err(self.late(deadline, "the database's metrics were not collected")),
        }
    }

    /// What comes of all attempts is recorded in the store afterwards, within the push's time: a collector that never
    /// answers is what the others must hear of. A call of the store takes a quarter of it.
    fn last_attempt_ends(&self, deadline: Deadline) -> Instant {
        let shared = self.settings.policy.is_on() && !matches!(self.store, StoreSettings::Process);
        let reserve = if shared { deadline.within / 4 } else { Duration::ZERO };
        deadline.at.checked_sub(reserve).unwrap_or(deadline.at)
    }

    fn attempt_ends(&self, attempt: u32, end: Instant) -> Instant {
        let now = Instant::now();
        let left = end.saturating_duration_since(now);
        let attempts_left = self.settings.max_attempts.saturating_sub(attempt).saturating_add(1);
        now + self.settings.attempt_timeout.unwrap_or(left / attempts_left).min(left)
    }

    fn breaker(&self, deadline: Deadline) -> BreakerSettings {
        BreakerSettings {
            policy: self.settings.policy,
            key: self.settings.key.clone(),
            shown: self.settings.endpoint.shown().to_owned(),
            store: self.store.clone(),
            timeout: deadline.within,
        }
    }

    /// The error of a push whose time was over before its first attempt.
    pub fn late(&self, deadline: Deadline, cause: &str) -> TelemetryError {
        TelemetryError::DeadlineExceeded {
            endpoint: self.settings.endpoint.shown().to_owned(),
            timeout_ms: millis(deadline.within),
            attempts: 0,
            cause: cause.to_owned(),
        }
    }
}

fn result(accepted: Accepted, attempts: u32) -> OtlpHttpExportResult {
    OtlpHttpExportResult {
        status_code: accepted.status,
        response_body: accepted.body,
        rejected_data_points: accepted.rejected,
        partial_error: accepted.partial_error,
        attempts,
    }
}
