//! What a command that serves tells while it runs, on standard error.

use crate::failure::{Failure, Outcome};
use std::{env, io};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::layer,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

/// The first that says something counts.
const VARIABLES: [&str; 2] = ["KITEDB_LOG", "RUST_LOG"];
const DEFAULT: &str = "warn";

/// Shows events from here on: those that the variables ask for, warnings and errors else.
pub fn show() -> Outcome {
    let said = |name| env::var(name).ok().filter(|text| !text.trim().is_empty()).map(|text| (name, text));
    let (name, text) = VARIABLES.into_iter().find_map(said).unwrap_or(("", DEFAULT.to_owned()));
    let wanted = wanted(&text).map_err(|e| {
        Failure::usage(format_args!("Invalid {name}: {e}: say targets and levels, as in warn,kitedb::access=info"))
    })?;
    // A standard error that is closed ends nothing.
    let lines = layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    // That one is there already cannot be: it is asked for once.
    let _ = registry().with(lines.with_filter(wanted)).try_init();
    Ok(())
}

fn wanted(text: &str) -> Result<Targets, String> {
    for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let target = directive.split_once('=').map_or(directive, |(target, _)| target);
        let is_target = |c: char| c.is_ascii_alphanumeric() || "_:.-".contains(c);
        if target.is_empty() || !target.chars().all(is_target) {
            return Err(format!("'{directive:.64}' has no target"));
        }
        // A word alone that is no level would ask for all that a target of that name tells, and there is seldom one.
        let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
        if target == directive && !is_level(target) && !target.starts_with("kitedb") {
            return Err(format!(
                "'{target:.64}' is no level, and a target of another library has one: '{target:.64}=debug'"
            ));
        }
    }
    text.trim().parse().map_err(|e: tracing_subscriber::filter::ParseError| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_read_and_words_that_are_neither_refused() {
        for text in ["warn", "OFF", "3", "warn,kitedb::access=info", "kitedb", "hyper=trace, error", " info , "] {
            assert!(wanted(text).is_ok(), "{text}: {:?}", wanted(text));
        }
        for text in ["verbose", "%%%=", "=info", "kitedb::access=loud", "a=b=c", "warn,verbose", "hyper"] {
            assert!(wanted(text).is_err(), "{text}");
        }
    }
}
