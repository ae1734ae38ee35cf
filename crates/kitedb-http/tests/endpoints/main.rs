//! The endpoints, served over a real connection and asked by a real client.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::print_stderr, reason = "a process that is started tells how far it is")]

mod access_log;
mod attempts;
mod auth;
mod beside;
mod certificates;
mod graph;
mod health;
mod hosts;
mod matrix;
mod openapi;
mod primaries;
mod replicas;
mod rotation;
mod server;
mod slow;
mod smuggling;
mod sockets;
mod streams;
mod tls;
mod tokens;
