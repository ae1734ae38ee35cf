//! One node's edges, or one label's members, in one run.

use super::{column::Ints, section::Section};
use crate::{
    error::{Error, Result},
    graph::{EdgeTypeId, NodeId},
};
use std::ops::Range;

/// How an entry relates to older runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// Older runs do not show it.
    Add = 0,
    /// Older runs show it; from here on it is gone.
    Remove = 1,
    /// Older runs show it; from here on it has these properties instead.
    Replace = 2,
}

impl EntryKind {
    #[inline(always)]
    fn from_code(code: u32) -> Self {
        match code & 3 {
            0 => Self::Add,
            1 => Self::Remove,
            _ => Self::Replace,
        }
    }
}

/// The greatest edge type id that a code can hold.
pub(super) const MAX_TYPE: u32 = (1 << 30) - 1;

/// What stands beside each id: type and kind in one number.
#[inline(always)]
pub(super) fn code(ty: u32, kind: EntryKind) -> u32 {
    ty << 2 | kind as u32
}

/// Codes as stored.
#[derive(Debug, Clone, Copy)]
enum Codes<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
}

/// A section of codes.
#[derive(Debug)]
pub(super) struct CodeColumn {
    section: Section,
    width: u8,
}

impl CodeColumn {
    pub fn new(section: Section) -> Result<Self> {
        match section.meta().width {
            width @ (1 | 2 | 4) => Ok(Self { section, width }),
            _ => Err(section.inconsistent("its codes are not 8, 16 or 32 bits wide")),
        }
    }

    pub fn section(&self) -> &Section {
        &self.section
    }

    #[inline(always)]
    fn slice(&self, start: usize, end: usize) -> Result<Codes<'_>> {
        match self.width {
            1 => self.section.slice(start, end).map(Codes::U8),
            2 => bytemuck::try_cast_slice(self.section.slice(start.saturating_mul(2), end.saturating_mul(2))?)
                .map(Codes::U16)
                .map_err(|_| self.section.inconsistent("not aligned")),
            _ => bytemuck::try_cast_slice(self.section.slice(start.saturating_mul(4), end.saturating_mul(4))?)
                .map(Codes::U32)
                .map_err(|_| self.section.inconsistent("not aligned")),
        }
    }

    /// The row whose entries are `others`, the first of them number `first` of the table.
    #[inline(always)]
    pub fn row<'a>(&'a self, others: Ints<'a>, first: u64) -> Result<Row<'a>> {
        let start = first as usize;
        Ok(Row { others, codes: self.slice(start, start + others.len())?, first })
    }
}

/// One entry of a [`Row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowEntry {
    /// The edge's type.
    pub ty: EdgeTypeId,
    /// How it relates to older runs.
    pub kind: EntryKind,
    /// The node at the other end.
    pub other: NodeId,
}

/// The edges of one node in one run, ascending by type, then other end.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    others: Ints<'a>,
    codes: Codes<'a>,
    /// The number of the first entry in its table.
    first: u64,
}

impl<'a> Row<'a> {
    /// The row of a node that a run says nothing of.
    pub const EMPTY: Row<'static> = Row { others: Ints::EMPTY, codes: Codes::U8(&[]), first: 0 };

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.others.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.others.is_empty()
    }

    #[inline(always)]
    fn code(&self, at: usize) -> Option<u32> {
        match self.codes {
            Codes::U8(codes) => codes.get(at).map(|&code| code.into()),
            Codes::U16(codes) => codes.get(at).map(|&code| code.into()),
            Codes::U32(codes) => codes.get(at).copied(),
        }
    }

    /// The entry at `at`.
    #[inline]
    pub fn get(&self, at: usize) -> Option<RowEntry> {
        let (code, other) = (self.code(at)?, self.others.get(at)?);
        Some(RowEntry { ty: EdgeTypeId(code >> 2), kind: EntryKind::from_code(code), other: NodeId(other) })
    }

    /// How the entry at `at` relates to older runs.
    #[inline]
    pub fn kind(&self, at: usize) -> Option<EntryKind> {
        self.code(at).map(EntryKind::from_code)
    }

    /// Every entry in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowEntry> + use<'a> {
        let row = *self;
        self.others.iter().enumerate().map(move |(at, other)| {
            let code = row.code(at).unwrap_or_default();
            RowEntry { ty: EdgeTypeId(code >> 2), kind: EntryKind::from_code(code), other: NodeId(other) }
        })
    }

    /// Where the entries of one type stand.
    #[inline]
    pub fn type_range(&self, ty: EdgeTypeId) -> Range<usize> {
        if ty.0 > MAX_TYPE {
            return 0..0;
        }
        match self.codes {
            // One type more than fits the width: no entry can have it, and the comparison stays narrow.
            Codes::U8(_) if ty.0 > u32::from(u8::MAX >> 2) => 0..0,
            Codes::U16(_) if ty.0 > u32::from(u16::MAX >> 2) => 0..0,
            Codes::U8(codes) => type_range(codes, (ty.0 << 2) as u8, (ty.0 << 2 | 3) as u8),
            Codes::U16(codes) => type_range(codes, (ty.0 << 2) as u16, (ty.0 << 2 | 3) as u16),
            Codes::U32(codes) => type_range(codes, ty.0 << 2, ty.0 << 2 | 3),
        }
    }

    /// Where the entry with that type and other end stands.
    #[inline]
    pub fn find(&self, ty: EdgeTypeId, other: NodeId) -> Option<usize> {
        let range = self.type_range(ty);
        let others = self.others.slice(range.clone());
        let at = others.lower_bound(other.0);
        (others.get(at) == Some(other.0)).then_some(range.start + at)
    }

    /// The other ends, in the order of the entries.
    #[inline]
    pub fn others(&self) -> Ints<'a> {
        self.others
    }

    /// The number of the entry at `at` in its table: what its properties are found by.
    #[inline]
    pub fn ordinal(&self, at: usize) -> u64 {
        self.first + at as u64
    }
}

/// Where codes from `low` to `high` stand in codes that ascend by type.
#[inline]
fn type_range<T: Ord + Copy>(codes: &[T], low: T, high: T) -> Range<usize> {
    if codes.len() <= 16 {
        let (mut start, mut end) = (0, 0);
        for &code in codes {
            start += usize::from(code < low);
            end += usize::from(code <= high);
        }
        start..end
    } else {
        let start = codes.partition_point(|&code| code < low);
        let tail = codes.get(start..).unwrap_or_default();
        start..start + tail.partition_point(|&code| code <= high)
    }
}

/// The members of one label in one run, ascending.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a>(pub(super) Row<'a>);

impl<'a> Members<'a> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes.
    pub fn ids(&self) -> Ints<'a> {
        self.0.others
    }

    /// The entry at `at`: [`EntryKind::Add`] or [`EntryKind::Remove`].
    #[inline]
    pub fn get(&self, at: usize) -> Option<(NodeId, EntryKind)> {
        self.0.get(at).map(|entry| (entry.other, entry.kind))
    }

    /// Every entry in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, EntryKind)> + use<'a> {
        self.0.iter().map(|entry| (entry.other, entry.kind))
    }

    /// The place of the first node that is not less than `id`.
    #[inline]
    pub fn seek(&self, id: NodeId) -> usize {
        self.0.others.lower_bound(id.0)
    }

    /// What this run says of one node.
    #[inline]
    pub fn find(&self, id: NodeId) -> Option<EntryKind> {
        self.get(self.seek(id)).filter(|(found, _)| *found == id).map(|(_, kind)| kind)
    }
}

/// The error of an entry that contradicts what lies below it.
pub(super) fn impossible(what: impl std::fmt::Display) -> Error {
    Error::new(crate::error::ErrorCode::Internal, what)
}
