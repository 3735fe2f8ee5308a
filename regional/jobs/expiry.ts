// Expiry: what is to be forgotten, by the hour. Whoever writes something that expires writes an entry here in the same
// commit, reading nothing that another writer changes; an upkeep job reads what is due, an hour at a time, after the
// hour is over. So sweeping reads nothing that lives, and makes no writer conflict.
import { type Id, idFromBytes, uuidv7 } from '../../shared/ids.ts'
import { jsonSpace } from '../storage/space.ts'
import { endedSpace } from '../tenancy/ended.ts'
import { ENDED_KEY_MS, retireKeys } from '../tenancy/ended_keys.ts'
import { idempotencySpace } from '../tenancy/idempotency.ts'
import { forgetAccount } from '../tenancy/quotas.ts'
import {
  adminLinkSpace,
  credentialSpace,
  invitationSpace,
  provisionedSpace,
  revokedSpace,
  seenSpace,
  sessionSpace,
} from '../tenancy/records.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import { eventsKeptMs, forgetOld } from '../tenancy/retention.ts'
import { forgetUsage } from '../tenancy/usage.ts'
import { clearDelivery, deliverySpace, SERVICE as WEBHOOK_ENDPOINTS } from '../webhooks/records.ts'
import { UNTIL_DONE, type UpkeepKind } from './kind.ts'
import { enqueue, jobsOf } from './queue.ts'
import { endSpace, jobSpace } from './record.ts'

/** What services may have forgotten, each by the one that makes it: some of it gives access, or says that none is given. */
const OWNERS = {
  'api-key': 'api-keys',
  'ended-key': 'api-keys',
  'admin-link': 'admin-links',
  'ended-session': 'sessions',
  invitation: 'members',
  delivery: 'webhook-endpoints',
} as const
export type ServiceExpiry = keyof typeof OWNERS
type Expiring = 'request' | 'job' | 'provisioned' | 'quota' | 'session' | ServiceExpiry
/** The hour by its end. */
const expirySpace = jsonSpace<[hourMs: number, what: Expiring, key: string | Buffer], 1>('expiry')

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
/** Clients choose when a key expires: one that has longer to live is looked at again after this, so that sweeps are few. */
const KEY_LOOK_MS = 30 * DAY_MS
/** How far clocks may be apart: a sweep comes this much after its hour. */
const PATIENCE_MS = 60_000
const PAGE = 200

/** The end of the hour in which something expires. */
export const expiryHour = (atMs: number): number => Math.ceil(atMs / HOUR_MS) * HOUR_MS

/** Has `key` of `what` forgotten some time after `atMs`, if it has not been renewed by then. */
export async function expireAt(
  scope: TenantScope,
  atMs: number,
  what: Expiring,
  key: string | Buffer,
  nowMs: number,
): Promise<void> {
  const lookMs = what === 'api-key' ? Math.min(atMs, nowMs + KEY_LOOK_MS) : atMs
  jobsOf(scope)
    .space(expirySpace)
    .set([expiryHour(lookMs), what, key], 1)
  await sweepAt(scope, lookMs, nowMs)
}

/** As {@link expireAt}, for a service. @throws {Error} where it is not the service's own to forget */
export async function expireFor(
  service: string,
  scope: TenantScope,
  atMs: number,
  what: ServiceExpiry,
  key: string,
  nowMs: number,
): Promise<void> {
  if (OWNERS[what] !== service)
    throw new Error(`the service ${service} can't have ‘${what}’ forgotten: that is not its own`)
  await expireAt(scope, atMs, what, key, nowMs)
}

/** Has a sweep come after the hour of `atMs`. */
async function sweepAt(scope: TenantScope, atMs: number, nowMs: number): Promise<void> {
  const hourMs = expiryHour(atMs)
  const jobs = jobsOf(scope)
  const id = sweepOf(hourMs)
  // Two that see it missing at the same time write the same.
  if ((await jobs.space(jobSpace).peek([id])) !== undefined) return
  enqueue(scope, sweep, { hourMs }, nowMs, { runAtMs: hourMs + PATIENCE_MS }, id)
}

/** One hour's sweep has one id, whoever has it come. */
function sweepOf(hourMs: number): Id<'job'> {
  if (hourMs !== latest.hourMs)
    latest = { hourMs, id: idFromBytes('job', uuidv7(hourMs, new Uint8Array(10))) }
  return latest.id
}

/** The one asked for last, which is nearly always asked for again. */
let latest: { hourMs: number; id: Id<'job'> } = { hourMs: 0, id: 'job_' }

/** Forgets what expired in one hour, what the plan keeps no longer, and old usage. */
export const sweep: UpkeepKind<{ hourMs: number }> = {
  kind: 'platform.sweep',
  retry: UNTIL_DONE,
  async upkeep(scope, { payload: { hourMs } }, nowMs) {
    const expiring = jobsOf(scope).space(expirySpace)
    const { entries, more } = await expiring.page({ under: [hourMs], limit: PAGE })
    const keysOf = (of: Expiring) => entries.flatMap(([[, what, key]]) => (what === of ? [String(key)] : []))
    await Promise.all([
      retire(scope, keysOf('api-key'), nowMs),
      forgetDeliveries(scope, keysOf('delivery'), nowMs),
      ...entries.map(async ([key]) => {
        await forget(scope, key[1], key[2], nowMs)
        expiring.clear(key)
      }),
    ])
    if (more) return { next: undefined }
    scope.keptAnswers().clearUnder([hourMs])
    const left = [await forgetOld(scope, nowMs), await forgetUsage(scope, nowMs)]
    if (left.some(({ more }) => more)) return { next: undefined }
    for (const { nextMs } of left) {
      // Also of a tenant that nobody writes to any more.
      if (nextMs !== undefined) await sweepAt(scope, Math.max(nextMs, nowMs + 1), nowMs)
    }
    return { finished: true }
  },
}

async function retire(scope: TenantScope, keys: ReadonlyArray<string>, nowMs: number): Promise<void> {
  for (const id of await retireKeys(scope, keys, nowMs)) {
    await expireAt(scope, nowMs + ENDED_KEY_MS, 'ended-key', id, nowMs)
  }
}

/** Unless it was renewed: then it expires again later, and has an entry there. */
async function forget(
  scope: TenantScope,
  what: Expiring,
  key: string | Buffer,
  nowMs: number,
): Promise<void> {
  if (what === 'request' && typeof key !== 'string') {
    const requests = scope.system('idempotency', idempotencySpace)
    const record = await requests.get([key])
    if (record !== undefined && record.expiresAt <= nowMs) requests.clear([key])
  } else if (what === 'api-key' && typeof key === 'string') {
    const record = await scope.system('credentials', credentialSpace).get([key])
    const expiresAtMs = Date.parse(record?.expiresAt ?? '')
    if (expiresAtMs > nowMs) await expireAt(scope, expiresAtMs, what, key, nowMs)
  } else if (what === 'job' && typeof key === 'string') {
    jobsOf(scope).space(jobSpace).clear([key])
    jobsOf(scope).space(endSpace).clear([key])
  } else if (what === 'quota' && typeof key === 'string') {
    await forgetAccount(scope, key)
  } else if (what === 'provisioned') {
    scope.system('idempotency', provisionedSpace).clear(['answer'])
  } else if (what === 'ended-key' && typeof key === 'string') {
    scope.system('credentials', revokedSpace).clear([key])
  } else if (what === 'admin-link' && typeof key === 'string') {
    scope.system('credentials', adminLinkSpace).clear([key])
  } else if (what === 'invitation' && typeof key === 'string') {
    scope.service('members').space(invitationSpace).clear([key])
  } else if (what === 'session' && typeof key === 'string') {
    scope.system('credentials', sessionSpace).clear([key])
    scope.system('credentials', seenSpace).clear([key])
  } else if (what === 'ended-session' && typeof key === 'string') {
    scope.system('credentials', endedSpace).clear([key])
  }
}

/**
 * One that still waits, as those of a disabled endpoint do, is kept for another day. Any other is kept as long as its
 * event is, by the plan of now: without it the event would count as one that was never sent.
 */
async function forgetDeliveries(
  scope: TenantScope,
  ids: ReadonlyArray<string>,
  nowMs: number,
): Promise<void> {
  if (ids.length === 0) return
  const tx = scope.service(WEBHOOK_ENDPOINTS)
  const [keptMs, deliveries] = await Promise.all([
    eventsKeptMs(scope),
    Promise.all(ids.map((id) => tx.space(deliverySpace).get([id]))),
  ])
  for (const delivery of deliveries) {
    if (delivery === undefined) continue
    const { id, status, createdAt } = delivery
    const untilMs = status === 'pending' ? nowMs + DAY_MS : Date.parse(createdAt) + keptMs
    if (untilMs > nowMs) await expireAt(scope, untilMs, 'delivery', id, nowMs)
    else clearDelivery(tx, delivery)
  }
}
