//! Which columns mean what, and what rows become.

use super::*;
use kitedb_core::Value;

fn named(names: &[&str]) -> Result<Columns, String> {
    Columns::from_header(&Row::of(names), Rows::AsNamed)
}

fn keys(at: usize) -> Keys {
    Keys { at, space: None }
}

fn keys_of(at: usize, space: &str) -> Keys {
    Keys { at, space: Some(space.to_owned()) }
}

fn edges(src: Keys, dst: Keys, ty: Option<usize>) -> Shape {
    Shape::Edge { src, dst, ty, rank: None }
}

fn nodes(key: Keys, labels: Option<usize>) -> Shape {
    Shape::Node { key, labels }
}

fn element<'a>(columns: &'a Columns, row: &'a Row) -> Result<Element<'a>, String> {
    columns.element(row, |_, _| {})
}

#[test]
fn the_header_tells_nodes_from_edges() {
    for (header, want) in [
        (&["src", "dst"][..], edges(keys(0), keys(1), None)),
        (&["since", "Target", "Source", "Type"], edges(keys(2), keys(1), Some(3))),
        (&[":START_ID", ":END_ID", ":TYPE"], edges(keys(0), keys(1), Some(2))),
        (&["key", "label", "age"], nodes(keys(0), Some(1))),
        (&["name", "ID"], nodes(keys(1), None)),
        (&["id", "key"], nodes(keys(1), None)),
        (&["id:string", "source"], nodes(keys(0), None)),
        (&["name:ID(Person)", "age:int", ":LABEL"], nodes(keys_of(0, "Person"), Some(2))),
        (
            &[":start_id(Person)", "label", ":END_ID(Forum)", "x:TYPE"],
            edges(keys_of(0, "Person"), keys_of(2, "Forum"), Some(3)),
        ),
        (&["Person.id", "Person.id", "creationDate"], edges(keys_of(0, "Person"), keys_of(1, "Person"), None)),
        (&["Person.id", "Forum.id"], edges(keys_of(0, "Person"), keys_of(1, "Forum"), None)),
    ] {
        assert_eq!(named(header).unwrap().shape, want, "{header:?}");
    }
    let names = |header: &[&str]| named(header).unwrap().props.into_iter().map(|prop| prop.name).collect::<Vec<_>>();
    assert_eq!(names(&["id", "key", "", " age ", "x:y"]), ["id", "column3", "age", "x:y"]);
    assert_eq!(names(&["name:ID(Person)", "age:int", "a:IGNORE", ":LABEL"]), ["name", "age"]);
    assert_eq!(names(&["Person.id", "Person.id", "creationDate"]), ["creationDate"]);
    let quoted = Row::read("key,\" age \"", ',').unwrap();
    assert_eq!(Columns::from_header(&quoted, Rows::AsNamed).unwrap().props[0].name, " age ");
}

#[test]
fn a_table_that_could_be_either_is_asked_about() {
    let header = ["id", "src", "dst"];
    assert!(named(&header).unwrap_err().contains("pass --nodes or --edges"));
    let as_edges = Columns::named(&header, Rows::Edges).unwrap();
    assert_eq!((as_edges.shape, as_edges.props[0].name.as_str()), (edges(keys(1), keys(2), None), "id"));
    let as_nodes = Columns::named(&header, Rows::Nodes).unwrap();
    assert_eq!((as_nodes.shape, as_nodes.props.len()), (nodes(keys(0), None), 2));
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    for (header, phrase) in [
        (&["name", "age"][..], "neither `src` and `dst`"),
        (&["src", "weight"], "neither"),
        (&["key", "a", "a"], "two columns are called `a`"),
        (&["id|name"], "pass --delimiter '|'"),
        (&["src;dst"], "pass --delimiter ';'"),
        (&["src\tdst"], "pass --delimiter tab"),
        (&[":ID", "x:ID"], "two columns have the meaning"),
        (&[":ID", "born:datum"], "a type that is not known"),
        (&[":ID{id-type:thing}"], "an option that is not known"),
        (&["Person.id", "email"], "--columns says what they are"),
        (&["key", ":int"], "a type and no name"),
    ] {
        let error = named(header).unwrap_err();
        assert!(error.contains(phrase), "{header:?}: {error}");
    }
    assert!(Columns::named(&["src", "dst"], Rows::Nodes).unwrap_err().contains("no `key` or `id`"));
}

#[test]
fn rows_become_elements_or_say_what_is_wrong() {
    let people = named(&["key", "labels", "age"]).unwrap();
    assert_eq!(
        element(&people, &Row::of(&[" ada ", "Person; Poet;", "36"])),
        Ok(Element::node(" ada ", vec!["Person".into(), "Poet".into()], vec![("age".into(), Value::I64(36))]))
    );
    let known = named(&["src", "dst", "type", "w"]).unwrap();
    assert_eq!(element(&known, &Row::of(&["a", "b", "", ""])), Ok(Element::edge("a", "b", None, vec![])));
    let ranked = named(&["src", "dst", "Rank"]).unwrap();
    assert_eq!(ranked.shape, Shape::Edge { src: keys(0), dst: keys(1), ty: None, rank: Some(2) });
    for (cell, want) in [("", None), (" 0 ", Some(0)), ("7", Some(7)), ("9223372036854775807", Some(MAX_RANK))] {
        let want = Element::edge("a", "b", None, vec![]).with_rank(want);
        assert_eq!(element(&ranked, &Row::of(&["a", "b", cell])), Ok(want), "{cell}");
    }
    for cell in ["-1", "+7", "1.0", "second", "9223372036854775808"] {
        let error = element(&ranked, &Row::of(&["a", "b", cell])).unwrap_err();
        assert!(error.contains(cell) && error.contains("whole number between 0"), "{error}");
    }
    for (fields, phrase) in
        [(&["a", "b", "T"][..], "3 columns, but the header has 4"), (&["a", "", "T", ""], "the destination is empty")]
    {
        let error = element(&known, &Row::of(fields)).unwrap_err();
        assert!(error.contains(phrase), "{fields:?}: {error}");
    }
}

#[test]
fn a_key_of_a_space_is_none_of_another_one() {
    let people = named(&["name:ID(Person)", "age:int"]).unwrap();
    let props = vec![("name".into(), Value::String("1".to_owned())), ("age".into(), Value::I64(36))];
    assert_eq!(element(&people, &Row::of(&["1", "36"])), Ok(Element::node("Person:1", vec![], props)));
    assert!(element(&people, &Row::of(&["1", "old"])).unwrap_err().starts_with("the age is old"));
    let numbered = named(&["n:ID(P){id-type:long}"]).unwrap();
    let want = Element::node("P:7", vec![], vec![("n".into(), Value::I64(7))]);
    assert_eq!(element(&numbered, &Row::of(&["7"])), Ok(want));
    let member = named(&["Person.id", "Forum.id"]).unwrap();
    assert_eq!(element(&member, &Row::of(&["1", "1"])), Ok(Element::edge("Person:1", "Forum:1", None, vec![])));
}
