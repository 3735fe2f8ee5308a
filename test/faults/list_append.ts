// Random transactions over shared lists, through the retry loop of the region. An append is blind (an atomic
// operation), so it has no read to conflict by; a transaction that writes reads and writes a key with an id made
// outside the loop, as transact does, and knows its own earlier attempt by it.
import {
  type KVList,
  MutationType,
  type NativeDatabase,
  type NativeTransaction,
  type NativeValue,
} from '../../regional/storage/foundationdb.ts'
import { retrying } from '../../regional/tenancy/retry.ts'
import { Problem } from '../../shared/problems.ts'
import type { ChaosDatabase } from './chaos_database.ts'
import type { History, Operation, RecordedTransaction } from './history.ts'
import type { Random } from './random.ts'

export interface Workload {
  /** Stands before every key: one of its own for each run in a database. */
  name: string
  transactions: number
  clients: number
  /** Breaks the transactions on purpose, to show that this is found. */
  broken?: 'snapshot reads' | 'no marker'
}

/** `scan`: one range read of all lists that are in use. */
type Planned = Operation | { kind: 'scan'; keys: ReadonlyArray<string> }

/** Lists that are used at a time, and transactions before the next ones are taken, so that lists stay short. */
const KEYS = 6
const TRANSACTIONS_PER_KEYS = 400
const VALUE_BYTES = 4

/** @param engine what lies below the chaos */
export async function runListAppend(
  database: ChaosDatabase,
  engine: NativeDatabase,
  random: Random,
  { name, transactions, clients, broken }: Workload,
): Promise<History> {
  const run = `${name} `
  const recorded: RecordedTransaction[] = []
  const keys = new Set<string>()
  let begun = 0
  let values = 0
  let events = 0

  const plan = (id: number): Planned[] => {
    const first = Math.floor(id / TRANSACTIONS_PER_KEYS) * KEYS
    const inUse = Array.from({ length: KEYS }, (_, i) => `list ${String(first + i).padStart(6, '0')}`)
    for (const key of inUse) keys.add(key)
    return Array.from({ length: 1 + random.below(4) }, (): Planned => {
      const key = random.pick(inUse)
      if (random.chance(0.5)) return { kind: 'append', key, value: ++values }
      return random.chance(0.1) ? { kind: 'scan', keys: inUse } : { kind: 'read', key, values: [] }
    })
  }

  const transact = async (id: number): Promise<void> => {
    const planned = plan(id)
    const writes = planned.some(({ kind }) => kind === 'append')
    const aborts = random.chance(0.05)
    const marker = `${run}marker ${id}`
    const snapshot = broken === 'snapshot reads'
    const attempts: Operation[][] = []
    const begunAt = ++events
    const record = (operations: ReadonlyArray<Operation>, outcome: RecordedTransaction['outcome']) => {
      const endedAt = outcome === 'unknown' ? Number.POSITIVE_INFINITY : ++events
      recorded.push({ id, operations, outcome, begunAt, endedAt })
    }
    try {
      const operations = await retrying(
        () => database.createTransaction(),
        async (tn, attempt) => {
          const landed = broken === 'no marker' ? undefined : await tn.get(marker, false)
          const earlier = landed && attempts[Number(landed.toString())]
          if (earlier !== undefined) return { value: earlier, commit: false }
          const done: Operation[] = []
          for (const each of planned) done.push(...(await perform(tn, run, each, snapshot)))
          attempts[attempt] = done
          if (aborts) throw new Abort()
          if (writes) tn.set(marker, String(attempt))
          return { value: done, commit: writes }
        },
      )
      record(operations, 'committed')
    } catch (error) {
      const appends = planned.filter((each) => each.kind === 'append')
      if (error instanceof Abort) record(appends, 'aborted')
      else if (error instanceof Problem) record(appends, 'unknown')
      else throw error
    }
  }
  const client = async (): Promise<void> => {
    while (begun < transactions) await transact(begun++)
  }
  await Promise.all(Array.from({ length: clients }, client))
  await database.settle()
  return { transactions: recorded, final: await finalLists(engine, run, keys) }
}

async function perform(
  tn: NativeTransaction,
  run: string,
  planned: Planned,
  snapshot: boolean,
): Promise<Operation[]> {
  if (planned.kind === 'append') {
    tn.atomicOp(MutationType.AppendIfFits, run + planned.key, encode(planned.value))
    return [planned]
  }
  if (planned.kind === 'read') {
    return [{ ...planned, values: decode(await tn.get(run + planned.key, snapshot)) }]
  }
  const found = new Map<string, Buffer>()
  const last = run + (planned.keys.at(-1) ?? '')
  let from: NativeValue = run + (planned.keys[0] ?? '')
  for (let more = true; more; ) {
    // From the first key up to and with the last: (key, orEqual, offset) of both ends, then all there is.
    const page: KVList = await tn.getRange(from, false, 1, last, true, 1, 0, 0, -2, 1, snapshot, false)
    for (const [key, bytes] of page.results) found.set(key.toString(), bytes)
    more = page.more
    from = Buffer.concat([page.results.at(-1)?.[0] ?? Buffer.alloc(0), Buffer.of(0)])
  }
  return planned.keys.map((key) => ({ kind: 'read', key, values: decode(found.get(run + key)) }))
}

class Abort extends Error {}

async function finalLists(
  engine: NativeDatabase,
  run: string,
  keys: ReadonlySet<string>,
): Promise<Map<string, ReadonlyArray<number>>> {
  const tn = engine.createTransaction()
  return new Map(
    await Promise.all([...keys].map(async (key) => [key, decode(await tn.get(run + key, false))] as const)),
  )
}

function encode(value: number): Buffer {
  const bytes = Buffer.alloc(VALUE_BYTES)
  bytes.writeUInt32BE(value)
  return bytes
}

const decode = (bytes: Buffer | undefined): number[] =>
  Array.from(
    { length: (bytes?.length ?? 0) / VALUE_BYTES },
    (_, i) => bytes?.readUInt32BE(i * VALUE_BYTES) ?? 0,
  )
