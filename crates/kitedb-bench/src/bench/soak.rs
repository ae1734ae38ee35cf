//! One primary and five replicas for many rounds: replicas lag, stand still and follow by turns; the log is cut under
//! those that are furthest behind; the primary begins new epochs, and now and then a replica takes its place. Wherever a
//! replica is, it shows the very graph that its primary had there; a single difference ends the run.

use std::path::{Path, PathBuf};
use std::time::Instant;

use kitedb_core::{
    Database, Digest, ErrorCode, FollowerOptions, GraphRead, NodeId, OpenOptions, ReplicationRole, Transaction,
};

use crate::Res;
use crate::engines::Sync;
use crate::engines::ours::{equal, options};
use crate::harness::json::Report;
use crate::harness::rng::Rng;
use crate::harness::table::{Table, number};

const NODES: usize = 6;
/// Rounds between two cuts of the log, two new epochs of the same primary, and two changes of the primary.
const CUT_EVERY: u64 = 3;
const EPOCH_EVERY: u64 = 7;
const SUCCESSION_EVERY: u64 = 12;
/// How long a follower may take for what it should have in milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path, rounds: Option<usize>) -> Res<()> {
    let rounds = rounds.unwrap_or(if report.quick() { 60 } else { 2_000 }) as u64;
    let mut soak = Soak::create(dir)?;
    let start = Instant::now();
    for round in 1..=rounds {
        soak.round(round).map_err(|e| format!("round {round}: {e}"))?;
    }
    soak.settle()?;
    let took = start.elapsed().as_secs_f64();
    let mut table = Table::new(&["soak: one primary, five replicas", ""]);
    let Counts { commits, applied, compared, cuts, reseeds, epochs, successions, most_lag } = soak.counts;
    for (name, value, unit) in [
        ("rounds", rounds as f64, "rounds"),
        ("duration", took, "s"),
        ("commits", commits as f64, "commits"),
        ("frames pulled", applied as f64, "frames"),
        ("states compared", compared as f64, "states"),
        ("divergences", 0.0, "states"),
        ("segments let go", cuts as f64, "segments"),
        ("reseeds", reseeds as f64, "reseeds"),
        ("new epochs of the same primary", epochs as f64, "epochs"),
        ("changes of the primary", successions as f64, "changes"),
        ("most frames behind", most_lag as f64, "frames"),
    ] {
        table.row(vec![format!("{name}, {unit}"), number(value)]);
        report.figure(name, value, unit);
    }
    table.print(&format!("{rounds} rounds in {} s", number(took)));
    // What differs ends the run before it gets here.
    report.target("divergences of five replicas from their primary", 0.0)
}

#[derive(Default)]
struct Counts {
    commits: u64,
    applied: u64,
    compared: u64,
    cuts: u64,
    reseeds: u64,
    epochs: u64,
    successions: u64,
    most_lag: u64,
}

/// How a replica spends its rounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Pulls a few frames each round.
    Trickles,
    /// Pulls all there is each round.
    Drains,
    /// Pulls nothing for so many rounds.
    Stands(u64),
    /// Has a thread that follows.
    Follows,
}

struct Node {
    path: PathBuf,
    db: Database,
    habit: Habit,
}

struct Soak {
    nodes: Vec<Node>,
    leader: usize,
    /// The digest after each commit, from the first one on.
    history: Vec<Digest>,
    /// Nodes that are alive, to be changed.
    alive: Vec<NodeId>,
    rng: Rng,
    counts: Counts,
}

/// Small segments and early checkpoints, so that much happens in little time; a cap that lets go of the slowest.
fn small() -> OpenOptions {
    options(Sync::Normal)
        .checkpoint_log_bytes(256 << 10)
        .replication_segment_max_bytes(32 << 10)
        .replication_retention_min_entries(200)
        .replication_retention_max_bytes(256 << 10)
}

fn replica_of(path: &Path, source: &Path) -> Res<Database> {
    let options = small().replication_role(ReplicationRole::Replica).replication_source_db_path(source);
    Ok(Database::open(path, options)?)
}

impl Soak {
    fn create(dir: &Path) -> Res<Self> {
        let path = |n: usize| dir.join(format!("node-{n}.kitedb"));
        let primary = Database::open(path(0), small().replication_role(ReplicationRole::Primary))?;
        let mut nodes = vec![Node { path: path(0), db: primary, habit: Habit::Drains }];
        for n in 1..NODES {
            let db = replica_of(&path(n), &path(0))?;
            db.replica_bootstrap_from_snapshot()?;
            nodes.push(Node { path: path(n), db, habit: Habit::Drains });
        }
        let counts = Counts::default();
        Ok(Self { nodes, leader: 0, history: Vec::new(), alive: Vec::new(), rng: Rng::new(17), counts })
    }

    fn leader(&self) -> &Database {
        &self.nodes[self.leader].db
    }

    fn replicas(&self) -> impl Iterator<Item = usize> + use<> {
        let leader = self.leader;
        (0..NODES).filter(move |n| *n != leader)
    }

    fn round(&mut self, round: u64) -> Res<()> {
        let commits = 50 + self.rng.below(250);
        for _ in 0..commits {
            self.commit()?;
        }
        for n in self.replicas() {
            self.advance(n)?;
            self.compare(n)?;
        }
        if round.is_multiple_of(CUT_EVERY) {
            self.counts.cuts += self.leader().primary_run_retention()?.pruned_segments;
        }
        if round.is_multiple_of(EPOCH_EVERY) {
            self.leader().primary_promote_to_next_epoch()?;
            self.counts.epochs += 1;
        }
        if round.is_multiple_of(SUCCESSION_EVERY) {
            self.succeed()?;
        }
        Ok(())
    }

    /// One transaction of one to four changes.
    fn commit(&mut self) -> Res<()> {
        let db = self.leader().clone();
        let mut tx = db.begin()?;
        for _ in 0..1 + self.rng.below(4) {
            self.change(&mut tx)?;
        }
        let token = tx.commit()?;
        let now = db.snapshot()?;
        if now.token() != token || token.log_index.0 != self.history.len() as u64 + 1 {
            return Err(
                format!("commit {token} came after {} others and shows {}", self.history.len(), now.token()).into()
            );
        }
        self.history.push(now.digest());
        self.counts.commits += 1;
        Ok(())
    }

    fn change(&mut self, tx: &mut Transaction) -> Res<()> {
        let what = self.rng.below(10);
        if what < 4 || self.alive.len() < 10 {
            let key = format!("node-{:x}", self.rng.next());
            self.alive.push(tx.create_node(Some(&key))?);
            return Ok(());
        }
        let [from, to] = std::array::from_fn(|_| self.rng.below(self.alive.len() as u64) as usize);
        match what {
            4..=6 => {
                let (from, to) = (self.alive[from], self.alive[to]);
                let ty = ["KNOWS", "LIKES", "FOLLOWS"][self.rng.below(3) as usize];
                if tx.edge_exists(from, ty, to)? {
                    tx.delete_edge(from, ty, to)?;
                } else {
                    tx.add_edge(from, ty, to)?;
                }
            }
            7 | 8 => tx.set_node_prop(self.alive[from], "score", self.rng.next() as i64)?,
            _ => tx.delete_node(self.alive.swap_remove(from))?,
        }
        Ok(())
    }

    /// Lets a replica do what it does in a round, and perhaps take up another habit.
    fn advance(&mut self, n: usize) -> Res<()> {
        let behind = self.history.len() as u64 - self.nodes[n].db.snapshot()?.token().log_index.0;
        self.counts.most_lag = self.counts.most_lag.max(behind);
        match self.nodes[n].habit {
            Habit::Trickles => {
                let frames = 1 + self.rng.below(200) as usize;
                self.pull(n, frames)?;
            }
            Habit::Drains => while self.pull(n, 256)? > 0 {},
            Habit::Stands(rounds) => self.nodes[n].habit = Habit::Stands(rounds.saturating_sub(1)),
            Habit::Follows => self.reseed_if_asked(n)?,
        }
        let still = matches!(self.nodes[n].habit, Habit::Stands(rounds) if rounds > 0);
        if !still && self.rng.below(4) == 0 {
            self.stop(n)?;
            let habit = match self.rng.below(4) {
                0 => Habit::Trickles,
                1 => Habit::Drains,
                2 => Habit::Stands(1 + self.rng.below(20)),
                _ => Habit::Follows,
            };
            if habit == Habit::Follows {
                self.nodes[n].db.start_follower(FollowerOptions::default())?;
            }
            self.nodes[n].habit = habit;
        }
        Ok(())
    }

    /// Ends a replica's follower, if it has one.
    fn stop(&mut self, n: usize) -> Res<()> {
        if self.nodes[n].habit == Habit::Follows {
            self.nodes[n].db.stop_follower()?;
            self.nodes[n].habit = Habit::Drains;
        }
        Ok(())
    }

    /// Pulls once. A replica whose next frame was let go is reseeded. Returns how many frames were applied.
    fn pull(&mut self, n: usize, frames: usize) -> Res<usize> {
        match self.nodes[n].db.replica_catch_up_once(frames) {
            Ok(applied) => {
                self.counts.applied += applied as u64;
                Ok(applied)
            }
            Err(e) if e.code() == ErrorCode::NeedsReseed => {
                self.reseed(n)?;
                Ok(0)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn reseed_if_asked(&mut self, n: usize) -> Res<()> {
        let status = self.nodes[n].db.replica_replication_status()?.ok_or("a replica has no status")?;
        if status.needs_reseed { self.reseed(n) } else { Ok(()) }
    }

    fn reseed(&mut self, n: usize) -> Res<()> {
        self.nodes[n].db.replica_reseed_from_snapshot()?;
        self.counts.reseeds += 1;
        Ok(())
    }

    /// Holds a replica's graph against the primary's at the same commit, wherever it is by now.
    fn compare(&mut self, n: usize) -> Res<()> {
        let view = self.nodes[n].db.snapshot()?;
        let index = view.token().log_index.0;
        let expected = match index.checked_sub(1) {
            None => Digest::default(),
            Some(at) => *self.history.get(at as usize).ok_or_else(|| format!("node {n} is ahead, at {index}"))?,
        };
        if view.digest() != expected {
            let digest = view.digest();
            return Err(
                format!("node {n} diverged: at {} it has {digest}, the primary had {expected}", view.token()).into()
            );
        }
        self.counts.compared += 1;
        Ok(())
    }

    /// A replica takes the primary's place; the old primary and the other replicas follow it.
    fn succeed(&mut self) -> Res<()> {
        let old = self.leader;
        let heirs: Vec<usize> = self.replicas().collect();
        let heir = heirs[self.rng.below(heirs.len() as u64) as usize];
        self.stop(heir)?;
        // One that needs a reseed cannot take over.
        while self.pull(heir, 256)? > 0 {}
        // Perhaps it lags again: what it misses it takes from the primary that it fences.
        for _ in 0..self.rng.below(100) {
            self.commit()?;
        }
        let promotion = self.nodes[heir].db.replica_promote(false)?;
        if !promotion.source_fenced || promotion.last_kept.log_index.0 != self.history.len() as u64 {
            return Err(format!("a promotion kept {} of {} commits", promotion.last_kept, self.history.len()).into());
        }
        self.leader = heir;
        self.compare(heir)?;
        let refused = self.nodes[old].db.transaction(|tx| tx.create_node(None));
        match refused {
            Err(e) if e.code() == ErrorCode::StalePrimary => {}
            Err(e) => return Err(format!("the old primary refused with {e}").into()),
            Ok(_) => return Err("the old primary took a write".into()),
        }
        let source = self.nodes[heir].path.clone();
        let path = self.nodes[old].path.clone();
        self.nodes[old].db.clone().close()?;
        let again = replica_of(&path, &source)?;
        self.nodes[old] = Node { path, db: again, habit: Habit::Drains };
        for n in heirs.into_iter().filter(|n| *n != heir) {
            self.nodes[n].db.replica_repoint(&source, None)?;
        }
        self.counts.successions += 1;
        Ok(())
    }

    /// Lets every replica catch up, compares them all and checks every file.
    fn settle(&mut self) -> Res<()> {
        let last = self.leader().last_commit_token();
        for n in self.replicas() {
            if self.nodes[n].habit == Habit::Follows
                && let Some(last) = last
                && !self.nodes[n].db.wait_for_token(last, PATIENCE_MS)?
            {
                self.reseed_if_asked(n)?;
            }
            self.stop(n)?;
            while self.pull(n, 4_096)? > 0 {}
            self.compare(n)?;
            equal(self.leader(), &self.nodes[n].db)?;
        }
        for node in &self.nodes {
            let report = node.db.check()?;
            if !report.is_clean() {
                return Err(format!("{} is damaged: {report:?}", node.path.display()).into());
            }
        }
        Ok(())
    }
}
