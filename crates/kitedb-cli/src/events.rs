//! What a command that serves tells while it runs, on standard error.

use crate::failure::{Failure, Outcome};
use std::{env, io};
use tracing_subscriber::{Layer, filter::Targets, fmt::layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

/// The first that says something counts.
const VARIABLES: [&str; 2] = ["KITEDB_LOG", "RUST_LOG"];
const DEFAULT: &str = "warn";

/// Shows events from here on: those that the variables ask for, warnings and errors else.
pub fn show() -> Outcome {
    let said = |name| env::var(name).ok().filter(|text| !text.trim().is_empty()).map(|text| (name, text));
    let (name, text) = VARIABLES.into_iter().find_map(said).unwrap_or(("", DEFAULT.to_owned()));
    let wanted: Targets = text.trim().parse().map_err(|e| {
        Failure::usage(format_args!("Invalid {name}: {e}: say targets and levels, as in warn,kitedb::access=info"))
    })?;
    // A standard error that is closed ends nothing.
    let lines = layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    // That one is there already cannot be: it is asked for once.
    let _ = registry().with(lines.with_filter(wanted)).try_init();
    Ok(())
}
