"""Scans as Arrow streams, read by those who read them."""

import datetime
import gc
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy
import pandas
import polars
import pyarrow
import pytest

import kitedb

UTC = datetime.timezone.utc


@pytest.fixture
def people(db: kitedb.Database) -> list[int]:
    with db.transaction() as tx:
        ids = tx.create_nodes_batch(
            [
                {"key": "ada", "labels": ["Person", "Author"], "props": {"born": 1815, "rate": 0.5, "alive": False}},
                {"labels": ["Person"], "props": {"rate": 2, "name": "Charles \N{SNOWMAN}"}},
                {"props": {"born": None}},
            ]
        )
        tx.add_edge(ids[0], "KNOWS", ids[1], {"since": 1833})
        tx.add_parallel_edge(ids[0], "KNOWS", ids[1])
        tx.add_edge(ids[2], "LIKES", ids[0])
    return ids


def table(rows: Any) -> pyarrow.Table:
    read = pyarrow.table(rows)
    read.validate(full=True)
    return read


def test_nodes_are_columns(db: kitedb.Database, people: list[int]) -> None:
    read = table(db.nodes())
    assert read.to_pydict() == {
        "id": people,
        "key": ["ada", None, None],
        "labels": [["Person", "Author"], ["Person"], []],
        "born": [1815, None, None],
        "rate": [0.5, 2.0, None],
        "alive": [False, None, None],
        "name": [None, "Charles \N{SNOWMAN}", None],
    }
    types = {field.name: str(field.type) for field in read.schema}
    assert types == {
        "id": "uint64",
        "key": "string",
        "labels": "list<item: string>",
        "born": "int64",
        "rate": "double",
        "alive": "bool",
        "name": "string",
    }
    assert table(db.nodes(select=["name", "nobody has it", "name"])).column_names == ["id", "key", "labels", "name", "nobody has it"]
    assert table(db.nodes_with_label("Author")).column("key").to_pylist() == ["ada"]
    assert table(db.nodes_with_label("Nobody")).num_rows == 0


def test_edges_are_columns(db: kitedb.Database, people: list[int]) -> None:
    read = table(db.edges())
    assert read.column_names == ["src", "type", "dst", "rank", "since"]
    assert read.column("src").to_pylist() == [people[0], people[0], people[2]]
    assert read.column("type").to_pylist() == ["KNOWS", "KNOWS", "LIKES"]
    assert read.column("since").to_pylist() == [1833, None, None]
    rank = read.column("rank").to_pylist()
    assert rank[0] == 0 and rank[1] > 0
    assert table(db.out_edges(people[0], "KNOWS", select=[])).column_names == ["src", "type", "dst", "rank"]
    at = table(db.in_edges(people[0], kitedb.AllTypes))
    assert (at.column("src").to_pylist(), at.column("dst").to_pylist()) == ([people[2]], [people[0]])
    assert table(db.out_neighbors(people[0], "KNOWS")).column("id").to_pylist() == [people[1]] * 2
    assert table(db.sorted_edges(people[0], "out", kitedb.AllTypes)).num_rows == 2


def test_values_are_what_they_were(db: kitedb.Database) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    values: dict[str, list[Any]] = {
        "bytes": [b"", b"\0\xff"],
        "date": [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)],
        "time": [datetime.time(0), datetime.time(23, 59, 59, 999999)],
        "local": [datetime.datetime(1815, 12, 10, 1, 2, 3, 4), datetime.datetime(9999, 12, 31)],
        "utc": [datetime.datetime(1815, 12, 10, tzinfo=UTC), datetime.datetime(2026, 1, 1, tzinfo=UTC)],
        "berlin": [datetime.datetime(2026, 1, 1, tzinfo=berlin), datetime.datetime(2026, 7, 1, tzinfo=berlin)],
        "list": [[1, None, 3], []],
        "lists": [[["a"], []], [None, ["b", "c"]]],
        "vector": [numpy.array([1, 2], "float32"), numpy.array([3, 4], "float32")],
        "ragged": [numpy.array([1], "float32"), numpy.array([2, 3], "float32")],
        "empty": [None, []],
        "no components": [numpy.array([], "float32")],
        "largest": [2**63 - 1, -(2**63)],
    }
    for name, pair in values.items():
        db.create_nodes_batch([{"labels": [name], "props": {name: value}} for value in pair])
        db.create_node(labels=[name])
        column = table(db.nodes_with_label(name)).column(name)
        expected = [value.tolist() if isinstance(value, numpy.ndarray) else value for value in pair]
        assert column.to_pylist() == [*expected, None], name
    schema = table(db.nodes()).schema
    assert str(schema.field("vector").type) == "fixed_size_list<item: float>[2]"
    assert str(schema.field("ragged").type) == "list<item: float>"
    assert str(schema.field("utc").type) == "timestamp[us, tz=UTC]"
    assert str(schema.field("berlin").type) == "timestamp[us, tz=Europe/Berlin]"


def test_nanoseconds_and_zones_are_told_as_they_can_be(db: kitedb.Database) -> None:
    fine = kitedb.LocalDateTime.parse("2015-07-21T21:40:32.142000001")
    db.create_node(props={"fine": fine, "at": kitedb.DateTime.parse("2015-07-21T21:40:32.142+02:00")})
    assert str(table(db.nodes()).schema.field("fine").type) == "timestamp[ns]"
    assert table(db.nodes()).column("fine").cast("int64").to_pylist() == [1437514832142000001]
    assert str(table(db.nodes()).schema.field("at").type) == "timestamp[us, tz=+02:00]"
    db.create_node(props={"at": kitedb.DateTime.parse("2015-07-21T21:40:32.142-05:30")})
    at = table(db.nodes()).column("at")
    assert str(at.type) == "timestamp[us, tz=UTC]", "of several zones"
    assert [moment.isoformat() for moment in at.to_pylist()] == [
        "2015-07-21T19:40:32.142000+00:00",
        "2015-07-22T03:10:32.142000+00:00",
    ]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, "one"], "'x' holds int and str values, which no Arrow column can: leave it out, with select"),
        ([True, 1], "holds bool and int values"),
        ([0.5, 2**60 + 1], "holds float and int values"),
        ([2**60 + 1, 0.5], "holds int and float values"),
        ([[1], ["a"]], "holds int and str values"),
        ([[1], 1], "holds list and int values"),
        ([{"a": 1}], "holds a dict"),
        ([datetime.timedelta(1)], "holds a duration"),
        ([datetime.time(1, tzinfo=UTC)], "holds a time with an offset"),
        ([kitedb.LocalDate(2**38)], "holds a date that is further away"),
        ([kitedb.LocalDateTime(2**44, 1)], "holds a datetime that is further away, or finer"),
    ],
    ids=str,
)
def test_what_no_column_can_hold_is_refused_by_name(db: kitedb.Database, values: list[Any], says: str) -> None:
    db.create_nodes_batch([{"props": {"x": value, "y": 1}} for value in values])
    with pytest.raises(kitedb.InvalidArgumentError, match=says):
        db.nodes().__arrow_c_stream__()
    with pytest.raises(kitedb.InvalidArgumentError, match=says):
        db.nodes().__arrow_c_schema__()
    assert table(db.nodes(select=["y"])).column("y").to_pylist() == [1] * len(values)


def test_a_property_that_is_called_as_a_column_is_told_apart(db: kitedb.Database) -> None:
    a = db.create_node(props={"id": 7, "key": "k"})
    db.add_edge(a, "T", a, {"src": 1, "id": 2})
    assert table(db.nodes()).to_pydict() == {
        "id": [a],
        "key": [None],
        "labels": [[]],
        "props.id": [7],
        "props.key": ["k"],
    }
    assert table(db.edges()).column_names == ["src", "type", "dst", "rank", "id", "props.src"]
    db.set_node_prop(a, "props.id", 1)
    assert table(db.nodes()).column_names == ["id", "key", "labels", "props.id", "props.key", "props.props.id"]


def test_a_stream_comes_in_batches_and_can_be_asked_for_again(db: kitedb.Database) -> None:
    db.create_nodes_batch([{"props": {"n": n}} for n in range(50_000)])
    rows = db.nodes()
    db.create_node(props={"n": "later, and of another kind"})
    for _ in range(2):
        reader = pyarrow.RecordBatchReader.from_stream(rows)
        batches = list(reader)
        assert len(batches) > 1 and max(batch.num_rows for batch in batches) < 20_000
        assert pyarrow.Table.from_batches(batches).column("n").to_pylist() == list(range(50_000))
    assert next(rows).props == {"n": 0}
    with pytest.raises(kitedb.InvalidArgumentError, match="begin another one"):
        table(rows)
    rows.close()
    with pytest.raises(kitedb.InputError):
        table(rows)


def test_large_values_are_cut_into_batches(db: kitedb.Database) -> None:
    text = "x" * (1 << 20)
    for _ in range(2):
        db.create_nodes_batch([{"props": {"text": text}} for _ in range(50)])
    batches = list(pyarrow.RecordBatchReader.from_stream(db.nodes()))
    assert len(batches) == 2
    assert sum(batch.num_rows for batch in batches) == 100


def test_many_columns_are_cut_into_batches_as_well(db: kitedb.Database) -> None:
    """Each row takes up room in each of them, whether it has such a property or not."""
    db.create_nodes_batch([{"props": {f"p{n}": n}} for n in range(3000)])
    db.create_nodes_batch([{} for _ in range(5000)])
    batches = list(pyarrow.RecordBatchReader.from_stream(db.nodes()))
    assert sum(len(batch) for batch in batches) == 8000 and len(batches) >= 3
    assert max(batch.nbytes for batch in batches) < 128 << 20
    read = pyarrow.Table.from_batches(batches)
    assert [read.column(f"p{n}")[n].as_py() for n in (0, 1, 1500, 2999)] == [0, 1, 1500, 2999]
    assert read.column("p2999").null_count == 7999


def read_twice(db: kitedb.Database) -> None:
    """Makes 50,000 nodes of which no look alone makes the columns."""
    db.create_nodes_batch([{"props": {"n": n, "moment": datetime.datetime(2024, 1, 1)}} for n in range(50_000)])
    db.set_node_prop(50_000, "moment", kitedb.LocalDateTime(0, 1))


def test_a_stream_holds_its_state_until_it_is_dropped(db: kitedb.Database) -> None:
    read_twice(db)
    reader = pyarrow.RecordBatchReader.from_stream(db.nodes())
    reader.read_next_batch()
    gc.collect()
    assert len(db.stats().pins) == 1
    del reader
    gc.collect()
    assert db.stats().pins == []
    capsule = db.nodes().__arrow_c_stream__()
    assert len(db.stats().pins) == 1
    del capsule
    gc.collect()
    assert db.stats().pins == [], "nobody took it"


def test_a_stream_that_was_read_already_holds_no_state(db: kitedb.Database) -> None:
    db.create_nodes_batch([{"props": {"n": n}} for n in range(50_000)])
    reader = pyarrow.RecordBatchReader.from_stream(db.nodes())
    assert db.stats().pins == []
    db.set_node_prop(50_000, "n", -1)
    assert reader.read_all().column("n").to_pylist() == list(range(50_000)), "it is the state as of the call"
    assert [len(batch) for batch in pyarrow.RecordBatchReader.from_stream(db.nodes())] == [16_384] * 3 + [848]


MANY = 20_000
"""More than a batch."""


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (1, 0.5),
        (None, 7),
        (0.5, 1),
        ([], [1]),
        ([1], [0.5]),
        ([None], ["text"]),
        (b"", None),
        (True, None),
        (datetime.date(1815, 12, 10), None),
        (datetime.time(1, 2, 3), kitedb.LocalTime(1)),
        (datetime.datetime(2024, 1, 1), kitedb.LocalDateTime(0, 1)),
        (datetime.datetime(2024, 1, 1, tzinfo=UTC), datetime.datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/London"))),
        (numpy.zeros(2, "float32"), numpy.zeros(3, "float32")),
        (numpy.zeros(2, "float32"), numpy.ones(2, "float32")),
        (numpy.zeros(0, "float32"), numpy.ones(2, "float32")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("at", [1, MANY - 1])
def test_what_a_column_is_shows_with_its_last_value(db: kitedb.Database, first: Any, last: Any, at: int) -> None:
    """In whichever batch that comes, and by whichever way the batches are made."""
    db.create_nodes_batch([{"props": {"p": first, "n": n}} for n in range(MANY)])
    with db.transaction() as tx:
        tx.set_node_prop(at + 1, "p", last)
        tx.set_node_prop(at + 1, "late", "met here")
        tx.delete_node_prop(1, "p")
    rows = db.nodes()
    read, again = table(rows), table(rows)
    assert read.equals(again) and read.schema == again.schema, "the second one was read once more"
    assert read.column("n").to_pylist() == list(range(MANY))
    late: list[Any] = [None] * MANY
    late[at] = "met here"
    assert read.column("late").to_pylist() == late

    def plain(value: Any) -> Any:
        """As a table has it whose column is of that kind."""
        if isinstance(value, numpy.ndarray):
            return value.tolist()
        kind = read.schema.field("p").type
        return pyarrow.array([value], kind)[0].as_py() if value is not None else None

    values = read.column("p").to_pylist()
    assert values[0] is None or at == 0
    if not isinstance(last, kitedb.LocalTime | kitedb.LocalDateTime):
        assert (values[2], values[at]) == (plain(first), plain(last))
    assert values[2:at] == [values[2]] * (at - 2 if at > 2 else 0)


def test_a_stream_goes_on_after_the_close(path: Path) -> None:
    with kitedb.open(path) as db:
        read_twice(db)
        reader = pyarrow.RecordBatchReader.from_stream(db.nodes())
        rows = db.nodes()
    assert sum(batch.num_rows for batch in reader) == 50_000
    with pytest.raises(kitedb.ClosedError):
        table(rows)


def test_a_transaction_is_no_stream_and_a_snapshot_is(db: kitedb.Database, people: list[int]) -> None:
    with db.transaction() as tx, pytest.raises(kitedb.InvalidArgumentError, match="commit, and scan the database or a snapshot"):
        table(tx.nodes())
    with db.snapshot() as snapshot:
        db.create_node()
        assert table(snapshot.nodes()).num_rows == 3


def test_pandas_polars_and_duckdb_read_it(db: kitedb.Database, people: list[int]) -> None:
    frame = pandas.DataFrame.from_arrow(db.nodes(select=["born", "rate"]))
    assert frame["rate"].tolist()[:2] == [0.5, 2.0]
    assert frame["id"].tolist() == people
    lazy = polars.DataFrame(db.nodes())
    assert lazy.filter(polars.col("key") == "ada")["labels"].to_list() == [["Person", "Author"]]
    nodes, edges = db.nodes(), db.edges()
    with duckdb.connect() as sql:
        found = sql.execute("SELECT n.name, count(*) FROM edges e JOIN nodes n ON n.id = e.dst WHERE e.type = 'KNOWS' GROUP BY ALL")
        assert found.fetchall() == [("Charles \N{SNOWMAN}", 2)]
    del nodes, edges


def test_an_empty_graph_has_its_own_columns(db: kitedb.Database) -> None:
    assert table(db.nodes()).column_names == ["id", "key", "labels"]
    assert table(db.edges()).column_names == ["src", "type", "dst", "rank"]
    assert polars.DataFrame(db.nodes()).height == 0
