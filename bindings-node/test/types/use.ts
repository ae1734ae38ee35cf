// What a user writes, as the compiler sees it. It is not run.

import kitedb = require('@kitedb/core');
import { AllTypes, Database, KiteDbError, type Node, type TokenWait, type Value } from '@kitedb/core';

const db = Database.open('a.kitedb', { syncMode: 'normal', floatProperties: ['price'] });
const big = Database.open('a.kitedb', { integers: 'bigint' });

const ada: number = db.transaction((tx) => tx.createNode({ key: 'ada', labels: ['Person'], props: { born: 1815, tags: ['a'] } }));
// What returns nothing may do so.
db.transaction((tx) => {
  tx.setNodeProp(ada, 'born', 1816);
});
const mary: bigint = big.createNode('mary');
const node: Node<number> | null = db.node(ada, { select: ['born'] });
const bigNode: Node<bigint> | null = db.node(ada, { integers: 'bigint' });
const value: Value | undefined = node?.props['born'];
const ids: bigint[] = big.neighborIds(mary, 'out', AllTypes);
for (const friend of db.outNeighbors(ada, 'KNOWS')) friend.labels.map((label) => label.length);
const unlike: bigint[] = kitedb.compareDeep(db, big).differences.flatMap(({ element }) => (element.kind === 'node' ? [element.id] : []));
const alike: number = kitedb.compare(db, db).differenceCount;
const greatest: bigint = kitedb.collectMetrics(db, { integers: 'bigint' }).data.maxNodeId;

// @ts-expect-error A function that returns a promise commits too early.
db.transaction(async (tx) => tx.createNode('late'));
// @ts-expect-error Undefined is no value.
db.setNodeProp(ada, 'born', undefined);
// @ts-expect-error No such option.
Database.open('a.kitedb', { syncmode: 'full' });
// @ts-expect-error Which edges is always said.
db.outDegree(ada);
// @ts-expect-error A transaction is begun, not made.
new kitedb.Transaction();
// @ts-expect-error Ids of such a handle are bigint.
const wrong: number = big.createNode('x');

async function replication(): Promise<number | null> {
  const outcome: TokenWait = await db.waitForTokenOutcomeAsync('1:1', 1000, { signal: AbortSignal.timeout(10) });
  switch (outcome) {
    case 'reached':
    case 'timed_out':
    case 'epoch_changed':
    case 'needs_reseed':
      break;
    default: {
      const none: never = outcome;
      return none;
    }
  }
  const { replication } = kitedb.collectMetrics(db);
  if (replication.role === 'primary') return replication.primary?.headLogIndex ?? null;
  const role: 'replica' | 'disabled' = replication.role;
  return role.length;
}

try {
  using tx = db.begin();
  tx.commit();
} catch (error) {
  if (error instanceof KiteDbError && error.kind === 'retry_later') console.log(error.pid, error.code === 'LOCKED');
}

export { alike, bigNode, greatest, ids, replication, unlike, value, wrong };
