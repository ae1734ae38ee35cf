//! What goes wrong in the cluster, and how it is mended: failing disks, damage, ends of processes, routes.

use super::{
    fired::{Fault, fired},
    ledger::GENESIS,
    network::path_of,
    world::{End, Fenced, Part, World},
};
use kitedb_core::io::sim::{Crash, FaultOn, FaultPlan};
use std::io::ErrorKind;

impl World {
    /// Orders a failure of node `n`'s disk, now or a few operations from now.
    pub(super) fn order_failure(&mut self, n: usize) {
        let on =
            self.rng.pick(&[FaultOn::Write, FaultOn::Write, FaultOn::Sync, FaultOn::Name, FaultOn::Any, FaultOn::Read]);
        let kind = self.rng.pick(&[ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::PermissionDenied]);
        let nth = 1 + if self.rng.one_in(3) { self.rng.below(20) } else { self.rng.below(4) };
        let mut plan = FaultPlan::new(on, nth, kind);
        if self.rng.one_in(5) {
            plan = plan.forever();
        }
        if self.rng.one_in(3) {
            plan = plan.on_path(self.rng.pick(&["segment", "control", "replicas", "kitedb.replication", "bootstrap"]));
        }
        let (op, room) = (1 + self.rng.below(60), self.rng.below(60_000));
        let machine = &self.nodes[n].machine;
        let what = match self.rng.below(7) {
            0..=2 => {
                machine.crash_at(machine.ops() + op);
                format!("n{n} will crash in {op} operations")
            }
            3 => {
                machine.set_capacity(Some(machine.used() + room));
                (self.nodes[n].sick, self.nodes[n].troubled) = (true, true);
                format!("n{n} has room for {room} bytes")
            }
            6 => {
                let kind = self.rng.pick(&[ErrorKind::Other, ErrorKind::StorageFull]);
                let path = self.rng.pick(&["segment", "kitedb"]);
                machine.fail(FaultPlan::new(FaultOn::WriteBack, nth, kind).on_path(path));
                (self.nodes[n].sick, self.nodes[n].troubled) = (true, true);
                format!("n{n} will not write {path} back in {nth} writes: {kind}")
            }
            _ => {
                machine.fail(plan.clone());
                (self.nodes[n].sick, self.nodes[n].troubled) = (true, true);
                format!("n{n} {plan:?}")
            }
        };
        self.note(what);
    }

    pub fn repair(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.machine.clear_faults();
        node.machine.set_capacity(None);
        // A number that is past: it never comes.
        node.machine.crash_at(0);
        node.sick = false;
        if let Some(db) = &node.db {
            // In place of its keeper, which would tell others within a second what could not be told before.
            let _ = db.primary_replication_status();
            let _ = db.replica_replication_status();
        }
        self.note(format!("repair n{n}"));
    }

    /// Flips a bit somewhere in node `n`'s log.
    pub(super) fn damage(&mut self, n: usize) {
        let machine = self.nodes[n].machine.clone();
        let segments: Vec<_> = machine.paths().into_iter().filter(|p| p.to_string_lossy().ends_with(".klog")).collect();
        if segments.is_empty() || self.rng.one_in(2) {
            return;
        }
        let path = &segments[self.rng.below(segments.len() as u64) as usize];
        let bytes = machine.read(path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let offset = self.rng.below(used as u64);
        let bit = 1 << self.rng.below(8);
        self.note(format!("damage {} at {offset}", path.display()));
        if machine.corrupt(path, offset, bit).is_ok() {
            self.nodes[n].damaged = true;
            self.nodes[n].hits.push(path.clone());
            fired(Fault::LogDamaged);
        }
    }

    /// Ends the process or the machine of node `n`.
    pub(super) fn end(&mut self, n: usize) {
        if self.nodes[n].is_open() && self.rng.one_in(2) {
            self.note(format!("kill n{n}"));
            self.kill(n);
        } else {
            let (crash, end) = self.any_crash();
            let crash = if crash == Crash::Kill { Crash::PowerLoss(kitedb_core::io::sim::Loss::Random) } else { crash };
            self.note(format!("n{n}: {crash:?}"));
            self.crash(n, crash);
            self.nodes[n].ended = self.nodes[n].ended.max(end).max(End::PowerLost);
        }
    }

    /// Closes node `n` in good order, or as far as that goes.
    pub fn close(&mut self, n: usize) {
        let dropped = self.rng.one_in(3);
        let node = &mut self.nodes[n];
        // Transactions may outlive their handles, and are of no use then.
        node.open.retain(|_| !dropped);
        node.open.iter_mut().for_each(|open| open.closed = true);
        node.second = None;
        let result = node.db.take().unwrap().close();
        let what = format!("close n{n}: {result:?}");
        match result {
            Ok(()) => {
                assert!(node.pending.is_none(), "closed without a word after a failure that leaves the log unusable");
                node.ended = End::Closed;
                if node.fenced == Fenced::No && !node.damaged {
                    node.durable = node.tip;
                }
            }
            Err(e) => {
                node.ended = End::Killed;
                node.failed("close", &e);
            }
        }
        self.note(what);
    }

    /// Opens node `n` as what it was.
    pub fn open_again(&mut self, n: usize) -> bool {
        let node = &self.nodes[n];
        let certain = match node.part {
            Part::Primary => node.fenced == Fenced::No && !node.shaky,
            Part::Replica(source) => {
                let settled = !node.foreign && !node.on_trial && !node.promoting;
                node.remembers == Some(source) && settled && !node.sick
            }
        };
        // It knows what it is.
        self.nodes[n].unsaid = certain && self.nodes[n].tip != GENESIS && self.rng.one_in(2);
        self.open_asked(n)
    }

    fn open_asked(&mut self, n: usize) -> bool {
        let said = if self.nodes[n].unsaid { ", which is not said" } else { "" };
        self.note(format!("open n{n} as {:?}{said}", self.nodes[n].part));
        let opened = self.open(n);
        if opened && std::mem::take(&mut self.nodes[n].unsaid) {
            fired(Fault::NoRole);
            if let Part::Replica(source) = self.nodes[n].part {
                let status = self.nodes[n].db().replica_replication_status().unwrap().unwrap();
                assert_eq!(status.source_db_path, Some(path_of(source)), "node {n} does not remember its source");
            }
        }
        self.nodes[n].unsaid = false;
        opened
    }

    /// Closes node `n` if it is open, and opens it in another part.
    pub fn reopen_as(&mut self, n: usize, part: Part) {
        if self.nodes[n].is_open() {
            self.close(n);
        }
        self.bury_the_dead();
        self.settle_half_a_fence(n);
        let node = &mut self.nodes[n];
        let before = (node.part, node.fenced);
        let asked_for = (node.foreign, node.on_trial);
        if node.part != part {
            // A replica's files do not make a primary: that takes a promotion.
            let was = node.fenced;
            node.fenced = match part {
                Part::Primary if node.foreign && !node.replacing => was,
                Part::Primary if node.promoting || node.foreign => Fenced::Perhaps,
                Part::Primary => Fenced::Yes,
                Part::Replica(_) => Fenced::No,
            };
            if matches!((node.part, part), (Part::Primary, Part::Replica(_))) && node.tip != GENESIS {
                // One that leads is opened so only in order to be overwritten.
                (node.foreign, node.on_trial) = (was != Fenced::Yes, true);
            }
            if part == Part::Primary {
                fired(Fault::ReplicaAsPrimary);
                (node.foreign, node.on_trial) = (false, false);
            }
            node.part = part;
        }
        if !self.open_asked(n) && before.0 != part {
            let node = &mut self.nodes[n];
            (node.part, node.fenced) = (before.0, before.1.max(Fenced::Perhaps));
            (node.foreign, node.on_trial) = asked_for;
        }
        if self.nodes[n].leads() && self.nodes[n].tip == GENESIS {
            // Whatever it was, it lost all that it had: an empty file that is opened as a primary begins a history, unless
            // its header knows of a log that it followed.
            let followed = matches!(before.0, Part::Replica(_));
            self.nodes[n].fenced = if followed { Fenced::Perhaps } else { Fenced::No };
            self.ledger.forced_from = 1;
        }
        let node = &self.nodes[n];
        let led = before == (Part::Primary, Fenced::No) && node.tip != GENESIS;
        let follows = node.is_open() && node.source().is_some() && !node.foreign;
        assert!(!led || !follows || node.damaged, "node {n} leads, and was opened as a replica");
    }

    pub(super) fn reopen_as_other(&mut self, n: usize, other: usize) {
        // An empty one would begin a history of its own.
        if self.nodes[n].lost || self.nodes[n].tip == GENESIS {
            return;
        }
        let part = match self.nodes[n].part {
            Part::Replica(_) if self.rng.one_in(2) => Part::Primary,
            _ if self.leads_to(other, n) => return,
            _ => Part::Replica(other),
        };
        self.reopen_as(n, part);
        // Mostly in order to let it lead.
        if part == Part::Primary && self.nodes[n].is_open() && !self.rng.one_in(4) {
            self.promote_in_place(n);
        }
    }

    pub(super) fn cut(&mut self, n: usize, other: usize) {
        self.note(format!("n{n} does not reach n{other}"));
        self.nodes[n].network.cut(other);
        self.nodes[n].cut.push(other);
    }

    pub fn heal_routes(&mut self, n: usize) {
        for to in std::mem::take(&mut self.nodes[n].cut) {
            let machine = self.nodes[to].machine.clone();
            self.nodes[n].network.connect(to, &machine);
        }
    }
}
