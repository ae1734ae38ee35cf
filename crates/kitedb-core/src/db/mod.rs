//! Floor 4: the database. Opening and recovery, transactions and the commit pipeline, checkpoints, checks.

mod check;
mod checkpoint;
mod commit;
mod difference;
mod engine;
mod figures;
mod follow;
mod histogram;
mod jobs;
mod latency;
mod name;
mod open;
mod options;
mod promote;
mod read;
mod sidecar;
mod signal;
mod stats;
mod transaction;
mod view;

pub use check::CheckReport;
pub(crate) use difference::Differences;
pub use difference::{Difference, Element};
pub(crate) use engine::Engine;
pub(crate) use figures::Figures;
pub use histogram::{Latency, LatencyBucket};
pub use name::{NameId, NameRef};
pub(crate) use open::{checked_path, identity_of};
pub(crate) use options::{MAX_NAME, RetentionOptions, default_sidecar};
pub use options::{OpenOptions, ReplicationRole, SyncMode};
pub(crate) use promote::FenceLock;
pub use read::{GraphRead, Page};
pub use stats::Stats;
pub use transaction::{NewNode, Transaction};
pub use view::View;
