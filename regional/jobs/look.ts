// A look at a tenant's queue: what is due there and can be begun. Work outside that is under way is passed, and so is what
// waits for that to end, however much of it there is.
import type { TenantNumber } from '../../shared/tenant.ts'
import { weightIn } from '../tenancy/profile.ts'
import { type StatusRecord, statusSpace } from '../tenancy/records.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import type { Holding, QueuePlace } from './holding.ts'
import type { JobKinds, StandingKind } from './kind.ts'
import { jobsOf } from './queue.ts'
import { type DueEntry, dueSpace } from './record.ts'
import type { StepDependencies, Turn } from './step.ts'

/** Jobs of one tenant at a time; and as many of each lane that works outside, beside those. */
export const SIDE_BY_SIDE = 4
/** Jobs that one look begins. */
const LOOK = SIDE_BY_SIDE * 4
/** Entries of the queue that one look reads, past work outside that is under way or waits for that to end. */
const MAX_LOOKED_AT = 500
const READ_ON = 250
/** Where all that is due was read and nothing can be begun, only the head is read again for so long, whatever wakes. */
const THROUGH_MS = 1_000

/** An entry that can be begun. */
type Found = Omit<Turn, 'weight'>
interface Due<T> {
  standing: StandingKind[]
  inside: T[]
  outside: T[]
  /** Work outside that finds no room was left where it stands. */
  noRoom: boolean
  /** Work outside that stands behind the head, by the ids of its jobs. */
  behind: string[]
  /** Where the next look goes on; undefined when all that is due has been looked at. */
  readOn: QueuePlace | undefined
}
type Looked = Due<Turn> & { status: StatusRecord['status'] | undefined }

export async function look(
  { database, kinds, now }: Pick<StepDependencies, 'database' | 'kinds' | 'now'>,
  tenant: TenantNumber,
  holding: Holding,
  hasRoom: boolean,
): Promise<Looked> {
  const { readOn } = holding
  const isHeadOnly = readOn === undefined && performance.now() - holding.readThroughAtMs < THROUGH_MS
  // As it was before the reading: what ends meanwhile may be read as it was before, and must not be begun again.
  const underWay = holding.underWay()
  const read = async (scope: TenantScope) => {
    const [status, weight, due] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      weightIn(scope),
      readDue(scope, kinds, underWay, readOn, now(), { hasRoom, isHeadOnly }),
    ])
    const turns = (entries: ReadonlyArray<Found>) => entries.map((each): Turn => ({ ...each, weight }))
    const value = {
      ...due,
      status: status?.status,
      inside: turns(due.inside),
      outside: turns(due.outside),
    }
    return { value, commit: false }
  }
  const looked = await database.tenant(tenant, read, { batch: true })
  holding.readOn = looked.readOn
  for (const id of looked.behind) holding.behind.add(id)
  const isNothing = looked.inside.length + looked.outside.length === 0
  if (isNothing && looked.readOn === undefined && !isHeadOnly) holding.readThroughAtMs = performance.now()
  return looked
}

/**
 * What is due at `nowMs`, and can be begun beside what is under way outside: at the head, and from `readOn` on. So one look
 * after another goes round the whole queue.
 */
async function readDue(
  scope: TenantScope,
  kinds: JobKinds,
  underWay: ReadonlyMap<string, string>,
  readOn: QueuePlace | undefined,
  nowMs: number,
  { hasRoom, isHeadOnly }: { hasRoom: boolean; isHeadOnly: boolean },
): Promise<Due<Found>> {
  const found: Omit<Due<Found>, 'readOn'> = {
    standing: [],
    inside: [],
    outside: [],
    noRoom: false,
    behind: [],
  }
  const isFull = () => found.inside.length + found.outside.length === LOOK
  const begun = [...underWay.values()].map((kind) => laneOf(kinds, kind))
  let after: QueuePlace | undefined
  for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT; ) {
    const isHead = after === undefined
    const limit = isHead ? LOOK : READ_ON
    const { entries, more } = await jobsOf(scope).space(dueSpace).page({ limit, after })
    for (const [[dueMs, id], entry] of entries) {
      if (dueMs > nowMs) return { ...found, readOn: undefined }
      if (isFull()) return { ...found, readOn: after }
      after = [dueMs, id]
      const called = standingKind(kinds, entry)
      const lane = laneOf(kinds, entry.kind)
      if (called !== undefined) {
        found.standing.push(called)
      } else if (lane === undefined) {
        found.inside.push({ dueMs, id, entry })
      } else if (!hasRoom) {
        found.noRoom ||= !underWay.has(id)
      } else if (!underWay.has(id) && begun.filter((each) => each === lane).length < SIDE_BY_SIDE) {
        begun.push(lane)
        const isOutside = worksOutside(kinds, entry.kind)
        if (isOutside && !isHead) found.behind.push(id)
        found[isOutside ? 'outside' : 'inside'].push({ dueMs, id, entry })
      }
    }
    if (!more || isHeadOnly) return { ...found, readOn: undefined }
    if (isFull()) return { ...found, readOn: isHead ? readOn : after }
    lookedAt += entries.length
    if (isHead && readOn !== undefined && isBehind(readOn, after)) after = readOn
  }
  return { ...found, readOn: after }
}

/** What waits in the queue of a suspended tenant, and is passed to find what does not. */
const MAX_PASSED = 5_000

/** What is due of the platform's own upkeep, which goes on while the tenant is suspended. */
export function lookForUpkeep(
  { database, kinds, now }: Pick<StepDependencies, 'database' | 'kinds' | 'now'>,
  tenant: TenantNumber,
): Promise<ReadonlyArray<Turn>> {
  const read = async (scope: TenantScope) => {
    const nowMs = now()
    const weight = await weightIn(scope)
    const found: Turn[] = []
    let after: QueuePlace | undefined
    for (let passed = 0; passed < MAX_PASSED; passed += READ_ON) {
      const { entries, more } = await jobsOf(scope).space(dueSpace).page({ limit: READ_ON, after })
      for (const [[dueMs, id], entry] of entries) {
        if (dueMs > nowMs || found.length === LOOK) return { value: found, commit: false }
        after = [dueMs, id]
        if (isUpkeep(kinds, entry)) found.push({ dueMs, id, entry, weight })
      }
      if (!more) break
    }
    return { value: found, commit: false }
  }
  return database.tenant(tenant, read, { batch: true })
}

const isBehind = (place: QueuePlace, other: QueuePlace | undefined): boolean =>
  other === undefined || place[0] > other[0] || (place[0] === other[0] && place[1] > other[1])

/** Jobs of which go on so many at a time; undefined where nothing is waited for. */
function laneOf(kinds: JobKinds, kind: string): string | undefined {
  const known = kinds.get(kind)
  const lane = known !== undefined && 'lane' in known ? known.lane : undefined
  return lane ?? (worksOutside(kinds, kind) ? kind : undefined)
}

function worksOutside(kinds: JobKinds, kind: string): boolean {
  const known = kinds.get(kind)
  return known !== undefined && 'outside' in known && known.outside !== undefined
}

export function isUpkeep(kinds: JobKinds, { kind }: DueEntry): boolean {
  const known = kinds.get(kind)
  return known !== undefined && 'upkeep' in known
}

export function standingKind(kinds: JobKinds, { kind }: DueEntry): StandingKind | undefined {
  const known = kinds.get(kind)
  return known !== undefined && 'call' in known ? known : undefined
}
