"""What values become on the way."""

import array
import asyncio
import collections
import copy
import datetime
import math
import pickle
import struct
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kitedb
import kitedb.aio

UTC = datetime.timezone.utc


@pytest.fixture
def through(db: kitedb.Database) -> Callable[[Any], Any]:
    """What is read of a property that was given a value."""
    node = db.create_node()

    def through(value: Any) -> Any:
        db.set_node_prop(node, "x", value)
        return db.node_prop(node, "x", "nothing")

    return through


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        1,
        -(2**63),
        2**63 - 1,
        0.0,
        1.0,
        -0.0,
        math.inf,
        "",
        "ada \N{SNOWMAN} \U0001f600",
        b"",
        b"\x00\xff",
        [],
        [1, 1.0, "1", True, None, [b"1"]],
        {},
        {"a": {"b": [1]}, "": None},
        datetime.date(1815, 12, 10),
        datetime.date(1, 1, 1),
        datetime.date(9999, 12, 31),
        datetime.time(21, 40, 32, 142000),
        datetime.time(21, 40, tzinfo=UTC),
        datetime.time(21, 40, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))),
        datetime.datetime(2015, 7, 21, 21, 40, 32, 142),
        datetime.datetime(2015, 7, 21, 21, 40, tzinfo=UTC),
        datetime.datetime(2015, 7, 21, 21, 40, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.datetime(2015, 7, 21, 21, 40, tzinfo=ZoneInfo("Europe/London")),
        datetime.datetime(2015, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London")),
        datetime.datetime(2015, 10, 25, 1, 30, fold=1, tzinfo=ZoneInfo("Europe/London")),
        datetime.timedelta(days=3, seconds=4, microseconds=5),
        datetime.timedelta(days=-1, seconds=86399),
        kitedb.LocalDate(-1_000_000),
        kitedb.LocalTime(1),
        kitedb.Time(1, 3600),
        kitedb.LocalDateTime(0, 1),
        kitedb.DateTime(0, 1, 3600),
        kitedb.DateTime(0, 0, 3600, "Nowhere/Atlantis"),
        kitedb.Duration(months=1, days=2),
        kitedb.Duration(seconds=86400),
        kitedb.Duration(nanoseconds=1),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(through: Callable[[Any], Any], value: Any) -> None:
    back = through(value)
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, float):
        assert struct.pack("d", back) == struct.pack("d", value)
    if isinstance(value, datetime.datetime):
        assert back.utcoffset() == value.utcoffset()
        assert str(back.tzinfo) == str(value.tzinfo)


def test_kinds_do_not_mix(through: Callable[[Any], Any]) -> None:
    assert [type(through(value)) for value in (1, 1.0, True)] == [int, float, bool]
    assert math.isnan(through(math.nan))


def test_what_stands_for_a_value_is_taken(through: Callable[[Any], Any]) -> None:
    assert through((1, 2)) == [1, 2]
    assert through(bytearray(b"ab")) == b"ab"
    assert through(memoryview(b"ab")) == b"ab"
    assert through(numpy.int64(7)) == 7
    assert type(through(numpy.int64(7))) is int
    assert type(through(numpy.float64(7))) is float
    assert through(numpy.float32(0.5)) == 0.5
    assert through(numpy.bool_(True)) is True
    assert through(kitedb.LocalDate(0)) == datetime.date(1970, 1, 1), "datetime says it exactly"
    assert through(kitedb.Duration(days=1)) == datetime.timedelta(days=1)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [2**64], {"a": 10**100}])
def test_an_integer_of_more_than_64_bits_is_refused(through: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(OverflowError, match="64 bits"):
        through(value)


@pytest.mark.parametrize(
    "value", [object(), {1}, 1j, {1: 2}, numpy.zeros(2), numpy.zeros((2, 2), "float32"), "\ud800"], ids=repr
)
def test_what_no_property_can_be_is_refused(through: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises((TypeError, UnicodeEncodeError)):
        through(value)
    assert through(1) == 1, "nothing is broken by it"


def test_a_value_that_is_too_deep_or_holds_itself_is_refused(through: Callable[[Any], Any]) -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(ValueError):
        through(deep)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="holds itself"):
        through(endless)


def test_nanoseconds_are_not_dropped(through: Callable[[Any], Any]) -> None:
    value = through(kitedb.LocalDateTime.parse("2015-07-21T21:40:32.142000001"))
    assert str(value) == "2015-07-21T21:40:32.142000001"
    assert value.nanoseconds == 142000001


def test_temporal_classes_are_values(through: Callable[[Any], Any]) -> None:
    duration = kitedb.Duration.parse("P1Y2M3DT4H5M6.7S")
    assert (duration.months, duration.days, duration.seconds, duration.nanoseconds) == (14, 3, 14706, 700000000)
    assert pickle.loads(pickle.dumps(duration)) == duration
    assert len({duration, kitedb.Duration.parse("P1Y2M3DT4H5M6.7S")}) == 1
    assert repr(duration) == f"kitedb.Duration.parse('{duration}')"
    at = kitedb.DateTime.parse("2015-07-21T21:40:32.142+01:00[Europe/London]")
    assert (at.offset_seconds, at.zone) == (3600, "Europe/London")
    assert through(at) == datetime.datetime(2015, 7, 21, 21, 40, 32, 142000, ZoneInfo("Europe/London"))
    with pytest.raises(ValueError):
        kitedb.LocalDate.parse("yesterday")
    with pytest.raises(ValueError):
        kitedb.LocalTime(24 * 3600 * 10**9)


def test_a_vector_is_a_buffer_of_float32(db: kitedb.Database, through: Callable[[Any], Any]) -> None:
    floats = numpy.array([1.5, -0.0, math.nan, 3e38], "float32")
    back = through(floats)
    assert isinstance(back, memoryview) and back.format == "f" and back.readonly
    assert numpy.asarray(back).tobytes() == floats.tobytes()
    assert through(array.array("f", [1, 2])).tolist() == [1.0, 2.0]
    assert through(numpy.arange(6, dtype="float32")[::2]).tolist() == [0.0, 2.0, 4.0], "with strides"

    node = db.create_node()
    with pytest.raises(kitedb.InvalidArgumentError, match="every component must be finite"):
        db.set_node_vector(node, "embedding", floats)
    floats[2] = 0.5
    db.set_node_vector(node, "embedding", floats)
    stored = db.node_vector(node, "embedding")
    assert stored is not None and stored.tobytes() == floats.tobytes()
    assert (db.vector_dimension("embedding"), db.count_vectors()) == (4, 1)
    assert db.node_props(node) == {}, "it is no property"
    db.set_node_vector(node, "embedding", [1, 2, 3, 4])
    with pytest.raises(kitedb.InvalidArgumentError) as caught:
        db.set_node_vector(node, "embedding", [1.0])
    assert caught.value.code == "VECTOR_DIMENSION"
    with pytest.raises(TypeError, match="float32"):
        db.set_node_vector(node, "embedding", numpy.zeros(4))
    with pytest.raises(TypeError):
        db.set_node_vector(node, "embedding", "abcd")  # type: ignore[arg-type]
    assert db.delete_node_vector(node, "embedding")
    assert db.node_vector(node, "embedding") is None


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(plain)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    assert _shared(value) == value


def _shared(value: Any, db: kitedb.Database = kitedb.Database.in_memory()) -> Any:
    with db.transaction() as tx:
        node = tx.create_node(props={"x": value})
        back = tx.node_prop(node, "x")
        tx.rollback()
    return back


def test_nodes_and_edges_are_pickled_and_copied(db: kitedb.Database) -> None:
    with db.transaction() as tx:
        vector = array.array("f", [0.5, -1.0])
        ada = tx.create_node("ada", labels=["Person", "Poet"], props={"v": vector, "deep": [{"w": vector}], "at": datetime.date(1815, 12, 10)})
        tx.add_edge(ada, "KNOWS", ada, {"v": vector, "n": None})
    node, edge = db.node(ada), db.edge_between(ada, "KNOWS", ada)
    assert node is not None and edge is not None
    for element in (node, edge):
        for again in (pickle.loads(pickle.dumps(element)), copy.deepcopy(element), copy.copy(element)):
            assert again == element and type(again) is type(element)
            assert isinstance(again.props["v"], memoryview) and again.props["v"].tolist() == [0.5, -1.0]
    bare = pickle.loads(pickle.dumps(db.node(db.create_node())))
    assert bare == kitedb.Node(bare.id) and bare != kitedb.Node(bare.id, "key")


def test_what_lies_beneath_a_mask_is_no_value(db: kitedb.Database) -> None:
    ada = db.create_node("ada")
    masked = numpy.ma.MaskedArray(numpy.array([1, 2], "float32"), mask=[False, True])
    for attempt in (
        lambda: db.set_node_prop(ada, "x", masked),
        lambda: db.set_node_prop(ada, "x", [masked]),
        lambda: db.set_node_prop(ada, "x", numpy.ma.masked),
        lambda: db.set_node_vector(ada, "v", masked),
        lambda: db.neighbor_ids_batch(numpy.ma.MaskedArray(numpy.array([ada], "uint64"), mask=[True]), "out", kitedb.AllTypes),
    ):
        with pytest.raises(TypeError, match="masked"):
            attempt()
    db.set_node_prop(ada, "x", masked.filled(0))
    assert db.node_prop(ada, "x").tolist() == [1.0, 0.0]


def test_whatever_is_a_sequence_is_a_list(through: Callable[[Any], Any]) -> None:
    assert through(range(3)) == [0, 1, 2]
    assert through(collections.deque(["a", None])) == ["a", None]
    assert through({"deep": collections.UserList([1.5, (2,)])}) == {"deep": [1.5, [2]]}
    endless = collections.UserList[Any]()
    endless.append(endless)
    with pytest.raises(kitedb.InputError, match="nested deeper"):
        through(endless)
    for refused in ({1, 2}, iter([1])):
        with pytest.raises(TypeError, match="no property can be a"):
            through(refused)


def test_a_transaction_is_tried_at_least_once(db: kitedb.Database) -> None:
    with pytest.raises(kitedb.InputError, match="attempts is 0: give a whole number from 1 on"):
        db.transaction_with_retry(0, lambda tx: tx.create_node("never"))
    with pytest.raises(kitedb.InputError, match="attempts is 0"):
        db.retry(0)

    async def never(tx: kitedb.aio.Transaction) -> None:
        raise AssertionError

    with pytest.raises(kitedb.InputError, match="attempts is 0"):
        asyncio.run(kitedb.aio.Database(db).transaction_with_retry(0, never))
    assert db.node_by_key("never") is None
