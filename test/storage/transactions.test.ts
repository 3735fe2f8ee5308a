import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Op } from '../../regional/storage/embedded/atomic_ops.ts'
import { keyBytes } from '../../regional/storage/embedded/key.ts'
import type { NativeDatabase, NativeTransaction } from '../../regional/storage/foundationdb.ts'
import {
  answer,
  applyWrite,
  overlaps,
  type Read,
  readEnvelope,
  type SelectorSpec,
  type Span,
  type State,
  type Write,
  writtenSpan,
} from './model.ts'
import { seed } from './seed.ts'
import { temporaryEngine } from './temporary.ts'

const NOT_COMMITTED = 1020
const TRANSACTIONS = 3

type Step =
  | { t: number; do: 'write'; write: Write }
  | { t: number; do: 'read'; read: Read; snapshot: boolean }
  | { t: number; do: 'readConflict' | 'writeConflict'; span: Span }
  | { t: number; do: 'commit' | 'reset' }

const key = fc.string({ unit: fc.constantFrom('a', 'b', '\0', '\xfe'), maxLength: 2 })
const value = fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes))
const span = fc.tuple(key, key).map(([a, b]): Span => (a < b ? [a, b] : [b, a]))
const selector: fc.Arbitrary<SelectorSpec> = fc.record({
  key,
  orEqual: fc.boolean(),
  offset: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 1) },
    { weight: 1, arbitrary: fc.integer({ min: -3, max: 4 }) },
  ),
})
// Compare-and-clear is left to the recorded traces: a cluster counts the key it cleared in a selector's offset.
const atomic = fc.constantFrom(
  Op.Add,
  Op.And,
  Op.Or,
  Op.Xor,
  Op.AppendIfFits,
  Op.Max,
  Op.Min,
  Op.ByteMin,
  Op.ByteMax,
)
const write: fc.Arbitrary<Write> = fc.oneof(
  fc.record({ op: fc.constant('set' as const), key, value }),
  fc.record({ op: fc.constant('atomic' as const), type: atomic, key, value }),
  span.map(([begin, end]) => ({ op: 'clearRange' as const, begin, end })),
)
const read: fc.Arbitrary<Read> = fc.oneof(
  fc.record({ op: fc.constant('get' as const), key }),
  fc.record({ op: fc.constant('getKey' as const), selector }),
  fc.record({
    op: fc.constant('getRange' as const),
    begin: selector,
    end: selector,
    limit: fc.constantFrom(0, 0, 1, 2, 5),
    reverse: fc.boolean(),
  }),
)
const t = fc.nat({ max: TRANSACTIONS - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ t, do: fc.constant('write' as const), write }) },
  { weight: 8, arbitrary: fc.record({ t, do: fc.constant('read' as const), read, snapshot: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ t, do: fc.constantFrom('readConflict' as const, 'writeConflict' as const), span }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ t, do: fc.constantFrom('commit' as const, 'commit' as const, 'reset' as const) }),
  },
)

async function ask(tn: NativeTransaction, asked: Read, snapshot: boolean): Promise<string> {
  if (asked.op === 'get') return (await tn.get(keyBytes(asked.key), snapshot))?.toString('hex') ?? 'none'
  if (asked.op === 'getKey') {
    const { key: base, orEqual, offset } = asked.selector
    return (await tn.getKey(keyBytes(base), orEqual, offset, snapshot)).toString('latin1')
  }
  let begin: [Buffer, boolean, number] = [keyBytes(asked.begin.key), asked.begin.orEqual, asked.begin.offset]
  let end: [Buffer, boolean, number] = [keyBytes(asked.end.key), asked.end.orEqual, asked.end.offset]
  const rows: string[] = []
  for (let left = asked.limit, iteration = 1; ; iteration++) {
    const page = await tn.getRange(...begin, ...end, left, 0, -2, iteration, snapshot, asked.reverse)
    for (const [name, found] of page.results) rows.push(`${name.toString('latin1')}=${found.toString('hex')}`)
    const last = page.results.at(-1)?.[0]
    if (asked.limit > 0) left -= page.results.length
    if (!page.more || last === undefined || (asked.limit > 0 && left <= 0)) return rows.join(',')
    if (asked.reverse) end = [last, false, 1]
    else begin = [last, true, 1]
  }
}

function send(tn: NativeTransaction, sent: Write): void {
  if (sent.op === 'set') tn.set(keyBytes(sent.key), sent.value)
  else if (sent.op === 'clearRange') tn.clearRange(keyBytes(sent.begin), keyBytes(sent.end))
  else tn.atomicOp(sent.type as number, keyBytes(sent.key), sent.value)
}

/** One transaction of the engine beside what the model knows of it. */
class Pair {
  readonly tn: NativeTransaction
  readonly #snapshot: State
  /** Commits before its read version. */
  readonly #sawCommits: number
  readonly log: ({ write: Write } | { read: Read; got: string })[] = []
  readonly reads: Span[] = []
  readonly writes: Span[] = []

  constructor(tn: NativeTransaction, snapshot: State, sawCommits: number) {
    this.tn = tn
    this.#snapshot = snapshot
    this.#sawCommits = sawCommits
  }

  /** An empty range writes nothing. */
  wrote([begin, end]: Span): void {
    if (begin < end) this.writes.push([begin, end])
  }

  get view(): State {
    return this.on(this.#snapshot)
  }

  /** Its writes on some state. */
  on(state: State): State {
    return this.log.reduce((now, entry) => ('write' in entry ? applyWrite(now, entry.write) : now), state)
  }

  /** Run now, alone, it would have read the same. */
  isSerialisable(state: State): boolean {
    let now = state
    for (const entry of this.log) {
      if ('write' in entry) now = applyWrite(now, entry.write)
      else if (answer(now, entry.read) !== entry.got) return false
    }
    return true
  }

  /** Some commit since its read version wrote into what it could have read. */
  mayConflict(commits: readonly (readonly Span[])[]): boolean {
    return commits
      .slice(this.#sawCommits)
      .some((spans) => spans.some((a) => this.reads.some((b) => overlaps(a, b))))
  }
}

async function run(db: NativeDatabase, steps: readonly Step[]): Promise<void> {
  const clear = db.createTransaction()
  clear.clearRange('', Buffer.from([0xff]))
  await clear.commit()
  let state: State = new Map()
  const commits: Span[][] = []
  const open: (Pair | undefined)[] = []
  for (const { t: number, ...doing } of steps) {
    let pair = open[number]
    if (!pair) {
      const tn = db.createTransaction()
      await tn.getReadVersion()
      pair = new Pair(tn, state, commits.length)
      open[number] = pair
    }
    if (doing.do === 'write') {
      send(pair.tn, doing.write)
      pair.log.push({ write: doing.write })
      pair.wrote(writtenSpan(doing.write))
    } else if (doing.do === 'read') {
      const got = await ask(pair.tn, doing.read, doing.snapshot)
      expect(got).toBe(answer(pair.view, doing.read))
      if (doing.snapshot) continue
      pair.log.push({ read: doing.read, got })
      pair.reads.push(readEnvelope(doing.read))
    } else if (doing.do === 'readConflict') {
      pair.tn.addReadConflictRange(...bytes(doing.span))
      pair.reads.push(doing.span)
    } else if (doing.do === 'writeConflict') {
      pair.tn.addWriteConflictRange(...bytes(doing.span))
      pair.wrote(doing.span)
    } else {
      open[number] = undefined
      if (doing.do === 'reset') {
        pair.tn.reset()
        continue
      }
      const error = await pair.tn.commit().then(
        () => undefined,
        (reason: { code: number }) => reason,
      )
      if (error) {
        expect(error.code).toBe(NOT_COMMITTED)
        expect(pair.mayConflict(commits)).toBe(true)
        continue
      }
      if (pair.writes.length > 0) expect(pair.isSerialisable(state)).toBe(true)
      state = pair.on(state)
      commits.push(pair.writes)
    }
  }
  // A transaction that is left open keeps what it sees from being folded, in all runs to come.
  for (const pair of open) pair?.tn.cancel()
  const all = { op: 'getRange', begin: plain(''), end: plain('\xff'), limit: 0, reverse: false } as const
  const last = db.createTransaction()
  expect(await ask(last, all, true)).toBe(answer(state, all))
  last.cancel()
}

const bytes = ([begin, end]: Span): [Buffer, Buffer] => [keyBytes(begin), keyBytes(end)]
const plain = (name: string): SelectorSpec => ({ key: name, orEqual: false, offset: 1 })

for (const foldEntries of [2, 4096])
  test(`interleaved transactions read, commit and conflict as a simple model says, folding at ${foldEntries} (seed ${seed})`, async () => {
    const engine = await temporaryEngine({ thresholds: { foldEntries } })
    const db = engine.database()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => run(db, steps)),
      { seed, numRuns: 300 },
    )
  })

test(`what was read of the file is read anew once it has changed (seed ${seed})`, async () => {
  const engine = await temporaryEngine({ thresholds: { foldEntries: 1 } })
  const db = engine.database()
  const keys = ['a', 'b', 'c', 'd']
  const inTransaction = async (work: (tn: NativeTransaction) => unknown): Promise<void> => {
    const tn = db.createTransaction()
    await work(tn)
    await tn.commit()
  }
  const change: fc.Arbitrary<Write> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ op: fc.constant('set' as const), key: fc.constantFrom(...keys), value }),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(...keys)
        .map((from) => ({ op: 'clearRange' as const, begin: from, end: 'e' })),
    },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
      let state: State = new Map()
      await inTransaction((tn) => tn.clearRange('', Buffer.from([0xff])))
      for (const write of changes) {
        state = applyWrite(state, write)
        await inTransaction((tn) => send(tn, write))
        // Another, so that what came before it is folded.
        await inTransaction((tn) => tn.set('z', Buffer.alloc(1)))
        await inTransaction(async (tn) => {
          for (const name of keys) {
            const asked = { op: 'get', key: name } as const
            expect(await ask(tn, asked, false)).toBe(answer(state, asked))
          }
        })
      }
    }),
    { seed, numRuns: 50 },
  )
})
