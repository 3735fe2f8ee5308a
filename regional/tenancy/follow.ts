// Follows a tenant for work that goes on outside transactions: looks again whenever something of it changed, until a look
// finds that the work is to end. One look at a time, however much changes meanwhile; one that fails is made good soon.
import { setTimeout as sleep } from 'node:timers/promises'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Tails } from './tails.ts'

/** Before a look that failed is tried again. */
const AGAIN_MS = 1_000

export interface Followed {
  /** Aborts when a look has found that the work is to end. */
  readonly over: AbortSignal
  /** Nobody wants to know any more. */
  end(): void
}

/** @param isOver one look. The first comes at once: what changed before this is not told again. */
export function follow(
  tails: Pick<Tails, 'subscribe'>,
  tenant: TenantNumber,
  isOver: () => Promise<boolean>,
): Followed {
  const over = new AbortController()
  const ended = new AbortController()
  let stale = false
  let looking = false
  const lookWhileStale = async (): Promise<void> => {
    looking = true
    while (stale && !over.signal.aborted && !ended.signal.aborted) {
      stale = false
      try {
        if (await isOver()) over.abort()
      } catch {
        stale = true
        await sleep(AGAIN_MS, undefined, { signal: ended.signal }).catch(() => {})
      }
    }
    looking = false
  }
  const changed = (): void => {
    stale = true
    if (!looking) void lookWhileStale()
  }
  const unsubscribe = tails.subscribe(tenant, { changed, stopping() {} })
  changed()
  return {
    over: over.signal,
    end() {
      ended.abort()
      unsubscribe()
    },
  }
}
