//! Histograms of durations, in buckets whose bounds never change.

use kitedb_core::Latency;

/// The upper bound of a bucket, which it includes: in ns, and in seconds as text.
pub(crate) struct Bound {
    pub ns: u64,
    pub seconds: &'static str,
}

const fn bound(ns: u64, seconds: &'static str) -> Bound {
    Bound { ns, seconds }
}

/// From the microsecond that a commit takes which waits for nothing, to a disk that hangs.
pub(crate) const BOUNDS: [Bound; 22] = [
    bound(1_000, "1e-06"),
    bound(2_500, "2.5e-06"),
    bound(5_000, "5e-06"),
    bound(10_000, "1e-05"),
    bound(25_000, "2.5e-05"),
    bound(50_000, "5e-05"),
    bound(100_000, "0.0001"),
    bound(250_000, "0.00025"),
    bound(500_000, "0.0005"),
    bound(1_000_000, "0.001"),
    bound(2_500_000, "0.0025"),
    bound(5_000_000, "0.005"),
    bound(10_000_000, "0.01"),
    bound(25_000_000, "0.025"),
    bound(50_000_000, "0.05"),
    bound(100_000_000, "0.1"),
    bound(250_000_000, "0.25"),
    bound(500_000_000, "0.5"),
    bound(1_000_000_000, "1.0"),
    bound(2_500_000_000, "2.5"),
    bound(5_000_000_000, "5.0"),
    bound(10_000_000_000, "10.0"),
];

/// How many took how long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    /// In each bucket, not cumulative: one for each of [`BOUNDS`], and a last one for what took longer.
    pub counts: [u64; BOUNDS.len() + 1],
    /// In seconds.
    pub sum: f64,
}

impl Histogram {
    /// The engine's buckets are narrower than these. One that reaches over a bound counts above it, as a whole.
    pub fn of(latency: &Latency) -> Self {
        let mut counts = [0; BOUNDS.len() + 1];
        for bucket in &latency.buckets {
            counts[BOUNDS.partition_point(|bound| bound.ns < bucket.up_to_ns)] += bucket.count;
        }
        Self { counts, sum: if latency.count == 0 { 0.0 } else { latency.sum_ns as f64 / 1e9 } }
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend_and_their_texts_are_their_values() {
        for bound in &BOUNDS {
            assert_eq!(bound.seconds.parse::<f64>().unwrap(), bound.ns as f64 / 1e9);
        }
        assert!(BOUNDS.windows(2).all(|pair| pair[0].ns < pair[1].ns));
    }
}
