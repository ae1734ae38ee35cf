//! Statuses, metrics and other reports as plain objects: the fields that Rust has, in JavaScript's spelling.

use crate::wire::Writer;
use kitedb::ValueRef;
use kitedb_bindings::Told;

/// What is written as a plain value.
pub trait Report: kitedb_bindings::Report {
    fn put(&self, w: &mut Writer<'_>) {
        put(&self.told(), w);
    }
}

impl<T: kitedb_bindings::Report + ?Sized> Report for T {}

/// Writes what is told as a plain value.
pub fn put(told: &Told, w: &mut Writer<'_>) {
    match told {
        Told::Nothing => w.null(),
        Told::Bool(v) => w.value(ValueRef::Bool(*v)),
        Told::Unsigned(v) => w.number(*v),
        Told::Signed(v) => w.value(ValueRef::I64(*v)),
        Told::Float(v) => w.value(ValueRef::F64(*v)),
        Told::Text(v) => w.value(ValueRef::String(v)),
        Told::List(items) => {
            w.list(items.len());
            items.iter().for_each(|item| put(item, w));
        }
        Told::Object(_, fields) => put_fields(fields, w),
    }
}

/// Writes an object of fields.
pub fn put_fields(fields: &[(&'static str, Told)], w: &mut Writer<'_>) {
    w.object(fields.len());
    for (name, value) in fields {
        w.field(name);
        put(value, w);
    }
}
