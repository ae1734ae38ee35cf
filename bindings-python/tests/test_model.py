"""A database beside a model of it made of dicts: any sequence of writes leaves both the same."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import kitedb

names = st.sampled_from(["a", "b", "c"])
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text("ab\N{SNOWMAN}") | st.binary()
props = st.dictionaries(names, values, max_size=3)


class Graph(RuleBasedStateMachine):
    """Each rule is a transaction, which commits or is given up."""

    nodes = Bundle("nodes")
    edges = Bundle("edges")

    @initialize()
    def open(self) -> None:
        self.db = kitedb.Database.in_memory()
        self.known_nodes: dict[int, dict[str, Any]] = {}
        self.known_edges: dict[kitedb.EdgeKey, dict[str, Any]] = {}

    def teardown(self) -> None:
        if hasattr(self, "db"):
            assert self.db.check().clean
            self.db.close()

    @rule(target=nodes, given=props)
    def create_node(self, given: dict[str, Any]) -> int:
        node = self.db.create_node(props=given)
        assert node not in self.known_nodes
        self.known_nodes[node] = given
        return node

    @rule(node=nodes, name=names, value=values)
    def set_node_prop(self, node: int, name: str, value: Any) -> None:
        if node in self.known_nodes:
            self.db.set_node_prop(node, name, value)
            self.known_nodes[node] = {**self.known_nodes[node], name: value}

    @rule(node=nodes, name=names)
    def delete_node_prop(self, node: int, name: str) -> None:
        if node in self.known_nodes:
            assert self.db.delete_node_prop(node, name) == (name in self.known_nodes[node])
            self.known_nodes[node] = {k: v for k, v in self.known_nodes[node].items() if k != name}

    @rule(target=edges, src=nodes, dst=nodes, type=names, given=props)
    def add_parallel_edge(self, src: int, dst: int, type: str, given: dict[str, Any]) -> Any:
        if src not in self.known_nodes or dst not in self.known_nodes:
            return multiple()
        edge = self.db.add_parallel_edge(src, type, dst, given)
        assert edge not in self.known_edges
        self.known_edges[edge] = given
        return edge

    @rule(edge=edges, name=names, value=values)
    def set_edge_prop(self, edge: kitedb.EdgeKey, name: str, value: Any) -> None:
        if edge in self.known_edges:
            self.db.set_edge_prop_by_key(edge, name, value)
            self.known_edges[edge] = {**self.known_edges[edge], name: value}

    @rule(edge=consumes(edges))
    def delete_edge(self, edge: kitedb.EdgeKey) -> None:
        if edge in self.known_edges:
            self.db.delete_edge_by_key(edge)
            del self.known_edges[edge]

    @rule(node=consumes(nodes))
    def delete_node(self, node: int) -> None:
        self.db.delete_node(node)
        del self.known_nodes[node]
        self.known_edges = {edge: given for edge, given in self.known_edges.items() if node not in (edge.src, edge.dst)}

    @rule(node=nodes, given=props)
    def roll_back(self, node: int, given: dict[str, Any]) -> None:
        tx = self.db.begin()
        other = tx.create_node("given up", props=given)
        if node in self.known_nodes:
            tx.add_edge(node, "GIVEN_UP", other)
            tx.delete_node(node)
        tx.rollback()

    @rule()
    def checkpoint(self) -> None:
        self.db.checkpoint()

    @invariant()
    def both_are_the_same(self) -> None:
        if not hasattr(self, "db"):
            return
        with self.db.snapshot() as now:
            assert {node.id: node.props for node in now.nodes()} == self.known_nodes
            assert {edge.key: edge.props for edge in now.edges()} == self.known_edges
            assert (now.count_nodes(), now.count_edges()) == (len(self.known_nodes), len(self.known_edges))
            for node in self.known_nodes:
                leads = {edge for edge in self.known_edges if edge.src == node}
                assert {edge.key for edge in now.out_edges(node, kitedb.AllTypes)} == leads
                assert now.in_degree(node, kitedb.AllTypes) == sum(edge.dst == node for edge in self.known_edges)


TestGraph = Graph.TestCase
TestGraph.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
