//! Calls that sync, wait, copy much or use the network: they run without the GIL, and can be ended.

use crate::{
    calls,
    errors::{Fault, Outcome, panicked},
};
use kitedb::{Error, ErrorCode, Watch};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

/// How long a call of the main thread goes on before it looks for a signal, ms.
const LOOK_MS: u64 = 50;

thread_local! {
    /// What ends the calls that this thread makes now.
    static CURRENT: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// What ends a call from elsewhere: `kitedb.aio` has one for each.
#[pyclass(frozen, name = "Watch", module = "kitedb._kitedb")]
pub struct PyWatch(Watch);

#[pymethods]
impl PyWatch {
    #[new]
    fn new() -> Self {
        Self(Watch::silent())
    }

    /// Ends the calls that are made by it: they fail with `CANCELLED`, unless what they made counts already.
    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.0.cancel());
    }

    /// Whether it was cancelled.
    #[getter]
    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Calls `f`, on this thread, so that `cancel` ends what it does.
    #[pyo3(signature = (f, /, *args, **kwargs))]
    fn run<'py>(
        &self,
        f: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _put_back = PutBack(CURRENT.replace(Some(self.0.clone())));
        calls::call(f, args.clone(), kwargs)
    }
}

struct PutBack(Option<Watch>);

impl Drop for PutBack {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = calls::call(&threading.getattr("main_thread")?, PyTuple::empty(py), None)?.getattr("ident")?;
    threading.call_method0("get_ident")?.eq(main)
}

/// Runs what takes long. On the main thread signals are looked at meanwhile: one whose handler raises, as that of Ctrl-C does,
/// ends the work, and is raised once that has ended. (The engine's threads never wait for the GIL, so that nobody who has it waits for
/// them in vain: signals are looked at here, and not where the engine tells its progress.)
pub fn long<T: Send>(py: Python<'_>, f: impl FnOnce(&Watch) -> Outcome<T> + Send) -> Outcome<T> {
    calls::enter();
    if let Some(watch) = CURRENT.with_borrow(Clone::clone) {
        return py.detach(|| {
            watch.require_uncancelled()?;
            calls::caught(|| f(&watch))
        });
    }
    if !is_main_thread(py)? {
        return py.detach(|| calls::caught(|| f(&Watch::default())));
    }
    let watch = Watch::silent();
    py.detach(|| {
        thread::scope(|scope| {
            let (tell, ended) = sync_channel(1);
            let work = {
                let watch = &watch;
                move || {
                    let result = catch_unwind(AssertUnwindSafe(|| f(watch))).unwrap_or_else(|_| Err(panicked()));
                    // Whoever asked waits for it.
                    let _ = tell.send(result);
                }
            };
            let spawned = thread::Builder::new().name("kitedb-call".to_owned()).spawn_scoped(scope, work);
            if let Err(e) = spawned {
                let what = format_args!("the machine has no thread left for this call ({e}): try it later");
                return Err(Error::new(ErrorCode::Io, what).into());
            }
            let mut interrupted = None;
            loop {
                match ended.recv_timeout(Duration::from_millis(LOOK_MS)) {
                    Ok(result) => return interrupted.map_or(result, Err),
                    Err(RecvTimeoutError::Disconnected) => return Err(panicked()),
                    Err(RecvTimeoutError::Timeout) if interrupted.is_none() => {
                        if let Err(e) = Python::attach(|py| py.check_signals()) {
                            interrupted = Some(Fault::Python(e));
                            watch.cancel();
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    })
}
