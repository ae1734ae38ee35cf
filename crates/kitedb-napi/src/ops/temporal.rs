//! Dates, times and durations as ISO 8601 text: the engine reads and writes it.

use super::Context;
use crate::{
    fault::Outcome,
    wire::{Reader, Writer},
};
use kitedb::{Date, DateTime, Duration, Error, LocalDateTime, LocalTime, Result, Time, Value};

/// The value that a text says, of the kind with that name.
pub fn temporal_parse(_: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    let (kind, text) = (r.text()?, r.text()?);
    let value = match kind {
        "date" => text.parse::<Date>().map(Value::Date),
        "local_time" => text.parse::<LocalTime>().map(Value::LocalTime),
        "time" => text.parse::<Time>().map(Value::Time),
        "local_date_time" => text.parse::<LocalDateTime>().map(Value::LocalDateTime),
        "date_time" => text.parse::<DateTime>().map(Value::DateTime),
        "duration" => text.parse::<Duration>().map(Value::Duration),
        other => Err(Error::invalid(format_args!("no temporal kind is called {other}"))),
    }?;
    put(w, &value);
    Ok(())
}

/// The text of a value.
pub fn temporal_text(_: &Context<'_>, r: &mut Reader<'_>, w: &mut Writer<'_>) -> Outcome {
    w.text(&text(&r.value()?)?);
    Ok(())
}

fn text(value: &Value) -> Result<String> {
    Ok(match value {
        Value::Date(v) => v.to_string(),
        Value::LocalTime(v) => v.to_string(),
        Value::Time(v) => v.to_string(),
        Value::LocalDateTime(v) => v.to_string(),
        Value::DateTime(v) => v.to_string(),
        Value::Duration(v) => v.to_string(),
        _ => return Err(Error::invalid("this value is no date, time or duration")),
    })
}

/// The numbers of a temporal value, in the order in which its class in JavaScript has them.
fn put(w: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Date(v) => w.i64(v.days()),
        Value::LocalTime(v) => w.u64(v.nanos()),
        Value::Time(v) => {
            w.u64(v.nanos());
            w.i32(v.offset_seconds());
        }
        Value::LocalDateTime(v) => {
            w.i64(v.seconds());
            w.u32(v.nanos());
        }
        Value::DateTime(v) => {
            w.i64(v.seconds());
            w.u32(v.nanos());
            w.i32(v.offset_seconds());
            w.text(v.zone().unwrap_or_default());
        }
        Value::Duration(v) => {
            w.i64(v.months());
            w.i64(v.days());
            w.i64(v.seconds());
            w.u32(v.nanos());
        }
        _ => {}
    }
}
