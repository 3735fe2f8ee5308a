// One process of the stack, kept running: what ends unasked is started again, each time after a longer pause.
// Processes lead groups of their own, so that Ctrl-C reaches the launcher alone and it stops them in order.
import type { ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { DataDir } from './data_dir.ts'
import { messageOf, StartError } from './start_error.ts'

const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 30_000
/** Who ran this long may fail once more from the start. */
const STEADY_AFTER_MS = 30_000
const READY_WITHIN_MS = 30_000

/** A process just spawned, and what it says when it is ready. */
export interface Launched<Ready> {
  child: ChildProcess
  ready: Promise<Ready>
}

export interface PartOptions<Ready> {
  name: string
  dir: DataDir
  /** Spawns it with its output going to the file descriptor `log`, as the leader of a process group. */
  launch: (log: number) => Launched<Ready>
  say: (line: string) => void
}

export class Part<Ready> {
  private readonly options: PartOptions<Ready>
  private readonly stopping = new AbortController()
  private child: ChildProcess | undefined
  private exited: Promise<unknown> = Promise.resolve()

  constructor(options: PartOptions<Ready>) {
    this.options = options
  }

  /** @throws {StartError} with the process's own last words. */
  async start(): Promise<Ready> {
    const ready = await this.run()
    this.watch()
    return ready
  }

  /** SIGTERM, and SIGKILL for the whole group when that does not end it in time. */
  async stop(patienceMs: number): Promise<void> {
    this.stopping.abort()
    const { child } = this
    if (child === undefined) return
    child.kill('SIGTERM')
    const inTime = await Promise.race([
      this.exited.then(() => true),
      pause(patienceMs, false, { ref: false }),
    ])
    if (!inTime) killGroup(child)
    await this.exited
    this.options.dir.remove(pidFile(this.options.name))
  }

  private async run(): Promise<Ready> {
    this.stopping.signal.throwIfAborted()
    const { name, dir, launch } = this.options
    const logFile = dir.file('logs', `${name}.log`)
    const log = openSync(logFile, 'a', 0o600)
    const logged = fstatSync(log).size
    const { child, ready } = launch(log)
    closeSync(log)
    this.child = child
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(messageOf(error)))
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    })
    this.exited = ended
    this.writePid(child.pid)
    const first = await Promise.race([
      ready.then((value) => ({ value })),
      ended.then((how) => ({ failure: lastWords(logFile, logged) ?? `ended with ${how}` })),
      pause(READY_WITHIN_MS, { failure: `is not ready after ${READY_WITHIN_MS / 1_000} s` }, { ref: false }),
    ])
    if ('value' in first) return first.value
    killGroup(child)
    throw new StartError(`${name}: ${first.failure}`)
  }

  /** Who can't be noted, on a full disk, runs all the same; no file is better than one that names another process. */
  private writePid(pid: number | undefined): void {
    if (pid === undefined) return
    const { name, dir, say } = this.options
    try {
      dir.write(pidFile(name), `${pid}\n`)
    } catch (error) {
      say(`${name} runs as process ${pid}, which can't be written to ${pidFile(name)}: ${messageOf(error)}`)
      dir.remove(pidFile(name))
    }
  }

  private watch(): void {
    this.keepRunning().catch((error: unknown) =>
      this.options.say(`${this.options.name}: ${messageOf(error)}`),
    )
  }

  private async keepRunning(): Promise<void> {
    const { name, say } = this.options
    let pauseMs = FIRST_PAUSE_MS
    for (;;) {
      const startedAt = performance.now()
      const how = await this.exited
      if (this.stopping.signal.aborted) return
      if (performance.now() - startedAt > STEADY_AFTER_MS) pauseMs = FIRST_PAUSE_MS
      say(`${name} ended (${String(how)}); starting it again in ${pauseMs / 1_000} s`)
      try {
        await pause(pauseMs, undefined, { signal: this.stopping.signal })
        await this.run()
        say(`${name} is back`)
      } catch (error) {
        if (this.stopping.signal.aborted) return
        say(messageOf(error))
      }
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }
}

/** For whoever wants to signal one part alone: `kill -9 $(cat .data/run/us.pid)`. */
const pidFile = (name: string): string => `run/${name}.pid`

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

/** What a process said last in its log, since that had `from` bytes. */
function lastWords(file: string, from: number): string | undefined {
  const lines = readFileSync(file).subarray(from).toString('utf8').trim().split('\n')
  const last = lines.at(-1)?.trim() || undefined
  // Of an uncaught error Node writes the stack behind it, and its own version.
  return last?.startsWith('Node.js v')
    ? (lines.findLast((line) => /^\w*Error\b.*: /.test(line)) ?? last)
    : last
}
