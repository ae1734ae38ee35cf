//! What can be asked of a node or an edge by name: a property, or what it is besides.

use super::scanner::{Fault, Scanner};
use kitedb_core::{AllTypes, EdgeRef, GraphRead, NodeRef, Result, Value, graph::RESERVED_PROPERTY};
use std::fmt;

/// What the names of a text are names of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Node,
    Edge,
}

/// What is no property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    Key,
    Id,
    Degree,
    OutDegree,
    InDegree,
    Type,
    From,
    To,
    Rank,
}

/// By a bare name what an element is, or else its property; by a name in quotes always its property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Own(Own),
    Property(String),
}

const OF_NODES: &[(&str, Own)] = &[
    ("key", Own::Key),
    (RESERVED_PROPERTY, Own::Key),
    ("id", Own::Id),
    ("degree", Own::Degree),
    ("out-degree", Own::OutDegree),
    ("in-degree", Own::InDegree),
];

const OF_EDGES: &[(&str, Own)] = &[("type", Own::Type), ("from", Own::From), ("to", Own::To), ("rank", Own::Rank)];

/// What stands around a name that is not bare.
const QUOTES: &[char] = &['"', '`'];

impl Of {
    fn own(self) -> &'static [(&'static str, Own)] {
        match self {
            Self::Node => OF_NODES,
            Self::Edge => OF_EDGES,
        }
    }
}

impl Field {
    /// A text that is one name.
    pub fn parse(text: &str, of: Of) -> std::result::Result<Self, Fault> {
        let mut scanner = Scanner::new(text);
        let field = Self::read(&mut scanner, of, |c| c != ',')?;
        match scanner.is_at_end() {
            true => Ok(field),
            false => {
                Err(scanner.fault("there is more behind the name: put a name with such characters into \"quotes\""))
            }
        }
    }

    /// The name that comes next, of characters that may stand in a bare one.
    pub fn read(scanner: &mut Scanner<'_>, of: Of, is_bare: impl Fn(char) -> bool) -> std::result::Result<Self, Fault> {
        scanner.skip_blanks();
        let begin = scanner.place();
        let field = match scanner.quoted(QUOTES)? {
            Some(name) => Self::Property(name),
            None => {
                let name = scanner.take_while(|c| is_bare(c) && !QUOTES.contains(&c)).trim_end();
                let own = of.own().iter().find(|(called, _)| *called == name);
                own.map_or_else(|| Self::Property(name.to_owned()), |(_, own)| Self::Own(*own))
            }
        };
        scanner.skip_blanks();
        match &field {
            Self::Property(name) if name.is_empty() => Err(scanner.fault_at(begin, "a name is missing")),
            _ => Ok(field),
        }
    }

    /// The property that it names, if it does.
    pub fn property(&self) -> Option<&str> {
        match self {
            Self::Property(name) => Some(name),
            Self::Own(_) => None,
        }
    }

    /// What a node has there.
    pub fn of_node(&self, node: &NodeRef<'_>) -> Result<Option<Value>> {
        let own = match self {
            Self::Property(name) => return Ok(node.prop(name)?.map(|value| value.to_value())),
            Self::Own(own) => own,
        };
        let degree = |out: bool, into: bool| -> Result<Option<Value>> {
            let (graph, id) = (node.graph(), node.id());
            let out = if out { graph.out_degree(id, AllTypes)? } else { 0 };
            let into = if into { graph.in_degree(id, AllTypes)? } else { 0 };
            Ok(Some(number(out + into)))
        };
        match own {
            Own::Key => Ok(node.key()?.map(Value::from)),
            Own::Id => Ok(Some(number(node.id().0))),
            Own::Degree => degree(true, true),
            Own::OutDegree => degree(true, false),
            Own::InDegree => degree(false, true),
            Own::Type | Own::From | Own::To | Own::Rank => Ok(None),
        }
    }

    /// What an edge has there.
    pub fn of_edge(&self, edge: &EdgeRef<'_>) -> Result<Option<Value>> {
        let end = |node: NodeRef<'_>| -> Result<Option<Value>> {
            // One without a key has nothing else.
            Ok(Some(node.key()?.map_or_else(|| number(node.id().0), Value::from)))
        };
        match self {
            Self::Property(name) => Ok(edge.prop(name)?.map(|value| value.to_value())),
            Self::Own(Own::Type) => Ok(Some(Value::from(&*edge.type_name()?))),
            Self::Own(Own::From) => end(edge.src_node()),
            Self::Own(Own::To) => end(edge.dst_node()),
            Self::Own(Own::Rank) => Ok(Some(number(edge.rank()))),
            Self::Own(_) => Ok(None),
        }
    }
}

/// Ids, ranks and counts fit.
fn number(number: u64) -> Value {
    Value::I64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// As it is told from all others: a property stands in quotes where its bare name is another one.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_own = |name: &str| OF_NODES.iter().chain(OF_EDGES).any(|(own, _)| *own == name);
        match self {
            Self::Property(name) if is_own(name) => write!(f, "\"{name}\""),
            Self::Property(name) => f.write_str(name),
            Self::Own(own) => {
                let mut names = OF_NODES.iter().chain(OF_EDGES);
                f.write_str(names.find(|(_, other)| other == own).map_or("", |(name, _)| name))
            }
        }
    }
}

/// Names between commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(pub Vec<Field>);

impl Fields {
    pub fn parse(text: &str, of: Of) -> std::result::Result<Self, Fault> {
        let mut scanner = Scanner::new(text);
        let mut fields = Vec::new();
        loop {
            fields.push(Field::read(&mut scanner, of, |c| c != ',')?);
            if scanner.is_at_end() {
                return Ok(Self(fields));
            }
            if !scanner.take(",") {
                return Err(scanner.fault("a comma is missing"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str) -> Field {
        Field::Property(name.to_owned())
    }

    #[test]
    fn a_bare_name_is_what_an_element_is_and_a_quoted_one_a_property() {
        for (text, of, want) in [
            ("key", Of::Node, Field::Own(Own::Key)),
            ("_key", Of::Node, Field::Own(Own::Key)),
            ("\"key\"", Of::Node, property("key")),
            ("`in-degree`", Of::Node, property("in-degree")),
            ("in-degree", Of::Node, Field::Own(Own::InDegree)),
            ("type", Of::Node, property("type")),
            ("type", Of::Edge, Field::Own(Own::Type)),
            (" full name ", Of::Edge, property("full name")),
            ("\"a \"\"b\"\", c\"", Of::Edge, property("a \"b\", c")),
        ] {
            assert_eq!(Field::parse(text, of), Ok(want), "{text}");
        }
        for (text, phrase) in [
            ("", "character 1: a name is missing"),
            ("\"a", "1: the \" that begins here is not closed"),
            ("\"a\"b", "4: there is more"),
            ("a,b", "2: there is more"),
        ] {
            let fault = Field::parse(text, Of::Node).unwrap_err().to_string();
            assert!(fault.contains(phrase), "{text}: {fault}");
        }
    }

    #[test]
    fn names_stand_between_commas() {
        let fields = Fields::parse("name, \"a,b\",degree", Of::Node).unwrap();
        assert_eq!(fields.0, [property("name"), property("a,b"), Field::Own(Own::Degree)]);
        for text in ["", "a,", ",a", "a,,b", "\"a\" b"] {
            assert!(Fields::parse(text, Of::Node).is_err(), "{text}");
        }
        let shown = [Field::Own(Own::OutDegree), property("age"), property("id")].map(|field| field.to_string());
        assert_eq!(shown, ["out-degree", "age", "\"id\""]);
    }
}
