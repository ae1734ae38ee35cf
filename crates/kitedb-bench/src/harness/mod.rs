//! What every benchmark stands on: statistics, tables, the list of targets, the report, graphs, and what the kernel says.

pub mod graph;
pub mod json;
pub mod os;
pub mod rng;
pub mod stats;
pub mod table;
pub mod targets;
