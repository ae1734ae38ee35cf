import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { type IncomingMessage, type Server, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { serve } from '@hono/node-server'
import type { Database } from '@kitedb/core'
import {
  type ReplicationAdminAuthorizer,
  type ReplicationLogTransportPage,
  createReplicationAdminAuthorizer,
  decodeReplicationFrames,
  parseReplicationLogTransport,
  parseReplicationSnapshotTransport,
  replicationFrameBytes,
  replicationSnapshotBytes,
} from '@kitedb/core/replication'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import {
  type HonoOnNode,
  type ReplicationHandler,
  expressReplication,
  fastifyReplication,
  honoReplication,
  replicationHandler,
} from '../build/templates/replication_adapter_generic_middleware.js'
import { type Answer, type Asked, ask } from './http.js'
import { imagesOf, opened, primary, scratch } from './scratch.js'

const TOKEN = { authorization: 'Bearer t-0-k-e-n' }
const guarded = createReplicationAdminAuthorizer({ mode: 'token', token: 't-0-k-e-n' })

/** How each framework serves a handler: the server's address. */
const frameworks: Record<string, (t: TestContext, handler: ReplicationHandler) => Promise<string>> = {
  express: async (t, handler) => listening(t, createServer(express().use('/replication', expressReplication(handler)))),
  'express that parses all bodies': async (t, handler) => {
    const app = express().set('env', 'test').use(express.json()).use('/replication', expressReplication(handler))
    return listening(t, createServer(app))
  },
  fastify: async (t, handler) => {
    const app = fastify()
    await app.register(fastifyReplication(handler), { prefix: '/replication' })
    t.after(() => app.close())
    return app.listen({ port: 0 })
  },
  hono: async (t, handler) => {
    const app = new Hono<HonoOnNode>()
    honoReplication(app, '/replication', handler)
    return new Promise((resolve) => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
        resolve(`http://127.0.0.1:${port}`),
      )
      t.after(() => server.close())
    })
  },
}

async function listening(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Asks, and is gone when the first byte comes. */
async function leaveEarly(url: string, headers: Record<string, string>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const asking = request(url, { headers, agent: false }, (response) => {
      response.once('data', () => {
        asking.destroy()
        resolve()
      })
    })
    asking.on('error', reject)
    asking.end()
  })
}

async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

for (const [name, start] of Object.entries(frameworks)) {
  const served = async (
    t: TestContext,
    db: Database,
    authorizer: ReplicationAdminAuthorizer<IncomingMessage> = guarded,
  ): Promise<((path: string, asked?: Asked) => Promise<Answer>) & { base: string }> => {
    const base = `${await start(t, replicationHandler(db, authorizer))}/replication`
    return Object.assign((path: string, asked?: Asked) => ask(`${base}${path}`, asked), { base })
  }

  test(`${name}: a primary is read by whom it admits`, async (t) => {
    const folder = scratch(t)
    const db = primary(t, folder, 5)
    const get = await served(t, db)
    const guardedRoutes = ['/metrics/prometheus', '/metrics/otel-json', '/transport/snapshot', '/transport/log']
    for (const path of guardedRoutes) {
      for (const headers of [{}, { authorization: 'Bearer other' }, { authorization: 'bearer t-0-k-e-n' }]) {
        const refused = await get(path, { headers })
        assert.equal(refused.status, 401, path)
        assert.match(String(refused.json['error']), /Unauthorized: .*mode 'token' not satisfied/)
        assert.equal(refused.headers['www-authenticate'], 'Bearer realm="kitedb replication"')
        assert.equal(refused.headers['cache-control'], 'no-store')
        assert.ok(!refused.text.includes('t-0-k-e-n'))
      }
      assert.equal((await get(path, { headers: TOKEN })).status, 200, path)
    }

    for (const authorization of [
      [TOKEN.authorization, 'Bearer other'],
      ['Bearer other', TOKEN.authorization],
      [TOKEN.authorization, TOKEN.authorization],
    ]) {
      assert.equal((await get('/transport/log', { headers: { authorization } })).status, 401)
    }

    const text = await get('/metrics/prometheus', { headers: TOKEN })
    assert.equal(text.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
    assert.match(text.text, /^kitedb_replication_auth_enabled\{.*\} 1$/m)
    assert.match(text.text, /^kitedb_replication_enabled\{role="primary",.*\} 1$/m)
    const otel = await get('/metrics/otel-json', { headers: TOKEN })
    assert.ok('resourceMetrics' in otel.json)

    const page = await get('/transport/log?maxFrames=2', { headers: TOKEN })
    assert.deepEqual([page.json['success'], page.json['frame_count'], page.json['eof']], [true, 2, false])
    assert.equal(parseReplicationLogTransport(page.text).frames.length, 2)
    const cursor = String(page.json['next_cursor'])
    const next = await get(`/transport/log?cursor=${encodeURIComponent(cursor)}&includePayload=no`, { headers: TOKEN })
    const frames = next.json['frames'] as { log_index: number; payload_base64: string | null }[]
    assert.deepEqual(
      frames.map((frame) => [frame.log_index, frame.payload_base64]),
      [
        [3, null],
        [4, null],
        [5, null],
      ],
    )
    for (const [query, count] of [
      ['maxFrames=0', 1],
      ['maxFrames=-10', 1],
      ['maxFrames=2.9', 2],
      ['maxFrames=many', 5],
      ['maxFrames=', 5],
      ['maxFrames=1e99', 5],
      ['maxBytes=99999999999', 5],
      ['cursor=%20', 5],
    ] as const) {
      const bounded = await get(`/transport/log?${query}`, { headers: TOKEN })
      assert.equal(bounded.json['frame_count'], count, query)
    }
    const bad = await get('/transport/log?cursor=bad-cursor', { headers: TOKEN })
    assert.deepEqual([bad.status, bad.json['success'], bad.json['code']], [400, false, 'INVALID_CURSOR'])

    const snapshot = await get('/transport/snapshot?includeData=true', { headers: TOKEN })
    const told = parseReplicationSnapshotTransport(JSON.stringify(snapshot.json['snapshot']))
    writeFileSync(join(folder, 'copy.kitedb'), replicationSnapshotBytes(told))
    assert.equal(opened(t, join(folder, 'copy.kitedb')).digest(), db.digest())
    const brief = await get('/transport/snapshot', { headers: TOKEN })
    assert.equal((brief.json['snapshot'] as { data_base64: unknown }).data_base64, null)
  })

  test(`${name}: large answers come as bytes where they are asked for`, async (t) => {
    const folder = scratch(t)
    const db = primary(t, folder, 4)
    const images = imagesOf(t, db)
    const get = await served(t, db)
    const headers = { ...TOKEN, accept: 'application/octet-stream' }
    const page = await get('/transport/log?maxFrames=3', { headers })
    assert.equal(page.headers['content-type'], 'application/octet-stream')
    const about = JSON.parse(String(page.headers['x-kitedb-page'])) as ReplicationLogTransportPage
    assert.deepEqual([about.frame_count, about.eof], [3, false])
    const text = parseReplicationLogTransport((await get('/transport/log?maxFrames=3', { headers: TOKEN })).text)
    assert.deepEqual(decodeReplicationFrames(new Uint8Array(page.bytes)), text.frames.map(replicationFrameBytes))
    const snapshot = await get('/transport/snapshot', { headers })
    const told = JSON.parse(String(snapshot.headers['x-kitedb-snapshot'])) as { byte_length: number; digest: string }
    assert.deepEqual(
      [snapshot.bytes.length, snapshot.headers['content-length']],
      [told.byte_length, String(told.byte_length)],
    )
    writeFileSync(join(folder, 'copy.kitedb'), snapshot.bytes)
    assert.equal(opened(t, join(folder, 'copy.kitedb')).digest(), told.digest)
    assert.deepEqual([images.handedOut.length, images.areHeld()], [1, false])
    // Who leaves before the end leaves nothing behind; the image is larger than what waits on its way to him.
    const filling = 'x'.repeat(64 << 10)
    db.transaction((tx) => {
      for (let n = 0; n < 300; n++) tx.createNode({ props: { filling } })
    })
    await leaveEarly(`${get.base}/transport/snapshot`, headers)
    assert.equal(images.handedOut.length, 2)
    await eventually(() => !images.areHeld())
    assert.equal((await get('/transport/snapshot', { headers: { accept: 'application/octet-stream' } })).status, 401)
  })

  test(`${name}: the status is open, and shows paths to whom it admits`, async (t) => {
    const folder = scratch(t)
    const get = await served(t, primary(t, folder, 3))
    const open = await get('/status')
    assert.equal(open.status, 200)
    assert.deepEqual([open.json['connected'], open.json['authEnabled'], open.json['role']], [true, true, 'primary'])
    assert.equal((open.json['primary'] as { headLogIndex: number }).headLogIndex, 3)
    assert.equal(open.json['replica'], null)
    assert.ok(!open.text.includes(folder), open.text)
    const admitted = await get('/status', { headers: TOKEN })
    assert.ok(admitted.text.includes(folder), admitted.text)
  })

  test(`${name}: a replica pulls, reseeds, and does not promote`, async (t) => {
    const folder = scratch(t)
    const source = primary(t, folder, 3)
    const replica = opened(t, join(folder, 'replica.kitedb'), {
      replicationRole: 'replica',
      replicationSourceDbPath: join(folder, 'primary.kitedb'),
    })
    replica.replicaBootstrapFromSnapshot()
    const send = await served(t, replica)
    for (const path of ['/pull', '/reseed', '/promote']) {
      assert.equal((await send(path, { method: 'POST' })).status, 401, path)
      // The body of somebody who is not admitted is not even looked at.
      const headers = { 'content-type': 'application/json' }
      const refused = await send(path, { method: 'POST', headers, body: '{"maxFrames":' })
      assert.equal(refused.status, name.includes('parses all') ? 400 : 401, path)
    }
    for (let n = 0; n < 4; n++) source.createNode(`later ${n}`)
    const headers = { ...TOKEN, 'content-type': 'application/json' }
    const one = await send('/pull', { method: 'POST', headers, body: '{"maxFrames":1}' })
    assert.deepEqual(
      [one.status, one.json['success'], one.json['appliedFrames'], one.json['role']],
      [200, true, 1, 'replica'],
    )
    // As curl sends it, with nothing.
    const rest = await send('/pull', { method: 'POST', headers: TOKEN })
    assert.equal(rest.json['appliedFrames'], 3)
    assert.equal((rest.json['replica'] as { appliedLogIndex: number }).appliedLogIndex, 7)
    assert.equal(replica.digest(), source.digest())
    assert.equal((await send('/pull', { method: 'POST', headers, body: '{}' })).json['appliedFrames'], 0)
    for (const body of ['{"maxFrames":"9"}', '{"maxFrames":true}', '[]', '{"maxFrames":']) {
      // An application that parses all bodies has its own answer to what is no JSON.
      const status = name.includes('parses all') && body.endsWith(':') ? 400 : 422
      assert.equal((await send('/pull', { method: 'POST', headers, body })).status, status, body)
    }
    const reseeded = await send('/reseed', { method: 'POST', headers: TOKEN })
    assert.deepEqual([reseeded.status, reseeded.json['success'], reseeded.json['role']], [200, true, 'replica'])
    assert.deepEqual((reseeded.json['replica'] as { needsReseed: boolean }).needsReseed, false)
    const promoted = await send('/promote', { method: 'POST', headers: TOKEN })
    assert.deepEqual([promoted.status, promoted.json['code']], [409, 'NOT_PRIMARY'])
  })

  test(`${name}: a primary promotes, and is no replica`, async (t) => {
    const db = primary(t, scratch(t), 2)
    const send = await served(t, db)
    const promoted = await send('/promote', { method: 'POST', headers: TOKEN })
    assert.deepEqual([promoted.status, promoted.json['epoch'], promoted.json['role']], [200, 2, 'primary'])
    assert.equal(db.primaryReplicationStatus()?.epoch, 2)
    const reseed = await send('/reseed', { method: 'POST', headers: TOKEN })
    assert.deepEqual([reseed.status, reseed.json['success']], [409, false])
    assert.match(String(reseed.json['error']), /replica role/)
  })

  test(`${name}: what is not there is not found, and a page in a browser does nothing`, async (t) => {
    const db = primary(t, scratch(t), 1)
    const send = await served(t, db)
    for (const path of [
      '/nothing',
      '/',
      '/status/',
      '/status/x',
      '//status',
      '/__proto__',
      '/transport',
      '/GET',
      '/%2e%2e/x',
    ]) {
      assert.equal((await send(path, { headers: TOKEN })).status, 404, path)
    }
    const wrong = await send('/promote', { headers: TOKEN })
    assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'POST'])
    assert.equal((await send('/status', { method: 'DELETE' })).status, 405)
    for (const from of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'null' }]) {
      assert.equal((await send('/promote', { method: 'POST', headers: { ...TOKEN, ...from } })).status, 403)
    }
    assert.equal(db.primaryReplicationStatus()?.epoch, 1)
    // A body without an end is cut off.
    const body = Buffer.alloc(3 << 20, ' ')
    const large = await send('/pull', {
      method: 'POST',
      headers: { ...TOKEN, 'content-type': 'application/json' },
      body,
    }).catch(() => null)
    assert.ok(large === null || large.status === 413, `${large?.status}`)
    assert.equal((await send('/status')).status, 200)
  })

  test(`${name}: a certificate header counts from a proxy only`, async (t) => {
    const db = primary(t, scratch(t), 1)
    const headers = { 'x-forwarded-client-cert': 'CN=admin,O=KiteDB' }
    const config = { mode: 'mtls', mtlsSubjectRegex: /CN=admin/g } as const
    const unsaid = await served(t, db, createReplicationAdminAuthorizer(config))
    const trusting = await served(t, db, createReplicationAdminAuthorizer({ ...config, trustedProxies: ['loopback'] }))
    const distant = await served(t, db, createReplicationAdminAuthorizer({ ...config, trustedProxies: ['10.0.0.0/8'] }))
    for (let round = 0; round < 3; round++) {
      assert.equal((await trusting('/metrics/prometheus', { headers })).status, 200)
      assert.equal((await distant('/metrics/prometheus', { headers })).status, 401)
      // Asked from this machine.
      assert.equal((await unsaid('/metrics/prometheus', { headers })).status, 200)
    }
    const spoofed = { ...headers, 'x-forwarded-for': '10.0.0.1', forwarded: 'for=10.0.0.1', 'x-real-ip': '10.0.0.1' }
    assert.equal((await distant('/metrics/prometheus', { headers: spoofed })).status, 401)
    const other = { 'x-forwarded-client-cert': 'CN=administrator' }
    assert.equal((await trusting('/metrics/prometheus', { headers: other })).status, 403)
    // Twice: a client's own beside the proxy's, whichever comes first.
    const twice = { 'x-forwarded-client-cert': ['CN=admin', 'O=KiteDB'] }
    assert.equal((await trusting('/metrics/prometheus', { headers: twice })).status, 401)
    assert.equal((await trusting('/metrics/prometheus')).status, 401)
  })

  test(`${name}: without authorization the metrics say so, and what fails inside is not told`, async (t) => {
    const db = primary(t, scratch(t), 1)
    const get = await served(t, db, createReplicationAdminAuthorizer({ mode: 'none' }))
    assert.match((await get('/metrics/prometheus')).text, /^kitedb_replication_auth_enabled\{.*\} 0$/m)
    const said: unknown[] = []
    t.mock.method(console, 'error', (error: unknown) => said.push(error))
    const broken = await served(
      t,
      db,
      createReplicationAdminAuthorizer({
        mode: 'mtls',
        mtlsMatcher: () => {
          throw new Error('inside')
        },
      }),
    )
    const failed = await broken('/metrics/prometheus')
    const nothingTold = { success: false, error: 'internal error', code: 'INTERNAL', kind: 'bug' }
    assert.deepEqual([failed.status, failed.json], [500, nothingTold])
    assert.equal(said.length, 1)
  })
}

test('hono: a request of fetch that no connection of Node stands behind is not believed', async (t) => {
  const app = new Hono<HonoOnNode>()
  const authorizer = createReplicationAdminAuthorizer({ mode: 'mtls' })
  honoReplication(app, '/replication', replicationHandler(primary(t, scratch(t), 1), authorizer))
  app.onError((_, c) => c.text('refused', 500))
  const headers = { 'x-forwarded-client-cert': 'CN=admin' }
  const url = 'http://localhost/replication/metrics/prometheus'
  assert.equal((await app.fetch(new Request(url, { headers }))).status, 500)
  for (const [remoteAddress, status] of [
    ['127.0.0.1', 200],
    ['10.0.0.8', 401],
    [undefined, 401],
  ] as const) {
    const incoming = { headers, method: 'GET', url, socket: { remoteAddress } } as unknown as IncomingMessage
    assert.equal((await app.fetch(new Request(url, { headers }), { incoming })).status, status, remoteAddress)
  }
})
