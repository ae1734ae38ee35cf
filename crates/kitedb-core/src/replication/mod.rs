//! Floor 5: replication. A primary's log lies in a sidecar; replicas pull frames from it, keep them verbatim in a log
//! of their own, and fold them. Copy frames, apply frames: there is no other mechanism.
//!
//! | module | owns |
//! |---|---|
//! | `source` | where frames and snapshots come from: one trait, a source on this machine, how its log is found and remembered, and where it leads |
//! | `replica` | pulls, bootstraps, takes over, in the background or not; what it would give up, and how it looks to who only reads |
//! | `followed_log` | a log that others follow, a primary's or a replica's: their lag, and what may go |
//! | `registry` | what the replicas of a log report, and which of them a person means |
//! | `retention` | what of a log may go: a pure function |
//! | `node_file` | what is where the file of a node should be, and when its log speaks for it |
//! | `related` | the nodes that a node can reach |
//! | `rivals` | which of them leads or has more |
//! | `token_wait` | waiting for a commit |
//! | `status` | what a node says of itself |
//! | `compare` | where two databases differ |
//! | `transport` | pages and snapshots, for hosts that carry them themselves |

mod begun_elsewhere;
mod compare;
mod followed_log;
mod led_elsewhere;
mod log_watch;
mod node_file;
mod registry;
mod related;
mod replica;
mod retention;
mod rivals;
mod source;
mod status;
mod token_wait;
mod transport;

pub(crate) use begun_elsewhere::{go_on_with_lead_begun, require_no_lead_begun};
pub(crate) use followed_log::FollowedLog;
pub(crate) use registry::Registry;
pub use registry::{Labels, Progress, Registration};
pub use replica::copied::{Copied, LeftBehind, LeftBehindBy, SamePath};
pub(crate) use replica::{Replica, follower::Follower, leaving_source::Leaving, read_only_status::look_at_replica};
pub use rivals::Rival;
pub(crate) use rivals::{
    Others, require_no_rival, require_nobody_leads_instead, rivals_around, rivals_of, rivals_of_replica, taken_around,
};
pub(crate) use source::guarded::Guarded;
pub use source::{
    At, Fenced, Fencing, Lineage, News, Pulled, Seen, Snapshot, Source, SourcePlace,
    upstream::{Asking, Upstream},
};
pub(crate) use source::{
    SourcePaths,
    local::{Checkpointer, LocalSource},
    not_configured::{Unnamed, not_configured},
    remembered::{Remembered, recall, remember, remembered, remembered_in},
};
pub use token_wait::TokenWait;
pub(crate) use token_wait::{wait_for_any_token, wait_for_token};

pub(crate) use compare::compare;
pub use compare::{ComparedState, Comparison, Parting};
pub use log_watch::LogWatch;
pub use registry::choose_replica::{MIN_ID_DIGITS, short_id};
pub use replica::{follower::FollowerOptions, takeover::Promotion};
pub use retention::{RetentionOutcome, RetentionWindows};
pub use source::source_fault::SourceFault;
pub use status::{
    FenceStatus, Hold, HoldReason, HoldState, PrimaryReplicationStatus, ReplicaLag, ReplicaReplicationStatus,
    ReplicaState,
};
pub use transport::{ExportedFrame, ExportedPage, ExportedSnapshot, LogGap, LogGapReason, cursor::Cursor};
