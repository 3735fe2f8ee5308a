// What a service's author gets wrong costs the request that meets it, is told in the log, and reaches nobody else.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { Reply } from '../../regional/operation.ts'
import { type Service, type TenantTransaction, tenantOperation } from '../../regional/tenancy/service.ts'
import { type Answer, type Regions, startRegions } from './support.ts'

type Work = (tx: TenantTransaction) => Promise<Reply>

const written: Record<string, Work> = {
  rejects: () => Promise.reject('no such thing'),
  aborts: async () => {
    AbortSignal.abort('enough').throwIfAborted()
    return { status: 200 }
  },
}

const mistaken: Service = {
  name: 'mistaken',
  operations: Object.entries(written).map(([name, handle]) =>
    tenantOperation({
      name,
      method: 'post',
      path: `/v1/mistaken/${name}`,
      tag: 'Test',
      summary: name,
      scope: 'projects:write',
      answers: { 200: z.unknown() },
      handle,
    }),
  ),
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
