// What this isolate has decided without a region, until a forward takes the counts along. Counts of a forward that did
// not arrive are put back: they may be told twice, never lost while the isolate lives.
import { EDGE_COUNTS_NAMES, type EdgeCount, type EdgeCounts, writeCounts } from '../shared/edge_counts.ts'

export class Counts {
  private counts: EdgeCounts = {}

  add(name: EdgeCount, count = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + count
  }

  /** @returns undefined when there is nothing to tell. */
  take(): { text: string; putBack: () => void } | undefined {
    const taken = this.counts
    if (Object.keys(taken).length === 0) return undefined
    this.counts = {}
    return {
      text: writeCounts(taken),
      putBack: () => {
        for (const name of EDGE_COUNTS_NAMES) if (taken[name] !== undefined) this.add(name, taken[name])
      },
    }
  }
}
