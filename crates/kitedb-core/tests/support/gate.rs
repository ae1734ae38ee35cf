//! A gate that stops whoever comes to a place on the disk, until it is let go.

use super::observed::{Observer, Operation, observed};
use kitedb_core::io::Env;
use parking_lot::{Condvar, Mutex};
use std::{io, path::Path, sync::Arc};

/// Stops whoever comes to it while it is shut.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    shut: Option<(At, &'static str)>,
    waiting: bool,
    fails: bool,
}

/// What a gate stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Write,
    Sync,
    Remove,
}

impl Gate {
    /// The real disk and host, behind this gate.
    pub fn env(self: &Arc<Self>) -> Env {
        observed(&Env::real(), self.clone())
    }

    /// Stops the next operations of a sort on files whose path ends with `part`.
    pub fn shut(&self, at: At, part: &'static str) {
        *self.state.lock() = GateState { shut: Some((at, part)), ..GateState::default() };
    }

    /// Lets everyone go.
    pub fn open(&self) {
        *self.state.lock() = GateState::default();
        self.moved.notify_all();
    }

    /// Fails what is stopped, and whatever else would be, until the gate is opened.
    pub fn fail(&self) {
        self.state.lock().fails = true;
        self.moved.notify_all();
    }

    /// Returns once someone is stopped.
    pub fn wait_for_someone(&self) {
        let mut state = self.state.lock();
        while !state.waiting {
            self.moved.wait(&mut state);
        }
    }
}

impl Observer for Gate {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let at = match operation {
            Operation::Read(_) | Operation::Open | Operation::List => return Ok(()),
            Operation::Write => At::Write,
            Operation::Sync => At::Sync,
            Operation::Remove => At::Remove,
        };
        let path = path.to_string_lossy();
        let mut state = self.state.lock();
        while state.shut.is_some_and(|(shut, part)| shut == at && path.ends_with(part)) {
            if state.fails {
                return Err(io::ErrorKind::TimedOut.into());
            }
            state.waiting = true;
            self.moved.notify_all();
            self.moved.wait(&mut state);
        }
        Ok(())
    }
}
