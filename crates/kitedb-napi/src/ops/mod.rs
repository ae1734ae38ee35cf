//! The operations, by the names under which the JavaScript side finds them. Each reads its arguments and writes its result in
//! the order in which `bindings-node/lib/` writes and reads them.

mod bulk;
mod database;
mod options;
mod reads;
mod replication;
mod rows;
mod scans;
mod telemetry;
mod temporal;
mod transaction;
mod writes;

pub use options::ACCENT;
pub use reads::Selects;
pub use replication::said;

use crate::{
    boundary::Woken,
    fault::Outcome,
    handles::Handles,
    waits::Asked,
    wire::{Reader, Writer},
};
use kitedb::Watch;
use std::sync::Arc;

/// What an operation has at hand.
pub struct Context<'c> {
    pub handles: &'c Arc<Handles>,
    pub woken: &'c Arc<Woken>,
    pub selects: &'c Selects,
}

/// Does what blocks, on any thread.
pub type RunJob = Box<dyn FnOnce(&Watch, &mut Writer<'_>) -> Outcome + Send>;

/// What blocks, ready to be done.
pub struct Job {
    /// Does it. It ends soon after its watch is cancelled, by itself or by `end`.
    pub run: RunJob,
    /// Ends it from another thread, once its watch is cancelled: for what does not look at that.
    pub end: Option<Box<dyn Fn()>>,
    /// What it waits for, if that is a token: then no thread of its own need do it.
    pub wait: Option<Asked>,
}

/// An operation.
pub enum Operation {
    /// It is done at once.
    Quick(fn(&Context<'_>, &mut Reader<'_>, &mut Writer<'_>) -> Outcome),
    /// It may sync, wait, copy much or use the network: it reads its arguments at once, and does the rest where it is sent.
    Blocking(fn(&Arc<Handles>, &mut Reader<'_>) -> Outcome<Job>),
}

/// A job, as its operation returns it.
fn job(f: impl FnOnce(&Watch, &mut Writer<'_>) -> Outcome + Send + 'static) -> Outcome<Job> {
    Ok(Job { run: Box::new(f), end: None, wait: None })
}

/// One that `end` ends, whatever it fails with then.
fn ended_by(end: impl Fn() + 'static, f: impl FnOnce(&mut Writer<'_>) -> Outcome + Send + 'static) -> Outcome<Job> {
    let run = move |watch: &Watch, w: &mut Writer<'_>| {
        watch.require_uncancelled()?;
        f(w).or_else(|fault| watch.require_uncancelled().map_err(Into::into).and(Err(fault)))
    };
    Ok(Job { run: Box::new(run), end: Some(Box::new(end)), wait: None })
}

macro_rules! operations {
    ($($module:ident: [$($quick:ident)*] [$($blocking:ident)*])*) => {
        &[$(
            $((stringify!($quick), Operation::Quick($module::$quick)),)*
            $((stringify!($blocking), Operation::Blocking($module::$blocking)),)*
        )*]
    };
}

/// Every operation; its number is its place.
pub const OPS: &[(&str, Operation)] = operations! {
    database: [release held_count path read_only replication_role sync_mode damage last_commit_token is_current is_copied log_fault
        log_is_denied require_commits progress         begin snapshot snapshot_info woken limits]
        [open close abandon refresh checkpoint compact compact_step sync check stats compare]
    reads: [select node node_with_key node_by_key node_exists node_key node_prop node_has_label node_vector vector_dimension
        edge edge_between edges_between edge_exists edge_prop degree counts labels etypes propkeys
        label_id etype_id propkey_id indexes neighbor_ids] []
    scans: [nodes_batch edges_batch edges_at_batch nodes_page edges_page neighbors_page] []
    transaction: [rollback try_submit watch_pending poll is_expired log_bytes] [commit submit wait]
    writes: [create_node create_nodes delete_node add_node_label remove_node_label set_node_prop delete_node_prop
        set_node_vector delete_node_vector add_edge add_parallel_edge add_edge_by_key add_edges delete_edge
        delete_edge_by_key delete_edges_between set_edge_prop set_edge_prop_by_key delete_edge_prop
        delete_edge_prop_by_key upsert_node upsert_node_by_id upsert_edge] []
    bulk: [begin_bulk bulk_last_token bulk_drop] [bulk_step bulk_flush bulk_finish]
    replication: [primary_report_replica_progress took_over_from snapshot_export_read]
        [primary_replication_status replica_replication_status primary_remove_replica primary_run_retention
        primary_promote_to_next_epoch primary_promote_by_force primary_rivals replica_bootstrap_from_snapshot
        replica_copy_source replica_catch_up_once replica_promote replica_rivals replica_repoint
        replica_wait_for_news start_follower stop_follower wait_for_token_outcome remove_replica_at
        confirm_replicas_at run_retention_at detach confirm_moved repair snapshot_transport_json log_transport_json
        export_snapshot]
    telemetry: [prometheus otel_json otel_protobuf collect_metrics health_check exporter_state start_exporter
        exporter_drop exporter_metrics]
        [push exporter_flush exporter_close]
    temporal: [temporal_parse temporal_text] []
};
