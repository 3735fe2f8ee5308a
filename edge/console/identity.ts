// Who is in the console, or on the way in. These identities are made here alone, from a cookie or an admin link that
// verified, and reach the stages of the pipeline from the inside: no header of a client's can be one.
import { verifyAdminLink } from '../../shared/admin_link.ts'
import type { Roots } from '../../shared/credentials/roots.ts'
import { verifySession } from '../../shared/credentials/session_token.ts'
import type {
  AdminLinkPrincipal,
  EdgePrincipal,
  InvitationPrincipal,
  SessionPrincipal,
} from '../../shared/principal.ts'
import { targetAsSent } from '../target.ts'

export type SessionIdentity = {
  kind: 'session'
  principal: SessionPrincipal
  /** The region that the session began in. */
  home: string
}

export type AdminLinkIdentity = {
  kind: 'admin_link'
  principal: AdminLinkPrincipal
  home: string
}

export interface AdminLink {
  identity: AdminLinkIdentity
  expiresAtMs: number
}

/** Whoever is at the sign-up or sign-in page, and nobody yet: the edge asks for them, in its own name. */
export type VisitorIdentity = {
  kind: 'visitor'
  principal: EdgePrincipal
  /** The region that is asked; the control region without. */
  home?: string
}
export const VISITOR: VisitorIdentity = { kind: 'visitor', principal: { kind: 'edge' } }

export type InvitationIdentity = { kind: 'invitation'; principal: InvitationPrincipal; home: string }

export type ConsoleIdentity = SessionIdentity | AdminLinkIdentity | InvitationIdentity

export async function identifySession(cookie: string, roots: Roots): Promise<SessionIdentity | undefined> {
  const verified = await verifySession(cookie, roots)
  if (verified === undefined) return undefined
  const { session, secretHash } = verified
  const { tenant, sessionId, region } = session
  return { kind: 'session', principal: { kind: 'session', tenant, sessionId, secretHash }, home: region }
}

/** @returns undefined for a URL that is no link of ours, or not any more after what happened to it on the way. */
export async function identifyAdminLink(
  url: string,
  { roots, publicOrigin }: { roots: Roots; publicOrigin: string },
): Promise<AdminLink | undefined> {
  const verdict = await verifyAdminLink({ origin: publicOrigin, target: targetAsSent(url) }, roots)
  if (verdict.outcome === 'refused') return undefined
  const { tenant, linkId, region, expiresAtMs } = verdict.link
  const principal: AdminLinkPrincipal = {
    kind: 'admin_link',
    tenant,
    linkId,
    secretHash: verdict.secretHash,
    ...(verdict.outcome === 'elsewhere' && { elsewhere: true }),
  }
  return { identity: { kind: 'admin_link', principal, home: region }, expiresAtMs }
}
