//! Edge lists as SNAP, KONECT and many others publish them: `SRC DST [TYPE]`, separated by blanks.

use super::{
    Element, Item, MAX_LINE, Visit, lines,
    number::{NoNumber, Number},
};
use crate::failure::Failure;
use std::{
    borrow::Cow,
    io::{self, BufRead},
};

/// What the fields of a line mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// `SRC DST [TYPE]`
    Typed,
    /// `SRC DST [WEIGHT [TIMESTAMP]]`
    Weighted,
    /// What the third field is tells: a number is a weight, anything else a type.
    Konect,
}

/// Calls `visit` with every edge of `reader`.
pub fn read(
    reader: impl BufRead,
    weighted: bool,
    failed: impl Fn(&io::Error) -> Failure,
    visit: Visit<'_>,
) -> Result<(), Failure> {
    let mut fields = if weighted { Fields::Weighted } else { Fields::Typed };
    lines::each(reader, MAX_LINE, failed, |line, text| {
        let element = text.and_then(|text| {
            if line == 1 {
                fields = first_line(text, fields)?;
            }
            parse(text, fields)
        });
        match element.transpose() {
            None => Ok(()),
            Some(element) => visit(Item { line, element }),
        }
    })
}

/// What the first line says of the others: KONECT begins its lists, many of which are weighted, with a `%`.
fn first_line(text: &str, fields: Fields) -> Result<Fields, String> {
    if text.starts_with("%%MatrixMarket") {
        return Err(
            "a Matrix Market file, not an edge list: take off its head, up to and with the line of sizes".into()
        );
    }
    Ok(if text.starts_with('%') && fields == Fields::Typed { Fields::Konect } else { fields })
}

/// The edge on a line; none if the line is blank or a comment.
pub fn parse(line: &str, fields: Fields) -> Result<Option<Element<'_>>, String> {
    if line.starts_with(['#', '%']) {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let Some(src) = words.next() else { return Ok(None) };
    let dst = words.next().ok_or("only one field: an edge needs SRC and DST")?;
    let fields = match fields {
        Fields::Konect if words.clone().next().is_none_or(is_number) => Fields::Weighted,
        Fields::Konect => Fields::Typed,
        fields => fields,
    };
    let (mut ty, mut props) = (None, Vec::new());
    if fields == Fields::Typed {
        ty = words.next().map(Cow::Borrowed);
    } else {
        // The names come first: `zip` takes from the words only while there is a name for them.
        for (name, word) in ["weight", "timestamp"].into_iter().zip(words.by_ref()) {
            let value = Number::read(word).map_err(|no| format!("the {name} is {}", no.of(word)))?;
            props.push((Cow::Borrowed(name), value.into()));
        }
    }
    if let Some(extra) = words.next() {
        let shape = if fields == Fields::Typed { "SRC DST [TYPE]" } else { "SRC DST [WEIGHT [TIMESTAMP]]" };
        return Err(format!("one field too many, `{extra}`: a line is {shape}"));
    }
    Ok(Some(Element::edge(src, dst, ty, props)))
}

/// Whether a word is a number, be it one that cannot be stored.
fn is_number(word: &str) -> bool {
    Number::read(word) != Err(NoNumber::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fields::{Konect, Typed, Weighted};
    use kitedb_core::Value;

    fn edge(
        src: &'static str,
        dst: &'static str,
        ty: Option<&'static str>,
        props: &[(&'static str, Value)],
    ) -> Element<'static> {
        let props = props.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect();
        Element::edge(src, dst, ty.map(Cow::Borrowed), props)
    }

    #[test]
    fn a_line_is_an_edge_or_nothing() {
        for (line, fields, want) in [
            ("1 2", Typed, Some(edge("1", "2", None, &[]))),
            ("  ada\tcharles  KNOWS ", Typed, Some(edge("ada", "charles", Some("KNOWS"), &[]))),
            ("1 2 3", Typed, Some(edge("1", "2", Some("3"), &[]))),
            ("1 2 -3", Weighted, Some(edge("1", "2", None, &[("weight", Value::I64(-3))]))),
            (
                "1 2 0.5 1082040961",
                Weighted,
                Some(edge("1", "2", None, &[("weight", Value::F64(0.5)), ("timestamp", Value::I64(1_082_040_961))])),
            ),
            ("1 2", Konect, Some(edge("1", "2", None, &[]))),
            ("1 2 1", Konect, Some(edge("1", "2", None, &[("weight", Value::I64(1))]))),
            ("1 2 KNOWS", Konect, Some(edge("1", "2", Some("KNOWS"), &[]))),
            ("", Typed, None),
            (" \t", Typed, None),
            ("# FromNodeId\tToNodeId", Typed, None),
            ("% asym weighted", Typed, None),
        ] {
            assert_eq!(parse(line, fields), Ok(want), "{line:?}");
        }
    }

    #[test]
    fn a_bad_line_says_what_is_wrong() {
        for (line, fields, phrase) in [
            ("1", Typed, "only one field"),
            ("1 2 KNOWS 4", Typed, "one field too many, `4`"),
            ("1 2 3 4 5", Weighted, "one field too many, `5`"),
            ("1 2 KNOWS", Weighted, "the weight is KNOWS, which is not a number"),
            ("1 2 9223372036854775808", Weighted, "the weight is 9223372036854775808, which does not fit"),
            ("1 2 9223372036854775808", Konect, "the weight is 9223372036854775808, which does not fit"),
            ("1 2 1 -9223372036854775809", Weighted, "the timestamp is -9223372036854775809, which does not fit"),
            ("1 2 -0", Weighted, "the weight is -0, which no integer is"),
            ("1 2 1e400", Weighted, "the weight is 1e400, which is beyond"),
            ("1 2 KNOWS 4", Konect, "one field too many"),
            ("1 2 nan", Weighted, "not a number"),
        ] {
            let error = parse(line, fields).unwrap_err();
            assert!(error.contains(phrase), "{line:?}: {error}");
        }
    }

    #[test]
    fn the_first_line_tells_konect_and_matrix_market() {
        assert_eq!(first_line("% sym weighted", Typed), Ok(Konect));
        assert_eq!(first_line("# Directed graph", Typed), Ok(Typed));
        assert_eq!(first_line("1 2", Weighted), Ok(Weighted));
        assert!(first_line("%%MatrixMarket matrix coordinate", Typed).is_err());
    }
}
