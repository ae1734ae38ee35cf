//! Where in a program a state was taken: a number that fits in a word, for a place in the source.

use std::{cell::Cell, fmt, panic::Location, ptr};

/// Every place that took a state, each once, or a few times where threads saw it first at the same moment. A program has as
/// many as calls stand in its source.
static SITES: boxcar::Vec<&'static Location<'static>> = boxcar::Vec::new();

/// How many places a thread knows by heart.
const KNOWN: usize = 16;

thread_local! {
    /// The address of a place, and its number: one for each value of some bits of the address.
    static RECENT: [Cell<(usize, u32)>; KNOWN] = const { [const { Cell::new((0, 0)) }; KNOWN] };
}

/// A place in the source of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site(u32);

impl Site {
    /// Where the function was called that asks.
    #[inline]
    #[track_caller]
    pub fn caller() -> Self {
        Self::of(Location::caller())
    }

    #[inline]
    fn of(location: &'static Location<'static>) -> Self {
        let address = ptr::from_ref(location).addr();
        RECENT.with(|recent| {
            let Some(recent) = recent.get(address / align_of::<Location<'_>>() % KNOWN) else { return Self::default() };
            let (known, number) = recent.get();
            if known == address {
                return Self(number);
            }
            let site = Self::look_up(location);
            recent.set((address, site.0));
            site
        })
    }

    #[cold]
    fn look_up(location: &'static Location<'static>) -> Self {
        let known = SITES.iter().find(|(_, known)| **known == location).map(|(at, _)| at);
        // 0 is no place.
        Self(known.unwrap_or_else(|| SITES.push(location)) as u32 + 1)
    }

    /// What names it in a word.
    #[inline]
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The place with that number.
    pub(super) fn numbered(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 as usize).checked_sub(1).and_then(|at| SITES.get(at)) {
            Some(location) => write!(f, "{location}"),
            None => f.write_str("unknown"),
        }
    }
}
