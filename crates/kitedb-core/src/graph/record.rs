//! A node's record: its id, key, labels and properties as one canonical run of bytes. The same bytes lie in
//! the delta and in runs, and are what the digest hashes.
//!
//! Layout: id (varint), flags (bit 0: has a key; bit 1: dead), [key: varint length, UTF-8],
//! label count (varint), label ids ascending (varints), properties to the end ([`PropList`]).
//! A dead record is a tombstone: it keeps its key, so that the key's release can be found, and nothing else.

use super::{
    codec::{Reader, put_varint},
    id::{LabelId, NodeId},
    props::PropList,
};
use crate::error::{Error, Result};

const HAS_KEY: u8 = 1;
const DEAD: u8 = 2;

/// A node's record, borrowed from where it is stored.
#[derive(Debug, Clone, Copy)]
pub struct NodeRecord<'a> {
    bytes: &'a [u8],
    id: NodeId,
    /// Its text is checked when it is asked for: most readers of a record do not ask.
    key: Option<&'a [u8]>,
    dead: bool,
    label_count: u32,
    /// From the first label id on.
    tail: &'a [u8],
}

/// What a record begins with: all that finding the holder of a key needs.
#[derive(Debug, Clone, Copy)]
pub struct RecordHead<'a> {
    /// The node.
    pub id: NodeId,
    /// Whether the node is deleted.
    pub dead: bool,
    /// The bytes of its key, if it has one.
    pub key: Option<&'a [u8]>,
}

impl<'a> RecordHead<'a> {
    /// Reads the head of the record that `reader` stands at.
    #[inline(always)]
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self> {
        let id = NodeId(reader.varint()?);
        let flags = reader.u8()?;
        if flags & !(HAS_KEY | DEAD) != 0 {
            return Err(unknown_flags(id, flags));
        }
        let key = if flags & HAS_KEY != 0 { Some(reader.bytes()?) } else { None };
        Ok(Self { id, dead: flags & DEAD != 0, key })
    }
}

#[cold]
fn unknown_flags(id: NodeId, flags: u8) -> Error {
    Error::corrupt(format_args!("node record {id} has unknown flags {flags:#x}"))
}

impl<'a> NodeRecord<'a> {
    /// Reads a record; labels and properties are read when asked for.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let RecordHead { id, dead, key } = RecordHead::parse(&mut reader)?;
        let label_count = if dead { 0 } else { reader.varint32()? };
        Ok(Self { bytes, id, key, dead, label_count, tail: reader.rest() })
    }

    /// The record's canonical bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its key, if it has one. A dead record names the key that was released.
    pub fn key(&self) -> Option<&'a str> {
        self.key.and_then(|key| std::str::from_utf8(key).ok())
    }

    /// Whether its key is `key`.
    #[inline]
    pub fn has_key(&self, key: &str) -> bool {
        self.key == Some(key.as_bytes())
    }

    /// Whether the node is deleted.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Whether it carries a label.
    pub fn has_labels(&self) -> bool {
        self.label_count > 0
    }

    /// Its labels, ascending.
    pub fn labels(&self) -> impl Iterator<Item = LabelId> + use<'a> {
        let mut reader = Reader::new(self.tail);
        (0..self.label_count).map_while(move |_| reader.varint32().ok().map(LabelId))
    }

    /// Whether it carries `label`.
    pub fn has_label(&self, label: LabelId) -> bool {
        // They ascend.
        self.labels().find(|l| *l >= label) == Some(label)
    }

    /// Its properties.
    #[inline]
    pub fn props(&self) -> Result<PropList<'a>> {
        let mut reader = Reader::new(self.tail);
        for _ in 0..self.label_count {
            reader.varint()?;
        }
        Ok(PropList::from_bytes(reader.rest()))
    }

    /// Checks that the bytes are canonical to the end.
    pub fn validate(&self) -> Result<()> {
        if self.key.is_some_and(|key| std::str::from_utf8(key).is_err()) {
            return Err(Error::corrupt(format_args!("the key of node {} is not UTF-8", self.id)));
        }
        let mut last = 0;
        let mut labels = 0;
        for label in self.labels() {
            if label.0 <= last {
                return Err(Error::corrupt(format_args!("labels of node {} are not ascending", self.id)));
            }
            last = label.0;
            labels += 1;
        }
        if labels != self.label_count {
            return Err(Error::corrupt(format_args!("labels of node {} end early", self.id)));
        }
        if self.dead && !self.tail.is_empty() {
            return Err(Error::corrupt(format_args!("the tombstone of node {} carries data", self.id)));
        }
        self.props()?.validate()
    }
}

/// Builds canonical record bytes, one record after the other in the same memory.
#[derive(Debug, Default, Clone)]
pub struct NodeRecordBuf(Vec<u8>);

impl NodeRecordBuf {
    /// A live node's record. `labels` must be ascending without repeats, which the caller sees to.
    pub fn live(&mut self, id: NodeId, key: Option<&str>, labels: &[LabelId], props: PropList<'_>) -> &[u8] {
        self.head(id, key, 0);
        put_varint(&mut self.0, labels.len() as u64);
        for label in labels {
            put_varint(&mut self.0, label.0.into());
        }
        self.0.extend_from_slice(props.as_bytes());
        &self.0
    }

    /// A tombstone.
    pub fn dead(&mut self, id: NodeId, key: Option<&str>) -> &[u8] {
        self.head(id, key, DEAD);
        &self.0
    }

    fn head(&mut self, id: NodeId, key: Option<&str>, flags: u8) {
        self.0.clear();
        put_varint(&mut self.0, id.0);
        self.0.push(flags | if key.is_some() { HAS_KEY } else { 0 });
        if let Some(key) = key {
            put_varint(&mut self.0, key.len() as u64);
            self.0.extend_from_slice(key.as_bytes());
        }
    }
}
