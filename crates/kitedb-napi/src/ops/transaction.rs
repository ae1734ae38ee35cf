//! The ends of transactions.

use super::{Context, Job, job};
use crate::{
    boundary::Woken,
    fault::Outcome,
    handles::{Handles, Held},
    wire::{Reader, Writer},
};
use kitedb::ReplicationRole;
use kitedb_bindings::submit_at_once;
use std::{
    pin::pin,
    sync::Arc,
    task::{self, Poll, Wake, Waker},
};

/// Commits, and writes the token; with the database as another argument, none unless that is a primary.
pub fn commit(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (number, db) = (r.u64()?, r.optional(Reader::u64)?);
    let tx = handles.transaction(number)?;
    let db = db.map(|db| handles.database(db)).transpose()?;
    // From here on nothing more is written to it, also while the job stands in the queue.
    handles.remove(number);
    job(move |_, w| {
        let token = tx.commit()?;
        let told = match db {
            Some(db) if db.replication_role() != ReplicationRole::Primary => None,
            Some(_) => Some(token.to_string()),
            None => Some(token.full()),
        };
        w.optional(told.as_deref(), Writer::text);
        Ok(())
    })
}

pub fn rollback(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    if let Some(Held::Transaction(tx)) = c.handles.remove(r.u64()?) {
        tx.rollback();
    }
    Ok(())
}

pub fn is_expired(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let expired = match c.handles.get(r.u64()?) {
        Some(Held::Transaction(tx)) => tx.with(|tx| Ok(tx.is_expired())),
        Some(Held::View(view)) => view.view().map(|view| view.is_expired()),
        _ => Err(crate::handles::finished("view or transaction")),
    };
    w.bool(match expired {
        Err(e) if e.code() == kitedb::ErrorCode::SnapshotExpired => true,
        expired => expired?,
    });
    Ok(())
}

/// How many bytes of the log its commit takes so far.
pub fn log_bytes(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.u64(c.handles.transaction(r.u64()?)?.with(|tx| Ok(tx.log_bytes()))? as u64);
    Ok(())
}

/// Submits at once: the number of the commit, and its token. Where that would take a time, the transaction stays.
pub fn try_submit(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let number = r.u64()?;
    let submitted = submit_at_once(&c.handles.transaction(number)?);
    if !submitted.as_ref().is_err_and(|e| e.code() == kitedb::ErrorCode::WouldBlock) {
        c.handles.remove(number);
    }
    let pending = submitted?;
    let token = pending.token().full();
    w.u64(c.handles.add(Held::Pending(pending)));
    w.text(&token);
    Ok(())
}

pub fn submit(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let number = r.u64()?;
    let (tx, handles) = (handles.transaction(number)?, handles.clone());
    // As of a commit.
    handles.remove(number);
    job(move |_, w| {
        let pending = tx.submit()?;
        let token = pending.token().full();
        w.u64(handles.add(Held::Pending(pending)));
        w.text(&token);
        Ok(())
    })
}

pub fn wait(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let pending = handles.pending(r.u64()?)?;
    job(move |_, w| {
        w.text(&pending.wait()?.full());
        Ok(())
    })
}

/// Another number for a commit, which is gone once that has ended: to wait for it by [`poll`].
pub fn watch_pending(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let pending = c.handles.pending(r.u64()?)?;
    w.u64(c.handles.add(Held::Pending(pending)));
    Ok(())
}

/// Says that a commit may have ended.
struct Ended {
    commit: u64,
    woken: Arc<Woken>,
}

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        self.woken.add(self.commit);
    }
}

/// Whether a commit has ended, and its token; if it has not, the JavaScript side is woken once it may have.
pub fn poll(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let commit = r.u64()?;
    let Some(Held::Pending(mut pending)) = c.handles.remove(commit) else {
        return Err(crate::handles::finished("commit").into());
    };
    let waker = Waker::from(Arc::new(Ended { commit, woken: c.woken.clone() }));
    match pin!(&mut pending).poll(&mut task::Context::from_waker(&waker)) {
        Poll::Ready(token) => w.optional(Some(token?.full()).as_deref(), Writer::text),
        Poll::Pending => {
            // With its place among those who wait: a clone of it has none.
            c.handles.restore(commit, Held::Pending(pending));
            w.bool(false);
        }
    }
    Ok(())
}
