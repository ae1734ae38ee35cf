//! The targets of `spec/targets.md` that these benchmarks cover, all in one place.

/// Which side of the bound is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Met at or below.
    AtMost(f64),
    /// Met at or above.
    AtLeast(f64),
}

impl Bound {
    /// The number itself.
    pub fn value(self) -> f64 {
        match self {
            Self::AtMost(v) | Self::AtLeast(v) => v,
        }
    }

    /// Whether what was measured is good enough. What is no number is not.
    pub fn met(self, measured: f64) -> bool {
        match self {
            Self::AtMost(v) => measured <= v,
            Self::AtLeast(v) => measured >= v,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(v) => write!(f, "<= {v}"),
            Self::AtLeast(v) => write!(f, ">= {v}"),
        }
    }
}

/// One target.
pub struct Target {
    /// The subcommand that measures it.
    pub bench: &'static str,
    /// What is divided by what; names a unit where the target is an absolute figure.
    pub name: &'static str,
    /// The bound.
    pub bound: Bound,
}

const fn at_most(bench: &'static str, name: &'static str, value: f64) -> Target {
    Target { bench, name, bound: Bound::AtMost(value) }
}

const fn at_least(bench: &'static str, name: &'static str, value: f64) -> Target {
    Target { bench, name, bound: Bound::AtLeast(value) }
}

/// Commits are held against the floor twice: with only the two of them in turn, and with all engines in turn, where each
/// finds its caches emptied by the others.
pub const TARGETS: &[Target] = &[
    at_most("commit", "Normal p50: ours (primary) / floor write", 3.0),
    at_most("commit", "Normal p50, all engines in turn: ours (primary) / floor write", 3.0),
    at_most("commit", "Normal p50: with a reader taking a view each ms / quiet", 2.0),
    at_most("commit", "Full p50: ours (primary) / floor fdatasync", 1.05),
    at_most("commit", "Full p50, all engines in turn: ours (primary) / floor fdatasync", 1.05),
    at_most("commit", "batch of 100 keyed nodes, Normal p50: ours / kitedb 0.2.18", 0.5),
    at_most("commit", "batch of 100 edges with 10 properties, Normal p50: ours / kitedb 0.2.18", 0.5),
    at_least("group-commit", "Full commits/s: 8 threads / 1 thread", 3.0),
    at_least("submit", "Full commits/s: 1,000 in flight on one thread / 8 blocking threads", 2.0),
    at_least("submit", "Normal commits/s: 1,000 in flight on one thread / one blocking thread", 0.9),
    at_most("read", "node by key (a): ours / CSR", 3.0),
    at_most("read", "node by key (b): ours / CSR", 2.0),
    at_most("read", "node property (a): ours, ns", 30.0),
    at_most("read", "node property (b): ours, ns", 120.0),
    at_most("read", "1-hop sum (a): ours / CSR", 3.0),
    at_most("read", "1-hop sum (b): ours / CSR", 3.0),
    at_most("read", "1-hop one type (a): ours / CSR", 2.5),
    at_most("read", "1-hop one type (b): ours / CSR", 2.5),
    at_most("read", "edge exists (a): ours / CSR", 2.5),
    at_most("read", "edge exists (b): ours / CSR", 2.5),
    at_most("read", "2-hop distinct (a): ours / CSR", 2.0),
    at_most("read", "2-hop distinct (b): ours / CSR", 2.0),
    at_least("read", "BFS depth 3 (a): rate of ours / CSR", 0.4),
    at_least("read", "BFS depth 3 (b): rate of ours / CSR", 0.4),
    at_most("read", "10 % delta (a): worst operation / compacted", 2.0),
    at_most("read", "10 % delta (b): worst operation / compacted", 2.0),
    at_most("read", "4 runs (a): worst operation / compacted", 2.0),
    at_most("read", "4 runs (b): worst operation / compacted", 2.0),
    at_least("load", "load (b) in batches of 10,000: edges/s with nodes and final checkpoint", 1_000_000.0),
    at_most("open", "open (b) after a clean close, ms", 5.0),
    at_most("open", "open (b) / open (a)", 2.0),
    at_most("open", "open + close without a commit, 100k / 200k: ours / kitedb 0.2.18", 0.5),
    at_most("open", "open with a log of 20,000 small commits: ours / kitedb 0.2.18", 0.5),
    at_most("open", "bytes on disk (b), MB", 250.0),
    at_most("memory", "resident after open (b), MB", 20.0),
    at_most("memory", "resident after touching 1 % of the nodes (b), MB", 150.0),
    at_most("checkpoint", "bytes of a checkpoint of 10,000 changed nodes: largest / smallest of three sizes", 1.5),
    at_most("checkpoint", "loading (b) by small commits: bytes written / bytes of frames", 6.0),
    at_most("checkpoint", "loading (b) by small commits: most runs a read saw", 8.0),
    at_most("checkpoint", "commit p99: during a checkpoint / beside a plain writer", 2.0),
    at_most("checkpoint", "commit p99: during a compaction / beside a plain writer", 2.0),
    at_most("replication-overhead", "one-node commits, off, p50: primary / no role", 1.03),
    at_most("replication-overhead", "one-node commits, off, p95: primary / no role", 1.03),
    at_least("replication-overhead", "one-node commits, off, commits/s: primary / no role", 0.97),
    at_most("replication-overhead", "one-node commits, normal, p50: primary / no role", 1.03),
    at_most("replication-overhead", "one-node commits, normal, p95: primary / no role", 1.03),
    at_least("replication-overhead", "one-node commits, normal, commits/s: primary / no role", 0.97),
    at_most("replication-overhead", "one-node commits, full, p50: primary / no role", 1.03),
    at_most("replication-overhead", "one-node commits, full, p95: primary / no role", 1.03),
    at_least("replication-overhead", "one-node commits, full, commits/s: primary / no role", 0.97),
    at_most("replication-overhead", "100-node commits, off, p50: primary / no role", 1.03),
    at_most("replication-overhead", "100-node commits, off, p95: primary / no role", 1.03),
    at_least("replication-overhead", "100-node commits, off, commits/s: primary / no role", 0.97),
    at_most("replication-overhead", "100-node commits, normal, p50: primary / no role", 1.03),
    at_most("replication-overhead", "100-node commits, normal, p95: primary / no role", 1.03),
    at_least("replication-overhead", "100-node commits, normal, commits/s: primary / no role", 0.97),
    at_most("replication-overhead", "100-node commits, full, p50: primary / no role", 1.03),
    at_most("replication-overhead", "100-node commits, full, p95: primary / no role", 1.03),
    at_least("replication-overhead", "100-node commits, full, commits/s: primary / no role", 0.97),
    at_least("catchup", "catch-up of 5,000 one-node frames, Normal: ours / kitedb 0.2.18", 5.0),
    at_least("catchup", "catch-up of 5,000 one-node frames, Full on both sides: ours / kitedb 0.2.18", 30.0),
    at_least("catchup", "catch-up rate, Normal: ours / own primary's commit rate", 1.0),
    at_least("bootstrap", "bootstrap while the primary writes: rate / plain copy with a final sync", 0.7),
    at_most("bootstrap", "commit p95: during a bootstrap / beside the plain copy", 1.25),
    // "The same time, within noise."
    at_most("log-paging", "page exported as JSON: end / start of the log", 1.25),
    at_most("log-paging", "page pulled by a replica: end / start of the log", 1.25),
    at_least("telemetry", "one-node commits/s, off: observed each 100 ms / not", 0.99),
    at_least("telemetry", "one-node commits/s, normal: observed each 100 ms / not", 0.99),
    at_least("http", "point reads/s over HTTP: ours, beside a writer / bare axum", 0.7),
    at_least("http", "point reads/s over HTTP: ours, which has it open / bare axum", 0.7),
    at_most("http", "one-node commits, normal, p95: served and scraped / alone", 1.03),
    at_most("http", "one-node commits, full, p95: served and scraped / alone", 1.03),
    at_least("http", "bytes/s by curl: the log / a file of the same size", 0.8),
    at_most("traverse", "nodes within 2 hops (b): ours / CSR", 2.0),
    at_most("traverse", "BFS to depth 3 (b): ours / CSR", 2.5),
    at_most("path", "shortest path of a random pair (b): ours / CSR", 3.0),
    at_most("path", "components (b), one thread, with the projection: ours / CSR", 3.0),
    at_most("path", "PageRank (b), one thread, with the projection: ours / CSR", 3.0),
    at_least("path", "components (b), with the projection: one thread / two", 1.6),
    at_least("path", "PageRank (b), with the projection: one thread / two", 1.6),
    at_most("soak", "divergences of five replicas from their primary", 0.0),
];

/// The targets of one subcommand.
pub fn of(bench: &str) -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().filter(move |t| t.bench == bench)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_what_is_no_number_is_missed() {
        let mut names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
        assert!(!Bound::AtMost(1.0).met(f64::NAN) && !Bound::AtLeast(1.0).met(f64::NAN));
    }
}
