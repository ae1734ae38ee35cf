//! What the nodes have said, and what must be true of each of them therefore.

use super::support_process::tell;
use kitedb_core::{AllTypes, Database, GraphRead, LogIndex, Result, Token, TokenWait, Value};
use std::collections::BTreeMap;

/// A writer deletes its oldest item once it has so many: the data stay constant while the log grows.
const KEPT: i64 = 20;

/// Writers there are at most.
pub const WRITERS: usize = 4;

/// The `n`th transaction of a writer: an item with all that a node can have, tied to the writer's counter.
pub fn commit_item(db: &Database, writer: usize, n: i64) -> Result<Token> {
    loop {
        let mut tx = db.begin()?;
        let (counter, _) = tx.upsert_node(&format!("counter {writer}"), &[])?;
        tx.set_node_prop(counter, "n", n)?;
        let item = tx.create_node(Some(&item_key(writer, n)))?;
        tx.add_node_label(item, "Item")?;
        // New names come with frames, too.
        tx.add_node_label(item, &format!("Batch {writer} {}", n / 50 % 20))?;
        tx.set_node_prop(item, "n", n)?;
        tx.set_node_prop(item, "payload", vec![n as u8; 50 + (n as usize * 37) % 900])?;
        tx.add_edge(counter, "HAS", item)?;
        tx.set_edge_prop(counter, "HAS", item, "n", n)?;
        tx.set_node_vector(item, "place", &[n as f32, 1.0])?;
        if let Some(old) = tx.node_by_key(&item_key(writer, n - KEPT))? {
            tx.delete_node(old)?;
        }
        match tx.commit() {
            Err(e) if e.is_conflict() => {}
            done => return done,
        }
    }
}

fn item_key(writer: usize, n: i64) -> String {
    format!("item {writer} {n}")
}

/// The number of a writer's last item.
pub fn counter(db: &Database, writer: usize) -> i64 {
    let view = db.snapshot().unwrap();
    let Some(counter) = view.node_by_key(&format!("counter {writer}")).unwrap() else { return 0 };
    match view.node_prop(counter, "n").unwrap() {
        Some(Value::I64(n)) => n,
        other => panic!("counter {writer} shows {other:?}"),
    }
}

/// Says which state `db` shows.
pub fn tell_state(db: &Database) {
    let view = db.snapshot().unwrap();
    tell(format_args!("at {} {}", view.token(), view.digest()));
}

/// See the [module documentation](self).
#[derive(Default)]
pub struct Ledger {
    /// The last item of each writer that was acknowledged.
    items: BTreeMap<usize, i64>,
    /// Every acknowledged commit.
    tokens: Vec<Token>,
    /// Every state that any node has shown: epoch and digest at a log index, and who was the first to show it.
    states: BTreeMap<LogIndex, (Token, String, String)>,
    /// Who is speaking: told where two contradict each other.
    pub scene: String,
    /// How many processes have written since everything was last accounted for: each of them may have died between a
    /// commit and its acknowledgement.
    pub lives: i64,
    /// Since a node was fenced, and until another one has led: no acknowledgement may be beyond.
    pub limit: Option<LogIndex>,
}

impl Ledger {
    /// Takes in an acknowledgement, or a state that was shown, which is returned. What else was said: `Err`.
    pub fn note(&mut self, line: &str) -> Result<Option<Token>, String> {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["ack", writer, n, token] => {
                let (writer, n, token): (usize, i64, Token) =
                    (writer.parse().unwrap(), n.parse().unwrap(), token.parse().unwrap());
                let before = self.items.insert(writer, n);
                assert!(
                    before.is_none_or(|before| before < n),
                    "writer {writer}: {n} was acknowledged after {before:?}"
                );
                self.expect_within_limit(token, "was acknowledged");
                self.tokens.push(token);
                Ok(None)
            }
            ["at", token, digest] => {
                let token = token.parse().unwrap();
                self.note_state(token, digest);
                Ok(Some(token))
            }
            _ => Err(line.to_owned()),
        }
    }

    /// As [`Ledger::note`], for what is nothing but acknowledgements and states. Returns the last of these.
    pub fn note_all(&mut self, lines: Vec<String>) -> Option<Token> {
        lines.iter().filter_map(|line| self.note(line).unwrap_or_default()).last()
    }

    fn expect_within_limit(&self, token: Token, what: &str) {
        assert!(
            self.limit.is_none_or(|limit| token.log_index <= limit),
            "{token} {what} by a node that was fenced at {:?}",
            self.limit
        );
    }

    fn note_state(&mut self, token: Token, digest: &str) {
        self.expect_within_limit(token, "was shown");
        let (known, shown, who) =
            self.states.entry(token.log_index).or_insert_with(|| (token, digest.to_owned(), self.scene.clone()));
        let first = (*known, shown.as_str());
        assert_eq!(first, (token, digest), "two states at one log index, of {who} and of {}", self.scene);
    }

    /// How many commits were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.tokens.len()
    }

    /// The last commit that was acknowledged.
    pub fn last(&self) -> Option<Token> {
        self.tokens.iter().max().copied()
    }

    /// `db` shows everything that was acknowledged, and each writer's items are those of one moment. What it shows
    /// beyond that is acknowledged herewith: nobody lived to do so.
    #[track_caller]
    pub fn expect_all(&mut self, db: &Database) {
        for writer in 0..WRITERS {
            let (last, known) = (counter(db, writer), self.items.get(&writer).copied().unwrap_or(0));
            assert!(last >= known, "writer {writer}: item {known} was acknowledged, {last} is the last one there");
            assert!(last <= known + self.lives, "writer {writer}: after item {known} nobody has tried item {last}");
            self.items.insert(writer, last);
        }
        self.lives = 0;
        for token in &self.tokens {
            assert_eq!(db.wait_for_token_outcome(*token, 0).unwrap(), TokenWait::Reached, "{token}");
        }
        self.expect_sound(db);
    }

    /// `db` shows a state that is whole and that no other node contradicts; every check finds it sound.
    #[track_caller]
    pub fn expect_sound(&mut self, db: &Database) {
        let view = db.snapshot().unwrap();
        let (mut nodes, mut edges) = (0, 0);
        for writer in 0..WRITERS {
            let last = counter(db, writer);
            if last == 0 {
                continue;
            }
            let hub = view.node_by_key(&format!("counter {writer}")).unwrap().unwrap();
            let kept = last.min(KEPT);
            (nodes, edges) = (nodes + 1 + kept as u64, edges + kept as u64);
            assert_eq!(view.out_degree(hub, AllTypes).unwrap(), kept as u64);
            assert_eq!(view.node_by_key(&item_key(writer, last - KEPT)).unwrap(), None);
            for n in last - kept + 1..=last {
                let item = view.node_by_key(&item_key(writer, n)).unwrap().expect("an item");
                assert_eq!(view.node_prop(item, "n").unwrap(), Some(Value::I64(n)));
                assert_eq!(view.edge_prop(hub, "HAS", item, "n").unwrap(), Some(Value::I64(n)));
                assert_eq!(view.node_vector(item, "place").unwrap(), Some(vec![n as f32, 1.0]));
            }
        }
        assert_eq!((view.count_nodes(), view.count_edges(), view.count_vectors()), (nodes, edges, edges));
        assert_eq!(view.count_nodes_by_label("Item"), edges);
        let report = db.check().unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.digest, view.digest());
        if view.token().log_index > LogIndex(0) {
            self.note_state(view.token(), &view.digest().to_string());
        }
    }
}
