//! What of a log may go: a pure decision over its segments.

use crate::db::RetentionOptions;
use crate::graph::LogIndex;

/// A segment, as retention sees it. The last one of a log is being written and never goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its first frame.
    pub first: LogIndex,
    /// Its last frame.
    pub last: LogIndex,
    /// Its bytes on the disk.
    pub bytes: u64,
    /// When it was left for the next one, ms since 1970: none of its frames was committed later.
    pub left_ms: u64,
}

/// What holds a log.
#[derive(Debug, Clone, Copy)]
pub struct Holds<'a> {
    /// The last frame.
    pub head: LogIndex,
    /// Now, ms since 1970.
    pub now_ms: u64,
    /// For each replica that the log can still serve: the frame after which it asks for all of it, and since when it
    /// has been missing its next one, ms since 1970 (`None`: it misses none).
    pub replicas: &'a [(LogIndex, Option<u64>)],
}

/// Whether a replica is too far behind for the log to be kept for it.
pub fn let_go(options: &RetentionOptions, now_ms: u64, missing_since: Option<u64>) -> bool {
    match (options.max_lag_ms, missing_since) {
        (Some(limit), Some(since)) => now_ms.saturating_sub(since) > limit,
        _ => false,
    }
}

/// How many of the oldest segments nobody asks for, as far as windows, replicas and the byte cap go. What recovery
/// needs is not considered.
pub fn plan(segments: &[Kept], holds: &Holds<'_>, options: &RetentionOptions) -> usize {
    let window = LogIndex(holds.head.0.saturating_sub(options.min_entries));
    let slowest = holds
        .replicas
        .iter()
        .filter(|(_, missing_since)| !let_go(options, holds.now_ms, *missing_since))
        .map(|(held, _)| LogIndex(held.0 + 1))
        .min();
    let floor = slowest.map_or(window, |slowest| slowest.min(window));
    let young = |s: &Kept| options.min_ms.is_some_and(|window| s.left_ms.saturating_add(window) > holds.now_ms);
    let closed = &segments[..segments.len().saturating_sub(1)];
    let wanted = closed.iter().take_while(|s| s.last < floor && !young(s)).count();
    wanted.max(beyond_cap(segments, options))
}

/// How many of the oldest segments the byte cap lets go of, whoever asks for them.
pub fn beyond_cap(segments: &[Kept], options: &RetentionOptions) -> usize {
    let Some(cap) = options.max_bytes else { return 0 };
    let mut total: u64 = segments.iter().map(|s| s.bytes).sum();
    let closed = &segments[..segments.len().saturating_sub(1)];
    let over = closed.iter().take_while(|s| {
        let over = total > cap;
        total -= s.bytes;
        over
    });
    over.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_frame_each(count: u64) -> Vec<Kept> {
        let kept = |n| Kept { first: LogIndex(n), last: LogIndex(n), bytes: 100, left_ms: 10 * n };
        (1..=count).map(kept).collect()
    }

    fn count(replicas: &[(LogIndex, Option<u64>)], options: RetentionOptions) -> usize {
        plan(&one_frame_each(6), &Holds { head: LogIndex(6), now_ms: 100, replicas }, &options)
    }

    #[test]
    fn what_anyone_asks_for_is_kept() {
        let options = RetentionOptions { min_entries: 2, ..Default::default() };
        // Frames 4 and later are in the window; a replica at 2 needs frame 3.
        assert_eq!(count(&[], options), 3);
        assert_eq!(count(&[(LogIndex(2), Some(30))], options), 2);
        assert_eq!(count(&[(LogIndex(6), None), (LogIndex(0), Some(0))], options), 0);
        // A time window keeps what was left less than 65 ms ago: from segment 4 on that changes nothing, before it does.
        assert_eq!(count(&[], RetentionOptions { min_ms: Some(75), ..options }), 2);
        // One that lags by more than it may does not hold the log.
        assert_eq!(count(&[(LogIndex(1), Some(20))], RetentionOptions { max_lag_ms: Some(50), ..options }), 3);
        assert_eq!(count(&[(LogIndex(1), Some(60))], RetentionOptions { max_lag_ms: Some(50), ..options }), 1);
        // A cap lets go of the slowest, whatever else asks, but never of the segment that is written.
        assert_eq!(count(&[(LogIndex(0), Some(0))], RetentionOptions { max_bytes: Some(250), ..options }), 4);
        assert_eq!(count(&[], RetentionOptions { max_bytes: Some(0), ..options }), 5);
    }

    proptest! {
        #[test]
        fn without_a_cap_nothing_goes_that_is_asked_for(
            entries in 0u64..12, window in prop::option::of(0u64..200), replicas in prop::collection::vec(0u64..=10, 0..4),
            now in 0u64..300,
        ) {
            let segments = one_frame_each(10);
            let replicas: Vec<_> = replicas.into_iter().map(|at| (LogIndex(at), (at < 10).then_some(at))).collect();
            let options = RetentionOptions { min_entries: entries, min_ms: window, ..Default::default() };
            let gone = plan(&segments, &Holds { head: LogIndex(10), now_ms: now, replicas: &replicas }, &options);
            for segment in &segments[..gone] {
                prop_assert!(segment.last.0 < 10u64.saturating_sub(entries));
                prop_assert!(replicas.iter().all(|(at, _)| segment.last <= *at));
                prop_assert!(window.is_none_or(|w| segment.left_ms + w <= now));
            }
            prop_assert!(gone < segments.len());
        }
    }
}
