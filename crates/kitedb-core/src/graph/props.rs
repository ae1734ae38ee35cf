//! A property list: what a node or an edge carries, as one canonical run of bytes.

use super::{
    codec::{Reader, put_varint},
    id::PropKeyId,
    value::{Fault, Value, ValueRef},
};
use crate::error::{Error, Result};

/// Properties as stored: for each, its key id and its value, keys ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PropList<'a>(&'a [u8]);

impl<'a> PropList<'a> {
    /// The list whose canonical bytes these are.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The canonical bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The value under `key`.
    #[inline]
    pub fn get(self, key: PropKeyId) -> Result<Option<ValueRef<'a>>> {
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            let found = reader.varint32()?;
            if found >= key.0 {
                return if found == key.0 { ValueRef::decode(&mut reader).map(Some) } else { Ok(None) };
            }
            ValueRef::skip(&mut reader)?;
        }
        Ok(None)
    }

    /// Every property, keys ascending.
    pub fn iter(self) -> impl Iterator<Item = Result<(PropKeyId, ValueRef<'a>)>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            let item = (|| Ok((PropKeyId(reader.varint32()?), ValueRef::decode(&mut reader)?)))();
            if item.is_err() {
                reader = Reader::new(&[]);
            }
            Some(item)
        })
    }

    /// Every property, keys ascending, with its value in encoded form.
    pub(crate) fn encoded(self) -> impl Iterator<Item = Result<(PropKeyId, &'a [u8])>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            let item = |reader: &mut Reader<'a>| {
                let key = PropKeyId(reader.varint32()?);
                let bytes = reader.rest();
                ValueRef::skip(reader)?;
                Ok((key, &bytes[..bytes.len() - reader.rest().len()]))
            };
            (!reader.is_empty()).then(|| item(&mut reader).inspect_err(|_| reader = Reader::new(&[])))
        })
    }

    /// Calls `f` with each key whose value differs from that in `old`, ascending, and its value here in encoded form;
    /// `None`: it is only there.
    pub fn changes_since(self, old: Self, mut f: impl FnMut(PropKeyId, Option<&'a [u8]>)) -> Result<()> {
        let (mut was, mut is) = (old.encoded(), self.encoded());
        let (mut before, mut now) = (was.next().transpose()?, is.next().transpose()?);
        loop {
            match (before, now) {
                (None, None) => return Ok(()),
                (Some((key, _)), _) if now.is_none_or(|(other, _)| other > key) => {
                    f(key, None);
                    before = was.next().transpose()?;
                }
                (_, Some((key, value))) => {
                    let same_key = before.is_some_and(|(other, _)| other == key);
                    if !same_key || before.is_some_and(|(_, old)| old != value) {
                        f(key, Some(value));
                    }
                    if same_key {
                        before = was.next().transpose()?;
                    }
                    now = is.next().transpose()?;
                }
                (Some(_), None) => return Ok(()),
            }
        }
    }

    /// Checks that the bytes are canonical: whole, with keys from 1 ascending and values in their canonical form.
    pub fn validate(self) -> Result<()> {
        let mut reader = Reader::new(self.0);
        let mut last = 0;
        while !reader.is_empty() {
            let key = reader.varint32()?;
            if key <= last {
                return Err(Error::corrupt("property keys are not ascending"));
            }
            last = key;
            ValueRef::check(&mut reader).map_err(|e| e.context(format_args!("the value of property {key}")))?;
        }
        Ok(())
    }
}

/// A [`PropList`] being changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropListBuf(Vec<u8>);

impl PropListBuf {
    /// The list of `props`; where a key stands twice, the last one counts. The error is of the first value that cannot be
    /// stored, with its key.
    pub(crate) fn from_pairs(props: &[(PropKeyId, Value)]) -> Result<Self, (PropKeyId, Fault)> {
        let mut out = Vec::with_capacity(props.len() * 12);
        let mut put = |(key, value): &(PropKeyId, Value)| {
            put_varint(&mut out, key.0.into());
            value.encode_into(&mut out).map_err(|fault| (*key, fault))
        };
        if props.is_sorted_by(|a, b| a.0 < b.0) {
            props.iter().try_for_each(put)?;
            return Ok(Self(out));
        }
        let mut order: Vec<usize> = (0..props.len()).collect();
        order.sort_by_key(|&i| props[i].0);
        for (at, &i) in order.iter().enumerate() {
            // The sort is stable: the last of equal keys is the one given last.
            if order.get(at + 1).is_none_or(|&next| props[next].0 != props[i].0) {
                put(&props[i])?;
            }
        }
        Ok(Self(out))
    }

    /// A copy of `list`.
    pub fn from_list(list: PropList<'_>) -> Self {
        Self(list.0.to_vec())
    }

    /// A borrowed form.
    pub fn as_list(&self) -> PropList<'_> {
        PropList(&self.0)
    }

    /// Puts the encoded `value` under `key`, in place of what was there; `None` removes it. Returns whether it was there.
    pub fn replace(&mut self, key: PropKeyId, value: Option<&[u8]>) -> Result<bool> {
        let mut reader = Reader::new(&self.0);
        let (mut start, mut end) = (self.0.len(), self.0.len());
        let mut found = false;
        while !reader.is_empty() {
            let at = self.0.len() - reader.rest().len();
            let here = reader.varint32()?;
            ValueRef::skip(&mut reader)?;
            if here >= key.0 {
                found = here == key.0;
                start = at;
                end = if found { self.0.len() - reader.rest().len() } else { at };
                break;
            }
        }
        let mut new = Vec::new();
        if let Some(value) = value {
            put_varint(&mut new, key.0.into());
            new.extend_from_slice(value);
        }
        self.0.splice(start..end, new);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::value::tests::any_value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_list_is_a_map(
            start in prop::collection::vec((1u32..9, any_value()), 0..6),
            edits in prop::collection::vec((1u32..9, prop::option::of(any_value())), 0..12),
        ) {
            let pairs: Vec<_> = start.iter().map(|(k, v)| (PropKeyId(*k), v.clone())).collect();
            let mut list = PropListBuf::from_pairs(&pairs).unwrap();
            let bytes = |v: &Value| { let mut out = Vec::new(); v.encode(&mut out).unwrap(); out };
            let mut model: BTreeMap<u32, Vec<u8>> = start.iter().map(|(k, v)| (*k, bytes(v))).collect();
            for (key, value) in edits {
                let encoded = value.as_ref().map(bytes);
                let was = match &encoded {
                    Some(v) => model.insert(key, v.clone()),
                    None => model.remove(&key),
                };
                prop_assert_eq!(list.replace(PropKeyId(key), encoded.as_deref()).unwrap(), was.is_some());
            }
            list.as_list().validate().unwrap();
            let old = PropListBuf::from_pairs(&pairs).unwrap();
            let mut again = old.clone();
            list.as_list().changes_since(old.as_list(), |key, value| {
                assert_ne!(again.as_list().get(key).unwrap().map(|v| bytes(&v.to_value())).as_deref(), value);
                assert!(again.replace(key, value).is_ok());
            }).unwrap();
            prop_assert_eq!(&again, &list);
            let read: BTreeMap<u32, Vec<u8>> =
                list.as_list().iter().map(|p| p.map(|(k, v)| (k.0, bytes(&v.to_value()))).unwrap()).collect();
            prop_assert_eq!(&read, &model);
            for key in 0..10 {
                let one = list.as_list().get(PropKeyId(key)).unwrap().map(|v| bytes(&v.to_value()));
                prop_assert_eq!(one.as_ref(), model.get(&key));
            }
        }
    }
}
