//! Export: a graph as JSON Lines, which `import` reads back to the same digest. [`graph`] says what is written in which order,
//! [`lines`] how lines are put together, [`mod@file`] how a file comes to be there as a whole or not at all.

mod failed;
mod file;
mod graph;
mod lines;

pub use failed::Failed;
pub use file::{remove_draft, write_file};
pub use graph::{Counts, write_graph};
