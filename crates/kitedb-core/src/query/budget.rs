//! What a question may cost.

use crate::{
    error::{Error, ErrorCode, Result},
    io::{Host, SystemHost},
    watch::Watch,
};
use std::{fmt, sync::Arc};

/// Elements that are looked at between two looks at the clock and at the flag that ends a question.
const PIECE: u32 = 1024;

/// What a question may cost, and what ends it. By default 1 GiB of memory, no bound in time, and as many threads as the machine runs
/// at once.
///
/// A question that passes one of them fails, with [`ErrorCode::MemoryLimit`] or [`ErrorCode::TimeLimit`]; one that is ended by its
/// [`Watch`] fails with [`ErrorCode::Cancelled`]. Memory is what the question itself holds of nodes, edges and paths, within a few
/// KiB; what the application makes of its answers is not counted. All of them are looked at within the work, each thousand elements.
#[derive(Clone)]
pub struct Limits {
    memory_bytes: usize,
    time_ms: Option<u64>,
    threads: Option<usize>,
    watch: Watch,
    clock: Arc<dyn Host>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_bytes, time_ms, threads, .. } = self;
        f.debug_struct("Limits")
            .field("memory_bytes", memory_bytes)
            .field("time_ms", time_ms)
            .field("threads", threads)
            .finish_non_exhaustive()
    }
}

impl Limits {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            memory_bytes: 1 << 30,
            time_ms: None,
            threads: None,
            watch: Watch::default(),
            clock: SystemHost::shared(),
        }
    }

    /// The most memory that it may hold, in bytes.
    #[must_use]
    pub fn memory_bytes(self, memory_bytes: usize) -> Self {
        Self { memory_bytes, ..self }
    }

    /// The most time from its begin on, in ms. Of what is an iterator the time counts that passes between its items, too.
    #[must_use]
    pub fn time_ms(self, time_ms: u64) -> Self {
        Self { time_ms: Some(time_ms), ..self }
    }

    /// How many threads it may use, of which its caller's is one; 0 counts as 1.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads.max(1)), ..self }
    }

    /// What ends it.
    #[must_use]
    pub fn watched_by(self, watch: &Watch) -> Self {
        Self { watch: watch.clone(), ..self }
    }

    /// Whose clock tells the time: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn timed_by(self, clock: Arc<dyn Host>) -> Self {
        Self { clock, ..self }
    }

    pub(super) fn thread_count(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

/// What is left of the limits of one question.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    began_ns: u64,
    held: usize,
    /// Elements until the next look.
    left: u32,
}

impl Budget {
    pub fn of(limits: &Limits) -> Result<Self> {
        // A small question takes less time than a look at the clock for nothing.
        let began_ns = if limits.time_ms.is_some() { limits.clock.monotonic_ns() } else { 0 };
        let budget = Self { limits: limits.clone(), began_ns, held: 0, left: PIECE };
        budget.look().map(|()| budget)
    }

    /// For another thread of the same question, which counts what it holds by itself.
    pub fn share(&self) -> Self {
        Self { limits: self.limits.clone(), began_ns: self.began_ns, held: self.held, left: PIECE }
    }

    /// So many elements are looked at.
    #[inline]
    pub fn step(&mut self, elements: usize) -> Result<()> {
        match self.left.checked_sub(elements.min(PIECE as usize) as u32) {
            Some(left) if left > 0 => {
                self.left = left;
                Ok(())
            }
            _ => {
                self.left = PIECE;
                self.look()
            }
        }
    }

    /// So many bytes more are held.
    #[inline]
    pub fn hold(&mut self, bytes: usize) -> Result<()> {
        self.held = self.held.saturating_add(bytes);
        if self.held > self.limits.memory_bytes { Err(self.too_much()) } else { Ok(()) }
    }

    /// So many bytes are not held any more.
    #[inline]
    pub fn let_go(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// How many bytes are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// No more than that is held any more.
    pub fn let_go_to(&mut self, held: usize) {
        self.held = self.held.min(held);
    }

    fn look(&self) -> Result<()> {
        self.limits.watch.require_uncancelled()?;
        let Some(limit) = self.limits.time_ms else { return Ok(()) };
        let took = self.limits.clock.monotonic_ns().saturating_sub(self.began_ns);
        if took <= limit.saturating_mul(1_000_000) {
            return Ok(());
        }
        let what = format_args!(
            "the question took longer than its {limit} ms: ask for less (depth, types, a limit), or give it more time (Limits::time_ms)"
        );
        Err(Error::new(ErrorCode::TimeLimit, what))
    }

    #[cold]
    fn too_much(&self) -> Error {
        let limit = self.limits.memory_bytes;
        let what = format_args!(
            "the question needs more than its {limit} bytes of memory: ask for less (depth, types, a limit), or give it more \
             (Limits::memory_bytes)"
        );
        Error::new(ErrorCode::MemoryLimit, what)
    }
}
