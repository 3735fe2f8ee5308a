// Retention: events and audit entries are kept for as many days as the tenant's plan says. The oldest stand first in their
// logs, so that forgetting reads nothing that lives. What was forgotten of the feed is marked, so that whoever goes on
// behind it is told.
import { limitsOf } from '../../shared/plans.ts'
import type { LogPosition } from '../storage/log_space.ts'
import { jsonSpace } from '../storage/space.ts'
import { auditOf } from './audit.ts'
import { outboxOf } from './events.ts'
import { type ProfileRecord, profileSpace } from './records.ts'
import type { TenantScope } from './region_database.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** Of each log, in one transaction. */
const AT_A_TIME = 200

/** The last event that was forgotten. */
const trimmedSpace = jsonSpace<['trimmed'], LogPosition>('trimmed')

export const trimmedThrough = (scope: TenantScope): Promise<LogPosition | undefined> =>
  scope.system('outbox', trimmedSpace).get(['trimmed'])

export const eventsKeptFor = ({ plan, overrides }: Pick<ProfileRecord, 'plan' | 'overrides'>): number =>
  limitsOf(plan, overrides).eventRetentionDays * DAY_MS

/** How long the plan of now keeps events, in milliseconds. */
export async function eventsKeptMs(scope: TenantScope): Promise<number> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  return profile === undefined ? 0 : eventsKeptFor(profile)
}

/** @returns whether there is more to forget now, and when the oldest that is left is to be forgotten */
export async function forgetOld(
  scope: TenantScope,
  nowMs: number,
): Promise<{ more: boolean; nextMs: number | undefined }> {
  const profile = await scope.system('profile', profileSpace).get(['profile'])
  if (profile === undefined) return { more: false, nextMs: undefined }
  const { eventRetentionDays, auditRetentionDays } = limitsOf(profile.plan, profile.overrides)
  const before = (days: number) => new Date(nowMs - days * DAY_MS).toISOString()
  const [events, entries] = await Promise.all([
    outboxOf(scope).forget(AT_A_TIME, ({ at }) => at < before(eventRetentionDays)),
    auditOf(scope).forget(AT_A_TIME, ({ at }) => at < before(auditRetentionDays)),
  ])
  if (events.through !== undefined) scope.system('outbox', trimmedSpace).set(['trimmed'], events.through)
  const due = [
    events.oldest && Date.parse(events.oldest.at) + eventRetentionDays * DAY_MS,
    entries.oldest && Date.parse(entries.oldest.at) + auditRetentionDays * DAY_MS,
  ].filter((atMs) => atMs !== undefined)
  return { more: events.more || entries.more, nextMs: due.length === 0 ? undefined : Math.min(...due) }
}
