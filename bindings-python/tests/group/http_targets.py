"""What answers ``tests/http-conformance/``: the servers, as their users start them, and how each spells what a case says."""

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

Json = Any

REPOSITORY = Path(__file__).parents[3]
PLACE = REPOSITORY / "tests" / "http-conformance"
EXPRESS = REPOSITORY / "ts" / "build" / "js" / "build" / "templates" / "replication_adapter_node_express.js"
FASTAPI = REPOSITORY / "docs" / "examples" / "replication_adapter_python_fastapi.py"

TOKEN = "correct-horse-battery"
CERTIFICATE = {"REPLICATION_MTLS_SUBJECT_REGEX": "CN=admin", "REPLICATION_TRUSTED_PROXIES": "loopback"}
BEARER = {"REPLICATION_ADMIN_TOKEN": TOKEN}

# What a case calls a way to admit: the variables of it, and what an administrator shows there.
AUTH: dict[str, tuple[dict[str, str], list[str]]] = {
    "none": ({"REPLICATION_ADMIN_AUTH_MODE": "none"}, []),
    "token": ({"REPLICATION_ADMIN_AUTH_MODE": "token", **BEARER}, ["token"]),
    "mtls": ({"REPLICATION_ADMIN_AUTH_MODE": "mtls", **CERTIFICATE}, ["certificate"]),
    "mtls_from_elsewhere": (
        {"REPLICATION_ADMIN_AUTH_MODE": "mtls", **CERTIFICATE, "REPLICATION_TRUSTED_PROXIES": "10.0.0.7"},
        ["certificate"],
    ),
    "token_or_mtls": ({"REPLICATION_ADMIN_AUTH_MODE": "token_or_mtls", **BEARER, **CERTIFICATE}, ["token"]),
    "token_and_mtls": ({"REPLICATION_ADMIN_AUTH_MODE": "token_and_mtls", **BEARER, **CERTIFICATE}, ["token", "certificate"]),
}
SHOWN = {
    "token": ("Authorization", f"Bearer {TOKEN}"),
    "wrong_token": ("Authorization", "Bearer correct-horse"),
    "certificate": ("X-Forwarded-Client-Cert", "CN=admin,O=KiteDB"),
    "wrong_certificate": ("X-Forwarded-Client-Cert", "CN=administrator,O=KiteDB"),
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    # With the names that a case uses; None where it is no JSON.
    body: Json


class Server:
    """A process that serves, until it is ended."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        self.log, self.addresses = log, queue.SimpleQueue[str | None]()
        self.process = subprocess.Popen(
            command, env={**inherited, **env}, cwd=log.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        address = self.addresses.get(timeout=60)
        assert address is not None, f"it ended: {log.read_text()}"
        self.address = address

    def read(self) -> None:
        """Takes what it says, so that it can say more."""
        assert self.process.stdout is not None
        with self.log.open("w") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                if found := re.search(r"http://(127\.0\.0\.1:\d+)", line):
                    self.addresses.put(found[1])
        self.addresses.put(None)

    def stop(self) -> None:
        """Ends it as an operator does."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        # uvicorn ends by the signal, once it has shut down.
        assert code in (0, -signal.SIGTERM), self.log.read_text()
        assert TOKEN not in self.log.read_text()


class Target:
    """One of them, by its description in ``targets.json``."""

    def __init__(self, name: str, described: Json, all_described: Json) -> None:
        self.name = name
        self.described = {**all_described[described["like"]], **described} if "like" in described else described
        self.base: str = self.described["base"]
        self.routes: dict[str, Json] = self.described["routes"]
        self.differs: list[Json] = self.described["differs"]

    def start(self, path: Path, role: str, auth: str, log: Path) -> Server:
        env = {"PORT": "0", "KITEDB_PATH": str(path), **AUTH[auth][0]}
        match self.described["start"]:
            case "serve":
                command = [os.environ["KITEDB_COMMAND"], "serve", str(path)]
            case "lead":
                command = [os.environ["KITEDB_COMMAND"], "serve", str(path), "--follow" if role == "replica" else "--lead"]
            case "axum":
                command = [os.environ["KITEDB_ROUTER"]]
            case "express":
                command = ["node", str(EXPRESS)]
            case "fastapi":
                command = [sys.executable, str(FASTAPI)]
                env["KITEDB_REPLICATION_ROLE"] = role
            case what:
                raise KeyError(what)
        return Server(command, env, log)

    def ask(self, server: Server, auth: str, step: Json, route: str) -> Answer:
        """Asks over a connection of its own."""
        method = step["ask"].split()[0]
        about = {"path": route} if route.startswith("/") else self.routes[route]
        query = {self.spelled(name): value for name, value in step.get("query", {}).items()}
        url = self.base + about["path"] + (f"?{urlencode(query)}" if query else "")
        body: bytes | None = None
        headers = [SHOWN[what] for what in step.get("shows", AUTH[auth][1])]
        headers += step.get("headers_sent", {}).items()
        if "json" in step:
            body = json.dumps({self.spelled(name): value for name, value in step["json"].items()}).encode()
            headers.append(("Content-Type", "application/json"))
        elif "raw" in step:
            body = step["raw"].encode()
        elif "blanks" in step:
            body = b" " * step["blanks"]
        split = urlsplit(f"//{server.address}")
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=60)
        try:
            connection.putrequest(method, url)
            # One by one, as a header may be sent twice.
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Connection", "close")
            if method == "POST":
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            text = response.read().decode()
            found = {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        told = json.loads(text) if found.get("content-type", "").startswith("application/json") else None
        return Answer(response.status, found, text, self.logical(told, about))

    def spelled(self, name: str) -> str:
        """A name of a query or of a body that is sent."""
        return camel(name) if self.described["queries"] == "camel" else name

    def logical(self, told: Json, about: Json, within: str = "") -> Json:
        """An answer with the names, and the forms of values, that a case uses."""
        if isinstance(told, list):
            return [self.logical(item, about, within) for item in told]
        if not isinstance(told, dict):
            return told
        members = {}
        for name, value in told.items():
            match about.get("answers", "mixed"):
                case "camel":
                    assert "_" not in name, f"{name} is not in camel case"
                case "snake":
                    assert name == snake(name), f"{name} is not in snake case"
            members[snake(name)] = self.logical(value, about, snake(name))
        if within == "frames":
            for name in about.get("numbers_as_text", []):
                assert isinstance(members[name], str), f"{name} is {members[name]!r}, and no text"
                members[name] = int(members[name])
            for name in about.get("empty_for_null", []):
                assert members[name] is not None, f"{name} is null"
                members[name] = members[name] or None
        if within == "snapshot":
            for name in about.get("absent_for_null", []):
                assert members.get(name, "") is not None, f"{name} is null"
                members.setdefault(name, None)
        return members


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)


def targets() -> list[Target]:
    described = json.loads((PLACE / "targets.json").read_text())
    return [Target(name, one, described) for name, one in described.items()]
