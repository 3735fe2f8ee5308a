// What the edge's pipeline costs: the whole of it with an API key, with a token (JWT), without limits, and with a call to
// the tenant's Durable Object for every request, each beside a bare Hono forward. All in workerd, all in front of the same
// Node handler, in turns.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { claimable } from '../../dev/ports.ts'
import { buildWorker, launchWorkerd } from '../../dev/workerd.ts'
import { randomBytes, toBase64url } from '../../shared/bytes.ts'
import { mintApiKey } from '../../shared/credentials/api_key.ts'
import { Roots } from '../../shared/credentials/roots.ts'
import { providersPath, tenantPath, writePlace } from '../../shared/edge_calls.ts'
import { newId } from '../../shared/ids.ts'
import { audienceOf } from '../../shared/issuer.ts'
import { writeSnapshot, writeVersion } from '../../shared/snapshot.ts'
import { asTenantNumber, tenantId } from '../../shared/tenant.ts'
import { startOidcIssuers } from '../support/oidc_issuers.ts'
import { signToken } from '../support/oidc_tokens.ts'
import { measure, median, percentile } from './closed_loop.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 7)
const ROUND_MS = 1_500
const CONNECTIONS = [1, 16]
const TENANT = asTenantNumber(4711n)
const PATH = '/v1/projects/prj_01m83xhr63e008000000000001'
const VERSION = { epoch: 1, version: 1 }
/** So high that nobody is throttled. */
const LIMIT = { rate: 1e6, burst: 1e6 }

const CONTENDERS = ['bare', 'api key', 'jwt', 'limits off', 'object per request'] as const
type Contender = (typeof CONTENDERS)[number]

interface Result {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
}

export async function run(emit: (figure: object) => void, say: (line: string) => void): Promise<void> {
  const { contenders, stop } = await startContenders()
  try {
    emit({ bench: 'edge', cpus: cpus().length, load: loadavg()[0], node: process.version, rounds: ROUNDS })
    say('connections  contender            requests/s    p50 ms    p99 ms   ratio')
    for (const connections of CONNECTIONS) {
      const results = await inTurns(contenders, connections)
      for (const contender of CONTENDERS) {
        const result = results[contender]
        const ratio = rounded(result.requestsPerSecond / results.bare.requestsPerSecond)
        const addedP50Ms = rounded(result.p50Ms - results.bare.p50Ms)
        emit({ bench: 'edge', connections, contender, ...result, ratio, addedP50Ms })
        const figures = [result.requestsPerSecond, result.p50Ms, result.p99Ms].map((value) =>
          String(value).padStart(10),
        )
        say(
          `${String(connections).padStart(11)}  ${contender.padEnd(20)}${figures.join('')}${String(ratio).padStart(8)}`,
        )
      }
      const limiter = rounded(results['api key'].requestsPerSecond / results['limits off'].requestsPerSecond)
      emit({ bench: 'edge', connections, contender: 'limits on / off', ratio: limiter })
      say(`${String(connections).padStart(11)}  limits on / off: ${limiter}`)
    }
  } finally {
    await stop()
  }
}

/** Figures are the medians of the rounds; nobody counts the first. */
async function inTurns(
  contenders: Record<Contender, { origin: string; headers: Record<string, string> }>,
  connections: number,
): Promise<Record<Contender, Result>> {
  const rounds = new Map<Contender, Result[]>(CONTENDERS.map((name) => [name, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const contender of CONTENDERS) {
      const load = { ...contenders[contender], method: 'GET', path: PATH, connections } as const
      const { latenciesMs, elapsedMs } = await measure({ ...load, durationMs: ROUND_MS })
      if (round === 0) continue
      rounds.get(contender)?.push({
        requestsPerSecond: latenciesMs.length / (elapsedMs / 1_000),
        p50Ms: percentile(latenciesMs, 50),
        p99Ms: percentile(latenciesMs, 99),
      })
    }
  }
  const medians = (of: ReadonlyArray<Result>): Result => ({
    requestsPerSecond: rounded(median(of.map((each) => each.requestsPerSecond))),
    p50Ms: rounded(median(of.map((each) => each.p50Ms))),
    p99Ms: rounded(median(of.map((each) => each.p99Ms))),
  })
  return Object.fromEntries(CONTENDERS.map((name) => [name, medians(rounds.get(name) ?? [])])) as Record<
    Contender,
    Result
  >
}

const rounded = (value: number): number => Number(value.toPrecision(3))

async function startContenders() {
  const folder = mkdtempSync(join(tmpdir(), 'coditect-bench-edge-'))
  const issuers = await startOidcIssuers()
  const roots = [{ id: 1, secret: toBase64url(randomBytes(32)), state: 'active' as const }]
  const key = await mintApiKey(
    'test',
    { region: 'us', tenant: TENANT, keyId: newId('key') },
    await Roots.import(roots),
  )
  const audience = audienceOf(tenantId(TENANT, Date.now()))
  const provider = { id: newId('idp'), issuer: `${issuers.origin}/bench`, audience, roleClaim: null }
  const token = await signToken(issuers.privateKeys, {
    iss: provider.issuer,
    aud: audience,
    sub: 'ann',
    exp: Math.floor(Date.now() / 1_000) + 3_600,
  })

  const port = await claimable(0)
  const server = fork(join(import.meta.dirname, 'bare/server.ts'), {
    env: {
      ...process.env,
      PORT: String(port),
      SNAPSHOT: writeSnapshot({
        ...VERSION,
        ...{ region: 'us', plan: 'enterprise', streams: 10, corsOrigins: [] },
        limits: { tenant: LIMIT, key: LIMIT, ip: LIMIT },
      }),
      VERSION: writeVersion(VERSION),
      ANSWERS: JSON.stringify({
        [tenantPath({ number: TENANT })]: writePlace({ number: TENANT, region: 'us' }),
        [providersPath(TENANT)]: { outcome: 'known', providers: [provider] },
      }),
    },
  })
  await once(server, 'message')
  const origin = `http://127.0.0.1:${port}`
  const environment = {
    ORIGIN: origin,
    PUBLIC_ORIGIN: 'https://api.test',
    REGIONS: JSON.stringify({ us: [origin] }),
    CONTROL_REGION: 'us',
    ASSERTION_KEYS: JSON.stringify({ us: [{ kid: 'us-1', secret: toBase64url(randomBytes(32)) }] }),
    SIGNING_ROOTS: JSON.stringify(roots),
    OPERATORS: '[]',
    DEVELOPMENT_ISSUERS: 'on',
  }
  const children: Array<{ kill(signal: NodeJS.Signals): boolean }> = []
  const start = async (name: string, entry: string, more: Record<string, string> = {}) => {
    const variables = { ...environment, ...more }
    const config = await buildWorker({
      entry: join(import.meta.dirname, entry),
      folder: join(folder, name),
      bindings: Object.keys(variables),
      objects: { classes: OBJECTS[entry] ?? {}, folder: join(folder, name, 'objects') },
    })
    const log = openSync(join(folder, `${name}.log`), 'a')
    const workerd = launchWorkerd({ config, port: 0, environment: variables, log })
    children.push(workerd.child)
    return `http://127.0.0.1:${await workerd.ready}`
  }
  const edge = await start('edge', '../../edge/worker.ts')
  const withKey = { authorization: `Bearer ${key.text}` }
  return {
    contenders: {
      bare: { origin: await start('bare', 'bare/worker.ts'), headers: withKey },
      'api key': { origin: edge, headers: withKey },
      jwt: { origin: edge, headers: { authorization: `Bearer ${token}` } },
      'limits off': {
        origin: await start('off', '../../edge/worker.ts', { LIMITS: 'off' }),
        headers: withKey,
      },
      'object per request': {
        origin: await start('object', '../edge/object_per_request.ts'),
        headers: withKey,
      },
    } satisfies Record<Contender, { origin: string; headers: Record<string, string> }>,
    async stop() {
      for (const child of children) child.kill('SIGTERM')
      server.disconnect()
      await issuers.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const OBJECTS: Readonly<Record<string, Record<string, string>>> = {
  '../../edge/worker.ts': { TENANT_LIMITER: 'TenantLimiter' },
  '../edge/object_per_request.ts': { TENANT_LIMITER: 'TenantLimiter' },
}
