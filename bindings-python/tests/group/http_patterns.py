"""What an answer is expected to say: patterns, as the README of ``tests/http-conformance/`` tells them."""

from collections.abc import Mapping
from typing import Any

Json = Any


class Absent:
    """What a member is that is not there."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = Absent()
TYPES: dict[str, type | tuple[type, ...]] = {"text": str, "number": (int, float), "list": list, "object": dict}


def filled(value: Json, names: Mapping[str, Json]) -> Json:
    """The same with what its names stand for: ``$cursor``."""
    if isinstance(value, dict):
        return {member: filled(inner, names) for member, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, names) for inner in value]
    if isinstance(value, str) and value.startswith("$"):
        return names[value[1:]]
    return value


def unlike(wanted: Json, found: Json, where: str = "the body") -> str | None:
    """Where what was found is not what is wanted, and how; ``None``: nowhere. Of an object the members count that are wanted."""
    if isinstance(wanted, dict) and len(wanted) == 1 and (name := next(iter(wanted))).startswith("$"):
        return None if meets(name, wanted[name], found) else f"{where} is {shown(found)}, and not {wanted}"
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return f"{where} is {shown(found)}, and no object"
        members = (unlike(inner, found.get(name, ABSENT), f"{where}: {name}") for name, inner in wanted.items())
        return next((what for what in members if what), None)
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return f"{where} is {shown(found)}, and no list of {len(wanted)}"
        items = (unlike(inner, found[nth], f"{where}: {nth}") for nth, inner in enumerate(wanted))
        return next((what for what in items if what), None)
    # True is no 1, and 1.0 no 1.
    return None if (type(wanted), wanted) == (type(found), found) else f"{where} is {shown(found)}, and not {shown(wanted)}"


def meets(name: str, wanted: Json, found: Json) -> bool:
    """Whether a pattern of one member is met."""
    match name:
        case "$any":
            return found is not None and found is not ABSENT
        case "$absent":
            return found is ABSENT
        case "$begins":
            return isinstance(found, str) and found.startswith(wanted)
        case "$contains":
            return isinstance(found, str) and wanted in found
        case "$at_least":
            return isinstance(found, int) and not isinstance(found, bool) and found >= wanted
        case "$type":
            return isinstance(found, TYPES[wanted]) and not isinstance(found, bool)
        case _:
            raise KeyError(name)


def shown(found: Json) -> str:
    text = repr(found)
    return text if len(text) <= 300 else f"{text[:300]}..."
