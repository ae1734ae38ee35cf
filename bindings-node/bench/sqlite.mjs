// SQLite, by better-sqlite3 and by Node's own module, with tables as one would make them for this graph.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyOf, nodeOf } from './graph.mjs';

const TABLES = `
  CREATE TABLE node (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT, age INTEGER, score REAL, city TEXT, active INTEGER);
  CREATE TABLE edge (src INTEGER NOT NULL, type INTEGER NOT NULL, dst INTEGER NOT NULL, PRIMARY KEY (src, type, dst)) WITHOUT ROWID;
`;
const INSERT_3 = 'INSERT INTO node (key, name, age, score) VALUES (?, ?, ?, ?)';
const INSERT_5 = 'INSERT INTO node (key, name, age, score, city, active) VALUES (?, ?, ?, ?, ?, ?)';

/** `open` opens a file, and gives what both modules call alike: `exec`, `prepare`. */
function engine(name, version, open) {
  const opened = (path, synchronous) => {
    const db = open(path);
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA cache_size = -262144; ${TABLES}`);
    return db;
  };
  const batch = (db, insert, nodes) => {
    db.exec('BEGIN');
    for (const { key, props } of nodes) insert.run(key, props.name, props.age, props.score, props.city, props.active ? 1 : 0);
    db.exec('COMMIT');
  };
  return {
    name,
    version,

    reads(dir, graph) {
      const db = opened(join(dir, `reads-${name}.sqlite`), 'OFF');
      batch(db, db.prepare(INSERT_5), graph.nodes);
      const edge = db.prepare('INSERT INTO edge (src, type, dst) VALUES (?, 1, ?)');
      db.exec('BEGIN');
      for (const [src, dst] of graph.edges) edge.run(src + 1, dst + 1);
      db.exec('COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)');
      const byKey = db.prepare('SELECT name, age, score FROM node WHERE key = ?');
      const neighbors = db.prepare('SELECT n.id, n.name FROM edge e JOIN node n ON n.id = e.dst WHERE e.src = ? AND e.type = 1');
      const twoHops = db.prepare(
        'SELECT b.dst FROM edge a JOIN edge b ON b.src = a.dst AND b.type = 1 WHERE a.src = ? AND a.type = 1',
      );
      return {
        byKey(numbers) {
          let sum = 0;
          for (const n of numbers) {
            const props = byKey.get(keyOf(n));
            sum += props.name.length + props.age + props.score;
          }
          return sum;
        },
        neighbors(numbers) {
          let sum = 0;
          for (const n of numbers) {
            for (const { id, name } of neighbors.all(n + 1)) sum += (id > 0) + name.length;
          }
          return sum;
        },
        twoHops(numbers) {
          let sum = 0;
          for (const n of numbers) {
            for (const { dst } of twoHops.all(n + 1)) sum += dst > 0 ? 1 : 0;
          }
          return sum;
        },
        close: () => db.close(),
      };
    },

    writes(dir, syncMode) {
      const db = opened(join(dir, `writes-${name}-${syncMode}.sqlite`), syncMode);
      const [one, five] = [db.prepare(INSERT_3), db.prepare(INSERT_5)];
      let made = 0;
      return {
        commits(count) {
          for (let left = count; left > 0; left--) {
            const { key, props } = nodeOf(made, `new${made++}`, 3);
            one.run(key, props.name, props.age, props.score);
          }
        },
        batches(count) {
          for (let left = count; left > 0; left--) {
            const nodes = [];
            for (let nth = 0; nth < 1000; nth++) nodes.push(nodeOf(made, `new${made++}`));
            batch(db, five, nodes);
          }
        },
        close: () => db.close(),
      };
    },
  };
}

/** Those that are there. */
export async function peers() {
  const found = [];
  try {
    const { default: Sqlite } = await import('better-sqlite3');
    new Sqlite(':memory:').close();
    const { version } = JSON.parse(readFileSync(new URL('node_modules/better-sqlite3/package.json', import.meta.url), 'utf8'));
    found.push(engine('better-sqlite3', () => version, (path) => new Sqlite(path)));
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'ERR_DLOPEN_FAILED') throw error;
    console.error(`without better-sqlite3, which is not installed for Node ${process.version}: npm ci in bench/ does that`);
  }
  const own = process.getBuiltinModule?.('node:sqlite');
  if (own !== undefined) found.push(engine('node:sqlite', () => process.version, (path) => new own.DatabaseSync(path)));
  return found;
}
