//! Dictionaries as Python prints them: what networkx writes behind the two nodes of an edge.

use super::{MAX_ITEMS, Props, number::Number, too_many};
use kitedb_core::{Value, graph::MAX_DEPTH};
use std::{borrow::Cow, collections::BTreeMap};

/// The properties that a text such as `{'weight': 0.5, 'color': 'red'}` names.
pub fn props(text: &str) -> Result<Props<'static>, String> {
    let mut reader = Reader { text, rest: text, values: 0 };
    let entries = reader.dict(0)?;
    reader.skip_blanks();
    if !reader.rest.is_empty() {
        return Err(reader.not_python("there is more behind the dictionary"));
    }
    entries
        .into_iter()
        .map(|(name, value)| match name.is_empty() {
            true => Err("a property without a name".to_owned()),
            false => Ok((Cow::Owned(name), value)),
        })
        .collect()
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
    /// How many values were read.
    values: usize,
}

impl Reader<'_> {
    fn not_python(&self, what: &str) -> String {
        let at = self.text.len() - self.rest.len() + 1;
        format!("no dictionary as networkx writes it: {what}, at column {at} of `{:.40}`", self.text)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Whether that sign comes next, which is passed over then.
    fn takes(&mut self, sign: char) -> bool {
        self.skip_blanks();
        let after = self.rest.strip_prefix(sign);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn must_take(&mut self, sign: char) -> Result<(), String> {
        if self.takes(sign) { Ok(()) } else { Err(self.not_python(&format!("expected `{sign}`"))) }
    }

    /// Items up to `close`, with commas between them.
    fn items(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        while !self.takes(close) {
            item(self)?;
            if !self.takes(',') {
                return self.must_take(close);
            }
        }
        Ok(())
    }

    fn dict(&mut self, depth: usize) -> Result<Vec<(String, Value)>, String> {
        self.must_take('{')?;
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        self.items('}', |reader| {
            reader.skip_blanks();
            let name = match reader.rest.chars().next() {
                Some(quote @ ('\'' | '"')) => reader.string(quote)?,
                None => return Err(reader.not_python("it is not closed")),
                Some(_) => return Err(reader.not_python("a name is no text in quotes")),
            };
            if !names.insert(name.clone()) {
                return Err(format!("the name `{name:.64}` stands twice"));
            }
            reader.must_take(':')?;
            let value = reader.value(depth + 1)?;
            entries.push((name, value));
            Ok(())
        })?;
        Ok(entries)
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.values += 1;
        if self.values > MAX_ITEMS {
            return Err(too_many());
        }
        if depth > MAX_DEPTH {
            return Err(self.not_python(&format!("it is nested more than {MAX_DEPTH} deep")));
        }
        self.skip_blanks();
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => self.string(quote).map(Value::String),
            Some('{') => Ok(Value::Map(self.dict(depth)?.into_iter().collect::<BTreeMap<_, _>>())),
            Some(open @ ('[' | '(')) => {
                self.must_take(open)?;
                let mut items = Vec::new();
                self.items(if open == '[' { ']' } else { ')' }, |reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::List(items))
            }
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let end = self.rest.find([',', '}', ']', ')', ' ', '\t', ':', '\'', '"', '{', '[', '(']);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            "nan" => Value::F64(f64::NAN),
            "inf" => Value::F64(f64::INFINITY),
            "-inf" => Value::F64(f64::NEG_INFINITY),
            "" => return Err(self.not_python("expected a value")),
            _ => Number::read(word).map_err(|no| format!("a value is {}", no.of(word)))?.into(),
        };
        self.rest = rest;
        Ok(value)
    }

    /// A text in quotes, whose escapes are those of Python.
    fn string(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, next)) = chars.next() {
            match next {
                _ if next == quote => {
                    self.rest = self.rest.get(at + next.len_utf8()..).unwrap_or_default();
                    return Ok(text);
                }
                '\\' => {
                    let escape = chars.next().map(|(_, escape)| escape);
                    let mut hex = |digits: usize| {
                        let code: String = chars.by_ref().take(digits).map(|(_, digit)| digit).collect();
                        let is_hex = code.len() == digits && code.bytes().all(|digit| digit.is_ascii_hexdigit());
                        u32::from_str_radix(&code, 16).ok().filter(|_| is_hex).and_then(char::from_u32)
                    };
                    let read = match escape {
                        Some('n') => Some('\n'),
                        Some('r') => Some('\r'),
                        Some('t') => Some('\t'),
                        Some(same @ ('\\' | '\'' | '"')) => Some(same),
                        Some('x') => hex(2),
                        Some('u') => hex(4),
                        Some('U') => hex(8),
                        _ => None,
                    };
                    text.push(read.ok_or_else(|| self.not_python("an escape that Python does not write"))?);
                }
                _ => text.push(next),
            }
        }
        Err(self.not_python("a quote is not closed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_becomes_properties() {
        let read = props(r#"{'weight': 0.5, "it's": 'a\'b\xe9', 'n': -3, 'l': [1, (2,), {}], 'ok': True, 'no': None}"#);
        let list = Value::List(vec![Value::I64(1), Value::List(vec![Value::I64(2)]), Value::Map(BTreeMap::new())]);
        let want = vec![
            ("weight".into(), Value::F64(0.5)),
            ("it's".into(), Value::String("a'bé".to_owned())),
            ("n".into(), Value::I64(-3)),
            ("l".into(), list),
            ("ok".into(), Value::Bool(true)),
            ("no".into(), Value::Null),
        ];
        assert_eq!(read, Ok(want));
        assert_eq!(props("{}"), Ok(vec![]));
        assert_eq!(props("{'w': 1e-07}"), Ok(vec![("w".into(), Value::F64(1e-7))]));
    }

    #[test]
    fn what_is_no_dictionary_says_where() {
        for (text, phrase) in [
            ("{", "it is not closed, at column 2"),
            ("{'a'}", "expected `:`"),
            ("{'a': }", "expected a value"),
            ("{'a': 1, 'a': 2}", "the name `a` stands twice"),
            ("{'a': 1} x", "there is more behind"),
            ("{'a': 'x}", "a quote is not closed"),
            ("{'a': '\\q'}", "an escape"),
            ("{1: 2}", "a name is no text"),
            ("{'a': 1e400}", "which is beyond"),
            ("{'a': x}", "not a number"),
            ("{'': 1}", "a property without a name"),
        ] {
            let error = props(text).unwrap_err();
            assert!(error.contains(phrase), "{text}: {error}");
        }
        let deep = format!("{{'a': {}1{}}}", "[".repeat(200), "]".repeat(200));
        assert!(props(&deep).unwrap_err().contains("nested more than"));
        assert_eq!(props(&format!("{{'a': [{}]}}", "1,".repeat(1 << 20))), Err(too_many()));
    }
}
