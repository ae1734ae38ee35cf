#!/usr/bin/env python3
"""Whether every public method has its names in every language, or a reason why it has none.

    scripts/surface.py            # compares tests/conformance/surface.json with the code
    scripts/surface.py --missing  # says which methods of Rust the list lacks, as entries to be filled in

The list has each public function of the types of kitedb-core that it names, and each free function of the runbook. An entry says
how Node and Python call it (`node`, `python`: `Class.member`, or a function's name), whether there is a form that does not block
(`async`), and why one of them, or both, has none (`reason`). What is named must be declared in `bindings-node/index.d.ts` and, once
that is there, in the stubs of `bindings-python`; what a case of `tests/conformance/cases/` can call must be called by one and succeed,
and fail with each code that its documentation names, but for those in `no_case` and `no_error_case` (by code), which say why.
"""

import ast
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "conformance" / "surface.json"
CASES = ROOT / "tests" / "conformance" / "cases"
ERRORS = ROOT / "tests" / "conformance" / "errors.json"
DECLARED = ROOT / "bindings-node" / "index.d.ts"
PYTHON = ROOT / "bindings-python" / "python" / "kitedb"
STUBS = [PYTHON / name for name in ("_kitedb.pyi", "_types.py", "__init__.py")]
SOURCES = ("kitedb-core", "kitedb-telemetry", "kitedb-transport")


def functions(text):
    """The public functions in a file of Rust, as (owner, name, codes that its documentation names). The code is as rustfmt
    writes it. A function of a trait is public as the trait is; a free function's owner is None.

    >>> list(functions("impl Database {\\n    /// [`ErrorCode::Closed`]\\n    pub fn open(\\n    fn own(\\n}\\npub fn free() {}\\n"))
    [('Database', 'open', ['Closed']), (None, 'free', [])]
    >>> list(functions("pub trait GraphRead: Graph {\\n    fn node(&self);\\n}\\nimpl fmt::Debug for Database {\\n    fn fmt()\\n}\\n"))
    [('GraphRead', 'node', [])]
    >>> list(functions("impl Database {\\n    #[doc(hidden)]\\n    pub fn secret(\\n}\\n"))
    []
    >>> list(functions("    setters! {\\n        /// [`ErrorCode::ReadOnly`]\\n        read_only: bool,\\n    }\\n"))
    [('OpenOptions', 'read_only', ['ReadOnly'])]
    """
    owner, of_trait, setters, codes, hidden = None, False, False, [], False
    for line in text.splitlines():
        if found := re.match(r"pub trait (\w+)", line):
            owner, of_trait = found[1], True
        elif found := re.match(r"impl\b(?:<.*?>)? (\w+)(?:<.*?>)? \{", line):
            owner, of_trait = found[1], False
        elif re.match(r"impl\b", line):
            owner, of_trait = "", False
        elif line.startswith("}"):
            owner, of_trait = None, False
        if line == "    setters! {":
            setters = True
        elif line == "    }":
            setters = False
        stripped = line.strip()
        if stripped.startswith("///"):
            codes += re.findall(r"ErrorCode::(\w+)", stripped)
            continue
        if stripped.startswith("#["):
            hidden = hidden or stripped == "#[doc(hidden)]"
            continue
        member = r"    fn (\w+)" if of_trait else r"    pub (?:const |async |unsafe )?fn (\w+)"
        if setters and (found := re.match(r"        (\w+): ", line)):
            yield "OpenOptions", found[1], codes
        elif owner and (found := re.match(member, line)) and not hidden:
            yield owner, found[1], codes
        elif owner is None and (found := re.match(r"pub (?:const |async )?fn (\w+)", line)) and not hidden:
            yield None, found[1], codes
        codes, hidden = [], False


def declared(text):
    """What a TypeScript declaration has, as `Class.member` and names of functions.

    >>> sorted(declared("export class A<I> extends B {\\n  static open(x: 1): A;\\n  readonly path: string;\\n}\\nexport const f: X;\\n"))
    ['A', 'A.open', 'A.path', 'f']
    """
    names, owner = set(), None
    for line in text.splitlines():
        if found := re.match(r"(?:export )?(?:abstract )?(?:class|interface) (\w+)", line):
            owner = found[1]
            names.add(owner)
        elif line.startswith("}"):
            owner = None
        elif found := re.match(r"export (?:function|const) (\w+)", line):
            names.add(found[1])
        elif owner and (found := re.match(r"  (?:static )?(?:readonly )?(\w+)\??[(<:]", line)):
            names.add(f"{owner}.{found[1]}")
    return names


def stubbed(text):
    """What a stub of Python has, in the same form.

    >>> sorted(stubbed("class A:\\n    def f(self): ...\\n    x: int\\ndef g(): ...\\nh = g\\n"))
    ['A', 'A.f', 'A.x', 'g', 'h']
    """
    names = set()
    for top in ast.parse(text).body:
        if isinstance(top, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(top.name)
        if isinstance(top, ast.Assign):
            names |= {target.id for target in top.targets if isinstance(target, ast.Name)}
        for member in top.body if isinstance(top, ast.ClassDef) else []:
            if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(f"{top.name}.{member.name}")
            elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                names.add(f"{top.name}.{member.target.id}")
    return names


def error_codes():
    """The codes of errors, each as its name in Rust, its text, and its kind's text."""
    text = (ROOT / "crates" / "kitedb-core" / "src" / "error.rs").read_text()
    found = re.findall(r'^    (\w+) = "(\w+)" => (\w+),', text, re.MULTILINE)
    return [(name, code, re.sub(r"(?<!^)([A-Z])", r"_\1", kind).lower()) for name, code, kind in found]


def called():
    """The calls of the cases: those that succeed, and those that fail, each with its code."""
    succeed, fail = set(), set()
    for path in CASES.glob("*.json"):
        for case in json.loads(path.read_text())["cases"]:
            for step in case["steps"]:
                if "fails" in step:
                    fail.add((step["call"], step["fails"]))
                else:
                    succeed.add(step["call"])
    return succeed, fail


def in_code(owners):
    """The functions of the owners that the list names, and the free ones, by owner (free ones by None)."""
    found = {}
    for crate in SOURCES:
        for path in sorted((ROOT / "crates" / crate / "src").rglob("*.rs")):
            for owner, name, codes in functions(path.read_text()):
                if owner is None or owner in owners:
                    found.setdefault(owner, {}).setdefault(name, []).extend(codes)
    return found


def faults():
    surface = json.loads(LIST.read_text())
    types, free = surface["types"], surface["functions"]
    code = in_code(types)
    named = {name: code for name, code, _ in error_codes()}
    kinds = {code: kind for _, code, kind in error_codes()}
    listed = {code: entry["kind"] for code, entry in json.loads(ERRORS.read_text()).items()}
    for one in sorted(kinds.keys() | listed.keys()):
        if kinds.get(one) != listed.get(one):
            yield f"{one} is {kinds.get(one)} in the code, and {listed.get(one)} in {ERRORS.relative_to(ROOT)}"
    node = declared(DECLARED.read_text())
    python = set().union(*(stubbed(stub.read_text()) for stub in STUBS)) if PYTHON.exists() else None
    aio = (PYTHON / "aio.py").read_text() if PYTHON.exists() else None
    succeed, fail = called()

    for owner, listed in types.items():
        there = code.get(owner, {})
        yield from (f"{owner}::{name} is public and not in the list" for name in there if name not in listed)
        yield from (f"{owner}::{name} is in the list and not in the code" for name in listed if name not in there)
    sources = "\n".join(p.read_text() for crate in SOURCES for p in (ROOT / "crates" / crate / "src").rglob("*.rs"))
    yield from (f"{name} is in the list and not in the code" for name in free if not re.search(rf"\b{name}\b", sources))

    entries = [(f"{owner}::{name}", e, code.get(owner, {}).get(name, [])) for owner, es in types.items() for name, e in es.items()]
    entries += [(name, e, []) for name, e in free.items()]
    for where, entry, documented in entries:
        unknown = set(entry) - {"node", "python", "async", "reason", "case", "no_case", "no_error_case"}
        if unknown:
            yield f"{where}: an entry has no {', '.join(sorted(unknown))}"
        if ("node" not in entry or "python" not in entry) and not entry.get("reason"):
            yield f"{where}: say how Node and Python call it, or the reason why not"
        if "node" in entry and entry["node"] not in node:
            yield f"{where}: {entry['node']} is not in {DECLARED.relative_to(ROOT)}"
        if entry.get("async") and "node" in entry and f"{entry['node']}Async" not in node:
            yield f"{where}: {entry['node']}Async is not in {DECLARED.relative_to(ROOT)}"
        if python is not None and "python" in entry:
            if entry["python"] not in python:
                yield f"{where}: {entry['python']} is not in {PYTHON.relative_to(ROOT)}"
            word = entry["python"].split(".")[-1].replace("__new__", "open")
            if entry.get("async") and not re.search(rf"\b{word}\b", aio):
                yield f"{where}: {word} is not in aio.py"
        if "no_case" in entry or ("node" not in entry and "python" not in entry):
            continue
        case = entry.get("case", entry.get("python", "").split(".")[-1])
        if case not in succeed:
            yield f"{where}: no case calls {case} and succeeds, and no reason is given"
        excused = entry.get("no_error_case", {})
        wanted = {named[c] for c in documented if c in named}
        for reached in sorted(c for c in wanted if (case, c) in fail and c in excused):
            yield f"{where}: a case meets {reached}: it needs no reason"
        for missing in sorted(c for c in wanted if (case, c) not in fail and c not in excused):
            yield f"{where}: no case meets {missing}, which its documentation names"
        for strange in sorted(set(excused) - wanted):
            yield f"{where}: its documentation does not name {strange}"


def missing():
    surface = json.loads(LIST.read_text()) if LIST.exists() else {"types": {}, "functions": {}}
    for owner, names in in_code(surface["types"]).items():
        for name in names if owner else []:
            if name not in surface["types"][owner]:
                print(f'{owner}: "{name}": {{"node": "", "python": ""}},')


if __name__ == "__main__":
    if sys.argv[1:] == ["--missing"]:
        missing()
        sys.exit()
    found = list(faults())
    print("\n".join(found) or "every method has its names")
    sys.exit(1 if found else 0)
