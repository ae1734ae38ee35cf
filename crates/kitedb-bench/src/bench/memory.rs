//! Resident memory of a fresh process that opens graph (b) and then touches 1 % of its nodes.

use std::path::Path;

use crate::Res;
use crate::engines::{store, stores};
use crate::harness::graph::Graph;
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::rng::Rng;
use crate::harness::table::{Table, number};

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let graph = Graph::b(report.quick());
    println!("(b): {} nodes, {} edges; loading", graph.nodes, graph.edges.len());
    let mut table = Table::new(&["resident MB", "before open", "after open", "after touching 1 %"]);
    for store in stores() {
        let path = dir.join(format!("{}.kitedb", store.name()));
        store.load(&path, &graph, 10_000)?;
        let [before, open, touched] = of_fresh_process(store.name(), &path, graph.nodes)?;
        table.row(vec![store.name().into(), number(before), number(open), number(touched)]);
        report.figure(format!("{}: resident after open (b)", store.name()), open, "MB");
        report.figure(format!("{}: resident after touching 1 % of the nodes (b)", store.name()), touched, "MB");
        if store.name() == "ours" {
            report.target("resident after open (b), MB", open)?;
            report.target("resident after touching 1 % of the nodes (b), MB", touched)?;
        }
        os::remove(&path)?;
    }
    table.print("memory of a fresh process, pages of mapped files included");
    Ok(())
}

/// Resident megabytes of a new process before it opens a loaded graph, after, and after touching 1 % of the nodes.
pub fn of_fresh_process(name: &str, path: &Path, nodes: u32) -> Res<[f64; 3]> {
    let path = path.to_str().ok_or("a path that is no text")?;
    let sizes = os::child(&["resident", name, path, "--count", &nodes.to_string()])?;
    sizes.try_into().map_err(|sizes| format!("the child printed {sizes:?}").into())
}

/// In the child: prints its resident megabytes before it opens, after, and after touching 1 % of the nodes.
pub fn child(name: &str, path: &Path, nodes: u64) -> Res<()> {
    let megabytes = || os::resident().map(|bytes| bytes as f64 / 1e6);
    let before = megabytes()?;
    let mut opened = store(name)?.open(path)?;
    let open = megabytes()?;
    let mut rng = Rng::new(5);
    let mut sum = 0u64;
    for _ in 0..nodes / 100 {
        sum = sum.wrapping_add(opened.touch(rng.below(nodes) + 1)?);
    }
    std::hint::black_box(sum);
    println!("{before} {open} {}", megabytes()?);
    opened.close()
}
