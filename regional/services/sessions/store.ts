// Sessions as they are kept. Ended ones are gone at once; those that ran out are left out, and forgotten later.
import { MAX_LINK_SECONDS } from '../../../shared/admin_link.ts'
import { SESSION_IDLE_MS } from '../../../shared/credentials/session_token.ts'
import type { AdminLinkPrincipal } from '../../../shared/principal.ts'
import { Problem } from '../../../shared/problems.ts'
import { beginEra, endedSpace, isOver } from '../../tenancy/ended.ts'
import {
  type AdminLinkRecord,
  adminLinkSpace,
  type SessionRecord,
  seenSpace,
  sessionSpace,
} from '../../tenancy/records.ts'
import { notFound, type TenantTransaction } from '../../tenancy/service.ts'

/** As many fit into one commit. The newest ones are told of one by one; the others end all the same (ended.ts). */
const MAX_TOLD = 500

export interface SeenSession extends SessionRecord {
  seenMs: number
}

/** Until when it holds, if it is not used again. */
export const runsOutMs = ({ seenMs, expiresAtMs }: SeenSession): number =>
  Math.min(seenMs + SESSION_IDLE_MS, expiresAtMs)

export const justBegun = (session: SessionRecord): SeenSession => ({
  ...session,
  seenMs: Date.parse(session.createdAt),
})

/** The link of whoever is on the way in: {@link authorise} has read that it may be used. */
export async function ownLink(
  tx: TenantTransaction,
  { linkId }: AdminLinkPrincipal,
): Promise<AdminLinkRecord> {
  const link = await tx.space(adminLinkSpace).get([linkId])
  if (link === undefined) throw notFound()
  return link
}

/** Uses the link up. @throws {Problem} `admin_link_used`, by this very session too */
export async function begin(
  tx: TenantTransaction,
  link: AdminLinkRecord,
  { sessionId, secretHash }: NonNullable<AdminLinkPrincipal['begins']>,
  { userAgent, ip }: Pick<SessionRecord, 'userAgent' | 'ip'>,
): Promise<SessionRecord> {
  // Whoever repeats it was answered from the idempotency record; that being gone, what it began is over, too.
  if (link.used !== null) throw new Problem('admin_link_used', 'A link works once. Ask for a new one.')
  const at = new Date(tx.context.nowMs).toISOString()
  tx.space(adminLinkSpace).set([link.id], { ...link, used: { at, session: sessionId } })
  const { id, role, email, member, issuer } = link
  return tx.beginSession({
    ...{ id: sessionId, secretHash, link: id, role, email, member, issuer, userAgent, ip },
  })
}

/** Oldest first; a page may be short of those that have ended. `last` is where the next one goes on. */
export async function listSessions(
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<{ sessions: ReadonlyArray<SeenSession>; last: string | undefined }> {
  const { entries, more } = await tx.space(sessionSpace).page({ limit, after })
  const all = await Promise.all(entries.map(([, session]) => living(tx, session)))
  return {
    sessions: all.filter((session) => session !== undefined),
    last: more ? entries.at(-1)?.[0][0] : undefined,
  }
}

/** @throws {Problem} `not_found` for one that never was, or has ended. */
export async function readSession(tx: TenantTransaction, id: string): Promise<SeenSession> {
  const record = await tx.space(sessionSpace).get([id])
  const session = record && (await living(tx, record))
  if (session === undefined) throw notFound()
  return session
}

/** With the links that it made and nobody has used. @throws {Problem} `not_found` */
export async function endSession(tx: TenantTransaction, id: string): Promise<void> {
  await readSession(tx, id)
  end(tx, id)
  const { nowMs } = tx.context
  tx.space(endedSpace).set([id], new Date(nowMs).toISOString())
  await tx.expire('ended-session', id, nowMs + MAX_LINK_SECONDS * 1_000)
  await takeBackLinks(tx, ({ madeIn }) => madeIn === id)
}

/** With every link and invitation that nobody has used: whoever is to be kept out may have made one. */
export async function endAll(tx: TenantTransaction): Promise<void> {
  await beginEra(tx, tx.context.nowMs)
  const { entries } = await tx.space(sessionSpace).page({ limit: MAX_TOLD, reverse: true })
  for (const [[id]] of entries) end(tx, id)
  await Promise.all([takeBackLinks(tx, () => true), tx.takeBackInvitations()])
}

async function takeBackLinks(
  tx: TenantTransaction,
  which: (link: AdminLinkRecord) => boolean,
): Promise<void> {
  const { nowMs } = tx.context
  const { entries } = await tx.space(adminLinkSpace).page({ limit: MAX_TOLD, reverse: true })
  const revokedAt = new Date(nowMs).toISOString()
  for (const [key, link] of entries) {
    const open = link.used === null && link.revokedAt === null && link.expiresAtMs > nowMs
    if (!open || !which(link)) continue
    tx.space(adminLinkSpace).set(key, { ...link, revokedAt })
    tx.emit('admin_link.revoked', link.id)
  }
}

function end(tx: TenantTransaction, id: string): void {
  tx.space(sessionSpace).clear([id])
  tx.space(seenSpace).clear([id])
  tx.emit('session.ended', id)
}

/** With when it was last used; undefined when it has run out, or was ended with all others. */
async function living(tx: TenantTransaction, session: SessionRecord): Promise<SeenSession | undefined> {
  const [seen, hasEnded] = await Promise.all([tx.space(seenSpace).peek([session.id]), isOver(tx, session)])
  const found = { ...session, seenMs: seen ?? Date.parse(session.createdAt) }
  return hasEnded || runsOutMs(found) <= tx.context.nowMs ? undefined : found
}
