//! What readers see: the current stack of levels, how far of it is published, who waits for more, and who holds it.

use crate::{
    db::signal::Signal,
    graph::LogIndex,
    io::Host,
    state::{Levels, PinFigures, Pins, ReaderKind, ReaderSlot, ReaderTable, Site},
};
use arc_swap::ArcSwap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Publication {
    levels: ArcSwap<Levels>,
    /// The last log index that readers may see.
    published: AtomicU64,
    /// Wakes who waits for something to be published.
    signal: Signal,
    /// Who holds stacks that are no longer current.
    pins: Pins,
    /// Which states views and transactions hold.
    pub held: Arc<ReaderTable>,
}

impl Publication {
    /// Shows `levels` as of `index`. Nobody may hold a state for longer than `max_pin_ms` by `clock`; 0: for as long as he likes.
    pub fn new(levels: Levels, index: LogIndex, clock: Arc<dyn Host>, max_pin_ms: u64) -> Self {
        Self {
            levels: ArcSwap::from_pointee(levels),
            published: AtomicU64::new(index.0),
            signal: Signal::default(),
            pins: Pins::default(),
            held: Arc::new(ReaderTable::new(clock, (max_pin_ms > 0).then_some(max_pin_ms))),
        }
    }

    /// The current levels, for a look.
    #[inline]
    pub fn levels(&self) -> arc_swap::Guard<Arc<Levels>> {
        self.levels.load()
    }

    /// The current levels, to be held.
    #[inline]
    pub fn levels_held(&self) -> Arc<Levels> {
        self.levels.load_full()
    }

    /// The last published commit.
    #[inline]
    pub fn index(&self) -> LogIndex {
        LogIndex(self.published.load(Ordering::Acquire))
    }

    /// Wakes who waits for something to be published.
    #[inline]
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// The current levels and the last published index. The levels come first: what they rest on is published.
    /// A checkpoint and a commit may come in between; then these levels end before what is published by now.
    #[inline]
    pub fn current(&self) -> (Arc<Levels>, LogIndex) {
        loop {
            let levels = self.levels.load_full();
            let index = self.index().min(levels.active.last());
            // Upholds I40: between these two looks a bootstrap may have put another graph in place of this one.
            if index >= levels.base() {
                return (levels, index);
            }
            crate::lock::yield_now();
        }
    }

    /// As [`Publication::current`], for a view or a transaction, which is noted as one for as long as the result lives.
    #[inline]
    pub fn hold_current(&self, holder: ReaderKind, site: Site) -> (Arc<Levels>, LogIndex, ReaderSlot) {
        let (levels, index) = self.current();
        let hold = self.held.hold(index, holder, site);
        (levels, index, hold)
    }

    /// As [`Publication::hold_current`], and with all up to `after`, which is applied and need not be published: for the one who
    /// submitted it.
    pub fn hold_after(&self, after: LogIndex, holder: ReaderKind, site: Site) -> (Arc<Levels>, LogIndex, ReaderSlot) {
        let (levels, published) = self.current();
        let index = published.max(after).min(levels.active.last());
        let hold = self.held.hold(index, holder, site);
        (levels, index, hold)
    }

    /// Lets commits up to `index` be seen. Upholds I4: a maximum, whoever comes last.
    #[inline]
    pub fn reach(&self, index: LogIndex) {
        self.published.fetch_max(index.0, Ordering::SeqCst);
        self.signal.reach(index.0);
    }

    /// Puts `levels` in place of the current ones, at `now_ms`.
    pub fn exchange(&self, levels: Levels, now_ms: u64) {
        let old = self.levels.swap(Arc::new(levels));
        self.pins.supersede(&old, now_ms);
    }

    /// The last published commit is `index`, be it before what was published so far: that of another graph.
    pub fn restart_at(&self, index: LogIndex) {
        self.published.store(index.0, Ordering::SeqCst);
    }

    /// Whether someone holds a view or a transaction. A look at the current levels meanwhile may count as one.
    pub fn is_held(&self) -> bool {
        // One reference is its own, one is this function's.
        Arc::strong_count(&self.levels.load_full()) > 2 || self.pins.any()
    }

    /// What only readers of states before the current one hold.
    pub fn pinned(&self, current: &Levels) -> PinFigures {
        self.pins.figures(current)
    }
}
