//! Who follows a node: under which id, for how long, and what it is told when it cannot.

use crate::{
    support_process::dump,
    support_replication::{
        Graph, Machine, catch_up, expect_error, expect_following,
        folder::{Folder, commit_items, primary_options, replica_options, sidecar_of},
        primary_status, replica_status,
    },
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, FollowerOptions, HoldState, OpenOptions, ReplicaLag, ReplicaState, ReplicationRole,
    RetentionWindows, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
    short_id,
};
use std::{fs, io};

fn machines() -> [Machine; 4] {
    [("a", 1), ("b", 2), ("c", 3), ("d", 4)].map(|(name, seed)| Machine::new(name, seed, SyncMode::Full))
}

/// One frame in each segment, and no windows.
fn small(options: OpenOptions) -> OpenOptions {
    options.replication_segment_max_bytes(1).replication_retention_min_entries(0)
}

fn primary_of(machine: &Machine) -> Database {
    machine.open(small(machine.options(ReplicationRole::Primary))).unwrap()
}

fn follow(machine: &Machine, source: &Machine) -> Database {
    machine.open_replica_of(source, small(machine.following(source))).unwrap()
}

fn the_one(lags: Vec<ReplicaLag>) -> ReplicaLag {
    let [lag] = <[ReplicaLag; 1]>::try_from(lags).unwrap();
    lag
}

#[test]
fn a_replica_keeps_its_place_wherever_its_files_are_moved() {
    let folder = Folder::new();
    let primary = folder.primary("a", SyncMode::Normal);
    commit_items(&primary, "w", 5);
    let options = replica_options(SyncMode::Normal, &folder.path("a")).replication_name("eu-west-2");
    let replica = Database::open(folder.path("b"), options.clone()).unwrap();
    catch_up(&replica);
    let before = the_one(primary_status(&primary).replica_lags);
    assert_eq!(before.replica_id, replica_status(&replica).replica_id);
    assert!(before.replica_id.len() == 32 && before.replica_id.bytes().all(|b| b.is_ascii_hexdigit()), "{before:?}");
    assert_eq!(before.name.as_deref(), Some("eu-west-2"));
    assert!(before.path.as_ref().unwrap().ends_with("/b.kitedb"), "{before:?}");
    replica.close().unwrap();

    fs::rename(folder.path("b"), folder.path("moved")).unwrap();
    fs::rename(sidecar_of(&folder.path("b")), sidecar_of(&folder.path("moved"))).unwrap();
    commit_items(&primary, "v", 3);
    let replica = Database::open(folder.path("moved"), options).unwrap();
    catch_up(&replica);
    let after = the_one(primary_status(&primary).replica_lags);
    assert_eq!((&after.replica_id, after.applied_log_index), (&before.replica_id, 8));
    assert!(after.path.unwrap().ends_with("/moved.kitedb"));
}

/// Whoever followed a primary that now follows another node follows that one by now: nothing is kept for it.
#[test]
fn a_demoted_primary_keeps_nothing_for_those_who_followed_it() {
    let [a, b, c, d] = machines();
    let (primary, mut graph) = (primary_of(&a), Graph::new(1));
    graph.grow(&primary, 4);
    let (new, third) = (follow(&b, &a), follow(&c, &a));
    catch_up(&new);
    catch_up(&third);
    assert_eq!(primary_status(&primary).replica_lags.len(), 2);
    primary.close().unwrap();
    new.replica_promote(false).unwrap();

    let old = follow(&a, &b);
    graph.grow(&new, 6);
    // With its first page it is known to be on that one's history.
    catch_up(&old);
    assert!(replica_status(&old).replica_lags.is_empty());
    old.checkpoint().unwrap();
    let outcome = old.primary_run_retention().unwrap();
    assert_eq!(outcome.retained_floor, 10);
    // One that follows it since is kept for, also after it was opened again.
    let chained = follow(&d, &a);
    chained.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&new, 3);
    catch_up(&old);
    old.close().unwrap();
    let old = follow(&a, &b);
    let lag = the_one(replica_status(&old).replica_lags);
    assert_eq!((lag.applied_log_index, lag.hold), (10, HoldState::Held));
    assert_eq!(old.primary_run_retention().unwrap().retained_floor, 11);
    catch_up(&chained);
    graph.expect_all(&chained);
    // Those who follow the new primary were not touched.
    assert_eq!(primary_status(&new).replica_lags.len(), 1);
}

#[test]
fn registrations_outlive_promotions_in_place_and_of_the_replica_that_is_followed() {
    let [a, b, c, _] = machines();
    let (primary, mut graph) = (primary_of(&a), Graph::new(2));
    graph.grow(&primary, 4);
    let (replica, chained) = (follow(&b, &a), follow(&c, &b));
    catch_up(&replica);
    catch_up(&chained);
    primary.primary_promote_to_next_epoch().unwrap();
    graph.grow(&primary, 4);
    // It reported in the epoch before, and is merely slow.
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 5);
    catch_up(&replica);
    replica.replica_promote(false).unwrap();
    graph.grow(&replica, 2);
    replica.checkpoint().unwrap();
    assert_eq!(replica.primary_run_retention().unwrap().retained_floor, 5);
    replica.close().unwrap();
    let replica = primary_of(&b);
    assert_eq!(the_one(primary_status(&replica).replica_lags).hold, HoldState::Held);
    catch_up(&chained);
    graph.expect_all(&chained);
}

/// It holds the old source's log until it is known that it can follow the new one.
#[test]
fn a_replica_that_is_repointed_holds_the_log_of_its_old_source_no_longer() {
    let [a, b, c, d] = machines();
    let (primary, mut graph) = (primary_of(&a), Graph::new(6));
    graph.grow(&primary, 4);
    // All on one disk: the sources' paths are.
    let c = Machine { disk: a.disk.clone(), host: a.host.clone(), ..c };
    let (chained, other) = (follow(&b, &a), follow(&d, &a));
    catch_up(&chained);
    catch_up(&other);
    let near = follow(&c, &a);
    near.replica_bootstrap_from_snapshot().unwrap();
    near.replica_promote(true).unwrap();
    let before = primary_status(&primary).replica_lags.len();
    chained.replica_repoint(c.db(), None).unwrap();
    assert_eq!(primary_status(&primary).replica_lags.len(), before);
    catch_up(&chained);
    let id = replica_status(&chained).replica_id;
    assert!(primary_status(&primary).replica_lags.iter().all(|lag| lag.replica_id != id));
    assert_eq!(the_one(primary_status(&near).replica_lags).replica_id, id);
    // Back to where it is: it keeps its place.
    chained.replica_repoint(c.db(), None).unwrap();
    catch_up(&chained);
    assert_eq!(the_one(primary_status(&near).replica_lags).replica_id, id);
}

/// What a loss of power takes of the registry is reports, not the replica's place.
#[test]
fn a_registration_survives_a_loss_of_power() {
    let [a, b, ..] = machines();
    let (primary, mut graph) = (primary_of(&a), Graph::new(3));
    graph.grow(&primary, 4);
    let replica = follow(&b, &a);
    assert_eq!(replica.replica_catch_up_once(2).unwrap(), 2);
    let id = replica_status(&replica).replica_id;
    let a = a.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    let primary = primary_of(&a);
    let lag = the_one(primary_status(&primary).replica_lags);
    assert_eq!(lag.replica_id, id);
    assert!(primary.primary_run_retention().unwrap().retained_floor <= 3);
}

#[test]
fn a_replica_that_cannot_register_says_so_and_goes_on() {
    let [a, b, ..] = machines();
    let (primary, mut graph) = (primary_of(&a), Graph::new(4));
    graph.grow(&primary, 4);
    let replica = follow(&b, &a);
    a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::PermissionDenied).forever().on_path("replicas"));
    assert_eq!(replica.replica_catch_up_once(100).unwrap(), 4);
    graph.expect_all(&replica);
    let status = replica_status(&replica);
    assert_eq!((status.state, status.registered, status.needs_reseed), (ReplicaState::Unregistered, false, false));
    let error = status.last_error.unwrap();
    assert!(error.contains("does not keep its log") && error.contains("--unregistered"), "{error}");
    assert!(!replica.health_check().unwrap().healthy);
    assert!(primary_status(&primary).replica_lags.is_empty());
    // A copy would be of no use where the log after it is not kept.
    let error = expect_error(replica.replica_bootstrap_from_snapshot(), ErrorCode::Unregistered, "--unregistered");
    assert_eq!(error.kind(), ErrorKind::RetryLater);

    a.disk.clear_faults();
    assert_eq!(replica.replica_catch_up_once(100).unwrap(), 0);
    expect_following(&replica, &primary);
    assert!(replica_status(&replica).registered);
    assert!(replica.health_check().unwrap().healthy);
}

#[test]
fn a_replica_that_is_to_follow_unregistered_is_well_and_on_no_list() {
    let folder = Folder::new();
    let primary = folder.primary("a", SyncMode::Normal);
    commit_items(&primary, "w", 4);
    primary.close().unwrap();
    // Nobody can register there.
    let registry = sidecar_of(&folder.path("a")).join("replicas");
    fs::remove_file(&registry).unwrap();
    fs::create_dir(&registry).unwrap();
    let options = replica_options(SyncMode::Normal, &folder.path("a"));
    let replica = Database::open(folder.path("b"), options.clone()).unwrap();
    expect_error(replica.replica_bootstrap_from_snapshot(), ErrorCode::Unregistered, "--unregistered");
    replica.start_follower(FollowerOptions::new().poll_ms(1)).unwrap();
    while replica_status(&replica).state != ReplicaState::Unregistered {
        std::thread::yield_now();
    }
    replica.close().unwrap();
    let look = || Database::open(folder.path("b"), options.clone().read_only(true)).unwrap();
    let status = replica_status(&look());
    assert_eq!((status.state, status.registered), (ReplicaState::Closed, false));
    assert!(status.last_error.unwrap().contains("unregistered"));

    let replica = Database::open(folder.path("b"), options.clone().replication_unregistered(true)).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    let status = replica_status(&replica);
    assert_eq!((status.state, status.registered, status.last_error), (ReplicaState::Following, false, None));
    assert!(replica.health_check().unwrap().healthy);
    replica.close().unwrap();

    // It is registered once it may be.
    fs::remove_dir(&registry).unwrap();
    let primary = folder.primary("a", SyncMode::Normal);
    assert!(primary_status(&primary).replica_lags.is_empty());
    let replica = Database::open(folder.path("b"), options).unwrap();
    catch_up(&replica);
    assert!(replica_status(&replica).registered);
    assert_eq!(primary_status(&primary).replica_lags.len(), 1);
    assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
}

#[test]
fn a_replica_is_removed_by_whatever_names_it_alone() {
    let [a, b, c, _] = machines();
    let (primary, mut graph) = (primary_of(&a), Graph::new(5));
    graph.grow(&primary, 2);
    let named = |machine: &Machine, name: &str| {
        let options = machine.following(&a).replication_name(name);
        let replica = machine.open_replica_of(&a, options).unwrap();
        catch_up(&replica);
        (replica_status(&replica).replica_id, replica)
    };
    let ((first, one), (second, _two)) = (named(&b, "west"), named(&c, "west"));
    expect_error(primary.primary_remove_replica("west"), ErrorCode::InvalidArgument, &first);
    expect_error(primary.primary_remove_replica("west"), ErrorCode::InvalidArgument, &second);
    assert!(!primary.primary_remove_replica(&first[..3]).unwrap());
    assert!(primary.primary_remove_replica(short_id(&first)).unwrap());
    assert!(primary.primary_remove_replica("west").unwrap());
    assert!(primary_status(&primary).replica_lags.is_empty());
    // One that is not gone is back with its next report.
    catch_up(&one);
    assert!(primary.primary_remove_replica("/b.kitedb").unwrap());
    for name in ["", &"n".repeat(65)] {
        let refused = b.open_replica_of(&a, b.following(&a).replication_name(name));
        assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidOption);
    }
}

/// What an operator does from outside, on a primary that is open here, on one that is not, and on a replica.
#[test]
fn replicas_are_removed_and_logs_cut_from_outside() {
    let folder = Folder::new();
    let primary_options = primary_options(SyncMode::Full).replication_segment_max_bytes(1);
    let primary = Database::open(folder.path("a"), primary_options.clone()).unwrap();
    commit_items(&primary, "w", 6);
    let options = |source| replica_options(SyncMode::Full, &folder.path(source)).replication_segment_max_bytes(1);
    let replica = Database::open(folder.path("b"), options("a")).unwrap();
    let chained = Database::open(folder.path("c"), options("b")).unwrap();
    assert_eq!(replica.replica_catch_up_once(6).unwrap(), 6);
    assert_eq!(chained.replica_catch_up_once(3).unwrap(), 3);
    replica.close().unwrap();
    let id = replica_status(&chained).replica_id;

    let none = RetentionWindows::new().min_entries(0);
    let cut = |name: &str| Database::run_retention_at(folder.path(name), &OpenOptions::new(), &none).unwrap();
    let forget =
        |name: &str, which: &str| Database::remove_replica_at(folder.path(name), &OpenOptions::new(), which).unwrap();
    // Those who follow a replica hold its log.
    assert_eq!(cut("b").retained_floor, 4);
    assert_eq!(forget("b", "nobody"), None);
    assert_eq!(forget("b", &id[..8]), Some(id));
    assert_eq!(cut("b").retained_floor, 6);
    // The primary is open in this process.
    commit_items(&primary, "v", 3);
    assert_eq!(cut("a").retained_floor, 7);
    assert!(forget("a", folder.path("b").canonicalize().unwrap().to_str().unwrap()).is_some());
    assert_eq!(cut("a").retained_floor, 9);
    primary.close().unwrap();
    assert_eq!(cut("a").pruned_segments, 0);

    let alone = Database::open(folder.path("alone"), OpenOptions::new()).unwrap();
    alone.close().unwrap();
    let refused = Database::run_retention_at(folder.path("alone"), &OpenOptions::new(), &none);
    expect_error(refused, ErrorCode::NotPrimary, "not opened in primary role");
    let refused = Database::remove_replica_at(folder.path("alone"), &OpenOptions::new(), "x");
    expect_error(refused, ErrorCode::NotPrimary, "not opened in primary role");
}
