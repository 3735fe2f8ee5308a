// /v1/domains: names of the organisation's own, under which its API is found once their DNS says so.
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { isWithin } from '../../../shared/domain.ts'
import { Problem } from '../../../shared/problems.ts'
import { asTenantNumber, type TenantNumber } from '../../../shared/tenant.ts'
import { jobKind } from '../../jobs/kind.ts'
import {
  outsideOperation,
  pageBody,
  pageOf,
  pageQuery,
  readCursor,
  requireMatch,
  type Service,
  tagOf,
  tenantOperation,
} from '../../tenancy/service.ts'
import { type Check, CreateDomain, Domain, domainId } from './schema.ts'
import {
  addDomain,
  type DomainRecord,
  listDomains,
  noteCheck,
  readDomain,
  recordOf,
  removeDomain,
  shown,
} from './store.ts'

const LIST = 'domains'
const one = z.object({ id: domainId })
const CHECK_MS = 15_000

/** Of a domain in the control region's directory: `id` is the record's that it stands for. */
export interface DomainClaim {
  number: TenantNumber
  domain: string
  id: string
}

export interface DomainOptions {
  /** Every TXT record of a name, in its parts (RFC 1035); rejects as `node:dns` does. */
  resolveTxt(name: string): Promise<ReadonlyArray<ReadonlyArray<string>>>
  /** @returns false when it is another organisation's. Repeatable. */
  claim(claim: DomainClaim): Promise<boolean>
  release(claim: DomainClaim): Promise<void>
}

const NO_SUCH_RECORD: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

export function domains({ resolveTxt, claim, release }: DomainOptions): Service {
  const releasing = jobKind<{ number: string; domain: string; id: string }>({
    kind: 'domains.release',
    service: 'domains',
    retry: { firstMs: 1_000, maxMs: 10 * 60_000, tries: Number.POSITIVE_INFINITY },
    outside: async ({ payload: { number, domain, id } }) => {
      await release({ number: asTenantNumber(BigInt(number)), domain, id })
      return undefined
    },
    step: async () => ({ finished: true }),
  })

  async function check({ number, id, domain, value, name }: Checking): Promise<Check> {
    let found: ReadonlyArray<ReadonlyArray<string>>
    try {
      found = await resolveTxt(name)
    } catch (error) {
      return NO_SUCH_RECORD.has((error as NodeJS.ErrnoException).code) ? 'not_found' : 'lookup_failed'
    }
    if (!found.some((parts) => parts.join('') === value)) return 'wrong_value'
    const claimed = await claim({ number, domain, id }).catch(() => undefined)
    if (claimed === undefined) return 'lookup_failed'
    return claimed ? 'verified' : 'taken'
  }

  return {
    name: 'domains',
    jobKinds: [releasing],
    operations: [
      tenantOperation({
        name: 'create',
        method: 'post',
        path: '/v1/domains',
        tag: 'Domains',
        summary: 'Add a domain; it is yours once its DNS says so',
        scope: 'domains:write',
        body: CreateDomain,
        answers: { 200: Domain, 201: Domain },
        problems: ['quota_exceeded'],
        async handle(tx, { body: { domain } }) {
          const { publicOrigin } = tx.context
          if (publicOrigin !== undefined && isWithin(domain, new URL(publicOrigin).hostname)) {
            throw new Problem('validation_failed', 'The domain is the platform’s own.', {
              errors: [{ pointer: '/domain', detail: 'is the platform’s own' }],
            })
          }
          const { record, made } = await addDomain(tx, domain, randomBytes(24).toString('base64url'))
          return {
            status: made ? 201 : 200,
            body: shown(record),
            headers: { location: `/v1/domains/${record.id}` },
          }
        },
      }),
      tenantOperation({
        name: 'list',
        method: 'get',
        path: '/v1/domains',
        tag: 'Domains',
        summary: 'List domains, oldest first',
        scope: 'domains:read',
        query: pageQuery,
        answers: { 200: pageOf(Domain) },
        async handle(tx, { query }) {
          const page = await listDomains(tx, query.limit, readCursor(LIST, query.cursor))
          return { status: 200, body: pageBody(LIST, page, shown) }
        },
      }),
      tenantOperation({
        name: 'read',
        method: 'get',
        path: '/v1/domains/{id}',
        tag: 'Domains',
        summary: 'Read a domain',
        scope: 'domains:read',
        params: one,
        answers: { 200: Domain },
        handle: async (tx, { params }) => ({ status: 200, body: shown(await readDomain(tx, params.id)) }),
      }),
      outsideOperation({
        name: 'verify',
        method: 'post',
        path: '/v1/domains/{id}/verify',
        tag: 'Domains',
        summary: 'Look at the domain’s TXT records now; `lastCheck` says what was found',
        scope: 'domains:write',
        params: one,
        answers: { 200: Domain },
        status: 200,
        maxMs: CHECK_MS,
        async begin(tx, { params: { id } }): Promise<{ target: string; work: Checking }> {
          const record = await readDomain(tx, id)
          const { name, value } = recordOf(record)
          const number = tx.context.tenant
          return { target: id, work: { number, id, domain: record.domain, name, value, record } }
        },
        work: (checking) => check(checking),
        async settle(tx, { id, number, domain, record }, outcome) {
          const after = await noteCheck(tx, id, outcome)
          if (after !== undefined) return { status: 200, body: shown(after) }
          // Taken away while it was looked at: what was claimed since is given back. `not_found` would undo that.
          tx.enqueue(releasing, { number: String(number), domain, id })
          return { status: 200, body: shown({ ...record, lastCheck: null, verifiedAt: null }) }
        },
      }),
      tenantOperation({
        name: 'delete',
        method: 'delete',
        path: '/v1/domains/{id}',
        tag: 'Domains',
        summary: 'Take a domain away',
        scope: 'domains:write',
        params: one,
        answers: { 204: null },
        problems: ['precondition_failed'],
        async handle(tx, { params: { id }, ifMatch }) {
          const record = await readDomain(tx, id)
          requireMatch(ifMatch, tagOf(shown(record)))
          await removeDomain(tx, record)
          tx.enqueue(releasing, { number: String(tx.context.tenant), domain: record.domain, id })
          return { status: 204 }
        },
      }),
    ],
  }
}

interface Checking {
  number: TenantNumber
  id: string
  domain: string
  name: string
  value: string
  record: DomainRecord
}
