//! How long things took: counts in buckets, added to without a lock and without waiting.

use std::sync::atomic::{AtomicU64, Ordering};

/// So many bits below the highest one tell buckets apart: 8 buckets for each doubling.
const BITS: u32 = 3;
/// What takes 2^40 ns (18 minutes) or longer is in the last bucket.
const DOUBLINGS: u32 = 40;
const BUCKETS: usize = ((DOUBLINGS - BITS + 1) << BITS) as usize + 1;

/// A histogram of durations with buckets of at most an eighth of their own value (of 1 ns up to 16 ns).
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]), sum_ns: AtomicU64::new(0) }
    }
}

/// The bucket that `ns` belongs to.
#[inline]
fn bucket_of(ns: u64) -> usize {
    // How often the value must be halved until only its highest bits, a number from 8 to 15, are left.
    let halvings = ns.max(1).ilog2().saturating_sub(BITS);
    (((halvings as usize) << BITS) + (ns >> halvings) as usize).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn greatest_of(bucket: usize) -> u64 {
    if bucket >= BUCKETS - 1 {
        return u64::MAX;
    }
    let halvings = (bucket >> BITS).saturating_sub(1);
    let highest_bits = bucket - (halvings << BITS);
    ((highest_bits as u64 + 1) << halvings) - 1
}

impl Histogram {
    /// Counts one that took `ns`.
    #[inline]
    pub fn record(&self, ns: u64) {
        self.buckets[bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What was counted so far; `one_in`: how many things there were for each that was counted.
    pub fn read(&self, one_in: u64) -> Latency {
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        let buckets: Vec<LatencyBucket> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(bucket, count)| LatencyBucket { up_to_ns: greatest_of(bucket), count })
            .collect();
        let count = buckets.iter().map(|bucket| bucket.count).sum();
        Latency { count, one_in, sum_ns: self.sum_ns.load(Ordering::Relaxed), buckets }
    }
}

/// How long something took, each time that it was measured since the open. Figures taken from the buckets are too
/// high by an eighth at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Latency {
    /// How often it was measured.
    pub count: u64,
    /// Of how many one was measured, on average: 1 = every one.
    pub one_in: u64,
    /// The sum of all that were measured, in ns.
    pub sum_ns: u64,
    /// How many took how long: buckets that are not empty, ascending. They follow on each other, and their bounds
    /// are the same in every database.
    pub buckets: Vec<LatencyBucket>,
}

/// A part of [`Latency`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LatencyBucket {
    /// The longest time in it, in ns: more than the bound of the bucket before. `u64::MAX` in the last one, from 18
    /// minutes on.
    pub up_to_ns: u64,
    /// How many took that long.
    pub count: u64,
}

impl Latency {
    /// The time in ns within which the part `q` (0 to 1) of all that were measured was done: 0.5 is the median.
    /// 0 if none was measured.
    pub fn quantile_ns(&self, q: f64) -> u64 {
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for bucket in &self.buckets {
            seen += bucket.count;
            if seen >= rank {
                return bucket.up_to_ns;
            }
        }
        self.buckets.last().map_or(0, |bucket| bucket.up_to_ns)
    }

    /// The mean time in ns; 0 if none was measured.
    pub fn mean_ns(&self) -> u64 {
        self.sum_ns.checked_div(self.count).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_on_each_other() {
        for bucket in 1..BUCKETS - 1 {
            let (before, last) = (greatest_of(bucket - 1), greatest_of(bucket));
            assert!(before < last);
            assert_eq!((bucket_of(before + 1), bucket_of(last)), (bucket, bucket));
            assert!(last - before <= 1 || (last - before) * 8 <= before + 1, "bucket {bucket} is too wide");
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS - 1));
        assert_eq!(greatest_of(BUCKETS - 2) + 1, 1 << DOUBLINGS);
    }

    #[test]
    fn nothing_measured_is_zero() {
        let latency = Histogram::default().read(1);
        assert_eq!((latency.count, latency.mean_ns(), latency.quantile_ns(0.99)), (0, 0, 0));
        assert!(latency.buckets.is_empty());
    }

    proptest! {
        /// A quantile is the one of the sorted values, or more than it by at most an eighth.
        #[test]
        fn quantiles_are_those_of_the_values(
            mut values in prop::collection::vec(prop_oneof![0u64..40, 0u64..1 << 20, 0u64..1 << 39], 1..200),
            q in 0.0f64..=1.0,
        ) {
            let histogram = Histogram::default();
            values.iter().for_each(|ns| histogram.record(*ns));
            let latency = histogram.read(16);
            values.sort_unstable();
            prop_assert_eq!(latency.count, values.len() as u64);
            prop_assert_eq!(latency.one_in, 16);
            prop_assert_eq!(latency.mean_ns(), values.iter().sum::<u64>() / values.len() as u64);
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let (exact, found) = (values[rank - 1], latency.quantile_ns(q));
            prop_assert!(found >= exact && found - exact <= exact / 8, "{} found for {}", found, exact);
            prop_assert!(latency.quantile_ns(1.0) >= *values.last().unwrap());
        }
    }

    #[test]
    fn threads_lose_no_count() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let histogram = &histogram;
                scope.spawn(move || (0..10_000).for_each(|ns| histogram.record(ns * (thread + 1))));
            }
        });
        assert_eq!(histogram.read(1).count, 40_000);
    }
}
