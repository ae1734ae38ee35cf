"""Rules about certificates, and the matchers that configurations take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from ._errors import ReplicationAdminConfigError

Verdict: TypeAlias = Literal["admitted", "refused", "absent"]
"""What a certificate comes to: ``refused`` is one that was shown and believed, and is not admitted."""

Rule: TypeAlias = Callable[[Any], Verdict]


class Matcher:
    """One of our own matchers: its rule can tell more than a ``bool``."""

    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __call__(self, request: Any) -> bool:
        return self.rule(request) == "admitted"


def rule_of(matcher: object) -> Rule:
    """Makes a matcher into a rule."""
    if isinstance(matcher, Matcher):
        return matcher.rule
    if not callable(matcher):
        raise ReplicationAdminConfigError("mtls_matcher must be a function")
    call = matcher

    def rule(request: Any) -> Verdict:
        answer: object = call(request)
        if hasattr(answer, "__await__"):
            # A coroutine that is never awaited would warn of itself, beside the error.
            close = getattr(answer, "close", None)
            if callable(close):
                close()
            raise TypeError("mtls_matcher returned an awaitable: it must answer at once, by True or False")
        return "admitted" if answer is True else "absent"

    return rule
