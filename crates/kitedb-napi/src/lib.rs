//! KiteDB for Node: the native addon of the npm package `@kitedb/core`, in `bindings-node/`.
//!
//! It converts and decides nothing: every rule, default and error text that is about a database is the engine's.
//!
//! | module | owns |
//! |---|---|
//! | `boundary` | the functions that JavaScript calls, buffers, promises: all that touches Node-API |
//! | `wire` | how values and names cross as bytes |
//! | `handles` | what JavaScript holds, by number |
//! | `fault` | errors as bytes |
//! | `report` | statuses, metrics and other reports as plain objects |
//! | `waits` | waits for tokens, all by one thread for each database |
//! | `ops` | the operations: each reads its arguments, calls the engine, writes the result |

mod boundary;
mod fault;
mod handles;
mod ops;
mod report;
mod waits;
mod wire;
