// Plans: what a tenant may have and ask for. One place; an operator may give one tenant other limits than its plan's.
import type { Limits } from './limits.ts'
import { PLAN_NAMES, type PlanName } from './plan_names.ts'

export { PLAN_NAMES, type PlanName }

/** What is counted and limited exactly. `storedBytes`: of keys and values; `tokens`: of models, a calendar month (UTC). */
export const QUANTITIES = [
  'projects',
  'apiKeys',
  'members',
  'identityProviders',
  'domains',
  'webhookSources',
  'webhookEndpoints',
  'storedBytes',
  'tokens',
] as const
export type Quantity = (typeof QUANTITIES)[number]

/** What begins again at zero every month. */
export const MONTHLY: ReadonlySet<Quantity> = new Set(['tokens'])

export const LIMIT_NAMES = [
  'requestsPerSecond',
  'burst',
  'streams',
  'eventRetentionDays',
  'auditRetentionDays',
  ...QUANTITIES,
] as const
export type LimitName = (typeof LIMIT_NAMES)[number]

/** Everything that a plan, or a tenant, is limited in. `streams`: streams and long requests at the same time. */
export type PlanLimits = Readonly<Record<LimitName, number>>

const GIB = 2 ** 30

export const PLANS: Readonly<Record<PlanName, PlanLimits>> = {
  free: {
    ...requests(20),
    streams: 10,
    eventRetentionDays: 7,
    auditRetentionDays: 30,
    projects: 100,
    apiKeys: 20,
    members: 10,
    identityProviders: 2,
    domains: 1,
    webhookSources: 5,
    webhookEndpoints: 5,
    storedBytes: GIB,
    tokens: 100_000,
  },
  team: {
    ...requests(500),
    streams: 200,
    eventRetentionDays: 30,
    auditRetentionDays: 365,
    projects: 10_000,
    apiKeys: 200,
    members: 1_000,
    identityProviders: 10,
    domains: 10,
    webhookSources: 50,
    webhookEndpoints: 50,
    storedBytes: 100 * GIB,
    tokens: 10_000_000,
  },
  enterprise: {
    ...requests(5_000),
    streams: 5_000,
    eventRetentionDays: 90,
    auditRetentionDays: 2_555,
    projects: 1_000_000,
    apiKeys: 10_000,
    members: 1_000_000,
    // An edge keeps the whole list of a tenant's providers, so there are never many.
    identityProviders: 50,
    domains: 100,
    webhookSources: 1_000,
    webhookEndpoints: 1_000,
    storedBytes: 10_000 * GIB,
    tokens: 1_000_000_000,
  },
}

/** Two seconds of the rate may come at once. */
function requests(rate: number): Pick<PlanLimits, 'requestsPerSecond' | 'burst'> {
  return { requestsPerSecond: rate, burst: 2 * rate }
}

/** What an operator gives no tenant more of: all of a tenant's are read in one go, again and again. */
export const MOST = { identityProviders: 100, domains: 1_000, webhookEndpoints: 1_000 } as const

/** What an operator gave one tenant instead of its plan's. */
export type LimitOverrides = Readonly<Partial<Record<LimitName, number>>>

export function limitsOf(plan: PlanName, overrides: LimitOverrides = {}): PlanLimits {
  const { requestsPerSecond } = overrides
  return {
    ...PLANS[plan],
    // A rate without a burst of its own has its usual one.
    ...(requestsPerSecond !== undefined && requests(requestsPerSecond)),
    ...overrides,
  }
}

/**
 * The rate limits that follow. One key or one address gets most of the tenant's, but never all: what runs wild leaves
 * the others something.
 */
export function rateLimitsOf({ requestsPerSecond: rate, burst }: PlanLimits): Limits {
  const share = (part: number) => ({ rate: rate * part, burst: Math.max(1, burst * part) })
  return { tenant: share(1), key: share(0.9), ip: share(0.8) }
}
