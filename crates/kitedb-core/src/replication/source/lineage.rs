//! The history of a source: who wrote its log from where on, and how far it goes.

use crate::{graph::LogIndex, store::HistoryEntry};

/// The history of a source: who wrote its log from where on, and how far it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Lineage {
    /// The id of its file.
    pub file_id: [u8; 16],
    /// Who led from where on.
    pub history: Vec<HistoryEntry>,
    /// Its last frame.
    pub end: LogIndex,
}
