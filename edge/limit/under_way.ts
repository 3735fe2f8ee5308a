// What is under way for this isolate's requests. workerd drops a request whose client has left, and nothing of it runs any
// more, not even what would say that it is over: so what takes longer than it may is taken for over.

interface Entry {
  sinceMs: number
  units: number
}

export class UnderWay {
  /** In the order in which they began. */
  private readonly entries = new Set<Entry>()
  private readonly longestMs: number

  constructor(longestMs: number) {
    this.longestMs = longestMs
  }

  /** @returns what ends it */
  begin(nowMs: number, units = 0): () => void {
    const entry = { sinceMs: nowMs, units }
    this.entries.add(entry)
    return () => void this.entries.delete(entry)
  }

  count(nowMs: number): number {
    this.forget(nowMs)
    return this.entries.size
  }

  units(nowMs: number): number {
    this.forget(nowMs)
    let units = 0
    for (const entry of this.entries) units += entry.units
    return units
  }

  private forget(nowMs: number): void {
    for (const entry of this.entries) {
      // Of a clock that went back nobody knows how far.
      if (Math.abs(nowMs - entry.sinceMs) <= this.longestMs) break
      this.entries.delete(entry)
    }
  }
}
