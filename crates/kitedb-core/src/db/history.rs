//! The history of a file: who led, and wrote, from which commit on.

use crate::{
    graph::{Epoch, LogIndex, WriterTag},
    log::WriterId,
    store::HistoryEntry,
};

/// Adds what the headers of segments say: (epoch, writer, first index), in the order in which these were written. That
/// order counts: a node that lost an epoch it led may have followed an older one then.
pub(crate) fn merge_history(
    history: &mut Vec<HistoryEntry>,
    found: &[(Epoch, WriterId, LogIndex)],
    last: LogIndex,
    new_epoch: Option<(Epoch, WriterId)>,
) {
    let mut begun: Vec<HistoryEntry> = Vec::new();
    for &(epoch, writer_id, first) in found {
        let entry = HistoryEntry { epoch, writer_id, first };
        if begun.last().is_none_or(|last| !last.goes_on_as(&entry)) {
            begun.push(entry);
        }
    }
    let mut next = 0;
    for (nth, entry) in begun.into_iter().enumerate() {
        // Segments may be gone: the oldest one that is left, and one after such a gap, begin in the middle of an epoch.
        let known = match nth {
            0 => history.iter().rposition(|h| h.goes_on_as(&entry)),
            _ => history[next..].iter().position(|h| h.goes_on_as(&entry)).map(|at| next + at),
        };
        if let Some(at) = known {
            next = at + 1;
            continue;
        }
        while history.get(next).is_some_and(|h| h.first < entry.first) {
            next += 1;
        }
        history.insert(next, entry);
        next += 1;
    }
    if let Some((epoch, writer_id)) = new_epoch {
        history.push(HistoryEntry { epoch, writer_id, first: LogIndex(last.0 + 1) });
    }
}

/// The tag of the writer of the commit with an index, which is of an epoch; `None`: the history does not tell.
pub(crate) fn writer_of(history: &[HistoryEntry], epoch: Epoch, index: LogIndex) -> Option<WriterTag> {
    let led = history.iter().rev().find(|led| led.first <= index)?;
    WriterTag::of(&led.writer_id).filter(|_| led.epoch == epoch && index > LogIndex(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_segments_say_again_is_not_added_to_a_history_again() {
        let segments: Vec<_> = [(1, 1), (2, 5), (3, 5), (4, 9)]
            .map(|(epoch, first)| (Epoch(epoch), [epoch as u8; 16], LogIndex(first)))
            .into();
        let mut history = Vec::new();
        merge_history(&mut history, &segments[..3], LogIndex(8), None);
        let epochs = |history: &[HistoryEntry]| history.iter().map(|h| h.epoch.0).collect::<Vec<_>>();
        assert_eq!(epochs(&history), [1, 2, 3]);
        merge_history(&mut history, &segments, LogIndex(8), None);
        assert_eq!(epochs(&history), [1, 2, 3, 4]);
        merge_history(&mut history, &segments, LogIndex(8), Some((Epoch(5), [5; 16])));
        assert_eq!((epochs(&history), history[4].first), (vec![1, 2, 3, 4, 5], LogIndex(9)));
        // Of a log that was cut in the middle of an epoch.
        merge_history(
            &mut history,
            &[(Epoch(4), [4; 16], LogIndex(10)), (Epoch(5), [5; 16], LogIndex(9))],
            LogIndex(9),
            None,
        );
        assert_eq!(epochs(&history), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_the_file_knows_of_a_segment_that_is_gone_stays() {
        let entry = |epoch: u64, first| HistoryEntry {
            epoch: Epoch(epoch),
            writer_id: [epoch as u8; 16],
            first: LogIndex(first),
        };
        let segment = |epoch: u64, first| (Epoch(epoch), [epoch as u8; 16], LogIndex(first));
        let mut history = vec![entry(1, 1), entry(2, 16)];
        merge_history(&mut history, &[segment(1, 10), segment(2, 18)], LogIndex(27), None);
        assert_eq!(history, [entry(1, 1), entry(2, 16)]);
        merge_history(&mut history, &[segment(1, 10), segment(3, 20)], LogIndex(27), None);
        assert_eq!(history, [entry(1, 1), entry(2, 16), entry(3, 20)]);
    }

    #[test]
    fn a_history_can_go_back_to_an_older_epoch() {
        // It led an epoch in which nothing came, and followed an older one then: another's, and its own source's.
        for followed in [2, 1] {
            let entry = |epoch: u64, first| HistoryEntry {
                epoch: Epoch(epoch),
                writer_id: [epoch as u8; 16],
                first: LogIndex(first),
            };
            let whole = [entry(1, 1), entry(3, 5), entry(followed, 5)];
            let segments = [(1, 1), (1, 3), (3, 5), (followed, 5), (followed, 8)]
                .map(|(epoch, first)| (Epoch(epoch), [epoch as u8; 16], LogIndex(first)));
            for known in [vec![], vec![whole[0]], vec![whole[0], whole[2]], whole.to_vec()] {
                let mut history = known;
                for _ in 0..2 {
                    merge_history(&mut history, &segments, LogIndex(9), None);
                    assert_eq!(history, whole);
                }
                merge_history(&mut history, &segments[4..], LogIndex(9), None);
                assert_eq!(history, whole);
                let later = (Epoch(7), [7; 16], LogIndex(9));
                merge_history(&mut history, &[segments[4], later], LogIndex(9), None);
                assert_eq!((&history[..3], history[3].epoch), (&whole[..], Epoch(7)));
            }
        }
    }
}
