/**
 * A template: a Node process behind a proxy that ends TLS, verifies certificates of clients, and tells of them by headers. The
 * routes are those of `replication_adapter_generic_middleware.ts`, under `/replication`: copy both files.
 *
 *     npm install express
 *     KITEDB_PATH=social.kitedb REPLICATION_ADMIN_AUTH_MODE=mtls REPLICATION_TRUSTED_PROXIES=10.0.0.7 \
 *       node replication_adapter_node_proxy_forwarded.js
 *
 * The proxy must set both headers on every request, whatever the client sent. In nginx:
 *
 *     ssl_verify_client optional;
 *     proxy_set_header X-Client-Verify $ssl_client_verify;
 *     proxy_set_header X-Forwarded-Client-Cert $ssl_client_s_dn;
 *
 * | variable | |
 * |---|---|
 * | `KITEDB_PATH`, `KITEDB_REPLICATION_SIDECAR` | the database; what it is, a primary or a replica, its file says |
 * | `KITEDB_REPLICATION_ROLE` | for a file that is made now |
 * | `REPLICATION_…` | whom to admit: see `adminAuthFrom`; `REPLICATION_TRUSTED_PROXIES` must be given |
 * | `REPLICATION_MTLS_VERIFY_HEADER` | by what the proxy says that it verified: `x-client-verify` |
 * | `HOST`, `PORT` | where to listen: `127.0.0.1`, `8081` |
 */
import { createServer } from 'node:http'
import { Database } from '@kitedb/core'
import { createForwardedTlsMtlsMatcher, createReplicationAdminAuthorizer } from '@kitedb/core/replication'
import express from 'express'
import {
  adminAuthFrom,
  expressReplication,
  listenAndServe,
  replicationHandler,
} from './replication_adapter_generic_middleware.js'

const env = process.env

const { mode, token, mtlsHeader, mtlsSubjectRegex, trustedProxies } = adminAuthFrom(env, false)
if (trustedProxies === undefined) throw new Error('REPLICATION_TRUSTED_PROXIES must name the proxy')
const authorizer = createReplicationAdminAuthorizer({
  mode,
  token,
  mtlsMatcher: createForwardedTlsMtlsMatcher({
    trustedProxies,
    requirePeerCertificate: true,
    // One name each: under another one, the proxy would pass on what a client made up.
    verifyHeaders: [env['REPLICATION_MTLS_VERIFY_HEADER'] || 'x-client-verify'],
    certHeaders: [mtlsHeader ?? 'x-forwarded-client-cert'],
    subjectRegex: mtlsSubjectRegex,
  }),
})

if (!env['KITEDB_PATH']) throw new Error('KITEDB_PATH must name the database')
const db = Database.open(env['KITEDB_PATH'], {
  // What is no role, the database refuses.
  replicationRole: (env['KITEDB_REPLICATION_ROLE'] || null) as 'primary' | 'replica' | null,
  replicationSidecarPath: env['KITEDB_REPLICATION_SIDECAR'] || null,
})

const app = express()
app.disable('x-powered-by')
app.use('/replication', expressReplication(replicationHandler(db, authorizer)))
listenAndServe(createServer(app), db, env, 8081)
