// An application that a bundler makes one file of. The package stays outside of it: it loads an addon.
import { AllTypes, Database } from '@kitedb/core';
import { createReplicationAdminAuthorizer } from '@kitedb/core/replication';

const db = Database.inMemory();
const [ada, charles] = db.createNodesBatch(['ada', { key: 'charles', labels: ['Person'] }]);
db.addEdge(ada, 'KNOWS', charles, { since: 1833 });
createReplicationAdminAuthorizer({ mode: 'none' })({ headers: {} });
console.log([...db.outNeighbors(ada, AllTypes)].map((friend) => friend.key).join());
db.close();
