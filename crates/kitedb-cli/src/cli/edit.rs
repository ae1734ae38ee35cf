//! Edits by hand.

use super::{DatabaseArgs, LogArgs};
use clap::Args;

macro_rules! whole {
    ($examples:literal) => {
        concat!(
            "Each is one transaction: all of it is done, or nothing. It is written in the role that the file has; a replica and a primary \
that another node took over from refuse it.

",
            $examples
        )
    };
}

pub const SET: &str = whole!(
    "A value is what a CSV import makes of it: an integer, a float, true or false, else a text. NAME:KIND=VALUE says which kind it is: text,
int, float, bool, date, time, local-time, datetime, local-datetime, duration or json. A name with a colon or = stands in \"quotes\".

  kitedb set social.kitedb ada age=36 name='Ada Lovelace'
  kitedb set social.kitedb ada zip:text=01234 born:date=1815-12-10 tags:json='[\"a\",\"b\"]'
  kitedb set social.kitedb grace age=37 --create
  kitedb set social.kitedb --edge ada KNOWS charles since=1833"
);

pub const UNSET: &str = whole!(
    "  kitedb unset social.kitedb ada age name
  kitedb unset social.kitedb --edge ada KNOWS charles since"
);

pub const LABEL: &str = whole!("  kitedb label social.kitedb ada --add Poet --remove Bot");

pub const LINK: &str = whole!(
    "  kitedb link social.kitedb ada KNOWS charles since=1833
  kitedb link social.kitedb ada KNOWS grace --create
  kitedb link bank.kitedb a PAID b amount=20 --parallel"
);

pub const UNLINK: &str = whole!(
    "  kitedb unlink social.kitedb ada KNOWS charles
  kitedb unlink bank.kitedb a PAID b --rank 7
  kitedb unlink bank.kitedb a PAID b --yes"
);

pub const DELETE: &str = whole!(
    "A node goes with its labels, properties, vectors and edges.

  kitedb delete social.kitedb bot --dry-run
  kitedb delete social.kitedb bot --yes"
);

/// What every edit has.
#[derive(Args)]
pub struct EditArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// Take keys of nodes as their numbers
    #[arg(long)]
    pub id: bool,
    /// Change nothing, and show what would be changed
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub log: LogArgs,
}

/// An edge in place of a node.
#[derive(Args)]
pub struct EdgeArgs {
    /// Edit this edge, and no node
    #[arg(long, num_args = 3, value_names = ["SRC", "TYPE", "DST"])]
    pub edge: Vec<String>,
    /// Which of several parallel edges
    #[arg(long, value_name = "N", requires = "edge")]
    pub rank: Option<u64>,
}

#[derive(Args)]
pub struct SetArgs {
    #[command(flatten)]
    pub edit: EditArgs,
    #[command(flatten)]
    pub edge: EdgeArgs,
    /// The node's key (without --edge), and what is set
    #[arg(value_name = "KEY NAME=VALUE", required = true)]
    pub words: Vec<String>,
    /// Create the node if there is none with this key
    #[arg(long, conflicts_with_all = ["edge", "id"])]
    pub create: bool,
}

#[derive(Args)]
pub struct UnsetArgs {
    #[command(flatten)]
    pub edit: EditArgs,
    #[command(flatten)]
    pub edge: EdgeArgs,
    /// The node's key (without --edge), and the properties that are removed
    #[arg(value_name = "KEY NAME", required = true)]
    pub words: Vec<String>,
}

#[derive(Args)]
pub struct LabelArgs {
    #[command(flatten)]
    pub edit: EditArgs,
    /// The node's key
    pub key: String,
    /// Add this label; may be given several times
    #[arg(long, value_name = "LABEL", required_unless_present = "remove", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub add: Vec<String>,
    /// Take this label off; may be given several times
    #[arg(long, value_name = "LABEL")]
    pub remove: Vec<String>,
}

#[derive(Args)]
pub struct LinkArgs {
    #[command(flatten)]
    pub edit: EditArgs,
    /// The key of the node where the edge starts
    pub src: String,
    /// The type of the edge
    #[arg(value_name = "TYPE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub edge_type: String,
    /// The key of the node where it ends
    pub dst: String,
    /// Its properties, as `kitedb set` takes them
    #[arg(value_name = "NAME=VALUE")]
    pub props: Vec<String>,
    /// Add one more where there is such an edge already
    #[arg(long)]
    pub parallel: bool,
    /// Create the nodes if there are none with these keys
    #[arg(long, conflicts_with = "id")]
    pub create: bool,
}

#[derive(Args)]
pub struct UnlinkArgs {
    #[command(flatten)]
    pub edit: EditArgs,
    /// The key of the node where the edge starts
    pub src: String,
    /// The type of the edge
    #[arg(value_name = "TYPE")]
    pub edge_type: String,
    /// The key of the node where it ends
    pub dst: String,
    /// Which of several parallel edges, of which else all are meant
    #[arg(long, value_name = "N")]
    pub rank: Option<u64>,
    /// Remove more than one edge
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub edit: EditArgs,
    /// The keys of the nodes
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// Delete more than one element: several nodes, or one with edges
    #[arg(long)]
    pub yes: bool,
}
