// KiteDB, by the package that this folder lies in.

import { join } from 'node:path';
import { Database, version } from '../index.mjs';
import { TYPE, keyOf, nodeOf } from './graph.mjs';

const THREE = ['name', 'age', 'score'];
const ONE = ['name'];

export default {
  name: 'KiteDB',
  version: () => version(),

  reads(dir, graph) {
    const db = Database.open(join(dir, 'reads.kitedb'), { syncMode: 'off' });
    const ids = db.transaction((tx) => {
      const ids = tx.createNodesBatch(graph.nodes.map((node) => ({ ...node, labels: ['Person'] })));
      tx.addEdgesBatch(graph.edges.map(([src, dst]) => ({ src: ids[src], type: TYPE, dst: ids[dst] })));
      return ids;
    });
    db.compact();
    return {
      byKey(numbers) {
        let sum = 0;
        for (const n of numbers) {
          const { props } = db.nodeWithKey(keyOf(n), { select: THREE });
          sum += props.name.length + props.age + props.score;
        }
        return sum;
      },
      neighbors(numbers) {
        let sum = 0;
        for (const n of numbers) {
          for (const { id, props } of db.outNeighbors(ids[n], TYPE, { select: ONE })) sum += (id > 0) + props.name.length;
        }
        return sum;
      },
      twoHops(numbers) {
        let sum = 0;
        for (const n of numbers) {
          for (const friend of db.neighborIds(ids[n], 'out', TYPE)) {
            for (const other of db.neighborIds(friend, 'out', TYPE)) sum += other > 0 ? 1 : 0;
          }
        }
        return sum;
      },
      close: () => db.close(),
    };
  },

  writes(dir, syncMode) {
    const db = Database.open(join(dir, `writes-${syncMode}.kitedb`), { syncMode });
    let made = 0;
    return {
      commits(count) {
        for (let left = count; left > 0; left--) db.createNode(nodeOf(made, `new${made++}`, 3));
      },
      async commitsAwaited(count) {
        const promises = [];
        for (let left = count; left > 0; left--) {
          const tx = db.begin();
          tx.createNode(nodeOf(made, `new${made++}`, 3));
          promises.push(tx.commitAsync());
        }
        await Promise.all(promises);
      },
      batches(count) {
        for (let left = count; left > 0; left--) {
          const nodes = [];
          for (let nth = 0; nth < 1000; nth++) nodes.push(nodeOf(made, `new${made++}`));
          db.createNodesBatch(nodes);
        }
      },
      close: () => db.close(),
    };
  },
};
