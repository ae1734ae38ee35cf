//! The status of a primary or a replica whose log cannot be looked at: its control file is gone or damaged, or the folder is
//! not where it was. What the file itself says is shown, and that this is not all.

use super::{damage_of, exit_without_log, whole, write_json};
use crate::{
    cli::DatabaseArgs,
    failure::{Failure, Outcome},
    render::{
        style::{BAD, DIM, Styled, TITLE, clean},
        table::Table,
    },
};
use kitedb_core::{Database, Token};
use serde_json::json;
use std::io::Write;

/// Why the log of a node cannot be looked at.
pub fn why(database: &Database) -> String {
    database.replication_log_fault().unwrap_or_else(|| "its replication log is not where it was last".to_owned())
}

/// The failure of a command that needs the log of a node of that role.
pub fn failure(database: &Database, role: &str) -> Failure {
    let shown = clean(&database.path().display().to_string());
    Failure::new(format_args!("{shown} is a {role} whose log cannot be looked at: {}", clean(&why(database))))
        .hint("--sidecar says where it is; `kitedb stats DB` and `kitedb get DB KEY` read what the file holds")
}

/// Shows what the file of `database` says of itself, and ends with the code of a fault, or, where this account may not read the
/// log, with that of a failure. What only the log knows is left out.
pub fn show(args: &DatabaseArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let (role, why) = (database.replication_role().as_str(), why(database));
    let damage = damage_of(database);
    let view = database.snapshot()?;
    let (token, digest) = (view.token(), view.digest());
    let last = Some(token).filter(|token| token.log_index.0 > 0);
    if args.json {
        let document = json!({
            "role": role,
            "last_token": last.map(Token::full),
            "head_log_index": token.log_index.0,
            "digest": digest.to_string(),
            "log_fault": why,
            "fault": why,
            "damage": damage,
        });
        write_json(out, &document)?;
    } else {
        let name = clean(&args.database.display().to_string());
        writeln!(out, "{}{}", Styled(TITLE, name), Styled(DIM, format!("  {role}, its log cannot be looked at")))?;
        // An open may have told the same.
        for (what, told) in [("damaged:", damage.filter(|damage| *damage != why)), ("its log:", Some(why))] {
            if let Some(told) = told {
                writeln!(out, "  {} {}", Styled(BAD, what), clean(&told))?;
            }
        }
        let mut table = Table::fields(2);
        table
            .field("in the file", last.map_or_else(|| "no commit".to_owned(), |last| last.to_string()))
            .field("digest", digest);
        table.write(out)?;
    }
    out.flush()?;
    whole(database, Err(Failure::shown(exit_without_log(database))), out)
}
