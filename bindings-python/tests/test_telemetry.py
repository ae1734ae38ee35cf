"""Metrics: as objects, as text, pushed."""

import gzip
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kitedb


class Collector(http.server.ThreadingHTTPServer):
    """A collector of OTLP over HTTP, which keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}/v1/metrics"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append((self.path, headers, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def primary(path: Path) -> Iterator[kitedb.Database]:
    with kitedb.open(path, replication_role="primary") as db:
        db.create_node("ada", labels=["Person"])
        yield db


def test_metrics_are_objects_and_mappings(primary: kitedb.Database) -> None:
    metrics = kitedb.collect_metrics(primary)
    assert metrics.data.node_count == 1 == metrics["data"]["node_count"]
    assert metrics.replication.role == "primary"
    assert metrics.replication.primary is not None and metrics.replication.replica is None
    assert metrics.replication.primary.head_log_index == 1
    assert not metrics.cache.enabled
    assert metrics.engine.commit_latency.count >= 0
    with pytest.raises(AttributeError):
        metrics.path = "x"  # type: ignore[misc]
    health = kitedb.health_check(primary)
    assert health.healthy and all(check.passed for check in health.checks)


def test_stats_and_checks_tell_what_there_is(primary: kitedb.Database) -> None:
    stats = primary.stats()
    assert (stats.nodes, stats.edges, stats.property_keys) == (1, 0, [])
    assert [(label.name, label.count) for label in stats.labels] == [("Person", 1)]
    report = primary.check()
    assert report.clean and report.errors == [] and report.digest == primary.digest()
    primary.checkpoint()
    primary.compact()
    assert not primary.compact_step()
    primary.sync()
    assert primary.stats().checkpoints >= 1
    assert primary.indexes() == []


def test_metrics_are_told_as_text(primary: kitedb.Database) -> None:
    text = kitedb.collect_replication_metrics_prometheus(primary)
    assert 'kitedb_replication_primary_head_log_index{database="social.kitedb"} 1\n' in text
    assert "kitedb_replication_auth_enabled" in text
    named = kitedb.collect_replication_metrics_prometheus(primary, database_name="mine", auth_enabled=True)
    assert 'kitedb_replication_auth_enabled{database="mine"} 1\n' in named
    assert kitedb.collect_replication_metrics_prometheus(primary, format="openmetrics").endswith("# EOF\n")
    with pytest.raises(ValueError, match="text or openmetrics"):
        kitedb.collect_replication_metrics_prometheus(primary, format="html")  # type: ignore[arg-type]
    document = json.loads(kitedb.collect_replication_metrics_otel_json(primary))
    assert "kitedb.replication.primary.head_log_index" in json.dumps(document)
    assert b"kitedb.replication.primary.head_log_index" in kitedb.collect_replication_metrics_otel_protobuf(primary)


def test_metrics_are_pushed(primary: kitedb.Database, collector: Collector) -> None:
    result = kitedb.push_replication_metrics_otel_json(primary, collector.endpoint, 5000, "secret", compression_gzip=True)
    assert (result.status_code, result.attempts, result.rejected_data_points) == (200, 1, 0)
    path, headers, body = collector.received.pop()
    assert (path, headers["authorization"], headers["content-type"]) == ("/v1/metrics", "Bearer secret", "application/json")
    assert "resourceMetrics" in json.loads(gzip.decompress(body))

    kitedb.push_replication_metrics_otel_protobuf(primary, collector.endpoint, headers={"x-tenant": "a"})
    _, headers, body = collector.received.pop()
    assert (headers["content-type"], headers["x-tenant"]) == ("application/x-protobuf", "a")
    assert b"kitedb.replication" in body


def test_a_push_is_tried_again_and_says_how_it_failed(primary: kitedb.Database, collector: Collector) -> None:
    collector.answers = [503, 200]
    result = kitedb.push_replication_metrics_otel_json(primary, collector.endpoint, retry_max_attempts=2, retry_backoff_ms=0)
    assert (result.attempts, len(collector.received)) == (2, 2)

    collector.answers = [400]
    with pytest.raises(kitedb.KiteDbError) as caught:
        kitedb.push_replication_metrics_otel_json(primary, collector.endpoint, bearer_token="secret")
    assert (caught.value.code, caught.value.status_code, caught.value.retryable) == ("REJECTED", 400, False)
    assert "secret" not in str(caught.value) + repr(caught.value)

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(kitedb.KiteDbError) as caught:
            kitedb.push_replication_metrics_otel_grpc(primary, endpoint, timeout_ms=2000)
    assert caught.value.code in ("TRANSPORT", "DEADLINE_EXCEEDED")


def test_push_options_are_checked_before_the_database(primary: kitedb.Database) -> None:
    primary.close()
    push = kitedb.push_replication_metrics_otel_json
    with pytest.raises(ValueError, match="timeout_ms must be positive"):
        push(primary, "http://localhost", timeout_ms=0)
    with pytest.raises(ValueError, match="timeout_ms must be non-negative"):
        push(primary, "http://localhost", timeout_ms=-1)
    with pytest.raises(ValueError, match="must be one of: linear, ewma"):
        push(primary, "http://localhost", adaptive_retry_mode="cubic")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no option 'retries'"):
        push(primary, "http://localhost", retries=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="endpoint must not be empty"):
        push(primary, " ")
    with pytest.raises(kitedb.ClosedError, match="Database is closed"):
        push(primary, "http://localhost")


def test_an_exporter_pushes_by_itself(primary: kitedb.Database, collector: Collector) -> None:
    with kitedb.start_exporter(primary, "json", collector.endpoint, interval_ms=3_600_000, service_name="shop") as exporter:
        assert str(exporter.state) == "running"
        assert exporter.flush().status_code == 200
        metrics = exporter.metrics()
        assert metrics is not None and metrics.pushes >= 1 and exporter.last_error is None
    assert str(exporter.state) == "closed" and exporter.metrics() is None
    exporter.close()
    with pytest.raises(kitedb.InputError):
        exporter.flush()
    assert any(b'"shop"' in body for _, _, body in collector.received)
    with pytest.raises(ValueError, match="json, protobuf or grpc"):
        kitedb.start_exporter(primary, "smoke", collector.endpoint)  # type: ignore[arg-type]
