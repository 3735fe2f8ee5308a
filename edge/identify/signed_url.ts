// Signed URLs: checked offline for this very request line, and taken off it, so that no region sees the signature.
import type { Roots } from '../../shared/credentials/roots.ts'
import type { SignedUrlPrincipal } from '../../shared/principal.ts'
import { verifySignedUrl } from '../../shared/signed_url.ts'
import { targetAsSent, targetOf } from '../target.ts'

export type SignedUrlIdentity = {
  kind: 'signed_url'
  principal: SignedUrlPrincipal
  /** The region that signed it. */
  home: string
  /** Path and query without the signature: what is asked. */
  target: string
}

export async function identifySignedUrl(
  { method, url }: Pick<Request, 'method' | 'url'>,
  { roots, publicOrigin }: { roots: Roots; publicOrigin: string },
  nowMs: number,
): Promise<SignedUrlIdentity | 'expired' | undefined> {
  const { full } = targetOf(url)
  // Another spelling of the same path is another URL, and was not signed.
  if (full !== targetAsSent(url)) return undefined
  const verdict = await verifySignedUrl({ origin: publicOrigin, method, full }, roots, nowMs)
  if (verdict.outcome === 'refused') return undefined
  if (verdict.outcome === 'expired') return 'expired'
  const { tenant, issuer, scope, expiresAtMs, nonce, region } = verdict.claims
  const principal: SignedUrlPrincipal = {
    kind: 'signed_url',
    tenant,
    keyId: issuer,
    scope,
    expiresAtMs,
    nonce,
  }
  return { kind: 'signed_url', principal, home: region, target: verdict.target }
}
