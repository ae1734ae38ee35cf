//! Whether a database is well.

use super::replication::ReplicationMetrics;
use crate::{
    db::Figures,
    error::{Error, Result},
};

/// What a health check found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// Whether every check passed.
    pub healthy: bool,
    /// The checks, in this order: `database_open`, `delta_size`, `log`, `background`, `write_access` (only where the
    /// database was opened read-only), `replication` (only where it replicates). There is no `cache_efficiency`,
    /// because there is no cache.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What: a stable name.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub passed: bool,
    /// How it is; where it failed, what to do.
    pub message: String,
}

impl HealthCheck {
    /// So many nodes and edges created and deleted since the last checkpoint are too many.
    pub const MAX_DELTA_SIZE: u64 = 100_000;

    /// The check of that name, if it was made.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

/// What the figures say.
pub(super) fn judge(figures: &Figures, replication: Result<&ReplicationMetrics, &Error>) -> HealthCheck {
    let mut checks = vec![open(figures), delta_size(figures), log(figures), background(figures)];
    if figures.read_only {
        // As asked for, so nothing is wrong; but who looks at this wants to know.
        checks.push(check("write_access", None, "opened read-only: writes are refused"));
    }
    checks.extend(replicates(replication));
    HealthCheck { healthy: checks.iter().all(|check| check.passed), checks }
}

/// A check that failed if there is a fault.
fn check(name: &'static str, fault: Option<String>, well: impl Into<String>) -> Check {
    Check { name, passed: fault.is_none(), message: fault.unwrap_or_else(|| well.into()) }
}

fn open(figures: &Figures) -> Check {
    let unread = figures.damage.as_ref().map(|damage| format!("a part could not be read: {damage}"));
    check("database_open", figures.out_of_place.clone().or(unread), "open")
}

fn delta_size(figures: &Figures) -> Check {
    let delta = &figures.delta;
    let size = delta.nodes_created + delta.nodes_deleted + delta.edges_added + delta.edges_deleted;
    let limit = HealthCheck::MAX_DELTA_SIZE;
    let fault = (size >= limit)
        .then(|| format!("{size} nodes and edges wait for a checkpoint, {limit} are too many: call checkpoint()"));
    check("delta_size", fault, format!("{size} nodes and edges wait for a checkpoint"))
}

fn log(figures: &Figures) -> Check {
    let what = if figures.panicked { "a thread panicked" } else { "the log failed" };
    let fault = figures.log_failed.then(|| format!("{what}: no commit succeeds until the database is reopened"));
    check("log", fault, "sound")
}

fn background(figures: &Figures) -> Check {
    let failed = figures.background_error.as_ref();
    let fault = failed.map(|error| match figures.panicked {
        true => error.clone(),
        false => format!("a checkpoint, merge or sync failed and is tried again: {error}"),
    });
    check("background", fault, "nothing has failed")
}

fn replicates(replication: Result<&ReplicationMetrics, &Error>) -> Option<Check> {
    let replication = match replication {
        Ok(replication) => replication,
        Err(e) => return Some(check("replication", Some(format!("the log cannot be looked at: {e}")), "")),
    };
    let well = match (&replication.primary, &replication.replica) {
        (Some(primary), _) => format!("leads epoch {}; replicas: {}", primary.epoch, primary.replica_count),
        (None, Some(replica)) => format!("{}, {} frames behind its source", replica.state, replica.lag_frames),
        (None, None) if replication.fault.is_some() => String::new(),
        (None, None) => return None,
    };
    Some(check("replication", replication.fault.clone(), well))
}

#[cfg(test)]
mod tests {
    use super::{super::replication::tests, *};
    use crate::replication::ReplicaState;

    /// Names of the checks that failed, and of all.
    fn verdict(figures: &Figures, replication: &ReplicationMetrics) -> (Vec<&'static str>, Vec<&'static str>) {
        let found = judge(figures, Ok(replication));
        let failed: Vec<_> = found.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect();
        assert_eq!(found.healthy, failed.is_empty());
        assert!(found.checks.iter().all(|check| !check.message.is_empty()));
        (failed, found.checks.iter().map(|check| check.name).collect())
    }

    const BASIC: [&str; 4] = ["database_open", "delta_size", "log", "background"];

    #[test]
    fn nothing_wrong_is_healthy() {
        let (failed, all) = verdict(&Figures::default(), &ReplicationMetrics::new(None, None));
        assert_eq!((failed, all), (vec![], BASIC.to_vec()));
    }

    #[test]
    fn each_fault_fails_its_own_check() {
        let change = |change: fn(&mut Figures)| {
            let mut figures = Figures::default();
            change(&mut figures);
            verdict(&figures, &ReplicationMetrics::new(None, None)).0
        };
        assert_eq!(change(|f| f.damage = Some("a block".into())), ["database_open"]);
        assert_eq!(change(|f| f.log_failed = true), ["log"]);
        assert_eq!(change(|f| f.background_error = Some("disk full".into())), ["background"]);
        assert_eq!(change(|f| f.delta.edges_added = 100_000), ["delta_size"]);
        assert!(change(|f| f.delta.edges_added = 99_999).is_empty());
        assert_eq!(
            change(|f| {
                f.delta.nodes_created = 60_000;
                f.delta.nodes_deleted = 40_000;
            }),
            ["delta_size"]
        );
    }

    #[test]
    fn read_only_is_told_and_healthy() {
        let figures = Figures { read_only: true, ..Figures::default() };
        let (failed, all) = verdict(&figures, &ReplicationMetrics::new(None, None));
        assert!(failed.is_empty());
        assert_eq!(all.last(), Some(&"write_access"));
    }

    #[test]
    fn a_log_that_cannot_be_looked_at_is_not_well() {
        let found = judge(&Figures::default(), Err(&Error::corrupt("a header does not verify")));
        let check = found.check("replication").unwrap();
        assert!(!found.healthy && !check.passed && check.message.contains("a header does not verify"));
    }

    #[test]
    fn a_fenced_primary_is_not_well() {
        let mut status = tests::primary(vec![tests::lag("a", 3, 100, 0)]);
        let of = |status: &_| verdict(&Figures::default(), &ReplicationMetrics::new(Some(status), None));
        assert_eq!(of(&status), (vec![], [&BASIC[..], &["replication"]].concat()));
        status.copied = Some("its files are copies".to_owned());
        assert_eq!(of(&status).0, ["replication"]);
        (status.fenced, status.copied) = (true, None);
        assert_eq!(of(&status).0, ["replication"]);
    }

    #[test]
    fn what_is_closed_after_a_failure_is_not_well() {
        let mut status = tests::replica(ReplicaState::Closed);
        let of = |status: &_| verdict(&Figures::default(), &ReplicationMetrics::new(None, Some(status)));
        assert_eq!(of(&status).0, [""; 0]);
        status.last_error = Some("the source is away".to_owned());
        assert_eq!(of(&status).0, ["replication"]);
    }

    #[test]
    fn a_replica_that_stalls_or_must_be_reseeded_is_not_well() {
        for (state, well) in [
            (ReplicaState::Bootstrapping, true),
            (ReplicaState::Following, true),
            (ReplicaState::Behind, true),
            (ReplicaState::Stalled, false),
            (ReplicaState::Denied, false),
            (ReplicaState::TooNew, false),
            (ReplicaState::Unregistered, false),
            (ReplicaState::Closed, true),
            (ReplicaState::NeedsReseed, false),
        ] {
            let status = tests::replica(state);
            let (failed, _) = verdict(&Figures::default(), &ReplicationMetrics::new(None, Some(&status)));
            assert_eq!(failed.is_empty(), well, "{state}");
        }
    }
}
