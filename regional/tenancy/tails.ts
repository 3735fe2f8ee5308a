// Tails: tells the streams of this process when something of their tenant changed. All streams of one tenant share two
// FoundationDB watches: one on the tail of its feed, which every commit with an event sets, or with something else to
// deliver; and one on its status. Each is set again when it has fired, and no sooner: the package's binding keeps a little
// of each for ever. Listeners are told only after a watch has been set again, so a change falls either under the new watch
// or into what they read then: none is missed.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Log } from '../log.ts'
import { tailSpace } from './events.ts'
import { statusSpace } from './records.ts'
import type { RegionDatabase, TenantScope, Watching } from './region_database.ts'

export interface TailListener {
  changed(): void
  /** The region stops: no further word will come. */
  stopping(): void
}

const WATCHED: ReadonlyArray<(scope: TenantScope) => Watching> = [
  (scope) => scope.watch('outbox', tailSpace, ['tail']),
  (scope) => scope.watch('status', statusSpace, ['status']),
]

/** Between tries where the database takes no watch (there may be too many); then streams are told this often instead. */
const WITHOUT_WATCH_MS = 1_000

export class Tails {
  private readonly database: RegionDatabase
  private readonly log: Log
  private readonly tenants = new Map<TenantNumber, { listeners: Set<TailListener>; ended: AbortController }>()
  private stopped = false
  /** Why a tenant could not be watched, since one was last. All of them have the same database. */
  private failing: string | undefined
  /** Following outlives the request that was the first to ask for it, so it is no part of that request. */
  private readonly apart = AsyncLocalStorage.snapshot()

  constructor(database: RegionDatabase, log: Log) {
    this.database = database
    this.log = log
  }

  /** How many tenants are watched. */
  get size(): number {
    return this.tenants.size
  }

  /** @returns what ends it; the watches of a tenant without listeners are given back */
  subscribe(tenant: TenantNumber, listener: TailListener): () => void {
    if (this.stopped) {
      listener.stopping()
      return () => {}
    }
    const known = this.tenants.get(tenant)
    const followed = known ?? { listeners: new Set<TailListener>(), ended: new AbortController() }
    // What a listener does is a part of the request that it is of.
    const own = {
      changed: AsyncLocalStorage.bind(() => listener.changed()),
      stopping: AsyncLocalStorage.bind(() => listener.stopping()),
    }
    followed.listeners.add(own)
    if (known === undefined) {
      this.tenants.set(tenant, followed)
      const { listeners, ended } = followed
      for (const watchIn of WATCHED)
        void this.apart(() => this.follow(tenant, watchIn, listeners, ended.signal))
    }
    return () => {
      if (!followed.listeners.delete(own) || followed.listeners.size > 0) return
      followed.ended.abort()
      if (this.tenants.get(tenant) === followed) this.tenants.delete(tenant)
    }
  }

  stop(): void {
    this.stopped = true
    for (const { listeners } of [...this.tenants.values()]) {
      for (const listener of [...listeners]) listener.stopping()
    }
  }

  private async follow(
    tenant: TenantNumber,
    watchIn: (scope: TenantScope) => Watching,
    listeners: ReadonlySet<TailListener>,
    ended: AbortSignal,
  ): Promise<void> {
    while (!ended.aborted) {
      let watch: Watching | undefined
      try {
        watch = await this.database.tenant(tenant, async (scope) => ({ value: watchIn(scope), commit: true }))
        this.watched()
      } catch (error) {
        this.notWatched(error)
      }
      const fired = watch?.changed.then(
        () => true,
        () => false,
      )
      const end = Promise.withResolvers<boolean>()
      const stop = () => end.resolve(true)
      ended.addEventListener('abort', stop, { once: true })
      if (ended.aborted) stop()
      for (const listener of [...listeners]) listener.changed()
      const hasFired = await Promise.race([fired ?? false, end.promise])
      ended.removeEventListener('abort', stop)
      watch?.cancel()
      if (!hasFired) await sleep(WITHOUT_WATCH_MS, undefined, { signal: ended }).catch(() => {})
    }
  }

  private watched(): void {
    if (this.failing === undefined) return
    this.failing = undefined
    this.log.info('tenants are watched again')
  }

  private notWatched(error: unknown): void {
    const why = String(error)
    if (this.failing === why) return
    this.failing = why
    this.log.error('a tenant could not be watched', { error })
  }
}
