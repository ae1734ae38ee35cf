"""One group of a Rust process, a Node process and a Python process: each follows, each leads, and all hold the same graph.

``scripts/test-group.sh`` builds what it wants: ``KITEDB_COMMAND`` is the command, and ``bindings-node`` has its addon.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NODE = HERE.parents[2] / "bindings-node" / "test" / "processes" / "node.js"
COMMAND = os.environ.get("KITEDB_COMMAND")

assert COMMAND is not None, "KITEDB_COMMAND is not set: run scripts/test-group.sh"


class Process:
    """A process that answers lines of JSON."""

    def __init__(self, command: list[str], path: Path, options: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [*command, str(path), json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, method: str, *args: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"method": method, "args": args}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def tell(self, method: str, *args: Any) -> Any:
        answer = self.ask(method, *args)
        assert "code" not in answer, answer
        return answer["result"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class Group:
    """Everything that was started, to be ended."""

    def __init__(self, folder: Path) -> None:
        self.rust, self.node, self.python = (folder / name for name in ("rust.kitedb", "node.kitedb", "python.kitedb"))
        self.started: list[Process] = []
        self.following: subprocess.Popen[bytes] | None = None

    def start_python(self, **options: Any) -> Process:
        self.started.append(Process([sys.executable, str(HERE / "node.py")], self.python, options))
        return self.started[-1]

    def start_node(self, **options: Any) -> Process:
        self.started.append(Process(["node", str(NODE)], self.node, options))
        return self.started[-1]

    def command(self, *arguments: object, stdin: str = "", code: int = 0) -> str:
        assert COMMAND is not None
        ended = subprocess.run([COMMAND, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=120)
        assert ended.returncode == code, ended.stderr
        return ended.stdout + ended.stderr

    def follow(self, source: Path) -> None:
        """Lets the command follow, in a process of its own, for as long as it is not told otherwise."""
        assert COMMAND is not None
        self.stop_following()
        self.following = subprocess.Popen(
            [COMMAND, "replica", "follow", self.rust, "--source-db", source], stdout=subprocess.DEVNULL
        )

    def stop_following(self) -> None:
        if self.following is not None:
            self.following.send_signal(signal.SIGTERM)
            assert self.following.wait(60) == 0
            self.following = None

    def wait_until_equal(self, leader: Path) -> None:
        """Until the command's file holds what the leader's does, which does not change meanwhile."""
        assert COMMAND is not None
        for _ in range(10_000):
            if subprocess.run([COMMAND, "verify", leader, self.rust, "--json"], capture_output=True).returncode == 0:
                found = json.loads(self.command("verify", leader, self.rust, "--json"))
                if found["lead"] == 0:
                    return
        pytest.fail("it never caught up")


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    group = Group(tmp_path)
    yield group
    for process in group.started:
        process.kill()
    if group.following is not None:
        group.following.kill()
        group.following.wait()


def test_each_leads_in_turn_and_all_hold_the_same_graph(group: Group) -> None:
    # Python leads, Node and Rust follow.
    python = group.start_python(replication_role="primary")
    python.tell("load", "first", 5)
    node = group.start_node(replicationRole="replica", replicationSourceDbPath=str(group.python))
    node.tell("replicaBootstrapFromSnapshotAsync")
    node.tell("startFollower")
    group.command("replica", "bootstrap", group.rust, "--source-db", group.python)
    group.follow(group.python)
    token = python.tell("load", "p", 100)
    assert node.tell("waitForTokenOutcomeAsync", token, 60_000) == "reached"
    assert node.tell("digest") == python.tell("digest")
    group.wait_until_equal(group.python)
    told = json.loads(group.command("primary", "status", group.python, "--json"))
    assert len(told["replica_lags"]) == 2

    # Python is killed, Node takes over from it.
    python.kill()
    assert node.tell("replicaPromoteAsync")["epoch"] == 2
    python = group.start_python(replication_role="replica", replication_source_db_path=str(group.node))
    python.tell("replica_catch_up_once", 100_000)
    python.tell("start_follower")
    group.follow(group.node)
    assert python.ask("create_node", "refused")["code"] == "REPLICA_READ_ONLY"
    for n in range(50):
        node.tell("createNode", f"n{n}")
    token = node.tell("lastCommitToken")
    assert python.tell("wait_for_token_outcome", token, 60_000) == "reached"
    assert python.tell("digest") == node.tell("digest")
    group.wait_until_equal(group.node)

    # Rust takes over from Node, which lives, and is fenced.
    group.stop_following()
    group.command("replica", "promote", group.rust, "--source-db", group.node)
    group.command("import", group.rust, "-", "--format", "edgelist", stdin="".join(f"r{n} hub KNOWS\n" for n in range(50)))
    assert node.ask("createNode", "too late")["code"] == "STALE_PRIMARY"
    python.tell("replica_repoint", str(group.rust))
    node.kill()
    node = group.start_node(replicationRole="replica", replicationSourceDbPath=str(group.rust))
    node.tell("replicaCatchUpOnceAsync", 100_000)
    while python.tell("replica_catch_up_once", 100_000):
        pass
    group.command("verify", group.rust, group.node)
    group.command("verify", group.rust, group.python)
    digests = {node.tell("digest"), python.tell("digest"), json.loads(group.command("check", group.rust, "--json"))["digest"]}
    assert len(digests) == 1
    assert python.tell("count_nodes") == node.tell("countNodes") > 50
    assert python.tell("check")["clean"] and node.tell("checkAsync")["clean"]
