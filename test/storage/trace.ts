// Replays scenarios that were recorded on a real FoundationDB cluster, step by step, and says where the engine
// answers differently. The format is that of the recorder: see traces/README.md.
import { setTimeout as sleep } from 'node:timers/promises'
import type { NativeDatabase, NativeTransaction, Watch } from '../../regional/storage/foundationdb.ts'

export interface Step {
  op: string
  t: number
  r?: unknown
  k: string
  v: string
  b: string
  e: string
  bEq: boolean
  bOff: number
  eEq: boolean
  eOff: number
  eq: boolean
  off: number
  snap: boolean
  rev: boolean
  limit: number
  mode: number
  ty: number
  code: number
  param?: number | null
  version: string
  ms: number
  id: number
  lazy?: boolean
  sameAs?: number
  kvs: [string, string][]
}

export interface Scenario {
  seed?: number
  name?: string
  kind: string
  steps: Step[]
}

export interface Difference {
  step: number
  expected: unknown
  got: unknown
}

const hex = (bytes: Buffer | null | undefined): string | null => (bytes ? bytes.toString('hex') : null)

/** Hex, or `*N` for N bytes of 0x61. */
const bytes = (text: string): Buffer =>
  text.startsWith('*') ? Buffer.alloc(Number(text.slice(1)), 0x61) : Buffer.from(text, 'hex')

type Pending = { done: unknown; cancel: () => void }

class Replay {
  readonly #db: NativeDatabase
  readonly #transactions: NativeTransaction[] = []
  readonly #stampOf: (Promise<string | null> | undefined)[] = []
  readonly #stamps: string[] = []
  readonly #watches = new Map<number, Pending>()

  constructor(db: NativeDatabase) {
    this.#db = db
  }

  async run(step: Step): Promise<unknown> {
    try {
      return this.#normal(await this.#act(step))
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown }
      return { err: typeof code === 'number' ? code : String(message ?? error) }
    }
  }

  async #act(s: Step): Promise<unknown> {
    if (s.op === 'init') return this.#init(s.kvs)
    if (s.op === 'begin') return this.#begin(s)
    if (s.op === 'sleep') return void (await sleep(s.ms))
    if (s.op === 'cancelWatch') return this.#watches.get(s.id)?.cancel()
    if (s.op === 'watched') return this.#watched(s.id)
    if (s.op === 'dump') {
      const all = {
        b: '',
        bEq: false,
        bOff: 1,
        e: 'ff',
        eEq: false,
        eOff: 1,
        limit: 0,
        mode: -2,
        snap: true,
        rev: false,
      }
      return this.#rows(this.#db.createTransaction(), all)
    }
    const tn = this.#transactions[s.t]
    if (!tn) throw new Error(`no transaction ${s.t}`)
    switch (s.op) {
      case 'set':
        return tn.set(bytes(s.k), bytes(s.v))
      case 'clear':
        return tn.clear(bytes(s.k))
      case 'clearRange':
        return tn.clearRange(bytes(s.b), bytes(s.e))
      case 'get':
        return hex(await tn.get(bytes(s.k), s.snap))
      case 'getKey':
        return hex(await tn.getKey(bytes(s.k), s.eq, s.off, s.snap))
      case 'getRange':
        return this.#rows(tn, s)
      case 'atomicOp':
        return this.#atomicOp(tn, s)
      case 'addReadConflictRange':
        return tn.addReadConflictRange(bytes(s.b), bytes(s.e))
      case 'addWriteConflictRange':
        return tn.addWriteConflictRange(bytes(s.b), bytes(s.e))
      case 'setOption':
        return tn.setOption(s.code, s.param ?? null)
      case 'setReadVersion':
        return this.#setReadVersion(tn, s.version)
      case 'getReadVersion':
        await tn.getReadVersion()
        return 'ok'
      case 'onError':
        await tn.onError(s.code)
        return 'ok'
      case 'reset':
        this.#stampOf[s.t] = undefined
        return tn.reset()
      case 'cancel':
        return tn.cancel()
      case 'watch':
        return this.#watch(tn, s)
      case 'commit':
        return this.#commit(tn, s.t)
      default:
        throw new Error(`unknown step ${s.op}`)
    }
  }

  async #init(pairs: readonly [string, string][]): Promise<void> {
    const tn = this.#db.createTransaction()
    tn.clearRange(Buffer.alloc(0), Buffer.from([0xff]))
    for (const [key, value] of pairs) tn.set(bytes(key), bytes(value))
    await tn.commit()
  }

  async #begin(s: Step): Promise<void> {
    const tn = this.#db.createTransaction()
    this.#transactions[s.t] = tn
    this.#stampOf[s.t] = undefined
    const other = s.sameAs === undefined ? undefined : this.#transactions[s.sameAs]
    if (other) tn.setReadVersion(await other.getReadVersion())
    else if (!s.lazy) await tn.getReadVersion()
  }

  /** A range read to its end, as a client iterates. */
  async #rows(
    tn: NativeTransaction,
    s: Pick<Step, 'b' | 'bEq' | 'bOff' | 'e' | 'eEq' | 'eOff' | 'limit' | 'mode' | 'snap' | 'rev'>,
  ): Promise<unknown> {
    let begin: [Buffer, boolean, number] = [bytes(s.b), s.bEq, s.bOff]
    let end: [Buffer, boolean, number] = [bytes(s.e), s.eEq, s.eOff]
    let left = s.limit
    const rows: [Buffer, Buffer][] = []
    for (let iteration = 1; ; iteration++) {
      const page = await tn.getRange(...begin, ...end, left, 0, s.mode, iteration, s.snap, s.rev)
      rows.push(...page.results)
      const last = page.results.at(-1)?.[0]
      if (!page.more || last === undefined) break
      if (s.limit) {
        left -= page.results.length
        if (left <= 0) break
      }
      if (s.rev) end = [last, false, 1]
      else begin = [last, true, 1]
    }
    return rows.map(([key, value]) => [hex(key), hex(value)])
  }

  #atomicOp(tn: NativeTransaction, s: Step): void {
    tn.atomicOp(s.ty, bytes(s.k), bytes(s.v))
    if (s.ty === 14 || s.ty === 15) this.#stampOf[s.t] ??= tn.getVersionstamp().then(hex, () => null)
  }

  #setReadVersion(tn: NativeTransaction, text: string): void {
    const version = Buffer.alloc(8)
    version.writeBigInt64BE(BigInt(text))
    tn.setReadVersion(version)
  }

  #watch(tn: NativeTransaction, s: Step): void {
    const watch: Watch = tn.watch(bytes(s.k), false)
    const pending: Pending = { done: null, cancel: () => watch.cancel() }
    this.#watches.set(s.id, pending)
    watch.promise.then(
      (changed) => {
        pending.done = changed
      },
      (error: { code: number }) => {
        pending.done = { err: error.code }
      },
    )
  }

  async #watched(id: number): Promise<unknown> {
    const pending = this.#watches.get(id)
    for (let i = 0; i < 8 && pending?.done === null; i++) await sleep(5)
    return pending?.done
  }

  async #commit(tn: NativeTransaction, t: number): Promise<string> {
    await tn.commit()
    const stamp = await this.#stampOf[t]
    if (!stamp) return 'ok'
    this.#stamps.push(stamp)
    return `ok <vs${this.#stamps.length - 1}>`
  }

  #normal(value: unknown): unknown {
    if (typeof value === 'string')
      return this.#stamps.reduce((text, stamp, i) => text.replaceAll(stamp, `<vs${i}>`), value)
    return Array.isArray(value) ? value.map((part) => this.#normal(part)) : value
  }
}

/** The first step that the engine answers differently, or undefined. */
export async function replay(db: NativeDatabase, scenario: Scenario): Promise<Difference | undefined> {
  const run = new Replay(db)
  for (const [step, recorded] of scenario.steps.entries()) {
    const { r: expected, ...asked } = recorded
    const got = await run.run(asked as Step)
    if (JSON.stringify(expected) !== JSON.stringify(got)) return { step, expected, got }
  }
  return undefined
}
