// The embedded engine beside raw prepared statements of node:sqlite with the same durability, on the same file
// system, in one run: point reads, rows in ranges, durable commits of ten keys. One JSON object a line on
// stdout, a summary on stderr. `npm run bench engine`.
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NativeDatabase } from '../../regional/storage/foundationdb.ts'
import { openEngine } from '../../regional/storage/open.ts'

const ROWS = 100_000
const RANGE = 100
const KEYS_A_COMMIT = 10
const TURNS = 11
const TURN_MS = 400
const VALUE_BYTES = 200
/** Reads in one transaction: a cluster's live five seconds, so a reader starts anew now and then. */
const READS_A_TRANSACTION = 20

/** 28 bytes, scattered over the key space. */
function keyOf(n: number): Buffer {
  const key = Buffer.alloc(28)
  // Below ff: the user key space.
  key.writeUInt32BE(Math.imul(n, 2654435761) >>> 1, 0)
  key.writeUInt32BE(n, 4)
  return key
}

let written = 0
/** Different each time: SQLite writes nothing where a row stays as it is. */
function newValue(): Buffer {
  const value = Buffer.alloc(VALUE_BYTES, 7)
  value.writeUInt32BE(++written, 0)
  return value
}

interface Result {
  bench: string
  clients?: number
  engine: number
  raw: number
  ratio: number
  target: number
  unit: string
  p50Ms?: number
  p99Ms?: number
  rawP50Ms?: number
  rawP99Ms?: number
  loopDelayP99Ms?: number
  /** The same of an event loop that does nothing, at that time: what the machine adds. */
  idleLoopDelayP99Ms?: number
}

interface Run {
  perSecond: number
  p50Ms: number
  p99Ms: number
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0

function summary(units: number, startedMs: number, latencies: number[]): Run {
  latencies.sort((a, b) => a - b)
  return {
    perSecond: units / ((performance.now() - startedMs) / 1000),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  }
}

const median = (values: readonly number[]): number =>
  quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  )

/** The two sides take short turns, so that whatever else the machine does hits both; the medians count. */
async function takeTurns<E extends Run>(
  engine: () => Promise<E>,
  raw: () => Promise<Run>,
): Promise<{ engine: Run; raw: Run; ratio: number; engineRuns: E[] }> {
  const engineRuns: E[] = []
  const rawRuns: Run[] = []
  for (let turn = 0; turn < TURNS; turn++) {
    engineRuns.push(await engine())
    rawRuns.push(await raw())
  }
  const middle = (runs: readonly Run[]): Run => ({
    perSecond: median(runs.map((run) => run.perSecond)),
    p50Ms: median(runs.map((run) => run.p50Ms)),
    p99Ms: median(runs.map((run) => run.p99Ms)),
  })
  const ratios = engineRuns.map((run, i) => run.perSecond / (rawRuns[i]?.perSecond ?? Number.NaN))
  return { engine: middle(engineRuns), raw: middle(rawRuns), ratio: median(ratios), engineRuns }
}

class Raw {
  readonly #db: DatabaseSync
  readonly #get
  readonly #range
  readonly #upsert

  constructor(path: string) {
    this.#db = new DatabaseSync(path)
    this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;
      CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID`)
    this.#get = this.#db.prepare('SELECT value FROM kv WHERE key = ?')
    this.#range = this.#db.prepare('SELECT key, value FROM kv WHERE key >= ? ORDER BY key LIMIT ?')
    this.#upsert = this.#db.prepare(
      'INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    )
    this.#get.setReturnArrays(true)
    this.#range.setReturnArrays(true)
  }

  write(keys: readonly Buffer[]): void {
    this.#db.exec('BEGIN IMMEDIATE')
    for (const key of keys) this.#upsert.run(key, newValue())
    this.#db.exec('COMMIT')
  }

  get(key: Buffer): unknown {
    return this.#get.get(key)
  }

  range(begin: Buffer): number {
    return this.#range.all(begin, RANGE).length
  }

  close(): void {
    this.#db.close()
  }
}

async function engineReads(
  db: NativeDatabase,
  read: (tn: ReturnType<NativeDatabase['createTransaction']>, n: number) => Promise<number>,
): Promise<Run> {
  const latencies: number[] = []
  const startedMs = performance.now()
  let units = 0
  for (let n = 0; performance.now() - startedMs < TURN_MS; ) {
    const tn = db.createTransaction()
    for (let i = 0; i < READS_A_TRANSACTION; i++) {
      const at = performance.now()
      units += await read(tn, n++)
      latencies.push(performance.now() - at)
    }
    await tn.commit()
  }
  return summary(units, startedMs, latencies)
}

async function rawReads(read: (n: number) => number): Promise<Run> {
  const latencies: number[] = []
  const startedMs = performance.now()
  let units = 0
  for (let n = 0; performance.now() - startedMs < TURN_MS; n++) {
    const at = performance.now()
    units += read(n)
    latencies.push(performance.now() - at)
  }
  return summary(units, startedMs, latencies)
}

function batch(n: number): Buffer[] {
  return Array.from({ length: KEYS_A_COMMIT }, (_, i) => keyOf((n * KEYS_A_COMMIT + i) % ROWS))
}

async function engineCommits(db: NativeDatabase, clients: number): Promise<Run & { loopDelayP99Ms: number }> {
  const latencies: number[] = []
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startedMs = performance.now()
  let next = 0
  const client = async (): Promise<void> => {
    while (performance.now() - startedMs < TURN_MS) {
      const keys = batch(next++)
      const at = performance.now()
      const tn = db.createTransaction()
      for (const key of keys) tn.set(key, newValue())
      await tn.commit()
      latencies.push(performance.now() - at)
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  delay.disable()
  // The monitor counts its own interval of 1 ms in.
  return {
    ...summary(latencies.length, startedMs, latencies),
    loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - 1),
  }
}

/** How late the machine lets an event loop be that has nothing to do. */
async function idleLoopDelayMs(): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await sleep(TURN_MS)
  delay.disable()
  return Math.max(0, delay.percentile(99) / 1e6 - 1)
}

/** The same batches by hand: as many in one transaction as clients wait at once. */
async function rawCommits(raw: Raw, clients: number): Promise<Run> {
  const latencies: number[] = []
  const startedMs = performance.now()
  for (let next = 0; performance.now() - startedMs < TURN_MS; ) {
    const at = performance.now()
    const keys: Buffer[] = []
    for (let i = 0; i < clients; i++) keys.push(...batch(next++))
    raw.write(keys)
    const tookMs = performance.now() - at
    for (let i = 0; i < clients; i++) latencies.push(tookMs)
  }
  return summary(latencies.length, startedMs, latencies)
}

function report(result: Result): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
  const { bench, clients, engine, raw, ratio, target, unit, loopDelayP99Ms } = result
  const name = clients === undefined ? bench : `${bench}, ${clients} clients`
  const verdict = ratio >= target ? 'meets' : 'MISSES'
  const latency = `p50 ${result.p50Ms?.toFixed(3)} ms, p99 ${result.p99Ms?.toFixed(3)} ms (raw ${result.rawP50Ms?.toFixed(3)}, ${result.rawP99Ms?.toFixed(3)})`
  const loop =
    loopDelayP99Ms === undefined
      ? ''
      : `; event loop p99 ${loopDelayP99Ms.toFixed(2)} ms (idle ${result.idleLoopDelayP99Ms?.toFixed(2)})`
  console.error(
    `${name}: ${Math.round(engine)} ${unit}, raw ${Math.round(raw)}: ${ratio.toFixed(2)}, ${verdict} ${target}; ${latency}${loop}`,
  )
}

type Compared = Awaited<ReturnType<typeof takeTurns>>

const compared = ({ engine, raw, ratio }: Compared, target: number): Omit<Result, 'bench' | 'unit'> => ({
  engine: engine.perSecond,
  raw: raw.perSecond,
  ratio,
  target,
  p50Ms: engine.p50Ms,
  p99Ms: engine.p99Ms,
  rawP50Ms: raw.p50Ms,
  rawP99Ms: raw.p99Ms,
})

export async function run(): Promise<void> {
  // Beside the project and not in the temporary folder, which may be memory without a disk to sync to.
  const directory = await mkdtemp(join(process.cwd(), '.bench-'))
  const engine = await openEngine({ dataDir: join(directory, 'engine') })
  const raw = new Raw(join(directory, 'raw.sqlite'))
  try {
    const db = engine.native
    for (let n = 0; n < ROWS; n += 1000) {
      const keys = Array.from({ length: 1000 }, (_, i) => keyOf(n + i))
      const tn = db.createTransaction()
      for (const key of keys) tn.set(key, newValue())
      await tn.commit()
      raw.write(keys)
    }

    const gets = await takeTurns(
      () => engineReads(db, async (tn, n) => ((await tn.get(keyOf(n % ROWS), false)) ? 1 : 0)),
      () => rawReads((n) => (raw.get(keyOf(n % ROWS)) ? 1 : 0)),
    )
    report({ bench: 'point reads', unit: 'reads/s', ...compared(gets, 0.4) })

    const end = Buffer.from([0xff])
    const rows = await takeTurns(
      () =>
        engineReads(db, async (tn, n) => {
          const begin = keyOf(n % ROWS)
          const page = await tn.getRange(begin, false, 1, end, false, 1, RANGE, 0, -2, 1, false, false)
          return page.results.length
        }),
      () => rawReads((n) => raw.range(keyOf(n % ROWS))),
    )
    report({ bench: 'range rows', unit: 'rows/s', ...compared(rows, 0.5) })

    for (const clients of [1, 10, 100]) {
      const idle: number[] = []
      const commits = await takeTurns(
        async () => {
          idle.push(await idleLoopDelayMs())
          return engineCommits(db, clients)
        },
        () => rawCommits(raw, clients),
      )
      report({
        bench: 'durable commits of 10 keys',
        clients,
        unit: 'commits/s',
        ...compared(commits, 0.7),
        loopDelayP99Ms: median(commits.engineRuns.map((run) => run.loopDelayP99Ms)),
        idleLoopDelayP99Ms: median(idle),
      })
    }
  } finally {
    raw.close()
    await engine.close()
    await rm(directory, { recursive: true, force: true })
  }
}

if (import.meta.main) await run()
