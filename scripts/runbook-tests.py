#!/usr/bin/env python3
"""Whether the test lines of the runbook's checklist run as many tests without default features as with them.

    scripts/runbook-tests.py            # builds the tests, and lists them
    scripts/runbook-tests.py --lines    # only says which lines these are

The lines are those of docs/runbook.md that begin with `cargo test --no-default-features`, run from the root of the
repository. The tests are listed, not run. A line that names a test target which is not there, or that finds no test, is a
fault, too.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNBOOK = ROOT / "docs" / "runbook.md"
FLAG = "--no-default-features"
# As many as the checklist has: one that was reworded is not passed over.
EXPECTED_LINES = 2


def lines_of(text):
    """
    >>> lines_of("```sh\\ncargo test --no-default-features a::\\ncargo build\\n```")
    ['cargo test --no-default-features a::']
    >>> lines_of("run cargo test --no-default-features a::")
    []
    """
    return [line.strip() for line in text.splitlines() if line.startswith(f"cargo test {FLAG} ")]


def tests_of(listed):
    """The tests that `cargo test … -- --list` told, each as often as it told it.

    >>> tests_of("a::b: test\\nc: test\\n\\n2 tests, 0 benchmarks\\nd - e (line 4): test\\nx: benchmark\\n")
    ['a::b', 'c', 'd - e (line 4)']
    """
    return re.findall(r"^(.*): test$", listed, re.MULTILINE)


def without_flag(words):
    """
    >>> without_flag(["cargo", "test", "--no-default-features", "a::"])
    ['cargo', 'test', 'a::']
    """
    return [word for word in words if word != FLAG]


def more(some, others):
    """What is in `some` and not in `others`, each as often as it is there more.

    >>> more(["a", "a", "b"], ["a"])
    ['a', 'b']
    """
    left = list(others)
    found = []
    for one in some:
        if one in left:
            left.remove(one)
        else:
            found.append(one)
    return found


def list_tests(words):
    done = subprocess.run(
        [*words, "--", "--list"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CARGO_TERM_COLOR": "never"},
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"runbook-tests: {shlex.join(words)} -- --list failed with {done.returncode}")
    return tests_of(done.stdout)


def main():
    lines = lines_of(RUNBOOK.read_text(encoding="utf-8"))
    if len(lines) != EXPECTED_LINES:
        sys.exit(f"runbook-tests: {RUNBOOK.name} has {len(lines)} lines that begin with cargo test {FLAG}, not {EXPECTED_LINES}")
    if sys.argv[1:] == ["--lines"]:
        print("\n".join(lines))
        return
    if sys.argv[1:]:
        sys.exit(__doc__)
    faults = []
    for line in lines:
        words = shlex.split(line)
        bare, whole = list_tests(words), list_tests(without_flag(words))
        print(f"{len(bare)} tests, and {len(whole)} with default features: {line}", flush=True)
        if not bare:
            faults.append(f"no test: {line}")
        for missing, where in [(more(whole, bare), "without"), (more(bare, whole), "with")]:
            faults.extend(f"not there {where} default features: {test}: {line}" for test in missing)
    if faults:
        sys.exit("\n".join(["runbook-tests:", *faults]))


if __name__ == "__main__":
    main()
