'use strict';
// Writes: what Transaction and BulkLoader have, and Database as a transaction each.

const { call, written } = require('./call.js');
const { invalid, unsafe } = require('./errors.js');
const { BIG, FLOATS, HANDLE, Rows, SCANS, bigOf, endsTo } = require('./graph.js');
const { describe, isPlain } = require('./writer.js');

const { hasOwnProperty: hasOwn } = Object.prototype;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** What an operation may add to scans that are under way. */
const ADDS = new Map([
  ...['create_node', 'create_nodes', 'add_node_label', 'upsert_node', 'upsert_node_by_id'].map((op) => [op, 'node']),
  ...['add_edge', 'add_parallel_edge', 'add_edge_by_key', 'add_edges', 'upsert_edge'].map((op) => [op, 'edge']),
]);

/** Calls of the caller's code may be among what is written: getters, iterators. */
function write(tx, op, rest, big = tx[BIG]) {
  if (tx[SCANS]?.size > 0 && ADDS.has(op)) Rows.addTo(tx, ADDS.get(op));
  const w = written((w) => {
    w.handle(tx[HANDLE]);
    rest(w);
  });
  return call(op, w, big);
}

/** An id that is going to be answered: one that the answer could not say is an error before anything is written. */
function answeredIdTo(w, id, what, big) {
  if (!big && typeof id === 'bigint' && id > MAX_SAFE) throw unsafe(id, `, ${what},`);
  w.id(id, what);
}

function newNodeTo(w, node, floats, big) {
  if (!isPlain(node)) throw invalid(`a node to be created is ${describe(node)}: give an object`);
  for (const member in node) {
    if (!hasOwn.call(node, member)) continue;
    if (member !== 'key' && member !== 'props' && member !== 'labels' && member !== 'id') {
      throw invalid(`a node to be created has no ${member}: give id, key, labels and props, each if it has one`);
    }
  }
  w.begins();
  const { id, key, labels, props } = node;
  const chosen = id !== undefined && id !== null;
  w.bool(chosen);
  if (chosen) answeredIdTo(w, id, 'a node id', big);
  w.optionalText(key, 'key');
  w.labels(labels);
  w.props(props, floats);
}

function edgeTo(w, edge, floats) {
  w.begins();
  w.edgeKey(edge);
  w.props(edge.props, floats);
}

const writes = {
  createNode(node, options) {
    const described = node === undefined || node === null ? {} : typeof node === 'string' ? { key: node } : node;
    const big = bigOf(this, options);
    const r = write(
      this,
      'create_node',
      (w) => {
        w.bool(big);
        newNodeTo(w, described, this[FLOATS], big);
      },
      big,
    );
    return r.u64();
  },

  createNodesBatch(nodes, options) {
    const list = arrayOf(nodes, 'nodes');
    const big = bigOf(this, options);
    const r = write(
      this,
      'create_nodes',
      (w) => {
        w.bool(big);
        // As many as are told: code of the caller may run meanwhile, and change how many there are.
        const { length } = list;
        w.u32(length);
        for (let nth = 0; nth < length; nth++) {
          const node = list[nth];
          newNodeTo(w, typeof node === 'string' ? { key: node } : node, this[FLOATS], big);
        }
      },
      big,
    );
    return r.list(r.u64);
  },

  deleteNode(id) {
    write(this, 'delete_node', (w) => w.id(id));
  },

  addNodeLabel(id, label) {
    return write(this, 'add_node_label', (w) => {
      w.id(id);
      w.text(label, 'label');
    }).bool();
  },

  removeNodeLabel(id, label) {
    return write(this, 'remove_node_label', (w) => {
      w.id(id);
      w.text(label, 'label');
    }).bool();
  },

  setNodeProp(id, name, value) {
    write(this, 'set_node_prop', (w) => {
      w.id(id);
      w.text(name, 'the name of a property');
      w.value(value, name, this[FLOATS]);
    });
  },

  deleteNodeProp(id, name) {
    return write(this, 'delete_node_prop', (w) => {
      w.id(id);
      w.text(name, 'the name of a property');
    }).bool();
  },

  setNodeVector(id, name, vector) {
    write(this, 'set_node_vector', (w) => {
      w.id(id);
      w.text(name, 'the name of a property');
      w.vector(vector, 'the vector');
    });
  },

  deleteNodeVector(id, name) {
    return write(this, 'delete_node_vector', (w) => {
      w.id(id);
      w.text(name, 'the name of a property');
    }).bool();
  },

  addEdge(src, type, dst, props) {
    write(this, 'add_edge', (w) => {
      endsTo(w, src, type, dst);
      w.props(props, this[FLOATS]);
    });
  },

  addParallelEdge(src, type, dst, props) {
    const r = write(this, 'add_parallel_edge', (w) => {
      w.bool(this[BIG]);
      answeredIdTo(w, src, 'src', this[BIG]);
      w.text(type, 'type');
      answeredIdTo(w, dst, 'dst', this[BIG]);
      w.props(props, this[FLOATS]);
    });
    return r.edgeKey();
  },

  addEdgeByKey(edge, props) {
    write(this, 'add_edge_by_key', (w) => {
      w.edgeKey(edge);
      w.props(props, this[FLOATS]);
    });
  },

  addEdgesBatch(edges) {
    const list = arrayOf(edges, 'edges');
    write(this, 'add_edges', (w) => {
      const { length } = list;
      w.u32(length);
      for (let nth = 0; nth < length; nth++) edgeTo(w, list[nth], this[FLOATS]);
    });
  },

  deleteEdge(src, type, dst) {
    write(this, 'delete_edge', (w) => endsTo(w, src, type, dst));
  },

  deleteEdgeByKey(edge) {
    write(this, 'delete_edge_by_key', (w) => w.edgeKey(edge));
  },

  deleteEdgesBetween(src, type, dst) {
    return write(this, 'delete_edges_between', (w) => endsTo(w, src, type, dst)).u64();
  },

  setEdgeProp(src, type, dst, name, value) {
    write(this, 'set_edge_prop', (w) => {
      endsTo(w, src, type, dst);
      w.text(name, 'the name of a property');
      w.value(value, name, this[FLOATS]);
    });
  },

  setEdgePropByKey(edge, name, value) {
    write(this, 'set_edge_prop_by_key', (w) => {
      w.edgeKey(edge);
      w.text(name, 'the name of a property');
      w.value(value, name, this[FLOATS]);
    });
  },

  deleteEdgeProp(src, type, dst, name) {
    return write(this, 'delete_edge_prop', (w) => {
      endsTo(w, src, type, dst);
      w.text(name, 'the name of a property');
    }).bool();
  },

  deleteEdgePropByKey(edge, name) {
    return write(this, 'delete_edge_prop_by_key', (w) => {
      w.edgeKey(edge);
      w.text(name, 'the name of a property');
    }).bool();
  },

  upsertNode(key, props, options) {
    const big = bigOf(this, options);
    const r = write(
      this,
      'upsert_node',
      (w) => {
        w.bool(big);
        w.text(key, 'key');
        w.props(props, this[FLOATS]);
      },
      big,
    );
    return { id: r.u64(), created: r.bool() };
  },

  upsertNodeById(id, props) {
    return write(this, 'upsert_node_by_id', (w) => {
      w.id(id);
      w.props(props, this[FLOATS]);
    }).bool();
  },

  upsertEdge(src, type, dst, props) {
    return write(this, 'upsert_edge', (w) => {
      endsTo(w, src, type, dst);
      w.props(props, this[FLOATS]);
    }).bool();
  },
};

function arrayOf(items, what) {
  if (!Array.isArray(items)) throw invalid(`${what} are ${describe(items)}: give an array`);
  return items;
}

function install(prototype, methods) {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  }
}

module.exports = { install, writes };
