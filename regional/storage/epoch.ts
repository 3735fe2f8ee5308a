// Epochs: they stand before the versionstamps of logs, since versionstamps grow only within one database. When a
// region's data comes to another database, or goes back to an earlier state, the region's epoch and every tenant's
// grow, so that what is appended then sorts behind what came along, and behind what was read of it and is gone.
import { tuple } from './foundationdb.ts'
import { type KeySpace, systemSubspace } from './keys.ts'
import { type ByteTransaction, json, packedName } from './space.ts'

/** A region's epoch before it has ever been raised; nothing is stored then. */
const FIRST_REGION_EPOCH = 1

const TENANT_NUMBER_BYTES = 8

const regionEpochKey = ({ region }: KeySpace): Buffer => Buffer.concat([region, tuple.pack(['epoch'])])

export async function regionEpoch(tn: ByteTransaction, keys: KeySpace): Promise<number> {
  const bytes = await tn.get(regionEpochKey(keys))
  return bytes ? Number(bytes.readBigUInt64LE()) : FIRST_REGION_EPOCH
}

/** @param least what it becomes at the least, here and below */
export async function raiseRegionEpoch(tn: ByteTransaction, keys: KeySpace, least = 0): Promise<number> {
  const raised = raisedEpoch(await regionEpoch(tn, keys), least)
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(raised))
  tn.set(regionEpochKey(keys), bytes)
  return raised
}

const raisedEpoch = (epoch: number, least: number): number => Math.max(epoch + 1, least)

const status = json<{ epoch: number }>()
const statusEnd = Buffer.concat([systemSubspace('status'), packedName('status'), tuple.pack(['status'])])

/** The row as the other database gets it: a tenant's status with its epoch raised, anything else as it is. */
export function withRaisedEpoch(keys: KeySpace, key: Buffer, value: Buffer): Buffer {
  const from = keys.tenants.length + TENANT_NUMBER_BYTES
  if (key.length !== from + statusEnd.length) return value
  if (!key.subarray(0, keys.tenants.length).equals(keys.tenants) || !key.subarray(from).equals(statusEnd))
    return value
  return raisedStatus(value, 0)
}

function raisedStatus(value: Buffer, least: number): Buffer {
  const record = status.decode(value)
  return status.encode({ ...record, epoch: raisedEpoch(record.epoch, least) })
}

/** All keys of a tenant begin so. */
type TenantPrefix = Buffer

/**
 * Raises the epochs of some tenants where they are.
 * @param each is told each tenant's number, as keys hold it
 * @returns how many, and what to go on behind; undefined at the end
 */
export async function raiseEpochs(
  tn: ByteTransaction,
  keys: KeySpace,
  { behind, limit, least }: { behind: TenantPrefix | undefined; limit: number; least: number },
  each: (number: Buffer) => void,
): Promise<{ raised: number; through: TenantPrefix | undefined }> {
  let through = behind
  for (let raised = 0; raised < limit; raised++) {
    const prefix: TenantPrefix | undefined = await nextTenant(tn, keys, through)
    if (prefix === undefined) return { raised, through: undefined }
    const key = Buffer.concat([prefix, statusEnd])
    const value = await tn.get(key)
    if (value !== undefined) tn.set(key, raisedStatus(value, least))
    each(prefix.subarray(keys.tenants.length))
    through = prefix
  }
  return { raised: limit, through }
}

/** The next one that has anything, which its first key shows. */
async function nextTenant(
  tn: ByteTransaction,
  { tenants }: KeySpace,
  behind: TenantPrefix | undefined,
): Promise<TenantPrefix | undefined> {
  const begin = behind === undefined ? tenants : Buffer.concat([behind, Buffer.of(0xff)])
  const end = Buffer.concat([tenants, Buffer.alloc(TENANT_NUMBER_BYTES + 1, 0xff)])
  const [first] = await tn.snapshot().getRangeAll(begin, end, { limit: 1 })
  return first?.[0].subarray(0, tenants.length + TENANT_NUMBER_BYTES)
}
