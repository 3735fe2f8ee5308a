// Deliveries for the benchmark: events at a steady rate, whatever the receiver and the platform make of it (open loop), and
// the time that each takes from the beginning of its transaction to its receiver.
import { Agent, createServer, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Stack } from '../e2e/stack.ts'
import { median, percentile } from './closed_loop.ts'

export const SECONDS = 10
const WARM_SECONDS = 2
const PATIENCE_MS = 10_000
const BESIDE = { rate: 50, rounds: 5, seconds: 4, warmSeconds: 1, endpoints: 100, events: 1_000 }

/** What receivers do that fail, by the end of their path. */
const FAILING: ReadonlyArray<(response: ServerResponse) => void> = [
  (response) => response.writeHead(500).end('no'),
  (response) => response.destroy(),
  (response) => response.writeHead(429, { 'retry-after': '1' }).end(),
  () => {},
]

export interface Receiver {
  url(path: string): string
  /** From the event's own time to its coming, in milliseconds, by path. */
  latenciesMs: Map<string, number[]>
  /** Requests that were let fail so far. */
  failed(): number
  close(): Promise<unknown>
}

export async function startReceiver(): Promise<Receiver> {
  const latenciesMs = new Map<string, number[]>()
  let failed = 0
  const server = createServer((incoming, response) => {
    const nowMs = performance.timeOrigin + performance.now()
    const path = incoming.url ?? ''
    const failing = /^\/failing-(\d+)$/.exec(path)?.[1]
    if (failing !== undefined) {
      failed++
      incoming.resume()
      FAILING[Number(failing) % FAILING.length]?.(response)
      return
    }
    let text = ''
    incoming.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    incoming.on('end', () => {
      response.writeHead(204).end()
      const times = latenciesMs.get(path) ?? []
      times.push(nowMs - Date.parse((JSON.parse(text) as { timestamp: string }).timestamp))
      latenciesMs.set(path, times)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: (path) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    latenciesMs,
    failed: () => failed,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Tenant {
  id: string
  key: string
}

let tenants = 0
/** A tenant whose plan a benchmark can't fill. */
export async function newTenant(stack: Stack): Promise<Tenant> {
  const slug = `bench-${++tenants}`
  const made = await stack.call<{ tenant: { id: string }; apiKey: { key: string } }>('/platform/v1/tenants', {
    method: 'POST',
    body: { slug, name: slug, region: 'us', plan: 'enterprise', owner: { email: `o@${slug}.example` } },
  })
  return { id: made.body.tenant.id, key: made.body.apiKey.key }
}

async function newEndpoint(stack: Stack, key: string, endpoint: object): Promise<string> {
  const body = { types: ['project.created'], ...endpoint }
  const made = await stack.call<{ id: string }>('/v1/webhook-endpoints', { method: 'POST', as: key, body })
  if (made.status !== 201) throw new Error(`no endpoint: ${made.status}`)
  return made.body.id
}

/** Creates projects at this rate, and waits for all of their events at `path`. @returns the times of those past the warm-up */
async function timesOf(
  { edge }: Stack,
  { latenciesMs }: Receiver,
  { key, path }: { key: string; path: string },
  { rate, seconds, warmSeconds }: { rate: number; seconds: number; warmSeconds: number },
): Promise<number[]> {
  const agent = new Agent({ keepAlive: true })
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const create = () =>
    new Promise<void>((resolve, reject) => {
      const asked = request(`${edge}/v1/projects`, { agent, method: 'POST', headers }, (answer) => {
        answer.resume()
        if (answer.statusCode !== 201) reject(new Error(`not created: ${answer.statusCode}`))
        else answer.on('end', resolve)
      })
      asked.on('error', reject)
      asked.end('{"name":"Benchmark"}')
    })
  latenciesMs.delete(path)
  const events = (warmSeconds + seconds) * rate
  const from = performance.now()
  const created: Array<Promise<void>> = []
  for (let i = 0; i < events; i++) {
    const waits = from + (i * 1_000) / rate - performance.now()
    if (waits > 0) await pause(waits)
    created.push(create())
  }
  await Promise.all(created)
  const until = performance.now() + PATIENCE_MS
  while ((latenciesMs.get(path)?.length ?? 0) < events) {
    if (performance.now() > until) throw new Error('some events did not come')
    await pause(50)
  }
  agent.destroy()
  return (latenciesMs.get(path) ?? []).slice(warmSeconds * rate)
}

export async function deliver(stack: Stack, receiver: Receiver, mode: 'parallel' | 'fifo', rate: number) {
  const { key } = await newTenant(stack)
  const path = `/${mode}-${rate}`
  await newEndpoint(stack, key, { url: receiver.url(path), mode })
  const pace = { rate, seconds: SECONDS, warmSeconds: WARM_SECONDS }
  const times = await timesOf(stack, receiver, { key, path }, pace)
  const [p50Ms, p95Ms, p99Ms] = [50, 95, 99].map((percent) => rounded(percentile(times, percent)))
  return { events: times.length, p50Ms, p95Ms, p99Ms }
}

/** One organisation's deliveries, while another with very many that fail is suspended, and while it is not, in turns. */
export async function besideFailing(stack: Stack, receiver: Receiver) {
  const { rate, rounds, seconds, warmSeconds, endpoints, events } = BESIDE
  const [own, other] = [await newTenant(stack), await newTenant(stack)]
  const path = '/beside'
  await newEndpoint(stack, own.key, { url: receiver.url(path) })
  for (let i = 0; i < endpoints; i++) {
    await newEndpoint(stack, other.key, { url: receiver.url(`/failing-${i}`) })
  }
  const create = { method: 'POST', as: other.key, body: { name: 'Fails' } }
  for (let i = 0; i < events; i += 10) {
    await Promise.all(Array.from({ length: 10 }, () => stack.call('/v1/projects', create)))
  }
  const turn = async (status: 'active' | 'suspended') => {
    const body = { status }
    const changed = await stack.call(`/platform/v1/tenants/${other.id}`, { method: 'PATCH', body })
    if (changed.status !== 200) throw new Error(`not ${status}: ${changed.status}`)
    const before = receiver.failed()
    const until = performance.now() + PATIENCE_MS
    while (status === 'active' && receiver.failed() === before) {
      if (performance.now() > until) throw new Error('nothing fails')
      await pause(20)
    }
  }
  const figures: Record<'alone' | 'beside', Array<Record<'p50Ms' | 'p95Ms', number>>> = {
    alone: [],
    beside: [],
  }
  let attempts = 0
  for (let round = 0; round < rounds; round++) {
    for (const which of ['alone', 'beside'] as const) {
      await turn(which === 'alone' ? 'suspended' : 'active')
      const before = receiver.failed()
      const times = await timesOf(stack, receiver, { key: own.key, path }, { rate, seconds, warmSeconds })
      attempts += receiver.failed() - before
      figures[which].push({ p50Ms: percentile(times, 50), p95Ms: percentile(times, 95) })
    }
  }
  // Whatever is measured next has the machine to itself.
  await turn('suspended')
  const medians = (which: 'alone' | 'beside') => ({
    p50Ms: rounded(median(figures[which].map(({ p50Ms }) => p50Ms))),
    p95Ms: rounded(median(figures[which].map(({ p95Ms }) => p95Ms))),
  })
  const [alone, beside] = [medians('alone'), medians('beside')]
  const p95Ratio = rounded(beside.p95Ms / alone.p95Ms)
  return { rate, rounds, failing: endpoints * events, attempts, alone, beside, p95Ratio }
}

export const rounded = (value: number): number => Number(value.toPrecision(3))
