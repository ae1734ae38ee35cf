"""The same for asyncio."""

import asyncio
import threading
from pathlib import Path

import pytest

import kitedb
import kitedb.aio


def test_commits_in_flight_share_syncs(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path) as db:
            before = threading.active_count()

            async def add(n: int) -> str:
                async with db.transaction() as tx:
                    tx.create_node(f"n{n}")
                    token = await tx.commit()
                return token

            tokens = await asyncio.gather(*(add(n) for n in range(1000)))
            assert len(set(tokens)) == 1000
            assert db.count_nodes() == 1000
            assert threading.active_count() - before < 40, "no thread waits for each"
            assert (await db.check()).clean

    asyncio.run(main())


def test_an_exception_rolls_back(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path) as db:
            with pytest.raises(ZeroDivisionError):
                async with db.transaction() as tx:
                    tx.create_node("lost")
                    raise ZeroDivisionError
            assert db.count_nodes() == 0
            tx = db.begin()
            tx.create_node("lost")
            del tx
            assert (await db.stats()).pins == []

    asyncio.run(main())


def test_writes_of_a_database_are_awaited(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path) as db:
            ada = await db.create_node("ada", props={"born": 1815})
            charles = await db.create_node("charles")
            await db.add_edge(ada, "KNOWS", charles, {"since": 1833})
            assert db.node_prop(ada, "born") == 1815
            assert [node.key for node in db.out_neighbors(ada, "KNOWS")] == ["charles"]
            assert not await db.upsert_edge(ada, "KNOWS", charles, {"since": 1834})
            with pytest.raises(kitedb.InputError):
                await db.create_node("ada")
            async with db.begin_bulk(10) as bulk:
                for n in range(25):
                    bulk.create_node()
                    await bulk.step()
            assert db.count_nodes() == 27
        assert not db.is_open

    asyncio.run(main())


def test_conflicts_are_run_again(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path) as db:
            counter = await db.create_node(props={"n": 0})

            async def count(tx: kitedb.aio.Transaction) -> None:
                n = tx.node_prop(counter, "n")
                await asyncio.sleep(0)
                tx.set_node_prop(counter, "n", n + 1)

            # Each try that fails met another's commit: nobody tries more often than there are commits.
            await asyncio.gather(*(db.transaction_with_retry(20, count) for _ in range(20)))
            assert db.node_prop(counter, "n") == 20

    asyncio.run(main())


def test_a_wait_that_is_cancelled_ends(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path, replication_role="primary") as db:
            await db.create_node()
            waiting = asyncio.create_task(db.wait_for_token("1:99", 3_600_000))
            await asyncio.sleep(0.05)
            assert any(thread.name == "kitedb-wait" for thread in threading.enumerate())
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await db.wait_for_token("1:99", 3_600_000)
            assert await db.wait_for_token("1:1", 3_600_000)

    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name == "kitedb-wait":
            thread.join(60)
            assert not thread.is_alive(), "the work ended"


def test_submitted_commits_are_awaited_and_followed(path: Path) -> None:
    async def main() -> None:
        async with kitedb.aio.open(path, replication_role="primary") as db:
            tx = db.begin()
            ada = tx.create_node("ada")
            first = await tx.submit()
            tx = db.begin_after(first)
            tx.set_node_prop(ada, "born", 1815)
            assert await tx.commit_with_token() == "1:2"
            assert await kitedb.aio.ended(first) == first.token

    asyncio.run(main())


def test_several_loops_in_one_process(path: Path) -> None:
    db = kitedb.open(path)

    def work(name: str) -> None:
        async def main() -> None:
            mine = kitedb.aio.Database(db)
            await asyncio.gather(*(mine.create_node(f"{name}{n}") for n in range(100)))

        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.count_nodes() == 400
    db.close()


def test_replication_is_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        here, there = tmp_path / "here", tmp_path / "there"
        async with kitedb.aio.open(here, replication_role="primary") as primary:
            await primary.create_node("ada")
            async with kitedb.aio.open(there, replication_role="replica", replication_source_db_path=here) as replica:
                await replica.replica_bootstrap_from_snapshot()
                assert await replica.replica_catch_up_once(10) == 0
                assert (await kitedb.aio.compare(primary, replica)).equal
                promotion = await replica.replica_promote()
                assert promotion.epoch == 2
                with pytest.raises(kitedb.FencedError):
                    await primary.create_node("late")

    asyncio.run(main())


BLOCKING = {"in_memory", "retry", "detach", "confirm_moved", "repair", "remove_replica_at", "confirm_replicas_at", "run_retention_at"}
"""What is there for asyncio by other names (``open(":memory:")``, ``transaction_with_retry``), or of files that nobody has open."""


def test_a_database_has_the_same_names_for_asyncio(db: kitedb.Database) -> None:
    names = {name for name in dir(kitedb.Database) if not name.startswith("_")}
    assert names - set(dir(kitedb.aio.Database)) == BLOCKING

    async def main() -> None:
        shared = kitedb.aio.Database(db)
        await shared.require_commits()
        assert (shared.read_only, shared.sync_mode, shared.damage, shared.is_copied) == (False, "full", None, False)
        assert (shared.replication_log_fault, shared.replication_log_is_denied, shared.took_over_from()) == (None, False, None)
        ids = await shared.create_nodes_batch(["a", "b"])
        await shared.set_node_vectors(ids, "v", [[1.0], [2.0]])
        await shared.add_edges_of_type("T", ids, ids[::-1])
        vectors = shared.node_vectors(ids, "v")
        assert vectors is not None and str(vectors.tolist()) == "[[1.0], [2.0]]"
        assert str(shared.edges().ends().tolist()) == str([ids, ids[::-1]])

    asyncio.run(main())
