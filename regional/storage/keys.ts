// The whole key space of a region, in one place.
//
//   <root>                              empty, unless regions share a cluster
//   ├─ 00                               platform, in the control region only
//   │   ├─ ('number')                   the next tenant number to give out
//   │   ├─ ('slug', slug)               → number
//   │   ├─ ('tenant', number)           → slug, region
//   │   ├─ ('erased', number)           → region: that the number was a tenant's, and is nobody's ever again
//   │   ├─ ('domain', domain)           → number, by which of its records; and ('domains', number, domain)
//   │   ├─ ('model', name)              the shared models, their secrets sealed
//   │   ├─ ('sign-up', hour, what, digest)  how often an address or a mailbox has tried: keyed digests, of that hour
//   │   ├─ ('request', digest)          an operator's idempotency records: keyed digests, gone after a day
//   │   └─ ('request-expiry', hour, digest)
//   ├─ 01 <tenant number, 8 bytes BE>   one tenant
//   │   ├─ 00                           status and placement: one small key that every transaction reads
//   │   ├─ 01                           profile, and who signed up
//   │   ├─ 02                           credentials
//   │   ├─ 03                           idempotency records and request markers
//   │   ├─ 04                           quotas, in shards
//   │   ├─ 05                           audit log
//   │   ├─ 06                           outbox: the tenant's events
//   │   ├─ 07                           usage, in counters by the hour
//   │   ├─ 08                           jobs: records, the queue by due time, what expires when
//   │   └─ 10 <service name> 00         one subspace a service
//   └─ 02                               this region's own
//       ├─ ('region', 'name')           whose keys these are
//       ├─ ('epoch')                    grows when the data is copied, moved or restored
//       ├─ ('copy')                     how far the copy has come that is made into this region; nothing afterwards
//       ├─ ('noisy', number)            who is isolated
//       ├─ ('flush', 'last', day, process)   the last flush of usage that a process has applied on a day
//       ├─ ('cost', day, number)        what a tenant cost the region on a day
//       ├─ ('flush', 'gone', number)    tenants that no flush may count for any more
//       ├─ ('job', shard, number)       pointers: tenants whose queues are to be looked into
//       ├─ ('later', shard, time, number)   tenants to be looked into at that time
//       ├─ ('lease', shard, number)     which worker has a tenant in hand, and until when
//       ├─ ('certificate', number)      what an erasure cleared
//       ├─ ('restored', number)         tenants that a backup has brought back, until it is known who was erased since
//       └─ ('provisioning', number)     tenants whose making is not finished
//
// Inside each subspace keys are tuples. Numbers have a fixed width, so no tenant's prefix begins another's, and
// are never reused. Keys inside a tenant are relative to it, so that it can be restored under another number.
import { asTenantNumber, type TenantNumber } from '../../shared/tenant.ts'

const PLATFORM = 0x00
const TENANT = 0x01
const REGION = 0x02

/** A tenant's own subspaces that no service may touch but the one named for it. */
const SYSTEM = {
  status: 0x00,
  profile: 0x01,
  credentials: 0x02,
  idempotency: 0x03,
  quotas: 0x04,
  audit: 0x05,
  outbox: 0x06,
  usage: 0x07,
  jobs: 0x08,
} as const
export type SystemSubspace = keyof typeof SYSTEM
const SERVICE = 0x10

/** Services that look after a system subspace; every other one gets a subspace of its own name. */
const SYSTEM_SERVICES: ReadonlyMap<string, SystemSubspace> = new Map([
  ['tenant', 'profile'],
  ['api-keys', 'credentials'],
  ['admin-links', 'credentials'],
  ['sessions', 'credentials'],
])

export interface KeySpace {
  platform: Buffer
  region: Buffer
  /** `01` of this region: where tenants lie. */
  tenants: Buffer
  tenant(number: TenantNumber): Buffer
  /** Where all of it begins, and where it is over: not with every key that begins so, since a prefix may begin another. */
  range: [Buffer, Buffer]
}

export function keySpace(rootPrefix: string): KeySpace {
  const root = Buffer.from(rootPrefix)
  const under = (first: number) => Buffer.concat([root, Buffer.of(first)])
  return {
    platform: under(PLATFORM),
    region: under(REGION),
    tenants: under(TENANT),
    tenant(number) {
      return Buffer.concat([root, Buffer.of(TENANT), numberKey(number)])
    },
    range: [under(PLATFORM), under(REGION + 1)],
  }
}

/** A tenant's number as a key holds it: eight bytes, big-endian, so that keys sort by it. */
export function numberKey(number: TenantNumber): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeBigUInt64BE(number)
  return key
}

export const numberOfKey = (key: Buffer): TenantNumber => asTenantNumber(key.readBigUInt64BE())

/** Relative to a tenant's prefix. */
export const systemSubspace = (name: SystemSubspace): Buffer => Buffer.of(SYSTEM[name])

/** Relative to a tenant's prefix. @throws {RangeError} for a name that could run into another's keys. */
export function serviceSubspace(name: string): Buffer {
  const system = SYSTEM_SERVICES.get(name)
  if (system !== undefined) return systemSubspace(system)
  if (!/^[a-z][a-z-]*$/.test(name))
    throw new RangeError(`not a service's name, which is of a-z and hyphens: ${name}`)
  return Buffer.concat([Buffer.of(SERVICE), Buffer.from(name), Buffer.of(0)])
}

/** What a key inside a tenant belongs to, in words: a system subspace, or `service <name>`. */
export function subspaceName(relative: Buffer): string {
  const first = relative[0]
  const system = Object.entries(SYSTEM).find(([, byte]) => byte === first)
  if (system !== undefined) return system[0]
  const end = relative.indexOf(0x00, 1)
  return first === SERVICE && end > 1 ? `service ${relative.subarray(1, end)}` : 'unknown'
}
