//! What part a file plays in replication, and what an open makes of it: a pure decision, in one table.

use super::{options::ReplicationRole, read::GraphRead, view::View};
use crate::{
    error::{Error, ErrorCode},
    graph::{Epoch, Token},
    shell::command,
};
use std::path::Path;

/// What a file is, by its header and by the control file of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// New, or without a commit, and not fenced; with the part that it says it has, if it says one.
    Unused(Option<ReplicationRole>),
    /// It has commits and no part in replication.
    StandAlone,
    /// A primary that leads this epoch.
    Leads(Epoch),
    /// A primary that another node took over from, or began to.
    Fenced,
    /// A replica.
    Replica,
}

impl Standing {
    /// Whether it is a replica, also one without a commit.
    pub fn is_replica(self) -> bool {
        matches!(self, Self::Replica | Self::Unused(Some(ReplicationRole::Replica)))
    }
}

/// What a file is opened as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    pub role: ReplicationRole,
    /// It is opened as a replica and is none: it reads, and only a bootstrap that was told to overwrite makes it one.
    pub foreign: bool,
}

/// What an open gives, `asked` being the role that its caller named, if he named one. `None`: it is refused.
/// Upholds I33.
pub(crate) fn opening(asked: Option<ReplicationRole>, standing: Standing, overwrite: bool) -> Option<Opening> {
    use ReplicationRole::{Disabled, Primary, Replica};
    let (role, foreign) = match (asked, standing) {
        (None, Standing::Unused(said)) => (said.unwrap_or(Disabled), false),
        (Some(Disabled), Standing::Unused(_)) | (None | Some(Disabled), Standing::StandAlone) => (Disabled, false),
        (None, Standing::Leads(_) | Standing::Fenced) => (Primary, false),
        (None, Standing::Replica) => (Replica, false),
        // A replica's file reads as a primary's that is fenced, until it is promoted.
        (Some(Primary), _) => (Primary, false),
        (Some(Replica), Standing::Unused(_) | Standing::Fenced | Standing::Replica) => (Replica, false),
        (Some(Replica), Standing::StandAlone) => (Replica, true),
        (Some(Replica), Standing::Leads(_)) if overwrite => (Replica, true),
        (Some(Replica), Standing::Leads(_)) => return None,
        (Some(Disabled), Standing::Leads(_) | Standing::Fenced | Standing::Replica) => return None,
    };
    Some(Opening { role, foreign })
}

/// Why an open was refused that asked for `asked`.
pub(crate) fn mismatch(path: &Path, asked: ReplicationRole, standing: Standing, last: Token) -> Error {
    let (shown, detach) = (path.display(), command("role", path, "detach"));
    let what = match (standing, asked) {
        (Standing::Leads(epoch), ReplicationRole::Replica) => format!(
            "{shown} is a primary that leads epoch {epoch}, and is not opened as a replica: the lead, and its commits up to {last}, \
             would be given up. To let another node lead, promote that one, which fences this one; to replace \
             this graph by another one's, ask for that by name (replication_overwrite, {})",
            command("replica reseed", path, "--source-db SOURCE --overwrite")
        ),
        (Standing::Leads(epoch), _) => format!(
            "{shown} is a primary that leads epoch {epoch}, and is not opened without a part in replication: the \
             commits after {last} would go past its log, and its replicas would miss them. Open it without a role, or detach it for good \
             (Database::detach, {detach})"
        ),
        (Standing::Fenced, _) => format!(
            "{shown} is a primary that another node took over from, or began to, and is not opened without a part in replication: \
             commits would be made that the new primary does not have. Open it without a role to read, as a replica of \
             the new primary to follow, or detach it for good (Database::detach, {detach})"
        ),
        _ => format!(
            "{shown} is a replica, and is not opened without a part in replication: it takes commits only from its \
             source. Open it without a role, promote it, or detach it for good (Database::detach, \
             {detach})"
        ),
    };
    let is = match standing {
        Standing::Leads(_) | Standing::Fenced => ReplicationRole::Primary,
        _ => ReplicationRole::Replica,
    };
    let error = Error::new(ErrorCode::RoleMismatch, what).with_path(path).with_token(last);
    error.with_expected(asked.as_str()).with_found(is.as_str())
}

/// Why a file that is opened as a replica, and is none, does not follow.
pub(crate) fn foreign(path: &Path, standing: Standing, last: Token) -> Error {
    let what = if standing == Standing::StandAlone { "a stand-alone database" } else { "a primary that leads" };
    Error::new(
        ErrorCode::NeedsReseed,
        format_args!(
            "needs reseed: {} is {what}, opened as a replica; its own graph, as of {last}, goes only when a \
             bootstrap is told to overwrite it",
            path.display()
        ),
    )
    .with_path(path)
    .with_token(last)
}

/// Why a bootstrap of a file that is no replica is refused.
pub(crate) fn would_overwrite(path: &Path, view: &View) -> Error {
    Error::new(
        ErrorCode::WouldOverwrite,
        format_args!(
            "{} is not a replica: a bootstrap would replace its own graph of {} nodes and {} edges, as of {}. Were the \
             arguments swapped? To replace it all the same, ask for that by name (replication_overwrite, --overwrite)",
            path.display(),
            view.count_nodes(),
            view.count_edges(),
            view.token()
        ),
    )
    .with_path(path)
    .with_token(view.token())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::LogIndex;

    #[test]
    fn each_kind_of_file_opens_as_the_table_says() {
        use ReplicationRole::{Disabled, Primary, Replica};
        let leads = Standing::Leads(Epoch(3));
        let own = |role| Some(Opening { role, foreign: false });
        let foreign = Some(Opening { role: Replica, foreign: true });
        // Nothing said, primary, replica, disabled.
        for (standing, expected) in [
            (Standing::Unused(None), [own(Disabled), own(Primary), own(Replica), own(Disabled)]),
            (Standing::Unused(Some(Replica)), [own(Replica), own(Primary), own(Replica), own(Disabled)]),
            (Standing::StandAlone, [own(Disabled), own(Primary), foreign, own(Disabled)]),
            (leads, [own(Primary), own(Primary), None, None]),
            (Standing::Fenced, [own(Primary), own(Primary), own(Replica), None]),
            (Standing::Replica, [own(Replica), own(Primary), own(Replica), None]),
        ] {
            for (asked, expected) in [None, Some(Primary), Some(Replica), Some(Disabled)].into_iter().zip(expected) {
                assert_eq!(opening(asked, standing, false), expected, "{standing:?} as {asked:?}");
                // Who asks for it may replace a primary's graph; nothing else changes.
                let told = if asked == Some(Replica) && standing == leads { foreign } else { expected };
                assert_eq!(opening(asked, standing, true), told, "{standing:?} as {asked:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_would_be_given_up_and_what_to_do() {
        for (standing, asked, phrases) in [
            (Standing::Leads(Epoch(3)), ReplicationRole::Replica, ["epoch 3", "3:7", "--overwrite"]),
            (Standing::Leads(Epoch(3)), ReplicationRole::Disabled, ["epoch 3", "past its log", "detach"]),
            (Standing::Fenced, ReplicationRole::Disabled, ["took over", "follow", "detach"]),
            (Standing::Replica, ReplicationRole::Disabled, ["a replica", "promote", "detach"]),
        ] {
            let last = Token::new(Epoch(3), LogIndex(7));
            let error = mismatch(Path::new("/a.kitedb"), asked, standing, last);
            assert_eq!(error.code(), ErrorCode::RoleMismatch);
            for phrase in phrases.into_iter().chain(["/a.kitedb"]) {
                assert!(error.to_string().contains(phrase), "{phrase}: {error}");
            }
        }
    }
}
