//! A segment: one file of the log. Its header says which log it belongs to, who wrote it and with which frame
//! it begins; frames and sync marks follow. There is no manifest of segments: the headers are the truth.

mod damaged_header;
mod files;
pub mod frame;
mod header;
mod order;
mod removal;
pub mod sync_mark;
mod writable;

pub use damaged_header::DamagedHeader;
pub use files::{SEGMENT_DRAFT, bytes_in, greatest, is_none, parse_name, path, read_all, read_file, segment_files};
pub use header::{SEGMENT_HEADER_LEN, SegmentHeader, is_of, read_header};
pub use order::{in_its_way, is_in_its_way, out_of_order, out_of_place, stranger};
pub use removal::{discard, put_aside_after, remove_after, remove_oldest, unlink};
pub use writable::Segment;
