// Plans: what a tenant may use. One place; a tenant's own limits override single figures.

export const PLAN_NAMES = ['free', 'team', 'enterprise'] as const
export type PlanName = (typeof PLAN_NAMES)[number]

export interface PlanLimits {
  /** Live projects. */
  projects: number
  /** Live API keys. */
  apiKeys: number
}

export const PLANS: Readonly<Record<PlanName, PlanLimits>> = {
  free: { projects: 100, apiKeys: 20 },
  team: { projects: 10_000, apiKeys: 200 },
  enterprise: { projects: 1_000_000, apiKeys: 10_000 },
}
