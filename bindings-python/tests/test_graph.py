"""Nodes, edges, properties, and what is read of them."""

from pathlib import Path
from typing import Any

import pytest

import kitedb
from kitedb import AllTypes, EdgeKey


def test_what_a_transaction_writes_is_read_after_its_block(db: kitedb.Database) -> None:
    with db.transaction() as tx:
        ada = tx.create_node("ada", labels=["Person", "Author"], props={"born": 1815})
        charles = tx.create_node("charles")
        tx.add_edge(ada, "KNOWS", charles, {"since": 1833})
        assert tx.node_prop(ada, "born") == 1815, "a transaction sees its own writes"
        assert db.node(ada) is None, "nobody else does before its end"

    node = db.node(ada)
    assert node is not None
    assert (node.id, node.key, node.labels, node.props) == (ada, "ada", ("Person", "Author"), {"born": 1815})
    assert db.node_by_key("ada") == ada
    assert db.node_with_key("charles") == db.node(charles)
    assert db.edge_prop(ada, "KNOWS", charles, "since") == 1833
    edge = db.edge_between(ada, "KNOWS", charles)
    assert edge is not None
    assert (edge.src, edge.type, edge.dst, edge.rank, edge.props) == (ada, "KNOWS", charles, 0, {"since": 1833})
    assert edge.key == EdgeKey(ada, "KNOWS", charles)
    assert db.edge(edge) == edge == db.edge((ada, "KNOWS", charles))
    assert (db.count_nodes(), db.count_edges(), db.count_nodes_by_label("Person")) == (2, 1, 1)


def test_what_is_not_there_is_none_and_a_property_the_default(db: kitedb.Database) -> None:
    node = db.create_node(props={"nothing": None})
    assert db.node(node + 1) is None
    assert db.node_by_key("nobody") is None
    assert db.node_props(node + 1) is None
    assert db.edge_between(node, "KNOWS", node) is None
    assert db.node_prop(node, "nothing", "default") is None, "None is a value"
    assert db.node_prop(node, "else", "default") == "default"
    assert db.edge_prop(node, "KNOWS", node, "since", 7) == 7


def test_a_read_returns_the_properties_that_are_asked_for(db: kitedb.Database) -> None:
    node = db.create_node(props={"a": 1, "b": 2, "c": 3})
    assert db.node_props(node, select=["c", "a", "z"]) == {"a": 1, "c": 3}
    assert db.node_props(node, select=[]) == {}
    with pytest.raises(TypeError):
        db.node_props(node, select="abc")


def test_neighbours_are_found_by_type_and_direction(db: kitedb.Database) -> None:
    with db.transaction() as tx:
        ada, charles, mary = tx.create_nodes_batch(["ada", "charles", {"key": "mary", "labels": ["Person"], "props": {"born": 1780}}])
        tx.add_edges_batch([(ada, "KNOWS", charles), (ada, "LIKES", mary, {"much": True}), {"src": mary, "type": "KNOWS", "dst": ada}])

    assert {node.key for node in db.out_neighbors(ada, AllTypes)} == {"charles", "mary"}
    assert [node.key for node in db.out_neighbors(ada, "KNOWS")] == ["charles"]
    assert [node.key for node in db.in_neighbors(ada, AllTypes)] == ["mary"]
    assert [edge.props for edge in db.out_edges(ada, "LIKES")] == [{"much": True}]
    assert list(db.out_edges(ada, "NOBODY_HAS_IT")) == []
    assert sorted(db.neighbor_ids(ada, "out", AllTypes)) == sorted([charles, mary])
    assert (db.out_degree(ada, AllTypes), db.in_degree(ada, "KNOWS"), db.degree(ada, "in", "LIKES")) == (2, 1, 0)
    with pytest.raises(TypeError, match="AllTypes"):
        db.out_degree(ada, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="out or in"):
        db.degree(ada, "both", AllTypes)  # type: ignore[arg-type]


def test_parallel_edges_differ_by_rank(db: kitedb.Database) -> None:
    a, b = db.create_nodes_batch(["a", "b"])
    db.add_edge(a, "PAID", b, {"amount": 1})
    second = db.add_parallel_edge(a, "PAID", b, {"amount": 2})
    assert second.rank > 0
    assert db.edges_between(a, "PAID", b) == [EdgeKey(a, "PAID", b), second]
    assert db.edge_prop_by_key(second, "amount") == 2
    assert db.edge_props(a, "PAID", b) == {"amount": 1}
    with pytest.raises(kitedb.InputError) as caught:
        db.add_edge(a, "PAID", b)
    assert caught.value.code == "EDGE_EXISTS"
    db.delete_edge_by_key(second)
    assert not db.edge_exists_by_key(second)
    assert db.delete_edges_between(a, "PAID", b) == 1


def test_upserts_create_change_and_remove(db: kitedb.Database) -> None:
    created = db.upsert_node("ada", {"born": 1815, "alive": True})
    assert created.created
    assert db.upsert_node("ada", {"alive": None, "died": 1852}) == (created.id, False)
    assert db.node_props(created.id) == {"born": 1815, "died": 1852}
    assert db.upsert_node_by_id(77, {"x": 1})
    assert not db.upsert_node_by_id(77, {"x": None})
    assert db.upsert_edge(created.id, "KNOWS", 77, {"since": 1})
    assert not db.upsert_edge(created.id, "KNOWS", 77, {"since": 2})
    assert db.edge_prop(created.id, "KNOWS", 77, "since") == 2


def test_labels_come_and_go(db: kitedb.Database) -> None:
    node = db.create_node(labels=["A"])
    assert db.add_node_label(node, "B")
    assert not db.add_node_label(node, "B")
    assert db.node_labels(node) == ["A", "B"]
    assert db.node_has_label(node, "B")
    assert [n.id for n in db.nodes_with_label("B")] == [node]
    assert db.remove_node_label(node, "A")
    assert not db.remove_node_label(node, "A")
    assert [label.name for label in db.labels()] == ["A", "B"]
    assert db.label_id("A") is not None and db.label_id("Z") is None


def test_scans_go_through_everything_in_batches(db: kitedb.Database) -> None:
    with db.transaction() as tx:
        ids = tx.create_nodes_batch([{"key": f"n{n}", "labels": ["Even"] if n % 2 == 0 else [], "props": {"n": n}} for n in range(5000)])
        tx.add_edges_batch([(ids[0], "HAS", node, {"n": n}) for n, node in enumerate(ids)])

    assert [node.id for node in db.nodes()] == ids
    assert [node.props["n"] for node in db.nodes_with_label("Even", select=["n"])] == list(range(0, 5000, 2))
    assert [edge.props["n"] for edge in db.edges()] == list(range(5000))
    assert [edge.dst for edge in db.sorted_edges(ids[0], "out", "HAS")] == ids
    assert {node.id for node in db.out_neighbors(ids[0], "HAS")} == set(ids), "more than a batch of them"
    assert len(db.nodes().to_list()) == 5000

    first = db.nodes_page(None, 3)
    assert (first.items, first.next) == (ids[:3], ids[2])
    assert db.nodes_page(first.next, 3).items == ids[3:6]
    assert db.nodes_page(ids[-2], 3) == ([ids[-1]], None)
    edges = db.edges_page(None, 2)
    assert [edge.dst for edge in db.edges_page(edges.next, 2).items] == ids[2:4]
    assert db.label_page("Even", None, 2).items == [ids[0], ids[2]]
    assert [edge.dst for edge in db.neighbors_page(ids[0], "out", "HAS", None, 2).items] == ids[:2]


def test_a_scan_shows_the_state_of_its_beginning_and_holds_it_no_longer_than_needed(db: kitedb.Database) -> None:
    db.create_nodes_batch([{"props": {"n": n}} for n in range(3000)])
    rows = db.nodes()
    next(rows)
    db.create_node("later")
    assert len(db.stats().pins) == 1
    assert sum(1 for _ in rows) == 2999
    assert db.stats().pins == [], "all of it was read"

    with db.nodes() as rows:
        next(rows)
    assert db.stats().pins == [], "its block ended"
    assert list(rows) == []

    for _ in db.nodes():
        break
    assert db.stats().pins == [], "nobody has it any more"


def test_a_snapshot_never_changes_and_pins_until_it_is_released(db: kitedb.Database) -> None:
    ada = db.create_node("ada")
    with db.snapshot(origin="report") as before:
        db.set_node_prop(ada, "born", 1815)
        assert before.node_prop(ada, "born") is None
        assert db.node_prop(ada, "born") == 1815
        assert [pin.origin for pin in db.stats().pins] == ["report"]
        assert before.digest != db.digest()
        assert before.token != db.last_commit_token()
    assert db.stats().pins == []
    with pytest.raises(kitedb.InputError) as caught:
        before.node(ada)
    assert caught.value.code == "FINISHED"


def test_values_of_the_graph_say_what_they_are(path: Path) -> None:
    with kitedb.open(path, replication_role="primary") as db:
        ada = db.create_node("ada", labels=["Person"], props={"born": 1815})
        assert repr(db.node(ada)) == f"Node(id={ada}, key='ada', labels=('Person',), props={{'born': 1815}})"
        assert repr(EdgeKey(1, "T", 2)) == "EdgeKey(src=1, type='T', dst=2, rank=0)"
        assert repr(db) == f"<kitedb.Database '{path}', primary, open>"
        match db.node(ada):
            case kitedb.Node(key="ada", props={"born": born}):
                assert born == 1815
            case _:
                pytest.fail("it is that node")
    assert repr(db) == f"<kitedb.Database '{path}', primary, closed>"


def test_a_bulk_load_commits_in_batches(db: kitedb.Database) -> None:
    with db.begin_bulk(100) as bulk:
        tokens = []
        for n in range(250):
            bulk.create_node(f"n{n}")
            if (token := bulk.step()) is not None:
                tokens.append(token)
        assert len(tokens) == 2
        assert bulk.last_token == tokens[-1]
        assert db.count_nodes() == 200
    assert db.count_nodes() == 250

    with pytest.raises(ZeroDivisionError):
        with db.begin_bulk(100) as bulk:
            bulk.create_node("lost")
            bulk.step()
            raise ZeroDivisionError
    assert db.node_by_key("lost") is None
    with pytest.raises(ValueError, match="at least 1"):
        db.begin_bulk(0)


def test_wrong_arguments_are_python_errors(db: kitedb.Database) -> None:
    ada = db.create_node("ada")
    with pytest.raises(TypeError, match="set"):
        db.set_node_prop(ada, "x", {1, 2})  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        db.set_node_prop(ada, "x", 2**63)
    with pytest.raises(OverflowError):
        db.node(-1)
    with pytest.raises(TypeError, match="labels"):
        db.create_node(labels="Person")
    with pytest.raises(TypeError, match="lables"):
        db.create_nodes_batch([{"lables": ["Person"]}])  # type: ignore[list-item]
    with pytest.raises(kitedb.NotFoundError) as caught:
        db.set_node_prop(ada + 1, "x", 1)
    assert (caught.value.code, caught.value.kind) == ("NODE_NOT_FOUND", "input")
    assert isinstance(caught.value, LookupError)
    with pytest.raises(kitedb.InputError) as duplicate:
        db.create_node("ada")
    assert (duplicate.value.code, duplicate.value.key) == ("DUPLICATE_KEY", "ada")
    assert db.count_nodes() == 1
    assert db.node_props(ada) == {}


def test_one_in_place_of_a_list_is_refused(db: kitedb.Database) -> None:
    """A str and a dict are iterable: what they say would be taken for something else."""
    node = db.create_node()
    given: list[tuple[str, Any]] = [("nodes is a str", "ada"), ("nodes is a dict", {"key": "ada"})]
    for says, nodes in given:
        with pytest.raises(TypeError, match=says):
            db.create_nodes_batch(nodes)
    not_lists: list[Any] = ["Person", {"Person": 1}]
    for labels in not_lists:
        with pytest.raises(TypeError, match="labels is a (str|dict): give a list"):
            db.create_node(labels=labels)
        with pytest.raises(TypeError, match="labels is a (str|dict): give a list"):
            db.create_nodes_batch([{"labels": labels}])
    for read in (lambda: db.node(node, select="born"), lambda: db.nodes(select="born"), lambda: db.out_edges(node, AllTypes, select="born")):
        with pytest.raises(TypeError, match="select is a str: give a list"):
            read()
    with pytest.raises(TypeError, match="a vector is a float: give numbers"):
        db.set_node_vectors([node], "v", [1.0])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a vector is a int: give numbers"):
        db.set_node_vector(node, "v", 1)  # type: ignore[arg-type]
    assert (db.count_nodes(), db.labels()) == (1, [])
