// The first page: what the organisation has of what its plan allows, and what was asked of it lately. It renews itself.
import { Chart } from '../parts/chart.tsx'
import type { ConsoleContext } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Usage {
  quotas: Readonly<Record<string, { used: number; limit: number }>>
  history: ReadonlyArray<{ start: string; reads: number; writes: number }>
}

const HOUR_MS = 3_600_000
const HOURS = 24
/** It renews itself for a quarter of an hour: a page that is left open must not keep its session alive. */
const RENEWED_EVERY = 'every 10s'
const RENEWALS = 90

/** Quantities that need another name than their own. */
const NAMES: Readonly<Record<string, string>> = {
  projects: 'Projects',
  apiKeys: 'API keys',
  members: 'Members',
  identityProviders: 'Identity providers',
  storedBytes: 'Stored bytes',
}

export const overview: ConsolePage = {
  path: '',
  title: 'Overview',
  scope: 'usage:read',
  routes(app) {
    app.get('/', async (c) => {
      const answer = await c.var.visit.api.get<Usage>('/v1/usage')
      if (!answer.ok) return c.var.refuse(answer)
      return c.var.page(<Live c={c} usage={answer.body} left={RENEWALS} />, { live: true })
    })
    app.get('/live', async (c) => {
      const answer = await c.var.visit.api.get<Usage>('/v1/usage')
      // Without an answer the page stays as it is.
      if (!answer.ok) return c.body(null, 204)
      const left = Math.min(RENEWALS, Math.max(0, Math.floor(Number(c.req.query('left')) || 0)))
      return c.html(<Live c={c} usage={answer.body} left={left} />)
    })
  },
}

interface LiveProps {
  c: ConsoleContext
  usage: Usage
  /** How often it renews itself yet. */
  left: number
}

const Live = ({ c, usage, left }: LiveProps) => (
  <div
    id="live"
    {...(left > 0 && {
      'hx-get': `${c.var.visit.base}/live?left=${left - 1}`,
      'hx-trigger': RENEWED_EVERY,
      'hx-swap': 'outerHTML',
    })}
  >
    <section class="panel" aria-labelledby="requests">
      <h2 id="requests">Requests of the last 24 hours</h2>
      <Chart
        title="Requests by the hour, UTC"
        series={['Reads', 'Writes']}
        bars={barsOf(usage, Date.now())}
      />
    </section>
    <section class="panel" aria-labelledby="quotas">
      <h2 id="quotas">Of what the plan allows</h2>
      <dl>
        {Object.entries(usage.quotas).map(([name, { used, limit }]) => (
          <>
            <dt>{NAMES[name] ?? name}</dt>
            <dd>
              {count(used)} of {count(limit)}
              <meter min={0} max={limit} high={limit * 0.9} value={used} aria-label={NAMES[name] ?? name} />
            </dd>
          </>
        ))}
      </dl>
    </section>
  </div>
)

const count = (value: number): string => value.toLocaleString('en')

/** Every hour, those without a request too. */
function barsOf({ history }: Usage, nowMs: number) {
  const known = new Map(history.map((each) => [each.start.slice(0, 13), each]))
  return Array.from({ length: HOURS }, (_, at) => {
    const hour = new Date(nowMs - (HOURS - 1 - at) * HOUR_MS).toISOString().slice(0, 13)
    const { reads = 0, writes = 0 } = known.get(hour) ?? {}
    return { label: `${hour.slice(11)}:00`, values: [reads, writes] }
  })
}
