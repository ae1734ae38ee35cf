//! What must hold after every step, and that in the end all nodes come together again.

use super::{
    ledger::{GENESIS, Id},
    network::path_of,
    world::{End, Fenced, Part, World},
};
use crate::support::compare::{Cursors, compare_view};
use kitedb_core::{ErrorCode, ReplicaState, ReplicationRole, SyncMode, TokenWait};

impl World {
    /// Which frame node `n` shows.
    pub fn shown(&mut self, n: usize) -> Id {
        let view = self.nodes[n].db().snapshot().unwrap();
        self.ledger.find(&view)
    }

    /// After an open: nothing that was acknowledged is gone, as far as the mode promised, and nothing else came.
    pub fn expect_survival(&mut self, n: usize, end: End) {
        let shown = self.shown(n);
        let node = &self.nodes[n];
        let least = if end == End::PowerLost { node.durable } else { node.tip };
        let pulled = node.reach.iter().any(|line| self.ledger.holds(*line, shown));
        let kept = self.ledger.holds(shown, least) || node.damaged || (node.replacing && pulled);
        let name = |id| self.ledger.name(id);
        let what = format!(
            "node {n} after {end:?}: shows {}, last was {}, must hold {}",
            name(shown),
            name(self.line(n)),
            name(least)
        );
        assert!(kept, "lost: {what}");
        assert!(pulled || self.ledger.holds(self.line(n), shown), "from nowhere: {what}");
        let status = self.nodes[n].db().replica_replication_status().unwrap();
        let told = status.as_ref().filter(|status| status.needs_reseed);
        self.nodes[n].reseed_note = told.map(|status| status.last_error.clone());
        let error = status.and_then(|status| status.last_error).map_or_else(String::new, |e| format!(", {e}"));
        self.note(format!("  {what}{error}"));
        let line = self.line(n);
        let node = &mut self.nodes[n];
        node.tip = shown;
        if !node.damaged {
            // What a recovery has shown is durable.
            node.durable = shown;
        } else if !self.ledger.holds(shown, node.durable) {
            node.durable = GENESIS;
        }
        (node.pending, node.replacing) = (None, false);
        node.reach.clear();
        // Its log may hold more than it shows, and gives that to others as far as it can be read.
        node.behind_damage = node.damaged.then_some(line);
        if self.rng.one_in(2) {
            self.check(n);
        }
    }

    fn check(&mut self, n: usize) {
        let node = &self.nodes[n];
        if node.is_sick() || node.damaged || node.machine.crashed() {
            return;
        }
        let report = node.db().check().unwrap();
        assert!(report.is_clean(), "node {n}: {report:#?}");
    }

    /// Element by element.
    fn compare(&self, n: usize) {
        let view = self.nodes[n].db().snapshot().unwrap();
        compare_view(&view, &self.ledger.get(self.nodes[n].tip).model, &Cursors::default());
    }

    /// After every step.
    pub fn expect_invariants(&mut self) {
        for n in 0..self.nodes.len() {
            assert_eq!(self.nodes[n].machine.violations(), Vec::<String>::new(), "node {n}");
            if self.nodes[n].is_open() {
                self.expect_status(n);
            }
        }
        let n = self.rng.below(self.nodes.len() as u64) as usize;
        if self.nodes[n].is_open() {
            self.expect_waits(n);
            if self.rng.one_in(24) {
                self.compare(n);
            }
            if self.rng.one_in(24) {
                self.check(n);
            }
        }
    }

    /// What a node shows and says of itself is what is known of it.
    fn expect_status(&mut self, n: usize) {
        let shown = self.shown(n);
        let (ledger, node) = (&self.ledger, &mut self.nodes[n]);
        assert_eq!(ledger.name(shown), ledger.name(node.tip), "node {n} shows another commit than before");
        assert_eq!(shown, node.tip, "node {n} shows another history than before");
        let (db, index) = (node.db.as_ref().unwrap(), ledger.get(shown).index);
        let claimed = match node.part {
            Part::Primary => {
                assert_eq!(db.replication_role(), ReplicationRole::Primary);
                // A damaged or sick disk may not be readable.
                let status = match db.primary_replication_status() {
                    Ok(status) => status,
                    Err(e) => {
                        let unreadable = node.is_sick() || node.damaged || node.machine.crashed();
                        use ErrorCode::{Corrupt, DiskFull, Io, PermissionDenied};
                        let told = matches!(e.code(), Corrupt | DiskFull | Io | PermissionDenied);
                        assert!(unreadable && told, "node {n} has no status: {e:?}");
                        return;
                    }
                };
                let status = status.unwrap();
                assert_eq!(status.head_log_index, index);
                assert!(status.retained_floor <= index + 1, "{status:?}");
                assert!(status.fenced || node.fenced != Fenced::Yes, "node {n} does not say that it is fenced");
                status.durable_log_index
            }
            Part::Replica(_) => {
                let status = db.replica_replication_status().unwrap().unwrap();
                assert_eq!(status.applied_log_index, index);
                // A disk that takes no write any more keeps the note, though the replica follows by now.
                let old_note = node.reseed_note.as_ref() == Some(&status.last_error);
                let kept = node.is_sick() && status.needs_reseed && old_note;
                assert!(kept || status.needs_reseed == (status.state == ReplicaState::NeedsReseed), "{status:?}");
                node.reseed_note = status.needs_reseed.then_some(status.last_error);
                status.durable_log_index
            }
        };
        // What the node claims to be durable, it must keep from now on.
        let claimed = if node.mode == SyncMode::Full { index } else { claimed.min(index) };
        let durable = ledger.at(shown, claimed).unwrap();
        if !ledger.holds(durable, node.durable) && ledger.holds(shown, node.durable) {
            return;
        }
        node.durable = durable;
    }

    /// Waiting for a token says `Reached` exactly of the commits that the node shows, and of no rival's of the same number.
    fn expect_waits(&mut self, n: usize) {
        let node = &self.nodes[n];
        let mut asked = self.rng.below(self.nodes.len() as u64) as usize;
        if self.nodes[asked].tip == GENESIS {
            asked = n;
        }
        let line = self.nodes[asked].tip;
        let index = self.rng.below(self.ledger.get(line).index + 1);
        let Some(id) = self.ledger.at(line, index) else { return };
        let Some(token) = self.ledger.get(id).token else { return };
        let here = self.ledger.at(node.tip, index);
        let wait = |token| node.db().wait_for_token_outcome(token, 0);
        let outcome = match wait(token) {
            Ok(outcome) => outcome,
            // Nothing is waited for where nothing more is written.
            Err(e) => return self.nodes[n].failed("waiting", &e),
        };
        let name = |id| self.ledger.name(id);
        let what = format!(
            "node {n} says {outcome:?} of {}, it shows {:?} there and is at {}",
            token.full(),
            here.map(name),
            name(node.tip)
        );
        match here {
            Some(here) if here == id => assert_eq!(outcome, TokenWait::Reached, "{what}"),
            Some(_) => assert_eq!(outcome, TokenWait::EpochChanged, "{what}"),
            None => assert_ne!(outcome, TokenWait::Reached, "{what}"),
        }
        // What a replica has yet to pull may come, unless it has led an epoch of its own and keeps to that.
        let follows = node.source().is_some() && !node.foreign && !node.on_trial;
        let may_come = here.is_none() && follows && self.ledger.holds(line, node.tip);
        assert!(!may_come || outcome != TokenWait::EpochChanged, "{what}");
        // Without its tag, it counts for a rival's commit as well.
        if let Some(here) = here.and_then(|here| self.ledger.get(here).token) {
            let short = wait(token.with_tag(None)).unwrap();
            assert_eq!(short == TokenWait::Reached, here == token, "{short:?} without the tag; {what}");
        }
    }

    /// After a pull that went well: a replica that says that it follows misses nothing that its source has published.
    pub fn expect_caught_up(&mut self, n: usize, pulled: usize) {
        let status = self.nodes[n].db().replica_replication_status().unwrap().unwrap();
        // What gives frames beyond what it shows, for its log is damaged, lacks them to who compares the two.
        let behind = self.nodes[n].source().is_some_and(|source| self.nodes[source].damaged);
        if behind && status.needs_reseed {
            return;
        }
        // A report may fail where the frames could be read: that is told, and no failure of the pull.
        let unregistered = status.state == ReplicaState::Unregistered;
        // What it notes of itself for others may find no room where stores are writes, which fails no pull.
        let node = &self.nodes[n];
        let failing = node.sick || node.machine.crashed();
        let unnoted = node.machine.copies_on_write() && failing && node.was_refused();
        // Nor may it have been able to note which source it follows: that is told as well.
        let told = status.last_error.as_deref().unwrap_or_default();
        let unremembered = failing && told.contains("will not know that as its source");
        let faulty = unregistered || unremembered;
        // A reseed that another source asked for is still noted where there is no room to take that back.
        let old_note = status.last_error.is_none() || node.reseed_note.as_ref() == Some(&status.last_error);
        let unforgotten = unnoted && status.needs_reseed && node.reseed_note.is_some() && old_note;
        assert!(!status.needs_reseed || unforgotten, "{status:?}, before {:?}", node.reseed_note);
        assert!(unnoted || status.last_error.is_some() == faulty, "{status:?}");
        assert!(unnoted || unremembered || status.registered != unregistered, "{status:?}");
        let source = self.nodes[n].source().unwrap();
        if !self.nodes[source].is_open() {
            return;
        }
        let (here, there) = (self.nodes[n].tip, self.nodes[source].tip);
        // What a source cannot announce for want of room others do not see yet.
        let shown = !self.nodes[source].is_sick();
        let behind = shown && self.ledger.get(here).index < self.ledger.get(there).index;
        let orphaned = status.state == ReplicaState::Orphaned;
        // Nor that it says so, where its own disk failed meanwhile.
        let stalled = failing && status.state == ReplicaState::Stalled;
        assert!(
            !behind
                || faulty
                || stalled
                || status.state == ReplicaState::Behind
                || ((orphaned || unforgotten) && status.lag_frames > 0),
            "node {n} misses commits of node {source}: {status:?}"
        );
        let half = self.nodes[source].half_fenced;
        let leads = self.nodes[source].leads() && self.nodes[source].fenced == Fenced::No && !half;
        assert!(!(orphaned && leads), "node {n} says that node {source}, which leads, does not: {status:?}");
        assert!(!behind || pulled > 0, "node {n} does not get what node {source} has: {status:?}");
        let diverged = !self.ledger.holds(here, there) && !self.ledger.holds(there, here);
        let unseen = (self.nodes[source].source().is_some() || self.nodes[source].fenced != Fenced::No) && !behind;
        assert!(!diverged || unseen, "node {n} does not notice that it is off the history of node {source}");
        let ahead = here != there && self.ledger.holds(here, there);
        let lost = ahead && self.nodes[source].leads() && self.nodes[source].fenced == Fenced::No;
        assert!(!lost, "node {n} does not notice that node {source} lost what it holds");
    }

    /// Whether node `n` may ask for a reseed from its source.
    pub fn may_need_reseed(&self, n: usize) -> bool {
        let (node, source) = (&self.nodes[n], &self.nodes[self.nodes[n].source().unwrap()]);
        if node.damaged || node.foreign || !source.is_sound() || !source.leads() {
            return true;
        }
        let floor = source.db().primary_replication_status().unwrap().unwrap().retained_floor;
        let (here, there) = (node.tip, source.tip);
        !self.ledger.holds(there, here) || self.ledger.get(here).index + 1 < floor
    }

    /// Repairs everything and lets the cluster come together again: one leads, all others follow, all are alike.
    pub fn settle(&mut self) {
        self.note("settle");
        for n in 0..self.nodes.len() {
            self.repair(n);
            self.nodes[n].machine.forget_late_failures();
            self.nodes[n].paused = false;
            self.heal_routes(n);
            self.end_all(n);
        }
        // A check of the last step may have been what a crash was waiting for.
        self.bury_the_dead();
        for n in 0..self.nodes.len() {
            // What failed or was damaged goes on only after a restart, and not everywhere.
            let node = &self.nodes[n];
            let uncertain = node.poisoned || node.troubled || node.damaged || node.half_fenced;
            if node.is_open() && (uncertain || node.fenced != Fenced::No) {
                self.close(n);
            }
            if !self.nodes[n].is_open() && !self.open_again(n) && self.nodes[n].lost {
                let other = (n + 1) % self.nodes.len();
                self.renew(n, other);
            }
        }
        let leader = self.settle_leader();
        for n in (0..self.nodes.len()).filter(|n| *n != leader) {
            self.follow_and_compare(n, leader);
        }
        // They go on together.
        self.commit(leader, 3);
        for n in (0..self.nodes.len()).filter(|n| *n != leader) {
            let pulled = self.pull(n, 10);
            // The end of its own log may be what was damaged: that shows where it is to go on.
            let reseeded = pulled.is_err() && self.nodes[n].damaged && self.bootstrap(n);
            assert!(pulled.is_ok() || reseeded, "node {n} does not follow");
            assert_eq!(self.nodes[n].tip, self.nodes[leader].tip, "node {n} follows");
        }
        self.expect_invariants();
    }

    /// Finds who may lead, or makes one.
    fn settle_leader(&mut self) -> usize {
        let epoch = |world: &Self, n: usize| world.ledger.get(world.nodes[n].tip).index;
        let all = || 0..self.nodes.len();
        let leads =
            |n: &usize| self.nodes[*n].leads() && self.nodes[*n].is_sound() && self.nodes[*n].fenced == Fenced::No;
        if let Some(leader) = all().filter(leads).max_by_key(|n| epoch(self, *n)) {
            return leader;
        }
        let replica = |n: &usize| self.nodes[*n].is_sound() && self.nodes[*n].source().is_some();
        let mut replicas: Vec<usize> = all().filter(replica).collect();
        replicas.sort_by_key(|n| std::cmp::Reverse(epoch(self, *n)));
        for force in [false, true] {
            for n in &replicas {
                if self.promote_replica(*n, force) {
                    return *n;
                }
            }
        }
        let fenced = (0..self.nodes.len()).find(|n| self.nodes[*n].leads() && self.nodes[*n].is_sound());
        if let Some(n) = fenced {
            self.lead_at_last(n);
            return n;
        }
        // Those whose source is gone for good cannot be opened as replicas. They can lead.
        let stranded = |n: &usize| !self.nodes[*n].is_open() && self.nodes[*n].tip != GENESIS;
        let stranded: Vec<usize> = (0..self.nodes.len()).filter(stranded).collect();
        for n in stranded {
            self.reopen_as(n, Part::Primary);
            if self.nodes[n].is_open() {
                self.lead_at_last(n);
                return n;
            }
        }
        // Nobody is left: begin anew.
        self.note("begin anew");
        self.renew(0, 1);
        self.nodes[0].part = Part::Primary;
        self.ledger.forced_from = 1;
        assert!(self.open_again(0));
        0
    }

    /// Makes an open node lead: one that cannot take over from its source, as a replica and by force.
    fn lead_at_last(&mut self, n: usize) {
        // Beside another one that leads, by force only.
        let mut leads = self.promote_in_place(n);
        if !leads && self.status(n).is_some_and(|own| !own.fenced) {
            leads = self.begin_epoch(n, true);
        }
        if !leads {
            let other = (n + 1) % self.nodes.len();
            // One that is gone for good cannot be named.
            self.nodes[n].names_no_source = !self.nodes[other].machine.paths().contains(&path_of(other));
            self.reopen_as(n, Part::Replica(other));
            self.nodes[n].names_no_source = false;
            assert!(self.promote_replica(n, true), "node {n} cannot lead, although it is forced");
        }
        assert_eq!(self.nodes[n].fenced, Fenced::No);
    }

    fn follow_and_compare(&mut self, n: usize, leader: usize) {
        if !self.nodes[n].is_open() && self.nodes[n].lost {
            self.renew(n, leader);
        }
        if self.nodes[n].is_open() && self.nodes[n].source().is_some() {
            self.repoint(n, leader);
        } else {
            self.reopen_as(n, Part::Replica(leader));
        }
        if self.nodes[n].is_open() && self.nodes[n].source().is_none() {
            // Its promotion was done, and nobody knew.
            self.nodes[n].promoting = false;
            self.reopen_as(n, Part::Replica(leader));
        }
        assert!(self.nodes[n].is_open(), "node {n} cannot be opened though nothing is wrong any more");
        for _ in 0..50 {
            let damaged = self.nodes[n].damaged;
            let error = match self.pull(n, 40) {
                Ok(0) => break,
                Ok(_) => continue,
                Err(code) => code,
            };
            if error == ErrorCode::Io && damaged {
                // What is in the way of its log is moved away, as an operator does who is told so.
                let hits = self.nodes[n].hits.clone();
                hits.iter().for_each(|path| self.nodes[n].move_away(path));
                continue;
            }
            let mendable = match error {
                ErrorCode::NeedsReseed
                | ErrorCode::Corrupt
                | ErrorCode::Poisoned
                | ErrorCode::SyncFailed
                | ErrorCode::OutcomeUnknown => true,
                // Where the log was damaged that a fenced primary closed, what is left of it reaches beyond the file.
                ErrorCode::LogMismatch => damaged,
                _ => false,
            };
            assert!(mendable, "node {n} cannot follow: {error:?}");
            assert!(self.bootstrap(n), "node {n} cannot be reseeded from {}", path_of(leader).display());
        }
        assert_eq!(self.nodes[n].tip, self.nodes[leader].tip, "node {n} has caught up with node {leader}");
        let status = self.nodes[n].db().replica_replication_status().unwrap().unwrap();
        assert_eq!((status.state, status.needs_reseed), (ReplicaState::Following, false), "{status:?}");
        self.check(n);
        self.compare(n);
    }
}
