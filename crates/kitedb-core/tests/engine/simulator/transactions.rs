//! Transactions: those that are begun and committed within a step, and slow ones that stay open while others commit, while
//! their node is checkpointed, fenced, promoted, closed or killed. Operations of both fail and are taken back.

use super::{
    fired::{Fault, fired},
    ledger::Id,
    world::{Fenced, World},
};
use crate::support::{
    compare::{Cursors, compare},
    model::{Committed, Conflict, Draft, Node as ModelNode, Since},
    ops,
};
use kitedb_core::{ErrorCode, GraphRead, NewNode, NodeId, Pending, Transaction, Value};
use std::rc::Rc;

/// The nodes that commits mark as their own: those of the first one are committed at once. Two that are open together and
/// mark the same one conflict.
const MARKED: [u64; 4] = [4242, 4243, 4244, 4245];

/// How many of a node stay open at most.
const MOST: usize = 4;

/// A name that only operations that fail ever use.
const NEVER: &str = "never";

/// A transaction, with the model as it sees it.
#[derive(Debug)]
pub struct Open {
    tx: Transaction,
    draft: Draft,
    /// Where in its node's history it began.
    since: Since,
    /// What its node showed then.
    began_at: Id,
    /// How often its node had been promoted in place then.
    promotions: u64,
    /// The node that it marks.
    marked: u64,
    /// Its second handle began it.
    pub second: bool,
    /// That handle was closed.
    pub closed: bool,
    /// It stayed open for longer than a step.
    slow: bool,
    /// How many operations of it failed.
    refused: u64,
}

impl World {
    pub(super) fn some_commits(&mut self, n: usize) {
        for _ in 0..1 + self.rng.below(4) {
            let ops = if self.rng.one_in(10) { 30 } else { 1 + self.rng.below(5) };
            self.commit(n, ops);
        }
    }

    /// A transaction of so many random operations, from beginning to end.
    pub fn commit(&mut self, n: usize, count: u64) {
        if let Some(open) = self.begin(n, count, MARKED[0]) {
            self.finish(n, open);
        }
    }

    /// Begins a transaction that stays open for some steps.
    pub(super) fn hold(&mut self, n: usize) {
        if self.nodes[n].open.len() >= MOST {
            return;
        }
        // A few operations: with many, most would conflict.
        let (count, marked) = (1 + self.rng.below(3), self.rng.pick(&MARKED));
        if let Some(open) = self.begin(n, count, marked) {
            self.note(format!("n{n} begins a transaction that marks {marked} and is slow"));
            self.nodes[n].open.push(Open { slow: true, ..open });
        }
    }

    /// Goes on in a transaction that is open.
    pub(super) fn go_on(&mut self, n: usize) {
        let at = self.rng.below(self.nodes[n].open.len() as u64) as usize;
        let mut open = self.nodes[n].open.swap_remove(at);
        if open.closed {
            return self.finish(n, open);
        }
        self.note(format!("n{n} goes on in the transaction that marks {}", open.marked));
        let count = 1 + self.rng.below(2);
        self.operate(&mut open, count);
        if self.rng.one_in(3) {
            compare(&open.tx, &open.draft.now, &Cursors::default());
        }
        self.nodes[n].open.push(open);
    }

    /// Commits a transaction that is open, or gives it up.
    pub(super) fn end_one(&mut self, n: usize) {
        let at = self.rng.below(self.nodes[n].open.len() as u64) as usize;
        let open = self.nodes[n].open.swap_remove(at);
        match self.rng.below(10) {
            0 => open.tx.rollback(),
            1 => drop(open),
            _ => return self.finish(n, open),
        }
        fired(Fault::GivenUp);
        self.note(format!("n{n} gives a transaction up"));
    }

    /// Commits all that are open.
    pub(super) fn end_all(&mut self, n: usize) {
        while let Some(open) = self.nodes[n].open.pop() {
            self.finish(n, open);
        }
    }

    fn begin(&mut self, n: usize, count: u64, marked: u64) -> Option<Open> {
        let second = self.nodes[n].second.is_some() && self.rng.one_in(3);
        let node = &self.nodes[n];
        let db = if second { node.second.as_ref().unwrap() } else { node.db() };
        let tx = match db.begin() {
            Ok(tx) => tx,
            Err(e) => {
                self.note(format!("n{n} begins nothing: {e:?}"));
                self.nodes[n].failed("a transaction", &e);
                return None;
            }
        };
        let mut open = Open {
            tx,
            draft: Draft::new(&self.ledger.get(node.tip).model),
            since: node.history.now(),
            began_at: node.tip,
            promotions: node.promotions,
            marked,
            second,
            closed: false,
            slow: false,
            refused: 0,
        };
        self.operate(&mut open, count);
        Some(open)
    }

    /// Some random operations, of which some fail, and a mark that makes the commit unlike every other.
    fn operate(&mut self, open: &mut Open, count: u64) {
        let Open { tx, draft, marked, .. } = open;
        let before = ops::refused();
        for _ in 0..count {
            ops::apply(self.rng.op(), tx, draft);
        }
        open.refused += ops::refused() - before;
        if self.rng.one_in(8) {
            self.fail_under_a_name(tx);
            open.refused += 1;
        }
        self.marks += 1;
        if draft.may_create(Some(*marked), None).is_ok() {
            tx.create_node_with(NewNode::new().id(NodeId(*marked))).unwrap();
            draft.create(*marked, ModelNode::default());
        }
        let mark = Value::I64(self.marks);
        tx.set_node_prop(NodeId(*marked), "age", mark.clone()).unwrap();
        draft.change_prop(*marked, 1, Some(ops::encoded(&mark))).unwrap();
    }

    /// An operation that fails, and of whose name nothing may be left.
    fn fail_under_a_name(&mut self, tx: &mut Transaction) {
        let nobody = NodeId(999_999);
        let failed = match self.rng.below(4) {
            0 => tx.set_node_prop(nobody, NEVER, 1),
            1 => tx.add_node_label(nobody, NEVER).map(drop),
            2 => tx.add_edge(nobody, NEVER, nobody),
            _ => tx.set_node_vector(nobody, NEVER, &[1.0]),
        };
        assert_eq!(failed.unwrap_err().code(), ErrorCode::NodeNotFound);
    }

    /// Transactions that are submitted before the ones before them have ended, and see them.
    pub(super) fn submit_together(&mut self, n: usize) {
        let (mut line, mut refused) = (self.nodes[n].tip, None);
        let mut submitted: Vec<(Pending, Id, Committed)> = Vec::new();
        for _ in 0..2 + self.rng.below(3) {
            let node = &self.nodes[n];
            let db = node.db();
            let tx = match submitted.last() {
                Some((before, ..)) => db.begin_after(before),
                None => db.begin(),
            };
            let tx = match tx {
                Ok(tx) => tx,
                Err(e) => {
                    refused = Some(e);
                    break;
                }
            };
            let model = Rc::clone(&self.ledger.get(line).model);
            let (since, promotions) = (node.history.now(), node.promotions);
            let mut open = Open {
                tx,
                draft: Draft::new(&model),
                since,
                began_at: line,
                promotions,
                marked: MARKED[0],
                second: false,
                closed: false,
                slow: false,
                refused: 0,
            };
            let count = 1 + self.rng.below(3);
            self.operate(&mut open, count);
            let mut model = (*model).clone();
            let committed = open.draft.commit_to(&mut model);
            match open.tx.submit() {
                Ok(pending) => {
                    line = self.ledger.tried(line, model);
                    self.note(format!("n{n} submits {}", pending.token()));
                    submitted.push((pending, line, committed));
                }
                Err(e) => {
                    if e.code() == ErrorCode::OutcomeUnknown || self.nodes[n].machine.crashed() {
                        line = self.ledger.tried(line, model);
                    }
                    refused = Some(e);
                    break;
                }
            }
        }
        match (self.rng.below(3), submitted.last()) {
            (0, Some((last, ..))) => drop(last.wait()),
            (1, _) => drop(self.nodes[n].db().sync()),
            _ => {}
        }
        let mut failed = false;
        for (pending, id, committed) in submitted {
            match pending.wait() {
                Ok(token) => {
                    assert_eq!(token, pending.token());
                    assert!(!failed, "{token} counts, and one before it does not");
                    let node = &mut self.nodes[n];
                    assert!(node.fenced != Fenced::Yes, "a fenced primary acknowledged {token}");
                    assert!(
                        node.pending.is_none(),
                        "acknowledged {token} after a failure that leaves the log unusable"
                    );
                    assert_eq!(token.log_index.0, self.ledger.get(id).index, "a commit is one frame");
                    (node.tip, node.fenced) = (id, Fenced::No);
                    node.history.commits.push(committed);
                }
                Err(e) => {
                    self.note(format!("n{n}: {} does not end well: {e:?}", pending.token()));
                    if !failed {
                        // It came before what was refused after it, and may be in the log.
                        refused = Some(e);
                    }
                    failed = true;
                }
            }
        }
        match refused {
            None => {
                let tip = self.nodes[n].tip;
                assert_eq!(self.shown(n), tip, "what was acknowledged is shown");
                fired(Fault::SubmittedTogether);
            }
            Some(e) if e.code() == ErrorCode::StalePrimary => assert!(self.nodes[n].fenced != Fenced::No, "{e:?}"),
            Some(e) => {
                self.note(format!("n{n} submits no more: {e:?}"));
                let node = &mut self.nodes[n];
                let known = node.poisoned;
                node.failed("commit", &e);
                // How many of them are in the log will be seen.
                if !known && (node.poisoned || node.machine.crashed()) {
                    node.pending = Some(line);
                }
            }
        }
    }

    fn finish(&mut self, n: usize, open: Open) {
        let Open { tx, draft, since, began_at, promotions, marked, second, closed, slow, refused } = open;
        let node = &self.nodes[n];
        let parent = node.tip;
        let current = Rc::clone(&self.ledger.get(parent).model);
        let stale = second && node.second_fenced;
        let conflict = match closed {
            // It began in another history.
            true => Conflict { may: false, must: false },
            false => draft.conflicts(&node.history, since, &current),
        };
        let mut model = (*current).clone();
        let committed = draft.commit_to(&mut model);
        let before = self.ledger.get(parent).token;
        // In one way or another: it is the same commit.
        let result = match self.marks % 4 {
            0 => tx.submit().and_then(|pending| pending.wait()),
            1 => match tx.try_submit() {
                Ok(pending) => pending.wait(),
                Err(refused) => {
                    refused.into_transaction().and_then(Transaction::submit).and_then(|pending| pending.wait())
                }
            },
            _ => tx.commit(),
        };
        let what = if slow { format!("n{n}, slow, marking {marked},") } else { format!("n{n}") };
        let token = match result {
            Ok(token) => token,
            Err(e) => {
                self.note(format!("{what} does not commit: {e:?}"));
                let node = &mut self.nodes[n];
                let sure = node.fenced != Fenced::Yes && !stale && !closed && node.pending.is_none();
                match e.code() {
                    ErrorCode::Closed => {
                        assert!(closed, "{e:?}");
                        fired(Fault::ClosedHandle);
                    }
                    _ if closed => panic!("a transaction of a closed handle is told {e:?}"),
                    ErrorCode::Conflict => {
                        assert!(conflict.may, "a conflict with nobody: {e:?}, {:?}", draft.writes);
                        // Told so, its caller tries again what can never be, or what may have been done.
                        assert!(sure, "a conflict where nothing is committed: {e:?}");
                        fired(Fault::Conflicted);
                    }
                    ErrorCode::StalePrimary => {
                        assert!(node.fenced != Fenced::No || stale, "{e:?}");
                        if slow {
                            fired(Fault::FencedMeanwhile);
                        }
                    }
                    _ => {
                        let known = node.poisoned;
                        node.failed("commit", &e);
                        // Whether it is in the log will be seen.
                        if !known && (node.poisoned || node.machine.crashed()) {
                            node.pending = Some(self.ledger.tried(parent, model));
                        }
                    }
                }
                return;
            }
        };
        let id = self.ledger.tried(parent, model);
        self.note(format!("{what} commits {token}"));
        let node = &self.nodes[n];
        assert!(!closed, "a transaction of a closed handle committed {token}");
        assert!(!conflict.must, "committed although another was first: {:?}", draft.writes);
        assert!(node.fenced != Fenced::Yes && !stale, "a fenced primary acknowledged {token}");
        assert!(node.pending.is_none(), "acknowledged {token} after a failure that leaves the log unusable");
        assert_eq!(token.log_index.0, self.ledger.get(id).index, "a commit is one frame");
        assert!(before.is_none_or(|before| before < token), "{token} after {before:?}");
        let moved = began_at != parent;
        let came = [
            (moved, Fault::CommittedBeside),
            (moved && node.history.checkpointed(since), Fault::CommittedAcrossCheckpoint),
            (promotions != node.promotions, Fault::CommittedAcrossPromotion),
            (refused > 0, Fault::OperationFailed),
            (draft.took_back(), Fault::OperationTakenBack),
        ];
        came.into_iter().filter(|(came, _)| *came).for_each(|(_, fault)| fired(fault));
        let node = &mut self.nodes[n];
        (node.tip, node.fenced) = (id, Fenced::No);
        node.history.commits.push(committed);
        assert_eq!(self.shown(n), id, "what was acknowledged is shown");
        if refused > 0 {
            let view = self.nodes[n].db().snapshot().unwrap();
            let left = (view.label_id(NEVER), view.etype_id(NEVER), view.propkey_id(NEVER));
            assert_eq!(left, (None, None, None), "an operation that failed left a name");
        }
    }
}
