//! One file per subcommand.

pub mod bootstrap;
pub mod catchup;
pub mod checkpoint;
pub mod commit;
pub mod group_commit;
pub mod http;
pub mod load;
pub mod log_paging;
pub mod memory;
pub mod open;
pub mod path;
pub mod read;
pub mod replication_overhead;
pub mod soak;
pub mod submit;
pub mod telemetry;
pub mod traverse;

use std::path::Path;

use crate::harness::json::Report;
use crate::{Args, Res};

/// Runs a subcommand, which measures into the report and has a scratch folder of its own; prints and writes the report.
pub fn run(name: &'static str, bench: impl FnOnce(&mut Report, &Path) -> Res<()>, args: &Args) -> Res<()> {
    let scratch = crate::harness::os::scratch(args.dir.as_deref())?;
    let mut report = Report::new(name, args.quick);
    bench(&mut report, scratch.path())?;
    report.finish(args.json.as_deref())
}
