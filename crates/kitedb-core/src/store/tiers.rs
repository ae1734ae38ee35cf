//! When runs are merged: sizes stay in tiers, so that each byte is rewritten O(log n) times and few runs are
//! there to be read.

use std::ops::Range;

/// How many runs a file has at most once merging has caught up.
pub const DEFAULT_MAX_RUNS: usize = 7;

/// Which adjacent runs to merge next, if any. Each run should be at least twice as large as all newer ones
/// together; the oldest one that is not, and all newer ones, are merged. Beyond `max_runs` the cheapest
/// newest runs are merged all the same.
pub fn plan_merge(sizes_oldest_first: &[u64], max_runs: usize) -> Option<Range<usize>> {
    let count = sizes_oldest_first.len();
    let mut newer = 0u64;
    let mut start = None;
    for (at, &size) in sizes_oldest_first.iter().enumerate().rev() {
        if at + 1 < count && size < newer.saturating_mul(2) {
            start = Some(at);
        }
        newer = newer.saturating_add(size);
    }
    let too_many = (count > max_runs.max(1)).then(|| max_runs.max(1) - 1);
    match (start, too_many) {
        (Some(a), Some(b)) => Some(a.min(b)..count),
        (a, b) => a.or(b).map(|at| at..count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_merged_when_the_newer_ones_outweigh_half_of_one() {
        let cases: [(&[u64], usize, Option<usize>); 11] = [
            (&[], 7, None),
            (&[5], 7, None),
            (&[10, 5], 7, None),
            (&[10, 6], 7, Some(0)),
            (&[100, 10, 6], 7, Some(1)),
            (&[100, 10, 5], 7, None),
            (&[20, 10, 5], 7, Some(0)),
            (&[100, 20, 0], 7, None),
            (&[64, 16, 4, 1], 3, Some(2)),
            (&[64, 16, 4, 1], 1, Some(0)),
            (&[u64::MAX, u64::MAX, 1], 7, None),
        ];
        for (sizes, max, expected) in cases {
            assert_eq!(plan_merge(sizes, max), expected.map(|start| start..sizes.len()), "{sizes:?} {max}");
        }
    }

    #[test]
    fn equal_checkpoints_are_rewritten_logarithmically_often() {
        let (mut runs, mut written, mut total): (Vec<u64>, u64, u64) = (Vec::new(), 0, 0);
        for _ in 0..1000 {
            runs.push(100);
            total += 100;
            written += 100;
            while let Some(range) = plan_merge(&runs, DEFAULT_MAX_RUNS) {
                let sum = runs.drain(range).sum();
                runs.push(sum);
                written += sum;
            }
            assert!(runs.len() <= DEFAULT_MAX_RUNS);
        }
        assert!(written < total * 10, "{}", written as f64 / total as f64);
    }
}
