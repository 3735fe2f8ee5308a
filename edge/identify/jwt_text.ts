// A JWT as text (RFC 7519, RFC 7515 section 3.1): three parts in canonical base64url, two of them JSON objects. Libraries
// are lenient here (jose takes white space, and last characters that decode alike), so whatever would not encode to
// itself again is refused before one sees it.
import { fromBase64url } from '../../shared/bytes.ts'
import type { Claims } from '../../shared/person.ts'

const MAX_LENGTH = 8 * 1024
/** The algorithms that a key pair signs with, and the type of its keys: with them no verification key can sign (RFC 8725 section 3.1). */
export const KEY_TYPES: Readonly<Record<string, string>> = {
  RS256: 'RSA',
  PS256: 'RSA',
  ES256: 'EC',
  EdDSA: 'OKP',
}
export const ALGORITHMS = Object.keys(KEY_TYPES)
/** Other types, such as a logout token, are no credentials (RFC 8725 section 3.11). */
const TYPES: ReadonlyArray<unknown> = [undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+jwt']

/** Only by its form: no API key, operator token or signed URL has a full stop in it. */
export const looksLikeJwt = (text: string): boolean => text.includes('.')

/** @returns the claims, of which nothing is proven yet; undefined for what is no JWT that we would take */
export function readJwt(text: string): Claims | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const [header, payload, signature, ...rest] = text.split('.')
  if (header === undefined || payload === undefined || !signature || rest.length > 0) return undefined
  if (fromBase64url(signature) === undefined) return undefined
  const { alg, typ, crit } = objectIn(header) ?? {}
  if (typeof alg !== 'string' || !ALGORITHMS.includes(alg) || !TYPES.includes(typ)) return undefined
  // Extensions that must be understood (RFC 7515 section 4.1.11): we know none.
  if (crit !== undefined) return undefined
  return objectIn(payload)
}

/** Of a text that {@link readJwt} takes. */
export const headerOf = (text: string): Claims => objectIn(text.slice(0, text.indexOf('.'))) ?? {}

function objectIn(part: string): Claims | undefined {
  const bytes = fromBase64url(part)
  return bytes && jsonObject(bytes)
}

/** Undefined for what is no JSON object in UTF-8. */
export function jsonObject(bytes: Uint8Array): Claims | undefined {
  try {
    const value: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
    )
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined
  } catch {
    return undefined
  }
}

/** `aud` is one text or a list of them (RFC 7519 section 4.1.3). */
export const audiencesOf = ({ aud }: Claims): ReadonlyArray<string> =>
  [aud].flat().filter((each) => typeof each === 'string')
