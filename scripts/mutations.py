#!/usr/bin/env python3
"""Takes back one mend at a time and sees that a test notices.

    scripts/mutations.py                # all of tests/mutations.json; a build and a few tests each
    scripts/mutations.py fenced copy    # those whose name contains one of these words
    scripts/mutations.py --check        # only that each still stands where the list says

Each entry names a file, a text that stands in it exactly once, what takes its place, and the tests of kitedb-core of
which one must fail then: a test target (`schedules` with its feature) and a part of a test's name. The sources are copied; nothing here is changed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def mutated(text: str, find: str, replace: str) -> str:
    """`text` with the one place that says `find` saying `replace`.

    >>> mutated("a b c", "b", "x")
    'a x c'
    >>> mutated("a b b", "b", "x")
    Traceback (most recent call last):
        ...
    ValueError: it stands there 2 times: 'b'
    """
    count = text.count(find)
    if count != 1:
        raise ValueError(f"it stands there {count} times: {find!r}")
    return text.replace(find, replace)


def run_tests(folder: Path, tests: list[str]) -> bool:
    """Whether all of them pass. What does not build is an error of the list."""
    env = os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target" / "mutations")}
    for test in tests:
        target, _, name = test.partition(" ")
        command = ["cargo", "test", "-q", "-p", "kitedb-core", "--test", target]
        if target == "schedules":
            command += ["--features", "shuttle"]
        built = subprocess.run([*command, "--no-run"], cwd=folder, env=env, capture_output=True, text=True)
        if built.returncode != 0:
            raise SystemExit(f"it does not build:\n{built.stderr}")
        ran = subprocess.run([*command, "--", name], cwd=folder, env=env, capture_output=True, text=True)
        if ran.returncode != 0:
            return False
    return True


def main(words: list[str]) -> int:
    entries = json.loads((ROOT / "tests" / "mutations.json").read_text())
    if words == ["--check"]:
        for entry in entries:
            mutated((ROOT / entry["file"]).read_text(), entry["find"], entry["replace"])
        return 0
    chosen = [entry for entry in entries if not words or any(word in entry["name"] for word in words)]
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "kitedb"
        ignore = shutil.ignore_patterns("target", ".git", "node_modules", ".venv")
        shutil.copytree(ROOT, folder, ignore=ignore, symlinks=True)
        for entry in chosen:
            path = folder / entry["file"]
            sound = path.read_text()
            path.write_text(mutated(sound, entry["find"], entry["replace"]))
            noticed = not run_tests(folder, entry["tests"])
            path.write_text(sound)
            print(f"{'noticed' if noticed else 'MISSED '}  {entry['name']}", flush=True)
            if not noticed:
                missed.append(entry["name"])
    print(f"{len(chosen) - len(missed)} passed, {len(missed)} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
