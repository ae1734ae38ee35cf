//! What keeps a log, as every role shows it, and that a replica's own log is cut.

use crate::support_replication::{
    Graph, Machine, catch_up,
    folder::{Folder, commit_items, primary_options, replica_options},
    primary_status, replica_status,
};
use kitedb_core::{Database, Hold, HoldReason, OpenOptions, ReplicationRole, SyncMode};

fn shown(holds: &[Hold]) -> Vec<String> {
    holds.iter().map(|hold| format!("{} {}", hold.reason, hold.from_log_index)).collect()
}

/// One frame in each segment.
fn small(options: OpenOptions, min_entries: u64) -> OpenOptions {
    options.replication_segment_max_bytes(1).replication_retention_min_entries(min_entries)
}

#[test]
fn a_primary_and_a_replica_say_what_keeps_their_logs() {
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, seed)| Machine::new(name, seed, SyncMode::Full));
    let primary = a.open(small(a.options(ReplicationRole::Primary), 0)).unwrap();
    let mut graph = Graph::new(1);
    graph.grow(&primary, 1);
    assert_eq!(shown(&primary_status(&primary).holds), ["recovery 1", "newest_segment 1"]);
    graph.grow(&primary, 7);
    let replica = b.open_replica_of(&a, small(b.following(&a), 3)).unwrap();
    assert_eq!(replica.replica_catch_up_once(5).unwrap(), 5);
    let id = replica_status(&replica).replica_id;
    assert_eq!(shown(&primary_status(&primary).holds), ["recovery 1"]);
    primary.primary_run_retention().unwrap();
    let status = primary_status(&primary);
    assert_eq!((status.retained_floor, status.segments), (6, 3));
    assert_eq!(status.holds[0].reason, HoldReason::Replica(id.clone()));
    assert_eq!(shown(&status.holds), [format!("replica:{id} 6")]);

    // The same of a replica's own log, and of those who follow it.
    catch_up(&replica);
    replica.checkpoint().unwrap();
    let chained = c.open_replica_of(&b, small(c.following(&b), 0)).unwrap();
    assert_eq!(chained.replica_catch_up_once(4).unwrap(), 4);
    replica.primary_run_retention().unwrap();
    let status = replica_status(&replica);
    assert_eq!((status.retained_floor, status.segments), (5, 4));
    assert!(status.log_bytes > 0);
    let chained_id = replica_status(&chained).replica_id;
    assert_eq!(shown(&status.holds), ["window_entries 5".to_owned(), format!("replica:{chained_id} 5")]);
    assert_eq!(status.replica_lags[0].replica_id, chained_id);
    assert_eq!(status.registration_limit, 4095);
}

/// One that is brought up to date now and then, and closed: nothing else would ever cut its log.
#[test]
fn a_replica_that_is_opened_only_to_catch_up_cuts_its_log() {
    let [a, b] = [("a", 1), ("b", 2)].map(|(name, seed)| Machine::new(name, seed, SyncMode::Full));
    let primary = a.open(small(a.options(ReplicationRole::Primary), 5)).unwrap();
    let mut graph = Graph::new(2);
    for round in 0..4 {
        graph.grow(&primary, 20);
        let replica = b.open_replica_of(&a, small(b.following(&a), 5)).unwrap();
        catch_up(&replica);
        replica.close().unwrap();
        assert!(b.segments().len() <= 6, "round {round}: {:?}", b.segments());
    }
    let replica = b.open_replica_of(&a, small(b.following(&a), 5)).unwrap();
    graph.expect_all(&replica);
    b.expect_no_violations();
}

/// Who looks on tells what keeps the log by the windows of the process that writes it, not by his own.
#[test]
fn a_look_knows_the_windows_of_the_writer() {
    let folder = Folder::new();
    let options = small(primary_options(SyncMode::Normal), 3);
    let primary = Database::open(folder.path("a"), options).unwrap();
    commit_items(&primary, "w", 8);
    primary.primary_run_retention().unwrap();
    let replica = Database::open(folder.path("b"), replica_options(SyncMode::Normal, &folder.path("a"))).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    commit_items(&primary, "v", 4);
    catch_up(&replica);
    primary.checkpoint().unwrap();
    let look = |name: &str, role| {
        Database::open(folder.path(name), OpenOptions::new().read_only(true).replication_role(role)).unwrap()
    };
    let seen = primary_status(&look("a", ReplicationRole::Primary));
    assert!(shown(&seen.holds).is_empty(), "{seen:?}");
    assert_eq!(seen.holds, primary_status(&primary).holds);
    let (seen, own) = (replica_status(&look("b", ReplicationRole::Replica)), replica_status(&replica));
    assert_eq!((seen.log_bytes, seen.segments, &seen.holds), (own.log_bytes, own.segments, &own.holds));
    assert!(own.holds.iter().any(|hold| hold.reason == HoldReason::WindowEntries), "{own:?}");
}
