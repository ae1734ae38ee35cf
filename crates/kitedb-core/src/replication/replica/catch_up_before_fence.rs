//! How long a replica pulls before it fences its source: until little is missing, or it gains too little on the source.

/// A promotion fences its source once no more frames than this are missing.
const CLOSE_FRAMES: u64 = 1024;
/// Of so many frames that are pulled one at least must be gained on the source.
const PULLED_FOR_ONE_GAINED: u64 = 10;

/// See the [module documentation](self). It ends after at most [`PULLED_FOR_ONE_GAINED`] times the frames that were missing at
/// first, and a few, whatever the source commits meanwhile.
#[derive(Debug)]
pub(in crate::replication) struct Approach {
    first: u64,
    missing: u64,
    pulled: u64,
}

impl Approach {
    /// Of a replica that lacks `missing` frames.
    pub(in crate::replication) fn begin(missing: u64) -> Self {
        Self { first: missing, missing, pulled: 0 }
    }

    /// How many frames to pull before the source is looked at again. Not all that are missing: while those are pulled, a
    /// source that commits faster gets further away than it was.
    pub(in crate::replication) fn stretch(&self) -> u64 {
        CLOSE_FRAMES.max(self.missing / 8)
    }

    /// Whether another stretch should come before the fence, after one that pulled `pulled` frames and left `missing`. From
    /// a source that commits about as fast as its replica pulls, the last commits wait for the promotion.
    pub(in crate::replication) fn goes_on(&mut self, pulled: u64, missing: u64) -> bool {
        self.pulled += pulled;
        self.missing = missing;
        if missing <= CLOSE_FRAMES {
            return false;
        }
        // A stretch or two that were disturbed are no reason.
        let patience = (2 * CLOSE_FRAMES).max(self.first / 4);
        let gained = self.first.saturating_sub(missing);
        let goes_on = self.pulled <= gained.saturating_mul(PULLED_FOR_ONE_GAINED).saturating_add(patience);
        if !goes_on {
            tracing::warn!(
                missing,
                "a source commits as fast as its replica pulls: its last commits wait for a promotion"
            );
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pulls from a source that commits `percent` frames for 100 pulled ones. Returns the frames pulled, and those missing
    /// then.
    fn approach(first: u64, percent: impl Fn(u64) -> u64) -> (u64, u64) {
        let (mut approach, mut missing, mut pulled) = (Approach::begin(first), first, 0);
        for stretch in 0.. {
            let now = approach.stretch().min(missing);
            pulled += now;
            missing = missing - now + now * percent(stretch) / 100;
            if !approach.goes_on(now, missing) {
                break;
            }
        }
        (pulled, missing)
    }

    #[test]
    fn it_comes_close_to_a_source_that_is_slower() {
        for first in [0, CLOSE_FRAMES, 5000, 1_000_000] {
            for percent in [0, 50, 85] {
                let (pulled, missing) = approach(first, |_| percent);
                assert!(missing <= CLOSE_FRAMES, "{first} {percent}: {missing} missing after {pulled}");
            }
        }
        // One that is disturbed now and then.
        let (_, missing) = approach(100_000, |stretch| if stretch % 4 == 0 { 150 } else { 20 });
        assert!(missing <= CLOSE_FRAMES, "{missing}");
    }

    #[test]
    fn it_ends_soon_where_the_source_is_as_fast_or_faster() {
        for first in [CLOSE_FRAMES + 1, 5000, 1_000_000] {
            for percent in [95, 100, 300, 2000] {
                let (pulled, missing) = approach(first, |_| percent);
                assert!(pulled <= first + 4 * CLOSE_FRAMES, "{first} {percent}: {pulled}");
                assert!(missing <= first + pulled * percent / 100, "{first} {percent}: {missing}");
            }
        }
        // Also if it was slower at first.
        let (pulled, _) = approach(100_000, |stretch| if stretch < 8 { 10 } else { 400 });
        assert!(pulled <= 11 * 100_000, "{pulled}");
    }
}
