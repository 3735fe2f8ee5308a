// The session that somebody on the way in is about to begin. Its token is made when the page is shown, and waits in a cookie
// of that browser's: a button that is pressed twice, or again because the answer was lost, asks for the same session. To
// the region it is nothing before the link, or the invitation, is used for it; and nobody chooses one, since it is signed.
import type { Context } from 'hono'
import { deleteCookie, setCookie } from 'hono/cookie'
import type { Roots } from '../../shared/credentials/roots.ts'
import { mintSession, verifySession } from '../../shared/credentials/session_token.ts'
import { type Id, newId } from '../../shared/ids.ts'
import type { AdminLinkPrincipal } from '../../shared/principal.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { ATTRIBUTES, readCookie, setSessionCookie } from './cookie.ts'

/** What lets in, and where to. */
export interface WayIn {
  id: Id<'lnk'> | Id<'inv'>
  tenant: TenantNumber
  region: string
}

export interface Beginning {
  /** As the region is told of it. */
  begins: NonNullable<AdminLinkPrincipal['begins']>
  /** The value of its cookie. */
  text: string
}

/** For whoever reads the page, presses the button, and loses the answer. */
const LIFE_SECONDS = 15 * 60

/** One for each link or invitation, so that two that are open side by side begin two sessions. */
const nameOf = ({ id }: WayIn): string => `__Host-coditect-enter-${id}`

/** The one that this browser was given with the page; a new one where it has none. */
export async function beginningOf(c: Context, way: WayIn, roots: Roots): Promise<Beginning> {
  const kept = readCookie(c, nameOf(way))
  const verified = kept === undefined ? undefined : await verifySession(kept, roots)
  if (kept !== undefined && verified?.session.tenant === way.tenant) {
    const { session, secretHash } = verified
    return { begins: { sessionId: session.sessionId, secretHash }, text: kept }
  }
  const sessionId = newId('ses')
  const { tenant, region } = way
  const { text, secretHash } = await mintSession({ tenant, region, sessionId }, roots)
  return { begins: { sessionId, secretHash }, text }
}

/** With the page that it is begun from. */
export const keepBeginning = (c: Context, way: WayIn, { text }: Beginning): void =>
  setCookie(c, nameOf(way), text, { ...ATTRIBUTES, maxAge: LIFE_SECONDS })

/** Once it has begun. */
export function becomeSession(c: Context, way: WayIn, { text }: Beginning, slug: string): void {
  setSessionCookie(c, slug, text)
  deleteCookie(c, nameOf(way), ATTRIBUTES)
}
