"""What is given that nobody expects: code that runs amid a call, what changes while it is read, more than there is memory for."""

import asyncio
import datetime as dt
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

import kitedb
import kitedb.aio

AMID = {
    "a generator of nodes": "db.create_nodes_batch(endless({'props': {'a': 1}}))",
    "a generator of edges": "db.add_edges_batch(endless((1, 'T', 1)))",
    "a generator of ids": "db.neighbor_ids_batch(endless(1), 'out', 'T')",
    "a generator of numbers": "db.set_node_vector(1, 'v', endless(1))",
    "a mapping": "db.set_node_prop(1, 'x', Endless())",
    "labels": "db.create_node(labels=endless('L'))",
    "a zone": "db.set_node_prop(1, 'x', datetime.datetime(2020, 1, 1, tzinfo=Zone()))",
    "__index__": "db.node(Number())",
    "__index__ of an option": "db.wait_for_token('1:1', Number())",
    "__index__ of a length": "db.nodes_page(None, Number())",
    "__float__": "db.set_node_vector(1, 'v', [Number()])",
    "__fspath__": "kitedb.open(Number())",
    "__getattr__": "db.set_node_prop(1, 'x', Number())",
    "a finalizer that the collector runs": "finalized()",
    "a finalizer of a row": "dropped()",
    "__eq__": "equal()",
    "a function": "db.transaction_with_retry(3, lambda tx: wait())",
}


@pytest.mark.parametrize("way", AMID)
def test_the_interpreter_ends_while_a_thread_is_in_python_that_a_call_called(way: str) -> None:
    script = """
import collections.abc, datetime, gc, kitedb, sys, threading, time
db = kitedb.Database.in_memory()
db.create_nodes_batch([{"key": "ada"}] + [{"props": {"a": [1]}}] * 3000)
waiting = threading.Event()
def wait():
    if threading.current_thread() is threading.main_thread():
        return
    waiting.set()
    while True:
        time.sleep(0.001)
def endless(item):
    while True:
        yield item
        wait()
class Endless(collections.abc.Mapping):
    def __len__(self): return 1
    def __iter__(self): wait()
    def __getitem__(self, name): return 1
class Zone(datetime.tzinfo):
    def utcoffset(self, when): wait()
class Number:
    def __index__(self): wait()
    def __float__(self): wait()
    def __fspath__(self): wait()
    def __getattr__(self, name): wait()
class Late:
    def __del__(self): wait()
    def __eq__(self, other): wait()
def finalized():
    for _ in range(50):
        late = Late()
        late.itself = late
        del late
    while True:
        db.nodes().to_list()
def dropped():
    node.pop().props["late"] = Late()
def equal():
    a.props["x"] = Late()
    b.props["x"] = Late()
    a == b
node, a, b = [db.node(1)], db.node(1), db.node(1)
threading.Thread(target=lambda: CALL, daemon=True).start()
assert waiting.wait(60)
time.sleep(0.01)
""".replace("CALL", AMID[way])
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_thread_of_c_that_ends_itself_still_ends() -> None:
    """Only one that is torn out of a call is held back."""
    script = """
import ctypes, kitedb
libc = ctypes.CDLL(None)
db = kitedb.Database.in_memory()
START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
@START
def use(_):
    db.create_node()
    libc.pthread_exit(None)
thread = ctypes.c_ulong()
assert libc.pthread_create(ctypes.byref(thread), None, use, None) == 0
assert libc.pthread_join(thread, None) == 0
print(db.count_nodes())
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")


@pytest.mark.parametrize("own", [ValueError("own"), KeyboardInterrupt("own"), asyncio.CancelledError("own")], ids=lambda own: type(own).__name__)
def test_what_a_block_raises_wins_over_what_its_end_fails_with(db: kitedb.Database, own: BaseException) -> None:
    with pytest.raises(type(own)) as caught, kitedb.start_exporter(db, "json", "http://127.0.0.1:1/", close_timeout_ms=1):
        raise own
    assert caught.value is own
    assert ["At the end of the block" in note for note in own.__notes__] == [True]

    async def main() -> None:
        async with kitedb.aio.start_exporter(kitedb.aio.Database(db), "json", "http://127.0.0.1:1/", close_timeout_ms=1):
            raise own

    loop = asyncio.new_event_loop()
    if type(own) is ValueError:
        with pytest.raises(type(own)) as awaited:
            loop.run_until_complete(main())
        assert awaited.value is own and len(own.__notes__) == 2
    loop.close()
    # Without one of its own the block raises what failed.
    with pytest.raises(kitedb.KiteDbError), kitedb.start_exporter(db, "json", "http://127.0.0.1:1/", close_timeout_ms=1):
        pass


def test_an_error_knows_what_was_handled_when_it_came(db: kitedb.Database) -> None:
    first = ValueError("first")
    with pytest.raises(kitedb.NotFoundError) as caught:
        try:
            raise first
        except ValueError:
            db.set_node_prop(5, "a", 1)
    assert caught.value.__context__ is first
    with pytest.raises(kitedb.NotFoundError) as alone:
        db.set_node_prop(5, "a", 1)
    assert alone.value.__context__ is None


def test_a_dict_that_changes_while_it_is_read_is_an_error_as_in_python(db: kitedb.Database) -> None:
    grown: dict[str, Any] = {}

    class Zone(dt.tzinfo):
        """It stands for another thread, which Python runs meanwhile."""

        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            if keeps_size:
                del grown["b"]
            grown[f"more{len(grown)}{keeps_size}"] = 1
            return dt.timedelta(0)

        def dst(self, when: dt.datetime | None) -> None:
            return None

        def tzname(self, when: dt.datetime | None) -> str:
            return "there"

    calls: list[Callable[[], object]] = [
        lambda: db.upsert_node("n", grown),
        lambda: db.create_node(props=grown),
        lambda: db.create_nodes_batch([{"props": grown}]),
        lambda: db.set_node_prop(1, "x", {"deep": grown}),
    ]
    db.create_node("n")
    for keeps_size in (False, True):
        for call in calls:
            grown.clear()
            grown.update(at=dt.datetime(2020, 1, 1, tzinfo=Zone()), b=1)
            if keeps_size:
                # It is read as it is by then, and to its end.
                call()
            else:
                with pytest.raises(RuntimeError, match="dictionary changed size during iteration") as caught:
                    call()
                assert not isinstance(caught.value, kitedb.KiteDbError)


def test_what_no_memory_holds_is_a_memory_error(db: kitedb.Database) -> None:
    ada = db.create_node()
    db.set_node_vector(ada, "v", numpy.ones(8192, "f4"))
    # One number at very many places.
    ids = numpy.broadcast_to(numpy.uint64(1), 10**15)
    floats = numpy.broadcast_to(numpy.float32(1), 10**15)
    calls: list[Callable[[], object]] = [
        lambda: db.node_vectors(numpy.ones(10**7, "u8"), "v"),
        lambda: db.node_vectors(ids, "v"),
        lambda: db.neighbor_ids_batch(ids, "out", "T"),
        lambda: db.add_edges_of_type("T", ids, ids),
        lambda: db.set_node_vector(ada, "v", floats),
        lambda: db.set_node_vectors([ada], "v", numpy.broadcast_to(numpy.float32(1), (1, 10**15))),
        lambda: db.set_node_prop(ada, "x", floats),
    ]
    for call in calls:
        with pytest.raises(MemoryError):
            call()
    assert db.count_nodes() == 1 and db.count_edges() == 0


TABLE = {"key": ["ada", "mary"], "born": [1815, 1797]}


@pytest.mark.parametrize(
    "table",
    [pandas.DataFrame(TABLE), polars.DataFrame(TABLE), pyarrow.table(TABLE), pyarrow.RecordBatch.from_pydict(TABLE), TABLE, {"ada", "mary"}],
    ids=lambda table: f"{type(table).__module__}.{type(table).__name__}",
)
def test_a_table_of_columns_is_no_list_of_rows(db: kitedb.Database, table: Any) -> None:
    ada = db.create_node()
    for call in (
        lambda: db.create_nodes_batch(table),
        lambda: db.add_edges_batch(table),
        lambda: db.neighbor_ids_batch(table, "out", "T"),
        lambda: db.node_vectors(table, "v"),
        lambda: db.set_node_vectors([ada], "v", table),
        lambda: db.set_node_vector(ada, "v", table),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert isinstance(table, dict | set) or "to_dict('records')" in str(caught.value)
    assert (db.count_nodes(), db.propkeys()) == (1, [])


def test_a_mapping_of_another_kind_is_no_list(db: kitedb.Database) -> None:
    ada = db.create_node()

    class Sparse(Mapping[int, float]):
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any:
            return iter([1])

        def __getitem__(self, place: int) -> float:
            return 0.5

    for call in (
        lambda: db.set_node_vector(ada, "v", Sparse()),  # type: ignore[arg-type]
        lambda: db.neighbor_ids_batch(Sparse(), "out", "T"),
        lambda: db.create_node(labels=Sparse()),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="Sparse"):
            call()


def test_the_rows_of_a_table_become_nodes(db: kitedb.Database) -> None:
    frame = pandas.DataFrame(TABLE)
    rows: list[list[dict[str, Any]]] = [frame.to_dict("records"), polars.DataFrame(TABLE).to_dicts(), pyarrow.table(TABLE).to_pylist()]
    for n, table in enumerate(rows):
        ids = db.create_nodes_batch({"key": f"{row['key']}{n}", "props": {"born": row["born"]}} for row in table)
        assert [db.node_prop(id, "born") for id in ids] == [1815, 1797]
    # A column is as good as an array of NumPy.
    assert db.node_vectors(frame["born"], "v") is None


def test_a_path_that_is_no_utf_8_opens_again(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.kitedb"
    with kitedb.open(os.fsdecode(name)) as db:
        db.create_node("ada")
        path = db.path
    assert os.fsencode(path) == name
    with kitedb.open(path) as db:
        assert db.count_nodes() == 1
    assert [entry for entry in os.listdir(os.fsencode(tmp_path)) if entry.endswith(b".kitedb")] == [b"\xff.kitedb"]


def test_what_reads_keeps_its_database_open(path: Path) -> None:
    with kitedb.open(path) as db:
        db.create_node("ada")
    assert [node.key for node in kitedb.open(path).nodes()] == ["ada"]
    assert len(pandas.DataFrame.from_arrow(kitedb.open(path).nodes())) == 1
    stream = kitedb.open(path).nodes().__arrow_c_stream__()
    snapshot = kitedb.open(path).snapshot()
    assert snapshot.count_nodes() == 1
    rows = snapshot.nodes()
    snapshot.release()
    with pytest.raises(kitedb.KiteDbError):
        next(rows)
    with kitedb.open(path).transaction() as tx:
        tx.create_node("mary")
    with kitedb.open(path).begin_bulk(10) as bulk:
        bulk.create_node("grace")
    del rows, snapshot, tx, bulk, stream
    gc.collect()
    # Nobody has it open any more: another process may.
    count = "import kitedb, sys; print(kitedb.open(sys.argv[1]).count_nodes())"
    assert subprocess.run([sys.executable, "-c", count, path], capture_output=True, text=True, check=True).stdout == "3\n"
    # By name it is closed for all.
    db = kitedb.open(path)
    late = db.nodes()
    db.close()
    with pytest.raises(kitedb.ClosedError):
        next(late)


def test_an_awaited_open_is_entered_once(path: Path) -> None:
    async def main() -> None:
        opening = kitedb.aio.open(path)
        async with opening as db:
            with pytest.raises(RuntimeError, match="kitedb.aio.open again"):
                async with opening:
                    pass
        assert not db.is_open
        async with opening as again:
            assert again.is_open
        assert not again.is_open

    asyncio.run(main())


def test_a_commit_whose_await_was_cancelled_tells_what_became_of_it(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path) as db:
            tx = db.begin()
            tx.create_node("ada")
            pending = await tx.submit()
            task = asyncio.create_task(kitedb.aio.ended(pending))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert await kitedb.aio.ended(pending) == pending.result() == pending.token
            assert db.node_by_key("ada") is not None

    asyncio.run(main())


LONG = {
    "list": "list(db.nodes())",
    "to_list": "db.nodes().to_list()",
    "edges_page": "db.edges_page(None, 10**6)",
    "neighbors_page": "db.neighbors_page(1, 'out', 'T', None, 10**6)",
    "create_nodes_batch": "db.begin().create_nodes_batch(many)",
    "delete_node": "db.begin().delete_node(1)",
    "add_edges_of_type": "db.begin().add_edges_of_type('U', ones, ids)",
}


# A thread that asks for the GIL again and again, and counts how often it got it while the main thread was in one call.
BESIDE = """
import kitedb, os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
db = kitedb.Database.in_memory()
many = [{"props": {"n": n}} for n in range(200_000)]
db.create_nodes_batch(many)
ids = list(db.nodes().ids())[1:]
ones = [1] * len(ids)
db.add_edges_of_type("T", ones, ids)
working, ran, before, after = False, 0, None, int(sys.argv[1])
def run():
    global ran
    while working:
        time.sleep(0)
        ran += 1
        if before is not None and ran == before + after:
            os.kill(os.getpid(), signal.SIGINT)
thread = threading.Thread(target=run)
working, ended = True, False
try:
    thread.start()
    # What it ran before the call does not count, and the signal meets the call.
    before = ran
    CALL
    working, ended = False, True
    thread.join()
except KeyboardInterrupt:
    working = False
    thread.join()
print("ended" if ended else "interrupted", ran - before >= 3, db.check().clean)
"""


@pytest.mark.parametrize("work", LONG)
def test_other_threads_run_while_many_are_read_or_written(work: str) -> None:
    command = [sys.executable, "-c", BESIDE.replace("CALL", LONG[work]), "-1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended True True\n", "")


@pytest.mark.parametrize("work", ["list", "to_list", "edges_page", "neighbors_page", "create_nodes_batch"])
def test_ctrl_c_ends_what_reads_or_takes_many(work: str) -> None:
    command = [sys.executable, "-c", BESIDE.replace("CALL", LONG[work]), "3"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted True True\n", "")


def test_wrong_arguments_say_what_they_are_for(db: kitedb.Database) -> None:
    ada = db.create_node("ada")
    with pytest.raises(TypeError, match="is an int, and no str: node_with_key"):
        db.node("ada")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no str: node_with_key"):
        db.add_edge("ada", "KNOWS", ada)  # type: ignore[arg-type]
    with pytest.raises(OverflowError, match="the id of a node is from 1"):
        db.node(-1)
    with pytest.raises(ValueError, match="NaT, which is no time: give None"):
        db.set_node_prop(ada, "x", pandas.NaT)  # pyright: ignore[reportArgumentType]
    released = memoryview(b"ab")
    released.release()
    with pytest.raises(ValueError, match="released memoryview"):
        db.set_node_prop(ada, "x", released)
    with pytest.raises(TypeError, match="give its .blocking"):
        kitedb.collect_metrics(kitedb.aio.Database(db))  # type: ignore[arg-type]
    with db.begin_bulk(10**6) as bulk:
        with pytest.raises(kitedb.InputError, match=r"call step\(\) between them") as large:
            bulk.create_nodes_batch({"props": {"text": "x" * 2**20}} for _ in range(65))
        assert (large.value.code, bulk.count_nodes()) == ("TRANSACTION_TOO_LARGE", 1)


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_what_a_library_tells_on_a_standard_error_that_is_closed_is_not_written_over_the_database(
    tmp_path: Path, closed: str
) -> None:
    path, told = tmp_path / "g.kitedb", tmp_path / "told"
    script = """if True:
        import ctypes, kitedb, os, sys
        with kitedb.open(sys.argv[1]) as db:
            for _ in range(50):
                with db.transaction() as tx:
                    tx.create_node()
            ctypes.CDLL(None).dprintf(2, b"a library: a warning\\n" * 200)
            for _ in range(10):
                with db.transaction() as tx:
                    tx.create_node()
            low = [number for number in range(3) if os.path.exists(f"/proc/self/fd/{number}")]
            low = [number for number in low if os.readlink(f"/proc/self/fd/{number}").startswith(os.path.dirname(sys.argv[1]))]
        open(sys.argv[2], "w").write(f"{low}")
    """
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", script, path, told], check=True)
    assert told.read_text() == "[]"
    with kitedb.open(path, read_only=True) as db:
        assert (db.count_nodes(), db.check().clean) == (60, True)
