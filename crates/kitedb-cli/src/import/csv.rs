//! Tables: the header decides whether rows are nodes or edges.

use super::{
    Element, Item, Props, Visit, name, no_rank,
    number::Number,
    rows::{self, Row},
};
use crate::failure::Failure;
use kitedb_core::{MAX_RANK, Value};
use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, BufRead},
};

const SRC: &[&str] = &["src", "source", "from", ":start_id"];
const DST: &[&str] = &["dst", "target", "to", ":end_id"];
const TYPE: &[&str] = &["type", "edge_type", ":type"];
const RANK: &[&str] = &["rank", ":rank"];
const KEY: &[&str] = &["key", "id", ":id"];
const LABELS: &[&str] = &["labels", "label", ":label"];

/// What the columns of a table mean.
#[derive(Debug, PartialEq)]
pub struct Columns {
    shape: Shape,
    /// Property columns, in order.
    props: Vec<(usize, String)>,
    count: usize,
}

#[derive(Debug, PartialEq)]
enum Shape {
    Node { key: usize, labels: Option<usize> },
    Edge { src: usize, dst: usize, ty: Option<usize>, rank: Option<usize> },
}

/// Calls `visit` with every row of the table in `reader`, once `accept` took its columns.
pub fn read(
    reader: impl BufRead,
    delimiter: u8,
    failed: impl Fn(&io::Error) -> Failure,
    accept: impl Fn(&Columns) -> Result<(), Failure>,
    visit: Visit<'_>,
) -> Result<(), Failure> {
    let mut columns = None;
    rows::each(reader, delimiter.into(), &failed, |line, row| {
        let Some(columns) = &columns else {
            // A table that cannot be understood has no good rows to go on with.
            let header = row.and_then(Columns::from_header);
            let bad = |what| failed(&io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {what}")));
            let read = header.map_err(bad)?;
            accept(&read)?;
            columns = Some(read);
            return Ok(());
        };
        visit(Item { line, element: row.and_then(|row| columns.element(row)) })
    })
}

impl Columns {
    /// Reads the first row.
    pub fn from_header(header: &Row) -> Result<Self, String> {
        let mut names = Vec::with_capacity(header.len());
        for (at, field) in header.iter().enumerate() {
            let field = field.trim();
            names.push(if field.is_empty() { format!("column{}", at + 1) } else { field.to_owned() });
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(format!("two columns are called `{twice}`"));
        }
        let find = |spellings: &[&str]| {
            spellings.iter().find_map(|wanted| names.iter().position(|name| name.eq_ignore_ascii_case(wanted)))
        };
        let (shape, taken) = match (find(SRC), find(DST), find(KEY)) {
            (Some(src), Some(dst), _) => {
                let (ty, rank) = (find(TYPE), find(RANK));
                (Shape::Edge { src, dst, ty, rank }, [Some(src), Some(dst), ty, rank])
            }
            (_, _, Some(key)) => {
                let labels = find(LABELS);
                (Shape::Node { key, labels }, [Some(key), labels, None, None])
            }
            _ => {
                return Err(format!(
                    "the header has neither `src` and `dst` (edges) nor `key` or `id` (nodes), but {}",
                    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                ));
            }
        };
        let count = names.len();
        let props = names.into_iter().enumerate().filter(|(at, _)| !taken.contains(&Some(*at))).collect();
        Ok(Self { shape, props, count })
    }

    /// Whether its rows are nodes.
    pub fn are_nodes(&self) -> bool {
        matches!(self.shape, Shape::Node { .. })
    }

    /// The node or edge that a row stands for.
    pub fn element<'a>(&'a self, row: &'a Row) -> Result<Element<'a>, String> {
        if row.len() != self.count {
            return Err(format!("{} columns, but the header has {}", row.len(), self.count));
        }
        let mut props = Props::with_capacity(self.props.len());
        for (at, name) in &self.props {
            if let Some(value) = infer(row.get(*at)) {
                props.push((Cow::Borrowed(name), value));
            }
        }
        Ok(match self.shape {
            Shape::Node { key, labels } => {
                let labels = labels.map_or("", |at| row.get(at)).split(';').map(str::trim);
                let labels = labels.filter(|label| !label.is_empty()).map(Cow::Borrowed).collect();
                Element::node(name(row.get(key), "key")?, labels, props)
            }
            Shape::Edge { src, dst, ty, rank } => {
                let ty = ty.map_or("", |at| row.get(at)).trim();
                let ty = (!ty.is_empty()).then_some(Cow::Borrowed(ty));
                let rank = rank.map_or(Ok(None), |at| read_rank(row.get(at).trim()))?;
                let (src, dst) = (name(row.get(src), "source")?, name(row.get(dst), "destination")?);
                Element::edge(src, dst, ty, props).with_rank(rank)
            }
        })
    }
}

fn read_rank(cell: &str) -> Result<Option<u64>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    let digits = cell.bytes().all(|byte| byte.is_ascii_digit());
    let rank = cell.parse().ok().filter(|rank| digits && *rank <= MAX_RANK);
    rank.map(Some).ok_or_else(|| no_rank(format_args!("`{cell}`")))
}

/// The value of a cell. What would not be written back the same (leading zeros, more digits than fit) stays text.
pub fn infer(cell: &str) -> Option<Value> {
    let word = cell.trim();
    let digits = word.strip_prefix('-').unwrap_or(word);
    Some(match word {
        "" => return None,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') => text_value(cell),
        _ if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") && !digits.starts_with("0e") => {
            text_value(cell)
        }
        _ => Number::read(word).map_or_else(|_| text_value(cell), Value::from),
    })
}

fn text_value(cell: &str) -> Value {
    Value::String(cell.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[&str]) -> Row {
        Row::of(fields)
    }

    #[test]
    fn the_header_tells_nodes_from_edges() {
        for (header, want) in [
            (&["src", "dst"][..], Shape::Edge { src: 0, dst: 1, ty: None, rank: None }),
            (&["since", "Target", "Source", "Type"], Shape::Edge { src: 2, dst: 1, ty: Some(3), rank: None }),
            (&[":START_ID", ":END_ID", ":TYPE"], Shape::Edge { src: 0, dst: 1, ty: Some(2), rank: None }),
            (&["id", "src", "dst"], Shape::Edge { src: 1, dst: 2, ty: None, rank: None }),
            (&["key", "label", "age"], Shape::Node { key: 0, labels: Some(1) }),
            (&["name", "ID"], Shape::Node { key: 1, labels: None }),
            (&["id", "key"], Shape::Node { key: 1, labels: None }),
        ] {
            assert_eq!(Columns::from_header(&row(header)).unwrap().shape, want, "{header:?}");
        }
        let props = Columns::from_header(&row(&["id", "key", "", " age "])).unwrap().props;
        assert_eq!(props, [(0, "id".to_owned()), (2, "column3".to_owned()), (3, "age".to_owned())]);
    }

    #[test]
    fn a_header_that_makes_no_sense_is_refused() {
        for (header, phrase) in [
            (&["name", "age"][..], "neither `src` and `dst`"),
            (&["src", "weight"], "neither"),
            (&["key", "a", "a"], "two columns are called `a`"),
        ] {
            let error = Columns::from_header(&row(header)).unwrap_err();
            assert!(error.contains(phrase), "{header:?}: {error}");
        }
    }

    #[test]
    fn cells_become_values() {
        let text = |text: &str| Some(Value::String(text.to_owned()));
        for (cell, want) in [
            ("", None),
            ("  ", None),
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
            ("-.5", Some(Value::F64(-0.5))),
            ("0.25", Some(Value::F64(0.25))),
            ("1e3", Some(Value::F64(1000.0))),
            ("1e999", text("1e999")),
            ("1.2.3", text("1.2.3")),
            ("12 apples", text("12 apples")),
            ("nan", text("nan")),
            ("inf", text("inf")),
            ("true", Some(Value::Bool(true))),
            ("False", Some(Value::Bool(false))),
            (" padded text ", text(" padded text ")),
        ] {
            assert_eq!(infer(cell), want, "{cell:?}");
        }
    }

    #[test]
    fn rows_become_elements_or_say_what_is_wrong() {
        let nodes = Columns::from_header(&row(&["key", "labels", "age"])).unwrap();
        assert_eq!(
            nodes.element(&row(&[" ada ", "Person; Poet;", "36"])),
            Ok(Element::node("ada", vec!["Person".into(), "Poet".into()], vec![("age".into(), Value::I64(36))]))
        );
        let edges = Columns::from_header(&row(&["src", "dst", "type", "w"])).unwrap();
        assert_eq!(edges.element(&row(&["a", "b", "", ""])), Ok(Element::edge("a", "b", None, vec![])));
        let ranked = Columns::from_header(&row(&["src", "dst", "Rank"])).unwrap();
        assert_eq!(ranked.shape, Shape::Edge { src: 0, dst: 1, ty: None, rank: Some(2) });
        for (cell, want) in [("", None), (" 0 ", Some(0)), ("7", Some(7)), ("9223372036854775807", Some(MAX_RANK))] {
            let want = Element::edge("a", "b", None, vec![]).with_rank(want);
            assert_eq!(ranked.element(&row(&["a", "b", cell])), Ok(want), "{cell}");
        }
        for cell in ["-1", "+7", "1.0", "second", "9223372036854775808"] {
            let error = ranked.element(&row(&["a", "b", cell])).unwrap_err();
            assert!(error.contains(cell) && error.contains("whole number between 0"), "{error}");
        }
        for (fields, phrase) in [
            (&["a", "b", "T"][..], "3 columns, but the header has 4"),
            (&["a", " ", "T", ""], "the destination is empty"),
        ] {
            let error = edges.element(&row(fields)).unwrap_err();
            assert!(error.contains(phrase), "{fields:?}: {error}");
        }
    }
}
