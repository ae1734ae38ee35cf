//! What a replica would give up if it took its source's graph in place of its own: commits that are here, and that the
//! source's history does not have. A function of both histories, and of where their digests tell that they part: in one epoch
//! of one writer there can be two histories, because an older copy of a primary's files can be put in their place and be written to.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
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

/// Whether two nodes have the same state after the frame with an index; `None` where one of them cannot tell.
pub type Alike<'a> = &'a mut dyn FnMut(LogIndex) -> Result<Option<bool>>;

/// The last commit that two nodes have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    /// The last one; with `at_most`, the last one of which it is not known that they differ.
    pub last: LogIndex,
    /// Whether they may part before that: one of them cannot tell.
    pub at_most: bool,
    /// Whether digests say so, and not the histories alone, which can be those of two graphs that one writer wrote.
    pub compared: bool,
}

impl Common {
    fn sure(last: LogIndex) -> Self {
        Self { last, at_most: false, compared: true }
    }

    /// What is given up of a replica at `here` if it takes the graph of a source that ends at `end`.
    pub fn given_up(&self, here: &At, end: LogIndex) -> Option<GivenUp> {
        (self.last < here.index).then_some(GivenUp { common: self.last, at_least: self.at_most, last: *here, end })
    }
}

/// What a replica at `here`, with `history`, has in common with `source`. `alike` compares both; `marks` are indexes at which it may
/// tell where it does not otherwise, because a log was let go of before them or is damaged after: the nearest ones before are asked then.
///
/// However the source came to lack commits: what was said at one node (a promotion by force, that a restored primary leads) speaks for no
/// commit of another. `None`, where neither the histories nor the digests tell.
pub fn common(
    (here, history): (&At, &[HistoryEntry]),
    source: &Lineage,
    marks: &mut dyn FnMut() -> Result<Vec<LogIndex>>,
    alike: Alike<'_>,
) -> Result<Option<Common>> {
    let claimed = last_common((here.index, history), (source.end, &source.history));
    let told = claimed.is_some();
    let claimed = claimed.unwrap_or(here.index.min(source.end));
    if claimed == LogIndex(0) {
        return Ok(told.then_some(Common::sure(claimed)));
    }
    match alike(claimed)? {
        Some(true) => return Ok(Some(Common::sure(claimed))),
        Some(false) => return last_alike(claimed, alike).map(Some),
        None => {}
    }
    let mut before = marks()?;
    before.retain(|mark| LogIndex(0) < *mark && *mark < claimed);
    before.sort_unstable_by(|a, b| b.cmp(a));
    before.dedup();
    let (mut low, mut high) = (LogIndex(0), claimed);
    for mark in before {
        match alike(mark)? {
            Some(false) => return last_alike(mark, alike).map(Some),
            Some(true) => {
                low = mark;
                break;
            }
            None => high = mark,
        }
    }
    // Between a mark that tells and the next one, which does not, more may tell.
    while low > LogIndex(0) && high.0 - low.0 > 1 {
        let middle = LogIndex(low.0 + (high.0 - low.0) / 2);
        match alike(middle)? {
            Some(false) => return last_alike(middle, alike).map(Some),
            Some(true) => low = middle,
            None => high = middle,
        }
    }
    Ok(told.then_some(Common { last: claimed, at_most: claimed < here.index, compared: false }))
}

/// The last commit before `other`, after which both differ, that both have, by bisection.
fn last_alike(other: LogIndex, alike: Alike<'_>) -> Result<Common> {
    let (mut low, mut at_most, mut high) = (LogIndex(0), false, other);
    while high.0 - low.0 > 1 {
        let middle = LogIndex(low.0 + (high.0 - low.0) / 2);
        match alike(middle)? {
            Some(false) => high = middle,
            told => (low, at_most) = (middle, told.is_none()),
        }
    }
    Ok(Common { last: low, at_most, compared: true })
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
            common if common == self.end => format!("{source} ends at log index {common}"),
            _ if self.at_least => {
                format!("{source} has another history from log index {} on, or from an earlier one", self.common.0 + 1)
            }
            common => format!("{source} has another history from log index {} on", common.0 + 1),
        };
        let what = format_args!(
            "{shown} is at {}:{}, and {why}: {} would be given up, which may be nowhere else. To keep what this replica has, \
             follow a node that has it{keep}; or write it to a file first ({export}). To give it up, ask for that by name \
             (replication_overwrite, --overwrite)",
            self.last.epoch,
            self.last.index,
            self.commits(),
            export = command("export", path, "--output FILE"),
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
    use crate::graph::Epoch;

    fn history(entries: &[(u64, u8, u64)]) -> Vec<HistoryEntry> {
        let entry = |&(epoch, writer, first): &(u64, u8, u64)| HistoryEntry {
            epoch: Epoch(epoch),
            writer_id: [writer; 16],
            first: LogIndex(first),
        };
        entries.iter().map(entry).collect()
    }

    const OURS: [(u64, u8, u64); 2] = [(1, 1, 1), (2, 2, 5)];

    /// What a replica of that history, which ends at 9, would give up at a source, where the digests are alike up to `parts`, and one
    /// of both tells of no index below `floor`.
    fn found(there: &[(u64, u8, u64)], end: u64, (parts, floor): (u64, u64)) -> Option<(u64, bool)> {
        let here = At { epoch: Epoch(2), writer_id: [2; 16], index: LogIndex(9), ..At::start() };
        let source = Lineage { file_id: [5; 16], history: history(there), end: LogIndex(end) };
        let alike = &mut |index: LogIndex| Ok((index.0 >= floor).then_some(index.0 <= parts));
        told(&here, &source, &[], alike)
    }

    fn told(here: &At, source: &Lineage, marks: &[u64], alike: Alike<'_>) -> Option<(u64, bool)> {
        let marks = &mut || Ok(marks.iter().map(|mark| LogIndex(*mark)).collect());
        let common = common((here, &history(&OURS)), source, marks, alike).unwrap();
        common.and_then(|common| common.given_up(here, source.end)).map(|lost| (lost.common.0, lost.at_least))
    }

    #[test]
    fn what_only_the_replica_has_is_given_up_however_the_source_came_to_lack_it() {
        // The source's history, its end; the last common commit if what follows it here would be given up.
        for (there, end, expected) in [
            // It is behind, or as far.
            (&OURS[..], 9, None),
            (&OURS, 20, None),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 12)], 20, None),
            // The source was restored from an older copy, or is a replica that is behind.
            (&OURS, 7, Some(7)),
            (&OURS[..1], 3, Some(3)),
            // ... and leads anew, in whatever way.
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8)], 7, Some(7)),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8)], 30, Some(7)),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8), (4, 4, 8)], 30, Some(7)),
            (&[(1, 1, 1), (2, 2, 5), (3, 3, 8), (4, 4, 12)], 30, Some(7)),
            // A promotion took over where the epoch ended for its node.
            (&[(1, 1, 1), (3, 3, 3)], 12, Some(2)),
            // Two nodes lead the same epoch, or an old one comes back.
            (&[(1, 1, 1), (2, 7, 5)], 12, Some(4)),
            (&OURS[..1], 12, Some(4)),
            // Another database, or an empty one.
            (&[(1, 8, 1)], 12, Some(0)),
            (&[(5, 8, 1)], 12, Some(0)),
            (&[], 0, Some(0)),
            // It cannot be told.
            (&[], 12, None),
        ] {
            let told = found(there, end, (0, u64::MAX));
            // Where no digest tells, they may part before.
            assert_eq!(told, expected.map(|common| (common, common > 0)), "{there:?} {end}");
            let told = found(there, end, (u64::MAX, 0));
            assert_eq!(told, expected.map(|common| (common, false)), "{there:?} {end}");
        }
        let nothing = Lineage { file_id: [5; 16], history: history(&OURS[..1]), end: LogIndex(3) };
        let held = common((&At::start(), &[]), &nothing, &mut || Ok(Vec::new()), &mut |_| Ok(None)).unwrap();
        assert_eq!(held, None, "it holds nothing");
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
                    let told = found(&OURS, end, (parts, floor));
                    assert_eq!(told, Some(expected), "{end} {parts} {floor}");
                }
            }
            assert_eq!(found(&OURS, end, (9, 0)), None);
            // Whatever came after, where they part.
            let led = |first| [OURS[0], OURS[1], (3, 3, first)];
            assert_eq!(found(&led(10), end, (5, 0)), Some((5, false)));
            assert_eq!(found(&led(8), end, (7, 0)), Some((7, false)));
            assert_eq!(found(&led(8), end, (6, 0)), Some((6, false)));
        }
        // The source tells of nothing that the replica has: retention let go of it.
        assert_eq!(found(&OURS, 20, (3, 10)), None);
    }

    /// What both tell of ends before the replica does: a segment is damaged or gone, or only files tell.
    #[test]
    fn where_the_last_commit_cannot_be_compared_the_nearest_ones_before_it_are() {
        let here = At { epoch: Epoch(2), writer_id: [2; 16], index: LogIndex(9), ..At::start() };
        let source = Lineage { file_id: [5; 16], history: history(&OURS), end: LogIndex(20) };
        for parts in 0..=9 {
            for broken in 1..=9 {
                for marks in [&[1, 4, 6][..], &[6, 4, 1, 12]] {
                    let alike = &mut |index: LogIndex| Ok((index.0 < broken).then_some(index.0 <= parts));
                    // Of what tells, the last one before the break is found wherever a mark tells.
                    let parted = parts + 1 < broken && marks.iter().any(|mark| *mark < broken);
                    let found = told(&here, &source, marks, alike);
                    assert_eq!(found, parted.then_some((parts, false)), "{parts} {broken} {marks:?}");
                }
            }
        }
    }
}
