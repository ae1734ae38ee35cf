//! A replica as it looks to who only reads its files: what they and its control words say, beside a process that
//! follows or without one.

use crate::{
    db::{Engine, ReplicationRole, half_made as half_made_error, holds_nothing},
    error::Result,
    io::Env,
    log::Control,
    replication::{
        followed_log::{FollowedLog, LogStatus, writer_of},
        source::{
            remembered::Remembered,
            source_fault::SourceFault,
            upstream::{Asking, REMOVED, Upstream, look_upstream},
        },
        status::{FenceStatus, ReplicaReplicationStatus, ReplicaState},
    },
};

/// The status of the replica that `engine` has open for reading only, whose control words are `control`. Its lag is
/// known only if its source is named and there to be looked at; `own` is the one that it remembers.
pub fn look_at_replica(
    engine: &Engine,
    control: &Control,
    followed_log: &FollowedLog,
    (source, own): (Option<Remembered>, Option<Remembered>),
    source_env: &Env,
) -> Result<ReplicaReplicationStatus> {
    let view = engine.view();
    let token = view.token();
    let applied = token.log_index.0;
    let asking = Asking { at: token.log_index, ..Asking::of(engine, control) };
    let unnamed = || Upstream { fault: Some(SourceFault::Unnamed), ..Upstream::default() };
    let look = |known: &Remembered| look_upstream(source_env, known, &asking);
    let upstream = source.as_ref().map_or_else(unnamed, look);
    let process_id = writer_of(engine, control)?;
    // The process that has it open may have gone on meanwhile.
    let now = if process_id.is_some() { control.published() } else { asking.at };
    let upstream = upstream.still(asking.at, now);
    let process_lives = process_id.is_some();
    // Of the source that it remembers: with another one that is named here it need not be registered.
    let is_its_own =
        source.as_ref().is_some_and(|known| own.as_ref().is_some_and(|own| own.paths.db == known.paths.db));
    let removed = process_lives && is_its_own && upstream.removed(control.is_registered());
    let (registered, registration_fault) = upstream.registration(control.is_registered());
    let registration_fault = registration_fault.or_else(|| removed.then(|| REMOVED.to_owned()));
    let Upstream { head, moved, fault, unseen, .. } = upstream;
    let (head, lost) = (head.unwrap_or_default().0, SourceFault::reseed_reason(fault.as_ref()));
    let promotion = moved.filter(|moved| moved.by == control.promotion()).map(FenceStatus::of);
    let half_made = engine.is_half_made();
    let cut_short = || half_made_error(&engine.env, &engine.path, &engine.log_dir);
    // A process that has it open may be at it.
    let last_error = control.last_error().or_else(|| (half_made && process_id.is_none()).then(cut_short));
    // Who holds nothing of an empty source is registered there.
    let untouched = !half_made && !control.is_registered() && process_id.is_none();
    let unfilled = control.is_unfilled();
    let never_filled =
        applied == 0 && (unfilled && process_id.is_none() || head > 0 && untouched) && last_error.is_none();
    // The process that has it open has not tried yet.
    let about_to = unfilled && process_id.is_some() && last_error.is_none();
    let last_error =
        last_error.or_else(|| never_filled.then(|| holds_nothing(&engine.env, &engine.path, &engine.log_dir)));
    let untried = last_error.as_ref().is_none_or(|e| *e == cut_short());
    let state = match (&last_error, process_id) {
        _ if control.needs_reseed() => ReplicaState::NeedsReseed,
        _ if half_made && (process_id.is_none() || untried) => ReplicaState::Bootstrapping,
        _ if never_filled || about_to => ReplicaState::Bootstrapping,
        (_, None) => ReplicaState::Closed,
        (Some(_), _) if control.is_unregistered() => ReplicaState::Unregistered,
        (Some(_), _) if control.is_denied() => ReplicaState::Denied,
        (Some(_), _) if control.is_too_new() => ReplicaState::TooNew,
        (Some(_), _) => ReplicaState::Stalled,
        _ if removed => ReplicaState::Unregistered,
        _ if head > applied => ReplicaState::Behind,
        _ => ReplicaState::Following,
    };
    let state = SourceFault::shown_in(fault.as_ref(), state);
    // Damage there hides nothing else.
    let log = followed_log.log_status(token.log_index).unwrap_or_else(|e| {
        tracing::warn!("a replica's log could not be looked at: {e}");
        LogStatus::default()
    });
    let (source_db_path, source_sidecar_path) =
        source.map(|known| (known.paths.db.clone(), known.paths.sidecar_shown())).unzip();
    Ok(ReplicaReplicationStatus {
        role: ReplicationRole::Replica,
        source_db_path,
        source_sidecar_path,
        source_follows: control.source_follows(),
        applied_epoch: if applied == 0 { 0 } else { token.epoch.0 },
        applied_log_index: applied,
        needs_reseed: control.needs_reseed() || lost.is_some(),
        last_error: last_error.or(lost),
        source_fault: fault,
        source_unseen: unseen,
        state,
        state_since_ms: 0,
        promotion,
        sidecar_path: engine.log_dir.clone(),
        replica_id: engine.registration_id(),
        name: engine.options.replication_name.clone(),
        registered,
        registration_fault,
        source_head_log_index: head,
        lag_frames: head.saturating_sub(applied),
        durable_log_index: engine.durable().0.min(applied),
        digest: view.digest(),
        follower_running: false,
        process_id,
        retained_floor: log.retained_floor,
        log_bytes: log.log_bytes,
        segments: log.segments,
        holds: log.holds,
        replica_lags: log.replica_lags,
        log_fault: log.fault,
        registration_limit: log.registration_limit,
        panicked: None,
    })
}
