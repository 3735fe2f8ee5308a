// Usage and plan: what the organisation may have and ask for, how much of it is used, and what was asked day by day.
import {
  type LIMIT_NAMES,
  type LimitName,
  PLAN_NAMES,
  PLANS,
  type PlanLimits,
  type PlanName,
  QUANTITIES,
  type Quantity,
} from '../../../shared/plans.ts'
import { EmptyState, Table } from '../parts/list.tsx'
import { amount, count, IsolationNotice, QUANTITY_NAMES, Quotas, type Standing } from '../parts/quotas.tsx'
import type { ConsolePage } from './page.ts'

interface Tenant {
  plan: PlanName
  limits: PlanLimits
}

interface Day {
  start: string
  reads: number
  writes: number
  errors: number
  units: number
}

type Rate = Exclude<(typeof LIMIT_NAMES)[number], Quantity>
const RATES: Readonly<Record<Rate, string>> = {
  requestsPerSecond: 'Requests a second',
  burst: 'Requests at once, at most',
  streams: 'Streams at the same time',
  eventRetentionDays: 'Days that events are kept',
  auditRetentionDays: 'Days that the audit log is kept',
}

export const usage: ConsolePage = {
  path: 'usage',
  title: 'Usage and plan',
  scope: 'usage:read',
  routes(app) {
    app.get('/', async (c) => {
      const { visit } = c.var
      const [tenant, answer] = await Promise.all([
        visit.api.get<Tenant>('/v1/tenant'),
        visit.api.get<Standing & { history: ReadonlyArray<Day> }>('/v1/usage?by=day'),
      ])
      if (!tenant.ok) return c.var.refuse(tenant)
      if (!answer.ok) return c.var.refuse(answer)
      const { plan, limits } = tenant.body
      const { quotas, isolation, history } = answer.body
      return c.var.page(
        <>
          <IsolationNotice isolation={isolation} />
          <section class="panel" aria-labelledby="plan">
            <h2 id="plan">
              Plan: <strong>{plan}</strong>
            </h2>
            <p class="quiet">The platform’s operator changes it; nothing stops meanwhile.</p>
            <Table caption="What the plans allow" columns={columns(plan, limits)} rows={LIMITS} />
          </section>
          <section class="panel" aria-labelledby="quotas">
            <h2 id="quotas">Used of it</h2>
            <Quotas quotas={quotas} />
          </section>
          {history.length === 0 ? (
            <EmptyState title="No requests yet">
              <p>
                The first one counts here within seconds. A program needs an{' '}
                <a href={`${visit.base}/api-keys`}>API key</a>.
              </p>
            </EmptyState>
          ) : (
            <div class="panel">
              <Table caption="The last 30 days (UTC)" columns={DAYS} rows={history.toReversed()} />
            </div>
          )}
        </>,
      )
    })
  },
}

const LIMITS: ReadonlyArray<LimitName> = [...(Object.keys(RATES) as Rate[]), ...QUANTITIES]

const isQuantity = (name: LimitName): name is Quantity => QUANTITIES.some((each) => each === name)
const shown = (name: LimitName, value: number): string =>
  isQuantity(name) ? amount(name, value) : count(value)

/** What this organisation has may be other than its plan's. */
const columns = (plan: PlanName, limits: PlanLimits) => [
  { title: 'Limit', of: (name: LimitName) => (isQuantity(name) ? QUANTITY_NAMES[name] : RATES[name]) },
  {
    title: 'Yours',
    number: true,
    of: (name: LimitName) => <strong>{shown(name, limits[name])}</strong>,
  },
  ...PLAN_NAMES.map((each) => ({
    title: each === plan ? `${each} (yours)` : each,
    number: true,
    of: (name: LimitName) => shown(name, PLANS[each][name]),
  })),
]

const DAYS = [
  { title: 'Day', of: ({ start }: Day) => start.slice(0, 10) },
  { title: 'Reads', number: true, of: ({ reads }: Day) => count(reads) },
  { title: 'Writes', number: true, of: ({ writes }: Day) => count(writes) },
  { title: 'Refused or failed', number: true, of: ({ errors }: Day) => count(errors) },
  { title: 'Request units', number: true, of: ({ units }: Day) => count(units) },
]
