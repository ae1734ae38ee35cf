//! `kitedb serve`: a database over HTTP.

use super::{signals, write_json};
use crate::{
    cli::ServeArgs,
    events,
    failure::{Failure, Outcome, not_opened_to_write},
    render::style::clean,
};
use kitedb_core::{Database, FollowerOptions, ReplicationRole};
use kitedb_http::{ServeError, ServeOptions, Served, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// As in `docs/examples/kitedb-serve.service`.
const DESCRIPTORS: u64 = 8192;

pub fn run(args: &ServeArgs, out: &mut dyn Write) -> Outcome {
    let stopped = signals()?;
    events::show()?;
    let_in_many();
    let mut options = ServeOptions::from_environment().map_err(Failure::usage)?;
    options.allow_anybody = args.allow_anybody;
    options.socket.clone_from(&args.socket);
    // Where the operator names a place, it is that one.
    options.inherited = args.socket.is_none();
    options.auth = options.auth.allow_writes(args.allow_writes);
    let path = &args.common.database;
    // Whether there is such a database is known before anybody asks for it.
    let role = super::open_to_read(&args.common)?.replication_role();
    let held = if args.lead || args.follow { Some(open(args, role)?) } else { None };
    let beside = |path: &PathBuf| Served::Beside(path.clone(), Box::new(args.common.options()));
    let served = held.as_ref().map_or_else(|| beside(path), |database| Served::Held(database.clone()));
    let server = if args.more.is_empty() {
        Server::start(served, &options)
    } else {
        let mut all = vec![(name_of(path), served)];
        for path in &args.more {
            Database::open(path, args.common.options().read_only(true)).map_err(Failure::from)?;
            all.push((name_of(path), beside(path)));
        }
        Server::start_several(all, &options)
    };
    let server = server.map_err(|e| match e {
        ServeError::Config(_) => Failure::usage(e),
        e => Failure::new(e),
    })?;
    if args.common.json {
        let names: Vec<_> = args.more.iter().map(|path| name_of(path)).collect();
        let mut told = json!({ "url": server.url(), "role": role.as_str(), "writes": held.is_some() });
        if !names.is_empty() {
            told["databases"] = [vec![name_of(path)], names].concat().into();
        }
        write_json(out, &told)?;
    } else {
        let all = std::iter::once(path).chain(&args.more).map(|path| clean(&path.to_string_lossy()).to_string());
        writeln!(out, "serving {} at {}", all.collect::<Vec<_>>().join(", "), server.url())?;
    }
    out.flush()?;
    // That nobody can send any more cannot be; if it could, there would be nothing to wait for.
    let _ = stopped.recv();
    server.stop();
    held.map_or(Ok(()), |database| Ok(database.close()?))
}

/// Each connection takes a descriptor, and the limit on them that a shell or a system gives is often 1,024: it is raised, as far as may
/// be, for as many connections as the server lets in.
fn let_in_many() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        // Where it stays, fewer are let in at once.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// What a database is called that is served beside others.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The database, open for writing in the part that was asked for.
fn open(args: &ServeArgs, role: ReplicationRole) -> Outcome<Database> {
    let path = &args.common.database;
    match (role, args.follow) {
        (ReplicationRole::Replica, true) | (ReplicationRole::Primary, false) => {}
        _ => {
            let wanted = if args.follow { "replica" } else { "primary" };
            return Err(Failure::new(format_args!(
                "{} is no {wanted} ({})",
                clean(&path.to_string_lossy()),
                role.as_str()
            ))
            .hint(if args.follow {
                "`kitedb replica follow DB --source-db PRIMARY` makes a fenced primary follow; a new replica is made by \
                 `kitedb replica bootstrap DB --source-db PRIMARY`"
            } else {
                "`kitedb role DB primary` makes a primary of a database without a part, `kitedb replica promote DB` of a replica"
            }));
        }
    }
    let opened = Database::open(path, args.common.options().replication_role(role));
    let database = opened.map_err(|error| not_opened_to_write(error, path, args.common.sidecar.as_deref()))?;
    if args.follow {
        database.start_follower(FollowerOptions::default())?;
    }
    Ok(database)
}
