// Replays scenarios that were recorded on a real FoundationDB cluster, step by step, and says where the engine
// answers differently. The format is that of the recorder: see traces/README.md.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openEmbedded } from '../../regional/storage/embedded/engine.ts'
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

  readonly #pass: (ms: number) => void

  constructor(db: NativeDatabase, pass: (ms: number) => void) {
    this.#db = db
    this.#pass = pass
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
    if (s.op === 'sleep') return this.#pass(s.ms)
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

/** `pass` makes the engine's time pass. Returns the first step that the engine answers differently. */
export async function replay(
  db: NativeDatabase,
  scenario: Scenario,
  pass: (ms: number) => void,
): Promise<Difference | undefined> {
  const run = new Replay(db, pass)
  for (const [step, recorded] of scenario.steps.entries()) {
    const { r: expected, ...asked } = recorded
    const got = await run.run(asked as Step)
    if (JSON.stringify(expected) !== JSON.stringify(got)) return { step, expected, got }
  }
  return undefined
}

/** Tries at other versions; a second apart, they go through the bits that matter. */
const VERSIONS_TRIED = 16
const VERSION_STEP_MS = 1_049

/**
 * A few scenarios compare a versionstamp with other bytes (a Max over a stamped value), so their answers depend
 * on bits of the cluster's commit version, which the recording does not have. These are tried at several.
 */
async function replayAtSomeVersion(
  db: NativeDatabase,
  scenario: Scenario,
  pass: (ms: number) => void,
): Promise<Difference | undefined> {
  const stamps = scenario.steps.some(({ op, ty }) => op === 'atomicOp' && (ty === 14 || ty === 15))
  let difference = await replay(db, scenario, pass)
  for (let tried = 1; difference && stamps && tried < VERSIONS_TRIED; tried++) {
    pass(VERSION_STEP_MS)
    difference = await replay(db, scenario, pass)
  }
  return difference
}

export interface Failure extends Difference {
  file: string
  scenario: Scenario
}

/** Replays every file of a folder on one new embedded database, each scenario on cleared contents. */
export async function replayAll(directory: string): Promise<{ passed: number; failures: Failure[] }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'coditect-traces-'))
  let skippedMs = 0
  const engine = await openEmbedded({ dataDir, clock: () => performance.now() + skippedMs })
  const pass = (ms: number): void => {
    skippedMs += ms
  }
  const failures: Failure[] = []
  let passed = 0
  try {
    for (const file of (await readdir(directory)).filter((name) => name.endsWith('.ndjson')).sort()) {
      for (const line of (await readFile(join(directory, file), 'utf8')).split('\n')) {
        if (line === '') continue
        const scenario = JSON.parse(line) as Scenario
        const difference = await replayAtSomeVersion(engine.database(), scenario, pass)
        if (difference) failures.push({ file, scenario, ...difference })
        else passed++
      }
    }
  } finally {
    await engine.close()
    await rm(dataDir, { recursive: true, force: true })
  }
  return { passed, failures }
}

const short = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 2000)

export function describeFailure({ file, scenario, step, expected, got }: Failure): string {
  const name = scenario.name ?? `seed ${scenario.seed}`
  return `${file} ${name}, step ${step}: ${short(scenario.steps[step])}\n  expected ${short(expected)}\n  got      ${short(got)}`
}
