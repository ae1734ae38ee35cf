//! The first and the last line of an export: by them an import knows whether all of it is there. Neither has the form of a
//! name, a node or an edge.

use super::json::{Fault, Scalar, Text};
use kitedb_core::Digest;
use serde_json::{Value as Json, json};
use std::{
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
};

/// The field of the first line: it holds the version of the form.
pub const BEGIN: &str = "kitedb_export";
/// The field of the last line.
pub const END: &str = "end";

/// The version of exports that this build writes and reads.
pub const VERSION: u32 = 1;

/// The last line is shorter.
const TAIL: u64 = 4096;

/// What the last line of an export says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailer {
    pub names: u64,
    pub nodes: u64,
    pub edges: u64,
    pub vectors: u64,
    /// The lines between the first one and the last one.
    pub lines: u64,
    /// The state digest of the graph; none where it covers what is not exported.
    pub digest: Option<String>,
}

/// An export as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// How many lines there were between the first one and the last one.
    pub lines: u64,
    pub trailer: Option<Trailer>,
    /// Whether the input ends in the middle of a line.
    pub breaks_off: bool,
}

impl Envelope {
    /// What of it is missing, if something is.
    pub fn lack(&self) -> Option<String> {
        match &self.trailer {
            None if self.breaks_off => {
                Some("it breaks off in the middle of a line, and its last line is not there".to_owned())
            }
            None => Some("its last line is not there, which says how much it holds".to_owned()),
            Some(trailer) if trailer.lines != self.lines => {
                Some(format!("it holds {} lines, and as its last line says they were {}", self.lines, trailer.lines))
            }
            Some(_) => None,
        }
    }

    /// How a graph differs from the one that was exported, where there is one to compare.
    pub fn other_than(&self, graph: Option<Digest>) -> Option<String> {
        let exported = self.trailer.as_ref()?.digest.as_ref()?;
        let imported = graph?.to_string();
        (*exported != imported)
            .then(|| format!("what it holds has the digest {imported}, and what was exported had {exported:.64}"))
    }
}

/// The fields of the first line.
pub fn beginning(token: impl ToString) -> Vec<(&'static str, Json)> {
    vec![(BEGIN, json!(VERSION)), ("token", json!(token.to_string()))]
}

/// Fails unless this build reads that version.
pub fn require_known(version: &str) -> Result<(), String> {
    if version == VERSION.to_string() {
        return Ok(());
    }
    Err(format!(
        "an export of version {version:.20}, and this build reads version {VERSION}: import it with a newer one"
    ))
}

impl Trailer {
    /// The fields of the last line.
    pub fn fields(&self) -> Vec<(&'static str, Json)> {
        let mut said = json!({
            "names": self.names,
            "nodes": self.nodes,
            "edges": self.edges,
            "vectors": self.vectors,
            "lines": self.lines,
        });
        if let Some(digest) = &self.digest {
            said["digest"] = json!(digest);
        }
        vec![(END, said)]
    }

    /// Reads the object that the last line holds.
    pub fn read<R: BufRead>(text: &mut Text<R>) -> Result<Self, Fault> {
        let mut trailer = Self::default();
        let mut seen = Vec::new();
        text.object(|text, name| {
            let wrong =
                || Fault::Line(format!("the end of an export with a field `{name:.64}` that this build does not know"));
            let given = text.scalar()?.ok_or_else(wrong)?;
            if seen.contains(&name) {
                return Err(Fault::Line(format!("the name `{name:.64}` stands twice")));
            }
            let counter = match (name.as_str(), &given) {
                ("digest", Scalar::Text(digest)) => {
                    trailer.digest = Some(digest.clone());
                    seen.push(name);
                    return Ok(());
                }
                ("names", _) => &mut trailer.names,
                ("nodes", _) => &mut trailer.nodes,
                ("edges", _) => &mut trailer.edges,
                ("vectors", _) => &mut trailer.vectors,
                ("lines", _) => &mut trailer.lines,
                _ => return Err(wrong()),
            };
            let Scalar::Number(number) = given else { return Err(wrong()) };
            *counter = number.parse().map_err(|_| wrong())?;
            seen.push(name);
            Ok(())
        })?;
        if !["names", "nodes", "edges", "vectors", "lines"].iter().all(|name| seen.iter().any(|other| other == name)) {
            return Err(Fault::Line("the end of an export that does not say how much it holds".to_owned()));
        }
        Ok(trailer)
    }
}

/// Whether a file begins as an export and does not end as one: looked at before anything of it is imported.
pub fn is_cut(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    file.by_ref().take(TAIL).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    file.by_ref().take(TAIL).read_to_end(&mut tail)?;
    file.rewind()?;
    let begins = |line: &[u8], field: &str| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii_start();
        line.starts_with(format!("{{\"{field}\":").as_bytes())
    };
    let last = tail.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(begins(&head, BEGIN) && !(begins(last, END) && last.ends_with(b"}}")))
}
