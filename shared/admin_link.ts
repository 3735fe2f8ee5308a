// Admin links: `<origin>/admin/enter?link=cl_<body>`, the way into a tenant's console. The tag covers everything that
// the link says, the origin among it; a URL that differs in one byte is none. What the link gives, and whether it still
// does, stands in the tenant's home region: the link itself only says where to ask, and until when.
import { concat, equalInConstantTime, sha256 } from './bytes.ts'
import type { CredentialHead } from './credentials/head.ts'
import type { Roots } from './credentials/roots.ts'
import { mintToken, type TokenKind, verifyToken } from './credentials/tagged_token.ts'
import type { Id } from './ids.ts'

export const ENTER_PATH = '/admin/enter'
export const MIN_LINK_SECONDS = 10
export const MAX_LINK_SECONDS = 7 * 24 * 60 * 60
export const DEFAULT_LINK_SECONDS = 15 * 60

const EXPIRY_BYTES = 4
const ORIGIN_BYTES = 8
const LINK: TokenKind<'lnk'> = {
  prefix: 'cl_',
  idPrefix: 'lnk',
  purpose: 'admin-link v1',
  extraBytes: EXPIRY_BYTES + ORIGIN_BYTES,
}

export interface AdminLinkClaims extends CredentialHead {
  linkId: Id<'lnk'>
  /** In whole seconds. */
  expiresAtMs: number
}

export type AdminLinkVerdict =
  /** `elsewhere`: genuine, but made for another host. */
  { outcome: 'verified' | 'elsewhere'; link: AdminLinkClaims; secretHash: string } | { outcome: 'refused' }

/** @param origin the public origin, as configuration has it; never what a `Host` header says */
export async function mintAdminLink(
  { linkId, expiresAtMs, ...head }: Omit<AdminLinkClaims, 'rootId'>,
  origin: string,
  roots: Roots,
): Promise<{ url: string; secretHash: string }> {
  const expiry = new Uint8Array(EXPIRY_BYTES)
  new DataView(expiry.buffer).setUint32(0, Math.floor(expiresAtMs / 1000))
  const extra = concat(expiry, await digestOf(origin))
  const { text, secretHash } = await mintToken(LINK, { ...head, id: linkId, extra }, roots)
  return { url: `${origin}${ENTER_PATH}?link=${text}`, secretHash }
}

/**
 * Checks a link offline. Never says what was wrong with it.
 * @param target path and query exactly as they came
 */
export async function verifyAdminLink(
  { origin, target }: { origin: string; target: string },
  roots: Roots,
): Promise<AdminLinkVerdict> {
  const start = `${ENTER_PATH}?link=`
  const verified = target.startsWith(start)
    ? await verifyToken(LINK, target.slice(start.length), roots)
    : undefined
  if (verified === undefined) return { outcome: 'refused' }
  const { rootId, tenant, region, id: linkId, extra } = verified.claims
  const expiresAtMs = new DataView(extra.buffer, extra.byteOffset).getUint32(0) * 1000
  const ours = equalInConstantTime(extra.subarray(EXPIRY_BYTES), await digestOf(origin))
  return {
    outcome: ours ? 'verified' : 'elsewhere',
    link: { rootId, tenant, region, linkId, expiresAtMs },
    secretHash: verified.secretHash,
  }
}

const digestOf = async (origin: string): Promise<Uint8Array> =>
  (await sha256(origin)).subarray(0, ORIGIN_BYTES)
