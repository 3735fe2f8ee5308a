// Epochs: they stand before the versionstamps of logs, since versionstamps grow only within one database. When a
// region's data comes to another database, the region's epoch and every tenant's grow by one, so that what is
// appended there sorts behind what came along.
import { type Database, tuple } from './foundationdb.ts'
import { type KeySpace, systemSubspace } from './keys.ts'
import { json, packedName } from './space.ts'

/** A region's epoch before it has ever been raised; nothing is stored then. */
export const FIRST_REGION_EPOCH = 1

type ByteDatabase = Database<Buffer, Buffer, Buffer, Buffer>
type ByteTransaction = Parameters<Parameters<ByteDatabase['doTn']>[0]>[0]

const TENANT_NUMBER_BYTES = 8

export const regionEpochKey = ({ region }: KeySpace): Buffer => Buffer.concat([region, tuple.pack(['epoch'])])

export async function regionEpoch(tn: ByteTransaction, keys: KeySpace): Promise<number> {
  const bytes = await tn.get(regionEpochKey(keys))
  return bytes ? Number(bytes.readBigUInt64LE()) : FIRST_REGION_EPOCH
}

export async function raiseRegionEpoch(tn: ByteTransaction, keys: KeySpace): Promise<number> {
  const raised = (await regionEpoch(tn, keys)) + 1
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(raised))
  tn.set(regionEpochKey(keys), bytes)
  return raised
}

const status = json<{ epoch: number }>()
const statusEnd = Buffer.concat([systemSubspace('status'), packedName('status'), tuple.pack(['status'])])

/** The row as the other database gets it: a tenant's status with its epoch raised, anything else as it is. */
export function withRaisedEpoch(keys: KeySpace, key: Buffer, value: Buffer): Buffer {
  const from = keys.tenants.length + TENANT_NUMBER_BYTES
  if (key.length !== from + statusEnd.length) return value
  if (!key.subarray(0, keys.tenants.length).equals(keys.tenants) || !key.subarray(from).equals(statusEnd))
    return value
  const record = status.decode(value)
  return status.encode({ ...record, epoch: record.epoch + 1 })
}
