"""A collector of OTLP metrics, written from the specification with the packages opentelemetry-proto and grpcio.

It takes HTTP in protobuf and JSON on one port and gRPC on another, reads what comes by the messages of OpenTelemetry,
and hands it out in the order in which it came. It can be told to refuse the next request, or a part of it.
"""

import dataclasses
import gzip
import http.server
import queue
import threading
from concurrent import futures

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service_grpc

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


@dataclasses.dataclass
class Received:
    """One request."""

    transport: str
    headers: dict
    request: service.ExportMetricsServiceRequest
    compressed: bool | None
    """Whether the body was; gRPC does not say."""


class Receiver:
    """Serves until it is closed."""

    def __init__(self):
        self.received = queue.Queue()
        self.faults = queue.Queue()
        """What to answer next: "busy" (try again), or (rejected points, message) of a partial success."""
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self._grpc = grpc.server(futures.ThreadPoolExecutor(2), compression=grpc.Compression.Gzip)
        service_grpc.add_MetricsServiceServicer_to_server(_Service(self), self._grpc)
        grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self.base = {
            "http/protobuf": f"http://127.0.0.1:{self._http.server_address[1]}",
            "http/json": f"http://127.0.0.1:{self._http.server_address[1]}",
            "grpc": f"http://127.0.0.1:{grpc_port}",
        }

    def endpoint(self, protocol):
        """Where metrics go over a protocol."""
        return self.base[protocol] + ("" if protocol == "grpc" else "/v1/metrics")

    def next(self):
        """The next request."""
        return self.received.get(timeout=60)

    def close(self):
        self._http.shutdown()
        self._grpc.stop(None)

    def _fault(self):
        try:
            return self.faults.get_nowait()
        except queue.Empty:
            return None

    def _handler(receiver):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                kind = self.headers["content-type"]
                try:
                    if self.path != "/v1/metrics":
                        return self._answer(404, "text/plain", b"metrics go to /v1/metrics")
                    compressed = self.headers.get("content-encoding") == "gzip"
                    if compressed:
                        body = gzip.decompress(body)
                    request = service.ExportMetricsServiceRequest()
                    if kind == PROTOBUF:
                        request.ParseFromString(body)
                    elif kind == JSON:
                        # Unknown fields are errors here.
                        json_format.Parse(body, request)
                    else:
                        return self._answer(415, "text/plain", b"neither protobuf nor JSON")
                except Exception as error:  # noqa: BLE001: whatever it is, the sender is told
                    return self._answer(400, "text/plain", repr(error).encode())
                fault = receiver._fault()
                if fault == "busy":
                    return self._answer(503, "text/plain", b"busy", [("retry-after", "0")])
                headers = {name.lower(): value for name, value in self.headers.items()}
                transport = "http/protobuf" if kind == PROTOBUF else "http/json"
                receiver.received.put(Received(transport, headers, request, compressed))
                response = _response(fault)
                if kind == PROTOBUF:
                    return self._answer(200, PROTOBUF, response.SerializeToString())
                return self._answer(200, JSON, json_format.MessageToJson(response).encode())

            def _answer(self, status, kind, body, more=()):
                self.send_response(status)
                for name, value in [("content-type", kind), ("content-length", str(len(body))), *more]:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


class _Service(service_grpc.MetricsServiceServicer):
    def __init__(self, receiver):
        self.receiver = receiver

    def Export(self, request, context):  # noqa: N802: the name of the protocol
        fault = self.receiver._fault()
        if fault == "busy":
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        headers = {name.lower(): value for name, value in context.invocation_metadata()}
        self.receiver.received.put(Received("grpc", headers, request, None))
        return _response(fault)


def _response(fault):
    response = service.ExportMetricsServiceResponse()
    if fault:
        response.partial_success.rejected_data_points, response.partial_success.error_message = fault
    return response
