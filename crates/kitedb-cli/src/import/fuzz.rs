//! Text that nobody meant: every importer takes it apart or says what is wrong and where, without a panic, and makes no more
//! of it than there is. `PROPTEST_CASES` says how many texts are tried.

use super::{
    Element, Item,
    columns::{Columns, Rows},
    csv, edgelist, jsonl, python,
};
use crate::failure::Failure;
use proptest::{collection::vec, prelude::*, sample::select};

/// What the formats are made of, and what they trip over.
const PIECES: &[&[u8]] = &[
    b"a",
    b"b",
    b"key",
    b"id",
    b"src",
    b"dst",
    b"type",
    b"labels",
    b"rank",
    b":ID",
    b":START_ID(P)",
    b":END_ID",
    b":LABEL",
    b":int",
    b":string[]",
    b"{id-type:",
    b"Person.id",
    b",",
    b";",
    b"|",
    b"\t",
    b" ",
    b"\"",
    b"\"\"",
    b"'",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xc2\xa0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b":",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"1",
    b"-0",
    b"007",
    b"1.10",
    b"1e400",
    b"1e-400",
    b"9223372036854775808",
    b"9007199254740993.0",
    b"true",
    b"None",
    b"nan",
    b"null",
    b"{\"key\":\"a\"",
    b"{\"src\":\"a\",\"dst\":",
    b"\"props\":{\"x\":",
    b"\"vectors\":{\"v\":[1",
    b"{\"$date\":\"",
    b"{\"$vector\":[",
    b"{\"$bytes\":\"",
    b"{\"kitedb_export\":1}",
    b"{\"end\":{\"names\":",
    b"1 2 {'w': ",
    b"%",
    b"#",
    b"% sym\n",
    b"%%MatrixMarket",
    b"key,x\n",
    b"src,dst,type,rank\n",
    b"id|name\n",
    b":ID,age:int\n",
    b"name:ID(P),tags:float[],:LABEL\n",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![9 => select(PIECES).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// What became of a text.
#[derive(Default)]
struct Seen {
    last: u64,
    size: usize,
    wrong: Option<String>,
}

impl Seen {
    fn see(&mut self, item: Item<'_>) -> Result<(), Failure> {
        let is_told = |what: &str| !what.is_empty() && what.len() < 2000;
        if item.line == 0 || item.line < self.last {
            self.wrong = Some(format!("line {} after {}", item.line, self.last));
        }
        self.last = item.line;
        match &item.element {
            Ok(element) => self.size += element.size(),
            Err(what) if is_told(what) => {}
            Err(what) => self.wrong = Some(format!("line {}: {what:?}", item.line)),
        }
        Ok(())
    }

    /// Checks it against the text, and against how the reading ended.
    fn check<T>(self, text: &[u8], ended: Result<T, Failure>) {
        assert_eq!(self.wrong, None);
        let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        assert!(self.last <= lines, "line {} of {lines}", self.last);
        // A row has all the properties of its header, and each takes more in memory than a separator does in the file.
        assert!(self.size <= 400 * (text.len() + 1) * (1 + text.len() / 4), "{} bytes of {}", self.size, text.len());
        if let Err(failure) = ended {
            let has_place = ["line ", "it is empty", "--columns"].iter().any(|place| failure.message().contains(place));
            assert!(has_place, "{}", failure.message());
        }
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::new(error)
}

proptest! {
    #[test]
    fn any_text_is_a_table_or_says_what_is_wrong(
        text in text(),
        delimiter in select(b",;|\t ".as_slice()),
        columns in select(vec![None, Some("src,type,dst,weight:float"), Some("id"), Some("a:ID(X),b:IGNORE,c:int[]"), Some("")]),
        no_header: bool,
        rows in select(vec![Rows::AsNamed, Rows::Nodes, Rows::Edges]),
    ) {
        let columns: Option<Vec<_>> = columns.map(|names| names.split(',').map(str::to_owned).collect());
        let no_header = no_header && columns.is_some();
        let mut seen = Seen::default();
        let table = csv::Table { delimiter, rows, columns, no_header };
        let ended = csv::read(text.as_slice(), &table, failed, |_| Ok(()), &mut |item| seen.see(item));
        seen.check(&text, ended);
    }

    #[test]
    fn any_text_is_an_edge_list_or_says_what_is_wrong(text in text(), weighted: bool, in_columns: bool) {
        let columns = in_columns.then(|| Columns::named(&["src", "type", "dst", "w:float"], Rows::Edges).unwrap());
        let mut seen = Seen::default();
        let ended = edgelist::read(text.as_slice(), weighted, columns.as_ref(), failed, &mut |item| seen.see(item));
        seen.check(&text, ended);
    }

    #[test]
    fn any_text_is_json_lines_or_says_what_is_wrong(text in text()) {
        let mut seen = Seen::default();
        let ended = jsonl::read(text.as_slice(), failed, || Ok(()), &mut |item| seen.see(item));
        seen.check(&text, ended);
    }

    /// A line that is right but for a byte.
    #[test]
    fn a_line_that_is_nearly_right_is_read_or_says_what_is_wrong(at in 0..200_usize, byte: u8, cut: bool) {
        const LINE: &[u8] = br#"{"key":"ada","labels":["P"],"props":{"b":1815,"l":[0.5,{"$date":"2015-07-21"}],"t":"\u00e9"},"vectors":{"v":[1,2]}}"#;
        let mut text = LINE.to_vec();
        let at = at % text.len();
        if cut { text.truncate(at) } else { text[at] = byte }
        let mut seen = Seen::default();
        let ended = jsonl::read(text.as_slice(), failed, || Ok(()), &mut |item| seen.see(item));
        seen.check(&text, ended);
    }

    #[test]
    fn any_text_is_a_dictionary_of_python_or_says_what_is_wrong(text in text()) {
        let text = String::from_utf8_lossy(&text);
        if let Err(what) = python::props(&format!("{{{text}")) {
            prop_assert!(!what.is_empty() && what.len() < 2000, "{}", what);
        }
    }

    /// Each cell is what it says: what is printed of a number is the cell.
    #[test]
    fn every_cell_that_becomes_a_number_prints_as_it_stands(cell in "[-+0-9.eE ]{0,12}") {
        let text = format!("key,x\na,{cell}\n");
        let table = csv::Table { delimiter: b',', ..csv::Table::default() };
        let mut found = None;
        csv::read(text.as_bytes(), &table, failed, |_| Ok(()), &mut |item| {
            if let Ok(Element::Node { props, .. }) = item.element {
                found = props.into_iter().next().map(|(_, value)| value);
            }
            Ok(())
        }).unwrap();
        let printed = found.map(|value| match value {
            kitedb_core::Value::String(text) => text,
            value => crate::render::value::text(&value),
        });
        prop_assert_eq!(printed.unwrap_or_default(), cell);
    }
}
