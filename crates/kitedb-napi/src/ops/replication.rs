//! Replication: what primaries and replicas are asked and told, and what an operator says of files.

use super::{Context, Job, job, options};
use crate::{
    fault::Outcome,
    handles::{Handles, Held},
    report::Report,
    waits::Asked,
    wire::{Reader, Writer},
};
use kitedb::{Database, FollowerOptions, Result, TokenWait, Watch, io::Env, transport::TransportJson};
use std::{path::PathBuf, sync::Arc};

/// What is asked of a database whose answer is a report. What the engine cannot end by the flag looks at it once, before.
fn ask<T: Report>(
    handles: &Arc<Handles>,
    r: &mut Reader<'_>,
    f: impl FnOnce(&Database, &Watch) -> Result<T> + Send + 'static,
) -> Outcome<Job> {
    let db = handles.database(r.u64()?)?;
    answered(move |watch| f(&db, watch))
}

fn answered<T: Report>(f: impl FnOnce(&Watch) -> Result<T> + Send + 'static) -> Outcome<Job> {
    job(move |watch, w| {
        watch.require_uncancelled()?;
        f(watch)?.put(w);
        Ok(())
    })
}

pub fn primary_replication_status(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.primary_replication_status())
}

pub fn replica_replication_status(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.replica_replication_status())
}

pub fn primary_report_replica_progress(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    let (db, replica, epoch, applied) = (c.handles.database(r.u64()?)?, r.text()?, r.u64()?, r.u64()?);
    Ok(db.primary_report_replica_progress(replica, epoch, applied)?)
}

pub fn took_over_from(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let source = c.handles.database(r.u64()?)?.took_over_from()?;
    w.optional(source.as_ref().map(|path| path.to_string_lossy()).as_deref(), Writer::text);
    Ok(())
}

pub fn primary_remove_replica(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let db = handles.database(r.u64()?)?;
    let replica = r.text()?.to_owned();
    answered(move |_| db.primary_remove_replica(&replica))
}

pub fn primary_run_retention(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.primary_run_retention())
}

pub fn primary_promote_to_next_epoch(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.primary_promote_to_next_epoch())
}

pub fn primary_promote_by_force(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.primary_promote_by_force())
}

pub fn primary_rivals(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.primary_rivals())
}

pub fn replica_rivals(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.replica_rivals())
}

pub fn replica_bootstrap_from_snapshot(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, Database::replica_bootstrap_with)
}

pub fn replica_copy_source(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, Database::replica_copy_source_with)
}

pub fn replica_catch_up_once(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (db, frames) = (handles.database(r.u64()?)?, r.size()?);
    answered(move |_| db.replica_catch_up_once(frames).map(|applied| applied as u64))
}

pub fn replica_promote(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (db, force) = (handles.database(r.u64()?)?, r.bool()?);
    answered(move |_| db.replica_promote(force))
}

pub fn replica_repoint(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (db, source) = (handles.database(r.u64()?)?, r.text()?.to_owned());
    let sidecar = r.optional(Reader::text)?.map(PathBuf::from);
    answered(move |_| db.replica_repoint(source, sidecar))
}

pub fn replica_wait_for_news(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (db, seen, timeout) = (handles.database(r.u64()?)?, r.u64()?, r.u64()?);
    answered(move |watch| db.replica_wait_for_news_with(seen, timeout, watch))
}

pub fn start_follower(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let db = handles.database(r.u64()?)?;
    let options: FollowerOptions = options::follower(r)?;
    answered(move |_| db.start_follower(options))
}

pub fn stop_follower(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    ask(handles, r, |db, _| db.stop_follower())
}

/// Waits for a token, and says what came of it in one of four words.
pub fn wait_for_token_outcome(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let of = r.u64()?;
    let db = handles.database(of)?;
    let token = r.text()?.parse().map_err(|e: kitedb::Error| e.context("Invalid commit token"))?;
    let timeout_ms = r.u64()?;
    let wait = Asked { of, db: db.clone(), token, timeout_ms };
    let job = answered(move |watch| db.wait_for_token_outcome_with(token, timeout_ms, watch).map(said))?;
    Ok(Job { wait: Some(wait), ..job })
}

/// The word for what came of a wait.
pub fn said(outcome: TokenWait) -> String {
    outcome.as_str().to_owned()
}

pub fn remove_replica_at(_: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (path, replica) = (r.text()?.to_owned(), r.text()?.to_owned());
    let options = options::open(r)?;
    answered(move |_| Database::remove_replica_at(path, &options, &replica))
}

pub fn confirm_replicas_at(_: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let path = r.text()?.to_owned();
    let options = options::open(r)?;
    answered(move |_| Database::confirm_replicas_at(path, &options))
}

pub fn run_retention_at(_: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let path = r.text()?.to_owned();
    let (options, windows) = (options::open(r)?, options::windows(r)?);
    answered(move |_| Database::run_retention_at(path, &options, &windows))
}

pub fn detach(_: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let path = r.text()?.to_owned();
    let options = options::open(r)?;
    answered(move |_| Database::detach_in(Env::real(), path, options))
}

pub fn confirm_moved(_: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let path = r.text()?.to_owned();
    let options = options::open(r)?;
    answered(move |_| Database::confirm_moved_in(Env::real(), path, options))
}

pub fn repair(_: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let path = r.text()?.to_owned();
    let options = options::repair(r)?;
    answered(move |watch| Database::repair(path, options.watched_by(watch)))
}

pub fn snapshot_transport_json(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (db, data) = (handles.database(r.u64()?)?, r.bool()?);
    answered(move |_| db.primary_export_snapshot_transport_json(data))
}

pub fn log_transport_json(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (db, cursor) = (handles.database(r.u64()?)?, r.optional(Reader::text)?.map(str::to_owned));
    let (frames, bytes, payload) = (r.size()?, r.size()?, r.bool()?);
    answered(move |_| db.primary_export_log_transport_json(cursor.as_deref(), frames, bytes, payload))
}

/// An image of the database that stays readable: its number, and what it is.
pub fn export_snapshot(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let db = handles.database(r.u64()?)?;
    let handles = handles.clone();
    job(move |watch, w| {
        watch.require_uncancelled()?;
        let export = db.primary_export_snapshot()?;
        let facts = [export.generated_at_ms(), export.epoch().0, export.head().0, export.retained_floor().0];
        let (checkpoint, length) = (export.checkpoint().0, export.byte_length());
        let texts = [export.digest().to_string(), export.start_cursor().to_string()];
        w.u64(handles.add(Held::Export(Arc::new(export))));
        facts.into_iter().chain([checkpoint, length]).for_each(|number| w.u64(number));
        texts.iter().for_each(|text| w.text(text));
        Ok(())
    })
}

/// Bytes of such an image.
pub fn snapshot_export_read(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (export, offset, len) = (c.handles.export(r.u64()?)?, r.u64()?, r.u32()?);
    let mut bytes = vec![0; len as usize];
    export.read_at(&mut bytes, offset)?;
    w.bytes(&bytes);
    Ok(())
}
