//! What is given by name, as Rust has it.

use crate::scene::Failure;
use kitedb::{FollowerOptions, OpenOptions, RepairOptions, RetentionWindows, SyncMode};
use serde_json::Value as Json;

/// The members of what is given by name, each with its value.
fn each<O>(with: &Json, mut options: O, set: impl Fn(O, &str, &Json) -> Result<O, Failure>) -> Result<O, Failure> {
    for (name, value) in with.as_object().into_iter().flatten() {
        options = set(options, name, value)?;
    }
    Ok(options)
}

fn flag(value: &Json) -> bool {
    value.as_bool().unwrap()
}

fn number(value: &Json) -> u64 {
    value.as_u64().unwrap()
}

fn word(value: &Json) -> &str {
    value.as_str().unwrap()
}

fn unknown(name: &str) -> Failure {
    Failure::of("INVALID_OPTION", format!("the Rust runner of the cases knows no option {name}"))
}

pub fn open(with: &Json) -> Result<OpenOptions, Failure> {
    each(with, OpenOptions::new(), |o, name, value| {
        Ok(match name {
            "read_only" => o.read_only(flag(value)),
            "create_if_missing" => o.create_if_missing(flag(value)),
            "sync_mode" => o.sync_mode(match word(value) {
                "normal" => SyncMode::Normal,
                "off" => SyncMode::Off,
                _ => SyncMode::Full,
            }),
            "auto_checkpoint" => o.auto_checkpoint(flag(value)),
            "background" => o.background(flag(value)),
            "max_runs" => o.max_runs(number(value) as usize),
            "max_pin_ms" => o.max_pin_ms(number(value)),
            "accept_hard_links" => o.accept_hard_links(flag(value)),
            "require_complete" => o.require_complete(flag(value)),
            "replication_role" => o.replication_role(word(value).parse()?),
            "replication_source_db_path" => o.replication_source_db_path(word(value)),
            "replication_name" => o.replication_name(word(value)),
            "replication_overwrite" => o.replication_overwrite(flag(value)),
            "replication_retention_min_entries" => o.replication_retention_min_entries(number(value)),
            "replication_segment_max_bytes" => o.replication_segment_max_bytes(number(value)),
            name => return Err(unknown(name)),
        })
    })
}

pub fn follower(with: &Json) -> Result<FollowerOptions, Failure> {
    each(with, FollowerOptions::new(), |o, name, value| match name {
        "poll_ms" => Ok(o.poll_ms(number(value))),
        name => Err(unknown(name)),
    })
}

pub fn windows(with: &Json) -> Result<RetentionWindows, Failure> {
    each(with, RetentionWindows::new(), |o, name, value| match name {
        "min_entries" => Ok(o.min_entries(number(value))),
        name => Err(unknown(name)),
    })
}

pub fn repair(with: &Json) -> Result<RepairOptions, Failure> {
    each(with, RepairOptions::new(), |o, name, value| match name {
        "dry_run" => Ok(o.dry_run(flag(value))),
        "cut_at" => Ok(o.cut_at(word(value).parse()?)),
        name => Err(unknown(name)),
    })
}
