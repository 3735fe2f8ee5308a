// Work that a region repeats in the background. A round never overlaps the next one of its kind, a round that fails is
// tried again next time, and stopping waits for the rounds under way. That it fails is logged once, and that it goes on again.
import type { Log } from './log.ts'

export class Background {
  private readonly log: Log
  private readonly timers: NodeJS.Timeout[] = []
  private readonly running = new Map<string, Promise<void>>()
  /** Why the last round of its kind failed, by name. */
  private readonly failing = new Map<string, string>()

  constructor(log: Log) {
    this.log = log
  }

  /** Runs `round` every so often. @param name says in the log what failed. */
  every(intervalMs: number, name: string, round: () => Promise<void>): void {
    this.timers.push(
      setInterval(() => {
        if (!this.running.has(name)) this.once(name, round)
      }, intervalMs),
    )
  }

  /** Runs `round` as soon as no other of its kind is under way. */
  once(name: string, round: () => Promise<void>): void {
    const done = (this.running.get(name) ?? Promise.resolve())
      .then(round)
      .then(
        () => this.passed(name),
        (error: unknown) => this.failed(name, error),
      )
      .finally(() => {
        if (this.running.get(name) === done) this.running.delete(name)
      })
    this.running.set(name, done)
  }

  /** Runs `round` as soon as it can, and again every so often until it has been through once. */
  untilDone(intervalMs: number, name: string, round: () => Promise<void>): void {
    const attempt = async () => {
      await round()
      clearInterval(timer)
    }
    const timer = setInterval(() => {
      if (!this.running.has(name)) this.once(name, attempt)
    }, intervalMs)
    this.timers.push(timer)
    this.once(name, attempt)
  }

  private passed(name: string): void {
    if (this.failing.delete(name)) this.log.info(`background work goes on: ${name}`)
  }

  private failed(name: string, error: unknown): void {
    const why = String(error)
    if (this.failing.get(name) === why) return
    this.failing.set(name, why)
    this.log.error(`background work failed: ${name}`, { error })
  }

  async stop(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer)
    await Promise.all(this.running.values())
  }
}
