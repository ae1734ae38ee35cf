#!/usr/bin/env python3
"""Makes one workspace of crates that were packaged and unpacked beside each other, so that each finds the others there and not in a
registry.

    scripts/packages-workspace.py FOLDER
"""

import json
import re
import sys
import tomllib
from pathlib import Path


def main(folder: Path) -> None:
    here = Path(__file__).resolve().parent.parent
    packages = {}
    for manifest in sorted(folder.glob("*/Cargo.toml")):
        packages[tomllib.loads(manifest.read_text())["package"]["name"]] = manifest.parent.name
    if not packages:
        sys.exit(f"there is no crate in {folder}")
    # Profiles as here: what crates depend on is the same then, and not checked again.
    root = (here / "Cargo.toml").read_text()
    profiles = re.findall(r"^\[profile\.dev[^\]]*\]\n(?:[^\[\n]*\n)*", root, re.MULTILINE)
    members = json.dumps(list(packages.values()))
    patches = "".join(f'{name} = {{ path = "{place}" }}\n' for name, place in packages.items())
    text = f'[workspace]\nresolver = "3"\nmembers = {members}\n\n[patch.crates-io]\n{patches}\n{"".join(profiles)}'
    (folder / "Cargo.toml").write_text(text)
    (folder / "Cargo.lock").write_bytes((here / "Cargo.lock").read_bytes())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
