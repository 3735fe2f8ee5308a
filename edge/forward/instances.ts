// The instances of one region as this isolate knows them: whose turn it is, and who has stopped answering. One that is
// passed over costs nobody its timeout, because the edge itself finds out whether it is back, beside the requests; the region
// is given up on only when all of its instances are.
import { ALIVE_PATH } from '../../shared/edge_calls.ts'
import { ALIVE, type Breaker, CLOSED, isOpen, opened, probed } from './breaker.ts'
import { ask } from './question.ts'

/** Instances that one request waits for. */
export const MAX_TURNS = 2
/** Whoever runs at all answers this within. */
const ALIVE_WITHIN_MS = 1_000

export interface Instance {
  readonly origin: string
  breaker: Breaker
}

export class Instances {
  readonly all: ReadonlyArray<Instance>
  private readonly waitUntil: (work: Promise<unknown>) => void
  private turn = 0

  /**
   * @param origins without a trailing slash, one an instance; never empty
   * @param waitUntil keeps a probe alive beyond the request that it was sent beside
   */
  constructor(origins: ReadonlyArray<string>, waitUntil: (work: Promise<unknown>) => void) {
    this.all = origins.map((origin) => ({ origin, breaker: CLOSED }))
    this.waitUntil = waitUntil
  }

  /**
   * Who to ask, in this order, of those that answer; empty when none does. Only where nobody is left the request waits for
   * probes, which take its place: no change is in doubt by them.
   */
  async inTurn(maySendTwice: boolean): Promise<ReadonlyArray<Instance>> {
    let answering = this.answering()
    if (answering.length < this.all.length) {
      const probes = this.all.map((instance) => this.probe(instance))
      if (answering.length === 0) await Promise.all(probes)
      answering = this.answering()
    }
    const start = this.turn++ % answering.length
    const inTurn = [...answering.slice(start), ...answering.slice(0, start)]
    return inTurn.slice(0, maySendTwice ? MAX_TURNS : 1)
  }

  /**
   * Whether one that leaves a request without an answer says nothing else either, and another one would. From then on nobody
   * waits for it. What only takes long is waited for: sending it again would double the work.
   */
  async isSilent(instance: Instance): Promise<boolean> {
    const isLast = () => this.answering().every((other) => other === instance)
    if (isLast() || (await this.isAlive(instance, ALIVE_WITHIN_MS)) || isLast()) return false
    instance.breaker = opened(Date.now())
    return true
  }

  /** Of one that is passed over, when its time has come. */
  private async probe(instance: Instance): Promise<void> {
    const nowMs = Date.now()
    const breaker = probed(instance.breaker, nowMs)
    if (breaker === undefined) return
    instance.breaker = breaker
    if (await this.isAlive(instance, breaker.probeAtMs - nowMs)) instance.breaker = ALIVE
  }

  /** Finds out also when the client has gone that it began for. */
  private isAlive({ origin }: Instance, withinMs: number): Promise<boolean> {
    const finding = ask(origin + ALIVE_PATH, {}, withinMs).then(async (result) => {
      if (result.outcome !== 'answered') return false
      await result.response.body?.cancel()
      return true
    })
    this.waitUntil(finding)
    return finding
  }

  private answering(): Instance[] {
    return this.all.filter(({ breaker }) => !isOpen(breaker))
  }
}
