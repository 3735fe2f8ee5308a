// What names a tenant: its number (the key prefix in its region), its id, its slug, its home region.
import { type Id, idBytes, idFromBytes, uuidv7 } from './ids.ts'

declare const tenantNumber: unique symbol
/** Allocated once, never reused. Eight bytes, big-endian, wherever it stands in a key or a credential. */
export type TenantNumber = bigint & { readonly [tenantNumber]: true }

export function asTenantNumber(value: bigint): TenantNumber {
  if (value <= 0n || value >> 64n !== 0n)
    throw new RangeError('a tenant number has eight bytes and is not zero')
  return value as TenantNumber
}

/** From its decimal text, as assertions and internal paths carry it; undefined for anything else. */
export function parseTenantNumber(text: string): TenantNumber | undefined {
  if (!/^[1-9]\d{0,19}$/.test(text)) return undefined
  const value = BigInt(text)
  return value >> 64n === 0n ? (value as TenantNumber) : undefined
}

/** Numbers that a tenant id can carry. Allocation starts at 1 and never comes near it. */
const ID_BITS = 62n

/**
 * A tenant's id carries its number in the UUIDv7's last 62 bits. So the control region finds a tenant by its id
 * without keeping the id, and a look-up is never needed to route one.
 */
export function tenantId(number: TenantNumber, createdMs: number): Id<'ten'> {
  if (number >> ID_BITS !== 0n) throw new RangeError('this tenant number does not fit into an id')
  const tail = new Uint8Array(10)
  new DataView(tail.buffer).setBigUint64(2, number)
  return idFromBytes('ten', uuidv7(createdMs, tail))
}

/** The number in a tenant id. The home region still compares the whole id: the rest of it can be invented. */
export function tenantNumberOf(id: string): TenantNumber | undefined {
  const bytes = idBytes('ten', id)
  if (bytes === undefined) return undefined
  const number = new DataView(bytes.buffer).getBigUint64(8) & ((1n << ID_BITS) - 1n)
  return number === 0n ? undefined : (number as TenantNumber)
}

/** A DNS label, so that a tenant can be a host name. */
export const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** What an operator can set. */
export const SETTABLE_STATUSES = ['active', 'suspended'] as const
export type SettableStatus = (typeof SETTABLE_STATUSES)[number]
export const TENANT_STATUSES = [...SETTABLE_STATUSES, 'erasing'] as const
export type TenantStatus = (typeof TENANT_STATUSES)[number]
