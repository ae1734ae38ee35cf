#!/usr/bin/env bash
# Checks what KiteDB says of itself with tools that are not its own: promtool for the text, the alerts and the
# dashboard, Prometheus for the alerts of a group that runs, PyPI's opentelemetry-proto and prometheus-client for OTLP and
# OpenMetrics.
#
# Needs Rust, Python 3 with venv, a network for the packages, promtool and prometheus. As root on Debian it installs those;
# where it cannot, it says so and leaves out what needs them.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

if ! { command -v promtool && command -v prometheus; } >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus >/dev/null || true
fi
if command -v promtool >/dev/null; then
    have_promtool=1
else
    have_promtool=0
    printf 'NOT CHECKED with promtool, which is missing: install it (on Debian: apt-get install prometheus)\n' >&2
fi
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-proto prometheus-client grpcio

# As the tests are built, so that nothing is built twice.
cargo build --quiet --workspace --lib --bins --examples
target="$(cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
"$target/debug/examples/render" "$scratch/metrics"

# lint FILE [FINDING...]: promtool finds these things and nothing else.
lint() {
    local file="$1" found
    shift
    [ "$have_promtool" = 1 ] || return 0
    found="$(promtool check metrics <"$scratch/metrics/$file" 2>&1 || true)"
    if [ "$found" != "$(printf '%s\n' "$@")" ]; then
        printf 'promtool check metrics, %s:\n%s\nexpected:\n%s\n' "$file" "$found" "$*" >&2
        exit 1
    fi
    printf 'promtool check metrics, %s: as expected\n' "$file"
}
for role in primary replica disabled all; do
    lint "$role.linted.prom"
done
# Two names of the contract keep what it lints.
lint replica.contract.prom
lint disabled.contract.prom
count='non-histogram and non-summary metrics should not have "_count" suffix'
lint primary.contract.prom "kitedb_replication_primary_replica_count $count" \
    "kitedb_replication_primary_stale_epoch_replica_count $count"

# What the command prints of a database's files.
kitedb() {
    "$target/debug/kitedb" "$@"
}
echo 'ada charles KNOWS' | kitedb import "$scratch/social.kitedb" - --format edgelist --role primary >/dev/null
kitedb metrics "$scratch/social.kitedb" --names linted >"$scratch/metrics/files.linted.prom"
grep -q '^kitedb_replication_primary_head_log_index{database="social.kitedb"} 1$' "$scratch/metrics/files.linted.prom"
lint files.linted.prom

"$scratch/venv/bin/python" scripts/telemetry-read.py "$scratch/metrics"

# Alert rules, their tests, and what the dashboard asks for.
check_examples() {
    local examples=docs/examples/telemetry
    promtool check rules "$examples/alerts.yml"
    promtool test rules "$examples/alerts_test.yml"
    # What the dashboard asks for is PromQL: checked as rules, with something in place of Grafana's variables.
    python3 - "$examples/grafana-dashboard.json" >"$scratch/dashboard.yml" <<'PYTHON'
import json, sys

panels = json.load(open(sys.argv[1]))["panels"]
queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
queries = [query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$database", ".*") for query in queries]
assert queries and not any("$" in query for query in queries), queries
rules = [{"record": f"dashboard:query{n}", "expr": query} for n, query in enumerate(queries)]
print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
    promtool check rules "$scratch/dashboard.yml"
}
if [ "$have_promtool" = 1 ]; then
    check_examples
fi

# A group that runs, scraped: the alerts fire when its primary dies, and not otherwise.
if [ "$have_promtool" = 1 ] && command -v prometheus >/dev/null; then
    python3 -B scripts/prometheus-check.py "$target/debug/kitedb"
else
    printf 'NOT CHECKED with prometheus, which is missing: what the alerts do when a primary dies\n' >&2
fi

# A collector written in Python takes what the command and an application push, over every protocol.
"$scratch/venv/bin/python" -B tests/telemetry/check.py "$target/debug/kitedb" "$target/debug/examples/application"
