// The token in every form, bound to the session: derived from the cookie's secret, which no page of another origin and
// no script can read. Hono's own check of where a request comes from stands before it.
import type { Context } from 'hono'
import { equalInConstantTime, sha256, toBase64url, utf8 } from '../../shared/bytes.ts'
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'

export const CSRF_FIELD = 'csrf'
export const csrfTokenOf = async (cookie: string): Promise<string> =>
  toBase64url((await sha256(`coditect csrf ${cookie}`)).subarray(0, 18))

/** Whether the form is of the session that has this token. */
export function isOwn(form: FormData, token: string): boolean {
  const sent = form.get(CSRF_FIELD)
  return typeof sent === 'string' && equalInConstantTime(utf8(sent), utf8(token))
}

/**
 * What a form sent.
 * @returns undefined where it is no form
 * @throws {Problem} `body_too_large`
 */
export async function readForm(c: Context): Promise<FormData | undefined> {
  if (Number(c.req.header('content-length') ?? Number.POSITIVE_INFINITY) > MAX_BODY_BYTES) {
    throw new Problem('body_too_large', 'The form is too large.')
  }
  return c.req.formData().catch(() => undefined)
}
