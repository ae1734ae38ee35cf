//! A child process that may be killed or stopped at any moment, whatever it is doing.

use super::support_process::{Child, child_args, tell};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    sync::mpsc::{Receiver, channel},
    thread::{JoinHandle, spawn},
    time::Duration,
};

/// See the [module documentation](self). What it says is taken in as it comes, so that it never waits for who listens.
/// Dropped, it is killed.
pub struct Actor {
    pid: Pid,
    lines: Receiver<String>,
    reader: Option<JoinHandle<Child>>,
}

/// In a child process: says who it is. Returns what it was started with; `None` in the test itself.
pub fn enter() -> Option<Vec<String>> {
    let args = child_args()?;
    tell(std::process::id());
    Some(args)
}

impl Actor {
    /// Starts a process that plays `role`. It can be killed from here on.
    pub fn start(role: &str, args: &[&str]) -> Self {
        let mut child = Child::spawn(&format!("replication_kill_nine::cast::{role}"), args);
        let pid = child.line().expect("a process id").parse().unwrap();
        let (said, lines) = channel();
        let reader = spawn(move || {
            while let Some(line) = child.line() {
                // Who has ended listening is about to end the process, too.
                let _ = said.send(line);
            }
            child
        });
        Self { pid: Pid::from_raw(pid).unwrap(), lines, reader: Some(reader) }
    }

    /// What it says next; `None` once it has ended.
    pub fn line(&self) -> Option<String> {
        // Not a bound on how long anything takes: a process that hangs must end the test. One that drains thousands of small
        // segments, each synced, was seen to take minutes on a disk that others use.
        match self.lines.recv_timeout(Duration::from_secs(900)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("the child process hangs"),
            line => line.ok(),
        }
    }

    /// What it has said by now.
    pub fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// SIGKILL. Returns what it had said and nobody had heard yet.
    pub fn kill_nine(mut self) -> Vec<String> {
        self.end();
        self.said()
    }

    fn end(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        self.signal(Signal::KILL);
        if let Ok(child) = reader.join() {
            child.kill_nine();
        }
    }

    /// Waits for its end, which must be a success. Returns what it had said and nobody had heard yet.
    pub fn finish(mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.line() {
            rest.push(line);
        }
        self.reader.take().unwrap().join().unwrap().finish();
        rest
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.end();
    }
}
