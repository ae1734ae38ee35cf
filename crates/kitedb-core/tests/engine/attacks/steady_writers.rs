//! A primary that never pauses: what looks at it comes to an end all the same.

use super::{
    support::observed::{Observer, Operation, observed},
    support_replication::{Graph, Machine, write},
};
use kitedb_core::{Database, SyncMode};
use parking_lot::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Commits whenever somebody reads the log, until the fence is moved: whoever waits for the end of the log waits for ever.
#[derive(Debug)]
struct Steady {
    machine: Machine,
    control: PathBuf,
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    db: Database,
    fence: Vec<u8>,
    left: u32,
}

impl Steady {
    fn fence(&self) -> Vec<u8> {
        self.machine.disk.read(&self.control).unwrap()[16 * 8..17 * 8].to_vec()
    }

    /// From now on it commits, so many times at most.
    fn begin(&self, db: Database, left: u32) {
        *self.state.lock() = Some(State { db, fence: self.fence(), left });
    }

    /// How often it would have gone on to commit.
    fn end(&self) -> u32 {
        self.state.lock().take().unwrap().left
    }
}

impl Observer for Steady {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let read = matches!(operation, Operation::Read(_)) && path.extension().is_some_and(|kind| kind == "klog");
        if let Some(state) = self.state.lock().as_mut().filter(|_| read)
            && state.left > 0
            && self.fence() == state.fence
        {
            state.left -= 1;
            write(&state.db).unwrap();
        }
        Ok(())
    }
}

/// A primary that commits faster than its log can be read is fenced, and looked at, copied and compared, all the same.
#[test]
fn a_primary_that_never_pauses_is_taken_over_from() {
    for mode in [SyncMode::Normal, SyncMode::Full] {
        let (p, r) = (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode));
        let (primary, mut graph) = (p.primary(), Graph::new(1));
        graph.grow(&primary, 20);
        let control = p.sidecar().join("control");
        let steady = Arc::new(Steady { machine: p.clone(), control, state: Mutex::default() });
        let source = observed(&p.env(), steady.clone());
        let open = || Database::open_with_source_in(r.env(), source.clone(), r.db(), r.following(&p)).unwrap();

        let replica = open();
        steady.begin(primary.clone(), 2000);
        replica.replica_bootstrap_from_snapshot().unwrap();
        let left = steady.end();
        assert!(left > 1000, "{mode:?}: a bootstrap went on until the primary paused, {left}");

        steady.begin(primary.clone(), 2000);
        let pulled = replica.replica_catch_up_once(usize::MAX).unwrap();
        let left = steady.end();
        assert!(left > 1000 && pulled > 0, "{mode:?}: a replica pulled until the primary paused, {left}");

        steady.begin(primary.clone(), 2000);
        let promotion = replica.replica_promote(false).unwrap();
        let left = steady.end();
        assert!(left > 1000, "{mode:?}: a promotion went on until the primary paused, {left}");
        assert!(promotion.source_fenced, "{promotion:?}");
        assert_eq!(promotion.last_kept, primary.last_commit_token().unwrap(), "{mode:?}");
        write(&replica).unwrap();
    }
}
