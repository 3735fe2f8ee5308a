// What is compiled of tenants' schemas. All share so much room; where that is used up, whoever holds most gives way, with
// what they have not used for longest. So nobody's schemas are pushed out by those of one who has more.
import type { TenantNumber } from '../../../shared/tenant.ts'

const MAX_BYTES = 2 * 1024 * 1024
const MAX_BYTES_OF_ONE = MAX_BYTES / 2

interface Kept<T> {
  value: T
  bytes: number
}

/** Of one tenant: what was used last stands last. */
interface Holding<T> {
  bytes: number
  kept: Map<string, Kept<T>>
}

export class CompiledSchemas<T> {
  /** Those who used theirs last stand last. */
  private readonly holdings = new Map<TenantNumber, Holding<T>>()
  private bytes = 0

  /** As what is used last. */
  get(tenant: TenantNumber, name: string): T | undefined {
    const holding = this.holdings.get(tenant)
    const found = holding?.kept.get(name)
    if (holding === undefined || found === undefined) return undefined
    holding.kept.delete(name)
    holding.kept.set(name, found)
    this.holdings.delete(tenant)
    this.holdings.set(tenant, holding)
    return found.value
  }

  /** @param bytes what it takes in memory is some multiple of that */
  set(tenant: TenantNumber, name: string, value: T, bytes: number): void {
    const holding = this.holdings.get(tenant) ?? { bytes: 0, kept: new Map<string, Kept<T>>() }
    this.drop(tenant, holding, name)
    holding.kept.set(name, { value, bytes })
    holding.bytes += bytes
    this.bytes += bytes
    this.holdings.delete(tenant)
    this.holdings.set(tenant, holding)
    while (holding.bytes > MAX_BYTES_OF_ONE) this.dropOldest(tenant, holding)
    while (this.bytes > MAX_BYTES) this.dropOfLargest()
  }

  /** Where several hold as much, of who has used none of theirs for longest. */
  private dropOfLargest(): void {
    let largest: [TenantNumber, Holding<T>] | undefined
    for (const each of this.holdings) if (each[1].bytes > (largest?.[1].bytes ?? 0)) largest = each
    if (largest !== undefined) this.dropOldest(...largest)
  }

  private dropOldest(tenant: TenantNumber, holding: Holding<T>): void {
    const [oldest] = holding.kept.keys()
    if (oldest !== undefined) this.drop(tenant, holding, oldest)
  }

  private drop(tenant: TenantNumber, holding: Holding<T>, name: string): void {
    const bytes = holding.kept.get(name)?.bytes ?? 0
    holding.kept.delete(name)
    holding.bytes -= bytes
    this.bytes -= bytes
    if (holding.kept.size === 0) this.holdings.delete(tenant)
  }
}
