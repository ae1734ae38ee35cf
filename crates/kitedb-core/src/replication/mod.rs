//! Floor 5: replication. A primary's log lies in a sidecar; replicas pull frames from it, keep them verbatim in a log
//! of their own, and fold them. Copy frames, apply frames: there is no other mechanism.
//!
//! `registry` holds what replicas report, `choice` finds one of them by what a person calls it; `retention` decides what
//! of a log may go; `followed_log` is a log that others follow; `source` is where frames and snapshots come from, `local` one
//! on paths of this machine, `located` where its log is, `remembered` which one it was, `unnamed` none, `upstream` where that leads,
//! `passed` a node on that way; `related` the nodes that a node can reach, and which of them leads or has more; `replica` pulls,
//! bootstraps and takes over; `follower` does so in the background; `leaving` is what a replica is registered by when it becomes something else; `wait` waits for tokens; `look` tells of a replica
//! to who only reads; `compare` tells where two databases differ; `transport` and `cursor` are for hosts that carry
//! pages themselves.

mod approach;
mod choice;
mod compare;
mod cursor;
mod followed_log;
mod follower;
mod given_up;
mod leaving;
mod local;
mod located;
mod look;
mod passed;
mod registry;
mod related;
mod remembered;
mod replica;
mod retention;
mod source;
mod status;
mod transport;
mod unnamed;
mod upstream;
mod wait;

pub(crate) use followed_log::FollowedLog;
pub(crate) use follower::Follower;
pub(crate) use leaving::Leaving;
pub(crate) use local::{Checkpointer, LocalSource};
pub(crate) use look::look_at_replica;
pub(crate) use registry::Registry;
pub use related::Rival;
pub(crate) use related::{Others, require_no_rival, rivals_of};
pub(crate) use remembered::{Remembered, remember, remembered};
pub(crate) use replica::{Replica, SourcePaths};
pub(crate) use source::Source;
pub(crate) use unnamed::{Unnamed, not_configured};
pub(crate) use wait::wait_for_token;

pub use choice::short_id;
pub(crate) use compare::compare;
pub use compare::{ComparedState, Comparison, Parting};
pub use cursor::Cursor;
pub use status::{
    FenceStatus, FollowerOptions, Hold, HoldReason, HoldState, PrimaryReplicationStatus, Promotion, ReplicaLag,
    ReplicaReplicationStatus, ReplicaState, RetentionOutcome, RetentionWindows, TokenWait,
};
pub use upstream::SourceFault;
