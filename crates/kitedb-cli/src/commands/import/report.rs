//! What an import tells at its end.

use super::formats::{self, Wanted};
use crate::{
    cli::ImportArgs,
    commands::write_json,
    failure::{Failure, Outcome},
    import::{
        envelope::Envelope,
        tally::{Counts, There},
        write::RENAMED,
    },
    render::{
        number::{count, counted, duration, rate},
        style::{BAD, DIM, PLAIN, Styled, TITLE, clean},
        table::{Left, Right, Table},
    },
};
use kitedb_core::{Token, graph::RESERVED_PROPERTY};
use serde_json::{Value as Json, json};
use std::{io::Write, path::PathBuf, time::Duration};

/// So many bad lines are shown; the rest is only counted.
const SHOWN: usize = 10;

/// So many edges are shown that were there already.
const EDGES_SHOWN: usize = 3;

/// What was done with the files.
#[derive(Default)]
pub struct Report {
    pub files: Vec<FileReport>,
    /// Where bad lines are listed, if there are any.
    pub skipped_list: Option<PathBuf>,
    pub time: Duration,
}

/// What was done with one of them.
#[derive(Default)]
pub struct FileReport {
    pub name: String,
    /// What was committed.
    pub counts: Counts,
    /// Edges that were there already, the first of them.
    pub there: Vec<There>,
    /// How many lines were left out.
    pub skipped: u64,
    /// How many times something was wrong: a row may be of several lines.
    pub faults: u64,
    pub bad_lines: Vec<(u64, String)>,
    pub last_line: u64,
    /// What the file says of itself, if it is an export.
    pub export: Option<Envelope>,
    /// Why the graph is not the one that was exported.
    pub lack: Option<String>,
    pub warnings: Vec<String>,
}

impl FileReport {
    /// Notes what is wrong with lines that are left out.
    pub fn bad_lines(&mut self, (line, to): (u64, u64), what: String) {
        self.skipped += to - line + 1;
        self.faults += 1;
        if self.bad_lines.len() < SHOWN {
            self.bad_lines.push((line, what));
        }
    }

    fn export(&self) -> Option<&'static str> {
        self.export.as_ref().map(|_| if self.lack.is_some() { "incomplete" } else { "whole" })
    }

    fn document(&self, wanted: Option<&Wanted<'_>>) -> Json {
        let bad = self.bad_lines.iter().map(|(line, what)| json!({ "line": line, "error": what })).collect::<Vec<_>>();
        let there = self.there.iter();
        let there =
            there.map(|there| json!({ "line": there.line, "edge": there.edge, "became": there.became.as_str() }));
        let mut document = json!({
            "file": wanted.map(|wanted| wanted.path.display().to_string()),
            "format": wanted.map(|wanted| formats::name(wanted.format)),
            "lines": self.last_line,
            "skipped": self.skipped,
            "bad_lines": bad,
            "there_already": there.collect::<Vec<_>>(),
            "warnings": self.warnings,
            "export": self.export(),
            "export_lack": self.lack,
        });
        put_counts(&mut document, &self.counts);
        document
    }
}

fn put_counts(document: &mut Json, counts: &Counts) {
    for (name, number) in [
        ("nodes_created", counts.nodes_created),
        ("nodes_updated", counts.nodes_updated),
        ("nodes_existing", counts.nodes_existing),
        ("edges_created", counts.edges_created),
        ("edges_updated", counts.edges_updated),
        ("edges_existing", counts.edges_existing),
        ("kept", counts.kept),
        ("batches", counts.commits),
    ] {
        document[name] = number.into();
    }
    document["committed"] = counts.token.is_some().into();
    document["token"] = counts.token.map(Token::full).into();
}

/// What of an import is committed, whatever came after.
pub fn committed(counts: &Counts) -> Option<String> {
    let token = counts.token?;
    Some(format!("{} committed, the last is {token}", counted(counts.commits, "batch is", "batches are")))
}

/// What is said of nodes that may be of two kinds.
pub fn merged(counts: &Counts, first: Option<&(u64, String)>) -> Option<String> {
    let (line, node) = first.filter(|_| counts.merged > 0)?;
    Some(format!(
        "{} already got properties beside others of which the file names none (line {}: {node}), and no label in common tells that \
         they are the same: if they are of two kinds, import the file into a new database with --key-prefix",
        counted(counts.merged, "node that was there", "nodes that were there"),
        count(*line)
    ))
}

impl Report {
    /// What was committed of all files.
    pub fn counts(&self) -> Counts {
        self.files.iter().fold(Counts::default(), |counts, file| counts.and(file.counts))
    }

    pub fn committed(&self) -> Option<String> {
        committed(&self.counts())
    }

    /// What is kept where the import ends between two files.
    pub fn kept(&self) -> String {
        self.committed().unwrap_or_else(|| "nothing was imported".to_owned())
    }

    pub fn skipped(&self) -> u64 {
        self.files.iter().map(|file| file.skipped).sum()
    }

    /// What is not as the files say, or may be meant otherwise, once for each file.
    fn warnings(&self) -> Vec<String> {
        let renamed = match self.counts().renamed {
            0 => None,
            number => Some(format!(
                "{} `{RESERVED_PROPERTY}` came in as `{RENAMED}`: no property has that name, under which queries read the key of a \
                 node",
                counted(number, "property called", "properties called")
            )),
        };
        let named = |file: &FileReport, warning: &String| match self.files.len() {
            1 => warning.clone(),
            _ => format!("{}: {warning}", file.name),
        };
        let of_files = self.files.iter().flat_map(|file| file.warnings.iter().map(move |warning| named(file, warning)));
        renamed.into_iter().chain(of_files).collect()
    }

    /// Prints the document. Of one file, it is about that; of several, it has one of each.
    pub fn show_json(
        &self,
        args: &ImportArgs,
        wanted: &[Wanted<'_>],
        failure: Option<&Failure>,
        out: &mut dyn Write,
    ) -> Outcome {
        let nothing = FileReport::default();
        let mut document = match (wanted, self.files.as_slice()) {
            ([one], files) => files.first().unwrap_or(&nothing).document(Some(one)),
            (_, files) => {
                let mut document = nothing.document(None);
                let each =
                    files.iter().zip(wanted).map(|(file, wanted)| file.document(Some(wanted))).collect::<Vec<_>>();
                document["files"] = each.into();
                document["lines"] = files.iter().map(|file| file.last_line).sum::<u64>().into();
                document["skipped"] = self.skipped().into();
                put_counts(&mut document, &self.counts());
                document
            }
        };
        document["database"] = args.common.database.display().to_string().into();
        document["warnings"] = self.warnings().into();
        document["skipped_list"] = self.skipped_list.as_ref().map(|path| path.display().to_string()).into();
        document["error"] = failure.map(Failure::document).into();
        document["seconds"] = self.time.as_secs_f64().into();
        write_json(out, &document)
    }

    pub fn show(&self, args: &ImportArgs, out: &mut dyn Write) -> Outcome {
        let counts = &self.counts();
        let names = self.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>();
        let database = clean(&args.common.database.display().to_string());
        let per_second = counted(rate(counts.elements(), self.time), "element", "elements");
        let title = Styled(TITLE, format!("{} → {database}", names.join(", ")));
        let time = Styled(DIM, format!("{}, {per_second}/s", duration(self.time)));
        writeln!(out, "{title}  {time}")?;
        let mut table = Table::new(2, [("", Left, DIM), ("", Right, PLAIN), ("", Left, DIM)]);
        table.row(["nodes".into(), count(counts.nodes_created), already(counts.nodes_updated, counts.nodes_existing)]);
        table.row(["edges".into(), count(counts.edges_created), already(counts.edges_updated, counts.edges_existing)]);
        let token = counts.token.map(|token| format!("the last is {token}")).unwrap_or_default();
        table.row(["commits".into(), count(counts.commits), token]);
        if counts.kept > 0 {
            table.row(["kept".into(), count(counts.kept), "there already, and other in the file".into()]);
        }
        if self.skipped() > 0 {
            table.row(["bad lines".into(), count(self.skipped()), "skipped".into()]);
        }
        table.write(out)?;
        for warning in self.warnings() {
            writeln!(out, "  {} {}", Styled(BAD, "warning:"), clean(&warning))?;
        }
        self.show_there(counts, out)?;
        self.show_bad(out)
    }

    /// The first edges that were there already.
    fn show_there(&self, counts: &Counts, out: &mut dyn Write) -> Outcome {
        let there = self.files.iter().flat_map(|file| &file.there);
        let mut shown = 0;
        for there in there.take(EDGES_SHOWN) {
            let place = Styled(DIM, format!("line {}:", count(there.line)));
            writeln!(out, "  {place} {} was there already: {}", clean(&there.edge), there.became.as_str())?;
            shown += 1;
        }
        let all = counts.edges_existing + counts.edges_updated;
        if all > shown {
            writeln!(
                out,
                "  {}",
                Styled(DIM, format!("and {} more edges that were there already", count(all - shown)))
            )?;
        }
        Ok(())
    }

    fn show_bad(&self, out: &mut dyn Write) -> Outcome {
        let mut shown = 0;
        for file in &self.files {
            for (line, what) in &file.bad_lines {
                let file = if self.files.len() > 1 { format!("{}, ", file.name) } else { String::new() };
                writeln!(out, "  {} {}", Styled(DIM, format!("{file}line {line}:")), clean(what))?;
                shown += 1;
            }
        }
        let faults: u64 = self.files.iter().map(|file| file.faults).sum();
        if faults > shown {
            writeln!(out, "  {}", Styled(DIM, format!("and {} more", count(faults - shown))))?;
        }
        Ok(())
    }
}

/// What was there already of a kind.
fn already(updated: u64, existing: u64) -> String {
    match (updated, existing) {
        (0, 0) => String::new(),
        (0, existing) => format!("and {} there already, unchanged", count(existing)),
        (updated, 0) => format!("and {} there already, updated", count(updated)),
        (updated, existing) => {
            format!("and {} there already, {} of them updated", count(updated + existing), count(updated))
        }
    }
}
