//! What a replica would give up if it took its source's graph in place of its own: commits that are here, and that the
//! source's history does not have. A pure function of both histories.

use crate::{
    error::{Error, ErrorCode},
    graph::LogIndex,
    replication::source::{At, Lineage, SourcePaths},
    shell::{Command, command, shell_word},
    store::HistoryEntry,
};
use std::path::{Path, PathBuf};

/// Commits of a replica that its source does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// The last commit that both have.
    pub common: LogIndex,
    /// The last one here.
    pub last: At,
    /// The last one of the source.
    pub end: LogIndex,
}

/// What a replica at `here`, with `history`, would give up. What a promotion took over from, or whoever said that a restored
/// primary leads, gave up already is not asked for again: the source leads a later epoch, on the history that was this
/// replica's until then. `None`, too, where the histories do not tell.
pub fn given_up(here: &At, history: &[HistoryEntry], source: &Lineage) -> Option<GivenUp> {
    let common = last_common((here.index, history), (source.end, &source.history))?;
    let follows_on = source.leads.is_some_and(|epoch| epoch > here.epoch) && common > LogIndex(0);
    (common < here.index && !follows_on).then_some(GivenUp { common, last: *here, end: source.end })
}

/// The last commit that two nodes have in common, of which each is told where it ends, and its history; 0: they have none. `None`
/// where the first one holds nothing, or the histories do not tell.
pub fn last_common(
    (end, history): (LogIndex, &[HistoryEntry]),
    (end_there, there): (LogIndex, &[HistoryEntry]),
) -> Option<LogIndex> {
    if end == LogIndex(0) || led_at(history, end).is_none() || (there.is_empty() && end_there.0 > 0) {
        return None;
    }
    let both = end.min(end_there);
    let borders = history.iter().chain(there).map(|led| LogIndex(led.first.0.saturating_sub(1)));
    let is_common = |index: &LogIndex| match (led_at(history, *index), led_at(there, *index)) {
        (Some(a), Some(b)) => a.epoch == b.epoch && (a.writer_id == b.writer_id || a.writer_id == [0; 16]),
        _ => false,
    };
    Some(borders.filter(|border| *border < both).chain([both]).filter(is_common).max().unwrap_or_default())
}

/// Who led when the frame with that index was written.
fn led_at(history: &[HistoryEntry], index: LogIndex) -> Option<&HistoryEntry> {
    history.iter().rev().find(|led| led.first <= index && index > LogIndex(0))
}

impl GivenUp {
    fn commits(&self) -> String {
        let (first, last) = (self.common.0 + 1, self.last.index.0);
        let token = format!("{}:{last}", self.last.epoch);
        if first == last {
            format!("the commit {token}")
        } else {
            format!("the commits from log index {first} to {token}")
        }
    }

    /// Why the replica at `path` is not given the graph of the source at `paths`.
    pub fn refused(&self, path: &Path, paths: &SourcePaths, leader: Option<PathBuf>) -> Error {
        let (shown, source) = (path.display(), paths.db.display());
        let why = match self.common {
            LogIndex(0) => format!("{source} is another database, or one of another history"),
            common if common == self.end => format!("{source} ends at log index {common}"),
            common => format!("{source} has another history from log index {} on", common.0 + 1),
        };
        let what = format_args!(
            "{shown} is at {}:{}, and {why}: {} would be given up, which may be nowhere else. To keep what this replica has, \
             follow a node that has it{keep}; to give it up, ask for that by name \
             (replication_overwrite, --overwrite)",
            self.last.epoch,
            self.last.index,
            self.commits(),
            keep = match leader {
                Some(leader) => format!(" ({})", follow(path, &leader)),
                None => format!(", or let this replica lead ({})", command("replica promote", path, "--force")),
            },
        );
        Error::new(ErrorCode::WouldOverwrite, what).with_path(path).with_token(self.last.token())
    }

    /// As [`GivenUp::refused`], of commits that only the log of the replica has: an older copy of its file is in its place.
    pub fn refused_in_log(&self, path: &Path, paths: &SourcePaths) -> Error {
        let what = format_args!(
            "an older copy of {shown} is in its place, its log has the commits up to {epoch}:{last}, and {source} lacks {commits}: \
             they would be given up, and may be nowhere else. Let the file take them from its log ({repair}); to give them up, ask \
             for that by name (replication_overwrite, --overwrite)",
            shown = path.display(),
            epoch = self.last.epoch,
            last = self.last.index,
            source = paths.db.display(),
            commits = self.commits(),
            repair = command("repair", path, ""),
        );
        Error::new(ErrorCode::WouldOverwrite, what).with_path(path).with_token(self.last.token())
    }

    /// The error of a replica that cannot go on at its source, with both ways out.
    pub fn both_ways(&self, e: Error, path: &Path, paths: &SourcePaths, leader: Option<PathBuf>) -> Error {
        let source = format!("--source-db {} --overwrite", shell_word(&paths.db));
        e.and(format_args!(
            "the source lacks {}: {keep} keeps what this replica has, {give_up} gives it up",
            self.commits(),
            // Who leads may have all of it.
            keep = match leader {
                Some(leader) => follow(path, &leader),
                None => command("replica promote", path, "--force"),
            },
            give_up = command("replica reseed", path, source),
        ))
    }
}

fn follow(path: &Path, leader: &Path) -> Command {
    command("replica follow", path, format_args!("--source-db {}", shell_word(leader)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Epoch;

    fn history(entries: &[(u64, u8, u64)]) -> Vec<HistoryEntry> {
        let entry = |&(epoch, writer, first): &(u64, u8, u64)| HistoryEntry {
            epoch: Epoch(epoch),
            writer_id: [writer; 16],
            first: LogIndex(first),
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn what_only_the_replica_has_is_given_up_unless_a_later_epoch_of_its_history_did_so_before() {
        let ours = [(1, 1, 1), (2, 2, 5)];
        // The replica ends at 9; the source's history, its end, what it leads; the last common commit if what follows it here
        // would be given up.
        for (there, end, leads, expected) in [
            // It is behind, or as far.
            (&ours[..], 9, Some(2), None),
            (&ours, 20, Some(2), None),
            (&ours, 20, None, None),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 12)], 20, Some(3), None),
            // The source was restored from an older copy.
            (&ours, 7, Some(2), Some(7)),
            (&ours[..1], 3, Some(1), Some(3)),
            // The source is a replica that is behind.
            (&ours, 7, None, Some(7)),
            // ... and leads anew, as its operator said.
            (&ours, 7, Some(3), None),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8)], 30, Some(3), None),
            // A promotion took over where the epoch ended for its node.
            (&[(1, 1, 1), (3, 3, 3)], 12, Some(3), None),
            // Two nodes lead the same epoch, or an old one comes back.
            (&[(1, 1, 1), (2, 7, 5)], 12, Some(2), Some(4)),
            (&ours[..1], 12, Some(1), Some(4)),
            (&ours[..1], 12, None, Some(4)),
            // Another database, or an empty one.
            (&[(1, 8, 1)], 12, Some(1), Some(0)),
            (&[(5, 8, 1)], 12, Some(5), Some(0)),
            (&[], 0, Some(1), Some(0)),
            (&[], 0, Some(9), Some(0)),
            // It cannot be told.
            (&[], 12, Some(1), None),
        ] {
            let here = At { epoch: Epoch(2), writer_id: [2; 16], index: LogIndex(9), ..At::start() };
            let file_id = [5; 16];
            let source = Lineage { file_id, history: history(there), end: LogIndex(end), leads: leads.map(Epoch) };
            let found = given_up(&here, &history(&ours), &source).map(|given_up| given_up.common.0);
            assert_eq!(found, expected, "{there:?} {end} {leads:?}");
        }
        let source =
            Lineage { file_id: [5; 16], history: history(&ours[..1]), end: LogIndex(3), leads: Some(Epoch(1)) };
        assert_eq!(given_up(&At::start(), &[], &source), None, "it holds nothing");
    }
}
