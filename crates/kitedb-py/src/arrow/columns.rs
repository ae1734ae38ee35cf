//! The columns of a batch.

use super::kinds::{Kind, in_micros, in_nanos, item};
use arrow_array::{
    ArrayRef, ListArray, NullArray,
    builder::{
        ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, FixedSizeListBuilder, Float32Builder,
        Float64Builder, Int64Builder, ListBuilder, StringBuilder, Time64NanosecondBuilder, TimestampMicrosecondBuilder,
        TimestampNanosecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use kitedb::{Error, ErrorCode, Result, ValueRef};
use std::sync::Arc;

/// Values of one kind, each of which may be null.
pub enum Column {
    Null(usize),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Fixed(FixedSizeListBuilder<Float32Builder>),
    Vector(ListBuilder<Float32Builder>),
    Date(Date32Builder),
    Time(Time64NanosecondBuilder),
    Micros(TimestampMicrosecondBuilder),
    Nanos(TimestampNanosecondBuilder),
    List { items: Box<Self>, of: DataType, ends: Vec<i32>, present: NullBufferBuilder },
}

impl Column {
    /// An empty one, for about so many values.
    pub fn new(kind: &Kind, rows: usize) -> Self {
        let of_moments = |of: DataType| match of {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                Self::Nanos(TimestampNanosecondBuilder::new().with_timezone_opt(zone))
            }
            DataType::Timestamp(_, zone) => Self::Micros(TimestampMicrosecondBuilder::new().with_timezone_opt(zone)),
            _ => Self::Null(0),
        };
        match kind {
            Kind::Null => Self::Null(0),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::Int { .. } => Self::Int(Int64Builder::with_capacity(rows)),
            Kind::Float => Self::Float(Float64Builder::with_capacity(rows)),
            Kind::Text => Self::Text(StringBuilder::with_capacity(rows, 8 * rows)),
            Kind::Bytes => Self::Bytes(BinaryBuilder::new()),
            Kind::Vector(_) => match kind.data_type() {
                DataType::FixedSizeList(_, length) => {
                    Self::Fixed(FixedSizeListBuilder::new(Float32Builder::new(), length))
                }
                _ => Self::Vector(ListBuilder::new(Float32Builder::new())),
            },
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::LocalTime => Self::Time(Time64NanosecondBuilder::new()),
            Kind::LocalDateTime(_) | Kind::DateTime(..) => of_moments(kind.data_type()),
            Kind::List(items) => Self::List {
                items: Box::new(Self::new(items, 0)),
                of: items.data_type(),
                ends: vec![0],
                present: NullBufferBuilder::new(0),
            },
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Null(length) => *length,
            Self::Bool(b) => b.len(),
            Self::Int(b) => b.len(),
            Self::Float(b) => b.len(),
            Self::Text(b) => b.len(),
            Self::Bytes(b) => b.len(),
            Self::Fixed(b) => b.len(),
            Self::Vector(b) => b.len(),
            Self::Date(b) => b.len(),
            Self::Time(b) => b.len(),
            Self::Micros(b) => b.len(),
            Self::Nanos(b) => b.len(),
            Self::List { ends, .. } => ends.len() - 1,
        }
    }

    pub fn push_null(&mut self) {
        match self {
            Self::Null(length) => *length += 1,
            Self::Bool(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Text(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Fixed(b) => {
                let length = b.value_length() as usize;
                b.values().append_nulls(length);
                b.append(false);
            }
            Self::Vector(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Micros(b) => b.append_null(),
            Self::Nanos(b) => b.append_null(),
            Self::List { ends, present, .. } => {
                ends.push(ends.last().copied().unwrap_or_default());
                present.append_null();
            }
        }
    }

    /// Adds a value, which is of this kind: the state of a scan does not change.
    pub fn push(&mut self, value: ValueRef<'_>) -> Result<()> {
        if self.take(value) { Ok(()) } else { Err(changed()) }
    }

    /// Adds a value. False: it is not of this kind, and the column may hold a part of it.
    #[inline]
    pub fn take(&mut self, value: ValueRef<'_>) -> bool {
        match (&mut *self, value) {
            (_, ValueRef::Null) => self.push_null(),
            (Self::Bool(b), ValueRef::Bool(v)) => b.append_value(v),
            (Self::Int(b), ValueRef::I64(v)) => b.append_value(v),
            (Self::Float(b), ValueRef::F64(v)) => b.append_value(v),
            (Self::Float(b), ValueRef::I64(v)) => b.append_value(v as f64),
            (Self::Text(b), ValueRef::String(v)) => b.append_value(v),
            (Self::Bytes(b), ValueRef::Bytes(v)) => b.append_value(v),
            (Self::Vector(b), ValueRef::Vector(v)) => {
                floats(b.values(), v);
                b.append(true);
            }
            (Self::Fixed(b), ValueRef::Vector(v)) if b.value_length() as usize == v.len() => {
                floats(b.values(), v);
                b.append(true);
            }
            (Self::List { items, ends, present, .. }, ValueRef::List(list)) => {
                if !list.iter().all(|item| items.take(item)) {
                    return false;
                }
                let Ok(end) = i32::try_from(items.len()) else { return false };
                ends.push(end);
                present.append_non_null();
            }
            _ => return self.take_time(value).is_some(),
        }
        true
    }

    fn take_time(&mut self, value: ValueRef<'_>) -> Option<()> {
        match (self, value) {
            (Self::Date(b), ValueRef::Date(v)) => b.append_value(i32::try_from(v.days()).ok()?),
            (Self::Time(b), ValueRef::LocalTime(v)) => b.append_value(v.nanos() as i64),
            (Self::Micros(b), ValueRef::LocalDateTime(v)) => b.append_value(in_micros(v.seconds(), v.nanos())?),
            (Self::Nanos(b), ValueRef::LocalDateTime(v)) => b.append_value(in_nanos(v.seconds(), v.nanos())?),
            (Self::Micros(b), ValueRef::DateTime(v)) => {
                let (seconds, nanos, ..) = v.parts();
                b.append_value(in_micros(seconds, nanos)?);
            }
            (Self::Nanos(b), ValueRef::DateTime(v)) => {
                let (seconds, nanos, ..) = v.parts();
                b.append_value(in_nanos(seconds, nanos)?);
            }
            _ => return None,
        }
        Some(())
    }

    /// The same values as a column of a kind that has taken in more since. False: only another look at them makes it.
    pub fn widened(&mut self, kind: &Kind, rows: usize) -> bool {
        let mut made = Self::new(kind, rows);
        match (&mut *self, &mut made) {
            (Self::Null(length), made) => (0..*length).for_each(|_| made.push_null()),
            (Self::Int(b), Self::Float(floats)) => {
                b.finish().iter().for_each(|v| floats.append_option(v.map(|v| v as f64)));
            }
            _ => return false,
        }
        *self = made;
        true
    }

    /// What is in it, after which it is empty.
    pub fn finish(&mut self) -> std::result::Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Null(length) => Arc::new(NullArray::new(std::mem::take(length))),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Fixed(b) => Arc::new(b.finish()),
            Self::Vector(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Micros(b) => Arc::new(b.finish()),
            Self::Nanos(b) => Arc::new(b.finish()),
            Self::List { items, of, ends, present } => {
                let ends = OffsetBuffer::new(std::mem::replace(ends, vec![0]).into());
                Arc::new(ListArray::try_new(item(of.clone()), ends, items.finish()?, present.finish())?)
            }
        })
    }
}

fn floats(to: &mut Float32Builder, vector: kitedb::VectorRef<'_>) {
    match vector.as_floats() {
        Some(floats) => to.append_slice(floats),
        None => vector.iter().for_each(|v| to.append_value(v)),
    }
}

/// How many bytes a value takes in a column, about.
pub fn weight(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(v) => v.len(),
        ValueRef::Bytes(v) => v.len(),
        ValueRef::Vector(v) => v.as_bytes().len(),
        ValueRef::List(list) => list.iter().map(weight).sum(),
        _ => 8,
    }
}

#[cold]
fn changed() -> Error {
    Error::new(ErrorCode::Internal, "a value of a scan is not what it was when the scan was looked through: a defect")
}
