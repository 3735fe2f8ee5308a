// API keys as they are kept: the very records that every request of a key is checked against.
import { ENDED_KEY_MS } from '../../tenancy/ended_keys.ts'
import { type CredentialRecord, credentialSpace, revokedSpace, seenSpace } from '../../tenancy/records.ts'
import { notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'

/** @throws {Problem} `quota_exceeded` */
export async function addKey(tx: TenantTransaction, record: CredentialRecord): Promise<void> {
  await tx.take('apiKeys', 1)
  await writeKey(tx, record)
  tx.emit('api_key.created', record.id)
}

/** Once it has expired, its place is given back within the hour. */
async function writeKey(tx: TenantTransaction, record: CredentialRecord): Promise<void> {
  tx.space(credentialSpace).set([record.id], record)
  if (record.expiresAt !== null) await tx.expire('api-key', record.id, Date.parse(record.expiresAt))
}

/** Live keys, oldest first, and those that have expired within the hour. */
export const listKeys = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], CredentialRecord>> => tx.space(credentialSpace).page({ limit, after })

/** @throws {Problem} `not_found` for a key that never was, is revoked, or has expired a while ago. */
export async function readKey(tx: TenantTransaction, id: string): Promise<CredentialRecord> {
  const record = await tx.space(credentialSpace).get([id])
  if (record === undefined) throw notFound()
  return record
}

/** @returns in milliseconds since 1970; undefined for a key that was never used, or within this minute. */
export const lastUsed = (tx: TenantTransaction, id: string): Promise<number | undefined> =>
  tx.space(seenSpace).peek([id])

/** When a key would end if none had taken its place: its successors end then, however often it is rotated. */
export const endOf = ({ expiresAt, expiresAtFirst = expiresAt }: CredentialRecord): string | null =>
  expiresAtFirst

/**
 * Has another key take the place of one, which ends at `atMs`, or sooner where it would anyway.
 * @throws {Problem} `quota_exceeded`
 */
export async function succeedKey(
  tx: TenantTransaction,
  old: CredentialRecord,
  record: CredentialRecord,
  atMs: number,
): Promise<void> {
  if (old.expiresAt === null || Date.parse(old.expiresAt) > atMs) {
    const expiresAt = new Date(atMs).toISOString()
    await writeKey(tx, { ...old, expiresAt, expiresAtFirst: endOf(old) })
  }
  tellRotation(tx, old, record)
  await addKey(tx, record)
}

const tellRotation = (tx: TenantTransaction, old: CredentialRecord, { id }: CredentialRecord): void =>
  tx.emit('api_key.rotated', old.id, { successor: id })

/** @throws {Problem} `not_found` */
export async function revokeKey(tx: TenantTransaction, id: string): Promise<void> {
  const record = await readKey(tx, id)
  await tx.take('apiKeys', -1)
  await endKey(tx, record)
}

/** Revokes a key and has another take its place at once, be there more than the plan allows by now. */
export async function replaceKey(
  tx: TenantTransaction,
  old: CredentialRecord,
  record: CredentialRecord,
): Promise<void> {
  tellRotation(tx, old, record)
  await endKey(tx, old)
  await writeKey(tx, record)
  tx.emit('api_key.created', record.id)
}

async function endKey(tx: TenantTransaction, record: CredentialRecord): Promise<void> {
  const { id } = record
  tx.space(credentialSpace).clear([id])
  tx.space(seenSpace).clear([id])
  const { nowMs } = tx.context
  tx.space(revokedSpace).set([id], { ...record, revokedAt: new Date(nowMs).toISOString() })
  await tx.expire('ended-key', id, nowMs + ENDED_KEY_MS)
  tx.emit('api_key.revoked', id)
}
