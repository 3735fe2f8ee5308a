// API keys whose time is over: no longer among the live ones, and none of the plan's any more.
import { ONLY_WRITER, take } from './quotas.ts'
import { credentialSpace, revokedSpace, seenSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

/** Takes those of these keys away that have expired, and gives back the places that they had. */
export async function retireKeys(
  scope: TenantScope,
  ids: ReadonlyArray<string>,
  nowMs: number,
): Promise<void> {
  const live = scope.system('credentials', credentialSpace)
  const records = await Promise.all(ids.map((id) => live.get([id])))
  let retired = 0
  for (const record of records) {
    if (record === undefined || record.expiresAt === null || Date.parse(record.expiresAt) > nowMs) continue
    retired++
    live.clear([record.id])
    scope.system('credentials', seenSpace).clear([record.id])
    scope.system('credentials', revokedSpace).set([record.id], { ...record, revokedAt: null })
  }
  // Not borrowed: keys seldom expire, and giving back to a shard that somebody else has is no more than a conflict.
  if (retired > 0) await take(scope, ONLY_WRITER, 'apiKeys', -retired, nowMs)
}
