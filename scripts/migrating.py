#!/usr/bin/env python3
"""The list of docs/migrating-from-0.2.md: what every name of the Node and Python packages of 0.2 is now, or why it is gone.

    scripts/migrating.py          # writes the list anew
    scripts/migrating.py --check  # whether it is as it would be written, and everything that it leads to is there

It is made of docs/migrating-from-0.2.json. A name there is Python's, and in camel case Node's, unless `n:` or `p:` says that only one
of them had it. `now` is a name of tests/conformance/surface.json, as Python has it, or a name that both packages export, after `+`.
A row without it says in its `note` why.
"""

import json
import pathlib
import re
import sys

import surface

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = ROOT / "docs" / "migrating-from-0.2.json"
PAGE = ROOT / "docs" / "migrating-from-0.2.md"
BEGIN, END = "<!-- names: written by scripts/migrating.py -->\n", "<!-- end of names -->\n"


def camel(name):
    """
    >>> camel("Database.get_node_by_key"), camel("Database.__init__"), camel("set_k_2")
    ('Database.getNodeByKey', 'Database.__init__', 'setK2')
    """
    return re.sub(r"(?<=[A-Za-z0-9])_([a-z0-9])", lambda found: found[1].upper(), name)


def olds(row):
    """The old names of a row: Node's, Python's.

    >>> olds({"old": ["a_b", "n:c", "p:d_e"]})
    (['aB', 'c'], ['a_b', 'd_e'])
    """
    both = [(name, None) if ":" not in name else tuple(reversed(name.split(":", 1))) for name in row["old"]]
    node = [name if only == "n" else camel(name) for name, only in both if only != "p"]
    return node, [name for name, only in both if only != "n"]


def news():
    """What Python calls something, and what Node calls it."""
    listed = json.loads(surface.LIST.read_text())
    entries = [entry for names in listed["types"].values() for entry in names.values()] + list(listed["functions"].values())
    names = {entry["python"]: entry["node"] for entry in entries if "node" in entry and "python" in entry}
    names |= {f"OpenOptions.{name.split('.')[1]}": node for name, node in names.items() if name.startswith("OpenKwargs.")}
    # What the packages have and Rust has not: a handle of Rust is open for as long as it is there.
    return names | {"Database.open": "Database.open", "Database.is_open": "Database.isOpen"}


def shown(name):
    """A name as a user writes it: who reads and who writes is one object there.

    >>> shown("GraphReader.nodeProp"), shown("Database.__new__"), shown("Transaction.commit"), shown("compare")
    ('`nodeProp`', '`Database`', '`Transaction.commit`', '`compare`')
    """
    owner, _, member = name.rpartition(".")
    if member == "__new__":
        return f"`{owner}`"
    return f"`{member}`" if owner in ("GraphReader", "GraphWriter") else f"`{name}`"


def cell(names):
    return ", ".join(f"`{name}`" for name in names)


def table(rows, known):
    yield "| Node, 0.2 | Python, 0.2 | now |"
    yield "|---|---|---|"
    for row in rows:
        node, python = olds(row)
        now = row.get("now")
        if now is None:
            words = "gone"
        elif now.startswith("+"):
            words = f"`{now[1:]}`"
        else:
            pair = [shown(known[now]), shown(now.replace("Database.open", "Database.__new__"))]
            words = pair[0] if pair[0] == pair[1] else f"{pair[0]}, in Python {pair[1]}"
        note = row.get("note")
        yield f"| {cell(node)} | {cell(python)} | {words}{': ' + note if note else ''} |"


def written():
    known = news()
    parts = []
    for group in json.loads(NAMES.read_text())["groups"]:
        parts.append(f"### {group['title']}\n\n" + "\n".join(table(group["rows"], known)) + "\n")
    return "\n".join(parts)


def faults():
    seen = {"Node": {}, "Python": {}}
    exported = surface.declared(surface.DECLARED.read_text())
    known = news()
    for group in json.loads(NAMES.read_text())["groups"]:
        for row in group["rows"]:
            node, python = olds(row)
            for language, names in (("Node", node), ("Python", python)):
                for name in names:
                    if name in seen[language]:
                        yield f"{name} of {language} stands twice"
                    seen[language][name] = row
            now = row.get("now")
            if now is None and "note" not in row:
                yield f"{row['old'][0]} is gone, and nothing says why"
            if now and now.startswith("+") and now[1:] not in exported:
                yield f"{now[1:]} is not in {surface.DECLARED.relative_to(ROOT)}"
            if now and not now.startswith("+") and known.get(now) not in exported:
                yield f"{now} is not in {surface.LIST.relative_to(ROOT)}, or not declared for Node"
    text = PAGE.read_text()
    begin, end = text.find(BEGIN), text.find(END)
    if not (0 <= begin < end):
        yield f"{PAGE.relative_to(ROOT)} has no place for the list"
    elif text[begin + len(BEGIN) : end] != "\n" + written() + "\n":
        yield f"{PAGE.relative_to(ROOT)} is not as scripts/migrating.py writes it: run it"


def write():
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + BEGIN + "\n" + written() + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        write()
    found = list(faults())
    print("\n".join(found) or "every name of 0.2 leads somewhere")
    sys.exit(1 if found else 0)
