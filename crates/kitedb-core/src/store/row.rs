//! One node's edges, or one label's members, in one run.

use super::column::Ints;
use crate::{
    error::Error,
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

/// The width of codes of types up to `max_type`.
pub(super) fn code_width(max_type: u32) -> u8 {
    match max_type {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        _ => 4,
    }
}

/// How wide the ids and codes of a table's rows are.
#[derive(Debug, Clone, Copy)]
pub(super) enum RowLayout {
    U32U8,
    U32U16,
    U32U32,
    U64U8,
    U64U16,
    U64U32,
}

impl RowLayout {
    pub fn new(id_width: u8, code_width: u8) -> Option<Self> {
        Some(match (id_width, code_width) {
            (4, 1) => Self::U32U8,
            (4, 2) => Self::U32U16,
            (4, 4) => Self::U32U32,
            (8, 1) => Self::U64U8,
            (8, 2) => Self::U64U16,
            (8, 4) => Self::U64U32,
            _ => return None,
        })
    }

    #[inline(always)]
    pub fn id_width(self) -> usize {
        match self {
            Self::U32U8 | Self::U32U16 | Self::U32U32 => 4,
            Self::U64U8 | Self::U64U16 | Self::U64U32 => 8,
        }
    }

    /// The width of an id, as a power of two.
    #[inline(always)]
    pub fn id_shift(self) -> u32 {
        match self {
            Self::U32U8 | Self::U32U16 | Self::U32U32 => 2,
            Self::U64U8 | Self::U64U16 | Self::U64U32 => 3,
        }
    }

    #[inline(always)]
    fn entry_width(self) -> usize {
        match self {
            Self::U32U8 => 5,
            Self::U32U16 => 6,
            Self::U32U32 => 8,
            Self::U64U8 => 9,
            Self::U64U16 => 10,
            Self::U64U32 => 12,
        }
    }

    /// The row that `bytes` (see [`super::parts::Lists`]) hold, the first of its entries number `first`.
    #[inline(always)]
    pub fn row(self, bytes: &[u8], first: u64) -> Option<Row<'_>> {
        let aligned = bytes.as_ptr().addr() & (self.id_width() - 1) == 0;
        // One division by a constant for the commonest shape.
        let len = if let Self::U32U8 = self { bytes.len() / 5 } else { bytes.len() / self.entry_width() };
        aligned.then_some(Row { bytes, layout: self, len, first })
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

/// The edges of one node in one run, ascending by type, then other end, then rank ([`super::Ranks`]).
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Ids, then codes, then less than one entry: typed where it is read, so that a row that is only passed on
    /// costs no more than a slice.
    bytes: &'a [u8],
    layout: RowLayout,
    len: usize,
    /// The number of the first entry in its table; numbers of rows do not overlap, but are not dense.
    first: u64,
}

impl<'a> Row<'a> {
    /// The row of a node that a run says nothing of.
    pub const EMPTY: Row<'static> = Row { bytes: &[], layout: RowLayout::U32U8, len: 0, first: 0 };

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn codes(&self) -> Codes<'a> {
        let at = self.len * self.layout.id_width();
        let codes = |width: usize| self.bytes.get(at..at + self.len * width).unwrap_or_default();
        // Aligned as ids are, and ids are at least as wide.
        match self.layout {
            RowLayout::U32U8 | RowLayout::U64U8 => Codes::U8(codes(1)),
            RowLayout::U32U16 | RowLayout::U64U16 => Codes::U16(bytemuck::try_cast_slice(codes(2)).unwrap_or_default()),
            RowLayout::U32U32 | RowLayout::U64U32 => Codes::U32(bytemuck::try_cast_slice(codes(4)).unwrap_or_default()),
        }
    }

    #[inline(always)]
    fn code(&self, at: usize) -> Option<u32> {
        match self.codes() {
            Codes::U8(codes) => codes.get(at).map(|&code| code.into()),
            Codes::U16(codes) => codes.get(at).map(|&code| code.into()),
            Codes::U32(codes) => codes.get(at).copied(),
        }
    }

    /// The entry at `at`.
    #[inline]
    pub fn get(&self, at: usize) -> Option<RowEntry> {
        let (code, other) = (self.code(at)?, self.others().get(at)?);
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
        self.others().iter().enumerate().map(move |(at, other)| {
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
        match self.codes() {
            // One type more than fits the width: no entry can have it, and the comparison stays narrow.
            Codes::U8(_) if ty.0 > u32::from(u8::MAX >> 2) => 0..0,
            Codes::U16(_) if ty.0 > u32::from(u16::MAX >> 2) => 0..0,
            Codes::U8(codes) => type_range(codes, (ty.0 << 2) as u8, (ty.0 << 2 | 3) as u8),
            Codes::U16(codes) => type_range(codes, (ty.0 << 2) as u16, (ty.0 << 2 | 3) as u16),
            Codes::U32(codes) => type_range(codes, ty.0 << 2, ty.0 << 2 | 3),
        }
    }

    /// Where the entry with that type and other end stands, in a run without ranks.
    #[inline]
    pub fn find(&self, ty: EdgeTypeId, other: NodeId) -> Option<usize> {
        if let (Codes::U8(codes), Ints::U32(others)) = (self.codes(), self.others())
            && codes.len() <= SHORT
        {
            return find_short(codes, others, ty.0, other.0);
        }
        let range = self.type_range(ty);
        let others = self.others().slice(range.clone());
        let at = others.lower_bound(other.0);
        (others.get(at) == Some(other.0)).then_some(range.start + at)
    }

    /// Where the entries with that type and other end stand: several where the run has edges of other ranks than 0.
    pub fn find_all(&self, ty: EdgeTypeId, other: NodeId) -> Range<usize> {
        let range = self.type_range(ty);
        let others = self.others().slice(range.clone());
        let [start, end] = [other.0, other.0.saturating_add(1)].map(|other| range.start + others.lower_bound(other));
        start..end
    }

    /// The other ends, in the order of the entries.
    #[inline]
    pub fn others(&self) -> Ints<'a> {
        let ids = self.bytes.get(..self.len * self.layout.id_width()).unwrap_or_default();
        match self.layout.id_width() {
            4 => Ints::U32(bytemuck::try_cast_slice(ids).unwrap_or_default()),
            _ => Ints::U64(bytemuck::try_cast_slice(ids).unwrap_or_default()),
        }
    }

    /// The number of the entry at `at` in its table: what its properties are found by.
    #[inline]
    pub fn ordinal(&self, at: usize) -> u64 {
        self.first + at as u64
    }
}

/// Up to this length, looking at all entries without branching is faster than looking at a few.
const SHORT: usize = 16;

/// The commonest shape by far. Nothing in the loop branches on what is read, so that the processor can run
/// ahead into the next lookup while this one waits for memory.
#[inline]
fn find_short(codes: &[u8], others: &[u32], ty: u32, other: u64) -> Option<usize> {
    let mut found = usize::MAX;
    for (at, (&code, &here)) in codes.iter().zip(others).enumerate() {
        let same = (u32::from(code >> 2) == ty) & (u64::from(here) == other);
        found = if same { at } else { found };
    }
    (found != usize::MAX).then_some(found)
}

/// Where codes from `low` to `high` stand in codes that ascend by type.
#[inline]
fn type_range<T: Ord + Copy>(codes: &[T], low: T, high: T) -> Range<usize> {
    if codes.len() <= SHORT {
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
        self.0.others()
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
        self.0.others().lower_bound(id.0)
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
