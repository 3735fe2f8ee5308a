// The same API job here and as a service that many would write today (test/bench/peers/server.ts: Fastify, PostgreSQL
// with row-level security, a limiter in Redis): a project of one of 1,000 tenants is read, or created. All contenders run all
// the time and take turns, so that a slow minute of the machine is one for all of them.
import { fork } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { claimable } from '../../dev/ports.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { newId } from '../../shared/ids.ts'
import { limitsOf } from '../../shared/plans.ts'
import { startRawEdge } from '../support/raw_edge.ts'
import { RegionSecrets } from '../support/region_client.ts'
import { type Load, measure, median, percentile } from './closed_loop.ts'
import { type Asker, AssertionMaker, heldAfter, type Signed } from './peers/assertions.ts'
import { type Databases, INSTALL, startDatabases } from './peers/databases.ts'
import { processorSeconds } from './peers/processor_time.ts'
import { LoneRegion } from './tenants/lone_region.ts'

const TENANTS = Number(process.env.TENANTS ?? 1_000)
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const ROUND_MS = Number(process.env.ROUND_MS ?? 2_000)
const CONNECTIONS = (process.env.CONNECTIONS ?? '1,16').split(',').map(Number)
const AT_ONCE = 32

type Operation = 'read' | 'create'
type Emit = (figure: object) => void
type Say = (line: string) => void

/** One of those who do the job. */
interface Contender {
  name: string
  /** Whose processor time is theirs. */
  pids: number[]
  origin: string
  /** Requests for the next round: so many, for tenants in turn. */
  prepare(operation: Operation, count: number): Promise<() => ReturnType<NonNullable<Load['each']>>>
}

interface Tenant {
  key: string
  projectId: string
}

interface Result {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
  cpuMicros: number
}

export async function run(emit: Emit, say: Say): Promise<void> {
  const databases = await startDatabases()
  if (databases === undefined) {
    say(`The peer needs PostgreSQL and Redis (neither has to be running):\n\n  ${INSTALL}\n`)
    process.exitCode = 1
    return
  }
  const stops: Array<() => unknown> = [() => databases.stop()]
  try {
    const peer = await startPeers(databases, stops)
    const ours = await startOurs(stops)
    const contenders = [...ours, ...peer]
    const machine = { cpus: cpus().length, cpu: cpus()[0]?.model, load: loadavg()[0], node: process.version }
    emit({ bench: 'peers', ...machine, tenants: TENANTS, rounds: ROUNDS, roundMs: ROUND_MS })
    say('operation  connections                          requests/s    p50 ms    p99 ms    CPU µs')
    for (const operation of ['read', 'create'] as const) {
      for (const connections of CONNECTIONS) {
        const results = await inTurns(contenders, operation, connections)
        for (const [name, result] of [...results, ...ratios(results)]) {
          emit({ bench: 'peers', operation, connections, contender: name, ...result })
          say(row(operation, connections, name, result))
        }
      }
    }
    say(
      'goals: region / peer at least 2 times the requests/s at a lower p99; edge and region / peer at least 1',
    )
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
}

/**
 * A round each in turn, after one that nobody counts; a round begins with a request of each tenant that nobody counts,
 * since an edge forgets who has not asked for ten seconds. Figures are the medians of the rounds.
 */
async function inTurns(
  contenders: ReadonlyArray<Contender>,
  operation: Operation,
  connections: number,
): Promise<Map<string, Result>> {
  const rounds = new Map<string, Result[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { name, pids, origin, prepare } of contenders) {
      const each = await prepare(operation, TENANTS + (ROUND_MS / 1_000) * MOST_A_SECOND)
      const load: Load = {
        origin,
        method: operation === 'read' ? 'GET' : 'POST',
        path: '/v1/projects',
        headers: {},
        each,
        connections,
        durationMs: ROUND_MS,
      }
      await measure({ ...load, durationMs: Number.POSITIVE_INFINITY, requests: TENANTS })
      const before = processorSeconds(pids)
      const { latenciesMs, elapsedMs } = await measure(load)
      const seconds = processorSeconds(pids) - before
      if (round === 0) continue
      rounds.get(name)?.push({
        requestsPerSecond: latenciesMs.length / (elapsedMs / 1_000),
        p50Ms: percentile(latenciesMs, 50),
        p99Ms: percentile(latenciesMs, 99),
        cpuMicros: (seconds * 1e6) / latenciesMs.length,
      })
    }
  }
  const medians = (of: ReadonlyArray<Result>) => figures((figure) => median(of.map((one) => one[figure])))
  return new Map([...rounds].map(([name, results]) => [name, medians(results)]))
}

/** No contender answers as many on two processors: so many requests are made ready for a round. */
const MOST_A_SECOND = 8_000

const FIGURES = ['requestsPerSecond', 'p50Ms', 'p99Ms', 'cpuMicros'] as const

const COMPARED = [
  ['region', 'peer'],
  ['region', 'peer, no limiter'],
  ['region', 'tuned peer'],
  ['edge and region', 'peer'],
  ['edge and region', 'tuned peer'],
] as const

/** All four figures, rounded. */
function figures(of: (figure: keyof Result) => number): Result {
  const rounded = FIGURES.map((figure) => [figure, Number(of(figure).toPrecision(3))])
  return Object.fromEntries(rounded) as Record<keyof Result, number>
}

function ratios(results: ReadonlyMap<string, Result>): Map<string, Result> {
  const compared = COMPARED.map(([name, base]): [string, Result] => {
    const of = (contender: string, figure: keyof Result) => results.get(contender)?.[figure] ?? Number.NaN
    return [`${name} / ${base}`, figures((figure) => of(name, figure) / of(base, figure))]
  })
  return new Map(compared)
}

const row = (operation: Operation, connections: number, name: string, result: Result): string =>
  [
    operation.padEnd(9),
    String(connections).padStart(13),
    name.padStart(30),
    ...FIGURES.map((figure) => String(result[figure]).padStart(10)),
  ].join('')

const BODY = JSON.stringify({ name: 'Benchmark' })
const JSON_BODY = { 'content-type': 'application/json' }

/** A region by itself, asked as an edge would; and the same region behind its edge, limits on. */
async function startOurs(stops: Array<() => unknown>): Promise<Contender[]> {
  const folder = mkdtempSync(join(tmpdir(), 'coditect-peers-'))
  stops.push(() => rmSync(folder, { recursive: true, force: true }))
  const secrets = new RegionSecrets(['us'])
  const region = await LoneRegion.start(folder, secrets)
  stops.push(() => region.stop())
  const edge = await startRawEdge(await secrets.environment('us', { us: region.url }))
  stops.push(() => edge.stop())
  const tenants = await all(TENANTS, async (n): Promise<Tenant & Asker> => {
    const { key } = await region.makeTenant(`peer-${n}`)
    const answer = await region.ask(key, 'POST', '/v1/projects', { name: 'Benchmark' })
    const { status, body } = answer
    if (status !== 201) throw new Error(`a project was not made: ${JSON.stringify(body)}`)
    return { key, projectId: body.id, held: heldAfter(answer) }
  })
  const maker = await AssertionMaker.of(secrets, tenants)
  return [
    {
      name: 'region',
      pids: [region.pid],
      origin: region.url,
      async prepare(operation, count) {
        const ready: Signed[] = await all(count, (n) => {
          const at = n % TENANTS
          if (operation === 'create') return maker.sign(at, 'POST', '/v1/projects')
          return maker.sign(at, 'GET', `/v1/projects/${tenants[at]?.projectId}`)
        })
        return () => {
          const next = ready.pop()
          if (next === undefined) throw new Error('more was answered than was made ready')
          if (operation === 'read') return next
          return { path: next.path, headers: { ...next.headers, ...JSON_BODY }, body: BODY }
        }
      },
    },
    byKey('edge and region', [edge.pid, region.pid], edge.url, tenants),
  ]
}

/** Asked with the API keys themselves. */
function byKey(name: string, pids: number[], origin: string, tenants: ReadonlyArray<Tenant>): Contender {
  return {
    name,
    pids,
    origin,
    async prepare(operation, count) {
      const reads = tenants.map(({ key, projectId }) => ({
        path: `/v1/projects/${projectId}`,
        headers: { authorization: `Bearer ${key}` },
      }))
      const creates = tenants.map(({ key }) => ({
        path: '/v1/projects',
        headers: { authorization: `Bearer ${key}`, ...JSON_BODY },
        body: BODY,
      }))
      const requests = operation === 'read' ? reads : creates
      let at = count
      return () => requests[--at % TENANTS] ?? {}
    },
  }
}

/** The peer, the peer without its limiter, and the peer written to be as quick as it can be, over the same database. */
async function startPeers(databases: Databases, stops: Array<() => unknown>): Promise<Contender[]> {
  const tenants = await fill(databases)
  const { postgres, redis } = databases.processes
  const serve = async (variables: Record<string, string>) => {
    const port = await claimable(0)
    const server = fork(join(import.meta.dirname, 'peers', 'server.ts'), {
      env: {
        ...process.env,
        NODE_ENV: 'production',
        PORT: String(port),
        POSTGRES: String(databases.postgres),
        ...variables,
      },
    })
    stops.push(() => {
      if (server.connected) server.disconnect()
    })
    await Promise.race([
      once(server, 'message'),
      once(server, 'exit').then(() => Promise.reject(new Error('the peer did not start'))),
    ])
    return { origin: `http://127.0.0.1:${port}`, pid: server.pid ?? 0 }
  }
  const limiter = { REDIS: String(databases.redis) }
  const limited = await serve(limiter)
  const unlimited = await serve({})
  const tuned = await serve({ ...limiter, TUNED: 'on' })
  await doesItsJob(databases, limited.origin, tenants)
  await doesItsJob(databases, tuned.origin, tenants.slice(2))
  return [
    byKey('peer', [limited.pid, postgres, redis], limited.origin, tenants),
    byKey('peer, no limiter', [unlimited.pid, postgres], unlimited.origin, tenants),
    byKey('tuned peer', [tuned.pid, postgres, redis], tuned.origin, tenants),
  ]
}

/** Tenants with a key and a project each, and the same limits that a tenant of ours has. */
async function fill(databases: Databases): Promise<Tenant[]> {
  const { requestsPerSecond, burst, projects } = limitsOf('team')
  const tenants = Array.from({ length: TENANTS }, (_, n) => ({
    id: newId('ten'),
    slug: `peer-${n}`,
    key: `pk_${toBase64url(randomBytes(32))}`,
    projectId: newId('prj'),
  }))
  const ids = tenants.map(({ id }) => id)
  await databases.asOwner(async (client) => {
    await client.query(readFileSync(join(import.meta.dirname, 'peers', 'schema.sql'), 'utf8'))
    await client.query(
      `insert into tenants (id, slug, requests_per_second, burst)
       select *, $3, $4 from unnest($1::text[], $2::text[])`,
      [ids, tenants.map(({ slug }) => slug), requestsPerSecond, burst],
    )
    await client.query(
      `insert into api_keys (hash, id, tenant_id, scopes)
       select *, array['*'] from unnest($1::bytea[], $2::text[], $3::text[])`,
      [tenants.map(({ key }) => hash('sha256', key, 'buffer')), ids.map(() => newId('key')), ids],
    )
    await client.query(
      'insert into usage (tenant_id, projects, max_projects) select *, 1, $2 from unnest($1::text[])',
      [ids, projects],
    )
    await client.query(
      `insert into projects (tenant_id, id, name, description, created_at, updated_at, version)
       select *, 'Benchmark', '', now(), now(), 1 from unnest($1::text[], $2::text[])`,
      [ids, tenants.map(({ projectId }) => projectId)],
    )
    await client.query('vacuum analyze')
  })
  return tenants
}

/** A peer that let something through would be quick for the wrong reason. @throws {Error} */
async function doesItsJob(
  databases: Databases,
  origin: string,
  tenants: ReadonlyArray<Tenant>,
): Promise<void> {
  const [first, second] = tenants
  if (first === undefined || second === undefined) throw new Error('there are two tenants at least')
  const read = (key: string, id: string) =>
    fetch(`${origin}/v1/projects/${id}`, { headers: { authorization: `Bearer ${key}` } })
  const create = (key: string, once: string) =>
    fetch(`${origin}/v1/projects`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'idempotency-key': once, ...JSON_BODY },
      body: BODY,
    })
  await expectStatus(200, read(first.key, first.projectId))
  await expectStatus(404, read(first.key, second.projectId))
  await expectStatus(401, read('pk_invented', first.projectId))
  const [made, again] = [await create(first.key, 'once'), await create(first.key, 'once')]
  const ids = [await made.json(), await again.json()].map((body) => (body as { id: string }).id)
  if (ids[0] === undefined || ids[0] !== ids[1]) throw new Error('the peer makes a project twice')
  const change = (table: string, column: string, value: number) =>
    databases.asOwner((client) => client.query(`update ${table} set ${column} = $1`, [value]))
  const { requestsPerSecond, burst, projects } = limitsOf('team')
  await change('usage', 'max_projects', 2)
  await expectStatus(403, create(first.key, 'too many'))
  await change('usage', 'max_projects', projects)
  await change('tenants', 'burst', 1)
  await change('tenants', 'requests_per_second', 1)
  await expectStatus(200, read(second.key, second.projectId))
  await expectStatus(429, read(second.key, second.projectId))
  await change('tenants', 'burst', burst)
  await change('tenants', 'requests_per_second', requestsPerSecond)
}

async function expectStatus(status: number, answer: Promise<Response>): Promise<void> {
  const got = await answer
  const text = await got.text()
  if (got.status !== status) throw new Error(`the peer answered ${got.status}, not ${status}: ${text}`)
}

/** In order, some at a time. */
async function all<T>(count: number, make: (n: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  for (let from = 0; from < count; from += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - from)
    made.push(...(await Promise.all(Array.from({ length }, (_, i) => make(from + i)))))
  }
  return made
}
