// Webhooks. Out: from the transaction that writes an event to the receiver that has it, alone and beside an organisation
// with a hundred thousand deliveries that fail. In: accepted webhooks beside plain creations of projects, in turns.
import { createHmac, randomUUID } from 'node:crypto'
import { cpus, loadavg } from 'node:os'
import { type Stack, startStack } from '../e2e/stack.ts'
import { type Load, measure, median, percentile } from './closed_loop.ts'
import { besideFailing, deliver, newTenant, rounded, SECONDS, startReceiver } from './webhook_delivery.ts'

const RATES = [50, 200]
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
    say('out, beside an organisation whose deliveries fail: medians of rounds in turns')
    const beside = await besideFailing(stack, receiver)
    emit({ bench: 'webhooks', what: 'beside failing', ...beside })
    const { failing, alone, beside: other, p95Ratio } = beside
    say(`${failing} failing; p95 alone ${alone.p95Ms} ms, beside ${other.p95Ms} ms: ${p95Ratio} (goal: 1.5)`)
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

interface Result {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
}

/** A round each in turn, after one that nobody counts. Figures are the medians of the rounds. */
async function accept(stack: Stack): Promise<Record<'webhook' | 'project', Result>> {
  const { key } = await newTenant(stack)
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
