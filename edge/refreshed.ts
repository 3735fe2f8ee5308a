// Values from afar, kept in this isolate: served at once while they are fresh enough, for a while renewed in the
// background, then loaded before they are served, served stale while that fails, and asked for again no more often than
// allowed. Requests share values, never a promise: workerd hangs a request that waits for another's. What is missing is
// kept apart, in a small space of its own, so that asking for what does not exist pushes out nothing that does.
import { Lru } from './lru.ts'

/** As it was at that time, wherever it has been kept since. */
export interface Dated<V> {
  value: V
  atMs: number
}

export interface RefreshedOptions<K, V> {
  /**
   * Undefined when there is no such thing. Throws when it can't be told, or gives an older one than asked for.
   * @param maxAgeMs older ones, from wherever they were kept, won't do
   * @param kept what there is already
   */
  load(key: K, maxAgeMs: number, kept: V | undefined): Promise<Dated<V> | undefined>
  /** Younger than this, a value is not renewed. */
  freshMs: number
  /** Older than this, it is served only where loading fails. */
  staleMs: number
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

/** How new a value is wanted, how long after a try for another, and whether it may be asked for at all. */
interface Wanted {
  maxAgeMs: number
  pauseMs: number
  mayLoad: () => boolean
}

interface Missing {
  /** Some request is loading it, and has until then. */
  loadingUntilMs: number
  /** Since that began to load. */
  forgotten?: true
  triedAtMs: number
  failedAtMs: number
  outcome: 'absent' | 'unavailable'
}

/** How many keys that are not there, not yet, or not now are remembered. */
const MISSING = 1_000
/** For so long nobody asks again for what was not there. */
const MISSING_MS = 2_000
/** For so long after a failure nobody waits to see whether it goes on: what is kept is served meanwhile. */
const FAILING_MS = 30_000
/** Whoever waits for another's load looks then, and less and less often: anybody may make thousands wait for who is slow. */
const LOOK_AGAIN_MS = 5
const LESS_OFTEN = 1.5

const always = (): boolean => true

export class Refreshed<K, V> {
  private readonly options: RefreshedOptions<K, V>
  private readonly kept: Lru<K, Dated<V>>
  private readonly missing = new Lru<K, Missing>(MISSING)

  constructor(options: RefreshedOptions<K, V>) {
    this.options = options
    this.kept = new Lru(options.capacity, (_, { value }) => options.weigh?.(value) ?? 1)
  }

  /**
   * @param staleMs where this one may be older before it is loaded anew
   * @param mayLoad asked when a load would begin, and then alone
   */
  async get(key: K, staleMs = this.options.staleMs, mayLoad = always): Promise<Had<V>> {
    const { freshMs, keepMs } = this.options
    const kept = this.kept.get(key)
    const ageMs = kept === undefined ? Infinity : this.since(kept.atMs)
    if (kept === undefined || ageMs >= (this.isFailing(key) ? keepMs : staleMs)) {
      return this.loading(key, { maxAgeMs: freshMs, pauseMs: MISSING_MS, mayLoad })
    }
    if (ageMs >= freshMs && this.mayTry(key, MISSING_MS)) {
      void this.loading(key, { maxAgeMs: freshMs, pauseMs: MISSING_MS, mayLoad })
    }
    return { outcome: 'had', value: kept.value }
  }

  /** Where what {@link get} gave lacks something: a newer one, if it is time for one. */
  async renewed(key: K, mayLoad = always): Promise<Had<V>> {
    const { againMs } = this.options
    const kept = this.kept.get(key)
    if (kept !== undefined && this.since(kept.atMs) < againMs) return { outcome: 'had', value: kept.value }
    return this.loading(key, { maxAgeMs: againMs, pauseMs: againMs, mayLoad })
  }

  /** What has been read of it by now is not served any more. */
  forget(key: K): void {
    this.kept.delete(key)
    const loading = this.loadOf(key)
    // Who loads it already does so for all that wait.
    if (loading === undefined) this.missing.delete(key)
    else loading.forgotten = true
  }

  private mayTry(key: K, pauseMs: number): boolean {
    const missing = this.missing.get(key)
    if (missing === undefined) return true
    return this.options.now() >= missing.loadingUntilMs && this.since(missing.triedAtMs) >= pauseMs
  }

  /** Goes on when the client whose request began it has gone: others may wait for it. */
  private loading(key: K, wanted: Wanted): Promise<Had<V>> {
    const loading = this.load(key, wanted)
    this.options.waitUntil(loading)
    return loading
  }

  private async load(key: K, { maxAgeMs, pauseMs, mayLoad }: Wanted): Promise<Had<V>> {
    const { now, loadMs } = this.options
    // Checked without a pause before the load is announced: of many at once, one loads.
    for (let lookAgainMs = LOOK_AGAIN_MS; this.loadOf(key); lookAgainMs *= LESS_OFTEN)
      await scheduler.wait(lookAgainMs)
    const before = this.kept.get(key)
    if (before !== undefined && this.since(before.atMs) < maxAgeMs)
      return { outcome: 'had', value: before.value }
    if (!this.mayTry(key, pauseMs)) return this.known(key)
    // What was not there a while ago may be there now, and nobody has looked.
    if (!mayLoad()) return this.lastHad(key) ?? { outcome: 'unavailable' }
    const triedAtMs = now()
    const failedAtMs = this.missing.get(key)?.failedAtMs ?? -Infinity
    const loading: Missing = { loadingUntilMs: 0, triedAtMs, failedAtMs, outcome: 'unavailable' }
    this.missing.set(key, loading)
    const read = () => {
      loading.loadingUntilMs = now() + loadMs
      return this.options.load(key, maxAgeMs, before?.value).then(
        (dated) => dated ?? ('absent' as const),
        () => 'unavailable' as const,
      )
    }
    const first = await read()
    // It may have been read just before the change that it was forgotten for.
    const loaded = loading.forgotten ? await read() : first
    const isDated = typeof loaded === 'object'
    if (loaded === 'absent') this.kept.delete(key)
    else if (isDated && (before === undefined || loaded.atMs >= Math.min(before.atMs, triedAtMs)))
      this.kept.set(key, loaded)
    if (isDated && now() - loaded.atMs < maxAgeMs) this.missing.delete(key)
    else {
      const outcome = isDated ? 'unavailable' : loaded
      this.missing.set(key, { loadingUntilMs: 0, triedAtMs, failedAtMs: now(), outcome })
    }
    return this.known(key)
  }

  private known(key: K): Had<V> {
    return this.lastHad(key) ?? { outcome: this.missing.get(key)?.outcome ?? 'unavailable' }
  }

  private lastHad(key: K): Had<V> | undefined {
    const kept = this.kept.get(key)
    if (kept === undefined || this.options.now() - kept.atMs >= this.options.keepMs) return undefined
    return { outcome: 'had', value: kept.value }
  }

  private isFailing(key: K): boolean {
    const missing = this.missing.get(key)
    return missing !== undefined && this.since(missing.failedAtMs) < FAILING_MS
  }

  /** Of a clock that went back nobody knows how far. */
  private since(atMs: number): number {
    return Math.abs(this.options.now() - atMs)
  }

  /** By some request, within the time that this may take. */
  private loadOf(key: K): Missing | undefined {
    const missing = this.missing.get(key)
    return missing && this.options.now() < missing.loadingUntilMs ? missing : undefined
  }
}
