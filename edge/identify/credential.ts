// Finds a request's one credential. A request with two is refused: which of them it meant, no two readers agree.
import { API_KEY } from '../../shared/headers.ts'

export type Presented =
  | { outcome: 'one'; text: string }
  | { outcome: 'none' }
  | { outcome: 'several' }
  | { outcome: 'unreadable' }

/** RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1). */
const BEARER = /^bearer +([\x21-\x7e]+)$/i

/** Repeated headers arrive joined by a comma, and no credential holds one. */
export function presentedCredential(headers: Headers): Presented {
  const authorization = headers.get('authorization')
  const apiKey = headers.get(API_KEY)
  const header = authorization ?? apiKey
  if (header === null) return { outcome: 'none' }
  if ((authorization !== null && apiKey !== null) || header.includes(',')) return { outcome: 'several' }
  const text = authorization === null ? apiKey : BEARER.exec(authorization)?.[1]
  return text ? { outcome: 'one', text } : { outcome: 'unreadable' }
}
