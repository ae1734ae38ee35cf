#!/usr/bin/env bash
# Sets up and runs everything that must hold before a change is merged. From nothing: Rust (with rustfmt and
# clippy), Python 3.11 with venv, Node 20.17, openssl, curl, and a network for the crates and packages; promtool and prometheus,
# which the step telemetry installs where it is root on Debian.
#
#     scripts/test.sh              # all of it
#     scripts/test.sh lint unit    # only these steps, in this order
#
# Steps: lint, unit, docs, package, scripts, telemetry, node, ts, python, group, demo, bench.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

target_directory="$(cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"

heading() {
    printf '\n==== %s\n' "$*"
}

lint() {
    heading 'format'
    cargo fmt --all --check
    heading 'clippy'
    cargo clippy --workspace --all-targets -- -D warnings
    # Of the workspace, so that what it depends on is what all else does.
    cargo clippy --workspace --features kitedb-core/shuttle --test schedules -- -D warnings
    heading 'clippy, with each feature alone'
    cargo clippy -p kitedb-cli --no-default-features --all-targets -- -D warnings
    cargo clippy -p kitedb-telemetry --no-default-features --lib -- -D warnings
}

unit() {
    # Documentation tests, the README among them, are part of it.
    heading 'tests'
    cargo test --workspace
    heading 'tests, under a scheduler'
    cargo test --workspace --features kitedb-core/shuttle --test schedules
    heading "the runbook's test lines, with and without default features"
    scripts/runbook-tests.py
}

docs() {
    heading 'documentation'
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
}

package() {
    heading 'packages'
    # Each crate as it would be published: with all it needs, and nothing from outside its folder. Unpacked into one workspace, where
    # each finds the others and what they depend on is as clippy had it; nothing of it is run, so it is checked and not built.
    local here=(--exclude kitedb-bench --exclude kitedb-napi --exclude kitedb-py) crate
    cargo package --workspace "${here[@]}" --allow-dirty --no-verify --exclude-lockfile --quiet --target-dir "$scratch/package"
    mkdir "$scratch/crates"
    for crate in "$scratch"/package/package/*.crate; do
        tar -xzf "$crate" -C "$scratch/crates"
    done
    scripts/packages-workspace.py "$scratch/crates"
    cargo check --manifest-path "$scratch/crates/Cargo.toml" --workspace --target-dir "$target_directory"
}

scripts() {
    heading 'scripts'
    python3 -m doctest scripts/debian-packages.py scripts/replication-gate-table.py scripts/mutations.py \
        scripts/runbook-tests.py scripts/surface.py scripts/migrating.py scripts/export-of-0-2.py scripts/prometheus-check.py
    scripts/mutations.py --check
    heading 'every method has its names in every language'
    scripts/surface.py
    heading 'every name of 0.2 leads somewhere'
    scripts/migrating.py --check
}

telemetry() {
    heading 'telemetry, as others read it'
    scripts/telemetry-check.sh
}

node() {
    scripts/test-node.sh
}

ts() {
    heading 'what a Node host serves of replication'
    scripts/test-ts.sh
}

python() {
    heading 'the Python package'
    scripts/test-python.sh
    heading 'the Python package, installed elsewhere'
    scripts/test-python-package.sh
}

group() {
    heading 'a replication group of a Rust, a Node and a Python process, and what servers in all three answer over HTTP'
    scripts/test-group.sh
}

demo() {
    heading 'demo'
    cargo demo --dir "$scratch/demo"
}

bench() {
    # Built as the tests are, and two at a time: what is measured is not what they are run for here.
    heading 'benchmarks, without peers: that they run, not what they measure'
    cargo build --workspace --lib --bins --examples
    local all=(commit group-commit submit read open checkpoint load memory
        replication-overhead catchup bootstrap log-paging soak telemetry http traverse path)
    export bench="$target_directory/debug/kitedb-bench" scratch
    # shellcheck disable=SC2016 # it is expanded there
    printf '%s\n' "${all[@]}" | xargs -P 2 -I '{}' bash -c '
        began=$SECONDS
        "$bench" {} --quick --dir "$scratch/bench-{}" --json "$scratch/{}.json" >"$scratch/{}.log" 2>&1 &&
            python3 -m json.tool "$scratch/{}.json" >/dev/null && rm -rf "$scratch/bench-{}" &&
            printf "\n==== kitedb-bench {} --quick took %s s\n%s\n" "$((SECONDS - began))" "$(cat "$scratch/{}.log")" ||
            { printf "\n==== kitedb-bench {} --quick FAILED\n"; cat "$scratch/{}.log"; exit 255; }'
    heading 'the gate of replication: that it runs; short rounds miss bounds'
    KITEDB_BENCH="$target_directory/debug/kitedb-bench" QUICK=1 ATTEMPTS=1 BENCH_DIR="$scratch/bench" scripts/replication-perf-gate.sh || [ $? -eq 1 ]
}

steps=("$@")
if [ ${#steps[@]} -eq 0 ]; then
    steps=(lint unit docs package scripts telemetry node ts python group demo bench)
fi
for step in "${steps[@]}"; do
    began=$SECONDS
    case "$step" in
        lint | unit | docs | package | scripts | telemetry | node | ts | python | group | demo | bench) "$step" ;;
        *)
            printf 'no step %s: lint, unit, docs, package, scripts, telemetry, node, ts, python, group, demo, bench\n' "$step" >&2
            exit 2
            ;;
    esac
    printf '\n==== %s took %s s\n' "$step" "$((SECONDS - began))"
done
printf '\n==== all passed: %s\n' "${steps[*]}"
