//! Opening: large and small, after a clean close and after a crash; and what graph (b) takes on disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::memory;
use crate::Res;
use crate::engines::{GraphStore, stores};
use crate::harness::graph::{Graph, key};
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

const BATCH: usize = 10_000;
const LOG_COMMITS: u64 = 20_000;

/// Times in milliseconds of each store, in the order of [`stores`].
type Times = Vec<Vec<f64>>;

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let rounds = if report.quick() { 5 } else { 21 };
    let graphs = [
        ("(a)", Graph::a()),
        ("(b)", Graph::b(report.quick())),
        ("10k / 20k", Graph::uniform("10k", 10_000, 20_000)),
        ("100k / 200k", Graph::uniform("100k", 100_000, 200_000)),
    ];
    let stores = stores();
    let names: Vec<&str> = stores.iter().map(|s| s.name()).collect();
    let mut heads = vec!["ms"];
    heads.extend(&names);
    let mut table = Table::new(&heads);
    let mut show = |report: &mut Report, what: &str, unit: &str, values: &[f64]| {
        let mut cells = vec![what.to_string()];
        for (name, &value) in names.iter().zip(values) {
            cells.push(number(value));
            report.figure(format!("{what}: {name}"), value, unit);
        }
        table.row(cells);
    };

    let mut opens_of_a = Vec::new();
    for (title, graph) in &graphs {
        println!("{title}: {} nodes, {} edges; loading", graph.nodes, graph.edges.len());
        let path =
            |store: &dyn GraphStore| dir.join(format!("{}-{}", graph.name, store.name())).with_extension("kitedb");
        for store in &stores {
            store.load(&path(store.as_ref()), graph, BATCH)?;
        }
        let (open, whole) = reopen(&stores, path, rounds)?;
        let (open_ms, whole_ms) = (medians(&open), medians(&whole));
        show(report, &format!("open {title} after a clean close"), "ms", &open_ms);
        show(report, &format!("open + close {title}"), "ms", &whole_ms);
        match *title {
            "(a)" => opens_of_a = open_ms,
            "(b)" => {
                report.target("open (b) after a clean close, ms", open_ms[0])?;
                report.target("open (b) / open (a)", open_ms[0] / opens_of_a[0])?;
                let (mut sizes, mut after_open, mut touched) = (Vec::new(), Vec::new(), Vec::new());
                for store in &stores {
                    let path = path(store.as_ref());
                    sizes.push(os::size_on_disk(&path)?.0 as f64 / 1e6);
                    let resident = memory::of_fresh_process(store.name(), &path, graph.nodes)?;
                    after_open.push(resident[1]);
                    touched.push(resident[2]);
                }
                show(report, "bytes on disk (b), MB", "MB", &sizes);
                show(report, "resident after open (b), MB", "MB", &after_open);
                show(report, "resident after touching 1 % of the nodes (b), MB", "MB", &touched);
                report.target("bytes on disk (b), MB", sizes[0])?;
            }
            "100k / 200k" if whole.len() > 1 => {
                report.target("open + close without a commit, 100k / 200k: ours / kitedb 0.2.18", ratio(&whole))?;
            }
            _ => {}
        }
    }
    let crashed = after_crash(&stores, dir, if report.quick() { 3 } else { 7 })?;
    show(report, "open with a log of 20,000 small commits", "ms", &medians(&crashed));
    if crashed.len() > 1 {
        report.target("open with a log of 20,000 small commits: ours / kitedb 0.2.18", ratio(&crashed))?;
    }
    table.print("open");
    Ok(())
}

/// Opens and closes each store in turn; the times of open alone and of both. The first round is not counted.
fn reopen(
    stores: &[Box<dyn GraphStore>],
    path: impl Fn(&dyn GraphStore) -> PathBuf,
    rounds: usize,
) -> Res<(Times, Times)> {
    let mut open = vec![Vec::new(); stores.len()];
    let mut whole = vec![Vec::new(); stores.len()];
    for round in 0..=rounds {
        for (n, store) in stores.iter().enumerate() {
            let path = path(store.as_ref());
            // What the last one left to the background is not this one's.
            std::thread::sleep(Duration::from_millis(20));
            let start = Instant::now();
            let opened = store.open(&path)?;
            let opened_after = start.elapsed();
            opened.close()?;
            if round > 0 {
                open[n].push(opened_after.as_secs_f64() * 1e3);
                whole[n].push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok((open, whole))
}

/// Opens what a child left that committed and died, a new one each time.
fn after_crash(stores: &[Box<dyn GraphStore>], dir: &Path, rounds: usize) -> Res<Times> {
    let mut times = vec![Vec::new(); stores.len()];
    for round in 0..rounds {
        for (n, store) in stores.iter().enumerate() {
            let path = dir.join(format!("crash-{round}-{n}.kitedb"));
            let path_text = path.to_str().ok_or("a path that is no text")?;
            os::child(&["commit", store.name(), path_text, "--count", &LOG_COMMITS.to_string()])?;
            let (took, opened) = seconds(|| store.open(&path));
            times[n].push(took * 1e3);
            let mut opened = opened?;
            if !opened.holds(&key(LOG_COMMITS as u32 - 1))? {
                return Err(format!("{} lost the last of {LOG_COMMITS} commits", store.name()).into());
            }
            opened.close()?;
        }
    }
    Ok(times)
}

fn medians(times: &Times) -> Vec<f64> {
    times.iter().map(|t| median(t)).collect()
}

/// Ours against kitedb 0.2.18, round by round.
fn ratio(times: &Times) -> f64 {
    median(&times[0].iter().zip(&times[1]).map(|(ours, peer)| ours / peer).collect::<Vec<_>>())
}
