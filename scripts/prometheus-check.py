#!/usr/bin/env python3
"""Whether the alerts that are shipped fire when a primary dies, and not otherwise: a real Prometheus scrapes a group that runs.

    scripts/prometheus-check.py KITEDB                 # the command, built; `prometheus` is found in PATH
    python3 -m doctest scripts/prometheus-check.py     # tests it

Two servers, `kitedb serve --lead` and `kitedb serve --follow`, admit Prometheus by a token of the scope `metrics`. Writes go on
through the graph's endpoint. The rules are docs/examples/telemetry/alerts.yml but for one thing: each minute of a `for:` is two
seconds, so that nobody waits for minutes. Whatever fires when it should not fails the check at once, and so does what does not
fire or does not end within PATIENCE.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ALERTS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "examples" / "telemetry" / "alerts.yml"
# How long something is waited for that must come, in seconds: a bound for a machine that is busy, not a measure.
PATIENCE = 120
# The seconds of what is a minute of a `for:`. One scrape that is late on a busy machine is no outage yet.
MINUTE = 2
# So many evaluations of the rules in a row, one a second, find nothing while all is well: the longest `for:` is over then.
EVALUATIONS = 10 * MINUTE + 1


def hurried(rules):
    """The rules with MINUTE seconds for each minute of a `for:`. Ranges and thresholds stay.

    >>> hurried("  expr: rate(x[5m]) > 300\\n  for: 10m\\n  labels:\\n")
    '  expr: rate(x[5m]) > 300\\n  for: 20s\\n  labels:\\n'
    >>> hurried("  for: 1h\\n")
    Traceback (most recent call last):
    ValueError: a `for:` that is not in minutes: 1h
    """

    def seconds(match):
        minutes = re.fullmatch(r"(\d+)m", match[2])
        if not minutes:
            raise ValueError(f"a `for:` that is not in minutes: {match[2]}")
        return f"{match[1]}{int(minutes[1]) * MINUTE}s"

    return re.sub(r"^( *for: )(\S+)$", seconds, rules, flags=re.MULTILINE)


def known(alert, names):
    """An alert as (its name, what it is about): an instance by the name that is known here, else the job.

    >>> known({"alertname": "Down", "instance": "127.0.0.1:1", "job": "social"}, {"127.0.0.1:1": "primary"})
    ('Down', 'primary')
    >>> known({"alertname": "NoPrimary", "job": "social"}, {})
    ('NoPrimary', 'social')
    """
    return alert["alertname"], names.get(alert.get("instance")) or alert["job"]


def listening(line):
    """Where Prometheus says that it listens, if that line of its log does.

    >>> listening('ts=… level=info component=web msg="Listening on" address=127.0.0.1:40213')
    '127.0.0.1:40213'
    >>> listening('ts=… level=info msg="Start listening for connections" address=127.0.0.1:0')
    """
    found = re.search(r'msg="Listening on" address=(\S+)', line)
    return found and found[1]


def until(what, holds):
    """Asks again and again until that holds; what it was then."""
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} s"
        time.sleep(0.1)
    return found


def fetch(url, token=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, body and json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


class Node:
    """A server of one database, which can be killed and started again at the same port."""

    def __init__(self, kitedb, folder, database, part, variables):
        self.command = [kitedb, "serve", database, part, "--json"]
        self.folder, self.variables, self.port = folder, variables, "0"
        self.start()

    def start(self):
        environment = os.environ | self.variables | {"PORT": self.port}
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.address = self.url.removeprefix("http://")
        self.port = self.address.rpartition(":")[2]

    def kill(self):
        """SIGKILL: nothing is said, flushed or given back."""
        self.process.kill()
        self.process.wait()


class Writer(threading.Thread):
    """Commits one node after another, while the primary takes them."""

    def __init__(self, primary, token):
        super().__init__(daemon=True)
        self.url, self.token, self.done, self.ended = f"{primary.url}/api/graph/batch", token, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            body = {"mutations": [{"op": "createNode", "props": {"n": self.done}}]}
            # Whether a primary that is dead takes none is not the question here.
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                fetch(self.url, self.token, body)
                self.done += 1


class Prometheus:
    def __init__(self, folder, targets, token):
        (folder / "token").write_text(token)
        (folder / "alerts.yml").write_text(hurried(ALERTS.read_text()))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [
                {
                    "job_name": "social",
                    "authorization": {"credentials_file": "token"},
                    "static_configs": [{"targets": list(targets)}],
                }
            ],
        }
        # JSON is YAML.
        (folder / "prometheus.json").write_text(json.dumps(config))
        self.names = targets
        flags = ["--config.file=prometheus.json", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]
        self.process = subprocess.Popen(["prometheus", *flags], cwd=folder, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if address := listening(line):
                break
        else:
            raise AssertionError(f"prometheus does not listen: {''.join(said)}")
        self.base = f"http://{address}/api/v1"
        # Its log is read on, so that it does not wait for somebody who does.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        until("prometheus is ready", self.is_ready)

    def is_ready(self):
        with contextlib.suppress(urllib.error.URLError):
            return urllib.request.urlopen(self.base.removesuffix("/api/v1") + "/-/ready", timeout=PATIENCE).status == 200

    def ask(self, what, **parameters):
        answer = fetch(f"{self.base}/{what}?{urllib.parse.urlencode(parameters)}")
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        """The samples, as (labels, value)."""
        return [(each["metric"], float(each["value"][1])) for each in self.ask("query", query=expression)["result"]]

    def value(self, expression):
        samples = self.query(expression)
        return samples[0][1] if len(samples) == 1 else None

    def health(self):
        targets = self.ask("targets", state="active")["activeTargets"]
        return {self.names[target["labels"]["instance"]]: target["health"] for target in targets}

    def evaluated(self):
        """When each group of rules was evaluated last, without an error."""
        groups = self.ask("rules")["groups"]
        failed = [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]
        assert not failed, failed
        return {group["name"]: group["lastEvaluation"] for group in groups}

    def firing(self):
        alerts = self.ask("alerts")["alerts"]
        return {known(alert["labels"], self.names) for alert in alerts if alert["state"] == "firing"}

    def fired(self):
        """What has fired at any time, as its own series tells, which misses nothing between two looks."""
        return {known(labels, self.names) for labels, _ in self.query('last_over_time(ALERTS{alertstate="firing"}[1h])')}

    def until_firing(self, what, expected, allowed=frozenset()):
        """Waits until just these fire. On the way there nothing else does but those and what is `allowed`."""

        def holds():
            firing = self.firing()
            assert firing <= expected | allowed, f"{what}: {firing - expected - allowed} must not fire"
            return firing == expected

        until(f"{what}: {sorted(expected)} fire and nothing else", holds)
        print(f"{what}: {', '.join(f'{alert} ({about})' for alert, about in sorted(expected)) or 'nothing fires'}")


def check(kitedb, folder, cleanup):
    def run(*args, **more):
        subprocess.run([kitedb, *args], cwd=folder, check=True, stdout=subprocess.DEVNULL, text=True, **more)

    run("import", "social.kitedb", "-", "--format=edgelist", "--role=primary", input="ada charles KNOWS\n")
    run("replica", "bootstrap", "copy.kitedb", "--source-db", "social.kitedb")
    admin, metrics = secrets.token_hex(32), secrets.token_hex(32)
    tokens = {"tokens": {hashlib.sha256(metrics.encode()).hexdigest(): {"name": "prometheus", "scopes": ["metrics"]}}}
    (folder / "tokens.json").touch(0o600)
    (folder / "tokens.json").write_text(json.dumps(tokens))
    variables = {"KITEDB_TOKENS_FILE": "tokens.json", "REPLICATION_ADMIN_TOKEN": admin, "KITEDB_LOG": "error"}
    primary = Node(kitedb, folder, "social.kitedb", "--lead", variables)
    cleanup.callback(primary.kill)
    replica = Node(kitedb, folder, "copy.kitedb", "--follow", variables)
    cleanup.callback(replica.kill)
    prometheus = Prometheus(folder, {primary.address: "primary", replica.address: "replica"}, metrics)
    cleanup.callback(lambda: (prometheus.process.kill(), prometheus.process.wait()))
    writer = Writer(primary, admin)
    cleanup.callback(writer.ended.set)

    until("both are scraped", lambda: prometheus.health() == {"primary": "up", "replica": "up"})
    roles = "count by (role) (kitedb_replication_enabled == 1)"
    until("both roles are there", lambda: {of["role"] for of, _ in prometheus.query(roles)} == {"primary", "replica"})
    asks = "min by (job) (kitedb_replication_auth_enabled)"
    until("both ask for authorization", lambda: prometheus.value(asks) == 1)

    began = prometheus.value("kitedb_replication_primary_head_log_index")
    seen = {}
    end = time.monotonic() + PATIENCE
    while not seen or min(map(len, seen.values())) < EVALUATIONS:
        for group, when in prometheus.evaluated().items():
            seen.setdefault(group, set()).add(when)
        assert not (fired := prometheus.fired()), f"all is well: {fired} must not fire"
        assert time.monotonic() < end, f"the rules are not evaluated: {seen}"
        time.sleep(0.1)
    until("commits are scraped", lambda: prometheus.value("kitedb_replication_primary_head_log_index") > began)
    until("so the replica's", lambda: prometheus.value("kitedb_replication_replica_applied_log_index") > began)
    print(f"all is well: {writer.done} commits, {EVALUATIONS} evaluations of {len(seen)} groups, and nothing fires")

    # Of a replica that dies nobody says that there is no primary.
    replica.kill()
    prometheus.until_firing("the replica is killed", {("KiteDBNodeDown", "replica")})
    replica.start()
    prometheus.until_firing("it runs again", set(), {("KiteDBNodeDown", "replica")})
    assert (fired := prometheus.fired()) == {("KiteDBNodeDown", "replica")}, fired

    primary.kill()
    dead = {("KiteDBNodeDown", "primary"), ("KiteDBNoPrimary", "social")}
    prometheus.until_firing("the primary is killed", dead)
    assert prometheus.health()["replica"] == "up"
    primary.start()
    prometheus.until_firing("it runs again", set(), dead)
    assert (fired := prometheus.fired()) == dead | {("KiteDBNodeDown", "replica")}, fired
    before = writer.done
    until("commits go on", lambda: writer.done > before)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    kitedb = str(pathlib.Path(sys.argv[1]).resolve())
    with contextlib.ExitStack() as cleanup:
        folder = pathlib.Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        check(kitedb, folder, cleanup)


if __name__ == "__main__":
    main()
