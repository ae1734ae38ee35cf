"""Ids and vectors of many nodes at once, as arrays of NumPy."""

import array
import gc
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import kitedb
from kitedb import AllTypes


@pytest.fixture
def ids(db: kitedb.Database) -> list[int]:
    """Of a path of 5,000 nodes, more than one batch of rows; every other one is even."""
    with db.transaction() as tx:
        ids = tx.create_nodes_batch([{"labels": ["Even"] if n % 2 == 0 else []} for n in range(5000)])
        tx.add_edges_batch([(a, "NEXT", b) for a, b in zip(ids, ids[1:], strict=False)])
        tx.add_edges_batch([(ids[0], "LIKES", b) for b in ids[2:4]])
    return ids


def of(numbers: "memoryview[Any]") -> Any:
    """An array of NumPy, which shares the memory."""
    made = numpy.asarray(numbers)
    assert numbers.nbytes == 0 or numpy.shares_memory(made, numpy.frombuffer(numbers, "uint8"))
    return made


def test_ids_of_scans_are_one_array(db: kitedb.Database, ids: list[int]) -> None:
    found = of(db.nodes().ids())
    assert (found.dtype, found.tolist()) == (numpy.uint64, ids)
    assert of(db.nodes_with_label("Even").ids()).tolist() == ids[::2]
    assert of(db.nodes_with_label("Never").ids()).tolist() == []
    assert of(db.out_neighbors(ids[1], "NEXT").ids()).tolist() == [ids[2]]
    assert sorted(of(db.out_neighbors(ids[0], AllTypes).ids()).tolist()) == [ids[1], ids[2], ids[3]]
    assert of(db.in_neighbors(ids[0], AllTypes).ids()).tolist() == []


def test_ends_of_edges_are_rows_of_source_and_destination(db: kitedb.Database, ids: list[int]) -> None:
    found = of(db.edges().ends())
    assert (found.dtype, found.shape) == (numpy.uint64, (5001, 2))
    expected = [[edge.src, edge.dst] for edge in db.edges()]
    assert found.tolist() == expected
    assert of(db.in_edges(ids[2], AllTypes).ends()).tolist() == [[ids[1], ids[2]], [ids[0], ids[2]]]
    assert of(db.sorted_edges(ids[2], "in", "NEXT").ends()).tolist() == [[ids[1], ids[2]]]
    assert of(db.out_edges(ids[2], "NEVER").ends()).shape == (0, 2)


def test_ids_are_those_that_are_left(db: kitedb.Database, ids: list[int]) -> None:
    for fetched in (1, 1023, 1024, 1025, 4999, 5000):
        rows = db.nodes()
        for _ in range(fetched):
            next(rows)
        assert of(rows.ids()).tolist() == ids[fetched:], fetched
        assert list(rows) == [] and of(rows.ids()).tolist() == [], "they are fetched"
    edges = db.edges()
    first = next(edges)
    assert [[first.src, first.dst], *of(edges.ends()).tolist()] == [[edge.src, edge.dst] for edge in db.edges()]
    assert db.stats().pins == [], "what was read is let go of"


def test_ids_of_a_transaction_are_its_own(db: kitedb.Database, ids: list[int]) -> None:
    with db.transaction() as tx:
        new = tx.create_node()
        tx.add_edge(new, "NEXT", ids[0])
        assert of(tx.nodes().ids()).tolist() == [*ids, new]
        assert of(tx.out_neighbors(new, "NEXT").ids()).tolist() == [ids[0]]
        assert of(db.nodes().ids()).tolist() == ids


def test_rows_have_the_ids_that_they_have(db: kitedb.Database, ids: list[int]) -> None:
    with pytest.raises(TypeError, match="ends"):
        db.edges().ids()  # type: ignore[misc]
    with pytest.raises(TypeError, match="ids"):
        db.nodes().ends()  # type: ignore[misc]


def test_neighbours_of_many_nodes_are_two_arrays(db: kitedb.Database, ids: list[int]) -> None:
    for given in (
        ids,
        numpy.array(ids, "uint64"),
        numpy.array(ids, "int64"),
        array.array("Q", ids),
        tuple(ids),
        iter(ids),
        numpy.array([ids, ids], "uint64").T[:, 0],
    ):
        offsets, found = map(of, db.neighbor_ids_batch(given, "out", "NEXT"))
        assert offsets.dtype == found.dtype == numpy.uint64
        assert offsets.tolist() == [*range(5000), 4999]
        assert found.tolist() == ids[1:]
    offsets, found = map(of, db.neighbor_ids_batch([ids[0], 10**9, ids[4999]], "out", AllTypes))
    assert offsets.tolist() == [0, 3, 3, 3]
    assert sorted(found.tolist()) == sorted(db.neighbor_ids(ids[0], "out", AllTypes))
    offsets, found = map(of, db.neighbor_ids_batch([], "in", "NEXT"))
    assert (offsets.tolist(), found.tolist()) == ([0], [])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("123", TypeError),
        (b"12345678", TypeError),
        (numpy.zeros(2, "float64"), TypeError),
        (numpy.zeros(2, "int32"), TypeError),
        (numpy.zeros(2, ">u8"), TypeError),
        (numpy.zeros((2, 2), "uint64"), ValueError),
        (numpy.array([-1], "int64"), ValueError),
        ([-1], OverflowError),
        ([2**64], OverflowError),
        (["1"], TypeError),
        ([1.0], TypeError),
        (7, TypeError),
        (None, TypeError),
    ],
    ids=repr,
)
def test_what_are_no_ids_is_refused(db: kitedb.Database, ids: list[int], given: Any, error: type[Exception]) -> None:
    calls: list[Callable[[], object]] = [
        lambda: db.neighbor_ids_batch(given, "out", "NEXT"),
        lambda: db.node_vectors(given, "face"),
        lambda: db.set_node_vectors(given, "face", [[1.0]]),
        lambda: db.add_edges_of_type("T", given, given),
    ]
    for call in calls:
        with pytest.raises(error):
            call()
    assert (db.count_edges_by_type("T"), db.count_vectors()) == (0, 0)


def test_vectors_of_many_nodes_are_one_matrix(db: kitedb.Database, ids: list[int], path: Path) -> None:
    given = numpy.random.default_rng(1).random((5000, 3), "float32") + 1
    assert db.node_vectors(ids, "face") is None, "none was ever stored"
    db.set_node_vectors(numpy.array(ids, "uint64"), "face", given)
    back = db.node_vectors(ids[::-1], "face")
    assert back is not None
    found = of(back)
    assert (found.dtype, found.shape) == (numpy.float32, (5000, 3))
    assert (found == given[::-1]).all()
    assert numpy.asarray(db.node_vector(ids[7], "face")).tolist() == given[7].tolist()

    empty = db.node_vectors([], "face")
    assert empty is not None and of(empty).shape == (0, 3), "a matrix, whatever is asked for"
    db.delete_node_vector(ids[0], "face")
    some = db.node_vectors([ids[0], ids[1], 10**9], "face")
    assert some is not None
    assert numpy.isnan(of(some)).all(axis=1).tolist() == [True, False, True], "a row of NaN where there is none"

    db.close()
    with kitedb.open(path, read_only=True) as again:
        back = again.node_vectors(ids[1:], "face")
        assert back is not None and (numpy.asarray(back) == given[1:]).all()


def test_a_matrix_is_taken_however_it_lies(db: kitedb.Database, ids: list[int]) -> None:
    plain = numpy.arange(1, 13, dtype="float32").reshape(4, 3)
    unaligned = numpy.frombuffer(b"x" + plain.tobytes(), "float32", offset=1).reshape(4, 3)
    for given in (
        plain,
        numpy.asfortranarray(plain),
        plain.repeat(2, axis=1)[:, ::2],
        unaligned,
        memoryview(plain),  # type: ignore[arg-type]
        plain.tolist(),
        list(plain),
        (tuple(row) for row in plain.tolist()),
    ):
        db.set_node_vectors(ids[:4], "v", numpy.ones((4, 3), "float32"))
        db.set_node_vectors(ids[:4], "v", given)
        back = db.node_vectors(ids[:4], "v")
        assert back is not None and (of(back) == plain).all()
    db.set_node_vectors([], "v", numpy.zeros((0, 3), "float32"))
    db.set_node_vectors([], "v", [])


def test_vectors_are_all_stored_or_none(db: kitedb.Database, ids: list[int]) -> None:
    def attempts(to: kitedb.Database | kitedb.Transaction) -> Iterator[tuple[type[Exception], Callable[[], None]]]:
        yield kitedb.NotFoundError, lambda: to.set_node_vectors([ids[0], 10**9], "v", [[1.0], [2.0]])
        yield kitedb.InvalidArgumentError, lambda: to.set_node_vectors(ids[:2], "v", [[1.0], [float("nan")]])
        yield kitedb.InvalidArgumentError, lambda: to.set_node_vectors(ids[:2], "v", [[1.0], [0.0]])
        yield kitedb.InvalidArgumentError, lambda: to.set_node_vectors(ids[:2], "v", numpy.zeros((2, 0), "float32"))
        yield kitedb.InvalidArgumentError, lambda: to.set_node_vectors(ids[:2], "two", [[1.0], [2.0]])
        yield ValueError, lambda: to.set_node_vectors(ids[:2], "v", [[1.0], [2.0, 3.0]])
        yield ValueError, lambda: to.set_node_vectors(ids[:2], "v", [[1.0]])
        yield ValueError, lambda: to.set_node_vectors(ids[:2], "v", numpy.ones(2, "float32"))
        yield TypeError, lambda: to.set_node_vectors(ids[:2], "v", numpy.ones((2, 2)))
        yield TypeError, lambda: to.set_node_vectors(ids[:2], "v", "ab")  # type: ignore[arg-type]

    db.set_node_vector(ids[4], "two", [1.0, 2.0])
    for error, call in attempts(db):
        with pytest.raises(error):
            call()
    with db.transaction() as tx:
        for error, call in attempts(tx):
            with pytest.raises(error):
                call()
        assert tx.count_vectors() == 1, "what fails in a transaction changes nothing of it"
        tx.set_node_vectors(ids[:1], "v", [[1.0, 2.0, 3.0]])
    assert (db.count_vectors(), db.vector_dimension("v"), db.vector_dimension("two")) == (2, 3, 2)


def test_edges_are_added_from_arrays(db: kitedb.Database, ids: list[int]) -> None:
    nodes = of(db.nodes().ids())
    db.add_edges_of_type("BACK", nodes[1:], nodes[:-1])
    assert db.count_edges_by_type("BACK") == 4999
    assert db.neighbor_ids(ids[7], "out", "BACK") == [ids[6]]
    with pytest.raises(kitedb.KiteDbError) as error:
        db.add_edges_of_type("BACK", nodes[:2], nodes[1::-1])
    assert error.value.code == "EDGE_EXISTS"
    with pytest.raises(kitedb.NotFoundError):
        db.add_edges_of_type("NEW", [ids[0]], [10**9])
    with pytest.raises(ValueError, match="1 ids in src and 2 in dst"):
        db.add_edges_of_type("NEW", [ids[0]], ids[:2])
    db.add_edges_of_type("NEW", [], [])
    assert db.count_edges_by_type("BACK") == 4999
    assert db.count_edges_by_type("NEW") == 0


def test_an_array_outlives_what_it_was_read_of(db: kitedb.Database, ids: list[int]) -> None:
    rows = db.nodes()
    found = numpy.asarray(rows.ids())
    del rows
    db.close()
    gc.collect()
    assert found.tolist() == ids
    with pytest.raises((ValueError, TypeError)):
        found[0] = 1
    copy = numpy.array(found)
    copy[0] = 1
    assert found[0] == ids[0]


def test_a_buffer_is_what_it_is_asked_for(db: kitedb.Database, ids: list[int]) -> None:
    ends = db.edges().ends()
    owner = ends.obj
    assert (ends.format, ends.itemsize, ends.shape, ends.strides, ends.readonly) == ("Q", 8, (5001, 2), (16, 8), True)
    assert ends.contiguous and ends.c_contiguous and not ends.f_contiguous
    assert bytes(ends) == bytes(memoryview(owner)) == numpy.asarray(owner).tobytes(), "a copy takes it plainly, too"
    assert numpy.asfortranarray(owner).tolist() == ends.tolist()
    with pytest.raises(TypeError, match="read-write"):
        io.BytesIO(b"x" * 16).readinto(owner)


def test_other_threads_run_while_much_is_read(db: kitedb.Database, ids: list[int]) -> None:
    """Of a scan in pieces: what another thread asks of the same transaction is told, and never waits for ever."""
    tx = db.begin()
    told: list[object] = []

    def read() -> None:
        for _ in range(50):
            try:
                told.append(len(tx.nodes().ids()))
            except kitedb.LockedError as error:
                told.append(error.code)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(told) <= {5000, "LOCKED"} and 5000 in told
    tx.rollback()
