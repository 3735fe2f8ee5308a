// The token in every form, bound to the session: derived from the cookie's secret, which no page of another origin and
// no script can read. Hono's own check of where a request comes from stands before it.
import type { Context } from 'hono'
import { equalInConstantTime, sha256, toBase64url, utf8 } from '../../shared/bytes.ts'
import { Problem } from '../../shared/problems.ts'
import { contextOf } from '../context.ts'
import { SMALL_BYTES, type WithBody } from '../forward/body.ts'
import type { BodyOwner } from '../forward/body_budget.ts'

export const CSRF_FIELD = 'csrf'
/** Forms of the console are small, but for a record that is edited as JSON. */
const MAX_FORM_BYTES = 1_500_000
/** What anybody may send has a few short fields, and takes no room of anybody's. */
const MAX_STRANGERS_BYTES = SMALL_BYTES

export const csrfTokenOf = async (cookie: string): Promise<string> =>
  toBase64url((await sha256(`coditect csrf ${cookie}`)).subarray(0, 18))

/**
 * Does the work with what a form sent, and holds it no longer.
 * @param owner whose the session is
 * @param work given undefined for a form that does not carry this session's token
 * @throws {Problem} `body_too_large`, and those of {@link WithBody}
 */
export async function withOwnForm<T>(
  c: Context,
  token: string,
  { withBody, owner }: { withBody: WithBody; owner: BodyOwner },
  work: (form: FormData | undefined) => Promise<T>,
): Promise<T> {
  hasAtMost(MAX_FORM_BYTES, c)
  return withBody(contextOf(c.req.raw), owner, async () => {
    const form = await formIn(c)
    const sent = form?.get(CSRF_FIELD)
    const isOurs = typeof sent === 'string' && equalInConstantTime(utf8(sent), utf8(token))
    return work(isOurs ? form : undefined)
  })
}

/** What somebody sent who may be anybody. @throws {Problem} as {@link withOwnForm} does */
export async function readForm(c: Context, withBody: WithBody): Promise<FormData | undefined> {
  hasAtMost(MAX_STRANGERS_BYTES, c)
  return withBody(contextOf(c.req.raw), undefined, () => formIn(c))
}

function hasAtMost(bytes: number, c: Context): void {
  if (Number(c.req.header('content-length') ?? Number.POSITIVE_INFINITY) > bytes) {
    throw new Problem('body_too_large', 'The form is too large.')
  }
}

async function formIn(c: Context): Promise<FormData | undefined> {
  const { body } = contextOf(c.req.raw)
  const headers = { 'content-type': c.req.header('content-type') ?? '' }
  return new Response(body ?? null, { headers }).formData().catch(() => undefined)
}
