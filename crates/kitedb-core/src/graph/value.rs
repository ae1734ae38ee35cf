//! Property values, owned and borrowed, and their one binary form.

use super::codec::{Reader, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};

/// A property's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Stored as such: a property that is null is present.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed 64-bit integer.
    I64(i64),
    /// A 64-bit float; every bit pattern is kept.
    F64(f64),
    /// UTF-8 text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// 32-bit floats; every bit pattern is kept.
    Vector(Vec<f32>),
}

/// A [`Value`] that borrows from where it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// See [`Value::Null`].
    Null,
    /// See [`Value::Bool`].
    Bool(bool),
    /// See [`Value::I64`].
    I64(i64),
    /// See [`Value::F64`].
    F64(f64),
    /// See [`Value::String`].
    String(&'a str),
    /// See [`Value::Bytes`].
    Bytes(&'a [u8]),
    /// See [`Value::Vector`].
    Vector(VectorRef<'a>),
}

/// 32-bit floats as stored: little-endian, not aligned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VectorRef<'a>(&'a [u8]);

impl<'a> VectorRef<'a> {
    /// The vector whose little-endian bytes these are; excess bytes past the last whole float are not part of it.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(&bytes[..bytes.len() / 4 * 4])
    }

    /// How many floats it has.
    pub fn len(self) -> usize {
        self.0.len() / 4
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its floats.
    pub fn iter(self) -> impl ExactSizeIterator<Item = f32> + 'a {
        self.0.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Its floats in place, where they lie at a multiple of 4 in memory and as the processor has them: mostly in a database
    /// file, whose vectors are columns.
    pub fn as_floats(self) -> Option<&'a [f32]> {
        if cfg!(target_endian = "little") { bytemuck::try_cast_slice(self.0).ok() } else { None }
    }

    /// A copy.
    pub fn to_vec(self) -> Vec<f32> {
        self.as_floats().map_or_else(|| self.iter().collect(), <[f32]>::to_vec)
    }

    /// The stored bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

// The tag is a stored number: never change one, only add.
const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const I64: u8 = 3;
const F64: u8 = 4;
const STRING: u8 = 5;
const BYTES: u8 = 6;
const VECTOR: u8 = 7;

impl Value {
    /// A borrowed form, except for [`Value::Vector`], whose stored form is bytes: see [`Value::encode`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(NULL),
            Self::Bool(false) => out.push(FALSE),
            Self::Bool(true) => out.push(TRUE),
            Self::I64(v) => {
                out.push(I64);
                put_varint(out, zigzag(*v));
            }
            Self::F64(v) => {
                out.push(F64);
                out.extend_from_slice(&v.to_le_bytes());
            }
            Self::String(v) => put_bytes(out, STRING, v.as_bytes()),
            Self::Bytes(v) => put_bytes(out, BYTES, v),
            Self::Vector(v) => {
                out.push(VECTOR);
                put_varint(out, v.len() as u64);
                out.extend(v.iter().flat_map(|f| f.to_le_bytes()));
            }
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

impl<'a> ValueRef<'a> {
    /// Reads one value.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self> {
        Ok(match reader.u8()? {
            NULL => Self::Null,
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            I64 => Self::I64(unzigzag(reader.varint()?)),
            F64 => Self::F64(f64::from_le_bytes(reader.array()?)),
            STRING => Self::String(reader.text()?),
            BYTES => Self::Bytes(reader.bytes()?),
            VECTOR => Self::Vector(VectorRef(take_floats(reader)?)),
            tag => return Err(Error::corrupt(format_args!("unknown value tag {tag}"))),
        })
    }

    /// Passes over one value without looking at what it holds.
    #[inline]
    pub fn skip(reader: &mut Reader<'a>) -> Result<()> {
        match reader.u8()? {
            NULL | FALSE | TRUE => {}
            I64 => drop(reader.varint()?),
            F64 => drop(reader.take(8)?),
            STRING | BYTES => drop(reader.bytes()?),
            VECTOR => drop(take_floats(reader)?),
            tag => return Err(Error::corrupt(format_args!("unknown value tag {tag}"))),
        }
        Ok(())
    }

    /// Whether the encoded value is of a kind that always takes as many bits: true or false, or a number.
    #[inline]
    pub(crate) fn has_fixed_width(encoded: &[u8]) -> bool {
        matches!(encoded.first(), Some(&(FALSE | TRUE | I64 | F64)))
    }

    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(v) => Value::Bool(v),
            Self::I64(v) => Value::I64(v),
            Self::F64(v) => Value::F64(v),
            Self::String(v) => Value::String(v.to_owned()),
            Self::Bytes(v) => Value::Bytes(v.to_owned()),
            Self::Vector(v) => Value::Vector(v.to_vec()),
        }
    }
}

fn take_floats<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8]> {
    let bytes = usize::try_from(reader.varint()?).ok().and_then(|n| n.checked_mul(4));
    reader.take(bytes.ok_or_else(|| Error::corrupt("a vector's length does not fit"))?)
}

macro_rules! from {
    ($($ty:ty => $make:expr,)*) => {
        $(impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                let make: fn($ty) -> Self = $make;
                make(value)
            }
        })*
    };
}

from! {
    bool => Value::Bool,
    i64 => Value::I64,
    i32 => |v| Value::I64(v.into()),
    u32 => |v| Value::I64(v.into()),
    f64 => Value::F64,
    f32 => |v| Value::F64(v.into()),
    String => Value::String,
    &str => |v| Value::String(v.to_owned()),
    Vec<u8> => Value::Bytes,
    &[u8] => |v| Value::Bytes(v.to_vec()),
    Vec<f32> => Value::Vector,
    &[f32] => |v| Value::Vector(v.to_vec()),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::I64),
            any::<f64>().prop_map(Value::F64),
            ".{0,12}".prop_map(Value::String),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
            prop::collection::vec(any::<f32>(), 0..6).prop_map(Value::Vector),
        ]
    }

    proptest! {
        #[test]
        fn values_read_back_bit_for_bit(value in any_value()) {
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            let back = ValueRef::decode(&mut reader).unwrap().to_value();
            prop_assert!(reader.is_empty());
            let mut again = Vec::new();
            back.encode(&mut again);
            prop_assert_eq!(&bytes, &again);
            let mut reader = Reader::new(&bytes);
            ValueRef::skip(&mut reader).unwrap();
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes: Vec<u8>) {
            let _ = ValueRef::decode(&mut Reader::new(&bytes));
        }
    }
}
