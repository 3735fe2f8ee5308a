// A visit: a worker takes a tenant in hand, does a bounded amount of what is due there, and goes on to the next. That
// bound is what keeps a tenant with very many jobs from holding up the others.
import type { TenantNumber } from '../../shared/tenant.ts'
import { jobPointer, laterKey, laterPointer, leaseSpace, pointerKey } from '../tenancy/pointers.ts'
import { weightIn } from '../tenancy/profile.ts'
import { statusSpace } from '../tenancy/records.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import type { JobKinds, StandingKind } from './kind.ts'
import { LEASE_MS, renewLease, returnLease, takeLease } from './lease.ts'
import { jobsOf } from './queue.ts'
import { type DueEntry, dueSpace, laterSpace } from './record.ts'
import { AGAIN_MS } from './standing.ts'
import { runStep, type StepDependencies, type Turn } from './step.ts'

export interface VisitDependencies extends StepDependencies {
  worker: string
  /** Goes on with a tenant's erasure for as long as it may. @returns when to look again, or undefined when it is over */
  erase: (tenant: TenantNumber, mayGoOn: () => boolean) => Promise<number | undefined>
}

/** `more`: there is work left; `rest`: nothing is due; `busy`: another worker has the tenant. */
export type Visited = 'more' | 'rest' | 'busy'

/** One visit ends after so many steps, or so much time. */
const MAX_STEPS = 64
const MAX_MS = 500
/** Jobs of one tenant at a time. */
const SIDE_BY_SIDE = 4
/** A tenant that is suspended is looked at again now and then; resuming it wakes it at once. */
const SUSPENDED_MS = 10 * 60_000

export async function visit(
  dependencies: VisitDependencies,
  tenant: TenantNumber,
  stopping: AbortSignal,
): Promise<Visited> {
  const { database, worker, now, log } = dependencies
  if (!(await takeLease(database, tenant, worker, now()))) return 'busy'
  const lost = new AbortController()
  const signal = AbortSignal.any([stopping, lost.signal])
  const renewal = setInterval(() => {
    renewLease(database, tenant, worker, now())
      .then((kept) => kept || lost.abort())
      .catch((error: unknown) => log.error('a lease could not be renewed', { error }))
  }, LEASE_MS / 3)
  try {
    const started = performance.now()
    const mayGoOn = () => !signal.aborted && performance.now() - started < MAX_MS
    const notBeforeMs = await work(dependencies, tenant, mayGoOn, signal)
    return lost.signal.aborted ? 'busy' : await leave(dependencies, tenant, notBeforeMs)
  } catch (error) {
    await returnLease(database, tenant, worker)
    throw error
  } finally {
    clearInterval(renewal)
  }
}

/** @returns a time before which there is nothing to do, whatever the queue says */
async function work(
  dependencies: VisitDependencies,
  tenant: TenantNumber,
  mayGoOn: () => boolean,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (let begun = 0; begun === 0 || (begun < MAX_STEPS && mayGoOn()); ) {
    const { status, standing, due } = await look(dependencies, tenant)
    if (status === 'erasing') return dependencies.erase(tenant, mayGoOn)
    if (status === undefined) return undefined
    if (status !== 'active') return dependencies.now() + SUSPENDED_MS
    for (const kind of standing) kind.call(tenant)
    if (due.length === 0) return undefined
    await sideBySide(due, async (turn) => {
      // The first ones in any case: a slow database must not keep a visit from getting anywhere.
      const isFirst = begun++ < SIDE_BY_SIDE
      if (isFirst ? !signal.aborted : mayGoOn()) await runStep(dependencies, tenant, turn, signal)
    })
  }
  return undefined
}

function look({ database, kinds, now }: VisitDependencies, tenant: TenantNumber) {
  const read = async (scope: TenantScope) => {
    const [status, weight, { entries }] = await Promise.all([
      scope.system('status', statusSpace).get(['status']),
      weightIn(scope),
      jobsOf(scope)
        .space(dueSpace)
        .page({ limit: SIDE_BY_SIDE * 4 }),
    ])
    const nowMs = now()
    const all = entries
      .map(([[dueMs, id], entry]): Turn => ({ dueMs, id, entry, weight }))
      .filter(({ dueMs }) => dueMs <= nowMs)
    const standing = all.map(({ entry }) => standingKind(kinds, entry)).filter((kind) => kind !== undefined)
    const due = all.filter(({ entry }) => standingKind(kinds, entry) === undefined)
    return { value: { status: status?.status, standing, due }, commit: false }
  }
  return database.tenant(tenant, read, { batch: true })
}

function standingKind(kinds: JobKinds, { kind }: DueEntry): StandingKind | undefined {
  const known = kinds.get(kind)
  return known !== undefined && 'call' in known ? known : undefined
}

async function sideBySide<T>(items: ReadonlyArray<T>, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  const takeTurns = async () => {
    for (const item of rest) await work(item)
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, takeTurns))
}

/**
 * Ends the visit: the pointer goes only if this very transaction has seen that nothing is due. What is put into the
 * queue meanwhile either conflicts with that reading, or comes after it and writes the pointer again.
 */
async function leave(
  { database, kinds, now }: VisitDependencies,
  tenant: TenantNumber,
  notBeforeMs: number | undefined,
): Promise<Visited> {
  for (;;) {
    // The fence wants to know beforehand which keys will be written, so the plan is made first, and made again below.
    const making = async (scope: TenantScope) => ({
      value: await planOf(scope, kinds, now(), notBeforeMs),
      commit: false,
    })
    const plan = await database.tenant(tenant, making, { batch: true })
    const times = [plan.kept, plan.next].filter((ms) => ms !== undefined)
    const left = await database.upkeep<Visited | 'changed'>(tenant, times, async (scope) => {
      const { kept, next } = await planOf(scope, kinds, plan.nowMs, notBeforeMs)
      if (kept !== plan.kept || next !== plan.next) return { value: 'changed', commit: false }
      scope.regional(leaseSpace, pointerKey(tenant)).clear()
      if (next !== undefined && next <= now()) return { value: 'more', commit: true }
      setLater(scope, tenant, kept, next)
      scope.regional(jobPointer, pointerKey(tenant)).clear()
      return { value: 'rest', commit: true }
    })
    if (left !== 'changed') return left
  }
}

interface Plan {
  /** The time of the later pointer that there is. */
  kept: number | undefined
  /** When the tenant is to be looked at again. */
  next: number | undefined
  nowMs: number
}

async function planOf(scope: TenantScope, kinds: JobKinds, nowMs: number, notBeforeMs = 0): Promise<Plan> {
  const [kept, { entries }, status] = await Promise.all([
    scope.system('status', laterSpace).get(['later']),
    jobsOf(scope).space(dueSpace).page({ limit: 3 }),
    scope.system('status', statusSpace).get(['status']),
  ])
  // A tenant that is gone has nothing to do, and nothing may be written there any more.
  if (status === undefined) return { kept, next: undefined, nowMs }
  if (status.status === 'erasing') return { kept, next: notBeforeMs, nowMs }
  // Who does standing work was called a moment ago.
  const times = entries.map(([[dueMs], entry]) =>
    standingKind(kinds, entry) === undefined ? dueMs : Math.max(dueMs, nowMs + AGAIN_MS),
  )
  return { kept, next: times.length === 0 ? undefined : Math.max(Math.min(...times), notBeforeMs), nowMs }
}

function setLater(
  scope: TenantScope,
  tenant: TenantNumber,
  kept: number | undefined,
  next: number | undefined,
): void {
  const record = scope.system('status', laterSpace)
  if (kept !== undefined) {
    scope.regional(laterPointer, laterKey(tenant, kept)).clear()
    record.clear(['later'])
  }
  if (next !== undefined) {
    scope.regional(laterPointer, laterKey(tenant, next)).set(1)
    record.set(['later'], next)
  }
}
