from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, Unpack, final

from typing_extensions import disjoint_base

from ._reports import (
    CheckReport,
    Comparison,
    ConfirmedMove,
    Copied,
    Detached,
    ExporterMetrics,
    HealthCheck,
    Index,
    Metrics,
    NamedId,
    OtlpHttpExportResult,
    Page,
    PrimaryReplicationStatus,
    Promotion,
    Repair,
    ReplicaReplicationStatus,
    RetentionOutcome,
    Rival,
    Stats,
    Upserted,
)
from ._types import (
    Direction,
    EdgeKeyInput,
    ExporterKwargs,
    FollowerKwargs,
    Ids,
    NewEdge,
    NewNode,
    OpenKwargs,
    PathLike,
    PrometheusKwargs,
    Props,
    PushKwargs,
    RepairKwargs,
    RetentionWindows,
    TypeFilter,
    ValueInput,
    Vector,
    Vectors,
)

__version__: str

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Row = TypeVar("_Row", covariant=True)


@final
class _AllTypes:
    """Edges of every type."""
    def __reduce__(self) -> str: ...

AllTypes: _AllTypes

@final
class Node:
    """A node."""
    def __new__(
        cls, id: int, key: str | None = None, labels: tuple[str, ...] | None = None, props: dict[str, Any] | None = None
    ) -> Self: ...
    @property
    def id(self) -> int:
        """Its id."""
    @property
    def key(self) -> str | None:
        """Its unique key, if it has one."""
    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels, by their ids."""
    @property
    def props(self) -> dict[str, Any]:
        """Its properties, or those that were asked for."""
    __match_args__: tuple[str, ...]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EdgeKey:
    """What names a directed edge."""
    def __new__(cls, src: int, type: str, dst: int, rank: int = 0) -> Self: ...
    @property
    def src(self) -> int:
        """The node that it leads from."""
    @property
    def type(self) -> str:
        """Its type."""
    @property
    def dst(self) -> int:
        """The node that it leads to."""
    @property
    def rank(self) -> int:
        """Which of parallel edges it is: 0 is the one that adding an edge by its ends and its type makes."""
    __match_args__: tuple[str, ...]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Edge:
    """An edge."""
    def __new__(cls, src: int, type: str, dst: int, rank: int = 0, props: dict[str, Any] | None = None) -> Self: ...
    @property
    def src(self) -> int:
        """The node that it leads from."""
    @property
    def type(self) -> str:
        """Its type."""
    @property
    def dst(self) -> int:
        """The node that it leads to."""
    @property
    def rank(self) -> int:
        """Which of parallel edges it is."""
    @property
    def props(self) -> dict[str, Any]:
        """Its properties, or those that were asked for."""
    @property
    def key(self) -> EdgeKey:
        """What names it."""
    __match_args__: tuple[str, ...]
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Rows(Generic[_Row]):
    """Rows of a scan. They come up to 1,024 at a time, and the state that is read is held until the last one was fetched, until `close()`,
    the end of a `with`, or until nobody has them any more: a `break` out of a loop and an exception end it, too. Until then their database
    is open, unless that was closed."""
    def __iter__(self) -> Self: ...
    def __next__(self) -> _Row: ...
    def to_list(self) -> list[_Row]:
        """All rows that are left, as a list."""
    def ids(self: Rows[Node]) -> memoryview[int]:
        """The ids of all nodes that are left, as a memoryview of format 'Q' (`numpy.asarray` takes it as it is). Of edges, see `ends`."""
    def ends(self: Rows[Edge]) -> memoryview[int]:
        """The ids of the nodes at the ends of all edges that are left: a memoryview of format 'Q' with a row of source and destination for
        each (`numpy.asarray` takes it as it is)."""
    def close(self) -> None:
        """Lets go of the state that is read, and of the rows that are left. Nothing happens the second time."""
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows as an Arrow stream, which pandas, Polars, DuckDB and pyarrow read: the columns `id`, `key` and `labels`, or `src`,
        `type`, `dst` and `rank`, and one for each property (`props.id` where one is called as those). Values of one property are of one
        kind, whole numbers among floats apart; instants of several zones are told in UTC. It can be asked for again, and shows the same
        state. Raises `INVALID_ARGUMENT` where no column can hold a property, where rows were fetched already, and of a transaction."""
    def __arrow_c_schema__(self) -> object:
        """The columns of that stream."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc: object) -> None: ...

@disjoint_base
class GraphReader:
    """What reads a graph: a database its newest state, a snapshot, a transaction or a bulk load its own. What is not there is None."""
    def __new__(cls, source: GraphReader) -> Self: ...
    def node(self, id: int, *, select: Sequence[str] | None = None) -> Node | None:
        """A node by its id; None if there is none. `select` names the properties that are asked for: by default all."""
    def node_with_key(self, key: str, *, select: Sequence[str] | None = None) -> Node | None:
        """The node that has a key."""
    def node_by_key(self, key: str) -> int | None:
        """The id of the node that has a key."""
    def node_exists(self, id: int) -> bool:
        """Whether there is a node with that id."""
    def node_key(self, id: int) -> str | None:
        """A node's key, if it exists and has one."""
    def node_prop(self, id: int, name: str, default: Any = None) -> Any:
        """One property of a node; `default` where it is not there (None is a value, too)."""
    def node_props(self, id: int, *, select: Sequence[str] | None = None) -> dict[str, Any] | None:
        """A node's properties; None if it does not exist."""
    def node_labels(self, id: int) -> list[str]:
        """The names of a node's labels."""
    def node_has_label(self, id: int, label: str) -> bool:
        """Whether a node has a label."""
    def node_vector(self, id: int, name: str) -> memoryview[float] | None:
        """A node's vector under a name, exactly as it was stored, as a memoryview of format 'f' (`numpy.asarray` takes it as it
        is). It is no property."""
    def node_vectors(self, ids: Ids, name: str) -> memoryview[float] | None:
        """The vectors of many nodes under a name, as one memoryview of format 'f' with a row for each (`numpy.asarray` takes it as it is).
        The row of a node that has none is NaN, which no vector that is stored has. None where no vector was ever stored under that name."""
    def vector_dimension(self, name: str) -> int | None:
        """How many components the vectors under a name have."""
    def edge(self, edge: EdgeKeyInput, *, select: Sequence[str] | None = None) -> Edge | None:
        """Exactly that edge."""
    def edge_between(self, src: int, type: str, dst: int, *, select: Sequence[str] | None = None) -> Edge | None:
        """The edge between two nodes; of several parallel ones, that of the lowest rank."""
    def edges_between(self, src: int, type: str, dst: int) -> list[EdgeKey]:
        """Every edge of that type between two nodes, by rank."""
    def edge_exists(self, src: int, type: str, dst: int) -> bool:
        """Whether an edge of that type leads from one node to the other."""
    def edge_exists_by_key(self, edge: EdgeKeyInput) -> bool:
        """Whether exactly that edge exists."""
    def edge_prop(self, src: int, type: str, dst: int, name: str, default: Any = None) -> Any:
        """One property of the edge between two nodes; of several parallel ones, of that of the lowest rank."""
    def edge_prop_by_key(self, edge: EdgeKeyInput, name: str, default: Any = None) -> Any:
        """One property of exactly that edge."""
    def edge_props(
        self, src: int, type: str, dst: int, *, select: Sequence[str] | None = None
    ) -> dict[str, Any] | None:
        """The properties of the edge between two nodes; None if there is none."""
    def edge_props_by_key(self, edge: EdgeKeyInput, *, select: Sequence[str] | None = None) -> dict[str, Any] | None:
        """The properties of exactly that edge."""
    def out_neighbors(self, id: int, types: TypeFilter, *, select: Sequence[str] | None = None) -> Rows[Node]:
        """The nodes that a node's edges lead to, in no particular order: each once for every edge that leads there."""
    def in_neighbors(self, id: int, types: TypeFilter, *, select: Sequence[str] | None = None) -> Rows[Node]:
        """The nodes that edges to a node come from."""
    def out_edges(self, id: int, types: TypeFilter, *, select: Sequence[str] | None = None) -> Rows[Edge]:
        """The edges that lead from a node, in no particular order."""
    def in_edges(self, id: int, types: TypeFilter, *, select: Sequence[str] | None = None) -> Rows[Edge]:
        """The edges that lead to a node, in no particular order."""
    def sorted_edges(
        self, id: int, direction: Direction, types: TypeFilter, *, select: Sequence[str] | None = None
    ) -> Rows[Edge]:
        """The edges at a node, ascending by type, other end and rank."""
    def neighbor_ids(self, id: int, direction: Direction, types: TypeFilter) -> list[int]:
        """The ids of a node's neighbours, in no particular order: the fastest way to traverse."""
    def neighbor_ids_batch(
        self, ids: Ids, direction: Direction, types: TypeFilter
    ) -> tuple[memoryview[int], memoryview[int]]:
        """The ids of the neighbours of many nodes: `(offsets, ids)`, memoryviews of format 'Q' (`numpy.asarray` takes them as they are). The
        neighbours of the node at place `i` are `ids[offsets[i]:offsets[i + 1]]`, in no particular order, each once for every edge."""
    def out_degree(self, id: int, types: TypeFilter) -> int:
        """How many edges lead from a node."""
    def in_degree(self, id: int, types: TypeFilter) -> int:
        """How many edges lead to a node."""
    def degree(self, id: int, direction: Direction, types: TypeFilter) -> int:
        """How many edges a node has in a direction."""
    def nodes(self, *, select: Sequence[str] | None = None) -> Rows[Node]:
        """Every node, ascending. The rows come up to 1,024 at a time, of the state as of this call."""
    def nodes_with_label(self, label: str, *, select: Sequence[str] | None = None) -> Rows[Node]:
        """Every node with a label, ascending: from the label's index."""
    def edges(self, *, select: Sequence[str] | None = None) -> Rows[Edge]:
        """Every edge, ascending by source, type, destination and rank."""
    def nodes_page(self, after: int | None, limit: int) -> Page[int, int]:
        """Up to `limit` nodes after `after` (None: from the first on), ascending. The cursor holds across commits."""
    def label_page(self, label: str, after: int | None, limit: int) -> Page[int, int]:
        """Up to `limit` nodes with a label."""
    def edges_page(self, after: EdgeKeyInput | None, limit: int) -> Page[EdgeKey, EdgeKey]:
        """Up to `limit` edges after `after`."""
    def neighbors_page(
        self, id: int, direction: Direction, types: TypeFilter, after: EdgeKeyInput | None, limit: int
    ) -> Page[EdgeKey, EdgeKey]:
        """Up to `limit` edges at a node, in the order of `sorted_edges`."""
    def count_nodes(self) -> int:
        """How many nodes there are. Constant time, as all counts."""
    def count_edges(self) -> int:
        """How many edges there are."""
    def count_vectors(self) -> int:
        """How many vectors there are."""
    def count_nodes_by_label(self, label: str) -> int:
        """How many nodes have a label."""
    def count_edges_by_type(self, type: str) -> int:
        """How many edges are of a type."""
    def labels(self) -> list[NamedId]:
        """Every label in use, by id."""
    def etypes(self) -> list[NamedId]:
        """Every edge type in use, by id."""
    def propkeys(self) -> list[NamedId]:
        """Every property key in use, by id."""
    def label_id(self, name: str) -> int | None:
        """The id of a label, if that is in use."""
    def etype_id(self, name: str) -> int | None:
        """The id of an edge type."""
    def propkey_id(self, name: str) -> int | None:
        """The id of a property key."""
    def indexes(self) -> list[Index]:
        """The indexes that are defined, in the order in which they came."""

class GraphWriter(GraphReader):
    """What writes to a graph, and reads it. Names that are not in use yet (labels, types, properties) are defined by using them. What a
    database is asked to write is a transaction of its own; a write of a transaction that fails changes nothing, and it can go on."""
    def __new__(cls, source: GraphWriter) -> Self: ...
    def create_node(
        self,
        key: str | None = None,
        *,
        id: int | None = None,
        labels: Iterable[str] | None = None,
        props: Props | None = None,
    ) -> int:
        """Creates a node; what is not said is not there, but for the id, which is then the next free one. Returns its id. Raises
        `DUPLICATE_KEY`, `NODE_EXISTS`."""
    def create_nodes_batch(self, nodes: Iterable[str | NewNode]) -> list[int]:
        """Creates many nodes: all of them, or none. Each is a key, or a dict with `key`, `id`, `labels` and `props`, each where it
        is said."""
    def delete_node(self, id: int) -> None:
        """Deletes a node and, with it, its edges, properties, labels and vectors."""
    def add_node_label(self, id: int, label: str) -> bool:
        """Returns whether the node did not have it."""
    def remove_node_label(self, id: int, label: str) -> bool:
        """Returns whether the node had it."""
    def set_node_prop(self, id: int, name: str, value: ValueInput) -> None:
        """Sets a property of a node. Raises `NODE_NOT_FOUND`."""
    def delete_node_prop(self, id: int, name: str) -> bool:
        """Returns whether it was there."""
    def set_node_vector(self, id: int, name: str, vector: Vector) -> None:
        """Stores a vector: a buffer of float32, or numbers, which are rounded to that. The first one under a name fixes the length of
        all others there. Raises `VECTOR_DIMENSION`."""
    def set_node_vectors(self, ids: Ids, name: str, vectors: Vectors) -> None:
        """Stores a vector for each of many nodes: all of them, or none. `vectors` is a buffer of float32 with a row for each, as a matrix of
        NumPy is, or as many vectors. Raises as `set_node_vector` does."""
    def delete_node_vector(self, id: int, name: str) -> bool:
        """Returns whether it was there."""
    def add_edge(self, src: int, type: str, dst: int, props: Props | None = None) -> None:
        """Adds an edge between nodes that exist. Raises `EDGE_EXISTS` where one of that type leads there, whatever its rank."""
    def add_parallel_edge(self, src: int, type: str, dst: int, props: Props | None = None) -> EdgeKey:
        """Adds an edge, whether or not there are others, and returns what names it."""
    def add_edge_by_key(self, edge: EdgeKeyInput, props: Props | None = None) -> None:
        """Adds exactly that edge, its rank included."""
    def add_edges_batch(self, edges: Iterable[NewEdge]) -> None:
        """Adds many edges: all of them, or none. Each is `(src, type, dst)`, with its properties behind them or not, an EdgeKey, or a
        dict with `src`, `type`, `dst`, `rank` and `props`."""
    def add_edges_of_type(self, type: str, src: Ids, dst: Ids) -> None:
        """Adds many edges of one type: from each node of `src` to the one at the same place of `dst`. All of them, or none. Raises as
        `add_edge` does."""
    def delete_edge(self, src: int, type: str, dst: int) -> None:
        """Removes an edge and its properties; of several parallel ones, that of the lowest rank. Raises `EDGE_NOT_FOUND`."""
    def delete_edge_by_key(self, edge: EdgeKeyInput) -> None:
        """Removes exactly that edge."""
    def delete_edges_between(self, src: int, type: str, dst: int) -> int:
        """Removes every edge of a type between two nodes. Returns how many there were."""
    def set_edge_prop(self, src: int, type: str, dst: int, name: str, value: ValueInput) -> None:
        """Sets a property of the edge between two nodes; of several parallel ones, of that of the lowest rank."""
    def set_edge_prop_by_key(self, edge: EdgeKeyInput, name: str, value: ValueInput) -> None:
        """Sets a property of exactly that edge."""
    def delete_edge_prop(self, src: int, type: str, dst: int, name: str) -> bool:
        """Returns whether it was there."""
    def delete_edge_prop_by_key(self, edge: EdgeKeyInput, name: str) -> bool:
        """Returns whether it was there."""
    def upsert_node(self, key: str, props: Props | None = None) -> Upserted:
        """Sets properties of the node with a key (None removes one), creating the node if there is none. Returns its id, and whether it
        was created."""
    def upsert_node_by_id(self, id: int, props: Props | None = None) -> bool:
        """Sets properties of a node (None removes one), creating it without a key if there is none. Returns whether it was created."""
    def upsert_edge(self, src: int, type: str, dst: int, props: Props | None = None) -> bool:
        """Sets properties of an edge (None removes one), adding it if none leads there. Returns whether it was added."""

@final
class Transaction(GraphWriter):
    """Changes that become visible and durable together, at `commit()`. It sees its own writes, and the state as of its beginning.

    As a context manager it commits at the end of the block, and is rolled back by any exception. Given up without a commit it is
    rolled back. A write that fails changes nothing, and the transaction can go on."""
    @property
    def is_expired(self) -> bool:
        """Whether it was held for longer than `max_pin_ms` allows: it does not commit."""
    @property
    def log_bytes(self) -> int:
        """How many bytes of the log its commit takes so far: 64 MiB is all that a transaction may."""
    def commit(self) -> str:
        """Makes the changes visible and, by the sync mode, durable. Returns the token that names them. Raises `ConflictError` if another
        transaction that committed first wrote what this one writes; `OUTCOME_UNKNOWN`, `STALE_PRIMARY`, `FINISHED`."""
    def commit_with_token(self) -> str | None:
        """The same, with the token as `epoch:log_index`; None unless the database is a primary."""
    def submit(self) -> Pending:
        """Puts the changes into the log, and returns what ends when they are durable and visible."""
    def try_submit(self) -> Pending:
        """As `submit`, where that takes next to no time: it need not wait, and has at most 64 KiB for the log. Raises `WOULD_BLOCK` where it
        takes longer: the transaction is as before then."""
    def rollback(self) -> None:
        """Gives the changes up. Nothing happens the second time, nor after a commit."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

@final
class Pending:
    """A commit that is in the log and has perhaps not ended."""
    @property
    def token(self) -> str:
        """What names it."""
    @property
    def short_token(self) -> str:
        """The same as `epoch:log_index`, which says nothing of whose epoch that is."""
    def wait(self) -> str:
        """Waits until it has ended. Returns the token, or raises what became of it."""
    def result(self) -> str | None:
        """The token, if it has ended; None if it has not. Raises what became of it. Waits for nothing."""

@final
class Snapshot(GraphReader):
    """One state, which never changes, blocks no writer and is blocked by none. It holds what it shows until it is released: at the end of
    a `with`, by `release()`, or once nobody has it any more. Until then its database is open, unless that was closed."""
    @property
    def token(self) -> str:
        """The last commit that it shows."""
    @property
    def digest(self) -> str:
        """The state digest: equal for two databases exactly if they hold the same graph."""
    @property
    def commit_ms(self) -> int:
        """When the last commit that it shows was made, ms since 1970; 0 before the first."""
    @property
    def is_expired(self) -> bool:
        """Whether it was held for longer than `max_pin_ms` allows."""
    def release(self) -> None:
        """Lets go of what it holds. Nothing happens the second time."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc: object) -> None: ...

@final
class BulkLoader(GraphWriter):
    """A transaction that commits itself in batches: write to it, and call `step` after each element. Each batch is atomic, the load as a
    whole is not. As a context manager it finishes at the end of the block; by an exception the batch that is not full is given up."""
    @property
    def last_token(self) -> str | None:
        """The last batch that was committed."""
    def step(self) -> str | None:
        """Counts an element. Returns the token of the batch if that is full, and committed now."""
    def flush(self) -> str:
        """Commits what is in the batch, and begins the next one."""
    def finish(self) -> str:
        """Commits the last batch."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None: ...

@final
class ExportedSnapshot:
    """An image of a primary's database at a checkpoint: the bytes of a database file that opens like any other."""
    @property
    def generated_at_ms(self) -> int:
        """When it was made, ms since 1970."""
    @property
    def epoch(self) -> int:
        """The epoch of the primary."""
    @property
    def head_log_index(self) -> int:
        """The last commit of the primary when it was made."""
    @property
    def retained_floor(self) -> int:
        """The first frame that was in the primary's log still."""
    @property
    def checkpoint_log_index(self) -> int:
        """The last frame that the image holds."""
    @property
    def byte_length(self) -> int:
        """How many bytes it has."""
    @property
    def digest(self) -> str:
        """The state digest."""
    @property
    def start_cursor(self) -> str:
        """The cursor from which pages of the log go on."""
    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`."""
    def release(self) -> None:
        """Lets go of it. Nothing happens the second time."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc: object) -> None: ...

@final
class OpenOptions:
    """Options of an open, to be given to more than one."""
    def __new__(cls, **options: Unpack[OpenKwargs]) -> Self: ...

@final
class Database(GraphWriter):
    """An open database: reads of its newest state, writes that are a transaction each, and transactions. It never has a hidden current
    transaction. `Database(path, options, **options)` opens it, making it if it is missing and the options allow that. Raises
    `LockedError` (with `pid`) while another process has it open for writing.

    As a context manager it is closed at the end of the block."""
    def __new__(cls, path: PathLike, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]) -> Self: ...
    @staticmethod
    def in_memory(options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]) -> Database:
        """A new database in memory: the same engine and no file."""
    @property
    def is_open(self) -> bool:
        """Whether this handle was not closed."""
    @property
    def path(self) -> str:
        """Where the file is; what is no UTF-8 of it is as `os.fsdecode` has it."""
    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
    @property
    def replication_role(self) -> Literal["disabled", "primary", "replica"]:
        """Its part in replication now: a promoted replica is a primary."""
    @property
    def sync_mode(self) -> Literal["full", "normal", "off"]:
        """When a commit is on the disk."""
    @property
    def damage(self) -> str | None:
        """Why less than was committed is shown; None: all is there, as far as an open can tell."""
    def is_current(self) -> bool:
        """Whether what was published since is nothing: a database opened with ``read_only`` shows the state of that moment, or of its last
        `refresh`. ``True`` for one that writes. It costs some reads of the header, and holds nobody up."""
    def refresh(self) -> bool:
        """Brings a database opened with ``read_only`` up to what is published now: reads that begin later show it, snapshots and
        transactions go on as they began. Returns whether it shows everything then. ``False``: what comes next is not in the log that it
        has read, as after each checkpoint of the process that writes; open another one. It costs what the commits in between do, and
        holds nobody up. ``True`` for one that writes, of which nothing changes. What it says of its part in replication stays as it was."""
    @property
    def is_copied(self) -> bool:
        """Whether this is a primary whose files were copied or restored: it does not write before its operator says what it is."""
    @property
    def replication_log_fault(self) -> str | None:
        """Why a look at its replication log tells less than it should."""
    @property
    def replication_log_is_denied(self) -> bool:
        """Whether that is that this process lacks a permission: nothing is known to be wrong then."""
    def require_commits(self) -> None:
        """Raises where a commit of this handle would be refused now, whatever it changes."""
    def last_commit_token(self) -> str | None:
        """What names the last published commit; None before the first."""
    def digest(self) -> str:
        """The state digest of the newest state: equal for two databases exactly if they hold the same graph."""
    def close(self) -> None:
        """Closes this handle; its transactions do not commit any more. The last one of a file makes a checkpoint. Nothing happens the
        second time."""
    def abandon(self) -> None:
        """As `close`; if this open made the database and nothing was committed since, nothing of it is left."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc: object) -> None: ...
    def begin(self, *, origin: str = "python") -> Transaction:
        """Begins a transaction, which is an object of its own. `origin` is what statistics call it."""
    def begin_after(self, pending: Pending, *, origin: str = "python") -> Transaction:
        """Begins one that sees a commit which has perhaps not ended."""
    def transaction(self, *, origin: str = "python") -> Transaction:
        """As `begin`, for `with db.transaction() as tx`: it commits at the end of the block, and is rolled back by any exception."""
    def transaction_with_retry(
        self, attempts: int, f: Callable[[Transaction], _R], *, origin: str = "python"
    ) -> _R:
        """Calls `f` with a transaction and commits that; where another transaction committed first what this one writes, `f` is called
        again on a new snapshot, at most `attempts` times in all. What `f` raises rolls it back, and is raised. Returns what `f`
        returned."""
    def retry(
        self, attempts: int
    ) -> Callable[[Callable[Concatenate[Transaction, _P], _R]], Callable[_P, _R]]:
        """A decorator: the function is called with a transaction before its own arguments, as `transaction_with_retry` does."""
    def snapshot(self, *, origin: str = "python") -> Snapshot:
        """One state, to read from for as long as it is held."""
    def begin_bulk(self, elements_per_commit: int) -> BulkLoader:
        """Begins a bulk load: transactions of so many elements each."""
    def checkpoint(self) -> None:
        """Writes what is only in the log to the file."""
    def compact(self) -> None:
        """Merges all runs of the file into one, after a checkpoint."""
    def compact_step(self) -> bool:
        """One merge at most. Returns whether there was one to do."""
    def sync(self) -> None:
        """Makes every commit so far durable, whatever the sync mode."""
    def check(self) -> CheckReport:
        """Reads everything and verifies every checksum and every invariant."""
    def stats(self) -> Stats:
        """Counts and sizes."""
    def primary_replication_status(self) -> PrimaryReplicationStatus | None:
        """What the primary knows of itself and its replicas; None if this is none."""
    def primary_report_replica_progress(self, replica_id: str, epoch: int, applied_log_index: int) -> None:
        """Takes in how far a replica is that cannot report itself. Raises `EPOCH_MISMATCH`, `STALE_PRIMARY`, `NOT_PRIMARY`."""
    def primary_remove_replica(self, replica: str) -> bool:
        """Forgets a replica, by its id, name or path. Returns whether it was known."""
    def primary_run_retention(self) -> RetentionOutcome:
        """Lets go of the segments of the log that nobody asks for."""
    def primary_promote_to_next_epoch(self) -> int:
        """Begins the next epoch: every other handle to this log is fenced. Returns it."""
    def primary_promote_by_force(self) -> int:
        """The same by an operator's word, without what others have and this node lacks."""
    def primary_rivals(self) -> list[Rival]:
        """The nodes that lead in place of this primary, or hold what it lacks. Best first."""
    def took_over_from(self) -> str | None:
        """The source that this primary followed before it took over."""
    def primary_export_snapshot(self) -> ExportedSnapshot:
        """An image of this database at a new checkpoint, which stays readable until it is released."""
    def export_replication_snapshot_transport_json(self, include_data: bool = False) -> str:
        """What a copy of this primary at a new checkpoint needs to be known of, as JSON; with `include_data` the copy itself too, in
        base64, up to 32 MiB. Raises `NOT_PRIMARY`, `INVALID_ARGUMENT`."""
    def export_replication_log_transport_json(
        self,
        cursor: str | None = None,
        max_frames: int = 128,
        max_bytes: int = 1048576,
        include_payload: bool = True,
    ) -> str:
        """A page of the log as JSON: the frames after `cursor` (None or blank: from the oldest one on), at most `max_frames` of them with
        at most `max_bytes`; without `include_payload` only what each is. Raises `INVALID_CURSOR`, `NOT_PRIMARY`, `INVALID_ARGUMENT`."""
    def replica_replication_status(self) -> ReplicaReplicationStatus | None:
        """What the replica knows of itself; None if this is none."""
    def replica_bootstrap_from_snapshot(self) -> None:
        """Replaces this replica's graph by a snapshot of its source's, and catches up. An interrupted copy resumes."""
    def replica_reseed_from_snapshot(self) -> None:
        """The same, for a replica that needs a reseed."""
    def replica_copy_source(self) -> Copied:
        """The same, and says what that did to others."""
    def replica_catch_up_once(self, max_frames: int) -> int:
        """Pulls and applies up to so many frames (0 counts as 1). Returns how many; 0: there is nothing new."""
    def replica_promote(self, force: bool = False) -> Promotion:
        """Makes this replica the primary of the next epoch. `force`: also where its source cannot be fenced or read to its end."""
    def replica_rivals(self) -> list[Rival]:
        """The nodes that lead, or hold commits that this replica lacks."""
    def replica_repoint(self, source_db_path: PathLike, source_sidecar_path: PathLike | None = None) -> None:
        """Follows another source from now on."""
    def replica_wait_for_news(self, seen: int, timeout_ms: int) -> int:
        """Waits until more than `seen` tries to pull have ended, or its state has changed, for at most `timeout_ms`. Returns how often
        that was by then."""
    def start_follower(self, **options: Unpack[FollowerKwargs]) -> None:
        """Follows the source in the background, until `stop_follower`, a promotion, or close. At most `max_frames` frames are pulled at
        once; `poll_ms` is the longest time between two looks at a source that does not wake it; after a failure it waits `backoff_ms`
        and, doubling, at most `backoff_max_ms`."""
    def stop_follower(self) -> None:
        """Ends the background follower, if there is one, after what it is doing."""
    def wait_for_token(self, token: str, timeout_ms: int) -> bool:
        """Waits until this node shows the commit that a token names, for at most `timeout_ms`. False: it does not."""
    def wait_for_token_outcome(
        self, token: str, timeout_ms: int
    ) -> Literal["reached", "timed_out", "epoch_changed", "needs_reseed"]:
        """The same, saying what came of it: `reached`, `timed_out`, `epoch_changed` (the commit is off this node's history: the write is
        gone) or `needs_reseed`."""
    @staticmethod
    def detach(path: PathLike, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]) -> Detached:
        """Makes the file at a path a database of its own, stand-alone."""
    @staticmethod
    def confirm_moved(
        path: PathLike, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]
    ) -> ConfirmedMove:
        """Lets a primary lead whose files were copied, moved or restored, in place of the one that it was copied from."""
    @staticmethod
    def repair(path: PathLike, **options: Unpack[RepairKwargs]) -> Repair:
        """Mends the log of a database. `dry_run` changes nothing, and says what would be done; `cut_at` gives up what the log held after
        that commit; `replication_sidecar_path` says where the log is; `accept_hard_links` repairs a file with several."""
    @staticmethod
    def remove_replica_at(
        path: PathLike, replica: str, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]
    ) -> str | None:
        """Forgets a replica of the database at a path, whether or not a process has it open. Returns its id."""
    @staticmethod
    def confirm_replicas_at(
        path: PathLike, options: OpenOptions | None = None, **kwargs: Unpack[OpenKwargs]
    ) -> None:
        """Takes the operator's word that the replicas which are registered there are all that there are."""
    @staticmethod
    def run_retention_at(
        path: PathLike,
        windows: RetentionWindows | None = None,
        options: OpenOptions | None = None,
        **kwargs: Unpack[OpenKwargs],
    ) -> RetentionOutcome:
        """Lets go of the segments of the log of the database at a path that nobody asks for. `windows` is what is kept in place of what
        the process that has it open keeps: a dict with `min_entries`, `min_ms`, `max_bytes`, `max_lag_ms`, each where it is said."""

@final
class LocalDate:
    """A day of the Gregorian calendar, from -999999999-01-01 to 999999999-12-31: what `datetime.date` says from the year 1 to 9999."""
    def __new__(cls, days: int) -> Self: ...
    @staticmethod
    def parse(text: str) -> LocalDate:
        """Reads ISO 8601 text. Raises `ValueError`."""
    @property
    def days(self) -> int:
        """Days since 1970-01-01."""
    def isoformat(self) -> str:
        """The ISO 8601 text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class LocalTime:
    """A time of day, of no place: what `datetime.time` says to the microsecond."""
    def __new__(cls, nanoseconds: int) -> Self: ...
    @staticmethod
    def parse(text: str) -> LocalTime:
        """Reads ISO 8601 text. Raises `ValueError`."""
    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since midnight."""
    def isoformat(self) -> str:
        """The ISO 8601 text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Time:
    """A time of day at an offset from UTC: what an aware `datetime.time` says to the microsecond."""
    def __new__(cls, nanoseconds: int, offset_seconds: int) -> Self: ...
    @staticmethod
    def parse(text: str) -> Time:
        """Reads ISO 8601 text. Raises `ValueError`."""
    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since midnight there."""
    @property
    def offset_seconds(self) -> int:
        """Seconds by which clocks there are ahead of UTC."""
    def isoformat(self) -> str:
        """The ISO 8601 text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class LocalDateTime:
    """A day and a time of day, of no place: what a naive `datetime.datetime` says to the microsecond."""
    def __new__(cls, seconds: int, nanoseconds: int = 0) -> Self: ...
    @staticmethod
    def parse(text: str) -> LocalDateTime:
        """Reads ISO 8601 text. Raises `ValueError`."""
    @property
    def seconds(self) -> int:
        """Seconds since 1970-01-01 00:00, rounded down."""
    @property
    def nanoseconds(self) -> int:
        """Nanoseconds after those."""
    def isoformat(self) -> str:
        """The ISO 8601 text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class DateTime:
    """An instant, with the offset and perhaps the zone in which it was given: what an aware `datetime.datetime` says to the
    microsecond."""
    def __new__(
        cls, seconds: int, nanoseconds: int = 0, offset_seconds: int = 0, zone: str | None = None
    ) -> Self: ...
    @staticmethod
    def parse(text: str) -> DateTime:
        """Reads ISO 8601 text. Raises `ValueError`."""
    @property
    def seconds(self) -> int:
        """Seconds since 1970-01-01 00:00 UTC, rounded down."""
    @property
    def nanoseconds(self) -> int:
        """Nanoseconds after those."""
    @property
    def offset_seconds(self) -> int:
        """Seconds by which clocks there were ahead of UTC."""
    @property
    def zone(self) -> str | None:
        """The zone's name, as it was given; `None` if none was."""
    def isoformat(self) -> str:
        """The ISO 8601 text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Duration:
    """Months, days and seconds, none of which is turned into another: what `datetime.timedelta` says without months, to the
    microsecond."""
    def __new__(cls, *, months: int = 0, days: int = 0, seconds: int = 0, nanoseconds: int = 0) -> Self: ...
    @staticmethod
    def parse(text: str) -> Duration:
        """Reads ISO 8601 text. Raises `ValueError`."""
    @property
    def months(self) -> int:
        """Months."""
    @property
    def days(self) -> int:
        """Days."""
    @property
    def seconds(self) -> int:
        """Seconds, rounded down."""
    @property
    def nanoseconds(self) -> int:
        """Nanoseconds after those."""
    def isoformat(self) -> str:
        """The ISO 8601 text."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Exporter:
    """Pushes the metrics of one database on a cadence, from a thread of its own. It keeps neither the database open nor the process."""
    @property
    def state(self) -> Literal["running", "database_closed", "closed"]:
        """`running`, `database_closed` or `closed`."""
    @property
    def last_error(self) -> str | None:
        """Why the last push failed; None if it succeeded, or there was none."""
    def metrics(self) -> ExporterMetrics | None:
        """What it has done; None once it is closed."""
    def flush(self) -> OtlpHttpExportResult:
        """Pushes now, and waits for it. Where another thread closes it meanwhile it raises `CLOSED`; ended by a signal it leaves the push
        to go on."""
    def close(self) -> None:
        """Pushes once more, and ends, within `close_timeout_ms`. Nothing happens the second time. A signal ends it at once."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc: object) -> None: ...

@final
class Watch:
    """What ends a call from elsewhere: `kitedb.aio` has one for each."""
    def __new__(cls) -> Self: ...
    def cancel(self) -> None:
        """Ends the calls that are made by it: they fail with `CANCELLED`, unless what they made counts already."""
    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled."""
    def run(self, f: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Calls `f`, on this thread, so that `cancel` ends what it does."""

@final
class Waiters:
    """Who waits for commits in one process, and the thread that calls them. `kitedb.aio` has one."""
    def __new__(cls) -> Self: ...
    def add(self, pending: Pending, f: Callable[[], object]) -> bool:
        """Calls `f`, on the thread of these waiters, once the commit has ended. True: it has ended already, and nothing is called."""
    def stop(self) -> None:
        """Ends the thread, before the interpreter does: a thread that is in Python then is torn out of it, which ends the process. Who
        waits from then on does so himself."""

def compare(a: Database, b: Database) -> Comparison:
    """Compares two databases, each as it is now."""
def compare_deep(a: Database, b: Database) -> Comparison:
    """Compares two databases, each as it is now, reading and comparing every element."""
def collect_metrics(db: Database) -> Metrics:
    """Figures of everything. Takes no lock that a commit takes."""
def health_check(db: Database) -> HealthCheck:
    """Whether the database is well, and what is wrong if it is not."""
def collect_replication_metrics_prometheus(db: Database, **options: Unpack[PrometheusKwargs]) -> str:
    """The replication metrics as Prometheus text. Options: `auth_enabled`, `format` (`text` or `openmetrics`), `names` (`contract` or
    `linted`), `database_label` (`file_name`, `path` or `none`), `database_name`."""
def collect_replication_metrics_otel_json(db: Database) -> str:
    """The replication metrics as OTLP in JSON."""
def collect_replication_metrics_otel_protobuf(db: Database) -> bytes:
    """The replication metrics as OTLP in protobuf."""
def collect_replication_snapshot_transport_json(db: Database, include_data: bool = False) -> str:
    """What a copy of this primary at a new checkpoint needs to be known of, as JSON; with `include_data` the copy itself too, in
    base64, up to 32 MiB. Raises `NOT_PRIMARY`, `INVALID_ARGUMENT`."""
def collect_replication_log_transport_json(
    db: Database,
    cursor: str | None = None,
    max_frames: int = 128,
    max_bytes: int = 1048576,
    include_payload: bool = True,
) -> str:
    """A page of the log as JSON: the frames after `cursor` (None or blank: from the oldest one on), at most `max_frames` of them with at
    most `max_bytes`; without `include_payload` only what each is. Raises `INVALID_CURSOR`, `NOT_PRIMARY`, `INVALID_ARGUMENT`."""
def push_replication_metrics_otel_json(
    db: Database,
    endpoint: str,
    timeout_ms: int = 5000,
    bearer_token: str | None = None,
    **options: Unpack[PushKwargs],
) -> OtlpHttpExportResult:
    """Pushes the replication metrics to a collector over HTTP as JSON, and waits for it, for at most `timeout_ms` (5000) in all."""
def push_replication_metrics_otel_protobuf(
    db: Database,
    endpoint: str,
    timeout_ms: int = 5000,
    bearer_token: str | None = None,
    **options: Unpack[PushKwargs],
) -> OtlpHttpExportResult:
    """The same as protobuf."""
def push_replication_metrics_otel_grpc(
    db: Database,
    endpoint: str,
    timeout_ms: int = 5000,
    bearer_token: str | None = None,
    **options: Unpack[PushKwargs],
) -> OtlpHttpExportResult:
    """The same over gRPC."""
def start_exporter(
    db: Database,
    transport: Literal["json", "protobuf", "grpc"],
    endpoint: str,
    **options: Unpack[ExporterKwargs],
) -> Exporter:
    """Begins to push the metrics of a database on a cadence: every `interval_ms` (60,000), by `transport` (`json`, `protobuf` or `grpc`);
    closing takes at most `close_timeout_ms` (5000). The other options are those of a push."""
