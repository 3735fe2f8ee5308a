// Keys that this isolate has verified, so that a busy one is not verified again with every request. Nothing goes
// stale: the tag of a text never changes, and whether the key is still valid, the region reads each time anyway.

/** What an isolate with 128 MB can spare without noticing. */
const CAPACITY = 10_000

/** Least recently used first, as a Map keeps the order of insertion. Only what was verified may be put in. */
export class Remembered<T> {
  private readonly entries = new Map<string, T>()
  private readonly capacity: number

  constructor(capacity = CAPACITY) {
    this.capacity = capacity
  }

  get(text: string): T | undefined {
    const found = this.entries.get(text)
    if (found !== undefined) {
      this.entries.delete(text)
      this.entries.set(text, found)
    }
    return found
  }

  put(text: string, value: T): void {
    this.entries.set(text, value)
    if (this.entries.size <= this.capacity) return
    const [oldest] = this.entries.keys()
    if (oldest !== undefined) this.entries.delete(oldest)
  }
}
