#!/usr/bin/env bash
# Tests a replication group of one Rust process (the command), one Node process and one Python process: builds the three, and lets each
# follow and lead. Wants what scripts/test-node.sh and scripts/test-python.sh want.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release -p kitedb-cli ${KITEDB_BUILD_WITH:+-p ${KITEDB_BUILD_WITH// / -p }}
(cd bindings-node && npm ci --no-fund --no-audit --silent && node scripts/build.mjs --quick)

cd bindings-python
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --no-compile --disable-pip-version-check -r requirements-test.txt
VIRTUAL_ENV="$PWD/.venv" .venv/bin/maturin develop --release --quiet

target="$(cargo metadata --format-version 1 --no-deps | "${PYTHON:-python3}" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
KITEDB_COMMAND="$target/release/kitedb" .venv/bin/pytest tests/group
