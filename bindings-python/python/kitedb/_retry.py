"""Functions that are run in a transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from ._kitedb import Database, Transaction

P = ParamSpec("P")
R = TypeVar("R")


def decorator(
    db: Database, attempts: int
) -> Callable[[Callable[Concatenate[Transaction, P], R]], Callable[P, R]]:
    """What ``Database.retry`` returns."""

    def decorated(f: Callable[Concatenate[Transaction, P], R]) -> Callable[P, R]:
        @wraps(f)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return db.transaction_with_retry(attempts, lambda tx: f(tx, *args, **kwargs))

        return call

    return decorated
