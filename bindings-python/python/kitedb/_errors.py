"""What the database fails with: one class for each kind of error, which says what to do about it."""

from __future__ import annotations

import sys
from typing import Any


class KiteDbError(RuntimeError):
    """What the database fails with. The message says what was wrong and what to do; the attributes say it to programs."""

    code: str
    """The stable reason, such as ``CONFLICT``. Codes are only ever added."""
    kind: str
    """What to do about it: the text for the class."""
    retryable: bool
    """Whether the same call may succeed when it is made again: at once on a new snapshot, or later."""
    token: str | None
    """The commit that it is about."""
    epoch: int | None
    """The epoch that leads, as far as is known here."""
    path: str | None
    """The file or folder that it is about."""
    pid: int | None
    """The id of the process that is in the way."""
    key: str | None
    """What the caller used and what is wrong with it: a node's key or id, a label, a type, a property."""
    expected: str | None
    """What should have been there."""
    found: str | None
    """What is there instead."""
    status_code: int | None
    """The HTTP status with which a collector refused a push."""

    def __init__(self, message: str, code: str, kind: str, retryable: bool, fields: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind
        self.retryable = retryable
        fields = fields or {}
        self.token = fields.get("token")
        self.epoch = fields.get("epoch")
        self.path = fields.get("path")
        self.pid = fields.get("pid")
        self.key = fields.get("key")
        self.expected = fields.get("expected")
        self.found = fields.get("found")
        self.status_code = fields.get("status_code")

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("token", "epoch", "path", "pid", "key", "expected", "found", "status_code")
        fields = {name: value for name in names if (value := getattr(self, name)) is not None}
        return (type(self), (str(self), self.code, self.kind, self.retryable, fields))


class RetryTransactionError(KiteDbError):
    """Run the transaction, or the read, again, on a new snapshot."""


class ConflictError(RetryTransactionError):
    """Another transaction that committed first wrote what this one writes."""


class SnapshotExpiredError(RetryTransactionError):
    """It was held for longer than ``max_pin_ms`` allows."""


class RetryLaterError(KiteDbError):
    """Nothing is wrong with the call; try it later: disk full, a limit in force, a collector that does not answer."""


class LockedError(RetryLaterError):
    """Another process, or another call, holds it: ``pid`` says which process, once that has committed something. Before, and of a call
    of this process, it is None."""


class ReopenError(KiteDbError):
    """The handle is of no more use: open the database again."""


class ClosedError(ReopenError):
    """The database is closed."""


class ForkedError(ReopenError):
    """The handle is of the process before a fork: open the database again in this one."""


class OutcomeUnknownError(ReopenError):
    """Whether the commit counts is not known here: look for it before making it again."""


class ReseedError(KiteDbError):
    """Stored data is damaged or lost: restore it, or reseed this replica."""


class CorruptionError(ReseedError):
    """Stored bytes do not verify."""


class ReseedRequiredError(ReseedError):
    """This replica is not on its source's history, or what it needs is gone."""


class FencedError(KiteDbError):
    """Another writer leads now: stop writing here."""


class InputError(KiteDbError):
    """The call or its input is wrong: fix it."""


class InvalidArgumentError(InputError, ValueError):
    """An argument or an option is outside what the call accepts. It is a ``ValueError``, too."""


class NotFoundError(InputError, LookupError):
    """A node or an edge that is written to does not exist. It is a ``LookupError``, too."""


class CancelledError(KiteDbError):
    """The caller ended the operation: nothing is wrong."""


class InternalError(KiteDbError):
    """A defect of KiteDB: report it."""


_BY_KIND: dict[str, type[KiteDbError]] = {
    "retry_transaction": RetryTransactionError,
    "retry_later": RetryLaterError,
    "reopen": ReopenError,
    "reseed": ReseedError,
    "fenced": FencedError,
    "input": InputError,
    "cancelled": CancelledError,
    "bug": InternalError,
}

_BY_CODE: dict[str, type[KiteDbError]] = {
    "CONFLICT": ConflictError,
    "CONFLICT_UNPUBLISHED": ConflictError,
    "SNAPSHOT_EXPIRED": SnapshotExpiredError,
    "LOCKED": LockedError,
    "CLOSED": ClosedError,
    "FORKED": ForkedError,
    "OUTCOME_UNKNOWN": OutcomeUnknownError,
    "CORRUPT": CorruptionError,
    "NEEDS_RESEED": ReseedRequiredError,
    "INVALID_ARGUMENT": InvalidArgumentError,
    "INVALID_OPTION": InvalidArgumentError,
    "INVALID_CURSOR": InvalidArgumentError,
    "VECTOR_DIMENSION": InvalidArgumentError,
    "NODE_NOT_FOUND": NotFoundError,
    "EDGE_NOT_FOUND": NotFoundError,
}


def _made(code: str, kind: str, retryable: bool, message: str, fields: dict[str, Any]) -> KiteDbError:
    """The exception for an error of the engine: called by the extension."""
    made = _BY_CODE.get(code) or _BY_KIND.get(kind, KiteDbError)
    error = made(message, code, kind, retryable, fields)
    # What is handled where it is raised: Python says that of what it raises by itself.
    error.__context__ = sys.exception()
    return error


def _left(raised: BaseException | None, failed: Exception) -> None:
    """Raises what failed at the end of a block, unless the block raised: that goes on, and has the other one as a note."""
    if raised is None:
        raise failed
    raised.add_note(f"At the end of the block {type(failed).__name__}: {failed}")
