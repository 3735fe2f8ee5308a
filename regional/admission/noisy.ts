// Who asks a busy region for far more than its share, second by second. A tenant's fair share is what max–min fairness
// gives it by weight: whoever wants less than an equal share gets what it wants, and the rest is shared by the others
// (Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2). Who asks for more than twice that, and for more than four
// times what the others ask on average, is isolated, in two stages; who has asked for less for a while is let out
// again, one stage at a time. Asking again soon after makes the while longer. Pure: no clock but `tick`, no I/O.
import type { TenantNumber } from '../../shared/tenant.ts'

/** `slowed`: a smaller weight, and fewer places. `limited`: also a lower rate limit at the edge. */
export const ISOLATION_STAGES = ['slowed', 'limited'] as const
export type IsolationStage = (typeof ISOLATION_STAGES)[number]

export interface Isolation {
  tenant: TenantNumber
  stage: IsolationStage
  /** Units a second that it asks for, and that are its share. */
  asked: number
  fair: number
}

/** What a second changed: a tenant's stage, or that it is let out again. */
export interface IsolationChange extends Omit<Isolation, 'stage'> {
  stage: IsolationStage | undefined
}

const ENTER = { share: 2, others: 4 }
const STAY = { share: 1.25, others: 2 }
/** Seconds that it takes to be believed. */
const SECONDS_TO_SLOW = 2
const SECONDS_TO_LIMIT = 10
/** Seconds of asking for less, until it is let out of one stage; twice as many each time it comes back, up to the most. */
const CALM_SECONDS = 10
const MOST_CALM_SECONDS = 300
/** After so many seconds outside, it counts as never having been in. */
const FORGET_SECONDS = 600
/** How much the last second counts. */
const WEIGHT = 0.4
const MAX_TENANTS = 4_096
/** Units a second, below which nothing is kept of a tenant. */
const NEXT_TO_NOTHING = 0.01

interface Rate {
  weight: number
  /** Of this second, so far. */
  asking: number
  served: number
  /** A second, as a mean that follows. */
  asked: number
}

interface Case {
  stage: IsolationStage | undefined
  /** Seconds in a row that it asked for too much, or not. */
  strikes: number
  calm: number
  calmNeeded: number
}

export class NoisyDetector {
  private readonly rates = new Map<TenantNumber, Rate>()
  private readonly cases = new Map<TenantNumber, Case>()
  private capacity = 0
  private level = Number.POSITIVE_INFINITY

  used(tenant: TenantNumber, weight: number, units: number, served: boolean): void {
    const rate = this.rateOf(tenant)
    if (rate === undefined) return
    rate.weight = weight
    rate.asking += units
    if (served) rate.served += units
  }

  isIsolated(tenant: TenantNumber): boolean {
    return this.cases.get(tenant)?.stage !== undefined
  }

  /** Those that are isolated now. */
  list(): ReadonlyArray<Isolation> {
    return [...this.cases].flatMap(([tenant, { stage }]) =>
      stage === undefined ? [] : [{ tenant, stage, ...this.figures(tenant) }],
    )
  }

  /** Tenants of which anything is kept. */
  get known(): number {
    return new Set([...this.rates.keys(), ...this.cases.keys()]).size
  }

  /** Ends a second. @param contended whether the region had no time for all that was asked */
  tick(contended: boolean): ReadonlyArray<IsolationChange> {
    this.endSecond()
    const totals = { asked: 0, weight: 0 }
    for (const { asked, weight } of this.rates.values()) {
      totals.asked += asked
      totals.weight += weight
    }
    this.level = contended ? fairLevel([...this.rates.values()], this.capacity) : Number.POSITIVE_INFINITY
    const exceeds = (tenant: TenantNumber, { share, others }: typeof ENTER): boolean => {
      const rate = this.rates.get(tenant)
      if (!contended || rate === undefined) return false
      const { asked, weight } = rate
      const theirs = (totals.asked - asked) / (totals.weight - weight)
      return asked > share * this.level * weight && theirs > 0 && asked / weight > others * theirs
    }
    const suspects = new Set(this.cases.keys())
    for (const tenant of this.rates.keys()) if (exceeds(tenant, ENTER)) suspects.add(tenant)
    const changes: IsolationChange[] = []
    for (const tenant of suspects) {
      const known = this.cases.get(tenant)
      const before = known ?? { stage: undefined, strikes: 0, calm: 0, calmNeeded: CALM_SECONDS }
      const after = judged(before, exceeds(tenant, before.stage === undefined ? ENTER : STAY))
      if (after === undefined) this.cases.delete(tenant)
      else this.cases.set(tenant, after)
      if (after?.stage !== before.stage) {
        changes.push({ tenant, stage: after?.stage, ...this.figures(tenant) })
      }
    }
    return changes
  }

  private figures(tenant: TenantNumber): Pick<Isolation, 'asked' | 'fair'> {
    const { asked = 0, weight = 0 } = this.rates.get(tenant) ?? {}
    return { asked, fair: Math.min(asked, this.level * weight) }
  }

  private rateOf(tenant: TenantNumber): Rate | undefined {
    const known = this.rates.get(tenant)
    if (known !== undefined) return known
    // Whoever asks far too much has asked already.
    if (this.rates.size >= MAX_TENANTS) return undefined
    const made: Rate = { weight: 1, asking: 0, served: 0, asked: 0 }
    this.rates.set(tenant, made)
    return made
  }

  private endSecond(): void {
    let served = 0
    for (const [tenant, rate] of this.rates) {
      rate.asked += (rate.asking - rate.asked) * WEIGHT
      served += rate.served
      rate.asking = 0
      rate.served = 0
      if (rate.asked < NEXT_TO_NOTHING) this.rates.delete(tenant)
    }
    this.capacity += (served - this.capacity) * WEIGHT
  }
}

/** @returns undefined once nothing has to be kept */
function judged({ stage, strikes, calm, calmNeeded }: Case, exceeds: boolean): Case | undefined {
  if (exceeds) {
    const next = strikes + 1
    if (stage === undefined && next >= SECONDS_TO_SLOW) {
      return { stage: 'slowed', strikes: 0, calm: 0, calmNeeded }
    }
    if (stage === 'slowed' && next >= SECONDS_TO_LIMIT) {
      return { stage: 'limited', strikes: 0, calm: 0, calmNeeded }
    }
    return { stage, strikes: next, calm: 0, calmNeeded }
  }
  if (stage === undefined) {
    const isForgotten = calmNeeded === CALM_SECONDS || calm + 1 >= FORGET_SECONDS
    return isForgotten ? undefined : { stage, strikes: 0, calm: calm + 1, calmNeeded }
  }
  if (calm + 1 < calmNeeded) return { stage, strikes: 0, calm: calm + 1, calmNeeded }
  if (stage === 'limited') return { stage: 'slowed', strikes: 0, calm: 0, calmNeeded }
  return { stage: undefined, strikes: 0, calm: 0, calmNeeded: Math.min(MOST_CALM_SECONDS, calmNeeded * 2) }
}

/** What weight 1 gets when `capacity` is shared max–min fairly; infinite when there is enough for all. */
export function fairLevel(wants: ReadonlyArray<{ asked: number; weight: number }>, capacity: number): number {
  let left = capacity
  let weight = wants.reduce((sum, want) => sum + want.weight, 0)
  for (const want of wants.toSorted((a, b) => a.asked / a.weight - b.asked / b.weight)) {
    if (want.asked / want.weight > left / weight) return left / weight
    left -= want.asked
    weight -= want.weight
  }
  return Number.POSITIVE_INFINITY
}
