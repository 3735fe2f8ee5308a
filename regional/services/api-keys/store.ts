// API keys as they are kept: the very records that every request of a key is checked against.
import { type CredentialRecord, credentialSpace, revokedSpace, seenSpace } from '../../tenancy/records.ts'
import { notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'

/** @throws {Problem} `quota_exceeded` */
export async function addKey(tx: TenantTransaction, record: CredentialRecord): Promise<void> {
  await tx.take('apiKeys', 1)
  tx.space(credentialSpace).set([record.id], record)
  tx.emit('api_key.created', record.id)
}

/** Live keys, oldest first. */
export const listKeys = (
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], CredentialRecord>> => tx.space(credentialSpace).page({ limit, after })

/** @throws {Problem} `not_found` for a key that never was, or is revoked. */
export async function readKey(tx: TenantTransaction, id: string): Promise<CredentialRecord> {
  const record = await tx.space(credentialSpace).get([id])
  if (record === undefined) throw notFound()
  return record
}

/** @returns in milliseconds since 1970; undefined for a key that was never used, or within this minute. */
export const lastUsed = (tx: TenantTransaction, id: string): Promise<number | undefined> =>
  tx.space(seenSpace).peek([id])

/** Has a key end sooner than it would; never later. */
export function expireKey(tx: TenantTransaction, record: CredentialRecord, atMs: number): void {
  const sooner = record.expiresAt === null || Date.parse(record.expiresAt) > atMs
  if (!sooner) return
  tx.space(credentialSpace).set([record.id], { ...record, expiresAt: new Date(atMs).toISOString() })
  tx.emit('api_key.rotated', record.id)
}

/** @throws {Problem} `not_found` */
export async function revokeKey(tx: TenantTransaction, id: string): Promise<void> {
  const record = await readKey(tx, id)
  await tx.take('apiKeys', -1)
  tx.space(credentialSpace).clear([id])
  tx.space(seenSpace).clear([id])
  tx.space(revokedSpace).set([id], { ...record, revokedAt: new Date(tx.context.nowMs).toISOString() })
  tx.emit('api_key.revoked', id)
}
