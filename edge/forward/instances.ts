// The instances of one region as this isolate knows them: whose turn it is, and who has stopped answering. An instance
// that is passed over costs nobody its timeout; the region is given up on only when all of its instances are.
import { type Admission, admit, type Breaker, CLOSED, failed, isOpen, left, succeeded } from './breaker.ts'

export interface Turn {
  origin: string
  admission: Admission
}

/** Instances that one request waits for. */
export const MAX_TURNS = 2

export class Instances {
  /** Without a trailing slash, one an instance; never empty. */
  readonly origins: readonly [string, ...string[]]
  private readonly breakers = new Map<string, Breaker>()
  private turn = 0

  constructor(origins: Instances['origins']) {
    this.origins = origins
  }

  /**
   * Who to ask, in this order; empty when none may be asked now. What may be sent twice carries the probes, because a
   * probe that fails then costs it nothing; other requests do so only where nobody else is left.
   */
  inTurn(maySendTwice: boolean, nowMs: number): ReadonlyArray<Turn> {
    const { origins } = this
    this.turn = (this.turn + 1) % Number.MAX_SAFE_INTEGER
    const start = this.turn % origins.length
    const inTurn = [...origins.slice(start), ...origins.slice(0, start)]
    const answering: Turn[] = inTurn
      .filter((origin) => !isOpen(this.breakerOf(origin)))
      .map((origin) => ({ origin, admission: 'pass' }))
    if (!maySendTwice && answering.length > 0) return answering.slice(0, 1)
    return [...this.probe(inTurn, nowMs), ...answering].slice(0, maySendTwice ? MAX_TURNS : 1)
  }

  answered({ origin }: Turn): void {
    this.breakers.set(origin, succeeded())
  }

  /** It did nothing, and says that it is leaving. */
  leaving({ origin }: Turn, nowMs: number): void {
    this.breakers.set(origin, left(nowMs))
  }

  unreachable({ origin, admission }: Turn, nowMs: number): void {
    this.breakers.set(origin, failed(this.breakerOf(origin), admission, nowMs))
  }

  /** How long until one of them may be asked. */
  waitMs(nowMs: number): number {
    return Math.max(0, Math.min(...this.origins.map((origin) => this.breakerOf(origin).probeAtMs)) - nowMs)
  }

  /** The first open one whose time has come. */
  private probe(origins: ReadonlyArray<string>, nowMs: number): ReadonlyArray<Turn> {
    for (const origin of origins) {
      if (!isOpen(this.breakerOf(origin))) continue
      const admitted = admit(this.breakerOf(origin), nowMs)
      if (admitted === undefined) continue
      this.breakers.set(origin, admitted.breaker)
      return [{ origin, admission: admitted.admission }]
    }
    return []
  }

  private breakerOf(origin: string): Breaker {
    return this.breakers.get(origin) ?? CLOSED
  }
}
