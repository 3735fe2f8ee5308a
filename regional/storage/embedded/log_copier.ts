// The main thread's side of the log's copier. A checkpoint of the whole log takes tens of milliseconds, in which commits
// would wait; so most of it is done beforehand, beside them.
import { Worker } from 'node:worker_threads'

/** The second copies what came during the first, and leaves what came during itself, which is little. */
const ROUNDS = 2

export interface CopierOptions {
  directory: string
  /** The data file, open until nothing of SQLite has it open. */
  file: number
}

/** Why what was copied could not be synced. Whether the file has it nobody can know any more: the log must not begin anew. */
export type CopierReply = string | undefined

export interface CopierListener {
  /** A round is over. */
  roundOver(unsynced: CopierReply): void
}

export class LogCopier {
  readonly #options: CopierOptions
  readonly #listener: CopierListener
  #worker: Worker | undefined
  #isBusy = false
  /** So many have ended, since it was last said to be done. */
  #rounds = 0

  constructor(options: CopierOptions, listener: CopierListener) {
    this.#options = options
    this.#listener = listener
  }

  /** It is under way. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Whether it has been done, both rounds, once for each time; starts the next round where not: behind a snapshot that has just moved. */
  copied(): boolean {
    if (this.#isBusy) return false
    if (this.#rounds >= ROUNDS) {
      this.#rounds = 0
      return true
    }
    this.#start()
    return false
  }

  #start(): void {
    this.#isBusy = true
    this.#worker ??= this.#open()
    this.#worker.postMessage('copy')
  }

  #open(): Worker {
    const worker = new Worker(new URL('./log_copier_thread.ts', import.meta.url), {
      workerData: this.#options,
      stdout: false,
      stderr: false,
    })
    const over = (unsynced: CopierReply) => {
      if (!this.#isBusy) return
      this.#isBusy = false
      this.#rounds++
      this.#listener.roundOver(unsynced)
    }
    worker.on('message', over)
    // However it ended, and it may without an error: the writer's checkpoint does it then, and the next copy has a new thread.
    worker.on('error', () => {})
    worker.on('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      over(undefined)
    })
    worker.unref()
    return worker
  }

  async close(): Promise<void> {
    const worker = this.#worker
    if (worker === undefined) return
    this.#worker = undefined
    worker.ref()
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.postMessage('close')
    await exited
  }
}
