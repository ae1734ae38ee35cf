import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import {
  type ReplicationAdminAuthConfig,
  ReplicationAdminAuthError,
  type ReplicationAdminAuthRequest,
  ReplicationAdminConfigError,
  authorizeReplicationAdminRequest,
  createForwardedTlsMtlsMatcher,
  createNodeTlsMtlsMatcher,
  createReplicationAdminAuthorizer,
  isForwardedTlsClientAuthorized,
  isNodeTlsClientAuthorized,
  isReplicationAdminAuthorized,
} from '@kitedb/core/replication'

const TOKEN = 'correct-horse'
const CERT = 'x-forwarded-client-cert'
const PROXY = { remoteAddress: '10.0.0.7' }
const BEHIND = { trustedProxies: ['10.0.0.7'] }

/** Casts for what JavaScript may pass and TypeScript would not. */
const untyped = (config: unknown) => config as ReplicationAdminAuthConfig

function status(config: ReplicationAdminAuthConfig, request: ReplicationAdminAuthRequest): number {
  try {
    createReplicationAdminAuthorizer(config)(request)
    assert.equal(isReplicationAdminAuthorized(request, config), true)
    return 200
  } catch (error) {
    assert.ok(error instanceof ReplicationAdminAuthError, String(error))
    assert.equal(isReplicationAdminAuthorized(request, config), false)
    assert.throws(() => authorizeReplicationAdminRequest(request, config), ReplicationAdminAuthError)
    assert.equal(error.status, error.statusCode)
    assert.match(error.message, /Unauthorized: .*mode '.*' not satisfied/)
    return error.status
  }
}

function refusesConfig(config: unknown, says: RegExp): void {
  for (const make of [
    () => createReplicationAdminAuthorizer(untyped(config)),
    () => isReplicationAdminAuthorized({}, untyped(config)),
    () => authorizeReplicationAdminRequest({}, untyped(config)),
  ]) {
    assert.throws(make, (error: unknown) => {
      assert.ok(error instanceof ReplicationAdminConfigError, String(error))
      assert.match(error.message, says)
      return true
    })
  }
}

test('each mode admits by what it asks for, and nothing less', () => {
  const token = { authorization: `Bearer ${TOKEN}` }
  const wrongToken = { authorization: 'Bearer correct-horsf' }
  const cert = { [CERT]: 'CN=admin,O=KiteDB' }
  const wrongCert = { [CERT]: 'CN=other,O=KiteDB' }
  const shown = [
    {},
    token,
    wrongToken,
    cert,
    wrongCert,
    { ...token, ...cert },
    { ...token, ...wrongCert },
    { ...wrongToken, ...cert },
  ]
  for (const [mode, ...expected] of [
    ['none', 200, 200, 200, 200, 200, 200, 200, 200],
    ['token', 401, 200, 401, 401, 401, 200, 200, 401],
    ['mtls', 401, 401, 401, 200, 403, 200, 403, 200],
    ['token_or_mtls', 401, 200, 401, 200, 401, 200, 200, 200],
    ['token_and_mtls', 401, 401, 401, 401, 401, 200, 401, 401],
  ] as const) {
    const config = { mode, token: TOKEN, mtlsSubjectRegex: /CN=admin/, ...BEHIND }
    const got = shown.map((headers) => status(config, { headers, socket: PROXY }))
    assert.deepEqual(got, expected, mode)
  }
})

test('an authorizer says whether it asks for anything, and shows no secret', () => {
  const authorizer = createReplicationAdminAuthorizer({ mode: 'token', token: TOKEN })
  assert.deepEqual([authorizer.mode, authorizer.authEnabled], ['token', true])
  assert.equal(createReplicationAdminAuthorizer({ mode: 'none' }).authEnabled, false)
  assert.equal(createReplicationAdminAuthorizer({}).authEnabled, false)
  assert.throws(() => Object.assign(authorizer, { authEnabled: false }), TypeError)
  const presented = 'Bearer presented-secret'
  for (const config of [
    { mode: 'token', token: TOKEN },
    { mode: 'token_and_mtls', token: TOKEN, ...BEHIND },
  ] as const) {
    try {
      createReplicationAdminAuthorizer(config)({ headers: { authorization: presented, [CERT]: 'CN=whoever' } })
      assert.fail('it was admitted')
    } catch (error) {
      assert.ok(error instanceof ReplicationAdminAuthError)
      const everything = inspect([error, error.stack, authorizer], { depth: 9, showHidden: true })
      for (const secret of [TOKEN, 'presented-secret', 'whoever']) assert.ok(!everything.includes(secret), everything)
      assert.equal(error.headers['www-authenticate'], 'Bearer realm="kitedb replication"')
    }
  }
})

test('the header of a token is read in every form that hosts give it', () => {
  const config = { mode: 'token', token: TOKEN } as const
  const right = `Bearer ${TOKEN}`
  for (const headers of [
    { authorization: right },
    { Authorization: right },
    { AUTHORIZATION: right },
    { authorization: [right] },
    { authorization: ` \t${right} ` },
    { authorization: ['', right] },
    new Headers({ Authorization: right }),
    new Map([['Authorization', right]]),
    [['AuthorizatioN', right]] as const,
    { get: (name: string) => (name === 'authorization' ? right : null) },
  ]) {
    assert.equal(status(config, { headers }), 200, inspect(headers))
  }
  const twice = new Headers({ Authorization: right })
  twice.append('Authorization', right)
  for (const headers of [
    undefined,
    null,
    {},
    'authorization',
    ['authorization', right],
    { authorization: '' },
    { authorization: undefined },
    { authorization: 7 },
    { authorization: [right, right] },
    { authorization: [right, 'Bearer other'] },
    { authorization: [right, 7] },
    { authorization: { toString: () => right } },
    { authorization: right, Authorization: right },
    Object.create({ authorization: right }),
    { 'x-authorization': right, authorization2: right, ' authorization': right },
    twice,
  ]) {
    assert.equal(status(config, { headers } as ReplicationAdminAuthRequest), 401, inspect(headers))
  }
  for (const request of [undefined, null, 7, right]) {
    assert.equal(isReplicationAdminAuthorized(request as unknown as ReplicationAdminAuthRequest, config), false)
  }
  // Node keeps the first of two: what a proxy in between looked at may have been the other one.
  const rawHeaders = ['Host', 'x', 'authorization', 'Bearer other', 'Authorization', right]
  assert.equal(status(config, { headers: { authorization: right }, rawHeaders }), 401)
  const fastify = { headers: { authorization: right }, raw: { rawHeaders } }
  assert.equal(status(config, fastify), 401)
  assert.equal(status(config, { headers: { authorization: right }, rawHeaders: ['Authorization', right] }), 200)
})

test('a token is the whole of it, in this case, after one Bearer and one blank', () => {
  const config = { mode: 'token', token: ` ${TOKEN}\n` } as const
  assert.equal(status(config, { headers: { authorization: `Bearer ${TOKEN}` } }), 200)
  for (const authorization of [
    TOKEN,
    'Bearer',
    'Bearer ',
    `bearer ${TOKEN}`,
    `BEARER ${TOKEN}`,
    `Bearer  ${TOKEN}`,
    `Bearer\t${TOKEN}`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN}${TOKEN}`,
    `Bearer ${TOKEN}Bearer ${TOKEN}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN}\0`,
    `Bearer ${TOKEN},Bearer ${TOKEN}`,
    `Basic ${TOKEN}`,
    // Characters that fold or are cut to those of the token.
    `Bearer ${TOKEN.replace('o', '\u043e')}`,
    `Bearer ${TOKEN.replace('c', '\u0163')}`,
    `Bearer ${TOKEN.replace('h', '\uff48')}`,
    `Bearer\u00a0${TOKEN}`,
    `Bearer ${TOKEN}\u00a0`,
    `\ufeffBearer ${TOKEN}`,
    'Bearer \ud800',
    'x'.repeat(100_000),
  ]) {
    assert.equal(status(config, { headers: { authorization } }), 401, inspect(authorization))
  }
})

test('as much is compared of a token that is nearly right as of any other', (t) => {
  const rule = createReplicationAdminAuthorizer({ mode: 'token', token: TOKEN })
  let looks = 0
  const original = String.prototype.charCodeAt
  t.after(() => (String.prototype.charCodeAt = original))
  String.prototype.charCodeAt = function (at: number) {
    looks++
    return original.call(this, at)
  }
  const looksAt = (token: string): number => {
    looks = 0
    assert.throws(() => rule({ headers: { authorization: `Bearer ${token}` } }), ReplicationAdminAuthError)
    return looks
  }
  const nothingRight = looksAt('~'.repeat(TOKEN.length))
  assert.ok(nothingRight > TOKEN.length)
  for (let right = 0; right < TOKEN.length; right++) {
    assert.equal(looksAt(TOKEN.slice(0, right) + '~'.repeat(TOKEN.length - right)), nothingRight)
  }
  // Nor is it told how long the right one is.
  const longer = looksAt('~'.repeat(TOKEN.length + 1)) - nothingRight
  for (const length of [1, TOKEN.length - 1, TOKEN.length + 2, 3 * TOKEN.length]) {
    assert.equal(looksAt('~'.repeat(length)) - nothingRight, (length - TOKEN.length) * longer)
  }
})

test('a configuration that cannot be meant is refused when it is given', () => {
  for (const [config, says] of [
    [undefined, /must be an object/],
    [null, /must be an object/],
    ['token', /must be an object/],
    // Nothing of these is a key of its own that is listed.
    [Object.create({ mode: 'token', token: TOKEN }), /must be an object, and a plain one/],
    [
      new (class {
        get mode() {
          return 'token'
        }
      })(),
      /must be an object, and a plain one/,
    ],
    [['token', TOKEN], /must be an object, and a plain one/],
    [new Map([['mode', 'token']]), /must be an object, and a plain one/],
    [Object.defineProperty({}, 'mode', { value: 'tokens' }), /Invalid replication admin auth mode 'tokens'/],
    [{ [Symbol('mode')]: 'token' }, /has no option 'Symbol\(mode\)'/],
    [{ mode: 'Token', token: TOKEN }, /Invalid replication admin auth mode 'Token': give one of none, token/],
    [{ mode: '' }, /Invalid replication admin auth mode ''/],
    [{ mode: 1 }, /Invalid replication admin auth mode: give one of/],
    [{ mode: ['none'] }, /Invalid replication admin auth mode/],
    [{ mode: 'toString' }, /Invalid replication admin auth mode/],
    // Nobody who gives a token means that it does not matter.
    [{ token: TOKEN }, /Invalid replication admin auth mode: none is given, though token is/],
    [{ mode: null, mtlsSubjectRegex: /x/ }, /though mtlsSubjectRegex is/],
    [{ mode: 'token' }, /mode 'token' requires a non-empty token/],
    [{ mode: 'token', token: ' \n' }, /requires a non-empty token/],
    [{ mode: 'token_or_mtls', ...BEHIND }, /requires a non-empty token/],
    [{ mode: 'token_and_mtls', token: null, ...BEHIND }, /requires a non-empty token/],
    [{ mode: 'token', token: 7 }, /token must be a string/],
    [{ mode: 'token', token: 'пароль' }, /a character that no header carries unchanged/],
    [{ mode: 'token', token: 'a\nb' }, /a character that no header carries unchanged/],
    [{ mode: 'token', tokens: TOKEN }, /has no option 'tokens': there are mode, token/],
    [{ mode: 'mtls', ...BEHIND, mtlsSubjectRegexp: /x/ }, /has no option 'mtlsSubjectRegexp'/],
    [{ mode: 'mtls', trustedProxies: [] }, /name at least one/],
    [{ mode: 'mtls', trustedProxies: 'loopback' }, /must be 'any' or a list/],
    [{ mode: 'mtls', trustedProxies: ['any'] }, /no IP address.*: 'any'/],
    [{ mode: 'mtls', trustedProxies: ['proxy.example.com'] }, /no IP address.*: 'proxy.example.com'/],
    [{ mode: 'mtls', trustedProxies: [7] }, /no IP address/],
    [{ mode: 'mtls', ...BEHIND, mtlsHeader: 'x client cert' }, /mtlsHeader is no name of a header/],
    [{ mode: 'mtls', ...BEHIND, mtlsHeader: 'Authorization' }, /mtlsHeader is no name of a header/],
    [{ mode: 'mtls', ...BEHIND, mtlsHeader: 'Host' }, /'host' comes with every request/],
    [{ mode: 'mtls', ...BEHIND, mtlsHeader: 'sec-fetch-site' }, /'sec-fetch-site' comes with every request/],
    [{ mode: 'mtls', ...BEHIND, mtlsSubjectRegex: 'CN=admin' }, /mtlsSubjectRegex must be a RegExp/],
    [
      { mode: 'mtls', ...BEHIND, mtlsSubjectRegex: new RegExp('') },
      /matches an empty subject, and so admits everybody/,
    ],
    [{ mode: 'mtls', ...BEHIND, mtlsSubjectRegex: /.*/g }, /admits everybody/],
    [{ mode: 'mtls', ...BEHIND, mtlsSubjectRegex: /CN=admin(?=,O=KiteDB)/ }, /beyond whole attributes/],
    [{ mode: 'mtls', ...BEHIND, mtlsSubjectRegex: /(?<=O=KiteDB,)CN=admin/ }, /beyond whole attributes/],
    [{ mode: 'mtls', ...BEHIND, mtlsSubjectRegex: /CN=(?!evil).+/ }, /beyond whole attributes/],
    [{ mode: 'mtls', mtlsMatcher: true }, /mtlsMatcher must be a function/],
    // What a matcher overrules may count again tomorrow.
    [{ mode: 'mtls', mtlsMatcher: () => true, mtlsSubjectRegex: /.*/ }, /admits everybody/],
    [{ mode: 'mtls', mtlsMatcher: () => true, mtlsHeader: 'x client cert' }, /mtlsHeader is no name of a header/],
    [{ mode: 'mtls', mtlsMatcher: () => true, trustedProxies: [] }, /name at least one/],
  ] as const) {
    refusesConfig(config, says)
  }
  try {
    createReplicationAdminAuthorizer({ mode: 'token', token: 'geheim-\u00fc' })
    assert.fail('it was taken')
  } catch (error) {
    assert.ok(!inspect(error).includes('geheim'), 'the error shows the token')
  }
})

test('what is given to all objects is given to no configuration', (t) => {
  const everything = Object.prototype as Record<string, unknown>
  t.after(() => {
    for (const name of ['trustedProxies', 'mtlsMatcher', 'authorization', 'mode']) delete everything[name]
  })
  Object.assign(everything, {
    trustedProxies: 'any',
    mtlsMatcher: () => true,
    authorization: `Bearer ${TOKEN}`,
    mode: 'none',
  })
  const distant = { headers: { [CERT]: 'CN=admin' }, socket: { remoteAddress: '10.0.0.8' } }
  assert.equal(status({ mode: 'mtls' }, distant), 401)
  refusesConfig({ token: TOKEN }, /Invalid replication admin auth mode: none is given/)
  assert.equal(status({ mode: 'token', token: TOKEN }, { headers: {} }), 401)
  assert.equal(
    isForwardedTlsClientAuthorized({ headers: { 'x-client-verify': 'SUCCESS' } }, { trustedProxies: ['::1'] }),
    false,
  )
})

test('what is given to all objects is given to no request', (t) => {
  const everything = Object.prototype as Record<PropertyKey, unknown>
  const verified = { authorized: true, remoteAddress: '127.0.0.1', getPeerCertificate: () => ({ subject: { CN: 'admin' } }) }
  const headers = { authorization: `Bearer ${TOKEN}`, [CERT]: 'CN=admin', 'x-client-verify': 'SUCCESS' }
  const gifts: Record<PropertyKey, unknown> = {
    socket: verified,
    client: verified,
    raw: { socket: verified, headers },
    req: { socket: verified, headers },
    headers,
    ...verified,
    subject: { CN: 'admin' },
    get: (name: string) => (headers as Record<string, string>)[name],
    ...headers,
    [Symbol.iterator]: () => Object.entries(headers)[Symbol.iterator](),
  }
  class Request {
    headers: object = {}
    socket: object = { authorized: false, getPeerCertificate: () => ({}) }
  }
  const requests: (() => object)[] = [
    () => ({}),
    () => ({ headers: {} }),
    () => ({ headers: {}, socket: {} }),
    () => ({ headers: {}, socket: { authorized: false } }),
    () => ({ headers: {}, raw: {}, req: {} }),
    () => ({ headers: new Headers(), socket: { remoteAddress: '192.0.2.1' } }),
    () => new Request(),
  ]
  const configs: ReplicationAdminAuthConfig[] = [
    { mode: 'token', token: TOKEN },
    { mode: 'mtls' },
    { mode: 'mtls', mtlsSubjectRegex: /CN=admin/ },
    { mode: 'mtls', mtlsMatcher: createNodeTlsMtlsMatcher() },
    { mode: 'mtls', mtlsMatcher: createNodeTlsMtlsMatcher({ subjectRegex: /CN=admin/ }) },
    { mode: 'mtls', mtlsMatcher: createForwardedTlsMtlsMatcher({ trustedProxies: ['127.0.0.1'] }) },
    { mode: 'mtls', mtlsMatcher: createForwardedTlsMtlsMatcher() },
  ]
  const authorizers = configs.map((config) => createReplicationAdminAuthorizer(config))
  t.after(() => Reflect.ownKeys(gifts).forEach((name) => delete everything[name]))
  const admitted: string[] = []
  for (const names of [...Reflect.ownKeys(gifts).map((name) => [name]), Reflect.ownKeys(gifts)]) {
    for (const make of requests) {
      const request = make()
      for (const name of names) everything[name] = gifts[name]
      authorizers.forEach((authorize, nth) => {
        try {
          authorize(request as ReplicationAdminAuthRequest)
          admitted.push(`${names.map(String).join()}: ${nth}, ${make.toString()}`)
        } catch {
          // Refused, or with what is given to all objects nothing works at all: nobody is admitted.
        }
      })
      for (const name of names) delete everything[name]
    }
  }
  assert.deepEqual(admitted, [])
})

test('a configuration that is changed later changes nothing', () => {
  const proxies = ['10.0.0.7']
  const regex = /CN=admin/g
  const config: ReplicationAdminAuthConfig = {
    mode: 'token_and_mtls',
    token: TOKEN,
    trustedProxies: proxies,
    mtlsSubjectRegex: regex,
  }
  const authorizer = createReplicationAdminAuthorizer(config)
  config.mode = 'none'
  config.token = 'other'
  proxies.push('0.0.0.0/0')
  regex.lastIndex = 5
  const headers = { authorization: `Bearer ${TOKEN}`, [CERT]: 'CN=admin' }
  authorizer({ headers, socket: PROXY })
  assert.throws(() => authorizer({ headers, socket: { remoteAddress: '10.0.0.8' } }), ReplicationAdminAuthError)
  assert.throws(() => authorizer({}), ReplicationAdminAuthError)
})

test('the certificate header is believed from configured proxies, by the connection', () => {
  const headers = {
    [CERT]: 'CN=admin',
    'x-forwarded-for': '10.0.0.7',
    'x-real-ip': '10.0.0.7',
    forwarded: 'for=10.0.0.7',
  }
  const spoofed = { headers, ip: '10.0.0.7', ips: ['10.0.0.7'], remoteAddress: '10.0.0.7' }
  const config = { mode: 'mtls', ...BEHIND } as const
  for (const request of [
    spoofed,
    { ...spoofed, socket: null },
    { ...spoofed, socket: {} },
    { ...spoofed, socket: { remoteAddress: undefined } },
    { ...spoofed, socket: { remoteAddress: '10.0.0.8' } },
    { ...spoofed, socket: { remoteAddress: '10.0.0.77' } },
    { ...spoofed, socket: { remoteAddress: '' } },
    { ...spoofed, socket: { remoteAddress: 'localhost' } },
    { ...spoofed, socket: { remoteAddress: '::ffff:a00:8' } },
  ]) {
    assert.equal(status(config, request), 401, inspect(request))
  }
  for (const [proxies, yes, no] of [
    [['10.0.0.7'], ['10.0.0.7', '::ffff:10.0.0.7', '::FFFF:a00:7'], ['010.0.0.7', '10.0.7', '10.0.0.7.']],
    [['10.0.0.0/8'], ['10.255.1.2', '::ffff:10.1.1.1'], ['11.0.0.1', '9.255.255.255', '::a00:1']],
    [['192.168.4.0/22'], ['192.168.7.255', '192.168.4.0'], ['192.168.8.0', '192.168.3.255']],
    [['loopback'], ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'], ['128.0.0.1', '::2', '::']],
    [
      ['fd00::/8', 'fe80::1'],
      ['fd12:3456::1', 'fe80::1%eth0'],
      ['fc00::1', 'fe80::2', '253.0.0.1'],
    ],
    [['2001:db8::/33'], ['2001:db8:7fff::1'], ['2001:db8:8000::1']],
    [['::ffff:10.0.0.7'], ['10.0.0.7', '::ffff:10.0.0.7'], ['10.0.0.8']],
    ['any', ['8.8.8.8', '2001:db8::1', ''], []],
  ] as const) {
    for (const [addresses, expected] of [
      [yes, 200],
      [no, 401],
    ] as const) {
      for (const remoteAddress of addresses) {
        const got = status({ mode: 'mtls', trustedProxies: proxies }, { headers, socket: { remoteAddress } })
        assert.equal(got, expected, `${proxies} ${remoteAddress}`)
      }
    }
  }
  // Where frameworks keep the socket.
  for (const wrapped of [
    { raw: { socket: PROXY } },
    { req: { socket: PROXY } },
    { socket: null, raw: { socket: PROXY } },
  ]) {
    assert.equal(status(config, { headers, ...wrapped }), 200)
  }
  for (const bad of [
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '::/129',
    '1::2::3',
    '10.0.0',
    '0x7f.0.0.1',
    ':::',
    '1:2',
    '1:2:3:4::5:6:7:8',
    '',
  ]) {
    refusesConfig({ mode: 'mtls', trustedProxies: [bad] }, /no IP address/)
  }
  // Everybody is no proxy.
  for (const all of ['0.0.0.0/0', '10.0.0.7/0', '::/0', ' ::1/00 ']) {
    refusesConfig({ mode: 'mtls', trustedProxies: ['loopback', all] }, /network of every address.*or say 'any'/)
    assert.throws(() => isForwardedTlsClientAuthorized({ headers }, { trustedProxies: [all] }), /every address/)
  }
})

test('the call of the runbook admits the client that it names', () => {
  const authorize = createReplicationAdminAuthorizer({
    mode: 'mtls',
    mtlsHeader: 'x-client-cert',
    mtlsSubjectRegex: /CN=allowed-client/,
  })
  authorize({ headers: { 'x-client-cert': 'CN=allowed-client,O=RayDB' } })
  assert.throws(() => authorize({ headers: { 'x-client-cert': 'CN=other-client,O=RayDB' } }), { status: 403 })
  assert.throws(() => authorize({ headers: { [CERT]: 'CN=allowed-client,O=RayDB' } }), { status: 401 })
  assert.throws(() => authorize({ headers: {} }), { status: 401 })
  assert.throws(() => authorize({}), { status: 401 })
})

/** Requests with these headers, and whether they are believed where no proxies are named. */
function requestsWith(headers: Record<string, string>): readonly (readonly [boolean, ReplicationAdminAuthRequest])[] {
  const here = { remoteAddress: '127.0.0.1' }
  const distant = { remoteAddress: '10.0.0.7' }
  const requests: readonly (readonly [boolean, unknown])[] = [
    // The host's own word.
    [true, { headers }],
    [true, { headers: new Headers(headers) }],
    [true, { headers, rawHeaders: Object.entries(headers).flat() }],
    [true, Object.assign(Object.create(null) as object, { headers })],
    // From this machine.
    ...['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1'].map(
      (remoteAddress) => [true, { headers, socket: { remoteAddress } }] as const,
    ),
    [true, { headers, method: 'GET', raw: { socket: here } }],
    [true, { headers, req: { socket: here } }],
    // From elsewhere, or nobody knows where from.
    [false, { headers, socket: distant }],
    [false, { headers, socket: { remoteAddress: '2001:db8::1' } }],
    [false, { headers, socket: {} }],
    [false, { headers, socket: { remoteAddress: undefined } }],
    [false, { headers, socket: undefined }],
    [false, { headers, socket: null }],
    [false, { headers, raw: { socket: distant } }],
    [false, { headers, req: { socket: distant }, client: here }],
    [false, { headers, raw: {} }],
    [false, { headers, connection: distant }],
    [false, { headers, remoteAddress: '127.0.0.1', ip: '127.0.0.1' }],
    [false, { headers, method: 'GET', url: '/' }],
    [false, { headers, [Symbol('socket')]: distant }],
    [false, Object.defineProperty({ headers }, 'socket', { value: distant })],
    [false, Object.assign(Object.create({ socket: distant }) as object, { headers })],
    // A server that speaks fetch makes these from the network.
    [false, new Request('http://localhost/', { headers })],
    [false, { ...new Request('http://localhost/'), headers, url: 'http://localhost/' }],
  ]
  return requests as readonly (readonly [boolean, ReplicationAdminAuthRequest])[]
}

test('where no proxies are named, this machine is believed, and who gives nothing but headers', () => {
  const forwarded = createForwardedTlsMtlsMatcher()
  const subject = createForwardedTlsMtlsMatcher({ subjectRegex: /CN=admin/, trustedProxies: null })
  for (const [believed, request] of requestsWith({ [CERT]: 'CN=admin,O=KiteDB', 'x-client-verify': 'SUCCESS' })) {
    const shown = inspect(request, { depth: 2 })
    const expected = believed ? 200 : 401
    assert.equal(status({ mode: 'mtls' }, request), expected, shown)
    assert.equal(status({ mode: 'mtls', trustedProxies: null, mtlsSubjectRegex: /CN=admin/ }, request), expected, shown)
    assert.equal(status({ mode: 'token_or_mtls', token: TOKEN }, request), expected, shown)
    assert.equal(status({ mode: 'token_and_mtls', token: TOKEN }, request), 401, shown)
    assert.equal(status({ mode: 'mtls', mtlsSubjectRegex: /CN=root/ }, request), believed ? 403 : 401, shown)
    assert.equal(forwarded(request), believed, shown)
    assert.equal(subject(request), believed, shown)
    assert.equal(isForwardedTlsClientAuthorized(request), believed, shown)
    assert.equal(isForwardedTlsClientAuthorized(request, { verifyHeaders: ['x-other'] }), false, shown)
  }
  const both = { [CERT]: 'CN=admin', authorization: `Bearer ${TOKEN}` }
  for (const [believed, request] of requestsWith(both)) {
    const shown = inspect(request, { depth: 2 })
    assert.equal(status({ mode: 'token_and_mtls', token: TOKEN }, request), believed ? 200 : 401, shown)
    assert.equal(status({ mode: 'token_or_mtls', token: TOKEN }, request), 200, shown)
  }
})

test('where proxies are named, headers alone are nobody’s word', () => {
  const headers = { [CERT]: 'CN=admin', 'x-client-verify': 'SUCCESS' }
  for (const trustedProxies of [['10.0.0.7'], ['loopback'], ['0.0.0.0/1', '::/1']]) {
    assert.equal(status({ mode: 'mtls', trustedProxies }, { headers }), 401)
    assert.equal(isForwardedTlsClientAuthorized({ headers }, { trustedProxies }), false)
  }
  assert.equal(status({ mode: 'mtls', trustedProxies: 'any' }, { headers }), 200)
})

test('the certificate header is the configured one, in any case and form, once', () => {
  const config = { mode: 'mtls', mtlsHeader: ' X-Client-Cert ', ...BEHIND } as const
  for (const headers of [
    { 'x-client-cert': 'CN=a' },
    { 'X-Client-Cert': 'CN=a' },
    { 'x-client-cert': ['CN=a'] },
    new Headers({ 'X-CLIENT-CERT': 'CN=a' }),
  ]) {
    assert.equal(status(config, { headers, socket: PROXY }), 200, inspect(headers))
  }
  for (const headers of [
    { [CERT]: 'CN=a' },
    { 'x-client-cert': '' },
    { 'x-client-cert': ' \t' },
    { 'x-client-cert': ['CN=a', 'CN=b'] },
    { 'x-client-cert': 'CN=a', 'X-Client-Cert': 'CN=b' },
    { 'x-client-cert\u0000': 'CN=a' },
  ]) {
    assert.equal(status(config, { headers, socket: PROXY }), 401, inspect(headers))
  }
  const rawHeaders = ['x-client-cert', 'CN=a', 'X-Client-Cert', 'CN=b']
  assert.equal(status(config, { headers: { 'x-client-cert': 'CN=a, CN=b' }, rawHeaders, socket: PROXY }), 401)
  const blank = { mode: 'mtls', mtlsHeader: ' ', ...BEHIND } as const
  assert.equal(status(blank, { headers: { [CERT]: 'CN=a' }, socket: PROXY }), 200)
  // The Kelvin sign is a k in lower case, and in no header's name.
  const kelvin = { mode: 'mtls', mtlsHeader: 'x-key', ...BEHIND } as const
  assert.equal(status(kelvin, { headers: { 'x-\u212aey': 'CN=a' }, socket: PROXY }), 401)
})

test('a subject is admitted by whole attributes', () => {
  const admitted = (regex: RegExp, subject: string): boolean =>
    status({ mode: 'mtls', mtlsSubjectRegex: regex, ...BEHIND }, { headers: { [CERT]: subject }, socket: PROXY }) ===
    200
  for (const [regex, yes, no] of [
    [
      /CN=admin/,
      [
        'CN=admin',
        'CN=admin,O=KiteDB',
        'O=KiteDB,CN=admin',
        'O=KiteDB, CN=admin',
        'O=KiteDB;CN=admin',
        'CN=admin+OU=ops,O=KiteDB',
        '/O=KiteDB/CN=admin',
        'By=spiffe://a/b;Hash=0a1b;Subject="CN=admin,O=KiteDB";URI=spiffe://a/c',
        'Subject="O=KiteDB,CN=admin"',
      ],
      [
        'CN=administrator',
        'CN=admin-not',
        'CN=admin.evil.example',
        'CN=not admin',
        'XCN=admin',
        'xCN=admin,O=KiteDB',
        'CN=ADMIN',
        'O=CN=admin',
        'O=CN=admin,CN=evil',
        'O=x CN=admin',
        'O=x\\,CN=admin,CN=evil',
        'O=x\\,CN=admin',
        'O="x,CN=admin"',
        'O="x,CN=admin",CN=evil',
        'O=x",CN=evil,OU="y,CN=admin',
        'O=x\\",CN=admin\\"',
        // Joined by a proxy that adds its header to the client's; a value that is not escaped.
        'CN=admin, CN=evil',
        'CN=evil,CN=admin',
        'CN=admin,commonName=evil',
        '/O=x/CN=admin/CN=evil',
        'CN=admin,CN=evil\\',
        'CN=admin,O="x',
        'admin',
        '"CN=admin"',
        'CN=admin\u0000',
        'CN=evil\nCN=admin',
        'CN="admin"x',
        'Hash=0a;URI=spiffe://a/b?CN=admin',
        'Hash=0a;Subject="CN=evil";URI=x,Subject="CN=admin"',
        'Hash=0a;Subject="CN=admin",Hash=0b;Subject="CN=evil"',
        'Hash=0a;Subject="CN=evil";Subject="CN=admin"',
        'Hash=0a;Subject="CN=admin";Subject="CN=evil"',
        'Hash=0a;Subject="CN=admin";role=admin',
        'Hash=0a;Subject="CN=evil\\"";CN=admin',
        'Hash=0a;Subject="CN=evil";CN=admin',
        'URI=x;CN=admin',
        `O=${'x'.repeat(5000)},CN=admin`,
        `${'O=x,'.repeat(40)}CN=admin`,
      ],
    ],
    [
      /^CN=admin,O=KiteDB$/,
      ['CN=admin,O=KiteDB'],
      ['CN=admin,O=KiteDB,C=DE', 'C=DE,CN=admin,O=KiteDB', 'CN=admin', 'CN=admin,O=KiteDBs'],
    ],
    [/^CN=admin/, ['CN=admin,O=x', 'CN=admin'], ['O=x,CN=admin', 'CN=admins']],
    [/CN=admin$/, ['O=x,CN=admin'], ['CN=admin,O=x']],
    [/^CN=admin$/m, ['CN=admin'], ['CN=x\nCN=admin', 'CN=admin,O=x']],
    [/cn=ADMIN/i, ['CN=admin,O=x'], ['CN=admins']],
    [/CN=(a|admin)/, ['CN=admin', 'CN=a,O=x'], ['CN=ad']],
    [/CN=admin-\d+/, ['CN=admin-12,O=x'], ['CN=admin-12b', 'CN=admin-']],
    [/CN=admin|CN=root/, ['CN=root'], ['CN=roots', 'CN=xCN=root']],
    [
      /admin/,
      ['CN=admin', 'admin', 'O=admin,CN=x', 'CN="admin"'],
      ['CN=administrator', 'CN=my admin', 'O=CN=admin', 'O=x=admin'],
    ],
    [/CN=Ünïcode 🪁/u, ['CN=Ünïcode 🪁,O=🪁🪁'], ['CN=Ünïcode 🪁s']],
    [/CN = admin/, ['C = US, CN = admin'], ['C = US, CN = administrator']],
    [/CN=admin[^,]*/, ['CN=admin anything'], ['CN=admin\u0000x', 'CN=admin\r\nx', 'CN=admin\u2028x', 'CN=admin\u007f']],
    [/0A:1B/, ['0A:1B'], ['0A:1B:2C', '00:0A:1B']],
    [/CN=admin,OU=(?:a|b)/, ['CN=admin,OU=b,O=x', 'C=DE,CN=admin,OU=a'], ['CN=admin,OU=ab', 'OU=b,CN=admin']],
  ] as const) {
    for (const subject of yes) assert.equal(admitted(regex, subject), true, `${regex} ${subject}`)
    for (const subject of no) assert.equal(admitted(regex, subject), false, `${regex} ${inspect(subject)}`)
  }
})

test('whatever the other attributes of a subject say, the name is what counts', () => {
  // Values that try to be more than one value, written as RFC 4514 has it, by which nothing is left to guess.
  const pieces = [
    'CN=admin',
    'admin',
    ',',
    ';',
    '+',
    '"',
    '\\',
    '=',
    ' ',
    '/',
    '#',
    'x',
    'O=',
    'CN=',
    'é',
    '<',
    'Subject="CN=admin"',
  ]
  let state = 42
  const below = (most: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * most)
  }
  const pick = (from: readonly string[]): string => from[below(from.length)] ?? ''
  const written = (value: string): string =>
    [...value]
      .map((character, at) => {
        const edge = (at === 0 && ' #'.includes(character)) || (at === value.length - 1 && character === ' ')
        return edge || ',;+"\\<>'.includes(character) ? `\\${character}` : character
      })
      .join('')
  const header = createReplicationAdminAuthorizer({ mode: 'mtls', mtlsSubjectRegex: /CN=admin/, ...BEHIND })
  const native = createNodeTlsMtlsMatcher({ subjectRegex: /CN=admin/ })
  let admitted = 0
  for (let round = 0; round < 20_000; round++) {
    const attributes = Array.from({ length: 1 + below(4) }, () => {
      const value = below(3) === 0 ? 'admin' : Array.from({ length: 1 + below(4) }, () => pick(pieces)).join('')
      return { type: pick(['CN', 'O', 'OU', 'C']), value }
    })
    const names = attributes.filter(({ type }) => type === 'CN')
    const expected = names.length === 1 && names[0]?.value === 'admin'
    const text = attributes.map(({ type, value }) => `${type}=${written(value)}`).join(pick([',', ', ', ';', '+']))
    let got = true
    try {
      header({ headers: { [CERT]: text }, socket: PROXY })
    } catch (error) {
      got = !(error instanceof ReplicationAdminAuthError)
    }
    // HTTP takes the blank at the end away, and what is left ends within an escape.
    assert.equal(got, expected && !text.endsWith(' '), text)
    const subject: Record<string, string[]> = {}
    for (const { type, value } of attributes) (subject[type] ??= []).push(value)
    const getPeerCertificate = () => ({ subject })
    assert.equal(native({ socket: { authorized: true, getPeerCertificate } }), expected, inspect(subject))
    if (expected) admitted++
  }
  assert.ok(admitted > 1000, `${admitted}`)
})

test('a pattern that remembers where it left off does not flap', () => {
  for (const regex of [/CN=admin/g, /CN=admin/y, /CN=admin/gy, /CN=admin/dgimsuy]) {
    const authorizer = createReplicationAdminAuthorizer({ mode: 'mtls', mtlsSubjectRegex: regex, ...BEHIND })
    const forwarded = createForwardedTlsMtlsMatcher({ ...BEHIND, subjectRegex: regex })
    const request = { headers: { [CERT]: 'O=KiteDB,CN=admin', 'x-client-verify': 'SUCCESS' }, socket: PROXY }
    for (let round = 0; round < 5; round++) {
      authorizer(request)
      assert.equal(forwarded(request), true)
      assert.throws(() => authorizer({ headers: { [CERT]: 'CN=other' }, socket: PROXY }), ReplicationAdminAuthError)
    }
    assert.equal(regex.lastIndex, 0)
  }
})

test('a hostile subject is refused in bounded steps', () => {
  // Counted, not timed: the pattern is asked no more often than a subject of the allowed size can make it.
  let asked = 0
  const regex = /CN=admin/
  const original = RegExp.prototype.test
  RegExp.prototype.test = function (text: string) {
    if (this.sticky && this.source.startsWith('(?:CN=admin)')) asked++
    return original.call(this, text)
  }
  try {
    const subject = `${'O="x",'.repeat(500)}C=D`
    status({ mode: 'mtls', mtlsSubjectRegex: regex, ...BEHIND }, { headers: { [CERT]: subject }, socket: PROXY })
    status(
      { mode: 'mtls', mtlsSubjectRegex: regex, ...BEHIND },
      { headers: { [CERT]: 'O="x",'.repeat(31) + 'C=D' }, socket: PROXY },
    )
  } finally {
    RegExp.prototype.test = original
  }
  assert.ok(asked > 0 && asked <= 3 * 3 * 32 * 64, `${asked}`)
})

test('a matcher decides alone, where certificates count, by true', () => {
  let calls = 0
  const matcher = (answer: unknown) => (): boolean => {
    calls++
    return answer as boolean
  }
  for (const mode of ['none', 'token'] as const) {
    const headers = { authorization: `Bearer ${TOKEN}` }
    assert.equal(status({ mode, token: TOKEN, mtlsMatcher: matcher(false) }, { headers }), 200)
  }
  assert.equal(calls, 0)
  for (const answer of [false, undefined, null, 0, 1, 'true', {}, [true]]) {
    assert.equal(
      status({ mode: 'mtls', mtlsMatcher: matcher(answer) }, { headers: { [CERT]: 'CN=admin' } }),
      401,
      inspect(answer),
    )
  }
  assert.equal(status({ mode: 'mtls', mtlsMatcher: matcher(true) }, {}), 200)
  // Header, pattern and proxies may stand beside it, and neither open nor close anything.
  const beside = { mode: 'mtls', mtlsHeader: 'x-client-cert', mtlsSubjectRegex: /CN=admin/ } as const
  for (const proxies of [{}, BEHIND]) {
    const admin = { headers: { 'x-client-cert': 'CN=admin' }, socket: PROXY }
    assert.equal(status({ ...beside, ...proxies, mtlsMatcher: matcher(false) }, admin), 401)
    const other = { headers: { 'x-client-cert': 'CN=other' }, socket: { remoteAddress: '10.0.0.8' } }
    assert.equal(status({ ...beside, ...proxies, mtlsMatcher: matcher(true) }, other), 200)
    assert.equal(status({ ...beside, ...proxies, mtlsMatcher: matcher(true) }, {}), 200)
  }
  const boom = new Error('boom')
  const throwing = {
    mode: 'mtls',
    mtlsMatcher: () => {
      throw boom
    },
  } as const
  assert.throws(() => isReplicationAdminAuthorized({}, throwing), boom)
  // A promise is truthy whatever it comes to, and its rejection must not end the process.
  for (const promise of [Promise.resolve(true), Promise.reject(boom)]) {
    const config = { mode: 'mtls', mtlsMatcher: matcher(promise) } as const
    assert.throws(() => createReplicationAdminAuthorizer(config)({}), /returned a promise: it must answer at once/)
  }
})

test('the Node TLS matcher goes by what the handshake verified', () => {
  const certificate = { subject: { C: 'DE', O: 'KiteDB', OU: ['a', 'b'], CN: 'admin' } }
  const verified = { authorized: true, getPeerCertificate: () => certificate }
  for (const request of [
    { socket: verified },
    { client: verified },
    { raw: { socket: verified } },
    { req: { socket: verified } },
  ]) {
    assert.equal(isNodeTlsClientAuthorized(request), true)
    assert.equal(isNodeTlsClientAuthorized(request, { requirePeerCertificate: true }), true)
  }
  for (const request of [
    {},
    { socket: null },
    { socket: {} },
    { socket: { authorized: false, getPeerCertificate: () => certificate } },
    { socket: { authorized: 'true' } },
    { socket: { authorized: 1 } },
    { headers: { 'x-client-verify': 'SUCCESS' }, socket: { remoteAddress: '127.0.0.1' } },
    undefined,
    null,
  ]) {
    assert.equal(isNodeTlsClientAuthorized(request as object), false, inspect(request))
  }
  const throws = () => {
    throw new Error('gone')
  }
  for (const getPeerCertificate of [undefined, () => null, () => undefined, () => ({}), () => 'cert', throws]) {
    const request = { socket: { authorized: true, getPeerCertificate } }
    // Node's own sockets have it: they admit nobody whose certificate is not there.
    assert.equal(isNodeTlsClientAuthorized(request), getPeerCertificate === undefined)
    assert.equal(isNodeTlsClientAuthorized(request, { requirePeerCertificate: true }), false)
    assert.equal(isNodeTlsClientAuthorized(request, { subjectRegex: /CN=admin/ }), false)
  }
  const subject = (regex: RegExp, of: unknown) =>
    isNodeTlsClientAuthorized(
      { socket: { authorized: true, getPeerCertificate: () => ({ subject: of }) } },
      { subjectRegex: regex },
    )
  assert.equal(subject(/CN=admin/, certificate.subject), true)
  assert.equal(subject(/^CN=admin,OU=b,OU=a,O=KiteDB,C=DE$/, certificate.subject), true)
  assert.equal(subject(/CN=admin/, { CN: 'administrator' }), false)
  assert.equal(subject(/CN=admin/, { O: 'x,CN=admin', CN: 'evil' }), false)
  assert.equal(subject(/CN=admin/, { O: 'x\nCN=admin' }), false)
  assert.equal(subject(/CN=admin/, { O: '"', CN: 'admin' }), true)
  assert.equal(subject(/CN=admin/, { CN: ['admin', 'evil'] }), false)
  assert.equal(subject(/CN=admin\(?=?[(?=]?/, certificate.subject), true)
  assert.equal(subject(/CN=(?<who>admin)(?:)/, certificate.subject), true)
  assert.equal(subject(/CN=admin/, undefined), false)
  assert.equal(subject(/CN=admin/, {}), false)
  for (const options of [{ requirePeerCertificate: 'yes' }, { requirePeerCert: true }, { subjectRegex: /x*/ }, null]) {
    assert.throws(() => createNodeTlsMtlsMatcher(options as object), ReplicationAdminConfigError)
    assert.throws(() => isNodeTlsClientAuthorized({}, options as object), ReplicationAdminConfigError)
  }
  const config = { mode: 'mtls', mtlsMatcher: createNodeTlsMtlsMatcher({ subjectRegex: /CN=root/ }) } as const
  const authorizer = createReplicationAdminAuthorizer(config)
  assert.throws(() => authorizer({ socket: verified }), { status: 403 })
  assert.throws(() => authorizer({ socket: {} }), { status: 401 })
})

test('the forwarded matcher believes what a proxy says of verification and certificate', () => {
  const admits = (
    headers: Record<string, string | string[]>,
    options: object = {},
    socket: object | null = PROXY,
  ): boolean => isForwardedTlsClientAuthorized({ headers, socket }, { ...BEHIND, ...options })
  for (const value of ['SUCCESS', 'success', 'Successful', 'true', '1', 'yes', 'verified', 'ok', ' OK ']) {
    assert.equal(admits({ 'x-client-verify': value }), true, value)
    assert.equal(admits({ 'SSL-Client-Verify': [value] }), true, value)
  }
  for (const value of ['NONE', 'FAILED:expired', 'SUCCESS, NONE', 'not success', '', '0', 'SUCCESSX']) {
    assert.equal(admits({ 'x-client-verify': value }), false, value)
  }
  assert.equal(admits({}), false)
  // One of them may be the client's own.
  assert.equal(admits({ 'x-client-verify': 'NONE', 'ssl-client-verify': 'SUCCESS' }), false)
  assert.equal(admits({ 'x-client-verify': ['SUCCESS', 'SUCCESS'] }), false)
  assert.equal(admits({ 'x-client-verify': 'SUCCESS', 'X-Client-Verify': 'NONE' }), false)
  assert.equal(admits({ 'x-client-verify': 'SUCCESS' }, {}, { remoteAddress: '10.0.0.8' }), false)
  assert.equal(admits({ 'x-client-verify': 'SUCCESS' }, {}, null), false)
  assert.equal(admits({ 'x-mine': 'fine' }, { verifyHeaders: ['X-Mine'], successValues: ['Fine'] }), true)
  assert.equal(admits({ 'x-client-verify': 'SUCCESS' }, { verifyHeaders: ['x-mine'] }), false)
  assert.equal(admits({ 'x-client-verify': 'SUCCESS' }, { verifyHeaders: [], successValues: [' '] }), true)

  const both = { 'x-client-verify': 'SUCCESS', 'x-client-cert': 'CN=admin' }
  assert.equal(admits(both, { requirePeerCertificate: true }), true)
  assert.equal(admits({ ...both, 'x-client-cert': ' ' }, { requirePeerCertificate: true }), false)
  assert.equal(admits({ ...both, 'x-client-cert': ['CN=a', 'CN=b'] }, { requirePeerCertificate: true }), false)
  assert.equal(admits(both, { subjectRegex: /CN=admin/ }), true)
  assert.equal(admits(both, { subjectRegex: /CN=adm/ }), false)
  assert.equal(admits({ ...both, [CERT]: 'CN=evil' }, { subjectRegex: /CN=admin/ }), false)
  assert.equal(admits({ 'x-client-verify': 'SUCCESS' }, { subjectRegex: /CN=admin/ }), false)
  const byCertificate = { requireVerifyHeader: false, requirePeerCertificate: true, certHeaders: ['x-client-cert'] }
  assert.equal(admits({ 'x-client-cert': 'CN=admin' }, byCertificate), true)
  assert.equal(admits({ [CERT]: 'CN=admin' }, byCertificate), false)
  assert.equal(admits({ 'x-client-cert': 'CN=admin', 'x-client-verify': 'FAILED' }, byCertificate), false)

  for (const [options, says] of [
    [null, /must be an object/],
    [{ trustedProxies: [] }, /name at least one/],
    [{ ...BEHIND, requireVerifyHeader: false }, /asks for nothing that a client could not pass/],
    [{ ...BEHIND, requireVerifyHeader: false, requirePeerCertificate: true }, /in certHeaders the one header/],
    [{ ...BEHIND, verifyHeader: ['x'] }, /has no option 'verifyHeader'/],
    [{ ...BEHIND, verifyHeaders: 'x-client-verify' }, /verifyHeaders must be a list of strings/],
    [{ ...BEHIND, verifyHeaders: ['x y'] }, /verifyHeaders is no name of a header/],
    [{ ...BEHIND, successValues: [true] }, /successValues must be a string/],
    [{ ...BEHIND, requirePeerCertificate: 1 }, /requirePeerCertificate must be true or false/],
    [{ ...BEHIND, subjectRegex: '^CN=' }, /subjectRegex must be a RegExp/],
  ] as const) {
    assert.throws(() => createForwardedTlsMtlsMatcher(options as object), says)
    assert.throws(() => isForwardedTlsClientAuthorized({}, options as object), says)
  }
  const matcher = createForwardedTlsMtlsMatcher({ ...BEHIND, subjectRegex: /CN=root/ })
  const authorizer = createReplicationAdminAuthorizer({ mode: 'mtls', mtlsMatcher: matcher })
  assert.throws(() => authorizer({ headers: both, socket: PROXY }), { status: 403, code: 'FORBIDDEN' })
  assert.throws(() => authorizer({ headers: both }), { status: 401, code: 'UNAUTHORIZED' })
})
