// Tokens of the console and of webhook sources: the head that every credential starts with, an id, a secret, and a tag under
// a key of the tenant's own. Whoever invents or alters one is refused offline; whether a real one still holds, the region reads.
import { fromBase62, toBase62 } from '../base62.ts'
import {
  type Bytes,
  concat,
  equalInConstantTime,
  randomBytes,
  sha256,
  toBase64url,
  utf8,
  type WebCryptoKey,
} from '../bytes.ts'
import { type Id, type IdPrefix, idBytes, idFromBytes } from '../ids.ts'
import { type CredentialHead, HEAD_BYTES, readHead, writeHead } from './head.ts'
import type { Roots, TenantPurpose } from './roots.ts'

const ID_BYTES = 16
const SECRET_BYTES = 24
const TAG_BYTES = 16

export interface TokenKind<P extends IdPrefix> {
  /** Such as `ct_`. */
  prefix: string
  idPrefix: P
  purpose: TenantPurpose
  /** Bytes that this kind says beside what every token says. */
  extraBytes: number
  /** Third parties hold it: it outlives the trust in its root, and the region's stored hash decides. */
  outlivesTrust?: true
}

export interface TokenClaims<P extends IdPrefix> extends CredentialHead {
  id: Id<P>
  extra: Uint8Array
}

export interface VerifiedToken<P extends IdPrefix> {
  claims: TokenClaims<P>
  /** SHA-256 of the whole text, in base64url: what is stored, and what travels to the region. */
  secretHash: string
  /** Its root is compromised, so only the region's stored hash can tell. */
  unproven: boolean
}

/** @throws {RangeError} for claims that are not of this kind. */
export async function mintToken<P extends IdPrefix>(
  kind: TokenKind<P>,
  claims: Omit<TokenClaims<P>, 'rootId'>,
  roots: Roots,
): Promise<{ text: string; secretHash: string }> {
  const id = idBytes(kind.idPrefix, claims.id)
  if (id === undefined || claims.extra.length !== kind.extraBytes) throw new RangeError('not such a token')
  const root = roots.signing()
  const head = new Uint8Array(HEAD_BYTES)
  writeHead({ ...claims, rootId: root.id }, head)
  const signed = concat(head, id, randomBytes(SECRET_BYTES), claims.extra)
  const tag = await tagOf(await root.tenantKey(kind.purpose, claims.tenant), kind, signed)
  const text = kind.prefix + toBase62(concat(signed, tag))
  return { text, secretHash: toBase64url(await sha256(text)) }
}

/** Checks a token as far as that goes offline. Of a compromised root one has ended, unless its kind outlives that. */
export async function verifyToken<P extends IdPrefix>(
  kind: TokenKind<P>,
  text: string,
  roots: Roots,
): Promise<VerifiedToken<P> | undefined> {
  if (!text.startsWith(kind.prefix)) return undefined
  const bytes = fromBase62(text.slice(kind.prefix.length), lengthOf(kind))
  const signed = bytes?.subarray(0, bytes.length - TAG_BYTES)
  const head = signed && readHead(signed)
  const root = head && roots.get(head.rootId)
  if (bytes === undefined || signed === undefined || head === undefined) return undefined
  if (root === undefined) return undefined
  const unproven = root.state === 'compromised'
  if (unproven && !kind.outlivesTrust) return undefined
  const tag = await tagOf(await root.tenantKey(kind.purpose, head.tenant), kind, signed)
  if (!equalInConstantTime(tag, bytes.subarray(signed.length))) return undefined
  const id = idFromBytes(kind.idPrefix, signed.subarray(HEAD_BYTES, HEAD_BYTES + ID_BYTES))
  const extra = signed.subarray(HEAD_BYTES + ID_BYTES + SECRET_BYTES)
  return { claims: { ...head, id, extra }, secretHash: toBase64url(await sha256(text)), unproven }
}

const lengthOf = ({ extraBytes }: TokenKind<IdPrefix>): number =>
  HEAD_BYTES + ID_BYTES + SECRET_BYTES + extraBytes + TAG_BYTES

async function tagOf(key: WebCryptoKey, kind: TokenKind<IdPrefix>, signed: Uint8Array): Promise<Bytes> {
  const mac = await crypto.subtle.sign('HMAC', key, concat(utf8(kind.prefix), signed))
  return new Uint8Array(mac).slice(0, TAG_BYTES)
}
