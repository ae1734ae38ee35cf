/**
 * KiteDB for Node: an embedded property-graph database in one file, which replicates.
 *
 * ```js
 * const { Database } = require('@kitedb/core');
 * const db = Database.open('social.kitedb');
 * const ada = db.transaction((tx) => tx.createNode({ key: 'ada', labels: ['Person'], props: { born: 1815 } }));
 * ```
 *
 * Bytes, counts and indexes are whole numbers; times say their unit in their name (`…Ms`). What fails throws a
 * {@link KiteDbError}, whose `kind` says what to do; a wrong argument throws a `TypeError` with `code` `INVALID_ARGUMENT`, and an
 * integer that no number says exactly a `RangeError` with `code` `INTEGER_UNSAFE` (see {@link IntegersOption}).
 *
 * @packageDocumentation
 */

/// <reference lib="es2022" />
/// <reference lib="esnext.disposable" />

/** The version of this package. */
export function version(): string;

// ---------------------------------------------------------------------------------------------------------------- errors

/** What the caller should do about an error. */
export type ErrorKind =
  /** Run the transaction, or the read, again, on a new snapshot. */
  | 'retry_transaction'
  /** Nothing is wrong with the call; try it later (disk full, file locked, a limit in force). */
  | 'retry_later'
  /** The handle is of no more use: open the database again. */
  | 'reopen'
  /** Stored data is damaged or lost: restore it, or reseed this replica. */
  | 'reseed'
  /** Another writer leads now: stop writing here. */
  | 'fenced'
  /** The call or its input is wrong: fix it. */
  | 'input'
  /** The caller ended the operation: nothing is wrong. */
  | 'cancelled'
  /** A defect of KiteDB: report it. */
  | 'bug';

/** A stable, machine-readable reason. Codes are only ever added. */
export type ErrorCode =
  | 'CONFLICT'
  | 'CONFLICT_UNPUBLISHED'
  | 'SNAPSHOT_EXPIRED'
  | 'NODE_NOT_FOUND'
  | 'EDGE_NOT_FOUND'
  | 'EDGE_EXISTS'
  | 'NODE_EXISTS'
  | 'DUPLICATE_KEY'
  | 'UNKNOWN_NAME'
  | 'VECTOR_DIMENSION'
  | 'INVALID_ARGUMENT'
  | 'INVALID_OPTION'
  | 'ROLE_MISMATCH'
  | 'WOULD_OVERWRITE'
  | 'FILES_MOVED'
  | 'REGISTRY_LOST'
  | 'HARD_LINKED'
  | 'TRANSACTION_TOO_LARGE'
  | 'READ_ONLY'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'NOT_A_DATABASE'
  | 'TOO_NEW'
  | 'OLD_FORMAT'
  | 'FORMAT_0_2'
  | 'FORKED'
  | 'CLOSED'
  | 'SYNC_FAILED'
  | 'POISONED'
  | 'LOCKED'
  | 'DISK_FULL'
  | 'FINISHED'
  | 'WOULD_BLOCK'
  | 'IO'
  | 'CORRUPT'
  | 'LOG_MISMATCH'
  | 'NEEDS_RESEED'
  | 'NOT_PRIMARY'
  | 'NOT_REPLICA'
  | 'REPLICA_READ_ONLY'
  | 'SOURCE_UNAVAILABLE'
  | 'UNREGISTERED'
  | 'EPOCH_MISMATCH'
  | 'INVALID_CURSOR'
  | 'STALE_PRIMARY'
  | 'OUTCOME_UNKNOWN'
  | 'MEMORY_LIMIT'
  | 'TIME_LIMIT'
  | 'CANCELLED'
  | 'INTERNAL'
  // Of pushes to a collector.
  | 'INVALID_PAYLOAD'
  | 'REJECTED'
  | 'TRANSPORT'
  | 'DEADLINE_EXCEEDED'
  | 'CIRCUIT_OPEN'
  | 'PROBE_IN_FLIGHT'
  | 'RESOURCES'
  // One that came after this version.
  | (string & {});

/** What the database fails with. The message says what was wrong and what to do; the fields say it to programs. */
export class KiteDbError extends Error {
  private constructor();
  /** The stable reason. */
  readonly code: ErrorCode;
  /** What to do about it. */
  readonly kind: ErrorKind;
  /** Whether the same call may succeed when it is made again: at once on a new snapshot, or later. */
  readonly retryable: boolean;
  /** The commit that it is about. */
  readonly token?: string;
  /** The epoch that leads, as far as is known here. */
  readonly epoch?: number;
  /** The file or folder that it is about. */
  readonly path?: string;
  /** The id of the process that is in the way. */
  readonly pid?: number;
  /** What the caller used and what is wrong with it: a node's key or id, a label, a type, a property. */
  readonly key?: string;
  /** What should have been there. */
  readonly expected?: string;
  /** What is there instead. */
  readonly found?: string;
  /** The HTTP status with which a collector refused a push. */
  readonly statusCode?: number;
}

// ---------------------------------------------------------------------------------------------------------------- values

/** What a property can hold. */
export type Value =
  | null
  | boolean
  /** A safe integer (and not -0) is an integer, any other number a float; see {@link float} and `floatProperties`. */
  | number
  /** A 64-bit integer. */
  | bigint
  | string
  /** Bytes (a `Buffer` is one). */
  | Uint8Array
  /** A vector of 32-bit floats; every bit pattern is kept. */
  | Float32Array
  | LocalDate
  | LocalTime
  | Time
  | LocalDateTime
  | DateTime
  | Duration
  /** A list, to a depth of 32. */
  | Value[]
  /** A map. */
  | { [name: string]: Value };

/**
 * What a property can be given: a {@link Value}, or what stands for one. Of objects and arrays their own enumerable members count, as in
 * JSON: what is not enumerable, or inherited, is not looked at. What would be lost is an error: a member whose name is a symbol, and
 * members of an array beside its items (those of what a regular expression found, for one).
 */
export type ValueInput =
  | Value
  /** A float, whatever number it holds. */
  | KiteFloat
  /** The instant, in UTC, as a {@link DateTime}. */
  | Date
  /** A map. */
  | ReadonlyMap<string, ValueInput>
  | readonly ValueInput[]
  | { readonly [name: string]: ValueInput }
  /** A date, a time or a duration of `Temporal`, where the runtime has it. */
  | TemporalLike;

/** An object of `Temporal`: `PlainDate`, `PlainTime`, `PlainDateTime`, `Instant`, `ZonedDateTime` or `Duration`. */
export interface TemporalLike {
  readonly [Symbol.toStringTag]: `Temporal.${string}`;
  toString(): string;
}

/** Properties by name. */
export interface Props {
  [name: string]: Value;
}

/**
 * Properties to be given: the own enumerable members of an object, or the entries of a `Map`. One that is undefined is an error: leave it
 * out; so is one whose name is a symbol. TypeScript takes an object whose type is an `interface` for no such one, as others may add to
 * that: give a copy, `{ ...props }`, or make it a `type`.
 */
export type PropsInput = { readonly [name: string]: ValueInput } | ReadonlyMap<string, ValueInput>;

/** A number that is a float. Made by {@link float}. */
export class KiteFloat {
  constructor(value: number);
  readonly value: number;
  valueOf(): number;
  toJSON(): number;
}

/** The number as a float: `float(1)` is stored as 1.0, where `1` is the integer. */
export function float(value: number): KiteFloat;

/** What dates, times and durations have in common. They are immutable. */
interface TemporalValue {
  /** ISO 8601 text. */
  toString(): string;
  toJSON(): string;
  /** Whether both are of one kind and say the same. */
  equals(other: unknown): boolean;
  /** The same value in the class of `Temporal` for it. Throws where the runtime has none. */
  toTemporal(): TemporalLike;
}

/** A day of the Gregorian calendar, from -999999999-01-01 to 999999999-12-31. */
export class LocalDate implements TemporalValue {
  /** The day that is so many days after 1970-01-01. */
  constructor(days: number);
  /** Reads ISO 8601 text: `2015-07-21`. */
  static parse(text: string): LocalDate;
  /** Days since 1970-01-01. */
  readonly days: number;
  toString(): string;
  toJSON(): string;
  equals(other: unknown): boolean;
  toTemporal(): TemporalLike;
}

/** A time of day, of no place. */
export class LocalTime implements TemporalValue {
  constructor(nanoseconds: number);
  /** Reads ISO 8601 text: `21:40:32.142`. */
  static parse(text: string): LocalTime;
  /** Nanoseconds since midnight. */
  readonly nanoseconds: number;
  toString(): string;
  toJSON(): string;
  equals(other: unknown): boolean;
  toTemporal(): TemporalLike;
}

/** A time of day at an offset from UTC. */
export class Time implements TemporalValue {
  constructor(nanoseconds: number, offsetSeconds: number);
  /** Reads ISO 8601 text: `21:40:32.142+01:00`. */
  static parse(text: string): Time;
  /** Nanoseconds since midnight there. */
  readonly nanoseconds: number;
  /** Seconds by which clocks there are ahead of UTC. */
  readonly offsetSeconds: number;
  toString(): string;
  toJSON(): string;
  equals(other: unknown): boolean;
  /** Throws: `Temporal` has no such class. */
  toTemporal(): never;
}

/** A day and a time of day, of no place. */
export class LocalDateTime implements TemporalValue {
  constructor(seconds: number | bigint, nanoseconds?: number);
  /** Reads ISO 8601 text: `2015-07-21T21:40:32.142`. */
  static parse(text: string): LocalDateTime;
  /** Seconds since 1970-01-01 00:00, rounded down. */
  readonly seconds: bigint;
  /** Nanoseconds after those. */
  readonly nanoseconds: number;
  toString(): string;
  toJSON(): string;
  equals(other: unknown): boolean;
  toTemporal(): TemporalLike;
}

/** An instant, with the offset and perhaps the zone in which it was given. */
export class DateTime implements TemporalValue {
  constructor(seconds: number | bigint, nanoseconds?: number, offsetSeconds?: number, zone?: string | null);
  /** Reads ISO 8601 text: `2015-07-21T21:40:32.142+01:00[Europe/London]`, with an offset, a zone, or both. */
  static parse(text: string): DateTime;
  /** The instant of a `Date`, in UTC. */
  static fromJSDate(date: Date): DateTime;
  /** Seconds since 1970-01-01 00:00 UTC, rounded down. */
  readonly seconds: bigint;
  /** Nanoseconds after those. */
  readonly nanoseconds: number;
  /** Seconds by which clocks there were ahead of UTC. */
  readonly offsetSeconds: number;
  /** The zone's name, as it was given. */
  readonly zone: string | null;
  /** The same instant as a `Date`. Throws a `RangeError` where a `Date` cannot say it: below a millisecond, or too far away. */
  toJSDate(): Date;
  toString(): string;
  toJSON(): string;
  equals(other: unknown): boolean;
  toTemporal(): TemporalLike;
}

/** Months, days and seconds, none of which is turned into another. */
export class Duration implements TemporalValue {
  constructor(parts?: {
    months?: number | bigint;
    days?: number | bigint;
    /** Rounded down: minus half a second is -1 and 500,000,000 nanoseconds. */
    seconds?: number | bigint;
    nanoseconds?: number;
  });
  /** Reads ISO 8601 text: `P1Y2M3DT4H5M6.7S`. */
  static parse(text: string): Duration;
  readonly months: bigint;
  readonly days: bigint;
  readonly seconds: bigint;
  readonly nanoseconds: number;
  toString(): string;
  toJSON(): string;
  equals(other: unknown): boolean;
  toTemporal(): TemporalLike;
}

// ---------------------------------------------------------------------------------------------------------------- graph

/** Either form of an integer. */
type Integer = number | bigint;

/** A node's id, as an argument. */
export type NodeId = Integer;

/**
 * How integers (ids, counts, log indexes, integer properties) come out: all as `number`, where one beyond 2^53 - 1 is a
 * `RangeError` with code `INTEGER_UNSAFE`, or all as `bigint`. By handle or by call, never by value.
 */
export interface IntegersOption<W extends IntegersWord> {
  /** Default: as the database was opened, there `'number'`. */
  integers?: W;
}

/** The types in which integers come out, by name. */
type IntegersWord = 'number' | 'bigint';
type WordOf<I extends Integer> = I extends bigint ? 'bigint' : 'number';
type Int<W extends IntegersWord> = W extends 'bigint' ? bigint : number;

/** Which properties a read returns. */
export interface SelectOption {
  /** The names of the properties that are asked for; by default all. `[]`: none. */
  select?: readonly string[];
}

/** A node: a copy, which is not changed by what happens to the graph. */
export interface Node<I extends Integer = number> {
  id: I;
  /** Its unique key, if it has one. */
  key: string | null;
  /** The names of its labels, by their ids. */
  labels: string[];
  /** Its properties, or those that were asked for. */
  props: Props;
}

/** What names a directed edge. */
export interface EdgeKey<I extends Integer = number> {
  src: I;
  type: string;
  dst: I;
  /** Which of parallel edges it is: 0 is the one that adding an edge by its ends and its type makes. */
  rank: I;
}

/** An edge: a copy. */
export interface Edge<I extends Integer = number> extends EdgeKey<I> {
  /** Its properties, or those that were asked for. */
  props: Props;
}

/** What names an edge, as an argument. */
export interface EdgeKeyInput {
  readonly src: NodeId;
  readonly type: string;
  readonly dst: NodeId;
  /** Default 0. */
  readonly rank?: Integer;
}

/** An edge to be added. */
export interface NewEdge extends EdgeKeyInput {
  readonly props?: PropsInput | null;
}

/** A node to be created. What is not said is not there, but for the id, which is then the next free one. */
export interface NewNode {
  readonly id?: NodeId | null;
  /** A unique key. */
  readonly key?: string | null;
  readonly labels?: readonly string[] | null;
  readonly props?: PropsInput | null;
}

/** Edges of every type. It is always said: no filter that is left out, and no name that is misspelt, means it. */
export const AllTypes: unique symbol;

/** Edges of one type, by its name, or of every type. A name that is not in use finds nothing. */
export type TypeFilter = string | typeof AllTypes;

/** Which end of its edges a node is. */
export type Direction = 'out' | 'in';

/** Some items of a list, and where it goes on. */
export interface Page<T, C = T> {
  items: T[];
  /** What to give as `after` for the next page; null if this is the last one. */
  next: C | null;
}

/** A name with its id. */
export interface NamedId {
  id: number;
  name: string;
}

/** An index, as a file has it defined. No call of this package defines one: labels, edge types and keys have theirs by themselves. */
export interface Index {
  id: number;
  /** Its name, which no other index has. */
  name: string;
  /** It is of nodes with this label. */
  label: string | null;
  /** It is of edges of this type. */
  edgeType: string | null;
  /** The property whose values it holds. */
  property: string;
  /** Whether no two elements may have the same value. */
  unique: boolean;
  /** `building`, `ready`, or `failed`: it was to be unique, and is not. */
  state: 'building' | 'ready' | 'failed';
}

/**
 * Rows of a scan. They come up to 1,024 at a time, and the state that is read is held until the last one, or until `return`: a
 * `break` out of a loop, an exception, `using`. One that is given up unfinished is let go of by the garbage collector.
 *
 * A scan of a transaction, or of a bulk load, may go on while that writes: what is added after the call that began the scan is no part of
 * it, what is deleted before its turn is left out, and a row is as it is when it is fetched. The first call that adds something notes the
 * ids of the rows that are left, some tens of bytes each.
 */
export interface Rows<T> extends IterableIterator<T>, Disposable {
  next(): IteratorResult<T, undefined>;
  return(value?: undefined): IteratorResult<T, undefined>;
  [Symbol.iterator](): Rows<T>;
  /** All rows that are left. */
  toArray(): T[];
}

/** Reads of one state. What is not there is null; a property that is not there is undefined, for null is a value. */
interface GraphReader<I extends Integer> {
  /** A node by its id. */
  node<W extends IntegersWord = WordOf<I>>(id: NodeId, options?: SelectOption & IntegersOption<W>): Node<Int<W>> | null;
  /** The node that has a key. */
  nodeWithKey<W extends IntegersWord = WordOf<I>>(key: string, options?: SelectOption & IntegersOption<W>): Node<Int<W>> | null;
  /** The id of the node that has a key. */
  nodeByKey<W extends IntegersWord = WordOf<I>>(key: string, options?: IntegersOption<W>): Int<W> | null;
  nodeExists(id: NodeId): boolean;
  /** A node's key, if it exists and has one. */
  nodeKey(id: NodeId): string | null;
  /** One property of a node. */
  nodeProp(id: NodeId, name: string, options?: IntegersOption<IntegersWord>): Value | undefined;
  /** A node's properties; null if it does not exist. */
  nodeProps(id: NodeId, options?: SelectOption & IntegersOption<IntegersWord>): Props | null;
  /** The names of a node's labels. */
  nodeLabels(id: NodeId): string[];
  nodeHasLabel(id: NodeId, label: string): boolean;
  /** A node's vector under a name, exactly as it was stored. It is no property. */
  nodeVector(id: NodeId, name: string): Float32Array | null;
  /** How many components the vectors under a name have. */
  vectorDimension(name: string): number | null;

  /** Exactly that edge. */
  edge<W extends IntegersWord = WordOf<I>>(edge: EdgeKeyInput, options?: SelectOption & IntegersOption<W>): Edge<Int<W>> | null;
  /** The edge between two nodes; of several parallel ones, that of the lowest rank. */
  edgeBetween<W extends IntegersWord = WordOf<I>>(
    src: NodeId,
    type: string,
    dst: NodeId,
    options?: SelectOption & IntegersOption<W>,
  ): Edge<Int<W>> | null;
  /** Every edge of that type between two nodes, by rank. */
  edgesBetween<W extends IntegersWord = WordOf<I>>(src: NodeId, type: string, dst: NodeId, options?: IntegersOption<W>): EdgeKey<Int<W>>[];
  edgeExists(src: NodeId, type: string, dst: NodeId): boolean;
  /** Whether exactly that edge exists. */
  edgeExistsByKey(edge: EdgeKeyInput): boolean;
  /** One property of the edge between two nodes; of several parallel ones, of that of the lowest rank. */
  edgeProp(src: NodeId, type: string, dst: NodeId, name: string, options?: IntegersOption<IntegersWord>): Value | undefined;
  edgePropByKey(edge: EdgeKeyInput, name: string, options?: IntegersOption<IntegersWord>): Value | undefined;
  edgeProps(src: NodeId, type: string, dst: NodeId, options?: SelectOption & IntegersOption<IntegersWord>): Props | null;
  edgePropsByKey(edge: EdgeKeyInput, options?: SelectOption & IntegersOption<IntegersWord>): Props | null;

  /** The nodes that a node's edges lead to, in no particular order: each once for every edge that leads there. */
  outNeighbors<W extends IntegersWord = WordOf<I>>(id: NodeId, types: TypeFilter, options?: SelectOption & IntegersOption<W>): Rows<Node<Int<W>>>;
  /** The nodes that edges to a node come from. */
  inNeighbors<W extends IntegersWord = WordOf<I>>(id: NodeId, types: TypeFilter, options?: SelectOption & IntegersOption<W>): Rows<Node<Int<W>>>;
  /** The edges that lead from a node, in no particular order. */
  outEdges<W extends IntegersWord = WordOf<I>>(id: NodeId, types: TypeFilter, options?: SelectOption & IntegersOption<W>): Rows<Edge<Int<W>>>;
  /** The edges that lead to a node, in no particular order. */
  inEdges<W extends IntegersWord = WordOf<I>>(id: NodeId, types: TypeFilter, options?: SelectOption & IntegersOption<W>): Rows<Edge<Int<W>>>;
  /** The edges at a node, ascending by type, other end and rank. */
  sortedEdges<W extends IntegersWord = WordOf<I>>(
    id: NodeId,
    direction: Direction,
    types: TypeFilter,
    options?: SelectOption & IntegersOption<W>,
  ): Rows<Edge<Int<W>>>;
  /** The ids of a node's neighbours, in no particular order: the fastest way to traverse. */
  neighborIds<W extends IntegersWord = WordOf<I>>(id: NodeId, direction: Direction, types: TypeFilter, options?: IntegersOption<W>): Int<W>[];
  /** Calls `f` with each of those. */
  forEachNeighbor<W extends IntegersWord = WordOf<I>>(
    id: NodeId,
    direction: Direction,
    types: TypeFilter,
    f: (neighbor: Int<W>) => void,
    options?: IntegersOption<W>,
  ): void;
  outDegree<W extends IntegersWord = WordOf<I>>(id: NodeId, types: TypeFilter, options?: IntegersOption<W>): Int<W>;
  inDegree<W extends IntegersWord = WordOf<I>>(id: NodeId, types: TypeFilter, options?: IntegersOption<W>): Int<W>;
  degree<W extends IntegersWord = WordOf<I>>(id: NodeId, direction: Direction, types: TypeFilter, options?: IntegersOption<W>): Int<W>;

  /** Every node, ascending. */
  nodes<W extends IntegersWord = WordOf<I>>(options?: SelectOption & IntegersOption<W>): Rows<Node<Int<W>>>;
  /** Every node with a label, ascending: from the label's index. */
  nodesWithLabel<W extends IntegersWord = WordOf<I>>(label: string, options?: SelectOption & IntegersOption<W>): Rows<Node<Int<W>>>;
  /** Every edge, ascending by source, type, destination and rank. */
  edges<W extends IntegersWord = WordOf<I>>(options?: SelectOption & IntegersOption<W>): Rows<Edge<Int<W>>>;
  /** Up to `limit` nodes after `after` (null: from the first on), ascending. The cursor holds across commits. */
  nodesPage<W extends IntegersWord = WordOf<I>>(after: NodeId | null, limit: number, options?: IntegersOption<W>): Page<Int<W>>;
  labelPage<W extends IntegersWord = WordOf<I>>(label: string, after: NodeId | null, limit: number, options?: IntegersOption<W>): Page<Int<W>>;
  edgesPage<W extends IntegersWord = WordOf<I>>(after: EdgeKeyInput | null, limit: number, options?: IntegersOption<W>): Page<EdgeKey<Int<W>>>;
  neighborsPage<W extends IntegersWord = WordOf<I>>(
    id: NodeId,
    direction: Direction,
    types: TypeFilter,
    after: EdgeKeyInput | null,
    limit: number,
    options?: IntegersOption<W>,
  ): Page<EdgeKey<Int<W>>>;

  /** How many nodes there are. Constant time, as all counts. */
  countNodes<W extends IntegersWord = WordOf<I>>(options?: IntegersOption<W>): Int<W>;
  countEdges<W extends IntegersWord = WordOf<I>>(options?: IntegersOption<W>): Int<W>;
  countVectors<W extends IntegersWord = WordOf<I>>(options?: IntegersOption<W>): Int<W>;
  countNodesByLabel<W extends IntegersWord = WordOf<I>>(label: string, options?: IntegersOption<W>): Int<W>;
  countEdgesByType<W extends IntegersWord = WordOf<I>>(type: string, options?: IntegersOption<W>): Int<W>;

  /** Every label in use, by id. */
  labels(): NamedId[];
  /** Every edge type in use, by id. */
  etypes(): NamedId[];
  /** Every property key in use, by id. */
  propkeys(): NamedId[];
  labelId(name: string): number | null;
  etypeId(name: string): number | null;
  propkeyId(name: string): number | null;
  /** The indexes that are defined, in the order in which they came. */
  indexes(): Index[];
}

/** Writes. Names that are not in use yet (labels, types, properties) are defined by using them. */
interface GraphWriter<I extends Integer> {
  /** Creates a node, with a key, or as it is described. Returns its id. Throws `DUPLICATE_KEY`, `NODE_EXISTS`. */
  createNode<W extends IntegersWord = WordOf<I>>(node?: string | NewNode | null, options?: IntegersOption<W>): Int<W>;
  /** Creates many nodes: all of them, or none. A string is a key. */
  createNodesBatch<W extends IntegersWord = WordOf<I>>(nodes: readonly (string | NewNode)[], options?: IntegersOption<W>): Int<W>[];
  /** Deletes a node and, with it, its edges, properties, labels and vectors. */
  deleteNode(id: NodeId): void;
  /** Returns whether the node did not have it. */
  addNodeLabel(id: NodeId, label: string): boolean;
  /** Returns whether the node had it. */
  removeNodeLabel(id: NodeId, label: string): boolean;
  setNodeProp(id: NodeId, name: string, value: ValueInput): void;
  /** Returns whether it was there. */
  deleteNodeProp(id: NodeId, name: string): boolean;
  /** Stores a vector. The first one under a name fixes the length of all others there. Throws `VECTOR_DIMENSION`. */
  setNodeVector(id: NodeId, name: string, vector: Float32Array | readonly number[]): void;
  deleteNodeVector(id: NodeId, name: string): boolean;
  /** Adds an edge between nodes that exist. Throws `EDGE_EXISTS` where one of that type leads there, whatever its rank. */
  addEdge(src: NodeId, type: string, dst: NodeId, props?: PropsInput | null): void;
  /** Adds an edge, whether or not there are others, and returns what names it. */
  addParallelEdge(src: NodeId, type: string, dst: NodeId, props?: PropsInput | null): EdgeKey<I>;
  /** Adds exactly that edge, its rank included. */
  addEdgeByKey(edge: EdgeKeyInput, props?: PropsInput | null): void;
  /** Adds many edges: all of them, or none. */
  addEdgesBatch(edges: readonly NewEdge[]): void;
  /** Removes an edge and its properties; of several parallel ones, that of the lowest rank. Throws `EDGE_NOT_FOUND`. */
  deleteEdge(src: NodeId, type: string, dst: NodeId): void;
  deleteEdgeByKey(edge: EdgeKeyInput): void;
  /** Removes every edge of a type between two nodes. Returns how many there were. */
  deleteEdgesBetween(src: NodeId, type: string, dst: NodeId): I;
  setEdgeProp(src: NodeId, type: string, dst: NodeId, name: string, value: ValueInput): void;
  setEdgePropByKey(edge: EdgeKeyInput, name: string, value: ValueInput): void;
  deleteEdgeProp(src: NodeId, type: string, dst: NodeId, name: string): boolean;
  deleteEdgePropByKey(edge: EdgeKeyInput, name: string): boolean;
  /** Sets properties of the node with a key (null removes one), creating the node if there is none. */
  upsertNode<W extends IntegersWord = WordOf<I>>(key: string, props?: PropsInput | null, options?: IntegersOption<W>): { id: Int<W>; created: boolean };
  /** Sets properties of a node (null removes one), creating it without a key if there is none. Returns whether it was created. */
  upsertNodeById(id: NodeId, props?: PropsInput | null): boolean;
  /** Sets properties of an edge (null removes one), adding it if none leads there. Returns whether it was added. */
  upsertEdge(src: NodeId, type: string, dst: NodeId, props?: PropsInput | null): boolean;
}

// --------------------------------------------------------------------------------------------- transactions and snapshots

/** What statistics call something that holds a state. */
export interface OriginOption {
  /** Default `node`. */
  origin?: string;
}

/** What a transaction's function returns: no promise, whose work would end after the commit. */
type NotThenable<T> = T extends PromiseLike<unknown> ? never : T;

/** What ends an asynchronous call. */
export interface SignalOption {
  /**
   * Aborted, it ends the work, and the promise is rejected once that has ended: with a {@link KiteDbError} whose `name` is
   * `AbortError` and whose `code` is `CANCELLED`. What counts already is not undone: then the promise is fulfilled.
   */
  signal?: AbortSignal;
}

/** How far a long operation is. Phases follow each other; each begins at 0. */
export interface Progress {
  phase: 'checkpoint' | 'merge' | 'verify' | 'check' | 'compare' | 'copy' | 'catch_up' | 'load' | 'export';
  /** How much of that is done: bytes, elements or commits, by the phase. */
  done: number;
  /** How much there is to be done, as far as that is known. */
  total: number | null;
}

/** How a long operation is watched. */
export interface WatchOptions extends SignalOption {
  /** Is told how far it is, now and then. Its last word may be missed: then the promise is settled. */
  onProgress?: (progress: Progress) => void;
}

/**
 * Changes that become visible and durable together, at {@link Transaction.commit}. It sees its own writes, and the state as of
 * its beginning. Disposed of (`using`) or given up without a commit, it is rolled back. A write that fails changes nothing, and
 * the transaction can go on.
 */
export interface Transaction<I extends Integer = number> extends GraphReader<I>, GraphWriter<I>, Disposable, AsyncDisposable {
  /** Whether it was held for longer than `maxPinMs` allows: it does not commit. */
  readonly isExpired: boolean;
  /** How many bytes of the log its commit takes so far: 64 MiB is all that a transaction may. */
  readonly logBytes: number;
  /**
   * Makes the changes visible and, by the sync mode, durable. Returns the token that names them. Throws `CONFLICT` if another
   * transaction that committed first wrote what this one writes; `OUTCOME_UNKNOWN`, `STALE_PRIMARY`, `FINISHED`.
   */
  commit(): string;
  /** The same, with the token as `epoch:log_index`; null unless the database is a primary. */
  commitWithToken(): string | null;
  /**
   * As `commit`, without blocking. However many are under way, no thread waits for them, and they share syncs; one of more than 64 KiB
   * is put into the log by a thread of Node's pool.
   */
  commitAsync(options?: SignalOption): Promise<string>;
  /** Puts the changes into the log, and returns what ends when they are durable and visible. */
  submit(): Pending;
  /** The same, without blocking. A signal ends it only before it is in the log: then it is rolled back. */
  submitAsync(options?: SignalOption): Promise<Pending>;
  /** Gives the changes up. Nothing happens the second time, nor after a commit. */
  rollback(): void;
}
export const Transaction: abstract new (...args: never) => Transaction<Integer>;

/** A commit that is in the log and has perhaps not ended. */
export interface Pending {
  /** What names it. */
  readonly token: string;
  /** Waits until it has ended, on this thread. Returns the token, or throws what became of it. */
  wait(): string;
  /** A promise of the same. */
  waitAsync(): Promise<string>;
}
export const Pending: abstract new (...args: never) => Pending;

/** One state, which never changes, blocks no writer and is blocked by none. It holds what it shows until it is released. */
export interface Snapshot<I extends Integer = number> extends GraphReader<I>, Disposable, AsyncDisposable {
  /** The last commit that it shows. */
  readonly token: string;
  /** The state digest: equal for two databases exactly if they hold the same graph. */
  readonly digest: string;
  /** When the last commit that it shows was made, ms since 1970; 0 before the first. */
  readonly commitMs: number;
  /** Whether it was held for longer than `maxPinMs` allows. */
  readonly isExpired: boolean;
  /** Lets go of what it holds. Nothing happens the second time. */
  release(): void;
}
export const Snapshot: abstract new (...args: never) => Snapshot<Integer>;

/**
 * A transaction that commits itself in batches: write to it, and call `step` after each element. Each batch is atomic, the load
 * as a whole is not.
 */
export interface BulkLoader<I extends Integer = number> extends GraphReader<I>, GraphWriter<I>, Disposable, AsyncDisposable {
  /** The last batch that was committed. */
  readonly lastToken: string | null;
  /** Counts an element. Returns the token of the batch if that is full, and committed now. */
  step(): string | null;
  stepAsync(options?: SignalOption): Promise<string | null>;
  /** Commits what is in the batch, and begins the next one. */
  flush(): string;
  flushAsync(options?: SignalOption): Promise<string>;
  /** Commits the last batch. */
  finish(): string;
  finishAsync(options?: SignalOption): Promise<string>;
}
export const BulkLoader: abstract new (...args: never) => BulkLoader<Integer>;

// ---------------------------------------------------------------------------------------------------------------- options

/** When a commit is on the disk. In every mode it survives the death of the process. */
export type SyncMode =
  /** Before `commit` returns: it survives the death of the machine. */
  | 'full'
  /** Within `syncIntervalMs`, by a background sync. */
  | 'normal'
  /** At the next checkpoint, and at close. */
  | 'off';
/** The sync modes by name. */
export const SyncMode: { readonly Full: 'full'; readonly Normal: 'normal'; readonly Off: 'off' };

/** What part a database plays in replication. */
export type ReplicationRole = 'disabled' | 'primary' | 'replica';

/** How a database is opened. What is undefined or null is not said. */
export interface OpenOptions {
  /** Reads only: needs no permission to write, works beside a process that writes, and shows the state as of the open. */
  readOnly?: boolean | null;
  /** Makes the file if there is none (default true). */
  createIfMissing?: boolean | null;
  /** When a commit is on the disk (default `full`). */
  syncMode?: SyncMode | Capitalize<SyncMode> | null;
  /** In sync mode `normal`, the longest time in ms that a commit waits for its background sync (default 1000). */
  syncIntervalMs?: number | null;
  /** Bytes of log after which a checkpoint begins in the background (default 64 MiB). */
  checkpointLogBytes?: number | null;
  /** Whether checkpoints begin by themselves (default true). Closing makes one in any case. */
  autoCheckpoint?: boolean | null;
  /** Whether runs are merged by themselves (default true). */
  autoCompaction?: boolean | null;
  /** The most runs that a read may have to look into (default 7, 2 to 32). */
  maxRuns?: number | null;
  /** Whether threads do the background work (default true). */
  background?: boolean | null;
  /** For how many ms a snapshot or a transaction may be held (default 0: for as long as it likes). */
  maxPinMs?: number | null;
  /** Bytes beyond which a log segment is left for a new one (default 64 MiB). */
  segmentMaxBytes?: number | null;
  /** Opens a file for writing though it has more than one hard link (default false). */
  acceptHardLinks?: boolean | null;
  /** Opens for writing what was copied in use, giving up what it lacks (default false). */
  acceptCopy?: boolean | null;
  /** Fails to open where less than was committed would be shown (default false). */
  requireComplete?: boolean | null;
  /** For how many ms a commit waits that a promotion of another node met (default 5000). */
  fenceWaitMs?: number | null;
  /** Its part in replication (default: the one that its file has). */
  replicationRole?: ReplicationRole | Capitalize<ReplicationRole> | null;
  /** The folder of its replication log (default: where it was last; for a new one `<file>.replication`). */
  replicationSidecarPath?: string | null;
  /** The database file that a replica follows (default: the one that it followed last). */
  replicationSourceDbPath?: string | null;
  /** Where to look for the source's replication log. */
  replicationSourceSidecarPath?: string | null;
  /** Lets a bootstrap or a reseed replace a graph that is no replica's (default false). */
  replicationOverwrite?: boolean | null;
  /** Bytes beyond which a segment of the replication log is left for a new one. */
  replicationSegmentMaxBytes?: number | null;
  /** How many of the newest frames the log keeps (default 1024). */
  replicationRetentionMinEntries?: number | null;
  /** For how long the log keeps a frame, in ms. */
  replicationRetentionMinMs?: number | null;
  /** The most bytes that the log may take for the sake of replicas and windows. */
  replicationRetentionMaxBytes?: number | null;
  /** A replica whose next frame is older than this many ms no longer holds the log. */
  replicationRetentionMaxLagMs?: number | null;
  /** Runs retention by itself every so many ms. */
  replicationRetentionIntervalMs?: number | null;
  /** What a replica is called, beside its id: 1 to 64 bytes. */
  replicationName?: string | null;
  /** Whether a replica follows without being registered with its source (default false). */
  replicationUnregistered?: boolean | null;
}

/** Options of this package, beside those of the engine. */
export interface HandleOptions<I extends Integer> extends IntegersOption<WordOf<I>> {
  /**
   * Properties that are floats, whatever number they are given: so that `price: 10` is 10.0 like `price: 9.5`. So are the numbers in
   * lists and maps that such a property is given, and a bigint, if a float says it exactly.
   */
  floatProperties?: readonly string[];
}

// ---------------------------------------------------------------------------------------------------------------- database

/**
 * An open database: reads of its newest state, writes that are a transaction each, and transactions. It never has a hidden current
 * transaction.
 */
export class Database<I extends Integer = number> {
  private constructor();
  /**
   * Opens the database at a path, making it if it is missing and the options allow that. Throws `LOCKED` (with `pid`) while
   * another process, or another copy of this package in this one, has it open for writing.
   */
  static open(path: string | URL, options?: (OpenOptions & HandleOptions<number>) | null): Database<number>;
  static open(path: string | URL, options: OpenOptions & HandleOptions<bigint> & { integers: 'bigint' }): Database<bigint>;
  static openAsync(path: string | URL, options?: (OpenOptions & HandleOptions<number>) | null, how?: SignalOption): Promise<Database<number>>;
  static openAsync(
    path: string | URL,
    options: OpenOptions & HandleOptions<bigint> & { integers: 'bigint' },
    how?: SignalOption,
  ): Promise<Database<bigint>>;
  /** A new database in memory: the same engine and no file. */
  static inMemory(options?: (OpenOptions & HandleOptions<number>) | null): Database<number>;
  static inMemory(options: OpenOptions & HandleOptions<bigint> & { integers: 'bigint' }): Database<bigint>;

  /** Whether this handle was not closed. */
  readonly isOpen: boolean;
  /** Where the file is. */
  readonly path: string;
  readonly readOnly: boolean;
  /** Its part in replication now: a promoted replica is a primary. */
  readonly replicationRole: ReplicationRole;
  readonly syncMode: SyncMode;
  /** Why less than was committed is shown; null: all is there, as far as an open can tell. */
  readonly damage: string | null;
  /**
   * Whether what was published since is nothing: a database opened with `readOnly` shows the state of that moment, or of its last
   * `refresh()`. `true` for one that writes. It costs some reads of the header, and holds nobody up.
   */
  isCurrent(): boolean;
  /**
   * Brings a database opened with `readOnly` up to what is published now: reads that begin later show it, snapshots and transactions go on
   * as they began. Returns whether it shows everything then. `false`: what comes next is not in the log that it has read, as after each
   * checkpoint of the process that writes; open another one. It costs what the commits in between do, and holds nobody up. `true` for
   * one that writes, of which nothing changes. What it says of its part in replication stays as it was.
   */
  refresh(): boolean;
  refreshAsync(options?: SignalOption): Promise<boolean>;
  /** Whether this is a primary whose files were copied or restored: it does not write before its operator says what it is. */
  readonly isCopied: boolean;
  /** Why a look at its replication log tells less than it should. */
  readonly replicationLogFault: string | null;
  /** Whether that is a lack of permission: nothing is known to be wrong then. */
  readonly replicationLogIsDenied: boolean;
  /** Throws where a commit of this handle would be refused now, whatever it changes: `STALE_PRIMARY`, `READ_ONLY`, … */
  requireCommits(): void;
  /** What names the last published commit; null before the first. */
  lastCommitToken(): string | null;
  /** The state digest of the newest state. */
  digest(): string;

  /** Closes this handle; its transactions do not commit any more. The last one of a file makes a checkpoint. Idempotent. */
  close(): void;
  closeAsync(options?: SignalOption): Promise<void>;
  /** As `close`; if this open made the database and nothing was committed since, nothing of it is left. */
  abandon(): void;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;

  /** Begins a transaction, which is an object of its own. */
  begin(options?: OriginOption): Transaction<I>;
  /** Begins one that sees a commit which has perhaps not ended. */
  beginAfter(pending: Pending, options?: OriginOption): Transaction<I>;
  /**
   * Calls `f` with a transaction and commits that; if `f` throws, nothing has happened. Returns what `f` returned. A function that
   * returns a promise is refused, and nothing is committed: see {@link Database.transactionAsync}.
   */
  transaction<T>(f: (tx: Transaction<I>) => NotThenable<T>, options?: OriginOption): T;
  /** As `transaction`, running `f` again on a new snapshot where another transaction committed first what this one writes. */
  transactionWithRetry<T>(
    attempts: number,
    f: (tx: Transaction<I>) => NotThenable<T>,
    options?: OriginOption,
  ): T;
  /** Awaits `f`, and commits without blocking. */
  transactionAsync<T>(
    f: (tx: Transaction<I>) => T | PromiseLike<T>,
    options?: OriginOption &
      SignalOption & {
        /** How often it is tried in all where another transaction is in its way (default 1). */
        attempts?: number;
      },
  ): Promise<T>;
  /** One state, to read from for as long as it is held. */
  snapshot(options?: OriginOption): Snapshot<I>;
  /** Begins a bulk load: transactions of so many elements each. */
  beginBulk(elementsPerCommit: number): BulkLoader<I>;

  /** Writes what is only in the log to the file. */
  checkpoint(): void;
  checkpointAsync(options?: WatchOptions): Promise<void>;
  /** Merges all runs of the file into one, after a checkpoint. */
  compact(): void;
  compactAsync(options?: WatchOptions): Promise<void>;
  /** One merge at most. Returns whether there was one to do. */
  compactStep(): boolean;
  compactStepAsync(options?: SignalOption): Promise<boolean>;
  /** Makes every commit so far durable, whatever the sync mode. */
  sync(): void;
  syncAsync(options?: SignalOption): Promise<void>;
  /** Reads everything and verifies every checksum and every invariant. */
  check(): CheckReport<I>;
  checkAsync(options?: WatchOptions): Promise<CheckReport<I>>;
  /** Counts and sizes. */
  stats(): Stats<I>;
  statsAsync(options?: SignalOption): Promise<Stats<I>>;

  // ------------------------------------------------------------------------------------------------------- primaries
  /** What the primary knows of itself and its replicas; null if this is none. */
  primaryReplicationStatus(): PrimaryReplicationStatus<I> | null;
  primaryReplicationStatusAsync(options?: SignalOption): Promise<PrimaryReplicationStatus<I> | null>;
  /** Takes in how far a replica is that cannot report itself. Throws `EPOCH_MISMATCH`, `STALE_PRIMARY`, `NOT_PRIMARY`. */
  primaryReportReplicaProgress(replicaId: string, epoch: Integer, appliedLogIndex: Integer): void;
  /** Forgets a replica, by its id, name or path. Returns whether it was known. */
  primaryRemoveReplica(replica: string): boolean;
  primaryRemoveReplicaAsync(replica: string, options?: SignalOption): Promise<boolean>;
  /** Lets go of the segments of the log that nobody asks for. */
  primaryRunRetention(): RetentionOutcome<I>;
  primaryRunRetentionAsync(options?: SignalOption): Promise<RetentionOutcome<I>>;
  /** Begins the next epoch: every other handle to this log is fenced. Returns it. */
  primaryPromoteToNextEpoch(): I;
  primaryPromoteToNextEpochAsync(options?: SignalOption): Promise<I>;
  /** The same by an operator's word, without what others have and this node lacks. */
  primaryPromoteByForce(): I;
  primaryPromoteByForceAsync(options?: SignalOption): Promise<I>;
  /** The nodes that lead in place of this primary, or hold what it lacks. Best first. */
  primaryRivals(): Rival<I>[];
  primaryRivalsAsync(options?: SignalOption): Promise<Rival<I>[]>;
  /** The source that this primary followed before it took over. */
  tookOverFrom(): string | null;
  /**
   * An image of this database at a new checkpoint, which stays readable until it is released. Its bytes, written to a file, are a
   * database: a backup, while others write.
   */
  primaryExportSnapshot(): ExportedSnapshot<I>;
  primaryExportSnapshotAsync(options?: SignalOption): Promise<ExportedSnapshot<I>>;
  /** The JSON of a snapshot: see {@link collectReplicationSnapshotTransportJson}. */
  exportReplicationSnapshotTransportJson(includeData?: boolean): string;
  exportReplicationSnapshotTransportJsonAsync(includeData?: boolean, options?: SignalOption): Promise<string>;
  /** A page of the log as JSON: see {@link collectReplicationLogTransportJson}. */
  exportReplicationLogTransportJson(cursor?: string | null, maxFrames?: number, maxBytes?: number, includePayload?: boolean): string;
  exportReplicationLogTransportJsonAsync(
    cursor?: string | null,
    maxFrames?: number,
    maxBytes?: number,
    includePayload?: boolean,
    options?: SignalOption,
  ): Promise<string>;

  // -------------------------------------------------------------------------------------------------------- replicas
  /** What the replica knows of itself; null if this is none. */
  replicaReplicationStatus(): ReplicaReplicationStatus<I> | null;
  replicaReplicationStatusAsync(options?: SignalOption): Promise<ReplicaReplicationStatus<I> | null>;
  /** Replaces this replica's graph by a snapshot of its source's, and catches up. An interrupted copy resumes. */
  replicaBootstrapFromSnapshot(): void;
  replicaBootstrapFromSnapshotAsync(options?: WatchOptions): Promise<void>;
  /** The same, for a replica that needs a reseed. */
  replicaReseedFromSnapshot(): void;
  replicaReseedFromSnapshotAsync(options?: WatchOptions): Promise<void>;
  /** The same, and says what that did to others. */
  replicaCopySource(): Copied<I>;
  replicaCopySourceAsync(options?: WatchOptions): Promise<Copied<I>>;
  /** Pulls and applies up to so many frames (0 counts as 1). Returns how many; 0: there is nothing new. */
  replicaCatchUpOnce(maxFrames: number): I;
  replicaCatchUpOnceAsync(maxFrames: number, options?: SignalOption): Promise<I>;
  /** Makes this replica the primary of the next epoch. `force`: also where its source cannot be fenced or read to its end. */
  replicaPromote(force?: boolean): Promotion<I>;
  replicaPromoteAsync(force?: boolean, options?: SignalOption): Promise<Promotion<I>>;
  /** The nodes that lead, or hold commits that this replica lacks. */
  replicaRivals(): Rival<I>[];
  replicaRivalsAsync(options?: SignalOption): Promise<Rival<I>[]>;
  /** Follows another source from now on. */
  replicaRepoint(sourceDbPath: string | URL, sourceSidecarPath?: string | null): void;
  replicaRepointAsync(sourceDbPath: string | URL, sourceSidecarPath?: string | null, options?: SignalOption): Promise<void>;
  /** Waits until more than `seen` tries to pull have ended, or its state has changed. Returns how often that was by then. */
  replicaWaitForNews(seen: Integer, timeoutMs: number): I;
  replicaWaitForNewsAsync(seen: Integer, timeoutMs: number, options?: SignalOption): Promise<I>;
  /** Follows the source in the background, until `stopFollower`, a promotion, or close. */
  startFollower(options?: FollowerOptions | null): void;
  startFollowerAsync(options?: FollowerOptions | null, how?: SignalOption): Promise<void>;
  /** Ends the background follower, if there is one, after what it is doing. */
  stopFollower(): void;
  stopFollowerAsync(options?: SignalOption): Promise<void>;

  // ---------------------------------------------------------------------------------------------------------- tokens
  /**
   * Waits until this node shows the commit that a token names, for at most `timeoutMs`. False: it does not. All that wait with a promise
   * share one thread; of more than 10,000 at once in a process the others are an error of kind `retry_later`.
   */
  waitForToken(token: string, timeoutMs: number): boolean;
  waitForTokenAsync(token: string, timeoutMs: number, options?: SignalOption): Promise<boolean>;
  /** The same, saying why it was not reached. */
  waitForTokenOutcome(token: string, timeoutMs: number): TokenWait;
  waitForTokenOutcomeAsync(token: string, timeoutMs: number, options?: SignalOption): Promise<TokenWait>;

  // ------------------------------------------------------------------- what an operator says of files that nobody has open
  /** Makes the file at a path a database of its own, stand-alone. */
  static detach(path: string | URL, options?: OpenOptions | null): Detached;
  static detachAsync(path: string | URL, options?: OpenOptions | null, how?: SignalOption): Promise<Detached>;
  /** Lets a primary lead whose files were copied, moved or restored, in place of the one that it was copied from. */
  static confirmMoved(path: string | URL, options?: OpenOptions | null): ConfirmedMove;
  static confirmMovedAsync(path: string | URL, options?: OpenOptions | null, how?: SignalOption): Promise<ConfirmedMove>;
  /** Mends the log of a database. */
  static repair(path: string | URL, options?: RepairOptions | null): Repair;
  static repairAsync(path: string | URL, options?: RepairOptions | null, how?: WatchOptions): Promise<Repair>;
  /** Forgets a replica of the database at a path, whether or not a process has it open. Returns its id. */
  static removeReplicaAt(path: string | URL, replica: string, options?: OpenOptions | null): string | null;
  static removeReplicaAtAsync(
    path: string | URL,
    replica: string,
    options?: OpenOptions | null,
    how?: SignalOption,
  ): Promise<string | null>;
  /** Takes the operator's word that the replicas which are registered there are all that there are. */
  static confirmReplicasAt(path: string | URL, options?: OpenOptions | null): void;
  static confirmReplicasAtAsync(path: string | URL, options?: OpenOptions | null, how?: SignalOption): Promise<void>;
  /** Lets go of the segments of the log of the database at a path that nobody asks for. */
  static runRetentionAt(path: string | URL, windows?: RetentionWindows | null, options?: OpenOptions | null): RetentionOutcome;
  static runRetentionAtAsync(
    path: string | URL,
    windows?: RetentionWindows | null,
    options?: OpenOptions | null,
    how?: SignalOption,
  ): Promise<RetentionOutcome>;
}
export interface Database<I extends Integer = number> extends GraphReader<I>, GraphWriter<I> {}

/** The same as {@link Database.open}. */
export const open: typeof Database.open;
/** The same as {@link Database.openAsync}. */
export const openAsync: typeof Database.openAsync;
/** The same as {@link Database.open}, as 0.2 called it. */
export const openDatabase: typeof Database.open;

// ---------------------------------------------------------------------------------------------------------------- reports

/** What a check found. */
export interface CheckReport<I extends Integer = number> {
  /** Whether nothing is wrong. */
  clean: boolean;
  /** Ranges of the file, or parts of the log, that do not verify. */
  damage: string[];
  /** Invariants that do not hold; the first 100. */
  errors: string[];
  errorCount: I;
  nodes: I;
  edges: I;
  vectors: I;
  /** The digest, recomputed from what was read. */
  digest: string;
  /** The log index that was checked. */
  logIndex: I;
}

/** How many there are of something. */
export interface NamedCount<I extends Integer = number> {
  name: string;
  count: I;
}

/** What holds a state. */
export interface PinInfo<I extends Integer = number> {
  kind: 'view' | 'transaction' | 'cursor';
  /** The name that it was given. */
  origin: string;
  /** For how many ms it has been held. */
  ageMs: I;
  /** The last commit that it shows. */
  logIndex: I;
  /** Whether that is for longer than `maxPinMs` allows. */
  expired: boolean;
}

/** Counts and sizes of a database; bytes unless a name says otherwise. */
export interface Stats<I extends Integer = number> {
  nodes: I;
  edges: I;
  vectors: I;
  labels: NamedCount<I>[];
  edgeTypes: NamedCount<I>[];
  propertyKeys: string[];
  /** The last published commit. */
  token: string;
  digest: string;
  /** The last log index that is in the file's runs. */
  checkpointIndex: I;
  generation: I;
  /** The sizes of the runs, oldest first. */
  runs: I[];
  fileBytes: I;
  freeBytes: I;
  logBytes: I;
  deltaBytes: I;
  bytesLogged: I;
  bytesCheckpointed: I;
  bytesCompacted: I;
  checkpoints: I;
  compactions: I;
  appendFailures: I;
  /** What is held for longest, the oldest first; at most 16. */
  pins: PinInfo<I>[];
  oldestPinMs: I | null;
  pinnedDeltaBytes: I;
  pinnedRunBytes: I;
  pinnedElsewhere: boolean;
  backgroundError: string | null;
  damage: string | null;
}

/** What came of waiting for a token. */
export type TokenWait =
  /** The commit is on this node's history, and readers here see it. */
  | 'reached'
  /** It is not here yet. */
  | 'timed_out'
  /** It is off this node's history: the write is gone. */
  | 'epoch_changed'
  /** This node will not reach it before it is reseeded. */
  | 'needs_reseed';

/** How the log serves a replica: kept for it, still there, or gone. */
export type HoldState = 'held' | 'at_risk' | 'lost';

/** What keeps the oldest segment of a log. */
export interface Hold<I extends Integer = number> {
  reason: 'window_entries' | 'window_time' | 'recovery' | 'newest_segment' | `replica:${string}`;
  fromLogIndex: I;
}

/** Where a replica was when it last reported. */
export interface ReplicaLag<I extends Integer = number> {
  replicaId: string;
  name: string | null;
  path: string | null;
  epoch: I;
  appliedLogIndex: I;
  durableLogIndex: I;
  lagFrames: I;
  lagBytes: I;
  lagMs: I;
  hold: HoldState;
  reservedLogIndex: I | null;
  /** ms since 1970. */
  reportedAtMs: I;
}

/** A fence that the promotion of another node moved. */
export interface FenceStatus<I extends Integer = number> {
  epoch: I;
  promoter: string;
  /** The last commit of the epoch before; null: the promotion is under way, or was cut short. */
  ended: I | null;
  assumed: boolean;
}

/** A node that leads, or holds what another one lacks. */
export interface Rival<I extends Integer = number> {
  db: string;
  /** The epoch that it leads; null: it does not. */
  leads: I | null;
  lastToken: string;
  knowsEpoch: I | null;
  byLog: string | null;
  /** What is so, in words. */
  message: string;
}

/** What a primary says of itself. Counters are since the open. */
export interface PrimaryReplicationStatus<I extends Integer = number> {
  role: 'primary';
  /** The epoch in which this handle commits. */
  epoch: I;
  /** The last published commit. */
  headLogIndex: I;
  /** The first frame that is still there; 0 if none was ever let go. */
  retainedFloor: I;
  /** Every replica that reported, by id. */
  replicaLags: ReplicaLag<I>[];
  sidecarPath: string;
  /** The last commit in the log, `epoch:log_index`. */
  lastToken: string | null;
  appendAttempts: I;
  appendFailures: I;
  appendSuccesses: I;
  digest: string;
  durableLogIndex: I;
  logBytes: I;
  segments: I;
  holds: Hold<I>[];
  logFault: string | null;
  registrationLimit: I;
  /** Whether another node took over, or began to: no commit is acknowledged here any more. */
  fenced: boolean;
  fence: FenceStatus<I> | null;
  begunBy: string | null;
  ledBy: Rival<I> | null;
  copied: string | null;
  processId: I | null;
  panicked: string | null;
  /** Why it does not lead, and what to do. */
  fault: string | null;
  /** Which replicas cannot go on from this log, and what to do. */
  lostReplicas: string | null;
}

/** What a replica is doing. */
export type ReplicaState =
  | 'bootstrapping'
  | 'following'
  | 'behind'
  | 'stalled'
  | 'denied'
  | 'too_new'
  | 'unregistered'
  | 'orphaned'
  | 'needs_reseed'
  | 'promoted'
  | 'closed';

/** What a replica says of itself. */
export interface ReplicaReplicationStatus<I extends Integer = number> {
  role: 'replica';
  sourceDbPath: string | null;
  sourceSidecarPath: string | null;
  sourceFollows: boolean;
  /** The epoch of the last frame that it applied; 0 before the first. */
  appliedEpoch: I;
  appliedLogIndex: I;
  /** What the last failure was, until a later attempt succeeds. Survives a restart. */
  lastError: string | null;
  /** Whether it must be reseeded. Survives a restart. */
  needsReseed: boolean;
  sourceFault: string | null;
  sourceUnseen: string | null;
  state: ReplicaState;
  /** ms since 1970. */
  stateSinceMs: I;
  promotion: FenceStatus<I> | null;
  sidecarPath: string;
  replicaId: string;
  name: string | null;
  /** Whether its source keeps its log for it. */
  registered: boolean;
  registrationFault: string | null;
  sourceHeadLogIndex: I;
  lagFrames: I;
  durableLogIndex: I;
  digest: string;
  followerRunning: boolean;
  processId: I | null;
  retainedFloor: I;
  logBytes: I;
  segments: I;
  holds: Hold<I>[];
  replicaLags: ReplicaLag<I>[];
  logFault: string | null;
  registrationLimit: I;
  panicked: string | null;
  /** What is wrong with it, and what to do. */
  fault: string | null;
  lostReplicas: string | null;
}

export interface RetentionOutcome<I extends Integer = number> {
  /** How many segments it removed. */
  prunedSegments: I;
  /** The first frame that is still there; 0 if none was ever let go. */
  retainedFloor: I;
}

/** What is kept of a log in place of what the process that has it open keeps. */
export interface RetentionWindows {
  minEntries?: number | null;
  minMs?: number | null;
  maxBytes?: number | null;
  maxLagMs?: number | null;
}

/** How a background follower works. */
export interface FollowerOptions {
  /** The most frames pulled at once (default 4096). */
  maxFrames?: number | null;
  /** The longest time in ms between two looks at a source that does not wake it (default 30,000). */
  pollMs?: number | null;
  /** The first wait in ms after a failure; it doubles (default 50). */
  backoffMs?: number | null;
  /** The longest wait in ms after a failure (default 5000). */
  backoffMaxMs?: number | null;
}

/** What became of a promotion. */
export interface Promotion<I extends Integer = number> {
  /** The epoch that this node leads now. */
  epoch: I;
  /** The last commit of the history before it that this node keeps. */
  lastKept: string;
  /** Whether the old source was fenced. If not, what it acknowledged after `lastKept` is lost. */
  sourceFenced: boolean;
  fenceSynced: boolean;
  sourceFound: boolean;
  rivalEpoch: I | null;
}

/** What a copy of the source's graph did to others. */
export interface Copied<I extends Integer = number> {
  leftBehind: {
    replicaId: string;
    name: string | null;
    path: string | null;
    last: string;
    why: 'other_history' | 'log_gone' | 'no_primary';
  }[];
  samePath: { replicaId: string; name: string | null; durableLogIndex: I }[];
  aheadOfSource: Rival<I>[];
  putAside: string | null;
  gaveUpLead: I | null;
}

export interface ConfirmedMove {
  /** The epoch that it leads. */
  epoch: number;
  /** Who could not be looked at, one line for each. */
  notSeen: string[];
}

export interface Detached {
  /** The last commit that it holds. */
  lastToken: string | null;
  /** Commits that may be missing, and why. */
  missing: string | null;
  leftSource: string | null;
  stillRegistered: { sourceDbPath: string | null; replicaId: string; why: string } | null;
  formerSidecar: string | null;
  followers: { replicaId: string; name: string | null; path: string | null; last: string }[];
}

export interface RepairOptions {
  /** Changes nothing, and says what would be done. */
  dryRun?: boolean | null;
  /** Gives up what the log held after this commit. */
  cutAt?: string | null;
  /** Where the log is, if it is not beside the file. */
  replicationSidecarPath?: string | null;
  /** Repairs a file that has more than one hard link. */
  acceptHardLinks?: boolean | null;
}

export interface Repair {
  /** Whether nothing is wrong. */
  clean: boolean;
  found: string[];
  steps: string[];
  remains: string[];
  putAside: string[];
  lastToken: string | null;
  /** What `cutAt` must name, because commits after it lie behind damage. */
  asksFor: string | null;
  onlyLogIsLost: boolean;
  fenced: boolean;
  done: boolean;
}

/** One side of a {@link Comparison}. */
export interface ComparedState<I extends Integer = number> {
  token: string;
  digest: string;
  digestAtIndex: string | null;
  nodes: I;
  edges: I;
  vectors: I;
}

/** An element that is not the same in two databases. */
export interface Difference<I extends Integer = number> {
  element:
    | { kind: 'name'; of: string; id: I; name: string }
    | { kind: 'node'; id: I; key: string | null }
    | { kind: 'edge'; src: I; type: string; dst: I; rank: I }
    | { kind: 'vector'; node: I; property: string }
    | { kind: 'index'; id: I; name: string };
  inA: boolean;
  inB: boolean;
  /** Which of its parts differ. */
  parts: string[];
}

export interface Comparison<I extends Integer = number> {
  a: ComparedState<I>;
  b: ComparedState<I>;
  /** The last index that both have reached: their digests are compared there. */
  logIndex: I;
  /** Whether they hold the same graph there; null: it cannot be told. */
  equal: boolean | null;
  /** The frame with which their logs part, and whether it may be an earlier one. */
  parted: { logIndex: I; exact: boolean } | null;
  /** At most 100. */
  differences: Difference<I>[];
  differenceCount: I;
  elementsCompared: boolean;
  /** By how many commits the first one is ahead; negative if it is behind. */
  lead: I;
}

/** How integers come out of a call that is about two databases: `bigint` if either was opened so. */
type WordOfBoth<A extends Integer, B extends Integer> = [A | B] extends [number] ? 'number' : 'bigint';

/** Compares two databases, each as it is now. */
export function compare<A extends Integer, B extends Integer, W extends IntegersWord = WordOfBoth<A, B>>(
  a: Database<A>,
  b: Database<B>,
  options?: IntegersOption<W>,
): Comparison<Int<W>>;
export function compareAsync<A extends Integer, B extends Integer, W extends IntegersWord = WordOfBoth<A, B>>(
  a: Database<A>,
  b: Database<B>,
  options?: WatchOptions & IntegersOption<W>,
): Promise<Comparison<Int<W>>>;
/** The same, reading and comparing every element. */
export function compareDeep<A extends Integer, B extends Integer, W extends IntegersWord = WordOfBoth<A, B>>(
  a: Database<A>,
  b: Database<B>,
  options?: IntegersOption<W>,
): Comparison<Int<W>>;
export function compareDeepAsync<A extends Integer, B extends Integer, W extends IntegersWord = WordOfBoth<A, B>>(
  a: Database<A>,
  b: Database<B>,
  options?: WatchOptions & IntegersOption<W>,
): Promise<Comparison<Int<W>>>;

/** An image of a primary's database at a checkpoint: the bytes of a database file that opens like any other. */
export interface ExportedSnapshot<I extends Integer = number> extends Disposable {
  readonly generatedAtMs: I;
  readonly epoch: I;
  readonly headLogIndex: I;
  readonly retainedFloor: I;
  /** The last frame that the image holds. */
  readonly checkpointLogIndex: I;
  readonly byteLength: I;
  readonly digest: string;
  /** The cursor from which pages of the log go on. */
  readonly startCursor: string;
  /** Exactly `length` bytes at `offset`. */
  read(offset: Integer, length: number): Uint8Array;
  release(): void;
}
export const ExportedSnapshot: abstract new (...args: never) => ExportedSnapshot<Integer>;

/**
 * What a copy of this primary at a new checkpoint needs to be known of, as JSON; with `includeData` (default false) the copy
 * itself too, in base64, up to 32 MiB. Throws `NOT_PRIMARY`, `INVALID_ARGUMENT`.
 */
export function collectReplicationSnapshotTransportJson(db: Database<Integer>, includeData?: boolean): string;
export function collectReplicationSnapshotTransportJsonAsync(
  db: Database<Integer>,
  includeData?: boolean,
  options?: SignalOption,
): Promise<string>;
/**
 * A page of the log as JSON: the frames after `cursor` (null or blank: from the oldest one on), at most `maxFrames` (default 128)
 * of them with at most `maxBytes` (default 1 MiB); without `includePayload` (default true) only what each is. Throws
 * `INVALID_CURSOR`, `NOT_PRIMARY`, `INVALID_ARGUMENT`.
 */
export function collectReplicationLogTransportJson(
  db: Database<Integer>,
  cursor?: string | null,
  maxFrames?: number,
  maxBytes?: number,
  includePayload?: boolean,
): string;
export function collectReplicationLogTransportJsonAsync(
  db: Database<Integer>,
  cursor?: string | null,
  maxFrames?: number,
  maxBytes?: number,
  includePayload?: boolean,
  options?: SignalOption,
): Promise<string>;

// ---------------------------------------------------------------------------------------------------------------- metrics

export interface CacheLayerMetrics<I extends Integer = number> {
  hits: I;
  misses: I;
  hitRate: number;
  size: I;
  maxSize: I;
  utilizationPercent: number;
}

/** How long something took. */
export interface Latency<I extends Integer = number> {
  /** How often it was measured. */
  count: I;
  /** Of how many one was measured. */
  oneIn: I;
  sumNs: I;
  /** Buckets that are not empty, ascending; the last one may have no end. */
  buckets: { count: I; upToNs: I | null }[];
  meanNs: I;
}

export interface ReplicaLagMetrics<I extends Integer = number> {
  replicaId: string;
  name: string | null;
  epoch: I;
  appliedLogIndex: I;
  durableLogIndex: I;
  lagFrames: I;
  lagBytes: I;
  lagMs: I;
  hold: HoldState;
  reportedAtMs: I;
}

export interface PrimaryMetrics<I extends Integer = number> {
  epoch: I;
  headLogIndex: I;
  retainedFloor: I;
  replicaCount: I;
  staleEpochReplicaCount: I;
  maxReplicaLag: I;
  minReplicaAppliedLogIndex: I | null;
  sidecarPath: string;
  lastToken: string | null;
  appendAttempts: I;
  appendFailures: I;
  appendSuccesses: I;
  durableLogIndex: I;
  logBytes: I;
  segments: I;
  holds: Hold<I>[];
  registrationLimit: I;
  fenced: boolean;
  copied: boolean;
  digest: string;
  replicas: ReplicaLagMetrics<I>[];
}

export interface ReplicaMetrics<I extends Integer = number> {
  appliedEpoch: I;
  appliedLogIndex: I;
  needsReseed: boolean;
  lastError: string | null;
  state: ReplicaState;
  stateSinceMs: I;
  sourceHeadLogIndex: I;
  lagFrames: I;
  durableLogIndex: I;
  digest: string;
  followerRunning: boolean;
  replicaId: string;
  sourceDbPath: string | null;
  sidecarPath: string;
  registered: boolean;
  retainedFloor: I;
  logBytes: I;
  segments: I;
  holds: Hold<I>[];
  registrationLimit: I;
  replicas: ReplicaLagMetrics<I>[];
}

/** What part a database plays in replication, and how that goes; its role tells which part is there. */
export type ReplicationMetrics<I extends Integer = number> = { fault: string | null } & (
  | { enabled: true; role: 'primary'; primary: PrimaryMetrics<I> | null; replica: null }
  | { enabled: true; role: 'replica'; primary: null; replica: ReplicaMetrics<I> | null }
  | { enabled: false; role: 'disabled'; primary: null; replica: null }
);

/** Figures of a database, of about one moment. */
export interface Metrics<I extends Integer = number> {
  path: string;
  isSingleFile: boolean;
  readOnly: boolean;
  data: {
    nodeCount: I;
    edgeCount: I;
    deltaNodesCreated: I;
    deltaNodesDeleted: I;
    deltaEdgesAdded: I;
    deltaEdgesDeleted: I;
    snapshotGeneration: I;
    maxNodeId: I;
    schemaLabels: I;
    schemaEtypes: I;
    schemaPropKeys: I;
  };
  /** There is no cache: `enabled` is false. */
  cache: {
    enabled: boolean;
    propertyCache: CacheLayerMetrics<I>;
    traversalCache: CacheLayerMetrics<I>;
    queryCache: CacheLayerMetrics<I>;
  };
  mvcc: {
    enabled: boolean;
    activeTransactions: I;
    activeViews: I;
    versionsPruned: I;
    gcRuns: I;
    minActiveTimestamp: I;
    committedWritesSize: I;
    committedWritesPruned: I;
    oldestPinMs: I | null;
    oldestPin: PinInfo<I> | null;
  } | null;
  replication: ReplicationMetrics<I>;
  memory: {
    deltaEstimateBytes: I;
    cacheEstimateBytes: I;
    snapshotBytes: I;
    pinnedDeltaBytes: I;
    pinnedRunBytes: I;
    totalEstimateBytes: I;
  };
  engine: {
    headLogIndex: I;
    epoch: I;
    digest: string;
    checkpointLogIndex: I;
    runs: I;
    appendAttempts: I;
    appendFailures: I;
    appendSuccesses: I;
    checkpoints: I;
    compactions: I;
    bytesCheckpointed: I;
    bytesCompacted: I;
    commitLatency: Latency<I>;
    syncLatency: Latency<I>;
    logFailed: boolean;
    backgroundError: string | null;
  };
  /** When the engine was opened, ms since 1970. */
  openedAtMs: I;
  /** When this was collected, ms since 1970. */
  collectedAt: I;
}

/** Whether a database is well. */
export interface HealthCheck {
  healthy: boolean;
  checks: { name: string; passed: boolean; message: string }[];
}

/** Figures of everything. Takes no lock that a commit takes. */
export function collectMetrics<I extends Integer, W extends IntegersWord = WordOf<I>>(db: Database<I>, options?: IntegersOption<W>): Metrics<Int<W>>;
/** Whether the database is well, and what is wrong if it is not. */
export function healthCheck(db: Database<Integer>): HealthCheck;
/** Options of Prometheus text. */
export interface PrometheusOptions {
  /** Whether whoever serves this text asks for authorization: `kitedb_replication_auth_enabled` (default false). */
  authEnabled?: boolean | null;
  /** Prometheus text 0.0.4, or OpenMetrics 1.0 (default `text`). */
  format?: 'text' | 'openmetrics' | null;
  /** The contract's names, or those that `promtool check metrics` finds nothing wrong with (default `contract`). */
  names?: 'contract' | 'linted' | null;
  /** What the label `database` says (default `file_name`). */
  databaseLabel?: 'file_name' | 'path' | 'none' | null;
  /** The label `database` says this. */
  databaseName?: string | null;
}

/** The replication metrics as Prometheus text. */
export function collectReplicationMetricsPrometheus(db: Database<Integer>, options?: PrometheusOptions | null): string;
/** The replication metrics as OTLP in JSON. */
export function collectReplicationMetricsOtelJson(db: Database<Integer>): string;
/** The replication metrics as OTLP in protobuf. */
export function collectReplicationMetricsOtelProtobuf(db: Database<Integer>): Buffer;

/** What became of a push that the collector took. */
export interface OtlpHttpExportResult<I extends Integer = number> {
  /** The HTTP status; 200 for gRPC. */
  statusCode: I;
  responseBody: string;
  /** Data points that the collector refused though it took the push. */
  rejectedDataPoints: I;
  partialError: string | null;
  /** How often it was tried. */
  attempts: I;
}

/** Options of a push. Times are in ms. */
export interface PushReplicationMetricsOtelOptions {
  /** The whole push, every attempt and wait included. Default 5000. */
  timeoutMs?: number | null;
  /** One attempt. 0, the default: an equal share of what is left. */
  attemptTimeoutMs?: number | null;
  bearerToken?: string | null;
  headers?: Readonly<Record<string, string>> | null;
  httpsOnly?: boolean | null;
  caCertPemPath?: string | null;
  clientCertPemPath?: string | null;
  clientKeyPemPath?: string | null;
  /** Attempts in all; 1, the default, tries once. */
  retryMaxAttempts?: number | null;
  retryBackoffMs?: number | null;
  retryBackoffMaxMs?: number | null;
  retryJitterRatio?: number | null;
  adaptiveRetry?: boolean | null;
  adaptiveRetryMode?: 'linear' | 'ewma' | null;
  adaptiveRetryEwmaAlpha?: number | null;
  circuitBreakerFailureThreshold?: number | null;
  circuitBreakerOpenMs?: number | null;
  circuitBreakerHalfOpenProbes?: number | null;
  circuitBreakerScopeKey?: string | null;
  circuitBreakerStatePath?: string | null;
  circuitBreakerStateUrl?: string | null;
  circuitBreakerStatePatch?: boolean | null;
  circuitBreakerStatePatchBatch?: boolean | null;
  circuitBreakerStatePatchBatchMaxKeys?: number | null;
  circuitBreakerStatePatchMerge?: boolean | null;
  circuitBreakerStatePatchMergeMaxKeys?: number | null;
  circuitBreakerStatePatchRetryMaxAttempts?: number | null;
  circuitBreakerStateCas?: boolean | null;
  circuitBreakerStateLeaseId?: string | null;
  compressionGzip?: boolean | null;
  /** `service.name`; by default `kitedb`. */
  serviceName?: string | null;
  serviceInstanceId?: string | null;
  resourceAttributes?: Readonly<Record<string, string>> | null;
  includeDatabasePath?: boolean | null;
  includeDatabaseName?: boolean | null;
}

type Push = <I extends Integer>(
  db: Database<I>,
  endpoint: string,
  timeoutMs: number,
  bearerToken?: string | null,
) => OtlpHttpExportResult<I>;
type PushAsync = <I extends Integer>(
  db: Database<I>,
  endpoint: string,
  timeoutMs: number,
  bearerToken?: string | null,
  options?: SignalOption,
) => Promise<OtlpHttpExportResult<I>>;
type PushWithOptions = <I extends Integer>(
  db: Database<I>,
  endpoint: string,
  options?: PushReplicationMetricsOtelOptions | null,
) => OtlpHttpExportResult<I>;
type PushWithOptionsAsync = <I extends Integer>(
  db: Database<I>,
  endpoint: string,
  options?: PushReplicationMetricsOtelOptions | null,
  how?: SignalOption,
) => Promise<OtlpHttpExportResult<I>>;

/** Pushes the replication metrics to a collector over HTTP as JSON, and waits for it: the `Async` form does not block. */
export const pushReplicationMetricsOtelJson: Push;
export const pushReplicationMetricsOtelJsonAsync: PushAsync;
export const pushReplicationMetricsOtelJsonWithOptions: PushWithOptions;
export const pushReplicationMetricsOtelJsonWithOptionsAsync: PushWithOptionsAsync;
/** The same as protobuf. */
export const pushReplicationMetricsOtelProtobuf: Push;
export const pushReplicationMetricsOtelProtobufAsync: PushAsync;
export const pushReplicationMetricsOtelProtobufWithOptions: PushWithOptions;
export const pushReplicationMetricsOtelProtobufWithOptionsAsync: PushWithOptionsAsync;
/** The same over gRPC. */
export const pushReplicationMetricsOtelGrpc: Push;
export const pushReplicationMetricsOtelGrpcAsync: PushAsync;
export const pushReplicationMetricsOtelGrpcWithOptions: PushWithOptions;
export const pushReplicationMetricsOtelGrpcWithOptionsAsync: PushWithOptionsAsync;

/**
 * What became of the pushes of a database by this process, however they were made: by an exporter of now or of before, or by a call.
 * They count from the first push on; an exporter that begins does not begin anew.
 */
export interface ExporterMetrics {
  exportedPoints: number;
  rejectedPoints: number;
  /** Data points that were given up, by reason. */
  droppedPoints: NamedCount[];
  pushes: number;
  retries: number;
  storeErrors: number;
  breaker: string;
  lastSuccessMs: number | null;
  startedMs: number | null;
}

/**
 * Pushes the metrics of one database on a cadence, from a thread of its own. It keeps neither the database open nor the process.
 *
 * While a flush is under way, `close` throws `LOCKED`. `using` lets go of it in the background: a flush that is under way is answered
 * as its push is, then it pushes for the last time. `await using` waits for flushes, closes it, and throws what its last push failed
 * with. After any of these it is `closed`, and `flush` and `close` throw `FINISHED`.
 */
export interface Exporter extends Disposable, AsyncDisposable {
  readonly state: 'running' | 'database_closed' | 'closed';
  /** Why the last push failed; null if it succeeded, or there was none. */
  readonly lastError: string | null;
  /** What became of the pushes of its database; null once it is closed. */
  metrics(): ExporterMetrics | null;
  /** Pushes now, and waits for it. */
  flush(): OtlpHttpExportResult;
  /** The same, without blocking. A signal ends the wait: the push is the exporter's, and goes on. */
  flushAsync(options?: SignalOption): Promise<OtlpHttpExportResult>;
  /** Pushes once more, and ends, within `closeTimeoutMs`. */
  close(): void;
  /** The same, without blocking. A signal ends it only before it begins. */
  closeAsync(options?: SignalOption): Promise<void>;
}
export const Exporter: abstract new (...args: never) => Exporter;

export interface ExporterOptions extends PushReplicationMetricsOtelOptions {
  transport: 'json' | 'protobuf' | 'grpc';
  endpoint: string;
  /** From one push to the next, ms. Default 60,000. */
  intervalMs?: number | null;
  /** How long closing it may take, ms. Default 5000. */
  closeTimeoutMs?: number | null;
}

/** Begins to push the metrics of a database on a cadence. */
export function startExporter(db: Database<Integer>, options: ExporterOptions): Exporter;

// ------------------------------------------------------------------------------------------------- what a host serves
// All of it is `@kitedb/core/replication`.
export {
  authorizeReplicationAdminRequest,
  createForwardedTlsMtlsMatcher,
  createNodeTlsMtlsMatcher,
  createReplicationAdminAuthorizer,
  createReplicationTransportAdapter,
  isForwardedTlsClientAuthorized,
  isNodeTlsClientAuthorized,
  isReplicationAdminAuthorized,
  readReplicationLogTransport,
  readReplicationSnapshotTransport,
} from './replication/replication_transport.js';
export type {
  ReplicationAdminAuthConfig,
  ReplicationAdminAuthMode,
  ReplicationAdminAuthRequest,
  ReplicationForwardedMtlsMatcherOptions,
  ReplicationLogTransportFrame,
  ReplicationLogTransportOptions,
  ReplicationLogTransportPage,
  ReplicationNodeMtlsMatcherOptions,
  ReplicationNodeTlsLikeRequest,
  ReplicationNodeTlsLikeSocket,
  ReplicationSnapshotTransport,
  ReplicationTransportAdapter,
} from './replication/replication_transport.js';
