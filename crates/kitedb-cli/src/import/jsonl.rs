//! One JSON object per line: a name, a node or an edge. `kitedb export` writes this form, and around it the lines of
//! [`super::envelope`].

use super::{
    Element, End, Item, Props, Vectors, Visit,
    envelope::{self, Envelope, Trailer},
    json::{Fault, Scalar, Text},
    no_rank,
};
use crate::failure::Failure;
use kitedb_core::{MAX_RANK, NodeId, graph::NameKind};
use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, BufRead},
};

const KEY: &[&str] = &["key", "id"];
const LABELS: &[&str] = &["labels", "label"];
const SRC: &[&str] = &["src", "source", "from"];
const DST: &[&str] = &["dst", "target", "to"];
const EDGE_TYPE: &[&str] = &["label", "edge_type"];
const PROPS: &[&str] = &["props", "properties"];
const VECTORS: &[&str] = &["vectors"];
const NODE_ID: &[&str] = &["node_id"];
const SRC_ID: &[&str] = &["src_id"];
const DST_ID: &[&str] = &["dst_id"];

/// Every other field that there is.
const OTHERS: &[&str] = &["type", "kind", "name", "rank", envelope::BEGIN, "token"];

/// How kinds of names are called.
pub const KINDS: [(&str, NameKind); 3] =
    [("label", NameKind::Label), ("edge_type", NameKind::EdgeType), ("property_key", NameKind::PropKey)];

/// What a line is.
#[derive(Debug, PartialEq)]
pub enum Line {
    Element(Element<'static>),
    /// The first one of an export, with the version of its form as it is written.
    Begin(String),
    /// The last one of an export.
    End(Trailer),
}

/// Calls `visit` with every element of `reader`, once `accept` took it as an export, if it is one. Returns what the file says of
/// itself then.
pub fn read(
    reader: impl BufRead,
    failed: impl Fn(&io::Error) -> Failure,
    accept: impl Fn() -> Result<(), Failure>,
    visit: Visit<'_>,
) -> Result<Option<Envelope>, Failure> {
    let mut text = Text::new(reader);
    let (mut export, mut anything): (Option<Envelope>, bool) = (None, false);
    while text.next_line().map_err(|e| failed(&e))? {
        let line = text.line();
        let parsed = parse(&mut text);
        if let Err(Fault::Io(error)) = parsed {
            return Err(failed(&error));
        }
        let is_last = text.is_at_end().map_err(|e| failed(&e))?;
        let element = match (parsed, &mut export) {
            (Ok(None), _) => continue,
            (Ok(Some(Line::Begin(version))), None) if !anything => {
                // Of a form that nobody knows here there are no good lines to go on with.
                let bad = |what| failed(&io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {what}")));
                envelope::require_known(&version).map_err(bad)?;
                accept()?;
                export = Some(Envelope::default());
                anything = true;
                continue;
            }
            (Ok(Some(Line::End(trailer))), Some(export)) if export.trailer.is_none() => {
                export.trailer = Some(trailer);
                continue;
            }
            // Where the file was cut, in the middle of a line.
            (Err(Fault::Ends(_)), Some(export)) if is_last && export.trailer.is_none() => {
                export.breaks_off = true;
                break;
            }
            (parsed, export) => {
                if let Some(export) = export {
                    export.lines += 1;
                }
                let is_over = export.as_ref().is_some_and(|export| export.trailer.is_some());
                in_place(parsed, is_over)
            }
        };
        anything = true;
        visit(Item { line, to: line, element })?;
    }
    Ok(export)
}

/// The element on a line, if it may stand where it stands.
fn in_place(parsed: Result<Option<Line>, Fault>, is_over: bool) -> Result<Element<'static>, String> {
    match parsed {
        _ if is_over => {
            Err("a line behind the end of an export: import each of several files by itself, and take the first \
            and the last line off one that is changed by hand"
                .to_owned())
        }
        Ok(Some(Line::Element(element))) => Ok(element),
        Ok(Some(Line::End(_))) => Err("an export ends here whose first line is not there".to_owned()),
        Ok(Some(Line::Begin(_)) | None) => {
            Err("an export begins here, and not with the first line of the file".to_owned())
        }
        Err(fault) => Err(fault.to_string()),
    }
}

/// What stands on the line; none if that is blank.
pub fn parse(text: &mut Text<impl BufRead>) -> Result<Option<Line>, Fault> {
    match text.token()? {
        None => return Ok(None),
        Some(b'{') => {}
        Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
            return Err(Fault::Line("not a JSON object".to_owned()));
        }
        Some(_) => return Err(text.not_json("expected an object")),
    }
    let mut fields = Fields::default();
    text.object(|text, name| fields.read(text, name))?;
    text.end_line()?;
    fields.line().map(Some).map_err(Fault::Line)
}

/// What a field holds.
enum Given {
    Scalar(Scalar),
    Labels(Vec<Cow<'static, str>>),
    Props(Props<'static>),
    Vectors(Vectors<'static>),
    Trailer(Trailer),
}

impl Given {
    /// What kind of value it is.
    fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(Scalar::Null) => "null",
            Self::Scalar(Scalar::Bool(_)) => "a boolean",
            Self::Scalar(Scalar::Number(_)) => "a number",
            Self::Scalar(Scalar::Text(_)) => "a string",
            Self::Labels(_) => "an array",
            Self::Props(_) | Self::Vectors(_) | Self::Trailer(_) => "an object",
        }
    }
}

/// What a field is to hold.
fn expected(name: &str) -> &'static str {
    match name {
        "type" => "\"node\" or \"edge\"",
        "rank" => "a whole number",
        envelope::END => "an object",
        _ if PROPS.contains(&name) || VECTORS.contains(&name) => "an object",
        _ if [NODE_ID, SRC_ID, DST_ID].concat().contains(&name) => "a positive integer",
        _ => "a string",
    }
}

enum Kind {
    Name,
    Node,
    Edge(Option<String>),
}

/// What is left to take of an object: a line has few fields.
#[derive(Default)]
struct Fields(Vec<(String, Given)>);

impl Fields {
    /// Reads the field `name`.
    fn read<R: BufRead>(&mut self, text: &mut Text<R>, name: String) -> Result<(), Fault> {
        if self.0.iter().any(|(other, _)| *other == name) {
            return Err(Fault::Line(format!("the name `{name}` stands twice")));
        }
        let is_one_of = |groups: &[&[&str]]| groups.iter().any(|names| names.contains(&name.as_str()));
        let given = match text.next_token()? {
            b'{' if is_one_of(&[PROPS]) => Given::Props(props(text)?),
            b'{' if is_one_of(&[VECTORS]) => Given::Vectors(vectors(text)?),
            b'{' if name == envelope::END => Given::Trailer(Trailer::read(text)?),
            b'[' if is_one_of(&[LABELS]) => Given::Labels(labels(text, &name)?),
            _ if !is_one_of(&[
                KEY,
                LABELS,
                SRC,
                DST,
                EDGE_TYPE,
                PROPS,
                VECTORS,
                NODE_ID,
                SRC_ID,
                DST_ID,
                OTHERS,
                &[envelope::END],
            ]) =>
            {
                return Err(Fault::Line(unknown(&name)));
            }
            first => match text.scalar()? {
                Some(scalar) => Given::Scalar(scalar),
                None => {
                    let kind = if first == b'[' { "an array" } else { "an object" };
                    return Err(Fault::Line(format!("`{name}` is {kind}: give {}", expected(&name))));
                }
            },
        };
        self.0.push((name, given));
        Ok(())
    }

    fn line(mut self) -> Result<Line, String> {
        if let Some((_, version)) = self.take(&[envelope::BEGIN]) {
            self.take(&["token"]);
            self.must_be_used_up()?;
            return Ok(Line::Begin(version_of(&version)));
        }
        match self.take(&[envelope::END]) {
            Some((_, Given::Trailer(trailer))) => {
                self.must_be_used_up()?;
                return Ok(Line::End(trailer));
            }
            Some((name, other)) => return Err(format!("`{name}` is {}: give {}", other.kind(), expected(name))),
            None => {}
        }
        let element = match self.kind()? {
            Kind::Name => self.name()?,
            Kind::Node => {
                let (id, key) = (self.id(NODE_ID)?.map(NodeId), self.key(KEY)?);
                if id.is_none() && key.is_none() {
                    return Err("a node without `key`".to_owned());
                }
                let (labels, props) = (self.labels()?, self.props()?);
                Element::Node { id, key, labels, props, vectors: self.vectors()? }
            }
            Kind::Edge(ty) => Element::Edge {
                src: self.end(SRC_ID, SRC)?,
                dst: self.end(DST_ID, DST)?,
                ty: match ty {
                    Some(ty) => Some(ty.into()),
                    None => self.text(EDGE_TYPE)?,
                },
                rank: self.rank()?,
                props: self.props()?,
            },
        };
        self.must_be_used_up()?;
        Ok(Line::Element(element))
    }

    fn take(&mut self, spellings: &[&'static str]) -> Option<(&'static str, Given)> {
        let at = |name: &str| self.0.iter().position(|(other, _)| other == name);
        let (name, at) = spellings.iter().find_map(|name| Some((*name, at(name)?)))?;
        Some((name, self.0.swap_remove(at).1))
    }

    fn has(&self, spellings: &[&str]) -> bool {
        spellings.iter().any(|name| self.0.iter().any(|(other, _)| other == name))
    }

    /// `type` says "node", "edge" or "name". Without it, what has ends is an edge; a `type` of another name beside
    /// ends is the edge's own.
    fn kind(&mut self) -> Result<Kind, String> {
        let ends = [SRC, DST, SRC_ID, DST_ID].into_iter().any(|spellings| self.has(spellings));
        match self.take(&["type"]) {
            Some((_, Given::Scalar(Scalar::Text(ty)))) => match ty.as_str() {
                "node" => Ok(Kind::Node),
                "edge" | "relationship" => Ok(Kind::Edge(None)),
                "" => Err("`type` is empty".to_owned()),
                _ if ends => Ok(Kind::Edge(Some(ty))),
                "name" => Ok(Kind::Name),
                _ => Err(format!("`type` is `{ty}`: give `node` or `edge`")),
            },
            Some((name, other)) => Err(format!("`{name}` is {}: give {}", other.kind(), expected(name))),
            None if ends => Ok(Kind::Edge(None)),
            None if self.has(KEY) || self.has(NODE_ID) => Ok(Kind::Node),
            None => Err("neither a node (`key`) nor an edge (`src`, `dst`)".to_owned()),
        }
    }

    /// An id that the node or name had where it comes from.
    fn id(&mut self, spellings: &[&'static str]) -> Result<Option<u64>, String> {
        match self.take(spellings) {
            Some((name, Given::Scalar(Scalar::Number(number)))) => match number.parse() {
                Ok(id) => Ok(Some(id)),
                Err(_) => Err(format!("`{name}` is {number:.40}: give a positive integer")),
            },
            Some((name, other)) => Err(format!("`{name}` is {}: give a positive integer", other.kind())),
            None => Ok(None),
        }
    }

    fn name(&mut self) -> Result<Element<'static>, String> {
        let kind = self.text(&["kind"])?.ok_or("a name without `kind`")?;
        let known = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
        let kind = known.ok_or_else(|| format!("`kind` is `{kind}`: give `label`, `edge_type` or `property_key`"))?;
        let id = self.id(&["id"])?.ok_or("a name without `id`")?;
        let id = u32::try_from(id).map_err(|_| format!("the `id` of a name is {id}, which does not fit 32 bits"))?;
        Ok(Element::Name { kind, id, name: self.text(&["name"])?.ok_or("a name without `name`")? })
    }

    fn end(&mut self, id: &[&'static str], key: &[&'static str]) -> Result<End<'static>, String> {
        if let Some(id) = self.id(id)? {
            return Ok(End::Id(NodeId(id)));
        }
        let missing = || format!("an edge without `{}`", key.first().unwrap_or(&"end"));
        self.key(key)?.map(End::Key).ok_or_else(missing)
    }

    /// A key that is an integer is its digits, however many there are.
    fn key(&mut self, spellings: &[&'static str]) -> Result<Option<Cow<'static, str>>, String> {
        match self.take(spellings) {
            Some((name, Given::Scalar(Scalar::Number(number)))) => {
                let digits = number.strip_prefix('-').unwrap_or(&number);
                match digits.bytes().all(|byte| byte.is_ascii_digit()) && number != "-0" {
                    true => Ok(Some(number.into())),
                    false => Err(format!("`{name}` is the number {number:.40}: give a string")),
                }
            }
            Some((name, other)) => text_of(name, other).map(Some),
            None => Ok(None),
        }
    }

    fn rank(&mut self) -> Result<Option<u64>, String> {
        match self.take(&["rank"]) {
            Some((_, Given::Scalar(Scalar::Number(number)))) => match number.parse() {
                Ok(rank) if rank <= MAX_RANK => Ok(Some(rank)),
                _ => Err(no_rank(format_args!("{number:.40}"))),
            },
            Some((_, other)) => Err(no_rank(other.kind())),
            None => Ok(None),
        }
    }

    fn text(&mut self, spellings: &[&'static str]) -> Result<Option<Cow<'static, str>>, String> {
        self.take(spellings).map(|(name, given)| text_of(name, given)).transpose()
    }

    fn labels(&mut self) -> Result<Vec<Cow<'static, str>>, String> {
        match self.take(LABELS) {
            Some((_, Given::Labels(labels))) => Ok(labels),
            Some((name, label)) => Ok(vec![text_of(name, label)?]),
            None => Ok(Vec::new()),
        }
    }

    fn props(&mut self) -> Result<Props<'static>, String> {
        match self.take(PROPS) {
            Some((_, Given::Props(props))) => Ok(props),
            Some((_, Given::Scalar(Scalar::Null))) | None => Ok(Vec::new()),
            Some((name, other)) => Err(format!("`{name}` is {}: give an object", other.kind())),
        }
    }

    fn vectors(&mut self) -> Result<Vectors<'static>, String> {
        match self.take(VECTORS) {
            Some((_, Given::Vectors(vectors))) => Ok(vectors),
            Some((name, other)) => Err(format!("`{name}` is {}: give an object", other.kind())),
            None => Ok(Vec::new()),
        }
    }

    /// A field nobody asked for is a spelling mistake, or data that would be lost.
    fn must_be_used_up(&self) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(unknown(name)),
            None => Ok(()),
        }
    }
}

fn unknown(name: &str) -> String {
    format!("unknown field `{name:.64}` (properties go into `props`)")
}

fn version_of(given: &Given) -> String {
    match given {
        Given::Scalar(Scalar::Number(version)) => version.clone(),
        other => other.kind().to_owned(),
    }
}

fn props<R: BufRead>(text: &mut Text<R>) -> Result<Props<'static>, Fault> {
    let mut props = NamedOnce::new();
    text.object(|text, name| {
        if name.is_empty() {
            return Err(Fault::Line("a property without a name".to_owned()));
        }
        let value = text.value().map_err(|fault| fault.within(format_args!("property {name:.64}")))?;
        props.push("properties", name, value)
    })?;
    Ok(props.entries)
}

fn vectors<R: BufRead>(text: &mut Text<R>) -> Result<Vectors<'static>, Fault> {
    let mut vectors = NamedOnce::new();
    text.object(|text, name| {
        let vector = text.vector().map_err(|fault| fault.within(format_args!("the vector `{name:.64}`")))?;
        vectors.push("vectors", name, vector)
    })?;
    Ok(vectors.entries)
}

fn labels<R: BufRead>(text: &mut Text<R>, field: &str) -> Result<Vec<Cow<'static, str>>, Fault> {
    let mut labels = Vec::new();
    text.list(b'[', b']', |text| {
        let label = match text.scalar()? {
            Some(scalar) => text_of(field, Given::Scalar(scalar)).map_err(Fault::Line)?,
            None => return Err(Fault::Line(format!("`{field}` holds an array or an object: give strings"))),
        };
        labels.push(label);
        Ok(())
    })?;
    Ok(labels)
}

/// What stands under names of which each may stand once.
struct NamedOnce<T> {
    entries: Vec<(Cow<'static, str>, T)>,
    /// The names, once there are so many that a look at each takes long.
    names: HashSet<String>,
}

/// So many names are looked through.
const FEW: usize = 16;

impl<T> NamedOnce<T> {
    fn new() -> Self {
        Self { entries: Vec::new(), names: HashSet::new() }
    }

    fn push(&mut self, what: &str, name: String, entry: T) -> Result<(), Fault> {
        if self.entries.len() == FEW {
            self.names.extend(self.entries.iter().map(|(name, _)| name.to_string()));
        }
        let is_there = match self.entries.len() < FEW {
            true => self.entries.iter().any(|(other, _)| *other == name),
            false => !self.names.insert(name.clone()),
        };
        if is_there {
            return Err(Fault::Line(format!("two {what} are called `{name:.64}`")));
        }
        self.entries.push((name.into(), entry));
        Ok(())
    }
}

fn text_of(name: &str, given: Given) -> Result<Cow<'static, str>, String> {
    match given {
        Given::Scalar(Scalar::Text(text)) if text.is_empty() => Err(format!("`{name}` is empty")),
        Given::Scalar(Scalar::Text(text)) => Ok(text.into()),
        other => Err(format!("`{name}` is {}: give a string", other.kind())),
    }
}

#[cfg(test)]
mod tests;
