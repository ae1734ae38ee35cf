//! Commits that asyncio awaits: who waits for them is called from a thread of this package.
//!
//! The engine's threads wake that one, and never wait for the GIL. It also makes the sync that a commit may need. It ends before the
//! interpreter does.

use crate::{calls, errors::Outcome, transaction::PyPending};
use kitedb::{Error, ErrorCode, Pending};
use parking_lot::{Condvar, Mutex};
use pyo3::{prelude::*, types::PyTuple};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

/// A commit, and whom to call.
struct Waiter {
    pending: Pending,
    call: Py<PyAny>,
}

/// Those who may wait no more.
struct Woken {
    slots: Mutex<Vec<Arc<Slot>>>,
    news: Condvar,
    /// Held while Python is called: whether it may be.
    stopped: Mutex<bool>,
    /// The process that the thread is in.
    process: u32,
}

/// A place for a waiter, empty once he was called.
struct Slot {
    waiter: Mutex<Option<Waiter>>,
    woken: Arc<Woken>,
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        let woken = self.woken.clone();
        woken.slots.lock().push(self);
        woken.news.notify_one();
    }
}

/// Who waits for commits in one process, and the thread that calls them. `kitedb.aio` has one.
#[pyclass(frozen, module = "kitedb._kitedb")]
pub struct Waiters(Arc<Woken>);

#[pymethods]
impl Waiters {
    #[new]
    fn new() -> Outcome<Self> {
        let (slots, news, stopped) = (Mutex::default(), Condvar::new(), Mutex::new(false));
        let woken = Arc::new(Woken { slots, news, stopped, process: std::process::id() });
        let run = {
            let woken = woken.clone();
            move || woken.run()
        };
        match std::thread::Builder::new().name("kitedb-wake".to_owned()).spawn(run) {
            Ok(_) => Ok(Self(woken)),
            Err(e) => {
                let what = format_args!("the machine has no thread left to wait for commits ({e}): try it later");
                Err(Error::new(ErrorCode::Io, what).into())
            }
        }
    }

    /// Calls `f`, on the thread of these waiters, once the commit has ended. True: it has ended already, and nothing is called.
    fn add(&self, py: Python<'_>, pending: &Bound<'_, PyPending>, f: Py<PyAny>) -> bool {
        let pending = pending.get().0.clone();
        py.detach(|| {
            if pending.result().is_some() {
                return true;
            }
            if *self.0.stopped.lock() {
                // What became of it is asked of the commit.
                let _ = pending.wait();
                return true;
            }
            let waiter = Mutex::new(Some(Waiter { pending, call: f }));
            Arc::new(Slot { waiter, woken: self.0.clone() }).wake();
            false
        })
    }

    /// Ends the thread, before the interpreter does: a thread that is in Python then is torn out of it, which ends the process. Who
    /// waits from then on does so himself.
    fn stop(&self, py: Python<'_>) {
        if self.0.process != std::process::id() {
            // The thread is the parent's.
            return;
        }
        py.detach(|| {
            *self.0.stopped.lock() = true;
            let _slots = self.0.slots.lock();
            self.0.news.notify_one();
        });
    }
}

impl Woken {
    fn run(&self) {
        loop {
            let slots = {
                let mut slots = self.slots.lock();
                while slots.is_empty() {
                    if *self.stopped.lock() {
                        return;
                    }
                    self.news.wait(&mut slots);
                }
                std::mem::take(&mut *slots)
            };
            let mut ended = Vec::new();
            for slot in slots {
                let mut place = slot.waiter.lock();
                if let Some(mut waiter) = place.take() {
                    if waiter.ended(&slot) {
                        ended.push(waiter);
                    } else {
                        *place = Some(waiter);
                    }
                }
            }
            if ended.is_empty() {
                continue;
            }
            let stopped = self.stopped.lock();
            let called = if *stopped {
                None
            } else {
                Python::try_attach(|py| {
                    for waiter in ended.drain(..) {
                        // An event loop that is closed meanwhile refuses it.
                        let _ = calls::call(waiter.call.bind(py), PyTuple::empty(py), None);
                    }
                })
            };
            drop(stopped);
            if called.is_none() {
                // The interpreter has ended: nobody waits any more, and what is Python's is let be.
                ended.into_iter().for_each(std::mem::forget);
                return;
            }
        }
    }
}

impl Waiter {
    /// Whether the commit has ended; if it has not, the slot is woken once it may have.
    fn ended(&mut self, slot: &Arc<Slot>) -> bool {
        let waker = Waker::from(slot.clone());
        pin!(&mut self.pending).poll(&mut Context::from_waker(&waker)).is_ready()
    }
}
