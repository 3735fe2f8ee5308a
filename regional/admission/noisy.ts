// Who asks a busy region for far more than its share, second by second. A tenant's fair share is what max–min fairness
// gives it by weight: whoever wants less than an equal share gets what it wants, and the rest is shared by the others
// (Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2). Who asks for more than twice that, and for more than four
// times what the one in the middle asks for, is isolated, in two stages; who has asked for less for a while is let out
// again, one stage at a time. Asking again soon after makes the while longer. Pure: no clock but `tick`, no I/O.
import type { TenantNumber } from '../../shared/tenant.ts'
import { ClockHand } from '../clock_hand.ts'

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

/** Times its share, and what the one in the middle asks for: of all, since a mean follows those who ask too much. */
const ENTER = { share: 2, middle: 4 }
const STAY = { share: 1.25, middle: 2 }
/** Seconds that it takes to be believed. */
const SECONDS_TO_SLOW = 2
const SECONDS_TO_LIMIT = 10
/** Seconds of asking for less, until it is let out of one stage; twice as many each time it comes back to a stage, up to the most. */
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

const newRate = (): Rate => ({ weight: 1, asking: 0, served: 0, asked: 0 })
/** This second included. */
const askedOf = (rate: Rate | undefined): number => (rate === undefined ? 0 : rate.asked + rate.asking)

interface Case {
  stage: IsolationStage | undefined
  /** Seconds in a row that it asked for too much, or not. */
  strikes: number
  calm: number
  calmNeeded: number
  /** It was let back from the second stage to the first. */
  eased: boolean
}

const NEW_CASE: Case = { stage: undefined, strikes: 0, calm: 0, calmNeeded: CALM_SECONDS, eased: false }

export class NoisyDetector {
  private readonly rates = new Map<TenantNumber, Rate>()
  private readonly hand = new ClockHand(this.rates)
  /** Of all rates: what they are, and what was asked in this second. */
  private total = 0
  private readonly cases = new Map<TenantNumber, Case>()
  private capacity = 0
  private level = Number.POSITIVE_INFINITY

  used(tenant: TenantNumber, weight: number, units: number, served: boolean): void {
    const rate = this.rateOf(tenant)
    rate.weight = weight
    rate.asking += units
    this.total += units
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

  /** Goes on where another detector is, or was: with those that it had isolated, as if they had just got there. */
  adopt(found: ReadonlyArray<Pick<Isolation, 'tenant' | 'stage'>>): void {
    for (const { tenant, stage } of found) {
      if (!this.isIsolated(tenant)) this.cases.set(tenant, { ...NEW_CASE, stage })
    }
  }

  /** Tenants of which anything is kept. */
  get known(): number {
    return new Set([...this.rates.keys(), ...this.cases.keys()]).size
  }

  /** Ends a second. @param contended whether the region had no time for all that was asked */
  tick(contended: boolean): ReadonlyArray<IsolationChange> {
    this.endSecond()
    const rates = [...this.rates.values()]
    this.level = contended ? fairLevel(rates, this.capacity) : Number.POSITIVE_INFINITY
    const inTheMiddle = contended ? middleOf(rates) : 0
    const exceeds = (tenant: TenantNumber, { share, middle }: typeof ENTER): boolean => {
      const rate = this.rates.get(tenant)
      if (!contended || rate === undefined) return false
      const asked = rate.asked / rate.weight
      return asked > share * this.level && asked > middle * inTheMiddle
    }
    const suspects = new Set(this.cases.keys())
    for (const tenant of this.rates.keys()) if (exceeds(tenant, ENTER)) suspects.add(tenant)
    const changes: IsolationChange[] = []
    for (const tenant of suspects) {
      const before = this.cases.get(tenant) ?? NEW_CASE
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
    const rate = this.rates.get(tenant)
    // It has been silent for long: no weight, of which an infinite level would be no number.
    if (rate === undefined) return { asked: 0, fair: 0 }
    return { asked: rate.asked, fair: Math.min(rate.asked, this.level * rate.weight) }
  }

  private rateOf(tenant: TenantNumber): Rate {
    const known = this.rates.get(tenant)
    if (known !== undefined) return known
    const rate = (this.rates.size < MAX_TENANTS ? undefined : this.takeSmall()) ?? newRate()
    this.rates.set(tenant, rate)
    return rate
  }

  /**
   * Of one that asks for no more than most, whom the next one goes on for: so the sums of all stay true, and whoever asks for more
   * is never forgotten (Space-Saving, as in observe/top_tenants.ts).
   */
  private takeSmall(): Rate | undefined {
    const fair = this.total / this.rates.size
    const small = this.hand.next((tenant) => askedOf(this.rates.get(tenant)) <= fair)
    const rate = small && this.rates.get(small)
    if (small !== undefined) this.rates.delete(small)
    return rate
  }

  private endSecond(): void {
    let served = 0
    this.total = 0
    for (const [tenant, rate] of this.rates) {
      rate.asked += (rate.asking - rate.asked) * WEIGHT
      served += rate.served
      rate.asking = 0
      rate.served = 0
      if (rate.asked < NEXT_TO_NOTHING) this.rates.delete(tenant)
      else this.total += rate.asked
    }
    this.capacity += (served - this.capacity) * WEIGHT
  }
}

/** @returns undefined once nothing has to be kept */
function judged(before: Case, exceeds: boolean): Case | undefined {
  const { stage, calmNeeded, eased } = before
  const longer = Math.min(MOST_CALM_SECONDS, calmNeeded * 2)
  if (exceeds) {
    const strikes = before.strikes + 1
    if (stage === undefined && strikes >= SECONDS_TO_SLOW) return { ...NEW_CASE, stage: 'slowed', calmNeeded }
    if (stage === 'slowed' && strikes >= SECONDS_TO_LIMIT) {
      // It asked for less because it was limited, and for no other reason.
      return { ...NEW_CASE, stage: 'limited', calmNeeded: eased ? longer : calmNeeded }
    }
    return { ...before, strikes, calm: 0 }
  }
  const calm = before.calm + 1
  if (stage === undefined) {
    const isForgotten = calmNeeded === CALM_SECONDS || calm >= FORGET_SECONDS
    return isForgotten ? undefined : { ...before, strikes: 0, calm }
  }
  if (calm < calmNeeded) return { ...before, strikes: 0, calm }
  if (stage === 'limited') return { ...NEW_CASE, stage: 'slowed', calmNeeded, eased: true }
  return { ...NEW_CASE, calmNeeded: longer }
}

/** What is asked for weight 1 by the one in the middle; of an even number, by the one that asks for less. */
function middleOf(rates: ReadonlyArray<{ asked: number; weight: number }>): number {
  const sorted = rates.map(({ asked, weight }) => asked / weight).toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
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
