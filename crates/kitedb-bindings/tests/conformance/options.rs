//! What is given by name, as Rust has it.

use crate::scene::Failure;
use kitedb::{Error, FollowerOptions, OpenOptions, RepairOptions, RetentionWindows};
use kitedb_bindings::{Accent, Given, Members, options};
use serde_json::Value as Json;

const ACCENT: Accent = Accent {
    name: str::to_owned,
    boolean: "true or false",
    whole: "a whole number",
    number: "a number",
    text: "a text",
    path: "a path",
    texts: "texts by names",
};

fn given(value: &Json) -> Given {
    match value {
        Json::Bool(v) => Given::Bool(*v),
        Json::String(v) => Given::Text(v.clone()),
        value => value.as_i64().map_or(Given::Other, |v| Given::Whole(v.into())),
    }
}

/// The members of what is given by name, each with its value.
fn each<O>(with: &Json, mut options: O, members: &Members<O>) -> Result<O, Failure> {
    for (name, value) in with.as_object().into_iter().flatten() {
        options = members.set(options, name, given(value), "another value", &ACCENT).map_err(Error::from)?;
    }
    Ok(options)
}

pub fn open(with: &Json) -> Result<OpenOptions, Failure> {
    each(with, OpenOptions::new(), &options::OPEN)
}

pub fn follower(with: &Json) -> Result<FollowerOptions, Failure> {
    each(with, FollowerOptions::new(), &options::FOLLOWER)
}

pub fn windows(with: &Json) -> Result<RetentionWindows, Failure> {
    each(with, RetentionWindows::new(), &options::WINDOWS)
}

pub fn repair(with: &Json) -> Result<RepairOptions, Failure> {
    each(with, RepairOptions::new(), &options::REPAIR)
}
