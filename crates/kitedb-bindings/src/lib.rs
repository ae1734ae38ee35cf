//! What the bindings of KiteDB have in common, so that no two languages can disagree: options by their names, reports as plain data,
//! errors with their fields. A binding converts [`Given`] from its language, and [`Told`] and [`Failure`] to it.
//!
//! Names are those of Rust; each language has its own spelling of them ([`Accent`]).

mod accent;
mod failure;
pub mod options;
mod report;
mod submit;

pub use accent::{Accent, camel_case};
pub use failure::Failure;
pub use options::{Given, Members, Refused};
pub use report::{Report, Told, exporter_state, sync_mode};
pub use submit::submit_at_once;
