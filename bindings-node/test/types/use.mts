// The same package by `import`.

import { Database, float, open, type Snapshot } from '@kitedb/core';

await using db = await Database.openAsync('a.kitedb');
const snapshot: Snapshot = db.snapshot({ origin: 'GET /people' });
const token: string = await db.transactionAsync(
  async (tx) => {
    tx.setNodeProp(1, 'price', float(1));
    return snapshot.token;
  },
  { attempts: 3 },
);

export { open, token };
