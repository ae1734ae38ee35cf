#!/usr/bin/env bash
# How fast a replica must catch up.

set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
    cat <<'EOF'
usage: scripts/replication-catchup-gate.sh

A replica catches up with 5,000 one-node frames and with 500 frames of 100 nodes, pages of 256, sync modes Off, Normal
and Full on both sides. Exits with 1 if a bound is missed. What noise spoils is tried again: a bound counts as met once
it was met in one attempt.

  ATTEMPTS              the most attempts                                            [3]
  MIN_CATCHUP_FPS       frames per second caught up, one-node frames, in each mode   [398970; Full: 221910]
  MIN_THROUGHPUT_RATIO  frames per second caught up / commits per second of the
                        replica's own primary, frames of both sizes                  [1.0]
  PEERS                 1: beside kitedb 0.2.18, in the same run, too, of whose frames
                        per second it must have the following; takes minutes to build [0]
  MIN_PEER_RATIO        the same in Normal, one-node frames                          [5]
  MIN_PEER_RATIO_FULL   and in Full                                                  [30]
  BENCH_DIR             where the databases are made: on the disk that counts        [a temporary folder on a disk]
  QUICK                 1: few rounds, to see that it runs; they decide nothing      [0]
  KITEDB_BENCH          a kitedb-bench to use instead of building it                 [built]

The two numbers of MIN_CATCHUP_FPS are 5 and 30 times what kitedb 0.2.18 did on a machine with two virtual cores; on
another kind of machine set your own, or PEERS=1, which compares within one run.
EOF
}

case "${1:-}" in
    '') ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
esac

attempts="${ATTEMPTS:-3}"
ratio="${MIN_THROUGHPUT_RATIO:-1.0}"
source "$here/replication-gate.sh"

for mode in off normal full; do
    fps="${MIN_CATCHUP_FPS:-$([ "$mode" = full ] && echo 221910 || echo 398970)}"
    rule "one-node frames, $mode, frames/s" "one-node frames: ours, $mode: caught up" '>=' "$fps"
    for size in one-node 100-node; do
        rule "$size frames, $mode, caught up / committed" "$size frames: ours, $mode: caught up / committed" '>=' "$ratio"
    done
done >"$scratch/rules"
if [ "$peers" = 1 ]; then
    for mode in normal full; do
        bound="$([ "$mode" = full ] && echo "${MIN_PEER_RATIO_FULL:-30}" || echo "${MIN_PEER_RATIO:-5}")"
        rule "one-node frames, $mode, ours / kitedb 0.2.18" "one-node frames, $mode: ours / kitedb 0.2.18" '>=' "$bound"
    done >>"$scratch/rules"
fi
check_rules

reports=()
for ((attempt = 1; attempt <= attempts; attempt++)); do
    printf '\n==== catching up: attempt %s of at most %s\n' "$attempt" "$attempts"
    bench catchup --json "$scratch/catchup-$attempt.json"
    reports+=("$scratch/catchup-$attempt.json")
    judge "${reports[@]}" && exit 0
done
exit 1
