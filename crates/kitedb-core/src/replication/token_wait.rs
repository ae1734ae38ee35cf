//! Waiting for a token: event-driven, and without holding a view.

use crate::{
    db::{Engine, Found, ReplicationRole},
    error::Result,
    graph::Token,
    watch::Watch,
};
use std::{sync::Arc, time::Duration};

/// What came of waiting for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenWait {
    /// The commit is on this node's history, and readers here see it.
    Reached,
    /// It is not here yet.
    TimedOut,
    /// It is off this node's history: another writer took over before it got here, so the write is gone.
    EpochChanged,
    /// This node will not reach it before it is reseeded.
    NeedsReseed,
}

impl TokenWait {
    /// The text form: `reached`, `timed_out`, `epoch_changed` or `needs_reseed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::TimedOut => "timed_out",
            Self::EpochChanged => "epoch_changed",
            Self::NeedsReseed => "needs_reseed",
        }
    }
}

/// Waits until the commit that `token` names is on this node's history and published, for at most `timeout`, or until `watch`
/// ends it.
pub fn wait_for_token(engine: &Arc<Engine>, token: Token, timeout: Duration, watch: &Watch) -> Result<TokenWait> {
    let mut outcome = TokenWait::TimedOut;
    let woken = engine.clone();
    let _asleep = watch.while_asleep(move || woken.signal().notify_all());
    engine.signal().wait_until(Some(token.log_index.0), timeout, || {
        let now = look(engine, token);
        outcome = now.unwrap_or(TokenWait::TimedOut);
        now.is_some() || engine.check_usable().is_err() || engine.panicked().is_some() || watch.is_cancelled()
    });
    if outcome == TokenWait::TimedOut {
        watch.require_uncancelled()?;
        engine.check_usable()?;
        engine.require_no_panic()?;
    }
    Ok(outcome)
}

/// What can be said of `token` by now; `None`: not yet.
fn look(engine: &Engine, token: Token) -> Option<TokenWait> {
    if token.log_index.0 == 0 {
        return Some(TokenWait::Reached);
    }
    // In this order: an epoch begins only once all before it is published.
    let leads = engine.epoch();
    let last = match engine.commit_at(token.log_index) {
        // Where it is not known who wrote it, no tag is that writer's.
        Found::Commit(there) if there == token && (token.tag().is_none() || token.tag() == there.tag()) => {
            return Some(TokenWait::Reached);
        }
        // An index of before this node's own history can be of any epoch up to the next one that is known.
        Found::Unknown if token.tag().is_none() => return Some(TokenWait::Reached),
        Found::Commit(_) | Found::Unknown => return Some(TokenWait::EpochChanged),
        Found::Nothing(last) => last,
    };
    // A replica knows of an epoch by its commits alone: one that it began itself it may never have led, and what it follows goes on.
    let leads = if engine.role() == ReplicationRole::Replica { last.epoch } else { leads.max(last.epoch) };
    let may_come = match last.tag().zip(token.tag()) {
        Some((own, asked)) if last.epoch == token.epoch => own == asked,
        _ => leads < token.epoch || engine.may_be_led_by(leads, token.tag()),
    };
    if leads > token.epoch || !may_come {
        // A later epoch has begun at or before it, or another node's of that number: what comes with that index will be
        // another commit.
        return Some(TokenWait::EpochChanged);
    }
    let reseed = engine.sidecar.as_ref().is_some_and(|control| control.is_replica() && control.needs_reseed());
    reseed.then_some(TokenWait::NeedsReseed)
}
