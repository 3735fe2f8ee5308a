// What came is kept as long as events are, by the plan of now.
import { idTimeMs } from '../../../shared/ids.ts'
import { forgetting } from '../../jobs/forgetting.ts'
import { eventsKeptFor } from '../../tenancy/retention.ts'
import type { TenantTransaction } from '../../tenancy/service.ts'
import { clearReceived } from './store.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** One that is kept for longer is looked at again after this: the plan may be a smaller one by then. */
const LOOK_MS = 7 * DAY_MS
/** Each may be a megabyte to read. */
const PAGE = 10

type Key = [sourceId: string, webhookId: string]

const received = forgetting<Key>('webhook-sources', PAGE, async (tx, key) => {
  // Its id says when it came.
  const overMs = (idTimeMs('del', key[1]) ?? 0) + eventsKeptFor(await tx.organisation())
  if (overMs > tx.nowMs) return Math.min(overMs, tx.nowMs + LOOK_MS)
  await clearReceived(tx, ...key)
  return undefined
})

export const { sweep } = received

/** Has a webhook that has come forgotten when its time is over. */
export const forgetLater = async (
  tx: Pick<TenantTransaction, 'space' | 'enqueue' | 'organisation'>,
  key: Key,
  nowMs: number,
): Promise<void> =>
  received.note(tx, key, nowMs + Math.min(eventsKeptFor(await tx.organisation()), LOOK_MS), nowMs)
