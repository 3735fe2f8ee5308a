// The edge's bindings and what they mean. Text, because Cloudflare's secrets and a process's environment are.
// Errors name the binding and never repeat its value: some hold secrets.
import { type AssertionKey, type AssertionKeyConfig, importAssertionKey } from '../shared/assertion.ts'
import type { OperatorConfig } from '../shared/credentials/operator_token.ts'
import { Roots, type SigningRootConfig } from '../shared/credentials/roots.ts'
import type { Limit } from '../shared/limits.ts'
import { REGION_NAME } from '../shared/region.ts'
import { Instances } from './forward/instances.ts'
import { FAILURE_LIMIT } from './identify/failed_attempts.ts'

export interface Bindings {
  /** `https://api.example.com`: where clients find this edge. Signed URLs hold for it, whatever `Host` says. */
  PUBLIC_ORIGIN: string
  /** `{"us":["https://…"],"eu":[…]}`: every region, and an origin for each of its instances. */
  REGIONS: string
  /** The region that keeps the list of tenants. */
  CONTROL_REGION: string
  /** `{"us":[{"kid","secret"}],…}`: what each region knows the edge by. */
  ASSERTION_KEYS: string
  /** `[{"id","secret","state"}]`: what signed the tenants' credentials. */
  SIGNING_ROOTS: string
  /** `[{"id","role","secretHash"}]` */
  OPERATORS: string
  /** `example.com`: organisations are found at `<slug>.example.com`. Not set: nowhere. */
  BASE_DOMAIN?: string
  /** `{"rate":5,"burst":500}`: invalid credentials of one address, a second and at once. Not set: as here. */
  FAILURE_LIMIT?: string
  /** `16`: how many Durable Objects the tenants share, in a workerd of one's own. Not set: each tenant has its own. */
  LIMITER_OBJECTS?: string
  /** `10.0.0.0/8`: who says where a request came from, before a workerd of one's own (`own_worker.ts`). Not set: nobody. */
  TRUSTED_PROXIES?: string
  /** `off` for benchmarks that compare; anything else, or nothing, is on. */
  LIMITS?: string
  /** `on`: keys of OpenID issuers may be fetched from this machine, over http. Nowhere but on a developer's. */
  DEVELOPMENT_ISSUERS?: string
}

declare global {
  namespace Cloudflare {
    interface Env extends Bindings {}
  }
}

export interface Region {
  name: string
  /** Whom to ask there; all that this isolate asks of the region shares what is known of them. */
  instances: Instances
  assertionKey: AssertionKey
}

export interface EdgeConfig {
  /** Without a trailing slash. */
  publicOrigin: string
  /** Without a dot in front. */
  baseDomain: string | undefined
  regions: ReadonlyMap<string, Region>
  controlRegion: Region
  roots: Roots
  operators: ReadonlyArray<OperatorConfig>
  failureLimit: Limit
  /** How many the tenants share; undefined: each has its own. */
  limiterObjects: number | undefined
  developmentIssuers: boolean
}

/**
 * @param waitUntil keeps work alive beyond its request's answer
 * @throws {Error} naming the binding that is missing or wrong.
 */
export async function readBindings(
  bindings: Bindings,
  waitUntil: (work: Promise<unknown>) => void = () => {},
): Promise<EdgeConfig> {
  const publicOrigin = originOf('PUBLIC_ORIGIN', textOf(bindings, 'PUBLIC_ORIGIN'), 'it')
  const urls = parse<Record<string, ReadonlyArray<string>>>(bindings, 'REGIONS')
  const keys = parse<Record<string, ReadonlyArray<AssertionKeyConfig>>>(bindings, 'ASSERTION_KEYS')
  const regions = new Map<string, Region>()
  for (const [name, instances] of Object.entries(urls)) {
    if (!REGION_NAME.test(name)) throw new Error(`REGIONS: ${name} is not a region's name`)
    const origins = instances.map((url) => originOf('REGIONS', url, `an address of ${name}`))
    if (origins.length === 0) throw new Error(`REGIONS: ${name} has no instance`)
    regions.set(name, {
      name,
      instances: new Instances(origins, waitUntil),
      assertionKey: await inBinding('ASSERTION_KEYS', () => importAssertionKey(keys[name] ?? [])),
    })
  }
  const controlRegion = regions.get(bindings.CONTROL_REGION)
  if (controlRegion === undefined) throw new Error('CONTROL_REGION is not one of REGIONS')
  const roots = parse<ReadonlyArray<SigningRootConfig>>(bindings, 'SIGNING_ROOTS')
  return {
    publicOrigin,
    baseDomain: readBaseDomain(bindings),
    regions,
    controlRegion,
    roots: await inBinding('SIGNING_ROOTS', () => Roots.import(roots)),
    developmentIssuers: bindings.DEVELOPMENT_ISSUERS === 'on',
    operators: parse<ReadonlyArray<OperatorConfig>>(bindings, 'OPERATORS'),
    failureLimit: readFailureLimit(bindings),
    limiterObjects: readLimiterObjects(bindings),
  }
}

function readBaseDomain({ BASE_DOMAIN: domain }: Bindings): string | undefined {
  if (!domain) return undefined
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/.test(domain)) throw new Error('BASE_DOMAIN: is not a host name')
  return domain
}

function readFailureLimit(bindings: Bindings): Limit {
  if (!bindings.FAILURE_LIMIT) return FAILURE_LIMIT
  const { rate = 0, burst = 0 } = parse<Partial<Limit> | null>(bindings, 'FAILURE_LIMIT') ?? {}
  if (!(rate > 0 && burst >= 1)) throw new Error('FAILURE_LIMIT: rate and burst are numbers above 0')
  return { rate, burst }
}

function readLimiterObjects({ LIMITER_OBJECTS: text }: Bindings): number | undefined {
  if (!text) return undefined
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error('LIMITER_OBJECTS: is not a number from 1 to 9999')
  return Number(text)
}

function textOf(bindings: Bindings, name: keyof Bindings): string {
  const text: string | null | undefined = bindings[name]
  if (text === null || text === undefined) throw new Error(`${name} is not set`)
  return text
}

function parse<T>(bindings: Bindings, name: keyof Bindings): T {
  const text = textOf(bindings, name)
  try {
    return JSON.parse(text) as T
  } catch {
    throw new Error(`${name} is not JSON`)
  }
}

/** A path would be lost between what the assertion is bound to and what the region sees. */
function originOf(binding: keyof Bindings, url: string, what: string): string {
  if (!URL.canParse(url)) throw new Error(`${binding}: ${what} is not a URL`)
  const { origin, href } = new URL(url)
  if (href !== `${origin}/`) throw new Error(`${binding}: ${what} is more than an origin`)
  return origin
}

async function inBinding<T>(name: keyof Bindings, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
}
