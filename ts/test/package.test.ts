import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { scratch } from './scratch.js'

const root = new URL('../../../', import.meta.url).pathname
const core = join(root, '../bindings-node')

/** A project that has the package as it is packed, and nothing else: no types of Node either. */
function project(t: TestContext): string {
  const folder = scratch(t)
  const installed = join(folder, 'node_modules/@kitedb/core')
  const { files } = JSON.parse(readFileSync(join(core, 'package.json'), 'utf8')) as { files: string[] }
  mkdirSync(installed, { recursive: true })
  for (const file of ['package.json', ...files]) cpSync(join(core, file), join(installed, file), { recursive: true })
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

/** Those that the package itself has, too. */
const AT_INDEX = NAMES.filter((name) => /^(authorize|create|is|read)/.test(name))

test('it is imported and required, under the same names, and some of them from the package', (t) => {
  const folder = project(t)
  const use = `
    const authorizer = it.createReplicationAdminAuthorizer({ mode: 'token', token: 'x' })
    authorizer({ headers: { authorization: 'Bearer x' } })
    const db = core.Database.inMemory()
    let refused
    try { it.createReplicationTransportAdapter(db).log() } catch (error) { refused = error instanceof core.KiteDbError && error.code }
    const same = Object.keys(it).filter((name) => it[name] === core[name]).sort()
    console.log(JSON.stringify({ names: Object.keys(it).sort(), same, refused }))`
  const [core, it] = ["'@kitedb/core'", "'@kitedb/core/replication'"]
  // Whichever comes first, and however the other one is loaded.
  const scripts = {
    'a.mjs': `import * as core from ${core}; import * as it from ${it}`,
    'b.mjs': `import * as it from ${it}; import * as core from ${core}`,
    'c.mjs': `import * as it from ${it}; import { createRequire } from 'node:module'
      const core = createRequire(import.meta.url)(${core})`,
    'a.cjs': `const core = require(${core}), it = require(${it})`,
    'b.cjs': `const it = require(${it}), core = require(${core})`,
  }
  for (const [script, load] of Object.entries(scripts)) {
    writeFileSync(join(folder, script), load + use)
    const said = JSON.parse(execFileSync(process.execPath, [script], { cwd: folder }).toString()) as object
    assert.deepEqual(said, { names: NAMES, same: AT_INDEX, refused: 'NOT_PRIMARY' }, script)
  }
})

test('its types are strict and complete', (t) => {
  const folder = project(t)
  const source = `
import type { Database } from '@kitedb/core'
import { createReplicationTransportAdapter, createForwardedTlsMtlsMatcher, createNodeTlsMtlsMatcher, createReplicationAdminAuthorizer } from '@kitedb/core/replication'
import type {
  ReplicationAdminAuthConfig, ReplicationAdminAuthMode, ReplicationAdminAuthRequest, ReplicationForwardedMtlsMatcherOptions,
  ReplicationLogTransportFrame, ReplicationLogTransportOptions, ReplicationLogTransportPage, ReplicationNodeMtlsMatcherOptions,
  ReplicationNodeTlsLikeRequest, ReplicationNodeTlsLikeSocket, ReplicationSnapshotTransport, ReplicationTransportAdapter,
} from '@kitedb/core/replication'
import * as index from '@kitedb/core'

// The same types, under the names of the runbook.
export const config0: index.ReplicationAdminAuthConfig = { mode: 'token', token: 'x' }
export const same: typeof createReplicationAdminAuthorizer = index.createReplicationAdminAuthorizer
export type Same = [index.ReplicationAdminAuthMode, index.ReplicationAdminAuthRequest, index.ReplicationForwardedMtlsMatcherOptions,
  index.ReplicationLogTransportFrame, index.ReplicationLogTransportOptions, index.ReplicationLogTransportPage,
  index.ReplicationNodeMtlsMatcherOptions, index.ReplicationNodeTlsLikeRequest, index.ReplicationNodeTlsLikeSocket,
  index.ReplicationSnapshotTransport, index.ReplicationTransportAdapter]

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
  const files = readdirSync(join(core, 'replication'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(js|d\.ts)$/.test(name),
  )
  assert.ok(files.length >= 38, `${files.length}`)
  for (const file of files) {
    const text = readFileSync(join(core, 'replication', file), 'utf8')
    const asked = [...text.matchAll(/(?:from |require\(|import\()["']([^"']+)["']/g)].map(([, name = '']) => name)
    for (const name of asked) {
      const known = /^\.\.?\//.test(name) || (name === '@kitedb/core' && /^replication_transport\./.test(file))
      assert.ok(known, `${file} asks for ${name}`)
    }
    const code = text.replace(/\/\*[^]*?\*\/|\/\/.*|'[^'\n]*'|`[^`]*`|"[^"\n]*"/g, '')
    assert.ok(!(file.endsWith('.d.ts') ? /\bany\b/ : /\b(?:Buffer|process|globalThis|setTimeout)\b/).test(code), file)
  }
})
