//! Edge lists as SNAP, KONECT and many others publish them: `SRC DST [TYPE]`, separated by blanks.

use super::{
    Element, Item, MAX_LINE, Visit,
    columns::Columns,
    lines::{self, LONE_CR},
    notes::Seen,
    number::{NoNumber, Number},
    python,
    rows::Row,
};
use crate::{failure::Failure, render::number::counted};
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

/// What separates fields. Blanks of other kinds, as U+00A0, are part of a name.
const BLANKS: [char; 2] = [' ', '\t'];

/// Calls `visit` with every edge of `reader`; `columns` are its fields, if they are given. Returns what whoever imports it
/// is to know.
pub fn read(
    reader: impl BufRead,
    weighted: bool,
    columns: Option<&Columns>,
    failed: impl Fn(&io::Error) -> Failure,
    visit: Visit<'_>,
) -> Result<Vec<String>, Failure> {
    let (mut mixed, mut header) = (Seen::default(), Seen::default());
    let mut fields = if weighted { Fields::Weighted } else { Fields::Typed };
    let mut row = Row::default();
    lines::each(reader, MAX_LINE, failed, |line, text, _| {
        let element = text.and_then(|text| {
            if line == 1 {
                fields = first_line(text, fields)?;
                if is_header(text) {
                    header.note(line, text);
                }
            }
            if is_mixed(text) {
                mixed.note(line, text);
            }
            match columns {
                None => parse(text, fields),
                Some(columns) => in_columns(text, columns, &mut row),
            }
        });
        match element.transpose() {
            None => Ok(()),
            Some(element) => visit(Item { line, to: line, element }),
        }
    })?;
    let header = (header.times > 0).then(|| {
        format!(
            "the first line reads like a header, and was taken as an edge ({}): if it is one, begin it with #",
            header.place()
        )
    });
    let mixed = (mixed.times > 0).then(|| {
        format!(
            "{} both tabs and blanks between fields ({}), and each was taken as the end of a field: if names hold blanks, pass \
             --format csv --delimiter tab --no-header --columns src,dst",
            counted(mixed.times, "line has", "lines have"),
            mixed.place()
        )
    });
    Ok(header.into_iter().chain(mixed).collect())
}

/// Whether the first two fields are what columns of ends are called.
fn is_header(line: &str) -> bool {
    const NAMES: [&str; 8] = ["src", "source", "from", "fromnodeid", "dst", "target", "to", "tonodeid"];
    let mut names = words(line).take(2).map(|word| NAMES.iter().any(|name| word.eq_ignore_ascii_case(name)));
    names.next() == Some(true) && names.next() == Some(true)
}

/// Whether a tab and a blank each separate fields of a line.
fn is_mixed(line: &str) -> bool {
    line.contains('\t')
        && !line.starts_with(['#', '%'])
        && line.split('\t').any(|field| field.trim_matches(' ').contains(' ') && !field.contains('{'))
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
    let Some(text) = content(line)? else { return Ok(None) };
    let mut words = words(text);
    let Some(src) = words.next() else { return Ok(None) };
    let dst = words.next().ok_or_else(|| match src.contains([',', ';', '|']) {
        true => {
            "only one field: an edge needs SRC and DST, with blanks between them (is it a table? pass --format csv)"
        }
        false => "only one field: an edge needs SRC and DST",
    })?;
    // As networkx writes it.
    if words.clone().next().is_some_and(|third| third.starts_with('{')) {
        let dictionary = text.find('{').filter(|_| !src.contains('{') && !dst.contains('{'));
        let dictionary = dictionary
            .and_then(|at| text.get(at..))
            .ok_or("a name holds a `{`, and the third field begins with one")?;
        return Ok(Some(Element::edge(src, dst, None, python::props(dictionary)?)));
    }
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

/// What is on a line that is no comment, without the blanks around it.
fn content(line: &str) -> Result<Option<&str>, String> {
    if line.starts_with(['#', '%']) {
        return Ok(None);
    }
    match line.contains('\r') {
        true => Err(LONE_CR.to_owned()),
        false => Ok(Some(line.trim_matches(BLANKS))),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(BLANKS).filter(|word| !word.is_empty())
}

/// The edge on a line whose fields are these columns.
fn in_columns<'a>(line: &str, columns: &'a Columns, row: &'a mut Row) -> Result<Option<Element<'a>>, String> {
    let Some(text) = content(line)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    // One more than there may be tells.
    row.fill(words(text).take(columns.count() + 1));
    if row.len() != columns.count() {
        return Err(format!("{} fields, but --columns gives {}", words(text).count(), columns.count()));
    }
    columns.element(row, |_, _| {}).map(Some)
}

/// Whether a word is a number, be it one that cannot be stored.
fn is_number(word: &str) -> bool {
    Number::read(word) != Err(NoNumber::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::columns::Rows;
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
            // No separator, though Unicode calls it a blank.
            ("New\u{a0}York\tBoston", Typed, Some(edge("New\u{a0}York", "Boston", None, &[]))),
            ("1 2 {}", Typed, Some(edge("1", "2", None, &[]))),
            ("1 2 {'weight': 3}", Konect, Some(edge("1", "2", None, &[("weight", Value::I64(3))]))),
            ("1 2 {'a b': 'c d'}", Weighted, Some(edge("1", "2", None, &[("a b", Value::String("c d".to_owned()))]))),
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
            ("a,b", Typed, "pass --format csv"),
            ("a b\rc d", Typed, "carriage return"),
            ("1 2 {'weight'}", Typed, "no dictionary as networkx writes it"),
            ("{ 2 {}", Typed, "a name holds a `{`"),
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
    fn fields_are_what_columns_say() {
        let columns = Columns::named(&["src", "type", "dst", "weight:float"], Rows::Edges).unwrap();
        let mut row = Row::default();
        let want = edge("a", "b", Some("KNOWS"), &[("weight", Value::F64(1.0))]);
        assert_eq!(in_columns(" a KNOWS\tb 1", &columns, &mut row), Ok(Some(want)));
        assert_eq!(in_columns("# a comment", &columns, &mut row), Ok(None));
        assert_eq!(in_columns(" ", &columns, &mut row), Ok(None));
        for (line, phrase) in [("a b", "2 fields, but --columns gives 4"), ("a T b heavy", "the weight is heavy")] {
            assert!(in_columns(line, &columns, &mut row).unwrap_err().contains(phrase), "{line}");
        }
    }

    #[test]
    fn names_with_blanks_between_tabs_are_told() {
        let read = |text: &str| read(text.as_bytes(), false, None, |e| Failure::new(e), &mut |_| Ok(())).unwrap();
        assert!(read("New York\tBoston\n")[0].contains("1 line has both tabs and blanks"));
        assert!(read("Source Target\na b\n")[0].contains("reads like a header"));
        assert!(read("a\tb\nsource target\nc d\n# New York\tBoston\n1\t2\t{'a': 1}\n").is_empty());
    }

    #[test]
    fn the_first_line_tells_konect_and_matrix_market() {
        assert_eq!(first_line("% sym weighted", Typed), Ok(Konect));
        assert_eq!(first_line("# Directed graph", Typed), Ok(Typed));
        assert_eq!(first_line("1 2", Weighted), Ok(Weighted));
        assert!(first_line("%%MatrixMarket matrix coordinate", Typed).is_err());
    }
}
