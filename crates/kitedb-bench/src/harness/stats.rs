//! Medians, percentiles and rates of what was timed.

use std::time::{Duration, Instant};

/// Durations of single operations, in nanoseconds, in the order in which they happened.
#[derive(Default, Clone)]
pub struct Samples {
    nanos: Vec<u32>,
}

impl Samples {
    /// Room for `n` samples, so that recording never allocates.
    pub fn with_capacity(n: usize) -> Self {
        Self { nanos: Vec::with_capacity(n) }
    }

    /// Times `f` and keeps the time.
    pub fn time<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = f();
        self.push(start.elapsed());
        out
    }

    /// Keeps one time (longer than four seconds counts as four).
    pub fn push(&mut self, took: Duration) {
        self.nanos.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
    }

    /// Takes what another one has, too.
    pub fn extend(&mut self, other: &Self) {
        self.nanos.extend_from_slice(&other.nanos);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nanos.len()
    }

    /// Median, 95th and 99th percentile in microseconds, and operations per second of time spent in them.
    pub fn summary(&self) -> Summary {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        let at = |q: f64| percentile(&sorted, q) / 1e3;
        let total: u64 = sorted.iter().map(|&n| u64::from(n)).sum();
        let rate = if total == 0 { 0.0 } else { sorted.len() as f64 / (total as f64 / 1e9) };
        Summary { p50: at(0.50), p95: at(0.95), p99: at(0.99), rate }
    }
}

/// What is shown of a set of samples.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Median, µs.
    pub p50: f64,
    /// 95th percentile, µs.
    pub p95: f64,
    /// 99th percentile, µs.
    pub p99: f64,
    /// Operations per second of time spent in them.
    pub rate: f64,
}

/// The value at quantile `q` of sorted values (nearest rank); 0 of none.
fn percentile(sorted: &[u32], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let rank = (q * last as f64).round() as usize;
    f64::from(sorted[rank.min(last)])
}

/// The median (the mean of the middle two when even); NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => sorted[n / 2],
        _ => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Seconds that `f` takes, and what it returns.
pub fn seconds<T>(f: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let out = f();
    (start.elapsed().as_secs_f64(), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_take_the_nearest_rank() {
        let mut samples = Samples::default();
        for n in 1..=100u64 {
            samples.push(Duration::from_micros(n));
        }
        let s = samples.summary();
        assert_eq!((s.p50, s.p95, s.p99), (51.0, 95.0, 99.0));
        assert!((s.rate - 100.0 / 0.005_050).abs() < 1.0);
    }

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 3.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
