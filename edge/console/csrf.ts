// The token in every form, bound to the session: derived from the cookie's secret, which no page of another origin and
// no script can read. Hono's own check of where a request comes from stands before it.
import type { Context } from 'hono'
import { equalInConstantTime, sha256, toBase64url, utf8 } from '../../shared/bytes.ts'
import { MAX_BODY_BYTES } from '../../shared/headers.ts'
import { Problem } from '../../shared/problems.ts'
import { contextOf } from '../context.ts'
import { SMALL_BYTES, type WithBody } from '../forward/body.ts'
import type { BodyOwner } from '../forward/body_budget.ts'

export const CSRF_FIELD = 'csrf'
/** What anybody may send has a few short fields, and takes no room of anybody's. */
const MAX_STRANGERS_BYTES = SMALL_BYTES

/** A form to be shown once more to whoever sent it. */
export type SentForm = FormData | 'too long' | undefined

export const csrfTokenOf = async (cookie: string): Promise<string> =>
  toBase64url((await sha256(`coditect csrf ${cookie}`)).subarray(0, 18))

/** Whether the form is of the session that has this token. */
export function isOwn(form: FormData, token: string): boolean {
  const sent = form.get(CSRF_FIELD)
  return typeof sent === 'string' && equalInConstantTime(utf8(sent), utf8(token))
}

interface Reading {
  withBody: WithBody
  /** Whose room it takes while it is held. */
  owner: BodyOwner
}

/**
 * Does the work with what a form sent, and holds it no longer.
 * @param work given undefined for what is no form
 * @param most bytes
 * @throws {Problem} `body_too_large`, and those of {@link WithBody}
 */
export async function withForm<T>(
  c: Context,
  { withBody, owner }: Reading,
  work: (form: FormData | undefined) => Promise<T>,
  most = MAX_BODY_BYTES,
): Promise<T> {
  if (announcedBytes(c) > most) {
    const may = most < 2 ** 20 ? `${most / 2 ** 10} KiB` : `${most / 2 ** 20} MiB`
    throw new Problem('body_too_large', `The form is too large: it may have ${may}.`)
  }
  return withBody(contextOf(c.req.raw), owner, async () => work(await formIn(c)))
}

/** What somebody sent who may be anybody: a few short fields. @throws {Problem} as {@link withForm} does */
export const readForm = (c: Context, withBody: WithBody): Promise<FormData | undefined> =>
  withForm(c, { withBody, owner: undefined }, async (form) => form, MAX_STRANGERS_BYTES)

/** What somebody sent whom nobody knows any more. @throws {Problem} those of {@link WithBody} */
export async function strangersForm(c: Context, withBody: WithBody): Promise<SentForm> {
  if (c.req.method !== 'POST') return undefined
  return announcedBytes(c) > MAX_STRANGERS_BYTES ? 'too long' : readForm(c, withBody)
}

/** One that comes in chunks may be of any length. */
const announcedBytes = ({ req }: Context): number =>
  Number(req.header('content-length') ?? Number.POSITIVE_INFINITY)

async function formIn(c: Context): Promise<FormData | undefined> {
  const { body } = contextOf(c.req.raw)
  const headers = { 'content-type': c.req.header('content-type') ?? '' }
  return new Response(body ?? null, { headers }).formData().catch(() => undefined)
}
