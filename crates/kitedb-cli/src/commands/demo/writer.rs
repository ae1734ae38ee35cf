//! The child that is killed: it commits one transaction after the other and prints what is acknowledged.

use super::process::{Ended, Process};
use crate::{
    cli::DemoWriterArgs,
    failure::{Failure, Outcome},
    output::reader_is_gone,
};
use kitedb_core::{Database, GraphRead, NewNode, Result, SyncMode, Token, Transaction, Value, View};
use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

pub const WRITE: &str = "Write";
const NEXT: &str = "NEXT";
const NUMBER: &str = "number";

/// So small a log that checkpoints go on all the time: the kill may hit one.
const LOG_BYTES: u64 = 64 << 10;

/// The key of the node that transaction `number` creates.
fn key(number: u64) -> String {
    format!("write {number}")
}

pub fn run(args: &DemoWriterArgs, out: &mut dyn Write) -> Outcome {
    let options = args.common.options().replication_role(args.role.into()).sync_mode(SyncMode::Full);
    let options = options.checkpoint_log_bytes(LOG_BYTES).replication_segment_max_bytes(LOG_BYTES);
    let database = Database::open(&args.common.database, options)?;
    let first = 1 + database.snapshot()?.count_nodes_by_label(WRITE);
    let last = args.commits.map_or(u64::MAX, |commits| first + commits - 1);
    for number in first..=last {
        let mut transaction = database.begin()?;
        write(&mut transaction, number)?;
        let token = transaction.commit()?;
        writeln!(out, "{number} {}", token.full())?;
        out.flush()?;
        if reader_is_gone() {
            break;
        }
    }
    Ok(())
}

/// Transaction `number`: a node, and an edge to it from the one before.
fn write(transaction: &mut Transaction, number: u64) -> Result<()> {
    let labels = [transaction.label_id_or_create(WRITE)?];
    let props = [(transaction.propkey_id_or_create(NUMBER)?, Value::I64(number.cast_signed()))];
    let key_of_it = key(number);
    let node = transaction.create_node_with(NewNode::new().key(&key_of_it).labels(&labels).props(&props))?;
    if let Some(before) = transaction.node_by_key(&key(number - 1))? {
        transaction.add_edge(before, NEXT, node)?;
    }
    Ok(())
}

/// Looks for every transaction from the first ever to the last one acknowledged, whole; returns how many there are
/// beyond.
pub fn find(view: &View, acknowledged: &Acknowledged) -> Outcome<u64> {
    let (last, token) = (acknowledged.number, acknowledged.token);
    if view.token().log_index < token.log_index {
        return Err(lost(format_args!("the file ends at {}, before {token}", view.token())));
    }
    let mut before = None;
    for number in 1..=last {
        let node = view.node_by_key(&key(number))?.ok_or_else(|| lost(format_args!("write {number} is not there")))?;
        let whole = view.node_prop(node, NUMBER)? == Some(Value::I64(number.cast_signed()))
            && view.node_has_label(node, WRITE)?
            && before.map_or(Ok(true), |before| view.edge_exists(before, NEXT, node))?;
        if !whole {
            return Err(lost(format_args!("write {number} is there in part only")));
        }
        before = Some(node);
    }
    match view.count_nodes_by_label(WRITE).checked_sub(last) {
        // The writer waits for each commit: at most one is on its way.
        Some(beyond @ 0..=1) => Ok(beyond),
        _ => Err(lost(format_args!("{} writes instead of {last}", view.count_nodes_by_label(WRITE)))),
    }
}

/// Checks everything; returns the digest if the recomputed one is equal to it.
pub fn check(database: &Database, view: &View) -> Outcome<String> {
    let report = database.check()?;
    if let Some(fault) = report.damage.iter().chain(&report.errors).next() {
        return Err(lost(format_args!("check says: {fault}")));
    }
    match report.digest == view.digest() {
        true => Ok(report.digest.to_string()),
        false => Err(lost(format_args!("the digest is {}, recomputed {}", view.digest(), report.digest))),
    }
}

fn lost(what: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!("after the crash, {what}"))
}

/// A writer at work, and what it has said so far.
pub struct Writer {
    process: Process,
    said: Acknowledged,
}

/// What a writer has acknowledged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acknowledged {
    /// How many transactions.
    pub count: u64,
    /// The number of the last one, counted from the first that the file ever had.
    pub number: u64,
    /// Its token.
    pub token: Token,
}

impl Writer {
    /// Starts to write to `file`, in the role `primary` or `disabled`, and waits for the first commit.
    pub fn start(file: &Path, role: &str) -> Outcome<Self> {
        let args = ["demo-writer".as_ref(), file.as_os_str(), "--role".as_ref(), role.as_ref()];
        let mut writer = Self { process: Process::start(&args)?, said: Acknowledged::default() };
        let heard = writer.process.hear("that it has committed anything", |_| true)?;
        writer.said.note(&heard)?;
        Ok(writer)
    }

    /// What it has said until now.
    pub fn said(&mut self) -> Outcome<Acknowledged> {
        self.said.note(&self.process.waiting())?;
        Ok(self.said)
    }

    /// Listens until it has said `enough`, which is asked after each line and at least every 20 ms.
    pub fn listen(&mut self, mut enough: impl FnMut(&Acknowledged) -> bool) -> Outcome {
        while !enough(&self.said) {
            let line = self.process.line(Instant::now() + Duration::from_millis(20))?;
            self.said.note(line.as_slice())?;
        }
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub fn kill(self) -> Outcome<Acknowledged> {
        let Self { process, mut said } = self;
        let Ended { rest, status } = process.kill()?;
        if status.code().is_some() {
            return Err(Failure::new(format_args!("the writer ended by itself ({status}) before it was killed")));
        }
        // What it had printed before it died counts, too.
        said.note(&rest)?;
        Ok(said)
    }
}

impl Acknowledged {
    /// Takes in lines of a number and a token each.
    fn note(&mut self, lines: &[String]) -> Outcome {
        for line in lines {
            let said =
                line.split_once(' ').and_then(|(number, token)| Some((number.parse().ok()?, token.parse().ok()?)));
            match said {
                Some((number, token)) if self.count == 0 || number == self.number + 1 => {
                    (self.count, self.number, self.token) = (self.count + 1, number, token);
                }
                _ => return Err(Failure::new(format_args!("the writer said `{line}`"))),
            }
        }
        Ok(())
    }
}
