//! `Kite-Wait-Token`: an answer of no earlier state than that of a commit, or none.

use super::{Graph, params::invalid, tokened};
use crate::{auth::Standing, error::Failure};
use axum::{
    extract::FromRequestParts,
    http::{HeaderName, request::Parts},
    response::Response,
};
use kitedb_core::{Database, ReplicationRole, Token, TokenWait, View};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// What the parameter means, for whoever reads the contract.
pub const ABOUT: &str = "`T` or `T; timeout=ms` (5,000, at most 30,000): the answer is of no earlier state than the commit that the \
                         token T names. 503 `TOKEN_TIMEOUT` where it does not come in time, 409 `TOKEN_OFF_HISTORY` where it never will, 503 \
                         `NEEDS_RESEED` where that takes a reseed";

const HEADER: HeaderName = HeaderName::from_static("kite-wait-token");
/// In ms.
const TIMEOUT: u64 = 5_000;
const MOST: u64 = 30_000;
/// Between two looks at a file that another process writes, at first and at last.
const PAUSE: Duration = Duration::from_millis(5);
/// So long a look may take, also at the end of the time in which it was to be there.
const TURN: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What an answer is to wait for; `None`: nothing.
#[derive(Debug)]
pub(crate) struct Wait(Option<Awaited>);

#[derive(Debug)]
struct Awaited {
    token: Token,
    timeout: Duration,
    /// Of who waits.
    standing: Standing,
}

impl<S: Sync> FromRequestParts<S> for Wait {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let mut said = parts.headers.get_all(HEADER).iter();
        let Some(value) = said.next() else { return Ok(Self(None)) };
        match (value.to_str(), said.next()) {
            (Ok(text), None) => {
                let (token, timeout) = read(text)?;
                Ok(Self(Some(Awaited { token, timeout, standing: Standing::of(parts)? })))
            }
            (Ok(_), Some(_)) => Err(invalid("Kite-Wait-Token is there twice: give the greater of two tokens")),
            (Err(_), _) => Err(invalid("Kite-Wait-Token is no text")),
        }
    }
}

fn read(text: &str) -> Result<(Token, Duration), Failure> {
    let mut parts = text.split(';').map(str::trim);
    let token: Token = parts.next().unwrap_or_default().parse()?;
    let mut timeout = TIMEOUT;
    if let Some(parameter) = parts.next() {
        let ms = parameter
            .strip_prefix("timeout=")
            .filter(|ms| !ms.is_empty() && ms.bytes().all(|byte| byte.is_ascii_digit()));
        let ms = ms.ok_or_else(|| {
            invalid("Kite-Wait-Token takes `timeout=` and milliseconds behind its token, and nothing else")
        })?;
        // Digits that are no number are more than there can be.
        timeout = ms.parse().unwrap_or(MOST).min(MOST);
    }
    match parts.next() {
        None => Ok((token, Duration::from_millis(timeout))),
        Some(_) => Err(invalid("Kite-Wait-Token takes one parameter, `timeout=`, behind its token")),
    }
}

/// A state that was looked at.
enum Seen<T> {
    /// It is not the one that is waited for.
    NotYet,
    At(Token, Result<T, Failure>),
}

impl Graph {
    /// Answers by a state: the newest one, once it is the one that is waited for. Nothing is held meanwhile, neither a thread nor a
    /// state.
    pub async fn read<T: Serialize + Send + 'static>(
        &self,
        wait: Wait,
        read: impl Fn(&View) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<Response, Failure> {
        let (token, answer) = self.seen(wait, false, read).await?;
        Ok(tokened(token, answer))
    }

    /// The same of one element.
    pub async fn read_one<T: Serialize + Send + 'static>(
        &self,
        wait: Wait,
        read: impl Fn(&View) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<Response, Failure> {
        let (token, answer) = self.seen(wait, true, read).await?;
        Ok(tokened(token, answer))
    }

    /// Returns once what is waited for is there.
    pub async fn reached(&self, wait: Wait) -> Result<(), Failure> {
        if wait.0.is_some() { self.seen(wait, true, |_| Ok(())).await.map(drop) } else { Ok(()) }
    }

    async fn seen<T: Send + 'static>(
        &self,
        Wait(wait): Wait,
        is_little: bool,
        read: impl Fn(&View) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<(Token, Result<T, Failure>), Failure> {
        let Some(Awaited { token: wanted, timeout, standing }) = wait else {
            let look = move |database: &_| look(database, None, &read);
            let seen = match is_little {
                true => self.app.node.read_little(look).await,
                false => self.app.node.read_graph(look).await,
            };
            return match seen? {
                Seen::At(token, answer) => Ok((token, answer)),
                Seen::NotYet => Err(Failure::panicked()),
            };
        };
        let (read, end) = (Arc::new(read), Instant::now() + timeout);
        let (mut pause, mut waited) = (PAUSE, false);
        loop {
            let seen = timeout_at(end.max(Instant::now() + TURN), self.looked_for(wanted, &read)).await;
            if let Seen::At(token, answer) = seen.map_err(|_| Failure::token_timeout(wanted))?? {
                if waited {
                    self.app.authorizer.require_still(&standing).await?;
                }
                return Ok((token, answer));
            }
            if Instant::now() >= end {
                return Err(Failure::token_timeout(wanted));
            }
            waited = true;
            self.app.unless_stopped(self.news(wanted, end, &mut pause)).await.ok_or_else(Failure::stopping)??;
        }
    }

    /// A look at the newest state for what is waited for. Only a handle of now tells whether a replica has to be reseeded, and why a
    /// state is not there; where a primary shows that state, one that is kept does.
    async fn looked_for<T: Send + 'static>(
        &self,
        wanted: Token,
        read: &Arc<impl Fn(&View) -> Result<T, Failure> + Send + Sync + 'static>,
    ) -> Result<Seen<T>, Failure> {
        let (first, again) = (read.clone(), read.clone());
        let at_once = move |database: &Database| match database.replication_role() {
            ReplicationRole::Replica => Ok(Seen::NotYet),
            _ => look(database, Some(wanted), &*first),
        };
        match self.app.node.read_graph_in_turn(at_once).await {
            Ok(Seen::At(token, answer)) => Ok(Seen::At(token, answer)),
            _ => self.app.node.read_in_turn(move |database| look(database, Some(wanted), &*again)).await,
        }
    }

    /// Returns where another look is due.
    async fn news(&self, wanted: Token, end: Instant, pause: &mut Duration) -> Result<(), Failure> {
        match self.app.node.held_here() {
            Some(database) => {
                let outcome = timeout_at(end, self.waits.outcome(database, wanted)).await;
                is_reached(outcome.map_err(|_| Failure::token_timeout(wanted))??, wanted)?;
            }
            None => {
                sleep((*pause).min(end.saturating_duration_since(Instant::now()))).await;
                *pause = (*pause * 2).min(LONGEST_PAUSE);
            }
        }
        Ok(())
    }
}

/// Looks at the newest state. What is waited for must be on the history before it was taken and after: a reseed may put this node on
/// another one at any time.
fn look<T>(
    database: &Database,
    wanted: Option<Token>,
    read: &impl Fn(&View) -> Result<T, Failure>,
) -> Result<Seen<T>, Failure> {
    let is_there = || match wanted {
        None => Ok(true),
        Some(token) => is_reached(database.wait_for_token_outcome(token, 0)?, token),
    };
    if !is_there()? {
        return Ok(Seen::NotYet);
    }
    let view = database.snapshot()?;
    let newer = wanted.is_none_or(|token| view.token().log_index >= token.log_index);
    if !newer || !is_there()? {
        return Ok(Seen::NotYet);
    }
    Ok(Seen::At(view.token(), read(&view)))
}

/// Whether it is there; an error where it will not come.
fn is_reached(outcome: TokenWait, token: Token) -> Result<bool, Failure> {
    match outcome {
        TokenWait::Reached => Ok(true),
        TokenWait::EpochChanged => Err(Failure::token_off_history(token)),
        TokenWait::NeedsReseed => Err(Failure::token_needs_reseed(token)),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_header_is_a_token_and_perhaps_a_timeout() {
        for (text, ms) in [
            ("1:17", 5_000),
            (" 2:3.9f3c21aa ", 5_000),
            ("1:17; timeout=250", 250),
            ("1:17;timeout=0", 0),
            ("1:17; timeout=30001", 30_000),
            ("1:17; timeout=99999999999999999999999", 30_000),
        ] {
            let (token, timeout) = read(text).unwrap();
            assert_eq!(timeout, Duration::from_millis(ms), "{text}");
            assert!(token.log_index.0 > 0);
        }
        for text in [
            "",
            "x",
            "1",
            "1:2:3",
            "1:17;",
            "1:17; timeout=",
            "1:17; timeout=-1",
            "1:17; wait=1",
            "1:17; timeout=1; timeout=2",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:;=a-z. ]{0,24}|.*") {
            let _ = read(&text);
        }
    }
}
