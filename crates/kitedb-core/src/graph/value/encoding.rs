//! The one binary form of values: a tag, then what the kind needs.
//!
//! A list or map has its length in bytes in front, so that passing over one costs the same however much it holds; then the
//! number of its items, then these. The form is canonical: a value has one, and bytes that are not it are refused.

use super::{
    DateTimeRef, DurationRef, ListRef, MapRef, Value, ValueRef, VectorRef,
    temporal::{date, local_date_time, local_time, time},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::codec::{Reader, put_varint, unzigzag, zigzag},
};
use std::fmt;

/// How deep lists and maps are nested at most: one of plain values has the depth 1.
pub const MAX_DEPTH: usize = 32;

/// How many bytes a value takes in storage at most: those of a frame of the log, 64 MiB.
pub const MAX_VALUE_BYTES: usize = 64 << 20;

// The tag is a stored number: never change one, only add.
const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const I64: u8 = 3;
const F64: u8 = 4;
const STRING: u8 = 5;
const BYTES: u8 = 6;
const VECTOR: u8 = 7;
const LIST: u8 = 8;
const MAP: u8 = 9;
const DATE: u8 = 10;
const LOCAL_TIME: u8 = 11;
const TIME: u8 = 12;
const LOCAL_DATE_TIME: u8 = 13;
const DATE_TIME: u8 = 14;
const DURATION: u8 = 15;

/// Why a value is refused, and where in it.
#[derive(Debug)]
pub(crate) struct Fault {
    code: ErrorCode,
    /// The way from the value to what is wrong, the last step first.
    path: Vec<String>,
    what: &'static str,
}

impl Fault {
    fn new(code: ErrorCode, what: &'static str) -> Self {
        Self { code, path: Vec::new(), what }
    }

    #[cold]
    fn within(mut self, step: fmt::Arguments<'_>) -> Self {
        self.path.push(step.to_string());
        self
    }

    /// The error of a value that is called `name`: it names the path from there.
    pub fn of(self, name: &str) -> Error {
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        Error::new(self.code, format_args!("{name}{path} {}", self.what))
    }
}

impl Value {
    /// Appends the value's binary form.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if lists and maps are nested deeper than [`MAX_DEPTH`],
    /// [`ErrorCode::TransactionTooLarge`] if it takes more than [`MAX_VALUE_BYTES`]; `out` is as it was before.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.encode_into(out).map_err(|fault| fault.of("the value"))
    }

    /// As [`Value::encode`], for a caller who knows what the value is called.
    #[inline]
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        self.put(out, start, 0).inspect_err(|_| out.truncate(start))
    }

    fn put(&self, out: &mut Vec<u8>, start: usize, depth: usize) -> Result<(), Fault> {
        match self {
            Self::Null => out.push(NULL),
            Self::Bool(false) => out.push(FALSE),
            Self::Bool(true) => out.push(TRUE),
            Self::I64(v) => put_numbers(out, I64, &[zigzag(*v)]),
            Self::F64(v) => {
                out.push(F64);
                out.extend_from_slice(&v.to_le_bytes());
            }
            Self::String(v) => put_bytes(out, STRING, v.as_bytes())?,
            Self::Bytes(v) => put_bytes(out, BYTES, v)?,
            Self::Vector(v) => {
                require_room(v.len().saturating_mul(4))?;
                put_numbers(out, VECTOR, &[v.len() as u64]);
                out.extend(v.iter().flat_map(|f| f.to_le_bytes()));
            }
            Self::List(items) => {
                let body = begin(out, LIST, items.len(), depth)?;
                for (at, item) in items.iter().enumerate() {
                    item.put(out, start, depth + 1).map_err(|fault| fault.within(format_args!("[{at}]")))?;
                }
                end(out, body);
            }
            Self::Map(entries) => {
                let body = begin(out, MAP, entries.len(), depth)?;
                for (name, value) in entries {
                    require_room(name.len())?;
                    put_varint(out, name.len() as u64);
                    out.extend_from_slice(name.as_bytes());
                    value.put(out, start, depth + 1).map_err(|fault| fault.within(format_args!(".{name:.64}")))?;
                }
                end(out, body);
            }
            Self::Date(v) => put_numbers(out, DATE, &[zigzag(v.days())]),
            Self::LocalTime(v) => put_numbers(out, LOCAL_TIME, &[v.nanos()]),
            Self::Time(v) => put_numbers(out, TIME, &[v.nanos(), zigzag(v.offset_seconds().into())]),
            Self::LocalDateTime(v) => put_numbers(out, LOCAL_DATE_TIME, &[zigzag(v.seconds()), v.nanos().into()]),
            Self::DateTime(v) => {
                let zone = v.zone().unwrap_or_default();
                let offset = zigzag(v.offset_seconds().into());
                put_numbers(out, DATE_TIME, &[zigzag(v.seconds()), v.nanos().into(), offset, zone.len() as u64]);
                out.extend_from_slice(zone.as_bytes());
            }
            Self::Duration(v) => {
                let [months, days, seconds] = [v.months(), v.days(), v.seconds()].map(zigzag);
                put_numbers(out, DURATION, &[months, days, seconds, v.nanos().into()]);
            }
        }
        require_room(out.len() - start)
    }
}

fn require_room(bytes: usize) -> Result<(), Fault> {
    if bytes <= MAX_VALUE_BYTES {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::TransactionTooLarge, "takes more than 64 MiB, which is all that a value may: split it"))
}

fn put_numbers(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    out.push(tag);
    numbers.iter().for_each(|number| put_varint(out, *number));
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) -> Result<(), Fault> {
    require_room(bytes.len())?;
    put_numbers(out, tag, &[bytes.len() as u64]);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Begins a list or map in a value of such a depth so far. Returns where its body begins.
fn begin(out: &mut Vec<u8>, tag: u8, count: usize, depth: usize) -> Result<usize, Fault> {
    if depth >= MAX_DEPTH {
        let what = "is a list or map at a depth of more than 32: store it less deeply, or as text";
        return Err(Fault::new(ErrorCode::InvalidArgument, what));
    }
    out.push(tag);
    let body = out.len();
    put_varint(out, count as u64);
    Ok(body)
}

/// Puts the length of what was written from `body` on before it.
fn end(out: &mut Vec<u8>, body: usize) {
    let end = out.len();
    put_varint(out, (end - body) as u64);
    let width = out.len() - end;
    out[body..].rotate_right(width);
}

impl<'a> ValueRef<'a> {
    /// Reads one value, which is checked as a whole.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self> {
        let value = Self::decode_checked(reader)?;
        match value {
            Self::List(list) => check_list(list.body(), 1)?,
            Self::Map(map) => check_map(map.body(), 1)?,
            _ => {}
        }
        Ok(value)
    }

    /// Reads one value, whose items, if it has any, were checked before.
    #[inline]
    pub(super) fn decode_checked(reader: &mut Reader<'a>) -> Result<Self> {
        Ok(match reader.u8()? {
            NULL => Self::Null,
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            I64 => Self::I64(unzigzag(reader.varint()?)),
            F64 => Self::F64(f64::from_le_bytes(reader.array()?)),
            STRING => Self::String(reader.text()?),
            BYTES => Self::Bytes(reader.bytes()?),
            VECTOR => Self::Vector(VectorRef::from_bytes(take_floats(reader)?)),
            LIST => Self::List(ListRef::of_checked(reader.bytes()?)),
            MAP => Self::Map(MapRef::of_checked(reader.bytes()?)),
            DATE => Self::Date(date(reader)?),
            LOCAL_TIME => Self::LocalTime(local_time(reader)?),
            TIME => Self::Time(time(reader)?),
            LOCAL_DATE_TIME => Self::LocalDateTime(local_date_time(reader)?),
            DATE_TIME => Self::DateTime(DateTimeRef::decode(reader)?),
            DURATION => Self::Duration(DurationRef::decode(reader)?),
            tag => return Err(unknown(tag)),
        })
    }

    /// Passes over one value without looking at what it holds.
    #[inline]
    pub fn skip(reader: &mut Reader<'a>) -> Result<()> {
        match reader.u8()? {
            NULL | FALSE | TRUE => {}
            I64 | DATE | LOCAL_TIME => drop(reader.varint()?),
            F64 => drop(reader.take(8)?),
            STRING | BYTES | LIST | MAP => drop(reader.bytes()?),
            VECTOR => drop(take_floats(reader)?),
            TIME | LOCAL_DATE_TIME => skip_numbers(reader, 2)?,
            DATE_TIME => {
                skip_numbers(reader, 3)?;
                reader.bytes()?;
            }
            DURATION => skip_numbers(reader, 4)?,
            tag => return Err(unknown(tag)),
        }
        Ok(())
    }

    /// Whether the encoded value is of a kind that always takes as many bits, 64 at most: true or false, or one number.
    #[inline]
    pub(crate) fn has_fixed_width(encoded: &[u8]) -> bool {
        matches!(encoded.first(), Some(&(FALSE | TRUE | I64 | F64 | DATE | LOCAL_TIME)))
    }

    /// Checks the value that comes next to be in the canonical form, and passes over it: for bytes from outside.
    pub(crate) fn check(reader: &mut Reader<'a>) -> Result<()> {
        check(reader, 0)
    }
}

#[cold]
fn unknown(tag: u8) -> Error {
    Error::corrupt(format_args!("unknown value tag {tag}"))
}

fn skip_numbers(reader: &mut Reader<'_>, count: usize) -> Result<()> {
    (0..count).try_for_each(|_| reader.varint().map(drop))
}

fn take_floats<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8]> {
    let bytes = usize::try_from(reader.varint()?).ok().and_then(|n| n.checked_mul(4));
    reader.take(bytes.ok_or_else(|| Error::corrupt("a vector's length does not fit"))?)
}

/// Checks the next value, which lies in so many lists and maps. The depth bounds the recursion.
fn check(reader: &mut Reader<'_>, depth: usize) -> Result<()> {
    // What the tag announces is a number, of a value or of bytes: it has one form.
    if matches!(reader.rest().first(), Some(&(I64 | STRING | BYTES | VECTOR | LIST | MAP))) {
        Reader::new(&reader.rest()[1..]).minimal()?;
    }
    match ValueRef::decode_checked(reader)? {
        ValueRef::List(list) => check_list(list.body(), depth + 1),
        ValueRef::Map(map) => check_map(map.body(), depth + 1),
        _ => Ok(()),
    }
}

fn check_list(body: &[u8], depth: usize) -> Result<()> {
    check_items(body, depth, |reader| check(reader, depth))
}

fn check_map(body: &[u8], depth: usize) -> Result<()> {
    let mut last = None;
    check_items(body, depth, |reader| {
        let name = reader.minimal_text()?;
        if last.is_some_and(|last| last >= name) {
            return Err(Error::corrupt("the names of a map are not ascending"));
        }
        last = Some(name);
        check(reader, depth)
    })
}

fn check_items<'a>(body: &'a [u8], depth: usize, mut item: impl FnMut(&mut Reader<'a>) -> Result<()>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::corrupt(format_args!("lists and maps are nested deeper than {MAX_DEPTH}")));
    }
    let mut reader = Reader::new(body);
    let (count, mut seen) = (reader.minimal()?, 0);
    while !reader.is_empty() {
        item(&mut reader)?;
        seen += 1;
    }
    if count == seen { Ok(()) } else { Err(Error::corrupt(format_args!("a list or map of {count} items has {seen}"))) }
}
