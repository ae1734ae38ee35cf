//! The state in an HTTP store, which collectors' clients on several machines share.
//!
//! | mode | read | write |
//! |---|---|---|
//! | document | `GET` | `PUT` |
//! | patch, batch, merge | `GET` with a key | `PATCH` |
//!
//! What comes and goes is in [`wire`]; here are the calls and their order.

#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub(crate) use wire::header_text;

use super::{
    BreakerState, HttpStoreMode, HttpStoreSettings, StoreError,
    document::{Document, Entry},
};
use crate::endpoint;
use crate::error::causes;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue},
};
use std::{future::Future, time::Duration};
use wire::Reply;

/// No answer is longer.
const MAX_REPLY_BYTES: usize = 4 << 20;

/// A store of breaker states behind a URL.
#[derive(Debug)]
pub(crate) struct HttpStore {
    settings: HttpStoreSettings,
    /// The URL as errors may show it.
    shown: String,
}

/// What a key was like when it was read.
struct Seen {
    entry: Option<Entry>,
    /// In document mode, what else there is.
    document: Document,
    /// With CAS, on what a write depends.
    condition: Option<(HeaderName, HeaderValue)>,
}

impl Seen {
    fn state(&self) -> Option<&BreakerState> {
        self.entry.as_ref().map(|entry| &entry.state)
    }
}

/// What became of a write.
enum Written {
    Taken,
    /// Somebody else wrote since it was read.
    Conflict,
}

impl HttpStore {
    /// A store; nothing is sent.
    pub fn new(settings: HttpStoreSettings) -> Self {
        let shown = endpoint::show(settings.url.as_str());
        Self { settings, shown }
    }

    /// The state of `key`. `None`: there is none. It takes `budget` at most.
    ///
    /// # Errors
    /// The store did not answer in time, or not in a way that can be understood.
    pub async fn read(&self, key: &str, budget: Duration) -> Result<Option<BreakerState>, StoreError> {
        let seen = self.within(budget, self.look(key)).await?;
        Ok(seen.entry.map(|entry| entry.state))
    }

    /// Reads the state of `key`, applies `change`, and writes it if that changed it; with CAS all of this again, as
    /// often as the settings say, when somebody else wrote in between. It takes `budget` at most, and gives the state
    /// that the store has now.
    ///
    /// `memory` takes the place of an absent entry. `pending` are other keys of this store whose last write failed:
    /// with them, batch and merge always write, and the first [`Self::companions`] of them are in the store after
    /// `Ok`.
    ///
    /// # Errors
    /// The store did not answer in time or not in a way that can be understood, or every write met another one.
    /// `change` may have been applied then, to a state that was not kept or not known to be kept.
    pub async fn update(
        &self,
        key: &str,
        memory: Option<&BreakerState>,
        pending: &[(String, Option<BreakerState>)],
        change: &mut (dyn FnMut(&mut BreakerState) + Send),
        budget: Duration,
    ) -> Result<BreakerState, StoreError> {
        self.within(budget, self.update_until_taken(key, memory, pending, change)).await
    }

    /// How many of the pending keys go along with a write.
    pub fn companions(&self) -> usize {
        wire::companions(self.settings.mode)
    }

    async fn update_until_taken(
        &self,
        key: &str,
        memory: Option<&BreakerState>,
        pending: &[(String, Option<BreakerState>)],
        change: &mut (dyn FnMut(&mut BreakerState) + Send),
    ) -> Result<BreakerState, StoreError> {
        let company = self.companions() > 0 && !pending.is_empty();
        let tries = if self.settings.cas { self.settings.write_attempts.max(1) } else { 1 };
        for _ in 0..tries {
            let seen = self.look(key).await?;
            let mut state = seen.state().or(memory).cloned().unwrap_or_default();
            change(&mut state);
            if state == seen.state().cloned().unwrap_or_default() && !company {
                return Ok(state);
            }
            match self.write(key, seen, &state, pending).await? {
                Written::Taken => return Ok(state),
                Written::Conflict => {}
            }
        }
        Err(StoreError::conflict(format_args!(
            "breaker store at {}: each of {tries} writes met one of somebody else",
            self.shown
        )))
    }

    /// Reads what there is.
    async fn look(&self, key: &str) -> Result<Seen, StoreError> {
        let wrong = |what| self.failed(what);
        let mut request = self.request(Method::GET)?;
        if self.settings.mode != HttpStoreMode::Document {
            request = request.header(wire::MODE, wire::PATCH).header(wire::KEY, self.key(key)?);
        }
        let reply = self.reply(request).await?;
        let (entry, document, exists) = if self.settings.mode == HttpStoreMode::Document {
            let document = reply.document().map_err(wrong)?;
            let exists = document.is_some();
            let document = document.unwrap_or_default();
            (document.entry(key).map_err(wrong)?, document, exists)
        } else {
            let entry = reply.entry(key).map_err(wrong)?;
            let exists = entry.is_some();
            (entry, Document::default(), exists)
        };
        let condition = self.settings.cas.then(|| reply.condition(exists));
        Ok(Seen { entry, document, condition })
    }

    /// Writes `state` in the place of what was seen.
    async fn write(
        &self,
        key: &str,
        seen: Seen,
        state: &BreakerState,
        pending: &[(String, Option<BreakerState>)],
    ) -> Result<Written, StoreError> {
        let wrong = |what| self.failed(what);
        let Seen { entry, mut document, condition } = seen;
        let mut entry = entry.unwrap_or_default();
        entry.state = state.clone();
        let entry = entry.render().map_err(wrong)?;
        let mut request = if self.settings.mode == HttpStoreMode::Document {
            document.set(key, entry);
            self.request(Method::PUT)?.body(document.render().map_err(wrong)?)
        } else {
            let (mode, body) = wire::patch(self.settings.mode, key, entry, pending).map_err(wrong)?;
            self.request(Method::PATCH)?.header(wire::MODE, mode).header(wire::KEY, self.key(key)?).body(body)
        };
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        let response = self.send(request).await?;
        match response.status() {
            status if status.is_success() => Ok(Written::Taken),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED if self.settings.cas => Ok(Written::Conflict),
            status => Err(self.failed(format_args!("it refused a write: status {status}"))),
        }
    }

    /// A request as all of them are.
    fn request(&self, method: Method) -> Result<RequestBuilder, StoreError> {
        let client: &Client = self.settings.client.as_ref().ok_or_else(|| self.failed("there is no client for it"))?;
        // Calls come in twos and threes and then not for an interval: a connection kept would mostly be a dead one.
        let mut request = client.request(method, self.settings.url.clone()).header(CONNECTION, "close");
        if let Some(lease) = &self.settings.lease_id {
            let mut lease = HeaderValue::from_str(lease).map_err(|_| self.failed("the lease id is no header value"))?;
            lease.set_sensitive(true);
            request = request.header(wire::LEASE, lease);
        }
        Ok(request)
    }

    fn key(&self, key: &str) -> Result<HeaderValue, StoreError> {
        HeaderValue::from_str(key).map_err(|_| self.failed("the key is no header value"))
    }

    /// Sends a `GET` and takes in the answer.
    async fn reply(&self, request: RequestBuilder) -> Result<Reply, StoreError> {
        let mut response = self.send(request).await?;
        let missing = response.status() == StatusCode::NOT_FOUND;
        if !missing && !response.status().is_success() {
            return Err(self.failed(format_args!("it refused a read: status {}", response.status())));
        }
        let tag = response.headers().get(ETAG).filter(|tag| !tag.is_empty()).cloned();
        let mut body = Vec::new();
        while !missing && let Some(part) = response.chunk().await.map_err(|e| self.failed(causes(&e.without_url())))? {
            if body.len() + part.len() > MAX_REPLY_BYTES {
                return Err(self.failed("its answer is longer than 4 MiB"));
            }
            body.extend_from_slice(&part);
        }
        Ok(Reply { missing, tag, body })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, StoreError> {
        request.send().await.map_err(|e| self.failed(causes(&e.without_url())))
    }

    async fn within<T>(
        &self,
        budget: Duration,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(budget, call).await {
            Ok(done) => done,
            Err(_) => Err(self.failed(format_args!("it was not done within {} ms", budget.as_millis()))),
        }
    }

    fn failed(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::new(format_args!("breaker store at {}: {what}", self.shown))
    }
}
