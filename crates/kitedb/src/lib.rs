//! KiteDB: an embedded property-graph database that replicates. One file, no server.
//!
//! This crate is what applications depend on: everything of [`kitedb_core`], where it is documented; the replication log as JSON,
//! of the crate `kitedb-transport`, as [`transport`]; with the feature `telemetry` the metrics of the crate `kitedb-telemetry`
//! as `kitedb::telemetry`; and with `http` the router and the server of the crate `kitedb-http` as `kitedb::http`. Begin with [`Database::open`].

pub use kitedb_core::*;

pub use kitedb_transport as transport;

#[cfg(feature = "http")]
pub use kitedb_http as http;

#[cfg(feature = "telemetry")]
pub use kitedb_telemetry as telemetry;

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So does that of the tour.
#[cfg(all(doctest, feature = "telemetry"))]
#[doc = include_str!("../tour.md")]
struct Tour;
