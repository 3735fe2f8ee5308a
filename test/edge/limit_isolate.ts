// A worker for the exactness tests: the real limiter over the real Durable Object, and clients inside the isolate,
// because over HTTP a small machine could not ask fast enough. Started several times in one workerd by test/limit.
import { waitUntil } from 'cloudflare:workers'
import { leasesFrom, objectsOf } from '../../edge/limit/lease_source.ts'
import { type LeaseSource, Limiter } from '../../edge/limit/limiter.ts'
import { leaseHere, TenantLimiter } from '../../edge/limit/tenant_limiter.ts'
import { asTenantNumber } from '../../shared/tenant.ts'
import type { Load, Measured } from '../limit/load.ts'

/** The object itself, and how often it had to begin anew. */
export class CountedLimiter extends TenantLimiter {
  constructor(state: DurableObjectState, env: Cloudflare.Env) {
    super(state, env)
    const { sql } = state.storage
    sql.exec('CREATE TABLE IF NOT EXISTS boot (at INTEGER)')
    sql.exec('INSERT INTO boot VALUES (?)', Date.now())
  }

  boots(): number {
    return this.ctx.storage.sql.exec<{ boots: number }>('SELECT COUNT(*) AS boots FROM boot').one().boots
  }
}

interface Env {
  TENANT_LIMITER: DurableObjectNamespace<CountedLimiter>
  /** How many objects the tenants share; empty: each has its own. */
  SHARED: string
  /** Not empty: the objects live in this very isolate. */
  NEAR: string
}

const TICK_MS = 5
const LARGEST_FLOOD_MS = 20
const BIN_MS = 10

let limiter: Limiter | undefined
let delayMs = 0
let calls = 0
let failing = false

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const objectOf = objectsOf(env.TENANT_LIMITER, env.SHARED ? Number(env.SHARED) : undefined)
    limiter ??= new Limiter({
      source: observed(leasesFrom(objectOf)),
      near: env.NEAR ? leaseHere : undefined,
      waitUntil,
      now: Date.now,
      onFailure: () => {},
    })
    const { pathname } = new URL(request.url)
    if (pathname === '/boots') {
      const { tenant } = (await request.json()) as { tenant: string }
      const object = objectOf(asTenantNumber(BigInt(tenant))) as DurableObjectStub<CountedLimiter>
      return Response.json(await object.boots())
    }
    return Response.json(await run(limiter, (await request.json()) as Load))
  },
}

/** As far away as the test says. */
const observed =
  (source: LeaseSource): LeaseSource =>
  async (tenant, request) => {
    calls++
    if (failing) throw new Error('no way there')
    if (delayMs === 0) return source(tenant, request)
    await sleep(delayMs / 2)
    const answer = await source(tenant, request)
    await sleep(delayMs / 2)
    return answer
  }

/** An open loop: requests come when they come, whatever became of those before. */
async function run(over: Limiter, load: Load): Promise<Measured> {
  const tenant = asTenantNumber(BigInt(load.tenant))
  const measured: Measured = {
    asked: 0,
    admitted: 0,
    throttled: 0,
    unreachable: 0,
    calls: 0,
    startedAtMs: Date.now(),
    endedAtMs: 0,
    bins: [],
    waits: [],
  }
  delayMs = load.delayMs ?? 0
  failing = load.failing ?? false
  calls = 0
  const bins = new Map<number, { asked: number; admitted: number }>()
  const count = (what: 'asked' | 'admitted', atMs: number) => {
    const at = Math.floor(atMs / BIN_MS) * BIN_MS
    const bin = bins.get(at) ?? { asked: 0, admitted: 0 }
    bin[what]++
    bins.set(at, bin)
  }
  const ask = async () => {
    const from = Date.now()
    count('asked', from)
    const { outcome } = await over.admit(tenant, 1, load.limit)
    const now = Date.now()
    measured[outcome]++
    if (now - from > 2)
      measured.waits.push({ sinceStartMs: from - measured.startedAtMs, ms: now - from, outcome })
    if (outcome === 'admitted') count('admitted', now)
  }
  const pending: Promise<void>[] = []
  const elapsed = () => Date.now() - measured.startedAtMs
  while (elapsed() < load.durationMs && measured.asked < (load.requests ?? Number.POSITIVE_INFINITY)) {
    const due = Math.min(
      Math.floor((load.perSecond * elapsed()) / 1_000) + 1 - measured.asked,
      // A machine that was busy elsewhere must not be made busier by a flood.
      Math.ceil((load.perSecond * LARGEST_FLOOD_MS) / 1_000),
      (load.requests ?? Number.POSITIVE_INFINITY) - measured.asked,
    )
    for (let i = 0; i < due; i++) {
      measured.asked++
      pending.push(ask())
    }
    await sleep(TICK_MS)
  }
  await Promise.all(pending)
  measured.endedAtMs = Date.now()
  measured.bins = [...bins].map(([at, { asked, admitted }]) => [at, asked, admitted])
  measured.calls = calls
  return measured
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
