// The one holder of a region's engine. Nothing leaves it unfenced: a transaction is of one tenant, of the platform's
// directory, or of the region's own keys, and the fence below it refuses everything else.
import { AsyncLocalStorage } from 'node:async_hooks'
import type { TenantNumber } from '../../shared/tenant.ts'
import { ChunkedSpace, type ChunkedSpaceDefinition } from '../storage/chunked_space.ts'
import { CounterSpace, type CounterSpaceDefinition } from '../storage/counter_space.ts'
import {
  fenceTransaction,
  type Grant,
  type IsolationViolation,
  type KeyRange,
  prefixRange,
} from '../storage/fence.ts'
import {
  Database,
  type NativeDatabase,
  type NativeTransaction,
  root,
  StreamingMode,
  TransactionOptionCode,
} from '../storage/foundationdb.ts'
import { type KeySpace, numberKey, type SystemSubspace } from '../storage/keys.ts'
import { Log, type LogDefinition } from '../storage/log_space.ts'
import { metered, type TransactionMeter } from '../storage/metered.ts'
import { reading } from '../storage/reading.ts'
import {
  type ByteTransaction,
  type Key,
  keyIn,
  packedName,
  Space,
  type SpaceDefinition,
} from '../storage/space.ts'
import { costRow, costSpace } from './cost.ts'
import { certificateSpace, jobPointer, pointerKey, single, upkeepOf } from './pointers.ts'
import { type Attempt, retrying } from './retry.ts'
import { type TenantKeys, TenantKeysCache } from './tenant_keys.ts'
import { type FlushKey, flushSpace, type UsageMetric } from './usage.ts'

type Listener = (tenant: TenantNumber) => void
type Report = (violation: IsolationViolation) => void

/** The names of kinds of job that there are. */
type KindNames = Pick<ReadonlySet<string>, 'has'>

/** How a transaction is to be run. */
export interface Bounds {
  /** How long someone waits for it. */
  withinMs?: number | undefined
  /** Counts what is done in it, in the tenant's turn. */
  meter?: TransactionMeter | undefined
  /** A cluster runs it behind what somebody waits for. */
  batch?: boolean
}

/** Opens spaces in one subspace of one transaction. */
export interface Scope {
  space<K extends Key, V>(definition: SpaceDefinition<K, V>): Space<K, V>
}

/** What belongs to the region, or the platform, itself. */
export interface RegionScope extends Scope {
  counters<K extends Key>(definition: CounterSpaceDefinition<K>): CounterSpace<K>
}

/** All that a service is given of the database. */
export interface ServiceScope extends RegionScope {
  /** Values above 100 kB. */
  chunked<K extends Key>(definition: ChunkedSpaceDefinition<K>): ChunkedSpace<K>
}

/** A key that is watched. */
export interface Watching {
  /** Resolves when it was changed, rejects when the watch is lost or cancelled. */
  changed: Promise<void>
  cancel(): void
}

/** One tenant's transaction as the platform's own code sees it. Services get far less. */
export class TenantScope {
  private readonly native: NativeTransaction
  private readonly report: Report
  private readonly tenant: TenantNumber
  private readonly region: Buffer
  private readonly own: TenantKeys
  private readonly prefix: Buffer
  private readonly tn: ByteTransaction
  private readonly logs = new Map<unknown, unknown>()
  readonly jobKinds: KindNames
  /** Whether {@link wake} was called. */
  woken = false
  /** Whether {@link call} was. */
  called = false

  constructor(
    native: NativeTransaction,
    tenant: TenantNumber,
    own: TenantKeys,
    region: Buffer,
    report: Report,
    jobKinds: KindNames,
  ) {
    this.native = native
    this.report = report
    this.jobKinds = jobKinds
    this.tenant = tenant
    this.region = region
    this.own = own
    this.prefix = own.prefix
    this.tn = byteTransaction(native)
  }

  system<K extends Key, V>(subspace: SystemSubspace, definition: SpaceDefinition<K, V>): Space<K, V> {
    return new Space(this.tn, this.own.system(subspace), definition)
  }

  /** Watches one key from what this transaction reads of it, once that commits. */
  watch<K extends Key, V>(subspace: SystemSubspace, definition: SpaceDefinition<K, V>, key: K): Watching {
    const { native } = this
    const watch = native.watch(keyIn(this.own.system(subspace), definition, key), false)
    // The transaction is held until then: one that is garbage-collected would take its watch with it.
    const changed = watch.promise.then(() => void native)
    changed.catch(() => {})
    return { changed, cancel: () => watch.cancel() }
  }

  /** A view of the same subspace whose reads no other transaction's change conflicts with. */
  snapshot<K extends Key, V>(subspace: SystemSubspace, definition: SpaceDefinition<K, V>): Space<K, V> {
    return new Space(this.tn.snapshot(), this.own.system(subspace), definition)
  }

  /** One a transaction, whoever asks: it counts what it appends, and two would write over each other's entries. */
  log<V>(subspace: SystemSubspace, definition: LogDefinition<V>): Log<V> {
    const opened = this.logs.get(definition) as Log<V> | undefined
    if (opened !== undefined) return opened
    const log = new Log(this.tn, this.own.system(subspace), definition)
    this.logs.set(definition, log)
    return log
  }

  usage(): CounterSpace<[hour: string, metric: UsageMetric]> {
    return usageIn(this.tn, this.own)
  }

  /** Bytes of stored answers, by the hour in which these are forgotten. */
  keptAnswers(): CounterSpace<KeptAnswersKey> {
    return new CounterSpace(this.tn, this.own.system('idempotency'), KEPT_ANSWERS)
  }

  /** A second fence: nothing done through it leaves the service's own subspace. */
  service(name: string): ServiceScope {
    return this.inService(name, (fenced) => fenced)
  }

  /** As {@link service}, for what changes nothing: to write through it is an error. */
  reading(name: string): ServiceScope {
    return this.inService(name, reading)
  }

  private inService(name: string, as: (fenced: NativeTransaction) => NativeTransaction): ServiceScope {
    const { subspace, grant } = this.own.service(name)
    const tn = byteTransaction(as(fenceTransaction(this.native, grant, this.report)))
    return {
      space: (definition) => new Space(tn, subspace, definition),
      chunked: (definition) => new ChunkedSpace(tn, subspace, definition),
      counters: ({ counterName }) => new CounterSpace(tn, subspace, counterName),
    }
  }

  /** Clears everything that the tenant has. */
  erase(): void {
    const { begin, end } = prefixRange(this.prefix)
    this.tn.clearRange(begin, end)
  }

  /**
   * The tenant's last rows, from its last key down, whatever they belong to; keys are relative to its prefix.
   * @param from the first subspace that counts: those before it are left out
   * @param before leaves out this key and all behind it
   * @param maxBytes about how much may be read at a time
   */
  async lastRows(
    from: SystemSubspace,
    before: Buffer | undefined,
    maxRows: number,
    maxBytes: number,
  ): Promise<ReadonlyArray<{ key: Buffer; bytes: number }>> {
    const begin = this.own.system(from)
    let end = this.endingAt(before)
    const rows: Array<{ key: Buffer; bytes: number }> = []
    // One answer carries 80 kB at most.
    for (let bytes = 0, more = true; more && rows.length < maxRows && bytes < maxBytes; ) {
      const page = await this.native.getRange(
        ...[begin, false, 1],
        ...[end, false, 1],
        ...[maxRows - rows.length, 0, StreamingMode.Serial, 1, false, true],
      )
      for (const [key, value] of page.results) {
        rows.push({ key: key.subarray(this.prefix.length), bytes: key.length + value.length })
        bytes += key.length + value.length
        end = key
      }
      more = page.more
    }
    return rows
  }

  /** Clears everything from one key to before another, both relative to the tenant's prefix. */
  clearBetween(from: Buffer, before: Buffer | undefined): void {
    this.tn.clearRange(Buffer.concat([this.prefix, from]), this.endingAt(before))
  }

  private endingAt(before: Buffer | undefined): Buffer {
    return before === undefined ? prefixRange(this.prefix).end : Buffer.concat([this.prefix, before])
  }

  /** About how many bytes the tenant has. */
  estimateBytes(): Promise<number> {
    const { begin, end } = prefixRange(this.prefix)
    return this.native.getEstimatedRangeSizeBytes(begin, end)
  }

  /** The region's pointer that carries this tenant's number: written here, read by the region's own workers. */
  pointer<V>(definition: SpaceDefinition<[tenant: Buffer], V>): { set(value: V): void; clear(): void } {
    return this.regional(definition, [numberKey(this.tenant)])
  }

  /** Tells the region's workers that this tenant's queue has something new. Blind: it conflicts with nobody. */
  wake(): void {
    this.woken = true
    this.point()
  }

  /** Tells those who do the tenant's standing work. Their entry in its queue is the caller's to write. */
  call(): void {
    this.called = true
    this.point()
  }

  /** Writes the tenant's pointer: whatever is in its queue is found through it. */
  point(): void {
    this.regional(jobPointer, pointerKey(this.tenant)).set(1)
  }

  /** An entry of the region's own, to write. Which ones it may be, the grant says; all carry the tenant's number. */
  regional<K extends Key, V>(
    definition: SpaceDefinition<K, V>,
    key: K,
  ): { set(value: V): void; clear(): void } {
    const space = new Space(this.tn, this.region, definition)
    return { set: (value) => space.set(key, value), clear: () => space.clear(key) }
  }
}

export class RegionDatabase {
  private readonly native: NativeDatabase
  private readonly keys: KeySpace
  private readonly tenantKeys: TenantKeysCache
  private readonly report: Report
  private readonly wakeListeners = new Set<Listener>()
  private readonly callListeners = new Set<Listener>()
  /** Of jobs that may be enqueued: those that the region's workers know. Any, where nobody has said which. */
  jobKinds: KindNames = { has: () => true }

  constructor(native: NativeDatabase, keys: KeySpace, report: Report) {
    this.native = native
    this.keys = keys
    this.tenantKeys = new TenantKeysCache(keys)
    this.report = report
  }

  /** Runs `body` in one transaction of one tenant; see {@link retrying} for what it must bear. */
  tenant<T>(
    number: TenantNumber,
    body: (scope: TenantScope, attempt: number) => Promise<Attempt<T>>,
    bounds?: Bounds,
  ): Promise<T> {
    return this.ofTenant(number, this.tenantKeys.of(number).grant, body, bounds)
  }

  /**
   * As {@link tenant}, for the worker that has the tenant in hand: it may also write the tenant's lease and its later
   * pointers at these times.
   */
  upkeep<T>(
    number: TenantNumber,
    laterMs: ReadonlyArray<number>,
    body: (scope: TenantScope, attempt: number) => Promise<Attempt<T>>,
  ): Promise<T> {
    return this.ofTenant(number, this.grantOf(number, upkeepOf(this.keys.region, number, laterMs)), body, {
      batch: true,
    })
  }

  /** As {@link upkeep}, for a tenant's erasure: it may also write what remains of it. */
  async erasure<T>(
    number: TenantNumber,
    laterMs: ReadonlyArray<number>,
    costDays: ReadonlyArray<string>,
    body: (scope: TenantScope, attempt: number) => Promise<Attempt<T>>,
    meter?: TransactionMeter,
  ): Promise<T> {
    const { region } = this.keys
    const writeOnly = [
      ...costDays.map((day) => single(region, costRow, [day, numberKey(number)])),
      ...upkeepOf(region, number, laterMs),
      single(region, certificateSpace, [numberKey(number)]),
      single(region, flushSpace, ['gone', numberKey(number)]),
    ]
    try {
      return await this.ofTenant(number, this.grantOf(number, writeOnly), body, { batch: true, meter })
    } finally {
      // Hardly anybody asks for them again.
      this.tenantKeys.forget(number)
    }
  }

  /** Calls `listener` after each commit of this process that woke a tenant. @returns what ends that */
  onWake(listener: Listener): () => void {
    return listening(this.wakeListeners, listener)
  }

  /** As {@link onWake}, for standing work. */
  onCall(listener: Listener): () => void {
    return listening(this.callListeners, listener)
  }

  private grantOf(number: TenantNumber, writeOnly: ReadonlyArray<KeyRange>): Grant {
    return { ...this.tenantKeys.of(number).grant, writeOnly }
  }

  private async ofTenant<T>(
    number: TenantNumber,
    grant: Grant,
    body: (scope: TenantScope, attempt: number) => Promise<Attempt<T>>,
    { withinMs, meter, batch = false }: Bounds = {},
  ): Promise<T> {
    const keys = this.tenantKeys.of(number)
    let [woken, called] = [false, false]
    const value = await retrying(
      () => this.begin(grant, { tag: keys.tag, meter, batch }),
      async (tn, attempt) => {
        const scope = new TenantScope(tn, number, keys, this.keys.region, this.report, this.jobKinds)
        const outcome = await body(scope, attempt)
        // An attempt before this one may have landed without our knowing: better one look too many.
        woken ||= scope.woken
        called ||= scope.called
        return outcome
      },
      { withinMs, meter, inTurn: meter !== undefined },
    )
    if (woken) for (const listener of this.wakeListeners) listener(number)
    if (called) for (const listener of this.callListeners) listener(number)
    return value
  }

  /** The platform's directory: only the control region has one. */
  platform<T>(body: (scope: Scope) => Promise<Attempt<T>>): Promise<T> {
    return this.within('the platform', this.keys.platform, body)
  }

  /** What belongs to the region itself. */
  region<T>(body: (scope: RegionScope) => Promise<Attempt<T>>): Promise<T> {
    return this.within('the region', this.keys.region, body)
  }

  /** Adds to the usage counters of these tenants, and to what they cost. The grant allows that, and the region's keys about flushes. */
  addUsage<T>(
    tenants: ReadonlyArray<TenantNumber>,
    body: (
      applied: Space<FlushKey, number>,
      usageOf: (tenant: TenantNumber) => CounterSpace<[hour: string, metric: UsageMetric]>,
      costs: CounterSpace<[day: string, tenant: Buffer]>,
    ) => Promise<Attempt<T>>,
  ): Promise<T> {
    const usage = tenants.map((tenant) => this.tenantKeys.of(tenant).system('usage'))
    const grant: Grant = {
      name: 'the usage flush',
      readWrite: prefixRange(Buffer.concat([this.keys.region, flushSpace.name])),
      writeOnly: [...usage, Buffer.concat([this.keys.region, costSpace.counterName])].map(prefixRange),
    }
    return retrying(
      () => this.begin(grant),
      (native) => {
        const tn = byteTransaction(native)
        const applied = new Space(tn, this.keys.region, flushSpace)
        const costs = new CounterSpace<[day: string, tenant: Buffer]>(
          tn,
          this.keys.region,
          costSpace.counterName,
        )
        return body(applied, (tenant) => usageIn(tn, this.tenantKeys.of(tenant)), costs)
      },
    )
  }

  private within<T>(
    name: string,
    prefix: Buffer,
    body: (scope: RegionScope) => Promise<Attempt<T>>,
  ): Promise<T> {
    const grant: Grant = { name, readWrite: prefixRange(prefix) }
    return retrying(
      () => this.begin(grant),
      (tn) => body(scope(tn, prefix)),
    )
  }

  /** Options are set for each attempt: these do not survive a retry. */
  private begin(
    grant: Grant,
    { tag, meter, batch }: { tag?: Buffer; meter?: TransactionMeter | undefined; batch?: boolean } = {},
  ): NativeTransaction {
    const native = this.native.createTransaction()
    // By its tag a cluster throttles a tenant that keeps one of its servers too busy, and that tenant alone.
    if (tag !== undefined) native.setOption(TransactionOptionCode.AutoThrottleTag, tag)
    if (batch) native.setOption(TransactionOptionCode.PriorityBatch, null)
    return fenceTransaction(meter === undefined ? native : metered(native, meter), grant, this.report)
  }
}

/** What a listener begins outlives the request whose commit called it, so it is no part of that request. */
function listening(listeners: Set<Listener>, listener: Listener): () => void {
  const own = AsyncLocalStorage.bind(listener)
  listeners.add(own)
  return () => void listeners.delete(own)
}

/** The package's transaction over this very native one. The package makes them of a database only, so it gets one. */
const byteTransaction = (native: NativeTransaction): ByteTransaction =>
  new Database({ createTransaction: () => native, setOption() {}, close() {} }, root).rawCreateTransaction()

function scope(native: NativeTransaction, subspace: Buffer): RegionScope {
  const tn = byteTransaction(native)
  return {
    space: (definition) => new Space(tn, subspace, definition),
    counters: ({ counterName }) => new CounterSpace(tn, subspace, counterName),
  }
}

const HOUR = packedName('hour')

type KeptAnswersKey = readonly [hourMs: number, of: 'key' | 'request']
const KEPT_ANSWERS = packedName('kept-answers')

const usageIn = (tn: ByteTransaction, keys: TenantKeys): CounterSpace<[hour: string, metric: UsageMetric]> =>
  new CounterSpace(tn, keys.system('usage'), HOUR)
