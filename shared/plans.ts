// Plans: what a tenant may have. One place.
import type { Limits } from './limits.ts'

export const PLAN_NAMES = ['free', 'team', 'enterprise'] as const
export type PlanName = (typeof PLAN_NAMES)[number]

/** What is counted and limited exactly. */
export const QUANTITIES = ['projects', 'apiKeys', 'members', 'identityProviders', 'storedBytes'] as const
export type Quantity = (typeof QUANTITIES)[number]

const GIB = 2 ** 30

export const PLANS: Readonly<Record<PlanName, Readonly<Record<Quantity, number>>>> = {
  free: { projects: 100, apiKeys: 20, members: 10, identityProviders: 2, storedBytes: GIB },
  team: { projects: 10_000, apiKeys: 200, members: 1_000, identityProviders: 10, storedBytes: 100 * GIB },
  // An edge keeps the whole list of a tenant's providers, so there are never many.
  enterprise: {
    projects: 1_000_000,
    apiKeys: 10_000,
    members: 1_000_000,
    identityProviders: 50,
    storedBytes: 10_000 * GIB,
  },
}

/**
 * How much a tenant may ask. Two seconds of the rate may come at once. One key or one address gets most of it, but
 * never all: what runs wild leaves the others something.
 */
export const PLAN_LIMITS: Readonly<Record<PlanName, Limits>> = {
  free: limitsOf(20),
  team: limitsOf(500),
  enterprise: limitsOf(5_000),
}

function limitsOf(rate: number): Limits {
  const share = (part: number) => ({ rate: rate * part, burst: 2 * rate * part })
  return { tenant: share(1), key: share(0.9), ip: share(0.8) }
}
