//! Floor 1: the model. Ids, values, names, records in their one binary form, mutations, and the digest.

pub mod codec;
mod digest;
mod id;
mod index;
mod mutation;
mod names;
mod props;
mod record;
mod token;
mod value;

pub use digest::Digest;
pub(crate) use id::number as parse_number;
pub use id::{Direction, EdgeKey, EdgeTypeId, Epoch, LabelId, LogIndex, MAX_NODE_ID, MAX_RANK, NodeId, PropKeyId};
pub use index::{IndexDef, IndexId, IndexState, IndexTarget};
pub use mutation::{Mutation, Mutations};
pub use names::{NameKind, RESERVED_PROPERTY};
pub use props::{PropList, PropListBuf};
pub use record::{NodeRecord, NodeRecordBuf, RecordHead};
pub use token::{Token, WriterTag};
pub(crate) use value::Fault;
#[cfg(test)]
pub(crate) use value::tests as value_tests;
pub use value::{
    Date, DateTime, DateTimeRef, Duration, DurationRef, ListRef, LocalDateTime, LocalTime, MAX_DEPTH, MAX_VALUE_BYTES,
    MapRef, Time, Value, ValueRef, VectorRef,
};

/// The seed-free 64-bit hash of a node key: XXH3, the same on every machine, because runs store it.
#[inline]
pub fn key_hash(key: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.as_bytes())
}
