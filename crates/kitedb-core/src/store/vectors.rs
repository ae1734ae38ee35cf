//! What a run says of one node's vectors: entries of property key (varint), byte length + 1 (varint; 0 stands
//! for a removed vector), floats. Property keys ascend.

use crate::{
    error::{Error, Result},
    graph::{
        PropKeyId, VectorRef,
        codec::{Reader, put_varint},
    },
};

/// The entries of one node: for each property key the vector, or `None` where this run removes it.
#[derive(Debug, Clone)]
pub struct VectorEntries<'a>(Reader<'a>);

impl<'a> VectorEntries<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    fn read(&mut self) -> Result<(PropKeyId, Option<VectorRef<'a>>)> {
        let key = PropKeyId(self.0.varint32()?);
        let vector = match self.0.varint()?.checked_sub(1) {
            None => None,
            Some(len) => {
                let len = usize::try_from(len).map_err(|_| Error::corrupt("a vector's length does not fit"))?;
                Some(VectorRef::from_bytes(self.0.take(len)?))
            }
        };
        Ok((key, vector))
    }
}

impl<'a> Iterator for VectorEntries<'a> {
    type Item = Result<(PropKeyId, Option<VectorRef<'a>>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(item)
    }
}

/// The bytes before an entry's floats.
pub(super) fn head(key: PropKeyId, vector: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(15);
    put_varint(&mut out, key.0.into());
    put_varint(&mut out, vector.map_or(0, |floats| floats.len() as u64 + 1));
    out
}
