// ChaosDatabase: the engine's native interface with faults in it, drawn from a seed. It lies where a cluster's client
// would, below the fence and all of ours: read errors, refused commits, delay, and commits of unknown outcome, which
// may have landed, may never land, or may land later, after the caller was told and has begun again.
import type { NativeDatabase, NativeTransaction } from '../../regional/storage/foundationdb.ts'
import { ChaosTransaction } from './chaos_transaction.ts'
import type { Random } from './random.ts'

/** How often what goes wrong, from 0 to 1. */
export interface ChaosPlan {
  /** A read answers with one of {@link readFaults}. */
  read: number
  /** A read version is refused with one of {@link readVersionFaults}. */
  readVersion: number
  /** A commit is refused with one of {@link refusedCommits}, and has surely not landed. */
  refused: number
  /** A commit answers with one of {@link unknownResults}: it landed, it never will, or it lands later. */
  unknown: number
  /**
   * A commit begins a time of doom for the last key that it writes, which in our transactions is the id that it knows
   * itself by: this one and the next commits that write it are lost, or land long after, and none is heard of.
   */
  doomed: number
  /** An answer is held back, up to `delayMs`. */
  delay: number
  delayMs: number
  /** A commit that lands later does so within so many further calls of anyone. */
  lateCalls: number
}

/** More than a caller tries. */
const MAX_DOOMED_COMMITS = 24

/** About one transaction in three meets a fault. */
export const STORMY: ChaosPlan = {
  read: 0.02,
  readVersion: 0.02,
  refused: 0.06,
  unknown: 0.15,
  doomed: 0.003,
  delay: 0.1,
  delayMs: 3,
  lateCalls: 60,
}

export const CALM: ChaosPlan = {
  read: 0,
  readVersion: 0,
  refused: 0,
  unknown: 0,
  doomed: 0,
  delay: 0,
  delayMs: 0,
  lateCalls: 0,
}

/** What happened so far: the proof that a run met what it was meant to meet. */
export interface ChaosCounts {
  transactions: number
  faults: Record<number, number>
  /** Outcomes behind unknown results. `lateLanded` of the `late` ones were not refused when they came. */
  landed: number
  lost: number
  late: number
  lateLanded: number
}

export class ChaosDatabase implements NativeDatabase {
  readonly random: Random
  plan: ChaosPlan
  readonly counts: ChaosCounts = { transactions: 0, faults: {}, landed: 0, lost: 0, late: 0, lateLanded: 0 }
  private readonly engine: NativeDatabase
  private readonly waiting: Array<{ calls: number; land: () => void }> = []
  /** By key, how many more commits are not heard of. */
  private readonly doom = new Map<string, number>()
  private readonly landing = new Set<Promise<void>>()

  constructor(engine: NativeDatabase, random: Random, plan: ChaosPlan = STORMY) {
    this.engine = engine
    this.random = random
    this.plan = plan
  }

  createTransaction(): NativeTransaction {
    this.counts.transactions++
    return new ChaosTransaction(this, () => this.engine.createTransaction())
  }

  setOption(code: number, param: string | number | Buffer | null): void {
    this.engine.setOption(code, param)
  }

  close(): void {
    this.engine.close()
  }

  /** Whether a commit that writes this key last is one of the doomed. */
  isDoomed(key: string): boolean {
    if (this.plan.doomed === 0) return false
    if (!this.doom.has(key) && this.random.chance(this.plan.doomed)) {
      this.doom.set(key, 1 + this.random.below(MAX_DOOMED_COMMITS))
    }
    const left = this.doom.get(key) ?? 0
    this.doom.set(key, left - 1)
    if (left <= 0) this.doom.delete(key)
    return left > 0
  }

  /** No faults from here on; returns when every late commit has landed or was refused. */
  async settle(): Promise<void> {
    this.plan = CALM
    for (const { land } of this.waiting.splice(0)) land()
    while (this.landing.size > 0) await Promise.all(this.landing)
  }

  /** One more call by anyone: late commits count them. */
  tick(): void {
    for (const late of this.waiting) late.calls--
    const due = this.waiting.filter(({ calls }) => calls <= 0)
    for (const late of due) {
      this.waiting.splice(this.waiting.indexOf(late), 1)
      late.land()
    }
  }

  /** Issues this transaction's commit after a number of further calls, whether anyone waits for it or not. */
  landLater(engine: NativeTransaction, withinCalls: number): void {
    this.counts.late++
    const land = () => {
      const landing: Promise<void> = engine
        .commit()
        .then(
          () => {
            this.counts.lateLanded++
          },
          // A conflict, most often: what the caller did meanwhile must keep it out.
          () => {},
        )
        .finally(() => this.landing.delete(landing))
      this.landing.add(landing)
    }
    this.waiting.push({ calls: 1 + this.random.below(withinCalls), land })
  }
}
