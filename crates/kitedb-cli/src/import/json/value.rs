//! Values of properties, made as they are read: the forms are those of [`kitedb_core::json`].
//!
//! What a line's values take in storage is counted while they are read, each with no more than it takes: a line that stands
//! for more than one commit holds is refused there, and not when all of it is in memory.

use super::{Fault, Scalar, Text};
use crate::import::number::Number;
use kitedb_core::{Value, graph::MAX_VALUE_BYTES, json};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::BufRead,
};

/// How deep arrays and objects may be nested: twice what a value may be (each map in it in a `$map`), and more.
const MAX_NESTED: usize = 128;

/// The tag of a map that would pass for a tag.
const MAP: &str = "$map";
const VECTOR: &str = "$vector";

/// How objects are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    /// One that is a tag is the value that it stands for.
    Tags,
    /// Each is a map: [`settle`] looks for tags once it is known whether there are any.
    Plain,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place {
    read: Read,
    /// Around it.
    depth: usize,
    /// Whether it is what a tag holds, or a component of that: in storage it is shorter than its text.
    in_tag: bool,
}

impl<R: BufRead> Text<R> {
    /// Reads a value.
    pub fn value(&mut self) -> Result<Value, Fault> {
        self.value_at(Place { read: Read::Tags, depth: 0, in_tag: false })
    }

    /// Reads an array of 32-bit floats.
    pub fn vector(&mut self) -> Result<Vec<f32>, Fault> {
        let mut vector = Vec::new();
        let no_vector = || Fault::value("no array of 32-bit floats");
        if self.next_token()? != b'[' {
            return Err(no_vector());
        }
        self.list(b'[', b']', |text| {
            let item = match text.scalar()?.ok_or_else(no_vector)? {
                Scalar::Number(number) => Value::from(read_number(&number)?),
                Scalar::Text(word) => Value::String(word),
                _ => return Err(no_vector()),
            };
            text.charge(4)?;
            vector.push(component(item).ok_or_else(no_vector)?);
            Ok(())
        })?;
        Ok(vector)
    }

    /// Counts what a part of a value takes in storage at least.
    #[inline]
    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.stored += bytes;
        if self.stored <= MAX_VALUE_BYTES {
            return Ok(());
        }
        Err(Fault::value(format_args!(
            "too much for one line: the values of a node or edge that is written at once take {} MiB at most",
            MAX_VALUE_BYTES >> 20
        )))
    }

    fn value_at(&mut self, place: Place) -> Result<Value, Fault> {
        if let Some(scalar) = self.scalar()? {
            let value = match scalar {
                Scalar::Null => Value::Null,
                Scalar::Bool(bool) => Value::Bool(bool),
                Scalar::Text(text) => Value::String(text),
                Scalar::Number(number) => read_number(&number)?.into(),
            };
            self.charge(match &value {
                // It may be what a tag holds: the shortest time of day, of two bytes, has eight characters.
                Value::String(text) if place.read == Read::Plain => text.len() / 8,
                // The longest text in relation to what it stands for is that of a NaN in a vector: 10 characters, 4 bytes.
                Value::String(text) if place.in_tag => text.len() * 3 / 8,
                Value::String(text) => 1 + text.len(),
                Value::I64(_) | Value::F64(_) => 2,
                _ => 1,
            })?;
            return Ok(value);
        }
        let depth = place.depth + 1;
        if depth > MAX_NESTED {
            return Err(Fault::value(format_args!("nested deeper than {MAX_NESTED}")));
        }
        if self.next_token()? == b'{' {
            return self.map_at(Place { depth, in_tag: false, ..place });
        }
        self.charge(2)?;
        let mut items = Vec::new();
        self.list(b'[', b']', |text| {
            let item = text.value_at(Place { depth, ..place });
            items.push(item.map_err(|fault| fault.within(format_args!("[{}]", items.len())))?);
            Ok(())
        })?;
        Ok(Value::List(items))
    }

    fn map_at(&mut self, place: Place) -> Result<Value, Fault> {
        let before = self.stored;
        let is_plain = place.read == Read::Plain;
        self.charge(if is_plain { 1 } else { 2 })?;
        let mut map = BTreeMap::new();
        // Whether what stands under `$map` was read as if that were a tag.
        let mut unsettled = false;
        self.object(|text, name| {
            text.charge(if is_plain && name.starts_with('$') { 0 } else { 1 + name.len() })?;
            // A tag is alone, so it is the first name.
            let in_tag = place.read == Read::Tags && map.is_empty() && name.starts_with('$');
            unsettled |= in_tag && name == MAP;
            let read = if in_tag && name == MAP { Read::Plain } else { place.read };
            let value = text.value_at(Place { read, in_tag, ..place }).map_err(|fault| match in_tag {
                true => fault,
                false => fault.within(format_args!(".{name:.64}")),
            })?;
            insert(&mut map, name, value)
        })?;
        if place.read == Read::Plain {
            return Ok(Value::Map(map));
        }
        if !is_tag(&map) {
            if let Some(value) = map.get_mut(MAP).filter(|_| unsettled) {
                *value = settle(std::mem::replace(value, Value::Null)).map_err(|fault| fault.within(".$map"))?;
            }
            return Ok(Value::Map(map));
        }
        let value = settle(Value::Map(map))?;
        // What it holds was counted as the text that it was; what a map holds, as what it is.
        let bytes = match &value {
            Value::Map(_) => return Ok(value),
            Value::Bytes(bytes) => bytes.len(),
            Value::Vector(vector) => 4 * vector.len(),
            _ => 2,
        };
        self.stored = before;
        self.charge(bytes)?;
        Ok(value)
    }
}

/// Puts a member into an object, in which each name stands once.
fn insert(map: &mut BTreeMap<String, Value>, name: String, value: Value) -> Result<(), Fault> {
    match map.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
            Ok(())
        }
        Entry::Occupied(entry) => {
            Err(Fault::value(format_args!("an object in which the name `{:.64}` stands twice", entry.key())))
        }
    }
}

fn read_number(text: &str) -> Result<Number, Fault> {
    Number::read(text).map_err(|no| Fault::value(no.of(text)))
}

fn is_tag(map: &BTreeMap<String, Value>) -> bool {
    map.len() == 1 && map.keys().all(|name| name.starts_with('$'))
}

/// The value that stands where no tag was looked for yet.
fn settle(value: Value) -> Result<Value, Fault> {
    match value {
        Value::List(items) => {
            let items = items.into_iter().enumerate();
            let settled = items.map(|(at, item)| settle(item).map_err(|fault| fault.within(format_args!("[{at}]"))));
            settled.collect::<Result<_, _>>().map(Value::List)
        }
        Value::Map(map) if is_tag(&map) => match map.into_iter().next() {
            Some((name, value)) => tagged(name, value),
            None => Ok(Value::Map(BTreeMap::new())),
        },
        Value::Map(map) => settle_members(map),
        value => Ok(value),
    }
}

fn settle_members(map: BTreeMap<String, Value>) -> Result<Value, Fault> {
    let settled = map.into_iter().map(|(name, value)| match settle(value) {
        Ok(value) => Ok((name, value)),
        Err(fault) => Err(fault.within(format_args!(".{name:.64}"))),
    });
    settled.collect::<Result<_, _>>().map(Value::Map)
}

/// What a tag stands for.
fn tagged(name: String, value: Value) -> Result<Value, Fault> {
    match (name.as_str(), value) {
        (MAP, Value::Map(map)) => settle_members(map),
        (VECTOR, Value::List(items)) => {
            let floats = items.into_iter().enumerate().map(|(at, item)| {
                component(item).ok_or_else(|| Fault::value("not a 32-bit float").within(format_args!("[{at}]")))
            });
            floats.collect::<Result<_, _>>().map(Value::Vector)
        }
        (_, value) => {
            let held = match value {
                Value::String(text) => Json::String(text),
                // No other tag holds anything else: the error names what it holds.
                _ => Json::Null,
            };
            let read = json::from_json("", Json::Object([(name, held)].into_iter().collect()));
            read.map_err(|e| Fault::value(e.to_string().trim_start_matches(" is ")))
        }
    }
}

/// A component of a vector. One that is nearer to 0 than any 32-bit float is none.
fn component(value: Value) -> Option<f32> {
    json::component(&match value {
        Value::I64(integer) => integer.into(),
        Value::F64(float) if float != 0.0 && float as f32 == 0.0 => return None,
        Value::F64(float) => float.into(),
        Value::String(text) => Json::String(text),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Value, String> {
        let mut text = Text::new(json.as_bytes());
        text.next_line().unwrap();
        let value = text.value().and_then(|value| text.end_line().map(|()| value));
        value.map_err(|fault| fault.within("p").to_string())
    }

    fn encoded(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.encode(&mut bytes).unwrap();
        bytes
    }

    /// What the core makes of a document is what is read here, too.
    #[test]
    fn values_are_those_that_the_core_reads() {
        for json in [
            "null",
            " true",
            "-3",
            "2.50e1",
            r#""a\"\\\/\b\f\n\r\t\u00e9\ud83e\udd80é""#,
            "[1,[2.5,[]],{}]",
            r#"{"b":{"c":[null]},"a":1}"#,
            r#"{"$bytes":"Af8="}"#,
            r#"{"$vector":[0.1,2,"NaN","-Infinity","0x7fc00001"]}"#,
            r#"{"$float":"0x7ff8000000000001"}"#,
            r#"{"$date":"2015-07-21"}"#,
            r#"{"$map":{"$date":"x"}}"#,
            r#"{"$map":{"$map":{"$map":{"$map":1}}}}"#,
            r#"{"$map":{"$date":{"$date":"2015-07-21"}}}"#,
            // With a second name there is no tag.
            r#"{"$date":"x","b":1}"#,
            r#"{"$map":{"$map":{"$date":"2015-07-21"}},"b":1}"#,
            r#"{"b":1,"$map":{"$map":{"$map":{"$date":"2015-07-21"}}}}"#,
            r#"{"$map":{"$date":"2015-07-21"},"b":[{"$map":{"$vector":[1]}}]}"#,
        ] {
            let want = json::from_json("p", serde_json::from_str(json).unwrap()).unwrap();
            assert_eq!(encoded(&read(json).unwrap()), encoded(&want), "{json}");
        }
    }

    #[test]
    fn what_is_no_value_is_told_by_its_path() {
        for (json, phrase) in [
            ("9223372036854775808", "p is 9223372036854775808, which does not fit"),
            ("[1,{\"a\":-99999999999999999999}]", "p[1].a is -99999999999999999999, which does not fit"),
            ("-0", "p is -0, which no integer is"),
            ("[1e400]", "p[0] is 1e400, which is beyond"),
            ("1e-400", "p is 1e-400, which is nearer to 0"),
            (r#"{"a":1,"a":1}"#, "p is an object in which the name `a` stands twice"),
            (r#"[{"b":{"a":1,"c":2,"\u0061":1}}]"#, "p[0].b is an object in which the name `a` stands twice"),
            (r#"{"$map":{"a":1,"a":1}}"#, "the name `a` stands twice"),
            (r#"[0,{"kids":[1,{"$date":"x"}]}]"#, "p[1].kids[1] is not what its tag says: `x` is no date"),
            (r#"{"a":{"$dat":"2015-07-21"}}"#, "p.a is an object with the one entry `$dat`"),
            (r#"{"$bytes":"?"}"#, "p is a $bytes without base64"),
            (r#"{"$bytes":3}"#, "a $bytes that does not hold text"),
            (r#"{"$map":[]}"#, "a $map that does not hold an object"),
            (r#"{"$vector":[1,1e39]}"#, "p[1] is not a 32-bit float"),
            (r#"{"$vector":[[1]]}"#, "p[0] is not a 32-bit float"),
            (r#"{"$vector":[1,1e-60]}"#, "p[1] is not a 32-bit float"),
            (r#"{"$float":"nan"}"#, "a $float that is neither"),
            ("[1,2", "the line ends within its object"),
            ("[1 2]", "expected `,` or `]`"),
            ("[1,]", "expected a value"),
            ("01", "a number does not begin with 0"),
            ("1.", "the line ends"),
            ("[1.]", "a number lacks a digit"),
            ("tru", "the line ends"),
            ("\"\t\"", "a control character"),
            (r#""\ud800""#, "expected `\\\\`"),
            (r#""\udc00""#, "half of a surrogate pair"),
            (r#""\x""#, "an escape that there is not"),
            ("1 2", "there is more behind"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(phrase), "{json}: {error}");
        }
        let deep = "[".repeat(200);
        assert!(read(&deep).unwrap_err().contains("nested deeper than 128"));
    }

    /// The memory of it would be dozens of times that of the text.
    #[test]
    fn what_no_commit_holds_is_refused_while_it_is_read() {
        let endless = |head: &'static str, more: &'static str| {
            let reader = std::io::Read::chain(head.as_bytes(), Endless(more));
            let mut text = Text::new(std::io::BufReader::new(reader));
            text.next_line().unwrap();
            text.value().unwrap_err().to_string()
        };
        assert!(endless("[", "\"some text of a few bytes that fills it quickly\",").contains("too much for one line"));
        assert!(endless("\"", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx").contains("longer than 85 MiB"));
    }

    /// Of each the JSON is many times as long as the value, which nearly is as large as a value may be.
    #[test]
    fn what_a_commit_holds_is_not_refused() {
        for (item, bytes) in [
            (r#"{"$local_date_time":"1970-01-01T00:00:00"}"#, 3),
            (r#"{"$local_time":"00:00:00"}"#, 2),
            (r#"{"$date":"1970-01-01"}"#, 2),
            (r#"{"$vector":["NaN","0x7fc00001"]}"#, 8),
            ("[]", 3),
            ("null", 1),
        ] {
            for (head, tail) in [("[", "]"), (r#"{"$map":{"$x":["#, "]}}")] {
                let count = 1000;
                let json = format!("{head}{}{tail}", vec![item; count].join(","));
                let mut text = Text::new(json.as_bytes());
                text.next_line().unwrap();
                let value = text.value().unwrap();
                assert!(text.stored <= encoded(&value).len(), "{item} {head}");
                // And what is counted is in proportion to what is held.
                assert!(text.stored * 10 >= count * bytes, "{item} {head}");
            }
        }
    }

    /// A text again and again.
    struct Endless(&'static str);

    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let whole = buffer.len() / self.0.len() * self.0.len();
            buffer[..whole].chunks_mut(self.0.len()).for_each(|chunk| chunk.copy_from_slice(self.0.as_bytes()));
            Ok(whole)
        }
    }
}
