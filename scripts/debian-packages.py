#!/usr/bin/env python3
"""Debian's package graph as JSON lines for `kitedb import`.

Reads stanzas in the format of Packages files, such as `apt-cache dumpavail` prints, from standard input and
writes nodes and edges to standard output:

    apt-cache dumpavail | scripts/debian-packages.py | kitedb import debian.kitedb - --format jsonl
    kitedb neighbors debian.kitedb libc6 --in --type PRE_DEPENDS
    kitedb check debian.kitedb

Nodes are packages, by name: label Package, properties version, architecture, section, priority, size (bytes of
the archive), installed_size (KiB), summary. A name that no stanza has, but that is depended on or provided,
becomes a node with the label VirtualPackage. A name with several stanzas keeps the first.

Edges are relations: DEPENDS, PRE_DEPENDS, RECOMMENDS, SUGGESTS, ENHANCES, CONFLICTS, BREAKS, REPLACES, PROVIDES.
Their properties: version, the constraint as written (">= 2.34"; several on the same name are joined by ", ");
for alternatives `a | b`, alternative: 1 for the first, 2 for the second; architecture, where one is given.

    python3 -m doctest scripts/debian-packages.py      # tests it
"""

import json
import re
import sys

RELATIONS = {
    "Depends": "DEPENDS",
    "Pre-Depends": "PRE_DEPENDS",
    "Recommends": "RECOMMENDS",
    "Suggests": "SUGGESTS",
    "Enhances": "ENHANCES",
    "Conflicts": "CONFLICTS",
    "Breaks": "BREAKS",
    "Replaces": "REPLACES",
    "Provides": "PROVIDES",
}
TEXTS = {"Version": "version", "Architecture": "architecture", "Section": "section", "Priority": "priority"}
NUMBERS = {"Size": "size", "Installed-Size": "installed_size"}

# name, perhaps :architecture, (constraint), [architectures], <build profiles>
TARGET = re.compile(r"(?P<name>[^\s:(\[<]+)(?::(?P<arch>[\w-]+))?\s*(?:\((?P<version>[^)]*)\))?")


def stanzas(lines):
    """Yields each stanza as a dict of its fields; a folded field keeps its first line only if it is a text.

    >>> list(stanzas(["Package: a\\n", "Depends: b,\\n", " c\\n", "\\n", "\\n", "Package: d\\n"]))
    [{'Package': 'a', 'Depends': 'b, c'}, {'Package': 'd'}]
    """
    fields, last = {}, None
    for line in lines:
        line = line.rstrip("\r\n")
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, None
        elif line[0] in " \t":
            if last in RELATIONS:
                fields[last] = f"{fields[last]} {line.strip()}".strip()
        else:
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    if fields:
        yield fields


def targets(text):
    """Yields (name, properties) for every package that a relation field names, each name once.

    >>> for target in targets("libc6 (>= 2.34), mta | exim4:any (<< 5), libc6 (<= 3)"): print(*target)
    libc6 {'version': '>= 2.34, <= 3'}
    mta {'alternative': 1}
    exim4 {'version': '<< 5', 'architecture': 'any', 'alternative': 2}
    >>> list(targets(" , "))
    []
    """
    found = {}
    for group in text.split(","):
        choices = [choice.strip() for choice in group.split("|")]
        for number, choice in enumerate(choices, 1):
            match = TARGET.match(choice)
            if not match:
                continue
            props = {}
            if match["version"]:
                props["version"] = " ".join(match["version"].split())
            if match["arch"]:
                props["architecture"] = match["arch"]
            if len(choices) > 1:
                props["alternative"] = number
            known = found.setdefault(match["name"], props)
            if known is not props:
                join(known, props)
    yield from found.items()


def join(known, props):
    """Adds to the edge `known` what a second mention of the same package says: there is one edge per pair.

    >>> known = {"alternative": 2}; join(known, {"version": ">= 1", "alternative": 1}); known
    {'alternative': 1, 'version': '>= 1'}
    """
    for name, value in props.items():
        if name == "alternative":
            known[name] = min(value, known.get(name, value))
        elif name not in known:
            known[name] = value
        elif value not in known[name].split(", "):
            known[name] += f", {value}"


def package(fields):
    """A stanza's node.

    >>> package({"Package": "a", "Version": "1-2", "Size": "10", "Description": "short", "Tag": "x"})
    {'type': 'node', 'key': 'a', 'labels': ['Package'], 'props': {'version': '1-2', 'size': 10, 'summary': 'short'}}
    """
    props = {name: fields[field] for field, name in TEXTS.items() if fields.get(field)}
    props |= {name: int(fields[field]) for field, name in NUMBERS.items() if fields.get(field, "").isdigit()}
    if fields.get("Description"):
        props["summary"] = fields["Description"]
    return {"type": "node", "key": fields["Package"], "labels": ["Package"], "props": props}


def graph(lines):
    """Yields every node and edge, packages as they come and virtual packages at the end.

    >>> lines = ["Package: a", "Depends: b | c", "Provides: mta (= 1)", "", "Package: b", "", "Package: a", "Depends: x"]
    >>> for element in graph(lines): print(json.dumps(element))
    {"type": "node", "key": "a", "labels": ["Package"], "props": {}}
    {"type": "edge", "src": "a", "dst": "b", "label": "DEPENDS", "props": {"alternative": 1}}
    {"type": "edge", "src": "a", "dst": "c", "label": "DEPENDS", "props": {"alternative": 2}}
    {"type": "edge", "src": "a", "dst": "mta", "label": "PROVIDES", "props": {"version": "= 1"}}
    {"type": "node", "key": "b", "labels": ["Package"], "props": {}}
    {"type": "node", "key": "c", "labels": ["VirtualPackage"], "props": {}}
    {"type": "node", "key": "mta", "labels": ["VirtualPackage"], "props": {}}
    """
    packages, named = set(), {}
    for fields in stanzas(lines):
        name = fields.get("Package")
        if not name or name in packages:
            continue
        packages.add(name)
        yield package(fields)
        for field, label in RELATIONS.items():
            for target, props in targets(fields.get(field, "")):
                named[target] = None
                yield {"type": "edge", "src": name, "dst": target, "label": label, "props": props}
    for name in named:
        if name not in packages:
            yield {"type": "node", "key": name, "labels": ["VirtualPackage"], "props": {}}


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for element in graph(sys.stdin):
        print(json.dumps(element, ensure_ascii=False))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.stderr.close()
