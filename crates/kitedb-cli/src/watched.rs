//! A long operation of a command: a terminal shows how far it is, and Ctrl-C ends it where it leaves nothing half made.

use crate::{
    asked_to_end::listen,
    failure::{EXIT_SIGNAL, Outcome},
    render::number::{bytes, count},
};
use indicatif::{ProgressBar, ProgressStyle};
use kitedb_core::{Phase, Progress, Unit, Watch};
use std::{
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How far it is, where that is known, and where it is not.
const BAR: &str = "{spinner:.cyan} {prefix} {bar:20.cyan/dim} {msg}  {eta} left";
const SPINNER: &str = "{spinner:.cyan} {prefix} {msg}";

/// What ends a wait that sees no flag.
type Wake = Box<dyn Fn() + Send>;

/// What is called once a signal came.
#[derive(Clone, Default)]
struct Woken(Arc<Mutex<Vec<Wake>>>);

impl Woken {
    fn lock(&self) -> MutexGuard<'_, Vec<Wake>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation that is shown on standard error, if that is a terminal, until this is dropped.
pub struct Watched {
    watch: Watch,
    bar: ProgressBar,
    woken: Woken,
}

impl Watched {
    /// From here on SIGINT, SIGTERM or SIGHUP ends what is done under this watch; a second one ends the process where it is,
    /// after `at_last`. Once in a process.
    pub fn begin(at_last: impl Fn() + Send + 'static) -> Outcome<Self> {
        let bar = ProgressBar::no_length();
        let watch = Watch::new({
            let bar = bar.clone();
            move |_, progress| show(&bar, progress)
        });
        let (asked, cancelled) = (AtomicBool::new(false), watch.clone());
        let woken = Woken::default();
        let wakes = woken.clone();
        let handler = move || {
            if asked.swap(true, Ordering::Relaxed) {
                at_last();
                // Whatever it is doing, files are as after a crash: whole.
                process::exit(EXIT_SIGNAL.into());
            }
            cancelled.cancel();
            wakes.lock().iter().for_each(|wake| wake());
        };
        listen(handler)?;
        Ok(Self { watch, bar, woken })
    }

    /// Calls `wake` once the operation is to end, for who waits and sees no flag.
    pub fn when_cancelled(&self, wake: impl Fn() + Send + 'static) {
        let mut woken = self.woken.lock();
        // A signal that came before is not told again.
        if self.watch.is_cancelled() {
            wake();
        }
        woken.push(Box::new(wake));
    }

    /// What the operation is done under.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Nothing more is shown.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end();
    }
}

fn show(bar: &ProgressBar, progress: Progress) {
    if progress.done == 0 {
        bar.set_prefix(name(progress.phase));
        let template = if progress.total.is_some() { BAR } else { SPINNER };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        match progress.total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
        bar.reset();
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar.set_message(match progress.total {
        Some(total) => format!("{} of {}", amount(progress.phase, progress.done), amount(progress.phase, total)),
        None => amount(progress.phase, progress.done),
    });
    bar.set_position(progress.done);
}

fn amount(phase: Phase, number: u64) -> String {
    match phase.unit() {
        Unit::Bytes => bytes(number),
        _ => count(number),
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Checkpoint => "writing",
        Phase::Merge => "merging",
        Phase::Verify => "reading",
        Phase::Check => "checking",
        Phase::Compare => "comparing",
        Phase::Copy => "copying",
        Phase::CatchUp => "catching up",
        Phase::Load => "loading",
        Phase::Export => "exporting",
        _ => "working",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_shown_in_its_unit() {
        assert_eq!(amount(Phase::Copy, 3 << 20), bytes(3 << 20));
        assert_eq!(amount(Phase::Check, 12_345), count(12_345));
        // Not on a terminal: nothing is drawn, and nothing fails.
        let bar = ProgressBar::hidden();
        show(&bar, Progress::new(Phase::Copy, 0, Some(10)));
        show(&bar, Progress::new(Phase::Copy, 5, Some(10)));
        assert_eq!((bar.position(), bar.length()), (5, Some(10)));
        show(&bar, Progress::new(Phase::CatchUp, 0, None));
        assert_eq!((bar.position(), bar.length()), (0, None));
    }
}
