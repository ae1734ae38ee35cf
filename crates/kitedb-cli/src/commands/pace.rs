//! A long look at many elements, which a signal ends, and a limit of time.

use kitedb_core::{Error, ErrorCode, Result, Watch};
use std::time::{Duration, Instant};

/// Elements between two looks at the clock.
const PIECE: u32 = 1024;

pub struct Pace<'w> {
    watch: &'w Watch,
    ends: Option<(Instant, u64)>,
    looked: u32,
}

impl<'w> Pace<'w> {
    pub fn new(watch: &'w Watch, timeout_ms: Option<u64>) -> Self {
        let end = |ms: u64| Some((Instant::now().checked_add(Duration::from_millis(ms))?, ms));
        Self { watch, ends: timeout_ms.and_then(end), looked: 0 }
    }

    /// One more element is looked at.
    pub fn step(&mut self) -> Result<()> {
        self.watch.require_uncancelled()?;
        self.looked = self.looked.wrapping_add(1);
        match self.ends {
            Some((end, ms)) if self.looked % PIECE == 1 && Instant::now() >= end => {
                let what =
                    format_args!("the question took longer than its {ms} ms: ask for less, or give it more time");
                Err(Error::new(ErrorCode::TimeLimit, what))
            }
            _ => Ok(()),
        }
    }
}

/// Calls `each` with the elements of `scan` that it `holds` for, and at most so many; whether there are more.
pub fn each<E, O>(
    scan: impl Iterator<Item = Result<E>>,
    holds: impl Fn(&E) -> Result<bool>,
    pace: &mut Pace<'_>,
    limit: Option<u64>,
    mut each: impl FnMut(E) -> std::result::Result<(), O>,
) -> std::result::Result<bool, O>
where
    O: From<Error>,
{
    let mut given = 0;
    for element in scan {
        pace.step()?;
        let element = element?;
        if !holds(&element)? {
            continue;
        }
        if limit == Some(given) {
            return Ok(true);
        }
        each(element)?;
        given += 1;
    }
    Ok(false)
}
