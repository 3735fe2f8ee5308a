// /v1/members: the organisation's people, and how others are invited to be.
import { z } from 'zod'
import {
  pageBody,
  pageOf,
  pageQuery,
  readCursor,
  requireMatch,
  type Service,
  tenantOperation,
  versionTag,
} from '../../tenancy/service.ts'
import { sendInvitation } from './invitation_letter.ts'
import { type InvitationOptions, invitationOperations } from './invitation_routes.ts'
import { replyMember, shownMember } from './reply.ts'
import { CreateMember, Member, memberId, UpdateMember } from './schema.ts'
import { createMember, deleteMember, listMembers, readMember, updateMember } from './store.ts'

const LIST = 'members'
const one = z.object({ id: memberId })

export function members(options: InvitationOptions): Service {
  const send = options.mailer && sendInvitation(options.mailer, options.seal)
  return {
    name: 'members',
    ...(send && { jobKinds: [send] }),
    mintsCredentials: true,
    operations: [
      tenantOperation({
        name: 'create',
        method: 'post',
        path: '/v1/members',
        tag: 'Members',
        summary: 'Add a member whose identity at an issuer is known',
        scope: 'members:write',
        body: CreateMember,
        answers: { 201: Member },
        problems: ['quota_exceeded'],
        async handle(tx, { body }) {
          const member = await createMember(tx, body)
          return replyMember(201, member, { location: `/v1/members/${member.id}` })
        },
      }),
      tenantOperation({
        name: 'list',
        method: 'get',
        path: '/v1/members',
        tag: 'Members',
        summary: 'List members, oldest first',
        scope: 'members:read',
        query: pageQuery,
        answers: { 200: pageOf(Member) },
        async handle(tx, { query }) {
          const page = await listMembers(tx, query.limit, readCursor(LIST, query.cursor))
          return { status: 200, body: pageBody(LIST, page, shownMember) }
        },
      }),
      tenantOperation({
        name: 'read',
        method: 'get',
        path: '/v1/members/{id}',
        tag: 'Members',
        summary: 'Read a member',
        scope: 'members:read',
        params: one,
        answers: { 200: Member },
        handle: async (tx, { params }) => replyMember(200, await readMember(tx, params.id)),
      }),
      tenantOperation({
        name: 'update',
        method: 'patch',
        path: '/v1/members/{id}',
        tag: 'Members',
        summary: 'Give a member another role, or say who they are',
        scope: 'members:write',
        params: one,
        body: UpdateMember,
        answers: { 200: Member },
        problems: ['precondition_failed'],
        async handle(tx, { params, body, ifMatch }) {
          const before = await readMember(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          return replyMember(200, await updateMember(tx, before, body))
        },
      }),
      tenantOperation({
        name: 'delete',
        method: 'delete',
        path: '/v1/members/{id}',
        tag: 'Members',
        summary: 'Remove a member: their next request is refused',
        scope: 'members:write',
        params: one,
        answers: { 204: null },
        problems: ['precondition_failed'],
        async handle(tx, { params, ifMatch }) {
          const before = await readMember(tx, params.id)
          requireMatch(ifMatch, versionTag(before))
          await deleteMember(tx, before)
          return { status: 204 }
        },
      }),
      ...invitationOperations(options, send),
    ],
  }
}
