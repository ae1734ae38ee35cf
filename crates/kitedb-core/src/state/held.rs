//! Who holds which state: every open view and transaction, with the log index that it shows, since when, and who took it.
//! Taking and giving back a place waits for nobody and touches a cache line of the thread's own; looking at all of them is
//! for whoever asks how things are. With a limit, who has held a state for longer is told so, and what was lent out is
//! taken back.

mod origin;
mod withdraw;

pub use origin::Site;
pub use withdraw::{Withdraw, Withdrawn};

use crate::{graph::LogIndex, io::Host, lock::Mutex};
use std::{
    any::Any,
    cell::Cell,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
    },
};

/// The fewest places that are added at once.
const MORE: usize = 15;

thread_local! {
    /// Where this thread last took or gave back a place: the first one that it tries.
    static HINT: Cell<usize> = const { Cell::new(0) };
}

/// Who holds a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderKind {
    /// A caller's view.
    View = 1,
    /// A transaction.
    Transaction = 2,
    /// A view of the engine's own, which ends with the call that took it: no limit counts for it.
    Engine = 3,
    /// A scan that holds a view.
    Cursor = 4,
}

/// Since when somebody holds a place, in ms of [`Host::coarse_ms`], times 16, plus [`EXPIRED`], plus the [`ReaderKind`]; 0: it
/// is free. In one word, so that nobody is taken for the one who had the place before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u64);

/// The bit of one who holds a state for longer than he may.
const EXPIRED: u64 = 8;

impl Word {
    fn new(since_ms: u64, kind: ReaderKind) -> Self {
        Self(since_ms << 4 | kind as u64)
    }

    fn kind(self) -> Option<ReaderKind> {
        match self.0 & 7 {
            1 => Some(ReaderKind::View),
            2 => Some(ReaderKind::Transaction),
            3 => Some(ReaderKind::Engine),
            4 => Some(ReaderKind::Cursor),
            _ => None,
        }
    }

    /// Held for as long, as another kind.
    fn with_kind(self, kind: ReaderKind) -> Self {
        Self(self.0 & !7 | kind as u64)
    }

    fn since_ms(self) -> u64 {
        self.0 >> 4
    }

    fn is_expired(self) -> bool {
        self.0 & EXPIRED != 0
    }

    /// When he has held it for `limit_ms`; `None`: that does not count for him, or is so already.
    fn due_ms(self, limit_ms: u64) -> Option<u64> {
        let counts = self.kind().is_some_and(|kind| kind != ReaderKind::Engine) && !self.is_expired();
        counts.then(|| self.since_ms().saturating_add(limit_ms))
    }
}

/// One place, on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    /// A [`Word`].
    word: AtomicU64,
    /// The log index that is shown. It is written after the word: who looks in between sees that of the one before.
    index: AtomicU64,
    /// The number of the [`Site`] that took it.
    site: AtomicU32,
    /// Which place this is.
    place: usize,
    /// What the holder calls himself, if he does.
    label: Mutex<Option<Arc<str>>>,
    /// Whether there is an `outlived`.
    outlives: AtomicBool,
    /// What is kept for the holder, who outlives the database.
    outlived: Mutex<Option<Outlived>>,
    table: Weak<ReaderTable>,
}

/// What those who outlive their database need until the last of them is gone.
pub type Outlived = Arc<dyn Any + Send + Sync>;

/// See the [module documentation](self). There are as many places as were ever taken at once, or a few more.
#[derive(Debug)]
pub struct ReaderTable {
    places: boxcar::Vec<Arc<Slot>>,
    clock: Arc<dyn Host>,
    limit_ms: Option<u64>,
    /// When it was last looked who has held a state for too long.
    swept_ms: AtomicU64,
    /// What was lent out; `None` once nothing is any more.
    lent: Mutex<Option<Vec<Weak<dyn Withdraw>>>>,
    /// Whether there may be such.
    any_lent: AtomicBool,
    /// Whether the database is closed, and there is an `outlived`.
    outlives: AtomicBool,
    /// What those who outlive it keep. A copy of one of them keeps it, too.
    outlived: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
    /// It, for those who have no place.
    kept: Mutex<Option<Outlived>>,
}

/// All that is held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readers {
    /// Open views, those of cursors among them.
    pub views: u64,
    /// Open transactions.
    pub transactions: u64,
    /// The lowest log index that one of them shows.
    pub oldest: Option<LogIndex>,
}

/// One view, transaction or cursor of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub kind: ReaderKind,
    /// For how long, in ms.
    pub age_ms: u64,
    pub index: LogIndex,
    /// What the holder calls himself, or where it was taken.
    pub origin: String,
    /// Whether that is for longer than he may.
    pub expired: bool,
}

impl ReaderTable {
    /// A table in which nobody holds anything. Times are those of `clock`; with a limit, of at least 1 ms, nobody may hold a
    /// state for longer.
    pub fn new(clock: Arc<dyn Host>, limit_ms: Option<u64>) -> Self {
        Self {
            places: boxcar::Vec::new(),
            clock,
            limit_ms,
            swept_ms: AtomicU64::new(0),
            lent: Mutex::new(Some(Vec::new())),
            any_lent: AtomicBool::new(false),
            outlives: AtomicBool::new(false),
            outlived: Mutex::new(None),
            kept: Mutex::new(None),
        }
    }

    /// The database is closed: who holds a state still, or a copy of such a one, keeps `needed` until he is done. Nobody else
    /// holds one from now on. `others`: somebody may who has no place here; then it is kept as long as the table is.
    pub fn outlive(&self, needed: &Outlived, others: bool) {
        *self.outlived.lock() = Some(Arc::downgrade(needed));
        self.outlives.store(true, Ordering::SeqCst);
        // Who copies his place either is seen here, or sees that.
        fence(Ordering::SeqCst);
        let mut kept = false;
        for (slot, _) in self.words() {
            slot.keep(needed.clone());
            kept = true;
        }
        if others && !kept {
            *self.kept.lock() = Some(needed.clone());
        }
    }

    /// Notes that the state as of `index` is held from now on, until the result is dropped.
    #[inline]
    pub fn hold(self: &Arc<Self>, index: LogIndex, holder: ReaderKind, site: Site) -> ReaderSlot {
        self.hold_as(Word::new(self.clock.coarse_ms(), holder), index, site)
    }

    #[inline]
    fn hold_as(self: &Arc<Self>, word: Word, index: LogIndex, site: Site) -> ReaderSlot {
        let mut at = HINT.get();
        let count = self.places.count();
        for _ in 0..count {
            at = if at < count { at } else { 0 };
            if let Some(place) = self.places.get(at).filter(|place| place.take(word, index, site)) {
                HINT.set(at);
                return ReaderSlot { slot: place.clone(), labelled: false };
            }
            at += 1;
        }
        self.hold_in_more(word, index, site, count)
    }

    /// All places are taken: adds as many again, so that looking for one stays cheap on the whole.
    #[cold]
    fn hold_in_more(self: &Arc<Self>, word: Word, index: LogIndex, site: Site, count: usize) -> ReaderSlot {
        let add = |word: Word, index: LogIndex, site: Site| {
            self.places.push_with(|place| {
                Arc::new(Slot {
                    word: AtomicU64::new(word.0),
                    index: AtomicU64::new(index.0),
                    site: AtomicU32::new(site.number()),
                    place,
                    label: Mutex::new(None),
                    outlives: AtomicBool::new(false),
                    outlived: Mutex::new(None),
                    table: Arc::downgrade(self),
                })
            })
        };
        let place = add(word, index, site);
        for _ in 0..count.max(MORE) {
            add(Word(0), LogIndex(0), Site::default());
        }
        HINT.set(place);
        match self.places.get(place) {
            Some(slot) => ReaderSlot { slot: slot.clone(), labelled: false },
            // It was pushed just now; should it not be found, the next try takes another one.
            None => self.hold_as(word, index, site),
        }
    }

    fn words(&self) -> impl Iterator<Item = (&Slot, Word)> {
        let word = |slot: &Slot| Word(slot.word.load(Ordering::Acquire));
        self.places.iter().map(move |(_, slot)| (&**slot, word(slot))).filter(|(_, word)| word.0 != 0)
    }

    /// Looks at all places. What is taken or given back meanwhile may or may not count.
    pub fn summary(&self) -> Readers {
        let mut summary = Readers::default();
        for (slot, word) in self.words() {
            match word.kind() {
                Some(ReaderKind::Transaction) => summary.transactions += 1,
                _ => summary.views += 1,
            }
            let index = LogIndex(slot.index.load(Ordering::Acquire));
            summary.oldest = Some(summary.oldest.map_or(index, |oldest| oldest.min(index)));
        }
        summary
    }

    /// The callers' views and transactions that are held for longest, the oldest first; `most` of them.
    pub fn oldest(&self, most: usize) -> Vec<Held> {
        let now = self.clock.coarse_ms();
        let mut found: Vec<_> =
            self.words().filter(|(_, word)| word.kind().is_some_and(|kind| kind != ReaderKind::Engine)).collect();
        found.sort_by_key(|(slot, word)| (word.since_ms(), slot.place));
        let held = |(slot, word): (&Slot, Word)| {
            let label = slot.label.lock().as_deref().map(str::to_owned);
            Some(Held {
                kind: word.kind()?,
                age_ms: now.saturating_sub(word.since_ms()),
                index: LogIndex(slot.index.load(Ordering::Acquire)),
                origin: label.unwrap_or_else(|| Site::numbered(slot.site.load(Ordering::Acquire)).to_string()),
                expired: word.is_expired(),
            })
        };
        found.into_iter().take(most).filter_map(held).collect()
    }

    /// For how long a state may be held, in ms.
    #[inline]
    pub fn limit_ms(&self) -> Option<u64> {
        self.limit_ms
    }

    /// How often, in ms, it is looked who has held a state for too long.
    pub fn sweep_ms(&self) -> Option<u64> {
        self.limit_ms.map(|limit| (limit / 4).clamp(1, 60_000))
    }

    /// Whether it was not looked at for that long.
    #[inline]
    pub fn is_due(&self) -> bool {
        let since = |tick| self.clock.coarse_ms().saturating_sub(self.swept_ms.load(Ordering::Relaxed)) >= tick;
        self.sweep_ms().is_some_and(since)
    }

    /// Tells those who have held a state for longer than they may, and takes back what was lent to them. Returns whether
    /// others hold one that have not. What is taken back is dropped here: no lock may be held that this could take.
    pub fn sweep(&self) -> bool {
        let Some(limit) = self.limit_ms else { return false };
        let now = self.clock.coarse_ms();
        self.swept_ms.store(now, Ordering::Relaxed);
        let mut more = false;
        for (slot, word) in self.words() {
            match word.due_ms(limit) {
                Some(due) if due <= now => slot.expire(word),
                Some(_) => more = true,
                None => {}
            }
        }
        for lent in self.lent() {
            lent.withdraw_expired();
        }
        more
    }

    /// Takes back all that was lent out. Nothing is lent any more.
    pub fn close(&self) {
        let lent = self.lent.lock().take();
        for lent in lent.into_iter().flatten().filter_map(|lent| lent.upgrade()) {
            lent.withdraw(Withdrawn::Closed);
        }
    }

    /// What is lent out. Not under the lock: what is taken back may end much.
    fn lent(&self) -> Vec<Arc<dyn Withdraw>> {
        if !self.any_lent.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut lent = self.lent.lock();
        let Some(list) = &mut *lent else { return Vec::new() };
        list.retain(|lent| lent.strong_count() > 0);
        list.iter().filter_map(Weak::upgrade).collect()
    }

    /// Notes what was lent out. `false`: nothing is lent any more.
    pub fn lend(&self, to: Weak<dyn Withdraw>) -> bool {
        let mut lent = self.lent.lock();
        let Some(list) = &mut *lent else { return false };
        self.any_lent.store(true, Ordering::Release);
        if list.len() == list.capacity() {
            list.retain(|lent| lent.strong_count() > 0);
        }
        list.push(to);
        true
    }
}

impl Slot {
    #[inline]
    fn take(&self, word: Word, index: LogIndex, site: Site) -> bool {
        let took = self.word.load(Ordering::Relaxed) == 0
            && self.word.compare_exchange(0, word.0, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if took {
            self.index.store(index.0, Ordering::Release);
            self.site.store(site.number(), Ordering::Release);
        }
        took
    }

    fn keep(&self, needed: Outlived) {
        *self.outlived.lock() = Some(needed);
        self.outlives.store(true, Ordering::Release);
    }

    /// Lets go of what was kept for the holder, before the place is free: the next one keeps his own.
    #[cold]
    fn let_go(&self) {
        self.outlives.store(false, Ordering::Release);
        let kept = self.outlived.lock().take();
        drop(kept);
    }

    /// Tells the holder that `word` is about, and no later one.
    fn expire(&self, word: Word) {
        let _ = self.word.compare_exchange(word.0, word.0 | EXPIRED, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// A place that is taken.
#[derive(Debug)]
pub struct ReaderSlot {
    slot: Arc<Slot>,
    labelled: bool,
}

impl ReaderSlot {
    /// Whether the state is held for longer than it may be, as far as was looked.
    #[inline(always)]
    pub fn is_expired(&self) -> bool {
        self.slot.word.load(Ordering::Relaxed) & EXPIRED != 0
    }

    /// Whether it is, by the clock.
    pub fn is_past_its_limit(&self) -> bool {
        let word = Word(self.slot.word.load(Ordering::Relaxed));
        if let Some(table) = self.slot.table.upgrade()
            && let Some(due) = table.limit_ms.and_then(|limit| word.due_ms(limit))
            && due <= table.clock.coarse_ms()
        {
            self.slot.expire(word);
        }
        self.is_expired()
    }

    /// What the holder calls himself from now on.
    pub fn set_label(&mut self, label: Arc<str>) {
        *self.slot.label.lock() = Some(label);
        self.labelled = true;
    }

    /// The table that the place is of, as long as the database is open.
    pub fn table(&self) -> Option<Arc<ReaderTable>> {
        self.slot.table.upgrade()
    }
}

impl ReaderSlot {
    /// The same state, held for as long, by a cursor that was made at `site`.
    pub fn for_cursor(&self, site: Site) -> Self {
        self.again(Word(self.slot.word.load(Ordering::Relaxed)).with_kind(ReaderKind::Cursor), site)
    }

    fn again(&self, word: Word, site: Site) -> Self {
        let index = LogIndex(self.slot.index.load(Ordering::Relaxed));
        let mut again = match self.table() {
            Some(table) => {
                let again = table.hold_as(word, index, site);
                fence(Ordering::SeqCst);
                // It may be closed just now, by who has not come to the place that is copied.
                if table.outlives.load(Ordering::SeqCst)
                    && let Some(needed) = table.outlived.lock().as_ref().and_then(Weak::upgrade)
                {
                    again.slot.keep(needed);
                }
                again
            }
            // The database is closed: nobody looks.
            None => {
                let slot = Slot {
                    word: AtomicU64::new(word.0),
                    index: AtomicU64::new(index.0),
                    site: AtomicU32::new(site.number()),
                    place: self.slot.place,
                    label: Mutex::new(None),
                    outlives: AtomicBool::new(false),
                    outlived: Mutex::new(None),
                    table: Weak::new(),
                };
                Self { slot: Arc::new(slot), labelled: false }
            }
        };
        if self.slot.outlives.load(Ordering::Acquire)
            && let Some(needed) = &*self.slot.outlived.lock()
        {
            again.slot.keep(needed.clone());
        }
        let label = if self.labelled { self.slot.label.lock().clone() } else { None };
        if let Some(label) = label {
            again.set_label(label);
        }
        again
    }
}

impl Clone for ReaderSlot {
    /// The same state, held for as long, by the same one.
    fn clone(&self) -> Self {
        let word = Word(self.slot.word.load(Ordering::Relaxed));
        self.again(word, Site::numbered(self.slot.site.load(Ordering::Relaxed)))
    }
}

impl Drop for ReaderSlot {
    #[inline]
    fn drop(&mut self) {
        if self.labelled {
            *self.slot.label.lock() = None;
        }
        if self.slot.outlives.load(Ordering::Acquire) {
            self.slot.let_go();
        }
        self.slot.word.store(0, Ordering::Release);
        HINT.set(self.slot.place);
    }
}

#[cfg(test)]
mod tests;
