"""The cases of tests/conformance/, which Rust and Node run, too: see the README there."""

import array
import base64
import datetime
import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import kitedb
from kitedb._errors import _made

PLACE = Path(__file__).parents[2] / "tests" / "conformance"
ERRORS: dict[str, dict[str, str]] = json.loads((PLACE / "errors.json").read_text())
RETRYABLE = ("retry_transaction", "retry_later")

Json = Any


def tag(value: Json) -> tuple[str, Json]:
    """The one member of an object that has one, and begins with `$`."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, inner)] = value.items()
        if name.startswith("$"):
            return name, inner
    return "", None


TEMPORAL: dict[str, Any] = {
    "$date": kitedb.LocalDate,
    "$local_time": kitedb.LocalTime,
    "$time": kitedb.Time,
    "$local_date_time": kitedb.LocalDateTime,
    "$date_time": kitedb.DateTime,
    "$duration": kitedb.Duration,
}

# ------------------------------------------------------------------------------------------------------------- results


def float_shown(value: float) -> Json:
    if math.isnan(value):
        return {"$float": "NaN"}
    if math.isinf(value):
        return {"$float": "Infinity" if value > 0 else "-Infinity"}
    return {"$float": repr(value)}


def vector_shown(values: Any) -> Json:
    return {"$vector": [float_shown(value)["$float"] for value in array.array("f", map(float, values))]}


def temporal_shown(value: Any) -> Json:
    """Times as the engine writes them, those of `datetime` by their own ISO text."""
    for name, made in TEMPORAL.items():
        if isinstance(value, made):
            return {name: value.isoformat()}
    if isinstance(value, datetime.datetime):
        zone = getattr(value.tzinfo, "key", None)
        name = "$local_date_time" if value.tzinfo is None else "$date_time"
        text = value.isoformat() + (f"[{zone}]" if zone else "")
    elif isinstance(value, datetime.date):
        name, text = "$date", value.isoformat()
    elif isinstance(value, datetime.time):
        name, text = "$local_time" if value.tzinfo is None else "$time", value.isoformat()
    elif isinstance(value, datetime.timedelta):
        name, text = "$duration", f"P{value.days}DT{value.seconds}.{value.microseconds:06}S"
    else:
        raise AssertionError(f"a result is a {type(value).__name__}: {value!r}")
    return {name: TEMPORAL[name].parse(text).isoformat()}


ABSENT = object()


def shown(result: Any) -> Json:
    """A result as the cases write it."""
    if result is ABSENT:
        return {"$absent": True}
    if result is None or isinstance(result, bool | int | str):
        return result
    if isinstance(result, float):
        return float_shown(result)
    if isinstance(result, bytes):
        return {"$bytes": base64.b64encode(result).decode()}
    if isinstance(result, memoryview):
        assert result.format == "f"
        return vector_shown(result)
    if isinstance(result, kitedb.Node):
        return {"id": result.id, "key": result.key, "labels": list(result.labels), "props": shown(result.props)}
    if isinstance(result, kitedb.EdgeKey | kitedb.Edge):
        edge = {"src": result.src, "type": result.type, "dst": result.dst, "rank": result.rank}
        return edge | ({"props": shown(result.props)} if isinstance(result, kitedb.Edge) else {})
    if isinstance(result, dict):
        of_values = {name: shown(value) for name, value in result.items()}
        return {"$map": of_values} if tag(of_values)[0] else of_values
    if isinstance(result, kitedb.Record):
        return {name: shown(value) for name, value in result.items()}
    if isinstance(result, kitedb.Page | kitedb.NamedId | kitedb.Upserted):
        return {name: shown(value) for name, value in result._asdict().items()}
    if isinstance(result, list | tuple | kitedb.Rows):
        return [shown(item) for item in result]
    return temporal_shown(result)


def expected(value: Json, scene: "Scene") -> Json:
    """An expected result, as results are shown."""
    name, inner = tag(value)
    match name:
        case "":
            if isinstance(value, list):
                return [expected(item, scene) for item in value]
            if isinstance(value, dict):
                return {member: expected(item, scene) for member, item in value.items()}
            return float_shown(value) if isinstance(value, float) else value
        case "$integer":
            return int(inner)
        case "$float":
            return float_shown(float(inner))
        case "$vector":
            return vector_shown(inner)
        case "$path":
            return str(scene.folder / inner)
        case "$ref":
            return shown(scene.argument(value))
        case "$has" | "$map" | "$unordered":
            of = expected(list(inner) if name == "$unordered" else {"": 0, **inner}, scene)
            if isinstance(of, dict):
                of.pop("")
            return {name: of}
        case _:
            return value


def matches(wanted: Json, found: Json) -> bool:
    name, inner = tag(wanted)
    match name:
        case "$any":
            return found is not None and tag(found)[0] != "$absent"
        case "$has":
            return isinstance(found, dict) and all(n in found and matches(item, found[n]) for n, item in inner.items())
        case "$unordered":
            left = list(found) if isinstance(found, list) else []
            for item in inner:
                place = next((place for place, there in enumerate(left) if matches(item, there)), None)
                if place is None:
                    return False
                left.pop(place)
            return not left
        case "$begins":
            return isinstance(found, str) and found.startswith(inner)
        case "$contains":
            return isinstance(found, str) and inner in found
        case "$at_least":
            return type(found) is int and found >= inner
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(matches, wanted, found))
    if isinstance(wanted, dict):
        return isinstance(found, dict) and wanted.keys() == found.keys() and all(matches(wanted[n], found[n]) for n in wanted)
    # True is no 1 here.
    return type(wanted) is type(found) and bool(wanted == found)


# --------------------------------------------------------------------------------------------------------------- steps


class Host:
    """The file system."""

    def exists(self, path: Path) -> bool:
        return path.exists()

    def write_file(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def copy(self, source: Path, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to)
        else:
            shutil.copyfile(source, to)

    def remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def hard_link(self, source: Path, to: Path) -> None:
        to.hardlink_to(source)

    def sleep(self, ms: int) -> None:
        time.sleep(ms / 1000)


class Scene:
    """A case: its folder, and what its steps called their results."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.folder, self.held = folder, held
        self.named: dict[str, Any] = {"kitedb": kitedb, "Database": kitedb.Database, "host": Host()}

    def open(self, call: Callable[..., kitedb.Database], *args: Any, **options: Any) -> kitedb.Database:
        return self.held.enter_context(call(*args, **options))

    def argument(self, value: Json) -> Any:
        """What an argument stands for."""
        name, inner = tag(value)
        match name:
            case "":
                if isinstance(value, list):
                    return [self.argument(item) for item in value]
                if isinstance(value, dict):
                    return {member: self.argument(item) for member, item in value.items()}
                return value
            case "$integer":
                return int(inner)
            case "$float":
                return float(inner)
            case "$bytes":
                return base64.b64decode(inner)
            case "$vector":
                return array.array("f", map(float, inner))
            case "$map":
                return {member: self.argument(item) for member, item in inner.items()}
            case "$ref":
                first, *rest = inner if isinstance(inner, list) else [inner]
                found = self.named[first]
                for member in rest:
                    found = getattr(found, member)
                return found
            case "$path":
                return self.folder / inner
            case "$file":
                return PLACE / inner
            case "$repeat":
                return str(inner[0]) * int(inner[1])
            case "$all_types":
                return kitedb.AllTypes
            case _:
                return TEMPORAL[name].parse(inner)

    def given(self, value: Json) -> Any:
        """The same, where it is an argument itself: what names an edge is an EdgeKey."""
        if isinstance(value, dict) and {"src", "type", "dst"} <= value.keys() <= {"src", "type", "dst", "rank"}:
            return kitedb.EdgeKey(**self.argument(value))
        return self.argument(value)

    def run(self, step: Json) -> Any:
        on, call = step.get("on", "db"), step["call"]
        args = [self.given(arg) for arg in step.get("args", [])]
        options = {name: self.argument(value) for name, value in step.get("with", {}).items()}
        if on == "Database" and call == "open":
            return self.open(kitedb.Database, *args, **options)
        if on == "Database" and call == "in_memory":
            return self.open(kitedb.Database.in_memory, *args, **options)
        if call in ("node_prop", "edge_prop", "edge_prop_by_key"):
            options["default"] = ABSENT
        member = getattr(self.named[on], call)
        result = member(*args, **options) if callable(member) else member
        # A scan is done where its result is looked at.
        return list(result) if isinstance(result, kitedb.Rows) else result

    def step(self, step: Json) -> None:
        try:
            result = self.run(step)
        except kitedb.KiteDbError as error:
            if "fails" not in step:
                raise
            kind = ERRORS[error.code]["kind"]
            assert error.code == step["fails"], str(error)
            assert (error.kind, error.retryable) == (kind, kind in RETRYABLE)
            assert step.get("says", "").lower() in str(error).lower()
            return
        assert "fails" not in step, "it did not fail"
        if "as" in step:
            self.named[step["as"]] = result
        if "gives" in step:
            found = shown(result)
            assert matches(expected(step["gives"], self), found), f"it gave {found}"


def cases() -> list[Any]:
    found = []
    for file in sorted((PLACE / "cases").iterdir()):
        read = json.loads(file.read_text())
        for case in read["cases"]:
            found.append(pytest.param(case, id=f"{read['subject']}: {case['name']}"))
    return found


@pytest.mark.parametrize("case", cases())
def test_case(case: Json, tmp_path: Path) -> None:
    with ExitStack() as held:
        scene = Scene(tmp_path, held)
        if case.get("open", True):
            scene.named["db"] = scene.open(kitedb.Database, tmp_path / "db.kitedb", **case.get("options", {}))
        for nth, step in enumerate(case["steps"], 1):
            try:
                scene.step(step)
            except BaseException as error:
                error.add_note(f"in step {nth}, {json.dumps(step)[:300]}")
                raise


def test_the_cases_are_there() -> None:
    assert len(cases()) >= 59


def test_what_differs_is_told_apart() -> None:
    """Of the runner: what would let a case pass whatever it gives."""
    for wanted, found in [
        (1, True),
        (1, 1.0),
        ({"$float": "1.0"}, {"$float": "-0.0"}),
        (0, None),
        ([], None),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"$has": {"a": 1}}, {"b": 1}),
        ({"$unordered": [1, 1]}, [1, 2]),
        ({"$unordered": [1]}, [1, 1]),
        ({"$any": True}, None),
        ({"$any": True}, {"$absent": True}),
        ({"$at_least": 1}, True),
        ({"$begins": "a"}, "ba"),
        ({"$contains": "c"}, "ba"),
    ]:
        assert not matches(wanted, found), (wanted, found)
    assert matches({"$unordered": [1, 2]}, [2, 1])
    assert shown(-0.0) != shown(0.0)


@pytest.mark.parametrize("code", ERRORS)
def test_the_class_of_an_error_is_that_of_its_kind(code: str) -> None:
    kind = ERRORS[code]["kind"]
    of_kind = _made("", kind, False, "", {})
    assert type(of_kind) is not kitedb.KiteDbError
    made = _made(code, kind, kind in RETRYABLE, "what", {})
    assert isinstance(made, type(of_kind)), f"{type(made).__name__} is no {type(of_kind).__name__}"
