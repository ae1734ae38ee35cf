//! `kitedb verify`: do two databases hold the same graph?

use super::{check, fault_if, whole, write_json};
use crate::{
    cli::{DatabaseArgs, VerifyArgs},
    failure::{Outcome, not_opened},
    render::{
        number::{count, counted},
        style::{BAD, DIM, GOOD, PLAIN, Styled, clean},
        table::{Left, Right, Table},
    },
    watched::Watched,
};
use kitedb_core::{
    CheckReport, ComparedState, Comparison, Database, Difference, Element, Parting, ReplicationRole, compare_deep_with,
    compare_with,
};
use serde_json::{Value as Json, json};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// So many differences are shown to people; JSON has more.
const SHOWN: usize = 20;

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// They hold the same graph at the last index that both have reached.
    EqualThere,
    /// Their logs do not say so, as where one was made from an export of the other; but the graphs that they hold are the same.
    EqualGraphs,
    Different,
    /// It cannot be told.
    Unknown,
}

impl Verdict {
    /// Two that follow each other are at one history: there, an index at which they differ is a fault, whatever came after it.
    fn of(found: &Comparison, one_follows: bool) -> Self {
        let same_graph = found.elements_compared && found.difference_count == 0 && found.a.digest == found.b.digest;
        match found.equal {
            Some(true) => Self::EqualThere,
            Some(false) if same_graph && !one_follows => Self::EqualGraphs,
            Some(false) => Self::Different,
            None if same_graph => Self::EqualGraphs,
            None => Self::Unknown,
        }
    }

    fn equal(self) -> Option<bool> {
        match self {
            Self::EqualThere | Self::EqualGraphs => Some(true),
            Self::Different => Some(false),
            Self::Unknown => None,
        }
    }

    /// What was found equal or different.
    fn compared(self) -> Option<&'static str> {
        match self {
            Self::EqualThere | Self::Different => Some("log_index"),
            Self::EqualGraphs => Some("graphs"),
            Self::Unknown => None,
        }
    }
}

pub fn run(args: &VerifyArgs, out: &mut dyn Write) -> Outcome {
    let (a, b) = (open(&args.a, args.sidecar_a.as_ref())?, open(&args.b, args.sidecar_b.as_ref())?);
    let watched = Watched::begin(|| {})?;
    let watch = watched.watch();
    let checked = if args.deep { Some((a.check_with(watch)?, b.check_with(watch)?)) } else { None };
    let sound = checked.as_ref().is_none_or(|(a, b)| a.is_clean() && b.is_clean());
    // What is damaged cannot be read whole: of that only the digests are compared.
    let found = if args.deep && sound { compare_deep_with(&a, &b, watch)? } else { compare_with(&a, &b, watch)? };
    watched.end();
    let one_follows = [&a, &b].iter().any(|database| database.replication_role() == ReplicationRole::Replica);
    let verdict = Verdict::of(&found, one_follows);
    if args.json {
        let mut document = document(args, &found, verdict);
        if let Some((a, b)) = &checked {
            (document["a"]["check"], document["b"]["check"]) = (check::document(a), check::document(b));
        }
        write_json(out, &document)?
    } else {
        show(args, &found, verdict, out)?;
        if let Some(checked) = &checked {
            show_checked(args, checked, &found, out)?;
        }
    }
    whole(&a, whole(&b, fault_if(verdict.equal() != Some(true) || !sound, out), out), out)
}

/// What reading both of them whole has found.
fn show_checked(
    args: &VerifyArgs,
    (a, b): &(CheckReport, CheckReport),
    found: &Comparison,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (path, report) in [(&args.a, a), (&args.b, b)] {
        let path = clean(&path.display().to_string());
        match report.is_clean() {
            true => writeln!(out, "{path} is {}", Styled(GOOD, "clean"))?,
            false => writeln!(out, "{path} is {}", Styled(BAD, "damaged"))?,
        }
        check::show_faults(report, out)?;
    }
    match found.elements_compared {
        true => writeln!(out, "every element was read and compared"),
        false if a.is_clean() && b.is_clean() => {
            let what = "they are not at the same commit: each was read whole, and their digests are compared";
            writeln!(out, "{}", Styled(DIM, what))
        }
        false => writeln!(out, "{}", Styled(DIM, "what is damaged is not compared element by element")),
    }
}

fn open(path: &Path, sidecar: Option<&PathBuf>) -> Outcome<Database> {
    let args = DatabaseArgs { database: path.to_owned(), sidecar: sidecar.cloned(), json: false };
    let opened = Database::open(path, args.options().read_only(true));
    // It has two databases: a hint names the one that does not open.
    opened.map_err(|error| not_opened(error, path, sidecar).naming(path, None))
}

fn document(args: &VerifyArgs, found: &Comparison, verdict: Verdict) -> Json {
    let side = |path: &Path, state: &ComparedState| {
        json!({
            "path": path.display().to_string(),
            "token": state.token.full(),
            "digest": state.digest.to_string(),
            "digest_at_log_index": state.digest_at_index.map(|digest| digest.to_string()),
            "nodes": state.nodes,
            "edges": state.edges,
            "vectors": state.vectors,
        })
    };
    let (parted_at, parted_by) = match found.parted {
        Some(Parting::At(index)) => (Some(index.0), Some(index.0)),
        Some(Parting::AtOrBefore(index)) => (None, Some(index.0)),
        _ => (None, None),
    };
    json!({
        "equal": verdict.equal(),
        "compared": verdict.compared(),
        "log_index": found.log_index.0,
        "lead": found.lead(),
        "elements_compared": found.elements_compared,
        "a": side(&args.a, &found.a),
        "b": side(&args.b, &found.b),
        "parted_at": parted_at,
        "parted_at_or_before": parted_by,
        "difference_count": found.difference_count,
        "differences": found.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(difference: &Difference) -> Json {
    let mut document = match &difference.element {
        Element::Name { kind, id, name } => json!({ "element": "name", "kind": kind, "id": id, "name": name }),
        Element::Node { id, key } => json!({ "element": "node", "id": id.0, "key": key }),
        Element::Edge { edge, edge_type } => {
            let mut edge_json = json!({ "element": "edge", "src": edge.src.0, "type": edge_type, "dst": edge.dst.0 });
            if edge.rank != 0 {
                edge_json["rank"] = edge.rank.into();
            }
            edge_json
        }
        Element::Vector { node, property } => json!({ "element": "vector", "node": node.0, "property": property }),
        other => json!({ "element": other.to_string() }),
    };
    document["in_a"] = json!(difference.in_a);
    document["in_b"] = json!(difference.in_b);
    document["parts"] = json!(difference.parts);
    document
}

fn show(args: &VerifyArgs, found: &Comparison, verdict: Verdict, out: &mut dyn Write) -> io::Result<()> {
    let at = count(found.log_index.0);
    match (verdict, found.lead()) {
        (Verdict::EqualThere, 0) => writeln!(out, "{} at log index {at}", Styled(GOOD, "equal"))?,
        (Verdict::EqualThere, lead) => {
            let (ahead, frames) = (if lead > 0 { &args.a } else { &args.b }, lead.unsigned_abs());
            let ahead = clean(&ahead.display().to_string());
            let frames = counted(frames, "commit", "commits");
            writeln!(out, "{} at log index {at}; {ahead} is {frames} ahead", Styled(GOOD, "equal"))?;
        }
        (Verdict::EqualGraphs, _) => {
            let (a, b) = (found.a.token, found.b.token);
            let what = format!("their last commits are {a} and {b}, of histories that are not the same");
            writeln!(out, "{}: {}", Styled(GOOD, "equal graphs"), Styled(DIM, what))?;
        }
        (Verdict::Different, _) => {
            let parted = match found.parted {
                Some(Parting::At(index)) => format!("; they part with the commit at log index {}", count(index.0)),
                Some(Parting::AtOrBefore(index)) => {
                    format!("; they parted at or before log index {}, where a log begins", count(index.0))
                }
                _ => String::new(),
            };
            writeln!(out, "{} at log index {at}{parted}", Styled(BAD, "different"))?;
        }
        (Verdict::Unknown, _) if found.log_index.0 == 0 => {
            writeln!(out, "{}: one of them holds no commit yet", Styled(BAD, "not comparable"))?;
        }
        (Verdict::Unknown, _) => {
            let what = "the one that is ahead has no log back to there; let the other one catch up and verify again";
            writeln!(out, "{} at log index {at}: {what}", Styled(BAD, "not comparable"))?;
        }
    }
    let mut table = Table::new(
        2,
        [
            ("", Left, PLAIN),
            ("last commit", Right, PLAIN),
            ("nodes", Right, PLAIN),
            ("edges", Right, PLAIN),
            ("vectors", Right, PLAIN),
            ("digest there", Left, PLAIN),
        ],
    );
    for (path, state) in [(&args.a, &found.a), (&args.b, &found.b)] {
        table.row([
            clean(&path.display().to_string()),
            state.token.to_string(),
            count(state.nodes),
            count(state.edges),
            count(state.vectors),
            state.digest_at_index.map_or_else(|| "?".to_owned(), |digest| digest.to_string()),
        ]);
    }
    table.write(out)?;
    for difference in found.differences.iter().take(SHOWN) {
        let what = match (difference.in_a, difference.in_b) {
            (true, false) => format!("only in {}", args.a.display()),
            (false, true) => format!("only in {}", args.b.display()),
            _ => difference.parts.join(", "),
        };
        writeln!(out, "  {}: {}", clean(&difference.element.to_string()), Styled(DIM, clean(&what)))?;
    }
    match found.difference_count.saturating_sub(SHOWN as u64) {
        0 => Ok(()),
        more => writeln!(out, "  {}", Styled(DIM, format!("and {} more", count(more)))),
    }
}
