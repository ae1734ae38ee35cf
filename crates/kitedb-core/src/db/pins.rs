//! Who holds which state, for how long, and what becomes of those that are held for too long.

use super::{
    engine::{Engine, Submitted},
    transaction::Transaction,
    view::View,
};
use crate::{
    db::lease::Lease,
    graph::LogIndex,
    state::{Held, ReaderKind, Site},
};
use std::sync::{Arc, atomic};

/// What holds a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PinKind {
    /// A [`View`].
    View,
    /// A [`Transaction`].
    Transaction,
    /// A [`NodeCursor`](crate::NodeCursor) or an [`EdgeCursor`](crate::EdgeCursor).
    Cursor,
}

impl PinKind {
    /// `view`, `transaction` or `cursor`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Transaction => "transaction",
            Self::Cursor => "cursor",
        }
    }
}

/// An open view, transaction or cursor: what it shows stays, in memory and in the file, for as long as it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinInfo {
    /// What it is.
    pub kind: PinKind,
    /// The name that it was given ([`View::with_origin`], [`Transaction::set_origin`]), which a cursor has of its view, or else
    /// where in the program it was taken, as `file:line:column`.
    pub origin: String,
    /// For how many ms it has been held; a cursor, with its view.
    pub age_ms: u64,
    /// The last commit that it shows.
    pub log_index: LogIndex,
    /// Whether that is for longer than [`OpenOptions::max_pin_ms`](crate::OpenOptions::max_pin_ms) allows, so that nothing can
    /// be read from it.
    pub expired: bool,
}

impl PinInfo {
    fn of(held: Held) -> Self {
        let kind = match held.kind {
            ReaderKind::View | ReaderKind::Engine => PinKind::View,
            ReaderKind::Transaction => PinKind::Transaction,
            ReaderKind::Cursor => PinKind::Cursor,
        };
        Self { kind, origin: held.origin, age_ms: held.age_ms, log_index: held.index, expired: held.expired }
    }
}

impl Engine {
    /// A caller's view, taken at `site`.
    pub(crate) fn lend_view(&self, site: Site) -> View {
        let view = self.view_for(ReaderKind::View, site);
        self.note_pin();
        view
    }

    /// A caller's transaction, begun at `site`.
    #[inline]
    pub(crate) fn begin(self: &Arc<Self>, lease: Arc<Lease>, site: Site) -> Transaction {
        let tx = Transaction::new(self.clone(), lease, site);
        self.note_pin();
        tx
    }

    /// As [`Engine::begin`], one that sees `after`, which has not ended, and all before it; `None`: it sees what is published.
    pub(crate) fn begin_after(
        self: &Arc<Self>,
        lease: Arc<Lease>,
        site: Site,
        after: Option<Arc<Submitted>>,
    ) -> Transaction {
        let Some(after) = after else { return self.begin(lease, site) };
        let tx = Transaction::after(self.clone(), lease, site, after);
        self.note_pin();
        tx
    }

    /// Something is held that may be held for too long.
    #[inline]
    fn note_pin(&self) {
        if self.publication.held.limit_ms().is_some() {
            self.see_to_pins();
        }
    }

    #[cold]
    fn see_to_pins(&self) {
        // Either the sweep under way sees the place that was just taken, or this sees that a sweep is to be asked for.
        atomic::fence(atomic::Ordering::SeqCst);
        self.maintenance.jobs.ask_for_sweep();
        if self.publication.held.is_due() {
            self.publication.held.sweep();
        }
    }

    /// Tells whoever has held a state for too long, and frees what was lent to them. Returns whether others hold one.
    pub(crate) fn sweep_pins(&self) -> bool {
        atomic::fence(atomic::Ordering::SeqCst);
        self.publication.held.sweep()
    }

    /// What is held for longest, the oldest first; `most` of them.
    pub(super) fn oldest_pins(&self, most: usize) -> Vec<PinInfo> {
        self.publication.held.oldest(most).into_iter().map(PinInfo::of).collect()
    }
}
