// Deficit round robin over one bounded queue a flow: each flow in turn may spend a quantum, times its weight, on what it
// has waiting; what it does not spend of it stays for its next turn. (Shreedhar and Varghese, "Efficient Fair Queuing
// Using Deficit Round-Robin", IEEE/ACM Transactions on Networking 4(3), 1996.) Ours differs in one thing: what a request
// costs is only known afterwards, so its flow is charged an estimate when it is served, and the rest as soon as it is
// measured. A deficit may therefore be below zero: a debt, which the flow's next turns pay first.
// Pure: no clock and no I/O. Flows without anything waiting, under way or owed are forgotten.

export interface FairQueueOptions {
  /** Units that a flow of weight 1 may spend in its turn. */
  quantum: number
  /** Requests that one flow may have waiting, beside those offered without a bound. */
  perFlow: number
  /** The same of all flows together. */
  total: number
}

export interface Waiting<K, T> {
  readonly flow: K
  /** In units, as estimated. */
  readonly cost: number
  /** False: it counts for no bound, and its place is nobody else's. */
  readonly bounded: boolean
  readonly item: T
}

export type Offer<K, T> =
  | { outcome: 'queued' }
  /** It was put in the place of the last one of the longest queue. */
  | { outcome: 'queued'; instead: Waiting<K, T> }
  | { outcome: 'full' }

interface Flow<K, T> {
  weight: number
  deficit: number
  /** Its turn has begun: it had its quantum. */
  inTurn: boolean
  readonly queue: Array<Waiting<K, T>>
  /** So many of its queue are bounded. */
  bounded: number
  /** Served, and not yet settled. */
  underWay: number
}

/** A flow's debt is never more than so many of its turns, so that it is never shut out for long. */
const MAX_DEBT_TURNS = 64
/** Flows that owe something and have nothing else; of more, the oldest are forgiven. */
const MAX_DEBTORS = 1_024

export class FairQueue<K, T> {
  private readonly options: FairQueueOptions
  private readonly flows = new Map<K, Flow<K, T>>()
  /** Those with something waiting, in the order of their turns. */
  private readonly active = new Map<K, Flow<K, T>>()
  /** By weight, how many of those there are. */
  private readonly activeOf = new Map<number, number>()
  private readonly debtors = new Set<K>()
  private waitingCount = 0
  private boundedCount = 0

  constructor(options: FairQueueOptions) {
    this.options = options
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.waitingCount
  }

  /** Flows that anything is kept of. */
  get known(): number {
    return this.flows.size
  }

  waitingOf(key: K): number {
    return this.flows.get(key)?.queue.length ?? 0
  }

  /**
   * Puts a request at the end of its flow's queue.
   * @param weight of the flow from now on, above 0
   * @param bounded false for those whose number whoever offers them keeps small: they are never refused, nor put out
   */
  offer(flow: K, weight: number, cost: number, item: T, bounded = true): Offer<K, T> {
    const known = this.flows.get(flow)
    const isFull = bounded && this.boundedCount >= this.options.total
    if (bounded && (known?.bounded ?? 0) >= this.options.perFlow) return { outcome: 'full' }
    const instead = isFull ? this.stealFor(known) : undefined
    if (isFull && instead === undefined) return { outcome: 'full' }
    const of = this.flowOf(flow, weight)
    of.queue.push({ flow, cost, bounded, item })
    this.count(of, bounded, 1)
    if (of.queue.length === 1) {
      this.active.set(flow, of)
      this.weigh(weight, 1)
    }
    this.debtors.delete(flow)
    return instead === undefined ? { outcome: 'queued' } : { outcome: 'queued', instead }
  }

  /**
   * Takes out the request whose turn it is, and charges its flow the estimate. Each is to be {@link settle}d.
   * @param mayServe false passes a flow over, which keeps its place; told its weight, as part of the largest that waits
   * @returns undefined when nothing waits that may be served
   */
  next(mayServe: (flow: K, part: number) => boolean = () => true): Waiting<K, T> | undefined {
    const largest = Math.max(...this.activeOf.keys())
    for (;;) {
      const inDebt: Array<Flow<K, T>> = []
      let left = this.active.size
      // Whoever's turn is over goes to the end, where this walk must not meet it again.
      for (const [key, flow] of this.active) {
        if (left-- === 0) break
        const [head] = flow.queue
        if (head === undefined || !mayServe(key, flow.weight / largest)) continue
        if (!flow.inTurn) {
          flow.deficit += this.turnOf(flow)
          flow.inTurn = true
        }
        if (head.cost <= flow.deficit) {
          this.serve(key, flow, head)
          return head
        }
        flow.inTurn = false
        inDebt.push(flow)
        this.active.delete(key)
        this.active.set(key, flow)
      }
      if (inDebt.length === 0) return undefined
      this.passRounds(inDebt)
    }
  }

  /**
   * Says what a served request turned out to cost. Nothing is owed while nobody waits: what nobody else wanted is free.
   * @param difference measured less estimated, in units
   */
  settle(key: K, difference: number): void {
    const flow = this.flows.get(key)
    if (flow === undefined) return
    flow.underWay = Math.max(0, flow.underWay - 1)
    const most = flow.queue.length > 0 ? Number.POSITIVE_INFINITY : 0
    const least = -MAX_DEBT_TURNS * this.turnOf(flow)
    flow.deficit = Math.min(most, Math.max(least, flow.deficit - difference))
    if (this.waitingCount === 0) this.forgive(key, flow)
    this.forgetIfIdle(key, flow)
  }

  /** Takes waiting requests out, such as those whose time is over. */
  remove(isOver: (item: T) => boolean): Array<Waiting<K, T>> {
    const removed: Array<Waiting<K, T>> = []
    for (const [key, flow] of this.active) {
      if (!flow.queue.some(({ item }) => isOver(item))) continue
      const kept = flow.queue.filter((each) => {
        if (!isOver(each.item)) return true
        removed.push(each)
        this.count(flow, each.bounded, -1)
        return false
      })
      flow.queue.splice(0, flow.queue.length, ...kept)
      if (kept.length === 0) this.rest(key, flow)
    }
    return removed
  }

  private flowOf(key: K, weight: number): Flow<K, T> {
    const known = this.flows.get(key)
    if (known !== undefined) {
      if (this.active.has(key) && known.weight !== weight) {
        this.weigh(known.weight, -1)
        this.weigh(weight, 1)
      }
      known.weight = weight
      return known
    }
    const made: Flow<K, T> = { weight, deficit: 0, inTurn: false, queue: [], bounded: 0, underWay: 0 }
    this.flows.set(key, made)
    return made
  }

  /** Units that a flow may spend in one turn. */
  private turnOf({ weight }: Flow<K, T>): number {
    return this.options.quantum * weight
  }

  private weigh(weight: number, change: 1 | -1): void {
    const count = (this.activeOf.get(weight) ?? 0) + change
    if (count > 0) this.activeOf.set(weight, count)
    else this.activeOf.delete(weight)
  }

  private count(flow: Flow<K, T>, bounded: boolean, change: 1 | -1): void {
    this.waitingCount += change
    if (!bounded) return
    this.boundedCount += change
    flow.bounded += change
  }

  private serve(key: K, flow: Flow<K, T>, head: Waiting<K, T>): void {
    flow.queue.shift()
    this.count(flow, head.bounded, -1)
    flow.deficit -= head.cost
    flow.underWay++
    if (flow.queue.length === 0) this.rest(key, flow)
  }

  /** Nothing of it waits any more: what it has not spent is gone, what it owes is not. */
  private rest(key: K, flow: Flow<K, T>): void {
    this.active.delete(key)
    this.weigh(flow.weight, -1)
    flow.inTurn = false
    flow.deficit = Math.min(0, flow.deficit)
    this.forgetIfIdle(key, flow)
  }

  /** So many rounds in one step that the first of them can be served: turns that would only pay debts are not walked. */
  private passRounds(flows: ReadonlyArray<Flow<K, T>>): void {
    let rounds = Number.POSITIVE_INFINITY
    for (const flow of flows) {
      const missing = (flow.queue[0]?.cost ?? 0) - flow.deficit
      rounds = Math.min(rounds, Math.ceil(missing / this.turnOf(flow)))
    }
    // The last of them is the turn that each will have.
    for (const flow of flows) flow.deficit += Math.max(0, rounds - 1) * this.turnOf(flow)
  }

  /** The last bounded one of the queue that has most of them for its weight, if it has more than the one to grow. */
  private stealFor(growing: Flow<K, T> | undefined): Waiting<K, T> | undefined {
    let longest: Flow<K, T> | undefined
    for (const flow of this.active.values()) {
      if (longest === undefined || lengthOf(flow) > lengthOf(longest)) longest = flow
    }
    if (longest === undefined || longest === growing || longest.bounded < 2) return undefined
    if (growing !== undefined && lengthOf(growing) + 1 / growing.weight >= lengthOf(longest)) return undefined
    const last = longest.queue.findLastIndex(({ bounded }) => bounded)
    const [stolen] = longest.queue.splice(last, 1)
    if (stolen !== undefined) this.count(longest, true, -1)
    return stolen
  }

  private forgive(key: K, flow: Flow<K, T>): void {
    flow.deficit = 0
    this.debtors.delete(key)
    for (const debtor of this.debtors) {
      const idle = this.flows.get(debtor)
      if (idle !== undefined) idle.deficit = 0
      this.flows.delete(debtor)
    }
    this.debtors.clear()
  }

  private forgetIfIdle(key: K, flow: Flow<K, T>): void {
    if (flow.queue.length > 0 || flow.underWay > 0) return
    if (flow.deficit === 0) {
      this.flows.delete(key)
      return
    }
    this.debtors.add(key)
    const [oldest] = this.debtors
    if (this.debtors.size <= MAX_DEBTORS || oldest === undefined) return
    this.debtors.delete(oldest)
    this.flows.delete(oldest)
  }
}

/** For its weight. */
const lengthOf = <K, T>({ bounded, weight }: Flow<K, T>): number => bounded / weight
