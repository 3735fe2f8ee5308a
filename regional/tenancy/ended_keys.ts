// API keys that have ended: no longer among the live ones, and none of the plan's any more. For a while they are told as
// what they are, revoked or expired; afterwards nobody remembers them, and they are refused as any other text is.
import { ONLY_WRITER, take } from './quotas.ts'
import { credentialSpace, revokedSpace, seenSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** How long a key that has ended is known as such. */
export const ENDED_KEY_MS = 90 * 24 * 60 * 60 * 1000

/**
 * Takes those of these keys away that have expired, and gives back the places that they had.
 * @returns which ones
 */
export async function retireKeys(
  scope: TenantScope,
  ids: ReadonlyArray<string>,
  nowMs: number,
): Promise<ReadonlyArray<string>> {
  const live = scope.system('credentials', credentialSpace)
  const records = await Promise.all(ids.map((id) => live.get([id])))
  const retired: string[] = []
  for (const record of records) {
    if (record === undefined || record.expiresAt === null || Date.parse(record.expiresAt) > nowMs) continue
    retired.push(record.id)
    live.clear([record.id])
    scope.system('credentials', seenSpace).clear([record.id])
    scope.system('credentials', revokedSpace).set([record.id], { ...record, revokedAt: null })
  }
  // Not borrowed: keys seldom expire, and giving back to a shard that somebody else has is no more than a conflict.
  if (retired.length > 0) await take(scope, ONLY_WRITER, 'apiKeys', -retired.length, nowMs)
  return retired
}
