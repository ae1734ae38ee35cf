//! Reads the arguments of a call.

use super::{INLINE, tag};
use kitedb::{
    Date, DateTime, Duration, EdgeKey, EdgeTypeId, Error, ErrorCode, LocalDateTime, LocalTime, NodeId, Result, Time,
    Value, graph::MAX_DEPTH,
};
use std::collections::BTreeMap;

/// A name in the arguments of a call.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Which of the names of this call it is: each is looked up once.
    pub number: usize,
    /// The name.
    pub text: &'a str,
}

/// The arguments of a call, read from front to back. What is not there is a defect of the package, and an error.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    names: Vec<&'a str>,
}

fn broken() -> Error {
    Error::new(
        ErrorCode::Internal,
        "the addon and the JavaScript of @kitedb/core do not belong together: install it again",
    )
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, names: Vec::new() }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(broken)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(broken)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub fn f64(&mut self) -> Result<f64> {
        self.array().map(f64::from_le_bytes)
    }

    /// A number of things that this machine has room for.
    pub fn size(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.u64()?).unwrap_or(usize::MAX))
    }

    /// A count of things that follow, each of at least one byte.
    pub fn count(&mut self) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.rest.len() { Err(broken()) } else { Ok(count) }
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    pub fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| broken())
    }

    /// What is there after a byte that says so.
    pub fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A name: as a text where it is new in this call, later by its number there.
    pub fn name(&mut self) -> Result<Named<'a>> {
        match self.u32()? {
            INLINE => {
                let text = self.text()?;
                self.names.push(text);
                Ok(Named { number: self.names.len() - 1, text })
            }
            number => {
                let number = number as usize;
                self.names.get(number).map(|text| Named { number, text }).ok_or_else(broken)
            }
        }
    }

    pub fn node(&mut self) -> Result<NodeId> {
        self.u64().map(NodeId)
    }

    /// An edge's ends and rank around the name of its type.
    pub fn edge(&mut self, ty: impl FnOnce(Named<'a>) -> Result<EdgeTypeId>) -> Result<EdgeKey> {
        let (src, name, dst, rank) = (self.node()?, self.name()?, self.node()?, self.u64()?);
        Ok(EdgeKey::new(src, ty(name)?, dst).with_rank(rank))
    }

    pub fn value(&mut self) -> Result<Value> {
        self.nested(0)
    }

    fn nested(&mut self, depth: usize) -> Result<Value> {
        // The core says where it is too deep; this only bounds the recursion.
        if depth > MAX_DEPTH + 1 {
            return Err(broken());
        }
        Ok(match self.u8()? {
            tag::NULL => Value::Null,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::I64 => Value::I64(self.i64()?),
            tag::F64 => Value::F64(self.f64()?),
            tag::TEXT => Value::String(self.text()?.to_owned()),
            tag::BYTES => Value::Bytes(self.bytes()?.to_vec()),
            tag::VECTOR => Value::Vector(self.vector()?),
            tag::LIST => {
                let count = self.count()?;
                Value::List((0..count).map(|_| self.nested(depth + 1)).collect::<Result<_>>()?)
            }
            tag::MAP => {
                let count = self.count()?;
                let entry = |_| Ok((self.text()?.to_owned(), self.nested(depth + 1)?));
                Value::Map((0..count).map(entry).collect::<Result<BTreeMap<_, _>>>()?)
            }
            tag::DATE => Value::Date(Date::new(self.i64()?)?),
            tag::LOCAL_TIME => Value::LocalTime(LocalTime::new(self.u64()?)?),
            tag::TIME => Value::Time(Time::new(self.u64()?, self.i32()?)?),
            tag::LOCAL_DATE_TIME => Value::LocalDateTime(LocalDateTime::new(self.i64()?, self.u32()?)?),
            tag::DATE_TIME => {
                let (seconds, nanos, offset, zone) = (self.i64()?, self.u32()?, self.i32()?, self.text()?);
                Value::DateTime(DateTime::new(seconds, nanos, offset, Some(zone).filter(|zone| !zone.is_empty()))?)
            }
            tag::DURATION => Value::Duration(Duration::new(self.i64()?, self.i64()?, self.i64()?, self.u32()?)?),
            _ => return Err(broken()),
        })
    }

    pub fn vector(&mut self) -> Result<Vec<f32>> {
        let len = self.u32()? as usize;
        let bytes = self.take(len.saturating_mul(4))?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Options by their names in JavaScript, with their values.
    pub fn options(&mut self) -> Result<Vec<(&'a str, Value)>> {
        (0..self.count()?).map(|_| Ok((self.text()?, self.value()?))).collect()
    }
}
