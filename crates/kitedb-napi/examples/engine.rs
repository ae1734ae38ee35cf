//! What the engine itself takes for what the benchmark of the Node package measures: started by `bindings-node/bench`, which
//! asks for rounds by lines on its standard input and gets the nanoseconds of each as a line.
//!
//! `commits N`: so many transactions of one node with three properties, and the time they took; `batches N`: so many of 1,000
//! nodes with five, and the time of processors that they took.

use kitedb::{Database, NewNode, OpenOptions, PropKeyId, Result, SyncMode, Transaction, Value};
use rustix::time::{ClockId, clock_gettime};
use std::{
    io::{BufRead, Write},
    time::Duration,
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

fn now(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (path, mode) = (args.next().ok_or("give a path")?, args.next().ok_or("give a sync mode")?);
    let mode = match &*mode {
        "full" => SyncMode::Full,
        "normal" => SyncMode::Normal,
        _ => return Err("the sync mode is full or normal".into()),
    };
    let db = Database::open(path, OpenOptions::new().sync_mode(mode))?;
    let (mut made, mut out) = (0, std::io::stdout());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, count) = line.split_once(' ').ok_or("give what to do, and how often")?;
        let count: u64 = count.parse()?;
        let clock = if what == "commits" { ClockId::Monotonic } else { ClockId::ProcessCPUTime };
        let began = now(clock);
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
        writeln!(out, "{}", (now(clock) - began).as_nanos())?;
        out.flush()?;
    }
    db.close()?;
    Ok(())
}
