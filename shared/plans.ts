// Plans: what a tenant may have. One place.

export const PLAN_NAMES = ['free', 'team', 'enterprise'] as const
export type PlanName = (typeof PLAN_NAMES)[number]

/** What is counted and limited exactly. */
export const QUANTITIES = ['projects', 'apiKeys'] as const
export type Quantity = (typeof QUANTITIES)[number]

export const PLANS: Readonly<Record<PlanName, Readonly<Record<Quantity, number>>>> = {
  free: { projects: 100, apiKeys: 20 },
  team: { projects: 10_000, apiKeys: 200 },
  enterprise: { projects: 1_000_000, apiKeys: 10_000 },
}
