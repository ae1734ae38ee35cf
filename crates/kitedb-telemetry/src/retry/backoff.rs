//! How long to wait before the next attempt.

use std::time::Duration;

/// The waits of one push.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The wait after the first attempt, ms. 0: there are no waits.
    pub initial_ms: u64,
    /// No wait is longer, ms. 0: no bound.
    pub max_ms: u64,
    /// So much of a wait, 0 to 1, is left to chance.
    pub jitter_ratio: f64,
}

impl Backoff {
    /// The wait after attempt `failed_attempt` (from 1 on): the first one doubled with each attempt, times
    /// `multiplier`, plus a share up to `jitter_ratio` of that by `chance` (0 to 1). The bound holds for the sum; where
    /// it bites, the share is taken off instead, so that clients that wait at the bound do not wait in step.
    pub fn wait(&self, failed_attempt: u32, multiplier: u32, chance: f64) -> Duration {
        let bound = if self.max_ms == 0 { u64::MAX } else { self.max_ms };
        let doublings = failed_attempt.saturating_sub(1).min(31);
        let base = self
            .initial_ms
            .saturating_mul(1 << doublings)
            .min(bound)
            .saturating_mul(u64::from(multiplier.max(1)))
            .min(bound);
        // Large numbers are rounded on their way through a float.
        let span = ((base as f64 * unit(self.jitter_ratio)) as u64).min(base);
        let lowest = base.min(bound.saturating_sub(span));
        // Each of 0..=span is as likely as the others.
        let share = (unit(chance) * (span as f64 + 1.0)) as u64;
        Duration::from_millis(lowest.saturating_add(share.min(span)))
    }
}

/// Brings a number into 0 to 1; what is none counts as 0.
fn unit(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(backoff: Backoff, failed_attempt: u32, multiplier: u32, chance: f64) -> u64 {
        backoff.wait(failed_attempt, multiplier, chance).as_millis() as u64
    }

    #[test]
    fn it_doubles_up_to_the_bound() {
        let backoff = Backoff { initial_ms: 100, max_ms: 1000, jitter_ratio: 0.0 };
        let waits: Vec<u64> = (1..=6).map(|attempt| ms(backoff, attempt, 1, 0.9)).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(ms(backoff, 2, 3, 0.0), 600);
        assert_eq!(ms(backoff, 3, 9, 0.0), 1000);
    }

    #[test]
    fn the_first_wait_keeps_the_bound() {
        assert_eq!(ms(Backoff { initial_ms: 500, max_ms: 200, jitter_ratio: 0.0 }, 1, 1, 0.0), 200);
        assert_eq!(ms(Backoff { initial_ms: 500, max_ms: 200, jitter_ratio: 1.0 }, 1, 9, 1.0), 200);
    }

    #[test]
    fn no_first_wait_means_no_waits() {
        assert_eq!(ms(Backoff { initial_ms: 0, max_ms: 0, jitter_ratio: 1.0 }, 20, 9, 0.999), 0);
    }

    #[test]
    fn without_a_bound_it_saturates() {
        let backoff = Backoff { initial_ms: u64::MAX / 2, max_ms: 0, jitter_ratio: 1.0 };
        assert_eq!(ms(backoff, u32::MAX, u32::MAX, 1.0), u64::MAX);
        assert_eq!(ms(Backoff { initial_ms: 1, max_ms: 0, jitter_ratio: 0.0 }, 4000, 1, 0.0), 1 << 31);
    }

    #[test]
    fn jitter_is_added_below_the_bound_and_taken_off_at_it() {
        let backoff = Backoff { initial_ms: 100, max_ms: 1000, jitter_ratio: 0.2 };
        assert_eq!((ms(backoff, 1, 1, 0.0), ms(backoff, 1, 1, 1.0)), (100, 120));
        assert_eq!((ms(backoff, 9, 1, 0.0), ms(backoff, 9, 1, 1.0)), (800, 1000));
    }

    #[test]
    fn a_bound_too_large_for_a_float_holds() {
        let max_ms = (1 << 54) - 1;
        assert_eq!(ms(Backoff { initial_ms: u64::MAX, max_ms, jitter_ratio: 1.0 }, 1, 1, 1.0), max_ms);
    }

    fn backoffs() -> impl Strategy<Value = Backoff> {
        let ms = || prop_oneof![0..10_000u64, any::<u64>()];
        (ms(), ms(), prop_oneof![0.0..=1.0, Just(f64::NAN), any::<f64>()])
            .prop_map(|(initial_ms, max_ms, jitter_ratio)| Backoff { initial_ms, max_ms, jitter_ratio })
    }

    fn chances() -> impl Strategy<Value = f64> {
        prop_oneof![0.0..1.0, Just(0.0), Just(1.0), Just(f64::NAN)]
    }

    proptest! {
        #[test]
        fn no_wait_is_past_the_bound(backoff in backoffs(), attempt: u32, multiplier: u32, chance in chances()) {
            let wait = ms(backoff, attempt, multiplier, chance);
            prop_assert!(backoff.max_ms == 0 || wait <= backoff.max_ms);
            prop_assert!(backoff.initial_ms != 0 || wait == 0);
        }

        #[test]
        fn waits_grow_without_jitter(backoff in backoffs(), attempt in 1u32..100, multiplier in 1u32..=9) {
            let backoff = Backoff { jitter_ratio: 0.0, ..backoff };
            let wait = ms(backoff, attempt, multiplier, 0.5);
            prop_assert!(wait <= ms(backoff, attempt + 1, multiplier, 0.5));
            prop_assert!(wait <= ms(backoff, attempt, multiplier + 1, 0.5));
            let naive = u128::from(backoff.initial_ms) * (1u128 << (attempt - 1).min(31)) * u128::from(multiplier);
            let bound = if backoff.max_ms == 0 { u64::MAX } else { backoff.max_ms };
            prop_assert_eq!(u128::from(wait), naive.min(u128::from(bound)));
        }

        #[test]
        fn chance_moves_a_wait_within_the_ratio(
            initial_ms in 1u64..100_000, max_ms in 0u64..100_000, jitter_ratio in 0.0..=1.0,
            attempt in 1u32..10, chance in chances(),
        ) {
            let backoff = Backoff { initial_ms, max_ms, jitter_ratio };
            let base = ms(Backoff { jitter_ratio: 0.0, ..backoff }, attempt, 1, chance);
            let span = (base as f64 * jitter_ratio) as u64;
            let (low, wait, high) =
                (ms(backoff, attempt, 1, 0.0), ms(backoff, attempt, 1, chance), ms(backoff, attempt, 1, 1.0));
            prop_assert!(low <= wait && wait <= high);
            prop_assert_eq!(high - low, span);
            prop_assert!(base - span <= low && low <= base);
        }
    }
}
