import fc from 'fast-check'
import { expect, test } from 'vitest'
import { strippedAnswerHeaders, strippedRequestHeaders } from '../../edge/forward/strip.ts'
import { asserted } from './asserted.ts'
import { bearer, edgeTo, newKey, newMarker, seen } from './support.ts'

const FORGED = [
  'authorization',
  'x-api-key',
  'cookie',
  'coditect-assertion',
  'coditect-client-ip',
  'coditect-anything',
  'x-tenant',
  'x-tenant-id',
  'x-principal',
  'x-principal-id',
  'x-request-id',
  'x-request-deadline',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'forwarded',
  'cf-connecting-ip',
  'cf-ray',
  'true-client-ip',
  'connection',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'expect',
  'content-length',
  'x-http-method-override',
  'x-original-url',
  'x-rewrite-url',
]

/** `x-tenant` as `X-tEnAnT`: the same header, whoever reads it. */
const anyCase = (name: string) =>
  fc
    .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
    .map((upper) => [...name].map((c, i) => (upper[i] ? c.toUpperCase() : c)).join(''))

test('no header that says who the caller is passes, in any spelling', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...FORGED).chain(anyCase),
      fc.string({ unit: fc.constantFrom('a', '1', ',', ';', '=') }),
      (name, value) => {
        const headers = new Headers([
          ['accept', 'application/json'],
          [name, value],
        ])
        expect(strippedRequestHeaders(new Map(headers))).toEqual({ accept: 'application/json' })
      },
    ),
  )
})

test('a header that Connection names does not pass, in any spelling', () => {
  fc.assert(
    fc.property(anyCase('if-match'), fc.constantFrom('', 'close,', 'keep-alive ,\t'), (name, before) => {
      const headers = new Headers({ connection: before + name, 'if-match': '"1"', accept: '*/*' })
      expect(strippedRequestHeaders(new Map(headers))).toEqual({ accept: '*/*' })
    }),
  )
})

test('what a region says about its connection, or to the edge alone, stays between them', () => {
  const headers = new Headers({
    connection: 'X-Hop',
    'x-hop': '1',
    'keep-alive': 'timeout=5',
    'coditect-snapshot': '7',
    etag: '"1"',
  })
  headers.append('set-cookie', 'a=1')
  headers.append('set-cookie', 'b=2')
  expect(strippedAnswerHeaders(headers)).toEqual({ fields: { etag: '"1"' }, cookies: ['a=1', 'b=2'] })
})

test('over the wire: forged headers never arrive, and those of the content do', async () => {
  const marker = newMarker()
  const edge = await edgeTo()
  const meant = ['host', 'content-length', 'authorization', 'x-api-key', 'x-tenant', 'cf-connecting-ip']
  const forged = FORGED.filter((name) => !meant.includes(name))
  await edge.request(`http://edge/v1/projects?${marker}`, {
    method: 'POST',
    headers: {
      ...Object.fromEntries(forged.map((name) => [name, 'forged'])),
      ...bearer(await newKey()),
      'content-encoding': 'gzip',
      'content-type': 'application/json',
      'idempotency-key': 'once',
      'if-match': '"1"',
    },
    body: '{"name":"ü"}',
  })
  const [request] = await seen(marker)
  // As it came: nothing on the way packs it, or unpacks it.
  expect(request?.body).toBe('{"name":"ü"}')
  expect(request?.headers).toMatchObject({
    'content-encoding': 'gzip',
    'content-type': 'application/json',
    'idempotency-key': 'once',
    'if-match': '"1"',
    'content-length': '13',
  })
  const of = { region: 'us', method: 'POST', target: `/v1/projects?${marker}` } as const
  expect(await asserted(request?.headers['coditect-assertion'], of)).toMatchObject({ idempotencyKey: 'once' })
  expect(Object.values(request?.headers ?? {})).not.toContain('forged')
  expect(request?.headers).not.toHaveProperty('authorization')
  expect(request?.headers['x-request-id']).toMatch(/^req_/)
})

test('an idempotency key that is empty is told to the region, which refuses it', async () => {
  const marker = newMarker()
  const headers = { ...bearer(await newKey()), 'idempotency-key': '' }
  await (await edgeTo()).request(`http://edge/v1/projects?${marker}`, { method: 'POST', headers })
  const [request] = await seen(marker)
  const of = { region: 'us', method: 'POST', target: `/v1/projects?${marker}` } as const
  expect(await asserted(request?.headers['coditect-assertion'], of)).toMatchObject({ idempotencyKey: '' })
})

test.each([
  ['a valid trace goes on', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', true],
  ['a trace of zeros is replaced', '00-00000000000000000000000000000000-b7ad6b7169203331-01', false],
  ['a trace in capitals is replaced', '00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01', false],
  ['a missing trace is made', '', false],
])('%s', async (_, traceparent, kept) => {
  const marker = newMarker()
  const edge = await edgeTo()
  await edge.request(`http://edge/v1/projects?${marker}`, {
    headers: { ...bearer(await newKey()), ...(traceparent && { traceparent }) },
  })
  const [request] = await seen(marker)
  expect(request?.headers.traceparent).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/)
  expect(request?.headers.traceparent === traceparent).toBe(kept)
})
