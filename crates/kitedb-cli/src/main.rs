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
mod select;
mod watched;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use failure::{EXIT_FAILED, EXIT_USAGE, Failure, Outcome};
use output::Output;
use std::{
    io::{self, BufWriter, Write},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let (cli, data) = match parse() {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    file_limit::is_an_error();
    panic::set_hook(Box::new(failure::report_panic));
    let database = cli.command.database().map(Path::to_owned);
    let source = cli.command.source().map(Path::to_owned);
    let code = panic::catch_unwind(AssertUnwindSafe(|| match (run(cli, data), database) {
        (Ok(()), _) => 0,
        (Err(failure), Some(database)) => failure.naming(&database, source.as_deref()).report(),
        (Err(failure), None) => failure.report(),
    }));
    ExitCode::from(code.unwrap_or(EXIT_FAILED))
}

/// What is asked for, and whether the output is for a program; or the code with which the command ends at once. Whoever asks for
/// JSON gets its errors as JSON, too.
fn parse() -> Result<(Cli, bool), u8> {
    let matches = Cli::command().try_get_matches();
    let asks_for_json = match &matches {
        Ok(matches) => is_given(matches, "json") || is_given(matches, "jsonl"),
        Err(_) => std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json" || arg == "--jsonl"),
    };
    if asks_for_json {
        failure::tell_as_json();
    }
    let parsed = matches.and_then(|matches| {
        let is_data = asks_for_json || is_given(&matches, "csv");
        Ok((Cli::from_arg_matches(&matches)?, is_data))
    });
    parsed.map_err(|error| match error.use_stderr() && asks_for_json {
        true => usage(&error).report(),
        false => {
            // As the parser itself does; nobody may be there to read it.
            let _ = error.print();
            u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE)
        }
    })
}

/// Whether the command, or the one that it has, is given that flag.
fn is_given(matches: &ArgMatches, flag: &str) -> bool {
    let here = matches.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or(false);
    here || matches.subcommand().is_some_and(|(_, matches)| is_given(matches, flag))
}

/// What the parser says of a wrong command line, without what it prints around it.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let said = text
        .split("\n\nUsage:")
        .next()
        .unwrap_or_default()
        .split("\n\nFor more information")
        .next()
        .unwrap_or_default();
    let said = said.trim().trim_start_matches("error: ");
    Failure::usage(said).literal_hint("`--help` lists what can be given")
}

fn run(cli: Cli, data: bool) -> Outcome {
    // What is for a program is written as it is. Else colour codes are always written; the stream takes them out unless a terminal
    // shows them.
    let stdout = io::stdout().lock();
    let stream = if data { anstream::AutoStream::always_ansi(stdout) } else { anstream::AutoStream::auto(stdout) };
    let mut out = BufWriter::new(Output(stream));
    match cli.command {
        Command::Demo(args) => commands::demo::run(&args, &mut out),
        Command::DemoWriter(args) => commands::demo::writer::run(&args, &mut out),
        Command::Import(args) => commands::import::run(&args, &mut out),
        Command::Export(args) => commands::export::run(&args, &mut out),
        Command::Stats(args) => commands::stats::run(&args, &mut out),
        Command::Check(args) => commands::check::run(&args, &mut out),
        Command::Repair(args) => commands::repair::run(&args, &mut out),
        Command::Get(args) => commands::get::run(&args, &mut out),
        Command::Nodes(args) => commands::nodes::run(&args, &mut out),
        Command::Edges(args) => commands::edges::run(&args, &mut out),
        Command::Count(args) => commands::count::run(&args, &mut out),
        Command::Top(args) => commands::top::run(&args, &mut out),
        Command::Neighbors(args) => commands::neighbors::run(&args, &mut out),
        Command::Path(args) => commands::path::run(&args, &mut out),
        Command::Reach(args) => commands::reach::run(&args, &mut out),
        Command::Set(args) => commands::edit::property::set(&args, &mut out),
        Command::Unset(args) => commands::edit::property::unset(&args, &mut out),
        Command::Label(args) => commands::edit::label::run(&args, &mut out),
        Command::Link(args) => commands::edit::link::link(&args, &mut out),
        Command::Unlink(args) => commands::edit::link::unlink(&args, &mut out),
        Command::Delete(args) => commands::edit::delete::run(&args, &mut out),
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
