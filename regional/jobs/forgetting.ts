// What a service forgets of its own when its time is over. Whoever writes such a thing notes it by the hour, in the same
// commit; a job of the service forgets what an hour had, after the hour is over. So writing one costs no job of its own.
import { jsonSpace, type KeyItem } from '../storage/space.ts'
import type { TenantTransaction } from '../tenancy/tenant_transaction.ts'
import { type JobTransaction, jobKind, type ServiceJobKind, UNTIL_DONE } from './kind.ts'

const HOUR_MS = 60 * 60 * 1000
/** Clocks may be apart, and the job comes this much after its hour. */
const PATIENCE_MS = 60_000
/** What has longer to live is noted anew after this: whatever times clients choose, the hours that have a job are few. */
const LOOK_MS = 92 * 24 * HOUR_MS

type Noting = Pick<TenantTransaction, 'space' | 'enqueue'>

export interface Forgetting<K extends ReadonlyArray<KeyItem>> {
  /** Has what the service keeps under `key` forgotten within two hours after `atMs`. */
  note(tx: Noting, key: K, atMs: number, nowMs: number): Promise<void>
  /** For the service's `jobKinds`. */
  readonly sweep: ServiceJobKind<{ hourMs: number }, { done: number }, undefined, undefined>
}

/**
 * Keeps two spaces in the service's subspace, `expiry` and `sweep`.
 * @param page how many are forgotten in one step
 * @param forget bears that it is gone already; gives the time until which it is kept after all, where it is
 */
export function forgetting<K extends ReadonlyArray<KeyItem>>(
  service: string,
  page: number,
  forget: (tx: JobTransaction, key: K) => Promise<number | undefined>,
): Forgetting<K> {
  /** By the end of the hour, with the time itself. */
  const expirySpace = jsonSpace<readonly [hourMs: number, ...key: K], number>('expiry')
  /** The hours that have a job. */
  const sweepSpace = jsonSpace<[hourMs: number], 1>('sweep')

  const note = async (tx: Noting, key: K, atMs: number, nowMs: number): Promise<void> => {
    const hourMs = Math.ceil(Math.min(atMs, nowMs + LOOK_MS) / HOUR_MS) * HOUR_MS
    tx.space(expirySpace).set([hourMs, ...key], atMs)
    if ((await tx.space(sweepSpace).get([hourMs])) !== undefined) return
    tx.space(sweepSpace).set([hourMs], 1)
    tx.enqueue(sweep, { hourMs }, { runAtMs: hourMs + PATIENCE_MS })
  }

  const sweep = jobKind<{ hourMs: number }, { done: number }>({
    kind: `${service}.sweep`,
    service,
    promised: true,
    retry: UNTIL_DONE,
    async step(tx, { payload: { hourMs }, place = { done: 0 } }) {
      const expiring = tx.space(expirySpace)
      const { entries, more } = await expiring.page({ under: [hourMs], limit: page })
      for (const [entry, atMs] of entries) {
        const [, ...key] = entry
        expiring.clear(entry)
        const keptMs = atMs > tx.nowMs ? atMs : await forget(tx, key)
        if (keptMs !== undefined) await note(tx, key, keptMs, tx.nowMs)
      }
      const done = place.done + entries.length
      if (more) return { next: { done }, done }
      tx.space(sweepSpace).clear([hourMs])
      return { finished: true, done }
    },
  })
  return { note, sweep }
}
