"""Statuses, metrics and other results: frozen objects that are also mappings (``status["needs_reseed"]``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, NamedTuple, TypeVar, dataclass_transform

_Class = TypeVar("_Class", bound=type)
_Item = TypeVar("_Item")
_Next = TypeVar("_Next")


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
def _report(cls: _Class) -> _Class:
    made: _Class = dataclass(frozen=True, slots=True, kw_only=True, eq=False)(cls)  # type: ignore[assignment]
    return made


class Record(Mapping[str, Any]):
    """An object whose attributes are also the items of a mapping, by their names."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        if name in self.__dataclass_fields__:  # type: ignore[attr-defined]
            return getattr(self, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(fields(self))  # type: ignore[arg-type]


class Page(NamedTuple, Generic[_Item, _Next]):
    """Some items of a list, and where it goes on."""

    items: list[_Item]
    next: _Next | None
    """What to give as ``after`` for the next page; None if this is the last one."""


class NamedId(NamedTuple):
    """A name with its id."""

    id: int
    name: str


class Upserted(NamedTuple):
    """A node that was created or changed."""

    id: int
    created: bool


@_report
class Hold(Record):
    """What keeps the oldest segment of a log."""

    reason: str
    from_log_index: int


@_report
class ReplicaLag(Record):
    """Where a replica was when it last reported."""

    replica_id: str
    name: str | None
    path: str | None
    epoch: int
    applied_log_index: int
    durable_log_index: int
    lag_frames: int
    lag_bytes: int
    lag_ms: int
    hold: str
    reserved_log_index: int | None
    reported_at_ms: int
    """ms since 1970."""


@_report
class FenceStatus(Record):
    """A fence that the promotion of another node moved."""

    epoch: int
    promoter: str
    ended: int | None
    """The last commit of the epoch before; None: the promotion is under way, or was cut short."""
    assumed: bool


@_report
class PrimaryReplicationStatus(Record):
    """What a primary says of itself. Counters are since the open."""

    role: str
    epoch: int
    """The epoch in which this handle commits."""
    head_log_index: int
    """The last published commit."""
    retained_floor: int
    """The first frame that is still there; 0 if none was ever let go."""
    replica_lags: list[ReplicaLag]
    """Every replica that reported, by id."""
    sidecar_path: str
    last_token: str | None
    """The last commit in the log, ``epoch:log_index``."""
    append_attempts: int
    append_failures: int
    append_successes: int
    digest: str
    durable_log_index: int
    log_bytes: int
    segments: int
    holds: list[Hold]
    log_fault: str | None
    registration_limit: int
    fenced: bool
    """Whether another node took over, or began to: no commit is acknowledged here any more."""
    fence: FenceStatus | None
    begun_by: str | None
    led_by: Rival | None
    copied: str | None
    process_id: int | None
    panicked: str | None
    fault: str | None
    """Why it does not lead, and what to do."""
    lost_replicas: str | None
    """Which replicas cannot go on from this log, and what to do."""


@_report
class ReplicaReplicationStatus(Record):
    """What a replica says of itself."""

    role: str
    source_db_path: str | None
    source_sidecar_path: str | None
    source_follows: bool
    applied_epoch: int
    """The epoch of the last frame that it applied; 0 before the first."""
    applied_log_index: int
    last_error: str | None
    """What the last failure was, until a later attempt succeeds. Survives a restart."""
    needs_reseed: bool
    """Whether it must be reseeded. Survives a restart."""
    source_fault: str | None
    source_unseen: str | None
    state: str
    state_since_ms: int
    """ms since 1970."""
    promotion: FenceStatus | None
    sidecar_path: str
    replica_id: str
    name: str | None
    registered: bool
    """Whether its source keeps its log for it."""
    registration_fault: str | None
    source_head_log_index: int
    lag_frames: int
    durable_log_index: int
    digest: str
    follower_running: bool
    process_id: int | None
    retained_floor: int
    log_bytes: int
    segments: int
    holds: list[Hold]
    replica_lags: list[ReplicaLag]
    log_fault: str | None
    registration_limit: int
    panicked: str | None
    fault: str | None
    """What is wrong with it, and what to do."""
    lost_replicas: str | None


@_report
class Rival(Record):
    """A node that leads, or holds what another one lacks."""

    db: str
    leads: int | None
    """The epoch that it leads; None: it does not."""
    last_token: str
    knows_epoch: int | None
    by_log: str | None
    message: str
    """What is so, in words."""


@_report
class Promotion(Record):
    """What became of a promotion."""

    epoch: int
    """The epoch that this node leads now."""
    last_kept: str
    """The last commit of the history before it that this node keeps."""
    source_fenced: bool
    """Whether the old source was fenced. If not, what it acknowledged after ``last_kept`` is lost."""
    fence_synced: bool
    source_found: bool
    rival_epoch: int | None


@_report
class Copied(Record):
    """What a copy of the source's graph did to others."""

    left_behind: list[LeftBehind]
    same_path: list[SamePath]
    ahead_of_source: list[Rival]
    put_aside: str | None
    gave_up_lead: int | None


@_report
class LeftBehind(Record):
    """A replica that followed this node and cannot go on from it. ``why``: ``other_history``, ``log_gone`` or ``no_primary``."""

    replica_id: str
    name: str | None
    path: str | None
    last: str
    why: str


@_report
class SamePath(Record):
    """A replica that had the path of this node."""

    replica_id: str
    name: str | None
    durable_log_index: int


@_report
class RetentionOutcome(Record):
    """What retention did."""

    pruned_segments: int
    """How many segments it removed."""
    retained_floor: int
    """The first frame that is still there; 0 if none was ever let go."""


@_report
class ConfirmedMove(Record):
    """What a confirmed move gave."""

    epoch: int
    """The epoch that it leads."""
    not_seen: list[str]
    """Who could not be looked at, one line for each."""


@_report
class Detached(Record):
    """What was left behind by a database that was made stand-alone."""

    last_token: str | None
    """The last commit that it holds."""
    missing: str | None
    """Commits that may be missing, and why."""
    left_source: str | None
    still_registered: StillRegistered | None
    former_sidecar: str | None
    followers: list[LeftFollower]


@_report
class StillRegistered(Record):
    """A source that keeps its log for a node which left it."""

    source_db_path: str | None
    replica_id: str
    why: str


@_report
class LeftFollower(Record):
    """A replica that followed a node which was made stand-alone."""

    replica_id: str
    name: str | None
    path: str | None
    last: str


@_report
class Repair(Record):
    """What a repair found and did."""

    clean: bool
    """Whether nothing is wrong."""
    found: list[str]
    steps: list[str]
    remains: list[str]
    put_aside: list[str]
    last_token: str | None
    asks_for: str | None
    """What ``cut_at`` must name, because commits after it lie behind damage."""
    only_log_is_lost: bool
    fenced: bool
    done: bool


@_report
class Comparison(Record):
    """What a comparison of two databases found."""

    a: ComparedState
    b: ComparedState
    log_index: int
    """The last index that both have reached: their digests are compared there."""
    equal: bool | None
    """Whether they hold the same graph there; None: it cannot be told."""
    parted: Parting | None
    """The frame with which their logs part, and whether it may be an earlier one."""
    differences: list[Difference]
    """At most 100."""
    difference_count: int
    elements_compared: bool
    lead: int
    """By how many commits the first one is ahead; negative if it is behind."""


@_report
class ComparedState(Record):
    """One side of a ``Comparison``."""

    token: str
    digest: str
    digest_at_index: str | None
    nodes: int
    edges: int
    vectors: int


@_report
class Difference(Record):
    """An element that is not the same in two databases."""

    element: NameElement | NodeElement | EdgeElement | VectorElement | IndexElement | OtherElement
    in_a: bool
    in_b: bool
    parts: list[str]
    """Which of its parts differ."""


@_report
class NameElement(Record):
    """A name: ``of`` says of what."""

    kind: str
    of: str
    id: int
    name: str


@_report
class NodeElement(Record):
    """A node."""

    kind: str
    id: int
    key: str | None


@_report
class EdgeElement(Record):
    """An edge."""

    kind: str
    src: int
    type: str
    dst: int
    rank: int


@_report
class VectorElement(Record):
    """A node's vector."""

    kind: str
    node: int
    property: str


@_report
class IndexElement(Record):
    """An index."""

    kind: str
    id: int
    name: str


@_report
class OtherElement(Record):
    """Something that came after this version."""

    kind: str


@_report
class Parting(Record):
    """Where two logs part."""

    log_index: int
    """The frame with which they part."""
    exact: bool
    """Whether it is that one; otherwise it may be an earlier one."""


@_report
class NamedCount(Record):
    """How many there are of something."""

    name: str
    count: int


@_report
class CheckReport(Record):
    """What a check found."""

    clean: bool
    """Whether nothing is wrong."""
    damage: list[str]
    """Ranges of the file, or parts of the log, that do not verify."""
    errors: list[str]
    """Invariants that do not hold; the first 100."""
    error_count: int
    nodes: int
    edges: int
    vectors: int
    digest: str
    """The digest, recomputed from what was read."""
    log_index: int
    """The log index that was checked."""


@_report
class Stats(Record):
    """Counts and sizes of a database; bytes unless a name says otherwise."""

    nodes: int
    edges: int
    vectors: int
    labels: list[NamedCount]
    edge_types: list[NamedCount]
    property_keys: list[str]
    token: str
    """The last published commit."""
    digest: str
    checkpoint_index: int
    """The last log index that is in the file's runs."""
    generation: int
    runs: list[int]
    """The sizes of the runs, oldest first."""
    file_bytes: int
    free_bytes: int
    log_bytes: int
    delta_bytes: int
    bytes_logged: int
    bytes_checkpointed: int
    bytes_compacted: int
    checkpoints: int
    compactions: int
    append_failures: int
    pins: list[PinInfo]
    """What is held for longest, the oldest first; at most 16."""
    oldest_pin_ms: int | None
    pinned_delta_bytes: int
    pinned_run_bytes: int
    pinned_elsewhere: bool
    background_error: str | None
    damage: str | None


@_report
class PinInfo(Record):
    """What holds a state."""

    kind: str
    origin: str
    """The name that it was given."""
    age_ms: int
    """For how many ms it has been held."""
    log_index: int
    """The last commit that it shows."""
    expired: bool
    """Whether that is for longer than ``max_pin_ms`` allows."""


@_report
class HealthCheck(Record):
    """Whether a database is well."""

    healthy: bool
    checks: list[Check]


@_report
class Check(Record):
    """One check of a database."""

    name: str
    passed: bool
    message: str


@_report
class Metrics(Record):
    """Figures of a database, of about one moment."""

    path: str
    is_single_file: bool
    read_only: bool
    data: DataMetrics
    cache: CacheMetrics
    """There is no cache: ``enabled`` is False."""
    mvcc: MvccMetrics | None
    replication: ReplicationMetrics
    memory: MemoryMetrics
    engine: EngineMetrics
    opened_at_ms: int
    """When the engine was opened, ms since 1970."""
    collected_at: int
    """When this was collected, ms since 1970."""


@_report
class DataMetrics(Record):
    """What a database holds."""

    node_count: int
    edge_count: int
    delta_nodes_created: int
    delta_nodes_deleted: int
    delta_edges_added: int
    delta_edges_deleted: int
    snapshot_generation: int
    max_node_id: int
    schema_labels: int
    schema_etypes: int
    schema_prop_keys: int


@_report
class CacheMetrics(Record):
    """There is no cache: ``enabled`` is False."""

    enabled: bool
    property_cache: CacheLayerMetrics
    traversal_cache: CacheLayerMetrics
    query_cache: CacheLayerMetrics


@_report
class CacheLayerMetrics(Record):
    """One cache."""

    hits: int
    misses: int
    hit_rate: float
    size: int
    max_size: int
    utilization_percent: float


@_report
class MvccMetrics(Record):
    """What holds states, and what it keeps."""

    enabled: bool
    active_transactions: int
    active_views: int
    versions_pruned: int
    gc_runs: int
    min_active_timestamp: int
    committed_writes_size: int
    committed_writes_pruned: int
    oldest_pin_ms: int | None
    oldest_pin: PinInfo | None


@_report
class MemoryMetrics(Record):
    """Bytes in memory."""

    delta_estimate_bytes: int
    cache_estimate_bytes: int
    snapshot_bytes: int
    pinned_delta_bytes: int
    pinned_run_bytes: int
    total_estimate_bytes: int


@_report
class EngineMetrics(Record):
    """The engine. Counters are since the open."""

    head_log_index: int
    epoch: int
    digest: str
    checkpoint_log_index: int
    runs: int
    append_attempts: int
    append_failures: int
    append_successes: int
    checkpoints: int
    compactions: int
    bytes_checkpointed: int
    bytes_compacted: int
    commit_latency: Latency
    sync_latency: Latency
    log_failed: bool
    background_error: str | None


@_report
class Latency(Record):
    """How long something took."""

    count: int
    """How often it was measured."""
    one_in: int
    """Of how many one was measured."""
    sum_ns: int
    buckets: list[LatencyBucket]
    """Buckets that are not empty, ascending; the last one may have no end."""
    mean_ns: int


@_report
class LatencyBucket(Record):
    """How many took at most so long; None: any longer."""

    count: int
    up_to_ns: int | None


@_report
class ReplicationMetrics(Record):
    """What part a database plays in replication, and how that goes; its role tells which part is there."""

    enabled: bool
    role: str
    primary: PrimaryMetrics | None
    replica: ReplicaMetrics | None
    fault: str | None


@_report
class PrimaryMetrics(Record):
    """A primary."""

    epoch: int
    head_log_index: int
    retained_floor: int
    replica_count: int
    stale_epoch_replica_count: int
    max_replica_lag: int
    min_replica_applied_log_index: int | None
    sidecar_path: str
    last_token: str | None
    append_attempts: int
    append_failures: int
    append_successes: int
    durable_log_index: int
    log_bytes: int
    segments: int
    holds: list[Hold]
    registration_limit: int
    fenced: bool
    copied: bool
    digest: str
    replicas: list[ReplicaLagMetrics]


@_report
class ReplicaLagMetrics(Record):
    """Where a replica was when it last reported."""

    replica_id: str
    name: str | None
    epoch: int
    applied_log_index: int
    durable_log_index: int
    lag_frames: int
    lag_bytes: int
    lag_ms: int
    hold: str
    reported_at_ms: int


@_report
class ReplicaMetrics(Record):
    """A replica."""

    applied_epoch: int
    applied_log_index: int
    needs_reseed: bool
    last_error: str | None
    state: str
    state_since_ms: int
    source_head_log_index: int
    lag_frames: int
    durable_log_index: int
    digest: str
    follower_running: bool
    replica_id: str
    source_db_path: str | None
    sidecar_path: str
    registered: bool
    retained_floor: int
    log_bytes: int
    segments: int
    holds: list[Hold]
    registration_limit: int
    replicas: list[ReplicaLagMetrics]


@_report
class ExporterMetrics(Record):
    """What an exporter has done."""

    exported_points: int
    rejected_points: int
    dropped_points: list[NamedCount]
    """Data points that were given up, by reason."""
    pushes: int
    retries: int
    store_errors: int
    breaker: str
    last_success_ms: int | None
    started_ms: int | None


@_report
class OtlpHttpExportResult(Record):
    """What became of a push that the collector took."""

    status_code: int
    """The HTTP status; 200 for gRPC."""
    response_body: str
    rejected_data_points: int
    """Data points that the collector refused though it took the push."""
    partial_error: str | None
    attempts: int
    """How often it was tried."""


@_report
class Index(Record):
    """An index, as it is defined."""

    id: int
    name: str
    """Its name, which no other index has."""
    label: str | None
    """It is of nodes with this label."""
    edge_type: str | None
    """It is of edges of this type."""
    property: str
    """The property whose values it holds."""
    unique: bool
    """Whether no two elements may have the same value."""
    state: str
    """``building``, ``ready``, or ``failed``: it was to be unique, and is not."""
