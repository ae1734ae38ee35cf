import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { Database } from '@kitedb/core'
import { Authority, type Certificate } from './certificates.js'
import { ask } from './http.js'
import { scratch } from './scratch.js'
import { Started, ended } from './template.js'

const TOKEN = 't-0-k-e-n'
const PROXY = '127.0.0.2'
const folder = mkdtempSync(join(tmpdir(), 'kitedb-proxy-'))
after(() => rmSync(folder, { recursive: true }))

let ours: Authority
let server: Certificate
const clients = {} as Record<'admin' | 'longer' | 'within' | 'stranger', Certificate>

before(() => {
  ours = new Authority(folder, 'ours')
  server = ours.sign('server', '/CN=localhost')
  clients.admin = ours.sign('admin', '/O=KiteDB/CN=replication-admin')
  clients.longer = ours.sign('longer', '/O=KiteDB/CN=replication-admin-assistant')
  clients.within = ours.sign('within', '/O=x,CN=replication-admin/CN=evil')
  clients.stranger = new Authority(folder, 'theirs').sign('stranger', '/O=KiteDB/CN=replication-admin')
})

type Headers = Record<string, string | string[] | undefined>

/** What nginx tells of a client: `$ssl_client_verify` and `$ssl_client_s_dn`. */
function verifiedBy(socket: TLSSocket): { verify: string; subject: string } {
  const { raw } = socket.getPeerCertificate() as { raw?: Buffer }
  if (raw === undefined) return { verify: 'NONE', subject: '' }
  const args = ['x509', '-inform', 'DER', '-noout', '-subject', '-nameopt', 'RFC2253']
  const subject = execFileSync('openssl', args, { input: raw })
    .toString()
    .trim()
    .replace(/^subject=/, '')
  return { verify: socket.authorized ? 'SUCCESS' : 'FAILED:self signed', subject }
}

/** A proxy that ends TLS, and comes from an address of its own. `forwarded` makes the headers that it sends. */
async function proxyTo(
  t: TestContext,
  target: string,
  forwarded: (sent: Headers, told: { verify: string; subject: string }) => Headers,
): Promise<string> {
  const { hostname, port, pathname } = new URL(target)
  const options = { cert: server.cert, key: server.key, ca: ours.cert, requestCert: true, rejectUnauthorized: false }
  const proxy = createServer(options, (incoming: IncomingMessage, outgoing) => {
    const headers = forwarded(incoming.headers, verifiedBy(incoming.socket as TLSSocket))
    const { method, url: path } = incoming
    const onward = request({ hostname, port, path, method, headers, localAddress: PROXY, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.writeHead(502).end())
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.after(() => proxy.close())
  return `https://127.0.0.1:${(proxy.address() as AddressInfo).port}${pathname}`
}

/** As it should be: what the client sent under these names is gone. */
const setting = (sent: Headers, { verify, subject }: { verify: string; subject: string }): Headers => {
  const { 'x-client-verify': _verify, 'x-forwarded-client-cert': _subject, ...headers } = sent
  return { ...headers, 'x-client-verify': verify, ...(subject !== '' && { 'x-forwarded-client-cert': subject }) }
}

/** As it should not be: it adds to what the client sent. */
const appending = (sent: Headers, { verify, subject }: { verify: string; subject: string }): Headers => ({
  ...sent,
  'x-client-verify': [...[sent['x-client-verify'] ?? []].flat(), verify],
  'x-forwarded-client-cert': [...[sent['x-forwarded-client-cert'] ?? []].flat(), subject],
})

function database(t: TestContext): string {
  const path = join(scratch(t), 'social.kitedb')
  const db = Database.open(path, { replicationRole: 'primary' })
  for (const key of ['ada', 'charles']) db.createNode(key)
  db.close()
  return path
}

async function started(t: TestContext, env: Record<string, string> = {}): Promise<Started> {
  return Started.start(t, 'node_proxy_forwarded', {
    KITEDB_PATH: database(t),
    REPLICATION_ADMIN_AUTH_MODE: 'mtls',
    REPLICATION_MTLS_SUBJECT_REGEX: 'CN=replication-admin',
    REPLICATION_TRUSTED_PROXIES: `10.0.0.0/8, ${PROXY}`,
    ...env,
  })
}

async function outcome(
  url: string,
  client?: Certificate,
  headers: Record<string, string | string[]> = {},
): Promise<number> {
  const tls = { ca: ours.cert, ...(client && { cert: client.cert, key: client.key }) }
  return (await ask(url, { headers, ...(url.startsWith('https:') && { tls }) })).status
}

const SPOOFED = { 'x-client-verify': 'SUCCESS', 'x-forwarded-client-cert': 'CN=replication-admin,O=KiteDB' }

test('a proxy that is trusted tells whose certificate it verified', async (t) => {
  const template = await started(t)
  const proxy = await proxyTo(t, template.url, setting)
  for (const [client, expected] of [
    [clients.admin, 200],
    [clients.longer, 403],
    [clients.within, 403],
    [clients.stranger, 401],
    [undefined, 401],
  ] as const) {
    for (const headers of [{}, SPOOFED, { 'ssl-client-verify': 'SUCCESS', 'x-client-cert': 'CN=replication-admin' }]) {
      for (const route of ['metrics/prometheus', 'transport/snapshot', 'transport/log?maxFrames=1']) {
        assert.equal(await outcome(`${proxy}/${route}`, client, headers), expected, route)
      }
    }
    assert.equal(await outcome(`${proxy}/status`, client), 200)
  }
  const text = await ask(`${proxy}/metrics/prometheus`, {
    tls: { ca: ours.cert, cert: clients.admin.cert, key: clients.admin.key },
  })
  assert.match(text.text, /^kitedb_replication_auth_enabled\{.*\} 1$/m)
  const promoted = await ask(`${proxy}/promote`, {
    method: 'POST',
    tls: { ca: ours.cert, cert: clients.admin.cert, key: clients.admin.key },
  })
  assert.deepEqual([promoted.status, promoted.json['epoch']], [200, 2])
  assert.equal(await template.end(), 0)
})

test('who goes around the proxy is not believed', async (t) => {
  const template = await started(t)
  for (const more of [
    {},
    { 'x-forwarded-for': PROXY, 'x-real-ip': PROXY, forwarded: `for=${PROXY}` },
    { host: PROXY },
  ]) {
    assert.equal(await outcome(`${template.url}/transport/log`, undefined, { ...SPOOFED, ...more }), 401)
  }
  assert.equal(await outcome(`${template.url}/transport/log`), 401)
  assert.equal(await outcome(`${template.url}/status`), 200)
})

test('a proxy that adds to the headers of its clients does not let them in', async (t) => {
  const template = await started(t)
  const proxy = await proxyTo(t, template.url, appending)
  assert.equal(await outcome(`${proxy}/transport/log`, clients.admin), 200)
  for (const client of [undefined, clients.longer, clients.admin]) {
    assert.equal(await outcome(`${proxy}/transport/log`, client, SPOOFED), 401)
  }
  assert.equal(await outcome(`${proxy}/transport/log`, undefined, { 'x-client-verify': 'SUCCESS' }), 401)
})

test('token and certificate, one or both, and headers of other names', async (t) => {
  const bearer = { authorization: `Bearer ${TOKEN}` }
  const names = { REPLICATION_MTLS_HEADER: 'X-Mine', REPLICATION_MTLS_VERIFY_HEADER: 'X-Verified' }
  const named = (sent: Headers, { verify, subject }: { verify: string; subject: string }): Headers => {
    const { 'x-mine': _mine, 'x-verified': _verified, ...headers } = sent
    return { ...headers, 'X-VERIFIED': verify, ...(subject !== '' && { 'X-MINE': subject }) }
  }
  for (const [mode, ...expected] of [
    ['token_or_mtls', 401, 200, 200, 200, 200, 401],
    ['token_and_mtls', 401, 401, 401, 200, 401, 401],
  ] as const) {
    const env = { REPLICATION_ADMIN_AUTH_MODE: mode, REPLICATION_ADMIN_TOKEN: TOKEN, ...names }
    const proxy = await proxyTo(t, (await started(t, env)).url, named)
    const got: number[] = []
    for (const [client, headers] of [
      [undefined, SPOOFED],
      [undefined, bearer],
      [clients.admin, {}],
      [clients.admin, bearer],
      [clients.longer, bearer],
      [clients.longer, { 'x-mine': 'CN=replication-admin', 'x-verified': 'SUCCESS' }],
    ] as const) {
      got.push(await outcome(`${proxy}/transport/log`, client, headers))
    }
    assert.deepEqual(got, expected, mode)
  }
})

test('what is configured wrongly does not start', async (t) => {
  const path = database(t)
  const fine = { KITEDB_PATH: path, REPLICATION_ADMIN_AUTH_MODE: 'mtls', REPLICATION_TRUSTED_PROXIES: PROXY }
  for (const [env, says] of [
    [{ REPLICATION_TRUSTED_PROXIES: '' }, /REPLICATION_TRUSTED_PROXIES must name the prox/],
    [
      { REPLICATION_TRUSTED_PROXIES: '', REPLICATION_ADMIN_AUTH_MODE: 'token', REPLICATION_ADMIN_TOKEN: TOKEN },
      /REPLICATION_TRUSTED_PROXIES must name the proxy/,
    ],
    [{ REPLICATION_TRUSTED_PROXIES: `${PROXY},` }, /no IP address/],
    [{ REPLICATION_TRUSTED_PROXIES: `any,${PROXY}` }, /no IP address.*'any'/],
    [{ REPLICATION_ADMIN_AUTH_MODE: 'token_or_mtls' }, /requires a non-empty token/],
    [{ REPLICATION_ADMIN_AUTH_MODE: '', REPLICATION_ADMIN_TOKEN: '' }, /'token_or_mtls' requires a non-empty token/],
    [{ REPLICATION_MTLS_SUBJECT_REGEX: '.*' }, /admits everybody/],
    [{ REPLICATION_MTLS_VERIFY_HEADER: 'x verify' }, /verifyHeaders is no name of a header/],
  ] as const) {
    const { code, said } = await ended(t, 'node_proxy_forwarded', { ...fine, ...env })
    assert.equal(code, 1, said)
    assert.match(said, says)
  }
})
