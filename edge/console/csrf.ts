// The token in every form, bound to the session: derived from the cookie's secret, which no page of another origin and
// no script can read. Hono's own check of where a request comes from stands before it.
import { equalInConstantTime, sha256, toBase64url, utf8 } from '../../shared/bytes.ts'

export const CSRF_FIELD = 'csrf'

export const csrfTokenOf = async (cookie: string): Promise<string> =>
  toBase64url((await sha256(`coditect csrf ${cookie}`)).subarray(0, 18))

export const isTokenOf = (sent: unknown, token: string): boolean =>
  typeof sent === 'string' && equalInConstantTime(utf8(sent), utf8(token))
