#!/usr/bin/env python3
"""Writes what the extension of the Python package says of itself into its stubs: each class and function there has the docstring that
was written in Rust. The types are written by hand, and `stubtest` compares them with the extension.

    bindings-python/.venv/bin/python scripts/python-stubs.py            # write
    bindings-python/.venv/bin/python scripts/python-stubs.py --check    # fail if that would change something
"""

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

import kitedb._kitedb

STUBS = Path(__file__).parents[1] / "bindings-python" / "python" / "kitedb" / "_kitedb.pyi"

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(text: str) -> str:
    """The stubs with the docstrings of the extension."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    data = text.encode()
    changes: list[tuple[int, int, str]] = []

    def visit(body: list[ast.stmt], owner: Any) -> None:
        for node in body:
            if isinstance(node, Definition):
                found = inspect.getattr_static(owner, node.name, None)
                is_own = not node.name.startswith("__") or node.name.startswith("__arrow")
                changes.append(change(node, docstring(found) if is_own else None))
                if isinstance(node, ast.ClassDef):
                    visit(node.body, found)

    def change(node: Definition, doc: str | None) -> tuple[int, int, str]:
        """What stands for the docstring of a definition, and for its `...`, from the end of its line on."""
        rest = node.body[1:] if has_docstring(node) else node.body
        rest = [statement for statement in rest if not is_ellipsis(statement)]
        first, last = node.body[0], node.body[-1] if not rest else node.body[0]
        begin = starts[first.lineno - 1] + first.col_offset
        # From the colon on.
        begin = data.rindex(b":", 0, begin) + 1
        if rest and not has_docstring(node):
            end = begin
        else:
            end = starts[(last.end_lineno or 0) - 1] + (last.end_col_offset or 0)
        if doc is None:
            return begin, end, "" if rest else " ..."
        indent = " " * (node.col_offset + 4)
        lines = doc.replace("\\", "\\\\").splitlines()
        shown = ("\n" + indent).join(lines).replace(indent + "\n", "\n")
        return begin, end, f'\n{indent}"""{shown}"""'

    visit(ast.parse(text).body, kitedb._kitedb)
    for begin, end, new in sorted(changes, reverse=True):
        data = data[:begin] + new.encode() + data[end:]
    return data.decode()


def docstring(found: Any) -> str | None:
    """What an object of the extension says of itself."""
    if isinstance(found, (staticmethod, classmethod)):
        found = found.__func__
    doc = getattr(found, "__doc__", None)
    return inspect.cleandoc(doc) if doc else None


def has_docstring(node: Definition) -> bool:
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def main() -> int:
    before = STUBS.read_text()
    after = documented(before)
    if "--check" in sys.argv[1:]:
        if before != after:
            print(f"{STUBS.name} is not what the extension says of itself: run scripts/python-stubs.py", file=sys.stderr)
            return 1
        return 0
    STUBS.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
