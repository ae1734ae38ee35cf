"""KiteDB: an embedded property-graph database in one file, which replicates.

    import kitedb

    with kitedb.open("social.kitedb") as db:
        with db.transaction() as tx:
            ada = tx.create_node("ada", labels=["Person"], props={"born": 1815})

Bytes, counts and indexes are whole numbers; times say their unit in their name (``…_ms``). What fails raises a
:class:`KiteDbError`, whose class says what to do; a wrong argument raises ``TypeError``, ``ValueError`` or ``OverflowError``.
``kitedb.aio`` is the same for asyncio; ``kitedb.replication_auth`` says who may administer replication.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import (
    CancelledError,
    ClosedError,
    ConflictError,
    CorruptionError,
    FencedError,
    ForkedError,
    InputError,
    InternalError,
    InvalidArgumentError,
    KiteDbError,
    LockedError,
    NotFoundError,
    OutcomeUnknownError,
    ReopenError,
    ReseedError,
    ReseedRequiredError,
    RetryLaterError,
    RetryTransactionError,
    SnapshotExpiredError,
)
from ._kitedb import (
    AllTypes,
    BulkLoader,
    Database,
    DateTime,
    Duration,
    Edge,
    EdgeKey,
    ExportedSnapshot,
    Exporter,
    GraphReader,
    GraphWriter,
    LocalDate,
    LocalDateTime,
    LocalTime,
    Node,
    OpenOptions,
    Pending,
    Rows,
    Snapshot,
    Time,
    Transaction,
    __version__,
    _AllTypes,
    collect_metrics,
    collect_replication_log_transport_json,
    collect_replication_metrics_otel_json,
    collect_replication_metrics_otel_protobuf,
    collect_replication_metrics_prometheus,
    collect_replication_snapshot_transport_json,
    compare,
    compare_deep,
    health_check,
    push_replication_metrics_otel_grpc,
    push_replication_metrics_otel_json,
    push_replication_metrics_otel_protobuf,
    start_exporter,
)
from ._reports import NamedId, Page, Record, Upserted
from ._types import NewEdgeDict, NewNode, SyncMode
from .replication_auth import (
    AsgiMtlsMatcherOptions,
    ForwardedMtlsMatcherOptions,
    ReplicationAdminAuthConfig,
    ReplicationAdminAuthError,
    ReplicationAdminAuthMode,
    ReplicationAdminAuthorizer,
    ReplicationAdminConfigError,
    ReplicationTrustedProxies,
    authorize_replication_admin_request,
    create_asgi_tls_mtls_matcher,
    create_forwarded_tls_mtls_matcher,
    create_replication_admin_authorizer,
    is_asgi_tls_client_authorized,
    is_forwarded_tls_client_authorized,
    is_replication_admin_authorized,
)

if TYPE_CHECKING:
    from typing import Unpack

    from ._types import OpenKwargs, PathLike

__all__ = [
    "AllTypes",
    "AsgiMtlsMatcherOptions",
    "BulkLoader",
    "CancelledError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "Database",
    "DateTime",
    "Duration",
    "Edge",
    "EdgeKey",
    "ExportedSnapshot",
    "Exporter",
    "FencedError",
    "ForkedError",
    "ForwardedMtlsMatcherOptions",
    "GraphReader",
    "GraphWriter",
    "InputError",
    "InternalError",
    "InvalidArgumentError",
    "KiteDbError",
    "LocalDate",
    "LocalDateTime",
    "LocalTime",
    "LockedError",
    "NamedId",
    "NewEdgeDict",
    "NewNode",
    "Node",
    "NotFoundError",
    "OpenOptions",
    "OutcomeUnknownError",
    "Page",
    "Pending",
    "Record",
    "ReopenError",
    "ReplicationAdminAuthConfig",
    "ReplicationAdminAuthError",
    "ReplicationAdminAuthMode",
    "ReplicationAdminAuthorizer",
    "ReplicationAdminConfigError",
    "ReplicationTrustedProxies",
    "ReseedError",
    "ReseedRequiredError",
    "RetryLaterError",
    "RetryTransactionError",
    "Rows",
    "Snapshot",
    "SnapshotExpiredError",
    "SyncMode",
    "Time",
    "Transaction",
    "Upserted",
    "_AllTypes",
    "__version__",
    "authorize_replication_admin_request",
    "collect_metrics",
    "collect_replication_log_transport_json",
    "collect_replication_metrics_otel_json",
    "collect_replication_metrics_otel_protobuf",
    "collect_replication_metrics_prometheus",
    "collect_replication_snapshot_transport_json",
    "compare",
    "compare_deep",
    "create_asgi_tls_mtls_matcher",
    "create_forwarded_tls_mtls_matcher",
    "create_replication_admin_authorizer",
    "health_check",
    "is_asgi_tls_client_authorized",
    "is_forwarded_tls_client_authorized",
    "is_replication_admin_authorized",
    "open",
    "open_database",
    "push_replication_metrics_otel_grpc",
    "push_replication_metrics_otel_json",
    "push_replication_metrics_otel_protobuf",
    "start_exporter",
    "version",
]


def open(path: PathLike, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]) -> Database:
    """Opens the database at a path, making it if it is missing and the options allow that: ``Database(path, options, **kwargs)``."""
    return Database(path, options, **kwargs)


open_database = open
"""The same, as 0.2 called it."""


def version() -> str:
    """The version of this package."""
    return __version__
