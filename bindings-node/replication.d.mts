export * from './replication/replication_transport.js';
