//! The command line: what can be asked, and the help that explains it.

mod ask;
mod edit;
mod import;
mod replication;
#[cfg(feature = "http")]
mod serve;
#[cfg(feature = "telemetry")]
mod telemetry;

use clap::{
    Args, Parser, Subcommand,
    builder::{PathBufValueParser, TypedValueParser},
};
use kitedb_core::Token;
use std::path::{Path, PathBuf};

pub use ask::{
    CostArgs, CountArgs, Counted, EdgeChoiceArgs, EdgesArgs, NeighborsArgs, NodeListArgs, NodesArgs, PathArgs, Rank,
    ReachArgs, StepsArgs, TopArgs,
};
pub use edit::{DeleteArgs, EdgeArgs, EditArgs, LabelArgs, LinkArgs, SetArgs, UnlinkArgs, UnsetArgs};
pub use import::{Format, ImportArgs, OnDuplicate};
pub use replication::{
    CopyArgs, FollowArgs, LogArgs, PrimaryArgs, PrimaryCommand, PromoteArgs, RemoveArgs, ReplicaCommand,
    ReplicaPromoteArgs, ReplicaStatusArgs, RetentionArgs, Role,
};
#[cfg(feature = "http")]
pub use serve::ServeArgs;
#[cfg(feature = "telemetry")]
pub use telemetry::{BreakerStoreArgs, LookArgs, MetricsArgs, MetricsFormat, PushArgs, TelemetryCommand};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the operation failed
  2  the command line is wrong
  3  what was looked at is not in order: check found damage, verify a difference, status or role a fault";

const EXPORT: &str = "\
Everything is in it: names with their ids, nodes with theirs, keys, labels, properties of every kind, vectors, edges. It is
one state, that of the last commit, whatever is written meanwhile. A file appears under its name when it is whole. Its last
line says how much it holds, and by its digest which graph: an import ends with 3 where that is not what it read.

  kitedb export graph.kitedb --output graph.jsonl
  kitedb import copy.kitedb graph.jsonl
  kitedb export graph.kitedb | zstd > graph.jsonl.zst

Exit codes:
  0  done
  1  the operation failed
  2  the command line is wrong
  3  the database is damaged: less than was committed can be read, and nothing is exported";

const REPAIR: &str = "\
Nothing is thrown away: what was there is put aside beside the log, as `<name>.damaged`. A primary whose control file was
lost comes back fenced, because nothing else knew whether another node took over: it reads, and leads after
`kitedb primary promote DB --force`. What a database file itself has lost, no log brings back: reseed it from another
node, or restore it from a copy.

Exit codes:
  0  repaired, or nothing was to be done
  1  refused: it is in use, or commits lie behind damage and --cut-at does not name the last one before it
  2  the command line is wrong
  3  with --dry-run: there is something to repair; else: something is wrong that a repair does not mend";

/// Keep a graph in one file.
#[derive(Parser)]
#[command(name = "kitedb", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Show the engine at work on a real graph: through crashes, and through the life of a primary and its replicas
    #[command(after_help = EXIT_CODES)]
    Demo(DemoArgs),
    /// Bring nodes and edges from files into a database, which is created if it does not exist
    #[command(after_help = import::FORMATS)]
    Import(ImportArgs),
    /// Write a whole graph as JSON Lines, which import reads back into an empty database to the same digest
    #[command(after_help = EXPORT)]
    Export(ExportArgs),
    /// Show what a database holds and what it takes up
    Stats(DatabaseArgs),
    /// Verify every checksum and every invariant of a database
    #[command(after_help = EXIT_CODES)]
    Check(DatabaseArgs),
    /// Mend a log whose control file is damaged or gone, or that ends in damage, by what its frames prove
    #[command(after_help = REPAIR)]
    Repair(RepairArgs),
    /// Show one node
    Get(GetArgs),
    /// List nodes: those with a label, a property, a key that begins so; in an order
    #[command(after_help = ask::NODES)]
    Nodes(NodesArgs),
    /// List edges: those of a type, of a node, with a property; in an order
    #[command(after_help = ask::EDGES)]
    Edges(EdgesArgs),
    /// Count nodes and edges, all of them or those that are meant, or how many there are of each kind
    #[command(after_help = ask::COUNT)]
    Count(CountArgs),
    /// List the nodes of the highest degree, rank or property
    #[command(after_help = ask::TOP)]
    Top(TopArgs),
    /// List the nodes to which a node has edges
    #[command(after_help = ask::NEIGHBORS)]
    Neighbors(NeighborsArgs),
    /// Show a way from one node to another: of the fewest edges, or of the least weight
    #[command(after_help = ask::PATH)]
    Path(PathArgs),
    /// List the nodes that can be reached from a node, nearest first
    #[command(after_help = ask::REACH)]
    Reach(ReachArgs),
    /// Set properties of a node or of an edge
    #[command(after_help = edit::SET, override_usage = "kitedb set DB KEY NAME=VALUE…\n       kitedb set DB --edge SRC TYPE DST NAME=VALUE…")]
    Set(SetArgs),
    /// Remove properties of a node or of an edge
    #[command(after_help = edit::UNSET, override_usage = "kitedb unset DB KEY NAME…\n       kitedb unset DB --edge SRC TYPE DST NAME…")]
    Unset(UnsetArgs),
    /// Add labels to a node, or take them off
    #[command(after_help = edit::LABEL)]
    Label(LabelArgs),
    /// Add an edge from one node to another
    #[command(after_help = edit::LINK)]
    Link(LinkArgs),
    /// Remove the edges of a type from one node to another
    #[command(after_help = edit::UNLINK)]
    Unlink(UnlinkArgs),
    /// Delete nodes, with their edges
    #[command(after_help = edit::DELETE)]
    Delete(DeleteArgs),
    /// Look after a primary, whose log replicas follow
    #[command(subcommand, after_help = EXIT_CODES)]
    Primary(PrimaryCommand),
    /// Look after a replica: copy a primary, follow it, take over from it
    #[command(subcommand, after_help = EXIT_CODES)]
    Replica(ReplicaCommand),
    /// Show what part a database plays in replication, or say what a copy of one is
    Role(RoleArgs),
    /// Compare the digests of two databases at an index that both have reached, or, where they have no history in common, the
    /// graphs that they hold, and show what differs if they differ
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Serve a database over HTTP: the runbook's replication endpoints and its metrics, until SIGINT or SIGTERM
    #[cfg(feature = "http")]
    #[command(after_help = serve::HELP)]
    Serve(ServeArgs),
    #[cfg(feature = "telemetry")]
    #[command(flatten)]
    Telemetry(TelemetryCommand),
    /// The child that the demo kills
    #[command(hide = true)]
    DemoWriter(DemoWriterArgs),
}

impl Command {
    /// The database that it is about, if it is about one.
    pub fn database(&self) -> Option<&Path> {
        Some(match self {
            Self::Import(args) => &args.common.database,
            Self::Export(args) => &args.common.database,
            Self::Stats(args) | Self::Check(args) => &args.database,
            Self::Repair(args) => &args.common.database,
            Self::Get(args) => &args.common.database,
            Self::Nodes(args) => &args.common.database,
            Self::Edges(args) => &args.common.database,
            Self::Count(args) => &args.common.database,
            Self::Top(args) => &args.common.database,
            Self::Neighbors(args) => &args.node.common.database,
            Self::Path(args) => &args.common.database,
            Self::Reach(args) => &args.node.common.database,
            Self::Set(args) => &args.edit.common.database,
            Self::Unset(args) => &args.edit.common.database,
            Self::Label(args) => &args.edit.common.database,
            Self::Link(args) => &args.edit.common.database,
            Self::Unlink(args) => &args.edit.common.database,
            Self::Delete(args) => &args.edit.common.database,
            Self::Primary(command) => command.database(),
            Self::Replica(command) => command.database(),
            Self::Role(args) => &args.common.database,
            #[cfg(feature = "http")]
            Self::Serve(args) => &args.common.database,
            #[cfg(feature = "telemetry")]
            Self::Telemetry(command) => return command.database(),
            Self::Demo(_) | Self::DemoWriter(_) | Self::Verify(_) => return None,
        })
    }

    /// The source that it was given for that one.
    pub fn source(&self) -> Option<&Path> {
        match self {
            Self::Replica(command) => command.source(),
            _ => None,
        }
    }
}

/// The path of a database file: one in memory would end with the command, and with it what the command did.
pub fn in_a_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.as_os_str() == ":memory:" {
        true => Err(
            "a database in memory ends with this command: give the path of a file (./:memory: for one of that name)",
        ),
        false => Ok(path),
    })
}

#[derive(Args)]
pub struct DatabaseArgs {
    /// The database file
    #[arg(value_name = "DB", value_parser = in_a_file())]
    pub database: PathBuf,
    /// The folder of its replication log [default: where the file says that it is; for a new one DB.replication]
    #[arg(long, value_name = "DIR", global = true)]
    pub sidecar: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Args)]
pub struct RoleArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// Say so of the file though it has more than one hard link
    #[arg(long, global = true)]
    pub accept_hard_links: bool,
    /// Also where the copy was taken in use, and its original had more: what is missing is given up
    #[arg(long, global = true)]
    pub accept_copy: bool,
    #[command(subcommand)]
    pub command: Option<RoleCommand>,
}

#[derive(Subcommand)]
pub enum RoleCommand {
    /// Make an independent database of it, with an identity and a history of its own: for a copy that is analysed, or a
    /// node that leaves its cluster for good
    Detach {
        /// Go on without the commits that are only in a log which is gone
        #[arg(long)]
        overwrite: bool,
    },
    /// Let a primary lead whose files were copied or restored
    Primary {
        /// The files are where this primary lives now: it begins a new epoch, and the one that it was copied from must
        /// not write again
        #[arg(long)]
        moved: bool,
        /// Lead although another node took over from it: what was committed there is lost, or makes a second history
        #[arg(long, requires = "moved")]
        force: bool,
    },
}

#[derive(Args)]
pub struct RepairArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// Change nothing, and say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// End the log with this commit, the last one before damage, and give up what came after it
    #[arg(long, value_name = "EPOCH:INDEX")]
    pub cut_at: Option<Token>,
    /// Repair it though it has more than one hard link
    #[arg(long)]
    pub accept_hard_links: bool,
}

#[derive(Args)]
pub struct VerifyArgs {
    /// The first database
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// The second database
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// The folder of the first one's replication log [default: where A says]
    #[arg(long, value_name = "DIR")]
    pub sidecar_a: Option<PathBuf>,
    /// The folder of the second one's replication log [default: where B says]
    #[arg(long, value_name = "DIR")]
    pub sidecar_b: Option<PathBuf>,
    /// Read both databases whole: verify every checksum and every invariant of each, and compare element by element, not
    /// only the digests that their commits left
    #[arg(long)]
    pub deep: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct GetArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// The node's key
    pub key: String,
    /// Take KEY as a node's number (nodes without a key have nothing else)
    #[arg(long)]
    pub id: bool,
}

#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// The file to write, which must not be there yet, or - for standard output [default: -]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct DemoArgs {
    /// The folder for the database, created if it does not exist [default: a new one among the temporary files]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Print one JSON document at the end instead of the tour
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DemoWriterArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    #[arg(long, value_enum)]
    pub role: Role,
    /// End after so many
    #[arg(long)]
    pub commits: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
