// What happens in a platform beside the requests of every day, again and again while a soak lasts: streams that come and go,
// credentials that are none, keys made and revoked, organisations made and erased, webhooks sent. Each errand checks
// what it is answered, and whatever it opens it closes.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { BenchTenant } from '../bench/traffic/tenants.ts'
import type { Stack } from '../e2e/stack.ts'

const STREAM_MS = 3_000
const PAUSE_MS = 200

export interface Errands {
  /** How often each was done; those that never were, too. */
  done: Record<string, number>
  errors: string[]
  stop(): Promise<void>
}

/** Those that a soak proves nothing of. */
export const neverDone = (done: Errands['done']): string[] =>
  Object.keys(done).filter((name) => done[name] === 0)

export async function startErrands(stack: Stack, tenants: ReadonlyArray<BenchTenant>): Promise<Errands> {
  const done: Record<string, number> = { deliveries: 0 }
  const errors: string[] = []
  const stopping = new AbortController()
  const receiver = await startReceiver(() => {
    done.deliveries = (done.deliveries ?? 0) + 1
  })
  const nth = (n: number): BenchTenant => {
    const tenant = tenants[n % tenants.length]
    if (tenant === undefined) throw new RangeError('no tenants')
    return tenant
  }
  const repeat = async (name: string, errand: (n: number) => Promise<void>): Promise<void> => {
    done[name] = 0
    for (let n = 0; !stopping.signal.aborted; n++) {
      try {
        await errand(n)
        done[name] = (done[name] ?? 0) + 1
      } catch (error) {
        errors.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
      await pause(PAUSE_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }
  const ask = async <T>(
    status: number,
    path: string,
    options: Parameters<Stack['call']>[1] = {},
  ): Promise<T> => {
    const answer = await stack.call<T>(path, options)
    if (answer.status === status) return answer.body
    throw new Error(`${options.method ?? 'GET'} ${path}: ${answer.status} instead of ${status}`)
  }
  const endpoint = { url: receiver.url, types: ['record.updated'] }
  await ask(201, '/v1/webhook-endpoints', { method: 'POST', as: nth(0).key, body: endpoint })

  const running = [
    repeat('streams', async (n) => {
      const open = await fetch(`${stack.edge}/v1/events`, {
        headers: { authorization: `Bearer ${nth(n).key}`, accept: 'text/event-stream' },
        signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(STREAM_MS)]),
      })
      if (open.status !== 200) throw new Error(`no stream: ${open.status}`)
      await open.text().catch(() => {})
    }),
    repeat('refusals', async (n) => {
      await ask(401, '/v1/projects', { as: 'ck_dev_nonsense' })
      await ask(404, `/v1/projects/${nth(n + 1).project}`, { as: nth(n).key })
      await ask(422, '/v1/projects', { method: 'POST', as: nth(n).key, body: { name: 7 } })
    }),
    repeat('keys', async (n) => {
      const as = nth(n).key
      const body = { name: 'Soak', scopes: ['projects:read'] }
      const { id, key } = await ask<{ id: string; key: string }>(201, '/v1/api-keys', {
        method: 'POST',
        as,
        body,
      })
      await ask(200, '/v1/projects', { as: key })
      await ask(204, `/v1/api-keys/${id}`, { method: 'DELETE', as })
      await ask(401, '/v1/projects', { as: key })
    }),
    repeat('organisations', async (n) => {
      const slug = `soak-${n}`
      const made = await ask<{ tenant: { id: string }; apiKey: { key: string } }>(
        201,
        '/platform/v1/tenants',
        {
          method: 'POST',
          body: { slug, name: slug, region: 'us', plan: 'team', owner: { email: `o@${slug}.example` } },
        },
      )
      await ask(201, '/v1/projects', { method: 'POST', as: made.apiKey.key, body: { name: 'First' } })
      await ask(202, `/platform/v1/tenants/${made.tenant.id}`, { method: 'DELETE' })
    }),
  ]
  return {
    done,
    errors,
    async stop() {
      stopping.abort()
      await Promise.all(running)
      await receiver.close()
    },
  }
}

async function startReceiver(onDelivery: () => void): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      onDelivery()
      response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
