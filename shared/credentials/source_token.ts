// The token in the URL that a third party calls: `POST /hooks/<token>`. It says whose source it is and lets anyone send to
// it; whether what they send is genuine, the provider's signature says, which only the region can check.
import type { Id } from '../ids.ts'
import type { CredentialHead } from './head.ts'
import type { Roots } from './roots.ts'
import { mintToken, type TokenKind, verifyToken } from './tagged_token.ts'

const SOURCE: TokenKind<'whs'> = {
  prefix: 'cw_',
  idPrefix: 'whs',
  purpose: 'webhook-source v1',
  extraBytes: 0,
  outlivesTrust: true,
}

/** Where third parties call. */
export const HOOKS_PATH = '/hooks/'
/** The region's own path of it: no token is in it. */
export const RECEIVE_PATH = '/hooks/receive'
export const MAX_HOOK_BYTES = 1024 * 1024

export interface SourceClaims extends CredentialHead {
  sourceId: Id<'whs'>
}

export const mintSourceToken = (
  { sourceId, ...head }: Omit<SourceClaims, 'rootId'>,
  roots: Roots,
): Promise<{ text: string; secretHash: string }> =>
  mintToken(SOURCE, { ...head, id: sourceId, extra: new Uint8Array() }, roots)

/** @returns undefined for what is none of ours. */
export async function verifySourceToken(
  text: string,
  roots: Roots,
): Promise<{ source: SourceClaims; secretHash: string; unproven: boolean } | undefined> {
  const verified = await verifyToken(SOURCE, text, roots)
  if (verified === undefined) return undefined
  const { rootId, tenant, region, id: sourceId } = verified.claims
  const { secretHash, unproven } = verified
  return { source: { rootId, tenant, region, sourceId }, secretHash, unproven }
}

/** What providers say in headers about what they send: their signatures, ids, types and times. */
export const HOOK_HEADERS = [
  'webhook-id',
  'webhook-timestamp',
  'webhook-signature',
  'stripe-signature',
  'x-hub-signature-256',
  'x-github-event',
  'x-github-delivery',
  'x-slack-signature',
  'x-slack-request-timestamp',
  'x-shopify-hmac-sha256',
  'x-shopify-topic',
  'x-shopify-webhook-id',
  'x-signature',
  'x-event-id',
  'x-event-type',
] as const
