//! Everything that was ever committed, as a tree: who leads after a forced promotion begins a branch. Each frame
//! knows the graph after it, as the naive model has it.

use crate::support::model::Model;
use kitedb_core::{Digest, Token, View, WriterTag};
use std::{collections::HashMap, rc::Rc};

/// The number of a frame in the [`Ledger`].
pub type Id = usize;
/// Before the first frame.
pub const GENESIS: Id = 0;

#[derive(Debug, Clone)]
pub struct Frame {
    pub index: u64,
    /// What names it; `None` while its commit's outcome is unknown and nobody has shown it.
    pub token: Option<Token>,
    pub parent: Id,
    pub model: Rc<Model>,
}

#[derive(Debug)]
pub struct Ledger {
    frames: Vec<Frame>,
    shown: HashMap<(Token, Option<WriterTag>, Digest), Id>,
    by_token: HashMap<Token, Digest>,
    by_writer: HashMap<(Token, Option<WriterTag>), Digest>,
    /// The first epoch that a promotion without a fence began: from there on two writers can give out one token, which their
    /// tags tell apart.
    pub forced_from: u64,
}

impl Ledger {
    pub fn new() -> Self {
        let genesis = Frame { index: 0, token: None, parent: GENESIS, model: Rc::default() };
        let (shown, by_token, by_writer) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { frames: vec![genesis], shown, by_token, by_writer, forced_from: u64::MAX }
    }

    pub fn get(&self, id: Id) -> &Frame {
        &self.frames[id]
    }

    /// A commit that was tried on top of `parent`.
    pub fn tried(&mut self, parent: Id, model: Model) -> Id {
        let index = self.frames[parent].index + 1;
        self.frames.push(Frame { index, token: None, parent, model: Rc::new(model) });
        self.frames.len() - 1
    }

    /// Whether `id` is `line` or lies before it.
    pub fn holds(&self, line: Id, id: Id) -> bool {
        self.at(line, self.frames[id].index) == Some(id)
    }

    /// The frame with that index on the line that ends with `line`.
    pub fn at(&self, line: Id, index: u64) -> Option<Id> {
        let mut at = line;
        while self.frames[at].index > index {
            at = self.frames[at].parent;
        }
        (self.frames[at].index == index).then_some(at)
    }

    /// Which frame a view shows. One that was never committed, or another graph than the model's, is a failure.
    pub fn find(&mut self, view: &View) -> Id {
        let (token, digest) = (view.token(), view.digest());
        if token.log_index.0 == 0 {
            assert_eq!(digest, Digest::default(), "the empty graph has a digest");
            return GENESIS;
        }
        assert!(token.tag().is_some(), "nobody wrote {token}");
        if let Some(id) = self.shown.get(&(token, token.tag(), digest)) {
            return *id;
        }
        let unseen = |frame: &Frame| {
            frame.token.is_none()
                && frame.index == token.log_index.0
                && frame.model.is_named_by(view)
                && frame.model.digest(view) == digest
        };
        let found = (1..self.frames.len()).rev().find(|id| unseen(&self.frames[*id]));
        let full = token.full();
        let id = found.unwrap_or_else(|| panic!("{full} with digest {digest} was never committed"));
        let same = self.by_writer.insert((token, token.tag()), digest);
        assert_eq!(same, None, "{full}, with digest {digest}, was given out by its writer before");
        let other = self.by_token.insert(token, digest);
        assert!(
            other.is_none() || token.epoch.0 >= self.forced_from,
            "{token} was given out twice: digests {digest} and {other:?}"
        );
        self.frames[id].token = Some(token);
        self.shown.insert((token, token.tag(), digest), id);
        id
    }

    /// The name of a frame, for the trace.
    pub fn name(&self, id: Id) -> String {
        let frame = &self.frames[id];
        frame.token.map_or_else(|| format!("?:{}", frame.index), Token::full)
    }
}
