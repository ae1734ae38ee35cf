//! The endpoints, served over a real connection and asked by a real client.

mod auth;
mod beside;
mod certificates;
mod primaries;
mod replicas;
mod server;
mod tls;
