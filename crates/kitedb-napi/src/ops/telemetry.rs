//! Metrics: as objects, as text for others, and pushed to a collector.

use super::{Context, Job, ended_by, job, options};
use crate::{
    fault::Outcome,
    handles::{Handles, Held, finished, in_use},
    report::Report,
    wire::{Reader, Writer},
};
use kitedb::{
    Error, ErrorCode,
    telemetry::{
        Exporter, OtlpPusher, TelemetryError, collect_replication_metrics_otel_json_single_file,
        collect_replication_metrics_otel_protobuf_single_file, render_replication_metrics_prometheus_with_options,
        start_exporter as start,
    },
};
use parking_lot::Mutex;
use std::{
    sync::{Arc, mpsc},
    thread,
};

pub fn prometheus(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let number = r.u64()?;
    let options = options::prometheus(r)?;
    let metrics = c.handles.database(number)?.collect_metrics()?;
    w.text(&render_replication_metrics_prometheus_with_options(&metrics, &options));
    Ok(())
}

pub fn otel_json(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.text(&collect_replication_metrics_otel_json_single_file(&c.handles.database(r.u64()?)?)?);
    Ok(())
}

pub fn otel_protobuf(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.bytes(&collect_replication_metrics_otel_protobuf_single_file(&c.handles.database(r.u64()?)?)?);
    Ok(())
}

pub fn collect_metrics(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    c.handles.database(r.u64()?)?.collect_metrics()?.put(w);
    Ok(())
}

pub fn health_check(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    c.handles.database(r.u64()?)?.health_check()?.put(w);
    Ok(())
}

/// Pushes the metrics once. Options are looked at before the database is.
pub fn push(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let number = r.u64()?;
    let (transport, endpoint) = (options::transport(r)?, r.text()?);
    let pusher = Arc::new(OtlpPusher::new(transport, endpoint, &options::push(r)?)?);
    let db = handles.database(number)?;
    let own = pusher.clone();
    ended_by(
        move || own.cancel(),
        move |w| {
            pusher.push(&db)?.put(w);
            Ok(())
        },
    )
}

pub fn start_exporter(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let number = r.u64()?;
    let options = options::exporter(r)?;
    let exporter = start(&c.handles.database(number)?, options)?;
    w.u64(c.handles.add(Held::Exporter(Arc::new(Mutex::new(Some(Arc::new(exporter)))))));
    Ok(())
}

fn exporter<T>(c: &Context<'_>, r: &mut Reader<'_>, f: impl FnOnce(&Exporter) -> T) -> Outcome<Option<T>> {
    let exporter = c.handles.exporter(r.u64()?)?;
    let exporter = exporter.lock();
    Ok(exporter.as_deref().map(f))
}

/// Whether it is at work, and why its last push failed.
pub fn exporter_state(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (state, error) = exporter(c, r, |exporter| (exporter.state(), exporter.last_error()))?
        .unwrap_or((kitedb::telemetry::ExporterState::Closed, None));
    state.put(w);
    w.optional(error.as_deref(), Writer::text);
    Ok(())
}

pub fn exporter_metrics(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    exporter(c, r, Exporter::metrics)?.put(w);
    Ok(())
}

pub fn exporter_drop(c: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    super::database::release(c, r, w)
}

pub fn exporter_flush(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let exporter = handles.exporter(r.u64()?)?;
    // The push is the exporter's and goes on; what is ended is the wait for it.
    let (told, answer) = mpsc::channel();
    let given_up = told.clone();
    ended_by(
        move || drop(given_up.send(None)),
        move |w| {
            let in_hand = exporter.lock().clone().ok_or_else(|| finished("exporter"))?;
            let flush = move || drop(told.send(Some(in_hand.flush())));
            thread::Builder::new()
                .name("kitedb-flush".to_owned())
                .spawn(flush)
                .map_err(|e| TelemetryError::Resources(format!("cannot start a thread to wait in: {e}")))?;
            let flushed = answer.recv().ok().flatten();
            flushed.ok_or_else(|| Error::new(ErrorCode::Cancelled, "the wait was given up"))??.put(w);
            Ok(())
        },
    )
}

pub fn exporter_close(handles: &Arc<Handles>, r: &mut Reader<'_>) -> Outcome<Job> {
    let exporter = handles.exporter(r.u64()?)?;
    job(move |_, _| {
        let mut place = exporter.lock();
        match Arc::try_unwrap(place.take().ok_or_else(|| finished("exporter"))?) {
            Ok(own) => {
                drop(place);
                Ok(own.close()?)
            }
            Err(flushed) => {
                *place = Some(flushed);
                Err(in_use("exporter").into())
            }
        }
    })
}
