//! The child that is killed: it commits one transaction after the other and prints what is acknowledged.

use crate::{cli::DemoWriterArgs, failure::Outcome};
use kitedb_core::{Database, GraphRead, NewNode, OpenOptions, Result, SyncMode, Transaction, Value};
use std::io::Write;

pub const WRITE: &str = "Write";
pub const NEXT: &str = "NEXT";
pub const NUMBER: &str = "number";

/// So small a log that checkpoints go on all the time: the kill may hit one.
const LOG_BYTES: u64 = 64 << 10;

/// The key of the node that transaction `number` creates.
pub fn key(number: u64) -> String {
    format!("write {number}")
}

pub fn run(args: &DemoWriterArgs, out: &mut dyn Write) -> Outcome {
    let options = OpenOptions::new().create_if_missing(false).sync_mode(SyncMode::Full).checkpoint_log_bytes(LOG_BYTES);
    let database = Database::open(&args.database, options)?;
    for number in args.from.. {
        let mut transaction = database.begin()?;
        write(&mut transaction, number)?;
        let token = transaction.commit()?;
        writeln!(out, "{number} {token}")?;
        out.flush()?;
    }
    Ok(())
}

/// Transaction `number`: a node, and an edge to it from the one before.
fn write(transaction: &mut Transaction, number: u64) -> Result<()> {
    let labels = [transaction.label_id_or_create(WRITE)?];
    let props = [(transaction.propkey_id_or_create(NUMBER)?, Value::I64(number.cast_signed()))];
    let new = NewNode { key: Some(&key(number)), labels: &labels, props: &props, ..NewNode::default() };
    let node = transaction.create_node_with(new)?;
    if let Some(before) = transaction.node_by_key(&key(number - 1))? {
        transaction.add_edge(before, NEXT, node)?;
    }
    Ok(())
}
