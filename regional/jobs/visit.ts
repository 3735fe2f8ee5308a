// A visit: a worker takes a tenant in hand, does a bounded amount of what is due there, and goes on to the next. That
// bound is what keeps a tenant with very many jobs from holding up the others. Work outside the database is only begun
// here: the tenant stays with the worker until it ends, and is visited meanwhile like every other.
import type { TenantNumber } from '../../shared/tenant.ts'
import { jobPointer, laterKey, laterPointer, leaseSpace, pointerKey } from '../tenancy/pointers.ts'
import { statusSpace } from '../tenancy/records.ts'
import type { TenantScope } from '../tenancy/region_database.ts'
import { type Holding, type Holdings, NO_ROOM_MS } from './holding.ts'
import type { JobKinds } from './kind.ts'
import { returnLease } from './lease.ts'
import { look, lookForUpkeep, SIDE_BY_SIDE, standingKind } from './look.ts'
import { jobsOf } from './queue.ts'
import { dueSpace, laterSpace } from './record.ts'
import { AGAIN_MS } from './standing.ts'
import { runStep, type StepDependencies } from './step.ts'

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
/** A tenant that is suspended is looked at again now and then; resuming it wakes it at once. */
const SUSPENDED_MS = 10 * 60_000

export async function visit(
  dependencies: VisitDependencies,
  holdings: Holdings,
  tenant: TenantNumber,
): Promise<Visited> {
  const holding = await holdings.take(tenant)
  if (holding === undefined) return 'busy'
  try {
    const { more, notBeforeMs } = await work(dependencies, holdings, holding, tenant)
    if (holding.isLost) return 'busy'
    // Its end has the tenant visited again, and so does what is enqueued: the pointer stays.
    if (holding.isOutside) return more ? 'more' : 'rest'
    return await leave(dependencies, tenant, notBeforeMs)
  } catch (error) {
    if (!holding.isOutside) await returnLease(dependencies.database, tenant, dependencies.worker)
    throw error
  } finally {
    if (!holding.isOutside) holdings.drop(holding)
  }
}

interface Worked {
  /** Whether it ended because its time was over. */
  more: boolean
  /** A time before which there is nothing to do, whatever the queue says. */
  notBeforeMs?: number | undefined
}

async function work(
  dependencies: VisitDependencies,
  holdings: Holdings,
  holding: Holding,
  tenant: TenantNumber,
): Promise<Worked> {
  const { signal } = holding
  const started = performance.now()
  const mayGoOn = () => !signal.aborted && performance.now() - started < MAX_MS
  for (let begun = 0; begun === 0 || (begun < MAX_STEPS && mayGoOn()); ) {
    const hasRoom = holdings.hasRoomFor(holding)
    const { status, standing, inside, outside, noRoom } = await look(dependencies, tenant, holding, hasRoom)
    if (noRoom) holdings.lineUp(holding)
    const isNothing = inside.length + outside.length === 0
    // What is under way outside ends first: its step sees that the tenant is no longer active.
    if (status === 'erasing' && holding.isOutside) return { more: false }
    if (status === 'erasing') return { more: false, notBeforeMs: await dependencies.erase(tenant, mayGoOn) }
    if (status === 'suspended') await keepUp(dependencies, tenant, signal, mayGoOn)
    if (status !== 'active') return { more: false }
    for (const kind of standing) kind.call(tenant)
    if (signal.aborted) return { more: false }
    if (isNothing && holding.readOn === undefined) {
      return { more: false, notBeforeMs: noRoom ? dependencies.now() + NO_ROOM_MS : undefined }
    }
    if (isNothing && !mayGoOn()) return { more: true }
    const steps = inside.map((turn) => () => runStep(dependencies, tenant, turn, signal))
    // Others may have taken the last place since the look, which the next one sees.
    for (const turn of holdings.hasRoomFor(holding) ? outside : []) {
      begun++
      holdings.begin(holding, turn.id, turn.entry.kind, () => runStep(dependencies, tenant, turn, signal))
    }
    await sideBySide(steps, async (step) => {
      // The first ones in any case: a slow database must not keep a visit from getting anywhere.
      const isFirst = begun++ < SIDE_BY_SIDE
      if (isFirst ? !signal.aborted : mayGoOn()) await step()
    })
  }
  return { more: true }
}

/** Nobody works for a suspended tenant, but what is written of it is forgotten in time: refusals of its clients, for one. */
async function keepUp(
  dependencies: VisitDependencies,
  tenant: TenantNumber,
  signal: AbortSignal,
  mayGoOn: () => boolean,
): Promise<void> {
  do {
    const due = await lookForUpkeep(dependencies, tenant)
    if (due.length === 0) return
    for (const turn of due) if (!signal.aborted) await runStep(dependencies, tenant, turn, signal)
  } while (mayGoOn())
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
  // By the status that is read here: who resumes a tenant while it is visited wakes nobody, for it is in hand.
  const earliestMs = status.status === 'active' ? notBeforeMs : nowMs + SUSPENDED_MS
  // Who does standing work was called a moment ago.
  const times = entries.map(([[dueMs], entry]) =>
    standingKind(kinds, entry) === undefined ? dueMs : Math.max(dueMs, nowMs + AGAIN_MS),
  )
  return { kept, next: times.length === 0 ? undefined : Math.max(Math.min(...times), earliestMs), nowMs }
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
