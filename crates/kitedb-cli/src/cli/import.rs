//! The arguments of `kitedb import`.

use super::{DatabaseArgs, LogArgs, Role};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

pub const FORMATS: &str = "\
Formats (UTF-8, or that in gzip; the whole of it in docs/import.md):
  edgelist  SRC DST [TYPE], separated by blanks; lines that begin with # or % are comments.
            With --weighted, or as KONECT writes it: SRC DST [WEIGHT [TIMESTAMP]]. As networkx: SRC DST {'weight': 1}.
  csv       the header decides. With columns src,dst[,type]: edges. With a column key (or id) and perhaps
            labels (separated by ;): nodes. Neo4j's headers are known: name:ID(Space), :START_ID(Space), age:int,
            tags:string[], :LABEL, :TYPE. Cells of other columns are numbers where a number prints so, true/false,
            else text; an empty cell is an absent property.
  jsonl     one object per line:
            {\"type\":\"node\",\"key\":\"ada\",\"labels\":[\"Person\"],\"props\":{\"born\":1815}}
            {\"type\":\"edge\",\"src\":\"ada\",\"dst\":\"charles\",\"label\":\"KNOWS\",\"props\":{\"since\":1833}}

Nodes and edges that exist get what they lack, and the nodes an edge names are created if they do not exist: running
the same import again changes nothing. A value that would replace another one is a bad line unless --on-duplicate says
what to do. Each batch is one transaction. A bad line stops the import with its number and leaves what earlier batches
brought; --skip-bad leaves bad lines out, each whole, lists them in a file beside the database, and goes on.

Exit codes:
  0  done
  1  the operation failed
  2  the command line is wrong
  3  not all is imported: bad lines were skipped, or it is not the whole of an export";

#[derive(Args)]
pub struct ImportArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// The files to read, one after the other, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The format of FILE; guessed from its name if not given
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The type of edges that name none [default: LINK]
    #[arg(long = "type", value_name = "TYPE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub edge_type: Option<String>,
    /// A label for every node that the import brings
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub label: Option<String>,
    /// What is put before every key, so that nodes of two kinds that have the same keys are not the same nodes
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub key_prefix: Option<String>,
    /// What to do about an edge that is there already, or a node that has another value: stop there, keep what is there, update
    /// it, or add a parallel edge [default: what is the same is counted, where a value is another one the import stops]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_duplicate: Option<OnDuplicate>,
    /// List bad lines in a file and go on instead of stopping at the first; ends with 3 if there are any
    #[arg(long)]
    pub skip_bad: bool,
    /// edgelist: the third field is a weight, the fourth a timestamp
    #[arg(long, conflicts_with = "columns")]
    pub weighted: bool,
    /// csv: what separates the columns [default: a comma; a tab for *.tsv]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// csv: rows are nodes, where the header could be that of edges, too
    #[arg(long, conflicts_with = "edges")]
    pub nodes: bool,
    /// csv: rows are edges, where the header could be that of nodes, too
    #[arg(long)]
    pub edges: bool,
    /// csv, edgelist: what the columns are, in place of the header: src,type,dst,weight:float
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Option<Vec<String>>,
    /// csv: the first row is data
    #[arg(long, requires = "columns")]
    pub no_header: bool,
    /// How many nodes and edges make one transaction
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
    /// Whether replicas can follow it [default: as it was last time; disabled for a new one]
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Edgelist,
    Csv,
    Jsonl,
}

/// What is done about what is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnDuplicate {
    Error,
    Keep,
    Update,
    Parallel,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        b"\\t" | b"tab" => Ok(b'\t'),
        _ => Err("give one ASCII character, or \\t".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_ascii_character() {
        for (text, want) in [(",", Some(b',')), (";", Some(b';')), ("\\t", Some(b'\t')), ("tab", Some(b'\t'))] {
            assert_eq!(delimiter(text).ok(), want, "{text}");
        }
        for bad in ["", ",,", "é", "\"", "\n"] {
            assert!(delimiter(bad).is_err(), "{bad}");
        }
    }
}
