#!/usr/bin/env bash
# What replication may cost a commit.

set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
    cat <<'EOF'
usage: scripts/replication-bench-gate.sh

Commits on a primary against the same commits on a database without a role, side by side, commit by commit: one node
and 100 nodes a commit, sync modes Off, Normal and Full. Exits with 1 if the median of the rounds' ratios on / off
misses a bound. Takes some minutes; let nothing else run beside it.

  ATTEMPTS        rounds whose median counts, each on two new databases        [7]
  P95_MAX_RATIO   bound of the 95th percentile of a commit's time, on / off    [1.03]
  P50_MAX_RATIO   bound of the median of a commit's time, on / off             [1.03]
  MIN_RATE_RATIO  bound of the commits per second, on / off                    [0.97]
  BENCH_DIR       where the databases are made: on the disk that counts        [a temporary folder on a disk]
  QUICK           1: short rounds, to see that it runs; they decide nothing    [0]
  KITEDB_BENCH    a kitedb-bench to use instead of building it                 [built]
EOF
}

case "${1:-}" in
    '') ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
esac

attempts="${ATTEMPTS:-7}"
p95="${P95_MAX_RATIO:-1.03}"
p50="${P50_MAX_RATIO:-1.03}"
rate="${MIN_RATE_RATIO:-0.97}"
source "$here/replication-gate.sh"

for size in one-node 100-node; do
    for mode in off normal full; do
        rule "$size commits, $mode, p95 on / off" "$size commits: ours, $mode: p95 on / off" '<=' "$p95"
        rule "$size commits, $mode, p50 on / off" "$size commits: ours, $mode: p50 on / off" '<=' "$p50"
        rule "$size commits, $mode, commits/s on / off" "$size commits: ours, $mode: rate on / off" '>=' "$rate"
    done
done >"$scratch/rules"
check_rules

printf '\n==== commits on a primary / on a database without a role: medians of %s rounds\n' "$attempts"
bench replication-overhead --rounds "$attempts" --json "$scratch/overhead.json"
judge "$scratch/overhead.json"
