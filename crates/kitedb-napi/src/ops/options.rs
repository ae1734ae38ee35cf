//! Options, by the names that they have in JavaScript.

use crate::wire::Reader;
use kitedb::{
    FollowerOptions, OpenOptions, RepairOptions, Result, RetentionWindows, Value,
    telemetry::{ExporterOptions, OtlpHttpPushOptions, OtlpTransport, PrometheusOptions},
};
use kitedb_bindings::{Accent, Given, Members, camel_case, options};

/// How JavaScript spells what Rust says.
pub const ACCENT: Accent = Accent {
    name: camel_case,
    boolean: "true or false",
    whole: "a whole number",
    number: "a number",
    text: "a string",
    path: "a string",
    texts: "an object of strings",
};

/// What was given, and what JavaScript calls that.
fn given(value: Value) -> (Given, &'static str) {
    match value {
        Value::Null => (Given::Other, "null"),
        Value::Bool(v) => (Given::Bool(v), "a boolean"),
        Value::I64(v) => (Given::Whole(v.into()), "a number"),
        Value::F64(v) => (Given::Float(v), "a number that is not whole"),
        Value::String(v) => (Given::Text(v), "a string"),
        Value::Map(members) => {
            let text = |(name, value): (&String, &Value)| match value {
                Value::String(text) => Some((name.clone(), text.clone())),
                _ => None,
            };
            let texts: Option<Vec<_>> = members.iter().map(text).collect();
            (texts.map_or(Given::Other, Given::Texts), "an object")
        }
        _ => (Given::Other, "an object"),
    }
}

fn read<O>(r: &mut Reader<'_>, options: O, members: &Members<O>) -> Result<O> {
    let mut options = options;
    for (name, value) in r.options()? {
        let (given, kind) = given(value);
        options = members.set(options, name, given, kind, &ACCENT)?;
    }
    Ok(options)
}

pub fn open(r: &mut Reader<'_>) -> Result<OpenOptions> {
    read(r, OpenOptions::new(), &options::OPEN)
}

pub fn follower(r: &mut Reader<'_>) -> Result<FollowerOptions> {
    read(r, FollowerOptions::new(), &options::FOLLOWER)
}

pub fn windows(r: &mut Reader<'_>) -> Result<RetentionWindows> {
    read(r, RetentionWindows::new(), &options::WINDOWS)
}

pub fn repair(r: &mut Reader<'_>) -> Result<RepairOptions> {
    read(r, RepairOptions::new(), &options::REPAIR)
}

pub fn push(r: &mut Reader<'_>) -> Result<OtlpHttpPushOptions> {
    read(r, OtlpHttpPushOptions::new(), &options::PUSH)
}

pub fn transport(r: &mut Reader<'_>) -> Result<OtlpTransport> {
    options::transport(r.text()?)
}

/// Transport, endpoint, its own options, and those of each push.
pub fn exporter(r: &mut Reader<'_>) -> Result<ExporterOptions> {
    let (transport, endpoint) = (transport(r)?, r.text()?);
    let options = read(r, ExporterOptions::new(transport, endpoint), &options::EXPORTER)?;
    Ok(options.push(push(r)?))
}

pub fn prometheus(r: &mut Reader<'_>) -> Result<PrometheusOptions> {
    read(r, PrometheusOptions::new(), &options::PROMETHEUS)
}
