// Limits that hold in this isolate alone: a key's and an address's share of its tenant, and what may be read while the
// tenant's object does not answer. Bounded in number: what is forgotten begins again with a full burst.
import type { Limit } from '../../shared/limits.ts'
import { Lru } from '../lru.ts'
import { admit, conforming, emptyMeter, type Meter } from './gcra.ts'

const CAPACITY = 20_000

export type LocalVerdict =
  | { outcome: 'admitted'; left: number }
  | { outcome: 'throttled'; retryAfterMs: number }

export class LocalMeters {
  private readonly meters = new Lru<string, Meter>(CAPACITY)

  admit(name: string, limit: Limit, units: number, nowMs: number): LocalVerdict {
    const verdict = admit(this.meters.get(name) ?? emptyMeter(nowMs), limit, nowMs, units)
    if (!verdict.conforms) return { outcome: 'throttled', retryAfterMs: verdict.retryAfterMs }
    this.meters.set(name, verdict.meter)
    return { outcome: 'admitted', left: Math.floor(conforming(verdict.meter, limit, nowMs)) }
  }

  /** For a request that another policy has refused. */
  giveBack(name: string, units: number): void {
    const meter = this.meters.get(name)
    if (meter) this.meters.set(name, { ...meter, backlog: Math.max(0, meter.backlog - units) })
  }
}
