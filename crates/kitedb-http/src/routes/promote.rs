//! `POST /api/replication/promote`: a primary begins the next epoch, a replica takes over from its source.

use super::App;
use crate::{
    error::Failure,
    routes::body::{self, Members},
    told::json_of,
};
use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use kitedb_core::{Database, Error, ErrorCode, Rival};
use serde_json::{Map, Value, json};

/// What a promotion is told.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// A replica also where its source cannot be fenced, and what that one has beyond it is lost; a primary also where another node
    /// took over from it.
    force: bool,
    /// A replica not where it is more frames behind its source, as that was seen last.
    max_lag: Option<u64>,
}

impl Asked {
    fn of(members: &Members) -> Result<Self, Failure> {
        members.require_known(&["force", "maxLag"])?;
        Ok(Self { force: members.flag("force")?.unwrap_or(false), max_lag: members.whole("maxLag")? })
    }
}

pub async fn promote(State(app): State<App>, body: Result<Bytes, BytesRejection>) -> Result<Json<Value>, Failure> {
    let asked = Asked::of(&body::members_of(body)?)?;
    app.node
        .write(move |database| {
            let mut told = match database.replica_replication_status()? {
                Some(status) => {
                    let most = asked.max_lag.unwrap_or(u64::MAX);
                    if status.lag_frames > most {
                        return Err(Failure::too_far_behind(status.lag_frames, most));
                    }
                    taken_over(database, asked.force)?
                }
                None => Map::from_iter([("epoch".to_owned(), next_epoch(database, asked.force)?.into())]),
            };
            told.insert("success".to_owned(), true.into());
            told.insert("role".to_owned(), database.replication_role().as_str().into());
            let primary = database.primary_replication_status()?;
            told.insert("primary".to_owned(), primary.as_ref().map(json_of).unwrap_or_default());
            Ok(Json(Value::Object(told)))
        })
        .await
}

/// Begins a primary's next epoch. As for the command `kitedb primary promote`: where another node took over, only by force.
fn next_epoch(database: &Database, force: bool) -> kitedb_core::Result<u64> {
    if force {
        return database.primary_promote_by_force();
    }
    let fence = database.primary_replication_status()?.filter(|status| status.fenced).and_then(|status| status.fence);
    // A promotion that has not said where this epoch ends was cut short: the lead is taken back.
    match fence.filter(|fence| fence.assumed || fence.ended.is_some()) {
        Some(fence) => {
            let what = format_args!(
                "stale primary: another node took over from this one with epoch {}: follow that one; only if it is gone for good, \
                 promote this one by force",
                fence.epoch
            );
            Err(Error::new(ErrorCode::StalePrimary, what))
        }
        None => database.primary_promote_to_next_epoch(),
    }
}

/// What the command `kitedb replica promote --json` tells of it, by the same names.
fn taken_over(database: &Database, force: bool) -> Result<Map<String, Value>, Failure> {
    // Whoever else may lead, or has more: by force they are passed over.
    let rivals = if force { database.replica_rivals()? } else { Vec::new() };
    let promotion = database.replica_promote(force)?;
    let told = json!({
        "epoch": promotion.epoch,
        "last_kept": promotion.last_kept.full(),
        "source_fenced": promotion.source_fenced,
        "fence_synced": promotion.fence_synced,
        "source_found": promotion.source_found,
        "rival_epoch": promotion.rival_epoch,
        "rivals": rivals.iter().map(rival_told).collect::<Vec<_>>(),
    });
    match told {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

fn rival_told(rival: &Rival) -> Value {
    json!({
        "db": rival.db.to_string_lossy(), "leads": rival.leads, "last_token": rival.last_token.full(),
        "knows_epoch": rival.knows_epoch,
    })
}
