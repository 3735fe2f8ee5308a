// The least that an edge can be: Hono, and a forward. What ours costs is what it costs beyond this.
import { Hono } from 'hono'

const app = new Hono<{ Bindings: { ORIGIN: string } }>()
app.all('*', (c) => {
  const { pathname, search } = new URL(c.req.url)
  return fetch(new Request(c.env.ORIGIN + pathname + search, c.req.raw))
})

export default app
