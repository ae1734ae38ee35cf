//! What happens to the cluster, one step at a time, and what each step may lead to.

use super::{
    fired::{Fault, fired},
    ledger::GENESIS,
    network::{path_of, sidecar_of},
    world::{End, Fenced, Node, Part, World},
};
use kitedb_core::{
    Error, ErrorCode, PrimaryReplicationStatus, ReplicaReplicationStatus,
    io::sim::{FaultOn, FaultPlan},
};
use std::io::ErrorKind;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Commit,
    Submit,
    Pull,
    Bootstrap,
    Maintain,
    Retain,
    PromoteInPlace,
    TakeOver,
    Repoint,
    Report,
    SecondHandle,
    Hold,
    GoOn,
    EndOne,
    Failure,
    Repair,
    Damage,
    End,
    Close,
    Open,
    OpenAsOther,
    Pause,
    Cut,
    Heal,
    Renew,
    Wait,
    Probe,
    CutPromotion,
    FailingPromotion,
}

/// How often each kind of step comes, relative to the others.
const KINDS: [(u64, Kind); 29] = [
    (24, Kind::Commit),
    (4, Kind::Submit),
    (24, Kind::Pull),
    (4, Kind::Bootstrap),
    (5, Kind::Maintain),
    (4, Kind::Retain),
    (1, Kind::PromoteInPlace),
    (3, Kind::TakeOver),
    (3, Kind::Repoint),
    (2, Kind::Report),
    (2, Kind::SecondHandle),
    (6, Kind::Hold),
    (3, Kind::GoOn),
    (8, Kind::EndOne),
    (4, Kind::Failure),
    (5, Kind::Repair),
    (1, Kind::Damage),
    (3, Kind::End),
    (2, Kind::Close),
    (12, Kind::Open),
    (1, Kind::OpenAsOther),
    (1, Kind::Pause),
    (1, Kind::Cut),
    (3, Kind::Heal),
    (1, Kind::Renew),
    (6, Kind::Wait),
    (1, Kind::Probe),
    (5, Kind::CutPromotion),
    (3, Kind::FailingPromotion),
];

/// Whether a node refuses to follow what its files say follows it: it may have been pointed elsewhere, and not followed yet.
fn is_circle(e: &Error) -> bool {
    e.code() == ErrorCode::InvalidOption && e.to_string().contains("leads back")
}

/// Whether a replica does not lead because its first bootstrap was cut short.
fn is_half_made(e: &Error) -> bool {
    e.code() == ErrorCode::NotReplica && says_half_made(e)
}

fn says_half_made(e: &Error) -> bool {
    e.to_string().contains("holds nothing yet")
}

/// Whether a node says of itself that it leads, or stands alone, and is not what it was opened as.
fn is_foreign(status: &ReplicaReplicationStatus) -> bool {
    status.last_error.as_ref().is_some_and(|why| why.contains("opened as a replica; its own graph"))
}

impl World {
    /// One step of some kind by, or to, some node that can take it.
    pub fn step(&mut self) {
        for node in &mut self.nodes {
            let late = node.machine.late_failures();
            // What failed so may have left the log unusable.
            node.troubled |= late > node.late;
            node.late = late;
        }
        let total = KINDS.iter().map(|(weight, _)| weight).sum();
        let mut at = self.rng.below(total);
        let chosen = KINDS.iter().find(|(weight, _)| at.checked_sub(*weight).map(|rest| at = rest).is_none());
        let kind = chosen.map_or(Kind::Wait, |(_, kind)| *kind);
        let fits = |n: &usize| {
            let node = &self.nodes[*n];
            let acts = node.is_open() && !node.paused;
            match kind {
                // One that is fenced mostly knows better.
                Kind::Commit | Kind::Submit => {
                    acts && node.leads() && (node.fenced != Fenced::Yes || self.marks % 4 == 0)
                }
                Kind::Retain | Kind::PromoteInPlace | Kind::Report | Kind::SecondHandle | Kind::Hold => {
                    acts && node.leads()
                }
                Kind::GoOn | Kind::EndOne => !node.paused && !node.open.is_empty(),
                Kind::Pull
                | Kind::Bootstrap
                | Kind::TakeOver
                | Kind::CutPromotion
                | Kind::FailingPromotion
                | Kind::Repoint => acts && node.source().is_some(),
                Kind::Maintain => acts,
                Kind::Close => acts && (node.poisoned || node.fenced != Fenced::No || self.marks % 4 == 0),
                Kind::Open => !node.is_open(),
                Kind::Probe => self.is_at_rest(*n) || (acts && node.is_sound() && !node.troubled),
                Kind::Repair => node.sick,
                Kind::Heal => !node.cut.is_empty(),
                // One that leads still has what nobody else has.
                Kind::Renew => (node.source().is_some() && !node.foreign) || node.lost,
                _ => true,
            }
        };
        let able: Vec<usize> = (0..self.nodes.len()).filter(fits).collect();
        let n = if able.is_empty() { return } else { self.rng.pick(&able) };
        let other = (n + 1 + self.rng.below(self.nodes.len() as u64 - 1) as usize) % self.nodes.len();
        match kind {
            Kind::Commit => self.some_commits(n),
            Kind::Submit => self.submit_together(n),
            Kind::Pull => {
                let most = self.rng.pick(&[1, 2, 7, 1000]);
                let _may_fail = self.pull(n, most);
            }
            Kind::Bootstrap => drop(self.bootstrap(n)),
            Kind::Maintain => self.maintain(n),
            Kind::Retain => self.retain(n),
            Kind::PromoteInPlace => drop(self.promote_in_place(n)),
            Kind::TakeOver => {
                let force = self.rng.one_in(4);
                self.promote_replica(n, force);
            }
            Kind::CutPromotion => self.cut_promotion(n),
            Kind::FailingPromotion => self.fail_promotion(n),
            Kind::Repoint => self.repoint(n, other),
            Kind::Probe => self.probe(n),
            Kind::Report => self.report(n, other),
            Kind::SecondHandle => self.open_second(n),
            Kind::Hold => self.hold(n),
            Kind::GoOn => self.go_on(n),
            Kind::EndOne => self.end_one(n),
            Kind::Failure => self.order_failure(n),
            Kind::Repair => self.repair(n),
            Kind::Damage => self.damage(n),
            Kind::End => self.end(n),
            Kind::Close => self.close(n),
            Kind::Open => drop(self.open_again(n)),
            Kind::OpenAsOther => self.reopen_as_other(n, other),
            Kind::Pause => self.nodes[n].paused = !self.nodes[n].paused,
            Kind::Cut => self.cut(n, other),
            Kind::Heal => self.heal_routes(n),
            Kind::Renew if self.leads_to(other, n) => {}
            Kind::Renew => self.renew(n, other),
            Kind::Wait => self.clock.advance_ms(1 << (n + other)),
        }
        self.bury_the_dead();
        self.count_refusals();
        self.expect_invariants();
    }

    /// Finds out what is left of machines that crashed in the midst of a step.
    pub(super) fn bury_the_dead(&mut self) {
        for n in 0..self.nodes.len() {
            if self.nodes[n].machine.crashed() {
                let (crash, end) = self.any_crash();
                self.note(format!("  n{n} crashed: {crash:?}"));
                fired(Fault::CrashedWithin);
                self.crash(n, crash);
                self.nodes[n].ended = self.nodes[n].ended.max(end);
            }
        }
    }

    /// Opens a second handle, or closes the one that is there.
    fn open_second(&mut self, n: usize) {
        if let Some(second) = self.nodes[n].second.take() {
            let result = second.close();
            self.note(format!("n{n} closes its second handle: {result:?}"));
            let node = &mut self.nodes[n];
            node.open.iter_mut().filter(|open| open.second).for_each(|open| open.closed = true);
            return result.unwrap_or_else(|e| node.failed("the close of a second handle", &e));
        }
        self.note(format!("n{n} opens a second handle"));
        match self.nodes[n].database() {
            Ok(db) => {
                self.nodes[n].second = Some(db);
                self.nodes[n].second_fenced = false;
            }
            Err(e) => self.nodes[n].failed("a second open", &e),
        }
    }

    /// Lets a replica pull, and checks what came of it.
    pub fn pull(&mut self, n: usize, most: usize) -> Result<usize, ErrorCode> {
        let source = self.nodes[n].source().unwrap();
        self.reach_for(n, source);
        let before = self.nodes[n].tip;
        let result = self.nodes[n].db().replica_catch_up_once(most);
        let shown = self.shown(n);
        self.note(format!("n{n} pulls from n{source}: {result:?}, now {}", self.ledger.name(shown)));
        assert!(self.ledger.holds(shown, before), "a pull took {} away", self.ledger.name(before));
        assert!(shown == before || self.may_hold(source, shown), "pulled what n{source} does not have");
        self.nodes[n].tip = shown;
        let outcome = match result {
            Ok(pulled) => {
                let file = self.nodes[source].renewals;
                let node = &mut self.nodes[n];
                assert!(!node.foreign || node.replacing, "a primary that leads follows");
                (node.foreign, node.on_trial) = (false, false);
                node.remembers = Some(source).filter(|_| !node.is_sick() && !node.machine.crashed());
                node.remembers_file = file;
                assert!(pulled <= most.max(1));
                assert_eq!(pulled as u64, self.ledger.get(shown).index - self.ledger.get(before).index);
                if self.nodes[source].leads() && self.nodes[source].fenced == Fenced::No {
                    let epoch = self.status(source).map_or(0, |status| status.epoch);
                    self.nodes[n].met = self.nodes[n].met.max(epoch);
                }
                self.expect_caught_up(n, pulled);
                Ok(pulled)
            }
            Err(e) => {
                match e.code() {
                    ErrorCode::NeedsReseed => {
                        assert!(self.may_need_reseed(n), "node {n} asks for a reseed without a reason: {e}");
                        let status = self.nodes[n].db().replica_replication_status().unwrap().unwrap();
                        // It may have no room to note that.
                        let noted = status.needs_reseed && status.last_error.is_some();
                        let failed = self.nodes[n].is_sick() || self.nodes[n].machine.crashed();
                        assert!(noted || failed, "{status:?}");
                    }
                    _ => self.source_failed(n, "pull", &e),
                }
                Err(e.code())
            }
        };
        self.forget_reach(n);
        outcome
    }

    /// An error of a replica must come from its own disk, or from its source.
    fn source_failed(&mut self, n: usize, what: &str, e: &Error) {
        let source = self.nodes[n].source().unwrap();
        let reachable = self.reaches(n, source);
        let there = &self.nodes[source];
        let excused = !reachable || there.is_sick() || there.damaged || there.machine.crashed() || !there.is_open();
        // What is half-made seeds nobody.
        let excused = excused || (there.tip == GENESIS && says_half_made(e));
        // Nor does what failed as it took its source's graph, and has not tried again.
        let untold =
            e.code() == ErrorCode::SourceUnavailable && e.to_string().contains("copy of its source is in place");
        let excused = excused || (there.replacing && untold);
        // Of what a fence counted, an old primary may have lost the end.
        let excused = excused || ((there.fenced != Fenced::No || there.on_trial) && e.code() == ErrorCode::Corrupt);
        // Of one whose fence was not completed, and which is to follow nobody who leads: it could not take the lead back then.
        let waits = e.code() == ErrorCode::StalePrimary && self.nodes[n].on_trial;
        let excused = excused || (waits && (!there.leads() || there.fenced != Fenced::No));
        assert_ne!(e.code(), ErrorCode::Internal, "{what} of node {n}: {e:?}");
        let node = &mut self.nodes[n];
        if matches!(e.code(), ErrorCode::SyncFailed | ErrorCode::Poisoned | ErrorCode::OutcomeUnknown) || !excused {
            node.failed(what, e);
        }
    }

    fn forget_reach(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        // A full disk may keep whole frames of what a replica was about to append.
        if !node.machine.crashed() && !node.poisoned && !node.replacing && !node.is_sick() {
            node.reach.clear();
        }
    }

    /// Replaces a replica's graph by its source's. Returns whether it could.
    pub fn bootstrap(&mut self, n: usize) -> bool {
        let source = self.nodes[n].source().unwrap();
        let (head, mut before) = (self.nodes[source].tip, self.nodes[n].tip);
        self.reach_for(n, source);
        self.nodes[n].replacing = true;
        let (way, replaced) = (self.rng.below(2), self.nodes[n].is_replaced_unasked());
        let mut result = self.copy_to(n, way);
        let unasked = result.is_ok() && !replaced;
        if let Err(e) = &result
            && e.code() == ErrorCode::WouldOverwrite
        {
            // It led once, or its source lacks what it holds, which may be held by nobody else: its operator must say that it
            // may go.
            fired(Fault::Overwritten);
            self.note(format!("  n{n} would be overwritten: {e}"));
            let there = &self.nodes[source];
            // What is left of one that lost its power is seen once it is open.
            let lost = !there.is_open() && there.ended >= End::PowerLost;
            let lost = lost || there.machine.crashed() || there.is_sick() || there.damaged;
            // Of one that is damaged its log may hold more than it shows.
            let more = self.nodes[n].damaged && e.to_string().contains("its log in");
            let lacking = lost || more || !self.ledger.holds(there.tip, before);
            let file = there.renewals;
            let node = &mut self.nodes[n];
            // What it remembers of its source is all that may tell that it is the same database.
            let untold = node.damaged && (node.remembers, node.remembers_file) != (Some(source), file);
            assert!(
                node.foreign || node.on_trial || node.promoting || lacking || untold,
                "node {n} is a replica: {e:?}"
            );
            assert_eq!(self.shown(n), before, "a refused bootstrap changes nothing");
            self.nodes[n].replacing = false;
            self.close(n);
            self.nodes[n].overwrite = true;
            if self.nodes[n].machine.crashed() || !self.open(n) || self.nodes[n].source().is_none() {
                return false;
            }
            // Its recovery may have found a frame more than it showed when its log failed.
            before = self.shown(n);
            self.reach_for(n, source);
            self.nodes[n].replacing = true;
            result = self.copy_to(n, way);
        }
        let result = result;
        // Its source is asked for one, to be copied.
        self.nodes.iter_mut().for_each(|node| node.history.checkpoint());
        let shown = self.shown(n);
        self.note(format!("n{n} bootstraps from n{source}: {result:?}, now {}", self.ledger.name(shown)));
        assert!(shown == before || self.may_hold(source, shown), "copied what n{source} does not have");
        let lost = unasked && !self.ledger.holds(shown, before);
        assert!(!lost, "n{n} gave up {} unasked", self.ledger.name(before));
        let node = &self.nodes[n];
        // Its source may have had the same commits, and the copy be in place though what followed failed.
        let follows =
            || node.db().replica_replication_status().is_ok_and(|status| status.is_some_and(|s| !is_foreign(&s)));
        let adopted = shown != before || result.is_ok() || (node.foreign && !node.machine.crashed() && follows());
        let file = self.nodes[source].renewals;
        let node = &mut self.nodes[n];
        node.tip = shown;
        if adopted {
            // Another graph: what was durable of the old one does not matter any more.
            (node.durable, node.pending) = (GENESIS, None);
            if !self.ledger.holds(shown, before) {
                node.gave_up = node.gave_up.or(self.ledger.get(before).token.map(|token| token.epoch.0));
            }
            (node.foreign, node.on_trial, node.remembers) = (false, false, None);
        }
        match result {
            Ok(()) => {
                (node.damaged, node.poisoned, node.replacing) = (false, false, false);
                node.hits.clear();
                node.remembers = Some(source).filter(|_| !node.is_sick() && !node.machine.crashed());
                node.remembers_file = file;
                let there = &self.nodes[source];
                // What it cannot announce for want of room others do not see yet.
                let whole = !there.is_open() || there.damaged || there.is_sick() || self.ledger.holds(shown, head);
                assert!(whole, "a bootstrap ended before what n{source} had when it began");
                self.expect_caught_up(n, 1);
            }
            Err(ref e) if is_circle(e) => {
                assert_eq!(shown, before, "a refused bootstrap changes nothing");
                node.replacing = false;
            }
            Err(ref e) => self.source_failed(n, "bootstrap", e),
        }
        // After a failure the file may hold the one graph or the other: that is seen when it is opened again.
        if result.is_ok() {
            self.forget_reach(n);
        }
        result.is_ok()
    }

    fn copy_to(&self, n: usize, way: u64) -> Result<(), Error> {
        match way {
            0 => self.nodes[n].db().replica_bootstrap_from_snapshot(),
            _ => self.nodes[n].db().replica_reseed_from_snapshot(),
        }
    }

    fn maintain(&mut self, n: usize) {
        let db = self.nodes[n].db();
        let (what, result) = match self.rng.below(8) {
            0..=3 => ("checkpoint", db.checkpoint()),
            4 => ("compact_step", db.compact_step().map(drop)),
            5 => ("compact", db.compact()),
            6 => ("collect_metrics", db.collect_metrics().map(drop)),
            _ => ("sync", db.sync()),
        };
        self.note(format!("n{n} {what}: {result:?}"));
        let node = &mut self.nodes[n];
        if matches!(what, "checkpoint" | "compact") {
            node.history.checkpoint();
        }
        match result {
            Ok(()) if matches!(what, "checkpoint" | "compact" | "sync") => node.durable = node.tip,
            Ok(()) => {}
            Err(e) if e.code() == ErrorCode::StalePrimary => assert!(node.fenced != Fenced::No, "{e:?}"),
            // A checkpoint under a fence whose end is not known.
            Err(e) if e.code() == ErrorCode::OutcomeUnknown && node.fenced != Fenced::No => {}
            Err(e) => node.failed(what, &e),
        }
    }

    pub fn status(&self, n: usize) -> Option<PrimaryReplicationStatus> {
        self.nodes[n].db().primary_replication_status().ok().flatten()
    }

    fn retain(&mut self, n: usize) {
        let before = self.status(n);
        let result = self.nodes[n].db().primary_run_retention();
        // It makes one where recovery holds what nobody else asks for.
        self.nodes[n].history.checkpoint();
        self.note(format!("n{n} retains: {result:?}"));
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(e) if e.code() == ErrorCode::StalePrimary => {
                return assert!(self.nodes[n].fenced != Fenced::No, "{e:?}");
            }
            Err(e) => return self.nodes[n].failed("retention", &e),
        };
        let (Some(before), Some(after)) = (before, self.status(n)) else { return };
        assert_eq!(outcome.retained_floor, after.retained_floor);
        assert_eq!(before.segments - after.segments, outcome.pruned_segments);
        if !self.nodes[n].caps {
            // Without a cap nobody loses what was kept for it.
            for (old, new) in before.replica_lags.iter().zip(&after.replica_lags) {
                use kitedb_core::HoldState::Lost;
                assert!(old.hold == Lost || new.hold != Lost, "retention took {new:?} what it needs");
            }
        }
    }

    /// Lets node `n` begin the next epoch. Returns whether it did.
    pub fn promote_in_place(&mut self, n: usize) -> bool {
        self.begin_epoch(n, false)
    }

    /// As that; by force also where another node leads.
    pub fn begin_epoch(&mut self, n: usize, by_force: bool) -> bool {
        if self.nodes[n].second.is_some() && self.rng.one_in(3) && !self.nodes[n].second_fenced {
            let node = &mut self.nodes[n];
            std::mem::swap(&mut node.db, &mut node.second);
            node.open.iter_mut().for_each(|open| open.second = !open.second);
        }
        let status = self.status(n);
        if self.nodes[n].fenced != Fenced::No && status.as_ref().is_some_and(|own| own.fenced && own.fence.is_none()) {
            return self.take_over_as_a_primary(n);
        }
        let before = status.map_or(0, |status| status.epoch);
        let result = match by_force {
            true => self.nodes[n].db().primary_promote_by_force(),
            false => self.nodes[n].db().primary_promote_to_next_epoch(),
        };
        self.note(format!("n{n} promotes itself, force {by_force}: {result:?}"));
        let promoted = result.is_ok();
        let node = &mut self.nodes[n];
        node.history.checkpoint();
        match result {
            Ok(epoch) => {
                assert!(epoch > before);
                if by_force || node.fenced != Fenced::No {
                    self.ledger.forced_from = self.ledger.forced_from.min(epoch);
                }
                node.fenced = Fenced::No;
                node.durable = node.tip;
                node.second_fenced = true;
                node.promotions += 1;
            }
            Err(e) if e.code() == ErrorCode::StalePrimary => {
                let leads = |node: &Node| node.part == Part::Primary || node.promoting || node.foreign;
                let other = |m: &usize| *m != n && leads(&self.nodes[*m]);
                let fenced = self.nodes[n].fenced != Fenced::No;
                assert!(
                    fenced || (e.to_string().contains(" leads epoch ") && (0..self.nodes.len()).any(|m| other(&m))),
                    "{e:?}"
                );
            }
            Err(e) => {
                let node = &mut self.nodes[n];
                if node.fenced != Fenced::No {
                    self.ledger.forced_from = self.ledger.forced_from.min(before + 1);
                }
                node.fenced = Fenced::Perhaps;
                node.failed("promotion", &e);
            }
        }
        promoted
    }

    /// A replica's file that was opened as a primary takes over from the source that it remembers, or does not lead.
    fn take_over_as_a_primary(&mut self, n: usize) -> bool {
        // What it takes from its source is written by nobody here. Whoever writes nothing that counts ends that first.
        self.nodes[n].open.clear();
        // A read that fails once does not keep it from taking over.
        let told = || self.nodes[n].db().took_over_from().ok().flatten();
        let followed = told().or_else(told);
        let source = followed.and_then(|path| (0..self.nodes.len()).find(|s| path_of(*s) == path));
        source.iter().for_each(|s| self.reach_for(n, *s));
        let before = self.nodes[n].tip;
        let result = self.nodes[n].db().primary_promote_to_next_epoch();
        let shown = self.shown(n);
        self.note(format!("n{n}, opened as a primary, takes over from {source:?}: {result:?}"));
        assert!(self.ledger.holds(shown, before));
        assert!(
            shown == before || source.is_some_and(|s| self.may_hold(s, shown)),
            "pulled what its source does not have"
        );
        if let Some(s) = source {
            let there = &mut self.nodes[s];
            there.fenced = there.fenced.max(Fenced::Perhaps);
            there.on_trial |= there.source().is_some() && (result.is_ok() || there.promoting);
            there.half_fenced |= there.sick;
        }
        self.forget_reach(n);
        let epoch = self.ledger.get(shown).token.map_or(0, |token| token.epoch.0);
        let begun = *result.as_ref().unwrap_or(&(epoch + 1));
        if result.is_ok() || source.is_some() {
            // The source may forget where its epoch ended.
            self.ledger.forced_from = self.ledger.forced_from.min(begun);
        }
        let node = &mut self.nodes[n];
        node.tip = shown;
        node.history.checkpoint();
        match result {
            Ok(_) => {
                (node.fenced, node.durable, node.second_fenced, node.interrupted) = (Fenced::No, shown, true, false);
                node.shaky = node.troubled || node.machine.crashed();
                node.promotions += 1;
                fired(Fault::TookOverAsPrimary);
                true
            }
            Err(e) => {
                node.fenced = Fenced::Perhaps;
                if matches!(e.code(), ErrorCode::SyncFailed | ErrorCode::Poisoned | ErrorCode::OutcomeUnknown) {
                    node.failed("promotion", &e);
                }
                false
            }
        }
    }

    /// Lets a replica take over. Returns whether it did.
    pub fn promote_replica(&mut self, n: usize, force: bool) -> bool {
        let s = self.nodes[n].source().unwrap();
        let before = self.nodes[n].tip;
        if self.nodes[n].foreign {
            let error = self.nodes[n].db().replica_promote(force).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NeedsReseed, "{error:?}");
            return false;
        }
        self.reach_for(n, s);
        // What the source acknowledged and still has, whatever is found of it.
        let there = &self.nodes[s];
        let kept = if there.is_open() || there.ended != End::PowerLost { there.tip } else { there.durable };
        let certain = !there.damaged && there.source().is_none();
        let result = self.nodes[n].db().replica_promote(force);
        let shown = self.shown(n);
        self.note(format!("n{n} takes over from n{s}, force {force}: {result:?}, now {}", self.ledger.name(shown)));
        assert!(self.ledger.holds(shown, before));
        assert!(shown == before || self.may_hold(s, shown), "pulled what n{s} does not have");
        self.nodes[n].tip = shown;
        let promoted = match result {
            Ok(promotion) => {
                let token = self.ledger.get(shown).token;
                assert!(token.is_none_or(|token| token == promotion.last_kept && token.epoch.0 < promotion.epoch));
                let node = &mut self.nodes[n];
                assert!(promotion.epoch > node.met, "{promotion:?}, and its source led epoch {} before", node.met);
                (node.part, node.fenced, node.durable) = (Part::Primary, Fenced::No, shown);
                (node.second_fenced, node.interrupted) = (true, false);
                node.shaky = node.troubled || node.machine.crashed();
                if promotion.source_fenced {
                    if !promotion.fence_synced {
                        // The source may forget where its epoch ended, and then another replica takes over from it, too.
                        self.ledger.forced_from = self.ledger.forced_from.min(promotion.epoch);
                    }
                    let there = &mut self.nodes[s];
                    // Of a replica whose promotion was done, and not told, a primary that was fenced remains.
                    there.on_trial |= there.source().is_some();
                    there.fenced = Fenced::Yes;
                    there.forgetful = !promotion.fence_synced;
                    let whole = !certain || self.ledger.holds(shown, kept);
                    assert!(whole, "the promotion lost {} of n{s}", self.ledger.name(kept));
                } else {
                    assert!(force);
                    let there = &mut self.nodes[s];
                    there.fenced = there.fenced.max(Fenced::Perhaps);
                    // As below: half of the fence may be there, of one whose own promotion was done and not told.
                    there.on_trial |= there.source().is_some() && there.promoting;
                    self.ledger.forced_from = self.ledger.forced_from.min(promotion.epoch);
                }
                true
            }
            Err(e) if is_half_made(&e) => {
                assert_eq!(shown, GENESIS, "a replica that holds something is told that it holds nothing: {e:?}");
                false
            }
            Err(e) => {
                // It may have been fenced, where a promotion of its own was done and not told.
                let untold = self.nodes[s].source().is_some() && self.nodes[s].promoting;
                self.nodes[s].on_trial |= untold;
                let there = &self.nodes[s];
                let healthy = self.nodes[n].is_sound() && there.is_sound() && self.reaches(n, s) && certain;
                // Its log may have failed under somebody who copied from it, as in `failed`.
                let stuck = self.nodes[n].troubled && e.code() == ErrorCode::Poisoned;
                let free = there.fenced == Fenced::No;
                match e.code() {
                    ErrorCode::NeedsReseed => assert!(self.may_need_reseed(n) || self.needs_reseed(n), "{e:?}"),
                    // The source took the lead back, or another one took over, since this replica was interrupted.
                    ErrorCode::StalePrimary if self.nodes[n].interrupted => {}
                    // Beside a source that somebody else leads besides, it leads by force only.
                    ErrorCode::StalePrimary if !force && e.to_string().contains("the source says that it leads") => {
                        let leads = |node: &Node| node.part == Part::Primary || node.promoting || node.foreign;
                        let mut others = (0..self.nodes.len()).filter(|m| *m != n && *m != s);
                        assert!(others.any(|m| leads(&self.nodes[m])), "{e:?}");
                    }
                    _ if force => self.nodes[n].failed("forced promotion", &e),
                    _ => assert!(stuck || !(healthy && free), "{e:?}"),
                }
                if matches!(e.code(), ErrorCode::SyncFailed | ErrorCode::Poisoned | ErrorCode::OutcomeUnknown) {
                    self.nodes[n].failed("promotion", &e);
                }
                let there = &mut self.nodes[s];
                there.fenced = there.fenced.max(Fenced::Perhaps);
                self.nodes[n].promoting = true;
                self.nodes[n].interrupted = e.code() != ErrorCode::StalePrimary;
                if force {
                    let epoch = self.ledger.get(shown).token.map_or(0, |token| token.epoch.0);
                    self.ledger.forced_from = self.ledger.forced_from.min(epoch + 1);
                }
                false
            }
        };
        // What it began to say there may be half of a fence, which holds from the next open on.
        self.nodes[s].half_fenced |= self.nodes[s].sick;
        self.forget_reach(n);
        promoted
    }

    /// Lets a replica take over, and cuts that at some operation, here or at its source.
    fn cut_promotion(&mut self, n: usize) {
        let source = self.nodes[n].source().unwrap();
        let (at, most) = (self.rng.pick(&[n, n, source]), self.rng.pick(&[30, 90]));
        let op = 1 + self.rng.below(most);
        let machine = self.nodes[at].machine.clone();
        machine.crash_at(machine.ops() + op);
        let force = self.rng.one_in(8);
        let promoted = self.promote_replica(n, force);
        let node = &mut self.nodes[n];
        if promoted && node.machine.crashed() {
            // Who asked for it was told nothing: it is opened as the replica that it was.
            (node.part, node.fenced, node.shaky) = (Part::Replica(source), Fenced::No, false);
            (node.promoting, node.interrupted) = (true, true);
            // It may have led, and been fenced since: without a pull nothing says that it is a replica.
            node.remembers = None;
        }
        if machine.crashed() {
            self.note(format!("  n{at} crashed at operation {op} of that"));
            fired(Fault::CutPromotion);
        } else {
            machine.crash_at(0);
        }
    }

    /// Lets a replica take over, and fails one sync of that, here or at its source, at whatever step.
    fn fail_promotion(&mut self, n: usize) {
        let source = self.nodes[n].source().unwrap();
        let at = self.rng.pick(&[n, source]);
        let nth = 1 + self.rng.below(if at == n { 12 } else { 6 });
        let (path, force) = (self.rng.pick(&["", "", "segment", "control"]), self.rng.one_in(8));
        if self.nodes[at].sick {
            // What was ordered for its disk already comes first.
            return;
        }
        let machine = self.nodes[at].machine.clone();
        machine.fail(FaultPlan::new(FaultOn::Sync, nth, ErrorKind::Other).on_path(path));
        let troubled = self.nodes[at].troubled;
        (self.nodes[at].sick, self.nodes[at].troubled) = (true, true);
        self.note(format!("sync {nth} of {path:?} at n{at} will fail for n{n}"));
        self.promote_replica(n, force);
        self.nodes[at].sick = false;
        if machine.awaits_faults() {
            machine.clear_faults();
            self.nodes[at].troubled = troubled;
        } else {
            fired(Fault::PromoterSyncFailed);
        }
    }

    fn needs_reseed(&self, n: usize) -> bool {
        self.nodes[n].db().replica_replication_status().unwrap().is_some_and(|status| status.needs_reseed)
    }

    /// Whether node `n` gets its frames, over however many others, from node `from`.
    pub(super) fn leads_to(&self, n: usize, from: usize) -> bool {
        let mut at = n;
        for _ in 0..self.nodes.len() {
            if at == from {
                return true;
            }
            match self.nodes[at].source() {
                Some(source) => at = source,
                None => return false,
            }
        }
        true
    }

    pub fn repoint(&mut self, n: usize, to: usize) {
        if self.leads_to(to, n) {
            return;
        }
        let sidecar = self.rng.one_in(2).then(|| sidecar_of(to));
        let result = self.nodes[n].db().replica_repoint(path_of(to), sidecar);
        self.note(format!("n{n} follows n{to} from now on: {result:?}"));
        match result {
            Ok(()) => {
                self.nodes[n].part = Part::Replica(to);
            }
            Err(ref e) if is_circle(e) => {}
            Err(_) if !self.reaches(n, to) || self.nodes[to].machine.crashed() => {}
            Err(e) => {
                self.nodes[n].remembers = None;
                self.nodes[n].failed("repoint", &e);
            }
        }
    }

    fn report(&mut self, n: usize, other: usize) {
        // Under the id by which it reports itself, if it is there to be asked.
        let own =
            self.nodes[other].is_open().then(|| self.nodes[other].db().replica_replication_status().ok()).flatten();
        let id = own.flatten().map_or_else(|| path_of(other).display().to_string(), |status| status.replica_id);
        let db = self.nodes[n].db();
        if self.rng.one_in(3) {
            let result = db.primary_remove_replica(&id);
            self.note(format!("n{n} forgets n{other}: {result:?}"));
            match result {
                // A node that was renewed is another replica at the same path.
                Err(e) if e.code() == ErrorCode::InvalidArgument => assert!(e.to_string().contains("replicas: ")),
                Err(e) => self.nodes[n].failed("removal", &e),
                Ok(_) => {}
            }
            return;
        }
        let Some(status) = self.status(n) else { return };
        let epoch = status.epoch + self.rng.below(5) / 4;
        let applied = self.rng.below(status.head_log_index + 2);
        let result = self.nodes[n].db().primary_report_replica_progress(&id, epoch, applied);
        self.note(format!("n{n} is told that n{other} is at {epoch}:{applied}: {result:?}"));
        match result {
            Ok(()) => assert!(epoch == status.epoch && applied <= status.head_log_index),
            Err(e) if e.code() == ErrorCode::StalePrimary => assert!(self.nodes[n].fenced != Fenced::No),
            Err(e) if e.code() == ErrorCode::EpochMismatch => assert!(epoch != status.epoch),
            Err(e) if e.code() == ErrorCode::InvalidArgument => assert!(applied > status.head_log_index),
            Err(e) => self.nodes[n].failed("report", &e),
        }
    }
}
