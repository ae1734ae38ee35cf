//! One file per subcommand.

pub mod checkpoint;
pub mod commit;
pub mod group_commit;
pub mod load;
pub mod memory;
pub mod open;
pub mod read;

use std::path::Path;

use crate::harness::json::Report;
use crate::{Args, Res};

/// A subcommand: measures into the report, with a scratch folder of its own.
pub type Bench = fn(&mut Report, &Path) -> Res<()>;

/// Runs one, prints and writes its report.
pub fn run(name: &'static str, bench: Bench, args: &Args) -> Res<()> {
    let scratch = crate::harness::os::scratch(args.dir.as_deref())?;
    let mut report = Report::new(name, args.quick);
    bench(&mut report, scratch.path())?;
    report.finish(args.json.as_deref())
}
