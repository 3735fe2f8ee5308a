// The tenants' objects for tests of the edge that are not about them: the same ledger, in memory.
import { call, type Ledger, newLedger } from '../../edge/limit/ledger.ts'
import type { LeaseSource } from '../../edge/limit/limiter.ts'
import type { TenantNumber } from '../../shared/tenant.ts'

export function memoryLeases(now = Date.now): LeaseSource {
  const ledgers = new Map<TenantNumber, Ledger>()
  return async (tenant, request) => {
    const nowMs = now()
    const { ledger, answer } = call(
      ledgers.get(tenant) ?? newLedger(nowMs),
      request,
      nowMs,
      crypto.randomUUID(),
    )
    ledgers.set(tenant, ledger)
    return answer
  }
}
