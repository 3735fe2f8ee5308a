// /v1/audit: who did what, newest first. Reading it is in it, too.
import { CLOCKS_MS } from '../../tenancy/events.ts'
import {
  invalidCursor,
  isLogPosition,
  type LogPosition,
  listAsked,
  type PageBody,
  pageOf,
  readCursor,
  type Service,
  type TenantTransaction,
  tenantOperation,
  writeCursor,
} from '../../tenancy/service.ts'
import { AuditEntry, AuditQuery } from './schema.ts'

const LIST = 'audit'
/** Entries that one request looks at; a page of a filtered list ends there, and the next one goes on. */
const MAX_LOOKED_AT = 2_000
const STEP = 500

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
      query: AuditQuery,
      answers: { 200: pageOf(AuditEntry) },
      async handle(tx, { query }) {
        const [before] = readCursor(listAsked(LIST, query), query.cursor) ?? []
        if (before !== undefined && !isLogPosition(before)) throw invalidCursor()
        return { status: 200, body: await page(tx, query, before) }
      },
    }),
  ],
}

type Entry = Omit<AuditEntry, 'id'>
type Filter = Omit<AuditQuery, 'cursor' | 'limit'>

const isFiltered = ({ limit: _, cursor: __, ...filter }: AuditQuery): boolean =>
  Object.values(filter).some((value) => value !== undefined)

async function page(
  tx: TenantTransaction,
  query: AuditQuery,
  before: LogPosition | undefined,
): Promise<PageBody<AuditEntry>> {
  const step = isFiltered(query) ? STEP : query.limit
  const data: AuditEntry[] = []
  const end = (at: LogPosition | undefined) => ({
    data,
    nextCursor: at === undefined ? null : writeCursor(listAsked(LIST, query), at),
  })
  let at = before
  for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT; ) {
    const { entries, more } = await tx.audit.peekPage(step, at, true)
    for (const [index, [id, entry]] of entries.entries()) {
      if (isPast(entry, query)) return end(undefined)
      at = id
      if (fits(entry, query)) data.push({ id, ...entry })
      if (data.length === query.limit) return end(more || index < entries.length - 1 ? at : undefined)
    }
    if (!more) return end(undefined)
    lookedAt += entries.length
  }
  return end(at)
}

/**
 * Whether nothing that fits stands behind an entry. The trail is in the order of commits: what was done was written at once,
 * whereas a refusal is told later, with the time of the first like it.
 */
const isPast = ({ outcome, at }: Entry, { since }: Filter): boolean =>
  since !== undefined && outcome === 'done' && Date.parse(at) < Date.parse(since) - CLOCKS_MS

function fits(entry: Entry, { actor, action, target, outcome, since, until }: Filter): boolean {
  return (
    (actor === undefined || entry.actor.id === actor || entry.actor.member === actor) &&
    (action === undefined || entry.action === action || entry.action.startsWith(`${action}.`)) &&
    (target === undefined || entry.target === target) &&
    (outcome === undefined || entry.outcome === outcome) &&
    (since === undefined || Date.parse(entry.at) >= Date.parse(since)) &&
    (until === undefined || Date.parse(entry.at) < Date.parse(until))
  )
}
