"""The types of arguments."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from typing import Protocol

    from typing_extensions import Buffer

    from ._kitedb import (
        DateTime,
        Duration,
        Edge,
        EdgeKey,
        LocalDate,
        LocalDateTime,
        LocalTime,
        Time,
        _AllTypes,
    )

    class Array(Protocol):
        """An array of NumPy, or what can be one: its buffer is taken."""

        def __array__(self) -> Any: ...

    PathLike: TypeAlias = str | os.PathLike[str]

    Temporal: TypeAlias = (
        datetime.date
        | datetime.time
        | datetime.timedelta
        | LocalDate
        | LocalTime
        | Time
        | LocalDateTime
        | DateTime
        | Duration
    )

    ValueInput: TypeAlias = (
        None | bool | int | float | str | Buffer | Array | Temporal | Sequence["ValueInput"] | Mapping[str, "ValueInput"]
    )
    """What a property can be given. A buffer is bytes, or a vector of float32."""

    Vector: TypeAlias = Buffer | Array | Sequence[float]
    """A buffer of float32, or numbers, which are rounded to that."""

    Vectors: TypeAlias = Buffer | Array | Iterable[Vector]
    """A buffer of float32 with a row for each, as a matrix of NumPy is, or vectors one by one."""

    Ids: TypeAlias = Buffer | Array | Iterable[int]
    """Ids of nodes: a buffer of integers of 64 bits, as an array of NumPy is, or integers one by one."""

    TypeFilter: TypeAlias = str | _AllTypes
    """Edges of one type, by its name, or of every type (``kitedb.AllTypes``). A name that is not in use finds nothing."""

    EdgeKeyInput: TypeAlias = EdgeKey | Edge | tuple[int, str, int] | tuple[int, str, int, int]
    """What names an edge: source, type, destination and, where it is not 0, rank."""

    NewEdge: TypeAlias = (
        EdgeKey | Edge | tuple[int, str, int] | tuple[int, str, int, Mapping[str, ValueInput]] | "NewEdgeDict"
    )
    """An edge to be added."""

Props: TypeAlias = "Mapping[str, ValueInput]"
Direction: TypeAlias = Literal["out", "in"]
"""Which end of its edges a node is."""


class SyncMode(StrEnum):
    """When a commit is on the disk. In every mode it survives the death of the process."""

    FULL = "full"
    """Before ``commit`` returns: it survives the death of the machine."""
    NORMAL = "normal"
    """Within ``sync_interval_ms``, by a background sync."""
    OFF = "off"
    """At the next checkpoint, and at close."""

    @staticmethod
    def full() -> SyncMode:
        """``SyncMode.FULL``, as 0.2 spelled it."""
        return SyncMode.FULL

    @staticmethod
    def normal() -> SyncMode:
        """``SyncMode.NORMAL``, as 0.2 spelled it."""
        return SyncMode.NORMAL

    @staticmethod
    def off() -> SyncMode:
        """``SyncMode.OFF``, as 0.2 spelled it."""
        return SyncMode.OFF


class NewNode(TypedDict, total=False):
    """A node to be created. What is not said is not there, but for the id, which is then the next free one."""

    id: int | None
    key: str | None
    labels: Sequence[str] | None
    props: Mapping[str, Any] | None


class _EdgeEnds(TypedDict):
    src: int
    type: str
    dst: int


class NewEdgeDict(_EdgeEnds, total=False):
    """An edge to be added."""

    rank: int
    props: Mapping[str, Any] | None


class OpenKwargs(TypedDict, total=False):
    """How a database is opened. What is None is not said."""

    read_only: bool | None
    """Reads only: needs no permission to write, works beside a process that writes, and shows the state as of the open."""
    create_if_missing: bool | None
    """Makes the file if there is none (default True)."""
    sync_mode: Literal["full", "normal", "off"] | SyncMode | None
    """When a commit is on the disk: ``full`` (default), ``normal`` or ``off``."""
    sync_interval_ms: int | None
    """In sync mode ``normal``, the longest time that a commit waits for its background sync (default 1000)."""
    checkpoint_log_bytes: int | None
    """Bytes of log after which a checkpoint begins in the background (default 64 MiB)."""
    auto_checkpoint: bool | None
    """Whether checkpoints begin by themselves (default True). Closing makes one in any case."""
    auto_compaction: bool | None
    """Whether runs are merged by themselves (default True)."""
    max_runs: int | None
    """The most runs that a read may have to look into (default 7, 2 to 32)."""
    background: bool | None
    """Whether threads do the background work (default True)."""
    max_pin_ms: int | None
    """For how long a snapshot or a transaction may be held (default 0: for as long as it likes)."""
    segment_max_bytes: int | None
    """Bytes beyond which a log segment is left for a new one (default 64 MiB)."""
    accept_hard_links: bool | None
    """Opens a file for writing though it has more than one hard link (default False)."""
    accept_copy: bool | None
    """Opens for writing what was copied in use, giving up what it lacks (default False)."""
    require_complete: bool | None
    """Fails to open where less than was committed would be shown (default False)."""
    fence_wait_ms: int | None
    """For how long a commit waits that a promotion of another node met (default 5000)."""
    replication_role: Literal["disabled", "primary", "replica"] | None
    """Its part in replication: ``disabled``, ``primary`` or ``replica`` (default: the one that its file has)."""
    replication_sidecar_path: PathLike | None
    """The folder of its replication log (default: where it was last; for a new one ``<file>.replication``)."""
    replication_source_db_path: PathLike | None
    """The database file that a replica follows (default: the one that it followed last)."""
    replication_source_sidecar_path: PathLike | None
    """Where to look for the source's replication log."""
    replication_overwrite: bool | None
    """Lets a bootstrap or a reseed replace a graph that is no replica's (default False)."""
    replication_segment_max_bytes: int | None
    """Bytes beyond which a segment of the replication log is left for a new one."""
    replication_retention_min_entries: int | None
    """How many of the newest frames the log keeps (default 1024)."""
    replication_retention_min_ms: int | None
    """For how long the log keeps a frame."""
    replication_retention_max_bytes: int | None
    """The most bytes that the log may take for the sake of replicas and windows."""
    replication_retention_max_lag_ms: int | None
    """A replica whose next frame is older than this no longer holds the log."""
    replication_retention_interval_ms: int | None
    """Runs retention by itself every so many ms."""
    replication_name: str | None
    """What a replica is called, beside its id: 1 to 64 bytes."""
    replication_unregistered: bool | None
    """Whether a replica follows without being registered with its source (default False)."""


class FollowerKwargs(TypedDict, total=False):
    """How a background follower works."""

    max_frames: int | None
    """The most frames pulled at once (default 4096)."""
    poll_ms: int | None
    """The longest time between two looks at a source that does not wake it (default 30,000)."""
    backoff_ms: int | None
    """The first wait after a failure; it doubles (default 50)."""
    backoff_max_ms: int | None
    """The longest wait after a failure (default 5000)."""


class RetentionWindows(TypedDict, total=False):
    """What is kept of a log in place of what the process that has it open keeps."""

    min_entries: int | None
    min_ms: int | None
    max_bytes: int | None
    max_lag_ms: int | None


class RepairKwargs(TypedDict, total=False):
    """How a log is mended."""

    dry_run: bool | None
    """Changes nothing, and says what would be done."""
    cut_at: str | None
    """Gives up what the log held after this commit."""
    accept_hard_links: bool | None
    replication_sidecar_path: PathLike | None


class PrometheusKwargs(TypedDict, total=False):
    """How metrics are written as text."""

    auth_enabled: bool | None
    format: Literal["text", "openmetrics"] | None
    names: Literal["contract", "linted"] | None
    database_label: Literal["file_name", "path", "none"] | None
    database_name: str | None


class _OtlpKwargs(TypedDict, total=False):
    attempt_timeout_ms: int | None
    """One attempt. 0, the default: an equal share of what is left."""
    headers: Mapping[str, str] | None
    https_only: bool | None
    ca_cert_pem_path: PathLike | None
    client_cert_pem_path: PathLike | None
    client_key_pem_path: PathLike | None
    retry_max_attempts: int | None
    """Attempts in all; 1, the default, tries once."""
    retry_backoff_ms: int | None
    retry_backoff_max_ms: int | None
    retry_jitter_ratio: float | None
    adaptive_retry: bool | None
    adaptive_retry_mode: Literal["linear", "ewma"] | None
    adaptive_retry_ewma_alpha: float | None
    circuit_breaker_failure_threshold: int | None
    circuit_breaker_open_ms: int | None
    circuit_breaker_half_open_probes: int | None
    circuit_breaker_scope_key: str | None
    circuit_breaker_state_path: str | None
    circuit_breaker_state_url: str | None
    circuit_breaker_state_patch: bool | None
    circuit_breaker_state_patch_batch: bool | None
    circuit_breaker_state_patch_batch_max_keys: int | None
    circuit_breaker_state_patch_merge: bool | None
    circuit_breaker_state_patch_merge_max_keys: int | None
    circuit_breaker_state_patch_retry_max_attempts: int | None
    circuit_breaker_state_cas: bool | None
    circuit_breaker_state_lease_id: str | None
    compression_gzip: bool | None
    service_name: str | None
    """``service.name``; by default ``kitedb``."""
    service_instance_id: str | None
    resource_attributes: Mapping[str, str] | None
    include_database_path: bool | None
    include_database_name: bool | None


class PushKwargs(_OtlpKwargs, total=False):
    """Options of a push. Times are in ms."""


class ExporterKwargs(_OtlpKwargs, total=False):
    """Options of an exporter. Times are in ms."""

    timeout_ms: int | None
    """A whole push, every attempt and wait included. Default 5000."""
    bearer_token: str | None
    interval_ms: int | None
    """From one push to the next. Default 60,000."""
    close_timeout_ms: int | None
    """How long closing it may take. Default 5000."""
