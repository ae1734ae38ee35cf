//! The thread on which pushes wait for the network, so that they work from any thread, inside a runtime or outside.

use crate::error::{Result, TelemetryError};
use parking_lot::Mutex;
use std::{mem, process, thread};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// A runtime in a thread of its own. It ends when this is dropped, without being waited for: a name that is being
/// looked up cannot be interrupted.
pub(crate) struct PushThread {
    runtime: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    process: u32,
}

impl PushThread {
    /// # Errors
    /// `Resources`: the machine has no thread or file descriptor left.
    pub fn start() -> Result<Self> {
        let none_left = |cause| TelemetryError::Resources(format!("no thread to push with can be started: {cause}"));
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            // For looking up names: one that hangs must not keep others waiting.
            .max_blocking_threads(8)
            .thread_name("kitedb-push-dns")
            .build()
            .map_err(none_left)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name("kitedb-push".into())
            .spawn(move || {
                // Told so, or its sender is gone: both mean to stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(none_left)?;
        Ok(Self { runtime: handle, stop: Mutex::new(Some(stop)), process: process::id() })
    }

    /// Starts `task` there.
    ///
    /// # Errors
    /// `Closed` in a child process, which has no such thread.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        if self.is_parents() {
            return Err(TelemetryError::Closed(
                "this pusher was made before the process forked: make a new one in the child".to_owned(),
            ));
        }
        self.runtime.spawn(task);
        Ok(())
    }

    /// Whether this process is a child of the one that has the thread.
    pub fn is_parents(&self) -> bool {
        self.process != process::id()
    }

    /// Ends the thread. Tasks that it has are dropped where they stand, and so are those that come later.
    pub fn stop(&self) {
        *self.stop.lock() = None;
    }
}

impl Drop for PushThread {
    fn drop(&mut self) {
        if self.is_parents() {
            // In a child its locks may be held by threads that the child does not have.
            mem::forget(self.stop.get_mut().take());
            mem::forget(self.runtime.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    #[test]
    fn what_cannot_be_interrupted_is_not_waited_for() {
        let thread = PushThread::start().unwrap();
        let (begun, begins) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (ended, ends) = mpsc::channel::<()>();
        thread
            .spawn(async move {
                let _ended = ended;
                // As a look-up of a name that hangs.
                let _ = tokio::task::spawn_blocking(move || {
                    begun.send(()).unwrap();
                    released.recv()
                })
                .await;
            })
            .unwrap();
        begins.recv().unwrap();
        drop(thread);
        // The task is dropped though what it waits for goes on.
        assert_eq!(ends.recv_timeout(Duration::from_secs(60)), Err(mpsc::RecvTimeoutError::Disconnected));
        assert!(release.send(()).is_ok());
    }

    #[test]
    fn a_task_that_comes_after_the_end_is_dropped() {
        let thread = PushThread::start().unwrap();
        thread.stop();
        let (ended, ends) = mpsc::channel::<()>();
        thread
            .spawn(async move {
                let _ended = ended;
                std::future::pending::<()>().await;
            })
            .unwrap();
        assert_eq!(ends.recv_timeout(Duration::from_secs(60)), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
