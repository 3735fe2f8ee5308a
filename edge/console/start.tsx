// What stands at the origin itself, for a browser: the ways on from there. What is no browser is told that there is nothing.
import { type Context, Hono } from 'hono'
import { Problem, problemResponse } from '../../shared/problems.ts'
import { SLUG } from '../../shared/tenant.ts'
import { contextOf } from '../context.ts'
import { slugsIn } from './cookie.ts'
import type { OwnersWay } from './owners_way.tsx'
import { Field } from './parts/form.tsx'
import { Alone } from './parts/layout.tsx'
import type { Show } from './respond.tsx'

/** The organisations that this browser has, or had, a session of. */
export const Consoles = ({ c }: { c: Context }) => (
  <>
    {slugsIn(c).map((slug) => (
      <p>
        <a class="button" href={`/admin/${slug}/`}>
          To the console of {slug}
        </a>
      </p>
    ))}
  </>
)

export function starting(show: Show, icon: string, owners: OwnersWay): Hono {
  const app = new Hono()
  app.all('/', async (c) => {
    const isBrowser = c.req.method === 'GET' && c.req.header('accept')?.includes('text/html')
    if (!isBrowser) {
      const problem = new Problem('not_found', 'There is nothing at this path.')
      return problemResponse(problem, contextOf(c.req.raw).requestId)
    }
    return show(c, {
      title: 'Coditect',
      body: (
        <Alone title="Coditect">
          <Consoles c={c} />
          <form class="stack" method="get" action="/admin">
            <Field
              name="organisation"
              label="Organisation"
              hint="By its short name, as its console’s address has it."
              required
            />
            <button type="submit">To its console</button>
          </form>
          {await owners(c)}
          <p class="quiet">
            Programs find the API described at <a href="/docs">/docs</a>.
          </p>
        </Alone>
      ),
    })
  })
  app.get('/favicon.ico', (c) => c.redirect(icon))
  app.get('/admin', (c) => {
    const slug = c.req.query('organisation')?.trim().toLowerCase() ?? ''
    return c.redirect(SLUG.test(slug) ? `/admin/${slug}/` : '/')
  })
  return app
}
