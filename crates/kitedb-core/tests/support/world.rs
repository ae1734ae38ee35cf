//! A database on a simulated disk with the model beside it, driven step by step.

use super::{
    Rng,
    compare::{Cursors, compare, compare_view},
    model::{Committed, Draft, History, LABELS, Model, PROPS, Since, TYPES},
    ops::{self, Op},
};
use kitedb_core::{
    Database, ErrorCode, GraphRead, OpenOptions, Pending, SyncMode, Transaction, View,
    io::{
        Env,
        sim::{SimDisk, SimHost},
    },
};
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// One step, as numbers: see [`World::step`].
#[derive(Debug, Clone)]
pub struct Step {
    pub kind: u8,
    pub slot: u8,
    pub ops: Vec<Op>,
}

impl Rng {
    pub fn step(&mut self, longest: u64) -> Step {
        let ops = if self.one_in(8) { longest } else { longest.min(6) };
        let count = 1 + self.below(ops);
        Step { kind: self.byte(), slot: self.byte(), ops: (0..count).map(|_| self.op()).collect() }
    }
}

/// A transaction that is open, with the model as it sees it.
#[derive(Debug)]
struct Open {
    tx: Transaction,
    draft: Draft,
    /// When it began.
    since: Since,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct World {
    pub env: Env,
    /// Absent on a real disk.
    pub disk: Option<SimDisk>,
    pub path: PathBuf,
    pub options: OpenOptions,
    pub db: Option<Database>,
    pub model: Model,
    pub history: History,
    pub last_index: u64,
    views: Vec<(View, Model)>,
    open: [Option<Open>; 2],
    cursors: Cursors,
    pub conflicts: u64,
}

/// Options under which nothing happens by itself.
pub fn stepped(mode: SyncMode) -> OpenOptions {
    OpenOptions::new()
        .sync_mode(mode)
        .background(false)
        .auto_checkpoint(false)
        .auto_compaction(false)
        .segment_max_bytes(8192)
        .fence_wait_ms(1)
}

impl World {
    pub fn simulated(seed: u64, options: OpenOptions) -> Self {
        let disk = SimDisk::new(seed);
        let env = disk.env(&SimHost::new(seed));
        Self { disk: Some(disk), ..Self::new(env, Path::new("/graph.kitedb"), options) }
    }

    pub fn new(env: Env, path: &Path, options: OpenOptions) -> Self {
        let mut world = Self {
            env,
            disk: None,
            path: path.to_owned(),
            options,
            db: None,
            model: Model::default(),
            history: History::default(),
            last_index: 0,
            views: Vec::new(),
            open: [None, None],
            cursors: Cursors::default(),
            conflicts: 0,
        };
        world.reopen();
        world
    }

    pub fn db(&self) -> &Database {
        self.db.as_ref().unwrap()
    }

    /// Commits every name, so that their ids do not depend on what comes first.
    pub fn define_names(&mut self) {
        let mut tx = self.db().begin().unwrap();
        LABELS.iter().for_each(|name| assert!(tx.label_id_or_create(name).unwrap().0 > 0));
        TYPES.iter().for_each(|name| assert!(tx.etype_id_or_create(name).unwrap().0 > 0));
        PROPS.iter().for_each(|name| assert!(tx.propkey_id_or_create(name).unwrap().0 > 0));
        self.last_index = tx.commit().unwrap().log_index.0;
        self.history.commits.push(Committed::default());
    }

    /// Opens the database again: the old handle, if there is one, must be closed or given up.
    pub fn reopen(&mut self) {
        self.db = Some(Database::open_in(self.env.clone(), &self.path, self.options.clone()).unwrap());
    }

    pub fn close(&mut self) {
        self.open = [None, None];
        self.db.take().unwrap().close().unwrap();
    }

    /// Ends what is open, without a word.
    pub fn forget_open(&mut self) {
        self.open = [None, None];
    }

    /// Does one step.
    pub fn step(&mut self, step: &Step) {
        match step.kind % 24 {
            0..=7 => self.transact(step),
            8 | 9 => self.submitted(step),
            10..=14 => self.interleaved(step),
            15 | 16 => {
                self.db().checkpoint().unwrap();
                self.history.checkpoint();
            }
            17 => drop(self.db().compact_step().unwrap()),
            18 if step.slot.is_multiple_of(2) => self.db().compact().unwrap(),
            18 => self.db().sync().unwrap(),
            19 | 20 => self.hold_view(step),
            21 => {
                self.close();
                self.reopen();
            }
            22 => self.check_views(),
            _ => self.compare(),
        }
    }

    /// A transaction from beginning to end. One in eight is rolled back.
    fn transact(&mut self, step: &Step) {
        let (mut tx, mut draft) = (self.db().begin().unwrap(), Draft::new(&self.model));
        for op in &step.ops {
            ops::apply(*op, &mut tx, &mut draft);
        }
        if step.slot % 4 == 1 {
            compare(&tx, &draft.now, &self.cursors);
        }
        match step.slot % 16 {
            0 | 1 => tx.rollback(),
            2 => drop(tx),
            _ => {
                let since = self.history.now();
                self.commit(Open { tx, draft, since });
            }
        }
    }

    /// Begins, goes on in, or ends one of two transactions that are open together.
    fn interleaved(&mut self, step: &Step) {
        let slot = usize::from(step.slot) % 2;
        let mut open = match self.open[slot].take() {
            Some(open) => open,
            None => Open { tx: self.db().begin().unwrap(), draft: Draft::new(&self.model), since: self.history.now() },
        };
        for op in step.ops.iter().take(4) {
            ops::apply(*op, &mut open.tx, &mut open.draft);
        }
        if step.slot % 16 > 10 {
            compare(&open.tx, &open.draft.now, &self.cursors);
        }
        if step.slot % 16 < 6 {
            self.commit(open);
        } else {
            self.open[slot] = Some(open);
        }
    }

    fn commit(&mut self, open: Open) {
        let Open { tx, draft, since } = open;
        let conflict = draft.conflicts(&self.history, since, &self.model);
        match tx.commit() {
            Ok(token) => {
                assert!(!conflict.must, "committed although another transaction was first: {:?}", draft.writes);
                if draft.wrote() || token.log_index.0 > self.last_index {
                    assert_eq!(token.log_index.0, self.last_index + 1, "a commit is one frame");
                    self.last_index += 1;
                }
                let committed = draft.commit_to(&mut self.model);
                self.history.commits.push(committed);
                assert_eq!(self.db().snapshot().unwrap().token().log_index.0, self.last_index);
            }
            Err(e) => {
                assert_eq!(e.code(), ErrorCode::Conflict, "{e:?}");
                assert!(conflict.may, "a conflict with nobody ({e}): {:?}", draft.writes);
                self.conflicts += 1;
            }
        }
    }

    /// Transactions that are submitted one after the other, each of which sees the ones before it, and how they end.
    fn submitted(&mut self, step: &Step) {
        let published = self.last_index;
        let mut submitted: Vec<Pending> = Vec::new();
        for ops in step.ops.chunks(3) {
            let begun = match submitted.last() {
                Some(before) => self.db().begin_after(before),
                None => self.db().begin(),
            };
            let (mut tx, mut draft) = (begun.unwrap(), Draft::new(&self.model));
            if step.slot % 8 == 1 {
                compare(&tx, &draft.now, &self.cursors);
            }
            for op in ops {
                ops::apply(*op, &mut tx, &mut draft);
            }
            let pending = tx.try_submit().or_else(|refused| {
                assert_eq!(refused.code(), ErrorCode::WouldBlock, "{refused:?}");
                // It comes back as it was, and goes on.
                let mut tx = refused.into_transaction().unwrap();
                compare(&tx, &draft.now, &self.cursors);
                for op in ops {
                    ops::apply(*op, &mut tx, &mut draft);
                }
                tx.submit()
            });
            let pending = pending.unwrap();
            let index = pending.token().log_index.0;
            if draft.wrote() || index > self.last_index {
                assert_eq!(index, self.last_index + 1, "a commit is one frame");
                self.last_index += 1;
            }
            let committed = draft.commit_to(&mut self.model);
            self.history.commits.push(committed);
            submitted.push(pending);
        }
        let ended = self.db().sync_mode() != SyncMode::Full;
        // Where threads work, some may have ended already.
        let least = if ended { self.last_index } else { published };
        let shown = self.db().snapshot().unwrap().token().log_index.0;
        assert!((least..=self.last_index).contains(&shown), "{shown} of {least} to {} is shown", self.last_index);
        let (first, last) = (submitted[0].clone(), submitted[submitted.len() - 1].clone());
        match step.slot / 8 % 6 {
            0 => drop(last.wait().unwrap()),
            1 => submitted.iter().for_each(|pending| assert_eq!(pending.wait().unwrap(), pending.token())),
            2 => self.db().sync().unwrap(),
            3 => {
                self.db().checkpoint().unwrap();
                self.history.checkpoint();
            }
            // Nobody waits for it.
            4 => {
                submitted.clear();
                drop((first.clone(), last.clone()));
                self.close();
                self.reopen();
            }
            _ => {
                let mut first = first.clone();
                let polled = Pin::new(&mut first).poll(&mut Context::from_waker(Waker::noop()));
                // Where no thread ends it, who asks does.
                if let Poll::Ready(result) = polled {
                    result.unwrap();
                }
                last.wait().unwrap();
            }
        }
        assert_eq!(self.db().snapshot().unwrap().token().log_index.0, self.last_index);
        for pending in submitted.iter().chain([&first, &last]) {
            assert_eq!(pending.result().unwrap().unwrap(), pending.token());
        }
    }

    /// Holds the current view, to be compared again later, and remembers where some of its pages end.
    fn hold_view(&mut self, step: &Step) {
        let view = self.db().snapshot().unwrap();
        if step.slot.is_multiple_of(2) {
            self.cursors.nodes.extend(view.nodes_page(None, 1 + usize::from(step.slot) % 5).unwrap().next);
            self.cursors.edges.extend(view.edges_page(None, 1 + usize::from(step.slot) % 9).unwrap().next);
            let few = self.cursors.nodes.len().saturating_sub(4);
            self.cursors.nodes.drain(..few);
            let few = self.cursors.edges.len().saturating_sub(4);
            self.cursors.edges.drain(..few);
        }
        if self.views.len() > 5 {
            let (view, model) = self.views.remove(usize::from(step.slot) % 6);
            compare_view(&view, &model, &self.cursors);
        }
        self.views.push((view, self.model.clone()));
    }

    /// Every view that is held still shows what it showed at first.
    pub fn check_views(&self) {
        for (view, model) in &self.views {
            compare_view(view, model, &self.cursors);
        }
    }

    pub fn drop_views(&mut self) {
        self.views.clear();
    }

    /// The current state is that of the model.
    pub fn compare(&self) {
        let view = self.db().snapshot().unwrap();
        assert_eq!(view.token().log_index.0, self.last_index, "log index");
        compare_view(&view, &self.model, &self.cursors);
    }

    pub fn check(&self) {
        let report = self.db().check().unwrap();
        assert!(report.is_clean(), "{report:#?}");
        assert_eq!(report.nodes, self.model.nodes.len() as u64);
        assert_eq!(report.edges, self.model.edges.len() as u64);
        assert_eq!(report.digest, self.db().snapshot().unwrap().digest());
    }

    pub fn expect_no_violations(&self) {
        if let Some(disk) = &self.disk {
            assert_eq!(disk.violations(), Vec::<String>::new());
        }
    }

    /// The end of a test: everything once more, before and after closing.
    pub fn finish(&mut self) {
        self.check_views();
        self.compare();
        self.check();
        self.close();
        self.check_views();
        self.reopen();
        self.check_views();
        self.compare();
        self.check();
        self.drop_views();
        self.db().compact().unwrap();
        self.compare();
        self.check();
        self.close();
        self.expect_no_violations();
    }
}
