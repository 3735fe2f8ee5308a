// /v1/admin-links: lets someone into the console, once, by a link. It gives at most what its maker has, and ends with
// its maker.
import { z } from 'zod'
import { newId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { mayGrant, ROLE_SCOPES } from '../../../shared/roles.ts'
import type { LinkAdmin } from '../../tenancy/mint.ts'
import type { AdminLinkRecord } from '../../tenancy/records.ts'
import {
  pageBody,
  pageOf,
  pageQuery,
  readCursor,
  requireMatch,
  type Service,
  type TenantTransaction,
  tagOf,
  tenantOperation,
  unfitBody,
} from '../../tenancy/service.ts'
import { AdminLink, CreateAdminLink, CreatedAdminLink, linkId } from './schema.ts'
import { addLink, listLinks, readLink, revokeLink } from './store.ts'

const LIST = 'admin-links'
const one = z.object({ id: linkId })

/** Also revoked where whoever made it may not let anybody in by it any more, or whom it is for is no member any more. */
async function shown(tx: TenantTransaction, link: AdminLinkRecord): Promise<AdminLink> {
  const { id, role, email, member, returnPath, issuer, createdAt, expiresAtMs } = link
  return {
    ...{ id, role, email, member, returnPath, issuer, createdAt },
    expiresAt: new Date(expiresAtMs).toISOString(),
    status: await statusOf(tx, link),
  }
}

async function statusOf(
  tx: TenantTransaction,
  { role, member, issuer, expiresAtMs, used, revokedAt }: AdminLinkRecord,
): Promise<AdminLink['status']> {
  if (used !== null) return 'used'
  if (revokedAt !== null) return 'revoked'
  if (expiresAtMs <= tx.context.nowMs) return 'expired'
  if (!(await tx.issuers.mayStillGive(issuer, role))) return 'revoked'
  return member === null || (await tx.issuers.member(member)) !== undefined ? 'open' : 'revoked'
}

/**
 * What a link gives, and to whom. One for a member is never more than they are, and of nobody who may more than its maker:
 * what is done in its session is told as theirs.
 * @throws {Problem} `insufficient_scope`; `validation_failed` where nobody is the member, or they are less than the role
 */
async function given(
  tx: TenantTransaction,
  { role: asked, memberId, email }: CreateAdminLink,
): Promise<Pick<AdminLinkRecord, 'role' | 'member' | 'email'>> {
  const whose = memberId && (await tx.issuers.member(memberId))
  if (memberId !== undefined && whose === undefined) throw wrong('/memberId', 'is no member’s')
  const role = asked ?? whose?.role ?? 'admin'
  const most = whose?.role ?? role
  if (!mayGrant(tx.context.scopes, most)) {
    throw new Problem('insufficient_scope', `A link cannot give what its maker does not have: ${most}.`)
  }
  if (!mayGrant(ROLE_SCOPES[most], role)) throw wrong('/role', `is more than the member has: ${most}`)
  return { role, member: memberId ?? null, email: email ?? whose?.email ?? null }
}

const wrong = (pointer: string, detail: string): Problem => unfitBody([{ pointer, detail }])

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
      async handle(tx, { body }) {
        const { expiresIn, returnPath } = body
        const { tenant, principal, publicOrigin: origin, nowMs } = tx.context
        if (origin === undefined) throw new Error('the edge did not say where clients find it')
        const { role, member, email } = await given(tx, body)
        const id = newId('lnk', nowMs)
        const expiresAtMs = (Math.floor(nowMs / 1000) + expiresIn) * 1000
        const { url, secretHash } = await linkAdmin({ tenant, linkId: id, expiresAtMs }, origin)
        const link: AdminLinkRecord = {
          id,
          secretHash,
          role,
          email,
          member,
          returnPath,
          issuer: await tx.issuers.own(),
          madeIn: principal.kind === 'session' ? principal.sessionId : null,
          createdAt: new Date(nowMs).toISOString(),
          expiresAtMs,
          used: null,
          revokedAt: null,
        }
        await addLink(tx, link)
        const made = await shown(tx, link)
        const headers = { location: `/v1/admin-links/${id}`, etag: tagOf(made) }
        return { status: 201, body: { ...made, url }, headers }
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
        const { entries, more } = await listLinks(tx, query.limit, readCursor(LIST, query.cursor))
        const listed = await Promise.all(
          entries.map(async ([key, link]) => [key, await shown(tx, link)] as const),
        )
        return { status: 200, body: pageBody(LIST, { entries: listed, more }, (each) => each) }
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
        return { status: 200, body: await shown(tx, await readLink(tx, params.id)) }
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
        requireMatch(ifMatch, tagOf(await shown(tx, await readLink(tx, params.id))))
        await revokeLink(tx, params.id)
        return { status: 204 }
      },
    }),
  ],
})
