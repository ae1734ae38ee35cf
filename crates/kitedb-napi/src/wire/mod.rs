//! How values cross the boundary: as bytes that both sides write and read, little-endian, without padding.
//!
//! A call of Node-API for each property costs more than the property. So the JavaScript side writes the arguments of a call
//! into one buffer and reads its result from there. What is in it is known from the call; only values say what they are:
//!
//! | tag | value | then |
//! |---|---|---|
//! | 0 | null | |
//! | 1, 2 | false, true | |
//! | 3 | integer | i64 |
//! | 4 | float | f64 |
//! | 5 | text | text |
//! | 6 | bytes | length u32, bytes |
//! | 7 | vector | length u32, f32 each |
//! | 8 | list | count u32, values |
//! | 9 | map | count u32, a text and a value each |
//! | 10 | date | days i64 |
//! | 11 | local time | nanoseconds u64 |
//! | 12 | time | nanoseconds u64, offset in seconds i32 |
//! | 13 | local date-time | seconds i64, nanoseconds u32 |
//! | 14 | date-time | seconds i64, nanoseconds u32, offset in seconds i32, zone text (empty: none) |
//! | 15 | duration | months, days, seconds i64, nanoseconds u32 |
//! | 16 | unsigned integer (in results only) | u64 |
//!
//! A text is its length in bytes as u32, and UTF-8; in results the highest bit of the length says that it is ASCII, which
//! JavaScript makes a string of with less work. A *name* (of a label, an edge type, a property) stands as a text only where it is
//! new to its reader: see [`Reader::name`] and [`Writer::name`]. Names that stand together (all labels of a node, all names of its
//! properties) are one number, for most nodes have those of another node: see [`Writer::labels`] and [`Writer::props`].

mod reader;
mod symbols;
mod writer;

pub use reader::{Named, Reader};
pub use symbols::Symbols;
pub use writer::Writer;

/// A text follows, which gets no number.
const INLINE: u32 = u32::MAX;
/// A text follows, which has the number in the other bits from now on.
const DEFINES: u32 = 1 << 31;

/// In the length of a text of a result: it is ASCII.
const ASCII: u32 = 1 << 31;

mod tag {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const I64: u8 = 3;
    pub const F64: u8 = 4;
    pub const TEXT: u8 = 5;
    pub const BYTES: u8 = 6;
    pub const VECTOR: u8 = 7;
    pub const LIST: u8 = 8;
    pub const MAP: u8 = 9;
    pub const DATE: u8 = 10;
    pub const LOCAL_TIME: u8 = 11;
    pub const TIME: u8 = 12;
    pub const LOCAL_DATE_TIME: u8 = 13;
    pub const DATE_TIME: u8 = 14;
    pub const DURATION: u8 = 15;
    pub const U64: u8 = 16;
}
