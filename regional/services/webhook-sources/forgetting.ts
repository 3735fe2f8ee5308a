// What came is kept as long as events are. Whoever stores a webhook notes it by the hour in which its time is over, and
// reads whether that hour has its job, which forgets all of them: storing one costs no job of its own.
import { jobKind } from '../../jobs/kind.ts'
import { jsonSpace, type TenantTransaction } from '../../tenancy/service.ts'
import { clearReceived } from './store.ts'

const HOUR_MS = 60 * 60 * 1000
/** Clocks may be apart, and the job comes this much after its hour. */
const PATIENCE_MS = 60_000
/** Each may be a megabyte to read. */
const PAGE = 10

/** By the end of the hour. */
const expirySpace = jsonSpace<[hourMs: number, sourceId: string, webhookId: string], 1>('expiry')
/** The hours that have a job. */
const sweepSpace = jsonSpace<[hourMs: number], 1>('sweep')

export async function forgetAfter(
  tx: Pick<TenantTransaction, 'space' | 'enqueue'>,
  [sourceId, webhookId]: [sourceId: string, webhookId: string],
  atMs: number,
): Promise<void> {
  const hourMs = Math.ceil(atMs / HOUR_MS) * HOUR_MS
  tx.space(expirySpace).set([hourMs, sourceId, webhookId], 1)
  if ((await tx.space(sweepSpace).get([hourMs])) !== undefined) return
  tx.space(sweepSpace).set([hourMs], 1)
  tx.enqueue(sweep, { hourMs }, { runAtMs: hourMs + PATIENCE_MS })
}

export const sweep = jobKind<{ hourMs: number }, { done: number }>({
  kind: 'webhook-sources.sweep',
  service: 'webhook-sources',
  promised: true,
  retry: { firstMs: 1_000, maxMs: 600_000, tries: Number.POSITIVE_INFINITY },
  async step(tx, { payload: { hourMs }, place = { done: 0 } }) {
    const expiring = tx.space(expirySpace)
    const { entries, more } = await expiring.page({ under: [hourMs], limit: PAGE })
    for (const [key] of entries) {
      await clearReceived(tx, key[1], key[2])
      expiring.clear(key)
    }
    const done = place.done + entries.length
    if (more) return { next: { done }, done }
    tx.space(sweepSpace).clear([hourMs])
    return { finished: true, done }
  },
})
