// The console's session, as its cookie carries it. Made at the edge, so that no region ever sees the secret.
import type { Id } from '../ids.ts'
import type { CredentialHead } from './head.ts'
import type { Roots } from './roots.ts'
import { mintToken, type TokenKind, verifyToken } from './tagged_token.ts'

const SESSION: TokenKind<'ses'> = {
  prefix: 'ct_',
  idPrefix: 'ses',
  purpose: 'session v1',
  extraBytes: 0,
}

/** A session lives so long after its last request that was written down: half an hour, and the two minutes that may take, */
export const SESSION_IDLE_MS = 32 * 60 * 1000
/** and so long in all. */
export const SESSION_LIFE_MS = 12 * 60 * 60 * 1000

export interface SessionClaims extends CredentialHead {
  sessionId: Id<'ses'>
}

export const mintSession = (
  { sessionId, ...head }: Omit<SessionClaims, 'rootId'>,
  roots: Roots,
): Promise<{ text: string; secretHash: string }> =>
  mintToken(SESSION, { ...head, id: sessionId, extra: new Uint8Array() }, roots)

/** @returns undefined for what is none of ours. */
export async function verifySession(
  text: string,
  roots: Roots,
): Promise<{ session: SessionClaims; secretHash: string } | undefined> {
  const verified = await verifyToken(SESSION, text, roots)
  if (verified === undefined) return undefined
  const { rootId, tenant, region, id: sessionId } = verified.claims
  return { session: { rootId, tenant, region, sessionId }, secretHash: verified.secretHash }
}
