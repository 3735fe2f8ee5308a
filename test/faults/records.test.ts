// Records over a failing database: many clients write the same few records while indexes come and go.
import { expect, test } from 'vitest'
import { type Engine, openEngine } from '../../regional/storage/open.ts'
import { eventually } from '../regional/records_support.ts'
import { type Answer, type Regions, startRegions } from '../regional/support.ts'
import { CALM, ChaosDatabase, STORMY } from './chaos_database.ts'
import { Random, seedOf } from './random.ts'

const CLIENTS = 6
const REQUESTS = 400
const VALUES = 25

// biome-ignore lint/suspicious/noExplicitAny: records of every shape
type Shown = any

test('over a failing database every change of a record is made once, none is lost, and indexes hold what they should', async () => {
  const seed = seedOf(7)
  const random = new Random(seed)
  const chaos: ChaosDatabase[] = []
  const open: typeof openEngine = async (options) => {
    const engine: Engine = await openEngine(options)
    const database = new ChaosDatabase(engine.native, random, CALM)
    chaos.push(database)
    const close = async () => {
      await database.settle()
      await engine.close()
    }
    return { ...engine, native: database, close }
  }
  const regions = await startRegions({ open })
  try {
    await run(regions, random, (plan) => {
      for (const each of chaos) each.plan = plan
    })
  } catch (error) {
    throw new Error(`to run it again: FUZZ_SEED=${seed}`, { cause: error })
  } finally {
    await regions.close()
  }
}, 60_000)

async function run(regions: Regions, random: Random, setPlan: (plan: typeof CALM) => void): Promise<void> {
  const { key } = await regions.newTenant('records', 'us')
  let sent = 0
  /** Until the answer says what happened. */
  async function send(path: string, method: string, body?: unknown): Promise<Answer> {
    const headers = { 'idempotency-key': `k${++sent}` }
    for (;;) {
      const answer = await regions.ask('us', { as: key, path, method, body, headers })
      if (answer.status !== 503) return answer
    }
  }
  const { body: project } = await send('/v1/projects', 'POST', { name: 'P' })
  const collection = `/v1/projects/${project.id}/collections/c`
  const records = `${collection}/records`
  const indexes = [
    { field: 'u', type: 'number', unique: true },
    { field: 'n', type: 'number' },
  ]
  await send(collection, 'PUT', { indexes })

  /** By the mark that its making left in it: the marks of the changes that were answered with 200. */
  const marks = new Map<string, Set<string>>()
  const ids = new Map<string, string>()
  const gone = new Set<string>()
  const statuses = new Map<number, number>()

  async function act(): Promise<void> {
    const mark = `m${sent}`
    const value = () => ({ n: random.below(100), ...(random.chance(0.7) && { u: random.below(VALUES) }) })
    const made = random.chance(0.4) || ids.size === 0 ? undefined : random.pick([...ids.keys()])
    let answer: Answer
    if (made === undefined) {
      answer = await send(records, 'POST', { data: { made: mark, ...value() } })
      if (answer.status === 201) {
        marks.set(mark, new Set())
        ids.set(mark, answer.body.id)
      }
    } else if (random.chance(0.2)) {
      gone.add(made)
      answer = await send(`${records}/${ids.get(made)}`, 'DELETE')
    } else {
      answer = await send(`${records}/${ids.get(made)}`, 'PATCH', { data: { [mark]: true, ...value() } })
      if (answer.status === 200) marks.get(made)?.add(mark)
    }
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    expect([200, 201, 204, 404, 409], JSON.stringify(answer.body)).toContain(answer.status)
  }

  setPlan(STORMY)
  await Promise.all([
    ...Array.from({ length: CLIENTS }, async () => {
      while (sent < REQUESTS) await act()
    }),
    (async () => {
      while (sent < REQUESTS) {
        const { status } = await send(collection, 'PUT', { indexes: indexes.slice(0, 1 + random.below(2)) })
        expect(status).toBe(200)
      }
    })(),
  ])
  setPlan(CALM)
  // The run met what it is about.
  for (const status of [200, 201, 204, 409]) expect(statuses.get(status)).toBeGreaterThan(5)

  await send(collection, 'PUT', { indexes })
  await eventually(async () => {
    const { body } = await send(collection, 'GET')
    expect(body.indexes.map(({ state }: Shown) => state)).toEqual(['ready', 'ready'])
  })
  const list = async (query: string): Promise<Shown[]> => {
    const found = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await send(`${records}?limit=100${query}${cursor && `&cursor=${cursor}`}`, 'GET')
      found.push(...body.data)
      cursor = body.nextCursor
    }
    return found
  }
  const kept = await list('')
  const byMaking = new Map<string, Shown>(kept.map((record) => [record.data.made, record]))
  expect(byMaking.size).toBe(kept.length)
  expect(kept.length).toBeGreaterThan(10)
  for (const [made, changes] of marks) {
    const record = byMaking.get(made)
    expect(record === undefined).toBe(gone.has(made))
    if (record === undefined) continue
    expect(record.id).toBe(ids.get(made))
    // Each change that was said to be made is there, and no other, and each counted once.
    const present = Object.keys(record.data).filter((field) => /^m\d/.test(field))
    expect(new Set(present)).toEqual(changes)
    expect(record.version).toBe(changes.size + 1)
  }
  expect(byMaking.size).toBe([...marks.keys()].filter((made) => !gone.has(made)).length)
  expect((await send(collection, 'GET')).body.records).toBe(kept.length)
  for (const field of ['n', 'u']) {
    const expected = kept
      .filter(({ data }) => field in data)
      .map(({ id, data }) => [data[field], id] as [number, string])
      .sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1))
    expect((await list(`&order=${field}`)).map(({ id, data }) => [data[field], id])).toEqual(expected)
  }
  const unique = kept.flatMap(({ data }) => ('u' in data ? [data.u] : []))
  expect(new Set(unique).size).toBe(unique.length)
}
