//! What a copy of the source's graph did to others: who followed what was here, and who is registered at the source beside
//! this replica. Pure functions of what the registries held.

use crate::{
    graph::{LogIndex, Token},
    replication::{registry::Registration, rivals::Rival},
};
use std::path::PathBuf;

/// What a bootstrap or a reseed did to others: see [`Database::replica_copy_source`](crate::Database::replica_copy_source).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Copied {
    /// Those who followed this node and cannot go on here as before, in the order of their ids.
    pub left_behind: Vec<LeftBehind>,
    /// Other replicas that are registered with the source from a path like that of this one. Nothing tells one that is gone
    /// from one that was moved and is idle, or lies there on another machine: the source keeps its log for it.
    pub same_path: Vec<SamePath>,
    /// Nodes that lead in place of the source, or hold commits that it lacks, as far as they can be reached from it: it was taken
    /// over from, or an older copy of it may be in its place.
    pub ahead_of_source: Vec<Rival>,
    /// Where that lies now which was in the place of the replica's file and was no database.
    pub put_aside: Option<PathBuf>,
    /// The epoch that this node led until now, which went with its graph: unless another node leads, nobody does.
    pub gave_up_lead: Option<u64>,
}

/// A replica that followed a node whose graph was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftBehind {
    /// The id under which it was registered.
    pub replica_id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where its file was when it last reported.
    pub path: Option<String>,
    /// The last commit that it reported.
    pub last: Token,
    /// Why it cannot go on.
    pub why: LeftBehindBy,
}

/// Why a replica cannot go on where it followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftBehindBy {
    /// It has commits that are not on the history which is here now: a reseed gives them up.
    OtherHistory,
    /// What it needs next went with the log that was here: it needs a reseed.
    LogGone,
    /// It followed a primary, which is a replica now: nothing is kept for it here until it follows that, or another node.
    NoPrimary,
}

/// A replica that is registered from a path like that of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SamePath {
    /// The id under which it is registered.
    pub replica_id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// The last frame that it reported to be durable: the log is kept from there on.
    pub durable_log_index: u64,
}

impl From<Registration> for SamePath {
    fn from(found: Registration) -> Self {
        let Registration { replica_id, labels, durable, .. } = found;
        Self { replica_id, name: labels.name, durable_log_index: durable.0 }
    }
}

/// What a node was before a copy took the place of its graph.
#[derive(Debug)]
pub struct Before {
    /// Whether it led.
    pub led: bool,
    /// Its last commit.
    pub last: LogIndex,
    /// Who was registered, and still served.
    pub served: Vec<Registration>,
}

impl Before {
    /// Who is left behind where the last commit of before that is on the history of now is `common`, and the log of now serves
    /// those for whom `serves` says so.
    pub fn left_behind(self, common: LogIndex, serves: impl Fn(&Registration) -> bool) -> Vec<LeftBehind> {
        let why = |found: &Registration| match found.applied {
            // Who has more than was here got it elsewhere.
            applied if common < applied && applied <= self.last => Some(LeftBehindBy::OtherHistory),
            _ if self.led => Some(LeftBehindBy::NoPrimary),
            _ => (!serves(found)).then_some(LeftBehindBy::LogGone),
        };
        let left = |found: &Registration| {
            let Registration { replica_id, labels, epoch, applied, .. } = found.clone();
            let last = Token::new(epoch, applied);
            Some(LeftBehind { replica_id, name: labels.name, path: labels.path, last, why: why(found)? })
        };
        self.served.iter().filter_map(left).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{graph::Epoch, replication::registry::Labels};

    fn at(id: &str, applied: u64) -> Registration {
        Registration {
            replica_id: id.to_owned(),
            labels: Labels::default(),
            epoch: Epoch(1),
            applied: LogIndex(applied),
            durable: LogIndex(applied),
            reserved: None,
            reported_at_ms: 1,
        }
    }

    #[test]
    fn who_cannot_go_on_is_told_why() {
        use LeftBehindBy::{LogGone, NoPrimary, OtherHistory};
        // The last commit here before is 9; the last one of it that is here still; where the log of now begins; of a replica
        // that is at 3, at 9 and at 12: why it cannot go on.
        for (led, common, floor, expected) in [
            (false, 9, 5, [Some(LogGone), None, None]),
            (false, 9, 10, [Some(LogGone), None, None]),
            (false, 9, 1, [None, None, None]),
            (false, 5, 1, [None, Some(OtherHistory), None]),
            (false, 0, 3, [Some(OtherHistory), Some(OtherHistory), None]),
            (true, 9, 1, [Some(NoPrimary); 3]),
            (true, 5, 1, [Some(NoPrimary), Some(OtherHistory), Some(NoPrimary)]),
        ] {
            let served = vec![at("a", 3), at("b", 9), at("c", 12)];
            let before = Before { led, last: LogIndex(9), served };
            let left = before.left_behind(LogIndex(common), |found| found.applied.0 + 1 >= floor);
            let why = ["a", "b", "c"].map(|id| left.iter().find(|left| left.replica_id == id).map(|left| left.why));
            assert_eq!(why, expected, "{led} {common} {floor}");
        }
    }
}
