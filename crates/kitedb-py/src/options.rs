//! Options as keyword arguments.

use crate::{
    calls::enter,
    errors::{Outcome, type_name, wrong_type, wrong_value},
};
use kitedb::{
    FollowerOptions, OpenOptions, RepairOptions, RetentionWindows,
    telemetry::{ExporterOptions, OtlpHttpPushOptions, OtlpTransport, PrometheusOptions},
};
use kitedb_bindings::{Accent, Given, Members, Refused, options as members};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyString},
};

/// How Python spells what Rust says.
pub const ACCENT: Accent = Accent {
    name: str::to_owned,
    boolean: "True or False",
    whole: "an int",
    number: "a number",
    text: "a str",
    path: "a str or a path",
    texts: "a dict of str",
};

fn given(value: &Bound<'_, PyAny>) -> Outcome<Given> {
    Ok(if let Ok(v) = value.cast::<PyBool>() {
        Given::Bool(v.is_true())
    } else if value.is_instance_of::<PyInt>() {
        Given::Whole(value.extract()?)
    } else if value.is_instance_of::<PyFloat>() {
        Given::Float(value.extract()?)
    } else if let Ok(v) = value.cast::<PyString>() {
        Given::Text(v.to_str()?.to_owned())
    } else if let Ok(v) = value.cast::<PyDict>() {
        let texts = v.iter().map(|(name, text)| Ok((name.extract()?, text.extract()?))).collect::<PyResult<_>>();
        texts.map_or(Given::Other, Given::Texts)
    } else {
        value.extract().map_or(Given::Other, Given::Path)
    })
}

/// Reads options by their names; one that is None is not said.
fn read<O>(given_by_name: Option<&Bound<'_, PyDict>>, mut options: O, members: &Members<O>) -> Outcome<O> {
    enter();
    for (name, value) in given_by_name.into_iter().flat_map(|given| given.iter()) {
        let name = name.extract::<String>()?;
        // Without a value only the name can be wrong.
        let is_known = members.names().any(|known| known == name);
        if is_known && value.is_none() {
            continue;
        }
        let kind = format!("a {}", type_name(&value));
        options = members.set(options, &name, given(&value)?, &kind, &ACCENT).map_err(|refused| match refused {
            Refused::Type(what) => wrong_type(what),
            Refused::Value(what) => wrong_value(what),
            Refused::Engine(e) => e.into(),
        })?;
    }
    Ok(options)
}

pub fn follower(given: Option<&Bound<'_, PyDict>>) -> Outcome<FollowerOptions> {
    read(given, FollowerOptions::new(), &members::FOLLOWER)
}

pub fn windows(given: Option<&Bound<'_, PyDict>>) -> Outcome<RetentionWindows> {
    read(given, RetentionWindows::new(), &members::WINDOWS)
}

pub fn repair(given: Option<&Bound<'_, PyDict>>) -> Outcome<RepairOptions> {
    read(given, RepairOptions::new(), &members::REPAIR)
}

pub fn push(given: Option<&Bound<'_, PyDict>>) -> Outcome<OtlpHttpPushOptions> {
    read(given, OtlpHttpPushOptions::new(), &members::PUSH)
}

/// How a push goes: `json`, `protobuf` or `grpc`.
pub fn transport(word: &str) -> Outcome<OtlpTransport> {
    Ok(members::transport(word)?)
}

/// Its own options, and those of each push.
pub fn exporter(
    transport: OtlpTransport,
    endpoint: &str,
    given: Option<&Bound<'_, PyDict>>,
) -> Outcome<ExporterOptions> {
    let options = ExporterOptions::new(transport, endpoint);
    let Some(given) = given else { return Ok(options) };
    let (own, of_push) = (PyDict::new(given.py()), PyDict::new(given.py()));
    for (name, value) in given.iter() {
        let is_own = members::EXPORTER.names().any(|known| name.eq(known).unwrap_or(false));
        let to = if is_own { &own } else { &of_push };
        to.set_item(name, value)?;
    }
    Ok(read(Some(&own), options, &members::EXPORTER)?.push(push(Some(&of_push))?))
}

pub fn prometheus(given: Option<&Bound<'_, PyDict>>) -> Outcome<PrometheusOptions> {
    read(given, PrometheusOptions::new(), &members::PROMETHEUS)
}

/// Options of an open, to be given to more than one.
#[pyclass(frozen, name = "OpenOptions", module = "kitedb")]
#[derive(Clone)]
pub struct PyOpenOptions {
    options: OpenOptions,
    /// As they were given.
    given: String,
}

#[pymethods]
impl PyOpenOptions {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(options: Option<&Bound<'_, PyDict>>) -> Outcome<Self> {
        let mut given = Vec::new();
        for (name, value) in options.iter().flat_map(|options| options.iter()) {
            given.push(format!("{name}={}", value.repr()?));
        }
        Ok(Self { options: read(options, OpenOptions::new(), &members::OPEN)?, given: given.join(", ") })
    }

    fn __repr__(&self) -> String {
        format!("OpenOptions({})", self.given)
    }
}

/// The options of an open: those that are given as one, and over them those that are given by name.
pub fn open(base: Option<&Bound<'_, PyOpenOptions>>, given: Option<&Bound<'_, PyDict>>) -> Outcome<OpenOptions> {
    let base = base.map(|base| base.get().options.clone()).unwrap_or_default();
    read(given, base, &members::OPEN)
}
