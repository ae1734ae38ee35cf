import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { scratch } from './scratch.js'

const root = new URL('../../../', import.meta.url).pathname

/** A project that has the package as it is packed, the database that it asks, and nothing else: no types of Node either. */
function project(t: TestContext): string {
  const folder = scratch(t)
  const installed = join(folder, 'node_modules/kitedb-replication-transport')
  mkdirSync(installed, { recursive: true })
  cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true })
  const core = join(folder, 'node_modules/@kitedb/core')
  for (const part of ['package.json', 'dist'])
    cpSync(join(root, 'test/core', part), join(core, part), { recursive: true })
  return folder
}

const NAMES = [
  'ReplicationAdminAuthError',
  'ReplicationAdminConfigError',
  'ReplicationTransportError',
  'ReplicationTransportGapError',
  'authorizeReplicationAdminRequest',
  'bindReplicationTransport',
  'createForwardedTlsMtlsMatcher',
  'createNodeTlsMtlsMatcher',
  'createReplicationAdminAuthorizer',
  'createReplicationTransportAdapter',
  'decodeReplicationFrames',
  'encodeReplicationFrames',
  'isForwardedTlsClientAuthorized',
  'isNodeTlsClientAuthorized',
  'isReplicationAdminAuthorized',
  'parseReplicationLogTransport',
  'parseReplicationSnapshotTransport',
  'readReplicationLogTransport',
  'readReplicationSnapshotTransport',
  'replicationFrameBytes',
  'replicationSnapshotBytes',
]

test('it is imported and required, under the same names', (t) => {
  const folder = project(t)
  const use = `
    const authorizer = it.createReplicationAdminAuthorizer({ mode: 'token', token: 'x' })
    authorizer({ headers: { authorization: 'Bearer x' } })
    console.log(JSON.stringify(Object.keys(it).sort()))`
  writeFileSync(join(folder, 'a.mjs'), `import * as it from 'kitedb-replication-transport'${use}`)
  writeFileSync(join(folder, 'a.cjs'), `const it = require('kitedb-replication-transport')${use}`)
  for (const script of ['a.mjs', 'a.cjs']) {
    const said = execFileSync(process.execPath, [script], { cwd: folder }).toString()
    assert.deepEqual(JSON.parse(said), NAMES, script)
  }
})

test('its types are strict, complete, and need none of Node', (t) => {
  const folder = project(t)
  const source = `
import type { Database } from '@kitedb/core'
import { createReplicationTransportAdapter, createForwardedTlsMtlsMatcher, createNodeTlsMtlsMatcher, createReplicationAdminAuthorizer } from 'kitedb-replication-transport'
import type {
  ReplicationAdminAuthConfig, ReplicationAdminAuthMode, ReplicationAdminAuthRequest, ReplicationForwardedMtlsMatcherOptions,
  ReplicationLogTransportFrame, ReplicationLogTransportOptions, ReplicationLogTransportPage, ReplicationNodeMtlsMatcherOptions,
  ReplicationNodeTlsLikeRequest, ReplicationNodeTlsLikeSocket, ReplicationSnapshotTransport, ReplicationTransportAdapter,
} from 'kitedb-replication-transport'

const authorizer = createReplicationAdminAuthorizer({ mode: 'mtls', mtlsMatcher: createNodeTlsMtlsMatcher() })
export const adapter = (db: Database): ReplicationTransportAdapter => createReplicationTransportAdapter(db, { authEnabled: authorizer })
export const next = (page: ReplicationLogTransportPage): string | null => page.gap === null ? page.next_cursor : page.gap.reason
authorizer({ socket: { authorized: true } } satisfies ReplicationNodeTlsLikeRequest)
const mode: ReplicationAdminAuthMode = authorizer.mode
export const config: ReplicationAdminAuthConfig = { mode, mtlsMatcher: createForwardedTlsMtlsMatcher({ trustedProxies: ['::1'] }) }
export type All = [ReplicationAdminAuthRequest, ReplicationForwardedMtlsMatcherOptions, ReplicationLogTransportFrame,
  ReplicationLogTransportOptions, ReplicationNodeMtlsMatcherOptions, ReplicationNodeTlsLikeSocket, ReplicationSnapshotTransport]
// @ts-expect-error there is no such mode
createReplicationAdminAuthorizer({ mode: 'tokens' })
// @ts-expect-error a misspelt option
createReplicationAdminAuthorizer({ mode: 'token', tokens: 'x' })
// @ts-expect-error a matcher answers at once
createReplicationAdminAuthorizer({ mode: 'mtls', mtlsMatcher: async () => true })
// @ts-expect-error another kind of database
createReplicationTransportAdapter({})
createForwardedTlsMtlsMatcher()({ headers: {} })
`
  for (const file of ['a.mts', 'a.cts']) writeFileSync(join(folder, file), source)
  const options = {
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
    lib: ['ES2022'],
    module: 'nodenext',
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['a.mts', 'a.cts'] }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  try {
    execFileSync(process.execPath, [tsc, '-p', folder], { stdio: 'pipe' })
  } catch (error) {
    assert.fail(String((error as { stdout: Buffer }).stdout))
  }
})

test('it asks for nothing but the language, and for the database in one place', () => {
  const files = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(js|d\.ts)$/.test(name),
  )
  assert.ok(files.length > 40, `${files.length}`)
  for (const file of files) {
    const text = readFileSync(join(root, 'dist', file), 'utf8')
    const asked = [...text.matchAll(/(?:from |require\(|import\()["']([^"']+)["']/g)].map(([, name = '']) => name)
    for (const name of asked) {
      const known =
        /^\.\.?\//.test(name) || (name === '@kitedb/core' && /^(esm|cjs)\/replication_transport\./.test(file))
      assert.ok(known, `${file} asks for ${name}`)
    }
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*|'[^'\n]*'|`[^`]*`|"[^"\n]*"/g, '')
    assert.ok(!(file.endsWith('.d.ts') ? /\bany\b/ : /\b(?:Buffer|process|globalThis|setTimeout)\b/).test(code), file)
  }
})
