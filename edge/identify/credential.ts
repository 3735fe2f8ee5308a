// Finds a request's one credential. A request with two is refused: which of them it meant, no two readers agree.
import { API_KEY } from '../../shared/headers.ts'
import { looksSigned } from '../../shared/signed_url.ts'

/** Headers by name, in lower case. */
interface Asked {
  headers: ReadonlyMap<string, string>
  url: string
}

export type Presented =
  | { outcome: 'one'; text: string }
  /** The URL itself is one. */
  | { outcome: 'signed_url' }
  | { outcome: 'none' }
  | { outcome: 'several' }
  | { outcome: 'unreadable' }

/**
 * RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1). A few spaces and no more, because the text
 * that is cut out holds the whole header in memory for as long as it is remembered.
 */
const BEARER = /^bearer {1,8}([\x21-\x7e]+)$/i

/** Repeated headers arrive joined by a comma, and no credential holds one. */
export function presentedCredential({ headers, url }: Asked): Presented {
  const authorization = headers.get('authorization')
  const apiKey = headers.get(API_KEY)
  const header = authorization ?? apiKey
  const signed = looksSigned(url)
  if (header === undefined) return { outcome: signed ? 'signed_url' : 'none' }
  if (signed || (authorization !== undefined && apiKey !== undefined) || header.includes(','))
    return { outcome: 'several' }
  const text = authorization === undefined ? apiKey : BEARER.exec(authorization)?.[1]
  return text ? { outcome: 'one', text } : { outcome: 'unreadable' }
}

/**
 * Credentials of a kind that an isolate remembers as verified, so that a busy one is not verified with every request.
 * Nothing goes stale: the tag of a text never changes, and whether it is still valid, the region reads each time.
 */
export const REMEMBERED = 10_000
