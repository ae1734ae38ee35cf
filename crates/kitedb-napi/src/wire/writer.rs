//! Writes the result of a call.

use super::{ASCII, DEFINES, INLINE, Symbols, symbols::Of, tag};
use kitedb::{EdgeRef, Error, ErrorCode, NodeId, Result, ValueRef};

/// The result of a call, written from front to back.
#[derive(Debug)]
pub struct Writer<'s> {
    bytes: Vec<u8>,
    /// `None`: it is read elsewhere, where no name is known.
    symbols: Option<&'s mut Symbols>,
    /// A value of a kind that has no form here was to be written.
    unknown: bool,
}

impl<'s> Writer<'s> {
    /// One that goes on in `bytes`.
    pub fn new(bytes: Vec<u8>, symbols: Option<&'s mut Symbols>) -> Self {
        Self { bytes, symbols, unknown: false }
    }

    /// What was written.
    ///
    /// # Errors
    /// A value is of a kind that came to the engine and not to this boundary.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        if self.unknown {
            return Err(Error::new(
                ErrorCode::Internal,
                "a value is of a kind that this version of @kitedb/core does not know",
            ));
        }
        Ok(self.bytes)
    }

    /// Where the next byte goes: for what is counted only once it is written.
    pub fn place_u32(&mut self) -> usize {
        self.u32(0);
        self.bytes.len() - 4
    }

    /// Writes in a place of before.
    pub fn fill_u32(&mut self, place: usize, value: u32) {
        if let Some(bytes) = self.bytes.get_mut(place..place + 4) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// The same for a longer number.
    pub fn place_u64(&mut self) -> usize {
        self.u64(0);
        self.bytes.len() - 8
    }

    /// Writes in such a place.
    pub fn fill_u64(&mut self, place: usize, value: u64) {
        if let Some(bytes) = self.bytes.get_mut(place..place + 8) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// How much is written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written since it was so much.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn node(&mut self, id: NodeId) {
        self.u64(id.0);
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(value.len() as u32);
        self.bytes.extend_from_slice(value);
    }

    pub fn text(&mut self, value: &str) {
        let ascii = if value.is_ascii() { ASCII } else { 0 };
        self.u32(value.len() as u32 | ascii);
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// A byte that says whether it is there, and what it is.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A name: by its number, if its reader knows it. Returns by which number he knows it from now on.
    pub fn name(&mut self, name: &str) -> Option<u32> {
        let number = self.symbols.as_mut().and_then(|symbols| symbols.number(name));
        match number {
            Some((number, false)) => self.u32(number),
            Some((number, true)) => {
                self.u32(number | DEFINES);
                self.text(name);
            }
            None => {
                self.u32(INLINE);
                self.text(name);
            }
        }
        number.map(|(number, _)| number)
    }

    /// Labels, which stand together: by the number of their list, or [`INLINE`], how many they are, and each.
    /// Returns the number of the list.
    pub fn labels<N: AsRef<str>>(&mut self, names: &[N]) -> Option<u32> {
        let number = self.symbols.as_mut().and_then(|symbols| {
            let mut list = symbols.begin_list(Of::Labels);
            names.iter().all(|name| symbols.add(&mut list, name.as_ref())).then(|| symbols.end_list(list))?
        });
        if let Some(number) = number {
            self.u32(number);
            return Some(number);
        }
        self.u32(INLINE);
        self.u32(names.len() as u32);
        for name in names {
            self.name(name.as_ref());
        }
        None
    }

    /// Properties: the number of the list of their names, and their values; or [`INLINE`], how many they are, and a name and a
    /// value each. `props` gives them, twice if need be. Returns the number of the list.
    pub fn props<'p, N: AsRef<str>, P: Iterator<Item = Result<(N, ValueRef<'p>)>>>(
        &mut self,
        props: impl Fn() -> Result<P>,
    ) -> Result<Option<u32>> {
        let place = self.place_u32();
        if let Some(mut list) = self.symbols.as_mut().map(|symbols| symbols.begin_list(Of::Props)) {
            let mut listed = true;
            for prop in props()? {
                let (name, value) = prop?;
                listed = self.symbols.as_mut().is_some_and(|symbols| symbols.add(&mut list, name.as_ref()));
                if !listed {
                    break;
                }
                self.value(value);
            }
            let number = self.symbols.as_mut().filter(|_| listed).and_then(|symbols| symbols.end_list(list));
            if let Some(number) = number {
                self.fill_u32(place, number);
                return Ok(Some(number));
            }
        }
        self.bytes.truncate(place);
        self.u32(INLINE);
        let (place, mut count) = (self.place_u32(), 0);
        for prop in props()? {
            let (name, value) = prop?;
            self.name(name.as_ref());
            self.value(value);
            count += 1;
        }
        self.fill_u32(place, count);
        Ok(None)
    }

    pub fn edge(&mut self, edge: &EdgeRef<'_>) -> Result<()> {
        self.node(edge.src());
        self.name(&edge.type_name()?);
        self.node(edge.dst());
        self.u64(edge.rank());
        Ok(())
    }

    pub fn value(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.u8(tag::NULL),
            ValueRef::Bool(v) => self.u8(if v { tag::TRUE } else { tag::FALSE }),
            ValueRef::I64(v) => {
                self.u8(tag::I64);
                self.i64(v);
            }
            ValueRef::F64(v) => {
                self.u8(tag::F64);
                self.bytes.extend_from_slice(&v.to_le_bytes());
            }
            ValueRef::String(v) => {
                self.u8(tag::TEXT);
                self.text(v);
            }
            ValueRef::Bytes(v) => {
                self.u8(tag::BYTES);
                self.bytes(v);
            }
            ValueRef::Vector(v) => {
                self.u8(tag::VECTOR);
                self.u32(v.len() as u32);
                self.bytes.extend_from_slice(v.as_bytes());
            }
            ValueRef::List(v) => {
                self.u8(tag::LIST);
                self.u32(v.len() as u32);
                v.iter().for_each(|item| self.value(item));
            }
            ValueRef::Map(v) => {
                self.u8(tag::MAP);
                self.u32(v.len() as u32);
                for (name, value) in v.iter() {
                    self.text(name);
                    self.value(value);
                }
            }
            ValueRef::Date(v) => {
                self.u8(tag::DATE);
                self.i64(v.days());
            }
            ValueRef::LocalTime(v) => {
                self.u8(tag::LOCAL_TIME);
                self.u64(v.nanos());
            }
            ValueRef::Time(v) => {
                self.u8(tag::TIME);
                self.u64(v.nanos());
                self.i32(v.offset_seconds());
            }
            ValueRef::LocalDateTime(v) => {
                self.u8(tag::LOCAL_DATE_TIME);
                self.i64(v.seconds());
                self.u32(v.nanos());
            }
            ValueRef::DateTime(v) => {
                let (seconds, nanos, offset, zone) = v.parts();
                self.u8(tag::DATE_TIME);
                self.i64(seconds);
                self.u32(nanos);
                self.i32(offset);
                self.text(zone.unwrap_or_default());
            }
            ValueRef::Duration(v) => {
                let v = v.get();
                self.u8(tag::DURATION);
                self.i64(v.months());
                self.i64(v.days());
                self.i64(v.seconds());
                self.u32(v.nanos());
            }
            _ => {
                self.unknown = true;
                self.null();
            }
        }
    }

    /// An object of a report: so many fields follow.
    pub fn object(&mut self, fields: usize) {
        self.u8(tag::MAP);
        self.u32(fields as u32);
    }

    /// A list of a report: so many items follow.
    pub fn list(&mut self, items: usize) {
        self.u8(tag::LIST);
        self.u32(items as u32);
    }

    /// Nothing, in a report.
    pub fn null(&mut self) {
        self.u8(tag::NULL);
    }

    /// A count of a report.
    pub fn number(&mut self, value: u64) {
        self.u8(tag::U64);
        self.u64(value);
    }

    /// A field's name, which stands in Rust, as JavaScript writes it: `headLogIndex` for `head_log_index`.
    pub fn field(&mut self, snake: &str) {
        let place = self.place_u32();
        let mut upper = false;
        for byte in snake.bytes() {
            match byte {
                b'_' => upper = true,
                _ if upper => {
                    self.bytes.push(byte.to_ascii_uppercase());
                    upper = false;
                }
                _ => self.bytes.push(byte),
            }
        }
        let len = self.bytes.len() - place - 4;
        debug_assert!(snake.is_ascii(), "a field's name is an identifier of this crate");
        self.fill_u32(place, len as u32 | ASCII);
    }
}
