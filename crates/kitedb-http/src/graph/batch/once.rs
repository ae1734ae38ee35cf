//! Idempotency keys: what was done once is not done again, whoever asks, after a crash and on the node that took over, too.
//!
//! Each is a node of the graph, made in the transaction of its batch: so it is there exactly where what the batch did is. Its key is
//! made of a hash of the idempotency key, so that nobody reads that from the graph; it carries the label [`RESERVED`], by which the
//! oldest are found and forgotten once there are [`KEPT`].

use super::{BatchQuestion, Outcome};
use crate::{error::Failure, graph::params::invalid};
use axum::http::{HeaderMap, HeaderName};
use kitedb_core::{Error, GraphRead, Result, Transaction, Value};
use sha2::{Digest, Sha256};

/// The label of these nodes, and what their keys begin with.
pub const RESERVED: &str = "kitedb:idempotency";
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Characters of a key at most.
const LONGEST: usize = 255;
/// Mutations of a batch with a key at most: what is remembered of each is bounded.
const MUTATIONS: usize = 1_000;
/// Keys that are remembered.
const KEPT: u64 = 4_096;
/// So many of the oldest are forgotten at once, so that those who come at the same time are seldom in each other's way.
const FORGOTTEN: usize = 64;
const BODY: &str = "body";
const RESULTS: &str = "results";

/// Whether a key is that of a node that remembers.
pub fn is_reserved(key: Option<&str>) -> bool {
    key.is_some_and(|key| key.starts_with(RESERVED))
}

/// A batch that is to be done once.
#[derive(Debug)]
pub struct Once {
    /// The key of the node that remembers it.
    node: String,
    /// A hash of the body.
    body: Vec<u8>,
}

impl Once {
    /// `None`: the request has no key.
    pub fn of(headers: &HeaderMap, body: &[u8], batch: &BatchQuestion) -> Result<Option<Self>, Failure> {
        let mut said = headers.get_all(HEADER).iter();
        let Some(key) = said.next() else { return Ok(None) };
        let key = key.as_bytes();
        if said.next().is_some() || !(1..=LONGEST).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            return Err(invalid(format_args!(
                "Idempotency-Key is to be once there, 1 to {LONGEST} visible ASCII characters"
            )));
        }
        if batch.mutations.len() > MUTATIONS {
            return Err(Failure::too_large(format!(
                "a batch with an Idempotency-Key has {MUTATIONS} mutations at most: split it"
            )));
        }
        let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(Self { node: format!("{RESERVED}:{hash}"), body: Sha256::digest(body).to_vec() }))
    }

    /// What it came to when it was done; `None`: it was not, or that is forgotten.
    pub fn results(&self, tx: &Transaction) -> Result<Option<Vec<Outcome>>, Failure> {
        let Some(id) = tx.node_by_key(&self.node)? else { return Ok(None) };
        match (tx.node_prop(id, BODY)?, tx.node_prop(id, RESULTS)?) {
            (Some(Value::Bytes(body)), _) if body != self.body => Err(Failure::key_reused()),
            (Some(Value::Bytes(_)), Some(Value::String(results))) => match serde_json::from_str(&results) {
                Ok(results) => Ok(Some(results)),
                Err(_) => Err(self.unreadable().into()),
            },
            _ => Err(self.unreadable().into()),
        }
    }

    fn unreadable(&self) -> Error {
        Error::invalid(format_args!(
            "the node '{}', which remembers this Idempotency-Key, is not as it was made: delete it, or take another key",
            self.node
        ))
    }

    /// Remembers what it came to, with the commit of it.
    pub fn note(&self, tx: &mut Transaction, results: &[Outcome]) -> Result<()> {
        let results = serde_json::to_string(results).map_err(|e| Error::invalid(format_args!("the results: {e}")))?;
        if tx.count_nodes_by_label(RESERVED) >= KEPT {
            for id in tx.label_page(RESERVED, None, FORGOTTEN)?.items {
                tx.delete_node(id)?;
            }
        }
        let id = tx.create_node(Some(&self.node))?;
        tx.add_node_label(id, RESERVED)?;
        tx.set_node_prop(id, BODY, self.body.clone())?;
        tx.set_node_prop(id, RESULTS, results)
    }
}
