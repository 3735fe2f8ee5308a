// Calls between regions: what the control region asks a tenant's home, and the home the control region. One table
// holds both ends to the same shapes. They travel as `POST /internal/v1/<call>` under an assertion of the called
// region's key, which the edge never makes for such a path.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { type AssertionKey, signAssertion } from '../../shared/assertion.ts'
import { ELSEWHERE_MS } from '../../shared/draining.ts'
import { ASSERTION, DRAINING } from '../../shared/headers.ts'
import { newId } from '../../shared/ids.ts'
import { PLAN_NAMES } from '../../shared/plans.ts'
import { PROBLEMS, Problem, type ProblemDetails } from '../../shared/problems.ts'
import { SETTABLE_STATUSES, type TenantNumber } from '../../shared/tenant.ts'
import { writeTraceParent } from '../../shared/trace.ts'
import type { ListedModel, ModelStore } from '../models/catalogue.ts'
import { ongoingTrace } from '../observe/request.ts'
import { idSchema } from '../schemas.ts'
import { UpdateLimits } from '../services/tenant/schema.ts'
import type { Costs } from '../tenancy/cost.ts'
import type { Erasure, TenantEraser } from '../tenancy/erasure.ts'
import type { Isolations, NoisyTenant } from '../tenancy/isolation.ts'
import type { ProvisionedTenant, TenantLifecycle } from '../tenancy/lifecycle.ts'
import type { MadeLink, OwnerLink } from '../tenancy/owner_link.ts'
import type { ShownTenant } from '../tenancy/records.ts'
import type { UsageReport } from '../tenancy/usage.ts'
import { type Directory, numberSchema, type Standing } from './directory.ts'
import type { RegionLoad } from './load.ts'

const tenant = z.object({ number: numberSchema })
const by = z.object({ operatorId: z.string(), requestId: z.string() })
const inputs = {
  provision: tenant.extend({
    intent: z.object({
      slug: z.string(),
      name: z.string(),
      plan: z.enum(PLAN_NAMES),
      owner: z.object({ email: z.string() }),
      signedUp: z.literal(true).optional(),
    }),
    by: by.extend({ publicOrigin: z.string(), idempotencyKey: z.string().optional() }),
  }),
  linkForSignedUp: tenant.extend({
    asked: z.object({ email: z.string(), seconds: z.int() }),
    by: by.extend({ publicOrigin: z.string() }),
  }),
  linkByOperator: tenant.extend({
    id: z.string(),
    asked: z.object({ email: z.string().optional(), seconds: z.int() }),
    by: by.extend({ publicOrigin: z.string(), idempotencyKey: z.string().optional() }),
  }),
  activate: tenant,
  abandon: tenant,
  describe: z.object({ numbers: z.array(numberSchema).max(100) }),
  change: tenant.extend({
    id: z.string(),
    changes: z.object({
      name: z.string().optional(),
      plan: z.enum(PLAN_NAMES).optional(),
      limits: UpdateLimits.optional(),
      status: z.enum(SETTABLE_STATUSES).optional(),
    }),
    ifMatch: z.string().optional(),
    by: by.extend({ idempotencyKey: z.string().optional() }),
  }),
  read: tenant.extend({ id: z.string(), by }),
  erase: tenant.extend({ id: idSchema('ten'), by, ifMatch: z.string().optional() }),
  erasure: tenant.extend({ id: z.string() }),
  claim: tenant.extend({ slug: z.string(), region: z.string() }),
  release: tenant.extend({ region: z.string() }),
  standingOf: z.object({ region: z.string(), numbers: z.array(numberSchema).max(100) }),
  claimDomain: tenant.extend({ domain: z.string(), id: z.string() }),
  releaseDomain: tenant.extend({ domain: z.string(), id: z.string() }),
  recheckDomain: tenant.extend({ id: z.string(), domain: z.string().optional() }),
  usage: tenant.extend({
    id: z.string(),
    window: z.object({ by: z.enum(['hour', 'day']), fromMs: z.number(), toMs: z.number() }),
  }),
  costs: z.object({
    limit: z.int().min(1).max(101),
    after: z.object({ number: numberSchema, units: z.number() }).optional(),
  }),
  load: z.object({}),
  noisy: z.object({}),
  models: z.object({}),
}

export interface Described {
  tenant: ShownTenant
  version: number
}

interface Answers {
  provision: ProvisionedTenant
  /** Null where there is nobody who may have one. */
  linkForSignedUp: OwnerLink | null
  linkByOperator: MadeLink & { replayed: boolean }
  activate: null
  abandon: null
  /** In the order asked; null where there is none. */
  describe: ReadonlyArray<Described | null>
  /** `replayed`: it was made before, and was answered so. */
  change: Described & { replayed: boolean }
  /** Null where there is none. */
  read: Described | null
  erase: Erasure | null
  erasure: Erasure | null
  claim: boolean
  release: null
  /** In the order asked. */
  standingOf: ReadonlyArray<Standing>
  claimDomain: boolean
  releaseDomain: null
  recheckDomain: null
  /** Null where there is none. */
  usage: UsageReport | null
  costs: ReadonlyArray<{ number: string; units: number }>
  load: RegionLoad
  /** Tenants that are isolated there. */
  noisy: ReadonlyArray<Omit<NoisyTenant, 'tenant'> & { number: string }>
  /** Of the control region; keys of upstreams included. */
  models: ReadonlyArray<ListedModel>
}

export type CallName = keyof typeof inputs
type CallInput<N extends CallName> = z.output<(typeof inputs)[N]>

/** What a region does when it is called; the directory only answers in the control region. */
export type Calls = { [N in CallName]: (input: CallInput<N>) => Promise<Answers[N]> }

export interface LocalParts {
  lifecycle: TenantLifecycle
  eraser: TenantEraser
  directory: Directory
  costs: Costs
  load: () => Promise<RegionLoad>
  models: ModelStore
  isolations: Isolations
  /** Somebody has shown this domain to be theirs, and it is another's. */
  contest: (domain: string) => Promise<void>
  /** Has a tenant's domain be looked at. */
  recheck: (held: { number: TenantNumber; id: string; domain?: string | undefined }) => Promise<void>
}

export const localCalls = ({
  lifecycle,
  eraser,
  directory,
  costs,
  load,
  models,
  isolations,
  contest,
  recheck,
}: LocalParts): Calls => ({
  provision: ({ number, intent, by }) => lifecycle.provision(number, intent, by),
  linkForSignedUp: async ({ number, asked, by }) =>
    (await lifecycle.linkForSignedUp(number, asked, by)) ?? null,
  linkByOperator: ({ number, id, asked, by }) => lifecycle.linkByOperator(number, id, asked, by),
  activate: async ({ number }) => {
    await lifecycle.activate(number)
    return null
  },
  abandon: async ({ number }) => {
    await lifecycle.abandon(number)
    return null
  },
  describe: ({ numbers }) =>
    Promise.all(numbers.map(async (number) => (await lifecycle.read(number)) ?? null)),
  change: ({ number, id, changes, ifMatch, by }) => lifecycle.change(number, id, changes, ifMatch, by),
  read: async ({ number, id, by }) => (await lifecycle.readFor(number, id, by)) ?? null,
  erase: async ({ number, id, by, ifMatch }) => (await eraser.begin(number, id, by, ifMatch)) ?? null,
  erasure: async ({ number, id }) => (await eraser.read(number, id)) ?? null,
  claim: ({ number, slug, region }) => directory.claim(number, { slug, region }),
  release: async ({ number, region }) => {
    await directory.release(number, region)
    return null
  },
  standingOf: ({ region, numbers }) => directory.standingOf(numbers, region),
  claimDomain: async ({ number, domain, id }) => {
    const claimed = await directory.claimDomain(number, domain, id)
    // Where nobody can look at it now, it stays whose it is, and whoever wants it asks again. They wait for nobody else's region.
    if (!claimed) void contest(domain).catch(() => undefined)
    return claimed
  },
  releaseDomain: async ({ number, domain, id }) => {
    await directory.releaseDomain(number, domain, id)
    return null
  },
  recheckDomain: async (held) => {
    await recheck(held)
    return null
  },
  usage: async ({ number, id, window }) => (await lifecycle.usageOf(number, id, window)) ?? null,
  costs: async ({ limit, after }) => {
    const ranking = await costs.ranking(limit, after)
    return ranking.map(({ number, units }) => ({ number: String(number), units }))
  },
  load: () => load(),
  noisy: async () =>
    (await isolations.list()).map(({ tenant, ...row }) => ({ number: String(tenant), ...row })),
  models: () => models.list(),
})

export const isCall = (name: string): name is CallName => Object.hasOwn(inputs, name)

/** Runs a call that came over the wire. @throws {Problem} `malformed_request` */
export function receive<N extends CallName>(calls: Calls, name: N, body: unknown): Promise<Answers[N]> {
  const parsed = inputs[name].safeParse(body)
  if (!parsed.success) throw new Problem('malformed_request', 'The call does not fit.')
  return calls[name](parsed.data as CallInput<N>)
}

/** The way to one other region. */
export interface Peer {
  region: string
  /** Its instances: tried in turn until one answers. */
  urls: ReadonlyArray<string>
  assertionKey: AssertionKey
}

/** For a call, whichever instances it is tried at: an edge gives up after ten seconds, and is to hear before who is silent. */
const TIMEOUT_MS = 5_000

/** What became of a try at one instance. `silent`: who did not answer, or not to us, or something else in its place. */
type Tried =
  | { outcome: 'answered'; body: unknown }
  | { outcome: 'refused'; problem: Problem }
  | 'leaving'
  | 'silent'

/** Calls to another region. A call may arrive twice: every one of them is repeatable. */
export function remoteCalls(from: string, peer: Peer): Calls {
  /** Who answered last is asked first, so that an instance that is silent is not waited for each time. */
  let answering = 0

  async function ask(url: string, target: string, body: string, timeoutMs: number): Promise<Tried> {
    const request = { region: peer.region, method: 'POST', target, requestId: newId('req') }
    const assertion = await signAssertion(request, { kind: 'region', region: from }, peer.assertionKey)
    const trace = ongoingTrace()
    const headers = {
      [ASSERTION]: assertion,
      'content-type': 'application/json',
      ...(trace && { traceparent: writeTraceParent(trace) }),
    }
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      const answer = await fetch(url + target, { method: 'POST', headers, body, signal })
      const text = await answer.text()
      if (answer.ok) return { outcome: 'answered', body: JSON.parse(text) }
      if (answer.headers.has(DRAINING)) return 'leaving'
      const problem = problemOf(answer, text)
      return problem === undefined ? 'silent' : { outcome: 'refused', problem }
    } catch {
      return 'silent'
    }
  }

  const send =
    <N extends CallName>(name: N) =>
    async (input: CallInput<N>): Promise<Answers[N]> => {
      const target = `/internal/v1/${name}`
      const body = JSON.stringify(input, (_, value) => (typeof value === 'bigint' ? String(value) : value))
      const untilMs = performance.now() + TIMEOUT_MS
      const { length } = peer.urls
      const first = answering
      for (const waitMs of [...ELSEWHERE_MS, undefined]) {
        let isLeaving = false
        for (let turn = 0; turn < length; turn++) {
          const leftMs = untilMs - performance.now()
          if (leftMs <= 0) break
          const at = (first + turn) % length
          const tried = await ask(peer.urls[at] ?? '', target, body, Math.ceil(leftMs / (length - turn)))
          if (tried === 'leaving') isLeaving = true
          else if (tried !== 'silent') {
            answering = at
            if (tried.outcome === 'refused') throw tried.problem
            return tried.body as Answers[N]
          }
        }
        // Behind an only address stands a load balancer, which leads elsewhere some time.
        if (!isLeaving || length > 1 || waitMs === undefined) break
        await sleep(waitMs)
      }
      throw new Problem(
        'region_unavailable',
        `The region ${peer.region} cannot be reached. Try again soon.`,
        { headers: { 'retry-after': '1' } },
      )
    }
  return {
    provision: send('provision'),
    linkForSignedUp: send('linkForSignedUp'),
    linkByOperator: send('linkByOperator'),
    activate: send('activate'),
    abandon: send('abandon'),
    describe: send('describe'),
    change: send('change'),
    read: send('read'),
    erase: send('erase'),
    erasure: send('erasure'),
    claim: send('claim'),
    release: send('release'),
    standingOf: send('standingOf'),
    claimDomain: send('claimDomain'),
    releaseDomain: send('releaseDomain'),
    recheckDomain: send('recheckDomain'),
    usage: send('usage'),
    costs: send('costs'),
    load: send('load'),
    noisy: send('noisy'),
    models: send('models'),
  }
}

/**
 * The other region's refusal, as our own. Undefined where something else answered for it, such as a load balancer, and where
 * the instance that answered does not take us for a region: another one, with other keys or another clock, may.
 */
function problemOf(answer: Response, text: string): Problem | undefined {
  if (!answer.headers.get('content-type')?.startsWith('application/problem+json')) return undefined
  const { code, detail, errors }: Partial<ProblemDetails> = JSON.parse(text)
  if (code === 'assertion_invalid') return undefined
  const waitS = answer.headers.get('retry-after')
  return new Problem(
    code !== undefined && Object.hasOwn(PROBLEMS, code) ? code : 'internal',
    detail ?? 'The other region failed.',
    {
      ...(errors && { errors }),
      ...(waitS !== null && { headers: { 'retry-after': waitS } }),
    },
  )
}
