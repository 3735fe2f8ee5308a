// /v1/audit: who did what, newest first. Reading it is in it, too.
import { Problem } from '../../../shared/problems.ts'
import {
  isLogPosition,
  pageBody,
  pageOf,
  pageQuery,
  readCursor,
  type Service,
  tenantOperation,
} from '../../tenancy/service.ts'
import { AuditEntry } from './schema.ts'

const LIST = 'audit'

export const audit: Service = {
  name: 'audit',
  operations: [
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/audit',
      tag: 'Audit',
      summary: 'Read the audit trail, newest first',
      scope: 'audit:read',
      sensitive: true,
      query: pageQuery,
      answers: { 200: pageOf(AuditEntry) },
      async handle(tx, { query }) {
        const [before] = readCursor(LIST, query.cursor) ?? []
        if (before !== undefined && !isLogPosition(before)) {
          throw new Problem('invalid_cursor', 'Use the nextCursor of this very list, unchanged.')
        }
        const { entries, more } = await tx.audit.page(query.limit, before, true)
        const shown = entries.map(([id, entry]) => [[id], { id, ...entry }] as const)
        return { status: 200, body: pageBody(LIST, { entries: shown, more }, (entry) => entry) }
      },
    }),
  ],
}
