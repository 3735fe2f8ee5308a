// Values from afar, kept in this isolate: served at once while they are fresh enough, renewed in the background, served
// stale while renewing fails, and asked for again no more often than allowed. Requests share values, never a promise:
// workerd hangs a request that waits for another's. What is missing is kept apart, in a small space of its own, so that
// asking for what does not exist pushes out nothing that does.
import { Lru } from './lru.ts'

export interface RefreshedOptions<K, V> {
  /**
   * Undefined when there is no such thing. Throws when it can't be told.
   * @param maxAgeMs older ones, from wherever they were kept, won't do
   * @param kept what there is already
   */
  load(key: K, maxAgeMs: number, kept: V | undefined): Promise<V | undefined>
  /** Younger than this, a value is not renewed. */
  freshMs: number
  /** Older than this, it is not served. */
  keepMs: number
  /** Least time between two loads of a key, when a value seems to lack something. */
  againMs: number
  /** Longest time that a load may take. */
  loadMs: number
  /** Of values, or of what they weigh together. */
  capacity: number
  weigh?(value: V): number
  waitUntil(work: Promise<unknown>): void
  now(): number
}

export type Had<V> = { outcome: 'had'; value: V } | { outcome: 'absent' } | { outcome: 'unavailable' }

interface Kept<V> {
  value: V
  loadedAtMs: number
}

interface Missing {
  /** Some request is loading it, and has until then. */
  loadingUntilMs: number
  triedAtMs: number
  outcome: 'absent' | 'unavailable'
}

/** How many keys that are not there, not yet, or not now are remembered. */
const MISSING = 1_000
/** For so long nobody asks again for what was not there. */
const MISSING_MS = 2_000
const LOOK_AGAIN_MS = 5

export class Refreshed<K, V> {
  private readonly options: RefreshedOptions<K, V>
  private readonly kept: Lru<K, Kept<V>>
  private readonly missing = new Lru<K, Missing>(MISSING)

  constructor(options: RefreshedOptions<K, V>) {
    this.options = options
    this.kept = new Lru(options.capacity, (_, { value }) => options.weigh?.(value) ?? 1)
  }

  async get(key: K): Promise<Had<V>> {
    const { freshMs, keepMs, now, waitUntil } = this.options
    const kept = this.kept.get(key)
    const ageMs = kept === undefined ? Infinity : now() - kept.loadedAtMs
    if (kept === undefined || ageMs >= keepMs) return this.load(key, freshMs, MISSING_MS)
    if (ageMs >= freshMs && this.mayTry(key, MISSING_MS)) waitUntil(this.load(key, freshMs, MISSING_MS))
    return { outcome: 'had', value: kept.value }
  }

  /** Where what {@link get} gave lacks something: a newer one, if it is time for one. */
  async renewed(key: K): Promise<Had<V>> {
    const { againMs, now } = this.options
    const kept = this.kept.get(key)
    if (kept !== undefined && now() - kept.loadedAtMs < againMs) return { outcome: 'had', value: kept.value }
    return this.load(key, againMs, againMs)
  }

  forget(key: K): void {
    this.kept.delete(key)
    this.missing.delete(key)
  }

  private mayTry(key: K, pauseMs: number): boolean {
    const missing = this.missing.get(key)
    if (missing === undefined) return true
    const nowMs = this.options.now()
    return nowMs >= missing.loadingUntilMs && nowMs - missing.triedAtMs >= pauseMs
  }

  private async load(key: K, maxAgeMs: number, pauseMs: number): Promise<Had<V>> {
    const { now, loadMs } = this.options
    // Checked without a pause before the load is announced: of many at once, one loads.
    while (this.isLoading(key)) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
    const before = this.kept.get(key)
    if (before !== undefined && now() - before.loadedAtMs < maxAgeMs) {
      return { outcome: 'had', value: before.value }
    }
    if (!this.mayTry(key, pauseMs)) return this.known(key)
    const triedAtMs = now()
    this.missing.set(key, { loadingUntilMs: triedAtMs + loadMs, triedAtMs, outcome: 'unavailable' })
    const loaded = await this.options.load(key, maxAgeMs, before?.value).then(
      (value) => (value === undefined ? ('absent' as const) : { value }),
      () => 'unavailable' as const,
    )
    if (typeof loaded === 'object') {
      this.kept.set(key, { value: loaded.value, loadedAtMs: now() })
      this.missing.delete(key)
    } else {
      if (loaded === 'absent') this.kept.delete(key)
      this.missing.set(key, { loadingUntilMs: 0, triedAtMs, outcome: loaded })
    }
    return this.known(key)
  }

  private known(key: K): Had<V> {
    const kept = this.kept.get(key)
    if (kept !== undefined && this.options.now() - kept.loadedAtMs < this.options.keepMs) {
      return { outcome: 'had', value: kept.value }
    }
    return { outcome: this.missing.get(key)?.outcome ?? 'unavailable' }
  }

  /** By another request, within the time that this may take. */
  private isLoading(key: K): boolean {
    const missing = this.missing.get(key)
    return missing !== undefined && this.options.now() < missing.loadingUntilMs
  }
}
