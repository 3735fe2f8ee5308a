// A service for tests whose work is a job, over HTTP: `POST /v1/counts` counts up to `steps`, one step at a time.
import { z } from 'zod'
import { idSchema } from '../../regional/schemas.ts'
import { jsonSpace, pageBody, pageOf, type Service, tenantOperation } from '../../regional/tenancy/service.ts'
import { count, counters } from './support.ts'

const fillings = jsonSpace<[row: number], string>('filling')

export const counting: Service = {
  name: 'test',
  operations: [
    tenantOperation({
      name: 'start',
      method: 'post',
      path: '/v1/counts',
      tag: 'Test',
      summary: 'Count',
      scope: 'projects:write',
      body: z.strictObject({ name: z.string(), steps: z.int() }),
      answers: { 202: z.object({ id: idSchema('job') }) },
      handle: async (tx, { body }) => ({ status: 202, body: { id: tx.enqueue(count, body) } }),
    }),
    tenantOperation({
      name: 'fill',
      method: 'post',
      path: '/v1/fillings',
      tag: 'Test',
      summary: 'Write rows of a kilobyte',
      scope: 'projects:write',
      body: z.strictObject({ from: z.int(), rows: z.int() }),
      answers: { 204: null },
      async handle(tx, { body }) {
        const rows = tx.space(fillings)
        for (let i = 0; i < body.rows; i++) rows.set([body.from + i], 'x'.repeat(1_000))
        return { status: 204 }
      },
    }),
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/counts',
      tag: 'Test',
      summary: 'What was counted',
      scope: 'projects:read',
      answers: { 200: pageOf(z.unknown()) },
      async handle(tx) {
        const { entries } = await tx.space(counters).page({ limit: 100 })
        const data = entries.map(([name, counted]) => [name, { name: name[0], counted }] as const)
        return { status: 200, body: pageBody('counts', { entries: data, more: false }, (each) => each) }
      },
    }),
  ],
}
