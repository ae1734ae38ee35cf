"""KiteDB for asyncio: the same names, awaitable where the call syncs, waits, copies much or uses the network.

    import kitedb.aio

    async with kitedb.aio.open("social.kitedb") as db:
        async with db.transaction() as tx:
            tx.create_node("ada")

Reads, and the writes of a transaction, are as in ``kitedb``: they take less time than an ``await``. Commits in flight share syncs,
and no thread waits for each. A call that is cancelled ends the work, and ``asyncio.CancelledError`` is raised once that has ended. A
commit that is in the log is no work that ends: cancelled, its ``await`` raises at once, and the commit becomes durable and visible all
the same, some time later. Who has to know submits it, and asks what he got:

    pending = await tx.submit()
    try:
        await kitedb.aio.ended(pending)
    except asyncio.CancelledError:
        ...  # pending.result() is its token once it has ended, and None until then; ended(pending) may be awaited again
        raise
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from . import _kitedb
from ._errors import ConflictError, KiteDbError, RetryLaterError, _left

if TYPE_CHECKING:
    from typing import Unpack

    from ._kitedb import OpenOptions, Pending, Snapshot
    from ._reports import Comparison, ExporterMetrics, OtlpHttpExportResult
    from ._types import ExporterKwargs, OpenKwargs, PathLike

__all__ = [
    "BulkLoader",
    "Database",
    "Exporter",
    "Transaction",
    "compare",
    "compare_deep",
    "collect_replication_log_transport_json",
    "collect_replication_snapshot_transport_json",
    "ended",
    "open",
    "push_replication_metrics_otel_grpc",
    "push_replication_metrics_otel_json",
    "push_replication_metrics_otel_protobuf",
    "start_exporter",
]

P = ParamSpec("P")
R = TypeVar("R")

_LONG_MS = 1 << 40
"""As long as it takes."""

_lock = threading.Lock()
_executor: concurrent.futures.ThreadPoolExecutor | None = None
_waiters: _kitedb.Waiters | None = None


def _forget() -> None:
    """After a fork: the threads are the parent's."""
    global _lock, _executor, _waiters
    _lock, _executor, _waiters = threading.Lock(), None, None
    _flying.clear()


os.register_at_fork(after_in_child=_forget)


def _pool() -> concurrent.futures.ThreadPoolExecutor:
    global _executor
    with _lock:
        if _executor is None:
            _executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="kitedb")
        return _executor


def _those_who_wait() -> _kitedb.Waiters:
    global _waiters
    with _lock:
        if _waiters is None:
            _waiters = _kitedb.Waiters()
            atexit.register(_waiters.stop)
        return _waiters


def _alone(call: Callable[[], R]) -> concurrent.futures.Future[R]:
    """On a thread of its own: what may wait for long takes no thread from the others."""
    future: concurrent.futures.Future[R] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="kitedb-wait", daemon=True).start()
    return future


async def _done(begin: Callable[[Callable[[], R]], concurrent.futures.Future[R]], call: Callable[[], R]) -> R:
    """Awaits a call on another thread; cancelled, it ends the call, and waits until that has ended."""
    watch = _kitedb.Watch()
    future = asyncio.wrap_future(begin(lambda: watch.run(call)))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        watch.cancel()
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                pass
        if future.exception() is None and isinstance(result := future.result(), _kitedb.Database):
            result.close()
        raise


async def _call(f: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    return await _done(_pool().submit, lambda: f(*args, **kwargs))


async def _wait(f: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    return await _done(_alone, lambda: f(*args, **kwargs))


async def _ended(pending: Pending) -> str:
    """The token of a commit, once it has ended."""
    if (token := pending.result()) is not None:
        return token
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def ended() -> None:
        if not future.done():
            future.set_result(None)

    if not _those_who_wait().add(pending, lambda: loop.call_soon_threadsafe(ended)):
        await future
    return pending.wait()


_flying: dict[str, Pending] = {}
"""The commits that are awaited, by their tokens."""


async def _in_flight(pending: Pending) -> str:
    _flying[pending.token] = pending
    try:
        return await _ended(pending)
    finally:
        _flying.pop(pending.token, None)


async def _submitted(tx: _kitedb.Transaction) -> Pending:
    try:
        return tx.try_submit()
    except RetryLaterError as error:
        if error.code != "WOULD_BLOCK":
            raise
    return await _call(tx.submit)


class Transaction(_kitedb.GraphWriter):
    """A :class:`kitedb.Transaction` whose ends are awaited."""

    _tx: _kitedb.Transaction
    _db: _kitedb.Database
    _ended: bool

    def __new__(cls, tx: _kitedb.Transaction, db: _kitedb.Database) -> Self:
        self = super().__new__(cls, tx)
        self._tx, self._db, self._ended = tx, db, False
        return self

    @property
    def is_expired(self) -> bool:
        """Whether it was held for longer than ``max_pin_ms`` allows: it does not commit."""
        return self._tx.is_expired

    @property
    def log_bytes(self) -> int:
        """How many bytes of the log its commit takes so far: 64 MiB is all that a transaction may."""
        return self._tx.log_bytes

    async def commit(self) -> str:
        """As :meth:`kitedb.Transaction.commit`. However many are under way, no thread waits for them, and they share syncs."""
        self._ended = True
        return await _in_flight(await _submitted(self._tx))

    async def commit_with_token(self) -> str | None:
        """The same, with the token as ``epoch:log_index``; None unless the database is a primary."""
        self._ended = True
        pending = await _submitted(self._tx)
        await _in_flight(pending)
        return pending.short_token if self._db.replication_role == "primary" else None

    async def submit(self) -> Pending:
        """Puts the changes into the log, and returns what ends when they are durable and visible: see :func:`ended`."""
        self._ended = True
        return await _submitted(self._tx)

    def rollback(self) -> None:
        """Gives the changes up. Nothing happens the second time, nor after a commit."""
        self._ended = True
        self._tx.rollback()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self.rollback()
        elif not self._ended:
            await self.commit()


async def ended(pending: Pending) -> str:
    """The token of a submitted commit, once it has ended; raises what became of it."""
    return await _ended(pending)


class BulkLoader(_kitedb.GraphWriter):
    """A :class:`kitedb.BulkLoader` whose commits are awaited."""

    _bulk: _kitedb.BulkLoader
    _ended: bool

    def __new__(cls, bulk: _kitedb.BulkLoader) -> Self:
        self = super().__new__(cls, bulk)
        self._bulk, self._ended = bulk, False
        return self

    @property
    def last_token(self) -> str | None:
        """The last batch that was committed."""
        return self._bulk.last_token

    async def step(self) -> str | None:
        """Counts an element. Returns the token of the batch if that is full, and committed now."""
        return await _call(self._bulk.step)

    async def flush(self) -> str:
        """Commits what is in the batch, and begins the next one."""
        return await _call(self._bulk.flush)

    async def finish(self) -> str:
        """Commits the last batch."""
        self._ended = True
        return await _call(self._bulk.finish)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self._ended = True
            self._bulk.__exit__(exc_type, exc, traceback)
        elif not self._ended:
            await self.finish()


class Exporter:
    """A :class:`kitedb.Exporter` whose pushes are awaited."""

    def __init__(self, exporter: _kitedb.Exporter) -> None:
        self._exporter = exporter

    @property
    def state(self) -> Literal["running", "database_closed", "closed"]:
        """``running``, ``database_closed`` or ``closed``."""
        return self._exporter.state

    @property
    def last_error(self) -> str | None:
        """Why the last push failed; None if it succeeded, or there was none."""
        return self._exporter.last_error

    def metrics(self) -> ExporterMetrics | None:
        """What it has done; None once it is closed."""
        return self._exporter.metrics()

    async def flush(self) -> OtlpHttpExportResult:
        """Pushes now, and waits for it."""
        return await _wait(self._exporter.flush)

    async def close(self) -> None:
        """Pushes once more, and ends. Nothing happens the second time."""
        await _wait(self._exporter.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except Exception as error:
            _left(exc, error)


def _asked(
    f: Callable[Concatenate[_kitedb.Database, P], R],
    how: Callable[..., Coroutine[Any, Any, Any]] = _call,
) -> Callable[Concatenate[Database, P], Coroutine[Any, Any, R]]:
    """The same call, awaitable."""

    async def asked(self: Database, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = await how(f, self._db, *args, **kwargs)
        return result

    asked.__name__, asked.__doc__ = f.__name__, f.__doc__
    return asked


def _written(
    f: Callable[Concatenate[_kitedb.GraphWriter, P], R],
) -> Callable[Concatenate[Database, P], Coroutine[Any, Any, R]]:
    """The same write as a transaction of its own, whose commit is awaited."""

    async def written(self: Database, /, *args: P.args, **kwargs: P.kwargs) -> R:
        async with self.transaction() as tx:
            result = f(tx, *args, **kwargs)
        return result

    written.__name__, written.__doc__ = f.__name__, f.__doc__
    return written


class Database(_kitedb.GraphReader):
    """A :class:`kitedb.Database` for asyncio. Made by :func:`open`, or of one that is open: ``kitedb.aio.Database(db)``."""

    _db: _kitedb.Database

    def __new__(cls, db: _kitedb.Database) -> Self:
        self = super().__new__(cls, db)
        self._db = db
        return self

    @property
    def blocking(self) -> _kitedb.Database:
        """The same database, whose calls block."""
        return self._db

    @property
    def is_open(self) -> bool:
        """Whether this handle was not closed."""
        return self._db.is_open

    @property
    def path(self) -> str:
        """Where the file is."""
        return self._db.path

    @property
    def replication_role(self) -> Literal["disabled", "primary", "replica"]:
        """Its part in replication now: a promoted replica is a primary."""
        return self._db.replication_role

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._db.read_only

    @property
    def sync_mode(self) -> Literal["full", "normal", "off"]:
        """When a commit is on the disk."""
        return self._db.sync_mode

    @property
    def damage(self) -> str | None:
        """Why less than was committed is shown; None: all is there, as far as an open can tell."""
        return self._db.damage

    def is_current(self) -> bool:
        """Whether what was published since is nothing: a database opened with ``read_only`` shows the state of that moment, or of its last
        `refresh`. ``True`` for one that writes. It costs some reads of the header, and holds nobody up."""
        return self._db.is_current()

    @property
    def is_copied(self) -> bool:
        """Whether this is a primary whose files were copied or restored: it does not write before its operator says what it is."""
        return self._db.is_copied

    @property
    def replication_log_fault(self) -> str | None:
        """Why a look at its replication log tells less than it should."""
        return self._db.replication_log_fault

    @property
    def replication_log_is_denied(self) -> bool:
        """Whether that is that this process lacks a permission: nothing is known to be wrong then."""
        return self._db.replication_log_is_denied

    def took_over_from(self) -> str | None:
        """The source that this primary followed before it took over."""
        return self._db.took_over_from()

    def last_commit_token(self) -> str | None:
        """What names the last published commit; None before the first."""
        return self._db.last_commit_token()

    def digest(self) -> str:
        """The state digest of the newest state."""
        return self._db.digest()

    def snapshot(self, *, origin: str = "python") -> Snapshot:
        """One state, to read from for as long as it is held."""
        return self._db.snapshot(origin=origin)

    def begin(self, *, origin: str = "python") -> Transaction:
        """Begins a transaction, which is an object of its own."""
        return Transaction(self._db.begin(origin=origin), self._db)

    def begin_after(self, pending: Pending, *, origin: str = "python") -> Transaction:
        """Begins one that sees a commit which has perhaps not ended."""
        return Transaction(self._db.begin_after(pending, origin=origin), self._db)

    def transaction(self, *, origin: str = "python") -> Transaction:
        """As ``begin``, for ``async with db.transaction() as tx``."""
        return self.begin(origin=origin)

    async def transaction_with_retry(
        self, attempts: int, f: Callable[[Transaction], Awaitable[R]], *, origin: str = "python"
    ) -> R:
        """Awaits ``f`` with a transaction and commits that; where another transaction committed first what this one writes, ``f`` is
        called again on a new snapshot, at most ``attempts`` times in all."""
        self._db.retry(attempts)  # It knows how many there may be.
        left = attempts
        while True:
            left -= 1
            tx = self.begin(origin=origin)
            try:
                value = await f(tx)
            except BaseException:
                tx.rollback()
                raise
            try:
                await tx.commit()
            except ConflictError as error:
                if left == 0:
                    raise
                await self._until_another_try(error)
            else:
                return value

    async def _until_another_try(self, error: ConflictError) -> None:
        if error.code != "CONFLICT_UNPUBLISHED" or error.token is None:
            # Others may have to go on before this one can.
            await asyncio.sleep(0)
        elif (pending := _flying.get(error.token)) is None:
            await self.wait_for_token(error.token, _LONG_MS)
        else:
            # Another try before that commit has ended would meet it again. What became of it is told to who awaits it.
            with contextlib.suppress(KiteDbError):
                await _ended(pending)

    def begin_bulk(self, elements_per_commit: int) -> BulkLoader:
        """Begins a bulk load: transactions of so many elements each."""
        return BulkLoader(self._db.begin_bulk(elements_per_commit))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except Exception as error:
            _left(exc, error)

    def __repr__(self) -> str:
        return repr(self._db).replace("kitedb.", "kitedb.aio.", 1)

    close = _asked(_kitedb.Database.close)
    require_commits = _asked(_kitedb.Database.require_commits)
    abandon = _asked(_kitedb.Database.abandon)
    refresh = _asked(_kitedb.Database.refresh)
    checkpoint = _asked(_kitedb.Database.checkpoint)
    compact = _asked(_kitedb.Database.compact)
    compact_step = _asked(_kitedb.Database.compact_step)
    sync = _asked(_kitedb.Database.sync)
    check = _asked(_kitedb.Database.check)
    stats = _asked(_kitedb.Database.stats)
    primary_replication_status = _asked(_kitedb.Database.primary_replication_status)
    primary_report_replica_progress = _asked(_kitedb.Database.primary_report_replica_progress)
    primary_remove_replica = _asked(_kitedb.Database.primary_remove_replica)
    primary_run_retention = _asked(_kitedb.Database.primary_run_retention)
    primary_promote_to_next_epoch = _asked(_kitedb.Database.primary_promote_to_next_epoch)
    primary_promote_by_force = _asked(_kitedb.Database.primary_promote_by_force)
    primary_rivals = _asked(_kitedb.Database.primary_rivals)
    primary_export_snapshot = _asked(_kitedb.Database.primary_export_snapshot)
    export_replication_snapshot_transport_json = _asked(_kitedb.Database.export_replication_snapshot_transport_json)
    export_replication_log_transport_json = _asked(_kitedb.Database.export_replication_log_transport_json)
    replica_replication_status = _asked(_kitedb.Database.replica_replication_status)
    replica_bootstrap_from_snapshot = _asked(_kitedb.Database.replica_bootstrap_from_snapshot, _wait)
    replica_reseed_from_snapshot = _asked(_kitedb.Database.replica_reseed_from_snapshot, _wait)
    replica_copy_source = _asked(_kitedb.Database.replica_copy_source, _wait)
    replica_catch_up_once = _asked(_kitedb.Database.replica_catch_up_once)
    replica_promote = _asked(_kitedb.Database.replica_promote, _wait)
    replica_rivals = _asked(_kitedb.Database.replica_rivals)
    replica_repoint = _asked(_kitedb.Database.replica_repoint)
    replica_wait_for_news = _asked(_kitedb.Database.replica_wait_for_news, _wait)
    start_follower = _asked(_kitedb.Database.start_follower)
    stop_follower = _asked(_kitedb.Database.stop_follower, _wait)
    wait_for_token = _asked(_kitedb.Database.wait_for_token, _wait)
    wait_for_token_outcome = _asked(_kitedb.Database.wait_for_token_outcome, _wait)

    create_node = _written(_kitedb.GraphWriter.create_node)
    create_nodes_batch = _written(_kitedb.GraphWriter.create_nodes_batch)
    delete_node = _written(_kitedb.GraphWriter.delete_node)
    add_node_label = _written(_kitedb.GraphWriter.add_node_label)
    remove_node_label = _written(_kitedb.GraphWriter.remove_node_label)
    set_node_prop = _written(_kitedb.GraphWriter.set_node_prop)
    delete_node_prop = _written(_kitedb.GraphWriter.delete_node_prop)
    set_node_vector = _written(_kitedb.GraphWriter.set_node_vector)
    set_node_vectors = _written(_kitedb.GraphWriter.set_node_vectors)
    delete_node_vector = _written(_kitedb.GraphWriter.delete_node_vector)
    add_edge = _written(_kitedb.GraphWriter.add_edge)
    add_parallel_edge = _written(_kitedb.GraphWriter.add_parallel_edge)
    add_edge_by_key = _written(_kitedb.GraphWriter.add_edge_by_key)
    add_edges_batch = _written(_kitedb.GraphWriter.add_edges_batch)
    add_edges_of_type = _written(_kitedb.GraphWriter.add_edges_of_type)
    delete_edge = _written(_kitedb.GraphWriter.delete_edge)
    delete_edge_by_key = _written(_kitedb.GraphWriter.delete_edge_by_key)
    delete_edges_between = _written(_kitedb.GraphWriter.delete_edges_between)
    set_edge_prop = _written(_kitedb.GraphWriter.set_edge_prop)
    set_edge_prop_by_key = _written(_kitedb.GraphWriter.set_edge_prop_by_key)
    delete_edge_prop = _written(_kitedb.GraphWriter.delete_edge_prop)
    delete_edge_prop_by_key = _written(_kitedb.GraphWriter.delete_edge_prop_by_key)
    upsert_node = _written(_kitedb.GraphWriter.upsert_node)
    upsert_node_by_id = _written(_kitedb.GraphWriter.upsert_node_by_id)
    upsert_edge = _written(_kitedb.GraphWriter.upsert_edge)


class _Opening(Awaitable[Database]):
    """A database that is about to be opened: to await, or for ``async with``, at whose end it is closed."""

    def __init__(self, opened: Callable[[], _kitedb.Database]) -> None:
        self._opened, self._is_entered = opened, False

    async def _open(self) -> Database:
        return Database(await _call(self._opened))

    def __await__(self) -> Generator[Any, None, Database]:
        return self._open().__await__()

    async def __aenter__(self) -> Database:
        if self._is_entered:
            raise RuntimeError("this open is in a block already, which closes one database: call kitedb.aio.open again")
        self._is_entered = True
        try:
            self._db = await self
        except BaseException:
            self._is_entered = False
            raise
        return self._db

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_entered = False
        await self._db.__aexit__(exc_type, exc, traceback)


def open(path: PathLike, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]) -> _Opening:
    """As :func:`kitedb.open`, to await: ``db = await open(…)``, or ``async with open(…) as db``."""
    return _Opening(lambda: _kitedb.Database(path, options, **kwargs))


async def compare(a: Database, b: Database) -> Comparison:
    """Compares two databases, each as it is now."""
    return await _call(_kitedb.compare, a.blocking, b.blocking)


async def compare_deep(a: Database, b: Database) -> Comparison:
    """The same, reading and comparing every element."""
    return await _call(_kitedb.compare_deep, a.blocking, b.blocking)


collect_replication_snapshot_transport_json = _asked(_kitedb.collect_replication_snapshot_transport_json)
collect_replication_log_transport_json = _asked(_kitedb.collect_replication_log_transport_json)
push_replication_metrics_otel_json = _asked(_kitedb.push_replication_metrics_otel_json, _wait)
push_replication_metrics_otel_protobuf = _asked(_kitedb.push_replication_metrics_otel_protobuf, _wait)
push_replication_metrics_otel_grpc = _asked(_kitedb.push_replication_metrics_otel_grpc, _wait)


def start_exporter(
    db: Database,
    transport: Literal["json", "protobuf", "grpc"],
    endpoint: str,
    **options: Unpack[ExporterKwargs],
) -> Exporter:
    """As :func:`kitedb.start_exporter`."""
    return Exporter(_kitedb.start_exporter(db.blocking, transport, endpoint, **options))
