// What admin links and console sessions come to, read in the transaction of the work. Neither outlives who issued it: a
// link, and every session that came of it, holds only as long as its issuer may give that role.
import { SESSION_IDLE_MS, SESSION_LIFE_MS } from '../../shared/credentials/session_token.ts'
import type { AdminLinkPrincipal, SessionPrincipal } from '../../shared/principal.ts'
import { Problem, type ProblemCode } from '../../shared/problems.ts'
import { ROLE_SCOPES } from '../../shared/roles.ts'
import { expireAt } from '../jobs/expiry.ts'
import type { Actor } from './audit.ts'
import { invalid, type Standing, sameHash } from './authorise.ts'
import { isOver, presentEra, takenBackAt } from './ended.ts'
import type { Emit } from './events.ts'
import { lesser, mayStillGive, roleOfMember, whyNoRole } from './issuers.ts'
import { adminLinkSpace, type SessionRecord, seenSpace, sessionSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** What is known of a session before it begins. */
export type NewSession = Omit<SessionRecord, 'era' | 'createdAt' | 'expiresAtMs'>

export async function ofSession(
  scope: TenantScope,
  { sessionId, secretHash }: SessionPrincipal,
  nowMs: number,
): Promise<Standing> {
  const session = await scope.system('credentials', sessionSpace).get([sessionId])
  if (session === undefined || !sameHash(session, secretHash)) {
    return { outcome: 'unknown', problem: invalid() }
  }
  const { role, member: memberId, issuer, createdAt, expiresAtMs } = session
  const [hasEnded, seen, memberRole, issuerHolds] = await Promise.all([
    isOver(scope.service('sessions'), session),
    // What is noted of its use is no reason for anything to conflict.
    scope.system('credentials', seenSpace).peek([sessionId]),
    memberId === null ? undefined : roleOfMember(scope, memberId),
    mayStillGive(scope, issuer, role, nowMs),
  ])
  const actor: Actor = { kind: 'session', id: sessionId, ...ofMember(session) }
  const ended = (detail: string): Standing => ({
    outcome: 'refused',
    problem: new Problem('session_ended', detail),
    actor,
  })
  const seenMs = seen ?? Date.parse(createdAt)
  if (hasEnded) return ended('All sessions were ended.')
  if (nowMs >= expiresAtMs) return ended('A session lasts twelve hours.')
  if (nowMs >= seenMs + SESSION_IDLE_MS) return ended('The session was not used for half an hour.')
  if (memberId !== null && memberRole === undefined) return ended(await whyNoRole(scope, memberId))
  if (!issuerHolds) return ended('Whoever let you in may not do so any more.')
  return {
    outcome: 'holds',
    scopes: ROLE_SCOPES[memberRole === undefined ? role : lesser(role, memberRole)],
    actor,
  }
}

/** Named beside the session in feed and trail, which are kept for longer than it is. */
const ofMember = ({ member }: Pick<SessionRecord, 'member'>): Pick<Actor, 'member'> =>
  member === null ? {} : { member }

/** A link lets in to begin a session, once; that is the one thing that it may do. */
export async function ofAdminLink(
  scope: TenantScope,
  { linkId, secretHash, elsewhere, begins }: AdminLinkPrincipal,
  nowMs: number,
): Promise<Standing> {
  const link = await scope.system('credentials', adminLinkSpace).get([linkId])
  if (link === undefined || !sameHash(link, secretHash)) return { outcome: 'unknown', problem: invalid() }
  const actor: Actor = { kind: 'admin_link', id: linkId, ...ofMember(link) }
  const refused = (code: ProblemCode, detail: string): Standing => ({
    outcome: 'refused',
    problem: new Problem(code, detail),
    actor,
  })
  if (elsewhere)
    return refused('admin_link_elsewhere', 'The link was made for another address than this one.')
  const usedByItself = link.used !== null && link.used.session === begins?.sessionId
  if (link.used !== null && !usedByItself) {
    return refused('admin_link_used', 'A link works once. Ask for a new one.')
  }
  if ((await takenBackAt(scope.service('sessions'), link)) !== null) {
    return refused('admin_link_revoked', 'The link was taken back.')
  }
  // Of one that was used in time, the answer may come again at any.
  if (nowMs >= link.expiresAtMs && !usedByItself) return refused('admin_link_expired', 'Ask for a new link.')
  if (!(await mayStillGive(scope, link.issuer, link.role, nowMs))) {
    return refused('admin_link_revoked', 'Whoever made the link may not let you in any more.')
  }
  if (link.member !== null && (await roleOfMember(scope, link.member)) === undefined) {
    return refused('admin_link_revoked', 'Whom the link is for is no member of the organisation any more.')
  }
  return { outcome: 'holds', scopes: ['sessions:write'], actor }
}

/** @throws {Problem} `conflict` for one that has begun already */
export async function beginSession(
  scope: TenantScope,
  given: NewSession,
  nowMs: number,
  emit: Emit,
): Promise<SessionRecord> {
  const sessions = scope.system('credentials', sessionSpace)
  if ((await sessions.get([given.id])) !== undefined) {
    throw new Problem('conflict', 'The session has begun already.')
  }
  const expiresAtMs = nowMs + SESSION_LIFE_MS
  const [era, createdAt] = [await presentEra(scope.service('sessions')), new Date(nowMs).toISOString()]
  const session: SessionRecord = { ...given, era, createdAt, expiresAtMs }
  sessions.set([session.id], session)
  scope.system('credentials', seenSpace).set([session.id], nowMs)
  await expireAt(scope, expiresAtMs, 'session', session.id, nowMs)
  emit('session.created', session.id)
  return session
}
