// What the edges say they have decided without this region (shared/edge_counts.ts), added up since the process began, and
// told to the operator through the log.
import { EDGE_COUNTS_NAMES, type EdgeCount, type EdgeCounts, readCounts } from '../shared/edge_counts.ts'
import type { Log } from './log.ts'

export class EdgeCounters {
  private readonly counts = Object.fromEntries(EDGE_COUNTS_NAMES.map((name) => [name, 0])) as Record<
    EdgeCount,
    number
  >
  private changed = false

  /** @param text the header of a request whose assertion held */
  add(text: string): void {
    for (const [name, count] of Object.entries(readCounts(text)) as Array<[EdgeCount, number]>) {
      this.counts[name] += count
      this.changed = true
    }
  }

  get totals(): Required<EdgeCounts> {
    return { ...this.counts }
  }

  /** Says nothing when there is nothing new. */
  async tell(log: Log): Promise<void> {
    if (!this.changed) return
    this.changed = false
    log.info('what the edges refused, or let through without a limiter, so far', this.totals)
  }
}
