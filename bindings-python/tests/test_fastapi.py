"""The FastAPI template of ``docs/examples``: started by uvicorn, as its users start it, and called by a real client."""

import base64
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import kitedb

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TOKEN = "correct-horse"
ADMIN = {"authorization": f"Bearer {TOKEN}"}


class Server:
    """A uvicorn, until it is stopped."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, *command], env={**inherited, **env}, cwd=EXAMPLES, stderr=subprocess.PIPE, text=True
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.said = ""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        while (line := self.lines.get(timeout=60)) is not None:
            if found := re.search(pattern, line):
                return found
        pytest.fail(f"it ended without saying {pattern}:\n{self.said}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        # By itself it ends as the signal would have ended it, once it has shut down.
        assert code in (0, -signal.SIGTERM), self.said
        assert "Application shutdown complete" in self.said, self.said


Start = Callable[..., tuple[Server, httpx.Client]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the template by itself, or by a command line of uvicorn, and a client of it."""
    servers: list[Server] = []
    clients: list[httpx.Client] = []

    def start(path: Path, *arguments: str, **env: str) -> tuple[Server, httpx.Client]:
        command = ["-m", "uvicorn", "replication_adapter_python_fastapi:app", "--no-proxy-headers", "--port", "0", *arguments]
        if not arguments:
            command = ["replication_adapter_python_fastapi.py"]
        defaults = {"KITEDB_PATH": str(path), "PORT": "0", "REPLICATION_ADMIN_TOKEN": TOKEN}
        server = Server(command, {**defaults, **env})
        servers.append(server)
        address = server.wait_for(r"running on (http://[0-9.]+:\d+)")[1]
        # Of several workers none may listen yet when uvicorn has said the address.
        listening = httpx.HTTPTransport(retries=8)
        client = httpx.Client(base_url=f"{address}/replication", timeout=60, transport=listening)
        clients.append(client)
        return server, client

    yield start
    for client in clients:
        client.close()
    for server in servers:
        if server.process.poll() is None:
            server.stop()


def told(response: httpx.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


def test_a_primary_is_administered_by_whom_it_knows(path: Path, start: Start) -> None:
    with kitedb.open(path, replication_role="primary") as db:
        for n in range(5):
            db.create_node(f"n{n}")
    server, client = start(path)

    # Everybody may know how it is, and no more.
    status = told(client.get("/status"))
    assert (status["connected"], status["auth_enabled"], status["role"], status["leads"]) == (True, True, "primary", True)
    assert status["primary"].keys() == {"role", "epoch", "head_log_index", "retained_floor", "last_token"}
    assert (status["primary"]["epoch"], status["primary"]["head_log_index"], status["replica"]) == (1, 5, None)
    assert str(path) not in client.get("/status").text
    assert told(client.get("/status", headers=ADMIN))["primary"]["sidecar_path"].startswith(str(path))

    routes = [
        ("GET", "/metrics/prometheus"),
        ("GET", "/metrics/otel-json"),
        ("GET", "/transport/snapshot"),
        ("GET", "/transport/log"),
        ("POST", "/pull"),
        ("POST", "/reseed"),
        ("POST", "/promote"),
    ]
    for method, route in routes:
        for headers in ({}, {"authorization": f"Bearer {TOKEN}x"}, {"x-forwarded-client-cert": "CN=admin"}):
            refused = client.request(method, route, headers=headers, content=b"{")
            assert told(refused, 401)["code"] == "UNAUTHORIZED", route
            assert refused.headers["www-authenticate"] == 'Bearer realm="kitedb replication"'

    metrics = client.get("/metrics/prometheus", headers=ADMIN)
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert re.search(r"^kitedb_replication_auth_enabled\{[^}]*\} 1$", metrics.text, re.MULTILINE)
    assert "resourceMetrics" in client.get("/metrics/otel-json", headers=ADMIN).json()

    page = told(client.get("/transport/log", params={"max_frames": 2}, headers=ADMIN))
    assert (page["success"], page["frame_count"], page["eof"]) == (True, 2, False)
    following = {"cursor": page["next_cursor"], "include_payload": "false"}
    rest = told(client.get("/transport/log", params=following, headers=ADMIN))
    assert (rest["frame_count"], rest["eof"]) == (3, True)
    assert told(client.get("/transport/log", params={"cursor": "bad"}, headers=ADMIN), 400)["code"] == "INVALID_CURSOR"
    for wrong in ({"max_frames": 0}, {"max_frames": 10_001}, {"max_bytes": 0}, {"max_bytes": 2**25 + 1}, {"max_frames": "x"}):
        assert client.get("/transport/log", params=wrong, headers=ADMIN).status_code == 422, wrong

    snapshot = told(client.get("/transport/snapshot", params={"include_data": "true"}, headers=ADMIN))["snapshot"]
    copy = path.with_name("copy.kitedb")
    copy.write_bytes(base64.b64decode(snapshot["data_base64"]))
    assert told(client.get("/transport/snapshot", headers=ADMIN))["snapshot"].get("data_base64") is None

    assert told(client.post("/pull", headers=ADMIN), 409)["code"] == "NOT_REPLICA"
    assert told(client.post("/reseed", headers=ADMIN), 409)["code"] == "NOT_REPLICA"
    assert told(client.post("/promote", headers={**ADMIN, "origin": "http://elsewhere"}), 403)["success"] is False
    promoted = told(client.post("/promote", headers=ADMIN))
    assert (promoted["epoch"], promoted["role"], promoted["primary"]["epoch"]) == (2, "primary", 2)
    assert client.get("/nowhere", headers=ADMIN).status_code == 404
    assert client.get("/promote", headers=ADMIN).status_code == 405

    server.stop()
    with kitedb.open(path) as db:
        assert db.count_nodes() == 5


def test_a_replica_follows_while_it_is_served_and_is_pulled(tmp_path: Path, start: Start) -> None:
    here, there = tmp_path / "here.kitedb", tmp_path / "there.kitedb"
    with kitedb.open(here, replication_role="primary") as primary:
        primary.create_node("ada")
        server, client = start(there, KITEDB_REPLICATION_ROLE="replica", KITEDB_REPLICATION_SOURCE=str(here))
        for n in range(20):
            primary.create_node(f"n{n}")
        while told(client.get("/status"))["replica"]["applied_log_index"] < 21:
            pass
        replica = told(client.get("/status", headers=ADMIN))["replica"]
        assert (replica["needs_reseed"], replica["last_error"], replica["follower_running"]) == (False, None, True)

        for body, status in ((b"", 200), (b'{"max_frames": 5}', 200), (b'{"max_frames": 0}', 422), (b"{", 422), (b"[]", 422)):
            pulled = client.post("/pull", content=body, headers=ADMIN)
            assert pulled.status_code == status, pulled.text
            if status == 200:
                assert (pulled.json()["applied_frames"], pulled.json()["role"]) == (0, "replica")
        assert client.post("/pull", content=b" " * (2**21 + 1), headers=ADMIN).status_code == 413
        assert told(client.post("/reseed", headers=ADMIN))["replica"]["needs_reseed"] is False
        assert told(client.post("/promote", headers=ADMIN), 409)["code"] == "NOT_PRIMARY"
        server.stop()
        with kitedb.open(there) as replica_file:
            assert replica_file.digest() == primary.digest()


def test_certificates_are_believed_of_the_proxies_that_are_named(path: Path, start: Start) -> None:
    env = {
        "REPLICATION_ADMIN_AUTH_MODE": "mtls",
        "REPLICATION_MTLS_HEADER": "x-client-cert",
        "REPLICATION_MTLS_SUBJECT_REGEX": "CN=allowed-client",
    }
    _, client = start(path, REPLICATION_TRUSTED_PROXIES="loopback", **env)
    metrics = "/metrics/prometheus"
    assert client.get(metrics).status_code == 401
    assert client.get(metrics, headers=ADMIN).status_code == 401
    assert client.get(metrics, headers={"x-client-cert": "CN=allowed-client,O=KiteDB"}).status_code == 200
    assert told(client.get(metrics, headers={"x-client-cert": "CN=other"}), 403)["code"] == "FORBIDDEN"
    twice = [("x-client-cert", "CN=allowed-client"), ("x-client-cert", "CN=allowed-client")]
    assert client.get(metrics, headers=twice).status_code == 401

    elsewhere = path.with_name("elsewhere.kitedb")
    _, client = start(elsewhere, REPLICATION_TRUSTED_PROXIES="10.0.0.7,fd00::/8", **env)
    spoofed = {"x-client-cert": "CN=allowed-client", "x-forwarded-for": "10.0.0.7"}
    assert client.get(metrics, headers=spoofed).status_code == 401


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"REPLICATION_ADMIN_TOKEN": ""}, "requires a non-empty token"),
        ({"REPLICATION_ADMIN_AUTH_MODE": "tokens"}, "Invalid replication admin auth mode 'tokens'"),
        ({"REPLICATION_ADMIN_AUTH_MODE": "mtls"}, "REPLICATION_TRUSTED_PROXIES must name the proxies"),
        ({"KITEDB_REPLICATION_ROLE": "leader"}, "Invalid replication_role"),
    ],
    ids=lambda given: "",
)
def test_what_cannot_be_meant_is_served_to_nobody(path: Path, env: dict[str, str], says: str) -> None:
    given = {"KITEDB_PATH": str(path), "REPLICATION_ADMIN_TOKEN": TOKEN, "PORT": "0", **env}
    ended = subprocess.run(
        [sys.executable, "replication_adapter_python_fastapi.py"],
        env={**os.environ, **given},
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert says in ended.stderr
    assert not path.exists()


def test_of_several_workers_one_leads_and_the_others_say_that_they_only_read(path: Path, start: Start) -> None:
    with kitedb.open(path, replication_role="primary") as db:
        db.create_node("ada")
    server, client = start(path, "--workers", "4")
    led_by = server.wait_for(r"worker (\d+) leads .* as primary")[1]
    assert "only reads" in server.said or server.wait_for(r"worker \d+ only reads")

    def ask(method: str, route: str) -> httpx.Response:
        # A connection of its own each time: another worker may answer it.
        return client.request(method, route, headers={**ADMIN, "connection": "close"})

    leads: set[bool] = set()
    while leads != {True, False}:
        status = told(ask("GET", "/status"))
        assert (status["role"], status["primary"]["head_log_index"]) == ("primary", 1)
        leads.add(status["leads"])
    refused = 0
    while (promoted := ask("POST", "/promote")).status_code != 200:
        assert told(promoted, 503)["error"] == f"this worker only reads: process {led_by} leads; ask again, or run one worker"
        refused += 1
        assert refused < 10_000
    # A worker that reads shows what is in the file now.
    for _ in range(20):
        assert told(ask("GET", "/status"))["primary"]["epoch"] == 2
    server.stop()
