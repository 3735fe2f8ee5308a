// Signatures of what is sent, after Standard Webhooks (standardwebhooks.com): HMAC-SHA256 (`v1`) and Ed25519 (`v1a`) over
// `id.timestamp.body`. Both stand in one header, newest secret first, so that a receiver checks with what it has.
import { fromBase64url, utf8, type WebCryptoKey } from '../../shared/bytes.ts'

const { subtle } = globalThis.crypto

const SECRET_BYTES = 32
const SECRET = /^whsec_([A-Za-z0-9+/]{32,88}={0,2})$/

/** One generation of an endpoint's secrets, as it is sealed. */
export interface SigningSecrets {
  /** `whsec_…`, which the receiver has as well. */
  secret: string
  /** Of the Ed25519 key pair: the private half, 32 bytes in base64url. */
  d: string
  /** And the public one. */
  x: string
}

/** What they are imported into, once. */
export interface Signer {
  hmac: WebCryptoKey
  ed25519: WebCryptoKey
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** The bytes of a `whsec_` secret: 24 to 64 of them; undefined for any other text. */
export function secretBytes(secret: string): Uint8Array<ArrayBuffer> | undefined {
  const text = SECRET.exec(secret)?.[1]
  if (text === undefined) return undefined
  const bytes = new Uint8Array(Buffer.from(text, 'base64'))
  return base64(bytes) === text && bytes.length >= 24 && bytes.length <= 64 ? bytes : undefined
}

/** @param secret one that the receiver has already */
export async function newSecrets(secret?: string): Promise<SigningSecrets> {
  const pair = await subtle.generateKey('Ed25519', true, ['sign', 'verify'])
  if (!('privateKey' in pair)) throw new Error('not a key pair')
  const { d, x } = await subtle.exportKey('jwk', pair.privateKey)
  if (d === undefined || x === undefined) throw new Error('not a key pair')
  const fresh = crypto.getRandomValues(new Uint8Array(SECRET_BYTES))
  return { secret: secret ?? `whsec_${base64(fresh)}`, d, x }
}

/** `whpk_…`: what receivers check `v1a` with. */
export const publicKeyOf = ({ x }: Pick<SigningSecrets, 'x'>): string =>
  `whpk_${base64(fromBase64url(x) ?? new Uint8Array())}`

/** @throws {Error} when they are none */
export async function importSecrets({ secret, d, x }: SigningSecrets): Promise<Signer> {
  const bytes = secretBytes(secret)
  if (bytes === undefined) throw new Error('not a secret')
  const [hmac, ed25519] = await Promise.all([
    subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']),
    subtle.importKey('jwk', { kty: 'OKP', crv: 'Ed25519', d, x }, 'Ed25519', false, ['sign']),
  ])
  return { hmac, ed25519 }
}

/**
 * @param seconds since 1970
 * @returns the value of `webhook-signature`
 */
export async function signatureOf(
  signers: ReadonlyArray<Signer>,
  id: string,
  seconds: number,
  body: string,
): Promise<string> {
  const signed = utf8(`${id}.${seconds}.${body}`)
  const signatures = await Promise.all(
    signers.flatMap(({ hmac, ed25519 }) => [
      subtle.sign('HMAC', hmac, signed).then((mac) => `v1,${base64(new Uint8Array(mac))}`),
      subtle.sign('Ed25519', ed25519, signed).then((mac) => `v1a,${base64(new Uint8Array(mac))}`),
    ]),
  )
  return signatures.join(' ')
}
