//! Bulk loads.

use super::{Context, Job, job};
use crate::{
    fault::Outcome,
    handles::{Handles, Held, Shared, take, with},
    wire::{Reader, Writer},
};
use kitedb::{BulkLoader, Result, Token};
use parking_lot::Mutex;
use std::sync::Arc;

pub fn begin_bulk(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (number, elements) = (r.u64()?, r.size()?);
    let bulk = c.handles.database(number)?.begin_bulk(elements)?;
    w.u64(c.handles.add(Held::Bulk(number, Arc::new(Mutex::new(Some(bulk))))));
    Ok(())
}

fn put(w: &mut Writer<'_>, token: Option<Token>) {
    w.optional(token.map(Token::full).as_deref(), Writer::text);
}

pub fn bulk_last_token(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let bulk = c.handles.bulk(r.u64()?)?;
    put(w, with(&bulk, "bulk load", |bulk| Ok(bulk.last_token()))?);
    Ok(())
}

/// Gives up the batch that is not full.
pub fn bulk_drop(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    drop(c.handles.remove(r.u64()?));
    Ok(())
}

fn on(
    handles: &Arc<Handles>,
    r: &mut Reader<'_>,
    f: impl FnOnce(&Shared<BulkLoader>) -> Result<Option<Token>> + Send + 'static,
) -> Outcome<Job> {
    let bulk = handles.bulk(r.u64()?)?;
    job(move |_, w| {
        put(w, f(&bulk)?);
        Ok(())
    })
}

/// Counts so many elements.
pub fn bulk_step(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    on(handles, r, |bulk| with(bulk, "bulk load", BulkLoader::step))
}

pub fn bulk_flush(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    on(handles, r, |bulk| with(bulk, "bulk load", |bulk| bulk.flush().map(Some)))
}

pub fn bulk_finish(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    on(handles, r, |bulk| take(bulk, "bulk load")?.finish().map(Some))
}
