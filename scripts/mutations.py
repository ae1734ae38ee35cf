#!/usr/bin/env python3
"""Takes back one mend at a time and sees that a test notices.

    scripts/mutations.py                # all of tests/mutations.json; a build and a few tests each
    scripts/mutations.py fenced copy    # those whose name contains one of these words
    scripts/mutations.py --check        # only that each still stands where the list says

Each entry names a file, a text that stands in it exactly once, what takes its place, and the tests of which one must fail
then: a test target (`schedules` with its feature, `lib` for the tests beside the code) and a part of a test's name, of
kitedb-core, or after the name of another package. Under `also` stand further places that change with the first one, in
the same file if they name none. A test that does not end within twenty minutes has failed. The sources are copied; nothing here
is changed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Seconds that one run of tests may take.
LONGEST = 1200


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


def mutate(folder: Path, entry: dict) -> dict[Path, str]:
    """Makes all replacements of an entry in `folder`. Returns the files that it changed, as they were."""
    sound: dict[Path, str] = {}
    for place in [entry, *entry.get("also", [])]:
        path = folder / place.get("file", entry["file"])
        text = path.read_text()
        sound.setdefault(path, text)
        path.write_text(mutated(text, place["find"], place["replace"]))
    return sound


def test_command(test: str) -> tuple[list[str], str]:
    """The command that builds the target of a test, and the name that chooses among its tests.

    >>> test_command("engine attacks::roles::")
    (['cargo', 'test', '-q', '-p', 'kitedb-core', '--test', 'engine'], 'attacks::roles::')
    >>> test_command("kitedb-cli command attacks::names::")
    (['cargo', 'test', '-q', '-p', 'kitedb-cli', '--test', 'command'], 'attacks::names::')
    >>> test_command("lib fence::")
    (['cargo', 'test', '-q', '-p', 'kitedb-core', '--lib'], 'fence::')
    """
    first, _, rest = test.partition(" ")
    package, test = (first, rest) if first.startswith("kitedb-") else ("kitedb-core", test)
    target, _, name = test.partition(" ")
    command = ["cargo", "test", "-q", "-p", package]
    command += ["--lib"] if target == "lib" else ["--test", target]
    if target == "schedules":
        command += ["--features", "shuttle"]
    return command, name


def run_tests(folder: Path, tests: list[str]) -> bool:
    """Whether all of them pass. What does not build is an error of the list."""
    env = os.environ | {"CARGO_TARGET_DIR": str(ROOT / "target" / "mutations")}
    for test in tests:
        command, name = test_command(test)
        built = subprocess.run([*command, "--no-run"], cwd=folder, env=env, capture_output=True, text=True)
        if built.returncode != 0:
            raise SystemExit(f"it does not build:\n{built.stderr}")
        # A group of its own: what does not end is ended with all that it began.
        with subprocess.Popen(
            [*command, "--", name], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as ran:
            try:
                passed = ran.wait(timeout=LONGEST) == 0
            except subprocess.TimeoutExpired:
                os.killpg(ran.pid, signal.SIGKILL)
                passed = False
        if not passed:
            return False
    return True


def main(words: list[str]) -> int:
    entries = json.loads((ROOT / "tests" / "mutations.json").read_text())
    if words == ["--check"]:
        for entry in entries:
            for place in [entry, *entry.get("also", [])]:
                mutated((ROOT / place.get("file", entry["file"])).read_text(), place["find"], place["replace"])
        return 0
    chosen = [entry for entry in entries if not words or any(word in entry["name"] for word in words)]
    missed = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "kitedb"
        ignore = shutil.ignore_patterns("target", ".git", "node_modules", ".venv")
        shutil.copytree(ROOT, folder, ignore=ignore, symlinks=True)
        for entry in chosen:
            sound = mutate(folder, entry)
            noticed = not run_tests(folder, entry["tests"])
            for path, text in sound.items():
                path.write_text(text)
            print(f"{'noticed' if noticed else 'MISSED '}  {entry['name']}", flush=True)
            if not noticed:
                missed.append(entry["name"])
    print(f"{len(chosen) - len(missed)} passed, {len(missed)} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
