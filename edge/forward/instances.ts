// The instances of one region as this isolate knows them: whose turn it is, and who has stopped answering. One that is
// passed over costs nobody its timeout, because the edge itself finds out whether it is back, beside the requests; the region
// is given up on only when all of its instances are.
import { ALIVE, type Breaker, CLOSED, failed, isOpen, opened, probed } from './breaker.ts'
import { ask } from './question.ts'

/** Instances that one request waits for. */
export const MAX_TURNS = 2
/** Whoever runs at all answers this within. */
const ALIVE_WITHIN_MS = 1_000

export class Instances {
  /** Without a trailing slash, one an instance; never empty. */
  readonly origins: readonly [string, ...string[]]
  private readonly waitUntil: (work: Promise<unknown>) => void
  private readonly breakers = new Map<string, Breaker>()
  private turn = 0

  /** @param waitUntil keeps a probe alive beyond the request that it was sent beside */
  constructor(origins: Instances['origins'], waitUntil: (work: Promise<unknown>) => void) {
    this.origins = origins
    this.waitUntil = waitUntil
  }

  /**
   * Who to ask, in this order, of those that answer; empty when none does. Only where nobody is left the request waits for
   * probes, which take its place: no change is in doubt by them.
   */
  async inTurn(maySendTwice: boolean, nowMs: number): Promise<ReadonlyArray<string>> {
    const probes = this.origins.map((origin) => this.probe(origin, nowMs))
    if (this.answering().length === 0) await Promise.all(probes)
    const answering = this.answering()
    const start = this.turn++ % answering.length
    const inTurn = [...answering.slice(start), ...answering.slice(0, start)]
    return inTurn.slice(0, maySendTwice ? MAX_TURNS : 1)
  }

  answered(origin: string): void {
    this.breakers.set(origin, CLOSED)
  }

  unreachable(origin: string, nowMs: number): void {
    this.breakers.set(origin, failed(this.breakerOf(origin), nowMs))
  }

  /** It says itself that it is leaving, or says nothing at all. */
  passOver(origin: string, nowMs: number): void {
    this.breakers.set(origin, opened(nowMs))
  }

  /**
   * Whether one that leaves a request without an answer says nothing else either, and another one would. From then on nobody
   * waits for it. What only takes long is waited for: sending it again would double the work.
   */
  async isSilent(origin: string): Promise<boolean> {
    const isLast = () => this.answering().every((other) => other === origin)
    if (isLast() || (await this.isAlive(origin, ALIVE_WITHIN_MS)) || isLast()) return false
    this.passOver(origin, Date.now())
    return true
  }

  /** Of one that is passed over, when its time has come. */
  private probe(origin: string, nowMs: number): Promise<void> | undefined {
    const breaker = probed(this.breakerOf(origin), nowMs)
    if (breaker === undefined) return undefined
    this.breakers.set(origin, breaker)
    return this.isAlive(origin, breaker.probeAtMs - nowMs).then((isAlive) => {
      if (isAlive) this.breakers.set(origin, ALIVE)
    })
  }

  /** Finds out also when the client has gone that it began for. */
  private isAlive(origin: string, withinMs: number): Promise<boolean> {
    const finding = ask(`${origin}/healthz`, {}, withinMs).then(async (result) => {
      if (result.outcome !== 'answered') return false
      await result.response.body?.cancel()
      return true
    })
    this.waitUntil(finding)
    return finding
  }

  private answering(): string[] {
    return this.origins.filter((origin) => !isOpen(this.breakerOf(origin)))
  }

  private breakerOf(origin: string): Breaker {
    return this.breakers.get(origin) ?? CLOSED
  }
}
