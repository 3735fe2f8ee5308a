// What a request costs a region, in request units: 1 is a read of one small resource by an API key, about a tenth of a
// millisecond of the process. The prices below were fitted to processor time measured on the embedded engine
// (docs/fairness.md); what matters for fair shares is their ratio.
import type { TransactionMeter } from '../storage/metered.ts'

/** Of every request: its assertion, its route, its answer's head. */
const REQUEST = 0.4
const READ = 0.2
const ROW = 0.03
const READ_KIB = 0.06
const WRITE = 0.2
const WRITTEN_KIB = 0.25
const COMMIT = 1.8
/** Of the process, where it is measured as such: reading a body, writing an answer. */
const CPU_MS = 10

/** Counts what one request does. Everything that its transactions do, attempts that failed included. */
export class CostMeter implements TransactionMeter {
  reads = 0
  private units = REQUEST
  private readonly onCommit: (outcome: Promise<void>) => void

  /** @param onCommit told of each commit as it begins */
  constructor(onCommit: (outcome: Promise<void>) => void = () => {}) {
    this.onCommit = onCommit
  }

  read(bytes: number): void {
    this.reads++
    this.units += READ + (bytes / 1_024) * READ_KIB
  }

  rows(count: number, bytes: number): void {
    this.reads++
    this.units += READ + count * ROW + (bytes / 1_024) * READ_KIB
  }

  write(bytes: number): void {
    this.units += WRITE + (bytes / 1_024) * WRITTEN_KIB
  }

  commit(outcome: Promise<void>): void {
    this.units += COMMIT
    this.onCommit(outcome)
  }

  /** Time that the process did nothing else. */
  busy(ms: number): void {
    this.units += ms * CPU_MS
  }

  /** Runs `work`, which must not wait for anything, and counts its time. */
  timed<T>(work: () => T): T {
    const from = performance.now()
    try {
      return work()
    } finally {
      this.busy(performance.now() - from)
    }
  }

  /** Request units so far. */
  get total(): number {
    return this.units
  }
}
