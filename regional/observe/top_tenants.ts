// Which tenants get a label of their own in metrics: those that used the most lately, and never more than so many, so that
// what a scrape costs does not grow with the number of tenants. Candidates are counted by Space-Saving (Metwally,
// Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams, ICDT 2005): with c counters
// whoever has more than a c-th of all units is surely among them. Pure: whoever calls says when a round is over.
import type { TenantNumber } from '../../shared/tenant.ts'
import { ClockHand } from '../clock_hand.ts'

/** Counters for each label: enough that small tenants, coming and going, do not push out a large one. */
const COUNTERS_PER_LABEL = 8
/** What was used a round ago counts half. */
const DECAY = 0.5
/** Whoever has a label keeps it until another has clearly more: a label that comes and goes is no use in a graph. */
const STICKY = 1.25

export const OTHER = 'other'

export class TopTenants {
  private readonly labels: number
  private readonly counters = new Map<TenantNumber, number>()
  /** Of all counters. */
  private total = 0
  private readonly hand = new ClockHand(this.counters)
  private labelled = new Set<TenantNumber>()

  constructor(labels: number) {
    this.labels = labels
  }

  /** @returns the label that these units are to be counted under */
  note(tenant: TenantNumber, units: number): string {
    const count = this.counters.get(tenant)
    if (count !== undefined) this.counters.set(tenant, count + units)
    else if (this.counters.size < this.labels * COUNTERS_PER_LABEL) this.counters.set(tenant, units)
    else this.replaceSmall(tenant, units)
    this.total += units
    return this.labelled.has(tenant) ? String(tenant) : OTHER
  }

  /** Gives out the labels anew. @returns those that nobody has any more */
  round(): ReadonlyArray<string> {
    const before = this.labelled
    const weight = ([tenant, units]: [TenantNumber, number]) => units * (before.has(tenant) ? STICKY : 1)
    const largest = [...this.counters].sort((a, b) => weight(b) - weight(a)).slice(0, this.labels)
    this.labelled = new Set(largest.map(([tenant]) => tenant))
    for (const [tenant, units] of this.counters) {
      if (units < 1) this.counters.delete(tenant)
      else this.counters.set(tenant, units * DECAY)
    }
    this.total = [...this.counters.values()].reduce((sum, units) => sum + units, 0)
    return [...before].filter((tenant) => !this.labelled.has(tenant)).map(String)
  }

  /**
   * In place of one that has no more than a fair part of all units, so that nobody with more is ever forgotten: the least has no
   * more, but to find it would be a look at all of them with each request. The newcomer inherits the count: it can't have had
   * more before, or it would still be here.
   */
  private replaceSmall(tenant: TenantNumber, units: number): void {
    const fair = this.total / this.counters.size
    const countOf = (each: TenantNumber) => this.counters.get(each) ?? 0
    // After a whole round only what sums round off can be in the way.
    const small = this.hand.next((each) => countOf(each) <= fair)
    if (small === undefined) return
    const count = countOf(small)
    this.counters.delete(small)
    this.counters.set(tenant, count + units)
  }
}
