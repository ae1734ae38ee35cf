//! The `kitedb` command: arguments in, one command run, an exit code out.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command is for")]
#![allow(clippy::disallowed_methods, reason = "a command runs on the real clock")]

mod asked_to_end;
mod cli;
mod commands;
#[cfg(feature = "http")]
mod events;
mod export;
mod failure;
mod file_limit;
mod import;
mod output;
mod piped;
mod render;
mod watched;

use clap::Parser;
use cli::{Cli, Command};
use failure::{EXIT_FAILED, Outcome};
use output::Output;
use std::{
    io::{self, BufWriter, Write},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    file_limit::is_an_error();
    panic::set_hook(Box::new(failure::report_panic));
    let database = cli.command.database().map(Path::to_owned);
    let source = cli.command.source().map(Path::to_owned);
    let code = panic::catch_unwind(AssertUnwindSafe(|| match (run(cli), database) {
        (Ok(()), _) => 0,
        (Err(failure), Some(database)) => failure.naming(&database, source.as_deref()).report(),
        (Err(failure), None) => failure.report(),
    }));
    ExitCode::from(code.unwrap_or(EXIT_FAILED))
}

fn run(cli: Cli) -> Outcome {
    // Colour codes are always written; this stream takes them out unless a terminal shows them.
    let mut out = BufWriter::new(Output(anstream::AutoStream::auto(io::stdout().lock())));
    match cli.command {
        Command::Demo(args) => commands::demo::run(&args, &mut out),
        Command::DemoWriter(args) => commands::demo::writer::run(&args, &mut out),
        Command::Import(args) => commands::import::run(&args, &mut out),
        Command::Export(args) => commands::export::run(&args, &mut out),
        Command::Stats(args) => commands::stats::run(&args, &mut out),
        Command::Check(args) => commands::check::run(&args, &mut out),
        Command::Repair(args) => commands::repair::run(&args, &mut out),
        Command::Get(args) => commands::get::run(&args, &mut out),
        Command::Neighbors(args) => commands::neighbors::run(&args, &mut out),
        Command::Path(args) => commands::path::run(&args, &mut out),
        Command::Reach(args) => commands::reach::run(&args, &mut out),
        Command::Primary(command) => commands::primary::run(&command, &mut out),
        Command::Replica(command) => commands::replica::run(&command, &mut out),
        Command::Role(args) => commands::role::run(&args, &mut out),
        Command::Verify(args) => commands::verify::run(&args, &mut out),
        #[cfg(feature = "http")]
        Command::Serve(args) => commands::serve::run(&args, &mut out),
        #[cfg(feature = "telemetry")]
        Command::Telemetry(command) => commands::telemetry::run(&command, &mut out),
    }?;
    Ok(out.flush()?)
}
