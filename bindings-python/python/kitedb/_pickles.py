"""What nodes and edges are pickled by: a vector is a memoryview, which has no form of its own there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ._kitedb import Edge, Node

Element = TypeVar("Element", Node, Edge)


class Vector:
    """A vector in a pickle."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return Vector, (self.data,)


def portable(value: Any) -> Any:
    """The same value, with what can be pickled in place of vectors."""
    if isinstance(value, memoryview):
        return Vector(value.tobytes())
    if isinstance(value, list):
        return [portable(item) for item in value]
    if isinstance(value, dict):
        return {name: portable(item) for name, item in value.items()}
    return value


def restored(value: Any) -> Any:
    """What that was made of."""
    if isinstance(value, Vector):
        return memoryview(value.data).cast("f")
    if isinstance(value, list):
        return [restored(item) for item in value]
    if isinstance(value, dict):
        return {name: restored(item) for name, item in value.items()}
    return value


def element(kind: Callable[..., Element], *given: Any) -> Element:
    """The node or edge of which that was told; its properties come last."""
    return kind(*given[:-1], restored(given[-1]))
