//! `kitedb breaker-store`: keeps the breaker states that several pushers share.

use crate::{
    cli::BreakerStoreArgs,
    commands::{signals, write_json},
    failure::{Failure, Outcome},
    render::style::clean,
};
use kitedb_telemetry::breaker_store::{BreakerStore, BreakerStoreOptions};
use serde_json::json;
use std::io::Write;

pub fn run(args: &BreakerStoreArgs, out: &mut dyn Write) -> Outcome {
    let stopped = signals()?;
    let options = BreakerStoreOptions::new().listen(args.listen.clone()).file(args.file.clone());
    let store = BreakerStore::start(options).map_err(Failure::new)?;
    if args.json {
        write_json(out, &json!({ "url": store.url(), "file": args.file.as_ref().map(|file| file.to_string_lossy()) }))?;
    } else {
        let kept = match &args.file {
            Some(file) => format!("states are kept in {}", clean(&file.to_string_lossy())),
            None => "states are kept in memory only".to_owned(),
        };
        writeln!(out, "listening on {}: {kept}", store.url())?;
    }
    out.flush()?;
    // That nobody can send any more cannot be; if it could, there would be nothing to wait for.
    let _ = stopped.recv();
    store.stop();
    Ok(())
}
