// What a region's database says in the end, read below all chaos: everything of one tenant in one transaction, and
// the directory. The checks hold the clients' memory against this.

import type { NativeDatabase } from '../../regional/storage/foundationdb.ts'
import { keySpace, numberKey, numberOfKey } from '../../regional/storage/keys.ts'
import type { LogPosition } from '../../regional/storage/log_space.ts'
import { jsonSpace, type Key, type Space } from '../../regional/storage/space.ts'
import { type AuditEntry, auditOf } from '../../regional/tenancy/audit.ts'
import { type OutboxEntry, outboxOf } from '../../regional/tenancy/events.ts'
import { provisioningPointer } from '../../regional/tenancy/pointers.ts'
import { readQuota } from '../../regional/tenancy/quotas.ts'
import { credentialSpace, profileSpace, statusSpace } from '../../regional/tenancy/records.ts'
import { RegionDatabase } from '../../regional/tenancy/region_database.ts'
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'

export interface StoredProject {
  id: string
  name: string
  version: number
}

export interface Ledger {
  status: string | undefined
  slug: string | undefined
  profileVersion: number
  projects: ReadonlyArray<StoredProject>
  keys: ReadonlyArray<string>
  quotas: Record<'projects' | 'apiKeys', { used: number; limit: number }>
  /** In the order of their commits. */
  audit: ReadonlyArray<AuditEntry>
  outbox: ReadonlyArray<OutboxEntry>
  /** Requests that the usage counters know of. */
  usage: Record<'reads' | 'writes', number>
}

const projectSpace = jsonSpace<[id: string], StoredProject>('project')
const PAGE = 100

export class RegionLedger {
  private readonly engine: NativeDatabase
  private readonly database: RegionDatabase

  constructor(engine: NativeDatabase) {
    this.engine = engine
    this.database = new RegionDatabase(engine, keySpace(''), (violation) => {
      throw violation
    })
  }

  async read(number: TenantNumber, logs = true): Promise<Ledger> {
    return this.database.tenant(number, async (scope) => {
      const space = scope.service('projects').space(projectSpace)
      const credentials = scope.system('credentials', credentialSpace)
      const [status, profile, projects, keys, usedProjects, usedKeys, hours] = await Promise.all([
        scope.system('status', statusSpace).get(['status']),
        scope.system('profile', profileSpace).get(['profile']),
        all(space),
        all(credentials),
        readQuota(scope, 'projects', Date.now()),
        readQuota(scope, 'apiKeys', Date.now()),
        scope.usage().page({ limit: 1000 }),
      ])
      const value = {
        status: status?.status,
        slug: profile?.slug,
        profileVersion: profile?.version ?? 0,
        projects: projects.map(([, project]) => project),
        keys: keys.map(([[id]]) => id),
        quotas: { projects: usedProjects, apiKeys: usedKeys },
        audit: logs ? await wholeLog((after) => auditOf(scope).page(PAGE, after)) : [],
        outbox: logs ? await wholeLog((after) => outboxOf(scope).page(PAGE, after)) : [],
        usage: { reads: sumOf(hours.entries, 'reads'), writes: sumOf(hours.entries, 'writes') },
      }
      return { value, commit: false }
    })
  }

  /** Tenants whose making has begun and is not finished. */
  async unfinished(): Promise<number> {
    return this.database.region(async (scope) => ({
      value: (await scope.space(provisioningPointer).page({ limit: 1000 })).entries.length,
      commit: false,
    }))
  }

  /** Every tenant that has one byte here. */
  async tenantsWithBytes(): Promise<TenantNumber[]> {
    const found: TenantNumber[] = []
    const { tenants } = keySpace('')
    let from: Buffer = tenants
    const end = Buffer.of((tenants[0] ?? 0) + 1)
    for (;;) {
      const tn = this.engine.createTransaction()
      const { results } = await tn.getRange(from, false, 1, end, false, 1, 1, 0, -1, 1, true, false)
      const [row] = results
      if (row === undefined) return found
      const number = numberOfKey(row[0].subarray(tenants.length, tenants.length + 8))
      found.push(number)
      from = Buffer.concat([tenants, numberKey(asTenantNumber(number + 1n))])
    }
  }

  /** The control region's directory: whose each slug is, by its own index. */
  async slugs(): Promise<Map<string, string>> {
    const entries = await this.database.platform(async (scope) => {
      const space = scope.space(jsonSpace<[slug: string], string>('slug'))
      return { value: await all(space), commit: false }
    })
    return new Map(entries.map(([[slug], number]) => [slug, number]))
  }
}

const sumOf = (hours: ReadonlyArray<readonly [[string, string], number]>, metric: string): number =>
  hours.filter(([[, of]]) => of === metric).reduce((sum, [, count]) => sum + count, 0)

async function all<K extends Key, V>(space: Space<K, V>): Promise<Array<readonly [K, V]>> {
  const found: Array<readonly [K, V]> = []
  for (let after: K | undefined; ; ) {
    const { entries, more } = await space.page({ limit: PAGE, after })
    found.push(...entries)
    if (!more) return found
    after = entries.at(-1)?.[0]
  }
}

async function wholeLog<V>(
  page: (after: LogPosition | undefined) => Promise<{
    entries: ReadonlyArray<readonly [LogPosition, V]>
    more: boolean
  }>,
): Promise<V[]> {
  const found: V[] = []
  for (let after: LogPosition | undefined; ; ) {
    const { entries, more } = await page(after)
    found.push(...entries.map(([, value]) => value))
    if (!more) return found
    after = entries.at(-1)?.[0]
  }
}
