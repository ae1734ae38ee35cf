//! What of a log may go: a pure decision over its segments.

use crate::{
    db::RetentionOptions,
    graph::LogIndex,
    replication::status::{Hold, HoldReason},
};

/// Windows for one run of retention. What is not given is as the process has it that has the database open, or as
/// the defaults of [`OpenOptions`](crate::OpenOptions) have it if none has.
///
/// ```
/// use kitedb_core::RetentionWindows;
///
/// let windows = RetentionWindows::new().min_entries(0).max_bytes(64 << 20);
/// assert_ne!(windows, RetentionWindows::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionWindows {
    pub(crate) min_entries: Option<u64>,
    pub(crate) min_ms: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_lag_ms: Option<u64>,
}

impl RetentionWindows {
    /// Those of the process that has the database open.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many of the newest frames are kept.
    #[must_use]
    pub fn min_entries(mut self, frames: u64) -> Self {
        self.min_entries = Some(frames);
        self
    }

    /// For how long each frame is kept, in ms.
    #[must_use]
    pub fn min_ms(mut self, ms: u64) -> Self {
        self.min_ms = Some(ms);
        self
    }

    /// The most bytes that the log may take for the sake of replicas and windows.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Nothing is kept for a replica whose next frame is older than this, in ms.
    #[must_use]
    pub fn max_lag_ms(mut self, ms: u64) -> Self {
        self.max_lag_ms = Some(ms);
        self
    }
}

/// What a retention run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RetentionOutcome {
    /// How many segments it removed.
    pub pruned_segments: u64,
    /// The first frame that is still there; 0 if none was ever let go.
    pub retained_floor: u64,
}

/// Whether a log that begins with `floor` (after `head` if it is empty) and ends with `head` has all that comes after `at`.
pub fn serves(floor: LogIndex, head: LogIndex, at: LogIndex) -> bool {
    at.0 + 1 >= floor.0 || at >= head
}

/// What part a node plays, as far as those are concerned who follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is a primary.
    Leads,
    /// It is a replica.
    Follows,
}

/// Whether what replicas reported to a node has ended now that it plays the part `is` and not `was` (`None`: that is
/// not known).
///
/// A registration outlives every promotion, in place and of a replica: who followed the node follows it still, and
/// what comes next for it lies in this log. It ends where a node that led follows another one: whoever followed it
/// follows the new primary by then, or reports again.
pub fn registrations_end(was: Option<Part>, is: Part) -> bool {
    is == Part::Follows && was != Some(Part::Follows)
}

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
    /// For each place from which the log can still serve a replica: the frame after which that asks for all of it, and since
    /// when it has been missing its next one, ms since 1970 (`None`: it misses none).
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
/// needs is not considered. Upholds I31.
pub fn plan(segments: &[Kept], holds: &Holds<'_>, options: &RetentionOptions) -> usize {
    let window = LogIndex(holds.head.0.saturating_sub(options.min_entries));
    let slowest = holds
        .replicas
        .iter()
        .filter(|(_, missing_since)| !let_go(options, holds.now_ms, *missing_since))
        .map(|(held, _)| LogIndex(held.0 + 1))
        .min();
    let floor = slowest.map_or(window, |slowest| slowest.min(window));
    let closed = &segments[..segments.len().saturating_sub(1)];
    let wanted = closed.iter().take_while(|s| s.last < floor && !young(s, holds.now_ms, options)).count();
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

/// What keeps the oldest segment, by the rules of [`plan`] and [`beyond_cap`], and because frames after `folded` are
/// in the log only. Empty: it goes with the next run of retention. `ids` are the ids of `holds.replicas`.
pub fn what_holds(
    segments: &[Kept],
    holds: &Holds<'_>,
    ids: &[&str],
    folded: LogIndex,
    options: &RetentionOptions,
) -> Vec<Hold> {
    let Some(oldest) = segments.first() else { return Vec::new() };
    let mut found = Vec::new();
    let mut add = |reason: HoldReason, from: LogIndex| {
        found.push(Hold { reason, from_log_index: from.0.max(oldest.first.0) });
    };
    if beyond_cap(segments, options) == 0 {
        let window = LogIndex(holds.head.0.saturating_sub(options.min_entries));
        if window <= oldest.last && (options.min_entries > 0 || segments.len() > 1) {
            add(HoldReason::WindowEntries, window);
        }
        if young(oldest, holds.now_ms, options) {
            add(HoldReason::WindowTime, oldest.first);
        }
        for ((held, missing_since), id) in holds.replicas.iter().zip(ids) {
            if held < &oldest.last && !let_go(options, holds.now_ms, *missing_since) {
                add(HoldReason::Replica((*id).to_owned()), LogIndex(held.0 + 1));
            }
        }
    }
    if oldest.last > folded {
        add(HoldReason::Recovery, LogIndex(folded.0 + 1));
    }
    if segments.len() == 1 {
        add(HoldReason::NewestSegment, oldest.first);
    }
    // A replica that copies a snapshot asks twice, lowest first.
    found.dedup_by(|next, before| next.reason == before.reason);
    found
}

/// Whether the time window asks for a segment.
fn young(segment: &Kept, now_ms: u64, options: &RetentionOptions) -> bool {
    options.min_ms.is_some_and(|window| segment.left_ms.saturating_add(window) > now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registrations_end_where_a_node_that_led_follows() {
        use Part::{Follows, Leads};
        for (was, is, end) in [
            (None, Leads, false),
            (None, Follows, true),
            // Opened again, or promoted in place.
            (Some(Leads), Leads, false),
            (Some(Follows), Follows, false),
            // A replica takes over: those who follow it stay.
            (Some(Follows), Leads, false),
            // Another node took over from it.
            (Some(Leads), Follows, true),
        ] {
            assert_eq!(registrations_end(was, is), end, "{was:?} {is:?}");
        }
    }

    /// Of six segments of one frame each, at 100 ms.
    fn reasons(replicas: &[(LogIndex, Option<u64>)], folded: u64, options: RetentionOptions) -> Vec<String> {
        let holds = Holds { head: LogIndex(6), now_ms: 100, replicas };
        let found = what_holds(&one_frame_each(6), &holds, &["a", "b"], LogIndex(folded), &options);
        found.iter().map(|hold| format!("{} {}", hold.reason, hold.from_log_index)).collect()
    }

    #[test]
    fn what_holds_the_oldest_segment_is_named() {
        let none = RetentionOptions { min_entries: 0, ..Default::default() };
        assert!(reasons(&[], 6, none).is_empty());
        assert_eq!(reasons(&[], 6, RetentionOptions { min_entries: 5, ..none }), ["window_entries 1"]);
        assert!(reasons(&[], 6, RetentionOptions { min_entries: 4, ..none }).is_empty());
        assert_eq!(reasons(&[], 6, RetentionOptions { min_ms: Some(91), ..none }), ["window_time 1"]);
        assert_eq!(reasons(&[(LogIndex(1), Some(5)), (LogIndex(0), Some(5))], 6, none), ["replica:b 1"]);
        let twice = [(LogIndex(0), Some(5)), (LogIndex(0), None)];
        let copying = what_holds(
            &one_frame_each(6),
            &Holds { head: LogIndex(6), now_ms: 100, replicas: &twice },
            &["a", "a"],
            LogIndex(6),
            &none,
        );
        assert_eq!(copying.len(), 1, "a replica that copies is one reason");
        let lagging = RetentionOptions { max_lag_ms: Some(50), ..none };
        assert!(reasons(&[(LogIndex(0), Some(5))], 6, lagging).is_empty());
        assert_eq!(reasons(&[(LogIndex(0), Some(60))], 0, lagging), ["replica:a 1", "recovery 1"]);
        // The cap lets go of what windows and replicas ask for, not of what recovery needs.
        let capped = RetentionOptions { max_bytes: Some(500), min_entries: 100, ..none };
        assert!(reasons(&[(LogIndex(0), Some(60))], 6, capped).is_empty());
        assert_eq!(reasons(&[(LogIndex(0), Some(60))], 0, capped), ["recovery 1"]);
        let alone = what_holds(
            &one_frame_each(1),
            &Holds { head: LogIndex(1), now_ms: 100, replicas: &[] },
            &[],
            LogIndex(1),
            &none,
        );
        assert_eq!(alone[0].reason, HoldReason::NewestSegment);
    }

    proptest! {
        /// The list is empty exactly where the oldest segment goes.
        #[test]
        fn nothing_holds_what_goes(
            entries in 0u64..12, window in prop::option::of(0u64..200), cap in prop::option::of(0u64..1200),
            replicas in prop::collection::vec(0u64..=10, 0..4), now in 0u64..300, folded in 0u64..=10,
        ) {
            let segments = one_frame_each(10);
            let replicas: Vec<_> = replicas.into_iter().map(|at| (LogIndex(at), (at < 10).then_some(at))).collect();
            let options = RetentionOptions { min_entries: entries, min_ms: window, max_bytes: cap, ..Default::default() };
            let holds = Holds { head: LogIndex(10), now_ms: now, replicas: &replicas };
            let goes = plan(&segments, &holds, &options) > 0 && folded > 0;
            let held = what_holds(&segments, &holds, &["a", "b", "c", "d"], LogIndex(folded), &options);
            prop_assert_eq!(goes, held.is_empty());
        }
    }

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
