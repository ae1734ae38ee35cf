//! Which format a file has, by its name.

use crate::{
    cli::{Format, ImportArgs},
    failure::{Failure, Outcome},
    render::style::{clean, word},
};
use std::path::Path;

/// A file to import.
pub struct Wanted<'a> {
    pub path: &'a Path,
    pub format: Format,
}

/// The format of a file.
pub fn format_of(args: &ImportArgs, path: &Path) -> Outcome<Format> {
    args.format.or_else(|| guess(path)).ok_or_else(|| {
        let shown = clean(&path.display().to_string());
        if extension(path).is_some_and(|extension| extension == "kitedb") {
            let right = format!("`kitedb import {} {}`", word(path), word(&args.common.database));
            return Failure::usage(format_args!("{shown} is a database by its name, which is not read"))
                .literal_hint(format_args!("the database comes first: {right}"));
        }
        match unread(path) {
            Some((what, advice)) => {
                Failure::usage(format_args!("{shown} is {what} by its name, which is not read")).hint(advice)
            }
            None => Failure::usage(format_args!("cannot tell the format of {shown} by its name"))
                .hint("pass --format edgelist, csv or jsonl"),
        }
    })
}

pub fn name(format: Format) -> &'static str {
    match format {
        Format::Edgelist => "edgelist",
        Format::Csv => "csv",
        Format::Jsonl => "jsonl",
    }
}

/// What separates the columns of a table.
pub fn delimiter(args: &ImportArgs, path: &Path) -> u8 {
    let tabs = extension(path).is_some_and(|extension| extension == "tsv");
    args.delimiter.unwrap_or(if tabs { b'\t' } else { b',' })
}

/// A name without the end that says that it is compressed.
fn uncompressed(path: &Path) -> std::path::PathBuf {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("gz") => path.with_extension(""),
        _ => path.to_owned(),
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(uncompressed(path).extension()?.to_str()?.to_ascii_lowercase())
}

/// The format that a file's name stands for.
fn guess(path: &Path) -> Option<Format> {
    match extension(path)?.as_str() {
        "csv" | "tsv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "txt" | "el" | "edges" | "edgelist" => Some(Format::Edgelist),
        _ if uncompressed(path).file_stem().is_some_and(|stem| stem == "out") => Some(Format::Edgelist),
        _ => None,
    }
}

/// A format of graphs that is known and not read, and what to do.
fn unread(path: &Path) -> Option<(&'static str, &'static str)> {
    const NETWORKX: &str =
        "write it as an edge list, with networkx for instance (`networkx.write_edgelist`), or as a table";
    const UNPACK: &str = "unpack it into a pipe (`zstdcat FILE | kitedb import DB - --format csv`)";
    Some(match extension(path)?.as_str() {
        "graphml" => ("GraphML", NETWORKX),
        "gexf" => ("GEXF", NETWORKX),
        "gml" => ("GML", NETWORKX),
        "net" => ("a Pajek file", NETWORKX),
        "adjlist" => ("an adjacency list", NETWORKX),
        "mtx" => {
            ("a Matrix Market file", "take off its head, up to and with the line of sizes, and pass --format edgelist")
        }
        "json" => {
            ("JSON", "write one object per line, as of an array `jq -c '.[]' FILE` does, and pass --format jsonl")
        }
        "parquet" => ("Parquet", "write it as CSV"),
        "xlsx" | "ods" => ("a spreadsheet", "write it as CSV"),
        "zip" | "zst" | "bz2" | "xz" => ("compressed with another method than gzip", UNPACK),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format() {
        for (name, want) in [
            ("people.csv", Some(Format::Csv)),
            ("a/b.TSV", Some(Format::Csv)),
            ("a/b.tsv.gz", Some(Format::Csv)),
            ("graph.jsonl", Some(Format::Jsonl)),
            ("graph.ndjson", Some(Format::Jsonl)),
            ("soc-Epinions1.txt", Some(Format::Edgelist)),
            ("soc-Epinions1.txt.gz", Some(Format::Edgelist)),
            ("out.ego-facebook", Some(Format::Edgelist)),
            ("graph", None),
            ("graph.gz", None),
            ("-", None),
        ] {
            assert_eq!(guess(Path::new(name)), want, "{name}");
        }
    }
}
