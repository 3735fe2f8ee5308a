// What every page of the console has: who is there, the API as they see it, and how a page is answered.
import type { Context } from 'hono'
import type { Child } from 'hono/jsx'
import type { TenantPlace } from '../../shared/edge_calls.ts'
import type { ProblemDetails } from '../../shared/problems.ts'
import type { Role } from '../../shared/roles.ts'
import type { EdgeConfig } from '../env.ts'
import type { WithBody } from '../forward/body.ts'
import type { Had } from '../refreshed.ts'
import type { Api, Inside, Refused } from './api.ts'
import type { SessionIdentity } from './identity.ts'

export interface ConsoleDependencies {
  config: EdgeConfig
  inside: Inside
  /** Counts a link or cookie that is none. @throws {Problem} `too_many_failures` */
  noteInvalid: (request: Request) => void
  /** What a form sends is held under the isolate's bound on bodies. */
  withBody: WithBody
  /** Where the organisation of a slug lives, for whoever sent the request. */
  placeOf: (slug: string, request: Request) => Promise<Had<TenantPlace>>
  now: () => number
}

export interface Customisation {
  displayName: string | null
  logoUrl: string | null
  accentColor: string | null
}

export interface Organisation {
  id: string
  slug: string
  name: string
  customisation: Customisation
}

export interface SessionShown {
  id: string
  role: Role
  email: string | null
  member: string | null
  /** Who let it in. */
  issuer: { kind: string; id: string }
  /** The admin link that it came of. */
  link: string | null
  createdAt: string
  lastUsedAt: string
  expiresAt: string
  userAgent: string | null
  ip: string | null
}

/** As `GET /console/v1/session` answers it. */
export interface Presence {
  organisation: Organisation
  session: SessionShown
  scopes: ReadonlyArray<string>
}

export interface Visit extends Presence {
  /** `/admin/{slug}`, without a slash at its end. */
  base: string
  api: Api
  /** Goes into every form. */
  csrf: string
  /** Of a form that is drawn again and may have been carried out: as it was, it is still the same request. */
  once?: string
}

export interface PageOptions {
  /** Instead of the page's own. */
  title?: string
  /** Otherwise that of the problem, where a form is shown again for one. */
  status?: number
  /** Parts of it renew themselves. */
  live?: boolean
  /** What it lies in, below the page that the menu leads to. */
  above?: ReadonlyArray<{ href: string; title: string }>
}

type Answer = Response | Promise<Response>

export interface ConsoleTypes {
  Variables: {
    /** Of the cookie alone; its region has not been asked yet. */
    seeming: { slug: string; identity: SessionIdentity; csrf: string }
    visit: Visit
    /** What the form said, on a request that changes something. Its token has been checked. */
    form: FormData
    /** Answers with a page in the console's frame. */
    page: (body: Child, options?: PageOptions) => Answer
    /** Answers with what the API refused, in the frame. */
    refuse: (refused: Refused) => Answer
    /** After a form that was not taken: draws it again, with what was typed, where that can help; refuses otherwise. */
    again: (refused: Refused, draw: () => Answer) => Answer
    /** What a form that is drawn again was not taken for. */
    problem: ProblemDetails | undefined
    /** After a form: on to a page of the console, which says so. `done` is one of the messages of that page. */
    done: (path: string, done: string) => Response
  }
}

export type ConsoleContext = Context<ConsoleTypes>

/** A field of a form as it was typed, empty where there is none. A form ends its lines with two bytes, of which one was typed. */
export function textField(form: FormData, name: string): string {
  const value = form.get(name)
  return typeof value === 'string' ? value.replaceAll('\r\n', '\n') : ''
}

/** A field of a form as text, trimmed; empty where there is none. */
export const field = (form: FormData, name: string): string => textField(form, name).trim()

/** A number that was typed; what is none stays as it is, for the API to refuse beside its field. */
export function numberIn(text: string): number | string {
  const number = Number(text)
  return Number.isFinite(number) ? number : text
}

/**
 * The version that a form on the page changes: the one shown, or, where a form is shown again for what was wrong with
 * it, still the one that it was typed into. What somebody else changed meanwhile would be overwritten unseen otherwise;
 * where that is what was wrong, the form says what it is now.
 */
export function formVersion(
  { var: { form, problem } }: { var: { form?: FormData; problem: ProblemDetails | undefined } },
  etag: string | undefined,
): string | undefined {
  // Another form of the same page has none.
  const typedInto = form?.get('version')
  return typeof typedInto === 'string' && problem?.code !== 'precondition_failed' ? typedInto : etag
}

/**
 * So many days from when the form was shown, so that a form sent twice says the same twice.
 * @returns nothing where that is no time: the API says what is wrong
 */
export function daysFromShown(form: FormData, days: number): string {
  const at = new Date(Date.parse(field(form, 'shown')) + days * 86_400_000)
  return Number.isNaN(at.getTime()) ? '' : at.toISOString()
}

export const fields = (form: FormData, name: string): string[] =>
  form.getAll(name).filter((value): value is string => typeof value === 'string')

/** The page that a list is asked for, as the API takes it: whole, or behind other parameters. */
export function cursorQuery(c: Context, before = '?'): string {
  const cursor = c.req.query('cursor')
  return cursor === undefined ? '' : `${before}cursor=${encodeURIComponent(cursor)}`
}
