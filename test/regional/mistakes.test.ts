// What a service's author gets wrong costs the request that meets it, is told in the log, and reaches nobody else.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { jobKind } from '../../regional/jobs/kind.ts'
import type { Reply } from '../../regional/operation.ts'
import {
  chunkedSpace,
  counterSpace,
  jsonSpace,
  type Service,
  type TenantTransaction,
  tenantOperation,
} from '../../regional/tenancy/service.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

type Work = (tx: TenantTransaction) => Promise<Reply>

const notes = jsonSpace<[name: string], number>('note')
const large = chunkedSpace<[name: string]>('large')
const counts = counterSpace<[name: string]>('count')

const read: Record<string, Work> = {
  noted: async (tx) => {
    const { entries } = await tx.space(notes).page({ limit: 100 })
    return { status: 200, body: entries.map(([[name]]) => name) }
  },
  'sets-in-a-read': async (tx) => {
    tx.space(notes).set(['read'], 1)
    return { status: 200, body: {} }
  },
  'clears-in-a-read': async (tx) => {
    tx.space(notes).clearUnder(['read'])
    return { status: 200, body: {} }
  },
  'stores-in-a-read': async (tx) => {
    tx.chunked(large).set(['read'], Buffer.of(1))
    return { status: 200, body: {} }
  },
  'counts-in-a-read': async (tx) => {
    tx.counters(counts).add(['read'], 1)
    return { status: 200, body: {} }
  },
}

/** Notes that it was done, and answers what cannot be sent. */
const answering =
  (name: string, reply: Reply): Work =>
  async (tx) => {
    tx.space(notes).set([name], 1)
    return reply
  }

const job = (kind: string) =>
  jobKind<unknown>({
    kind,
    service: 'mistaken',
    retry: { firstMs: 1_000, maxMs: 1_000, tries: 1 },
    step: async () => ({ finished: true }),
  })
const known = job('mistaken.known')
const enqueuing =
  (kind: typeof known, payload: unknown, runAtMs?: number): Work =>
  async (tx) => {
    const id = tx.enqueue(kind, payload, runAtMs === undefined ? {} : { runAtMs })
    return { status: 200, body: { id } }
  }

const written: Record<string, Work> = {
  'known-job': enqueuing(known, null),
  'unknown-job': enqueuing(job('mistaken.unknown'), null),
  'job-at-no-time': enqueuing(known, null, Number.NaN),
  'job-of-nothing': enqueuing(known, undefined),
  'status-0': answering('status-0', { status: 0, body: {} }),
  'undeclared-status': answering('undeclared-status', { status: 207, body: {} }),
  'body-in-204': answering('body-in-204', { status: 204, body: {} }),
  'header-of-no-bytes': answering('header-of-no-bytes', {
    status: 200,
    body: {},
    headers: { location: '/日本' },
  }),
  rejects: () => Promise.reject('no such thing'),
  aborts: async () => {
    AbortSignal.abort('enough').throwIfAborted()
    return { status: 200 }
  },
}

const operations = (method: 'get' | 'post', works: Record<string, Work>) =>
  Object.entries(works).map(([name, handle]) =>
    tenantOperation({
      name,
      method,
      path: `/v1/mistaken/${name}`,
      tag: 'Test',
      summary: name,
      scope: 'projects:write',
      answers: { 200: z.unknown(), 204: null },
      handle,
    }),
  )

const mistaken: Service = {
  name: 'mistaken',
  jobKinds: [known],
  operations: [...operations('get', read), ...operations('post', written)],
}

let regions: Regions
let key: string
const lines: string[] = []
beforeAll(async () => {
  regions = await startRegions({ extraServices: [mistaken], writeLog: (line) => void lines.push(line) })
  key = (await regions.newTenant('acme', 'us')).key
})
afterAll(() => regions.close())

const post = (name: string): Promise<Answer> =>
  regions.ask('us', { as: key, method: 'POST', path: `/v1/mistaken/${name}` })

/** The line that tells of this very request's failure. */
const failureOf = ({ headers }: Answer): string | undefined =>
  lines
    .map((line) => JSON.parse(line))
    .find(
      ({ message, requestId }) => message === 'a request failed' && requestId === headers.get('x-request-id'),
    )?.error

test.each([
  ['rejects', 'no such thing'],
  ['aborts', 'enough'],
])(
  'what %s with a text is answered and logged as any other failure, and ends what it began',
  async (name, text) => {
    const answer = await post(name)
    expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
    expect(failureOf(answer)).toContain(text)
    const metrics = await (await fetch(`${regions.url('us')}/metrics`)).text()
    expect(metrics).toMatch(/^coditect_requests_in_flight\{[^}]*\} 0$/m)
  },
)

test.each([
  ['status-0', 'answered 0'],
  ['undeclared-status', 'answered 207'],
  ['body-in-204', 'with a body'],
  ['header-of-no-bytes', 'the header location'],
])('a change whose answer is %s is not made', async (name, says) => {
  const answer = await post(name)
  expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
  expect(failureOf(answer)).toContain(says)
  const { body } = await regions.ask('us', { as: key, path: '/v1/mistaken/noted' })
  expect(body).toEqual([])
})

test.each([
  ['unknown-job', 'no worker knows the kind of job mistaken.unknown'],
  ['job-at-no-time', 'at no time: NaN'],
  ['job-of-nothing', 'is no JSON'],
])('%s is not enqueued', async (name, says) => {
  expect((await post('known-job')).status).toBe(200)
  const answer = await post(name)
  expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
  expect(failureOf(answer)).toContain(says)
})

test.each(Object.keys(read).filter((name) => name.endsWith('-read')))(
  'what %s fails, for it would be lost',
  async (name) => {
    const answer = await regions.ask('us', { as: key, path: `/v1/mistaken/${name}` })
    expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
    expect(failureOf(answer)).toContain('what only reads changes nothing')
  },
)
