// /v1/invitations: asks somebody to become a member, by a token that is sent or passed on.
import { z } from 'zod'
import { INVITATION_PATH } from '../../../shared/credentials/invitation_token.ts'
import { newId } from '../../../shared/ids.ts'
import type { InvitationPrincipal } from '../../../shared/principal.ts'
import { Problem } from '../../../shared/problems.ts'
import type { Mailer } from '../../mail/mailer.ts'
import type { InvitationTokens } from '../../tenancy/mint.ts'
import type { InvitationRecord } from '../../tenancy/records.ts'
import {
  notFound,
  pageBody,
  pageOf,
  pageQuery,
  readCursor,
  requireMatch,
  type TenantOperation,
  type TenantTransaction,
  tagOf,
  tenantOperation,
} from '../../tenancy/service.ts'
import { type LetterSeal, letterOf, type SendInvitation } from './invitation_letter.ts'
import {
  AcceptInvitation,
  CreatedInvitation,
  CreateInvitation,
  Invitation,
  invitationId,
  OpenedInvitation,
} from './invitation_schema.ts'
import {
  acceptInvitation,
  addInvitation,
  listInvitations,
  readInvitation,
  revokeInvitation,
  statusOf,
} from './invitations.ts'
import { replyMember } from './reply.ts'
import { Member, memberId } from './schema.ts'

export interface InvitationOptions {
  tokens: InvitationTokens
  /** Without one, invitations are passed on as links. */
  mailer: Mailer | undefined
  seal: LetterSeal
}

const LIST = 'invitations'
const one = z.object({ id: invitationId })

async function shown(tx: TenantTransaction, invitation: InvitationRecord): Promise<Invitation> {
  const { id, email, role, invitedBy, delivery, accepted, createdAt, expiresAtMs } = invitation
  return {
    id,
    email,
    role,
    status: await statusOf(invitation, tx.issuers, tx.context.nowMs),
    invitedBy,
    delivery,
    member: accepted?.member ?? null,
    createdAt,
    expiresAt: new Date(expiresAtMs).toISOString(),
  }
}

export const invitationOperations = (
  { tokens, seal }: InvitationOptions,
  send: SendInvitation | undefined,
): ReadonlyArray<TenantOperation> => [
  tenantOperation({
    name: 'invite',
    method: 'post',
    path: '/v1/invitations',
    tag: 'Invitations',
    summary: 'Invite somebody to become a member',
    scope: 'members:write',
    body: CreateInvitation,
    answers: { 201: CreatedInvitation },
    problems: ['quota_exceeded'],
    async handle(tx, { body: { email, role, expiresIn } }) {
      const { tenant, publicOrigin: origin, nowMs } = tx.context
      if (origin === undefined) throw new Error('the edge did not say where clients find it')
      const id = newId('inv', nowMs)
      const { text, secretHash } = await tokens.mint({ tenant, invitationId: id })
      const invitation = await addInvitation(tx, {
        id,
        secretHash,
        email,
        role,
        invitedBy: await tx.issuers.own(),
        delivery: send === undefined ? 'link' : 'sending',
        createdAt: new Date(nowMs).toISOString(),
        expiresAtMs: nowMs + expiresIn * 1000,
        accepted: null,
        revokedAt: null,
      })
      const url = `${origin}${INVITATION_PATH}?token=${text}`
      const isSent = send !== undefined && invitation.delivery === 'sending'
      if (isSent) {
        const letter = letterOf(invitation, await tx.organisation(), url)
        tx.enqueue(send, { invitation: id, sealed: seal.seal(JSON.stringify(letter), id) })
      }
      const body = await shown(tx, invitation)
      return {
        status: 201,
        body: { ...body, url: isSent ? null : url },
        headers: { location: `/v1/invitations/${id}`, etag: tagOf(body) },
      }
    },
  }),
  tenantOperation({
    name: 'list-invitations',
    method: 'get',
    path: '/v1/invitations',
    tag: 'Invitations',
    summary: 'List invitations, oldest first; those that have ended for a week',
    scope: 'members:read',
    query: pageQuery,
    answers: { 200: pageOf(Invitation) },
    async handle(tx, { query }) {
      const { entries, more } = await listInvitations(tx, query.limit, readCursor(LIST, query.cursor))
      const listed = await Promise.all(
        entries.map(async ([key, each]) => [key, await shown(tx, each)] as const),
      )
      return { status: 200, body: pageBody(LIST, { entries: listed, more }, (each) => each) }
    },
  }),
  tenantOperation({
    name: 'read-invitation',
    method: 'get',
    path: '/v1/invitations/{id}',
    tag: 'Invitations',
    summary: 'Read an invitation, without its token',
    scope: 'members:read',
    params: one,
    answers: { 200: Invitation },
    async handle(tx, { params }) {
      return { status: 200, body: await shown(tx, await readInvitation(tx, params.id)) }
    },
  }),
  tenantOperation({
    name: 'revoke-invitation',
    method: 'delete',
    path: '/v1/invitations/{id}',
    tag: 'Invitations',
    summary: 'Take an invitation back before it is accepted',
    scope: 'members:write',
    params: one,
    answers: { 204: null },
    problems: ['precondition_failed', 'conflict'],
    async handle(tx, { params, ifMatch }) {
      requireMatch(ifMatch, tagOf(await shown(tx, await readInvitation(tx, params.id))))
      await revokeInvitation(tx, params.id)
      return { status: 204 }
    },
  }),
  tenantOperation({
    name: 'accept-invitation',
    method: 'post',
    path: '/v1/invitations/accept',
    tag: 'Invitations',
    summary: 'Accept an invitation, signed in as who is to be the member',
    scope: 'members:read',
    invitees: true,
    body: AcceptInvitation,
    answers: { 200: Member },
    problems: ['not_found', 'invitation_expired', 'invitation_used', 'invitation_revoked', 'quota_exceeded'],
    async handle(tx, { body }) {
      const { principal, tenant } = tx.context
      if (principal.kind !== 'jwt') {
        throw new Problem(
          'insufficient_scope',
          'An invitation is accepted with a token of the person’s own (JWT).',
        )
      }
      const token = await tokens.verify(body.token)
      // Another organisation's is as one that does not exist.
      if (token?.invitation.tenant !== tenant) throw notFound()
      const { invitationId } = token.invitation
      const { issuer, subject } = principal
      return replyMember(
        200,
        await acceptInvitation(tx, { invitationId, secretHash: token.secretHash }, { issuer, subject }),
      )
    },
  }),
  tenantOperation({
    name: 'open-invitation',
    speakers: ['invitation'],
    method: 'get',
    path: '/console/v1/invitation',
    tag: 'Invitations',
    summary: 'What an invitation says of itself; consumes nothing',
    scope: 'members:read',
    answers: { 200: OpenedInvitation },
    async handle(tx) {
      const { email, role, expiresAtMs } = await readInvitation(tx, holderOf(tx).invitationId)
      const { slug, name } = await tx.organisation()
      const expiresAt = new Date(expiresAtMs).toISOString()
      return { status: 200, body: { organisation: { slug, name }, email, role, expiresAt } }
    },
  }),
  tenantOperation({
    name: 'accept-in-console',
    speakers: ['invitation'],
    method: 'post',
    path: '/console/v1/invitation',
    tag: 'Invitations',
    summary: 'Accept an invitation by its token alone; it begins a session',
    scope: 'members:read',
    body: z.strictObject({ userAgent: z.string().max(300).nullable() }),
    answers: { 200: OpenedInvitation.extend({ id: memberId }) },
    async handle(tx, { body: { userAgent } }) {
      const { invitationId, secretHash, begins } = holderOf(tx)
      if (begins === undefined) {
        throw new Problem('malformed_request', 'The session that is to begin is missing.')
      }
      const { email, role, expiresAtMs } = await readInvitation(tx, invitationId)
      const { id } = await acceptInvitation(tx, { invitationId, secretHash }, null, begins.sessionId)
      await tx.beginSession({
        ...{ id: begins.sessionId, secretHash: begins.secretHash, link: null, role, email, member: id },
        ...{ issuer: { kind: 'member', id }, userAgent, ip: tx.context.clientIp ?? null },
      })
      const { slug, name } = await tx.organisation()
      const expiresAt = new Date(expiresAtMs).toISOString()
      return { status: 200, body: { id, organisation: { slug, name }, email, role, expiresAt } }
    },
  }),
]

function holderOf(tx: TenantTransaction): InvitationPrincipal {
  const { principal } = tx.context
  if (principal.kind !== 'invitation') throw new Error('only invitations are let in here')
  return principal
}
