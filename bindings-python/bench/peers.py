#!/usr/bin/env python3
"""KiteDB beside `sqlite3`, and its Arrow scans beside DuckDB reading Parquet, in one run and both ways round.

    .venv/bin/python bench/peers.py                 # in the folder bindings-python; the extension is built with --profile dist
    .venv/bin/python bench/peers.py --quick lookup  # smaller, and only these rows

Each row is measured in pairs: one of them, then the other, and the next time the other way round. What is told is the median of the
ratios of those pairs, with the smallest and the largest, and the medians of both. Everything is on one file system (`--dir`).

On a machine that does other things, too, `--cpu` tells processor time in place of time: of all threads of this process, so that what
works in several (DuckDB does) looks the slower, and not of rows that wait for the disk.
"""

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import kitedb
import kitedb.aio

clock: Callable[[], float] = time.perf_counter

Measured = Callable[[], float]
"""What is done once, and the seconds that one of it took."""


class Row:
    """A row of the table: what is measured, the target of its ratio, and whether less is better."""

    def __init__(self, name: str, unit: str, peer: str, target: float | None, ours: Measured, theirs: Measured) -> None:
        self.name, self.unit, self.peer, self.target = name, unit, peer, target
        self.ours, self.theirs = ours, theirs

    def measured(self, pairs: int) -> dict[str, Any]:
        for warm in (self.ours, self.theirs):
            warm()
        ours: list[float] = []
        theirs: list[float] = []
        for pair in range(pairs):
            order = [(self.ours, ours), (self.theirs, theirs)]
            for call, results in order if pair % 2 == 0 else reversed(order):
                results.append(call())
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return {
            "name": self.name,
            "unit": self.unit,
            "peer": self.peer,
            "target": self.target,
            "kitedb": statistics.median(ours),
            "of_peer": statistics.median(theirs),
            "ratio": statistics.median(ratios),
            "ratios": [min(ratios), max(ratios)],
        }


def timed(times: int, call: Callable[[], object]) -> float:
    """The seconds that one of so many calls took."""
    began = clock()
    for _ in range(times):
        call()
    return (clock() - began) / times


class Bench:
    """The same graph in both, and what is measured of it."""

    def __init__(self, folder: Path, nodes: int, times: int, held: ExitStack) -> None:
        self.folder, self.nodes, self.times, self.held = folder, nodes, times, held
        self.degree = 10
        self.scanned = 10 * nodes
        chance = random.Random(1)
        self.keys = [f"n{n}" for n in range(self.nodes)]
        edges = [(n, chance.randrange(self.nodes)) for n in range(self.nodes) for _ in range(self.degree)]
        edges = list(dict.fromkeys(edges))
        self.db = held.enter_context(kitedb.open(folder / "graph.kitedb"))
        with self.db.transaction() as tx:
            ids = tx.create_nodes_batch(
                [{"key": key, "props": {"name": key, "age": n % 90, "score": n / 7}} for n, key in enumerate(self.keys)]
            )
            tx.add_edges_batch([(ids[a], "KNOWS", ids[b]) for a, b in edges])
        self.db.checkpoint()
        self.ids = ids
        self.sql = sqlite3.connect(folder / "graph.sqlite", isolation_level=None)
        held.callback(self.sql.close)
        self.sql.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-262144; PRAGMA mmap_size=1073741824;"
            "CREATE TABLE node (id INTEGER PRIMARY KEY, key TEXT UNIQUE, name TEXT, age INTEGER, score REAL);"
            "CREATE TABLE edge (src INTEGER, dst INTEGER, PRIMARY KEY (src, dst)) WITHOUT ROWID;"
        )
        self.sql.execute("BEGIN")
        rows = ((n + 1, key, key, n % 90, n / 7) for n, key in enumerate(self.keys))
        self.sql.executemany("INSERT INTO node VALUES (?, ?, ?, ?, ?)", rows)
        self.sql.executemany("INSERT INTO edge VALUES (?, ?)", ((a + 1, b + 1) for a, b in edges))
        self.sql.execute("COMMIT")
        self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.made = 0

    def some(self, of: list[Any], seed: int) -> list[Any]:
        return random.Random(seed).choices(of, k=self.times)

    def lookup(self) -> Row:
        """A node by its key, with three properties."""
        keys = self.some(self.keys, 2)

        def ours() -> float:
            read = self.db.node_with_key
            began = clock()
            for key in keys:
                node = read(key)
                assert node is not None and len(node.props) == 3
            return (clock() - began) / len(keys)

        def theirs() -> float:
            execute = self.sql.execute
            began = clock()
            for key in keys:
                row = execute("SELECT name, age, score FROM node WHERE key = ?", (key,)).fetchone()
                assert row is not None and len(row) == 3
            return (clock() - began) / len(keys)

        return Row("a node by its key, with 3 properties", "one", "sqlite3", 0.2, ours, theirs)

    def neighbours(self) -> Row:
        """The neighbours of a node, with one property each."""
        places = self.some(list(range(self.nodes)), 3)[: self.times // 4]

        def ours() -> float:
            read, found = self.db.out_neighbors, 0
            began = clock()
            for place in places:
                for node in read(self.ids[place], "KNOWS", select=["age"]):
                    found += node.props["age"] >= 0
            return (clock() - began) / found

        def theirs() -> float:
            execute, found = self.sql.execute, 0
            began = clock()
            for place in places:
                query = "SELECT node.id, node.age FROM edge JOIN node ON node.id = edge.dst WHERE edge.src = ?"
                for _, age in execute(query, (place + 1,)):
                    found += age >= 0
            return (clock() - began) / found

        return Row("a neighbour with one property", "one", "sqlite3", 0.25, ours, theirs)

    def two_hops(self) -> Row:
        """How many nodes are two hops away, each counted once."""
        places = self.some(list(range(self.nodes)), 4)[: self.times // 20]

        def ours() -> float:
            ids, many = self.db.neighbor_ids, self.db.neighbor_ids_batch
            began = clock()
            for place in places:
                _, found = many(ids(self.ids[place], "out", "KNOWS"), "out", "KNOWS")
                assert len(set(found.tolist()))
            return (clock() - began) / len(places)

        def theirs() -> float:
            began = clock()
            query = "SELECT count(DISTINCT b.dst) FROM edge a JOIN edge b ON b.src = a.dst WHERE a.src = ?"
            for place in places:
                assert self.sql.execute(query, (place + 1,)).fetchone()[0]
            return (clock() - began) / len(places)

        return Row("two hops, each node once", "walk", "sqlite3", 0.3, ours, theirs)

    def commit(self) -> Row:
        """A commit of one node, on the disk when it returns."""
        times = max(self.times // 40, 5)

        def ours() -> float:
            return timed(times, lambda: self.db.create_node(props={"age": 1}))

        def theirs() -> float:
            return timed(times, lambda: self.sql.execute("INSERT INTO node (age) VALUES (1)"))

        return Row("a commit of one node, synced", "commit", "sqlite3", 1.0, ours, theirs)

    def awaited(self) -> Row:
        """Commits of which 1,000 are awaited at once, beside one after the other."""
        db = self.held.enter_context(kitedb.open(self.folder / "awaited.kitedb"))

        async def commit() -> None:
            async with kitedb.aio.Database(db).transaction() as tx:
                tx.create_node()

        async def together() -> None:
            await asyncio.gather(*(commit() for _ in range(1000)))

        def ours() -> float:
            return timed(1, lambda: asyncio.run(together())) / 1000

        def theirs() -> float:
            return timed(200, lambda: db.create_node())

        return Row("one of 1,000 commits that are awaited at once", "commit", "one after the other", 1 / 3, ours, theirs)

    def batch(self) -> Row:
        """A transaction of 1,000 nodes with five properties."""

        def rows() -> list[tuple[str, int, float, str, bool, int]]:
            self.made += 1000
            return [(f"b{self.made + n}", n, n / 3, "text that is not short", n % 2 == 0, n * n) for n in range(1000)]

        self.sql.execute("CREATE TABLE wide (key TEXT UNIQUE, a INTEGER, b REAL, c TEXT, d INTEGER, e INTEGER)")

        def ours() -> float:
            given: list[str | kitedb.NewNode] = [
                {"key": key, "props": {"a": a, "b": b, "c": c, "d": d, "e": e}} for key, a, b, c, d, e in rows()
            ]
            return timed(1, lambda: self.db.create_nodes_batch(given))

        def theirs() -> float:
            given = rows()

            def write() -> None:
                self.sql.execute("BEGIN")
                self.sql.executemany("INSERT INTO wide VALUES (?, ?, ?, ?, ?, ?)", given)
                self.sql.execute("COMMIT")

            return timed(1, write)

        return Row("a transaction of 1,000 nodes with 5 properties", "transaction", "sqlite3", 1.0, ours, theirs)

    def arrow(self) -> Row:
        """All nodes of a large graph as Arrow, beside DuckDB reading the same as Parquet."""
        import duckdb
        import pyarrow

        db = self.held.enter_context(kitedb.open(self.folder / "large.kitedb", sync_mode="off"))
        for begin in range(0, self.scanned, 100_000):
            numbers = range(begin, min(begin + 100_000, self.scanned))
            db.create_nodes_batch(
                [{"key": f"n{n}", "labels": ["N"], "props": {"age": n % 90, "score": n / 7, "name": f"name {n}"}} for n in numbers]
            )
        db.checkpoint()
        sql = self.held.enter_context(duckdb.connect())
        parquet = self.folder / "large.parquet"
        nodes = pyarrow.table(db.nodes())  # noqa: F841  # DuckDB finds it by this name.
        sql.execute(f"COPY nodes TO '{parquet}' (FORMAT parquet)")
        del nodes

        def ours() -> float:
            began = clock()
            table = pyarrow.table(db.nodes())
            assert table.num_rows == self.scanned
            return clock() - began

        def theirs() -> float:
            began = clock()
            table = sql.sql(f"SELECT * FROM '{parquet}'").to_arrow_table()
            assert table.num_rows == self.scanned
            return clock() - began

        return Row(f"{self.scanned:,} nodes as Arrow", "scan", "DuckDB, from Parquet", 1.0, ours, theirs)


ROWS: list[Callable[[Bench], Row]] = [
    Bench.lookup,
    Bench.neighbours,
    Bench.two_hops,
    Bench.commit,
    Bench.awaited,
    Bench.batch,
    Bench.arrow,
]


def shown(seconds: float) -> str:
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=", ".join(row.__name__ for row in ROWS))
    parser.add_argument("--quick", action="store_true", help="smaller: that it runs, not what it measures")
    parser.add_argument("--nodes", type=int, default=100_000, help="of the graph; ten times as many are scanned")
    parser.add_argument("--cpu", action="store_true", help="processor time")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--dir", type=Path, help="where the files are; by default a new folder of the system's for those")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    asked = parser.parse_args()
    known = [row.__name__ for row in ROWS]
    if unknown := [name for name in asked.rows if name not in known]:
        sys.exit(f"no row {', '.join(unknown)}: {', '.join(known)}")
    if asked.dir is not None:
        asked.dir.mkdir(parents=True, exist_ok=True)
    rows = [row for row in ROWS if not asked.rows or row.__name__ in asked.rows]
    if asked.cpu:
        global clock
        clock = time.process_time
        rows = [row for row in rows if row not in (Bench.commit, Bench.awaited)]
    if asked.quick:
        asked.nodes, asked.pairs = 2_000, 2
    with tempfile.TemporaryDirectory(dir=asked.dir) as folder, ExitStack() as held:
        bench = Bench(Path(folder), asked.nodes, asked.nodes // 5, held)
        results = []
        of = "processor time" if asked.cpu else "time"
        print(f"kitedb {kitedb.version()}, sqlite {sqlite3.sqlite_version}, {os.cpu_count()} cores, {asked.pairs} pairs, {of}")
        for row in rows:
            result = row(bench).measured(asked.pairs)
            results.append(result)
            low, high = result["ratios"]
            met = "" if result["ratio"] <= result["target"] else "  MISSED"
            print(
                f"{result['name']}: {shown(result['kitedb'])} beside {shown(result['of_peer'])} ({result['peer']}), "
                f"ratio {result['ratio']:.3f} ({low:.3f} to {high:.3f}), target {result['target']:.2g}{met}"
            )
        if asked.json is not None:
            asked.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
