#!/usr/bin/env bash
# Installs, type-checks, builds and tests `ts/`, and the templates in `docs/examples/` that use it: they are started as their users
# start them, over the real engine, and called by a real client. Wants Node 20.17 or newer, Rust, openssl and a network for the
# packages.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
cargo build --quiet --manifest-path ts/test/host/Cargo.toml
export KITEDB_TEST_HOST="$CARGO_TARGET_DIR/debug/kitedb-test-host"

cd ts
npm ci
npm run clean
npm run build
npm test
