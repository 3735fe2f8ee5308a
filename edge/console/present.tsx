// Who is signed in already, in the browser of somebody on the way in: a session is replaced by nothing that did not say so,
// and whoever has one is led on.
import type { Context } from 'hono'
import type { TenantNumber } from '../../shared/tenant.ts'
import { Api } from './api.ts'
import { readSessionCookie, slugsIn } from './cookie.ts'
import { identifySession } from './identity.ts'
import type { ConsoleDependencies, Presence } from './visit.ts'

/** @returns undefined for nobody, and where the region does not say */
export async function presentIn(
  c: Context,
  tenant: TenantNumber,
  { config, inside }: Pick<ConsoleDependencies, 'config' | 'inside'>,
): Promise<Presence | undefined> {
  for (const slug of slugsIn(c)) {
    const cookie = readSessionCookie(c, slug)
    const identity = cookie === undefined ? undefined : await identifySession(cookie, config.roots)
    if (identity?.principal.tenant !== tenant) continue
    const api = new Api(inside, identity, c.req.raw, { publicOrigin: config.publicOrigin, slug })
    const answer = await api.get<Presence>('/console/v1/session')
    if (answer.ok) return answer.body
  }
  return undefined
}

interface Present {
  present: Presence | undefined
}

const As = ({ session: { email, role } }: Presence) => (
  <>
    You are signed in here already, {email !== null && `as ${email}, `}with the role <strong>{role}</strong>.
  </>
)

/** Before another session takes its place. */
export const Replaced = ({ present }: Present) =>
  present === undefined ? null : (
    <p class="notice">
      <As {...present} /> Going on replaces that in this browser.{' '}
      <a href={`/admin/${present.organisation.slug}/`}>Stay as you are</a>
    </p>
  )

/** Where there is no other way in than the one that they have. */
export const GoOn = ({ present }: Present) =>
  present === undefined ? null : (
    <>
      <p>
        <As {...present} />
      </p>
      <p>
        <a class="button" href={`/admin/${present.organisation.slug}/`}>
          Go on to the console
        </a>
      </p>
    </>
  )
