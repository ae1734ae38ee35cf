//! What a fence means for the commits of a node that leads, or led: whether it may commit, and whether what it has appended counts.

use super::{
    engine::{Commit, Engine},
    options::ReplicationRole,
    published_log::PublishedLog,
    stale_fence::not_completed,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token},
    log::{Control, Fence, WriterId},
    shell::{Command, command},
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// What the fence says of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It counts.
    Kept,
    /// It does not.
    Void,
    /// A later epoch was ended already: this node's history tells.
    Past,
}

impl Verdict {
    /// `None`: it does not say so yet.
    fn of(fence: &Fence, token: Token) -> Option<Self> {
        match fence.ended {
            // The word was damaged, or put back.
            _ if fence.epoch == token.epoch && fence.moved_by.is_none() => Some(Self::Kept),
            Some(end) if end.epoch == token.epoch && token.log_index <= end.last => Some(Self::Kept),
            Some(end) if end.epoch == token.epoch => Some(Self::Void),
            Some(end) if end.epoch > token.epoch => Some(Self::Past),
            _ => None,
        }
    }
}

impl Engine {
    /// Fails unless a handle that leads epoch `lease` may commit.
    pub(super) fn require_lead(&self, commit: &Commit, lease: Epoch) -> Result<()> {
        if lease != commit.epoch {
            return Err(Error::new(
                ErrorCode::StalePrimary,
                format_args!(
                    "stale primary: this handle leads epoch {lease} and is fenced for writes, another one promoted \
                     itself to epoch {}; open the database again",
                    commit.epoch
                ),
            )
            .with_epoch(commit.epoch)
            .with_path(&self.path));
        }
        if self.is_fenced() {
            return Err(self.fenced_error());
        }
        Ok(())
    }

    /// Fails if a handle that leads epoch `lease` is fenced.
    pub(crate) fn require_leading(&self, lease: Epoch) -> Result<()> {
        let commit = self.commit.lock();
        self.require_lead(&commit, lease)?;
        match &self.sidecar {
            Some(control) if !control.allows(lease) => require_unfenced(control, lease),
            _ => Ok(()),
        }
    }

    /// Publishes a commit that is as durable as its mode asks, unless a fence made it void: what that says is waited for at most
    /// for `patience`.
    pub(super) fn conclude(&self, log: PublishedLog<'_>, token: Token, patience: Duration) -> Result<()> {
        if !is_unfenced(log.control, token.epoch) {
            self.publish_if_kept(log, token, patience)?;
        } else if self.published() < token.log_index {
            // Another committer synced it, and has not come to publish it yet.
            self.publish(Some(log), token.log_index);
        }
        Ok(())
    }

    /// Fails if a fence made frames up to `index` of this node's epoch void.
    pub(super) fn require_unfenced_through(&self, index: LogIndex) -> Result<()> {
        match &self.sidecar {
            Some(control) if self.role() == ReplicationRole::Primary && !self.is_fenced() => {
                let token = Token::new(self.epoch(), index);
                if is_unfenced(control, token.epoch) {
                    return Ok(());
                }
                match self.await_verdict(control, token, self.fence_patience())? {
                    Verdict::Kept => Ok(()),
                    Verdict::Void | Verdict::Past => Err(void(control, token)),
                }
            }
            _ => Ok(()),
        }
    }

    /// For how long what a fence says is waited for.
    pub(super) fn fence_patience(&self) -> Duration {
        Duration::from_millis(self.options.fence_wait_ms)
    }

    /// Waits until the fence that was moved meanwhile says whether a commit counts, and publishes it if it does.
    #[cold]
    pub(super) fn publish_if_kept(&self, log: PublishedLog<'_>, token: Token, patience: Duration) -> Result<()> {
        let control = log.control;
        match self.await_verdict(control, token, patience)? {
            Verdict::Kept => {}
            Verdict::Void => return Err(void(control, token)),
            Verdict::Past => match self.is_in_the_past(token) {
                Some(true) => {}
                Some(false) => return Err(void(control, token)),
                None => return Err(self.unknown(token, "its epoch was ended more than once meanwhile")),
            },
        }
        self.publish(Some(log), token.log_index);
        Ok(())
    }

    /// What the fence says of a commit that was appended before this look at it.
    fn await_verdict(&self, control: &Control, token: Token, patience: Duration) -> Result<Verdict> {
        #[expect(clippy::disallowed_methods, reason = "a thread sleeps by the clock of the real machine")]
        let began = Instant::now();
        loop {
            let mark = control.fence_mark();
            let fence = control.fence().map_err(|e| self.unknown(token, &e.to_string()))?;
            if let Some(verdict) = Verdict::of(&fence, token) {
                return Ok(verdict);
            }
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                let by = fence.moved_by.map_or_else(String::new, |by| format!(" by promotion {}", id_text(&by)));
                let why = format!(
                    "epoch {} was fenced{by}, which did not say within {} ms where it ends",
                    token.epoch, self.options.fence_wait_ms
                );
                return Err(self.unknown(token, &why));
            }
            // Woken when the fence changes. Not for too long: whoever changes it may die before it wakes anybody.
            control.wait_fence(mark, left.min(Duration::from_millis(100)));
        }
    }

    /// Whether this node itself went on from that commit to a later epoch, as a handle does that promotes itself while
    /// the commits of others are synced, and whether that one is part of it. The log remembers the last end only.
    /// `None`: it did not go on.
    fn is_in_the_past(&self, token: Token) -> Option<bool> {
        let commit = self.commit.lock();
        // What came right after that epoch here.
        let next = commit.history.iter().rev().take_while(|h| h.epoch != token.epoch).last();
        next.filter(|next| next.epoch > token.epoch).map(|next| token.log_index < next.first)
    }

    fn unknown(&self, token: Token, why: &str) -> Error {
        Error::new(
            ErrorCode::OutcomeUnknown,
            format_args!(
                "stale primary: {why}; whether commit {token} counts is unknown: look whether the node that leads now has \
                 it (wait for that token there), or, if none took over, promote {} to take the lead back, and look here",
                self.path.display()
            ),
        )
        .with_token(token)
        .with_path(&self.path)
    }

    pub(super) fn fenced_error(&self) -> Error {
        let fence = self.sidecar.as_ref().and_then(|control| control.fence().ok());
        let leads = fence.map_or(Epoch(0), |fence| fence.epoch);
        if self.sidecar.as_ref().is_some_and(|control| control.fence_is_assumed()) {
            let lead = command("primary promote", &self.path, "--force");
            return self.fence_is_assumed(&lead, "primary_promote_to_next_epoch");
        }
        if let (Some(control), true) = (&self.sidecar, fence.is_some_and(|fence| fence.follows)) {
            return is_a_replica(control, &self.path);
        }
        if let Some(begun) = fence.filter(Fence::is_ending).and_then(|fence| fence.moved_by) {
            return self.fence_is_unfinished(begun);
        }
        Error::new(
            ErrorCode::StalePrimary,
            format_args!(
                "stale primary: {} is fenced for writes at epoch {}, because another node was promoted to epoch {leads}; follow \
                 the new primary as a replica ({} tells where nobody leads yet); only if that one is gone for good, promote this \
                 node by name",
                self.path.display(),
                self.epoch(),
                command("primary status", &self.path, "")
            ),
        )
        .with_epoch(leads)
        .with_path(&self.path)
    }

    /// Why a primary does not lead whose fence a promotion moved that has not come to its end: nobody leads.
    fn fence_is_unfinished(&self, begun: WriterId) -> Error {
        let (shown, lead) = (self.path.display(), command("primary promote", &self.path, ""));
        let begun = format!("{:032x}", u128::from_be_bytes(begun));
        let what = format_args!("stale primary: {shown} is fenced for writes: {}", not_completed(&begun, &lead));
        let begins = self.sidecar.as_ref().and_then(|control| control.fence().ok()).map(|fence| fence.epoch);
        let error = Error::new(ErrorCode::StalePrimary, what).with_path(&self.path);
        match begins {
            Some(epoch) => error.with_epoch(epoch),
            None => error,
        }
    }

    /// Why a primary does not lead whose control file was made anew, or is older than the file. `lead` is the command by which it
    /// does all the same, `call` what that is in the application.
    pub(crate) fn fence_is_assumed(&self, lead: &Command, call: &str) -> Error {
        let shown = self.path.display();
        Error::new(
            ErrorCode::StalePrimary,
            format_args!(
                "stale primary: the control file of {shown} was repaired, or an older one was put back, and what it knew of other \
                 nodes is lost, so that it does not lead. If another node took over, follow that one as a replica; only if \
                 none did, lead anew ({lead}, {call})"
            ),
        )
        .with_path(&self.path)
    }
}

/// Whether the fence still lets epoch `mine` commit. Its frame is where others can read it before the fence is looked
/// at, as the promoter moves the fence before it reads: one of both sees what the other did. Upholds I27.
pub(super) fn is_unfenced(control: &Control, mine: Epoch) -> bool {
    std::sync::atomic::fence(Ordering::SeqCst);
    control.allows(mine)
}

/// Fails if another writer has taken the log over from the one of epoch `mine`: asked under the commit lock, where the
/// word that committers compare says so.
#[cold]
pub(super) fn require_unfenced(control: &Control, mine: Epoch) -> Result<()> {
    let fence = control.fence()?;
    if fence.epoch == mine && fence.moved_by.is_none() && !fence.follows {
        // Only the word was damaged. If someone moves the fence right now, he mends it.
        if let Some(_fence) = control.lock_fence()? {
            control.settle_fence()?;
        }
        return Ok(());
    }
    let leads = fence.epoch;
    let what = format_args!("stale primary: epoch {mine} is fenced for writes, epoch {leads} leads");
    Err(Error::new(ErrorCode::StalePrimary, what).with_epoch(leads))
}

/// The error of a commit that a fence made void.
fn void(control: &Control, token: Token) -> Error {
    let fence = control.fence().ok();
    let leads = fence.map_or_else(|| "another".to_owned(), |fence| fence.epoch.to_string());
    let what = format_args!(
        "commit {token} does not count: stale primary: epoch {} is fenced for writes, epoch {leads} leads",
        token.epoch
    );
    let error = Error::new(ErrorCode::StalePrimary, what).with_token(token);
    match fence {
        Some(fence) => error.with_epoch(fence.epoch),
        None => error,
    }
}

/// Why a replica that is opened as a primary does not commit.
fn is_a_replica(control: &Control, path: &std::path::Path) -> Error {
    let promote = command("replica promote", path, "");
    let what = format_args!(
        "stale primary: {} is a replica, and so it is fenced for writes at epoch {}: commit on the primary that it follows, or let \
         this one take over from it ({promote}, replica_promote)",
        path.display(),
        control.fence().map_or(Epoch(0), |fence| fence.epoch)
    );
    Error::new(ErrorCode::StalePrimary, what).with_path(path)
}

/// The text of an id.
fn id_text(id: &WriterId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
