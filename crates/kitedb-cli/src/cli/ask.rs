//! What can be asked of a graph.

use super::{DatabaseArgs, GetArgs};
use crate::{
    render::listing::Form,
    select::{
        condition::Condition,
        field::{Field, Fields, Of},
    },
};
use clap::{Args, ValueEnum};

macro_rules! conditions {
    () => {
        "\
Conditions (each --where must hold):
  age>30  age>=30  age<30  age<=30  age=30  age!=30      a number, true or false, a word
  name='Ada Lovelace'  born<1816-01-01                   a text in quotes; dates and times in their ISO form
  name~'^A'  name!~'^A'                                  a text in which a regular expression is found, or is not
  has age    not has age    not name=Ada                 whether it is there; whatever does not hold, absent or not
Values of different kinds never compare, and what is absent does not either: age!=30 holds for other numbers alone.
In a shell, put a condition into quotes. "
    };
}

macro_rules! own_of_nodes {
    () => {
        "Beside properties, key, id, degree, out-degree and in-degree are names; \"id\" in double quotes is a property of that name."
    };
}

macro_rules! own_of_edges {
    () => {
        "Beside properties, from, to, type and rank are names; \"type\" in double quotes is a property of that name."
    };
}

pub const NODES: &str = concat!(
    conditions!(),
    own_of_nodes!(),
    "

  kitedb nodes social.kitedb --label Person --where 'age>30' --sort age --desc --limit 10
  kitedb nodes social.kitedb --where \"name~'^A'\" --show name,age,degree
  kitedb nodes social.kitedb --label Person --csv > people.csv
  kitedb nodes social.kitedb --label Person --jsonl | kitedb import people.kitedb - --format jsonl"
);

pub const EDGES: &str = concat!(
    conditions!(),
    own_of_edges!(),
    "

  kitedb edges social.kitedb --type KNOWS --where 'since<1850' --sort since
  kitedb edges social.kitedb --from ada --show since
  kitedb edges social.kitedb --from ada --to charles --json"
);

pub const COUNT: &str = concat!(
    conditions!(),
    own_of_nodes!(),
    " ",
    own_of_edges!(),
    "

  kitedb count social.kitedb
  kitedb count social.kitedb nodes --label Person --where 'age>30'
  kitedb count social.kitedb nodes --by label
  kitedb count social.kitedb edges --by type --csv"
);

pub const TOP: &str = concat!(
    conditions!(),
    own_of_nodes!(),
    "

  kitedb top social.kitedb --by degree
  kitedb top social.kitedb --by in-degree --type KNOWS --limit 3
  kitedb top social.kitedb --by pagerank --label Person
  kitedb top social.kitedb --by age --show name"
);

pub const NEIGHBORS: &str = concat!(
    conditions!(),
    own_of_nodes!(),
    "

  kitedb neighbors social.kitedb ada --type KNOWS
  kitedb neighbors social.kitedb ada --both --show name,degree --sort degree --desc
  kitedb neighbors social.kitedb ada --depth 2 --where 'age>30'"
);

pub const REACH: &str = concat!(
    conditions!(),
    own_of_nodes!(),
    "

  kitedb reach social.kitedb ada --depth 2 --type KNOWS
  kitedb reach social.kitedb ada --where 'has age' --sort age --desc --csv"
);

pub const PATH: &str = "
  kitedb path social.kitedb ada charles
  kitedb path roads.kitedb a b --type ROAD --weight km --k 3
  kitedb path roads.kitedb a b --weight gain --missing 0";

fn node_condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text, Of::Node).map_err(|fault| fault.to_string())
}

fn edge_condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text, Of::Edge).map_err(|fault| fault.to_string())
}

fn node_field(text: &str) -> Result<Field, String> {
    Field::parse(text, Of::Node).map_err(|fault| fault.to_string())
}

fn edge_field(text: &str) -> Result<Field, String> {
    Field::parse(text, Of::Edge).map_err(|fault| fault.to_string())
}

fn node_fields(text: &str) -> Result<Fields, String> {
    Fields::parse(text, Of::Node).map_err(|fault| fault.to_string())
}

fn edge_fields(text: &str) -> Result<Fields, String> {
    Fields::parse(text, Of::Edge).map_err(|fault| fault.to_string())
}

/// The forms of a list beside that for people and the one document.
#[derive(Args)]
pub struct FormArgs {
    /// Print one JSON object per line
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub jsonl: bool,
    /// Print comma-separated values, as RFC 4180 has them
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

impl FormArgs {
    pub fn form(&self, common: &DatabaseArgs) -> Form {
        match self {
            _ if common.json => Form::Json,
            Self { jsonl: true, .. } => Form::JsonLines,
            Self { csv: true, .. } => Form::Csv,
            _ => Form::Table,
        }
    }
}

/// What a question may cost.
#[derive(Args)]
pub struct CostArgs {
    /// End with an error after so many ms
    #[arg(long, value_name = "MS")]
    pub timeout_ms: Option<u64>,
    /// End with an error where the question would hold more than so many bytes [default: 1 GiB]
    #[arg(long, value_name = "BYTES")]
    pub memory_bytes: Option<usize>,
}

impl CostArgs {
    /// The bytes that it may hold.
    pub fn memory(&self) -> usize {
        self.memory_bytes.unwrap_or(1 << 30)
    }
}

/// Which of some nodes are listed, in which order, and what of them.
#[derive(Args)]
pub struct NodeListArgs {
    /// Only nodes for which this holds, as age>30; may be given several times
    #[arg(long = "where", value_name = "CONDITION", value_parser = node_condition)]
    pub conditions: Vec<Condition>,
    /// In the order of this: a property, key, id, degree, out-degree or in-degree; what has none comes last
    #[arg(long, value_name = "NAME", value_parser = node_field)]
    pub sort: Option<Field>,
    /// The greatest first
    #[arg(long, requires = "sort")]
    pub desc: bool,
    /// Stop after this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Of properties these alone, each in a column; also id, degree, out-degree, in-degree
    #[arg(long, value_name = "NAME,…", value_parser = node_fields)]
    pub show: Vec<Fields>,
    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Args)]
pub struct NodesArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// Only nodes with this label; may be given several times: with all of them
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// Only nodes whose key begins so
    #[arg(long, value_name = "TEXT")]
    pub key_prefix: Option<String>,
    #[command(flatten)]
    pub list: NodeListArgs,
    #[command(flatten)]
    pub cost: CostArgs,
}

/// The edges that a question is about.
#[derive(Args)]
pub struct EdgeChoiceArgs {
    /// Only edges of this type; may be given several times: of one of them
    #[arg(long = "type", value_name = "TYPE")]
    pub edge_types: Vec<String>,
    /// Only edges from the node with this key
    #[arg(long, value_name = "KEY")]
    pub from: Option<String>,
    /// Only edges to the node with this key
    #[arg(long, value_name = "KEY")]
    pub to: Option<String>,
    /// Take the keys of --from and --to as nodes' numbers
    #[arg(long)]
    pub id: bool,
}

#[derive(Args)]
pub struct EdgesArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    #[command(flatten)]
    pub choice: EdgeChoiceArgs,
    /// Only edges for which this holds, as since<1850; may be given several times
    #[arg(long = "where", value_name = "CONDITION", value_parser = edge_condition)]
    pub conditions: Vec<Condition>,
    /// In the order of this: a property, from, to, type or rank; what has none comes last
    #[arg(long, value_name = "NAME", value_parser = edge_field)]
    pub sort: Option<Field>,
    /// The greatest first
    #[arg(long, requires = "sort")]
    pub desc: bool,
    /// Stop after this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Of properties these alone, each in a column; also rank
    #[arg(long, value_name = "NAME,…", value_parser = edge_fields)]
    pub show: Vec<Fields>,
    #[command(flatten)]
    pub form: FormArgs,
    #[command(flatten)]
    pub cost: CostArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    Nodes,
    Edges,
}

#[derive(Args)]
pub struct CountArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// What is counted [default: what the options are about; without any, both]
    #[arg(value_enum, value_name = "nodes|edges", hide_possible_values = true)]
    pub what: Option<Counted>,
    /// Only nodes with this label; may be given several times: with all of them
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// Only nodes whose key begins so
    #[arg(long, value_name = "TEXT")]
    pub key_prefix: Option<String>,
    #[command(flatten)]
    pub edges: EdgeChoiceArgs,
    /// Only what this holds for, as age>30; may be given several times
    #[arg(long = "where", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// How many of each: label, type, a property, or another name that conditions know
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// With --by: stop after this many, the most frequent first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), requires = "by")]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub form: FormArgs,
    #[command(flatten)]
    pub cost: CostArgs,
}

#[derive(Args)]
pub struct TopArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// degree, in-degree, out-degree, pagerank, or a property
    #[arg(long, value_name = "NAME", value_parser = rank)]
    pub by: Rank,
    /// Only nodes with this label; may be given several times: with all of them. They are ranked in the whole graph
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// Degrees and pagerank: by edges of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub edge_types: Vec<String>,
    /// Only nodes for which this holds, as age>30; may be given several times
    #[arg(long = "where", value_name = "CONDITION", value_parser = node_condition)]
    pub conditions: Vec<Condition>,
    /// Stop after this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 10)]
    pub limit: u64,
    /// Of properties these alone, each in a column
    #[arg(long, value_name = "NAME,…", value_parser = node_fields)]
    pub show: Vec<Fields>,
    #[command(flatten)]
    pub form: FormArgs,
    #[command(flatten)]
    pub cost: CostArgs,
}

/// By what nodes are ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rank {
    PageRank,
    /// A degree, or a property.
    Field(Field),
}

fn rank(text: &str) -> Result<Rank, String> {
    if text.trim() == "pagerank" {
        return Ok(Rank::PageRank);
    }
    node_field(text).map(Rank::Field)
}

#[derive(Args)]
pub struct NeighborsArgs {
    #[command(flatten)]
    pub node: GetArgs,
    /// Follow only edges of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub edge_types: Vec<String>,
    /// Follow edges backwards: the nodes that have edges to this one
    #[arg(long = "in", conflicts_with = "both")]
    pub incoming: bool,
    /// Follow edges either way
    #[arg(long)]
    pub both: bool,
    /// The nodes at most so many edges away, each once and nearest first, in place of a line for each edge
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub depth: Option<u32>,
    #[command(flatten)]
    pub list: NodeListArgs,
    #[command(flatten)]
    pub cost: CostArgs,
}

/// Which edges are followed, and what that may cost.
#[derive(Args)]
pub struct StepsArgs {
    /// Follow only edges of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub edge_types: Vec<String>,
    /// Follow edges backwards
    #[arg(long = "in", conflicts_with = "both")]
    pub incoming: bool,
    /// Follow edges either way
    #[arg(long)]
    pub both: bool,
    #[command(flatten)]
    pub cost: CostArgs,
}

#[derive(Args)]
pub struct PathArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// The key of the node where it starts
    pub from: String,
    /// The key of the node where it ends
    pub to: String,
    /// Take FROM and TO as nodes' numbers
    #[arg(long)]
    pub id: bool,
    #[command(flatten)]
    pub steps: StepsArgs,
    /// The least sum of this property of edges, in place of the fewest edges
    #[arg(long, value_name = "PROPERTY", conflicts_with = "all")]
    pub weight: Option<String>,
    /// What an edge weighs that does not have that property; without this, such an edge is an error
    #[arg(long, value_name = "NUMBER", requires = "weight", allow_negative_numbers = true)]
    pub missing: Option<f64>,
    /// So many paths without a repeated node, the best first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "all")]
    pub k: Option<u64>,
    /// Every path of the fewest edges
    #[arg(long)]
    pub all: bool,
}

#[derive(Args)]
pub struct ReachArgs {
    #[command(flatten)]
    pub node: GetArgs,
    #[command(flatten)]
    pub steps: StepsArgs,
    /// At most so many edges away
    #[arg(long, value_name = "N")]
    pub depth: Option<u32>,
    #[command(flatten)]
    pub list: NodeListArgs,
}
