'use strict';
// Reads of one state: what Database, Snapshot, Transaction and BulkLoader have in common.

const { begin, call, numbered, written } = require('./call.js');
const { invalid } = require('./errors.js');
const { ops } = require('./native.js');
const { registry, release } = require('./release.js');
const { selected } = require('./select.js');
const { markAsUncloneable } = require('./uncloneable.js');
const { describe } = require('./writer.js');

// The operations that are done most often, by their numbers.
const { node: NODE, node_with_key: NODE_WITH_KEY, node_by_key: NODE_BY_KEY, node_exists: NODE_EXISTS, node_prop: NODE_PROP } = ops;
const { edges_at_batch: EDGES_AT_BATCH, neighbor_ids: NEIGHBOR_IDS, degree: DEGREE, edge_exists: EDGE_EXISTS } = ops;
const { edge_between: EDGE_BETWEEN, edge_prop: EDGE_PROP } = ops;

/** The number of what the addon holds for an object. */
const HANDLE = Symbol('handle of an object of KiteDB');
/** Whether integers are bigint by default. */
const BIG = Symbol('integers');
/** The names of properties that are floats whatever number they are given. */
const FLOATS = Symbol('floatProperties');
/** Whether each read is of the newest state, so that a scan takes a snapshot. */
const NEWEST = Symbol('newest');

/** The scans of a transaction that have not ended; undefined where nothing is written, so that none needs to be known. */
const SCANS = Symbol('scans');

/** Edges of every type. It is always said: no filter that is left out means it. */
const AllTypes = Symbol('AllTypes');

const NONE = Object.freeze([]);

/** So many rows come with one call. */
const BATCH = 1024;
/** So many with the first one: who breaks off early has not paid for more. */
const FIRST_BATCH = 64;

/** Whether integers are to be bigint. Asked before arguments are written: reading an option may run code of the caller. */
function bigOf(graph, options) {
  if (options === undefined || options === null) return graph[BIG];
  if (typeof options !== 'object') throw invalid(`options are ${describe(options)}: give an object`);
  for (const name in options) {
    if (!Object.hasOwn(options, name)) continue;
    if (name !== 'select' && name !== 'integers') {
      throw invalid(`there is no option ${name} here: give integers, or select where properties are read`);
    }
  }
  return integersOf(options.integers, graph[BIG]);
}

/** What `integers` says, and if it says nothing, what is so by default. */
function integersOf(integers, byDefault) {
  if (integers === undefined) return byDefault;
  if (integers !== 'bigint' && integers !== 'number') {
    throw invalid(`integers is ${describe(integers)}: give 'number' or 'bigint'`);
  }
  return integers === 'bigint';
}

function typesTo(w, types) {
  if (types === AllTypes) return w.u8(0);
  if (typeof types !== 'string') {
    throw invalid(`the type of edges is ${describe(types)}: give its name, or AllTypes for edges of every type`);
  }
  w.u8(1);
  w.text(types, 'the type of edges');
}

function directionTo(w, direction) {
  if (direction !== 'out' && direction !== 'in') {
    throw invalid(`direction is ${describe(direction)}: give 'out' or 'in'`);
  }
  w.bool(direction === 'in');
}

/**
 * Rows of a scan, which come some at a time. Its state is held until it has ended, or is ended by `return` (a `break`). Of a database
 * the first ones are fetched at once, with the state that all are of: where they are all, nothing is held.
 */
class Rows {
  #source;
  #big;
  #fetch;
  #rest;
  /** What is left, where something was added to the transaction since the scan began: keys, the next one last. */
  #keys = null;
  #failed;
  #snapshot = 0;
  #rows = NONE;
  #at = 0;
  #after = null;
  #more = true;
  #limit;

  constructor(graph, big, fetch, rest, firstBatch = FIRST_BATCH) {
    this.#source = graph;
    this.#big = big;
    this.#fetch = fetch;
    this.#rest = rest;
    this.#limit = firstBatch;
    markAsUncloneable(this);
    if (graph[NEWEST]) this.#take(graph[HANDLE], true);
    else graph[SCANS]?.add(this);
  }

  /** Something of that kind is going to be added: it is no part of this scan, whose keys are noted now. */
  static addTo(graph, kind) {
    for (const scan of graph[SCANS]) {
      if (scan.#rest.kind === kind) scan.#note();
    }
  }

  #note() {
    this.#source[SCANS].delete(this);
    try {
      const keys = [];
      let after = this.#after;
      do {
        const page = this.#rest.page(after);
        for (const key of page.items) keys.push(key);
        after = page.next;
      } while (after !== null);
      this.#keys = keys.reverse();
    } catch (error) {
      // It is about this scan, and not about what is going to be added.
      this.#failed = error;
    }
  }

  /** The next rows by their keys. What was deleted since is left out. */
  #takeNoted() {
    if (this.#failed !== undefined) throw this.#failed;
    const rows = [];
    while (this.#keys.length > 0 && rows.length < BATCH) {
      const row = this.#rest.row(this.#keys.pop(), this.#big);
      if (row !== null) rows.push(row);
    }
    this.#rows = rows;
    this.#at = 0;
    this.#more = this.#keys.length > 0;
  }

  [Symbol.iterator]() {
    return this;
  }

  next() {
    if (this.#at === this.#rows.length && !this.#refill()) return { done: true, value: undefined };
    return { done: false, value: this.#rows[this.#at++] };
  }

  return(value) {
    this.#end();
    return { done: true, value };
  }

  [Symbol.dispose]() {
    this.#end();
  }

  /** All rows that are left. */
  toArray() {
    const rows = this.#rows.slice(this.#at);
    this.#at = this.#rows.length;
    while (this.#refill()) {
      for (const row of this.#rows) rows.push(row);
      this.#at = this.#rows.length;
    }
    return rows;
  }

  #take(handle, newest) {
    const fetched = this.#fetch(handle, newest, this.#after, this.#limit, this.#big);
    this.#rows = fetched.rows;
    this.#at = 0;
    this.#after = fetched.next;
    this.#more = fetched.next !== null;
    this.#limit = BATCH;
    if (fetched.snapshot === 0) return;
    this.#snapshot = fetched.snapshot;
    registry.register(this, fetched.snapshot, this);
  }

  #refill() {
    if (!this.#more) {
      this.#end();
      return false;
    }
    try {
      if (this.#keys === null && this.#failed === undefined) this.#take(this.#snapshot || this.#source[HANDLE], false);
      else this.#takeNoted();
    } catch (error) {
      this.#end();
      throw error;
    }
    if (!this.#more) this.#letGo();
    return this.#rows.length > 0;
  }

  #end() {
    this.#more = false;
    this.#rows = NONE;
    this.#at = 0;
    this.#letGo();
  }

  #letGo() {
    this.#source[SCANS]?.delete(this);
    this.#keys = null;
    if (this.#snapshot === 0) return;
    registry.unregister(this);
    release(this.#snapshot);
    this.#snapshot = 0;
  }
}

/** The rows of a batch, what the next one comes after, and the number of the state that it is of if that is held now. */
function batchOf(r, read, newest, readAfter) {
  const snapshot = newest ? r.handle() : 0;
  try {
    const rows = read.call(r);
    return { rows, next: r.bool() ? readAfter.call(r) : null, snapshot };
  } catch (error) {
    if (snapshot !== 0) release(snapshot);
    throw error;
  }
}

/** Keys are noted as bigint: none is beyond that. */
const NOTED = { integers: 'bigint' };

function nodesOf(graph, label, options) {
  const select = selected(options?.select);
  return new Rows(graph, bigOf(graph, options), (handle, newest, after, limit, big) => {
    const w = begin();
    w.handle(handle);
    w.bool(newest);
    w.optionalText(label, 'label');
    w.bool(after !== null);
    if (after !== null) w.id(after);
    w.u32(limit);
    w.select(select);
    const r = call('nodes_batch', w, big);
    return batchOf(r, r.nodes, newest, r.u64);
  }, {
    kind: 'node',
    page: (after) => nodePage(graph, label, after, BATCH, NOTED),
    row: (id, big) => {
      const node = nodeAt(graph, id, select, big);
      return label === undefined || node?.labels.includes(label) ? node : null;
    },
  });
}

function nodeAt(graph, id, select, big) {
  const w = begin();
  w.handle(graph[HANDLE]);
  w.id(id);
  w.select(select);
  const r = numbered(NODE, w, big);
  return r.bool() ? r.node(null) : null;
}

function edgeAt(graph, key, select, big) {
  const w = written((w) => {
    w.handle(graph[HANDLE]);
    w.edgeKey(key);
    w.select(select);
  });
  const r = call('edge', w, big);
  return r.bool() ? r.edge() : null;
}

function atNode(graph, id, direction, types, options, other, sorted) {
  const select = selected(options?.select);
  return new Rows(
    graph,
    bigOf(graph, options),
    (handle, newest, after, limit, big) => {
      const w = begin();
      w.handle(handle);
      w.bool(newest);
      w.id(id);
      directionTo(w, direction);
      typesTo(w, types);
      w.bool(other);
      w.bool(sorted);
      w.bool(after !== null);
      if (after !== null) w.edgeKey(after);
      w.u32(limit);
      w.select(select);
      const r = numbered(EDGES_AT_BATCH, w, big);
      return batchOf(r, other ? r.nodes : r.edges, newest, r.edgeKey);
    },
    {
      kind: 'edge',
      page: (after) => graph.neighborsPage(id, direction, types, after, BATCH, NOTED),
      row: (key, big) => {
        if (!other) return edgeAt(graph, key, select, big);
        return graph.edgeExistsByKey(key) ? nodeAt(graph, direction === 'out' ? key.dst : key.src, select, big) : null;
      },
    },
    BATCH,
  );
}

class GraphReader {
  node(id, options) {
    const select = selected(options?.select);
    return nodeAt(this, id, select, bigOf(this, options));
  }

  nodeWithKey(key, options) {
    const select = selected(options?.select);
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    w.text(key, 'key');
    w.select(select);
    const r = numbered(NODE_WITH_KEY, w, big);
    return r.bool() ? r.node(key) : null;
  }

  nodeByKey(key, options) {
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    w.text(key, 'key');
    const r = numbered(NODE_BY_KEY, w, big);
    return r.bool() ? r.u64() : null;
  }

  nodeExists(id) {
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    return numbered(NODE_EXISTS, w, false).bool();
  }

  nodeKey(id) {
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    const r = call('node_key', w);
    return r.bool() ? r.text() : null;
  }

  nodeProp(id, name, options) {
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    w.text(name, 'the name of a property');
    const r = numbered(NODE_PROP, w, big);
    return r.bool() ? r.valueNamed(name) : undefined;
  }

  nodeProps(id, options) {
    return this.node(id, options)?.props ?? null;
  }

  nodeLabels(id) {
    return this.node(id, { select: [] })?.labels ?? [];
  }

  nodeHasLabel(id, label) {
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    w.text(label, 'label');
    return call('node_has_label', w).bool();
  }

  nodeVector(id, name) {
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    w.text(name, 'the name of a property');
    const r = call('node_vector', w);
    return r.bool() ? r.value() : null;
  }

  vectorDimension(name) {
    const w = begin();
    w.handle(this[HANDLE]);
    w.text(name, 'the name of a property');
    const r = call('vector_dimension', w);
    return r.bool() ? r.u32() : null;
  }

  edge(edge, options) {
    const select = selected(options?.select);
    return edgeAt(this, edge, select, bigOf(this, options));
  }

  edgeBetween(src, type, dst, options) {
    const select = selected(options?.select);
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    endsTo(w, src, type, dst);
    w.select(select);
    const r = numbered(EDGE_BETWEEN, w, big);
    return r.bool() ? r.edge() : null;
  }

  edgesBetween(src, type, dst, options) {
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    endsTo(w, src, type, dst);
    const r = call('edges_between', w, big);
    return r.list(r.edgeKey);
  }

  edgeExists(src, type, dst) {
    return edgeExists(this, false, { src, type, dst });
  }

  edgeExistsByKey(edge) {
    return edgeExists(this, true, edge);
  }

  edgeProp(src, type, dst, name, options) {
    return edgeProp(this, false, { src, type, dst }, name, options);
  }

  edgePropByKey(edge, name, options) {
    return edgeProp(this, true, edge, name, options);
  }

  edgeProps(src, type, dst, options) {
    return this.edgeBetween(src, type, dst, options)?.props ?? null;
  }

  edgePropsByKey(edge, options) {
    return this.edge(edge, options)?.props ?? null;
  }

  outNeighbors(id, types, options) {
    return atNode(this, id, 'out', types, options, true, false);
  }

  inNeighbors(id, types, options) {
    return atNode(this, id, 'in', types, options, true, false);
  }

  outEdges(id, types, options) {
    return atNode(this, id, 'out', types, options, false, false);
  }

  inEdges(id, types, options) {
    return atNode(this, id, 'in', types, options, false, false);
  }

  sortedEdges(id, direction, types, options) {
    return atNode(this, id, direction, types, options, false, true);
  }

  neighborIds(id, direction, types, options) {
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    directionTo(w, direction);
    typesTo(w, types);
    return numbered(NEIGHBOR_IDS, w, big).ids();
  }

  forEachNeighbor(id, direction, types, f, options) {
    if (typeof f !== 'function') throw invalid(`what is called with each neighbour is ${describe(f)}: give a function`);
    for (const neighbor of this.neighborIds(id, direction, types, options)) f(neighbor);
  }

  outDegree(id, types, options) {
    return this.degree(id, 'out', types, options);
  }

  inDegree(id, types, options) {
    return this.degree(id, 'in', types, options);
  }

  degree(id, direction, types, options) {
    const big = bigOf(this, options);
    const w = begin();
    w.handle(this[HANDLE]);
    w.id(id);
    directionTo(w, direction);
    typesTo(w, types);
    return numbered(DEGREE, w, big).u64();
  }

  nodes(options) {
    return nodesOf(this, undefined, options);
  }

  nodesWithLabel(label, options) {
    if (typeof label !== 'string') throw invalid(`label is ${describe(label)}: give a string`);
    return nodesOf(this, label, options);
  }

  edges(options) {
    const select = selected(options?.select);
    return new Rows(this, bigOf(this, options), (handle, newest, after, limit, big) => {
      const w = begin();
      w.handle(handle);
      w.bool(newest);
      w.bool(after !== null);
      if (after !== null) w.edgeKey(after);
      w.u32(limit);
      w.select(select);
      const r = call('edges_batch', w, big);
      return batchOf(r, r.edges, newest, r.edgeKey);
    }, { kind: 'edge', page: (after) => this.edgesPage(after, BATCH, NOTED), row: (key, big) => edgeAt(this, key, select, big) });
  }

  nodesPage(after, limit, options) {
    return nodePage(this, undefined, after, limit, options);
  }

  labelPage(label, after, limit, options) {
    if (typeof label !== 'string') throw invalid(`label is ${describe(label)}: give a string`);
    return nodePage(this, label, after, limit, options);
  }

  edgesPage(after, limit, options) {
    const big = bigOf(this, options);
    const w = written((w) => {
      w.handle(this[HANDLE]);
      afterTo(w, after, 'edgeKey');
      w.u64(limit, 'limit');
    });
    return edgePage(call('edges_page', w, big));
  }

  neighborsPage(id, direction, types, after, limit, options) {
    const big = bigOf(this, options);
    const w = written((w) => {
      w.handle(this[HANDLE]);
      w.id(id);
      directionTo(w, direction);
      typesTo(w, types);
      afterTo(w, after, 'edgeKey');
      w.u64(limit, 'limit');
    });
    return edgePage(call('neighbors_page', w, big));
  }

  countNodes(options) {
    return count(this, 0, undefined, options);
  }

  countEdges(options) {
    return count(this, 1, undefined, options);
  }

  countVectors(options) {
    return count(this, 2, undefined, options);
  }

  countNodesByLabel(label, options) {
    return count(this, 3, label, options);
  }

  countEdgesByType(type, options) {
    return count(this, 4, type, options);
  }

  labels() {
    return names(this, 'labels');
  }

  etypes() {
    return names(this, 'etypes');
  }

  propkeys() {
    return names(this, 'propkeys');
  }

  labelId(name) {
    return nameId(this, 'label_id', name);
  }

  etypeId(name) {
    return nameId(this, 'etype_id', name);
  }

  propkeyId(name) {
    return nameId(this, 'propkey_id', name);
  }

  indexes() {
    const w = begin();
    w.handle(this[HANDLE]);
    return call('indexes', w).value();
  }
}

function endsTo(w, src, type, dst) {
  w.id(src, 'src');
  w.text(type, 'type');
  w.id(dst, 'dst');
}

function edgeExists(graph, exactly, edge) {
  const w = written((w) => {
    w.handle(graph[HANDLE]);
    w.bool(exactly);
    w.edgeKey(edge);
  });
  return numbered(EDGE_EXISTS, w, false).bool();
}

function edgeProp(graph, exactly, edge, name, options) {
  const big = bigOf(graph, options);
  const w = written((w) => {
    w.handle(graph[HANDLE]);
    w.bool(exactly);
    w.edgeKey(edge);
    w.text(name, 'the name of a property');
  });
  const r = numbered(EDGE_PROP, w, big);
  return r.bool() ? r.valueNamed(name) : undefined;
}

function afterTo(w, after, kind) {
  const given = after !== null && after !== undefined;
  w.bool(given);
  if (given) w[kind](after);
}

function nodePage(graph, label, after, limit, options) {
  const big = bigOf(graph, options);
  const w = begin();
  w.handle(graph[HANDLE]);
  w.optionalText(label, 'label');
  afterTo(w, after, 'id');
  w.u64(limit, 'limit');
  const r = call('nodes_page', w, big);
  return { items: r.list(r.u64), next: r.optional(r.u64) };
}

function edgePage(r) {
  return { items: r.list(r.edgeKey), next: r.optional(r.edgeKey) };
}

function count(graph, what, name, options) {
  const big = bigOf(graph, options);
  const w = begin();
  w.handle(graph[HANDLE]);
  w.u8(what);
  if (what > 2) w.text(name, what === 3 ? 'label' : 'type');
  return call('counts', w, big).u64();
}

function names(graph, op) {
  const w = begin();
  w.handle(graph[HANDLE]);
  const r = call(op, w);
  return r.list(() => ({ id: r.u32(), name: r.text() }));
}

function nameId(graph, op, name) {
  const w = begin();
  w.handle(graph[HANDLE]);
  w.text(name, 'a name');
  const r = call(op, w);
  return r.bool() ? r.u32() : null;
}

module.exports = { AllTypes, BIG, FLOATS, GraphReader, HANDLE, NEWEST, Rows, SCANS, bigOf, endsTo, integersOf };
