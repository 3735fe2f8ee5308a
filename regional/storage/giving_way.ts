// Long chains of reads give way. The embedded engine has its answer at once, and promises that are settled come before
// everything else that a process does: a transaction that reads and reads would keep all others out. So every so many
// reads it lets the event loop go round, and of all that wait for that, one goes on a round.
/** A millisecond or two of the process. */
const READS_AT_ONCE = 32
/** What a read costs before its first row is worth so many. */
const ROWS_OF_A_READ = 16
/** What costs as much to take out of the file. */
const BYTES_OF_A_READ = 16 * 1024

let last: Promise<void> = Promise.resolve()

const nextRound = (): Promise<void> => {
  last = last.then(() => new Promise((resolve) => void setImmediate(resolve)))
  return last
}

/** The reads of one transaction. */
export class ReadChain {
  private reads = 0
  private round: Promise<void> | undefined

  /** Counts a read that is done. Where it gives a promise, the answer waits for that. */
  after(rows: number, bytes: number): Promise<void> | undefined {
    this.reads += 1 + rows / ROWS_OF_A_READ + bytes / BYTES_OF_A_READ
    if (this.reads >= READS_AT_ONCE) {
      this.round ??= nextRound().then(() => {
        this.reads = 0
        this.round = undefined
      })
    }
    return this.round
  }
}
