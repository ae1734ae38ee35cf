#!/usr/bin/env bash
# The performance gate of replication.

set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
    cat <<'EOF'
usage: scripts/replication-perf-gate.sh

Runs both parts, also where the first one fails, and exits with 1 if either misses a bound:

  scripts/replication-bench-gate.sh    what replication costs a commit
  scripts/replication-catchup-gate.sh  how fast a replica catches up

Each part's --help says which variables it reads and what they are by default. A variable that is set applies to both:
ATTEMPTS=11 makes it 11 rounds of the first (by default 7) and at most 11 attempts of the second (by default 3).
EOF
}

case "${1:-}" in
    '') ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
esac

missed=()
for part in replication-bench-gate.sh replication-catchup-gate.sh; do
    # Each part fails with 1 where a bound is missed, otherwise where it could not measure: then nothing is said of it.
    "$here/$part" || { [ $? -eq 1 ] && missed+=("$part") || exit 2; }
done
if [ ${#missed[@]} -gt 0 ]; then
    printf '\n==== replication: missed in %s\n' "${missed[*]}"
    exit 1
fi
printf '\n==== replication: all bounds are met\n'
