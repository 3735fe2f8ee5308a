// The plans by name, apart from what they allow (shared/plans.ts): so much of them the edge has to know before it can answer.

export const PLAN_NAMES = ['free', 'team', 'enterprise'] as const
export type PlanName = (typeof PLAN_NAMES)[number]
