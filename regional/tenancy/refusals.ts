// Refusals of known principals, on their way into the tenant's audit trail. They are told apart from the refused
// transaction, like ones together, and no more than so many: whoever is refused can't fill a tenant's log.
import type { TenantNumber } from '../../shared/tenant.ts'
import { type AuditEntry, auditOf } from './audit.ts'
import { statusSpace } from './records.ts'
import type { RegionDatabase } from './region_database.ts'

/** Different refusals of one tenant between two flushes; the rest of them is dropped. */
const MAX_PER_TENANT = 50
const MAX_TENANTS = 10_000

export class RefusalLog {
  private readonly database: RegionDatabase
  private waiting = new Map<TenantNumber, Map<string, AuditEntry>>()

  constructor(database: RegionDatabase) {
    this.database = database
  }

  /** Like refusals (same principal, action and reason) are counted, and shown with the time of the first. */
  note(tenant: TenantNumber, entry: AuditEntry): void {
    const ofTenant = this.waiting.get(tenant) ?? new Map<string, AuditEntry>()
    if (!this.waiting.has(tenant)) {
      if (this.waiting.size >= MAX_TENANTS) return
      this.waiting.set(tenant, ofTenant)
    }
    const kind = JSON.stringify([entry.actor.id, entry.action, entry.code])
    const known = ofTenant.get(kind)
    if (known !== undefined) ofTenant.set(kind, { ...known, count: (known.count ?? 1) + 1 })
    else if (ofTenant.size < MAX_PER_TENANT) ofTenant.set(kind, { ...entry, count: 1 })
  }

  /** Writes what was noted so far. A tenant that is gone by now has no trail to write to. */
  async flush(): Promise<void> {
    const { waiting } = this
    this.waiting = new Map()
    for (const [tenant, entries] of waiting) {
      await this.database.tenant(tenant, async (scope) => {
        const status = await scope.system('status', statusSpace).get(['status'])
        if (status === undefined || status.status === 'erasing') return { value: undefined, commit: false }
        for (const entry of entries.values()) auditOf(scope).append(status.epoch, entry)
        return { value: undefined, commit: true }
      })
    }
  }
}
