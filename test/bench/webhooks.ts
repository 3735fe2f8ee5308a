// Webhooks. Out: from the transaction that writes an event to the receiver that has it, at a steady rate of events, whatever
// the receiver and the platform make of it (open loop). In: accepted webhooks beside plain creations of projects, in turns.
import { createHmac, randomUUID } from 'node:crypto'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type Load, measure, median, percentile } from './closed_loop.ts'

const RATES = [50, 200]
const SECONDS = 10
const WARM_SECONDS = 2
const PATIENCE_MS = 10_000
const ROUNDS = 5
const ROUND_MS = 2_000
const CONNECTIONS = 16

export async function run(emit: (figure: object) => void, say: (line: string) => void): Promise<void> {
  const receiver = await startReceiver()
  const stack = await startStack({ WEBHOOK_DEVELOPMENT_HOSTS: '127.0.0.1' })
  try {
    const machine = { cpus: cpus().length, cpu: cpus()[0]?.model, load: loadavg()[0], node: process.version }
    emit({ bench: 'webhooks', ...machine, seconds: SECONDS, rounds: ROUNDS, roundMs: ROUND_MS })
    say('out: from the beginning of the transaction to the receiver')
    say('events/s    mode       events    p50 ms    p95 ms    p99 ms')
    for (const mode of ['parallel', 'fifo'] as const) {
      for (const rate of RATES) {
        const figures = await deliver(stack, receiver, mode, rate)
        emit({ bench: 'webhooks', what: 'out', mode, rate, ...figures })
        const { events, p50Ms, p95Ms, p99Ms } = figures
        say(
          String(rate).padStart(8) +
            mode.padStart(12) +
            [events, p50Ms, p95Ms, p99Ms].map((each) => String(each).padStart(10)).join(''),
        )
      }
    }
    say('in, beside creating projects')
    say('operation       requests/s    p50 ms    p99 ms')
    for (const [operation, result] of Object.entries(await accept(stack))) {
      emit({ bench: 'webhooks', what: 'in', operation, connections: CONNECTIONS, ...result })
      say(
        operation.padEnd(16) +
          Object.values(result)
            .map((each) => String(each).padStart(10))
            .join(''),
      )
    }
  } finally {
    await stack.stop()
    await receiver.close()
  }
}

interface Receiver {
  url(path: string): string
  /** From the event's own time to its coming, in milliseconds, by path. */
  latenciesMs: Map<string, number[]>
  close(): Promise<unknown>
}

async function startReceiver(): Promise<Receiver> {
  const latenciesMs = new Map<string, number[]>()
  const server = createServer((incoming, response) => {
    const nowMs = performance.timeOrigin + performance.now()
    let text = ''
    incoming.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    incoming.on('end', () => {
      response.writeHead(204).end()
      const path = incoming.url ?? ''
      const times = latenciesMs.get(path) ?? []
      times.push(nowMs - Date.parse((JSON.parse(text) as { timestamp: string }).timestamp))
      latenciesMs.set(path, times)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: (path) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    latenciesMs,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

let tenants = 0
/** A tenant whose plan a benchmark can't fill. */
async function newTenant(stack: Stack): Promise<string> {
  const slug = `bench-${++tenants}`
  const made = await stack.call<{ apiKey: { key: string } }>('/platform/v1/tenants', {
    method: 'POST',
    body: { slug, name: slug, region: 'us', plan: 'enterprise', owner: { email: `o@${slug}.example` } },
  })
  return made.body.apiKey.key
}

async function deliver(stack: Stack, receiver: Receiver, mode: 'parallel' | 'fifo', rate: number) {
  const key = await newTenant(stack)
  const path = `/${mode}-${rate}`
  const endpoint = { url: receiver.url(path), types: ['project.created'], mode }
  const { status } = await stack.call('/v1/webhook-endpoints', { method: 'POST', as: key, body: endpoint })
  if (status !== 201) throw new Error(`no endpoint: ${status}`)
  const agent = new Agent({ keepAlive: true })
  const create = () =>
    new Promise<void>((resolve, reject) => {
      const asked = request(
        `${stack.edge}/v1/projects`,
        {
          agent,
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        },
        (answer) => {
          answer.resume()
          if (answer.statusCode !== 201) reject(new Error(`not created: ${answer.statusCode}`))
          else answer.on('end', resolve)
        },
      )
      asked.on('error', reject)
      asked.end('{"name":"Benchmark"}')
    })
  const events = (WARM_SECONDS + SECONDS) * rate
  const from = performance.now()
  const created: Array<Promise<void>> = []
  for (let i = 0; i < events; i++) {
    const waits = from + (i * 1_000) / rate - performance.now()
    if (waits > 0) await pause(waits)
    created.push(create())
  }
  await Promise.all(created)
  const until = performance.now() + PATIENCE_MS
  while ((receiver.latenciesMs.get(path)?.length ?? 0) < events) {
    if (performance.now() > until) throw new Error('some events did not come')
    await pause(50)
  }
  agent.destroy()
  const times = (receiver.latenciesMs.get(path) ?? []).slice(WARM_SECONDS * rate)
  const [p50Ms, p95Ms, p99Ms] = [50, 95, 99].map((percent) => rounded(percentile(times, percent)))
  return { events: times.length, p50Ms, p95Ms, p99Ms }
}

interface Result {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
}

/** A round each in turn, after one that nobody counts. Figures are the medians of the rounds. */
async function accept(stack: Stack): Promise<Record<'webhook' | 'project', Result>> {
  const key = await newTenant(stack)
  const secret = 'a-secret-of-theirs'
  const source = await stack.call<{ url: string }>('/v1/webhook-sources', {
    method: 'POST',
    as: key,
    body: { name: 'Benchmark', provider: 'github', secret },
  })
  const json = { 'content-type': 'application/json' }
  const loads: Record<'webhook' | 'project', Omit<Load, 'connections' | 'durationMs'>> = {
    webhook: {
      origin: stack.edge,
      method: 'POST',
      path: new URL(source.body.url).pathname,
      headers: json,
      each() {
        const id = randomUUID()
        const body = JSON.stringify({ id, ref: 'refs/heads/main', commits: [] })
        const mac = createHmac('sha256', secret).update(body).digest('hex')
        const signed = { 'x-hub-signature-256': `sha256=${mac}`, 'x-github-delivery': id }
        return { body, headers: { ...json, ...signed, 'x-github-event': 'push' } }
      },
    },
    project: {
      origin: stack.edge,
      method: 'POST',
      path: '/v1/projects',
      headers: { ...json, authorization: `Bearer ${key}` },
      body: JSON.stringify({ name: 'Benchmark' }),
    },
  }
  const rounds: Record<'webhook' | 'project', Result[]> = { webhook: [], project: [] }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const operation of ['webhook', 'project'] as const) {
      const options = { ...loads[operation], connections: CONNECTIONS, durationMs: ROUND_MS }
      const { latenciesMs, elapsedMs } = await measure(options)
      if (round === 0) continue
      rounds[operation].push({
        requestsPerSecond: latenciesMs.length / (elapsedMs / 1_000),
        p50Ms: percentile(latenciesMs, 50),
        p99Ms: percentile(latenciesMs, 99),
      })
    }
  }
  const medians = (results: ReadonlyArray<Result>): Result => ({
    requestsPerSecond: rounded(median(results.map((each) => each.requestsPerSecond))),
    p50Ms: rounded(median(results.map((each) => each.p50Ms))),
    p99Ms: rounded(median(results.map((each) => each.p99Ms))),
  })
  return { webhook: medians(rounds.webhook), project: medians(rounds.project) }
}

const rounded = (value: number): number => Number(value.toPrecision(3))
