// Limits that hold in this isolate alone: a key's and an address's share of its tenant, and what may be read while the
// tenant's object does not answer. Bounded in number: what is forgotten begins again with a full burst.
import type { Limit } from '../../shared/limits.ts'
import { Lru } from '../lru.ts'
import { admit, chargeOf, conforming, drained, emptyMeter, type Meter } from './gcra.ts'

const CAPACITY = 20_000

export type LocalVerdict =
  /** `charged`: what the units came to. */
  { outcome: 'admitted'; left: number; charged: number } | { outcome: 'throttled'; retryAfterMs: number }

export class LocalMeters {
  private readonly meters = new Lru<string, { meter: Meter }>(CAPACITY)

  admit(name: string, limit: Limit, units: number, nowMs: number): LocalVerdict {
    let kept = this.meters.get(name)
    if (kept === undefined) {
      kept = { meter: emptyMeter(nowMs) }
      this.meters.set(name, kept)
    }
    // Also what is refused is seen from now on: after a clock went back, it would be until it is there again.
    kept.meter = drained(kept.meter, limit, nowMs)
    const charged = chargeOf(units, limit)
    const verdict = admit(kept.meter, limit, nowMs, charged)
    if (!verdict.conforms) return { outcome: 'throttled', retryAfterMs: verdict.retryAfterMs }
    kept.meter = verdict.meter
    return { outcome: 'admitted', left: Math.floor(conforming(kept.meter, limit, nowMs)), charged }
  }

  /** For a request that another policy has refused. */
  giveBack(name: string, units: number): void {
    const kept = this.meters.get(name)
    if (kept) kept.meter = { ...kept.meter, backlog: Math.max(0, kept.meter.backlog - units) }
  }
}
