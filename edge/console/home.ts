// The platform's own host, the one place to sign in at: a provider sends people back there and nowhere else, with a cookie
// that is one host's, and no operator should type a token at an organisation's domain.
import { createMiddleware } from 'hono/factory'

/** Leads whoever asks at another host there, whatever they wanted: nothing is read or done. Ports share cookies. */
export const atHome = (publicOrigin: string) => {
  const { hostname } = new URL(publicOrigin)
  return createMiddleware(async function atHome(c, next) {
    const url = new URL(c.req.raw.url)
    if (url.hostname === hostname) return next()
    return c.redirect(publicOrigin + c.req.path + url.search, 303)
  })
}
