//! What the engine itself takes for what the benchmark of the Node package measures: started by `bindings-node/bench`, which
//! asks for rounds by lines on its standard input and gets the nanoseconds of each as a line.
//!
//! `commits N`: so many transactions of one node with three properties; `batches N`: so many of 1,000 nodes with five.

use kitedb::{Database, NewNode, OpenOptions, PropKeyId, Result, SyncMode, Transaction, Value};
use std::{
    io::{BufRead, Write},
    time::Instant,
};

const BATCH: u64 = 1000;
const NAMES: [&str; 5] = ["name", "age", "score", "city", "active"];

/// The properties of the node with a number: as `bench/graph.mjs` makes them.
fn props(n: u64, keys: &[PropKeyId]) -> Vec<(PropKeyId, Value)> {
    let values = [
        Value::String(format!("person {n}")),
        Value::I64((n % 90) as i64),
        Value::F64(n as f64 + 0.5),
        Value::String(format!("city {}", n % 100)),
        Value::Bool(n.is_multiple_of(2)),
    ];
    keys.iter().copied().zip(values).collect()
}

fn keys(tx: &mut Transaction, count: usize) -> Result<Vec<PropKeyId>> {
    NAMES[..count].iter().map(|name| tx.propkey_id_or_create(name)).collect()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (path, mode) = (args.next().ok_or("give a path")?, args.next().ok_or("give a sync mode")?);
    let mode: SyncMode = mode.parse()?;
    let db = Database::open(path, OpenOptions::new().sync_mode(mode))?;
    let (mut made, mut out) = (0, std::io::stdout());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, count) = line.split_once(' ').ok_or("give what to do, and how often")?;
        let count: u64 = count.parse()?;
        let began = Instant::now();
        for _ in 0..count {
            let mut tx = db.begin()?;
            if what == "commits" {
                let (key, keys) = (format!("new{made}"), keys(&mut tx, 3)?);
                tx.create_node_with(NewNode::new().key(&key).props(&props(made, &keys)))?;
                made += 1;
            } else {
                let keys = keys(&mut tx, NAMES.len())?;
                let described: Vec<_> = (made..made + BATCH).map(|n| (format!("new{n}"), props(n, &keys))).collect();
                let new: Vec<_> = described.iter().map(|(key, props)| NewNode::new().key(key).props(props)).collect();
                tx.create_nodes_batch(&new)?;
                made += BATCH;
            }
            tx.commit()?;
        }
        writeln!(out, "{}", began.elapsed().as_nanos())?;
        out.flush()?;
    }
    db.close()?;
    Ok(())
}
