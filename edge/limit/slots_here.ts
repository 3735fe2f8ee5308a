// Concurrency slots in a workerd of one's own: in memory alone. All of a tenant's streams are this isolate's, and end with it, so
// nothing of a slot has to outlive it; and to write one takes fsyncs on the very thread that answers requests.
import type { TenantNumber } from '../../shared/tenant.ts'
import { Lru } from '../lru.ts'
import { SLOT_MS, type SlotSource } from './slots.ts'

/** Tenants whose slots are counted: those that asked for one last. */
const CAPACITY = 10_000

export function slotsHere(now = Date.now): SlotSource {
  /** When each was taken or renewed. */
  const held = new Lru<TenantNumber, Map<string, number>>(CAPACITY)
  return {
    async hold(tenant, id, limit) {
      const nowMs = now()
      const own = held.get(tenant) ?? new Map<string, number>()
      // Of a clock that went back nobody knows how far.
      for (const [each, atMs] of own) if (Math.abs(nowMs - atMs) >= SLOT_MS) own.delete(each)
      if (own.size >= limit && !own.has(id)) return false
      held.set(tenant, own.set(id, nowMs))
      return true
    },
    async release(tenant, id) {
      held.get(tenant)?.delete(id)
    },
  }
}
