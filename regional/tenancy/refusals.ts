// Refusals of known principals, on their way into the tenant's audit trail. They are told apart from the refused
// transaction, like ones together, and no more than so many: whoever is refused can't fill a tenant's log.
import { randomUUID } from 'node:crypto'
import type { TenantNumber } from '../../shared/tenant.ts'
import { expireAt } from '../jobs/expiry.ts'
import { type AuditEntry, auditOf } from './audit.ts'
import { idempotencySpace, markerKey, newMarker } from './idempotency.ts'
import { statusSpace } from './records.ts'
import type { RegionDatabase } from './region_database.ts'
import { countRejected } from './webhook_sources.ts'

/** Different refusals of one tenant between two flushes; the rest of them is dropped. */
const MAX_PER_TENANT = 50
const MAX_TENANTS = 10_000

/** What is written together. It keeps its id until it is known to be written, so that it is written once. */
interface Batch {
  id: string
  entries: ReadonlyArray<AuditEntry>
}

export class RefusalLog {
  private readonly database: RegionDatabase
  private readonly unwritten = new Map<TenantNumber, Batch>()
  private readonly waiting = new Map<TenantNumber, Map<string, AuditEntry>>()

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

  /** Writes what was noted so far; what could not be written stays for the next flush. */
  async flush(): Promise<void> {
    for (const [tenant, entries] of this.waiting) {
      if (this.unwritten.has(tenant)) continue
      this.waiting.delete(tenant)
      this.unwritten.set(tenant, { id: randomUUID(), entries: [...entries.values()] })
    }
    const failures: unknown[] = []
    for (const [tenant, batch] of this.unwritten) {
      try {
        await this.write(tenant, batch)
        this.unwritten.delete(tenant)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} tenants wait`)
  }

  /** A tenant that is gone by now has no trail to write to. */
  private write(tenant: TenantNumber, { id, entries }: Batch): Promise<void> {
    const [first] = entries
    if (first === undefined) return Promise.resolve()
    return this.database.tenant(tenant, async (scope, attempt) => {
      const markers = scope.system('idempotency', idempotencySpace)
      const [status, marker] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        markers.get([markerKey(id)]),
      ])
      const gone = status === undefined || status.status === 'erasing'
      if (gone || marker !== undefined) return { value: undefined, commit: false }
      const trail = auditOf(scope)
      for (const entry of entries) trail.append(status.epoch, entry)
      await Promise.all(
        entries
          .filter(({ code }) => code === 'signature_invalid')
          .map(({ actor, count = 1 }) => countRejected(scope, actor.id, count)),
      )
      const record = newMarker(id, attempt, Date.parse(first.at))
      await expireAt(scope, record.expiresAt, 'request', markerKey(id), Date.parse(first.at))
      markers.set([markerKey(id)], record)
      return { value: undefined, commit: true }
    })
  }
}
