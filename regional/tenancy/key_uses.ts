// When API keys were last used, to the minute. A request that reads commits nothing, so uses are gathered in memory and
// written down once a minute, apart from the keys: using a key changes nothing that it is checked by.
import type { TenantNumber } from '../../shared/tenant.ts'
import { credentialSpace, seenSpace, statusSpace } from './records.ts'
import type { RegionDatabase } from './region_database.ts'

/** Tenants that are written at the same time. */
const AT_ONCE = 16

/** By key, in milliseconds since 1970. */
type Uses = Map<string, number>

export class KeyUses {
  private readonly database: RegionDatabase
  private noted = new Map<TenantNumber, Uses>()

  constructor(database: RegionDatabase) {
    this.database = database
  }

  note(tenant: TenantNumber, keyId: string, nowMs: number): void {
    const ofTenant = this.noted.get(tenant)
    if (ofTenant === undefined) this.noted.set(tenant, new Map([[keyId, nowMs]]))
    else ofTenant.set(keyId, nowMs)
  }

  /** Writes what was noted so far. What could not be written is noted again, unless the key was used meanwhile. */
  async flush(): Promise<void> {
    const all = [...this.noted]
    this.noted = new Map()
    const failures: unknown[] = []
    for (let i = 0; i < all.length; i += AT_ONCE) {
      const some = all.slice(i, i + AT_ONCE)
      const written = await Promise.allSettled(some.map(([tenant, uses]) => this.write(tenant, uses)))
      for (const [at, result] of written.entries()) {
        const entry = some[at]
        if (result.status === 'fulfilled' || entry === undefined) continue
        failures.push(result.reason)
        this.noted.set(entry[0], new Map([...entry[1], ...(this.noted.get(entry[0]) ?? [])]))
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} tenants wait`)
  }

  /** Repeatable: a later time, or a key that is gone, stays as it is. */
  private write(tenant: TenantNumber, uses: Uses): Promise<void> {
    return this.database.tenant(tenant, async (scope) => {
      const keys = scope.system('credentials', credentialSpace)
      const seen = scope.system('credentials', seenSpace)
      const [status, ...held] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        ...[...uses].map(async ([id, atMs]) => {
          const [key, before = 0] = await Promise.all([keys.get([id]), seen.peek([id])])
          return key === undefined || before >= atMs ? undefined : { id, atMs }
        }),
      ])
      const news = held.filter((each) => each !== undefined)
      // Whoever erases a tenant has read its status: nothing is written behind their back.
      const isThere = status?.status === 'active' || status?.status === 'suspended'
      for (const { id, atMs } of isThere ? news : []) seen.set([id], atMs)
      return { value: undefined, commit: isThere && news.length > 0 }
    })
  }
}
