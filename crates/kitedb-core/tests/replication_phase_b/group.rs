//! Committers that wait for durability share syncs, as primaries too.

use crate::{
    commit,
    support_replication::{Machine, catch_up, primary_status},
};
use kitedb_core::{
    GraphRead, SyncMode,
    io::sim::{Crash, Loss},
};

const THREADS: u64 = 8;
const COMMITS: u64 = 50;

#[test]
fn what_many_threads_committed_is_durable_dense_and_on_the_replica() {
    for crash in [Crash::Kill, Crash::PowerLoss(Loss::LoseAllUnsynced)] {
        let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
        let db = a.primary();
        let replica = b.replica_of(&a);
        let mut tokens: Vec<u64> = std::thread::scope(|scope| {
            let committing: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        (0..COMMITS)
                            .map(|_| {
                                let token = commit(&db).unwrap();
                                // Acknowledged is durable, published, and there to be waited for.
                                assert!(primary_status(&db).durable_log_index >= token.log_index.0);
                                assert!(db.wait_for_token(token, 0).unwrap());
                                token.log_index.0
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            committing.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        tokens.sort_unstable();
        assert_eq!(tokens, (1..=THREADS * COMMITS).collect::<Vec<_>>());
        catch_up(&replica);
        assert_eq!(replica.snapshot().unwrap().digest(), db.snapshot().unwrap().digest());
        let after = a.restart(crash);
        drop(db);
        let db = after.primary();
        assert_eq!(db.snapshot().unwrap().count_nodes(), THREADS * COMMITS);
    }
}

/// The syncs of a primary are those of a database without a role.
#[test]
fn a_commit_costs_one_sync_in_full_mode_and_none_in_the_others() {
    for (mode, syncs) in [(SyncMode::Full, 20), (SyncMode::Normal, 0), (SyncMode::Off, 0)] {
        let machine = Machine::new("primary", 1, mode);
        let options = machine.options(kitedb_core::ReplicationRole::Primary).replication_segment_max_bytes(1 << 20);
        let db = machine.open(options).unwrap();
        commit(&db).unwrap();
        machine.disk.start_trace();
        let before = machine.disk.trace().len();
        for _ in 0..20 {
            commit(&db).unwrap();
        }
        let done = machine.disk.trace().split_off(before);
        let of = |what: &str| done.iter().filter(|line| line.contains(what)).count();
        assert_eq!((of("sync"), of("write"), done.len()), (syncs, 20, syncs + 20), "{mode:?}: {done:#?}");
    }
}
