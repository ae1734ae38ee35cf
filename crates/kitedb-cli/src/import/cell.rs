//! Cells of columns that have no type: each tells for itself what it is.

use super::number::{NoNumber, Number};
use kitedb_core::Value;

/// The value of a cell, and whether it looks like a number and is none: what would not print the same, and what stands in
/// quotes, is text.
pub fn infer(cell: &str, quoted: bool) -> (Option<Value>, bool) {
    let text = || Some(Value::String(cell.to_owned()));
    match cell {
        _ if quoted => (text(), false),
        "" => (None, false),
        "true" | "True" | "TRUE" => (Some(Value::Bool(true)), false),
        "false" | "False" | "FALSE" => (Some(Value::Bool(false)), false),
        _ => match Number::printed_as(cell) {
            Some(number) => (Some(number.into()), false),
            None => (text(), Number::read(cell.trim()) != Err(NoNumber::Other)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_values() {
        let text = |text: &str| Some(Value::String(text.to_owned()));
        for (cell, want) in [
            ("", None),
            ("  ", text("  ")),
            ("0", Some(Value::I64(0))),
            ("-12", Some(Value::I64(-12))),
            ("9223372036854775807", Some(Value::I64(i64::MAX))),
            ("9223372036854775808", text("9223372036854775808")),
            ("007", text("007")),
            ("-", text("-")),
            ("+5", text("+5")),
            ("-0", text("-0")),
            ("-9223372036854775809", text("-9223372036854775809")),
            ("1e-999", text("1e-999")),
            ("1.5", Some(Value::F64(1.5))),
            ("-.5", text("-.5")),
            ("0.25", Some(Value::F64(0.25))),
            ("1.10", text("1.10")),
            ("2.0", Some(Value::F64(2.0))),
            ("1e3", text("1e3")),
            ("1e-7", Some(Value::F64(1e-7))),
            ("1e300", Some(Value::F64(1e300))),
            ("12345e10", text("12345e10")),
            ("9007199254740993.0", text("9007199254740993.0")),
            ("0.1000000000000000055511151231257827", text("0.1000000000000000055511151231257827")),
            ("1e999", text("1e999")),
            ("1.2.3", text("1.2.3")),
            ("12 apples", text("12 apples")),
            (" 42", text(" 42")),
            ("nan", text("nan")),
            ("inf", text("inf")),
            ("true", Some(Value::Bool(true))),
            ("False", Some(Value::Bool(false))),
            (" padded text ", text(" padded text ")),
        ] {
            assert_eq!(infer(cell, false).0, want, "{cell:?}");
        }
        for cell in ["42", "true", "", " 42 "] {
            assert_eq!(infer(cell, true), (text(cell), false), "{cell:?}");
        }
        for (cell, looks) in
            [("1.10", true), ("007", true), (" 42", true), ("1e999", true), ("v1", false), ("42", false)]
        {
            assert_eq!(infer(cell, false).1, looks, "{cell:?}");
        }
    }
}
