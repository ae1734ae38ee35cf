//! What lines are read as, and which are bad.

use super::*;
use kitedb_core::Value;

/// The element on one line.
fn parse(line: &str) -> Result<Option<Element<'static>>, String> {
    match parse_line(line)? {
        Some(Line::Element(element)) => Ok(Some(element)),
        None => Ok(None),
        other => panic!("{other:?}"),
    }
}

fn parse_line(line: &str) -> Result<Option<Line>, String> {
    let mut text = Text::new(line.as_bytes());
    text.next_line().unwrap();
    super::parse(&mut text).map_err(|fault| fault.to_string())
}

/// What a file says of itself, and its elements and bad lines.
fn read_all(file: &str) -> (Option<Envelope>, Vec<Result<(), String>>) {
    let mut items = Vec::new();
    let export = read(file.as_bytes(), |e| Failure::new(e), || Ok(()), &mut |item| {
        items.push(item.element.map(drop));
        Ok(())
    });
    (export.unwrap(), items)
}

#[test]
fn an_export_says_whether_it_is_whole() {
    let begin = r#"{"kitedb_export":1,"token":"1:5.9f3c21aa"}"#;
    let end = |lines: u64| {
        format!(r#"{{"end":{{"names":0,"nodes":2,"edges":0,"vectors":0,"lines":{lines},"digest":"0f"}}}}"#)
    };
    let nodes = "{\"key\":\"a\"}\n\n{\"key\":\"b\"}";
    for (file, lack) in [
        (format!("{begin}\n{nodes}\n{}\n", end(2)), None),
        (format!("\u{feff}{begin}\r\n{nodes}\r\n{}", end(2)), None),
        (format!("{begin}\n{nodes}\n{}\n", end(3)), Some("it holds 2 lines")),
        (format!("{begin}\n{nodes}\n"), Some("its last line is not there")),
        (format!("{begin}\n{nodes}\n{{\"key\":\"c"), Some("it breaks off in the middle of a line")),
        (format!("{begin}\n{nodes}\n{{\"end\":{{\"names\":0"), Some("it breaks off in the middle of a line")),
    ] {
        let (export, items) = read_all(&file);
        assert_eq!(items, [Ok(()), Ok(())], "{file}");
        let found = export.unwrap().lack();
        match lack {
            None => assert_eq!(found, None, "{file}"),
            Some(lack) => assert!(found.unwrap().contains(lack), "{file}"),
        }
    }
    assert_eq!(read_all(nodes), (None, vec![Ok(()), Ok(())]));
    for (file, phrase) in [
        (format!("{nodes}\n{}", end(2)), "an export ends here whose first line is not there"),
        (format!("{nodes}\n{begin}"), "an export begins here, and not with the first line"),
        (format!("{begin}\n{}\n{{\"key\":\"c\"}}", end(0)), "a line behind the end of an export"),
        (format!("{begin}\n{}\n{begin}", end(0)), "a line behind the end of an export"),
        (r#"{"end":{"names":0}}"#.to_owned(), "does not say how much it holds"),
    ] {
        let error = read_all(&file).1.pop().unwrap().unwrap_err();
        assert!(error.contains(phrase), "{file}: {error}");
    }
    let newer = read(r#"{"kitedb_export":2}"#.as_bytes(), |e| Failure::new(e), || Ok(()), &mut |_| Ok(()));
    assert!(newer.unwrap_err().message().contains("an export of version 2"));
}

fn node(key: &str, labels: &[&'static str], props: Props<'static>) -> Element<'static> {
    let labels = labels.iter().map(|label| Cow::Borrowed(*label)).collect();
    Element::node(key.to_owned(), labels, props)
}

fn edge(src: &'static str, dst: &'static str, ty: Option<&'static str>, props: Props<'static>) -> Element<'static> {
    Element::edge(src, dst, ty.map(Cow::Borrowed), props)
}

#[test]
fn a_line_is_a_node_or_an_edge() {
    for (line, want) in [
        (r#"{"type":"node","key":"ada"}"#, node("ada", &[], vec![])),
        (r#"{"key":"ada","label":"Person"}"#, node("ada", &["Person"], vec![])),
        (r#"{"id":7,"labels":["A","B"],"properties":null}"#, node("7", &["A", "B"], vec![])),
        (r#"{"type":"edge","src":"a","dst":"b"}"#, edge("a", "b", None, vec![])),
        (r#"{"source":"a","target":"b","label":"KNOWS"}"#, edge("a", "b", Some("KNOWS"), vec![])),
        (r#"{"type":"edge","from":"a","to":"b","edge_type":"KNOWS"}"#, edge("a", "b", Some("KNOWS"), vec![])),
        (r#"{"type":"KNOWS","src":"a","dst":"b"}"#, edge("a", "b", Some("KNOWS"), vec![])),
        (r#"{"src":1,"dst":2,"props":{"w":0.5}}"#, edge("1", "2", None, vec![("w".into(), Value::F64(0.5))])),
    ] {
        assert_eq!(parse(line), Ok(Some(want)), "{line}");
    }
    assert_eq!(parse("  "), Ok(None));
    // The digits of a key are what names the node, however many there are.
    assert_eq!(parse(r#"{"key":18446744073709551616}"#), Ok(Some(node("18446744073709551616", &[], vec![]))));
}

#[test]
fn a_line_of_an_export_keeps_ids() {
    let id = |id| NodeId(id);
    for (line, want) in [
        (
            r#"{"type":"name","kind":"edge_type","id":3,"name":"KNOWS"}"#,
            Element::Name { kind: NameKind::EdgeType, id: 3, name: "KNOWS".into() },
        ),
        (
            r#"{"type":"node","node_id":7,"vectors":{"v":[1,0.5,"NaN"]}}"#,
            Element::Node {
                id: Some(id(7)),
                key: None,
                labels: vec![],
                props: vec![],
                vectors: vec![("v".into(), vec![1.0, 0.5, f32::NAN])],
            },
        ),
        (
            r#"{"src_id":1,"dst_id":2,"label":"T"}"#,
            Element::Edge { src: End::Id(id(1)), dst: End::Id(id(2)), ty: Some("T".into()), rank: None, props: vec![] },
        ),
        (r#"{"src":"a","dst":"b","rank":7}"#, edge("a", "b", None, vec![]).with_rank(Some(7))),
        // With ends, it is an edge of this type.
        (r#"{"type":"name","src":"a","dst":"b"}"#, edge("a", "b", Some("name"), vec![])),
    ] {
        let read = parse(line).unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{want:?}"), "{line}");
    }
}

#[test]
fn every_kind_of_value_is_read() {
    let line = concat!(
        r#"{"key":"k","props":{"n":null,"b":true,"i":-3,"f":3.0,"s":"é","l":[1,[]],"m":{"x":{}},"#,
        r#""v":{"$vector":[1,2.5]},"d":{"$date":"2015-07-21"}}}"#
    );
    let Ok(Some(Element::Node { mut props, .. })) = parse(line) else { panic!("not a node") };
    props.sort_by(|a, b| a.0.cmp(&b.0));
    let want = [
        ("b", Value::Bool(true)),
        ("d", Value::Date("2015-07-21".parse().unwrap())),
        ("f", Value::F64(3.0)),
        ("i", Value::I64(-3)),
        ("l", Value::List(vec![Value::I64(1), Value::List(vec![])])),
        ("m", Value::Map([("x".to_owned(), Value::Map([].into()))].into())),
        ("n", Value::Null),
        ("s", Value::String("é".to_owned())),
        ("v", Value::Vector(vec![1.0, 2.5])),
    ];
    assert_eq!(props, want.map(|(name, value)| (Cow::Borrowed(name), value)));
}

#[test]
fn a_bad_line_says_what_is_wrong() {
    for (line, phrase) in [
        ("{", "not JSON: the line ends within its object, at column 1"),
        ("{} {}", "not JSON: there is more behind the object at column 4"),
        ("nonsense", "not a JSON object"),
        ("(", "not JSON: expected an object at column 1"),
        (r#"{"key":"a","key":"b"}"#, "the name `key` stands twice"),
        (r#"{"key":"a","props":{"x":1,"x":1}}"#, "two properties are called `x`"),
        (r#"{"key":"a","vectors":{"x":[1],"x":[1]}}"#, "two vectors are called `x`"),
        (r#"{"key":"a","props":{"x":{"y":1,"y":1}}}"#, "property x is an object in which the name `y` stands twice"),
        (r#"{"key":-0}"#, "`key` is the number -0: give a string"),
        (r#"{"node_id":18446744073709551616}"#, "`node_id` is 18446744073709551616: give a positive integer"),
        (r#"{"node_id":1.0}"#, "`node_id` is 1.0: give a positive integer"),
        (r#"{"src":"a","dst":"b","rank":1e400}"#, "the rank is 1e400"),
        (r#"{"key":"a","vectors":{"x":[1e39]}}"#, "the vector `x` is no array of 32-bit floats"),
        (r#"{"key":"a","props":{"x":-9223372036854775809}}"#, "property x is -9223372036854775809, which does not fit"),
        (r#"{"key":"a","props":{"x":1e400}}"#, "property x is 1e400, which is beyond"),
        ("[1]", "not a JSON object"),
        ("{}", "neither a node"),
        (r#"{"type":"vertex","key":"a"}"#, "`type` is `vertex`"),
        (r#"{"type":3,"key":"a"}"#, "`type` is a number"),
        (r#"{"type":"node"}"#, "a node without `key`"),
        (r#"{"key":""}"#, "`key` is empty"),
        (r#"{"key":1.5}"#, "`key` is the number 1.5: give a string"),
        (r#"{"key":"a","labels":[1]}"#, "`labels` is a number"),
        (r#"{"key":"a","prop":{}}"#, "unknown field `prop`"),
        (r#"{"key":"a","props":[]}"#, "`props` is an array"),
        (r#"{"key":"a","props":{"x":{"y":[{"$date":"z"}]}}}"#, "property x.y[0] is not what its tag says"),
        (r#"{"key":"a","props":{"x":{"$vector":[1e39]}}}"#, "property x[0] is not a 32-bit float"),
        (r#"{"key":"a","vectors":{"x":["y"]}}"#, "the vector `x` is no array of 32-bit floats"),
        (r#"{"key":"a","vectors":[]}"#, "`vectors` is an array: give an object"),
        (r#"{"node_id":"7"}"#, "`node_id` is a string: give a positive integer"),
        (r#"{"type":"name","kind":"node","id":1,"name":"A"}"#, "`kind` is `node`"),
        (r#"{"type":"name","kind":"label","id":4294967296,"name":"A"}"#, "does not fit 32 bits"),
        (r#"{"type":"name","kind":"label","name":"A"}"#, "a name without `id`"),
        (r#"{"key":"a","props":{"x":9223372036854775808}}"#, "does not fit a signed 64-bit integer"),
        (r#"{"type":"edge","src":"a"}"#, "an edge without `dst`"),
        (r#"{"src":"a","source":"b","dst":"c"}"#, "unknown field `source`"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(phrase), "{line}: {error}");
    }
}
