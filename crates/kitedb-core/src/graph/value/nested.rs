//! Lists and maps where they are stored. They were checked as a whole when they were decoded, so that what they hold is
//! handed out without further errors, and only as far as it is asked for.

use super::ValueRef;
use crate::graph::codec::Reader;

/// A list as stored: see [`Value::List`](super::Value::List).
#[derive(Debug, Clone, Copy)]
pub struct ListRef<'a>(&'a [u8]);

/// A map as stored: see [`Value::Map`](super::Value::Map).
#[derive(Debug, Clone, Copy)]
pub struct MapRef<'a>(&'a [u8]);

/// How many items a list or map with this body has.
fn count(body: &[u8]) -> usize {
    Reader::new(body).varint().map_or(0, |count| count as usize)
}

/// What of a body comes after the count.
fn content(body: &[u8]) -> Reader<'_> {
    let mut reader = Reader::new(body);
    if reader.varint().is_err() {
        return Reader::new(&[]);
    }
    reader
}

impl<'a> ListRef<'a> {
    /// The list with this body (count and items), which was checked, or will be before anybody sees it.
    pub(super) fn of_checked(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn body(self) -> &'a [u8] {
        self.0
    }

    /// How many items it has.
    pub fn len(self) -> usize {
        count(self.0)
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its items.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ValueRef<'a>> + Clone {
        let mut reader = content(self.0);
        (0..self.len()).map(move |_| ValueRef::decode_checked(&mut reader).unwrap_or(ValueRef::Null))
    }

    /// The item at `index`, from 0. Passes over those before it.
    pub fn get(self, index: usize) -> Option<ValueRef<'a>> {
        if index >= self.len() {
            return None;
        }
        let mut reader = content(self.0);
        (0..index).try_for_each(|_| ValueRef::skip(&mut reader)).ok()?;
        ValueRef::decode_checked(&mut reader).ok()
    }
}

impl<'a> MapRef<'a> {
    /// The map with this body (count and items), which was checked, or will be before anybody sees it.
    pub(super) fn of_checked(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn body(self) -> &'a [u8] {
        self.0
    }

    /// How many entries it has.
    pub fn len(self) -> usize {
        count(self.0)
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its entries, names ascending.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'a str, ValueRef<'a>)> + Clone {
        let mut reader = content(self.0);
        (0..self.len()).map(move |_| {
            let name = reader.text().unwrap_or_default();
            (name, ValueRef::decode_checked(&mut reader).unwrap_or(ValueRef::Null))
        })
    }

    /// Its names, ascending.
    pub fn names(self) -> impl ExactSizeIterator<Item = &'a str> + Clone {
        let mut reader = content(self.0);
        (0..self.len()).map(move |_| {
            let name = reader.text().unwrap_or_default();
            ValueRef::skip(&mut reader).map_or("", |()| name)
        })
    }

    /// The value under `name`.
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        let mut reader = content(self.0);
        while !reader.is_empty() {
            let found = reader.bytes().ok()?;
            // They ascend.
            if found >= name.as_bytes() {
                return if found == name.as_bytes() { ValueRef::decode_checked(&mut reader).ok() } else { None };
            }
            ValueRef::skip(&mut reader).ok()?;
        }
        None
    }
}

impl PartialEq for ListRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl PartialEq for MapRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
