// What a tenant's transactions are fenced by and where its subspaces lie: the same for each of them, so it is worked
// out once for tenants that are busy. Keyed by the tenant's number, bounded, and never changed once made.
import type { TenantNumber } from '../../shared/tenant.ts'
import { type Grant, keptRange, prefixRange } from '../storage/fence.ts'
import { kept } from '../storage/kept_bytes.ts'
import { type KeySpace, type SystemSubspace, serviceSubspace, systemSubspace } from '../storage/keys.ts'
import { pointersOf } from './pointers.ts'

const MAX_TENANTS = 4_096

export class TenantKeys {
  readonly prefix: Buffer
  /** Of its transactions, on a cluster: at most 16 bytes. */
  readonly tag: Buffer
  /** The tenant itself, and the region's pointers that carry its number. */
  readonly grant: Grant
  private readonly tenant: TenantNumber
  private readonly subspaces = new Map<SystemSubspace, Buffer>()
  private readonly services = new Map<string, { subspace: Buffer; grant: Grant }>()

  constructor(tenant: TenantNumber, keys: KeySpace) {
    this.tenant = tenant
    this.prefix = kept(keys.tenant(tenant))
    this.tag = kept(Buffer.from(`t${tenant.toString(36)}`))
    this.grant = {
      name: `tenant ${tenant}`,
      readWrite: keptRange(prefixRange(this.prefix)),
      writeOnly: pointersOf(keys.region, tenant).map(keptRange),
    }
  }

  system(name: SystemSubspace): Buffer {
    const known = this.subspaces.get(name)
    if (known !== undefined) return known
    const subspace = kept(Buffer.concat([this.prefix, systemSubspace(name)]))
    this.subspaces.set(name, subspace)
    return subspace
  }

  service(name: string): { subspace: Buffer; grant: Grant } {
    const known = this.services.get(name)
    if (known !== undefined) return known
    const subspace = kept(Buffer.concat([this.prefix, serviceSubspace(name)]))
    const service = {
      subspace,
      grant: {
        name: `service ${name} of tenant ${this.tenant}`,
        readWrite: keptRange(prefixRange(subspace)),
        // To end or reset it would undo the checks and records that stand in the same transaction.
        lent: true,
      },
    }
    this.services.set(name, service)
    return service
  }
}

/** The keys of the tenants that asked last. */
export class TenantKeysCache {
  private readonly keys: KeySpace
  private readonly byTenant = new Map<TenantNumber, TenantKeys>()

  constructor(keys: KeySpace) {
    this.keys = keys
  }

  forget(tenant: TenantNumber): void {
    this.byTenant.delete(tenant)
  }

  of(tenant: TenantNumber): TenantKeys {
    const known = this.byTenant.get(tenant)
    if (known !== undefined) {
      // A Map keeps the order of insertion: now its tenant is the last to be forgotten.
      this.byTenant.delete(tenant)
      this.byTenant.set(tenant, known)
      return known
    }
    const oldest = this.byTenant.size < MAX_TENANTS ? undefined : this.byTenant.keys().next().value
    if (oldest !== undefined) this.byTenant.delete(oldest)
    const fresh = new TenantKeys(tenant, this.keys)
    this.byTenant.set(tenant, fresh)
    return fresh
  }
}
