// /v1/sessions: who is in the console. Below /console/v1 is what only the console's own pages ask: entering with an
// admin link, who I am, and signing out. The edge serves those paths to nobody.
import { z } from 'zod'
import { isId } from '../../../shared/ids.ts'
import { Problem } from '../../../shared/problems.ts'
import { mayGrant, ROLES } from '../../../shared/roles.ts'
import { type Organisation, PLAIN } from '../../tenancy/records.ts'
import {
  pageOf,
  pageQuery,
  readCursor,
  requireMatch,
  type Service,
  type TenantTransaction,
  tagOf,
  tenantOperation,
  writeCursor,
} from '../../tenancy/service.ts'
import { Entry, Presence, Session, sessionId } from './schema.ts'
import {
  begin,
  endAll,
  endSession,
  justBegun,
  listSessions,
  ownLink,
  readSession,
  runsOutMs,
  type SeenSession,
} from './store.ts'

const LIST = 'sessions'
const one = z.object({ id: sessionId })
const TAG = 'Sessions'

function shown(session: SeenSession): Session {
  const { secretHash: _, seenMs, expiresAtMs: __, era: ___, ...rest } = session
  const time = (ms: number) => new Date(ms).toISOString()
  return { ...rest, lastUsedAt: time(seenMs), expiresAt: time(runsOutMs(session)) }
}

/** Of what changes it: when it was used, and how long it lasts by that, is no part of that. */
const etagOf = (session: SeenSession): string => {
  const { lastUsedAt: _, expiresAt: __, ...rest } = shown(session)
  return tagOf(rest)
}

const organisationOf = ({ id, slug, name, customisation = PLAIN }: Organisation) => ({
  id,
  slug,
  name,
  customisation,
})

const presence = async (tx: TenantTransaction, session: SeenSession, scopes: ReadonlyArray<string>) => ({
  organisation: organisationOf(await tx.organisation()),
  session: shown(session),
  scopes: [...scopes],
})

/** The session that asks. */
function ownId(tx: TenantTransaction): string {
  const { principal } = tx.context
  if (principal.kind !== 'session') throw new Error('only sessions are let in here')
  return principal.sessionId
}

export const sessions: Service = {
  name: 'sessions',
  mintsCredentials: true,
  operations: [
    tenantOperation({
      name: 'list',
      method: 'get',
      path: '/v1/sessions',
      tag: TAG,
      summary: 'List the console’s sessions, oldest first',
      scope: 'sessions:read',
      query: pageQuery,
      answers: { 200: pageOf(Session) },
      async handle(tx, { query }) {
        const { sessions, last } = await listSessions(tx, query.limit, readCursor(LIST, query.cursor))
        const nextCursor = last === undefined ? null : writeCursor(LIST, last)
        return { status: 200, body: { data: sessions.map(shown), nextCursor } }
      },
    }),
    tenantOperation({
      name: 'read',
      method: 'get',
      path: '/v1/sessions/{id}',
      tag: TAG,
      summary: 'Read a session',
      scope: 'sessions:read',
      params: one,
      answers: { 200: Session },
      async handle(tx, { params }) {
        const session = await readSession(tx, params.id)
        return { status: 200, body: shown(session), headers: { etag: etagOf(session) } }
      },
    }),
    tenantOperation({
      name: 'end',
      method: 'delete',
      path: '/v1/sessions/{id}',
      tag: TAG,
      summary: 'End a session: its next request is refused',
      scope: 'sessions:write',
      params: one,
      answers: { 204: null },
      problems: ['precondition_failed'],
      async handle(tx, { params, ifMatch }) {
        requireMatch(ifMatch, etagOf(await readSession(tx, params.id)))
        await endSession(tx, params.id)
        return { status: 204 }
      },
    }),
    tenantOperation({
      name: 'end-all',
      method: 'delete',
      path: '/v1/sessions',
      tag: TAG,
      summary: 'End every session of the console, and take back every unused admin link and invitation',
      scope: 'sessions:write',
      answers: { 204: null },
      async handle(tx) {
        await endAll(tx)
        return { status: 204 }
      },
    }),
    tenantOperation({
      name: 'open-link',
      speakers: ['admin_link'],
      method: 'get',
      path: '/console/v1/entry',
      tag: TAG,
      summary: 'What an admin link says of itself; consumes nothing',
      scope: 'sessions:write',
      answers: { 200: Entry },
      async handle(tx) {
        const { principal } = tx.context
        if (principal.kind !== 'admin_link') throw new Error('only admin links are let in here')
        const { role, email, returnPath, expiresAtMs } = await ownLink(tx, principal)
        const organisation = organisationOf(await tx.organisation())
        const expiresAt = new Date(expiresAtMs).toISOString()
        return { status: 200, body: { organisation, role, email, returnPath, expiresAt } }
      },
    }),
    tenantOperation({
      name: 'enter',
      speakers: ['admin_link'],
      method: 'post',
      path: '/console/v1/entry',
      tag: TAG,
      summary: 'Use an admin link: it begins a session, once',
      scope: 'sessions:write',
      body: z.strictObject({ userAgent: z.string().max(300).nullable() }),
      answers: { 201: Entry.extend({ id: sessionId }) },
      async handle(tx, { body: { userAgent } }) {
        const { principal, clientIp } = tx.context
        if (principal.kind !== 'admin_link') throw new Error('only admin links are let in here')
        if (principal.begins === undefined) {
          throw new Problem('malformed_request', 'The session that is to begin is missing.')
        }
        const link = await ownLink(tx, principal)
        const session = await begin(tx, link, principal.begins, { userAgent, ip: clientIp ?? null })
        const organisation = organisationOf(await tx.organisation())
        const { role, email, returnPath } = link
        const expiresAt = new Date(runsOutMs(justBegun(session))).toISOString()
        return { status: 201, body: { id: session.id, organisation, role, email, returnPath, expiresAt } }
      },
    }),
    tenantOperation({
      name: 'sign-in',
      speakers: ['jwt'],
      method: 'post',
      path: '/console/v1/sign-in',
      tag: TAG,
      summary: 'Begin a session for whom a provider has vouched',
      scope: 'tenant:read',
      body: z.strictObject({
        id: sessionId,
        secretHash: z.string().regex(/^[\w-]{43}$/),
        email: z.string().max(254).nullable(),
        userAgent: z.string().max(300).nullable(),
      }),
      answers: { 201: Presence },
      async handle(tx, { body }) {
        const { clientIp, actor, scopes } = tx.context
        if (!isId('mem', actor.id)) throw new Error('only members are let in here')
        const member = actor.id
        const role = ROLES.find((each) => mayGrant(scopes, each))
        if (role === undefined) throw new Problem('not_a_member', 'You have no role in the organisation.')
        const session = await tx.beginSession({
          ...{ ...body, link: null, role, member },
          ...{ issuer: { kind: 'member', id: member }, ip: clientIp ?? null },
        })
        return {
          status: 201,
          body: await presence(tx, justBegun(session), scopes),
          target: session.id,
        }
      },
    }),
    tenantOperation({
      name: 'read-own',
      speakers: ['session'],
      method: 'get',
      path: '/console/v1/session',
      tag: TAG,
      summary: 'Who is in the console with this session',
      scope: 'tenant:read',
      answers: { 200: Presence },
      async handle(tx) {
        const session = await readSession(tx, ownId(tx))
        return { status: 200, body: await presence(tx, session, tx.context.scopes) }
      },
    }),
    tenantOperation({
      name: 'end-own',
      speakers: ['session'],
      method: 'delete',
      path: '/console/v1/session',
      tag: TAG,
      summary: 'Sign out',
      scope: 'tenant:read',
      answers: { 204: null },
      async handle(tx) {
        const id = ownId(tx)
        await endSession(tx, id)
        return { status: 204, target: id }
      },
    }),
  ],
}
