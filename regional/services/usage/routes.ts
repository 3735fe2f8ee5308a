// /v1/usage
import { Problem } from '../../../shared/problems.ts'
import { type Service, tenantOperation } from '../../tenancy/service.ts'
import { Usage, usageQuery, windowOf } from './schema.ts'

export const usage: Service = {
  name: 'usage',
  operations: [
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/usage',
      tag: 'Usage',
      summary: 'Read quotas, and requests by the hour or day',
      scope: 'usage:read',
      query: usageQuery,
      answers: { 200: Usage },
      async handle(tx, { query }) {
        const window = windowOf(query, tx.context.nowMs)
        if (typeof window === 'string') throw new Problem('malformed_request', window)
        return { status: 200, body: await tx.usage(window) }
      },
    }),
  ],
}
