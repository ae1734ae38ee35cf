//! What the columns of a table mean: by its header, plain or as Neo4j writes it, or by names that are given in its place.

use super::{Element, MAX_ITEMS, Props, cell, kind::Kind, no_rank, rows::Row, too_many};
use crate::render::number::counted;
use kitedb_core::MAX_RANK;
use std::{borrow::Cow, collections::HashSet};

const SRC: &[&str] = &["src", "source", "from"];
const DST: &[&str] = &["dst", "target", "to"];
const TYPE: &[&str] = &["type", "edge_type"];
const RANK: &[&str] = &["rank"];
const KEY: &[&str] = &["key", "id"];
const LABELS: &[&str] = &["labels", "label"];

/// What the rows of a table are to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rows {
    /// What the columns say.
    #[default]
    AsNamed,
    Nodes,
    Edges,
}

/// What the columns of a table mean.
#[derive(Debug, PartialEq)]
pub struct Columns {
    shape: Shape,
    props: Vec<Property>,
    count: usize,
}

#[derive(Debug, PartialEq)]
enum Shape {
    Node { key: Keys, labels: Option<usize> },
    Edge { src: Keys, dst: Keys, ty: Option<usize>, rank: Option<usize> },
}

/// A column of keys.
#[derive(Debug, PartialEq)]
struct Keys {
    at: usize,
    /// Within which the keys name nodes, if that is said: it stands before them, so that equal keys of two spaces are two nodes.
    space: Option<String>,
}

/// A column of values.
#[derive(Debug, PartialEq)]
pub struct Property {
    at: usize,
    pub name: String,
    /// Where none is given, each cell tells for itself.
    kind: Option<Kind>,
}

/// What a column says of itself.
struct Column {
    name: String,
    role: Option<Role>,
    kind: Option<Kind>,
}

enum Role {
    Key(Option<String>),
    Src(Option<String>),
    Dst(Option<String>),
    Labels,
    Type,
    Rank,
    Ignored,
}

impl Column {
    /// Reads a name: `name`, `name:type`, or one with a role, `name:ID(Space)`.
    fn read(at: usize, text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { name: format!("column{}", at + 1), role: None, kind: None });
        }
        let plain = || Self { name: text.to_owned(), role: None, kind: None };
        let (head, options) = match text.strip_suffix('}').and_then(|open| open.split_once('{')) {
            Some((head, options)) if head.contains(':') => (head, Some(options)),
            _ => (text, None),
        };
        let Some((name, suffix)) = head.rsplit_once(':') else { return Ok(plain()) };
        let (word, space) = match suffix.strip_suffix(')').and_then(|open| open.split_once('(')) {
            Some((word, space)) => (word, (!space.is_empty()).then(|| space.to_owned())),
            None => (suffix, None),
        };
        let role = match word.to_ascii_uppercase().as_str() {
            "ID" => Some(Role::Key(space)),
            "START_ID" => Some(Role::Src(space)),
            "END_ID" => Some(Role::Dst(space)),
            "LABEL" if space.is_none() => Some(Role::Labels),
            "TYPE" if space.is_none() => Some(Role::Type),
            "RANK" if space.is_none() => Some(Role::Rank),
            "IGNORE" if space.is_none() => Some(Role::Ignored),
            _ => None,
        };
        let kind = Kind::of(suffix);
        let is_known = role.is_some() || kind.is_some();
        let id_type = |options: &str| Kind::of(options.trim().strip_prefix("id-type:")?.trim());
        let kind = match (options, &role) {
            (Some(options), Some(Role::Key(_))) => Some(id_type(options).ok_or_else(|| {
                format!("the column `{text:.64}` has an option that is not known: `{{id-type:int}}` is, and `string`")
            })?),
            (Some(_), _) if is_known => {
                return Err(format!("the column `{text:.64}` has options, which are known of `:ID` alone"));
            }
            (Some(_), _) => return Ok(plain()),
            // What is kept of an id as a property is what it is as a key.
            (None, Some(Role::Key(_))) => Some(Kind::TEXT),
            (None, _) => kind,
        };
        match is_known {
            true => Ok(Self { name: name.to_owned(), role, kind }),
            false => Ok(plain()),
        }
    }
}

impl Columns {
    /// Reads the first row of a table.
    pub fn from_header(header: &Row, rows: Rows) -> Result<Self, String> {
        // A name in quotes is one with all that stands in them.
        let names = (0..header.len()).map(|at| match header.get(at) {
            name if header.is_quoted(at) => name,
            name => name.trim(),
        });
        Self::named(&names.collect::<Vec<_>>(), rows)
    }

    /// Columns of these names.
    pub fn named(names: &[&str], rows: Rows) -> Result<Self, String> {
        let columns = names.iter().enumerate().map(|(at, name)| Column::read(at, name));
        let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
        let mut parts = Parts::of(&columns)?;
        parts.find_plain(&columns);
        if parts.src.is_none() && parts.dst.is_none() && parts.key.is_none() {
            parts.find_kinds(names);
        }
        let shape = parts.shape(rows, names)?;
        let taken = shape.columns();
        let mut props = Vec::new();
        for (at, column) in columns.into_iter().enumerate() {
            let is_named_id = matches!(column.role, Some(Role::Key(_))) && !column.name.is_empty();
            match column.role {
                Some(Role::Ignored) => {}
                Some(_) if is_named_id => props.push(Property { at, name: column.name, kind: column.kind }),
                Some(_) => {}
                None if taken.contains(&at) => {}
                None if column.name.is_empty() => {
                    return Err(format!("column {} has a type and no name", at + 1));
                }
                None => props.push(Property { at, name: column.name, kind: column.kind }),
            }
        }
        let mut seen = HashSet::new();
        if let Some(twice) = props.iter().find(|prop| !seen.insert(prop.name.as_str())) {
            return Err(format!("two columns are called `{:.64}`: --columns gives others to all of them", twice.name));
        }
        Ok(Self { shape, props, count: names.len() })
    }

    /// Whether its rows are nodes.
    pub fn are_nodes(&self) -> bool {
        matches!(self.shape, Shape::Node { .. })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The columns of values.
    pub fn properties(&self) -> &[Property] {
        &self.props
    }

    /// The spaces of keys that its columns name.
    pub fn spaces(&self) -> impl Iterator<Item = &str> {
        let keys = match &self.shape {
            Shape::Node { key, .. } => [Some(key), None],
            Shape::Edge { src, dst, .. } => [Some(src), Some(dst)],
        };
        keys.into_iter().flatten().filter_map(|keys| keys.space.as_deref())
    }

    /// The node or edge that a row stands for. Calls `stayed` with each column whose cell looks like a number, and is text.
    pub fn element<'a>(&'a self, row: &'a Row, mut stayed: impl FnMut(usize, &str)) -> Result<Element<'a>, String> {
        if row.len() != self.count {
            return Err(format!(
                "{}, but the header has {}",
                counted(row.len() as u64, "column", "columns"),
                self.count
            ));
        }
        let mut props = Props::with_capacity(self.props.len());
        for (number, Property { at, name, kind }) in self.props.iter().enumerate() {
            let (cell, quoted) = (row.get(*at), row.is_quoted(*at));
            let value = match kind {
                Some(kind) => kind.value(cell, quoted).map_err(|what| format!("the {name:.64} is {what}"))?,
                None => {
                    let (value, looks_like_a_number) = cell::infer(cell, quoted);
                    if looks_like_a_number {
                        stayed(number, cell);
                    }
                    value
                }
            };
            if let Some(value) = value {
                props.push((Cow::Borrowed(name), value));
            }
        }
        Ok(match &self.shape {
            Shape::Node { key, labels } => {
                let labels = labels.map_or("", |at| row.get(at));
                if labels.len() > MAX_ITEMS {
                    return Err(too_many());
                }
                let labels = labels.split(';').map(str::trim);
                let labels = labels.filter(|label| !label.is_empty()).map(Cow::Borrowed).collect();
                Element::node(key.read(row, "key")?, labels, props)
            }
            Shape::Edge { src, dst, ty, rank } => {
                let ty = ty.map(|at| row.get(at)).filter(|ty| !ty.is_empty()).map(Cow::Borrowed);
                let rank = rank.map_or(Ok(None), |at| read_rank(row.get(at).trim()))?;
                Element::edge(src.read(row, "source")?, dst.read(row, "destination")?, ty, props).with_rank(rank)
            }
        })
    }
}

impl Keys {
    /// The key in a row; `what` names it if it is empty.
    fn read<'a>(&self, row: &'a Row, what: &str) -> Result<Cow<'a, str>, String> {
        match (row.get(self.at), &self.space) {
            ("", _) => Err(format!("the {what} is empty")),
            (cell, None) => Ok(Cow::Borrowed(cell)),
            (cell, Some(space)) => Ok(Cow::Owned(format!("{space}:{cell}"))),
        }
    }
}

impl Shape {
    /// The columns that have a meaning in it.
    fn columns(&self) -> HashSet<usize> {
        let columns = match self {
            Self::Node { key, labels } => [Some(key.at), *labels, None, None],
            Self::Edge { src, dst, ty, rank } => [Some(src.at), Some(dst.at), *ty, *rank],
        };
        columns.into_iter().flatten().collect()
    }
}

/// What columns are there.
#[derive(Default)]
struct Parts {
    key: Option<Keys>,
    src: Option<Keys>,
    dst: Option<Keys>,
    labels: Option<usize>,
    ty: Option<usize>,
    rank: Option<usize>,
}

impl Parts {
    /// Those that say it with a colon.
    fn of(columns: &[Column]) -> Result<Self, String> {
        let mut parts = Self::default();
        for (at, column) in columns.iter().enumerate() {
            let keys = |space: &Option<String>| Some(Keys { at, space: space.clone() });
            let is_twice = match &column.role {
                Some(Role::Key(space)) => std::mem::replace(&mut parts.key, keys(space)).is_some(),
                Some(Role::Src(space)) => std::mem::replace(&mut parts.src, keys(space)).is_some(),
                Some(Role::Dst(space)) => std::mem::replace(&mut parts.dst, keys(space)).is_some(),
                Some(Role::Labels) => parts.labels.replace(at).is_some(),
                Some(Role::Type) => parts.ty.replace(at).is_some(),
                Some(Role::Rank) => parts.rank.replace(at).is_some(),
                Some(Role::Ignored) | None => false,
            };
            if is_twice {
                return Err(format!("two columns have the meaning of column {}: one of a kind can be", at + 1));
            }
        }
        let is_marked = parts.key.is_some() || parts.src.is_some() || parts.dst.is_some();
        let is_unknown = |column: &&Column| column.role.is_none() && column.kind.is_none() && column.name.contains(':');
        let unknown = columns.iter().filter(|_| is_marked).find(is_unknown);
        match unknown {
            Some(column) => {
                Err(format!("the column `{:.64}` has a type that is not known: see docs/import.md", column.name))
            }
            None => Ok(parts),
        }
    }

    /// Those that go by their name, where no other one has that meaning.
    fn find_plain(&mut self, columns: &[Column]) {
        let find = |spellings: &[&str]| {
            let called = |wanted: &&str| {
                columns.iter().position(|column| column.role.is_none() && column.name.eq_ignore_ascii_case(wanted))
            };
            spellings.iter().find_map(called)
        };
        let keys = |spellings| find(spellings).map(|at| Keys { at, space: None });
        let is_marked = self.key.is_some() || self.src.is_some() || self.dst.is_some();
        if !is_marked {
            (self.key, self.src, self.dst) = (keys(KEY), keys(SRC), keys(DST));
        }
        self.labels = self.labels.or_else(|| find(LABELS).filter(|_| !is_marked));
        self.ty = self.ty.or_else(|| find(TYPE).filter(|_| !is_marked));
        self.rank = self.rank.or_else(|| find(RANK).filter(|_| !is_marked));
    }

    /// LDBC's tables of edges: the two columns that are called `Person.id`, or `Person.id` and `Forum.id`, are the ends.
    fn find_kinds(&mut self, names: &[&str]) {
        let kind = |name: &str| {
            let (kind, id) = name.rsplit_once('.')?;
            (id.eq_ignore_ascii_case("id") && !kind.is_empty()).then(|| kind.to_owned())
        };
        let mut ends = names.iter().enumerate().filter_map(|(at, name)| Some(Keys { at, space: Some(kind(name)?) }));
        if let (Some(src), Some(dst), None) = (ends.next(), ends.next(), ends.next()) {
            (self.src, self.dst) = (Some(src), Some(dst));
        }
    }

    fn shape(self, rows: Rows, names: &[&str]) -> Result<Shape, String> {
        let (labels, ty, rank) = (self.labels, self.ty, self.rank);
        match (rows, self.src, self.dst, self.key) {
            (Rows::AsNamed, Some(_), Some(_), Some(_)) => Err(
                "it could be a table of nodes, by its key, or of edges, by its source and its destination: pass --nodes or --edges"
                    .to_owned(),
            ),
            (Rows::AsNamed | Rows::Edges, Some(src), Some(dst), _) => Ok(Shape::Edge { src, dst, ty, rank }),
            (Rows::AsNamed | Rows::Nodes, _, _, Some(key)) => Ok(Shape::Node { key, labels }),
            _ => Err(not_understood(rows, names)),
        }
    }
}

fn not_understood(rows: Rows, names: &[&str]) -> String {
    if let [one] = names
        && let Some(delimiter) = ['|', ';', '\t', ','].into_iter().find(|delimiter| one.contains(*delimiter))
    {
        let shown = if delimiter == '\t' { "tab".to_owned() } else { format!("'{delimiter}'") };
        return format!("the header is one column, `{one:.64}`: pass --delimiter {shown}");
    }
    const SHOWN: usize = 12;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name:.40}`")).collect::<Vec<_>>().join(", ");
    let lacks = match rows {
        Rows::AsNamed => "neither `src` and `dst` (edges) nor `key` or `id` (nodes)",
        Rows::Nodes => "no `key` or `id`, as a table of nodes has",
        Rows::Edges => "no `src` and `dst`, as a table of edges has",
    };
    format!(
        "the header has {lacks}, but {shown}{more}: --columns says what they are, --no-header that the first row is none"
    )
}

fn read_rank(cell: &str) -> Result<Option<u64>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    let digits = cell.bytes().all(|byte| byte.is_ascii_digit());
    let rank = cell.parse().ok().filter(|rank| digits && *rank <= MAX_RANK);
    rank.map(Some).ok_or_else(|| no_rank(format_args!("`{cell:.40}`")))
}

#[cfg(test)]
mod tests;
