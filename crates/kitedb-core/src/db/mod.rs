//! Floor 4: the database. Opening and recovery, transactions and the commit pipeline, checkpoints, checks.

mod bulk;
mod check;
mod checkpoint;
mod commit;
mod database;
mod engine;
mod jobs;
mod name;
mod open;
mod options;
mod read;
mod stats;
mod transaction;
mod view;

pub use bulk::BulkLoader;
pub use check::CheckReport;
pub use database::Database;
pub use name::{NameId, NameRef};
pub use options::{OpenOptions, SyncMode};
pub use read::{GraphRead, Page};
pub use stats::Stats;
pub use transaction::{NewNode, Transaction};
pub use view::View;
