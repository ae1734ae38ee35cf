//! The commands that bring metrics out.

mod breaker_store;
mod metrics;
mod push;

use crate::{cli::TelemetryCommand, failure::Outcome};
use std::io::Write;

pub fn run(command: &TelemetryCommand, out: &mut dyn Write) -> Outcome {
    match command {
        TelemetryCommand::Metrics(args) => metrics::run(args),
        TelemetryCommand::Push(args) => push::run(args, out),
        TelemetryCommand::BreakerStore(args) => breaker_store::run(args, out),
    }
}
