//! Arrays of numbers in sections, in the width that their bounds allow.

use super::section::Section;
use crate::error::Result;
use std::ops::Range;

/// Numbers as stored: 32 or 64 bits wide.
#[derive(Debug, Clone, Copy)]
pub enum Ints<'a> {
    /// 32 bits each.
    U32(&'a [u32]),
    /// 64 bits each.
    U64(&'a [u64]),
}

impl<'a> Ints<'a> {
    /// No numbers.
    pub const EMPTY: Self = Self::U32(&[]);

    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::U32(ints) => ints.len(),
            Self::U64(ints) => ints.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The number at `at`.
    #[inline]
    pub fn get(self, at: usize) -> Option<u64> {
        match self {
            Self::U32(ints) => ints.get(at).map(|&int| u64::from(int)),
            Self::U64(ints) => ints.get(at).copied(),
        }
    }

    /// Every number in order.
    #[inline]
    pub fn iter(self) -> IntsIter<'a> {
        match self {
            Self::U32(ints) => IntsIter::U32(ints.iter()),
            Self::U64(ints) => IntsIter::U64(ints.iter()),
        }
    }

    /// The numbers at `range`; none where it reaches past the end.
    #[inline]
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::U32(ints) => Self::U32(ints.get(range).unwrap_or_default()),
            Self::U64(ints) => Self::U64(ints.get(range).unwrap_or_default()),
        }
    }

    /// In ascending numbers, the place of the first one that is not less than `value`.
    #[inline]
    pub fn lower_bound(self, value: u64) -> usize {
        match self {
            Self::U32(ints) => match u32::try_from(value) {
                Ok(value) => lower_bound(ints, value),
                Err(_) => ints.len(),
            },
            Self::U64(ints) => lower_bound(ints, value),
        }
    }
}

/// Counting does not branch and stays in a line or two of cache; from some length on, halving is cheaper.
#[inline]
fn lower_bound<T: Ord + Copy>(ints: &[T], value: T) -> usize {
    if ints.len() <= 16 {
        ints.iter().map(|&int| usize::from(int < value)).sum()
    } else {
        ints.partition_point(|&int| int < value)
    }
}

/// Iterates over [`Ints`].
#[derive(Debug, Clone)]
pub enum IntsIter<'a> {
    /// 32 bits each.
    U32(std::slice::Iter<'a, u32>),
    /// 64 bits each.
    U64(std::slice::Iter<'a, u64>),
}

impl Iterator for IntsIter<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        match self {
            Self::U32(ints) => ints.next().map(|&int| u64::from(int)),
            Self::U64(ints) => ints.next().copied(),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::U32(ints) => ints.size_hint(),
            Self::U64(ints) => ints.size_hint(),
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, u64) -> B>(self, init: B, mut f: F) -> B {
        match self {
            Self::U32(ints) => ints.fold(init, |sum, &int| f(sum, u64::from(int))),
            Self::U64(ints) => ints.fold(init, |sum, &int| f(sum, int)),
        }
    }
}

impl ExactSizeIterator for IntsIter<'_> {}

/// A section of 32- or 64-bit numbers.
#[derive(Debug)]
pub(super) struct Column {
    section: Section,
    wide: bool,
}

impl Column {
    pub fn new(section: Section) -> Result<Self> {
        match section.meta().width {
            4 => Ok(Self { section, wide: false }),
            8 => Ok(Self { section, wide: true }),
            _ => Err(section.inconsistent("its numbers are not 32 or 64 bits wide")),
        }
    }

    pub fn section(&self) -> &Section {
        &self.section
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        (self.section.len() >> if self.wide { 3 } else { 2 }) as u64
    }

    /// The numbers at `at` and behind it. `at` is less than 2^56.
    #[inline(always)]
    pub fn pair(&self, at: u64) -> Result<(u64, u64)> {
        let at = at as usize;
        if self.wide {
            let both: &[u8; 16] = self.section.array(at * 8)?;
            let both = u128::from_le_bytes(*both);
            Ok((both as u64, (both >> 64) as u64))
        } else {
            let both: &[u8; 8] = self.section.array(at * 4)?;
            let both = u64::from_le_bytes(*both);
            Ok((both & u64::from(u32::MAX), both >> 32))
        }
    }

    /// The numbers from `start` to `end`.
    #[inline(always)]
    pub fn slice(&self, start: u64, end: u64) -> Result<Ints<'_>> {
        // Saturating: a damaged number must meet the bounds check, not wrap round it.
        if self.wide {
            let bytes = self.section.slice((start as usize).saturating_mul(8), (end as usize).saturating_mul(8))?;
            bytemuck::try_cast_slice(bytes).map(Ints::U64).map_err(|_| self.section.inconsistent("not aligned"))
        } else {
            let bytes = self.section.slice((start as usize).saturating_mul(4), (end as usize).saturating_mul(4))?;
            bytemuck::try_cast_slice(bytes).map(Ints::U32).map_err(|_| self.section.inconsistent("not aligned"))
        }
    }
}
