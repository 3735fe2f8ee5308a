// How pages are answered: the document, its policy, never cached. And what a refusal of the API's looks like as a page.
import type { Context } from 'hono'
import { html } from 'hono/html'
import type { Child } from 'hono/jsx'
import { toBase64url } from '../../shared/bytes.ts'
import type { ProblemCode, ProblemDetails } from '../../shared/problems.ts'
import type { Refused } from './api.ts'
import { CSRF_FIELD, type SentForm } from './csrf.ts'
import { contentPolicy } from './parts/content_policy.ts'
import { Document } from './parts/document.tsx'
import { AS_TYPED, SecretField } from './parts/form.tsx'
import { Alone } from './parts/layout.tsx'
import type { Assets } from './static_files.ts'
import type { Customisation } from './visit.ts'

export interface Shown {
  title: string
  status?: number
  customisation?: Customisation | undefined
  live?: boolean
  /** Where the browser goes on to by itself. */
  refresh?: string
  body: Child
}

export type Show = (c: Context, shown: Shown) => Response | Promise<Response>

export const showing =
  (assets: Assets): Show =>
  (c, { title: page, status = 200, customisation, live = false, refresh, body }) => {
    // The first that is heard of a form that was not taken.
    const refused = c.req.method === 'POST' ? notTaken(status) : ''
    const title = refused + page
    const nonce = toBase64url(crypto.getRandomValues(new Uint8Array(16)))
    c.header('content-security-policy', contentPolicy(nonce, customisation?.logoUrl))
    c.header('cache-control', 'no-store')
    // Where a part of a page asked, the page as a whole is loaded again, and says that nobody is signed in.
    if (status === 401) c.header('hx-refresh', 'true')
    const document = <Document {...{ title, assets, nonce, customisation, live, refresh }}>{body}</Document>
    // Every status here has a body.
    return c.html(html`<!doctype html>${document}`, status as 200)
  }

/** What no region answered may have been done all the same. */
const notTaken = (status: number): string =>
  status < 400 ? '' : status < 500 ? 'Nothing was done · ' : 'Perhaps not done · '

interface Said {
  title: string
  what: string
}

const SIGNED_OUT = 'You are signed out'
const LATER = 'Try again in a few minutes, or ask an administrator for a link.'
const COME_BACK = 'Sign in again, or ask an administrator for a new link.'

/** Of the refusals that need more to be said than the API says. */
const ADVICE: Partial<Record<ProblemCode, Said>> = {
  credential_invalid: {
    title: SIGNED_OUT,
    what: `Your session has ended. ${COME_BACK}`,
  },
  tenant_mismatch: {
    title: 'This is another organisation’s page',
    what: 'Your session is of a different organisation. Open that one’s own address, or ask for a link to this one.',
  },
  tenant_suspended: {
    title: 'The organisation is suspended',
    what: 'Nobody can sign in for now. Ask the platform’s operator what to do; nothing is lost.',
  },
  tenant_erased: { title: 'The organisation was deleted', what: 'There is nothing left to see here.' },
  invitation_expired: { title: 'The invitation has expired', what: 'Ask whoever sent it for a new one.' },
  invitation_used: {
    title: 'The invitation was accepted',
    what: 'It works once. If it was not you who accepted it, tell an administrator at once: they can remove the member.',
  },
  invitation_revoked: {
    title: 'The invitation was revoked',
    what: 'Whoever made it has withdrawn it, or may not let you in any more. Ask for a new one.',
  },
  admin_link_expired: { title: 'This link has expired', what: 'Ask whoever sent it for a new one.' },
  admin_link_used: {
    title: 'This link has been used',
    what: 'A link works once. If you used it, go on in the window where you did. If it was not you, tell an administrator at once: they can end all sessions.',
  },
  admin_link_revoked: {
    title: 'This link was revoked',
    what: 'Whoever made it has withdrawn it, or may not let you in any more. Ask for a new one.',
  },
  admin_link_elsewhere: {
    title: 'This link is for another address',
    what: 'Open it exactly as it was sent to you, at the address that it names.',
  },
  sign_in_failed: {
    title: 'You were not let in',
    what: 'Your organisation’s identity provider did not vouch for you. Try again, or ask an administrator for a link.',
  },
  not_a_member: {
    title: 'You are not a member here',
    what: 'You are known to the identity provider, and have no role in this organisation. Ask an administrator for one.',
  },
  insufficient_scope: {
    title: 'Your role does not allow this',
    what: 'Ask an owner or administrator of the organisation for a role that does.',
  },
  precondition_failed: {
    title: 'Somebody changed it meanwhile',
    what: 'What you typed stands below, and is not saved. Saved again, it takes the place of what is there now.',
  },
  idempotency_key_reuse: {
    title: 'This form was sent before',
    what: 'It said something else then, and that was done; this was not. See what is there now before you send it again.',
  },
  not_found: { title: 'There is nothing here', what: 'It may have been deleted. Go back and look again.' },
  rate_limited: { title: 'Too many requests', what: 'Wait a moment, then load the page again.' },
  region_unavailable: {
    title: 'The organisation’s region does not answer',
    what: 'Wait a moment, then load the page again.',
  },
}

/** The API's own words. */
export const wordsOf = ({ problem }: Pick<Refused, 'problem'>): Said => ({
  title: problem.title,
  what: problem.detail,
})

export const adviceOn = (refused: Pick<Refused, 'problem'>): Said => {
  const { code, detail } = refused.problem
  // Why it has ended only the region knows.
  if (code === 'session_ended') return { title: SIGNED_OUT, what: `${detail} ${COME_BACK}` }
  // So does whether it is the provider's fault, or the organisation's to mend.
  if (code === 'identity_provider_unavailable')
    return { title: 'You cannot sign in there at present', what: `${detail} ${LATER}` }
  return ADVICE[code] ?? wordsOf(refused)
}

interface Telling {
  refused: Pick<Refused, 'problem'>
  /** Where it is to be said otherwise than {@link adviceOn} says it. */
  said?: Said | undefined
}

interface AdviceProps extends Telling {
  /** It is where a browser begins, without script, too. */
  first?: boolean
  children?: Child
}

/** A refusal in words, with what to quote when one asks for help. */
export const Advice = ({ refused, said, first = false, children }: AdviceProps) => {
  const { title, what } = said ?? adviceOn(refused)
  return (
    <div class="notice bad" role="alert" {...(first && { tabindex: -1, autofocus: true })}>
      <p>
        <strong>{title}.</strong> {what}
      </p>
      <Errors refused={refused} />
      {children}
      <Reference refused={refused} />
    </div>
  )
}

/** What is wrong with each field, where no form is drawn again that says it beside them. */
const Errors = ({ refused: { problem } }: Telling) =>
  problem.errors === undefined ? null : (
    <ul>
      {problem.errors.map(({ pointer, detail }) => (
        <li>
          {pointer.slice(1).replaceAll('/', ', ')} {detail}
        </li>
      ))}
    </ul>
  )

const Reference = ({ refused: { problem } }: Telling) => (
  <p class="quiet">
    <small>
      {problem.code} {problem.requestId}
    </small>
  </p>
)

/** What a form says, by the labels of its fields. */
type Labelled = Readonly<Record<string, string>>

interface FormProblemProps {
  problem: ProblemDetails | undefined
  typed?: Labelled | undefined
  /** What the form changes, as it is now. */
  now?: Labelled | undefined
}

/** What is wrong with a form where the API names no field of it. Nothing of somebody else's is overwritten unseen. */
export function FormProblem({ problem, typed = {}, now = {} }: FormProblemProps) {
  if (problem === undefined || problem.errors !== undefined) return null
  const theirs = Object.entries(now).filter(([label, value]) => value !== typed[label])
  return (
    <Advice refused={{ problem }} first>
      {problem.code === 'precondition_failed' && theirs.length > 0 && (
        <>
          <p>It is now:</p>
          <dl>
            {theirs.map(([label, value]) => (
              <>
                <dt>{label}</dt>
                <dd class="text">{value || '(nothing)'}</dd>
              </>
            ))}
          </dl>
        </>
      )}
    </Advice>
  )
}

/** What the same form meets again, whatever is changed in it; under way, it may be sent again as it is. */
const NOT_OF_THE_FORM: ReadonlySet<ProblemCode> = new Set(['project_archived', 'request_in_progress'])

/** Whether a form may be taken once something in it is changed, or it is seen what is there now. */
export const isMendable = ({ status, problem: { code } }: Refused): boolean =>
  code === 'quota_exceeded' || ([400, 409, 412, 413, 422].includes(status) && !NOT_OF_THE_FORM.has(code))

/** Fields that nobody typed, and those that are not to be seen. */
const SECRETS = new Set(['secret', 'clientSecret'])
const UNSEEN = new Set([CSRF_FIELD, 'once', 'shown', 'version', ...SECRETS])

/** No form of the console's has as many: each is drawn in turn, and nothing else is answered meanwhile. */
const MOST_FIELDS = 100

function textsIn(form: SentForm): ReadonlyArray<[name: string, value: string]> | 'too long' {
  if (form === undefined || form === 'too long') return form ?? []
  const fields = [...Iterator.from(form).take(MOST_FIELDS + 1)]
  if (fields.length > MOST_FIELDS) return 'too long'
  return fields.filter((each): each is [string, string] => typeof each[1] === 'string')
}

/** What a form had in it that was not taken, so that nothing that was typed is lost. */
export function Typed({ form }: { form: SentForm }) {
  const texts = textsIn(form)
  if (texts === 'too long') {
    return <p>What you sent is too long to be shown here. Go back: your browser may still have it.</p>
  }
  const typed = texts.filter(([name, value]) => !UNSEEN.has(name) && value !== '')
  if (typed.length === 0) return null
  return (
    <div class="panel">
      <h2>What you sent</h2>
      <dl>
        {typed.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd class="text">{value}</dd>
          </>
        ))}
      </dl>
    </div>
  )
}

/** What a refused form had in it; and the form again, where that can help. */
export function Sent({ refused, form, action }: { refused: Refused; form?: FormData; action: string }) {
  const mayHelp =
    refused.status === 429 || refused.status === 503 || refused.problem.code === 'request_in_progress'
  const texts = textsIn(form)
  return (
    <>
      <Typed form={form} />
      {form && mayHelp && texts !== 'too long' && (
        <form class="stack" {...AS_TYPED} action={action}>
          {texts.map(([name, value]) =>
            SECRETS.has(name) && value !== '' ? (
              <SecretField name={name} label="Secret" typed required />
            ) : (
              <input type="hidden" name={name} value={value} />
            ),
          )}
          <button type="submit">Send it again</button>
        </form>
      )}
    </>
  )
}

function Refusal({ refused, said, children }: Telling & { children?: Child }) {
  const { title, what } = said ?? adviceOn(refused)
  return (
    <Alone title={title}>
      <p>{what}</p>
      {children}
      <Reference refused={refused} />
    </Alone>
  )
}

/** As the API says it, for whatever else than a browser asks. */
export function sayWhen(c: Context, { retryAfter }: Pick<Refused, 'retryAfter'>): void {
  if (retryAfter !== undefined) c.header('retry-after', retryAfter)
}

interface RefusalOptions {
  /** What can be done about it. */
  next?: Child
  said?: Said | undefined
}

/** A refusal as a page on its own. */
export function showRefusal(
  c: Context,
  show: Show,
  title: string,
  refused: Refused,
  { next, said }: RefusalOptions = {},
) {
  sayWhen(c, refused)
  const body = (
    <Refusal refused={refused} said={said}>
      {next}
    </Refusal>
  )
  return show(c, { title, status: refused.status, body })
}

export const foreignForm = (c: Context, show: Show, form?: FormData) =>
  show(c, {
    title: 'A form of another session',
    status: 403,
    body: (
      <Alone title="Nothing was done">
        <p>
          This form did not come from a page of your present session. Open the page again in the console, and
          send the form from there.
        </p>
        <Typed form={form} />
      </Alone>
    ),
  })
