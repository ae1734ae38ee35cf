//! What is shown of a log that others follow: what it holds and why, and who they are. The same of a primary and of a
//! replica.

use crate::render::{
    number::{bytes, count, counted, duration},
    style::{BAD, DIM, PLAIN, Styled, TITLE, clean, word},
    table::{Left, Right, Table},
};
use kitedb_core::{Hold, HoldReason, HoldState, ReplicaLag, short_id};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime},
};

/// The size of a log, and where it begins.
pub fn shown_log(segments: u64, log_bytes: u64, retained_floor: u64) -> String {
    let floor = if retained_floor == 0 { "the first commit".to_owned() } else { count(retained_floor) };
    format!("{}, {}, from {floor} on", counted(segments, "segment", "segments"), bytes(log_bytes))
}

/// What keeps the oldest segment of a log.
pub fn shown_holds(holds: &[Hold], lags: &[ReplicaLag]) -> String {
    let shown = |hold: &Hold| match &hold.reason {
        HoldReason::WindowEntries => "the window of entries".to_owned(),
        HoldReason::WindowTime => "the window of time".to_owned(),
        HoldReason::Recovery => "recovery, until the next checkpoint".to_owned(),
        HoldReason::NewestSegment => "writing: it is the newest segment".to_owned(),
        HoldReason::Replica(id) => {
            let name = lags.iter().find(|lag| lag.replica_id == *id).and_then(|lag| lag.name.as_ref());
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            clean(&format!("replica {}{name}", short_id(id)))
        }
        other => other.to_string(),
    };
    match holds {
        [] => "nothing: the next run of retention cuts it".to_owned(),
        _ => holds.iter().map(shown).collect::<Vec<_>>().join("; "),
    }
}

pub fn holds_document(holds: &[Hold]) -> Json {
    let document = |hold: &Hold| json!({ "reason": hold.reason.to_string(), "from_log_index": hold.from_log_index });
    holds.iter().map(document).collect()
}

pub fn lags_document(lags: &[ReplicaLag]) -> Json {
    lags.iter().map(|lag| lag_document(lag, lags)).collect()
}

fn lag_document(lag: &ReplicaLag, lags: &[ReplicaLag]) -> Json {
    json!({
        "replica_id": lag.replica_id,
        "name": lag.name,
        "path": lag.path,
        "epoch": lag.epoch,
        "applied_log_index": lag.applied_log_index,
        "durable_log_index": lag.durable_log_index,
        "lag_frames": lag.lag_frames,
        "lag_bytes": lag.lag_bytes,
        "lag_ms": lag.lag_ms,
        "hold": lag.hold.as_str(),
        "reserved_log_index": lag.reserved_log_index,
        "reported_at_ms": lag.reported_at_ms,
        "absent": lag.path.as_deref().is_some_and(is_absent),
        "succeeded_by": successor(lag, lags).map(|other| &other.replica_id),
    })
}

/// A table of those who follow; where nobody does, that is said only if it is `expected` that somebody does.
/// `db`: whose log it is.
pub fn show_replicas(db: &Path, all: &[ReplicaLag], expected: bool, out: &mut dyn Write) -> io::Result<()> {
    if all.is_empty() && !expected {
        return Ok(());
    }
    writeln!(out, "\n{}", Styled(TITLE, "replicas"))?;
    if all.is_empty() {
        return writeln!(out, "  {}", Styled(DIM, "none has reported"));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut table = Table::new(
        2,
        [
            ("replica", Left, PLAIN),
            ("known as", Left, PLAIN),
            ("applied", Right, PLAIN),
            ("behind", Right, PLAIN),
            ("bytes", Right, PLAIN),
            ("for", Right, PLAIN),
            ("log", Left, PLAIN),
            ("reported", Right, DIM),
        ],
    );
    // In the order of what people call them: ids are random.
    let mut lags: Vec<_> = all.iter().collect();
    lags.sort_by_key(|lag| lag.name.as_ref().or(lag.path.as_ref()));
    for lag in &lags {
        let time = |ms: u64| duration(Duration::from_millis(ms));
        table.row([
            clean(short_id(&lag.replica_id)),
            clean(lag.name.as_ref().or(lag.path.as_ref()).map_or("", String::as_str)),
            format!("{}:{}", lag.epoch, lag.applied_log_index),
            count(lag.lag_frames),
            if lag.lag_frames > 0 { bytes(lag.lag_bytes) } else { String::new() },
            if lag.lag_frames > 0 { time(lag.lag_ms) } else { String::new() },
            match lag.hold {
                HoldState::Held if lag.reserved_log_index.is_some() => "held, for a copy".to_owned(),
                HoldState::Held => "held".to_owned(),
                HoldState::AtRisk => Styled(BAD, "at risk").to_string(),
                HoldState::Lost => Styled(BAD, "lost").to_string(),
                other => other.as_str().replace('_', " "),
            },
            format!("{} ago", time(now.saturating_sub(lag.reported_at_ms))),
        ]);
    }
    table.write(out)?;
    for lag in &lags {
        let (Some(path), id) = (&lag.path, short_id(&lag.replica_id)) else { continue };
        let remove = format!("`kitedb primary remove {} {id}` lets go of what is kept for it", word(db));
        let what = match successor(lag, all) {
            _ if is_absent(path) => {
                format!(
                    "nothing is at {path} any more, as seen from here: where {id} is gone or was moved for good, {remove}"
                )
            }
            Some(other) => {
                format!("{} reports from {path} since {id} did: {}, {remove}", short_id(&other.replica_id), WHERE_GONE)
            }
            None => continue,
        };
        writeln!(out, "  {}", Styled(DIM, clean(&what)))?;
    }
    Ok(())
}

/// When a replica from whose path another one reports is to be forgotten.
pub const WHERE_GONE: &str = "where that one is gone for good, and neither was moved nor is on another machine";

/// The replica that reported last from the path of `lag`, if that is another one.
fn successor<'a>(lag: &ReplicaLag, lags: &'a [ReplicaLag]) -> Option<&'a ReplicaLag> {
    let same = lags.iter().filter(|other| lag.path.is_some() && other.path == lag.path);
    same.max_by_key(|other| other.reported_at_ms).filter(|last| last.replica_id != lag.replica_id)
}

/// Whether no file is at a path at which a replica reported.
fn is_absent(path: &str) -> bool {
    fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}
