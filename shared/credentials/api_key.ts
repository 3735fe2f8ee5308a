// API keys: `ck_<env>_<body>`. The body carries its own head, a tag and a checksum, so an edge can refuse an
// invented key without asking anyone; only the region knows whether a real one is still valid.
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
import { type Id, idBytes, idFromBytes } from '../ids.ts'
import { crc32 } from './crc32.ts'
import { type CredentialHead, HEAD_BYTES, readHead, writeHead } from './head.ts'
import type { Roots } from './roots.ts'

const ID_BYTES = 16
const SECRET_BYTES = 24
const TAG_BYTES = 16
const CRC_BYTES = 4
const SIGNED_BYTES = HEAD_BYTES + ID_BYTES + SECRET_BYTES
const BODY_BYTES = SIGNED_BYTES + TAG_BYTES + CRC_BYTES
const SHAPE = /^(ck_[a-z]{2,8}_)([0-9A-Za-z]+)$/

/** What a key's environment may be called, as in `ck_live_…`. */
export const KEY_ENVIRONMENT = /^[a-z]{2,8}$/

export interface ApiKeyClaims extends CredentialHead {
  keyId: Id<'key'>
}

/** `unproven`: whoever has the compromised root can have made the tag, so only the region's stored hash can tell. */
export type ApiKeyVerdict =
  | { outcome: 'verified' | 'unproven'; key: ApiKeyClaims; secretHash: string }
  | { outcome: 'refused' }

/** Mints a key. The text is the secret; it is shown once and never stored. */
export async function mintApiKey(
  environment: string,
  claims: Omit<ApiKeyClaims, 'rootId'>,
  roots: Roots,
): Promise<{ text: string; secretHash: string }> {
  if (!KEY_ENVIRONMENT.test(environment)) throw new RangeError('a key environment is two to eight letters')
  const id = idBytes('key', claims.keyId)
  if (id === undefined) throw new RangeError('not a key id')
  const root = roots.signing()
  const signed = new Uint8Array(SIGNED_BYTES)
  writeHead({ ...claims, rootId: root.id }, signed)
  signed.set(id, HEAD_BYTES)
  signed.set(randomBytes(SECRET_BYTES), HEAD_BYTES + ID_BYTES)
  const prefix = `ck_${environment}_`
  const body = concat(signed, await tagOf(root.keys['api-key v1'], prefix, signed))
  const text = prefix + toBase62(concat(body, checksum(prefix, body)))
  return { text, secretHash: await hashApiKey(text) }
}

/** Checks a key as far as that goes offline: spelling, checksum, tag. Never says which of them was wrong. */
export async function verifyApiKey(text: string, roots: Roots): Promise<ApiKeyVerdict> {
  const [, prefix, encoded] = SHAPE.exec(text) ?? []
  const bytes = encoded === undefined ? undefined : fromBase62(encoded, BODY_BYTES)
  if (prefix === undefined || bytes === undefined) return { outcome: 'refused' }
  const body = bytes.subarray(0, BODY_BYTES - CRC_BYTES)
  if (!equalInConstantTime(checksum(prefix, body), bytes.subarray(BODY_BYTES - CRC_BYTES))) {
    return { outcome: 'refused' }
  }
  const signed = bytes.subarray(0, SIGNED_BYTES)
  const head = readHead(signed)
  const root = head && roots.get(head.rootId)
  if (head === undefined || root === undefined) return { outcome: 'refused' }
  const proven = equalInConstantTime(
    await tagOf(root.keys['api-key v1'], prefix, signed),
    body.subarray(SIGNED_BYTES),
  )
  if (!proven) return { outcome: 'refused' }
  const keyId = idFromBytes('key', signed.subarray(HEAD_BYTES, HEAD_BYTES + ID_BYTES))
  return {
    outcome: root.state === 'compromised' ? 'unproven' : 'verified',
    key: { ...head, keyId },
    secretHash: await hashApiKey(text),
  }
}

/** What is stored, and what travels from edge to region: SHA-256 of the whole text, in base64url. */
export const hashApiKey = async (text: string): Promise<string> => toBase64url(await sha256(text))

async function tagOf(key: WebCryptoKey, prefix: string, signed: Uint8Array): Promise<Uint8Array> {
  const mac = await crypto.subtle.sign('HMAC', key, concat(utf8(prefix), signed))
  return new Uint8Array(mac, 0, TAG_BYTES)
}

function checksum(prefix: string, body: Uint8Array): Bytes {
  const bytes = new Uint8Array(CRC_BYTES)
  new DataView(bytes.buffer).setUint32(0, crc32(concat(utf8(prefix), body)))
  return bytes
}
