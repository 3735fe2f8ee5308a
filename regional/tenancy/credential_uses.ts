// When API keys and sessions were last used, to the minute. A request that reads waits for no commit, so uses are gathered
// in memory and written down once a minute, apart from the credentials: using one changes nothing that it is checked by,
// but when a session runs out. Each tenant has its own second of the minute, so that nobody waits for the writes of all of
// them.
import type { TenantNumber } from '../../shared/tenant.ts'
import { credentialSpace, seenSpace, sessionSpace, statusSpace } from './records.ts'
import type { RegionDatabase } from './region_database.ts'

/** Tenants that are written at the same time. */
const AT_ONCE = 16
/** Parts that the tenants are in, one of which is written at a time. */
export const PARTS = 60

/** By credential, in milliseconds since 1970. */
type Uses = Map<string, number>

/** Of the tenants of one part. */
type Part = Map<TenantNumber, Uses>

export class CredentialUses {
  private readonly database: RegionDatabase
  private readonly noted: Part[] = Array.from({ length: PARTS }, () => new Map())
  private turn = 0

  constructor(database: RegionDatabase) {
    this.database = database
  }

  note(tenant: TenantNumber, id: string, nowMs: number): void {
    const part = this.partOf(tenant)
    const ofTenant = part.get(tenant)
    if (ofTenant === undefined) part.set(tenant, new Map([[id, nowMs]]))
    else ofTenant.set(id, nowMs)
  }

  /** Writes what was noted of the next part of the tenants. What could not be written is noted again. */
  async flushPart(): Promise<void> {
    this.turn = (this.turn + 1) % PARTS
    await this.write(this.noted.slice(this.turn, this.turn + 1))
  }

  /** Writes all that was noted so far. */
  async flush(): Promise<void> {
    await this.write(this.noted)
  }

  private partOf(tenant: TenantNumber): Part {
    const part = this.noted[Number(tenant % BigInt(PARTS))]
    if (part === undefined) throw new RangeError(`there is no part for ${tenant}`)
    return part
  }

  private async write(parts: ReadonlyArray<Part>): Promise<void> {
    const all = parts.flatMap((part) => [...part])
    for (const part of parts) part.clear()
    const failures: unknown[] = []
    for (let i = 0; i < all.length; i += AT_ONCE) {
      const some = all.slice(i, i + AT_ONCE)
      const written = await Promise.allSettled(some.map(([tenant, uses]) => this.writeOne(tenant, uses)))
      for (const [at, result] of written.entries()) {
        const entry = some[at]
        if (result.status === 'fulfilled' || entry === undefined) continue
        failures.push(result.reason)
        const [tenant, uses] = entry
        const part = this.partOf(tenant)
        part.set(tenant, new Map([...uses, ...(part.get(tenant) ?? [])]))
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} tenants wait`)
  }

  /** Repeatable: a later time, or a credential that is gone, stays as it is. */
  private writeOne(tenant: TenantNumber, uses: Uses): Promise<void> {
    return this.database.tenant(tenant, async (scope) => {
      const keys = scope.system('credentials', credentialSpace)
      const sessions = scope.system('credentials', sessionSpace)
      const seen = scope.system('credentials', seenSpace)
      const [status, ...held] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        ...[...uses].map(async ([id, atMs]) => {
          const live = id.startsWith('ses_') ? sessions.get([id]) : keys.get([id])
          const [credential, before = 0] = await Promise.all([live, seen.peek([id])])
          return credential === undefined || before >= atMs ? undefined : { id, atMs }
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
