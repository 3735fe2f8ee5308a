// Tails: tells the streams of this process when something of their tenant changed. All streams of one tenant share one
// pair of FoundationDB watches: on the tail of its feed, which every commit with an event sets, or with something else to
// deliver; and on its status. Listeners are told only after the watch has been set again, so a change falls either under
// the new watch or into what they read then: none is missed.
import { setTimeout as sleep } from 'node:timers/promises'
import type { TenantNumber } from '../../shared/tenant.ts'
import type { Log } from '../log.ts'
import { tailSpace } from './events.ts'
import { statusSpace } from './records.ts'
import type { RegionDatabase, Watching } from './region_database.ts'

export interface TailListener {
  changed(): void
  /** The region stops: no further word will come. */
  stopping(): void
}

/** Between tries where the database takes no watch (there may be too many); then streams are told this often instead. */
const WITHOUT_WATCH_MS = 1_000

export class Tails {
  private readonly database: RegionDatabase
  private readonly log: Log
  private readonly tenants = new Map<TenantNumber, { listeners: Set<TailListener>; ended: AbortController }>()
  private stopped = false

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
    followed.listeners.add(listener)
    if (known === undefined) {
      this.tenants.set(tenant, followed)
      void this.follow(tenant, followed.listeners, followed.ended.signal)
    }
    return () => {
      if (!followed.listeners.delete(listener) || followed.listeners.size > 0) return
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
    listeners: ReadonlySet<TailListener>,
    ended: AbortSignal,
  ): Promise<void> {
    while (!ended.aborted) {
      let fired: Promise<boolean> = Promise.resolve(false)
      let watches: ReadonlyArray<Watching> = []
      try {
        watches = await this.database.tenant(tenant, async (scope) => ({
          value: [scope.watch('outbox', tailSpace, ['tail']), scope.watch('status', statusSpace, ['status'])],
          commit: true,
        }))
        fired = Promise.any(watches.map(({ changed }) => changed)).then(
          () => true,
          () => false,
        )
      } catch (error) {
        this.log.error('a tenant could not be watched', { error })
      }
      const end = Promise.withResolvers<boolean>()
      const stop = () => end.resolve(true)
      ended.addEventListener('abort', stop, { once: true })
      if (ended.aborted) stop()
      for (const listener of [...listeners]) listener.changed()
      const hasFired = await Promise.race([fired, end.promise])
      ended.removeEventListener('abort', stop)
      for (const watch of watches) watch.cancel()
      if (!hasFired) await sleep(WITHOUT_WATCH_MS, undefined, { signal: ended }).catch(() => {})
    }
  }
}
