#!/usr/bin/env bash
# Builds the Node package, checks its types, and runs its tests: from nothing but Rust, Node 20 and a network for the crates and
# packages.
#
#     scripts/test-node.sh
#
#   PROFILE   dist: the addon as it is shipped, which takes minutes to build    [release]

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../bindings-node"

heading() {
    printf '\n==== %s\n' "$*"
}

heading 'Node: packages'
npm ci --no-fund --no-audit
heading 'Node: the addon'
if [ "${PROFILE:-release}" = dist ]; then node scripts/build.mjs; else node scripts/build.mjs --quick; fi
heading 'Node: types'
npm run --silent types
heading 'Node: tests'
npm test --silent
heading 'Node: the package, installed elsewhere'
scripts/test-package.sh
if [ "${PROFILE:-release}" = dist ]; then node scripts/sizes.mjs --check; fi
