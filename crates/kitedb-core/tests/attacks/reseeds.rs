//! A replica's graph is copied, anew or for the first time, while something else goes on or goes wrong.

use crate::{
    stage::{Stage, add_many, primary, replica_of},
    support::gate::{At, Gate},
    support_replication::{
        catch_up, expect_following,
        folder::{eventually, sidecar_of},
        replica_status,
    },
};
use kitedb_core::{Database, SyncMode, io::Env};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// A sync of the log that goes is under way when its replica is copied anew from a source that has less: what it made durable
/// is not said of the log that comes.
#[test]
fn a_sync_that_is_under_way_says_nothing_of_the_log_after_a_reseed() {
    let stage = Stage::new();
    let (long, short, path) = (stage.path("long.kitedb"), stage.path("short.kitedb"), stage.path("r.kitedb"));
    let primaries: Vec<_> = [(&long, 40), (&short, 5)]
        .map(|(path, commits)| {
            let db = Database::open(path, primary()).unwrap();
            add_many(&db, "n", commits);
            db.checkpoint().unwrap();
            db
        })
        .into();
    let gate = Arc::new(Gate::default());
    let options = replica_of(&long).sync_mode(SyncMode::Normal).sync_interval_ms(1);
    let replica = Database::open_with_source_in(gate.env(), Env::real(), &path, options).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    add_many(&primaries[0], "more", 5);
    catch_up(&replica);
    eventually("all is durable", || replica_status(&replica).durable_log_index == 45);
    // Nothing is left of what a follower of it needs but its log.
    gate.shut(At::Sync, ".klog");
    add_many(&primaries[0], "again", 5);
    catch_up(&replica);
    gate.wait_for_someone();

    replica.replica_repoint(&short, None::<PathBuf>).unwrap();
    let (done, reseeded) = mpsc::channel();
    thread::scope(|scope| {
        let replica = &replica;
        scope.spawn(move || done.send(replica.replica_reseed_from_snapshot()));
        // It waits for the sync, or would be past it by then.
        let early = reseeded.recv_timeout(Duration::from_millis(500));
        gate.open();
        early.or_else(|_| reseeded.recv()).unwrap().unwrap();
    });
    replica.close().unwrap();
    let word = fs::read(sidecar_of(&path).join("control")).unwrap()[18 * 8..19 * 8].try_into().unwrap();
    assert!(u64::from_le_bytes(word) <= 5, "{} commits are said to be durable", u64::from_le_bytes(word));
    let replica = Database::open(&path, replica_of(&short)).unwrap();
    add_many(&primaries[1], "more", 3);
    catch_up(&replica);
    expect_following(&replica, &primaries[1]);
}
