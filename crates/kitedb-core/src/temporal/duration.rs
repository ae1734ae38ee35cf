//! Durations as ISO 8601 text: `P1Y2M3DT4H5M6.7S`. Each number may have a sign of its own, seconds a fraction.

use super::{scan::Scan, text::fraction};
use crate::{
    error::{Error, Result},
    graph::Duration,
};
use std::{fmt, str::FromStr};

const SECOND: i128 = 1_000_000_000;

/// The units before and after the `T`, in the order in which they stand: how many months, days or nanoseconds each is.
const DATE_UNITS: [(u8, Field, i128); 4] =
    [(b'Y', Field::Months, 12), (b'M', Field::Months, 1), (b'W', Field::Days, 7), (b'D', Field::Days, 1)];
const TIME_UNITS: [(u8, Field, i128); 3] =
    [(b'H', Field::Nanos, 3600 * SECOND), (b'M', Field::Nanos, 60 * SECOND), (b'S', Field::Nanos, SECOND)];

#[derive(Debug, Clone, Copy)]
enum Field {
    Months,
    Days,
    Nanos,
}

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut scan = Scan::new(text, "duration", "P1Y2M3DT4H5M6.7S, where what is 0 may be left out");
        let sign = if scan.take(b"+-") == Some(b'-') { -1 } else { 1 };
        scan.expect(b'P')?;
        let mut totals = [0i128; 3];
        let mut parts = units(&mut scan, &DATE_UNITS, &mut totals)?;
        if scan.take(b"T").is_some() {
            let times = units(&mut scan, &TIME_UNITS, &mut totals)?;
            parts = if times == 0 { 0 } else { parts + times };
        }
        if parts == 0 || !scan.is_empty() {
            return Err(scan.bad());
        }
        let [months, days, nanos] = totals.map(|total| total * sign);
        let whole = |number: i128| {
            i64::try_from(number).map_err(|_| scan.because(&Error::invalid("it is longer than 64-bit numbers can say")))
        };
        Self::new(whole(months)?, whole(days)?, whole(nanos.div_euclid(SECOND))?, nanos.rem_euclid(SECOND) as u32)
    }
}

/// Reads numbers with their units, which stand in the order of `units`. Returns how many there were.
fn units(scan: &mut Scan<'_>, units: &[(u8, Field, i128)], totals: &mut [i128; 3]) -> Result<usize> {
    let (mut next, mut read) = (0, 0);
    while scan.peek().is_some_and(|c| c != b'T') {
        let sign = if scan.take(b"+-") == Some(b'-') { -1 } else { 1 };
        // Twenty digits are more than fit.
        let digits = Some(scan.digits()).filter(|digits| (1..=19).contains(&digits.len())).ok_or_else(|| scan.bad())?;
        let number: i128 = digits.parse().map_err(|_| scan.bad())?;
        let fractional = matches!(scan.peek(), Some(b'.' | b','));
        let nanos = scan.fraction()?;
        let unit = scan.peek().and_then(|c| units[next..].iter().position(|unit| unit.0 == c));
        let at = next + unit.ok_or_else(|| scan.bad())?;
        let (letter, field, each) = units[at];
        scan.take(&[letter]);
        if fractional && letter != b'S' {
            return Err(scan.because(&Error::invalid("only seconds may have a fraction")));
        }
        totals[field as usize] += sign * (number * each + i128::from(nanos));
        (next, read) = (at + 1, read + 1);
    }
    Ok(read)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (number, unit) in [(self.months() / 12, 'Y'), (self.months() % 12, 'M'), (self.days(), 'D')] {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        let nanos = i128::from(self.seconds()) * SECOND + i128::from(self.nanos());
        if nanos == 0 {
            let date = self.months() != 0 || self.days() != 0;
            return f.write_str(if date { "" } else { "T0S" });
        }
        f.write_str("T")?;
        let seconds = nanos / SECOND;
        for (number, unit) in [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M')] {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        let (second, rest) = (seconds % 60, (nanos % SECOND).unsigned_abs() as u32);
        if second == 0 && rest == 0 {
            return Ok(());
        }
        let sign = if second == 0 && nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{second}")?;
        fraction(f, rest)?;
        f.write_str("S")
    }
}
