//! One module per command, and what those that read have in common.

pub mod check;
pub mod count;
pub mod demo;
pub mod edges;
pub mod edit;
pub mod export;
mod followers;
pub mod get;
pub mod import;
pub mod neighbors;
mod node_list;
pub mod nodes;
mod pace;
pub mod path;
pub mod primary;
pub mod reach;
pub mod repair;
pub mod replica;
mod rivals;
pub mod role;
mod rows;
#[cfg(feature = "http")]
pub mod serve;
pub mod stats;
#[cfg(feature = "telemetry")]
pub mod telemetry;
pub mod top;
pub mod verify;
mod without_log;

use crate::{
    asked_to_end::listen,
    cli::{CostArgs, DatabaseArgs, EdgeChoiceArgs, GetArgs, LogArgs, StepsArgs},
    failure::{
        DOES_NOT_OPEN, EXIT_FAILED, EXIT_FAULT, EXIT_SIGNAL, Failure, NO_REPLICA_AND_DOES_NOT_OPEN, Outcome,
        not_opened, not_opened_to_write, note,
    },
    render::{listing::Form, style::clean},
    select::{condition::Condition, filter::EdgeFilter},
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, GraphRead, NodeId, OpenOptions, PropKeyId, ReplicationRole, Result, Value, View,
    Watch,
    query::{Limits, Steps, Way},
};
use serde::Serialize;
use std::{
    io::Write,
    path::Path,
    process,
    sync::mpsc::{self, Receiver},
};

/// Opens a database so that a process that writes to it is not disturbed.
fn open_to_read(args: &DatabaseArgs) -> Outcome<Database> {
    look_at(args, args.options())
}

/// Opens what a command only looks at; where it does not open, the command ends as [`not_opened`] says.
fn look_at(args: &DatabaseArgs, options: OpenOptions) -> Outcome<Database> {
    let opened = Database::open(&args.database, options.read_only(true));
    opened.map_err(|error| not_opened(error, &args.database, args.sidecar.as_ref()))
}

/// Ends a command that showed what `database` holds, or failed at that: where that is less than was committed, it says so
/// on standard error and ends with the code of a fault.
fn whole(database: &Database, shown: Outcome, out: &mut dyn Write) -> Outcome {
    let Some(damage) = database.damage() else { return shown };
    out.flush()?;
    let failed = shown.err().map(|failure| failure.message().to_owned()).filter(|message| !message.is_empty());
    let failed = failed.map_or_else(String::new, |message| format!("{message}; "));
    let exit = if is_denied(database) { EXIT_FAILED } else { EXIT_FAULT };
    Err(Failure::new(format_args!("{failed}less than was committed is shown: {damage}")).of(damage.code()).exit(exit))
}

/// Why less than was committed is shown of `database`, for a document: what this account may not read is no damage.
fn damage_of(database: &Database) -> Option<String> {
    database.damage().filter(|_| !is_denied(database)).map(|damage| damage.to_string())
}

/// Whether what is not shown of `database` may not be read by this account, which is no damage.
fn is_denied(database: &Database) -> bool {
    database.damage().is_some_and(|damage| damage.code() == ErrorCode::PermissionDenied)
}

/// The code with which a command ends that could not look at the log of `database`.
fn exit_without_log(database: &Database) -> u8 {
    let denied = database.replication_log_is_denied() && (database.damage().is_none() || is_denied(database));
    if denied { EXIT_FAILED } else { EXIT_FAULT }
}

/// Opens a primary or a replica for writing.
fn open_node(args: &DatabaseArgs, options: OpenOptions) -> Outcome<Database> {
    opened(args, options, DOES_NOT_OPEN)
}

/// As [`open_node`], as a replica: one whose file does not open is set up for a reseed, and what is none is not.
fn open_replica(args: &DatabaseArgs, options: OpenOptions) -> Outcome<Database> {
    opened(args, options, NO_REPLICA_AND_DOES_NOT_OPEN)
}

fn opened(args: &DatabaseArgs, options: OpenOptions, does_not_open: &str) -> Outcome<Database> {
    let path = &args.database;
    Database::open(path, options).map_err(|error| match error.code() {
        ErrorCode::Locked => Failure::from(error).hint(
            "stop that process first (a follower ends cleanly on SIGTERM), or let it do this itself; \
             status, verify and check work beside it",
        ),
        // A replica's would have been set up for a reseed.
        _ if error.kind() == ErrorKind::Reseed && !error.names_a_command() && path.exists() && !opens(path) => {
            Failure::from(error).hint(does_not_open)
        }
        _ => not_opened_to_write(error, path, args.sidecar.as_deref()),
    })
}

/// Fails where `database` at `path` takes no writes from here, before any work is done for one.
fn require_takes_writes(database: &Database, path: &Path) -> Outcome {
    require_no_replica(database, path)?;
    Ok(database.require_commits()?)
}

fn require_no_replica(database: &Database, path: &Path) -> Outcome {
    if database.replication_role() != ReplicationRole::Replica {
        return Ok(());
    }
    let shown = clean(&path.display().to_string());
    Err(Failure::new(format_args!("{shown} is a replica and takes writes only from its source"))
        .of(ErrorCode::ReplicaReadOnly)
        .hint("write to its primary; `kitedb replica promote DB` makes this one take writes"))
}

/// Fails if an option is given that is about replication, for a database at `path` that has no part in it. What else can be done than
/// to leave it out is `or`.
fn require_options_of_role(log: &LogArgs, path: &Path, database: &Database, or: &str) -> Outcome {
    if database.replication_role() != ReplicationRole::Disabled {
        return Ok(());
    }
    let option = match log {
        log if log.segment_max_bytes.is_some() => "--segment-max-bytes",
        log if log.fence_wait_ms.is_some() => "--fence-wait-ms",
        _ => return Ok(()),
    };
    let shown = clean(&path.display().to_string());
    let what = format_args!("{option} is about the log of a primary, and {shown} is a database without replication");
    Err(Failure::usage(what).hint(format_args!("leave {option} out{or}")))
}

/// Whether the file at `path` opens, as far as it goes.
fn opens(path: &Path) -> bool {
    Database::open(path, OpenOptions::new().create_if_missing(false).read_only(true)).is_ok()
}

/// Ends with the exit code of a fault if there is one, after the command has shown it.
fn fault_if(fault: bool, out: &mut dyn Write) -> Outcome {
    out.flush()?;
    if fault { Err(Failure::shown(EXIT_FAULT)) } else { Ok(()) }
}

/// What comes with the first SIGINT, SIGTERM or SIGHUP; a second one ends the process where it is.
fn signals() -> Outcome<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let mut asked = false;
    let handler = move || {
        if std::mem::replace(&mut asked, true) {
            // Whatever it is doing, files are as after a crash: whole.
            process::exit(EXIT_SIGNAL.into());
        }
        let _ = sender.send(());
    };
    listen(handler)?;
    Ok(receiver)
}

/// Writes one JSON document on one line.
fn write_json(out: &mut dyn Write, document: &impl Serialize) -> Outcome {
    serde_json::to_writer(&mut *out, document)?;
    Ok(writeln!(out)?)
}

/// The node that the arguments name.
fn find_node(view: &View, args: &GetArgs) -> Outcome<NodeId> {
    node_named(view, &args.key, args.id)
}

/// The node of that key, or of that number.
fn node_named(graph: &(impl GraphRead + ?Sized), key: &str, is_number: bool) -> Outcome<NodeId> {
    let shown = clean(key);
    if is_number {
        let id = key.parse().map_err(|_| Failure::usage(format_args!("`{shown}` is not a node's number")))?;
        return match graph.node_exists(NodeId(id))? {
            true => Ok(NodeId(id)),
            false => Err(Failure::new(format_args!("there is no node {id}")).of(ErrorCode::NodeNotFound)),
        };
    }
    match graph.node_by_key(key)? {
        Some(node) => Ok(node),
        None => Err(Failure::new(format_args!("there is no node with the key `{shown}`"))
            .of(ErrorCode::NodeNotFound)
            .hint("keys are case-sensitive; pass --id to look a node up by its number")),
    }
}

fn label_names(view: &View, node: NodeId) -> Result<Vec<String>> {
    Ok(view.node_labels(node)?.into_iter().filter_map(|label| view.label_name(label)).collect())
}

/// Properties under their names, in the order of the names.
fn named(view: &View, props: Option<Vec<(PropKeyId, Value)>>) -> Vec<(String, Value)> {
    let props = props.unwrap_or_default().into_iter();
    let mut named: Vec<_> = props.filter_map(|(key, value)| Some((view.propkey_name(key)?, value))).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

/// Which edges a question follows.
fn steps_of(args: &StepsArgs) -> Steps<'static> {
    let way = match (args.both, args.incoming) {
        (true, _) => Way::Both,
        (false, true) => Way::In,
        (false, false) => Way::Out,
    };
    args.edge_types.iter().fold(Steps::new(way), |steps, ty| steps.of_type(ty))
}

/// What a question may cost, and what ends it.
fn limits_of(args: &CostArgs, watch: &Watch) -> Limits {
    let limits = Limits::new().watched_by(watch);
    let limits = args.timeout_ms.into_iter().fold(limits, Limits::time_ms);
    args.memory_bytes.into_iter().fold(limits, Limits::memory_bytes)
}

/// The edges that the arguments mean.
fn choose_edges<'a>(view: &View, args: &'a EdgeChoiceArgs, conditions: &'a [Condition]) -> Outcome<EdgeFilter<'a>> {
    let find = |key: &Option<String>| key.as_ref().map(|key| node_named(view, key, args.id)).transpose();
    Ok(EdgeFilter { types: &args.edge_types, from: find(&args.from)?, to: find(&args.to)?, conditions })
}

/// Tells somebody at a terminal which names are not in use, so that nothing has them.
fn tell_unknown(form: Form, unknown: &[(&str, &str)]) {
    if form == Form::Table {
        for (kind, name) in unknown {
            note(format_args!("nothing in this graph has the {kind} `{}`", clean(name)));
        }
    }
}

/// Fails, as of a wrong command line, where something is not so.
fn require(is_so: bool, what: impl FnOnce() -> String) -> Outcome {
    if is_so { Ok(()) } else { Err(Failure::usage(what())) }
}

/// How a node is called on a terminal: by its key, or by its number.
fn node_name(key: Option<&str>, node: NodeId) -> String {
    key.map_or_else(|| format!("#{node}"), clean)
}
