//! What a replica would give up if it took its source's graph in place of its own: commits that are here, and that the
//! source's history does not have. A function of both histories, and of where their digests tell that they part: in one epoch
//! of one writer there can be two histories, because an older copy of a primary's files can be put in their place and be written to.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    log::is_by_word,
    replication::source::{At, Lineage, SourcePaths},
    shell::{Command, command, shell_word},
    store::HistoryEntry,
};
use std::path::{Path, PathBuf};

/// Commits of a replica that its source does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// The last commit that both have; with `at_least`, the last one of which that is not known.
    pub common: LogIndex,
    /// Whether more may be given up: neither log goes back to where the histories part.
    pub at_least: bool,
    /// The last one here.
    pub last: At,
    /// The last one of the source.
    pub end: LogIndex,
}

/// Whether two nodes have the same state after the frame with an index; `None` where one of them cannot tell any more.
pub type Alike<'a> = &'a mut dyn FnMut(LogIndex) -> Result<Option<bool>>;

/// What a replica at `here`, with `history`, would give up. `alike` compares it with the source.
///
/// What was given up before by an operator's word (a promotion by force, or that a restored primary leads) is not asked for again: the
/// source leads a later epoch, and an epoch that began by such a word follows the last commit that both have ([`is_by_word`]).
/// Nobody else gave anything up: not a repair, a loss of power, or a restore at the source. `None`, too, where neither the histories nor the
/// digests tell. A source whose log does not go back to where the replica is, tells of no commit that the replica has.
pub fn given_up(here: &At, history: &[HistoryEntry], source: &Lineage, alike: Alike<'_>) -> Result<Option<GivenUp>> {
    let claimed = last_common((here.index, history), (source.end, &source.history));
    let told = claimed.is_some();
    let claimed = claimed.unwrap_or(here.index.min(source.end));
    let (common, at_least) = match alike(claimed)? {
        Some(false) if claimed > LogIndex(0) => last_alike(claimed, alike)?,
        Some(true) => (claimed, false),
        _ if told => (claimed, false),
        _ => return Ok(None),
    };
    let by_word =
        |led: &HistoryEntry| led.first.0 == common.0 + 1 && led.epoch > here.epoch && is_by_word(led.writer_id);
    let known = source.leads.is_some_and(|epoch| epoch > here.epoch)
        && common > LogIndex(0)
        && !at_least
        && source.history.iter().any(by_word);
    Ok((common < here.index && !known).then_some(GivenUp { common, at_least, last: *here, end: source.end }))
}

/// The last commit before `other`, after which both differ, that both have, by bisection; and whether they may part before that, which is
/// the oldest commit then that one of them can tell of no more.
pub fn last_alike(other: LogIndex, alike: Alike<'_>) -> Result<(LogIndex, bool)> {
    let (mut low, mut unsure, mut high) = (LogIndex(0), false, other);
    while high.0 - low.0 > 1 {
        let middle = LogIndex(low.0 + (high.0 - low.0) / 2);
        match alike(middle)? {
            Some(false) => high = middle,
            told => (low, unsure) = (middle, told.is_none()),
        }
    }
    Ok((low, unsure))
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
        if self.at_least {
            format!("at least the commits from log index {first} to {token}")
        } else if first == last {
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
            _ if self.at_least => format!("{source} has another history, also before log index {}", self.common.0 + 1),
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

    /// As [`GivenUp::refused`], of a replica whose file is damaged and whose log, in `dir`, has them still.
    pub fn refused_of_damaged(&self, path: &Path, dir: &Path, paths: &SourcePaths) -> Error {
        let give_up = format!("--source-db {} --overwrite", shell_word(&paths.db));
        let what = format_args!(
            "{shown} is damaged, its log in {dir} has the commits up to {epoch}:{last}, and {source} lacks {commits}: they would be \
             given up with that log, and may be nowhere else. Where a replica that followed {shown} has them, let that one lead; to \
             give them up, ask for that by name ({give_up}, replication_overwrite)",
            shown = path.display(),
            dir = dir.display(),
            epoch = self.last.epoch,
            last = self.last.index,
            source = paths.db.display(),
            commits = self.commits(),
            give_up = command("replica reseed", path, give_up),
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
    use crate::{graph::Epoch, log::by_word};

    /// Of a writer above 100 the epoch began by an operator's word.
    fn history(entries: &[(u64, u8, u64)]) -> Vec<HistoryEntry> {
        let entry = |&(epoch, writer, first): &(u64, u8, u64)| HistoryEntry {
            epoch: Epoch(epoch),
            writer_id: if writer > 100 { by_word([writer; 16]) } else { [writer; 16] },
            first: LogIndex(first),
        };
        entries.iter().map(entry).collect()
    }

    const OURS: [(u64, u8, u64); 2] = [(1, 1, 1), (2, 2, 5)];

    /// What a replica of that history, which ends at 9, would give up at a source, where the digests are alike up to `parts`, and one
    /// of both tells of no index below `floor`.
    fn found(
        there: &[(u64, u8, u64)],
        (end, leads): (u64, Option<u64>),
        (parts, floor): (u64, u64),
    ) -> Option<(u64, bool)> {
        let here = At { epoch: Epoch(2), writer_id: [2; 16], index: LogIndex(9), ..At::start() };
        let (leads, file_id) = (leads.map(Epoch), [5; 16]);
        let source = Lineage { file_id, history: history(there), end: LogIndex(end), leads };
        let alike = &mut |index: LogIndex| Ok((index.0 >= floor).then_some(index.0 <= parts));
        let given_up = given_up(&here, &history(&OURS), &source, alike).unwrap();
        given_up.map(|given_up| (given_up.common.0, given_up.at_least))
    }

    #[test]
    fn what_only_the_replica_has_is_given_up_unless_a_word_gave_it_up_before() {
        // The source's history, its end, what it leads; the last common commit if what follows it here would be given up.
        for (there, end, leads, expected) in [
            // It is behind, or as far.
            (&OURS[..], 9, Some(2), None),
            (&OURS, 20, Some(2), None),
            (&OURS, 20, None, None),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 12)], 20, Some(3), None),
            // The source was restored from an older copy.
            (&OURS, 7, Some(2), Some(7)),
            (&OURS[..1], 3, Some(1), Some(3)),
            // The source is a replica that is behind.
            (&OURS, 7, None, Some(7)),
            // ... and leads anew, as its operator said, also where it lost more and leads a later epoch by now.
            (&[(1, 1, 1), (2, 2, 5), (3, 103, 8)], 7, Some(3), None),
            (&[(1, 1, 1), (2, 2, 5), (3, 103, 8)], 30, Some(3), None),
            (&[(1, 1, 1), (2, 2, 5), (3, 103, 8), (4, 4, 8)], 30, Some(4), None),
            // ... or because it lost, or gave up, what came after, whatever was said later.
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8)], 30, Some(3), Some(7)),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8), (4, 104, 12)], 30, Some(4), Some(7)),
            // A promotion took over where the epoch ended for its node: by force, or with all that its source had.
            (&[(1, 1, 1), (3, 103, 3)], 12, Some(3), None),
            (&[(1, 1, 1), (3, 3, 3)], 12, Some(3), Some(2)),
            // Two nodes lead the same epoch, or an old one comes back.
            (&[(1, 1, 1), (2, 107, 5)], 12, Some(2), Some(4)),
            (&OURS[..1], 12, Some(1), Some(4)),
            (&OURS[..1], 12, None, Some(4)),
            // Another database, or an empty one.
            (&[(1, 108, 1)], 12, Some(1), Some(0)),
            (&[(5, 108, 1)], 12, Some(5), Some(0)),
            (&[], 0, Some(1), Some(0)),
            (&[], 0, Some(9), Some(0)),
            // It cannot be told.
            (&[], 12, Some(1), None),
        ] {
            let told = found(there, (end, leads), (0, u64::MAX));
            assert_eq!(told, expected.map(|common| (common, false)), "{there:?} {end} {leads:?}");
        }
        let nothing =
            Lineage { file_id: [5; 16], history: history(&OURS[..1]), end: LogIndex(3), leads: Some(Epoch(1)) };
        assert_eq!(given_up(&At::start(), &[], &nothing, &mut |_| Ok(None)).unwrap(), None, "it holds nothing");
    }

    /// The source was restored in place from an older copy, and wrote on as the writer that it was.
    #[test]
    fn the_digests_tell_where_two_histories_of_one_writer_part() {
        for end in [9, 20] {
            for parts in 0..9 {
                for floor in 0..=9 {
                    // All have in common that nothing was there before the first commit.
                    let sure = parts >= floor || floor <= 1;
                    let expected = if sure { (parts, false) } else { (floor - 1, true) };
                    let told = found(&OURS, (end, Some(2)), (parts, floor));
                    assert_eq!(told, Some(expected), "{end} {parts} {floor}");
                }
            }
            assert_eq!(found(&OURS, (end, Some(2)), (9, 0)), None);
            // A word after which it was restored gave nothing up; one that says where they part, did.
            let led = |first| [OURS[0], OURS[1], (3, 103, first)];
            assert_eq!(found(&led(10), (end, Some(3)), (5, 0)), Some((5, false)));
            assert_eq!(found(&led(8), (end, Some(3)), (7, 0)), None);
            assert_eq!(found(&led(8), (end, Some(3)), (6, 0)), Some((6, false)));
        }
        // The source tells of nothing that the replica has: retention let go of it.
        assert_eq!(found(&OURS, (20, Some(2)), (3, 10)), None);
    }
}
