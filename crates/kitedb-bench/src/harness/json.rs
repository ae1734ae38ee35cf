//! The report of one run: figures, the targets met and missed, printed and written as JSON.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::table::{Table, number};
use super::targets::{self, Target};
use crate::Res;

/// Collects what a subcommand measured.
pub struct Report {
    bench: &'static str,
    quick: bool,
    figures: Map<String, Value>,
    outcomes: Vec<(&'static Target, f64)>,
}

impl Report {
    /// An empty report of this subcommand.
    pub fn new(bench: &'static str, quick: bool) -> Self {
        Self { bench, quick, figures: Map::new(), outcomes: Vec::new() }
    }

    /// Whether this is a short run, on smaller graphs.
    pub fn quick(&self) -> bool {
        self.quick
    }

    /// Keeps a figure.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &str) {
        self.figures.insert(name.into(), json!({ "value": value, "unit": unit }));
    }

    /// Keeps what was measured for a target of [`targets::TARGETS`]; a name that is not there is a bug of the benchmark.
    pub fn target(&mut self, name: &str, measured: f64) -> Res<()> {
        let target = targets::of(self.bench).find(|t| t.name == name);
        self.outcomes.push((target.ok_or_else(|| format!("no target named {name:?} in {}", self.bench))?, measured));
        Ok(())
    }

    /// Prints the targets and writes the file, if one was asked for.
    pub fn finish(self, file: Option<&Path>) -> Res<()> {
        let mut table = Table::new(&["target", "measured", "bound", ""]);
        let mut listed = Vec::new();
        let mut unmeasured = Vec::new();
        for target in targets::of(self.bench) {
            let Some((_, ratio)) = self.outcomes.iter().find(|(t, _)| t.name == target.name) else {
                table.row(vec![target.name.into(), "-".into(), target.bound.to_string(), "not measured".into()]);
                unmeasured.push(target.name);
                continue;
            };
            let met = target.bound.met(*ratio);
            let verdict = if met { "met" } else { "missed" };
            table.row(vec![target.name.into(), number(*ratio), target.bound.to_string(), verdict.into()]);
            listed.push(json!({ "name": target.name, "ratio": ratio, "target": target.bound.value(), "met": met }));
        }
        if self.quick {
            table.print("targets (--quick: short, and graph (b) is a tenth of its size; only a full run decides)");
        } else {
            table.print("targets");
        }
        let Some(file) = file else { return Ok(()) };
        let report = json!({
            "bench": self.bench,
            "quick": self.quick,
            "peers": cfg!(feature = "peers"),
            "figures": self.figures,
            "targets": listed,
            "unmeasured": unmeasured,
        });
        std::fs::write(file, format!("{report:#}\n"))?;
        println!("\nwritten to {}", file.display());
        Ok(())
    }
}
