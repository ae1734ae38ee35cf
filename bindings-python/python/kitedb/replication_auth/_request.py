"""What is read of a request, whichever framework made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple


class Reading(NamedTuple):
    """What a request says under the name of a header. What came more than once says nothing that can be relied on."""

    value: str | None
    ambiguous: bool = False


ABSENT = Reading(None)
AMBIGUOUS = Reading(None, True)

OWN = ("headers", "raw_headers")
"""What a request has that was made of headers and nothing else."""


def part(request: object, name: str) -> Any:
    """A part of a request, which is an object or (as an ASGI scope is) a mapping."""
    if isinstance(request, Mapping):
        return request.get(name)
    return getattr(request, name, None)


def scope_of(request: object) -> Mapping[str, Any] | None:
    """The ASGI scope behind a request, or that is one."""
    if isinstance(request, Mapping):
        return request if "asgi" in request or "type" in request else None
    scope = getattr(request, "scope", None)
    return scope if isinstance(scope, Mapping) else None


def read_header(request: object, name: str) -> Reading:
    """Reads a header. ``name`` is in lower case. A blank value is as good as none."""
    if _times_sent(request, name) > 1:
        return AMBIGUOUS
    values: list[str] = []
    for given in _values_of(part(request, "headers"), name):
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if value is None:
                continue
            text = _text_of(value)
            if text is None:
                return AMBIGUOUS
            if text := text.strip(" \t"):
                values.append(text)
    if not values:
        return ABSENT
    return AMBIGUOUS if len(values) > 1 else Reading(values[0])


def _text_of(value: object) -> str | None:
    if isinstance(value, str):
        return value
    # As they come over the wire.
    return bytes(value).decode("latin-1") if isinstance(value, (bytes, bytearray, memoryview)) else None


def _is_named(given: object, name: str) -> bool:
    # Letters outside of ASCII stay: the Kelvin sign is no `k` in the name of a header.
    text = _text_of(given)
    return text is not None and text.isascii() and text.lower() == name


def _values_of(headers: object, name: str) -> Iterator[object]:
    """All that stands in ``headers`` under that name, in whatever case it was written."""
    if headers is None or isinstance(headers, (str, bytes)):
        return
    items = getattr(headers, "items", None)
    pairs = items() if callable(items) else headers
    if isinstance(pairs, Iterable):
        for pair in pairs:
            if isinstance(pair, (tuple, list)) and len(pair) == 2 and _is_named(pair[0], name):
                yield pair[1]
        return
    get = getattr(headers, "get", None)
    if callable(get):
        yield get(name)


def _times_sent(request: object, name: str) -> int:
    """How often the header was sent, where the request still knows."""
    times = 0
    for raw in (part(request, "raw_headers"), (scope_of(request) or {}).get("headers")):
        if isinstance(raw, (list, tuple)):
            here = [pair for pair in raw if isinstance(pair, (list, tuple)) and pair and _is_named(pair[0], name)]
            times = max(times, len(here))
    return times


def peer_address(request: object) -> str | None:
    """The address that the connection comes from, never one that a header names."""
    scope = scope_of(request)
    if scope is not None:
        return _host(scope.get("client"))
    for name in ("environ", "META"):
        environ = part(request, name)
        if isinstance(environ, Mapping):
            return _host(environ.get("REMOTE_ADDR"))
    for name in ("client", "client_address", "remote"):
        peer = part(request, name)
        if (host := _host(peer)) is not None:
            return host
    return None


def _host(peer: object) -> str | None:
    if isinstance(peer, (tuple, list)) and not hasattr(peer, "host"):
        peer = peer[0] if peer else None
    host = getattr(peer, "host", peer)
    return host if isinstance(host, str) else None


def is_headers_only(request: object) -> bool:
    """Whether somebody made this request of headers alone. Those that servers and frameworks make have more, also where that is none
    of the instance's; one with a peer that is not known came over a connection that nobody knows."""
    if type(request) is dict:
        return all(name in OWN for name in request)
    own = getattr(request, "__dict__", None)
    if own is None or not all(name in OWN for name in own):
        return False
    return all(
        name in OWN or (name.startswith("__") and name.endswith("__"))
        for cls in type(request).__mro__
        if cls not in (object, SimpleNamespace)
        for name in vars(cls)
    )
