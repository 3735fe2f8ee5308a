// The time that tenants' schemas take. While one is compiled, or a document is checked by it, the process does nothing
// else: so a clock stops that, and each tenant has so much of it within ten seconds. What a run takes of the processor
// its tenant's turns pay for (docs/fairness.md); this bounds how long others may be held up at once, and how often.
import { Script } from 'node:vm'
import type { TenantNumber } from '../../../shared/tenant.ts'
import { noteBusy } from '../../observe/request.ts'

/** Of a tenant within a window, without the first {@link UNCOUNTED_MS} of each run: those hold up nobody for long. */
const TENANT_MS = 500
const WINDOW_MS = 10_000
const UNCOUNTED_MS = 10
/** Those who took more than that in one run, the last ones. */
const MAX_TENANTS = 10_000
/** Of one piece of work, while others have the processor. */
const MAX_TRIES = 5

export type Run<T> =
  | { ended: 'done'; value: T }
  | { ended: 'stopped' }
  /** The tenant has no time left; it has again in so many seconds. */
  | { ended: 'used_up'; waitS: number }

export class SchemaTime {
  private readonly now: () => number
  private readonly windows = new Map<TenantNumber, { fromMs: number; usedMs: number }>()

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.now = now
  }

  /**
   * Runs work that waits for nothing and may be done again. The clock that stops it is the wall's; on a busy machine that
   * runs out while others have the processor, which is not the tenant's fault: what counts is this thread's own time.
   */
  run<T>(tenant: TenantNumber, withinMs: number, work: () => T): Run<T> {
    const leftMs = TENANT_MS - this.usedMs(tenant)
    if (leftMs <= 0) return this.usedUp(tenant)
    const clockMs = Math.ceil(Math.min(withinMs, UNCOUNTED_MS + leftMs))
    const from = { thread: threadMs(), wall: performance.now() }
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const done = withinTime(clockMs, work)
        if (done !== undefined) return { ended: 'done', ...done }
        // Once it had the half of its time, it is the work that is slow.
        if (threadMs() - from.thread > clockMs / 2) break
      }
    } finally {
      noteBusy(performance.now() - from.wall)
      this.count(tenant, threadMs() - from.thread - UNCOUNTED_MS)
    }
    if (clockMs >= withinMs) return { ended: 'stopped' }
    // Nothing is left, even where the clock was a little early.
    this.count(tenant, TENANT_MS - this.usedMs(tenant))
    return this.usedUp(tenant)
  }

  private usedUp(tenant: TenantNumber): Run<never> {
    const { fromMs } = this.windows.get(tenant) ?? { fromMs: this.now() }
    return { ended: 'used_up', waitS: Math.max(1, Math.ceil((fromMs + WINDOW_MS - this.now()) / 1_000)) }
  }

  private usedMs(tenant: TenantNumber): number {
    const window = this.windows.get(tenant)
    if (window === undefined) return 0
    const nowMs = this.now()
    // A clock that was set back ends a window, too: its tenant would wait for as long as the clock is behind.
    if (window.fromMs <= nowMs && nowMs < window.fromMs + WINDOW_MS) return window.usedMs
    this.windows.delete(tenant)
    return 0
  }

  private count(tenant: TenantNumber, ms: number): void {
    if (ms <= 0) return
    const usedMs = this.usedMs(tenant) + ms
    const fromMs = this.windows.get(tenant)?.fromMs ?? this.now()
    this.windows.delete(tenant)
    this.windows.set(tenant, { fromMs, usedMs })
    if (this.windows.size <= MAX_TENANTS) return
    for (const oldest of this.windows.keys()) {
      this.windows.delete(oldest)
      return
    }
  }
}

/** What this thread has had of the processor. */
export function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

const run = new Script('globalThis[Symbol.for("coditect.timed")]()')
const TIMED = Symbol.for('coditect.timed')

/** @returns undefined when `work` was stopped, wherever it was, after so many milliseconds */
function withinTime<T>(timeout: number, work: () => T): { value: T } | undefined {
  const place = globalThis as { [TIMED]?: () => unknown }
  place[TIMED] = work
  try {
    return { value: run.runInThisContext({ timeout }) as T }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
    throw error
  } finally {
    delete place[TIMED]
  }
}
