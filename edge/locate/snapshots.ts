// Snapshots of tenants: never replaced by an older one, bounded in number. They only ever say where to ask and how much:
// whether the tenant may ask at all, its region decides. After a minute one no longer says where, and the region is to tell
// it anew; of how much it is still the best that this isolate knows.
import { compareVersions, type TenantSnapshot } from '../../shared/snapshot.ts'
import type { TenantNumber } from '../../shared/tenant.ts'
import { Lru } from '../lru.ts'

const SNAPSHOT_TTL_MS = 60_000
const CAPACITY = 20_000

interface Kept {
  snapshot: TenantSnapshot
  expiresAtMs: number
}

export class Snapshots {
  private readonly kept: Lru<TenantNumber, Kept>

  constructor(capacity = CAPACITY) {
    this.kept = new Lru(capacity)
  }

  /** At most a minute old. */
  get(tenant: TenantNumber, nowMs: number): TenantSnapshot | undefined {
    const found = this.kept.get(tenant)
    return found !== undefined && nowMs < found.expiresAtMs ? found.snapshot : undefined
  }

  /** However old. */
  last(tenant: TenantNumber): TenantSnapshot | undefined {
    return this.kept.get(tenant)?.snapshot
  }

  /** @returns what is held from now on. */
  learn(tenant: TenantNumber, snapshot: TenantSnapshot, nowMs: number): TenantSnapshot {
    const held = this.get(tenant, nowMs)
    if (held !== undefined && compareVersions(snapshot, held) < 0) return held
    this.kept.set(tenant, { snapshot, expiresAtMs: nowMs + SNAPSHOT_TTL_MS })
    return snapshot
  }
}
