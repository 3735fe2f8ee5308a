// The session's cookie. The tenant is in its name, so that sessions of two tenants live side by side in one browser;
// `__Host-` has the browser keep it to this host, over TLS (or on this machine).
import type { Context } from 'hono'
import { deleteCookie, setCookie } from 'hono/cookie'
import { SESSION_LIFE_MS } from '../../shared/credentials/session_token.ts'
import { SLUG } from '../../shared/tenant.ts'

/** Sent along when a link elsewhere, or an identity provider, leads here; out of reach of scripts, and never to another host. */
export const ATTRIBUTES = { path: '/', secure: true, httpOnly: true, sameSite: 'Lax' } as const

/** Slugs are DNS labels: nothing in one has a meaning in a cookie's name, and none is the name of the platform's own cookies. */
const PREFIX = '__Host-coditect-t-'
const nameOf = (slug: string): string => PREFIX + slug

/** The header, one cookie an entry, in the browser's own order: the oldest first (RFC 6265, section 5.4). */
const cookiesIn = (c: Context): string[] => (c.req.raw.headers.get('cookie') ?? '').split(/;[ \t]*/)

export const cookieNames = (c: Context): string[] => cookiesIn(c).map((each) => each.split('=', 1)[0] ?? '')

/** Of the organisations that this browser has, or had, a session of. */
export const slugsIn = (c: Context): string[] =>
  cookieNames(c)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => name.slice(PREFIX.length))
    .filter((slug) => SLUG.test(slug))

/**
 * A cookie as this console sets it: once, and in the one spelling. Hono's own reader takes others, quoted and escaped.
 */
export function readCookie(c: Context, name: string): string | undefined {
  const [value, ...others] = cookiesIn(c).filter((each) => each.startsWith(`${name}=`))
  if (value === undefined || others.length > 0) return undefined
  const sent = value.slice(name.length + 1)
  try {
    const text = decodeURIComponent(sent)
    return encodeURIComponent(text) === sent ? text : undefined
  } catch {
    return undefined
  }
}

export const readSessionCookie = (c: Context, slug: string): string | undefined => readCookie(c, nameOf(slug))

export const setSessionCookie = (c: Context, slug: string, text: string): void =>
  setCookie(c, nameOf(slug), text, { ...ATTRIBUTES, maxAge: SESSION_LIFE_MS / 1000 })

export const dropSessionCookie = (c: Context, slug: string): void => {
  deleteCookie(c, nameOf(slug), ATTRIBUTES)
}
