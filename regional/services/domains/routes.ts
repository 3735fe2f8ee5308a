// /v1/domains: names of the organisation's own, under which its API is found once their DNS says so.
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { isWithin } from '../../../shared/domain.ts'
import { Problem } from '../../../shared/problems.ts'
import type { TenantNumber } from '../../../shared/tenant.ts'
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
import { CHECK_MS, checkDomain, type DomainOptions, recheckingDomain, releasingDomain } from './check.ts'
import { CreateDomain, Domain, domainId } from './schema.ts'
import {
  addDomain,
  type DomainRecord,
  listDomains,
  noteCheck,
  readDomain,
  removeDomain,
  shown,
} from './store.ts'

const LIST = 'domains'
const one = z.object({ id: domainId })

export function domains(options: DomainOptions): Service {
  const releasing = releasingDomain(options)

  return {
    name: 'domains',
    jobKinds: [releasing, recheckingDomain(options)],
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
          const body = shown(record)
          return {
            status: made ? 201 : 200,
            body,
            headers: { location: `/v1/domains/${record.id}`, etag: tagOf(body) },
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
          return { target: id, work: { number: tx.context.tenant, record } }
        },
        work: ({ number, record }) => checkDomain(options, number, record),
        async settle(tx, { number, record }, outcome) {
          const { id, domain } = record
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
  record: DomainRecord
}
