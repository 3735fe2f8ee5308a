// /v1/admin-links: lets someone into the console, once, by a link. It gives at most what its maker has, and ends with
// its maker.
import { z } from 'zod'
import { newId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { mayGrant } from '../../../shared/roles.ts'
import type { LinkAdmin } from '../../tenancy/mint.ts'
import type { AdminLinkRecord } from '../../tenancy/records.ts'
import {
  pageBody,
  pageOf,
  pageQuery,
  readCursor,
  requireMatch,
  type Service,
  tagOf,
  tenantOperation,
} from '../../tenancy/service.ts'
import { AdminLink, CreateAdminLink, CreatedAdminLink, linkId } from './schema.ts'
import { addLink, listLinks, readLink, revokeLink } from './store.ts'

const LIST = 'admin-links'
const one = z.object({ id: linkId })

const shown = (
  { id, role, email, returnPath, issuer, createdAt, expiresAtMs, used, revokedAt }: AdminLinkRecord,
  nowMs: number,
): AdminLink => ({
  id,
  role,
  email,
  returnPath,
  issuer,
  createdAt,
  expiresAt: new Date(expiresAtMs).toISOString(),
  status: used ? 'used' : revokedAt !== null ? 'revoked' : expiresAtMs <= nowMs ? 'expired' : 'open',
})

export const adminLinks = (linkAdmin: LinkAdmin): Service => ({
  name: 'admin-links',
  mintsCredentials: true,
  operations: [
    tenantOperation({
      name: 'create',
      method: 'post',
      path: '/v1/admin-links',
      tag: 'Admin links',
      summary: 'Make a link into the console, for one person and one use',
      scope: 'admin-links:write',
      body: CreateAdminLink,
      answers: { 201: CreatedAdminLink },
      async handle(tx, { body: { role, expiresIn, email, returnPath } }) {
        const { tenant, principal, scopes, publicOrigin: origin, nowMs } = tx.context
        if (origin === undefined) throw new Error('the edge did not say where clients find it')
        if (!mayGrant(scopes, role)) {
          throw new Problem('insufficient_scope', `A link cannot give what its maker does not have: ${role}.`)
        }
        const id = newId('lnk', nowMs)
        const expiresAtMs = (Math.floor(nowMs / 1000) + expiresIn) * 1000
        const { url, secretHash } = await linkAdmin({ tenant, linkId: id, expiresAtMs }, origin)
        const link: AdminLinkRecord = {
          id,
          secretHash,
          role,
          email,
          member: null,
          returnPath,
          issuer: await tx.issuers.own(),
          madeIn: principal.kind === 'session' ? principal.sessionId : null,
          createdAt: new Date(nowMs).toISOString(),
          expiresAtMs,
          used: null,
          revokedAt: null,
        }
        await addLink(tx, link)
        const body = shown(link, nowMs)
        const headers = { location: `/v1/admin-links/${id}`, etag: tagOf(body) }
        return { status: 201, body: { ...body, url }, headers }
      },
    }),
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/admin-links',
      tag: 'Admin links',
      summary: 'List admin links that are open, or were so within a day, oldest first',
      scope: 'admin-links:read',
      query: pageQuery,
      answers: { 200: pageOf(AdminLink) },
      async handle(tx, { query }) {
        const page = await listLinks(tx, query.limit, readCursor(LIST, query.cursor))
        return { status: 200, body: pageBody(LIST, page, (link) => shown(link, tx.context.nowMs)) }
      },
    }),
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/admin-links/{id}',
      tag: 'Admin links',
      summary: 'Read an admin link, without its URL',
      scope: 'admin-links:read',
      params: one,
      answers: { 200: AdminLink },
      async handle(tx, { params }) {
        return { status: 200, body: shown(await readLink(tx, params.id), tx.context.nowMs) }
      },
    }),
    tenantOperation({
      name: 'revoke',
      method: 'delete',
      path: '/v1/admin-links/{id}',
      tag: 'Admin links',
      summary: 'Take an admin link back before it is used',
      scope: 'admin-links:write',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed', 'conflict'],
      async handle(tx, { params, ifMatch }) {
        requireMatch(ifMatch, tagOf(shown(await readLink(tx, params.id), tx.context.nowMs)))
        await revokeLink(tx, params.id)
        return { status: 204 }
      },
    }),
  ],
})
