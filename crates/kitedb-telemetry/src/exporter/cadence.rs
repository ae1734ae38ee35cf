//! When a push is due: pure, time passed in.

use std::time::{Duration, Instant};

/// Moments that lie an interval apart, from the start on. A push that takes long does not shift those after it.
#[derive(Debug, Clone)]
pub struct Cadence {
    interval: Duration,
    /// The next moment; `None`: so far away that no clock shows it.
    due: Option<Instant>,
}

impl Cadence {
    /// The first moment is an interval after `start`. `interval` is not zero.
    pub fn new(start: Instant, interval: Duration) -> Self {
        Self { interval, due: start.checked_add(interval) }
    }

    /// The next moment.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// How many moments have come since this was last asked. The next one is after `now`.
    pub fn take(&mut self, now: Instant) -> u64 {
        let Some(due) = self.due.filter(|due| *due <= now) else { return 0 };
        let passed = now.duration_since(due).as_nanos() / self.interval.as_nanos().max(1);
        let came = u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1);
        let ahead = self.interval.as_nanos().saturating_mul(u128::from(came));
        let ahead = u64::try_from(ahead).ok().map(Duration::from_nanos);
        self.due = ahead.and_then(|ahead| due.checked_add(ahead));
        came
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a start for reckoning, not a measurement")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_moment_comes_after_an_interval_and_a_late_look_shifts_nothing() {
        let start = Instant::now();
        let mut cadence = Cadence::new(start, ms(100));
        assert_eq!(cadence.take(start + ms(99)), 0);
        assert_eq!(cadence.take(start + ms(100)), 1);
        assert_eq!(cadence.due(), Some(start + ms(200)));
        assert_eq!(cadence.take(start + ms(290)), 1);
        assert_eq!(cadence.due(), Some(start + ms(300)));
        assert_eq!(cadence.take(start + ms(650)), 4);
        assert_eq!(cadence.due(), Some(start + ms(700)));
        assert_eq!(cadence.take(start + ms(650)), 0);
    }

    #[test]
    fn an_interval_beyond_every_clock_is_never_due() {
        let start = Instant::now();
        let mut cadence = Cadence::new(start, Duration::MAX);
        assert_eq!((cadence.due(), cadence.take(start + ms(1_000_000))), (None, 0));
    }

    proptest! {
        #[test]
        fn every_moment_counts_once_and_none_counts_early(
            interval in 1u64..5000,
            looks in prop::collection::vec(0u64..20_000, 0..50),
        ) {
            let start = Instant::now();
            let mut cadence = Cadence::new(start, ms(interval));
            let (mut at, mut came) = (0, 0);
            for step in looks {
                at += step;
                came += cadence.take(start + ms(at));
                prop_assert_eq!(came, at / interval);
                prop_assert!(cadence.due().is_some_and(|due| due > start + ms(at)));
            }
        }
    }
}
