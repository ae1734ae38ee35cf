//! `POST /api/graph/batch`: mutations, all of them or none, in one transaction.

mod apply;
mod once;
mod plain;

use super::{
    Graph, TOKEN,
    element::EdgeName,
    value::{Id, PropertyValue, Props},
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use apply::apply;
use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use kitedb_core::{Database, Error, Token, Transaction};
use once::Once;
use plain::require_plain;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, thread, time::Duration};
use utoipa::ToSchema;

/// Mutations of a batch at most.
const MOST: usize = 10_000;
/// So often a batch is run on a newer state where another commit was in its way.
const ATTEMPTS: u32 = 16;
/// Before the second attempt; before the next ones, that much longer each.
const PAUSE: Duration = Duration::from_millis(1);
/// Whether an answer is the one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is to be done, in this order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchQuestion {
    /// At most 10,000; with an idempotency key, 1,000.
    #[schema(max_items = 10_000)]
    mutations: Vec<Mutation>,
}

/// A node: by its key, its id, or the name that a mutation before in this batch gave it (`as`).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeName {
    Key(String),
    Id(Id),
    Ref(String),
}

/// Vectors by property key. They are no properties.
type Vectors = BTreeMap<String, Vec<f64>>;

/// One mutation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "camelCase", deny_unknown_fields)]
pub enum Mutation {
    /// Makes a node. 409 `DUPLICATE_KEY` where one has that key.
    CreateNode {
        /// What later mutations of this batch call it.
        #[serde(rename = "as")]
        name: Option<String>,
        key: Option<String>,
        #[serde(default)]
        labels: Vec<String>,
        #[serde(default)]
        #[schema(value_type = BTreeMap<String, PropertyValue>)]
        props: Props,
        #[serde(default)]
        vectors: Vectors,
    },
    /// Makes a node with that key, unless there is one; either way it has those labels, properties and vectors then, beside those
    /// that it had.
    UpsertNode {
        /// What later mutations of this batch call it.
        #[serde(rename = "as")]
        name: Option<String>,
        key: String,
        #[serde(default)]
        labels: Vec<String>,
        #[serde(default)]
        #[schema(value_type = BTreeMap<String, PropertyValue>)]
        props: Props,
        #[serde(default)]
        vectors: Vectors,
    },
    /// Changes a node.
    UpdateNode {
        node: NodeName,
        #[serde(default)]
        #[schema(value_type = BTreeMap<String, PropertyValue>)]
        set: Props,
        /// Names of properties that it is to have no longer.
        #[serde(default)]
        unset: Vec<String>,
        #[serde(default, rename = "addLabels")]
        add_labels: Vec<String>,
        #[serde(default, rename = "removeLabels")]
        remove_labels: Vec<String>,
        #[serde(default)]
        vectors: Vectors,
        /// Property keys of vectors that it is to have no longer.
        #[serde(default, rename = "removeVectors")]
        remove_vectors: Vec<String>,
    },
    /// Deletes a node and all its edges.
    DeleteNode { node: NodeName },
    /// Makes an edge. 409 `EDGE_EXISTS` where there is one, unless it is to be parallel.
    CreateEdge {
        src: NodeName,
        #[serde(rename = "type")]
        ty: String,
        dst: NodeName,
        #[serde(default)]
        #[schema(value_type = BTreeMap<String, PropertyValue>)]
        props: Props,
        /// Whether it is one more where there is one already.
        #[serde(default)]
        parallel: bool,
    },
    /// Makes an edge, unless there is one (of several, that of the lowest rank); either way it has those properties then, beside
    /// those that it had.
    UpsertEdge {
        src: NodeName,
        #[serde(rename = "type")]
        ty: String,
        dst: NodeName,
        #[serde(default)]
        #[schema(value_type = BTreeMap<String, PropertyValue>)]
        props: Props,
    },
    /// Changes an edge.
    UpdateEdge {
        src: NodeName,
        #[serde(rename = "type")]
        ty: String,
        dst: NodeName,
        /// Which of parallel edges. Default: the one of the lowest rank.
        rank: Option<Id>,
        #[serde(default)]
        #[schema(value_type = BTreeMap<String, PropertyValue>)]
        set: Props,
        /// Names of properties that it is to have no longer.
        #[serde(default)]
        unset: Vec<String>,
    },
    /// Deletes an edge.
    DeleteEdge {
        src: NodeName,
        #[serde(rename = "type")]
        ty: String,
        dst: NodeName,
        /// Which of parallel edges. Default: the one of the lowest rank.
        rank: Option<Id>,
    },
}

/// What a mutation was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// The id of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Id>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edge: Option<EdgeName>,
    /// Whether it was made by this mutation.
    created: bool,
}

/// All was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// true
    success: bool,
    /// One for each mutation, in their order.
    results: Vec<Outcome>,
    /// Names the commit; where this answer was given before, the state in which that is known, which has the commit.
    token: String,
}

#[utoipa::path(
    post,
    path = "/api/graph/batch",
    tag = "graph",
    summary = "Mutations, all of them or none",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters. The same key with the same body (byte for byte) is answered as before and does nothing; with another body it is refused, by 422 `IDEMPOTENCY_KEY_REUSED`. The last 4,033 keys at least are known, 4,096 at most"),
        ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)
    ),
    request_body = BatchQuestion,
    responses(
        (status = 200, body = BatchAnswer, description = "All was done, or had been", headers(("Kite-Token" = String), ("Idempotency-Replayed" = String))),
        Problems
    )
)]
pub async fn batch(
    State(graph): State<Graph>,
    wait: Wait,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    if !graph.app.authorizer.admits_writes() {
        return Err(Failure::writes_not_allowed());
    }
    let body = body.map_err(|rejection| Failure::unread(&rejection))?;
    let batch = read(&body)?;
    let once = Once::of(&headers, &body, &batch)?;
    graph.reached(wait).await?;
    let done = graph.app.node.write(move |database| commit(database, &batch, once.as_ref())).await?;
    let token = HeaderValue::try_from(done.token.full()).map_err(|_| Failure::panicked())?;
    let answer = BatchAnswer { success: true, results: done.results, token: done.token.full() };
    let mut response = ([(TOKEN, token)], Json(answer)).into_response();
    if done.before {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn read(body: &[u8]) -> Result<BatchQuestion, Failure> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|e| e.to_string());
    // Nothing may follow it.
    let read = read.and_then(|batch| json.end().map(|()| batch).map_err(|e| e.to_string()));
    let batch: BatchQuestion = read.map_err(|e| Failure::malformed(format!("the body is no batch: {e:.300}")))?;
    // What was read as JSON is UTF-8.
    require_plain(str::from_utf8(body).unwrap_or_default())?;
    match batch.mutations.len() {
        ..=MOST => Ok(batch),
        many => {
            Err(Failure::too_large(format!("a batch has {MOST} mutations at most, and this one has {many}: split it")))
        }
    }
}

/// What was done.
struct Done {
    token: Token,
    results: Vec<Outcome>,
    /// By an earlier request.
    before: bool,
}

fn commit(database: &Database, batch: &BatchQuestion, once: Option<&Once>) -> Result<Done, Failure> {
    // Where its file was removed, say, nobody would find what is committed here.
    database.require_commits()?;
    let mut attempt = 1;
    loop {
        let tx = database.begin()?;
        if let Some(results) = once.map(|once| once.results(&tx)).transpose()?.flatten() {
            drop(tx);
            return Ok(Done { token: database.snapshot()?.token(), results, before: true });
        }
        match applied(tx, batch, once) {
            Ok((token, results)) => return Ok(Done { token, results, before: false }),
            Err(e) if e.is_conflict() && attempt < ATTEMPTS => {
                // What is in its way may have to be synced first.
                thread::sleep(PAUSE * attempt);
                attempt += 1;
            }
            Err(e) => return Err(e.into()),
        }
    }
}

fn applied(mut tx: Transaction, batch: &BatchQuestion, once: Option<&Once>) -> Result<(Token, Vec<Outcome>), Error> {
    let results = apply(&mut tx, &batch.mutations)?;
    if let Some(once) = once {
        once.note(&mut tx, &results)?;
    }
    Ok((tx.commit()?, results))
}
