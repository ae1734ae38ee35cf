//! Floor 7: the temporal kinds as people write them: ISO 8601 text, and zones by name.
//!
//! Text is read by [`FromStr`](std::str::FromStr) and written by [`Display`](std::fmt::Display) of each kind. A zone is asked
//! for only where a value is made of what a clock there shows, or is to show: see [`at_local`] and [`at_instant`]. What stores,
//! applies and compares values uses nothing of this, so that every machine comes to the same state whatever it knows of zones.

mod duration;
mod scan;
mod text;
mod zone;

#[cfg(test)]
mod tests;

pub use zone::{at_instant, at_local};
