// An open-loop load generator: requests arrive as a Poisson process and do not wait for the answers of others, and a
// request's time counts from the moment at which it was to be sent. So a server that stops for a second delays all that
// arrive in that second, as it would delay users, instead of pausing the measurement with it ("coordinated omission").
import type { Random } from '../faults/random.ts'
import { percentile } from './closed_loop.ts'
import { type Answer, type Answered, Connection } from './traffic/connection.ts'

export interface Request {
  /** Whose figures it counts among. */
  group: string
  bytes: Buffer
}

export interface OpenLoad {
  origin: string
  /** All groups together. */
  perSecond: number
  next: () => Request
  /** Before it counts. */
  warmUpMs: number
  durationMs: number
  random: Random
  /** More requests than these wait here for a connection, and their time counts. */
  maxConnections?: number
  /** For answers that are still to come when the last request has been sent. */
  patienceMs?: number
}

/** What became of the requests of one group that were to be sent while it counted. */
export interface Outcome {
  asked: number
  /** Of those that succeeded (2xx). */
  latenciesMs: number[]
  /** Successful answers that came while it counted. */
  goodPerSecond: number
  /** 429 and 503 with `Retry-After`, by status. */
  refused: Record<string, number>
  /** Everything else: other statuses, connections that broke, answers that never came. */
  errors: Record<string, number>
}

export interface OpenMeasured {
  groups: Map<string, Outcome>
  /** All groups together. */
  total: Outcome
  /** How late the generator itself sent the latest hundredth: more than some milliseconds, and it measures itself. */
  sentLateP99Ms: number
  /** The most that it had unanswered at a time. */
  mostUnanswered: number
}

const MAX_CONNECTIONS = 2_048
const PATIENCE_MS = 15_000

export async function measureOpen(load: OpenLoad): Promise<OpenMeasured> {
  const run = new Run(load)
  await run.over
  return run.measured()
}

class Run {
  readonly over: Promise<void>
  private readonly end = Promise.withResolvers<void>()
  private readonly load: OpenLoad
  private readonly origin: URL
  private readonly idle: Connection[] = []
  private readonly all = new Set<Connection>()
  private readonly waiting: Array<() => void> = []
  private readonly groups = new Map<string, Outcome>()
  private readonly lateMs: number[] = []
  private readonly fromMs: number
  private readonly untilMs: number
  private dueMs: number
  /** How each of them ends is still to be told, whether or not it has a connection. */
  private readonly unanswered = new Set<Answered>()
  private mostUnanswered = 0
  private closing = false

  constructor(load: OpenLoad) {
    this.load = load
    this.origin = new URL(load.origin)
    this.over = this.end.promise
    this.dueMs = performance.now()
    this.fromMs = this.dueMs + load.warmUpMs
    this.untilMs = this.fromMs + load.durationMs
    this.sendDue()
  }

  measured(): OpenMeasured {
    const total = emptyOutcome()
    for (const outcome of this.groups.values()) {
      total.asked += outcome.asked
      for (const ms of outcome.latenciesMs) total.latenciesMs.push(ms)
      total.goodPerSecond += outcome.goodPerSecond
      for (const kind of ['refused', 'errors'] as const) {
        for (const [what, count] of Object.entries(outcome[kind])) {
          total[kind][what] = (total[kind][what] ?? 0) + count
        }
      }
    }
    return {
      groups: this.groups,
      total,
      sentLateP99Ms: percentile(this.lateMs, 99),
      mostUnanswered: this.mostUnanswered,
    }
  }

  private sendDue(): void {
    const nowMs = performance.now()
    while (this.dueMs <= nowMs && this.dueMs < this.untilMs) {
      this.arrive(this.load.next(), this.dueMs)
      // Times between arrivals of a Poisson process.
      this.dueMs += (-Math.log(1 - this.load.random.next()) / this.load.perSecond) * 1_000
    }
    if (this.dueMs < this.untilMs) setTimeout(() => this.sendDue(), 1)
    else this.awaitAnswers()
  }

  private awaitAnswers(): void {
    const { patienceMs = PATIENCE_MS } = this.load
    const isOver = () => this.unanswered.size === 0 || performance.now() > this.untilMs + patienceMs
    const timer = setInterval(() => {
      if (performance.now() < this.untilMs || !isOver()) return
      clearInterval(timer)
      this.closing = true
      this.waiting.length = 0
      for (const answered of this.unanswered) answered(undefined)
      for (const connection of this.all) connection.close()
      this.end.resolve()
    }, 10)
  }

  private arrive({ group, bytes }: Request, dueMs: number): void {
    const { maxConnections = MAX_CONNECTIONS } = this.load
    const counts = dueMs >= this.fromMs
    const outcome = this.outcomeOf(group)
    if (counts) outcome.asked++
    const answered: Answered = (answer) => {
      if (this.unanswered.delete(answered)) this.note(outcome, answer, dueMs, counts)
    }
    this.unanswered.add(answered)
    this.mostUnanswered = Math.max(this.mostUnanswered, this.unanswered.size)
    const send = () => {
      const connection = this.idle.pop() ?? this.connect()
      if (counts) this.lateMs.push(performance.now() - dueMs)
      connection.ask(bytes, (answer) => {
        // One that broke leaves its place to another.
        if (answer !== undefined) this.idle.push(connection)
        this.waiting.shift()?.()
        answered(answer)
      })
    }
    if (this.idle.length === 0 && this.all.size >= maxConnections) this.waiting.push(send)
    else send()
  }

  private connect(): Connection {
    const connection = new Connection(this.origin, (closed) => {
      this.all.delete(closed)
      const at = this.idle.indexOf(closed)
      if (at >= 0) this.idle.splice(at, 1)
    })
    this.all.add(connection)
    return connection
  }

  private note(outcome: Outcome, answer: Answer | undefined, dueMs: number, counts: boolean): void {
    const nowMs = performance.now()
    const status = answer?.status ?? 0
    const isGood = status >= 200 && status < 300
    if (isGood && nowMs >= this.fromMs && nowMs < this.untilMs) {
      outcome.goodPerSecond += 1_000 / this.load.durationMs
    }
    if (!counts) return
    if (isGood) {
      outcome.latenciesMs.push(nowMs - dueMs)
    } else if (answer !== undefined && isRefusal(answer)) {
      outcome.refused[status] = (outcome.refused[status] ?? 0) + 1
    } else {
      const what = answer?.status ?? (this.closing ? 'no answer' : 'connection broke')
      outcome.errors[what] = (outcome.errors[what] ?? 0) + 1
    }
  }

  private outcomeOf(group: string): Outcome {
    const known = this.groups.get(group)
    if (known !== undefined) return known
    const made = emptyOutcome()
    this.groups.set(group, made)
    return made
  }
}

const emptyOutcome = (): Outcome => ({ asked: 0, latenciesMs: [], goodPerSecond: 0, refused: {}, errors: {} })

/** A refusal that says when to come again; one that does not is an error like any other. */
const isRefusal = ({ status, head }: Answer): boolean =>
  (status === 429 || status === 503) && /\r\nretry-after: *\d/i.test(head)

export const countOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)
