export * from '../../dist/esm/replication_transport.js'
