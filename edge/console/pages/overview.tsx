// The first page: what the organisation has of what its plan allows, and what was asked of it lately.
import type { ConsolePage } from './page.ts'

interface Usage {
  quotas: Readonly<Record<string, { used: number; limit: number }>>
  hours: ReadonlyArray<{ hour: string; reads: number; writes: number }>
}

export const overview: ConsolePage = {
  path: '',
  title: 'Overview',
  scope: 'usage:read',
  routes(app) {
    app.get('/', async (c) => {
      const answer = await c.var.visit.api.get<Usage>('/v1/usage')
      if (!answer.ok) return c.var.refuse(answer)
      return c.var.page(<Quotas quotas={answer.body.quotas} />)
    })
  },
}

const Quotas = ({ quotas }: Pick<Usage, 'quotas'>) => (
  <section class="panel" aria-labelledby="quotas">
    <h2 id="quotas">Of what the plan allows</h2>
    <dl>
      {Object.entries(quotas).map(([name, { used, limit }]) => (
        <>
          <dt>{name}</dt>
          <dd>
            {used} of {limit}
            <meter min={0} max={limit} value={used} aria-label={name} />
          </dd>
        </>
      ))}
    </dl>
  </section>
)
