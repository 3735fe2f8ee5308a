// The first page: what the organisation has of what its plan allows, and what was asked of it lately. It renews itself.
import { Chart } from '../parts/chart.tsx'
import { count, IsolationNotice, Quotas, type Standing } from '../parts/quotas.tsx'
import type { ConsoleContext } from '../visit.ts'
import type { ConsolePage } from './page.ts'

interface Period {
  start: string
  reads: number
  writes: number
  errors: number
  milliseconds: number
}

interface Usage extends Standing {
  history: ReadonlyArray<Period>
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** What can be looked at, by the word in `?last=`. */
const WINDOWS = {
  day: { title: '24 hours', heading: 'the last 24 hours', by: 'hour', periods: 24, periodMs: HOUR_MS },
  week: { title: '7 days', heading: 'the last 7 days', by: 'day', periods: 7, periodMs: DAY_MS },
  month: { title: '30 days', heading: 'the last 30 days', by: 'day', periods: 30, periodMs: DAY_MS },
} as const
type Window = keyof typeof WINDOWS

/** It renews itself for a quarter of an hour: a page that is left open must not keep its session alive. */
const RENEWED_EVERY = 'every 10s'
const RENEWALS = 90

export const overview: ConsolePage = {
  path: '',
  title: 'Overview',
  scope: 'usage:read',
  routes(app) {
    app.get('/', async (c) => {
      const last = windowOf(c)
      const answer = await read(c, last)
      if (!answer.ok) return c.var.refuse(answer)
      return c.var.page(<Live {...{ c, last }} usage={answer.body} left={RENEWALS} />, { live: true })
    })
    app.get('/live', async (c) => {
      const last = windowOf(c)
      const answer = await read(c, last)
      // Without an answer the page stays as it is.
      if (!answer.ok) return c.body(null, 204)
      const left = Math.min(RENEWALS, Math.max(0, Math.floor(Number(c.req.query('left')) || 0)))
      return c.html(<Live {...{ c, last, left }} usage={answer.body} />)
    })
  },
}

const isWindow = (word: string): word is Window => Object.hasOwn(WINDOWS, word)

function windowOf(c: ConsoleContext): Window {
  const word = c.req.query('last') ?? ''
  return isWindow(word) ? word : 'day'
}

/** The beginning of the oldest period that is shown. */
function beginOf({ periods, periodMs }: (typeof WINDOWS)[Window], nowMs: number): number {
  return Math.floor(nowMs / periodMs) * periodMs - (periods - 1) * periodMs
}

function read(c: ConsoleContext, last: Window) {
  const window = WINDOWS[last]
  const from = new Date(beginOf(window, Date.now())).toISOString()
  return c.var.visit.api.get<Usage>(`/v1/usage?by=${window.by}&from=${encodeURIComponent(from)}`)
}

interface LiveProps {
  c: ConsoleContext
  last: Window
  usage: Usage
  /** How often it renews itself yet. */
  left: number
}

function Live({ c, last, usage, left }: LiveProps) {
  const { base } = c.var.visit
  const { by, heading } = WINDOWS[last]
  const periods = periodsOf(usage, WINDOWS[last], Date.now())
  const bars = (valuesOf: (period: Period) => ReadonlyArray<number>) =>
    periods.map((period) => ({ label: labelOf(period, by), values: valuesOf(period) }))
  const total = (of: (period: Period) => number) => periods.reduce((sum, each) => sum + of(each), 0)
  const requests = total(requestsOf)
  const errors = total((period) => period.errors)
  return (
    <div
      id="live"
      {...(left > 0 && {
        'hx-get': `${base}/live?last=${last}&left=${left - 1}`,
        'hx-trigger': RENEWED_EVERY,
      })}
    >
      {left === 0 && (
        <p class="notice" role="status">
          This page renews itself no more. <a href={`${base}/?last=${last}`}>Load it again</a> to see what is
          now.
        </p>
      )}
      <IsolationNotice isolation={usage.isolation} />
      <nav class="tabs" aria-label="How far back">
        <ul>
          {Object.entries(WINDOWS).map(([word, { title }]) => (
            <li>
              <a href={`${base}/?last=${word}`} {...(word === last && { 'aria-current': 'true' })}>
                {title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <section class="panel" aria-labelledby="requests">
        <h2 id="requests">Requests of {heading}</h2>
        <dl class="tiles">
          <div>
            <dt>Requests</dt>
            <dd>{count(requests)}</dd>
          </div>
          <div>
            <dt>Refused or failed</dt>
            <dd>
              {count(errors)} <small>{requests > 0 && `${percent(errors / requests)} %`}</small>
            </dd>
          </div>
          <div>
            <dt>Mean latency</dt>
            <dd>
              {meanOf(
                total(({ milliseconds }) => milliseconds),
                requests,
              )}{' '}
              <small>ms</small>
            </dd>
          </div>
        </dl>
        <Chart
          title={`Requests by the ${by}, UTC`}
          series={['Reads', 'Writes']}
          bars={bars(({ reads, writes }) => [reads, writes])}
        />
      </section>
      <section class="panel" aria-labelledby="errors">
        <h2 id="errors">Refused or failed</h2>
        <Chart
          title={`Refused or failed requests by the ${by}, UTC`}
          series={['Errors']}
          bars={bars(({ errors }) => [errors])}
        />
      </section>
      <section class="panel" aria-labelledby="time">
        <h2 id="time">Latency in the region</h2>
        <Chart
          title={`Milliseconds of a request, on average, by the ${by}, UTC`}
          series={['Milliseconds']}
          bars={bars((period) => [meanOf(period.milliseconds, requestsOf(period))])}
        />
      </section>
      <section class="panel" aria-labelledby="quotas">
        <h2 id="quotas">Of what the plan allows</h2>
        <Quotas quotas={usage.quotas} />
      </section>
    </div>
  )
}

const percent = (share: number): string => (Math.round(share * 1_000) / 10).toLocaleString('en')
/** Whatever was refused took its time, too. */
const requestsOf = ({ reads, writes, errors }: Period): number => reads + writes + errors
const meanOf = (milliseconds: number, requests: number): number =>
  requests === 0 ? 0 : Math.round((milliseconds / requests) * 10) / 10

const labelOf = ({ start }: Period, by: 'hour' | 'day'): string =>
  by === 'hour' ? start.slice(11, 16) : start.slice(5, 10)

/** Every period, those without a request too. */
function periodsOf({ history }: Usage, window: (typeof WINDOWS)[Window], nowMs: number): Period[] {
  const known = new Map(history.map((each) => [Date.parse(each.start), each]))
  const beginMs = beginOf(window, nowMs)
  return Array.from({ length: window.periods }, (_, at) => {
    const startMs = beginMs + at * window.periodMs
    const none = { reads: 0, writes: 0, errors: 0, milliseconds: 0 }
    return known.get(startMs) ?? { start: new Date(startMs).toISOString(), ...none }
  })
}
