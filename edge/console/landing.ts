// Where whoever has come in goes on to: the page that they asked for, or that their link leads to.
import type { Context } from 'hono'

/** A cookie keeps it meanwhile. */
const MAX_CHARACTERS = 300

/** Never outside this tenant's console, whatever the path says. */
export function landing(slug: string, path: string, publicOrigin: string): string {
  const base = `/admin/${slug}`
  const url = new URL(base + path, publicOrigin)
  const within = url.origin === new URL(publicOrigin).origin && url.pathname.startsWith(`${base}/`)
  return within ? url.pathname + url.search : `${base}/`
}

/** What the page to sign in at is told of the page that was asked for; nothing of a form's. */
export function comingFrom(c: Context, slug: string): string {
  if (c.req.method !== 'GET') return ''
  const { pathname, searchParams } = new URL(c.req.url)
  // What was done before is not to be said once more.
  searchParams.delete('done')
  const path = pathname.slice(`/admin/${slug}`.length) + (searchParams.size > 0 ? `?${searchParams}` : '')
  return path === '/' || path.length > MAX_CHARACTERS ? '' : `?to=${encodeURIComponent(path)}`
}

/** What {@link comingFrom} said. */
export function goingTo(c: Context): string {
  const path = c.req.query('to') ?? ''
  return path.length > MAX_CHARACTERS ? '' : path
}
