"""Open, close, fork, Ctrl-C, and handles that are collected in any order."""

import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kitedb


def test_a_database_is_opened_by_any_kind_of_path(tmp_path: Path) -> None:
    for path in (str(tmp_path / "a"), tmp_path / "a"):
        with kitedb.open(path) as db:
            assert db.is_open and db.path == str(tmp_path / "a")
            db.upsert_node("ada")
    with kitedb.Database(tmp_path / "a", kitedb.OpenOptions(read_only=True), create_if_missing=False) as db:
        assert db.read_only and db.count_nodes() == 1
        with pytest.raises(kitedb.InputError) as caught:
            db.create_node()
        assert caught.value.code == "READ_ONLY"
    with pytest.raises(kitedb.InputError) as missing:
        kitedb.open(tmp_path / "none", create_if_missing=False)
    assert (missing.value.code, missing.value.path) == ("NOT_FOUND", str(tmp_path / "none"))


def test_options_are_checked(path: Path) -> None:
    with pytest.raises(TypeError, match="no option 'sync_mod'"):
        kitedb.open(path, sync_mod="full")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="full, normal or off"):
        kitedb.open(path, sync_mode="fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Invalid replication_role"):
        kitedb.open(path, replication_role="leader")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="replication_segment_max_bytes must be non-negative"):
        kitedb.open(path, replication_segment_max_bytes=-1)
    with pytest.raises(TypeError, match="max_runs is a str"):
        kitedb.open(path, max_runs="7")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="read_only is a int"):
        kitedb.OpenOptions(read_only=1)  # type: ignore[arg-type]
    with pytest.raises(kitedb.InvalidArgumentError):
        kitedb.open(path, max_runs=1)
    assert not path.exists()
    with kitedb.open(path, sync_mode=kitedb.SyncMode.normal(), sync_interval_ms=None) as db:
        assert db.sync_mode == "normal"
    assert str(kitedb.SyncMode.NORMAL) == "normal"
    assert repr(kitedb.OpenOptions(sync_mode="full", max_pin_ms=5)) == "OpenOptions(sync_mode='full', max_pin_ms=5)"
    assert repr(kitedb.OpenOptions(sync_mode="Full")) == "OpenOptions(sync_mode='Full')"  # type: ignore[arg-type]


def test_after_close_everything_is_a_typed_error(path: Path) -> None:
    db = kitedb.open(path)
    ada = db.create_node("ada")
    tx, snapshot, rows, bulk = db.begin(), db.snapshot(), db.nodes(), db.begin_bulk(10)
    db.close()
    db.close()
    assert not db.is_open
    calls: list[Callable[[], object]] = [
        lambda: db.node(ada),
        lambda: db.create_node(),
        lambda: db.begin(),
        lambda: db.snapshot(),
        lambda: db.check(),
        lambda: db.stats(),
        lambda: kitedb.collect_metrics(db),
        lambda: kitedb.collect_replication_metrics_prometheus(db),
        lambda: tx.create_node(),
        lambda: tx.commit(),
        lambda: snapshot.node(ada),
        lambda: next(rows),
    ]
    for call in calls:
        with pytest.raises(kitedb.KiteDbError) as caught:
            call()
        assert caught.value.code in ("CLOSED", "FINISHED"), call
    with pytest.raises(kitedb.KiteDbError):
        bulk.create_node()
        bulk.finish()
    with pytest.raises(kitedb.ClosedError, match="Database is closed"):
        kitedb.collect_metrics(db)
    with kitedb.open(path) as again:
        assert again.count_nodes() == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
def test_handles_are_collected_in_any_order(path: Path, order: tuple[int, ...]) -> None:
    db = kitedb.open(path, background=False)
    tx = db.begin()
    tx.create_node("ada")
    held: list[Any] = [db, tx, db.snapshot(), tx.nodes(), db.begin_bulk(2)]
    del db, tx
    for which in order:
        held[which] = None
        gc.collect()
    with kitedb.open(path) as again:
        assert again.count_nodes() == 0


def test_opening_and_closing_leaves_no_descriptor(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    path = tmp_path / "a"
    kitedb.open(path).close()
    before = descriptors()
    for _ in range(200):
        db = kitedb.open(path)
        db.nodes()
        db.close()
        # A closed handle holds the file until nobody has it any more.
        del db
    assert descriptors() == before


def test_another_process_that_has_it_open_is_named(path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "import kitedb, sys; db = kitedb.open(sys.argv[1]); db.create_node(); print('open', flush=True); sys.stdin.read()", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(kitedb.LockedError) as caught:
            kitedb.open(path)
        error = caught.value
        assert (error.code, error.kind, error.retryable, error.pid) == ("LOCKED", "retry_later", True, holder.pid)
        with kitedb.open(path, read_only=True) as beside:
            assert beside.count_nodes() == 1
    finally:
        holder.kill()
        holder.wait()
        holder.stdin.close()
        holder.stdout.close()
    kitedb.open(path).close()


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    script = """
import kitedb, os, signal, sys
db = kitedb.open(sys.argv[1])
for n in range(100):
    db.create_node(f"n{n}")
tx = db.begin()
tx.create_node("not committed")
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script, path])
    assert killed.returncode == -signal.SIGKILL
    with kitedb.open(path) as db:
        assert [node.key for node in db.nodes()] == [f"n{n}" for n in range(100)]
        assert db.check().clean


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_is_told_and_touches_nothing(path: Path) -> None:
    db = kitedb.open(path)
    ada = db.create_node("ada")
    tx = db.begin()
    snapshot = db.snapshot()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            told = 0
            for call in (lambda: db.node(ada), lambda: db.create_node(), lambda: tx.commit(), lambda: db.begin()):
                try:
                    call()
                except kitedb.ForkedError:
                    told += 1
            del tx, snapshot
            gc.collect()
            db.close()
            del db
            gc.collect()
            code = 0 if told == 4 else 10 + told
        except BaseException as error:
            os.write(2, repr(error).encode())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert snapshot.node(ada) is not None
    tx.create_node("charles")
    tx.commit()
    assert db.check().clean
    db.close()


def test_ctrl_c_ends_a_wait(path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with kitedb.open(path, replication_role="primary") as db:
        db.create_node()
        timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            db.wait_for_token("1:1000", 600_000)
        timer.join()
        assert db.count_nodes() == 1


def test_other_threads_go_on_while_one_waits(path: Path) -> None:
    with kitedb.open(path, replication_role="primary") as db:
        db.create_node()
        reached: list[bool] = []
        waiting = threading.Thread(target=lambda: reached.append(db.wait_for_token("1:2", 600_000)))
        waiting.start()
        db.create_node()
        waiting.join()
        assert reached == [True]


def test_errors_are_pickled_with_their_fields(path: Path) -> None:
    with pytest.raises(kitedb.KiteDbError) as caught:
        kitedb.open(path, create_if_missing=False)
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is type(caught.value)
    assert (str(error), error.code, error.path) == (str(caught.value), "NOT_FOUND", str(path))
    assert isinstance(error, RuntimeError)


def test_abandon_leaves_nothing_of_a_database_that_was_not_filled(path: Path) -> None:
    kitedb.open(path).abandon()
    assert not path.exists()


def test_the_version_is_that_of_the_engine() -> None:
    assert kitedb.version() == kitedb.__version__
