// What whoever erased their organisation sees of it: nobody can sign in there any more, so the page has an address that
// only they were led to. It says how far the erasure is, and nothing of what was there.
import { type Context, Hono } from 'hono'
import { type ErasureShown, erasurePath } from '../../shared/edge_calls.ts'
import { idBytes } from '../../shared/ids.ts'
import { tenantNumberOf } from '../../shared/tenant.ts'
import { Api, type Refused } from './api.ts'
import { VISITOR } from './identity.ts'
import { Erasure } from './parts/erasure.tsx'
import { Alone } from './parts/layout.tsx'
import { Advice, type Show } from './respond.tsx'
import type { ConsoleDependencies } from './visit.ts'

/** No slug begins with `-`. */
export const ERASURE_PAGE = '/admin/-/erasure'

export const erasurePageOf = (region: string, { tenant, id }: { tenant: string; id: string }): string =>
  `${ERASURE_PAGE}/${region}/${tenant}/${id}`

export function erasures({ config, inside, noteInvalid }: ConsoleDependencies, show: Show): Hono {
  const app = new Hono()
  app.get(`${ERASURE_PAGE}/:region/:tenant/:job`, async (c) => {
    const { region, tenant, job } = c.req.param()
    const number = tenantNumberOf(tenant)
    if (number === undefined || !config.regions.has(region) || idBytes('job', job) === undefined) {
      return nothing(c)
    }
    const identity = { ...VISITOR, home: region }
    const api = new Api(inside, identity, c.req.raw, { publicOrigin: config.publicOrigin })
    const answer = await api.get<ErasureShown>(erasurePath(number, job))
    const isPart = c.req.query('part') === 'progress'
    if (!answer.ok && isPart) return c.body(null, 204)
    if (!answer.ok) return answer.status === 404 ? nothing(c) : away(c, answer)
    const part = <Erasure erasure={answer.body} path={erasurePageOf(region, { tenant, id: job })} />
    if (isPart) return c.html(part)
    return show(c, {
      // As true once it is done: only the part below renews itself.
      title: 'Erasure of the organisation',
      live: true,
      body: (
        <Alone title="Erasure of the organisation">
          <p>
            It is shut: nobody is let in any more, and every key, link and session of it is refused.
            Everything that it had is cleared from the database, for good.
          </p>
          {part}
          <p class="quiet">
            Keep this page’s address if you want to look again. The platform’s operator has the certificate,
            too.
          </p>
        </Alone>
      ),
    })
  })

  function away(c: Context, refused: Refused) {
    return show(c, {
      title: 'How far the erasure is can’t be told now',
      status: refused.status,
      body: (
        <Alone title="How far the erasure is can’t be told now">
          <p>It goes on by itself. Load the page again in a while.</p>
          <Advice refused={refused} />
        </Alone>
      ),
    })
  }

  function nothing(c: Context) {
    noteInvalid(c.req.raw)
    return show(c, {
      title: 'Nothing here',
      status: 404,
      body: (
        <Alone title="There is no such erasure">
          <p>Open the address exactly as it was when you erased the organisation.</p>
        </Alone>
      ),
    })
  }

  return app
}
