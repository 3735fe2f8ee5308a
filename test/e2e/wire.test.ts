// What only bytes on a socket can ask: fetch would tidy them first. The edge answers each with problem details.
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { type Stack, startStack } from './stack.ts'

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
})
afterAll(() => stack.stop())

/** Sends the bytes and reads until the other side closes. */
function exchange(bytes: string, hangUp = false): Promise<{ status: number; head: string; body: string }> {
  const { port, hostname } = new URL(stack.edge)
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => {
      socket.write(bytes, 'latin1')
      if (hangUp) socket.end()
    })
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text
    })
    socket.on('error', reject)
    socket.on('close', () => {
      const [head = '', ...body] = answer.split('\r\n\r\n')
      resolve({ status: Number(head.split(' ')[1]), head: head.toLowerCase(), body: body.join('\r\n\r\n') })
    })
  })
}

const request = (
  line: string,
  headers: ReadonlyArray<string> = [],
  body = '',
  key = stack.demo.apiKey,
  host = 'edge',
): string =>
  [
    `${line} HTTP/1.1`,
    `Host: ${host}`,
    'Connection: close',
    ...(key ? [`Authorization: Bearer ${key}`] : []),
    ...headers,
    '',
    body,
  ].join('\r\n')

const JSON_TYPE = 'Content-Type: application/json'

test.each([
  ['dots that leave and come back', '/v1/../v1/tenant', 200],
  ['encoded dots', '/platform/%2e%2e/v1/tenant', 200],
  ['dots that leave for the operator', '/v1/../platform/v1/tenants', 401],
  ['encoded dots that leave for the operator', '/v1/%2e%2E/platform/v1/tenants', 401],
  ['dots that leave for the description', '/v1/../openapi.json', 200],
  ['encoded dots that leave for its page', '/v1/%2e%2e/docs', 200],
  ['a doubled slash', '//v1/tenant', 404],
  ['an encoded slash', '/v1%2Ftenant', 404],
  ['raw bytes beyond ASCII', '/v1/ten\xc3\xa4nt', 404],
  ['an encoding that is none', '/v1/%zz', 404],
  ['a letter that is escaped', '/v1/%74enant', 400],
  ['an absolute target', 'http://elsewhere/v1/tenant', 200],
])('%s: the region is asked for what the edge has checked', async (_, target, status) => {
  const answer = await exchange(request(`GET ${target}`))
  expect([answer.status, answer.body]).toEqual([status, expect.any(String)])
  if (status >= 400) expect(answer.head).toContain('content-type: application/problem+json')
})

const ROUTES = [
  ...['GET /v1/tenant', 'POST /hooks/x', 'GET /platform/v1/tenants', 'GET /openapi.json', 'GET /healthz'],
  ...[
    'GET /docs',
    'GET /admin/demo/',
    'GET /admin/demo/sign-in/callback?state=x',
    'GET /sign-up',
    'GET /platform/',
  ],
]

test.each([
  ...['a b', '[::1', '%%%', 'a:99999', 'a:b', '\x7f', '999.1.1.1', '[v1.x]', 'user@edge', 'a,b', ':80'],
  ...['a\\b', 'a<b', 'a%62', '%00', 'a..b', '.a'],
])('a host that is none, %j, is 400 on every route', async (host) => {
  for (const line of ROUTES) {
    for (const key of ['', stack.demo.apiKey]) {
      const { status, body } = await exchange(request(line, [], '', key, host))
      expect([status, JSON.parse(body).code], line).toEqual([400, 'malformed_request'])
    }
  }
})

test.each(['', '\xfc'])('a host that the runtime refuses itself, %j, is 400', async (host) => {
  expect((await exchange(request('GET /v1/tenant', [], '', undefined, host))).status).toBe(400)
})

test.each(['a/v1/tenant?', 'x?y', 'x#y', '/v1/tenant?', 'a/../v1/tenant?'])(
  'a host that would lead to another path, %j, leads nowhere',
  async (host) => {
    for (const line of ROUTES)
      expect((await exchange(request(line, [], '', undefined, host))).status).toBeOneOf([400, 404])
  },
)

test.each([
  'edge',
  'EDGE:80',
  'edge.',
  'edge:',
  '127.0.0.1',
  '[::1]:8787',
  'a_b.example',
  'xn--bcher-kva.example',
])('any other host, %j, is as good as ours', async (host) => {
  expect((await exchange(request('GET /v1/tenant', [], '', undefined, host))).status).toBe(200)
})

test.each<[string, () => string, number, string]>([
  [
    'an announced body that is too large',
    () => request('POST /v1/projects', [JSON_TYPE, `Content-Length: ${MAX_BODY_BYTES + 1}`], '{'),
    413,
    'body_too_large',
  ],
  [
    'chunks that become too large',
    () => {
      const chunk = ' '.repeat(MAX_BODY_BYTES / 2)
      const coded = `${chunk.length.toString(16)}\r\n${chunk}\r\n`
      return request(
        'POST /v1/projects',
        [JSON_TYPE, 'Transfer-Encoding: chunked'],
        `${coded}${coded}1\r\n \r\n0\r\n\r\n`,
      )
    },
    413,
    'body_too_large',
  ],
  [
    'a large body without a credential',
    () => request('POST /v1/projects', [JSON_TYPE, `Content-Length: ${MAX_BODY_BYTES + 1}`], '{', ''),
    401,
    'credential_missing',
  ],
  ['a long path', () => request(`GET /v1/${'a'.repeat(8_000)}`), 431, 'request_head_too_large'],
  ['a method that nothing has', () => request('TRACE /v1/tenant'), 405, 'method_not_allowed'],
  [
    'two names for the tenant',
    () => request('GET /v1/tenant', ['X-Tenant: demo', 'X-Tenant: other']),
    403,
    'tenant_mismatch',
  ],
  ['a name beyond ASCII', () => request('GET /v1/tenant', ['X-Tenant: d\xe9mo']), 403, 'tenant_mismatch'],
])('%s is a problem with its code', async (_, bytes, status, code) => {
  const answer = await exchange(bytes())
  expect(answer.status).toBe(status)
  expect(JSON.parse(answer.body)).toMatchObject({ status, code, requestId: expect.stringMatching(/^req_/) })
})

test('a body that ends before its announced length is 400', async () => {
  const bytes = request('POST /v1/projects', [JSON_TYPE, 'Content-Length: 100'], '{"name"')
  expect(await exchange(bytes, true)).toMatchObject({ status: 400 })
})

test('X-Tenant that names the tenant of the credential, by id or slug, changes nothing', async () => {
  for (const name of ['demo', stack.demo.tenantId]) {
    expect(await exchange(request('GET /v1/tenant', [`X-Tenant: ${name}`]))).toMatchObject({ status: 200 })
  }
})

test('X-Tenant with another slug is a mismatch that the region finds', async () => {
  const answer = await exchange(request('GET /v1/tenant', ['X-Tenant: elsewhere']))
  expect(answer.status).toBe(403)
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'tenant_mismatch' })
})

test('an If-Match that is empty is none: the runtime shows it to nobody, and docs/api.md says so', async () => {
  const made = await stack.call<{ id: string }>('/v1/projects', { method: 'POST', body: { name: 'Bare' } })
  const body = '{"name":"Changed"}'
  const change = (tag: string) =>
    exchange(
      request(
        `PATCH /v1/projects/${made.body.id}`,
        [JSON_TYPE, `Content-Length: ${body.length}`, `If-Match: ${tag}`],
        body,
      ),
    )
  expect((await change('"7"')).status).toBe(412)
  expect((await change('')).status).toBe(200)
})

test('what a reader has already is not sent through the edge again', async () => {
  const made = await stack.call<{ id: string }>('/v1/projects', { method: 'POST', body: { name: 'Known' } })
  const line = `GET /v1/projects/${made.body.id}`
  const etag = /^etag: (.*)$/m.exec((await exchange(request(line))).head)?.[1] ?? ''
  const known = await exchange(request(line, [`If-None-Match: ${etag}`]))
  expect([known.status, known.body]).toEqual([304, ''])
  expect(known.head).toContain(`etag: ${etag}`)
})

test('a body that is compressed is refused as such', async () => {
  const body = gzipSync('{"name":"Packed"}').toString('latin1')
  const headers = [JSON_TYPE, `Content-Length: ${body.length}`, 'Content-Encoding: gzip']
  const answer = await exchange(request('POST /v1/projects', headers, body))
  expect([answer.status, JSON.parse(answer.body).code]).toEqual([415, 'unsupported_media_type'])
  expect(answer.head).toContain('accept-encoding: identity')
})
