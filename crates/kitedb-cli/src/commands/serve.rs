//! `kitedb serve`: a database over HTTP.

use super::{signals, write_json};
use crate::{
    cli::ServeArgs,
    failure::{Failure, Outcome, not_opened_to_write},
    render::style::clean,
};
use kitedb_core::{Database, FollowerOptions, ReplicationRole};
use kitedb_http::{ServeError, ServeOptions, Served, Server};
use serde_json::json;
use std::{env, io::Write};

pub fn run(args: &ServeArgs, out: &mut dyn Write) -> Outcome {
    let stopped = signals()?;
    let mut options = ServeOptions::from_variables(|name| env::var(name).ok()).map_err(Failure::usage)?;
    options.allow_anybody = args.allow_anybody;
    options.auth = options.auth.allow_writes(args.allow_writes);
    let path = &args.common.database;
    // Whether there is such a database is known before anybody asks for it.
    let role = super::open_to_read(&args.common)?.replication_role();
    let held = if args.lead || args.follow { Some(open(args, role)?) } else { None };
    let served = match &held {
        Some(database) => Served::Held(database.clone()),
        None => Served::Beside(path.clone(), Box::new(args.common.options())),
    };
    let server = Server::start(served, &options).map_err(|e| match e {
        ServeError::Config(_) => Failure::usage(e),
        e => Failure::new(e),
    })?;
    if args.common.json {
        write_json(out, &json!({ "url": server.url(), "role": role.as_str(), "writes": held.is_some() }))?;
    } else {
        writeln!(out, "serving {} at {}", clean(&path.to_string_lossy()), server.url())?;
    }
    out.flush()?;
    // That nobody can send any more cannot be; if it could, there would be nothing to wait for.
    let _ = stopped.recv();
    server.stop();
    held.map_or(Ok(()), |database| Ok(database.close()?))
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
            .hint("`kitedb role DB` shows what part it plays, and `kitedb role --help` how that is changed"));
        }
    }
    let opened = Database::open(path, args.common.options().replication_role(role));
    let database = opened.map_err(|error| not_opened_to_write(error, path, args.common.sidecar.as_deref()))?;
    if args.follow {
        database.start_follower(FollowerOptions::default())?;
    }
    Ok(database)
}
