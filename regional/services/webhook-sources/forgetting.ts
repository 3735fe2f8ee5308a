// What came is kept as long as events are, by the plan of now. Whoever stores a webhook notes it by the hour in which its
// time is over, or is looked at again, and reads whether that hour has its job, which goes through all of them: storing one
// costs no job of its own.
import { idTimeMs } from '../../../shared/ids.ts'
import { limitsOf } from '../../../shared/plans.ts'
import { jobKind } from '../../jobs/kind.ts'
import { jsonSpace, type TenantTransaction } from '../../tenancy/service.ts'
import { clearReceived } from './store.ts'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** One that is kept for longer is looked at again after this: the plan may be a smaller one by then. */
const LOOK_MS = 7 * DAY_MS
/** Clocks may be apart, and the job comes this much after its hour. */
const PATIENCE_MS = 60_000
/** Each may be a megabyte to read. */
const PAGE = 10

type Key = [sourceId: string, webhookId: string]
/** By the end of the hour. */
const expirySpace = jsonSpace<[hourMs: number, ...Key], 1>('expiry')
/** The hours that have a job. */
const sweepSpace = jsonSpace<[hourMs: number], 1>('sweep')

/** Has a webhook that has come forgotten when its time is over. */
export async function forgetLater(
  tx: Pick<TenantTransaction, 'space' | 'enqueue' | 'organisation'>,
  key: Key,
  nowMs: number,
): Promise<void> {
  await note(tx, key, nowMs + (await keptMs(tx)), nowMs)
}

async function note(
  tx: Pick<TenantTransaction, 'space' | 'enqueue'>,
  key: Key,
  overMs: number,
  nowMs: number,
): Promise<void> {
  const hourMs = Math.ceil(Math.min(overMs, nowMs + LOOK_MS) / HOUR_MS) * HOUR_MS
  tx.space(expirySpace).set([hourMs, ...key], 1)
  if ((await tx.space(sweepSpace).get([hourMs])) !== undefined) return
  tx.space(sweepSpace).set([hourMs], 1)
  tx.enqueue(sweep, { hourMs }, { runAtMs: hourMs + PATIENCE_MS })
}

/** How long the plan of now keeps them. */
async function keptMs(tx: Pick<TenantTransaction, 'organisation'>): Promise<number> {
  const { plan, overrides } = await tx.organisation()
  return limitsOf(plan, overrides).eventRetentionDays * DAY_MS
}

export const sweep = jobKind<{ hourMs: number }, { done: number }>({
  kind: 'webhook-sources.sweep',
  service: 'webhook-sources',
  promised: true,
  retry: { firstMs: 1_000, maxMs: 600_000, tries: Number.POSITIVE_INFINITY },
  async step(tx, { payload: { hourMs }, place = { done: 0 } }) {
    const expiring = tx.space(expirySpace)
    const [{ entries, more }, forMs] = await Promise.all([
      expiring.page({ under: [hourMs], limit: PAGE }),
      keptMs(tx),
    ])
    for (const [entry] of entries) {
      const [, ...key] = entry
      // Its id says when it came.
      const overMs = (idTimeMs('del', key[1]) ?? 0) + forMs
      if (overMs > tx.nowMs) await note(tx, key, overMs, tx.nowMs)
      else await clearReceived(tx, ...key)
      expiring.clear(entry)
    }
    const done = place.done + entries.length
    if (more) return { next: { done }, done }
    tx.space(sweepSpace).clear([hourMs])
    return { finished: true, done }
  },
})
