// The main thread's side of the log's copier. A checkpoint of the whole log takes tens of milliseconds, in which commits
// would wait; so most of it is done beforehand, beside them.
import { Worker } from 'node:worker_threads'

export class LogCopier {
  readonly #directory: string
  #worker: Worker | undefined
  #isBusy = false
  #isDone = false

  constructor(directory: string) {
    this.#directory = directory
  }

  /** It is under way. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Whether it has been done, once for each time; starts it where it has not. */
  copied(): boolean {
    const done = this.#isDone
    this.#isDone = false
    if (!done) this.#start()
    return done
  }

  #start(): void {
    if (this.#isBusy) return
    this.#isBusy = true
    this.#worker ??= this.#open()
    this.#worker.postMessage('copy')
  }

  #open(): Worker {
    const worker = new Worker(new URL('./log_copier_thread.ts', import.meta.url), {
      workerData: this.#directory,
      stdout: false,
      stderr: false,
    })
    const over = () => {
      this.#isBusy = false
      this.#isDone = true
    }
    worker.on('message', over)
    // However it ended, and it may without an error: the writer's checkpoint does it then, and the next copy has a new thread.
    worker.on('error', () => {})
    worker.on('exit', () => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      over()
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
