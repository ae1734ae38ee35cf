//! Long operations: how far they are, and how their caller ends them.

use crate::{
    error::{Error, ErrorCode, Result},
    lock::Mutex,
};
use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

thread_local! {
    /// Whether this thread is in a callback of a [`Watch`].
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// What an operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It writes what is only in the log to the file.
    Checkpoint,
    /// It merges runs of the file.
    Merge,
    /// It reads every byte of the file, against its checksum.
    Verify,
    /// It reads every element, against every invariant.
    Check,
    /// It reads every element of two databases, and compares them.
    Compare,
    /// It copies the source's graph.
    Copy,
    /// It applies what the source committed since.
    CatchUp,
    /// It writes elements, batch by batch.
    Load,
    /// It writes elements to where an application wants them.
    Export,
}

/// What a phase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Nodes and edges.
    Elements,
    /// Commits.
    Commits,
}

impl Phase {
    /// The stable text form, as `catch_up`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Merge => "merge",
            Self::Verify => "verify",
            Self::Check => "check",
            Self::Compare => "compare",
            Self::Copy => "copy",
            Self::CatchUp => "catch_up",
            Self::Load => "load",
            Self::Export => "export",
        }
    }

    /// What its [`Progress`] counts.
    pub fn unit(self) -> Unit {
        match self {
            Self::Checkpoint | Self::Merge | Self::Verify | Self::Copy => Unit::Bytes,
            Self::Check | Self::Compare | Self::Load | Self::Export => Unit::Elements,
            Self::CatchUp => Unit::Commits,
        }
    }

    /// After so much of it a callback is called again.
    fn step(self) -> u64 {
        match self.unit() {
            Unit::Bytes => 1 << 20,
            Unit::Elements => 4096,
            Unit::Commits => 1024,
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What it is doing. Phases follow each other; each begins at 0.
    pub phase: Phase,
    /// How much of that is done, in the phase's [`Unit`].
    pub done: u64,
    /// How much there is to be done, as far as that is known; what comes meanwhile may add to it.
    pub total: Option<u64>,
}

impl Progress {
    /// So much of a phase is done.
    pub fn new(phase: Phase, done: u64, total: Option<u64>) -> Self {
        Self { phase, done, total }
    }
}

type OnProgress = Box<dyn Fn(&Watch, Progress) + Send + Sync>;

/// What a long operation tells how far it is, and what ends it: calls that take one have `_with` behind their name.
/// Cheap to clone; its clones are the same one, for other threads.
///
/// An operation that is ended fails with [`ErrorCode::Cancelled`]; each says what is left then, which is never something half
/// made that is not looked after. It looks at the flag before it begins, with each piece of its work, and not any more once
/// what it made counts: then it succeeds. A watch stays cancelled: what begins with it later fails at once.
///
/// ```
/// use kitedb_core::{Database, ErrorCode, OpenOptions, Watch};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// db.transaction(|tx| tx.create_node(Some("ada")))?;
/// let watch = Watch::new(|_, progress| println!("{}: {}", progress.phase.as_str(), progress.done));
/// assert!(db.check_with(&watch)?.is_clean());
/// watch.cancel(); // in a handler of Ctrl-C, say
/// assert_eq!(db.compact_with(&watch).unwrap_err().code(), ErrorCode::Cancelled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Watched>>);

struct Watched {
    cancelled: AtomicBool,
    panicked: AtomicBool,
    on_progress: Option<OnProgress>,
    /// What wakes those who sleep in an operation that this watches.
    sleepers: Mutex<Vec<Arc<Sleeper>>>,
}

type Sleeper = dyn Fn() + Send + Sync;

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Watch {
    /// Calls `on_progress`, with the watch itself so that it can cancel, when a phase begins and after each piece of it: a
    /// MiB, some thousand elements. It is called on the thread of the operation, which waits for it, and which may hold locks
    /// of the database: it may read and commit, and must neither close a database nor begin another long operation (each an
    /// [`ErrorCode::InvalidArgument`]). If it panics, the operation is ended.
    pub fn new(on_progress: impl Fn(&Self, Progress) + Send + Sync + 'static) -> Self {
        Self::of(Some(Box::new(on_progress)))
    }

    /// Tells nobody, and can end an operation.
    pub fn silent() -> Self {
        Self::of(None)
    }

    fn of(on_progress: Option<OnProgress>) -> Self {
        let (cancelled, panicked) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Some(Arc::new(Watched { cancelled, panicked, on_progress, sleepers: Mutex::default() })))
    }

    /// Nobody watches.
    pub(crate) const fn nobody() -> Self {
        Self(None)
    }

    /// Ends every operation that this watches, as soon as it looks. Waits for nothing, and may be called from anywhere. Of a
    /// [`Watch::default`], which nobody can end, it does nothing.
    pub fn cancel(&self) {
        if let Some(watched) = &self.0 {
            watched.cancelled.store(true, Ordering::Relaxed);
            // Whoever goes to sleep notes so before it looks at the flag: one of both sees what the other did.
            let sleepers = watched.sleepers.lock().clone();
            sleepers.iter().for_each(|wake| wake());
        }
    }

    /// Has `wake` called once it is cancelled, for as long as what is returned lives: for waits that an application makes
    /// itself. It may be called on any thread, and waits for nothing. Who sleeps looks at the flag after this, as it may be
    /// cancelled already.
    ///
    /// ```
    /// use kitedb_core::{ErrorCode, Watch};
    /// let (watch, (wake, woken)) = (Watch::silent(), std::sync::mpsc::channel());
    /// let asleep = watch.while_asleep(move || drop(wake.send(())));
    /// watch.require_uncancelled()?;
    /// let canceller = watch.clone();
    /// std::thread::spawn(move || canceller.cancel());
    /// woken.recv().unwrap();
    /// drop(asleep);
    /// assert_eq!(watch.require_uncancelled().unwrap_err().code(), ErrorCode::Cancelled);
    /// # Ok::<(), kitedb_core::Error>(())
    /// ```
    pub fn while_asleep(&self, wake: impl Fn() + Send + Sync + 'static) -> Asleep<'_> {
        let Some(watched) = &self.0 else { return Asleep(None) };
        let wake: Arc<Sleeper> = Arc::new(wake);
        watched.sleepers.lock().push(wake.clone());
        Asleep(Some((watched, wake)))
    }

    /// Whether [`Watch::cancel`] was called.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|watched| watched.cancelled.load(Ordering::Relaxed))
    }

    /// Fails once [`Watch::cancel`] was called.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`].
    #[inline]
    pub fn require_uncancelled(&self) -> Result<()> {
        if self.is_cancelled() { Err(self.cancelled()) } else { Ok(()) }
    }

    #[cold]
    fn cancelled(&self) -> Error {
        let panicked = self.0.as_ref().is_some_and(|watched| watched.panicked.load(Ordering::Relaxed));
        let what = match panicked {
            true => "cancelled: the callback that is told of its progress panicked",
            false => "cancelled: its caller ended it",
        };
        Error::new(ErrorCode::Cancelled, what)
    }

    /// Tells how far an operation is. For long work that an application does itself.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]: it is to end.
    pub fn report(&self, progress: Progress) -> Result<()> {
        self.require_uncancelled()?;
        let Some(watched) = &self.0 else { return Ok(()) };
        if let Some(on_progress) = &watched.on_progress {
            let before = REPORTING.replace(true);
            let told = catch_unwind(AssertUnwindSafe(|| on_progress(self, progress)));
            REPORTING.set(before);
            if told.is_err() {
                // It is not the database that failed: what panics there goes no further.
                watched.panicked.store(true, Ordering::Relaxed);
                watched.cancelled.store(true, Ordering::Relaxed);
            }
        }
        self.require_uncancelled()
    }

    /// Begins a phase.
    pub(crate) fn begin(&self, phase: Phase, total: Option<u64>) -> Result<Stage<'_>> {
        self.report(Progress { phase, done: 0, total })?;
        Ok(Stage { watch: self, phase, done: 0, told: 0, total })
    }
}

/// Somebody sleeps in an operation that a watch can end: [`Watch::while_asleep`].
#[must_use]
pub struct Asleep<'w>(Option<(&'w Watched, Arc<Sleeper>)>);

impl fmt::Debug for Asleep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asleep").finish_non_exhaustive()
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if let Some((watched, wake)) = &self.0 {
            watched.sleepers.lock().retain(|sleeper| !Arc::ptr_eq(sleeper, wake));
        }
    }
}

/// A phase under way.
#[derive(Debug)]
pub(crate) struct Stage<'w> {
    watch: &'w Watch,
    phase: Phase,
    done: u64,
    told: u64,
    total: Option<u64>,
}

impl Stage<'_> {
    /// So much more is done. Fails where the operation is to end.
    #[inline]
    pub fn advance(&mut self, by: u64) -> Result<()> {
        self.done += by;
        if self.done - self.told >= self.phase.step() { self.tell() } else { self.watch.require_uncancelled() }
    }

    #[cold]
    fn tell(&mut self) -> Result<()> {
        self.told = self.done;
        self.watch.report(Progress { phase: self.phase, done: self.done, total: self.total })
    }

    /// All of it is done.
    pub fn end(mut self) -> Result<()> {
        if self.told == self.done { self.watch.require_uncancelled() } else { self.tell() }
    }
}

/// Whether this thread is in a callback of a long operation, which may hold locks.
pub(crate) fn is_reporting() -> bool {
    REPORTING.get()
}

/// Fails in a callback of a long operation, which would wait for itself.
pub(crate) fn require_no_report(what: &str) -> Result<()> {
    if !is_reporting() {
        return Ok(());
    }
    Err(Error::invalid(format_args!(
        "{what} is called by what is told of the progress of a long operation, which holds locks: cancel that one there, and do \
         this after it has returned"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_told_at_its_beginning_after_each_step_and_at_its_end() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let watch = Watch::new({
            let told = told.clone();
            move |_, progress| told.lock().push(progress)
        });
        let mut stage = watch.begin(Phase::Check, Some(10_000)).unwrap();
        (0..10_000).for_each(|_| stage.advance(1).unwrap());
        stage.end().unwrap();
        let done: Vec<_> = told.lock().iter().map(|progress| progress.done).collect();
        assert_eq!(done, [0, 4096, 8192, 10_000]);
        assert!(told.lock().iter().all(|p| p.phase == Phase::Check && p.total == Some(10_000)));
    }

    #[test]
    fn what_is_cancelled_stays_cancelled_also_by_a_clone_in_another_thread() {
        let watch = Watch::silent();
        let mut stage = watch.begin(Phase::Copy, None).unwrap();
        stage.advance(1).unwrap();
        let clone = watch.clone();
        std::thread::spawn(move || clone.cancel()).join().unwrap();
        assert_eq!(stage.advance(1).unwrap_err().code(), ErrorCode::Cancelled);
        assert_eq!(stage.end().unwrap_err().code(), ErrorCode::Cancelled);
        assert_eq!(watch.begin(Phase::Copy, None).unwrap_err().code(), ErrorCode::Cancelled);
        // What nobody watches, nobody ends.
        let nobody = Watch::default();
        nobody.cancel();
        assert!(!nobody.is_cancelled() && nobody.begin(Phase::Copy, None).is_ok());
    }

    #[test]
    fn who_sleeps_is_woken_and_who_woke_up_is_forgotten() {
        let (watch, woken) = (Watch::silent(), Arc::new(Mutex::new(0)));
        let wake = || {
            let woken = woken.clone();
            move || *woken.lock() += 1
        };
        drop(watch.while_asleep(wake()));
        let first = watch.while_asleep(wake());
        let second = watch.while_asleep(wake());
        drop(first);
        watch.cancel();
        assert_eq!(*woken.lock(), 1);
        drop(second);
        watch.cancel();
        assert_eq!(*woken.lock(), 1);
        drop(Watch::nobody().while_asleep(wake()));
    }

    #[test]
    fn a_callback_that_panics_ends_the_operation_and_goes_no_further() {
        let watch = Watch::new(|_, progress| assert!(progress.done == 0, "broken"));
        let mut stage = watch.begin(Phase::Load, None).unwrap();
        let e = stage.advance(5000).unwrap_err();
        assert_eq!(e.code(), ErrorCode::Cancelled);
        assert!(e.to_string().contains("panicked"), "{e}");
        assert!(!is_reporting());
    }

    #[test]
    fn a_callback_is_told_that_it_may_not_begin_what_would_wait_for_it() {
        let found = Arc::new(Mutex::new(None));
        let watch = Watch::new({
            let found = found.clone();
            move |_, _| *found.lock() = Some(require_no_report("close").unwrap_err().code())
        });
        watch.report(Progress::new(Phase::Export, 1, None)).unwrap();
        assert_eq!(*found.lock(), Some(ErrorCode::InvalidArgument));
        require_no_report("close").unwrap();
    }
}
