// What the whole path costs: reading and creating a project through edge and region, beside a bare Hono forward to a
// bare Hono handler. Both run all the time and take turns, so that a slow minute of the machine is one for both.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { claimable } from '../../dev/ports.ts'
import { buildWorker, launchWorkerd } from '../../dev/workerd.ts'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type Load, measure, median, percentile } from './closed_loop.ts'

const ROUNDS = 5
const ROUND_MS = 2_000
export const CONNECTIONS = [1, 16]

type Contender = 'coditect' | 'bare'
type Operation = 'read' | 'create'

export async function run(emit: (figure: object) => void, say: (line: string) => void): Promise<void> {
  const stack = await startStack()
  const bare = await startBare()
  try {
    const loads = await loadsFor(stack, bare.origin)
    const machine = { cpus: cpus().length, cpu: cpus()[0]?.model, load: loadavg()[0], node: process.version }
    emit({ bench: 'path', ...machine, rounds: ROUNDS, roundMs: ROUND_MS })
    say(`operation  connections             requests/s    p50 ms    p99 ms`)
    for (const operation of ['read', 'create'] as const) {
      for (const connections of CONNECTIONS) {
        const results = await alternate(loads[operation], connections)
        const ratios = { requestsPerSecond: 0, p50Ms: 0, p99Ms: 0 }
        for (const contender of ['coditect', 'bare'] as const) {
          emit({ bench: 'path', operation, connections, contender, ...results[contender] })
          say(row(operation, connections, contender, results[contender]))
        }
        for (const key of ['requestsPerSecond', 'p50Ms', 'p99Ms'] as const) {
          ratios[key] = rounded(results.coditect[key] / results.bare[key])
        }
        emit({ bench: 'path', operation, connections, contender: 'ratio', ...ratios })
        say(row(operation, connections, 'ratio', ratios))
      }
    }
  } finally {
    bare.stop()
    await stack.stop()
  }
}

interface Result {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
}

/** A round each in turn, after one that nobody counts. Figures are the medians of the rounds. */
async function alternate(
  loads: Record<Contender, Omit<Load, 'connections' | 'durationMs'>>,
  connections: number,
): Promise<Record<Contender, Result>> {
  const rounds: Record<Contender, Result[]> = { coditect: [], bare: [] }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const contender of ['coditect', 'bare'] as const) {
      const { latenciesMs, elapsedMs } = await measure({
        ...loads[contender],
        connections,
        durationMs: ROUND_MS,
      })
      if (round === 0) continue
      rounds[contender].push({
        requestsPerSecond: latenciesMs.length / (elapsedMs / 1_000),
        p50Ms: percentile(latenciesMs, 50),
        p99Ms: percentile(latenciesMs, 99),
      })
    }
  }
  return { coditect: medians(rounds.coditect), bare: medians(rounds.bare) }
}

const medians = (rounds: ReadonlyArray<Result>): Result => ({
  requestsPerSecond: rounded(median(rounds.map((round) => round.requestsPerSecond))),
  p50Ms: rounded(median(rounds.map((round) => round.p50Ms))),
  p99Ms: rounded(median(rounds.map((round) => round.p99Ms))),
})

const rounded = (value: number): number => Number(value.toPrecision(3))

const row = (operation: Operation, connections: number, contender: string, result: Result): string =>
  [
    operation.padEnd(9),
    String(connections).padStart(13),
    contender.padStart(10),
    ...Object.values(result).map((value) => String(value).padStart(10)),
  ].join('')

/** A tenant whose plan a benchmark can't fill, and one project in it to read. */
async function loadsFor(stack: Stack, bareOrigin: string) {
  const tenant = await stack.call<{ apiKey: { key: string } }>('/platform/v1/tenants', {
    method: 'POST',
    body: {
      slug: 'bench',
      name: 'Benchmark',
      region: 'us',
      plan: 'enterprise',
      owner: { email: 'bench@coditect.example' },
    },
  })
  const { key } = tenant.body.apiKey
  const project = await stack.call<{ id: string }>('/v1/projects', {
    method: 'POST',
    as: key,
    body: { name: 'Benchmark' },
  })
  const headers = { authorization: `Bearer ${key}` }
  const read = { method: 'GET', path: `/v1/projects/${project.body.id}`, headers } as const
  const create = {
    method: 'POST',
    path: '/v1/projects',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Benchmark' }),
  } as const
  return {
    read: { coditect: { origin: stack.edge, ...read }, bare: { origin: bareOrigin, ...read } },
    create: { coditect: { origin: stack.edge, ...create }, bare: { origin: bareOrigin, ...create } },
  }
}

async function startBare(): Promise<{ origin: string; stop: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'coditect-bare-'))
  const here = (file: string) => join(import.meta.dirname, 'bare', file)
  const port = await claimable(0)
  const server = fork(here('server.ts'), { env: { ...process.env, PORT: String(port) } })
  await once(server, 'message')
  const config = await buildWorker({ entry: here('worker.ts'), folder, bindings: ['ORIGIN'] })
  const workerd = launchWorkerd({
    config,
    port: 0,
    environment: { ORIGIN: `http://127.0.0.1:${port}` },
    log: openSync(join(folder, 'workerd.log'), 'a'),
  })
  return {
    origin: `http://127.0.0.1:${await workerd.ready}`,
    stop: () => {
      workerd.child.kill('SIGTERM')
      server.disconnect()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
