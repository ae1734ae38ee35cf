"""Transactions: their ends, their conflicts, and threads."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import kitedb


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_any_exception_rolls_back(db: kitedb.Database, error: type[BaseException]) -> None:
    with pytest.raises(error):
        with db.transaction() as tx:
            tx.create_node("ada")
            raise error
    assert db.count_nodes() == 0
    assert db.stats().pins == []


def test_a_generator_that_is_given_up_rolls_back(db: kitedb.Database) -> None:
    def written() -> Iterator[int]:
        with db.transaction() as tx:
            yield tx.create_node("ada")
            yield tx.create_node("charles")

    for _ in written():
        break
    assert db.count_nodes() == 0


def test_a_transaction_that_nobody_has_any_more_is_rolled_back(db: kitedb.Database) -> None:
    tx = db.begin(origin="forgotten")
    tx.create_node("ada")
    rows = tx.nodes()
    assert [pin.origin for pin in db.stats().pins] == ["forgotten"]
    del tx
    assert db.count_nodes() == 0
    assert db.stats().pins == []
    with pytest.raises(kitedb.InputError):
        list(rows)


def test_the_end_within_the_block_is_the_end(db: kitedb.Database) -> None:
    with db.transaction() as tx:
        tx.create_node("ada")
        token = tx.commit()
    assert db.last_commit_token() == token
    with db.transaction() as tx:
        tx.create_node("charles")
        tx.rollback()
        tx.rollback()
    assert db.count_nodes() == 1
    with pytest.raises(kitedb.InputError) as caught:
        tx.create_node("late")
    assert caught.value.code == "FINISHED"


def test_a_write_that_fails_changes_nothing_and_the_transaction_goes_on(db: kitedb.Database) -> None:
    with db.transaction() as tx:
        ada = tx.create_node("ada")
        with pytest.raises(kitedb.KiteDbError):
            tx.create_nodes_batch(["new", "ada"])
        with pytest.raises(kitedb.NotFoundError):
            tx.add_edge(ada, "KNOWS", ada + 100)
    assert [node.key for node in db.nodes()] == ["ada"]
    assert db.etypes() == [], "a write that failed leaves no name"


def test_who_commits_second_what_another_one_wrote_gets_a_conflict(db: kitedb.Database) -> None:
    ada = db.create_node("ada")
    first, second = db.begin(), db.begin()
    first.set_node_prop(ada, "born", 1815)
    second.set_node_prop(ada, "born", 1816)
    first.commit()
    with pytest.raises(kitedb.ConflictError) as caught:
        second.commit()
    error = caught.value
    assert (error.code, error.kind, error.retryable) == ("CONFLICT", "retry_transaction", True)
    assert isinstance(error, kitedb.RetryTransactionError)
    assert db.node_prop(ada, "born") == 1815


def test_writers_in_threads_retry_until_each_has_counted(db: kitedb.Database) -> None:
    counter = db.create_node("counter", props={"n": 0})

    @db.retry(10_000)
    def count(tx: kitedb.Transaction, by: int) -> int:
        now: int = tx.node_prop(counter, "n") + by
        tx.set_node_prop(counter, "n", now)
        return now

    threads = [threading.Thread(target=lambda: [count(1) for _ in range(10)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.node_prop(counter, "n") == 160
    assert count(by=5) == 165


def test_a_function_that_is_retried_ends_with_what_it_raises(db: kitedb.Database) -> None:
    ada = db.create_node("ada", props={"n": 0})
    calls = []

    def always_late(tx: kitedb.Transaction) -> None:
        calls.append(tx)
        tx.set_node_prop(ada, "n", 1)
        db.set_node_prop(ada, "n", len(calls))

    with pytest.raises(kitedb.ConflictError):
        db.transaction_with_retry(3, always_late)
    assert len(calls) == 3

    def raises(tx: kitedb.Transaction) -> None:
        calls.append(tx)
        tx.create_node("lost")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.transaction_with_retry(3, raises)
    assert len(calls) == 4
    assert db.node_by_key("lost") is None


def test_a_coroutine_is_no_function_of_a_blocking_transaction(db: kitedb.Database) -> None:
    async def awaited(tx: kitedb.Transaction) -> None:
        tx.create_node("lost")

    with pytest.raises(TypeError, match="kitedb.aio"):
        db.transaction_with_retry(1, awaited)  # type: ignore[unused-coroutine]
    assert db.count_nodes() == 0


def test_commits_in_flight_are_awaited_later(db: kitedb.Database) -> None:
    tx = db.begin()
    ada = tx.create_node("ada")
    first = tx.submit()
    tx = db.begin_after(first)
    tx.set_node_prop(ada, "born", 1815)
    second = tx.submit()
    assert second.wait() == second.token
    assert first.result() == first.token
    assert db.node_prop(ada, "born") == 1815
    assert second.token.startswith(second.short_token)


def test_a_token_is_told_of_a_primary(path: Path) -> None:
    with kitedb.open(path, replication_role="primary") as db:
        tx = db.begin()
        tx.create_node("ada")
        assert tx.commit_with_token() == "1:1"
    with kitedb.Database.in_memory() as alone:
        tx = alone.begin()
        tx.create_node("ada")
        assert tx.commit_with_token() is None


def test_a_transaction_works_in_any_thread_one_at_a_time(db: kitedb.Database) -> None:
    tx = db.begin()
    made: list[int] = []
    thread = threading.Thread(target=lambda: made.append(tx.create_node("ada")))
    thread.start()
    thread.join()
    assert tx.node_key(made[0]) == "ada"
    tx.commit()
    assert db.count_nodes() == 1


def test_what_was_held_for_too_long_says_so(path: Path) -> None:
    with kitedb.open(path, max_pin_ms=1) as db:
        snapshot, tx = db.snapshot(), db.begin()
        tx.create_node("ada")
        with pytest.raises(kitedb.SnapshotExpiredError) as caught:
            while True:
                snapshot.node(1)
        assert (caught.value.code, caught.value.retryable) == ("SNAPSHOT_EXPIRED", True)
        assert snapshot.is_expired
        with pytest.raises(kitedb.SnapshotExpiredError):
            tx.commit()
