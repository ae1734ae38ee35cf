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
    let outcomes = wait_for_any_token(engine, &[token], timeout, watch)?;
    Ok(outcomes.first().copied().flatten().unwrap_or(TokenWait::TimedOut))
}

/// The same for several: until something can be said of one of them. What can be said of each by then, `None`: nothing yet.
pub fn wait_for_any_token(
    engine: &Arc<Engine>,
    tokens: &[Token],
    timeout: Duration,
    watch: &Watch,
) -> Result<Vec<Option<TokenWait>>> {
    let mut outcomes = Vec::new();
    let woken = engine.clone();
    let _asleep = watch.while_asleep(move || woken.signal().notify_all());
    // A commit below all of them says nothing of any; what else says something wakes everybody.
    let lowest = tokens.iter().map(|token| token.log_index.0).min();
    engine.signal().wait_until(lowest, timeout, || {
        outcomes.clear();
        outcomes.extend(tokens.iter().map(|token| look(engine, *token)));
        let any = outcomes.iter().any(Option::is_some);
        any || engine.check_usable().is_err() || engine.panicked().is_some() || watch.is_cancelled()
    });
    if outcomes.iter().all(Option::is_none) {
        watch.require_uncancelled()?;
        engine.check_usable()?;
        engine.require_no_panic()?;
    }
    Ok(outcomes)
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
