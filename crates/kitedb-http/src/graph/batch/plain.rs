//! What JSON says and its reader does not keep: a name that is there twice, and integers that are beyond those of 64 bits.

use crate::error::Failure;
use std::collections::HashSet;

/// Fails where a text, which is JSON, says something of which only a part would be read.
pub(super) fn require_plain(json: &str) -> Result<(), Failure> {
    let bytes = json.as_bytes();
    // Names of the objects that are open, and none of the lists.
    let mut open: Vec<Option<HashSet<String>>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let from = at;
        match byte {
            b'{' => open.push(Some(HashSet::new())),
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                at = end_of_text(bytes, from);
                let is_name = bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if let (true, Some(Some(names))) = (is_name, open.last_mut())
                    && let Ok(name) = serde_json::from_str::<String>(&json[from..at])
                    && let Some(name) = names.replace(name)
                {
                    return Err(Failure::malformed(format!(
                        "the body has the name '{name:.64}' twice in one object, before its byte {at}: which of the two is meant?"
                    )));
                }
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let is_of_number = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                at += bytes[from..].iter().take_while(|byte| is_of_number(byte)).count();
                let number = &json[from..at];
                if !is_kept(number) {
                    return Err(Failure::malformed(format!(
                        "the body has an integer that none of 64 bits holds, at its byte {from}: '{number:.40}'. A float is written with a \
                         point or an exponent"
                    )));
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Behind the quote that ends the text which begins there.
fn end_of_text(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether it is a float, or an integer that is read as one.
fn is_kept(number: &str) -> bool {
    let is_integer = !number.contains(['.', 'e', 'E']);
    let is_read = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    !is_integer || is_read && number != "-0"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn what_would_be_lost_is_refused() {
        for (json, says) in [
            (r#"{"a":1,"a":1}"#, "the name 'a' twice"),
            (r#"[{"b":{"\u0061":[],"x":2,"a" :1}}]"#, "the name 'a' twice"),
            (r#"{"n":18446744073709551616}"#, "an integer that none of 64 bits holds, at its byte 5"),
            ("[-9223372036854775809]", "'-9223372036854775809'"),
            ("[-0]", "'-0'"),
        ] {
            let error = require_plain(json).unwrap_err();
            assert!(format!("{error:?}").contains(says), "{json}: {error:?}");
        }
        for json in [
            "",
            r#"{"a":{"a":"a"},"b":[{"a":1},{"a":"\"a\":"}],"c":"\\"}"#,
            r#"{"n":[18446744073709551615,-9223372036854775808,-0.0,1e300,18446744073709551616.0,0]}"#,
            r#"["18446744073709551616","-0"]"#,
        ] {
            assert!(require_plain(json).is_ok(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(text in r#"[\[\]{}":,0-9a-e.\\ -]{0,40}|.*"#) {
            // It is asked of what is JSON; of what is not, it ends all the same.
            let plain = require_plain(&text);
            if let Ok(value) = serde_json::from_str::<Value>(&text) && plain.is_ok() {
                prop_assert!(require_plain(&value.to_string()).is_ok());
            }
        }
    }
}
