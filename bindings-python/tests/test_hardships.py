"""Many handles, many processes, signals, and ends at any moment."""

import asyncio
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import kitedb
import kitedb.aio

OPENS = int(os.environ.get("KITEDB_TEST_OPENS", "300"))
"""How often a database is opened and closed: 10,000 before a release."""


def resident() -> int:
    """The bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_opening_and_closing_many_times_is_flat_in_memory_descriptors_and_threads(path: Path) -> None:
    def use() -> None:
        with kitedb.open(path) as db:
            with db.transaction() as tx:
                node = tx.create_node(props={"x": [1, "two", b"3"]})
            with db.snapshot() as snapshot:
                assert snapshot.node(node) == next(db.nodes())
            db.delete_node(node)

    def taken() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    for _ in range(OPENS // 5):
        use()
    before, memory = taken(), resident()
    for _ in range(OPENS):
        use()
    descriptors, threads = taken()
    # Threads of libraries that other tests loaded may end meanwhile.
    assert descriptors <= before[0] and threads <= before[1]
    assert resident() - memory < 8 << 20


def test_calls_leave_nothing_behind(db: kitedb.Database) -> None:
    node = db.create_node("ada", labels=["Person"], props={"text": "x" * 1000, "list": list(range(100)), "vector": memoryview(b"")})
    db.add_edge(node, "KNOWS", node, {"since": 1})
    db.set_node_vector(node, "embedding", [0.5] * 100)

    def read() -> None:
        db.node(node)
        db.node_with_key("ada")
        db.node_vector(node, "embedding")
        db.nodes().to_list()
        next(db.edges())
        db.nodes().__arrow_c_stream__()
        db.snapshot()
        db.stats()
        kitedb.collect_replication_metrics_prometheus(db)
        tx = db.begin()
        tx.set_node_prop(node, "text", "y" * 1000)
        tx.rollback()
        with pytest.raises(TypeError):
            db.set_node_prop(node, "x", object())  # type: ignore[arg-type]

    for _ in range(200):
        read()
    gc.collect()
    memory = resident()
    for _ in range(2000):
        read()
    gc.collect()
    assert resident() - memory < 8 << 20
    assert db.stats().pins == []


@pytest.mark.parametrize("seed", range(20))
def test_handles_are_collected_in_random_orders_in_random_threads(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    db = kitedb.open(path)
    db.create_nodes_batch([{"props": {"n": n}} for n in range(3000)])
    tx = db.begin()
    kept = tx.create_node("not committed")
    rows = tx.nodes()
    next(rows)
    scan = db.nodes()
    next(scan)
    snapshot = db.snapshot()
    pending = db.begin()
    pending.create_node("committed")
    held: list[object] = [
        db,
        tx,
        rows,
        scan,
        snapshot,
        snapshot.edges(),
        db.nodes().__arrow_c_stream__(),
        db.begin_bulk(5),
        pending.submit(),
        pending,
        db.stats(),
        db.node(kept - 1),
        kitedb.aio.Database(db),
    ]
    del db, tx, rows, scan, snapshot, pending
    chance.shuffle(held)
    # What is in a cycle is found by the collector alone.
    for at in range(0, len(held), 2):
        cycle: list[object] = [held[at]]
        cycle.append(cycle)
        held[at] = cycle
        del cycle

    def let_go() -> None:
        while held:
            held.pop()
            gc.collect()

    threads = [threading.Thread(target=let_go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    with kitedb.open(path) as again:
        assert (again.count_nodes(), again.node_by_key("not committed")) == (3001, None)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A collector that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(autouse=True)
def interrupts() -> None:
    """Libraries that other tests load may have taken the signal of Ctrl-C over."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupt_once_connected(server: socket.socket) -> threading.Thread:
    def run() -> None:
        connection, _ = server.accept()
        with connection:
            os.kill(os.getpid(), signal.SIGINT)
            # Until it is given up.
            while connection.recv(1 << 16):
                pass

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_ctrl_c_ends_an_exporter_that_waits_for_who_does_not_answer(db: kitedb.Database, silent: socket.socket) -> None:
    """At once: the time-outs are longer than a test may take."""
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
    patience: dict[str, int] = {"interval_ms": 3_600_000, "timeout_ms": 3_600_000, "close_timeout_ms": 3_600_000}
    exporter = kitedb.start_exporter(db, "json", endpoint, **patience)  # type: ignore[arg-type]
    thread = interrupt_once_connected(silent)
    with pytest.raises(KeyboardInterrupt):
        exporter.flush()
    assert str(exporter.state) == "running", "the push goes on, and nobody waits for it"
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        exporter.close()
    timer.join()
    assert str(exporter.state) == "closed"
    exporter.close()
    thread.join()
    assert db.count_nodes() == 0


def test_an_exporter_that_is_closed_ends_the_flushes_of_other_threads(db: kitedb.Database, silent: socket.socket) -> None:
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
    exporter = kitedb.start_exporter(db, "json", endpoint, interval_ms=3_600_000, timeout_ms=3_600_000, close_timeout_ms=1)
    told: list[str] = []

    def flush() -> None:
        with pytest.raises(kitedb.KiteDbError) as caught:
            exporter.flush()
        told.append(caught.value.code)

    thread = threading.Thread(target=flush)
    thread.start()
    with silent.accept()[0]:
        # Nobody waits for the push to be told of it.
        metrics = exporter.metrics()
        assert metrics is not None and exporter.state == "running" and exporter.last_error is None
        with pytest.raises(kitedb.KiteDbError):
            exporter.close()
        thread.join()
    assert told == ["CLOSED"]
    with pytest.raises(kitedb.InputError):
        exporter.flush()


def test_ctrl_c_ends_a_push_to_who_does_not_answer(db: kitedb.Database, silent: socket.socket) -> None:
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
    thread = interrupt_once_connected(silent)
    with pytest.raises(KeyboardInterrupt):
        kitedb.push_replication_metrics_otel_json(db, endpoint, timeout_ms=3_600_000)
    thread.join()


def test_a_push_that_is_cancelled_ends(db: kitedb.Database, silent: socket.socket) -> None:
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        silent.setblocking(False)
        push = kitedb.aio.push_replication_metrics_otel_json(kitedb.aio.Database(db), endpoint, timeout_ms=3_600_000)
        task = asyncio.create_task(push)
        connection, _ = await loop.sock_accept(silent)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        connection.close()

    asyncio.run(main())


@pytest.mark.parametrize("what", ["check", "compact", "arrow", "list", "retry"])
def test_ctrl_c_ends_long_work_and_what_was_open_still_works(path: Path, what: str) -> None:
    # In a process of its own, as whoever presses it would: again and again, until it came while the work was under way.
    script = """
import os, signal, sys, threading, kitedb
path, what = sys.argv[1:]
db = kitedb.open(path)
with db.transaction() as tx:
    tx.create_nodes_batch([{"props": {"n": n, "text": "x" * 100}} for n in range(50_000)])
ada = db.create_node(props={"n": 0})
def retry():
    def late(tx):
        tx.set_node_prop(ada, "n", 1)
        db.set_node_prop(ada, "n", 2)
    db.transaction_with_retry(2**32 - 1, late)
work = {"check": db.check, "compact": db.compact, "arrow": lambda: db.nodes().__arrow_c_stream__(),
        "list": lambda: db.nodes().to_list(), "retry": retry}[what]
begun = threading.Event()
def interrupt():
    begun.wait()
    os.kill(os.getpid(), signal.SIGINT)
interrupted = 0
while not interrupted:
    begun.clear()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        try:
            begun.set()
            while True:
                work()
        finally:
            thread.join()
    except KeyboardInterrupt:
        interrupted += 1
assert db.count_nodes() == 50_001
assert db.check().clean and db.stats().pins == []
db.create_node("after")
db.close()
print("ended")
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", script, path, what], capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")


@pytest.mark.parametrize("round", range(5))
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(path: Path, round: int) -> None:
    script = """
import kitedb, sys, threading
db = kitedb.open(sys.argv[1], checkpoint_log_bytes=65536)
def write(name):
    n = 0
    while True:
        db.create_node(f"{name}{n}", props={"text": "x" * 200})
        sys.stdout.write(f"{name}{n}\\n")
        sys.stdout.flush()
        n += 1
for name in "abcd":
    threading.Thread(target=write, args=(name,)).start()
"""
    process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(200 * (round + 1))]
    process.kill()
    rest = process.stdout.read().split("\n")
    # The last one may be cut short.
    acknowledged += rest[:-1]
    process.wait()
    process.stdout.close()
    with kitedb.open(path) as db:
        assert [key for key in acknowledged if db.node_by_key(key) is None] == []
        assert db.count_nodes() - len(acknowledged) <= 4 + 4
        assert db.check().clean


def test_sixteen_writers_of_two_processes_take_turns(path: Path) -> None:
    script = """
import kitedb, sys, threading
while True:
    try:
        db = kitedb.open(sys.argv[1])
        break
    except kitedb.LockedError as error:
        assert error.retryable
counter = db.upsert_node("counter").id
@db.retry(100_000)
def count(tx):
    tx.set_node_prop(counter, "n", tx.node_prop(counter, "n", 0) + 1)
threads = [threading.Thread(target=lambda: [count() for _ in range(20)]) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
db.close()
"""
    processes = [subprocess.Popen([sys.executable, "-W", "error", "-c", script, path]) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    with kitedb.open(path) as db:
        counter = db.node_by_key("counter")
        assert counter is not None and db.node_prop(counter, "n") == 2 * 8 * 20


def test_readers_in_threads_go_on_while_others_write(db: kitedb.Database) -> None:
    ids = db.create_nodes_batch([{"props": {"n": 0}} for _ in range(100)])
    ended = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not ended.is_set():
            with db.snapshot() as snapshot:
                seen = {node.props["n"] for node in snapshot.nodes()}
                if len(seen) != 1:
                    wrong.append(seen)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for thread in readers:
        thread.start()
    for n in range(100):
        with db.transaction() as tx:
            for node in ids:
                tx.set_node_prop(node, "n", n)
    ended.set()
    for thread in readers:
        thread.join()
    assert wrong == [], "a transaction is seen whole, or not"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_opens_its_own_and_its_asyncio_works(path: Path) -> None:
    db = kitedb.open(path)
    asyncio.run(_awaited(kitedb.aio.Database(db)))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with pytest.raises(kitedb.ForkedError):
                asyncio.run(_awaited(kitedb.aio.Database(db)))
            other = path.with_name("other.kitedb")
            with kitedb.open(other) as own:
                asyncio.run(_awaited(kitedb.aio.Database(own)))
                assert own.count_nodes() == 10
            with pytest.raises(kitedb.LockedError):
                kitedb.open(path)
            code = 0
        except BaseException as error:
            os.write(2, repr(error).encode())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(_awaited(kitedb.aio.Database(db)))
    assert db.count_nodes() == 20
    db.close()


async def _awaited(db: kitedb.aio.Database) -> None:
    await asyncio.gather(*(db.create_node() for _ in range(10)))


def test_the_interpreter_ends_while_commits_are_awaited(path: Path) -> None:
    """The last one may be told of at any moment, so that this is done often."""
    script = """
import asyncio, kitedb, kitedb.aio, sys
db = kitedb.open(sys.argv[1], sync_mode="off")
async def commit():
    await kitedb.aio.Database(db).create_node()
async def main():
    tasks = [asyncio.create_task(commit()) for _ in range(20)]
    await tasks[0]
    # The others are in flight.
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""
    for _ in range(20):
        ended = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("work", ["create_node()", "check()", "stats()", "transaction_with_retry(3, f)", "nodes_page(None, 0)", "nodes().to_list()"])
def test_the_interpreter_ends_while_threads_work_that_nobody_waits_for(path: Path, work: str) -> None:
    """It ends at any moment of theirs, so that this is done often. What they call is written in Python, too: results and errors."""
    script = """
import kitedb, sys, threading, time
db = kitedb.open(sys.argv[1], sync_mode="off")
def f(tx):
    tx.create_node()
    time.sleep(0.0001)
def run():
    while True:
        try:
            db.WORK
        except kitedb.KiteDbError as error:
            str(error)
for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.02)
""".replace("WORK", work)
    for _ in range(10):
        ended = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr


def test_the_interpreter_ends_with_everything_open(path: Path) -> None:
    script = """
import asyncio, kitedb, kitedb.aio, sys, threading
db = kitedb.open(sys.argv[1], replication_role="primary")
tx, snapshot, rows, bulk = db.begin(), db.snapshot(), db.nodes(), db.begin_bulk(5)
capsule = db.edges().__arrow_c_stream__()
tx.create_node("lost")
db.create_node("kept")
asyncio.run(kitedb.aio.Database(db).create_node("also kept"))
threading.Thread(target=lambda: db.wait_for_token("1:99", 3_600_000), daemon=True).start()
exporter = kitedb.start_exporter(db, "json", "http://127.0.0.1:9", interval_ms=3_600_000, close_timeout_ms=1)
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", script, path], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    with kitedb.open(path) as db:
        assert sorted(str(node.key) for node in db.nodes()) == ["also kept", "kept"]
