/**
 * A template: a Node process that serves the administration of replication by Express, and ends TLS itself. The routes are those
 * of `replication_adapter_generic_middleware.ts`, under `/replication`: copy both files.
 *
 *     npm install express
 *     KITEDB_PATH=social.kitedb REPLICATION_ADMIN_TOKEN=… node replication_adapter_node_express.js
 *
 * | variable | |
 * |---|---|
 * | `KITEDB_PATH`, `KITEDB_REPLICATION_SIDECAR` | the database; what it is, a primary or a replica, its file says |
 * | `KITEDB_REPLICATION_ROLE` | for a file that is made now |
 * | `REPLICATION_…` | whom to admit: see `adminAuthFrom` |
 * | `PLAYGROUND_TLS_CERT_FILE`, `…_KEY_FILE` | both or neither: HTTPS |
 * | `PLAYGROUND_TLS_REQUEST_CERT` | `true`: clients are asked for a certificate, which counts in the modes with `mtls` |
 * | `PLAYGROUND_TLS_CA_FILE` | who signs those |
 * | `PLAYGROUND_TLS_REJECT_UNAUTHORIZED` | `false`: a client without one may connect, as with a token |
 * | `HOST`, `PORT` | where to listen: `127.0.0.1`, `8080` |
 */
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { Database } from '@kitedb/core'
import { createNodeTlsMtlsMatcher, createReplicationAdminAuthorizer } from '@kitedb/core/replication'
import express from 'express'
import {
  adminAuthFrom,
  expressReplication,
  listenAndServe,
  replicationHandler,
} from './replication_adapter_generic_middleware.js'

const env = process.env

function flagOf(name: string, fallback: boolean): boolean {
  const text = env[name]?.trim().toLowerCase() || String(fallback)
  if (['1', 'true', 'yes', 'on'].includes(text)) return true
  if (['0', 'false', 'no', 'off'].includes(text)) return false
  throw new Error(`${name} must be true or false`)
}

function fileOf(name: string): Buffer | undefined {
  return env[name] ? readFileSync(env[name]) : undefined
}

const [cert, key, ca] = ['CERT', 'KEY', 'CA'].map((what) => fileOf(`PLAYGROUND_TLS_${what}_FILE`))
if ((cert === undefined) !== (key === undefined)) {
  throw new Error('PLAYGROUND_TLS_CERT_FILE and PLAYGROUND_TLS_KEY_FILE must both be set')
}
const requestCert = flagOf('PLAYGROUND_TLS_REQUEST_CERT', false)
const rejectUnauthorized = flagOf('PLAYGROUND_TLS_REJECT_UNAUTHORIZED', true)
if (requestCert && cert === undefined) throw new Error('PLAYGROUND_TLS_REQUEST_CERT needs PLAYGROUND_TLS_CERT_FILE')

// With certificates of this process's own connections, the subject is that of the certificate, and no header counts.
const { mtlsSubjectRegex, ...auth } = adminAuthFrom(env, requestCert)
const authorizer = createReplicationAdminAuthorizer({
  ...auth,
  ...(requestCert
    ? { mtlsMatcher: createNodeTlsMtlsMatcher({ requirePeerCertificate: true, subjectRegex: mtlsSubjectRegex }) }
    : { mtlsSubjectRegex }),
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

const tls = { cert, key, ca, requestCert, rejectUnauthorized, minVersion: 'TLSv1.2' as const }
const server = cert === undefined ? createHttpServer(app) : createHttpsServer(tls, app)
listenAndServe(server, db, env, 8080)
