//! What it costs a commit that its database is a primary: the same commits on one that plays no part in replication
//! and on one that is a primary, side by side, commit by commit.

use std::path::Path;

use crate::Res;
use crate::engines::ours::Ours;
use crate::engines::{Primary, Role, Sync};
use crate::harness::graph::key;
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::stats::{Samples, Summary, median};
use crate::harness::table::{Table, number};

/// A database that plays no part in replication, then a primary.
const ROLES: [Role; 2] = [Role::Disabled, Role::Primary];

/// What one commit creates.
#[derive(Clone, Copy)]
enum Size {
    One,
    Hundred,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One => "one-node",
            Self::Hundred => "100-node",
        })
    }
}

/// The subcommand. Ratios are medians of those of the rounds; each round has two new databases.
pub fn run(report: &mut Report, dir: &Path, rounds: Option<usize>) -> Res<()> {
    let rounds = rounds.unwrap_or(if report.quick() { 3 } else { 7 });
    for size in [Size::One, Size::Hundred] {
        let title = format!("{size} commits: medians of {rounds} rounds");
        let mut table =
            Table::new(&["", "p50 µs", "p95 µs", "commits/s", "p50 on / off", "p95 on / off", "rate on / off"]);
        for sync in [Sync::Off, Sync::Normal, Sync::Full] {
            let commits = commits_a_round(size, sync, report.quick());
            let [p50, p95, rate] = engine::<Ours>(report, dir, size, sync, (rounds, commits), &mut table)?;
            let name = |figure: &str| format!("{size} commits, {sync}, {figure}: primary / no role");
            report.target(&name("p50"), p50)?;
            report.target(&name("p95"), p95)?;
            report.target(&name("commits/s"), rate)?;
            #[cfg(feature = "peers")]
            {
                // A tenth of ours: it is to be shown, not to be judged by hundredths.
                let plan = (rounds.min(3), (commits / 10).max(100));
                engine::<crate::engines::kitedb_0_2::Kitedb>(report, dir, size, sync, plan, &mut table)?;
            }
        }
        table.print(&title);
    }
    Ok(())
}

/// Enough that the 95th percentile of a round means something, on a disk whose syncs vary twofold.
fn commits_a_round(size: Size, sync: Sync, quick: bool) -> u64 {
    match (size, sync, quick) {
        (Size::One, Sync::Full, true) => 400,
        (Size::One, Sync::Full, false) => 12_000,
        (Size::One, _, true) => 10_000,
        (Size::One, _, false) => 200_000,
        (Size::Hundred, Sync::Full, true) => 200,
        (Size::Hundred, Sync::Full, false) => 8_000,
        (Size::Hundred, _, true) => 500,
        (Size::Hundred, _, false) => 8_000,
    }
}

/// Measures one engine and adds its two rows. Returns the ratios on / off: p50, p95 and commits per second.
fn engine<E: Primary>(
    report: &mut Report,
    dir: &Path,
    size: Size,
    sync: Sync,
    (rounds, commits): (usize, u64),
    table: &mut Table,
) -> Res<[f64; 3]> {
    let mut all = Vec::with_capacity(rounds);
    for n in 0..rounds {
        let path = dir.join("round");
        std::fs::create_dir(&path)?;
        all.push(round::<E>(&path, size, sync, commits, n)?);
        os::remove(&path)?;
    }
    let of = |f: &dyn Fn(&[Summary; 2]) -> f64| median(&all.iter().map(f).collect::<Vec<_>>());
    let ratios = [of(&|[a, b]| b.p50 / a.p50), of(&|[a, b]| b.p95 / a.p95), of(&|[a, b]| b.rate / a.rate)];
    for (ratio, figure) in ratios.iter().zip(["p50", "p95", "rate"]) {
        report.figure(format!("{size} commits: {}, {sync}: {figure} on / off", E::NAME), *ratio, "ratio");
    }
    for (side, role) in ["no role", "primary"].into_iter().enumerate() {
        let figures = [of(&|s| s[side].p50), of(&|s| s[side].p95), of(&|s| s[side].rate)];
        let name = format!("{}, {sync}, {role}", E::NAME);
        for (value, (figure, unit)) in figures.iter().zip([("p50", "us"), ("p95", "us"), ("rate", "commits/s")]) {
            report.figure(format!("{size} commits: {name}: {figure}"), *value, unit);
        }
        let shown = ratios.map(|ratio| if side == 1 { format!("{ratio:.3}") } else { String::new() });
        table.row([name].into_iter().chain(figures.map(number)).chain(shown).collect());
    }
    Ok(ratios)
}

/// Commits in turn, to and fro, so that each side comes as often after itself as after the other.
fn round<E: Primary>(dir: &Path, size: Size, sync: Sync, commits: u64, n: usize) -> Res<[Summary; 2]> {
    // Who is made first changes from round to round, too: where files and tables lie favours nobody.
    let order = if n.is_multiple_of(2) { [0, 1] } else { [1, 0] };
    let mut made = [None, None];
    for side in order {
        made[side] = Some(E::create_as(dir, sync, ROLES[side])?);
    }
    let [Some(alone), Some(primary)] = made else { return Err("a side is missing".into()) };
    let mut sides = [alone, primary];
    let warm = commits / 20;
    let mut samples = [Samples::default(), Samples::default()];
    for i in 0..commits + warm {
        if i == warm {
            samples = std::array::from_fn(|_| Samples::with_capacity(commits as usize));
        }
        let keys: Vec<String> = match size {
            Size::One => Vec::new(),
            Size::Hundred => (i * 100..(i + 1) * 100).map(|n| key(n as u32)).collect(),
        };
        for turn in 0..2 {
            let side = order[if i.is_multiple_of(2) { turn } else { 1 - turn }];
            samples[side].time(|| match size {
                Size::One => sides[side].commit(i),
                Size::Hundred => sides[side].nodes(&keys),
            })?;
        }
    }
    Ok(samples.map(|s| s.summary()))
}
