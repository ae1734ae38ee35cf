//! How long a replica pulls before it fences its source: until little is missing, or no less than before.

/// A promotion fences its source once no more frames than this are missing.
const CLOSE_FRAMES: u64 = 1024;
/// So often may a round of pulls leave as much missing as the rounds before it.
const ROUNDS_IN_VAIN: u32 = 2;

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub(super) struct Approach {
    /// The least that was missing after a round.
    closest: Option<u64>,
    in_vain: u32,
}

impl Approach {
    /// Whether another round of pulls should come before the fence, after one that left `missing` frames. A source that
    /// commits faster than its replica pulls gets further away in each: then its last commits wait for the promotion.
    pub(super) fn goes_on(&mut self, missing: u64) -> bool {
        if missing <= CLOSE_FRAMES {
            return false;
        }
        // A tenth less, or it takes too long.
        if self.closest.is_some_and(|closest| missing > closest / 10 * 9) {
            self.in_vain += 1;
        }
        self.closest = Some(self.closest.map_or(missing, |closest| closest.min(missing)));
        let goes_on = self.in_vain < ROUNDS_IN_VAIN;
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

    #[test]
    fn it_ends_once_little_is_missing_or_no_less_than_before() {
        for (missing, rounds) in [
            (&[0][..], 1),
            (&[CLOSE_FRAMES], 1),
            (&[9000, 5000, 2000, 900], 4),
            // No closer, or hardly so: twice is enough.
            (&[9000, 9000, 9000, 9000], 3),
            (&[9000, 18_000, 36_000, 72_000], 3),
            (&[9000, 8990, 8980, 8970], 3),
            // A round that was disturbed is no reason.
            (&[9000, 9500, 5000, 3000, 1500, 800], 6),
        ] {
            let mut approach = Approach::default();
            let gone = missing.iter().take_while(|missing| approach.goes_on(**missing)).count();
            assert_eq!(gone + 1, rounds, "{missing:?}");
        }
    }
}
