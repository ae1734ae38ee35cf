//! Floor 3: the state. What the log holds beyond the last checkpoint lies in a [`Delta`] in memory, over the
//! immutable runs of the file; [`Levels`] is one such stack. A [`Reading`] looks at it as of one log index,
//! with a transaction's own [`Overlay`] on top if there is one.
//!
//! Words used throughout: a delta or overlay has *touched* what it has a slot for; something *existed* if it was
//! there before the commit that wrote a version, and is there *below* a delta if it existed before the first one;
//! a level *hides* an edge that is there below it and removed in it.

mod arena;
mod delta;
mod elements;
mod entry;
mod figures;
mod held;
mod indexed;
mod indexes;
mod labels;
mod lent;
mod levels;
mod members;
mod name_table;
mod names;
mod neighbors;
mod order;
mod ordered;
mod orders;
mod overlay;
mod parallels;
mod reading;
mod scan;
mod slots;
mod validate;
mod versions;

pub use delta::{CommitInfo, Delta, Totals};
pub use entry::EntryAt;
pub use figures::DeltaFigures;
pub use held::{Held, Outlived, ReaderKind, ReaderSlot, ReaderTable, Readers, Site, Withdrawn};
pub use indexed::{Hashed, Indexed};
pub use indexes::IndexSet;
pub use lent::Lent;
pub use levels::{Levels, PinFigures, Pins};
pub use names::{Claims, Names};
pub use neighbors::{MAX_READABLE_RUNS, Neighbors};
pub use ordered::Ordered;
pub use overlay::{Called, Overlay, WARM, edge_exists, no_edge};
pub use reading::Reading;
pub use scan::{EdgeScan, LabelScan, NodeScan};
pub use slots::hash_id;
