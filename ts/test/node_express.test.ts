import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { type TLSSocket, connect } from 'node:tls'
import { Database } from '@kitedb/core'
import { createNodeTlsMtlsMatcher } from '@kitedb/core/replication'
import { Authority, type Certificate } from './certificates.js'
import { type Asked, ask } from './http.js'
import { scratch } from './scratch.js'
import { Started, ended } from './template.js'

const TOKEN = 't-0-k-e-n'
const BEARER = { authorization: `Bearer ${TOKEN}` }
const folder = mkdtempSync(join(tmpdir(), 'kitedb-tls-'))
after(() => rmSync(folder, { recursive: true }))

let ours: Authority
let server: Certificate
const clients = {} as Record<'admin' | 'longer' | 'within' | 'joined' | 'stranger', Certificate>

before(() => {
  ours = new Authority(folder, 'ours')
  server = ours.sign('server', '/CN=localhost')
  clients.admin = ours.sign('admin', '/O=KiteDB/CN=replication-admin')
  clients.longer = ours.sign('longer', '/O=KiteDB/CN=replication-admin-assistant')
  clients.within = ours.sign('within', '/O=x,CN=replication-admin/CN=evil')
  clients.joined = ours.sign('joined', '/O=KiteDB/CN=replication-admin/CN=evil')
  clients.stranger = new Authority(folder, 'theirs').sign('stranger', '/O=KiteDB/CN=replication-admin')
})

function database(t: TestContext): string {
  const path = join(scratch(t), 'social.kitedb')
  const db = Database.open(path, { replicationRole: 'primary' })
  for (const key of ['ada', 'charles', 'mary']) db.createNode(key)
  db.close()
  return path
}

async function started(t: TestContext, env: Record<string, string>): Promise<Started> {
  return Started.start(t, 'node_express', { KITEDB_PATH: database(t), ...env })
}

const tlsEnv = (more: Record<string, string> = {}): Record<string, string> => ({
  PLAYGROUND_TLS_CERT_FILE: server.certFile,
  PLAYGROUND_TLS_KEY_FILE: server.keyFile,
  PLAYGROUND_TLS_CA_FILE: ours.certFile,
  PLAYGROUND_TLS_REQUEST_CERT: 'true',
  ...more,
})

/** The status, or that there was no connection. */
async function outcome(
  url: string,
  client?: Certificate,
  headers: Record<string, string> = {},
): Promise<number | 'no connection'> {
  const tls = { ca: ours.cert, ...(client && { cert: client.cert, key: client.key }) }
  const asked: Asked = { headers, ...(url.startsWith('https:') && { tls }) }
  return ask(url, asked).then(
    ({ status }) => status,
    () => 'no connection',
  )
}

test('with a token it serves all routes, and closes its database when it is ended', async (t) => {
  const path = database(t)
  const env = { KITEDB_PATH: path, REPLICATION_ADMIN_TOKEN: ` ${TOKEN} ` }
  const template = await Started.start(t, 'node_express', env)
  assert.match(template.url, /^http:\/\/127\.0\.0\.1:\d+\/replication$/)
  const status = await ask(`${template.url}/status`)
  assert.deepEqual([status.json['role'], status.json['authEnabled']], ['primary', true])
  assert.ok(!status.text.includes(path))
  assert.equal(status.headers['x-powered-by'], undefined)
  for (const route of ['metrics/prometheus', 'metrics/otel-json', 'transport/snapshot', 'transport/log']) {
    assert.equal(await outcome(`${template.url}/${route}`), 401, route)
    assert.equal(await outcome(`${template.url}/${route}`, undefined, BEARER), 200, route)
  }
  assert.match(
    (await ask(`${template.url}/metrics/prometheus`, { headers: BEARER })).text,
    /^kitedb_replication_auth_enabled\{.*\} 1$/m,
  )
  // Not even with a header that a proxy would set: none is trusted.
  const spoofed = { 'x-forwarded-client-cert': 'CN=replication-admin', 'x-client-verify': 'SUCCESS' }
  assert.equal(await outcome(`${template.url}/transport/log`, undefined, spoofed), 401)
  const promoted = await ask(`${template.url}/promote`, { method: 'POST', headers: BEARER })
  assert.deepEqual([promoted.status, promoted.json['epoch']], [200, 2])
  assert.equal(await template.end(), 0)
  assert.ok(!template.said().includes(TOKEN))
  const again = Database.open(path)
  t.after(() => again.close())
  assert.equal(again.primaryReplicationStatus()?.epoch, 2)
})

test('native mTLS admits by the certificate of the connection', async (t) => {
  const subject = { REPLICATION_ADMIN_AUTH_MODE: 'mtls', REPLICATION_MTLS_SUBJECT_REGEX: 'CN=replication-admin' }
  const strict = await started(t, tlsEnv(subject))
  assert.match(strict.url, /^https:/)
  const lenient = await started(t, tlsEnv({ ...subject, PLAYGROUND_TLS_REJECT_UNAUTHORIZED: 'false' }))
  const spoofed = { 'x-forwarded-client-cert': 'CN=replication-admin', 'x-client-verify': 'SUCCESS' }
  for (const [client, atStrict, atLenient] of [
    [clients.admin, 200, 200],
    [clients.longer, 403, 403],
    [clients.within, 403, 403],
    [clients.joined, 403, 403],
    [clients.stranger, 'no connection', 401],
    [undefined, 'no connection', 401],
  ] as const) {
    for (const headers of [{}, spoofed, BEARER]) {
      assert.equal(await outcome(`${strict.url}/transport/log`, client, headers), atStrict)
      assert.equal(await outcome(`${lenient.url}/transport/log`, client, headers), atLenient)
    }
  }
  // The status stays open to whom the handshake lets in.
  assert.equal(await outcome(`${lenient.url}/status`), 200)
})

test('the subject is matched as a whole where its pattern says so', async (t) => {
  const env = { REPLICATION_ADMIN_AUTH_MODE: 'mtls', REPLICATION_MTLS_SUBJECT_REGEX: '^CN=replication-admin,O=KiteDB$' }
  const template = await started(t, tlsEnv(env))
  assert.equal(await outcome(`${template.url}/transport/log`, clients.admin), 200)
  assert.equal(await outcome(`${template.url}/transport/log`, clients.longer), 403)
})

test('a session that is resumed is that of the same certificate', async (t) => {
  const env = { REPLICATION_ADMIN_AUTH_MODE: 'mtls', REPLICATION_MTLS_SUBJECT_REGEX: 'CN=replication-admin' }
  const template = await started(t, tlsEnv({ ...env, PLAYGROUND_TLS_REJECT_UNAUTHORIZED: 'false' }))
  const { port } = new URL(template.url)
  /** Asks over a connection, with the session of an earlier one: its answer and its own session. */
  const over = async (
    client: Certificate | undefined,
    session?: Buffer,
  ): Promise<{ answer: string; session: Buffer; resumed: boolean }> =>
    new Promise((resolve, reject) => {
      const identity = client && { cert: client.cert, key: client.key }
      const socket = connect({
        host: '127.0.0.1',
        port: Number(port),
        ca: ours.cert,
        ...identity,
        ...(session && { session }),
      })
      let answer = ''
      let own: Buffer = Buffer.alloc(0)
      socket.on('session', (made: Buffer) => (own = made))
      socket.on('data', (piece: Buffer) => (answer += piece.toString()))
      socket.on('error', reject)
      socket.on('end', () => resolve({ answer, session: own, resumed: socket.isSessionReused() }))
      socket.write('GET /replication/transport/log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    })
  const first = await over(clients.admin)
  assert.match(first.answer, /^HTTP\/1\.1 200/)
  const resumed = await over(clients.admin, first.session)
  assert.equal(resumed.resumed, true)
  assert.match(resumed.answer, /^HTTP\/1\.1 200/)
  const nobody = await over(undefined)
  assert.match(nobody.answer, /^HTTP\/1\.1 401/)
  const stillNobody = await over(clients.admin, nobody.session)
  assert.equal(stillNobody.resumed, true)
  assert.match(stillNobody.answer, /^HTTP\/1\.1 401/)
})

test('a session that began without a certificate is nobody when it is resumed', async (t) => {
  const admits = createNodeTlsMtlsMatcher()
  const host = createServer(
    { cert: server.cert, key: server.key, ca: ours.cert, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const { authorized } = request.socket as TLSSocket
      response.end(`authorized ${authorized}, admitted ${admits(request)}`)
    },
  )
  await new Promise<void>((listening) => host.listen(0, '127.0.0.1', listening))
  t.after(() => host.close())
  const { port } = host.address() as AddressInfo
  const over = async (client?: Certificate, session?: Buffer): Promise<{ answer: string; session: Buffer }> =>
    new Promise((resolve, reject) => {
      const identity = client && { cert: client.cert, key: client.key }
      const socket = connect({ host: '127.0.0.1', port, ca: ours.cert, ...identity, ...(session && { session }) })
      let answer = ''
      let own: Buffer = Buffer.alloc(0)
      socket.on('session', (made: Buffer) => (own = made))
      socket.on('data', (piece: Buffer) => (answer += piece.toString()))
      socket.on('error', reject)
      socket.on('end', () => resolve({ answer, session: own }))
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    })
  const nobody = await over()
  assert.match(nobody.answer, /authorized false, admitted false/)
  // So Node says of it.
  assert.match((await over(undefined, nobody.session)).answer, /authorized true, admitted false/)
  const admin = await over(clients.admin)
  assert.match(admin.answer, /authorized true, admitted true/)
  assert.match((await over(clients.admin, admin.session)).answer, /authorized true, admitted true/)
})

test('token and certificate, one or both', async (t) => {
  const more = {
    REPLICATION_ADMIN_TOKEN: TOKEN,
    PLAYGROUND_TLS_REJECT_UNAUTHORIZED: 'false',
    REPLICATION_MTLS_SUBJECT_REGEX: 'CN=replication-admin',
  }
  // Where there are certificates, one of the two is the default.
  const either = await started(t, tlsEnv(more))
  const both = await started(t, tlsEnv({ ...more, REPLICATION_ADMIN_AUTH_MODE: ' Token_And_mTLS ' }))
  for (const [client, headers, atEither, atBoth] of [
    [undefined, {}, 401, 401],
    [undefined, BEARER, 200, 401],
    [clients.admin, {}, 200, 401],
    [clients.admin, BEARER, 200, 200],
    [clients.stranger, BEARER, 200, 401],
    [clients.longer, BEARER, 200, 401],
    [clients.longer, {}, 401, 401],
    [clients.admin, { authorization: 'Bearer other' }, 200, 401],
  ] as const) {
    assert.equal(await outcome(`${either.url}/transport/log`, client, headers), atEither)
    assert.equal(await outcome(`${both.url}/transport/log`, client, headers), atBoth)
  }
})

test('with certificates of its own connections, no header counts', async (t) => {
  const { url } = await started(
    t,
    tlsEnv({
      REPLICATION_ADMIN_AUTH_MODE: 'mtls',
      REPLICATION_MTLS_HEADER: 'x-client-cert',
      REPLICATION_MTLS_SUBJECT_REGEX: 'CN=replication-admin',
      PLAYGROUND_TLS_REJECT_UNAUTHORIZED: 'false',
    }),
  )
  const headers = { 'x-client-cert': 'CN=replication-admin' }
  assert.equal(await outcome(`${url}/transport/log`, undefined, headers), 401)
  assert.equal(await outcome(`${url}/transport/log`, clients.longer, headers), 403)
  assert.equal(await outcome(`${url}/transport/log`, clients.admin, {}), 200)
})

test('what is configured wrongly does not start', async (t) => {
  const path = database(t)
  for (const [env, says] of [
    [{}, /mode 'token' requires a non-empty token/],
    [{ REPLICATION_ADMIN_TOKEN: '  ' }, /requires a non-empty token/],
    [
      { REPLICATION_ADMIN_TOKEN: TOKEN, REPLICATION_ADMIN_AUTH_MODE: 'tokens' },
      /Invalid replication admin auth mode 'tokens'/,
    ],
    [{ REPLICATION_ADMIN_AUTH_MODE: 'mtls' }, /REPLICATION_TRUSTED_PROXIES must name the proxies/],
    [{ REPLICATION_ADMIN_AUTH_MODE: 'mtls', REPLICATION_TRUSTED_PROXIES: 'proxy' }, /no IP address/],
    [
      { REPLICATION_ADMIN_AUTH_MODE: 'mtls', REPLICATION_MTLS_SUBJECT_REGEX: '(' },
      /Invalid REPLICATION_MTLS_SUBJECT_REGEX/,
    ],
    [{ REPLICATION_ADMIN_TOKEN: TOKEN, PLAYGROUND_TLS_CERT_FILE: server.certFile }, /must both be set/],
    [{ REPLICATION_ADMIN_TOKEN: TOKEN, PLAYGROUND_TLS_REQUEST_CERT: 'true' }, /needs PLAYGROUND_TLS_CERT_FILE/],
    [{ REPLICATION_ADMIN_TOKEN: TOKEN, PLAYGROUND_TLS_REQUEST_CERT: 'maybe' }, /must be true or false/],
    [{ REPLICATION_ADMIN_TOKEN: `${TOKEN}\u00fc` }, /a character that no header carries unchanged/],
    [{ REPLICATION_ADMIN_TOKEN: TOKEN, KITEDB_PATH: '' }, /KITEDB_PATH must name the database/],
  ] as const) {
    const { code, said } = await ended(t, 'node_express', { KITEDB_PATH: path, ...env })
    assert.equal(code, 1, said)
    assert.match(said, says)
    assert.ok(!said.includes(TOKEN), said)
  }
})
