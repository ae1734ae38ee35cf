"""Pushes metrics to a collector in Python over every protocol, and checks what arrives there.

    check.py KITEDB APPLICATION

KITEDB is the command, APPLICATION the example of that name of kitedb-telemetry, both built.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from receiver import Receiver

PROTOCOLS = ["http/protobuf", "http/json", "grpc"]
EDGES = "ada charles KNOWS\ncharles mary KNOWS\nmary ada KNOWS\n"


def environment(more=None):
    """The environment without variables that would tell the programs what to do."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return own | (more or {})


class Check:
    def __init__(self, kitedb, application, folder, receiver):
        self.kitedb, self.application, self.folder, self.receiver = kitedb, application, folder, receiver

    def run(self, program, *args, stdin=None, env=None):
        """The output of a program, which must go well."""
        done = subprocess.run(
            [program, *args], cwd=self.folder, input=stdin, env=environment(env), capture_output=True, text=True
        )
        assert done.returncode == 0, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def push(self, protocol, *more, db="social.kitedb"):
        """What `kitedb push` says of one push."""
        args = ["push", db, "--endpoint", self.receiver.endpoint(protocol), "--protocol", protocol, "--json", *more]
        env = {"OTEL_SERVICE_NAME": "orders", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=a%2Cb"}
        return json.loads(self.run(self.kitedb, *args, env=env))

    def commands(self):
        """The command: a primary and a replica, over every protocol, compressed and not."""
        self.run(self.kitedb, "import", "social.kitedb", "-", "--format=edgelist", "--role=primary", "--batch=1", stdin=EDGES)
        self.run(self.kitedb, "replica", "bootstrap", "copy.kitedb", "--source-db", "social.kitedb")
        status = json.loads(self.run(self.kitedb, "primary", "status", "social.kitedb", "--json"))
        (self.folder / "token").write_text("s3cret\n")
        shapes = []
        for protocol in PROTOCOLS:
            for gzip in [False, True]:
                flags = ["--bearer-token-file", "token"] + ["--compression-gzip"] * gzip
                said = self.push(protocol, *flags)
                received = self.receiver.next()
                assert received.transport == protocol, received
                assert received.compressed in [gzip, None], received
                assert received.headers["authorization"] == "Bearer s3cret", received.headers
                assert received.headers["user-agent"].startswith("kitedb-telemetry/"), received.headers
                metrics = read(received.request, {"service.name": "orders", "deployment.environment.name": "a,b"})
                assert said["data_points"] == sum(len(points) for _, _, points in metrics.values()), said
                of_primary(metrics, status)
                shapes.append({name: (kind, unit) for name, (kind, unit, _) in metrics.items()})

                self.push(protocol, *flags, "--source-db", "social.kitedb", db="copy.kitedb")
                of_replica(read(self.receiver.next().request, {}))
        assert all(shape == shapes[0] for shape in shapes), shapes
        print(f"kitedb push: {len(shapes[0])} metrics of a primary, the same over {', '.join(PROTOCOLS)}, gzip or not")

    def faults(self):
        """A collector that is busy is asked again; what it refuses of a push that it takes is told, and not sent again."""
        for protocol in PROTOCOLS:
            self.receiver.faults.put("busy")
            said = self.push(protocol, "--retry-max-attempts", "3", "--retry-backoff-ms", "1")
            assert (said["delivered"], said["attempts"]) == (True, 2), said
            self.receiver.next()
            self.receiver.faults.put((2, "too old"))
            said = self.push(protocol, "--retry-max-attempts", "3")
            assert (said["rejected_data_points"], said["partial_error"], said["attempts"]) == (2, "too old", 1), said
            self.receiver.next()
            assert self.receiver.received.empty()
        print("kitedb push: retries and partial success, over every protocol")

    def applications(self):
        """An application's exporter: what counts in its process, with the time since when."""
        for protocol in PROTOCOLS:
            env = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.base[protocol],
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            }
            name = f"{protocol.replace('/', '-')}.kitedb"
            said = json.loads(self.run(self.application, name, env=env))
            flushed, last = self.receiver.next(), self.receiver.next()
            assert self.receiver.received.empty()
            assert last.headers["x-tenant"] == "a b", last.headers
            first, second = read(flushed.request, {}), read(last.request, {})
            of_process(first, second, said)
        print("an application's exporter: sums, histograms and their start times, over every protocol")


def read(request, resource):
    """The metrics of a request by name: kind, unit and points. What holds for all of them is checked on the way."""
    (resource_metrics,) = request.resource_metrics
    attributes = {of.key: of.value.string_value for of in resource_metrics.resource.attributes}
    expected = {"service.name": "kitedb", "kitedb.metrics.scope": "replication"} | resource
    if attributes["service.name"] == "orders":
        expected["service.name"] = "orders"
    for key, value in expected.items():
        assert attributes[key] == value, attributes
    assert attributes["service.instance.id"] and attributes["service.version"], attributes
    assert attributes["kitedb.database.name"].endswith(".kitedb"), attributes
    assert "kitedb.database.path" not in attributes, attributes
    (scope_metrics,) = resource_metrics.scope_metrics
    assert scope_metrics.scope.name == "kitedb.metrics.replication" and scope_metrics.scope.version
    metrics = {}
    for metric in scope_metrics.metrics:
        kind = metric.WhichOneof("data")
        data = getattr(metric, kind)
        if kind != "gauge":
            assert data.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE, metric
        if kind == "sum":
            assert data.is_monotonic, metric
        assert metric.description and metric.unit and metric.name not in metrics, metric
        points = list(data.data_points)
        assert points, metric
        for point in points:
            assert point.time_unix_nano > 0, metric
            # Only what is counted has a start.
            assert (point.start_time_unix_nano > 0) == (kind != "gauge"), metric
            assert point.start_time_unix_nano <= point.time_unix_nano, metric
        metrics[metric.name] = (kind, metric.unit, points)
    return metrics


def only(metrics, name, kind, unit, attributes=None):
    """The value of the one point of a metric that has these attributes; kind and unit are as expected."""
    found_kind, found_unit, points = metrics[name]
    assert (found_kind, found_unit) == (kind, unit), (name, found_kind, found_unit)
    if attributes is not None:
        points = [p for p in points if {of.key: of.value.string_value for of in p.attributes} == attributes]
    (point,) = points
    return point if kind == "histogram" else getattr(point, point.WhichOneof("value"))


def of_primary(metrics, status):
    """What the files of a primary say, as `kitedb primary status` shows it."""
    lag = status["replica_lags"][0]
    assert only(metrics, "kitedb.replication.enabled", "gauge", "{flag}", {"role": "primary"}) == 1
    assert only(metrics, "kitedb.replication.auth.enabled", "gauge", "{flag}", {}) == 0
    prefix = "kitedb.replication.primary."
    for name, unit, value in [
        ("epoch", "{epoch}", status["epoch"]),
        ("head_log_index", "{index}", status["head_log_index"]),
        ("retained_floor", "{index}", status["retained_floor"]),
        ("replica_count", "{replica}", 1),
        ("stale_epoch_replica_count", "{replica}", 0),
        ("max_replica_lag", "{frame}", lag["lag_frames"]),
        ("durable_log_index", "{index}", status["durable_log_index"]),
        ("fenced", "{flag}", 0),
    ]:
        assert only(metrics, prefix + name, "gauge", unit, {}) == value, name
    # Paths are not disclosed: what names a replica is the end of its id.
    replica = {"replica_id": pathlib.Path(lag["replica_id"]).name}
    assert only(metrics, prefix + "replica_lag_frames", "gauge", "{frame}", replica) == lag["lag_frames"]
    # The command has appended nothing, and does not say that nobody has.
    assert not any("append" in name or "checkpoint" in name for name in metrics), sorted(metrics)
    assert only(metrics, "kitedb.exporter.pushes", "sum", "{push}") == 1


def of_replica(metrics):
    assert only(metrics, "kitedb.replication.enabled", "gauge", "{flag}", {"role": "replica"}) == 1
    prefix = "kitedb.replication.replica."
    for name, unit, value in [
        ("applied_epoch", "{epoch}", 1),
        ("applied_log_index", "{index}", 3),
        ("needs_reseed", "{flag}", 0),
        ("last_error_present", "{flag}", 0),
        ("lag_frames", "{frame}", 0),
        ("source_head_log_index", "{index}", 3),
    ]:
        assert only(metrics, prefix + name, "gauge", unit, {}) == value, name
    assert not any(name.startswith("kitedb.replication.primary.") for name in metrics)


def of_process(first, second, said):
    """Two pushes of one process: 20 commits before the first one, 5 between them."""
    prefix = "kitedb.replication.primary."
    for name, before, after in [("append_attempts", 20, 25), ("append_successes", 20, 25), ("append_failures", 0, 0)]:
        assert only(first, prefix + name, "sum", "{append}") == before, name
        assert only(second, prefix + name, "sum", "{append}") == after, name
    assert (said["head_log_index"], said["append_attempts"]) == (25, 25), said
    assert only(second, "kitedb.checkpoints", "sum", "{checkpoint}") == said["checkpoints"]
    latency = only(second, "kitedb.commit.duration", "histogram", "s", {})
    assert latency.count == sum(latency.bucket_counts) == said["commits"], latency
    assert len(latency.bucket_counts) == len(latency.explicit_bounds) + 1, latency
    assert list(latency.explicit_bounds) == sorted(latency.explicit_bounds), latency
    for name, (kind, _, points) in first.items():
        if kind != "gauge" and name in second:
            starts = {p.start_time_unix_nano for p in points} | {p.start_time_unix_nano for p in second[name][2]}
            assert len(starts) == 1, (name, starts)
            assert points[0].time_unix_nano <= second[name][2][0].time_unix_nano, name
    assert only(second, "kitedb.exporter.pushes", "sum", "{push}") == 2
    assert only(second, "kitedb.exporter.points_exported", "sum", "{point}") == sum(len(p) for _, _, p in first.values())


def main():
    kitedb, application = (str(pathlib.Path(arg).resolve()) for arg in sys.argv[1:3])
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as folder:
        check = Check(kitedb, application, pathlib.Path(folder), receiver)
        check.commands()
        check.faults()
        check.applications()
    receiver.close()


if __name__ == "__main__":
    main()
