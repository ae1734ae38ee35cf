//! Processes that the demo starts: this same command, under other names. None of them outlives the demo.

use crate::failure::{Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// How long a process may take to say something that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A process that prints lines.
pub struct Process {
    name: String,
    child: Child,
    said: Receiver<String>,
}

/// How a process ended: what it had said that was not heard yet, and its status.
pub struct Ended {
    pub rest: Vec<String>,
    pub status: ExitStatus,
}

fn command(args: &[&OsStr]) -> Outcome<Command> {
    let itself = env::current_exe().map_err(|e| Failure::new(format_args!("cannot find this program: {e}")))?;
    let mut command = Command::new(itself);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

fn words(args: &[&OsStr]) -> String {
    args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs `kitedb` to its end.
pub fn run(args: &[&OsStr]) -> Outcome<Output> {
    let output = command(args)?.stderr(Stdio::piped()).output();
    output.map_err(|e| Failure::new(format_args!("cannot run `kitedb {}`: {e}", words(args))))
}

/// The JSON document that `kitedb` prints.
pub fn ask(args: &[&OsStr]) -> Outcome<Json> {
    let output = run(args)?;
    let failed = |what: &str| Failure::new(format_args!("`kitedb {}` {what}", words(args)));
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(&format!("({}) said: {}", output.status, said.trim_end())));
    }
    serde_json::from_slice(&output.stdout).map_err(|_| failed("printed no JSON"))
}

impl Process {
    /// Starts `kitedb`.
    pub fn start(args: &[&OsStr]) -> Outcome<Self> {
        let name = words(args);
        let failed = |e: &dyn std::fmt::Display| Failure::new(format_args!("cannot start `kitedb {name}`: {e}"));
        let mut child = command(args)?.spawn().map_err(|e| failed(&e))?;
        let output = child.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        let (sender, said) = mpsc::channel();
        thread::spawn(move || {
            // A line without an end was cut off by a kill: it says nothing.
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self { name, child, said })
    }

    /// The lines that wait to be heard.
    pub fn waiting(&self) -> Vec<String> {
        self.said.try_iter().collect()
    }

    /// The next line, if one comes before `deadline`.
    pub fn line(&self, deadline: Instant) -> Outcome<Option<String>> {
        match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Failure::new(format_args!("`kitedb {}` ended by itself", self.name)))
            }
        }
    }

    /// The lines up to the first one that is `wanted`.
    pub fn hear(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Outcome<Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while let Some(line) = self.line(deadline)? {
            heard.push(line);
            if heard.last().is_some_and(|line| wanted(line)) {
                return Ok(heard);
            }
        }
        Err(Failure::new(format_args!("`kitedb {}` has not said {what} within {PATIENCE:?}", self.name)))
    }

    /// Ends it with SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(mut self) -> Outcome<Ended> {
        self.child.kill().map_err(|e| Failure::new(format_args!("cannot kill `kitedb {}`: {e}", self.name)))?;
        self.ended()
    }

    /// Asks it with SIGTERM to end, and waits until it has.
    pub fn stop(mut self) -> Outcome<Ended> {
        let asked = Pid::from_raw(self.child.id().cast_signed()).map(|pid| kill_process(pid, Signal::TERM));
        match asked {
            Some(Ok(())) => self.ended(),
            _ => Err(Failure::new(format_args!("cannot stop `kitedb {}`", self.name))),
        }
    }

    fn ended(&mut self) -> Outcome<Ended> {
        let waited = self.child.wait();
        let status = waited.map_err(|e| Failure::new(format_args!("cannot wait for `kitedb {}`: {e}", self.name)))?;
        Ok(Ended { rest: self.said.iter().collect(), status })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // If it has ended already, neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
