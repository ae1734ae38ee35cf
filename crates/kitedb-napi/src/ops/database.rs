//! Databases: opened, closed, looked after.

use super::{Context, Job, job, options};
use crate::{
    fault::Outcome,
    handles::{Handles, Held},
    report::Report,
    wire::{Reader, Writer},
};
use kitedb::{
    Database, Token, Transaction, View, Watch,
    graph::{MAX_DEPTH, MAX_VALUE_BYTES},
};
use std::sync::Arc;

pub fn open(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let path = r.text()?.to_owned();
    let options = options::open(r)?;
    let handles = handles.clone();
    job(move |_, w| {
        let db = Database::open(path, options)?;
        w.u64(handles.add(Held::Database(db)));
        Ok(())
    })
}

fn end(handles: &Arc<Handles>, r: &mut Reader<'_>, end: fn(&Database) -> kitedb::Result<()>) -> Outcome<Job> {
    let number = r.u64()?;
    let handles = handles.clone();
    job(move |_, _| {
        let Some(db) = handles.closing(number) else { return Ok(()) };
        end(&db)?;
        handles.closed(number, &db);
        Ok(())
    })
}

pub fn close(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    end(handles, r, Database::close)
}

pub fn abandon(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    end(handles, r, Database::abandon)
}

/// Lets go of what nobody has any more.
pub fn release(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    match c.handles.remove(r.u64()?) {
        // The last handle of a database closes it, which takes time that the garbage collector has not.
        held @ Some(Held::Database(_) | Held::Exporter(_)) => {
            let release = std::thread::Builder::new().name("kitedb-release".to_owned()).spawn(move || drop(held));
            // Without a thread it was dropped here.
            drop(release);
        }
        held => drop(held),
    }
    Ok(())
}

pub fn held_count(c: &Context<'_>, _: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.u64(c.handles.len() as u64);
    Ok(())
}

/// How deep lists and maps may be nested, and how many bytes a value and a transaction take at most.
pub fn limits(_: &Context<'_>, _: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.u32(MAX_DEPTH as u32);
    w.u32(MAX_VALUE_BYTES as u32);
    w.u32(Transaction::MAX_LOG_BYTES as u32);
    Ok(())
}

fn database(c: &Context<'_>, r: &mut Reader<'_>) -> Outcome<Database> {
    Ok(c.handles.database(r.u64()?)?)
}

pub fn path(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.text(&database(c, r)?.path().to_string_lossy());
    Ok(())
}

pub fn read_only(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.bool(database(c, r)?.is_read_only());
    Ok(())
}

pub fn replication_role(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.text(database(c, r)?.replication_role().as_str());
    Ok(())
}

pub fn sync_mode(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    database(c, r)?.sync_mode().put(w);
    Ok(())
}

pub fn damage(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let damage = database(c, r)?.damage().map(|damage| damage.to_string());
    w.optional(damage.as_deref(), Writer::text);
    Ok(())
}

pub fn last_commit_token(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let token = database(c, r)?.last_commit_token().map(Token::full);
    w.optional(token.as_deref(), Writer::text);
    Ok(())
}

pub fn is_current(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.bool(database(c, r)?.is_current()?);
    Ok(())
}

pub fn is_copied(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.bool(database(c, r)?.is_copied());
    Ok(())
}

pub fn log_fault(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.optional(database(c, r)?.replication_log_fault().as_deref(), Writer::text);
    Ok(())
}

pub fn log_is_denied(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.bool(database(c, r)?.replication_log_is_denied());
    Ok(())
}

pub fn require_commits(c: &Context<'_>, r: &mut Reader<'_>, _: &mut Writer<'_>) -> Outcome {
    Ok(database(c, r)?.require_commits()?)
}

/// How far the jobs are that are watched: number, phase, how much is done and how much there is.
pub fn progress(c: &Context<'_>, _: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let told = c.woken.take_progress();
    w.u32(told.len() as u32);
    for (job, progress) in told {
        w.u64(job);
        w.text(progress.phase.as_str());
        w.u64(progress.done);
        w.optional(progress.total, Writer::u64);
    }
    Ok(())
}

/// What statistics call who began it.
fn origin<'a>(r: &mut Reader<'a>) -> kitedb::Result<&'a str> {
    Ok(r.optional(Reader::text)?.unwrap_or("node"))
}

/// Begins a transaction, perhaps after a commit that is under way.
pub fn begin(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (db, origin, after) = (database(c, r)?, origin(r)?, r.optional(Reader::u64)?);
    let mut tx = match after {
        Some(after) => db.begin_after(&c.handles.pending(after)?)?,
        None => db.begin()?,
    };
    tx.set_origin(origin);
    w.u64(c.handles.add(Held::Transaction(tx.into_handle())));
    Ok(())
}

pub fn snapshot(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (db, origin) = (database(c, r)?, origin(r)?);
    let view = db.snapshot()?.with_origin(origin).into_handle();
    w.u64(c.handles.add(Held::View(view)));
    Ok(())
}

/// Token, digest and time of what a snapshot shows.
pub fn snapshot_info(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let put = |view: &View, w: &mut Writer<'_>| {
        w.text(&view.token().full());
        w.text(&view.digest().to_string());
        w.u64(view.commit_ms());
    };
    let number = r.u64()?;
    match c.handles.get(number) {
        Some(Held::Database(_) | Held::Closed(_)) => put(&c.handles.database(number)?.snapshot()?, w),
        _ => put(&*c.handles.view(number)?.view()?, w),
    }
    Ok(())
}

/// The commits that may have ended.
pub fn woken(c: &Context<'_>, _: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (commits, jobs) = c.woken.take();
    for numbers in [commits, jobs] {
        w.u32(numbers.len() as u32);
        numbers.into_iter().for_each(|number| w.u64(number));
    }
    Ok(())
}

fn of_database<T: Report + 'static>(
    handles: &Arc<Handles>,
    r: &mut Reader<'_>,
    f: fn(&Database, &Watch) -> kitedb::Result<T>,
) -> Outcome<Job> {
    let db = handles.database(r.u64()?)?;
    job(move |watch, w| {
        f(&db, watch)?.put(w);
        Ok(())
    })
}

pub fn checkpoint(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, Database::checkpoint_with)
}

pub fn compact(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, Database::compact_with)
}

pub fn refresh(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, |db, watch| watch.require_uncancelled().and_then(|()| db.refresh()))
}

pub fn compact_step(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, |db, watch| watch.require_uncancelled().and_then(|()| db.compact_step()))
}

pub fn sync(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, |db, watch| watch.require_uncancelled().and_then(|()| db.sync()))
}

pub fn check(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, Database::check_with)
}

pub fn stats(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    of_database(handles, r, |db, watch| watch.require_uncancelled().and_then(|()| db.stats()))
}

/// Compares two databases, element by element if it is asked for.
pub fn compare(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let (a, b, deep) = (handles.database(r.u64()?)?, handles.database(r.u64()?)?, r.bool()?);
    job(move |watch, w| {
        let found = if deep { kitedb::compare_deep_with(&a, &b, watch) } else { kitedb::compare_with(&a, &b, watch) };
        found?.put(w);
        Ok(())
    })
}
