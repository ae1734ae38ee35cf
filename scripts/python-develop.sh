#!/usr/bin/env bash
# Builds the Python extension and puts the package, as it lies here, into the environment bindings-python/.venv, which is made if it is
# not there, with what the tests want.
#
#     scripts/python-develop.sh
#
#   PROFILE   dev: as the tests of Rust are built; release: optimised; dist: as it is shipped, which takes minutes   [dev]

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../bindings-python"

python="${PYTHON:-python3}"
[ -x .venv/bin/python ] || "$python" -m venv .venv
bin="$PWD/.venv/bin"
"$bin/pip" install --quiet --no-compile --disable-pip-version-check -r requirements-test.txt

case "${PROFILE:-dev}" in
    dev)
        # With all of the workspace: built alone, it would ask other features of what it depends on, which would be built again.
        cargo build --quiet --workspace --lib --bins --examples
        target="$(cargo metadata --format-version 1 --no-deps | "$bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
        # By a rename, so that a process which has the old one mapped keeps it.
        cp "$target/debug/lib_kitedb.so" python/kitedb/_kitedb.abi3.so.new
        mv python/kitedb/_kitedb.abi3.so.new python/kitedb/_kitedb.abi3.so
        echo "$PWD/python" >"$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/kitedb.pth"
        ;;
    release | dist) VIRTUAL_ENV="$PWD/.venv" "$bin/maturin" develop --profile "$PROFILE" --quiet ;;
    *) echo "PROFILE is none of dev, release, dist: $PROFILE" >&2 && exit 2 ;;
esac
